/* How many connections each address has at present. */
#ifndef SERVER_PER_HOST_H
#define SERVER_PER_HOST_H

#include "net/endpoint.h"
#include "session/session.h"

#define PER_HOST_BUCKETS 1024

/* All zero is an empty table. */
struct per_host {
	struct host_entry *buckets[PER_HOST_BUCKETS];
};

/* How many `host` has. */
int per_host_count(const struct per_host *, const struct endpoint *host);

/* Adds one, and returns the place of `host`, to be given back by per_host_leave(); NULL without memory. */
struct place *per_host_enter(struct per_host *, const struct endpoint *host);

/* Takes one away at that place, and frees it with the last one. NULL is fine. */
void per_host_leave(struct per_host *, struct place *);

#endif
