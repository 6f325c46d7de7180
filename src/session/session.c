#include "session/session.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "net/tcpinfo.h"
#include "session/progress.h"
#include "session/report.h"
#include "session/traced.h"

/* The pauses between two looks at what is not acknowledged yet. */
#define FIRST_LOOK NSEC_PER_MSEC
#define LAST_LOOK (32 * NSEC_PER_MSEC)

/* The pause before another try to get memory. */
#define MEMORY_PAUSE (50 * NSEC_PER_MSEC)

/* --- what it waits for --- */

/* The watch of `fd`, or a free one: what was forgotten has left gaps in front of others. */
static int find_watch(const struct session *s, int fd)
{
	int free = -1;

	for (int i = SESSION_WATCHES - 1; i >= 0; i--) {
		if (s->watches[i].fd == fd)
			return i;
		if (s->watches[i].fd < 0)
			free = i;
	}
	return free;
}

void session_want(struct session *s, int fd, unsigned events)
{
	int i = find_watch(s, fd);

	if (i < 0)
		return;
	if (s->watches[i].fd < 0)
		watch_init(&s->watches[i], fd, &s->task);
	s->wanted[i] |= events;
}

void session_wake_at(struct session *s, nsec when)
{
	if (when < s->wake_at)
		s->wake_at = when;
}

void session_want_flow(struct session *s, const struct flow *f, nsec now)
{
	if (f->waits & FLOW_SRC)
		session_want(s, f->src->rfd, f->src->rwait);
	if ((f->waits & FLOW_SRC) && f->bulk)
		session_wake_at(s, now + FLOW_PATIENCE);
	if ((f->waits & FLOW_SRC) && stream_pending(f->src))
		task_wake(&s->task);
	if (f->waits & FLOW_DST)
		session_want(s, f->dst->wfd, f->dst->wwait);
	if (f->resume_at)
		session_wake_at(s, f->resume_at);
}

/* Has `events` of `fd`, or a failure, come; or is that not known? */
static bool has_come(const struct session *s, int fd, unsigned events)
{
	const struct watch *w = NULL;

	for (int i = 0; i < SESSION_WATCHES && !w; i++)
		if (s->watches[i].fd == fd)
			w = &s->watches[i];
	/* what the poll set refuses is always ready */
	return !w || w->events == FD_NOTHING || (w->got & (events | FD_ERROR));
}

bool session_can_step(const struct session *s, const struct flow *f)
{
	if (flow_may_go_on(f))
		return true;
	return ((f->waits & FLOW_SRC) && has_come(s, f->src->rfd, f->src->rwait)) ||
	       ((f->waits & FLOW_DST) && has_come(s, f->dst->wfd, f->dst->wwait));
}

void session_look_again(struct session *s, nsec now)
{
	s->settle_pause = s->settle_pause == 0 ? FIRST_LOOK : s->settle_pause * 2;
	if (s->settle_pause > LAST_LOOK)
		s->settle_pause = LAST_LOOK;
	session_wake_at(s, now + s->settle_pause);
}

enum stage_result session_await_memory(struct session *s, nsec now)
{
	if (!s->incoming)
		return session_fail(s, EXIT_RESOURCES, "%s", strerror(ENOMEM));
	session_wake_at(s, now + MEMORY_PAUSE);
	return STAGE_WAIT;
}

bool session_got_error(const struct session *s, int fd)
{
	for (int i = 0; i < SESSION_WATCHES; i++)
		if (s->watches[i].fd == fd && (s->watches[i].got & FD_ERROR))
			return true;
	return false;
}

void session_forget(struct session *s, int fd)
{
	for (int i = 0; i < SESSION_WATCHES; i++) {
		if (fd < 0 || s->watches[i].fd != fd)
			continue;
		watch_for(&s->watches[i], FD_NOTHING);
		watch_init(&s->watches[i], -1, &s->task);
		s->wanted[i] = FD_NOTHING;
	}
}

static void forget_wishes(struct session *s)
{
	memset(s->wanted, 0, sizeof s->wanted);
	s->wake_at = NSEC_NEVER;
}

/* Turns what the stage asked for into watches and a timer. Returns 0 or -errno. */
static int wait_for_wishes(struct session *s)
{
	for (int i = 0; i < SESSION_WATCHES; i++) {
		int r;

		if (s->watches[i].fd < 0)
			continue;
		s->watches[i].got = 0;
		r = watch_for(&s->watches[i], s->wanted[i]);
		if (r < 0)
			return r;
	}
	timer_set(&s->timer, s->wake_at);
	return 0;
}

/* --- its life --- */

uint64_t session_sent(const struct session *s)
{
	return s->out.moved;
}

uint64_t session_received(const struct session *s)
{
	return s->in.moved;
}

bool session_is_gone(int error)
{
	return error == -EPIPE || error == -ECONNRESET || error == -ETIMEDOUT;
}

int session_unacknowledged(const struct session *s)
{
	int queued = sockopt_unacknowledged(s->remote->wfd);
	bool fin = s->settling || (s->relaying && s->out.state == FLOW_DONE && !s->out.withhold_end);

	return queued > 0 && fin ? queued - 1 : queued;
}

/* Who it is with, as it begins each of its messages. */
static const char *words(const struct session *s, char *buf, size_t size)
{
	char text[ENDPOINT_TEXT];

	snprintf(buf, size, "connection %s %s port %u", s->incoming ? "from" : "to",
		 endpoint_text(&s->peer, text), endpoint_port(&s->peer));
	return buf;
}

/* Which side ended which direction, and in what order of events: under -vv. */
static void tell_endings(const struct session *s, const char *who)
{
	static const char *const states[] = {"open", "open", "ended", "failed"};

	if (s->relaying)
		diag_detail("%s: to the peer %s, from the peer %s; %s ended first", who,
			    s->out.cut ? "cut" : states[s->out.state],
			    s->in.cut ? "cut" : states[s->in.state],
			    s->first_end ? s->first_end : "neither");
}

/* Tells under -v how it went, and under -vv what the kernel knows about it. */
static void tell_end(const struct session *s)
{
	struct tcpinfo info;
	char who[128], text[256], sent[32], received[32], speed[32];
	double seconds = (double)(clock_now() - s->began) / NSEC_PER_SEC;
	double bytes = (double)(session_sent(s) + session_received(s));

	if (!s->remote || diag_level() < DIAG_STEPS)
		return;
	words(s, who, sizeof who);
	diag_step("%s: sent %s, received %s in %.3g s, %s/s", who,
		  progress_bytes((double)session_sent(s), sent, sizeof sent),
		  progress_bytes((double)session_received(s), received, sizeof received), seconds,
		  progress_bytes(seconds > 0 ? bytes / seconds : 0, speed, sizeof speed));
	tell_endings(s, who);
	if (diag_level() >= DIAG_DETAILS && tcpinfo_read(s->remote->rfd, &info) == 0 &&
	    !tcpinfo_forgotten(&info))
		diag_detail("%s: %s", who, tcpinfo_words(&info, text, sizeof text));
}

/* The report of --report. That it could not be written is a failure of its own. */
static void report(struct session *s)
{
	int r = s->settings->report_fd < 0 ? 0 : report_write(s, s->settings->report_fd);

	if (r == 0)
		return;
	diag_failure("report: %s", strerror(-r));
	if (!s->status)
		s->status = exitcode_for(r, EXIT_LOCAL);
}

/* The only teardown: stops all waiting, closes what is open, and tells the owner. */
static void end(struct session *s)
{
	progress_finish(s);
	tell_end(s);
	report(s);
	for (; *s->plan; s->plan++)
		if ((*s->plan)->leave)
			(*s->plan)->leave(s);
	traced_finish(s);
	for (int i = 0; i < SESSION_WATCHES; i++)
		session_forget(s, s->watches[i].fd);
	timer_stop(&s->timer);
	task_stop(&s->task);
	if (s->relaying) {
		flow_close(&s->out);
		flow_close(&s->in);
	}
	if (s->local)
		s->local->ops->close(s->local);
	if (s->remote)
		s->remote->ops->close(s->remote);
	free(s->shaping);
	free(s->dialed);
	free(s->failure);
	s->ended(s);
}

void session_end(struct session *s, int status)
{
	if (!s->status)
		s->status = status;
	end(s);
}

enum stage_result session_fail(struct session *s, int status, const char *format, ...)
{
	char who[128], what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	progress_finish(s);
	if (!s->failure)
		s->failure = strdup(what);
	if (s->remote)
		diag_failure("%s: %s", words(s, who, sizeof who), what);
	else
		diag_failure("%s", what);
	if (!s->status)
		s->status = status;
	return STAGE_FAILED;
}

enum stage_result session_output_failed(struct session *s, int error)
{
	if (error != -EPIPE)
		return session_fail(s, exitcode_for(error, EXIT_LOCAL), "write to stdout: %s",
				    strerror(-error));
	session_forget(s, s->local->wfd);
	s->status = EXIT_RAISE + SIGPIPE;
	return STAGE_FAILED;
}

/* What has moved and is not waiting in the kernel, on its way to the peer or the upstream. */
static uint64_t delivered(const struct session *s)
{
	int queued = sockopt_unacknowledged(s->remote->wfd);

	if (s->local && s->local == &s->upstream.stream)
		queued += sockopt_unacknowledged(s->local->wfd);
	return s->in.moved + s->out.moved - (uint64_t)queued;
}

static void start_idle_clock(struct session *s, nsec now)
{
	s->progress = s->in.moved + s->out.moved;
	s->delivered = delivered(s);
	s->idle_since = now;
}

/* No byte for too long? Starts the idle clock anew whenever something has moved. */
static enum stage_result check_idle(struct session *s, nsec now)
{
	nsec limit = s->settings->idle_timeout;
	char text[32];

	if (limit == 0 || !s->remote)
		return STAGE_DONE;
	if (s->in.moved + s->out.moved != s->progress || s->idle_since == 0)
		start_idle_clock(s, now);
	/* a full send queue takes nothing for long, and yet the peer is reading */
	else if (now >= clock_after(s->idle_since, limit) && delivered(s) != s->delivered)
		start_idle_clock(s, now);
	if (now >= clock_after(s->idle_since, limit))
		return session_fail(s, EXIT_TIMEDOUT, "no byte in either direction for %s (--idle-timeout)",
				    clock_words(limit, text, sizeof text));
	session_wake_at(s, clock_after(s->idle_since, limit));
	return STAGE_DONE;
}

/* Has one of the limits that hold in every stage passed? */
static enum stage_result check_limits(struct session *s, nsec now)
{
	if (now >= s->settings->deadline)
		return session_fail(s, EXIT_TIMEDOUT, "the time for the whole run is over (--deadline)");
	session_wake_at(s, s->settings->deadline);
	return check_idle(s, now);
}

/* Notes what only the moment shows: the first byte, and who ended first. */
static void note_events(struct session *s, nsec now)
{
	if (s->first_byte == 0 && s->in.moved > 0)
		s->first_byte = now;
	if (!s->relaying || s->first_end)
		return;
	if (flow_over(&s->in))
		s->first_end = "the peer";
	else if (flow_over(&s->out))
		s->first_end = s->incoming && s->settings->host ? "the upstream" : "this side";
}

/* Steps the plan until it waits, fails or has come to its end. */
static enum stage_result advance(struct session *s)
{
	nsec now = clock_now();
	enum stage_result r;

	do {
		forget_wishes(s);
		r = (*s->plan)->step(s, now);
		note_events(s, now);
		if (r != STAGE_DONE)
			break;
		if ((*s->plan)->leave)
			(*s->plan)->leave(s);
		s->plan++;
	} while (*s->plan);
	if (r != STAGE_WAIT)
		return r;
	r = check_limits(s, now);
	return r == STAGE_DONE ? STAGE_WAIT : r;
}

static void run(struct task *task)
{
	struct session *s = list_entry(task, struct session, task);
	enum stage_result r = advance(s);
	int e;

	if (r == STAGE_WAIT) {
		e = wait_for_wishes(s);
		if (e == 0)
			return;
		session_fail(s, exitcode_for(e, EXIT_LOCAL), "cannot wait: %s", strerror(-e));
	}
	end(s);
}

void session_start(struct session *s, const struct session_settings *settings, uint64_t number,
		   int sock, const struct endpoint *peer, void (*ended)(struct session *))
{
	const char *refused; /* tried before: what fails now is no reason to lose the connection */

	memset(s, 0, sizeof *s);
	s->settings = settings;
	s->ended = ended;
	s->number = number;
	s->plan = settings->plan;
	s->began = clock_now();
	s->quit_at = NSEC_NEVER;
	list_init(&s->link);
	list_init(&s->turn_link);
	list_init(&s->upstream_link);
	task_init(&s->task, run);
	timer_init(&s->timer, &s->task);
	for (int i = 0; i < SESSION_WATCHES; i++)
		watch_init(&s->watches[i], -1, &s->task);
	s->incoming = sock >= 0;
	if (sock >= 0) {
		sockopts_set(sock, peer->any.sa_family, settings->options, &refused);
		session_connected(s, sock, 0, peer);
	}
	task_wake(&s->task);
}

void session_connected(struct session *s, int sock, int lost, const struct endpoint *peer)
{
	s->peer = *peer;
	stream_socket_open(&s->sock, sock, lost);
	s->remote = &s->sock.stream;
	if (traced_begin(s) < 0)
		diag_failure("trace: %s", strerror(ENOMEM));
}
