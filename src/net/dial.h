/*
 * Dialing: from a host and a port to a connected socket, without blocking.
 *
 * The name is looked up, its addresses are interleaved by family and raced as RFC 8305 (happy
 * eyeballs) says: the next one starts 250 ms after the last, or at once when that has failed, and
 * the first to answer wins. One budget of time covers look-up, all addresses and all retries.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdint.h>

#include "loop/timer.h"
#include "net/endpoint.h"
#include "net/lookup.h"
#include "net/sockopt.h"
#include "net/sockopt_table.h"

struct dial_settings {
	int family;             /* AF_UNSPEC, or the only one to use: -4, -6 */
	const char *source;     /* bind to this address first: -s; NULL: none */
	int64_t source_port;    /* ... and to this port: -p; 0: none */
	nsec timeout;           /* the budget: -w; 0: none */
	bool retry;             /* try again while nobody accepts: --retry */
	nsec retry_for;         /* ... for so long; 0: for ever */
	nsec retry_interval;    /* the first pause; it grows to a second; 0: 100 ms */
	struct keepalive keepalive;
	const struct sockopts *options; /* -O; NULL: none */
};

enum dial_stage { DIAL_LOOK_UP, DIAL_RACE, DIAL_PAUSE, DIAL_OVER };

/* One address being tried. */
struct dial_attempt {
	int sock; /* -1: not begun, or over */
	int error; /* -errno once it has failed */
	nsec began, ended;
	struct watch watch;
};

struct dial {
	/* the outcome */
	int sock;                /* the connected socket; the caller takes it (and sets -1) */
	struct endpoint peer;    /* whom it reached */
	int lost;                /* -errno when the peer has reset it since: first read what it had sent */
	int error;               /* -errno of the most telling failure, 0 for a failed look-up */
	bool not_asked;          /* a look-up could not even begin: error tells why */
	bool out_of_time;        /* a limit on time has passed ... */
	bool by_timeout;         /* ... and it was -w, not that of --retry */
	nsec look_up_began, looked_up, connected; /* of the last round */

	const struct dial_settings *settings;
	const char *host;
	uint16_t port;
	enum dial_stage stage;
	struct task *task;
	struct timer timer;
	nsec budget_ends, retry_ends, pause, pause_ends, next_begins;
	nsec round_ends; /* when the present round is given up; NSEC_NEVER: by none of --retry's limits */
	struct endpoint source; /* length 0: none */
	const struct lookup *known; /* the answer of a look-up made by another, or NULL */
	struct lookup look_up;
	int addresses;          /* how many of look_up.found are used, in the order of the race */
	int begun;              /* how many of them have been tried or are */
	struct dial_attempt attempts[LOOKUP_MOST];
};

/*
 * Starts dialing `host` (a literal or a name) at `port`; `task` is woken whenever there is a step to
 * take. Settings, host and task stay the caller's and must outlive the dial. If settings->source is
 * given it is known to be a literal.
 */
void dial_start(struct dial *, const struct dial_settings *, const char *host, uint16_t port,
		struct task *task);

/*
 * Before the first step: all limits on time count from `when`, a moment before now. Somebody else has begun
 * to look up the host then.
 */
void dial_began(struct dial *, nsec when);

/*
 * Before the first step: take the addresses from `known`, a look-up of another, which must outlive the dial.
 * If it is not finished yet, its owner wakes the task once it is.
 */
void dial_use(struct dial *, const struct lookup *known);

/*
 * Goes on as far as it can. Returns 0 when connected (sock, peer), -EAGAIN while waiting, or another
 * -errno when it has failed for good: dial_status() and dial_reason() tell why.
 */
int dial_step(struct dial *);

/*
 * The connection that was made has turned out to be useless: that round has failed too. Returns -EAGAIN
 * when there will be another, as --retry says; then dial_step() goes on. Else -ECONNRESET.
 */
int dial_again(struct dial *);

/* The exit status that tells of the failure: EXIT STATUS in tcptool(1). */
int dial_status(const struct dial *);

/* The failure in words, such as "connect to localhost port 1 (127.0.0.1, ::1): Connection refused". */
const char *dial_reason(const struct dial *, char *buf, size_t size);

/* Ends it, connected or not, and closes what it has open, a socket not taken included. */
void dial_close(struct dial *);

#endif
