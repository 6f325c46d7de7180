#include "flow/carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

/* So much crosses in a copy before it is worth a pipe: what is small never pays for one. */
#define WORTH_A_PIPE ((uint64_t)128 * 1024)

/* The kernel can move bytes from one of these to the other in a single call. */
static bool is_straight(enum fd_kind from, enum fd_kind to)
{
	return (from == FD_PIPE && to == FD_SOCKET) || (from == FD_SOCKET && to == FD_PIPE);
}

/*
 * ... or, from one of these to the other, by way of a pipe. A regular file is not a destination: the
 * kernel copies there anyway, so a large buffer does as well, and O_APPEND files would be refused.
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

/* What a kernel answers that does not move bytes this way, or not here; a copy will tell the truth. */
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

/* Bytes have come that nobody has read yet. */
static bool has_more(int sock)
{
	char byte;

	return recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * What looks like the end of a socket is left to a copy: the stream alone knows whether it is one, or a
 * failure that was told before. And splice(2) stops in front of an urgent byte, and once the peer has ended
 * or reset the connection it takes that place for the end of all. A copy reads on; a failure is kept for
 * then, since a socket tells of it only once.
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

/* Ready and yet nothing moved, so often in a row: not a coincidence any more. */
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
