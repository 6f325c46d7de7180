/* From a host and a port to a connected leg: the first stage of a client, and of a forwarded connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "net/shared_lookup.h"
#include "session/establish.h"
#include "session/session.h"

/* The pause before another try when descriptors, processes or memory to reach the upstream had run out. */
#define RESOURCES_PAUSE (50 * NSEC_PER_MSEC)

struct connecting {
	struct dial *dial; /* NULL until it has been started */
	struct lookup_waiter waiter;
};

/* Starts to dial. Returns 0 or -errno. */
static int connect_begin(struct session *s, struct connecting *c, nsec now)
{
	const struct session_settings *settings = s->settings;
	const struct lookup *known;
	int r;

	c->dial = malloc(sizeof *c->dial);
	if (!c->dial)
		return -ENOMEM;
	dial_start(c->dial, settings->dial, settings->host, settings->port, establish_until(s), &s->task);
	if (!settings->lookup)
		return 0;
	c->waiter.task = &s->task;
	known = shared_lookup_use(settings->lookup, &c->waiter, now, &r);
	if (known)
		dial_use(c->dial, known);
	return r;
}

/* Ends the dial; `failed`: none of the addresses could be reached. */
static void connect_end(struct session *s, struct connecting *c, bool failed)
{
	if (!c->dial)
		return;
	if (s->settings->lookup && failed)
		shared_lookup_forget(s->settings->lookup);
	shared_lookup_leave(&c->waiter);
	dial_close(c->dial);
	free(c->dial);
	c->dial = NULL;
}

/* Keeps what reports and --check tell of the dial. */
static void keep_record(struct session *s, const struct dial *d)
{
	struct session_notes *n = s->incoming && s->settings->report_fd < 0 ? NULL : session_notes(s);

	if (!n)
		return;
	free(n->dialed);
	n->dialed = dial_keep(d);
}

/*
 * Descriptors, processes or memory have run out. For an accepted connection that says nothing of its
 * upstream: it waits until others have given some back. A client has no others.
 */
static enum stage_result connect_await(struct session *s, struct connecting *c, int error, nsec now)
{
	char words[400];

	if (!s->incoming) {
		keep_record(s, c->dial);
		session_fail(s, EXIT_RESOURCES, "%s: %s", dial_words(c->dial, words, sizeof words),
			     strerror(-error));
		return STAGE_FAILED;
	}
	connect_end(s, c, false);
	diag_once(DIAG_ONCE_UPSTREAM, "cannot reach %s: %s; will retry", s->settings->host, strerror(-error));
	session_wake_at(s, now + RESOURCES_PAUSE);
	return STAGE_WAIT;
}

/* An upstream that cannot be reached is reported once without -v: it concerns all connections. */
static void tell_unreachable(const struct session *s, const char *what, const char *why)
{
	if (s->incoming && diag_level() < DIAG_STEPS)
		diag_once(DIAG_ONCE_UPSTREAM, "%s: %s", what, why);
}

static enum stage_result connect_failed(struct session *s, struct connecting *c)
{
	struct dial *d = c->dial;
	char words[400];

	keep_record(s, d);
	dial_words(d, words, sizeof words);
	tell_unreachable(s, words, dial_reason(d));
	if (d->out_of_time)
		return establish_time_is_up(s, words);
	session_fail(s, dial_status(d), "%s: %s", words, dial_reason(d));
	connect_end(s, c, true);
	return STAGE_RETRY;
}

static void tell_connected(const struct session *s, const struct endpoint *to)
{
	char text[ENDPOINT_TEXT], from[ENDPOINT_TEXT];

	endpoint_text(to, text);
	if (s->incoming)
		diag_step("forwarding %s port %u to %s port %u", endpoint_text(&s->peer, from),
			  endpoint_port(&s->peer), text, endpoint_port(to));
	else
		diag_step("connected to %s port %u", text, endpoint_port(to));
}

static enum stage_result connect_done(struct session *s, struct leg *leg, struct connecting *c)
{
	struct dial *d = c->dial;

	keep_record(s, d);
	if (!s->incoming)
		s->peer = d->peer;
	leg_open(leg, d->sock, d->lost);
	d->sock = -1;
	tell_connected(s, &d->peer);
	return STAGE_DONE;
}

/* The client of a forwarded connection may have reset it meanwhile: then nothing is left to dial for. */
static bool client_has_gone(struct session *s, const struct leg *leg)
{
	struct leg *client = session_beside(s, leg);
	int sock = leg_socket(client), error;

	if (sock < 0)
		return false;
	session_want(s, sock, FD_ERROR);
	if (!session_got_error(s, sock))
		return false;
	error = leg_take_error(client);
	session_fail_connection(s, STREAM_READ, error ? error : -ECONNRESET);
	return true;
}

static enum stage_result connect_step(struct session *s, struct leg *leg, void *state, nsec now)
{
	struct connecting *c = state;
	int r;

	if (client_has_gone(s, leg))
		return STAGE_FAILED;
	r = c->dial ? 0 : connect_begin(s, c, now);
	if (r == -ENOMEM)
		return session_await_memory(s, now);
	if (r < 0)
		return connect_await(s, c, r, now);
	r = dial_step(c->dial);
	if (r == -EAGAIN)
		return STAGE_WAIT;
	if (r < 0 && !c->dial->out_of_time && dial_status(c->dial) == EXIT_RESOURCES)
		return connect_await(s, c, c->dial->error, now);
	return r < 0 ? connect_failed(s, c) : connect_done(s, leg, c);
}

static void connect_leave(struct session *s, struct leg *leg, void *state)
{
	struct leg *client = session_beside(s, leg);

	connect_end(s, state, false);
	/* the session ends without an upstream: the client gets a reset, which cannot be taken for an answer */
	if (!leg->top && client->top && (s->failed || s->status))
		leg_abort_on_close(client);
}

const struct stage stage_connect = {"connect", sizeof(struct connecting), connect_step, connect_leave};
