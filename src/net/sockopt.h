/* The options that every connection's socket gets: tcp(7), socket(7). */
#ifndef NET_SOCKOPT_H
#define NET_SOCKOPT_H

#include <stdbool.h>

/* Keepalive probes: after how many idle seconds, how many seconds apart, how many unanswered. */
struct keepalive {
	bool off;
	int idle, interval, count;
};

/* Without --keepalive: a dead peer is noticed after 60 + 6 * 10 seconds. */
#define KEEPALIVE_DEFAULT ((struct keepalive){false, 60, 10, 6})

/*
 * Parses "IDLE[,INTERVAL[,COUNT]]", times of 1 s to 32767 s (fractions are rounded up) and a count of
 * 1 to 127; what is left out stays as it is in *k. Returns 0, -EINVAL or -ERANGE.
 */
int keepalive_parse(const char *word, struct keepalive *k);

/*
 * Prepares a connection: keepalive as `k` says, Nagle's delay off, urgent data kept in the stream.
 * No failure of these calls is one that a user could mend, so none is reported.
 */
void sockopt_prepare(int sock, const struct keepalive *k);

/*
 * Bytes written to `sock` that the peer's TCP has not acknowledged yet, a FIN counted as one; -errno when the
 * kernel does not say.
 */
int sockopt_unacknowledged(int sock);

/* Closing `sock` will reset the connection: SO_LINGER of socket(7). */
void sockopt_abort_on_close(int sock);

#endif
