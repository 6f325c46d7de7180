/*
 * Straight between a pipe and a socket, no pipe of ours in between: splice(2). Nothing is held; what
 * was taken has been given.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "flow/carrier.h"

#define MOVE_BYTES LEASE_BYTES

/* After this many bytes the pipe is given more room than the default 64 KiB. */
#define WORTH_WIDENING ((uint64_t)256 * 1024)

/*
 * Gives the pipe at one end more room, which saves most of the wake-ups of a bulk transfer. After EPERM,
 * beyond the user's share of pipe(7), half as much is tried.
 */
static void widen(struct flow *f)
{
	int pipe = f->src->rkind == FD_PIPE ? f->src->rfd : f->dst->wfd;
	int now = fcntl(pipe, F_GETPIPE_SZ);

	f->widened = true;
	for (int size = (int)LEASE_BYTES; now > 0 && size > now; size /= 2)
		if (fcntl(pipe, F_SETPIPE_SZ, size) >= 0 || errno == EBUSY)
			return;
}

/*
 * EAGAIN does not say which side was not ready: asks poll(2). (A pipe is full without a free slot, however
 * few bytes it holds.) When both are ready it was a coincidence or, for the third time in a row, a refusal.
 */
static ssize_t splice_wait(struct flow *f)
{
	struct pollfd sides[] = {{.fd = f->src->rfd, .events = POLLIN},
				 {.fd = f->dst->wfd, .events = POLLOUT}};

	poll(sides, 2, 0);
	if (!sides[0].revents)
		f->waits = FLOW_SRC;
	else if (!sides[1].revents)
		f->waits = FLOW_DST;
	else if (carrier_doubts(f))
		return CARRIER_REFUSED;
	return -EAGAIN;
}

static ssize_t splice_fill(struct flow *f, size_t most)
{
	size_t wanted = most < MOVE_BYTES ? most : MOVE_BYTES;
	ssize_t moved = carrier_take(f, f->dst->wfd, wanted);

	if (moved == -EAGAIN)
		return splice_wait(f);
	/* a pipe is never the one that fails, unless its reader has left */
	if (moved < 0 && moved != CARRIER_REFUSED)
		f->culprit = f->dst->wkind == FD_SOCKET || moved == -EPIPE ? FLOW_DST : FLOW_SRC;
	if (moved <= 0)
		return moved;
	f->doubts = 0;
	f->moved += (uint64_t)moved;
	/*
	 * one call takes all of the source, unless the destination is full: then the next call finds that out
	 */
	f->source_empty = (size_t)moved < wanted;
	if (!f->widened && f->moved >= WORTH_WIDENING)
		widen(f);
	return moved;
}

static ssize_t splice_drain(struct flow *f)
{
	(void)f;
	return 0;
}

static int splice_rescue(struct flow *f)
{
	(void)f;
	return 0;
}

static void splice_release(struct flow *f)
{
	(void)f;
}

const struct carrier carrier_splice = {"splice", splice_fill, splice_drain, splice_rescue,
				       splice_release};
