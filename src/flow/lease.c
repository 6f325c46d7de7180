#include "flow/lease.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"

#define BUFFERS_KEPT 4
#define PIPES_KEPT 16

static struct buffer *buffers;
static struct pipe *pipes;
static int buffers_kept, pipes_kept, pipes_out;

struct buffer *lease_buffer(void)
{
	struct buffer *b = buffers;

	if (!b)
		return malloc(sizeof *b);
	buffers = b->next;
	buffers_kept--;
	return b;
}

void lease_return_buffer(struct buffer *b)
{
	if (!b)
		return;
	if (buffers_kept >= BUFFERS_KEPT) {
		free(b);
		return;
	}
	b->next = buffers;
	buffers = b;
	buffers_kept++;
}

/* A new pipe, or NULL. The system's default size is right: larger ones fall out of the cache. */
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

struct pipe *lease_pipe(void)
{
	struct pipe *p = pipes;

	if (p) {
		pipes = p->next;
		pipes_kept--;
	} else if (pipes_out < LEASE_PIPES_MOST) {
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

void lease_close(void)
{
	while (buffers) {
		struct buffer *b = buffers;

		buffers = b->next;
		free(b);
	}
	while (pipes) {
		struct pipe *p = pipes;

		pipes = p->next;
		free_pipe(p);
	}
	buffers_kept = pipes_kept = 0;
}
