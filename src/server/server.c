#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/fd.h"
#include "flow/lease.h"
#include "loop/signals.h"
#include "observe/report.h"
#include "server/per_host.h"
#include "session/children.h"
#include "session/facts.h"

/* The pause in accepting after descriptors, memory or processes have run out. */
#define EXHAUSTED_PAUSE (100 * NSEC_PER_MSEC)

/* Connections accepted in a row before sessions have their turn. */
#define ACCEPTS_MOST 16

/*
 * Memory that must be free for a new session: what one takes in its whole course. With less, sessions could
 * take the memory that the others need to go on, and all would stand still.
 */
#define COURSE_BYTES ((size_t)16 * 1024)

/* From this limit of descriptors on, a quarter of it is for the pipes that transfers lease. */
#define LIMIT_WITH_PIPES 64

struct server {
	const struct server_settings *settings;
	struct listener *listener;
	struct task task;
	struct timer timer;
	struct list sessions; /* struct session */
	struct per_host per_host;
	struct turn turn;
	uint64_t count;    /* of sessions so far: the number of the last one */
	int64_t most;      /* sessions at a time: -m, or as many as descriptors allow */
	int active;        /* sessions now */
	bool accepting;    /* the listener is open */
	bool told_full;    /* "more wait" has been reported since -m was reached */
	int held;          /* an accepted connection for which there was no memory, or -1 */
	struct endpoint held_peer;
	nsec paused_until, wait_ends, drain_ends;
	int ended_by;      /* the signal that stopped it, or 0 */
	int status;
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

static void server_finish(struct server *v, int status)
{
	v->status = status;
	loop_stop();
}

/* --- sessions --- */

static void server_session_ended(struct session *s)
{
	struct server *v = s->settings->owner;
	int status = s->status;

	per_host_leave(&v->per_host, s->place);
	list_remove(&s->link);
	free(s);
	v->active--;
	v->told_full = false;
	/* the session has given back descriptors and memory */
	v->paused_until = 0;
	/* with -k the run goes on, unless stdout has lost its reader */
	if (!v->settings->keep_open || status > EXIT_RAISE)
		server_finish(v, v->ended_by ? EXIT_RAISE + v->ended_by : status);
	if (v->active == 0)
		wait_anew(v);
	task_wake(&v->task);
}

/* Descriptors, memory or processes have run out: leave the backlog alone for a moment. */
static void pause_accepting(struct server *v, int error, nsec now)
{
	if (error == -ENOMEM)
		diag_once(DIAG_ONCE_MEMORY, "out of memory; will retry");
	else
		diag_once(DIAG_ONCE_ACCEPT, "cannot accept: %s; will retry", strerror(-error));
	/* pipes and buffers that are kept for the next transfer are given back as well */
	lease_trim();
	v->paused_until = clock_after(now, EXHAUSTED_PAUSE);
}

/* Memory for a session, or NULL where there is none for its whole course, which is not taken yet. */
static struct session *new_session(void)
{
	/* volatile: compilers take a malloc whose memory is only freed for one that succeeds */
	void *volatile course = malloc(COURSE_BYTES);
	struct session *s = course ? malloc(sizeof *s) : NULL;

	free(course);
	return s;
}

/* Makes an accepted connection a session, or holds it until there is memory. */
static void serve_connection(struct server *v, int sock, const struct endpoint *peer, nsec now)
{
	struct place *place = per_host_enter(&v->per_host, peer);
	struct session *s = place ? new_session() : NULL;

	if (!s) {
		per_host_leave(&v->per_host, place);
		v->held = sock;
		v->held_peer = *peer;
		pause_accepting(v, -ENOMEM, now);
		return;
	}
	session_start(s, v->settings->session, ++v->count, sock, peer);
	s->place = place;
	list_append(&v->sessions, &s->link);
	v->active++;
	if (!v->settings->keep_open)
		stop_accepting(v);
}

/* True when this peer may be served; -v reports the reason why not. */
static bool is_welcome(const struct server *v, const struct endpoint *peer)
{
	const struct server_settings *settings = v->settings;
	char text[ENDPOINT_TEXT];

	endpoint_text(peer, text);
	if (!access_permits(settings->access, peer)) {
		diag_step("refused %s port %u: not allowed", text, endpoint_port(peer));
		return false;
	}
	if (settings->max_per_host && per_host_count(&v->per_host, peer) >= settings->max_per_host) {
		diag_step("refused %s port %u: it has %d connections (--max-per-host)", text,
			  endpoint_port(peer), (int)settings->max_per_host);
		return false;
	}
	diag_step("connection from %s port %u", text, endpoint_port(peer));
	return true;
}

/* --- accepting --- */

static bool may_accept(const struct server *v, nsec now)
{
	return v->accepting && v->active < v->most && now >= v->paused_until && v->held < 0;
}

/* True when -m is reached, and it has not been reported yet that more connections wait. */
static bool may_tell_full(const struct server *v)
{
	return v->settings->tells_full && v->accepting && v->active >= v->most && !v->told_full;
}

static void tell_full(struct server *v)
{
	if (!may_tell_full(v) || !listener_has_waiting(v->listener))
		return;
	v->told_full = true;
	diag_once(DIAG_ONCE_FULL, "connections served: %d, as many as %s; more wait", v->active,
		  v->most < v->settings->max_connections ? "the limit of descriptors allows (ulimit -n)" :
							   "--max-connections allows");
}

/* Serves the connection that was accepted and held when memory had run out. */
static void serve_held(struct server *v, nsec now)
{
	int sock = v->held;

	if (sock < 0 || now < v->paused_until)
		return;
	v->held = -1;
	serve_connection(v, sock, &v->held_peer, now);
}

/* Takes one connection out of the backlog. Returns false when there is none, or none can be taken now. */
static bool server_accept_one(struct server *v, nsec now)
{
	struct endpoint peer;
	int sock = listener_accept(v->listener, &peer);

	if (sock == -EAGAIN)
		return false;
	if (sock >= 0 && is_welcome(v, &peer)) {
		serve_connection(v, sock, &peer, now);
	} else if (sock >= 0) {
		fd_close(&sock);
	} else if (exitcode_for(sock, EXIT_LISTEN) == EXIT_RESOURCES) {
		pause_accepting(v, sock, now);
	} else {
		diag_failure("accept: %s", strerror(-sock));
		server_finish(v, EXIT_LISTEN);
		return false;
	}
	return true;
}

/* Accepts what waits, as far as there is room, and not too many at a time. */
static void accept_waiting(struct server *v, nsec now)
{
	int most = ACCEPTS_MOST;

	while (may_accept(v, now) && most > 0 && server_accept_one(v, now))
		most--;
	if (most == 0)
		task_wake(&v->task);
}

/* --- signals and limits --- */

/* SIGHUP: the files of rules may have changed. Rules that cannot be read change nothing. */
static void reload_rules(struct server *v)
{
	char reason[300];

	if (access_load(v->settings->access, v->settings->rules, reason, sizeof reason) < 0)
		diag_failure("%s; the rules stay as they were", reason);
	else
		diag_step("rules read again");
}

/* SIGUSR1: reports each session as it stands, on stderr. */
static void server_report(const struct server *v)
{
	struct facts facts;

	for (struct list *l = v->sessions.next; l != &v->sessions; l = l->next) {
		session_facts(list_entry(l, struct session, link), &facts);
		report_write(&facts, STDERR_FILENO);
	}
}

/* Acts on the signals that have come. SIGTERM and SIGINT stop accepting; sessions may last for --drain. */
static void check_signals(struct server *v, nsec now)
{
	static const int deadly[] = {SIGTERM, SIGINT};

	if (signals_taken(SIGHUP))
		reload_rules(v);
	if (signals_taken(SIGUSR1))
		server_report(v);
	if (signals_taken(SIGCHLD) && v->settings->session->children)
		children_reap(v->settings->session->children);
	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
		if (!signals_taken(deadly[i]))
			continue;
		/* the second signal ends --drain */
		v->drain_ends = v->ended_by ? now : clock_after(now, v->settings->drain);
		v->ended_by = deadly[i];
		if (v->accepting)
			stop_accepting(v);
	}
	if (v->ended_by && (v->active == 0 || now >= v->drain_ends))
		server_finish(v, EXIT_RAISE + v->ended_by);
}

/* --deadline: accepts no more. The sessions end themselves, and with the last one the run ends. */
static void check_deadline(struct server *v, nsec now)
{
	if (now < v->settings->session->deadline)
		return;
	if (v->accepting)
		stop_accepting(v);
	fd_close(&v->held);
	if (v->active > 0)
		return;
	diag_failure("the time for the whole run is over (--deadline)");
	server_finish(v, EXIT_TIMEDOUT);
}

/* -w, while no connection is served; what waits in the backlog has been accepted before. */
static void check_wait(struct server *v, nsec now)
{
	char text[32];

	if (!v->accepting || v->active > 0 || v->held >= 0 || now < v->wait_ends)
		return;
	diag_failure("no connection within %s (--timeout)",
		     clock_words(v->settings->wait, text, sizeof text));
	server_finish(v, EXIT_TIMEDOUT);
}

static nsec earlier(nsec a, nsec b)
{
	return a < b ? a : b;
}

/* Sets the timer to the next moment at which one of the limits or pauses ends. */
static void server_set_timer(struct server *v, nsec now)
{
	nsec next = v->settings->session->deadline;

	/* the deadline has passed: the end of the last session wakes the server */
	if (now >= next)
		next = NSEC_NEVER;
	if (v->ended_by)
		next = earlier(next, v->drain_ends);
	if (v->accepting && v->active == 0)
		next = earlier(next, v->wait_ends);
	if (v->paused_until > now)
		next = earlier(next, v->paused_until);
	timer_set(&v->timer, next);
}

static void server_step(struct task *task)
{
	struct server *v = list_entry(task, struct server, task);
	nsec now = clock_now();
	int r;

	check_signals(v, now);
	check_deadline(v, now);
	serve_held(v, now);
	accept_waiting(v, now);
	tell_full(v);
	check_wait(v, now);
	server_set_timer(v, now);
	if (!v->accepting)
		return;
	r = listener_watch(v->listener, &v->task, may_accept(v, now) || may_tell_full(v));
	if (r < 0) {
		diag_failure("cannot wait: %s", strerror(-r));
		server_finish(v, exitcode_for(r, EXIT_LISTEN));
	}
}

/* --- the whole --- */

/* Ends the sessions that still run, without a message. */
static void end_all(struct server *v)
{
	while (!list_empty(&v->sessions))
		session_end(list_entry(v->sessions.next, struct session, link),
			    v->status ? v->status : EXIT_LOST);
	if (v->accepting)
		stop_accepting(v);
	fd_close(&v->held);
	timer_stop(&v->timer);
	task_stop(&v->task);
}

/* Catches the signals that these settings have a use for. Returns 0 or -errno. */
static int server_catch_signals(struct server *v)
{
	static const int always[] = {SIGTERM, SIGINT, SIGUSR1};
	static const int child[] = {SIGCHLD}, hangup[] = {SIGHUP};
	const struct access_settings *rules = v->settings->rules;
	int r = signals_catch(&v->task, always, 3);

	if (r == 0 && v->settings->session->children)
		r = signals_catch(&v->task, child, 1);
	if (r == 0 && (rules->allow_files.count || rules->deny_files.count))
		r = signals_catch(&v->task, hangup, 1);
	return r;
}

/*
 * How many sessions at a time: as many as were asked for, if their descriptors are within the limit.
 * Computed once, from the limit and from what is open already.
 */
static int64_t most_sessions(const struct server_settings *settings)
{
	struct rlimit files;
	int64_t left, pipes, most;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > INT32_MAX)
		return settings->max_connections;
	pipes = files.rlim_cur >= LIMIT_WITH_PIPES ? (int64_t)files.rlim_cur / 4 / 2 : 0;
	lease_limit_pipes(pipes);
	left = (int64_t)files.rlim_cur - fd_count((int)files.rlim_cur) - settings->descriptors_beside - 2 * pipes;
	most = left / settings->descriptors;
	if (most < 1)
		most = 1;
	return most < settings->max_connections ? most : settings->max_connections;
}

static struct server *new_server(const struct server_settings *settings, struct listener *l)
{
	struct server *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	v->settings = settings;
	v->listener = l;
	v->accepting = true;
	v->held = -1;
	list_init(&v->sessions);
	list_init(&v->turn.waiting);
	settings->session->owner = v;
	settings->session->ended = server_session_ended;
	settings->session->turn = &v->turn;
	task_init(&v->task, server_step);
	timer_init(&v->timer, &v->task);
	wait_anew(v);
	return v;
}

int server_open(struct server **out, const struct server_settings *settings, struct listener *l)
{
	struct server *v = new_server(settings, l);
	int r = v ? server_catch_signals(v) : -ENOMEM;

	if (r == 0) {
		v->most = most_sessions(settings);
		r = lease_reserve();
	}

	*out = v;
	if (!v)
		listener_close(l);
	if (r < 0)
		diag_failure("cannot serve: %s", strerror(-r));
	return r < 0 ? exitcode_for(r, EXIT_LISTEN) : 0;
}

int server_run(struct server *v)
{
	int r;

	task_wake(&v->task);
	r = loop_run();
	if (r == 0)
		return v->status;
	diag_failure("cannot wait: %s", strerror(-r));
	return exitcode_for(r, EXIT_LISTEN);
}

void server_close(struct server *v)
{
	if (!v)
		return;
	end_all(v);
	free(v);
}
