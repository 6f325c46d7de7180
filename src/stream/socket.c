/* A TCP socket as a stream: tcp(7), socket(7). */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/stream.h"

static ssize_t sock_read(struct stream *s, void *buf, size_t n)
{
	ssize_t got;

	do
		got = recv(s->rfd, buf, n, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return ((struct stream_socket *)(void *)s)->lost;
	return got < 0 ? -errno : got;
}

static ssize_t sock_write(struct stream *s, const void *buf, size_t n)
{
	ssize_t put;

	do
		put = send(s->wfd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

static int sock_shut(struct stream *s)
{
	/* not connected any more: the peer's reset came first, and reading will tell of it */
	if (shutdown(s->wfd, SHUT_WR) < 0 && errno != ENOTCONN)
		return -errno;
	return 0;
}

static void sock_close(struct stream *s)
{
	fd_close(&s->rfd);
	s->wfd = -1;
}

void stream_socket_open(struct stream_socket *s, int sock, int lost)
{
	static const struct stream_ops ops = {
		.read = sock_read, .write = sock_write, .shut = sock_shut, .close = sock_close};

	*s = (struct stream_socket){.stream = {.ops = &ops,
					     .rfd = sock,
					     .wfd = sock,
					     .rkind = FD_SOCKET,
					     .wkind = FD_SOCKET,
					     .rwait = FD_IN,
					     .wwait = FD_OUT,
					     .raw_in = lost == 0,
					     .raw_out = true},
				  .lost = lost};
}
