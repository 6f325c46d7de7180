/*
 * The last stage: what was sent has been acknowledged, so that success can be promised. Our half is shut
 * down; input that is of no more use is read and dropped, since closing a socket that holds some would send
 * a reset and could destroy what the peer has not read yet (RFC 1122, 4.2.2.13).
 */
#include <errno.h>
#include <string.h>

#include "base/exitcode.h"
#include "net/sockopt.h"
#include "net/tcpinfo.h"
#include "session/session.h"

#define DROP_ROUNDS 16

/* How often to poll for acknowledgements: 1 ms, doubling to 32 ms. */
#define LOOK_MOST_MS 32

/*
 * Linger: a peer that was seen sending behind our end is read on for as long as it pauses no longer than
 * LINGER_PAUSE, and for LINGER_MOST at most; a reset would meet what it has not read yet.
 */
#define LINGER_PAUSE (500 * NSEC_PER_MSEC)
#define LINGER_MOST (30 * NSEC_PER_SEC)

struct delivered {
	nsec began;
	nsec dropped_at; /* when input was dropped last; 0: never */
};

/* Reads what has come and drops it. */
static void drop_input(struct session *s, struct stream *connection, struct delivered *d, nsec now)
{
	char sink[16384];

	for (int i = 0; s->drop_input && i < DROP_ROUNDS; i++) {
		ssize_t got = connection->ops->read(connection, sink, sizeof sink);

		if (got == -EAGAIN) {
			session_want_stream(s, connection, STREAM_READ);
			return;
		}
		s->drop_input = got > 0;
		if (got > 0)
			d->dropped_at = now;
	}
	if (s->drop_input)
		task_wake(&s->task);
}

/* True while the peer is in the middle of sending something that a reset would answer. */
static bool lingers(struct session *s, const struct delivered *d, nsec now)
{
	if (!s->drop_input || !d->dropped_at || now >= d->dropped_at + LINGER_PAUSE ||
	    now >= d->began + LINGER_MOST)
		return false;
	session_wake_at(s, d->dropped_at + LINGER_PAUSE);
	return true;
}

static enum stage_result connection_lost(struct session *s, struct leg *connection)
{
	int error = leg_take_error(connection);

	if (error == 0)
		error = connection->socket.lost ? connection->socket.lost : -ECONNRESET;
	return session_fail_connection(s, STREAM_READ, error);
}

static enum stage_result delivered_step(struct session *s, struct leg *connection, void *state, nsec now)
{
	struct delivered *d = state;
	int sock = leg_socket(connection), queued, r;
	bool closed;

	if (s->abandoned)
		return STAGE_DONE;
	if (!d->began)
		d->began = now;
	r = connection->top->ops->shut(connection->top);
	if (r == -EAGAIN)
		session_want_stream(s, connection->top, STREAM_WRITE);
	else if (r < 0 && !stream_is_lost(r))
		return session_fail_connection(s, STREAM_WRITE, r);
	else if (r == 0)
		s->shut = true;
	drop_input(s, connection->top, d, now);
	/* asked first: what a closed connection has not acknowledged then it never will */
	closed = tcpinfo_closed(sock);
	queued = sockopt_unacknowledged(sock);
	if (queued < 0)
		return session_fail(s, EXIT_LOST, "cannot tell whether all was acknowledged: %s",
				    strerror(-queued));
	/* the FIN included: then nothing can be lost any more */
	if (r == 0 && queued == 0)
		return lingers(s, d, now) ? STAGE_WAIT : STAGE_DONE;
	if (closed)
		return connection_lost(s, connection);
	session_look_again(s, now, LOOK_MOST_MS);
	return STAGE_WAIT;
}

const struct stage stage_delivered = {"delivered", sizeof(struct delivered), delivered_step, NULL};
