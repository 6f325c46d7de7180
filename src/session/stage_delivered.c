/*
 * The last stage: what was sent has been acknowledged, so that success can be promised. Our side is
 * shut down; input that nobody wants any more is read and dropped, since closing a socket that holds
 * some would send a reset and could destroy what the peer has not read yet (RFC 1122, 4.2.2.13).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/exitcode.h"
#include "net/tcpinfo.h"
#include "session/session.h"
#include "session/traced.h"

#define DROP_ROUNDS 16

/* Reads what has come and drops it. Returns true while more may come. */
static bool drop_input(struct session *s)
{
	char sink[16384];

	if (!s->drop_input)
		return false;
	for (int i = 0; i < DROP_ROUNDS; i++) {
		ssize_t got = s->remote->ops->read(s->remote, sink, sizeof sink);

		if (got == -EAGAIN) {
			session_want(s, s->remote->rfd, s->remote->rwait);
			return true;
		}
		if (got <= 0) {
			s->drop_input = false;
			return false;
		}
	}
	task_wake(&s->task);
	return true;
}

static enum stage_result connection_lost(struct session *s)
{
	int error = 0, lost = session_unacknowledged(s);
	socklen_t length = sizeof error;

	getsockopt(s->remote->wfd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error == 0 || error == EPIPE)
		error = ECONNRESET;
	traced_lost(s, error);
	if (lost == 0)
		return session_fail(s, EXIT_LOST, "%s", strerror(error));
	return session_fail(s, EXIT_LOST, "%s (bytes sent and not acknowledged: %d)", strerror(error), lost);
}

static enum stage_result step(struct session *s, nsec now)
{
	bool closed;
	int r;

	if (s->abandoned)
		return STAGE_DONE;
	r = s->remote->ops->shut(s->remote);
	if (r == -EAGAIN)
		session_want(s, s->remote->wfd, s->remote->wwait);
	else
		s->settling = true;
	drop_input(s);
	/* asked first: what a closed connection has not acknowledged then it never will */
	closed = tcpinfo_closed(s->remote->wfd);
	/* the FIN included: then nothing can be lost any more */
	if (r == 0 && sockopt_unacknowledged(s->remote->wfd) == 0)
		return STAGE_DONE;
	if (closed)
		return connection_lost(s);
	session_look_again(s, now);
	return STAGE_WAIT;
}

const struct stage stage_delivered = {"settle", step, NULL};
