/*
 * COMMAND relayed: it has one end of a socket pair as stdin and stdout, and two flows run
 * between the other end and the connection, so that traces, limits, filters and TLS see the bytes. The pair
 * ends when the last process that holds the command's end has closed it.
 *
 *     connection leg  <---- out ----  pair  <----  COMMAND's stdout
 *                      ----- in ---->       ---->  COMMAND's stdin
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/fd.h"
#include "session/command.h"
#include "session/quit.h"
#include "session/session.h"

struct relaying {
	struct child child;
	bool told;  /* the command's end has been recorded */
	int error;  /* -errno that the connection was lost with; 0: it was not */
};

/* Input is of no more use, which is no failure, not even of its flow: what still comes is dropped. */
static void input_unwanted(struct session *s)
{
	flow_dismiss(&s->in);
	s->drop_input = true;
}

/* Nothing more goes to or from the command, which finds end-of-file, and EPIPE when it writes. */
static void end_pair(struct session *s, const struct leg *pair)
{
	shutdown(leg_socket(pair), SHUT_RDWR);
	flow_cut(&s->in);
	flow_cut(&s->out);
}

/* Makes the pair, starts the command on one end and joins the other. Returns 0 or -errno. */
static int relay_start(struct session *s, struct leg *pair, struct relaying *st)
{
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	r = command_start(s, &st->child, ends[1]);
	close(ends[1]);
	if (r < 0) {
		close(ends[0]);
		return r;
	}
	stream_pair_open(&pair->socket.stream, ends[0]);
	pair->top = &pair->socket.stream;
	r = session_join(s);
	if (s->settings->send_only) {
		input_unwanted(s);
		pair->top->ops->shut(pair->top);
	}
	return r;
}

/*
 * What the failures of the flows mean. The pair: the command has closed its end, which is an end. The
 * connection: what came before is still given to the command, which then finds end-of-file; but that the
 * connection was lost is the session's failure in the end, whatever the command makes of it.
 */
static void relay_check_flows(struct session *s, struct leg *pair, struct relaying *st)
{
	struct flow *in = &s->in, *out = &s->out;

	if (in->state == FLOW_FAILED && in->culprit == FLOW_DST && !s->drop_input)
		input_unwanted(s);
	if (out->state == FLOW_FAILED && out->culprit == FLOW_DST && !st->error)
		st->error = out->error;
	if (in->state == FLOW_FAILED && in->culprit == FLOW_SRC && !st->error)
		st->error = in->error;
	/* memory, for instance: what the command still has to say is lost */
	if (out->state == FLOW_FAILED && out->culprit == FLOW_SRC && !st->error)
		st->error = out->error;
	if (st->error && (flow_over(in) || !stream_is_lost(st->error)))
		end_pair(s, pair);
}

/* No flow reads from a peer that has ended: that it is lost shows as an error event only. */
static void relay_check_lost(struct session *s, struct leg *connection)
{
	int sock = leg_socket(connection), error;

	if (!flow_over(&s->in) || flow_over(&s->out) || s->drop_input)
		return;
	session_want(s, sock, FD_ERROR);
	error = session_got_error(s, sock) ? leg_take_error(connection) : 0;
	if (error)
		flow_break(&s->out, error, FLOW_DST);
}

/* While nothing more goes to the command, input is read and dropped, so that the peer is not held up. */
static void relay_drop(struct session *s, struct stream *connection)
{
	char sink[16384];

	for (int i = 0; s->drop_input && i < 4; i++) {
		ssize_t got = connection->ops->read(connection, sink, sizeof sink);

		if (got == -EAGAIN) {
			session_want_stream(s, connection, STREAM_READ);
			return;
		}
		s->drop_input = got > 0;
	}
	if (s->drop_input)
		task_wake(&s->task);
}

/* All that the command has written is on its way, and it has ended. */
static enum stage_result relay_over(struct session *s, const struct relaying *st)
{
	if (!flow_over(&s->in))
		input_unwanted(s);
	if (!st->error)
		return STAGE_DONE;
	s->status = 0;
	return session_fail_connection(s, STREAM_WRITE, st->error);
}

static enum stage_result relay_step(struct session *s, struct leg *pair, void *state, nsec now)
{
	struct leg *connection = session_beside(s, pair);
	struct relaying *st = state;
	int r = st->child.pid ? 0 : relay_start(s, pair, st);

	if (r < 0 && !st->child.pid)
		return command_cannot_start(s, r, now);
	if (r < 0)
		return session_fail(s, EXIT_RESOURCES, "%s", strerror(-r));
	if (st->child.ended && !st->told)
		command_take_status(s, &st->child);
	st->told = st->child.ended;
	session_step_flows(s);
	relay_check_lost(s, connection);
	relay_check_flows(s, pair, st);
	if (quit_is_due(s, now))
		end_pair(s, pair);
	if (flow_over(&s->out) && st->child.ended)
		return relay_over(s, st);
	if (s->drop_input)
		relay_drop(s, connection->top);
	session_want_flow(s, &s->in, now);
	session_want_flow(s, &s->out, now);
	return STAGE_WAIT;
}

static void relay_leave(struct session *s, struct leg *pair, void *state)
{
	struct relaying *st = state;

	(void)pair; /* open until the session is over: reports ask it what has happened */
	command_leave_child(s, &st->child);
}

const struct stage stage_relay = {"relay", sizeof(struct relaying), relay_step, relay_leave};
