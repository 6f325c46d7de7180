/*
 * Filters: what happens to bytes on their way through a flow. Each hook is optional, and which ones are there
 * decides how the bytes may cross: a filter that only gates (admit, took) leaves them to the kernel, one that
 * looks at them or changes them makes the flow copy. The flow calls hooks and knows no filter.
 */
#ifndef FLOW_FILTER_H
#define FLOW_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

struct filter;

struct filter_ops {
	const char *name;
	/*
	 * A gate before the source: how many of `n` bytes may be taken now; 0: none before the moment *when.
	 */
	size_t (*admit)(struct filter *, size_t n, nsec now, nsec *when);
	/*
	 * `n` bytes have been taken: from the source or, for filters behind a map, those that are held now.
	 */
	void (*took)(struct filter *, size_t n);
	/* Writes what becomes of the `n` bytes at `in` to `out`, at most twice as many; returns how many. */
	size_t (*map)(struct filter *, const unsigned char *in, size_t n, unsigned char *out);
	/*
	 * Writes bytes of the filter's own, which go before those of the source, to `out`; returns how many.
	 */
	size_t (*inject)(struct filter *, unsigned char *out, size_t room);
	/* With inject: true while there are such bytes. */
	bool (*has_own)(struct filter *);
	/* A gate before the destination: how many of the `n` bytes may go now; 0: none before *when. */
	size_t (*portion)(struct filter *, const unsigned char *bytes, size_t n, nsec now, nsec *when);
	/* `n` bytes have been given to the destination. */
	void (*gave)(struct filter *, const unsigned char *bytes, size_t n);
};

struct filter {
	const struct filter_ops *ops;
	struct filter *next; /* in the order in which bytes meet them */
};

/* LF becomes CRLF; a CRLF stays one, wherever the stream was cut. */
struct filter_crlf {
	struct filter filter;
	bool after_cr;
};
void filter_crlf_init(struct filter_crlf *);

/*
 * TELNET (RFC 854) without options: those that are offered or asked for are refused, commands are removed
 * from what is received, a byte 255 is two on the wire. Two filters that work together: `received` on the
 * incoming flow, `sent` on the outgoing one, which carries the answers. An option that is asked for again
 * before the answer has gone is refused once; answers go whole.
 */
struct filter_telnet {
	struct filter received, sent;
	int state;
	unsigned char verb;
	bool refused[256][2]; /* by option: a WONT, a DONT is still to be said */
	int unsaid;           /* how many of them */
};
void filter_telnet_init(struct filter_telnet *);

/*
 * At most `per_second` bytes a second, in bursts of a tenth of a second at most. The bytes that maps in
 * front of it add to a burst lengthen the pause after it.
 */
struct filter_rate {
	struct filter filter;
	double per_second, allowance;
	nsec counted_at;
};
void filter_rate_init(struct filter_rate *, int64_t per_second);

/* A pause of `delay` behind each line; 0: none. At most `chunk` bytes a write; 0: no limit. */
struct filter_slow {
	struct filter filter;
	nsec delay, not_before;
	size_t chunk;
};
void filter_slow_init(struct filter_slow *, nsec delay, size_t chunk);

#endif
