#include "session/session.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "net/sockopt.h"
#include "net/sockopt_table.h"
#include "observe/progress.h"
#include "observe/report.h"
#include "observe/summary.h"
#include "session/establish.h"
#include "session/facts.h"
#include "session/limits.h"
#include "trace/traced.h"

/* The pause before another try to get memory. */
#define MEMORY_PAUSE (50 * NSEC_PER_MSEC)

/* --- failures --- */

/* The session's peer, as each of its messages begins. */
static const char *session_words(const struct session *s, char *buf, size_t size)
{
	char text[ENDPOINT_TEXT];

	snprintf(buf, size, "connection %s %s port %u", s->incoming ? "from" : "to",
		 endpoint_text(&s->peer, text), endpoint_port(&s->peer));
	return buf;
}

/*
 * The level of the message: a server always reports failures of this machine, others as the settings say.
 */
static int failure_level(const struct session *s)
{
	bool here = s->incoming && (s->status == EXIT_LOCAL || s->status == EXIT_RESOURCES);

	return here ? DIAG_FAILURES : s->settings->failures;
}

/* Tells the failure: that of a connection with its peer in front. */
static void session_tell_failure(const struct session *s, const char *what)
{
	char who[128];

	if (!what || diag_level() < failure_level(s))
		return;
	if (s->legs[LEG_CONNECTION].top)
		diag_failure("%s: %s", session_words(s, who, sizeof who), what);
	else
		diag_failure("%s", what);
}

enum stage_result session_fail(struct session *s, int status, const char *format, ...)
{
	struct session_notes *n = session_notes(s);
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	if (n && !n->failure)
		n->failure = strdup(what);
	if (!s->status)
		s->status = (int16_t)status;
	/* without memory to keep the words they are printed now */
	if (!n || !n->failure)
		session_tell_failure(s, what);
	s->failed = true;
	return STAGE_FAILED;
}

enum stage_result session_fail_stream(struct session *s, const struct stream *stream, enum stream_half half,
				      int error)
{
	char words[400];
	int status = stream_explain(stream, half, error, words, sizeof words);

	return session_fail(s, status, "%s", words);
}

enum stage_result session_fail_connection(struct session *s, enum stream_half half, int error)
{
	char words[400];
	int status = stream_explain(s->legs[LEG_CONNECTION].top, half, error, words, sizeof words);
	int lost = session_unacknowledged(s);

	if (lost > 0)
		return session_fail(s, status, "%s (bytes sent and not acknowledged: %d)", words, lost);
	return session_fail(s, status, "%s", words);
}

enum stage_result session_fail_output(struct session *s, int error)
{
	const struct stream *local = s->legs[LEG_OTHER].top;

	if (error != -EPIPE)
		return session_fail_stream(s, local, STREAM_WRITE, error);
	session_forget(s, local->wfd);
	s->status = EXIT_RAISE + SIGPIPE;
	return STAGE_FAILED;
}

enum stage_result session_await_memory(struct session *s, nsec now)
{
	if (!s->incoming)
		return session_fail(s, EXIT_RESOURCES, "%s", strerror(ENOMEM));
	diag_once(DIAG_ONCE_MEMORY, "out of memory; will retry");
	session_wake_at(s, now + MEMORY_PAUSE);
	return STAGE_WAIT;
}

/* --- parts --- */

struct session_notes *session_notes(struct session *s)
{
	if (s->notes)
		return s->notes;
	s->notes = calloc(1, sizeof *s->notes);
	if (s->notes)
		watch_init(&s->notes->watch, -1, &s->task);
	return s->notes;
}

void session_tidy_notes(struct session *s)
{
	struct session_notes none;

	memset(&none, 0, sizeof none);
	watch_init(&none.watch, -1, &s->task);
	if (!s->notes || memcmp(s->notes, &none, sizeof none) != 0)
		return;
	free(s->notes);
	s->notes = NULL;
}

struct leg *session_beside(struct session *s, const struct leg *leg)
{
	return &s->legs[leg == &s->legs[LEG_CONNECTION] ? LEG_OTHER : LEG_CONNECTION];
}

/* Puts the stream that writes a trace on top of the connection leg, if one was asked for. */
static void session_trace(struct session *s, struct leg *leg)
{
	struct session_notes *n = s->settings->trace ? session_notes(s) : NULL;
	struct endpoint local;

	if (!s->settings->trace)
		return;
	if (endpoint_of_local(leg_socket(leg), &local) < 0)
		endpoint_any(AF_INET, &local);
	if (n)
		n->traced = traced_open(s->settings->trace, leg->top, s->number, s->incoming, &local, &s->peer);
	if (n && n->traced)
		leg->top = traced_stream(n->traced);
	else
		diag_failure("trace: %s", strerror(ENOMEM));
}

int session_join(struct session *s)
{
	struct stream *connection = s->legs[LEG_CONNECTION].top, *other = s->legs[LEG_OTHER].top;

	flow_init(&s->out, other, connection);
	flow_init(&s->in, connection, other);
	if (filters_apply(s) < 0)
		return -ENOMEM;
	s->joined = true;
	return 0;
}

/*
 * A connection tells of its loss once: what writing was told, reading would have been told behind the last bytes,
 * and finds a mere end-of-file there. EPIPE is not such news: that connection was lost behind the peer's end.
 */
static void session_share_loss(const struct flow *f, struct flow *back)
{
	if (f->state == FLOW_FAILED && f->culprit == FLOW_DST && f->dst == back->src && !back->lost &&
	    (f->error == -ECONNRESET || f->error == -ETIMEDOUT))
		back->lost = f->error;
}

void session_step_flows(struct session *s)
{
	bool more = session_may_step(s, &s->in) && flow_step(&s->in);

	session_share_loss(&s->in, &s->out);
	more |= session_may_step(s, &s->out) && flow_step(&s->out);
	session_share_loss(&s->out, &s->in);
	if (more)
		task_wake(&s->task);
}

int session_unacknowledged(const struct session *s)
{
	int queued = sockopt_unacknowledged(leg_socket(&s->legs[LEG_CONNECTION]));
	bool fin = s->shut || (s->joined && s->out.state == FLOW_DONE && !s->out.withhold_end);

	/* a FIN is no byte */
	return queued > 0 && fin ? queued - 1 : queued;
}

/* --- its life --- */

/* The time from the beginning to now, from 1 up to what the field holds (71 minutes). */
static uint32_t first_byte_us(const struct session *s, nsec now)
{
	nsec us = (now - s->began) / 1000;

	return us < 1 ? 1 : us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* Records when the first byte came, and which side ended first. */
static void note_events(struct session *s, nsec now)
{
	if (s->first_byte_us == 0 && s->in.moved > 0)
		s->first_byte_us = first_byte_us(s, now);
	if (!s->joined || s->first_end)
		return;
	if (flow_over(&s->in))
		s->first_end = SIDE_PEER;
	else if (flow_over(&s->out))
		s->first_end = SIDE_OTHER;
}

void session_leave_stage(struct session *s)
{
	if (s->entered && s->plan->stage->leave)
		s->plan->stage->leave(s, &s->legs[s->plan->leg], s->state);
	free(s->state);
	s->state = NULL;
	s->entered = false;
}

/* Steps the present stage, which gets its state before the first step. */
static enum stage_result step_stage(struct session *s, nsec now)
{
	const struct stage *stage = s->plan->stage;
	enum stage_result r = STAGE_DONE;

	if (s->plan->establishes)
		r = establish_step(s, now);
	if (r != STAGE_DONE)
		return r;
	if (!s->entered && stage->room) {
		s->state = calloc(1, stage->room);
		if (!s->state)
			return session_await_memory(s, now);
	}
	s->entered = true;
	r = stage->step(s, &s->legs[s->plan->leg], s->state, now);
	return r == STAGE_RETRY ? establish_again(s, now) : r;
}

static void next_stage(struct session *s)
{
	session_leave_stage(s);
	s->plan++;
	s->pause_ms = 0;
	if (s->plan->establishes)
		return;
	establish_end(s);
	/* what a trace shows begins behind the last handshake */
	if (s->plan[-1].establishes && s->plan[-1].leg == LEG_CONNECTION)
		session_trace(s, &s->legs[LEG_CONNECTION]);
}

/* Steps the plan until it waits, fails or has come to its end. */
static enum stage_result session_advance(struct session *s)
{
	nsec now = clock_now();
	enum stage_result r;

	do {
		waiting_clear(s);
		r = step_stage(s, now);
		note_events(s, now);
		if (r == STAGE_DONE)
			next_stage(s);
	} while (r == STAGE_DONE && s->plan->stage);
	if (r != STAGE_WAIT)
		return r;
	if (s->settings->progress && s->joined)
		session_draw(s, now);
	return limits_check(s, now);
}

/* The report of --report. That it could not be written is a failure of its own. */
static void session_report(struct session *s)
{
	struct facts facts;
	int r;

	if (s->settings->report_fd < 0)
		return;
	session_facts(s, &facts);
	r = report_write(&facts, s->settings->report_fd);
	if (r == 0)
		return;
	diag_failure("report: %s", strerror(-r));
	if (!s->status)
		s->status = (int16_t)exitcode_for(r, EXIT_LOCAL);
}

/* Prints the summary, under -v. */
static void session_tell_end(const struct session *s)
{
	struct facts facts;
	char who[128];

	if (!s->legs[LEG_CONNECTION].top || diag_level() < DIAG_STEPS)
		return;
	session_facts(s, &facts);
	summary_tell(&facts, session_words(s, who, sizeof who));
}

static void notes_free(struct session_notes *n)
{
	if (!n)
		return;
	free(n->filters);
	free(n->dialed);
	free(n->failure);
	free(n);
}

/* Stops all waiting and releases what the session owns. */
static void session_tear_down(struct session *s)
{
	if (s->notes && s->notes->traced)
		traced_finish(s->notes->traced, s->legs[LEG_CONNECTION].socket.lost,
			      s->notes->failure ? s->notes->failure : "closed");
	waiting_end(s);
	timer_stop(&s->timer);
	task_stop(&s->task);
	if (s->joined) {
		flow_close(&s->out);
		flow_close(&s->in);
	}
	leg_close(&s->legs[LEG_OTHER]);
	leg_close(&s->legs[LEG_CONNECTION]);
	establish_end(s);
}

/* The only end: reports it, tears down, and calls `ended`, which may read the notes. */
static void session_over(struct session *s)
{
	struct session_notes *notes;

	if (s->settings->progress)
		session_draw_last(s);
	session_tell_failure(s, s->notes ? s->notes->failure : NULL);
	session_tell_end(s);
	session_report(s);
	session_leave_stage(s);
	session_tear_down(s);
	notes = s->notes;
	s->settings->ended(s);
	notes_free(notes);
}

void session_end(struct session *s, int status)
{
	if (!s->status)
		s->status = (int16_t)status;
	session_over(s);
}

static void session_run(struct task *task)
{
	struct session *s = list_entry(task, struct session, task);
	enum stage_result r = session_advance(s);
	int e;

	if (r == STAGE_WAIT) {
		e = waiting_apply(s);
		if (e == 0)
			return;
		session_fail(s, exitcode_for(e, EXIT_LOCAL), "cannot wait: %s", strerror(-e));
	}
	session_over(s);
}

void session_start(struct session *s, const struct session_settings *settings, uint64_t number, int sock,
		   const struct endpoint *peer)
{
	const char *refused; /* tried before: what fails now is no reason to lose the connection */

	memset(s, 0, sizeof *s);
	s->settings = settings;
	s->number = (uint32_t)number;
	s->plan = settings->plan;
	s->began = clock_now();
	list_init(&s->link);
	task_init(&s->task, session_run);
	timer_init(&s->timer, &s->task);
	for (int i = 0; i < SESSION_WATCHES; i++)
		watch_init(&s->watches[i], -1, &s->task);
	s->incoming = sock >= 0;
	if (sock >= 0) {
		s->peer = *peer;
		sockopts_set(sock, peer->any.sa_family, settings->options, &refused);
		leg_open(&s->legs[LEG_CONNECTION], sock, 0);
		session_trace(s, &s->legs[LEG_CONNECTION]);
	}
	task_wake(&s->task);
}
