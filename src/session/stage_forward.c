/*
 * Forwarding: a client that came in, an upstream that is dialed for it, and the same two flows between
 * them. An end-of-file of one side is passed on as one; so is the loss of a side, as a reset, once all
 * that it had sent has arrived: nobody takes a broken stream for a whole one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "net/tcpinfo.h"
#include "session/report.h"
#include "session/session.h"
#include "session/traced.h"
#include "session/upstream.h"

/* The pause before another try when the means to reach the upstream were lacking. */
#define LACKING_PAUSE (50 * NSEC_PER_MSEC)

/* When they have not been lacking for so long, and are again, that is worth saying. */
#define BETTER_TIMES (5 * NSEC_PER_SEC)

/* Joins the two. Returns 0 or -ENOMEM. */
static int set_up(struct session *s)
{
	s->local = &s->upstream.stream;
	flow_init(&s->out, s->local, s->remote);
	flow_init(&s->in, s->remote, s->local);
	s->relaying = true;
	return filters_apply(s);
}

/* Begins to dial. Returns 0 or -errno. */
static int begin(struct session *s, nsec now)
{
	const struct session_settings *settings = s->settings;

	s->dial = malloc(sizeof *s->dial);
	if (!s->dial)
		return -ENOMEM;
	dial_start(s->dial, settings->dial, settings->host, settings->port, &s->task);
	return upstream_use(settings->upstream, s, now);
}

/* The dial is over, well or not. */
static void end_dial(struct session *s, bool failed)
{
	if (!s->dial)
		return;
	upstream_leave(s->settings->upstream, s, failed);
	dial_close(s->dial);
	free(s->dial);
	s->dial = NULL;
}

/*
 * Descriptors, processes or memory are lacking to reach the upstream: it is not the client's fault, who
 * waits until others have given some back. That is said once, and again only after better times.
 */
static enum stage_result await_means(struct session *s, int error, nsec now)
{
	struct upstream *u = s->settings->upstream;

	end_dial(s, false);
	if (error == -ENOMEM)
		return session_await_memory(s, now);
	if (u->lacked_at == 0 || now > clock_after(u->lacked_at, BETTER_TIMES))
		diag_failure("cannot reach %s: %s; waiting for better times", u->host, strerror(-error));
	u->lacked_at = now;
	session_wake_at(s, now + LACKING_PAUSE);
	return STAGE_WAIT;
}

/* What is closed now is closed with a reset: SO_LINGER of socket(7). */
static void abort_on_close(const struct stream *stream)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(stream->wfd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static enum stage_result reach(struct session *s, nsec now)
{
	char reason[512], text[ENDPOINT_TEXT];
	int r = s->dial ? 0 : begin(s, now);

	if (r < 0)
		return await_means(s, r, now);
	r = dial_step(s->dial);
	if (r == -EAGAIN)
		return STAGE_WAIT;
	if (r < 0 && dial_status(s->dial) == EXIT_RESOURCES)
		return await_means(s, s->dial->error, now);
	if (s->settings->report_fd >= 0)
		report_keep_dial(s, s->dial);
	if (r < 0) {
		session_fail(s, dial_status(s->dial), "%s", dial_reason(s->dial, reason, sizeof reason));
		end_dial(s, true);
		return STAGE_FAILED;
	}
	stream_socket_open(&s->upstream, s->dial->sock, s->dial->lost);
	s->dial->sock = -1;
	diag_step("forwarding %s port %u to %s port %u", endpoint_text(&s->peer, reason),
		  endpoint_port(&s->peer), endpoint_text(&s->dial->peer, text),
		  endpoint_port(&s->dial->peer));
	end_dial(s, false);
	if (s->owner)
		task_wake(s->owner);
	if (set_up(s) < 0)
		return session_fail(s, EXIT_RESOURCES, "%s", strerror(ENOMEM));
	return STAGE_DONE;
}

static void leave_reach(struct session *s)
{
	/* ended before there was an upstream: the client must not take that for an answer */
	if (!s->relaying && s->remote)
		abort_on_close(s->remote);
	end_dial(s, false);
}

/* The side that a failed flow has lost, or NULL. */
static struct stream *lost_side(const struct flow *f)
{
	if (f->state != FLOW_FAILED)
		return NULL;
	return f->culprit == FLOW_SRC ? f->src : f->dst;
}

/* One side is lost: what it had sent still has to arrive at the other, then that is reset, too. */
static enum stage_result wind_up(struct session *s, const struct stream *lost, nsec now)
{
	struct stream *other = lost == s->remote ? s->local : s->remote;
	struct flow *rest = lost == s->remote ? &s->in : &s->out;
	struct flow *vain = lost == s->remote ? &s->out : &s->in;
	int error = vain->error ? vain->error : rest->error;

	flow_cut(vain);
	if (!session_is_gone(error))
		flow_cut(rest);
	if (!flow_over(rest)) {
		session_want_flow(s, rest, now);
		return STAGE_WAIT;
	}
	if (sockopt_unacknowledged(other->wfd) > 0 && !tcpinfo_closed(other->wfd)) {
		session_look_again(s, now);
		return STAGE_WAIT;
	}
	abort_on_close(other);
	return session_fail(s, EXIT_LOST, "%s%s", lost == s->local ? "upstream: " : "",
			    strerror(error == -EPIPE ? ECONNRESET : -error));
}

/*
 * A side that has ended and is still sent to is watched by no flow that reads: when it is lost, by a reset
 * or because keepalive finds nobody, only an error tells. `from` is the flow from that side, `to` the one
 * to it.
 */
static void check_ended_side(struct session *s, const struct flow *from, struct flow *to)
{
	int error = 0, sock = from->src->rfd;
	socklen_t length = sizeof error;

	if (!flow_over(from) || flow_over(to) || !session_got_error(s, sock))
		return;
	getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error == 0 && !tcpinfo_closed(sock))
		return;
	error = error ? error : ECONNRESET;
	if (from->src == s->remote)
		traced_lost(s, error);
	flow_break(to, -error, FLOW_DST);
}

static void want_ended_side(struct session *s, const struct flow *from, const struct flow *to)
{
	if (flow_over(from) && !flow_over(to))
		session_want(s, from->src->rfd, FD_ERROR);
}

static enum stage_result forward(struct session *s, nsec now)
{
	struct stream *lost;
	bool more = session_can_step(s, &s->in) && flow_step(&s->in);

	more |= session_can_step(s, &s->out) && flow_step(&s->out);
	if (more)
		task_wake(&s->task);
	check_ended_side(s, &s->in, &s->out);
	check_ended_side(s, &s->out, &s->in);
	lost = lost_side(&s->in) ? lost_side(&s->in) : lost_side(&s->out);
	if (lost)
		return wind_up(s, lost, now);
	if (flow_over(&s->in) && flow_over(&s->out))
		return STAGE_DONE;
	session_want_flow(s, &s->in, now);
	session_want_flow(s, &s->out, now);
	want_ended_side(s, &s->in, &s->out);
	want_ended_side(s, &s->out, &s->in);
	return STAGE_WAIT;
}

/* Has this direction come to its proper end? */
static bool ended_well(const struct flow *f)
{
	return f->state == FLOW_DONE && !f->cut;
}

/* Ended from outside, by a limit or a signal: to both sides that is a loss, not an end. */
static void leave_forward(struct session *s)
{
	if (!s->relaying || (ended_well(&s->in) && ended_well(&s->out)))
		return;
	abort_on_close(s->remote);
	abort_on_close(s->local);
}

const struct stage stage_reach = {"reach", reach, leave_reach};
const struct stage stage_forward = {"forward", forward, leave_forward};
