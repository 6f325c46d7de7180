/*
 * A flow moves bytes one way, from one stream to another, and loses none.
 *
 * It does not know who wakes it or why. flow_step() first drains what is held, then fills from the
 * source, and once the source has ended and nothing is held it ends the destination. The state and
 * `waits` say all there is to know afterwards; whoever drives it recomputes from them alone what to
 * wait for. Bytes leave in the order in which they came: a fill happens only behind what is held.
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

struct flow {
	struct stream *src, *dst;
	const struct carrier *carrier;
	struct filter *filters;   /* what the bytes meet on their way, in this order; NULL: nothing */
	enum flow_state state;
	unsigned waits;           /* the sides whose readiness the flow waits for */
	bool withhold_end;        /* the end of the source is not passed on, --no-shutdown: so even in
				   * FLOW_DONE a step gives what filters have of their own by then */
	int error;                /* -errno of the first failure */
	enum flow_sides culprit;  /* the side that failed */
	uint64_t moved;           /* bytes the destination has taken */
	size_t held;              /* bytes taken from the source and not yet given */
	struct buffer *buffer;    /* leased while bytes are held in it */
	size_t at;                /* where in the buffer they begin */
	struct pipe *pipe;        /* leased while bytes are held in it */
	bool source_empty;        /* the last fill took all there was */
	bool cut;                 /* it was ended before its time */
	bool refused;             /* the kernel will not carry these bytes: copy */
	uint64_t streak;          /* bytes of the large steps that have followed each other */
	bool bulk;                /* bytes come in bulk: wake-ups wait for more of them */
	nsec patience;            /* step again after this time at the latest, woken or not; 0: no need */
	size_t quota;             /* what the filters admit in this fill */
	nsec resume_at;           /* a filter holds bytes back until then; 0: none does */
	int doubts;               /* times in a row that nothing moved though all looked ready */
	int lost;                 /* -errno that the source has told before its last bytes */
	bool large;               /* bytes come in pieces that are worth the kernel's carrying them */
	bool widened;             /* the pipe that was inherited has been given more room */
};

/* Makes `f` an open flow from `src` to `dst`. It owns neither. */
void flow_init(struct flow *f, struct stream *src, struct stream *dst);

/*
 * Moves what can be moved without waiting, up to a fair share. Returns true when there is more to
 * do at once (that is not a wait: step again after the others had their turn).
 */
bool flow_step(struct flow *f);

/* Reads no more from the source, as if it had ended; what is held still goes. */
void flow_stop_reading(struct flow *f);

/* The flow cannot go on, for a reason (-errno) that was found out beside it. */
void flow_break(struct flow *f, int error, enum flow_sides culprit);

/* Ends the flow here and now; what is held is dropped. A failure stays a failure. */
void flow_cut(struct flow *f);

/* True when the flow will do nothing more. */
bool flow_over(const struct flow *f);

/* Gives back what the flow has on loan. */
void flow_close(struct flow *f);

#endif
