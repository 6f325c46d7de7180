/* A meter on stderr, when that is a terminal: --progress. */
#ifndef SESSION_PROGRESS_H
#define SESSION_PROGRESS_H

#include "base/clock.h"

struct session;

/* Draws the meter of `s`, at most ten times a second, and sees to it that it is drawn again. */
void progress_step(struct session *s, nsec now);

/* Takes the line away for something else to be written there; it will be drawn again. */
void progress_wipe(const struct session *s);

/* Draws it a last time and ends the line, before anything is said of the end; again, it does nothing. */
void progress_finish(struct session *s);

/* A number of bytes as a person reads it ("12.3 MiB"), in `buf`; returns `buf`. */
const char *progress_bytes(double bytes, char *buf, unsigned size);

#endif
