#include "server/per_host.h"

#include <errno.h>
#include <stdlib.h>

/* FNV-1a over the address: peers cannot choose much of it, and a long chain only costs time. */
static unsigned bucket_of(const struct endpoint *e)
{
	const unsigned char *bytes = e->any.sa_family == AF_INET6 ?
					     e->v6.sin6_addr.s6_addr :
					     (const unsigned char *)&e->v4.sin_addr;
	size_t n = e->any.sa_family == AF_INET6 ? 16 : 4;
	uint32_t hash = 2166136261u;

	while (n-- > 0)
		hash = (hash ^ *bytes++) * 16777619u;
	return (hash ^ hash >> 16) % PER_HOST_BUCKETS;
}

/* Where the pointer to the entry of `host` is, or would be. */
static struct host_count **find(struct per_host *h, const struct endpoint *host)
{
	struct host_count **at = &h->buckets[bucket_of(host)];

	while (*at && !endpoint_same_host(&(*at)->host, host))
		at = &(*at)->next;
	return at;
}

int per_host_count(const struct per_host *h, const struct endpoint *host)
{
	const struct host_count *c = h->buckets[bucket_of(host)];

	while (c && !endpoint_same_host(&c->host, host))
		c = c->next;
	return c ? c->count : 0;
}

int per_host_add(struct per_host *h, const struct endpoint *host)
{
	struct host_count **at = find(h, host);

	if (!*at) {
		*at = calloc(1, sizeof **at);
		if (!*at)
			return -ENOMEM;
		(*at)->host = *host;
	}
	(*at)->count++;
	return 0;
}

void per_host_remove(struct per_host *h, const struct endpoint *host)
{
	struct host_count **at = find(h, host), *gone = *at;

	if (!gone || --gone->count > 0)
		return;
	*at = gone->next;
	free(gone);
}
