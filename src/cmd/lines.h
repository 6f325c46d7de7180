/* Lines for stdout that keep nobody waiting: what it does not take at once is kept, and written later. */
#ifndef CMD_LINES_H
#define CMD_LINES_H

#include "loop/loop.h"
#include "stream/stream.h"

struct lines {
	struct stream_stdio out;
	struct watch watch;
	char *text; /* what was added, and of that ... */
	size_t length, written, room;
};

/*
 * Makes `l` empty. Once lines_write() has been called, `task` is woken when stdout takes more of what
 * waits, or when it is a pipe that nobody reads any more.
 */
void lines_open(struct lines *l, struct task *task);

/* Adds to the text, in printf(3) style. Returns 0 or -ENOMEM. */
int lines_add(struct lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Writes what stdout takes now. Returns 0 when all is written, -EAGAIN when some of it waits, -EPIPE when
 * the reader has gone, or another -errno.
 */
int lines_write(struct lines *l);

/* Forgets what is not written. Stdout stays open, as it was. */
void lines_close(struct lines *l);

#endif
