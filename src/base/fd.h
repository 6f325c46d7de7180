/* File descriptors: small chores with one right way. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <sys/resource.h>

/* What can be waited for. Errors and hang-ups come along with either; alone they are FD_ERROR. */
enum fd_event { FD_NOTHING = 0, FD_IN = 1, FD_OUT = 2, FD_ERROR = 4 };

/* What lies behind a descriptor, as far as it decides how bytes are best moved. */
enum fd_kind {
	FD_NONE,   /* not open */
	FD_FILE,   /* a regular file or block device: never blocks */
	FD_MEMORY, /* /dev/null and its family: never blocks */
	FD_PIPE,
	FD_SOCKET,
	FD_TERMINAL, /* a terminal, or the master of one */
	FD_OTHER,    /* anything else that read(2) or write(2) might take */
};

/* Looks with fstat(2) and isatty(3). */
enum fd_kind fd_kind(int fd);

/*
 * Opens those of the descriptors 0, 1 and 2 that arrived closed on /dev/null, so that no socket
 * becomes somebody's stdout. Returns 0 or -errno.
 */
int fd_open_standard(void);

/* Puts /dev/null in place of `fd`, whatever it was. Returns 0 or -errno. */
int fd_make_null(int fd);

/* Closes *fd, if it is open, and forgets it (-1). Returns 0 or -errno; an EINTR is a success. */
int fd_close(int *fd);

/* Writes all `n` bytes to `fd`, waiting where it has to. Returns 0 or -errno. */
int fd_write_all(int fd, const void *bytes, size_t n);

/*
 * Raises the soft limit of descriptors to the hard one (getrlimit(2)); *inherited gets what it was, for
 * children.
 */
void fd_raise_limit(struct rlimit *inherited);

/* How many descriptors are open: of those numbered below `limit`, the first 1024 at most. */
int fd_count(int limit);

/* Sees to it that no descriptor above 2 that we inherited passes on to a program that we execute. */
void fd_keep_to_ourselves(void);

/* Closes the descriptors from `first` on. */
void fd_close_from(int first);

#endif
