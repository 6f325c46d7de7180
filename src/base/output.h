/*
 * Files that options name for writing: --port-file, --report, --trace.
 *
 * A name can stand for a descriptor that is open already: "-" and /dev/stdout are descriptor 1,
 * /dev/stderr is 2, /dev/fd/N is N. Opened anew, a file behind it would get a second offset, and each
 * writer would overwrite the other; renamed over, it would be another file. So such a name always means
 * the descriptor itself.
 */
#ifndef BASE_OUTPUT_H
#define BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

/* Ends a wait for the reader of a FIFO, a pipe or a terminal. */
struct output_limit {
	nsec until;         /* the moment; NSEC_NEVER: none */
	bool (*stop)(void); /* asked every 20 ms: true when a signal has come; NULL: no signal is caught */
};

/*
 * The number of the descriptor that `name` stands for: "-", /dev/stdin, /dev/stdout, /dev/stderr,
 * /dev/fd/N, /proc/self/fd/N or /proc/thread-self/fd/N, whether it is open or not. Returns -1 for the
 * name of a file.
 */
int output_descriptor(const char *name);

/* True if descriptor `fd` is open for writing. */
bool output_is_writable(int fd);

/*
 * Opens `name` for appending, and creates it readable by its owner alone (mode 0600, less the umask) if
 * it does not exist, for it may hold payload. `flags` are added to those of open(2): O_TRUNC or 0. The
 * name of a descriptor gives a duplicate of it, and `flags` do not matter. A FIFO without a reader is
 * waited for within `limit`. Returns a descriptor for the caller to close, or -errno: -ETIMEDOUT and
 * -ECANCELED when the limit ended the wait.
 */
int output_open(const char *name, int flags, const struct output_limit *limit);

/*
 * Opens a file `name` inside the directory `dir` (openat(2)) in the same way, but never as that of a
 * descriptor and never waiting: a FIFO without a reader is -ENXIO.
 */
int output_open_at(int dir, const char *name, int flags);

/*
 * Writes all `n` bytes to `fd`, waiting within `limit` while it takes none. Returns 0 or -errno:
 * -ETIMEDOUT and -ECANCELED when the limit ended the wait.
 */
int output_write(int fd, const char *bytes, size_t n, const struct output_limit *limit);

/*
 * Makes `name` a file that holds `text` and has the mode that creat(2) gives. Readers see all of it or
 * what was there before: it is written under another name in the same directory and renamed. A symbolic
 * link is replaced; nothing is ever written to what it points to. The name of a descriptor, a FIFO or a
 * device is written to, within `limit`; a socket is -ENXIO. So is a regular file where the directory
 * refuses new files or the rename: it is not writable, or `name` is a mount point. Returns 0 or -errno:
 * -ETIMEDOUT and -ECANCELED when the limit ended a wait.
 */
int output_put(const char *name, const char *text, const struct output_limit *limit);

#endif
