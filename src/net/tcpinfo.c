#include "net/tcpinfo.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/tcp.h> /* the C library's own struct tcp_info ends too early */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel's net/tcp_states.h: TCP_CLOSE, and the sets of states in which an end has gone or come. */
#define STATE_CLOSED 7
#define STATES_END_SENT (1U << 4 | 1U << 5 | 1U << 6 | 1U << STATE_CLOSED | 1U << 9 | 1U << 11)
#define STATES_END_RECEIVED (1U << 6 | 1U << STATE_CLOSED | 1U << 8 | 1U << 9 | 1U << 11)

int tcpinfo_read(int sock, struct tcpinfo *out)
{
	struct tcp_info kernel;
	socklen_t length = sizeof kernel;

	memset(&kernel, 0, sizeof kernel);
	memset(out, 0, sizeof *out);
	if (getsockopt(sock, IPPROTO_TCP, TCP_INFO, &kernel, &length) < 0)
		return -errno;
	out->state = kernel.tcpi_state;
	out->rtt_us = kernel.tcpi_rtt;
	out->rttvar_us = kernel.tcpi_rttvar;
	out->mss = kernel.tcpi_snd_mss;
	out->cwnd = kernel.tcpi_snd_cwnd;
	out->retransmits = kernel.tcpi_total_retrans;
	out->bytes_acked = kernel.tcpi_bytes_acked;
	out->bytes_received = kernel.tcpi_bytes_received;
	out->delivery_rate = kernel.tcpi_delivery_rate;
	return 0;
}

bool tcpinfo_closed(int sock)
{
	struct tcpinfo info;

	return tcpinfo_read(sock, &info) == 0 && info.state == STATE_CLOSED;
}

bool tcpinfo_end_sent(const struct tcpinfo *i)
{
	return 1U << i->state & STATES_END_SENT;
}

bool tcpinfo_end_received(const struct tcpinfo *i)
{
	return 1U << i->state & STATES_END_RECEIVED;
}

bool tcpinfo_forgotten(const struct tcpinfo *i)
{
	/* a connection has the rtt of its handshake, or something has been acknowledged since */
	return i->state == STATE_CLOSED && i->rtt_us == 0 && i->bytes_acked == 0 && i->bytes_received == 0;
}

const char *tcpinfo_words(const struct tcpinfo *i, char *buf, size_t size)
{
	snprintf(buf, size,
		 "rtt %.3f ms (+/- %.3f), %" PRIu32 " retransmitted, mss %" PRIu32 ", window %" PRIu32
		 " segments, %" PRIu64 " bytes acknowledged, %" PRIu64 " received, %.1f MiB/s delivered",
		 i->rtt_us / 1e3, i->rttvar_us / 1e3, i->retransmits, i->mss, i->cwnd, i->bytes_acked,
		 i->bytes_received, (double)i->delivery_rate / (1 << 20));
	return buf;
}
