/* How many connections each address has at present. */
#ifndef SERVER_PER_HOST_H
#define SERVER_PER_HOST_H

#include "net/endpoint.h"

#define PER_HOST_BUCKETS 1024

struct host_count {
	struct host_count *next;
	struct endpoint host;
	int count;
};

/* All zero is an empty table. */
struct per_host {
	struct host_count *buckets[PER_HOST_BUCKETS];
};

/* How many `host` has. */
int per_host_count(const struct per_host *, const struct endpoint *host);

/* One more. Returns 0 or -ENOMEM. */
int per_host_add(struct per_host *, const struct endpoint *host);

/* One fewer; an address without any takes no memory. */
void per_host_remove(struct per_host *, const struct endpoint *host);

#endif
