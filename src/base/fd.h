/* File descriptors: small chores with one right way. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <sys/resource.h>

/* Events to wait for. Errors and hang-ups are always reported; FD_ERROR waits for them alone. */
enum fd_event { FD_NOTHING = 0, FD_IN = 1, FD_OUT = 2, FD_ERROR = 4 };

/* The kind of file behind a descriptor, as far as it decides how to move bytes. */
enum fd_kind {
	FD_NONE,   /* not open */
	FD_FILE,   /* a regular file or block device: never blocks */
	FD_MEMORY, /* /dev/null, zero, full, random, urandom: never blocks */
	FD_PIPE,
	FD_SOCKET,
	FD_TERMINAL, /* a terminal, or the master of one */
	FD_OTHER,    /* anything else that read(2) or write(2) might take */
};

/* The kind of `fd`, by fstat(2) and isatty(3). */
enum fd_kind fd_kind(int fd);

/*
 * Opens /dev/null on those of the descriptors 0, 1 and 2 that were inherited closed, so that no socket
 * gets the number of stdin, stdout or stderr. Returns 0 or -errno.
 */
int fd_open_standard(void);

/* Puts /dev/null in place of `fd`, whatever it was. Returns 0 or -errno. */
int fd_make_null(int fd);

/* Closes *fd, if it is open, and forgets it (-1). Returns 0 or -errno; an EINTR is a success. */
int fd_close(int *fd);

/* Writes all `n` bytes to `fd`, waiting without a limit while it is not writable. Returns 0 or -errno. */
int fd_write_all(int fd, const void *bytes, size_t n);

/*
 * Raises the soft limit of descriptors to the hard one: getrlimit(2). *inherited gets the limits from before,
 * for children, or zeros when they cannot be read.
 */
void fd_raise_limit(struct rlimit *inherited);

/* How many descriptors with a number below `limit` are open; those from 1024 on are not counted. */
int fd_count(int limit);

/* Sets close-on-exec for all descriptors from 3 on: no program that we execute inherits them. */
void fd_close_on_exec(void);

/* Closes all descriptors from `first` on. */
void fd_close_from(int first);

#endif
