/*
 * Inherited descriptors as a stream.
 *
 * O_NONBLOCK belongs to the open file description, which the shell and our neighbours in a pipeline
 * share: setting it would change their terminal, and after SIGKILL it could not be taken back. So each
 * kind of descriptor is kept from blocking in a way of its own:
 *
 *   plain   regular files and memory devices never block
 *   nowait  pipes: preadv2(2) and pwritev2(2) with RWF_NOWAIT
 *   socket  MSG_DONTWAIT
 *   plain   terminals, opened anew through /proc, non-blocking: a description of our own
 *   polled  anything else: poll(2) first, then no more bytes than surely fit
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "stream/stream.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008 /* linux/fs.h */
#endif

static struct stream_stdio *fd_outer(struct stream *s)
{
	return (struct stream_stdio *)(void *)s;
}

static bool ready(int fd, short events)
{
	return poll(&(struct pollfd){.fd = fd, .events = events}, 1, 0) > 0;
}

/* preadv2 and pwritev2 by number: not every C library offers them. Offset -1 means none. */
static ssize_t nowait(long number, int fd, void *bytes, size_t n)
{
	struct iovec iov = {bytes, n};

	return syscall(number, fd, &iov, 1L, -1L, -1L, RWF_NOWAIT);
}

/* True for the errors of a kernel or a file that does not know RWF_NOWAIT. */
static bool refuses_nowait(void)
{
	return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ESPIPE;
}

static ssize_t read_once(struct stream_stdio *s, void *buf, size_t n)
{
	int fd = s->stream.rfd;
	ssize_t got;

	switch (s->read_way) {
	case WAY_NOWAIT:
		got = nowait(SYS_preadv2, fd, buf, n);
		if (got >= 0 || !refuses_nowait())
			return got;
		s->read_way = WAY_POLLED;
		/* fall through */
	case WAY_POLLED:
		if (!ready(fd, POLLIN)) {
			errno = EAGAIN;
			return -1;
		}
		break;
	case WAY_SOCKET:
		return recv(fd, buf, n, MSG_DONTWAIT);
	case WAY_PLAIN:
		break;
	}
	return read(fd, buf, n);
}

static ssize_t fd_read(struct stream *stream, void *buf, size_t n)
{
	struct stream_stdio *s = fd_outer(stream);
	ssize_t got;

	if (stream->rkind == FD_NONE && stream->rfd < 0)
		return 0;
	do
		got = read_once(s, buf, n);
	while (got < 0 && errno == EINTR);
	/* EIO from the master of a pseudo-terminal is its end: the other side has closed it */
	if (got < 0 && errno == EIO && stream->rkind == FD_TERMINAL && s->reopened_in < 0)
		return 0;
	return got < 0 ? -errno : got;
}

static ssize_t write_once(struct stream_stdio *s, const void *buf, size_t n)
{
	int fd = s->stream.wfd;
	size_t most;
	ssize_t put;

	switch (s->write_way) {
	case WAY_NOWAIT:
		put = nowait(SYS_pwritev2, fd, (void *)(size_t)buf, n);
		if (put >= 0 || !refuses_nowait())
			return put;
		s->write_way = WAY_POLLED;
		/* fall through */
	case WAY_POLLED:
		if (!ready(fd, POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
		/*
		 * A pipe that poll(2) calls writable takes PIPE_BUF bytes: pipe(7). A terminal, which is
		 * polled when it cannot be opened anew, is sure to take one.
		 */
		most = s->stream.wkind == FD_TERMINAL ? 1 : PIPE_BUF;
		n = n < most ? n : most;
		break;
	case WAY_SOCKET:
		return send(fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	case WAY_PLAIN:
		break;
	}
	return write(fd, buf, n);
}

static ssize_t fd_write(struct stream *stream, const void *buf, size_t n)
{
	ssize_t put;

	if (stream->wkind == FD_NONE && stream->wfd < 0)
		return (ssize_t)n;
	do
		put = write_once(fd_outer(stream), buf, n);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

static int fd_shut(struct stream *stream)
{
	struct stream_stdio *s = fd_outer(stream);
	int out = s->out, r;

	if (s->keep_out || out < 0)
		return 0;
	if (s->one_socket)
		shutdown(out, SHUT_WR);
	stream->wfd = -1;
	stream->wkind = FD_NONE;
	s->out = -1;
	fd_close(&s->reopened_out);
	/* close(2) may be the first call to report a full disk; then /dev/null takes the number */
	r = close(out) < 0 && errno != EINTR ? -errno : 0;
	fd_make_null(out);
	return r;
}

static int fd_explain(const struct stream *s, enum stream_half half, int error, char *words, size_t size)
{
	(void)s;
	snprintf(words, size, "%s: %s", half == STREAM_READ ? "read stdin" : "write to stdout",
		 strerror(-error));
	return exitcode_for(error, EXIT_LOCAL);
}

static void fd_close_views(struct stream *stream)
{
	struct stream_stdio *s = fd_outer(stream);

	fd_close(&s->reopened_in);
	fd_close(&s->reopened_out);
}

/* True for the master of a pseudo-terminal: opening it anew would make another terminal. */
static bool is_terminal_master(int fd)
{
	unsigned number;

	return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* Opens the file behind `fd` anew, non-blocking, with an open file description of our own; -1: it failed. */
static int reopen(int fd, int mode)
{
	char path[sizeof "/proc/self/fd/" + 3 * sizeof fd];

	if (is_terminal_master(fd))
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Chooses the way for a half of kind `kind`; *view gets the descriptor of a terminal opened anew. */
static enum stream_stdio_way choose_way(enum fd_kind kind, int fd, int mode, int *view)
{
	switch (kind) {
	case FD_PIPE:
		return WAY_NOWAIT;
	case FD_SOCKET:
		return WAY_SOCKET;
	case FD_TERMINAL:
		*view = reopen(fd, mode);
		return *view < 0 ? WAY_POLLED : WAY_PLAIN;
	case FD_OTHER:
		return WAY_POLLED;
	default:
		return WAY_PLAIN;
	}
}

/*
 * True for what splice(2) moves without waiting under SPLICE_F_NONBLOCK. False for an inherited socket: if it
 * is a blocking one, the call waits in spite of the flag.
 */
static bool never_waits(enum fd_kind kind)
{
	return kind == FD_PIPE || kind == FD_FILE || kind == FD_MEMORY;
}

static bool same_socket(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && S_ISSOCK(sa.st_mode) &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

void stream_stdio_open(struct stream_stdio *s, int in, int out, bool keep_out)
{
	static const struct stream_ops ops = {.read = fd_read,
					     .write = fd_write,
					     .shut = fd_shut,
					     .explain = fd_explain,
					     .close = fd_close_views};
	struct stream *stream = &s->stream;

	*s = (struct stream_stdio){
		.stream = {.ops = &ops, .rwait = FD_IN, .wwait = FD_OUT},
		.reopened_in = -1,
		.reopened_out = -1,
		.out = out,
		.keep_out = keep_out,
	};
	stream->rkind = in < 0 ? FD_NONE : fd_kind(in);
	stream->wkind = out < 0 ? FD_NONE : fd_kind(out);
	s->read_way = choose_way(stream->rkind, in, O_RDONLY, &s->reopened_in);
	s->write_way = choose_way(stream->wkind, out, O_WRONLY, &s->reopened_out);
	stream->rfd = s->reopened_in < 0 ? in : s->reopened_in;
	stream->wfd = s->reopened_out < 0 ? out : s->reopened_out;
	stream->raw_in = never_waits(stream->rkind);
	stream->raw_out = never_waits(stream->wkind);
	s->one_socket = in >= 0 && out >= 0 && same_socket(in, out);
}
