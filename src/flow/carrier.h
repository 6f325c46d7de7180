/*
 * A carrier is a way for bytes to cross a flow: through a buffer of ours, or inside the kernel.
 *
 * Invariant: bytes taken from the source are counted in flow->held until the destination has them, in
 * their order, and the carrier changes only while nothing is held or after flow->held bytes have been
 * brought over into the buffer. So a kernel that refuses in the middle of a stream costs speed only.
 *
 * None of the carriers ever waits in the kernel. splice(2) needs two things for that: SPLICE_F_NONBLOCK
 * on the call and, for a socket, O_NONBLOCK on its description; with a blocking socket the call waits in
 * spite of the flag, and holds the lock of the pipe meanwhile, so that the pipe cannot be read.
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
	 * flow->waits; other errors may set flow->culprit. Sets flow->source_empty when another fill would
	 * find nothing yet. CARRIER_REFUSED: nothing was taken.
	 */
	ssize_t (*fill)(struct flow *, size_t most);
	/* Gives held bytes to the destination: their count, or -errno. -EAGAIN sets flow->waits. */
	ssize_t (*drain)(struct flow *);
	/*
	 * Moves held bytes into flow->buffer, for carrier_copy, and returns the pipe that held them. Returns
	 * 0, or -errno with all as it was.
	 */
	int (*rescue)(struct flow *);
	/* Returns the leased buffer or pipe; bytes that are held are dropped. */
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
 * carrier_move() from the source of the flow to `to`. The end of a socket is CARRIER_REFUSED, so that a read
 * tells FIN from loss; so are bytes that splice(2) does not take, and flow->lost then has the error behind
 * them.
 */
ssize_t carrier_take(struct flow *, int to, size_t n);

/* Counts a call that moved nothing though both sides were ready; true at the third in a row: a refusal. */
bool carrier_doubts(struct flow *);

/*
 * After EAGAIN because of `side`: sets flow->waits and returns -EAGAIN; or CARRIER_REFUSED when poll(2) has
 * called that side ready for the third time in a row.
 */
ssize_t carrier_wait(struct flow *, enum flow_sides side);

#endif
