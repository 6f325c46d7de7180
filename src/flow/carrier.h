/*
 * A carrier is a way for bytes to cross a flow: through a buffer of ours, or inside the kernel.
 *
 * Invariant: bytes taken from the source are counted in flow->held until the destination has them, in
 * their order, and the carrier changes only while nothing is held or after flow->held bytes have been
 * brought over into the buffer. So a kernel that refuses in the middle of a stream costs speed only.
 *
 * None of the carriers ever waits in the kernel. splice(2) needs two things for that: SPLICE_F_NONBLOCK
 * on the call and, for a socket, O_NONBLOCK on its description; with a blocking socket the call waits in
 * spite of the flag, and holds the lock of the pipe meanwhile, so that nobody can read what is in it.
 */
#ifndef FLOW_CARRIER_H
#define FLOW_CARRIER_H

#include <sys/types.h>

#include "flow/flow.h"

/* What fill or drain answers when the kernel will not move bytes between these two this way. */
#define CARRIER_REFUSED (-4096)

struct carrier {
	const char *name;
	/*
	 * Takes up to `most` bytes from the source: their count, 0 when it has ended, or -errno. -EAGAIN sets
	 * flow->waits; other errors may set flow->culprit. `source_empty` tells that another fill would
	 * find nothing yet. CARRIER_REFUSED: nothing was taken.
	 */
	ssize_t (*fill)(struct flow *, size_t most);
	/* Gives held bytes to the destination: their count, or -errno. -EAGAIN sets flow->waits. */
	ssize_t (*drain)(struct flow *);
	/*
	 * Brings what is held into flow->buffer, for the copying carrier, and gives back what it was held in.
	 * Returns 0, or -errno with all as it was.
	 */
	int (*rescue)(struct flow *);
	/* Gives back what is on loan; bytes that may still be held are dropped. */
	void (*release)(struct flow *);
};

/* Through a leased buffer, with the streams' own read and write: works between any two. */
extern const struct carrier carrier_copy;

/* Straight between a pipe and a socket: one call, nothing is ever held. */
extern const struct carrier carrier_splice;

/* Through a leased pipe: from a file or socket into a socket or memory device. */
extern const struct carrier carrier_pipe;

/*
 * The carrier that suits what the two ends are, what the filters ask and in what pieces the bytes come;
 * called while nothing is held.
 */
const struct carrier *carrier_choose(const struct flow *);

/* splice(2) without waiting, again after EINTR: a count, 0, -errno or CARRIER_REFUSED. */
ssize_t carrier_move(int from, int to, size_t n);

/*
 * The same from the source of the flow to `to`. The end of a socket is CARRIER_REFUSED, for the stream to
 * say what it is; so are bytes that splice(2) does not take, and flow->lost is what comes behind them.
 */
ssize_t carrier_take(struct flow *, int to, size_t n);

/* Counts that nothing moved though all looked ready; true: so often that it must be a refusal. */
bool carrier_doubts(struct flow *);

/* `side` was not ready: waits for it, -EAGAIN; or CARRIER_REFUSED where splice(2) alone says so. */
ssize_t carrier_wait(struct flow *, enum flow_sides side);

#endif
