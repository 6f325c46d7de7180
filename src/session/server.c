#include "session/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "loop/signals.h"

/* Without descriptors or memory nothing can be accepted: so long is the pause before another try. */
#define EXHAUSTED_PAUSE (100 * NSEC_PER_MSEC)

struct server {
	const struct server_settings *settings;
	struct listener *listener;
	struct task task;
	struct timer timer;
	struct list sessions;
	struct turn turn;
	int active;       /* how many sessions there are */
	bool accepting;   /* the listener is open */
	bool exhausted;   /* said so already */
	nsec paused_until, wait_ends, drain_ends;
	int ended_by;     /* the signal that stopped it, or 0 */
	int status;
};

/* list_entry cannot lead from a session to its server: each session carries the way. */
struct served {
	struct session session;
	struct server *server;
};

static void wait_anew(struct server *v)
{
	nsec wait = v->settings->wait;

	v->wait_ends = wait ? clock_after(clock_now(), wait) : NSEC_NEVER;
}

static void stop_accepting(struct server *v)
{
	v->accepting = false;
	listener_close(v->listener);
}

static void finish(struct server *v, int status)
{
	v->status = status;
	loop_stop();
}

/* A session is over: forget it, and see what that means. */
static void session_ended(struct session *s)
{
	struct served *served = list_entry(s, struct served, session);
	struct server *v = served->server;

	list_remove(&s->link);
	v->active--;
	/* with -k sessions report for themselves, but without stdout there is nothing left to serve */
	if (!v->settings->keep_open || s->status > EXIT_SIGNAL)
		finish(v, s->status);
	if (v->active == 0)
		wait_anew(v);
	free(served);
	task_wake(&v->task);
}

static int count_from(const struct server *v, const struct endpoint *peer)
{
	int n = 0;

	for (struct list *l = v->sessions.next; l != &v->sessions; l = l->next)
		n += endpoint_same_host(&list_entry(l, struct session, link)->peer, peer);
	return n;
}

/* Makes an accepted connection a session, or closes it. */
static void serve(struct server *v, int sock, const struct endpoint *peer)
{
	const struct server_settings *settings = v->settings;
	struct served *served;
	char text[ENDPOINT_TEXT];

	if (settings->max_per_host && count_from(v, peer) >= settings->max_per_host) {
		diag_step("refused %s port %u: it has %d connections (--max-per-host)",
			  endpoint_text(peer, text), endpoint_port(peer), (int)settings->max_per_host);
		fd_close(&sock);
		return;
	}
	served = malloc(sizeof *served);
	if (!served) {
		diag_failure("refused %s port %u: %s", endpoint_text(peer, text), endpoint_port(peer),
			     strerror(ENOMEM));
		fd_close(&sock);
		return;
	}
	diag_step("connection from %s port %u", endpoint_text(peer, text), endpoint_port(peer));
	served->server = v;
	session_start(&served->session, settings->session, sock, peer, session_ended);
	served->session.turn = &v->turn;
	list_append(&v->sessions, &served->session.link);
	v->active++;
	if (!settings->keep_open)
		stop_accepting(v);
}

/* There is a connection, but not the means to take it: leave the backlog alone for a moment. */
static void pause_accepting(struct server *v, int error, nsec now)
{
	if (!v->exhausted)
		diag_failure("cannot accept: %s; waiting for better times", strerror(-error));
	v->exhausted = true;
	v->paused_until = clock_after(now, EXHAUSTED_PAUSE);
}

static bool may_accept(const struct server *v, nsec now)
{
	return v->accepting && v->active < v->settings->max_connections && now >= v->paused_until;
}

/* Accepts what waits, as far as there is room. */
static void accept_waiting(struct server *v, nsec now)
{
	struct endpoint peer;

	while (may_accept(v, now)) {
		int sock = listener_accept(v->listener, &peer);

		if (sock == -EAGAIN)
			return;
		if (sock >= 0) {
			v->exhausted = false;
			serve(v, sock, &peer);
		} else if (exitcode_for(sock, EXIT_LISTEN) == EXIT_RESOURCES) {
			pause_accepting(v, sock, now);
		} else {
			diag_failure("accept: %s", strerror(-sock));
			finish(v, EXIT_LISTEN);
			return;
		}
	}
}

/* SIGTERM and SIGINT: accept no more; those that are served have the time to drain. */
static void check_signals(struct server *v, nsec now)
{
	static const int deadly[] = {SIGTERM, SIGINT};

	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
		if (!signals_taken(deadly[i]))
			continue;
		/* the second one means now */
		v->drain_ends = v->ended_by ? now : clock_after(now, v->settings->drain);
		v->ended_by = deadly[i];
		if (v->accepting)
			stop_accepting(v);
	}
	if (v->ended_by && (v->active == 0 || now >= v->drain_ends))
		finish(v, EXIT_SIGNAL + v->ended_by);
}

/* The limits while nobody is served: -w and --deadline. */
static void check_limits(struct server *v, nsec now)
{
	char text[32];

	if (!v->accepting || v->active > 0)
		return;
	if (now >= v->settings->session->deadline) {
		diag_failure("the time for the whole run is over (--deadline)");
		finish(v, EXIT_TIMEDOUT);
	} else if (now >= v->wait_ends) {
		diag_failure("no connection within %s (--timeout)",
			     clock_words(v->settings->wait, text, sizeof text));
		finish(v, EXIT_TIMEDOUT);
	}
}

/* Wakes the server for the next thing that only time brings. */
static void set_timer(struct server *v, nsec now)
{
	nsec next = v->ended_by ? v->drain_ends : NSEC_NEVER;

	if (v->accepting && v->active == 0) {
		nsec limit = v->settings->session->deadline;

		next = limit < next ? limit : next;
		next = v->wait_ends < next ? v->wait_ends : next;
	}
	if (v->accepting && v->paused_until > now && v->paused_until < next)
		next = v->paused_until;
	timer_set(&v->timer, next);
}

static void run(struct task *task)
{
	struct server *v = list_entry(task, struct server, task);
	nsec now = clock_now();
	int r;

	check_signals(v, now);
	accept_waiting(v, now);
	check_limits(v, now);
	set_timer(v, now);
	if (!v->accepting)
		return;
	r = listener_watch(v->listener, &v->task, may_accept(v, now));
	if (r < 0) {
		diag_failure("cannot wait: %s", strerror(-r));
		finish(v, exitcode_for(r, EXIT_LISTEN));
	}
}

/* Ends what still runs, quietly: the run itself is over. */
static void end_sessions(struct server *v)
{
	while (!list_empty(&v->sessions))
		session_end(list_entry(v->sessions.next, struct session, link), EXIT_LOST);
}

int server_run(const struct server_settings *settings, struct listener *l)
{
	static const int which[] = {SIGTERM, SIGINT};
	struct server v = {.settings = settings, .listener = l, .accepting = true};
	int r, status;

	list_init(&v.sessions);
	list_init(&v.turn.waiting);
	task_init(&v.task, run);
	timer_init(&v.timer, &v.task);
	wait_anew(&v);
	r = signals_catch(&v.task, which, sizeof which / sizeof *which);
	if (r == 0) {
		task_wake(&v.task);
		r = loop_run();
	}
	status = v.status;
	if (r < 0) {
		diag_failure("cannot wait: %s", strerror(-r));
		status = exitcode_for(r, EXIT_LISTEN);
	}
	end_sessions(&v);
	if (v.accepting)
		stop_accepting(&v);
	timer_stop(&v.timer);
	task_stop(&v.task);
	return status;
}
