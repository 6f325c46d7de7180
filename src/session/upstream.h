/*
 * Where connections are forwarded to: the addresses of its name, asked for once for all who wait for them,
 * and used for a while.
 */
#ifndef SESSION_UPSTREAM_H
#define SESSION_UPSTREAM_H

#include "net/lookup.h"

struct session;

struct upstream {
	const char *host;
	bool by_name; /* or it is an address, and there is nothing to ask */
	struct lookup answer;
	bool asking;
	nsec valid_until;
	struct task task;    /* wakes as the answer comes */
	struct list waiting; /* struct session, by upstream_link: those that are dialing */
	nsec lacked_at;      /* when means were lacking last to reach it; 0: never */
};

/* Makes `u` the upstream `host`, which must outlive it. Opens nothing yet. */
void upstream_init(struct upstream *u, const char *host);

/*
 * Has the dial of `s`, which has just been started, take its addresses from here; asks for them if they are
 * not known or too old. Returns 0, or -errno when there are no means to ask.
 */
int upstream_use(struct upstream *u, struct session *s, nsec now);

/* The session's dial is over; `failed`: who comes next asks anew. */
void upstream_leave(struct upstream *u, struct session *s, bool failed);

/* Ends what is under way; fine for one that is all zero. */
void upstream_close(struct upstream *u);

#endif
