/*
 * A flow moves bytes one way, from one stream to another, and loses none.
 *
 * It does not know what wakes it. flow_step() first drains what is held, then fills from the source, and
 * once the source has ended and nothing is held it ends the destination. From `state` and `waits` alone its
 * driver works out what to wait for. Bytes leave in the order in which they came: a fill happens only
 * while nothing is held.
 *
 * How the bytes cross is the carrier's business (carrier.h).
 */
#ifndef FLOW_FLOW_H
#define FLOW_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "flow/filter.h"
#include "flow/lease.h"
#include "stream/stream.h"

struct carrier;

enum flow_state {
	FLOW_OPEN,   /* the source may have more */
	FLOW_ENDING, /* the source has ended or failed; what is held is on its way, then the end */
	FLOW_DONE,   /* all delivered to the destination, its end included */
	FLOW_FAILED, /* an operation failed: error and culprit say which */
};

/* The two sides of a flow, as a set. */
enum flow_sides { FLOW_NEITHER = 0, FLOW_SRC = 1, FLOW_DST = 2 };

/* A flow in bulk takes a step after this time at the latest, woken or not. */
#define FLOW_PATIENCE NSEC_PER_MSEC

struct flow {
	struct stream *src, *dst;
	const struct carrier *carrier;
	struct filter *filters; /* what the bytes meet on their way, in this order; NULL: nothing */
	uint64_t moved;         /* bytes the destination has taken */
	nsec resume_at;         /* a filter holds bytes back until then; 0: none does */
	union {
		struct buffer *buffer; /* leased while bytes are held in it: carrier_copy */
		struct pipe *pipe;     /* ... and carrier_pipe */
	};
	uint32_t held;       /* bytes taken from the source and not yet given */
	uint32_t at;         /* where in the buffer they begin */
	int16_t error;       /* -errno of the first failure */
	int16_t lost;        /* -errno of the source that comes behind its last bytes */
	uint16_t streak;     /* KiB of the large steps that have followed each other */
	uint8_t state : 2;   /* enum flow_state */
	uint8_t culprit : 2; /* enum flow_sides: the side that failed */
	uint8_t waits : 2;   /* enum flow_sides: the sides whose readiness the flow waits for */
	uint8_t doubts : 2;  /* times in a row that nothing moved though both sides looked ready */
	bool withhold_end : 1; /* the end of the source is not passed on, --no-shutdown: even in
				* FLOW_DONE a step then gives bytes that filters have of their own */
	bool source_empty : 1; /* the last fill took all there was */
	bool cut : 1;          /* flow_cut() has ended it */
	bool refused : 1;      /* the kernel will not carry these bytes: copy */
	bool bulk : 1;         /* bytes come in bulk: wake-ups wait for more of them, or FLOW_PATIENCE */
	bool large : 1;        /* bytes come in pieces that splice(2) moves faster than a copy */
	bool widened : 1;      /* F_SETPIPE_SZ has been tried on the inherited pipe */
};

/* Makes `f` an open flow from `src` to `dst`. It owns neither. */
void flow_init(struct flow *f, struct stream *src, struct stream *dst);

/*
 * Moves what can be moved without waiting, in 32 rounds at most. Returns true when it stopped for that limit:
 * step again, after other tasks have run.
 */
bool flow_step(struct flow *f);

/* Reads no more from the source, as if it had ended; what is held still goes. */
void flow_stop_reading(struct flow *f);

/* Fails the flow with an error (-errno) that was found beside it, such as SO_ERROR. */
void flow_break(struct flow *f, int error, enum flow_sides culprit);

/* Ends the flow at once, dropping what is held. A flow that has failed stays so. */
void flow_cut(struct flow *f);

/* The same, and takes a failure back: its destination does not want the rest, which is no failure. */
void flow_dismiss(struct flow *f);

/* True when the flow will do nothing more. */
bool flow_over(const struct flow *f);

/*
 * False when a step before the next event would be in vain: the flow waits for a side that has nothing
 * pending, and that waits for the event of its own half.
 */
bool flow_may_go_on(const struct flow *f);

/* Returns the leased buffer or pipe. */
void flow_close(struct flow *f);

#endif
