/*
 * Forwarding: a client that came in, its upstream, and the same two flows between them. An end-of-file of
 * one side is passed on as one; so is the loss of a side, as a reset, once all that it had sent has
 * arrived: no side takes a broken stream for a whole one.
 */
#include <errno.h>
#include <string.h>

#include "base/exitcode.h"
#include "net/sockopt.h"
#include "net/tcpinfo.h"
#include "session/quit.h"
#include "session/session.h"

/* How often to poll for acknowledgements: 1 ms, doubling to 32 ms. */
#define LOOK_MOST_MS 32

/* The leg that a failed flow has lost, or NULL. */
static struct leg *forward_lost(struct session *s, const struct flow *f)
{
	struct stream *lost = f->culprit == FLOW_SRC ? f->src : f->dst;

	if (f->state != FLOW_FAILED)
		return NULL;
	return &s->legs[lost == s->legs[LEG_CONNECTION].top ? LEG_CONNECTION : LEG_OTHER];
}

/* One side is lost: what it had sent still has to arrive at the other, then that is reset, too. */
static enum stage_result wind_up(struct session *s, const struct leg *lost, nsec now)
{
	bool client = lost == &s->legs[LEG_CONNECTION];
	struct leg *other = session_beside(s, lost);
	struct flow *rest = client ? &s->in : &s->out, *vain = client ? &s->out : &s->in;
	int error = vain->error ? vain->error : rest->error, sock = leg_socket(other);
	char words[200];
	int status;

	flow_cut(vain);
	if (!stream_is_lost(error))
		flow_cut(rest);
	if (!flow_over(rest)) {
		session_want_flow(s, rest, now);
		return STAGE_WAIT;
	}
	if (sockopt_unacknowledged(sock) > 0 && !tcpinfo_closed(sock)) {
		session_look_again(s, now, LOOK_MOST_MS);
		return STAGE_WAIT;
	}
	leg_abort_on_close(other);
	status = stream_explain(lost->top, STREAM_READ, error, words, sizeof words);
	return session_fail(s, status, "%s%s", client ? "" : "upstream: ", words);
}

/*
 * No flow reads from a side that has ended and is still sent to: its loss, by a reset or keepalive, shows
 * as an error event only. `from` is the flow from that leg, `to` the one to it.
 */
static void check_ended_side(struct session *s, struct leg *leg, const struct flow *from, struct flow *to)
{
	int sock = leg_socket(leg), error;

	if (!flow_over(from) || flow_over(to))
		return;
	session_want(s, sock, FD_ERROR);
	if (!session_got_error(s, sock))
		return;
	error = leg_take_error(leg);
	if (error == 0 && !tcpinfo_closed(sock))
		return;
	flow_break(to, error ? error : -ECONNRESET, FLOW_DST);
}

/* -q has run out: ends the direction that is left. */
static void forward_quit(struct session *s)
{
	flow_cut(&s->in);
	flow_cut(&s->out);
}

static enum stage_result forward_step(struct session *s, struct leg *upstream, void *state, nsec now)
{
	struct leg *client = session_beside(s, upstream), *lost;

	(void)state;
	if (!s->joined && session_join(s) < 0)
		return session_await_memory(s, now);
	session_step_flows(s);
	check_ended_side(s, client, &s->in, &s->out);
	check_ended_side(s, upstream, &s->out, &s->in);
	lost = forward_lost(s, &s->in);
	if (!lost)
		lost = forward_lost(s, &s->out);
	if (lost)
		return wind_up(s, lost, now);
	if (quit_is_due(s, now))
		forward_quit(s);
	if (flow_over(&s->in) && flow_over(&s->out))
		return STAGE_DONE;
	session_want_flow(s, &s->in, now);
	session_want_flow(s, &s->out, now);
	return STAGE_WAIT;
}

/* True when this direction has ended with the end-of-file of its source. */
static bool ended_well(const struct flow *f)
{
	return f->state == FLOW_DONE && !f->cut;
}

/* Ended by a limit or a signal: both sides get a reset, which cannot be taken for an end. */
static void forward_leave(struct session *s, struct leg *upstream, void *state)
{
	(void)state;
	if (!s->joined || (ended_well(&s->in) && ended_well(&s->out)))
		return;
	leg_abort_on_close(session_beside(s, upstream));
	leg_abort_on_close(upstream);
}

const struct stage stage_forward = {"forward", 0, forward_step, forward_leave};
