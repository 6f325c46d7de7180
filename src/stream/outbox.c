#include "stream/outbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM ((size_t)128)

/* Makes room for `n` bytes more. Returns 0 or -ENOMEM. */
static int outbox_grow(struct outbox *o, size_t n)
{
	size_t room = o->room ? o->room : FIRST_ROOM;
	char *text;

	while (room - o->length < n)
		room *= 2;
	if (room == o->room)
		return 0;
	text = realloc(o->text, room);
	if (!text)
		return -ENOMEM;
	o->text = text;
	o->room = room;
	return 0;
}

int outbox_add(struct outbox *o, const void *bytes, size_t n)
{
	if (outbox_grow(o, n) < 0)
		return -ENOMEM;
	memcpy(o->text + o->length, bytes, n);
	o->length += n;
	return 0;
}

int outbox_print(struct outbox *o, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	/* vsnprintf wants room for a NUL byte, which the next text overwrites */
	if (n < 0 || outbox_grow(o, (size_t)n + 1) < 0)
		return -ENOMEM;
	va_start(args, format);
	vsnprintf(o->text + o->length, (size_t)n + 1, format, args);
	va_end(args);
	o->length += (size_t)n;
	return 0;
}

int outbox_send(struct outbox *o, struct stream *s)
{
	while (o->sent < o->length) {
		ssize_t put = s->ops->write(s, o->text + o->sent, o->length - o->sent);

		if (put < 0)
			return (int)put;
		o->sent += (size_t)put;
	}
	o->sent = o->length = 0;
	return 0;
}

size_t outbox_left(const struct outbox *o)
{
	return o->length - o->sent;
}

void outbox_free(struct outbox *o)
{
	free(o->text);
	*o = (struct outbox){.text = NULL};
}
