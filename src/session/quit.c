#include "session/quit.h"

bool quit_is_due(struct session *s, struct quit *q, nsec now)
{
	if (s->settings->quit_after < 0 || flow_over(&s->in) == flow_over(&s->out))
		return false;
	if (!q->started) {
		q->started = true;
		q->ends = clock_after(now, s->settings->quit_after);
	}
	if (now >= q->ends)
		return true;
	session_wake_at(s, q->ends);
	return false;
}
