/*
 * The main stage: two flows, stdin to the connection and the connection to stdout, neither of which ever
 * waits for the other. Here alone is decided what the end or the failure of one means for the other.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "session/quit.h"
#include "session/session.h"

struct stdio_state {
	struct stream_stdio stdio;
	struct stream_text text; /* in place of stdin: --send */
	uint64_t sent_at_end;    /* what we had sent when the peer's end came */
	bool output_ended;       /* stdout is closed */
};

/* Joins stdin and stdout to the connection. Returns 0 or -ENOMEM. */
static int stdio_set_up(struct session *s, struct leg *local, struct stdio_state *st)
{
	const struct session_settings *settings = s->settings;
	int r;

	stream_stdio_open(&st->stdio, settings->recv_only || settings->send ? -1 : STDIN_FILENO,
			  settings->send_only ? -1 : STDOUT_FILENO, settings->keep_stdout);
	local->top = &st->stdio.stream;
	/* for the third watch */
	r = session_notes(s) ? session_join(s) : -ENOMEM;
	if (settings->send) {
		stream_text_open(&st->text, settings->send, settings->send_length);
		s->out.src = &st->text.stream;
	}
	s->out.withhold_end = settings->no_shutdown || settings->recv_only;
	/* stdout is closed here, not by the flow: it has to leave the poll set first */
	s->in.withhold_end = true;
	return r;
}

/* One failed flow ends both, but bytes that were received come before bad news. */
static enum stage_result check_failures(struct session *s)
{
	const struct flow *out = &s->out, *in = &s->in;

	if (in->state == FLOW_FAILED && in->culprit == FLOW_DST)
		return session_fail_output(s, in->error);
	if (out->state == FLOW_FAILED && out->culprit == FLOW_SRC)
		return session_fail_stream(s, out->src, STREAM_READ, out->error);
	if (in->state == FLOW_FAILED)
		return session_fail_connection(s, STREAM_READ, in->error);
	if (out->state == FLOW_FAILED && (flow_over(in) || !stream_is_lost(out->error)))
		return session_fail_connection(s, STREAM_WRITE, out->error);
	return STAGE_DONE;
}

/* The peer has ended and all of it is written: what reads our stdout may see the end, too. */
static enum stage_result end_output(struct session *s, struct stdio_state *st)
{
	struct stream *local = &st->stdio.stream;
	int r;

	if (s->in.state != FLOW_DONE || st->output_ended)
		return STAGE_DONE;
	st->output_ended = true;
	st->sent_at_end = s->out.moved;
	session_forget(s, local->wfd);
	r = local->ops->shut(local);
	if (r < 0)
		return session_fail_output(s, r);
	/* a terminal sends no end-of-file by itself: the session ends without one */
	if (local->rkind == FD_TERMINAL)
		flow_stop_reading(&s->out);
	return STAGE_DONE;
}

/*
 * The peer has ended and stdin is silent: only keepalive can tell whether the peer's host is still there. A
 * reset that answers a probe, when nothing was sent since, merely says that the peer closed for good:
 * nothing is lost and nothing is left to do.
 */
static enum stage_result check_peer_gone(struct session *s, const struct stdio_state *st)
{
	struct leg *connection = &s->legs[LEG_CONNECTION];
	int error;

	if (s->in.state != FLOW_DONE || !session_got_error(s, leg_socket(connection)))
		return STAGE_DONE;
	error = leg_take_error(connection);
	if (error == 0)
		return STAGE_DONE;
	if (error == -ETIMEDOUT || s->out.moved != st->sent_at_end || s->out.held > 0)
		return session_fail_connection(s, STREAM_READ, error);
	flow_cut(&s->out);
	return STAGE_DONE;
}

/* The reader of stdout may leave while the peer is silent: a pipe then has an error event only. */
static enum stage_result check_reader_gone(struct session *s, const struct stdio_state *st)
{
	const struct stream *local = &st->stdio.stream;

	if (local->wkind == FD_PIPE && !st->output_ended && session_got_error(s, local->wfd))
		return session_fail_output(s, -EPIPE);
	return STAGE_DONE;
}

/* -q has run out: the flow that is left ends here. */
static enum stage_result stdio_quit(struct session *s)
{
	int left, unacknowledged;
	char limit[32];

	if (flow_over(&s->out)) {
		/* what was sent still has to arrive; what comes now is dropped */
		flow_cut(&s->in);
		s->drop_input = true;
		return STAGE_DONE;
	}
	unacknowledged = session_unacknowledged(s);
	left = (int)s->out.held + (unacknowledged > 0 ? unacknowledged : 0);
	flow_cut(&s->out);
	s->abandoned = true;
	if (left > 0)
		return session_fail(s, EXIT_TIMEDOUT,
				    "within %s (--quit-after), %d bytes sent were not acknowledged",
				    clock_words(s->settings->quit_after, limit, sizeof limit), left);
	return STAGE_DONE;
}

/* What the flows wait for, and the two ends whose loss would show as an error only. */
static void stdio_want(struct session *s, const struct stdio_state *st, nsec now)
{
	session_want_flow(s, &s->in, now);
	session_want_flow(s, &s->out, now);
	if (flow_over(&s->in) && !flow_over(&s->out))
		session_want(s, leg_socket(&s->legs[LEG_CONNECTION]), FD_ERROR);
	if (st->stdio.stream.wkind == FD_PIPE && !st->output_ended)
		session_want(s, st->stdio.stream.wfd, FD_ERROR);
}

/* What has come of the flows' steps. Returns STAGE_DONE while nothing has failed. */
static enum stage_result stdio_check(struct session *s, struct stdio_state *st)
{
	enum stage_result r = check_reader_gone(s, st);

	if (r == STAGE_DONE)
		r = check_peer_gone(s, st);
	if (r == STAGE_DONE)
		r = check_failures(s);
	if (r == STAGE_DONE)
		r = end_output(s, st);
	return r;
}

static enum stage_result stdio_step(struct session *s, struct leg *local, void *state, nsec now)
{
	struct stdio_state *st = state;

	if (!s->joined && stdio_set_up(s, local, st) < 0)
		return session_fail(s, EXIT_RESOURCES, "%s", strerror(ENOMEM));
	session_step_flows(s);
	if (stdio_check(s, st) == STAGE_FAILED)
		return STAGE_FAILED;
	if (quit_is_due(s, now) && stdio_quit(s) == STAGE_FAILED)
		return STAGE_FAILED;
	if (flow_over(&s->in) && flow_over(&s->out))
		return STAGE_DONE;
	/* flow_stop_reading() was called after the step: the next one ends the flow */
	if (s->out.state == FLOW_ENDING && s->out.waits == FLOW_NEITHER && !s->out.resume_at)
		task_wake(&s->task);
	stdio_want(s, st, now);
	return STAGE_WAIT;
}

static void stdio_leave(struct session *s, struct leg *local, void *state)
{
	struct stdio_state *st = state;

	session_forget(s, st->stdio.stream.rfd);
	session_forget(s, st->stdio.stream.wfd);
	leg_close(local);
}

const struct stage stage_stdio = {"stdio", sizeof(struct stdio_state), stdio_step, stdio_leave};
