/* What the kernel knows about a connection: TCP_INFO of tcp(7). */
#ifndef NET_TCPINFO_H
#define NET_TCPINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tcpinfo {
	uint8_t state; /* TCP_ESTABLISHED and so on, linux/tcp_states.h */
	uint32_t rtt_us, rttvar_us, mss, cwnd, retransmits;
	uint64_t bytes_acked, bytes_received, delivery_rate; /* the last in bytes per second */
};

/* Reads it; what an older kernel does not tell is 0. Returns 0 or -errno. */
int tcpinfo_read(int sock, struct tcpinfo *);

/* True when the connection is no more: reset, or closed by both sides with everything acknowledged. */
bool tcpinfo_closed(int sock);

/* True when an end (FIN) is among the bytes that the peer has been sent; among those that it has sent. */
bool tcpinfo_end_sent(const struct tcpinfo *);
bool tcpinfo_end_received(const struct tcpinfo *);

/*
 * True when there is nothing in it but the state: the kernel forgets what it knew of a connection of
 * Multipath TCP when the last path has closed.
 */
bool tcpinfo_forgotten(const struct tcpinfo *);

/* One line of it in words, in `buf`; returns `buf`. */
const char *tcpinfo_words(const struct tcpinfo *, char *buf, size_t size);

#endif
