/*
 * A carrier is a way for bytes to cross a flow: through a buffer of ours, or inside the kernel.
 *
 * Invariant: bytes taken from the source are counted in flow->held until the destination has them,
 * and a carrier is only changed while nothing is held.
 */
#ifndef FLOW_CARRIER_H
#define FLOW_CARRIER_H

#include <sys/types.h>

#include "flow/flow.h"

struct carrier {
	const char *name;
	/*
	 * Takes bytes from the source: their count, 0 when it has ended, or -errno. -EAGAIN sets
	 * flow->waits. `source_empty` tells that another fill would find nothing yet.
	 */
	ssize_t (*fill)(struct flow *);
	/* Gives held bytes to the destination: their count, or -errno. -EAGAIN sets flow->waits. */
	ssize_t (*drain)(struct flow *);
	/* Gives back what is on loan; nothing is held. */
	void (*release)(struct flow *);
};

/* Through a leased buffer, with the streams' own read and write: works between any two. */
extern const struct carrier carrier_copy;

#endif
