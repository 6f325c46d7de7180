/* One end of a Unix socket pair as a stream: unix(7). The other end is another process's stdin and stdout. */
#include <errno.h>
#include <sys/socket.h>

#include "stream/stream.h"

static ssize_t pair_read(struct stream *s, void *buf, size_t n)
{
	ssize_t got;

	do
		got = recv(s->rfd, buf, n, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	/* the other end was closed with input unread, which is an end all the same: nothing is lost on the way */
	if (got < 0 && errno == ECONNRESET)
		return 0;
	return got < 0 ? -errno : got;
}

static ssize_t pair_write(struct stream *s, const void *buf, size_t n)
{
	ssize_t put;

	do
		put = send(s->wfd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	if (put < 0 && errno == ECONNRESET)
		return -EPIPE;
	return put < 0 ? -errno : put;
}

static int pair_shut(struct stream *s)
{
	return shutdown(s->wfd, SHUT_WR) < 0 ? -errno : 0;
}

static void pair_close(struct stream *s)
{
	fd_close(&s->rfd);
	s->wfd = -1;
}

void stream_pair_open(struct stream *s, int end)
{
	static const struct stream_ops ops = {
		.read = pair_read, .write = pair_write, .shut = pair_shut, .close = pair_close};

	/* splice(2) would wait on an end that has no O_NONBLOCK, which a program may have taken off */
	*s = (struct stream){.ops = &ops,
			     .rfd = end,
			     .wfd = end,
			     .rkind = FD_SOCKET,
			     .wkind = FD_SOCKET,
			     .rwait = FD_IN,
			     .wwait = FD_OUT};
}
