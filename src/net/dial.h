/*
 * Dialing: from a host and a port to a connected socket, without blocking, in one round.
 *
 * The name is looked up, its addresses are interleaved by family and raced as RFC 8305 (happy
 * eyeballs) says: the next one starts 250 ms after the last, or at once when that has failed, and
 * the first to answer wins.
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
	nsec timeout;           /* for the look-up and all else until it is connected: -w; 0: none */
	bool retry;             /* try again while nothing accepts: --retry */
	nsec retry_for;         /* ... for this time; 0: for ever */
	nsec retry_interval;    /* the first pause; it grows to a second; 0: 100 ms */
	struct keepalive keepalive;
	const struct sockopts *options; /* -O; NULL: none */
};

enum dial_stage { DIAL_LOOK_UP, DIAL_RACE, DIAL_OVER };

/* One address being tried. */
struct dial_attempt {
	int sock; /* -1: not begun, or over */
	int error; /* -errno once it has failed */
	nsec began, ended;
	struct watch watch;
};

struct dial {
	/* the outcome */
	int sock;             /* the connected socket; the caller takes it (and sets -1) */
	struct endpoint peer; /* the address it reached */
	int lost;             /* -errno when the peer has reset it already: read first what it had sent */
	int error;            /* -errno of the most telling failure, 0 for a failed look-up */
	bool not_asked;       /* the look-up could not be started: error tells why */
	bool out_of_time;     /* `until` has passed */
	nsec began, looked_up, connected;

	const struct dial_settings *settings;
	const char *host;
	uint16_t port;
	enum dial_stage stage;
	struct task *task;
	struct timer timer;
	nsec until, next_begins;
	struct endpoint source;     /* length 0: none */
	const struct lookup *known; /* the answer of a look-up that others share, or NULL */
	struct lookup look_up;
	int addresses; /* how many of look_up.found are used, in the order of the race */
	int begun;     /* how many of them have been tried or are */
	struct dial_attempt attempts[LOOKUP_MOST];
};

/* What reports tell of a dial that has ended. */
struct dial_record {
	nsec began, looked_up, connected; /* 0: did not happen */
	int error;                        /* as struct dial has it */
	int count;
	struct dial_tried {
		struct endpoint at;
		int error; /* 0: connected or abandoned */
		nsec began, ended;
	} tried[];
};

/*
 * Starts dialing `host` (a literal or a name) at `port`, until the moment `until` (NSEC_NEVER: none); `task`
 * is woken whenever there is a step to take. Settings, host and task stay the caller's and must outlive the
 * dial. settings->source is a literal or NULL.
 */
void dial_start(struct dial *, const struct dial_settings *, const char *host, uint16_t port, nsec until,
		struct task *task);

/*
 * Before the first step: take the addresses from `known`, a look-up that others share and that must outlive
 * the dial. If it is not finished yet, its owner wakes the task once it is.
 */
void dial_use(struct dial *, const struct lookup *known);

/*
 * Goes on as far as it can. Returns 0 when connected (sock, peer), -EAGAIN while waiting, or another
 * -errno when it has failed: dial_status() and dial_reason() tell why.
 */
int dial_step(struct dial *);

/* The exit status that tells of the failure: EXIT STATUS in tcptool(1). */
int dial_status(const struct dial *);

/* What was tried, such as "connect to localhost port 1 (127.0.0.1, ::1)" or "look up localhost". */
const char *dial_words(const struct dial *, char *buf, size_t size);

/* Why it failed, such as "Connection refused"; "no answer" when it ran out of time. */
const char *dial_reason(const struct dial *);

/* A copy of what reports tell of the dial, for the caller to free(); NULL without memory. */
struct dial_record *dial_keep(const struct dial *);

/* Ends it, connected or not, and closes what it has open, a socket not taken included. */
void dial_close(struct dial *);

#endif
