#include "server/per_host.h"

#include <stdlib.h>

#include "base/list.h"

struct host_entry {
	struct host_entry *next;
	struct endpoint host;
	struct place place;
};

/* FNV-1a over the address: peers cannot choose much of it, and a long chain only costs time. */
static unsigned per_host_bucket(const struct endpoint *e)
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

int per_host_count(const struct per_host *h, const struct endpoint *host)
{
	const struct host_entry *e = h->buckets[per_host_bucket(host)];

	while (e && !endpoint_same_host(&e->host, host))
		e = e->next;
	return e ? e->place.count : 0;
}

struct place *per_host_enter(struct per_host *h, const struct endpoint *host)
{
	struct host_entry **at = &h->buckets[per_host_bucket(host)];

	while (*at && !endpoint_same_host(&(*at)->host, host))
		at = &(*at)->next;
	if (!*at) {
		*at = calloc(1, sizeof **at);
		if (!*at)
			return NULL;
		(*at)->host = *host;
	}
	(*at)->place.count++;
	return &(*at)->place;
}

void per_host_leave(struct per_host *h, struct place *place)
{
	struct host_entry *gone, **at;

	if (!place || --place->count > 0)
		return;
	gone = list_entry(place, struct host_entry, place);
	for (at = &h->buckets[per_host_bucket(&gone->host)]; *at != gone; at = &(*at)->next)
		continue;
	*at = gone->next;
	free(gone);
}
