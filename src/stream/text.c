/* A text in memory as a stream. */
#include <string.h>

#include "stream/stream.h"

static ssize_t text_read(struct stream *stream, void *buf, size_t n)
{
	struct stream_text *s = (struct stream_text *)(void *)stream;

	if (n > s->left)
		n = s->left;
	memcpy(buf, s->text, n);
	s->text += n;
	s->left -= n;
	return (ssize_t)n;
}

static ssize_t text_write(struct stream *stream, const void *buf, size_t n)
{
	(void)stream;
	(void)buf;
	return (ssize_t)n;
}

static int text_shut(struct stream *stream)
{
	(void)stream;
	return 0;
}

static void text_close(struct stream *stream)
{
	(void)stream;
}

void stream_text_open(struct stream_text *s, const char *text, size_t n)
{
	static const struct stream_ops ops = {
		.read = text_read, .write = text_write, .shut = text_shut, .close = text_close};

	*s = (struct stream_text){.stream = {.ops = &ops, .rfd = -1, .wfd = -1, .rwait = FD_IN, .wwait = FD_OUT}, .text = text, .left = n};
}
