#include "cmd/lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_ROOM ((size_t)4096)

void lines_open(struct lines *l, struct task *task)
{
	*l = (struct lines){.text = NULL};
	stream_stdio_open(&l->out, -1, STDOUT_FILENO, true);
	watch_init(&l->watch, l->out.stream.wfd, task);
}

/* Makes room for `n` bytes more. Returns 0 or -ENOMEM. */
static int make_room(struct lines *l, size_t n)
{
	size_t room = l->room ? l->room : FIRST_ROOM;
	char *text;

	while (room - l->length < n)
		room *= 2;
	if (room == l->room)
		return 0;
	text = realloc(l->text, room);
	if (!text)
		return -ENOMEM;
	l->text = text;
	l->room = room;
	return 0;
}

int lines_add(struct lines *l, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	/* vsnprintf wants room for a NUL byte, which the next line overwrites */
	if (n < 0 || make_room(l, (size_t)n + 1) < 0)
		return -ENOMEM;
	va_start(args, format);
	vsnprintf(l->text + l->length, (size_t)n + 1, format, args);
	va_end(args);
	l->length += (size_t)n;
	return 0;
}

int lines_write(struct lines *l)
{
	struct stream *s = &l->out.stream;
	bool is_pipe = s->wkind == FD_PIPE;
	int r;

	/* a pipe whose reader leaves tells that by an error event alone */
	if (is_pipe && (l->watch.got & FD_ERROR))
		return -EPIPE;
	while (l->written < l->length) {
		ssize_t put = s->ops->write(s, l->text + l->written, l->length - l->written);

		if (put == -EAGAIN) {
			r = watch_for(&l->watch, s->wwait);
			return r < 0 ? r : -EAGAIN;
		}
		if (put < 0)
			return (int)put;
		l->written += (size_t)put;
	}
	l->written = l->length = 0;
	return watch_for(&l->watch, is_pipe ? FD_ERROR : FD_NOTHING);
}

void lines_close(struct lines *l)
{
	watch_for(&l->watch, FD_NOTHING);
	l->out.stream.ops->close(&l->out.stream);
	free(l->text);
}
