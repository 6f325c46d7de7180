/* What a session waits for: asked for by its stage in each step, turned into watches and a timer behind it. */
#include <string.h>

#include "session/session.h"

#define WATCHES (SESSION_WATCHES + 1)

/* The watch of that index; NULL: the third, as long as there are no notes. */
static struct watch *waiting_watch(const struct session *s, int i)
{
	if (i < SESSION_WATCHES)
		return (struct watch *)(size_t)&s->watches[i];
	return s->notes ? &s->notes->watch : NULL;
}

/* The index of the watch of `fd`, or of a free one: what was forgotten has left gaps; -1: there is none. */
static int waiting_find(const struct session *s, int fd)
{
	int free = -1;

	for (int i = WATCHES - 1; i >= 0; i--) {
		const struct watch *w = waiting_watch(s, i);

		if (w && w->fd == fd)
			return i;
		if (w && w->fd < 0)
			free = i;
	}
	return free;
}

void session_want(struct session *s, int fd, unsigned events)
{
	int i = fd < 0 ? -1 : waiting_find(s, fd);

	if (i < 0)
		return;
	if (waiting_watch(s, i)->fd < 0)
		watch_init(waiting_watch(s, i), fd, &s->task);
	s->wanted[i] |= (uint8_t)events;
}

void session_wake_at(struct session *s, nsec when)
{
	if (when < s->wake_at)
		s->wake_at = when;
}

void session_want_stream(struct session *s, const struct stream *stream, enum stream_half half)
{
	if (half == STREAM_READ)
		session_want(s, stream->rfd, stream->rwait);
	else
		session_want(s, stream->wfd, stream->wwait);
}

void session_want_flow(struct session *s, const struct flow *f, nsec now)
{
	if (f->waits & FLOW_SRC) {
		session_want_stream(s, f->src, STREAM_READ);
		if (f->bulk)
			session_wake_at(s, now + FLOW_PATIENCE);
		if (stream_pending(f->src))
			task_wake(&s->task);
	}
	if (f->waits & FLOW_DST)
		session_want_stream(s, f->dst, STREAM_WRITE);
	if (f->resume_at)
		session_wake_at(s, f->resume_at);
}

/* True if `events` or an error is pending on `fd`, or if `fd` is not in the poll set. */
static bool waiting_has_come(const struct session *s, int fd, unsigned events)
{
	int i = waiting_find(s, fd);
	const struct watch *w = i < 0 ? NULL : waiting_watch(s, i);

	return !w || w->fd != fd || w->events == FD_NOTHING || (w->got & (events | FD_ERROR));
}

bool session_may_step(const struct session *s, const struct flow *f)
{
	return flow_may_go_on(f) ||
	       ((f->waits & FLOW_SRC) && waiting_has_come(s, f->src->rfd, f->src->rwait)) ||
	       ((f->waits & FLOW_DST) && waiting_has_come(s, f->dst->wfd, f->dst->wwait));
}

void session_look_again(struct session *s, nsec now, unsigned most_ms)
{
	unsigned pause = s->pause_ms ? s->pause_ms * 2u : 1;

	s->pause_ms = (uint8_t)(pause < most_ms ? pause : most_ms);
	session_wake_at(s, now + s->pause_ms * NSEC_PER_MSEC);
}

bool session_got_error(const struct session *s, int fd)
{
	int i = fd < 0 ? -1 : waiting_find(s, fd);

	return i >= 0 && waiting_watch(s, i)->fd == fd && (waiting_watch(s, i)->got & FD_ERROR);
}

void session_forget(struct session *s, int fd)
{
	int i = fd < 0 ? -1 : waiting_find(s, fd);

	if (i < 0 || waiting_watch(s, i)->fd != fd)
		return;
	watch_for(waiting_watch(s, i), FD_NOTHING);
	watch_init(waiting_watch(s, i), -1, &s->task);
	s->wanted[i] = FD_NOTHING;
}

void waiting_end(struct session *s)
{
	for (int i = 0; i < WATCHES; i++)
		if (waiting_watch(s, i))
			session_forget(s, waiting_watch(s, i)->fd);
}

void waiting_clear(struct session *s)
{
	memset(s->wanted, 0, sizeof s->wanted);
	s->wake_at = NSEC_NEVER;
}

int waiting_apply(struct session *s)
{
	for (int i = 0; i < WATCHES; i++) {
		struct watch *w = waiting_watch(s, i);
		int r;

		if (!w || w->fd < 0)
			continue;
		w->got = 0;
		r = watch_for(w, s->wanted[i]);
		if (r < 0)
			return r;
	}
	timer_set(&s->timer, s->wake_at);
	return 0;
}
