/*
 * Through a leased pipe, with two splice(2) calls: the way between a file and a socket or two sockets, where
 * one call cannot do it. For a file, splice through a pipe whose pages stay in the cache was faster than
 * sendfile(2).
 */
#include <errno.h>
#include <unistd.h>

#include "flow/carrier.h"

static ssize_t pipe_fill(struct flow *f, size_t most)
{
	ssize_t got;

	if (!f->pipe)
		f->pipe = lease_pipe();
	if (!f->pipe)
		return CARRIER_REFUSED;
	got = carrier_take(f, f->pipe->in, most < f->pipe->room ? most : f->pipe->room);
	/* the pipe is empty, as nothing is held: the source is what was not ready */
	if (got == -EAGAIN)
		return carrier_wait(f, FLOW_SRC);
	if (got <= 0)
		return got;
	f->doubts = 0;
	f->held = (uint32_t)got;
	return got;
}

static ssize_t pipe_drain(struct flow *f)
{
	ssize_t put = carrier_move(f->pipe->out, f->dst->wfd, f->held);

	if (put == -EAGAIN)
		return carrier_wait(f, FLOW_DST);
	if (put > 0) {
		f->doubts = 0;
		f->held -= (uint32_t)put;
		f->moved += (uint64_t)put;
	}
	return put;
}

/* Reads `n` bytes, which the pipe holds, into `buffer`. Returns 0 or -errno. */
static int read_back(const struct pipe *pipe, struct buffer *buffer, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(pipe->out, buffer->bytes + done, n - done);

		if (got > 0)
			done += (size_t)got;
		else if (got == 0 || errno != EINTR)
			return got == 0 ? -EIO : -errno;
	}
	return 0;
}

/*
 * Reads back what the pipe holds, since the kernel refuses to drain it, so that a copy can go on from there.
 */
static int pipe_rescue(struct flow *f)
{
	struct buffer *buffer = NULL;
	int r = 0;

	if (f->held > 0) {
		buffer = lease_buffer();
		r = buffer ? read_back(f->pipe, buffer, f->held) : -ENOMEM;
	}
	if (r < 0) {
		lease_return_buffer(buffer);
		return r;
	}
	lease_return_pipe(f->pipe);
	f->buffer = buffer;
	f->at = 0;
	return 0;
}

static void pipe_release(struct flow *f)
{
	if (f->held > 0)
		lease_discard_pipe(f->pipe);
	else
		lease_return_pipe(f->pipe);
	f->pipe = NULL;
}

const struct carrier carrier_pipe = {"pipe", pipe_fill, pipe_drain, pipe_rescue, pipe_release};
