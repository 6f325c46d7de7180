/* How many connections each address has at present. */
#ifndef SESSION_HOSTS_H
#define SESSION_HOSTS_H

#include "net/endpoint.h"

#define HOSTS_BUCKETS 1024

struct host_count {
	struct host_count *next;
	struct endpoint host;
	int count;
};

/* All zero is an empty table. */
struct hosts {
	struct host_count *buckets[HOSTS_BUCKETS];
};

/* How many `host` has. */
int hosts_count(const struct hosts *, const struct endpoint *host);

/* One more. Returns 0 or -ENOMEM. */
int hosts_add(struct hosts *, const struct endpoint *host);

/* One fewer; an address without any takes no memory. */
void hosts_remove(struct hosts *, const struct endpoint *host);

#endif
