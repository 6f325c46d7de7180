/* A TCP socket as a stream: tcp(7), socket(7). */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/stream.h"

static struct stream_socket *sock_outer(struct stream *s)
{
	return (struct stream_socket *)(void *)s;
}

/* -errno of a call that has failed. The kernel reports the loss of a connection only once: it is kept. */
static int failure(struct stream *s)
{
	int error = -errno;

	if (stream_is_lost(error) && !sock_outer(s)->lost)
		sock_outer(s)->lost = error;
	return error;
}

/*
 * recv(2) has returned 0: for the peer's FIN (answer 0), or for the loss of the connection (answer -errno)?
 * The kernel reports a loss once, to a write, to SO_ERROR, or not at all (after a splice(2) that had moved
 * some bytes before); then recv(2) returns 0. But a loss ends both halves (POLLHUP), while a FIN ends one,
 * and the other lasts until we shut it down. A loss that was reported as EPIPE, or is still pending (POLLERR)
 * though recv(2) returns 0, came after the FIN: tcp_reset() of Linux.
 */
static int input_end(const struct stream_socket *s)
{
	struct pollfd p = {.fd = s->stream.rfd};

	if (s->lost)
		return s->lost == -EPIPE ? 0 : s->lost;
	if (s->shut || poll(&p, 1, 0) <= 0 || (p.revents & POLLERR))
		return 0;
	return p.revents & POLLHUP ? -ECONNRESET : 0;
}

static ssize_t sock_read(struct stream *s, void *buf, size_t n)
{
	ssize_t got;

	do
		got = recv(s->rfd, buf, n, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return input_end(sock_outer(s));
	return got < 0 ? failure(s) : got;
}

static ssize_t sock_write(struct stream *s, const void *buf, size_t n)
{
	ssize_t put;

	do
		put = send(s->wfd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put < 0 ? failure(s) : put;
}

static int sock_shut(struct stream *s)
{
	if (shutdown(s->wfd, SHUT_WR) == 0)
		sock_outer(s)->shut = true;
	/* not connected: the peer's reset came first, and a read reports it */
	else if (errno != ENOTCONN)
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
					     .raw_in = true,
					     .raw_out = true},
				  .lost = lost};
}
