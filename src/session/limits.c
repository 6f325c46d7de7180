#include "session/limits.h"

#include "base/exitcode.h"
#include "net/sockopt.h"

/* Bytes that wait in the kernel, on their way to the peer or the upstream. */
static uint64_t limits_queued(const struct session *s)
{
	uint64_t all = 0;

	for (int i = 0; i < 2; i++) {
		int queued = sockopt_unacknowledged(leg_socket(&s->legs[i]));

		all += queued > 0 ? (uint64_t)queued : 0;
	}
	return all;
}

static void start_idle_clock(struct session *s, struct session_notes *n, nsec now)
{
	n->idle_moved = s->in.moved + s->out.moved;
	n->idle_delivered = n->idle_moved - limits_queued(s);
	n->idle_since = now;
}

/* Starts the clock anew when bytes have moved since. Returns the moment at which the limit passes. */
static nsec idle_ends(struct session *s, struct session_notes *n, nsec now)
{
	nsec ends = clock_after(n->idle_since, s->settings->idle_timeout);
	uint64_t moved = s->in.moved + s->out.moved;

	/* a full send queue takes no byte for long, and yet the peer is reading */
	if (n->idle_since == 0 || moved != n->idle_moved ||
	    (now >= ends && moved - limits_queued(s) != n->idle_delivered))
		start_idle_clock(s, n, now);
	return clock_after(n->idle_since, s->settings->idle_timeout);
}

static enum stage_result check_idle(struct session *s, nsec now)
{
	struct session_notes *n;
	char text[32];
	nsec ends;

	if (s->settings->idle_timeout == 0 || !s->legs[LEG_CONNECTION].top)
		return STAGE_WAIT;
	n = session_notes(s);
	if (!n)
		return session_await_memory(s, now);
	ends = idle_ends(s, n, now);
	if (now >= ends)
		return session_fail(s, EXIT_TIMEDOUT, "no byte in either direction for %s (--idle-timeout)",
				    clock_words(s->settings->idle_timeout, text, sizeof text));
	session_wake_at(s, ends);
	return STAGE_WAIT;
}

enum stage_result limits_check(struct session *s, nsec now)
{
	if (now >= s->settings->deadline)
		return session_fail(s, EXIT_TIMEDOUT, "the time for the whole run is over (--deadline)");
	session_wake_at(s, s->settings->deadline);
	return check_idle(s, now);
}
