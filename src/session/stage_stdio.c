/*
 * The main stage: two flows, stdin to the socket and the socket to stdout, neither of which ever
 * waits for the other. Here alone is decided what the end or the failure of one means for the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "session/progress.h"
#include "session/session.h"
#include "session/traced.h"

/* Joins stdin and stdout to the connection. Returns 0 or -ENOMEM. */
static int set_up(struct session *s)
{
	const struct session_settings *settings = s->settings;

	stream_stdio_open(&s->stdio, settings->recv_only || settings->send ? -1 : STDIN_FILENO,
		       settings->send_only ? -1 : STDOUT_FILENO, settings->keep_stdout);
	s->local = &s->stdio.stream;
	flow_init(&s->out, s->local, s->remote);
	flow_init(&s->in, s->remote, s->local);
	if (settings->send) {
		stream_text_open(&s->text, settings->send, settings->send_length);
		s->out.src = &s->text.stream;
	}
	s->out.withhold_end = settings->no_shutdown || settings->recv_only;
	/* stdout is closed here, not by the flow: it has to leave the poll set first */
	s->in.withhold_end = true;
	s->relaying = true;
	return filters_apply(s);
}

/* What a failure of the connection is called: EPIPE says how it met us, not what happened. */
static const char *connection_error(int error)
{
	return strerror(error == -EPIPE ? ECONNRESET : -error);
}

/* The connection has failed: say so, and what got lost with it. */
static enum stage_result connection_failed(struct session *s, int error)
{
	int lost = session_unacknowledged(s);
	int status = exitcode_for(error, EXIT_LOST);

	if (lost > 0)
		return session_fail(s, status, "%s (bytes sent and not acknowledged: %d)",
				    connection_error(error), lost);
	return session_fail(s, status, "%s", connection_error(error));
}

/* One failed flow ends both, but bytes that were received come before bad news. */
static enum stage_result check_failures(struct session *s)
{
	const struct flow *out = &s->out, *in = &s->in;

	if (in->state == FLOW_FAILED && in->culprit == FLOW_DST)
		return session_output_failed(s, in->error);
	if (out->state == FLOW_FAILED && out->culprit == FLOW_SRC)
		return session_fail(s, exitcode_for(out->error, EXIT_LOCAL), "read stdin: %s",
				    strerror(-out->error));
	if (in->state == FLOW_FAILED)
		return connection_failed(s, in->error);
	if (out->state == FLOW_FAILED && (flow_over(in) || !session_is_gone(out->error)))
		return connection_failed(s, out->error);
	return STAGE_DONE;
}

/* The peer has ended and all of it is written: what reads our stdout may see the end, too. */
static enum stage_result end_output(struct session *s)
{
	int r;

	if (s->in.state != FLOW_DONE || s->output_ended)
		return STAGE_DONE;
	s->output_ended = true;
	s->sent_at_end = s->out.moved;
	session_forget(s, s->local->wfd);
	r = s->local->ops->shut(s->local);
	if (r < 0)
		return session_output_failed(s, r);
	/* a person at the keyboard wants the prompt back */
	if (s->local->rkind == FD_TERMINAL)
		flow_stop_reading(&s->out);
	return STAGE_DONE;
}

/*
 * The peer ended before, and stdin has nothing to say: only keepalive can tell whether somebody is
 * still there. A reset that answers a probe, when nothing was sent since, merely says that the peer
 * closed for good: nothing is lost and nothing is left to do.
 */
static enum stage_result check_peer_gone(struct session *s)
{
	int error = 0;
	socklen_t length = sizeof error;

	if (s->in.state != FLOW_DONE || !session_got_error(s, s->remote->wfd))
		return STAGE_DONE;
	getsockopt(s->remote->wfd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error == 0)
		return STAGE_DONE;
	traced_lost(s, error);
	if (error == ETIMEDOUT || s->out.moved != s->sent_at_end || s->out.held > 0)
		return connection_failed(s, -error);
	flow_cut(&s->out);
	return STAGE_DONE;
}

/* stdout's reader may leave while the peer is silent: a pipe tells by an error event alone. */
static enum stage_result check_reader_gone(struct session *s)
{
	if (s->local->wkind == FD_PIPE && !s->output_ended && session_got_error(s, s->local->wfd))
		return session_output_failed(s, -EPIPE);
	return STAGE_DONE;
}

/* -q has run out: the flow that is left ends here. */
static enum stage_result quit(struct session *s)
{
	int left;
	char limit[32];

	if (flow_over(&s->out)) {
		/* what was sent still has to arrive; what comes now is dropped */
		flow_cut(&s->in);
		s->drop_input = true;
		return STAGE_DONE;
	}
	left = (int)s->out.held + session_unacknowledged(s);
	flow_cut(&s->out);
	s->abandoned = true;
	if (left > 0)
		return session_fail(s, EXIT_TIMEDOUT,
				    "within %s (--quit-after), %d bytes sent were not acknowledged",
				    clock_words(s->settings->quit_after, limit, sizeof limit), left);
	return STAGE_DONE;
}

/* Once one flow has ended, -q limits the other. */
static enum stage_result check_quit(struct session *s, nsec now)
{
	if (s->settings->quit_after < 0 || flow_over(&s->in) == flow_over(&s->out))
		return STAGE_DONE;
	if (s->quit_at == NSEC_NEVER)
		s->quit_at = clock_after(now, s->settings->quit_after);
	if (now >= s->quit_at)
		return quit(s);
	session_wake_at(s, s->quit_at);
	return STAGE_DONE;
}

/* What the flows wait for, and the two ends whose loss would show as an error only. */
static void want_flows(struct session *s, nsec now)
{
	session_want_flow(s, &s->in, now);
	session_want_flow(s, &s->out, now);
	if (flow_over(&s->in) && !flow_over(&s->out))
		session_want(s, s->remote->wfd, FD_ERROR);
	if (s->local->wkind == FD_PIPE && !s->output_ended)
		session_want(s, s->local->wfd, FD_ERROR);
}

static enum stage_result step(struct session *s, nsec now)
{
	static enum stage_result (*const checks[])(struct session *) = {
		check_reader_gone, check_peer_gone, check_failures, end_output, check_failures,
	};
	bool more;

	if (!s->relaying && set_up(s) < 0)
		return session_fail(s, EXIT_RESOURCES, "%s", strerror(ENOMEM));
	more = session_can_step(s, &s->in) && flow_step(&s->in);
	more |= session_can_step(s, &s->out) && flow_step(&s->out);
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
		if (checks[i](s) == STAGE_FAILED)
			return STAGE_FAILED;
	if (check_quit(s, now) == STAGE_FAILED)
		return STAGE_FAILED;
	if (flow_over(&s->in) && flow_over(&s->out))
		return STAGE_DONE;
	/* told to stop reading only now, and nothing holds it back: it will come to its end at once */
	if (more || (s->out.state == FLOW_ENDING && s->out.waits == FLOW_NEITHER && !s->out.resume_at))
		task_wake(&s->task);
	want_flows(s, now);
	progress_step(s, now);
	return STAGE_WAIT;
}

const struct stage stage_stdio = {"relay", step, NULL};
