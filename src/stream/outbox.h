/* An outbox: bytes that wait until a stream takes them. */
#ifndef STREAM_OUTBOX_H
#define STREAM_OUTBOX_H

#include "stream/stream.h"

/* All zero is an empty one. */
struct outbox {
	char *text;
	size_t length, room; /* what was added, and what fits */
	size_t sent;         /* what the stream has taken of it */
};

/* Adds `n` bytes. Returns 0 or -ENOMEM. */
int outbox_add(struct outbox *, const void *bytes, size_t n);

/* Adds to the text, in printf(3) style. Returns 0 or -ENOMEM. */
int outbox_print(struct outbox *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Writes what `s` takes now. Returns 0 when all has gone (the outbox is empty again), -EAGAIN when some of it
 * waits, or another -errno.
 */
int outbox_send(struct outbox *, struct stream *s);

/* How many bytes wait. */
size_t outbox_left(const struct outbox *);

/* Frees the text; what was not sent is dropped. */
void outbox_free(struct outbox *);

#endif
