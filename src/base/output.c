#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/num.h"

/* How often a FIFO is tried for a reader, which poll(2) cannot wait for, and `stop` is asked. */
#define PAUSE_MS 20

/* --- names of descriptors --- */

/* The N of a name in one of the directories of descriptors, as the kernel writes it; -1 for other names. */
static int listed_descriptor(const char *name)
{
	static const char *const directories[] = {"/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"};
	int64_t number;

	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		size_t length = strlen(directories[i]);

		if (strncmp(name, directories[i], length) != 0)
			continue;
		/* "01" is no name of a descriptor */
		if (name[length] == '0' && name[length + 1])
			return -1;
		return num_parse(name + length, 0, INT_MAX, &number) < 0 ? -1 : (int)number;
	}
	return -1;
}

int output_descriptor(const char *name)
{
	if (strcmp(name, "-") == 0 || strcmp(name, "/dev/stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(name, "/dev/stderr") == 0)
		return STDERR_FILENO;
	if (strcmp(name, "/dev/stdin") == 0)
		return STDIN_FILENO;
	return listed_descriptor(name);
}

bool output_is_writable(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

/*
 * A descriptor of our own for what is behind `fd`. A pipe is opened anew, non-blocking, since it has no
 * offset to share; where that is refused, and for all else, it is a duplicate. Returns it or -errno.
 */
static int duplicate(int fd)
{
	char path[sizeof "/proc/self/fd/" + 3 * sizeof fd];
	int own = -1;

	if (!output_is_writable(fd))
		return -EBADF;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fd_kind(fd) == FD_PIPE)
		own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (own < 0)
		own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return own < 0 ? -errno : own;
}

/* --- waiting --- */

/* Waits up to 20 ms for `fd` to take bytes; -1: just waits. Returns 0, -ECANCELED or -ETIMEDOUT. */
static int pause_within(const struct output_limit *limit, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (limit->stop && limit->stop())
		return -ECANCELED;
	if (clock_now() >= limit->until)
		return -ETIMEDOUT;
	poll(&p, 1, PAUSE_MS);
	return 0;
}

int output_write(int fd, const char *bytes, size_t n, const struct output_limit *limit)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int r = 0;

	while (n > 0 && r == 0) {
		/* a pipe that poll calls writable takes PIPE_BUF bytes without waiting: pipe(7) */
		ssize_t put = poll(&p, 1, 0) > 0 ? write(fd, bytes, n < PIPE_BUF ? n : PIPE_BUF) : 0;

		if (put > 0) {
			bytes += put;
			n -= (size_t)put;
		} else if (put == 0 || errno == EAGAIN) {
			r = pause_within(limit, fd);
		} else if (errno != EINTR) {
			r = -errno;
		}
	}
	return r;
}

/* --- opening --- */

/* open(2) for writing, never waiting for the reader of a FIFO or the carrier of a line. */
static int open_now(int dir, const char *name, int flags)
{
	int fd;

	do
		fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0600);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* The same, waiting for the reader of a FIFO within `limit`. */
static int open_within(const char *name, int flags, const struct output_limit *limit)
{
	struct stat st;

	for (;;) {
		int fd = open_now(AT_FDCWD, name, flags), r;

		/* a socket's name and a device that is absent give ENXIO, too */
		if (fd != -ENXIO || stat(name, &st) < 0 || !S_ISFIFO(st.st_mode))
			return fd;
		r = pause_within(limit, -1);
		if (r < 0)
			return r;
	}
}

int output_open(const char *name, int flags, const struct output_limit *limit)
{
	int fd = output_descriptor(name);

	return fd >= 0 ? duplicate(fd) : open_within(name, O_CREAT | O_APPEND | flags, limit);
}

int output_open_at(int dir, const char *name, int flags)
{
	return open_now(dir, name, O_CREAT | O_APPEND | flags);
}

/* --- one text, whole --- */

/* Writes the text to `fd`, if that is one and no -errno, and closes it. Returns 0 or -errno. */
static int put_and_close(int fd, const char *text, const struct output_limit *limit)
{
	int r = fd < 0 ? fd : output_write(fd, text, strlen(text), limit);
	int closed = fd_close(&fd);

	return r < 0 ? r : closed;
}

/*
 * Writes into what exists: `regular`, a regular file, which is emptied first; else a FIFO or a device. A
 * file of the other kind, which another process has put there meanwhile, is refused. Returns 0 or -errno.
 */
static int put_in_place(const char *name, bool regular, const char *text, const struct output_limit *limit)
{
	int fd = open_within(name, O_NOFOLLOW, limit), r = 0;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (S_ISREG(st.st_mode) != regular)
		r = -EEXIST;
	else if (regular && ftruncate(fd, 0) < 0)
		r = -errno;
	if (r == 0)
		return put_and_close(fd, text, limit);
	fd_close(&fd);
	return r;
}

/* The mode that creat(2) gives a file. */
static mode_t default_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

/* Writes the text to `temporary`, a template of mkostemp(3), and renames that to `name`. */
static int put_and_rename(char *temporary, const char *name, const char *text,
			  const struct output_limit *limit)
{
	int fd = mkostemp(temporary, O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, default_mode()) < 0)
		r = -errno;
	if (r == 0)
		r = put_and_close(fd, text, limit);
	else
		fd_close(&fd);
	if (r == 0 && rename(temporary, name) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

/* Puts a new file in place of what `name` is. Returns 0 or -errno. */
static int replace(const char *name, const char *text, const struct output_limit *limit)
{
	const char *slash = strrchr(name, '/');
	char *temporary;
	int r;

	if (asprintf(&temporary, "%.*s.tcptool-XXXXXX", slash ? (int)(slash - name) + 1 : 0, name) < 0)
		return -ENOMEM;
	r = put_and_rename(temporary, name, text, limit);
	free(temporary);
	return r;
}

/* True if the directory lets no new file in, or does not let it be renamed to the name. */
static bool is_refused(int error)
{
	return error == -EACCES || error == -EPERM || error == -EROFS || error == -EBUSY || error == -EXDEV;
}

int output_put(const char *name, const char *text, const struct output_limit *limit)
{
	int fd = output_descriptor(name), r, in_place;
	struct stat st;

	if (fd >= 0)
		return put_and_close(duplicate(fd), text, limit);
	if (lstat(name, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return put_in_place(name, false, text, limit);
	r = replace(name, text, limit);
	if (!is_refused(r))
		return r;
	in_place = put_in_place(name, true, text, limit);
	/* without a regular file to fall back on, the reason is what the directory refused */
	return in_place == -ENOENT || in_place == -ELOOP ? r : in_place;
}
