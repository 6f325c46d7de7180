#include "flow/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"

#define BUFFERS_KEPT 4
#define PIPES_KEPT 16

static struct buffer *buffers;
static struct pipe *pipes;
static int buffers_kept, buffers_out, pipes_kept, pipes_out;
static int pipes_most = LEASE_PIPES_MOST;

struct buffer *lease_buffer(void)
{
	struct buffer *b = buffers;

	if (b) {
		buffers = b->next;
		buffers_kept--;
	} else {
		b = malloc(sizeof *b);
	}
	if (b)
		buffers_out++;
	return b;
}

int lease_reserve(void)
{
	if (!buffers && buffers_out == 0)
		lease_return_buffer(lease_buffer());
	return buffers || buffers_out > 0 ? 0 : -ENOMEM;
}

bool lease_is_worth_waiting(void)
{
	return buffers_out > 0;
}

size_t lease_share(void)
{
	return buffers_out > LEASE_BUFFERS_FULL ? LEASE_SHARE_LEAST : LEASE_BYTES;
}

void lease_return_buffer(struct buffer *b)
{
	if (!b)
		return;
	buffers_out--;
	if (buffers_kept >= BUFFERS_KEPT) {
		free(b);
		return;
	}
	b->next = buffers;
	buffers = b;
	buffers_kept++;
}

/*
 * 256 KiB was a fifth faster than the default of 64 KiB, and as fast as 1 MiB. LEASE_PIPES_MOST of this size
 * take 16384 pages, a user's share (pipe-user-pages-soft of pipe(7)); beyond it new pipes would be tiny.
 */
#define PIPE_BYTES (256 * 1024)

/* A new pipe, or NULL. Where it may not be so large, the system's default size does. */
static struct pipe *make_pipe(void)
{
	struct pipe *p = malloc(sizeof *p);
	int ends[2], room;

	if (!p)
		return NULL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(p);
		return NULL;
	}
	room = fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	if (room < 0)
		room = fcntl(ends[0], F_GETPIPE_SZ);
	*p = (struct pipe){.out = ends[0], .in = ends[1], .room = room > 0 ? (size_t)room : 4096};
	return p;
}

static void free_pipe(struct pipe *p)
{
	fd_close(&p->in);
	fd_close(&p->out);
	free(p);
}

void lease_limit_pipes(int64_t n)
{
	pipes_most = n < LEASE_PIPES_MOST ? (int)n : LEASE_PIPES_MOST;
}

struct pipe *lease_pipe(void)
{
	struct pipe *p = pipes;

	if (p) {
		pipes = p->next;
		pipes_kept--;
	} else if (pipes_out < pipes_most) {
		p = make_pipe();
	}
	if (p)
		pipes_out++;
	return p;
}

void lease_return_pipe(struct pipe *p)
{
	if (!p)
		return;
	pipes_out--;
	if (pipes_kept >= PIPES_KEPT) {
		free_pipe(p);
		return;
	}
	p->next = pipes;
	pipes = p;
	pipes_kept++;
}

void lease_discard_pipe(struct pipe *p)
{
	if (!p)
		return;
	pipes_out--;
	free_pipe(p);
}

/* Frees kept buffers until `most` are left. */
static void keep_buffers(int most)
{
	while (buffers_kept > most) {
		struct buffer *b = buffers;

		buffers = b->next;
		buffers_kept--;
		free(b);
	}
}

static void free_pipes(void)
{
	while (pipes) {
		struct pipe *p = pipes;

		pipes = p->next;
		pipes_kept--;
		free_pipe(p);
	}
}

void lease_trim(void)
{
	keep_buffers(1);
	free_pipes();
}

void lease_close(void)
{
	keep_buffers(0);
	free_pipes();
}
