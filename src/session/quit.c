#include "session/quit.h"

bool quit_is_due(struct session *s, nsec now)
{
	struct session_notes *n;

	if (s->settings->quit_after < 0 || flow_over(&s->in) == flow_over(&s->out))
		return false;
	n = session_notes(s);
	/* without memory to keep the moment, it is now */
	if (!n)
		return true;
	if (!n->quit_ends)
		n->quit_ends = clock_after(now, s->settings->quit_after);
	session_wake_at(s, n->quit_ends);
	return now >= n->quit_ends;
}
