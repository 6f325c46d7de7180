#include "net/endpoint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

/* The scope id of a zone, which is the name or number of an interface. Returns false if it is neither. */
static bool parse_zone(const char *zone, uint32_t *scope)
{
	int64_t number;

	*scope = if_nametoindex(zone);
	/* in URLs the percent sign is written %25: RFC 6874, 2 */
	if (*scope == 0 && strncmp(zone, "25", 2) == 0)
		*scope = if_nametoindex(zone + 2);
	if (*scope == 0 && num_parse(zone, 1, UINT32_MAX, &number) == 0)
		*scope = (uint32_t)number;
	return *scope != 0;
}

/* Parses an IPv6 literal with an optional zone. */
static bool parse_v6(const char *host, struct endpoint *e)
{
	char address[INET6_ADDRSTRLEN];
	const char *zone = strchr(host, '%');
	size_t length = zone ? (size_t)(zone - host) : strlen(host);

	if (length >= sizeof address)
		return false;
	memcpy(address, host, length);
	address[length] = '\0';
	endpoint_any(AF_INET6, e);
	if (inet_pton(AF_INET6, address, &e->v6.sin6_addr) != 1)
		return false;
	return !zone || parse_zone(zone + 1, &e->v6.sin6_scope_id);
}

/* inet_aton(3) takes a word whose last label is a number for an address: it is no name. */
static bool ends_in_number(const char *host, size_t length)
{
	const char *label = host + length;

	while (label > host && label[-1] != '.')
		label--;
	if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
		return label + 2 + strspn(label + 2, "0123456789abcdefABCDEF") == host + length;
	return label + strspn(label, "0123456789") == host + length;
}

static bool is_name(const char *host)
{
	size_t length = strlen(host);

	/* a dot at the end only says that the name is complete */
	if (length > 1 && host[length - 1] == '.')
		length--;
	if (length == 0 || length > HOST_NAME_MOST || *host == '-' || *host == '.')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)host[i]) && !strchr("-_.", host[i]))
			return false;
	return !ends_in_number(host, length);
}

enum host_form endpoint_parse(const char *host, struct endpoint *e)
{
	endpoint_any(AF_INET, e);
	if (inet_pton(AF_INET, host, &e->v4.sin_addr) == 1)
		return HOST_ADDRESS;
	if (strchr(host, ':'))
		return parse_v6(host, e) ? HOST_ADDRESS : HOST_BAD;
	return is_name(host) ? HOST_NAME : HOST_BAD;
}

void endpoint_any(int family, struct endpoint *e)
{
	memset(e, 0, sizeof *e);
	e->any.sa_family = (sa_family_t)family;
	e->length = family == AF_INET6 ? sizeof e->v6 : sizeof e->v4;
}

void endpoint_set_port(struct endpoint *e, uint16_t port)
{
	if (e->any.sa_family == AF_INET6)
		e->v6.sin6_port = htons(port);
	else
		e->v4.sin_port = htons(port);
}

uint16_t endpoint_port(const struct endpoint *e)
{
	return ntohs(e->any.sa_family == AF_INET6 ? e->v6.sin6_port : e->v4.sin_port);
}

void endpoint_set(struct endpoint *e, const struct sockaddr *addr, socklen_t length)
{
	struct sockaddr_in6 mapped;

	memset(e, 0, sizeof *e);
	e->length = length < sizeof e->v6 ? length : sizeof e->v6;
	memcpy(&e->any, addr, e->length);
	if (e->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&e->v6.sin6_addr))
		return;
	/* one form only, so that rules and limits by address cannot miss the other one */
	mapped = e->v6;
	endpoint_any(AF_INET, e);
	e->v4.sin_port = mapped.sin6_port;
	memcpy(&e->v4.sin_addr, &mapped.sin6_addr.s6_addr[12], 4);
}

static int of_socket(int (*get)(int, struct sockaddr *, socklen_t *), int sock, struct endpoint *e)
{
	struct sockaddr_in6 addr = {0};
	socklen_t length = sizeof addr;

	if (get(sock, (struct sockaddr *)&addr, &length) < 0)
		return -errno;
	endpoint_set(e, (struct sockaddr *)&addr, length);
	return 0;
}

int endpoint_of_local(int sock, struct endpoint *e)
{
	return of_socket(getsockname, sock, e);
}

int endpoint_of_peer(int sock, struct endpoint *e)
{
	return of_socket(getpeername, sock, e);
}

const char *endpoint_text(const struct endpoint *e, char *buf)
{
	char zone[IF_NAMESIZE];

	if (e->any.sa_family != AF_INET6)
		return inet_ntop(AF_INET, &e->v4.sin_addr, buf, ENDPOINT_TEXT);
	inet_ntop(AF_INET6, &e->v6.sin6_addr, buf, ENDPOINT_TEXT);
	if (e->v6.sin6_scope_id == 0)
		return buf;
	if (!if_indextoname(e->v6.sin6_scope_id, zone))
		snprintf(zone, sizeof zone, "%u", e->v6.sin6_scope_id);
	snprintf(buf + strlen(buf), IF_NAMESIZE + 1, "%%%s", zone);
	return buf;
}

bool endpoint_same_host(const struct endpoint *a, const struct endpoint *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) &&
	       a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return endpoint_same_host(a, b) && endpoint_port(a) == endpoint_port(b);
}
