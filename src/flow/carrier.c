#include "flow/carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

/* The bytes that a copy moves before a pipe is leased: less does not pay for one. */
#define WORTH_A_PIPE ((uint64_t)128 * 1024)

/* True when one splice(2) moves bytes from `from` to `to`. */
static bool is_straight(enum fd_kind from, enum fd_kind to)
{
	return (from == FD_PIPE && to == FD_SOCKET) || (from == FD_SOCKET && to == FD_PIPE);
}

/*
 * True when two splice(2) move them by way of a pipe. A regular file is not a destination: the kernel
 * copies there anyway, so a large buffer is as fast, and O_APPEND files would be refused.
 */
static bool is_by_pipe(enum fd_kind from, enum fd_kind to)
{
	return (from == FD_FILE && to == FD_SOCKET) ||
	       (from == FD_SOCKET && (to == FD_SOCKET || to == FD_MEMORY));
}

/* A filter that looks at bytes, changes them or adds its own needs them in our memory. */
static bool any_filter_looks(const struct flow *f)
{
	for (const struct filter *i = f->filters; i; i = i->next)
		if (i->ops->map || i->ops->inject || i->ops->portion || i->ops->gave)
			return true;
	return false;
}

const struct carrier *carrier_choose(const struct flow *f)
{
	if (f->refused || !f->large || any_filter_looks(f) || !f->src->raw_in || !f->dst->raw_out)
		return &carrier_copy;
	if (is_straight(f->src->rkind, f->dst->wkind))
		return &carrier_splice;
	if (f->moved >= WORTH_A_PIPE && is_by_pipe(f->src->rkind, f->dst->wkind))
		return &carrier_pipe;
	return &carrier_copy;
}

/* Errors of splice(2) after which a copy is tried: it works, or fails with the error to report. */
static bool is_refusal(int error)
{
	switch (error) {
	case EINVAL:
	case ENOSYS:
	case EPERM:
	case EACCES:
	case EOPNOTSUPP:
	case ESPIPE:
	case EBADF:
	case ENOMEM:
		return true;
	default:
		return false;
	}
}

ssize_t carrier_move(int from, int to, size_t n)
{
	ssize_t moved;

	do
		moved = splice(from, NULL, to, NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	while (moved < 0 && errno == EINTR);
	if (moved >= 0)
		return moved;
	return is_refusal(errno) ? CARRIER_REFUSED : -errno;
}

/* True when received bytes wait to be read. */
static bool has_more(int sock)
{
	char byte;

	return recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * The end of a socket is left to a copy: only the stream's read tells a FIN from a loss that was reported
 * before. And splice(2) stops in front of an urgent byte: once the peer has ended or reset the connection, it
 * reports that end there, with bytes behind it. A copy reads them; the error is kept, since a socket reports
 * it once.
 */
ssize_t carrier_take(struct flow *f, int to, size_t n)
{
	ssize_t got = carrier_move(f->src->rfd, to, n);

	if (got > 0 || got == -EAGAIN || got == CARRIER_REFUSED || f->src->rkind != FD_SOCKET)
		return got;
	if (got < 0 && !has_more(f->src->rfd))
		return got;
	f->lost = (int16_t)got;
	return CARRIER_REFUSED;
}

/* Calls in a row that moved nothing though both sides were ready: then it is no coincidence. */
#define DOUBTS_MOST 3

bool carrier_doubts(struct flow *f)
{
	return ++f->doubts >= DOUBTS_MOST;
}

ssize_t carrier_wait(struct flow *f, enum flow_sides side)
{
	bool src = side == FLOW_SRC;
	struct pollfd p = {.fd = src ? f->src->rfd : f->dst->wfd, .events = src ? POLLIN : POLLOUT};

	if (poll(&p, 1, 0) > 0 && carrier_doubts(f))
		return CARRIER_REFUSED;
	f->waits = (uint8_t)side;
	return -EAGAIN;
}
