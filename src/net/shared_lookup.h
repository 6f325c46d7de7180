/*
 * A look-up that many dials share: the addresses of one name are asked for once, and used for as long as
 * the answer is valid.
 */
#ifndef NET_SHARED_LOOKUP_H
#define NET_SHARED_LOOKUP_H

#include "net/lookup.h"

struct shared_lookup {
	const char *host;
	int family;
	nsec lasts;   /* how long an answer is used; NSEC_NEVER: for the whole run */
	bool keeps_failures; /* a name that has no address is not asked for again; set after _init() */
	bool by_name; /* or it is an address, and there is nothing to ask */
	bool asking;
	struct lookup answer;
	nsec valid_until;
	struct task task;    /* wakes as the answer comes */
	struct list waiting; /* struct lookup_waiter */
};

/* A dial that uses the answer. While it is in the list it is woken when the answer comes. */
struct lookup_waiter {
	struct list link;
	struct task *task;
};

/*
 * Makes `l` the look-up of `host` in `family` (AF_UNSPEC: both); an answer is used for the time `lasts`. The
 * host must outlive it. Asks nothing yet.
 */
void shared_lookup_init(struct shared_lookup *l, const char *host, int family, nsec lasts);

/*
 * Adds `w`, whose task is set, and asks for the addresses if they are not known or too old. Returns the
 * answer for dial_use(), or NULL for an address; -errno in *error when a look-up could not begin (`w` is not
 * added then), else 0.
 */
const struct lookup *shared_lookup_use(struct shared_lookup *l, struct lookup_waiter *w, nsec now, int *error);

/* Takes `w` out again; harmless when it is not in. */
void shared_lookup_leave(struct lookup_waiter *w);

/* The addresses have turned out to be of no use: the next dial asks anew. */
void shared_lookup_forget(struct shared_lookup *l);

/* Ends what is under way; fine for one that is all zero. */
void shared_lookup_close(struct shared_lookup *l);

#endif
