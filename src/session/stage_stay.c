/*
 * --check: the connection is made, and that is all; with --settle it has to stay open for that time. It ends
 * politely, with our FIN, and nothing is left unread that would turn that into a reset.
 */
#include <errno.h>

#include "base/exitcode.h"
#include "session/session.h"

#define READS_MOST 16 /* in one step: other sessions have their turn as well */

struct stay {
	nsec ends;
};

/*
 * Reads what comes and drops it, and no more than some of it from a peer that never pauses. Returns true when
 * the peer has ended or reset the connection.
 */
static bool peer_left(struct session *s, struct stream *connection)
{
	char sink[4096];

	for (int i = 0; i < READS_MOST; i++) {
		ssize_t got = connection->ops->read(connection, sink, sizeof sink);

		if (got == -EAGAIN) {
			session_want_stream(s, connection, STREAM_READ);
			return false;
		}
		if (got <= 0)
			return true;
	}
	task_wake(&s->task);
	return false;
}

static enum stage_result stay_step(struct session *s, struct leg *leg, void *state, nsec now)
{
	struct stay *st = state;
	bool left;

	if (!st->ends)
		st->ends = clock_after(now, s->settings->settle);
	left = peer_left(s, leg->top);
	if (s->settings->settle && left) {
		session_fail(s, EXIT_LOST, "closed or reset within the time of --settle");
		return STAGE_RETRY;
	}
	if (now >= st->ends || left) {
		leg->top->ops->shut(leg->top);
		return STAGE_DONE;
	}
	session_wake_at(s, st->ends);
	return STAGE_WAIT;
}

const struct stage stage_stay = {"stay", sizeof(struct stay), stay_step, NULL};
