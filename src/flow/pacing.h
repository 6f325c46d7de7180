/* Pacing: in what pieces the bytes of a flow come, and fewer wake-ups for a flow in bulk. */
#ifndef FLOW_PACING_H
#define FLOW_PACING_H

#include "flow/flow.h"

/* After a fill that took `got` bytes (more than none): tells large pieces from small ones, flow->large. */
void pacing_size_up(struct flow *, size_t got);

/*
 * After a step that took `got` bytes and now waits for its source: while bytes come from a socket in
 * bulk, the next wake-up waits for more of them (SO_RCVLOWAT of socket(7)), but no longer than
 * FLOW_PATIENCE. A dialogue of messages is never bulk, and a stream that pauses ceases to be at once.
 */
void pacing_step(struct flow *, uint64_t got);

#endif
