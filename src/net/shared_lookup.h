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
	bool keeps_failures; /* a failed look-up is an answer, too; set after shared_lookup_init() */
	bool by_name; /* the host is a name; an address is not looked up */
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

/* None of the addresses could be reached: the next dial asks anew, unless failures are kept. */
void shared_lookup_forget(struct shared_lookup *l);

/* Ends a look-up that is under way; fine for one that is all zero. */
void shared_lookup_close(struct shared_lookup *l);

#endif
