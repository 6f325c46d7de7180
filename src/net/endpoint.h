/* Addresses and ports: parsed strictly, printed in one form. */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* The address and port of one end of a connection, IPv4 or IPv6. */
struct endpoint {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t length;
};

/* Room for an address in words, zone and NUL included. */
#define ENDPOINT_TEXT (INET6_ADDRSTRLEN + 1 + 16)

/* The longest host name the DNS can hold: RFC 1035, 2.3.4. */
#define HOST_NAME_MOST 253

enum host_form {
	HOST_ADDRESS, /* an IPv4 or IPv6 literal */
	HOST_NAME,    /* to be looked up */
	HOST_BAD,     /* neither: too long, odd characters, or a number that only looks like an address */
};

/*
 * Tells what the word `host` is and, for an address, stores it with port 0 in *e. IPv4 is four
 * decimal numbers without leading zeros (inet_pton(3)); the older forms such as 127.1, 0x7f.1 or
 * 2130706433 are refused, since programs disagree on what they mean. IPv6 is RFC 4291 with an
 * optional %zone (RFC 4007), a name or number of an interface; %25 before a name is taken for % (RFC 6874).
 */
enum host_form endpoint_parse(const char *host, struct endpoint *e);

/* The wildcard address of `family`, AF_INET or AF_INET6, port 0. */
void endpoint_any(int family, struct endpoint *e);

/* The port, in the byte order of the machine. */
void endpoint_set_port(struct endpoint *e, uint16_t port);
uint16_t endpoint_port(const struct endpoint *e);

/* Sets *e to an address from accept(2) or getaddrinfo(3); IPv4-mapped IPv6 becomes IPv4. */
void endpoint_set(struct endpoint *e, const struct sockaddr *addr, socklen_t length);

/* The local or the remote end of a connected socket. Returns 0 or -errno. */
int endpoint_of_local(int sock, struct endpoint *e);
int endpoint_of_peer(int sock, struct endpoint *e);

/* The address alone, without port, in `buf` of ENDPOINT_TEXT bytes; returns `buf`. */
const char *endpoint_text(const struct endpoint *e, char *buf);

/* True for the same address and port; for the same address and any port. */
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
bool endpoint_same_host(const struct endpoint *a, const struct endpoint *b);

#endif
