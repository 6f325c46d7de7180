#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "flow/lease.h"
#include "trace/trace.h"
#include "loop/signals.h"
#include "server/per_host.h"
#include "session/report.h"
#include "session/upstream.h"

/* Without descriptors, memory or processes nothing can be served: so long until another try. */
#define EXHAUSTED_PAUSE (100 * NSEC_PER_MSEC)

/* Then sessions and children have their turn. */
#define ACCEPTS_MOST 64

#define CHILD_BUCKETS 256

/* Descriptors at most: two sockets and two files of a trace for a session; all pipes, and the rest. */
#define SESSION_FDS 4
#define SPARE_MOST 5
#define OTHER_FDS (2 * LEASE_PIPES_MOST + 64)

/* The memory that a session takes at first, and some to spare; without buffers. */
#define SESSION_BYTES ((size_t)16 * 1024)

struct server {
	const struct server_settings *settings;
	struct listener *listener;
	struct task task;
	struct timer timer;
	struct list sessions;                /* struct session */
	struct list children[CHILD_BUCKETS]; /* struct child, by pid */
	struct per_host hosts;
	struct turn turn;
	uint64_t count; /* of sessions so far: the number of the last one */
	int active;     /* how many sessions and children there are */
	rlim_t descriptors; /* how many this process may have */
	bool accepting; /* the listener is open */
	bool exhausted; /* said so already */
	int held;       /* an accepted connection that could not be served yet, or -1 */
	struct endpoint held_peer;
	nsec paused_until, wait_ends, drain_ends;
	int ended_by; /* the signal that stopped it, or 0 */
	int status;
};

/* A session does not know its server: each carries the way. */
struct served {
	struct server *server;
	struct session session;
};

struct child {
	struct list link;
	pid_t pid;
	struct endpoint peer;
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

/* --- the ends of connections --- */

/* A connection is over, however it was served. */
static void connection_ended(struct server *v, const struct endpoint *peer, int status)
{
	per_host_remove(&v->hosts, peer);
	v->active--;
	/* it has given back what may have been lacking */
	v->paused_until = 0;
	/* with -k sessions report for themselves, but without stdout there is nothing left to serve */
	if (!v->settings->keep_open || status > EXIT_RAISE)
		finish(v, v->ended_by ? EXIT_RAISE + v->ended_by : status);
	if (v->active == 0)
		wait_anew(v);
	task_wake(&v->task);
}

static void session_ended(struct session *s)
{
	struct served *served = list_entry(s, struct served, session);
	struct server *v = served->server;
	struct endpoint peer = s->peer;
	int status = s->status;

	list_remove(&s->link);
	free(served);
	connection_ended(v, &peer, status);
}

/* Tells under -v how a command ended. Returns what that is as an exit status. */
static int tell_child_end(const struct child *c, int wait_status)
{
	char text[ENDPOINT_TEXT];

	endpoint_text(&c->peer, text);
	if (WIFSIGNALED(wait_status)) {
		diag_step("connection from %s port %u: command %d ended by signal %d", text,
			  endpoint_port(&c->peer), (int)c->pid, WTERMSIG(wait_status));
		return EXIT_SIGNAL + WTERMSIG(wait_status);
	}
	diag_step("connection from %s port %u: command %d ended with status %d", text,
		  endpoint_port(&c->peer), (int)c->pid, WEXITSTATUS(wait_status));
	return WEXITSTATUS(wait_status);
}

static struct child *find_child(const struct server *v, pid_t pid)
{
	const struct list *bucket = &v->children[(unsigned)pid % CHILD_BUCKETS];

	for (struct list *l = bucket->next; l != bucket; l = l->next)
		if (list_entry(l, struct child, link)->pid == pid)
			return list_entry(l, struct child, link);
	return NULL;
}

/* Reaps whatever has ended; look-ups reap their own children and are not among ours. */
static void reap(struct server *v)
{
	int wait_status;
	pid_t pid;

	if (!v->settings->command)
		return;
	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		struct child *c = find_child(v, pid);
		struct endpoint peer;
		int status;

		if (!c)
			continue;
		status = tell_child_end(c, wait_status);
		peer = c->peer;
		list_remove(&c->link);
		free(c);
		connection_ended(v, &peer, status);
	}
}

/* --- their beginnings --- */

/* A session is going to take a few more pieces, and a buffer once bytes come: are they to be had? */
static bool is_memory_left(void)
{
	void *volatile pieces = malloc(SESSION_BYTES);

	free(pieces);
	return pieces && lease_reserve();
}

/* Makes a connection a session. Returns 0, or -errno with the socket still open. */
static int begin_session(struct server *v, int sock, const struct endpoint *peer)
{
	struct served *served = is_memory_left() ? malloc(sizeof *served) : NULL;

	if (!served)
		return -ENOMEM;
	served->server = v;
	session_start(&served->session, v->settings->session, ++v->count, sock, peer, session_ended);
	served->session.turn = &v->turn;
	served->session.owner = &v->task;
	list_append(&v->sessions, &served->session.link);
	return 0;
}

/* Gives a connection to a command. Returns 0, or -errno with the socket still open. */
static int begin_child(struct server *v, int sock, const struct endpoint *peer)
{
	struct child *c = malloc(sizeof *c);
	const char *refused;
	pid_t pid;

	if (!c)
		return -ENOMEM;
	sockopts_set(sock, peer->any.sa_family, v->settings->session->options, &refused);
	pid = program_spawn(v->settings->command, sock, peer, per_host_count(&v->hosts, peer));
	if (pid < 0) {
		free(c);
		return (int)pid;
	}
	fd_close(&sock);
	list_init(&c->link);
	c->pid = pid;
	c->peer = *peer;
	list_append(&v->children[(unsigned)pid % CHILD_BUCKETS], &c->link);
	return 0;
}

/* The means are lacking: leave the backlog alone for a moment, and say so once. */
static void pause_accepting(struct server *v, int error, nsec now)
{
	if (!v->exhausted)
		diag_failure("cannot accept: %s; waiting for better times", strerror(-error));
	v->exhausted = true;
	/* what is kept in reserve may be just what is lacking */
	lease_trim();
	v->paused_until = clock_after(now, EXHAUSTED_PAUSE);
}

static bool forwards(const struct server *v)
{
	return v->settings->session->plan[0] == &stage_reach;
}

/* Far from the limit of descriptors, whatever those that are served now may still open? */
static bool has_plenty(const struct server *v)
{
	return (rlim_t)v->active * SESSION_FDS + OTHER_FDS < v->descriptors;
}

/* What a connection that is forwarded takes besides its own socket, at most. */
static int descriptors_to_spare(const struct session_settings *s)
{
	/* the upstream's socket, the pipe of a look-up, the files of a trace */
	return 1 + (s->upstream->by_name ? 2 : 0) + (s->trace ? trace_descriptors(s->trace) : 0);
}

/* A connection that is forwarded will take more descriptors: are there any? Returns 0 or -errno. */
static int check_spare(const struct server *v, int sock)
{
	int spare[SPARE_MOST], n = 0, wanted, r = 0;

	if (!forwards(v) || has_plenty(v))
		return 0;
	for (wanted = descriptors_to_spare(v->settings->session); n < wanted && r == 0; n++) {
		spare[n] = fcntl(sock, F_DUPFD_CLOEXEC, 0);
		r = spare[n] < 0 ? -errno : 0;
	}
	while (n-- > 0)
		fd_close(&spare[n]);
	return r;
}

/* Near the limit of descriptors: is somebody still about to take those that were to spare? */
static bool somebody_takes_more(const struct server *v)
{
	if (!forwards(v) || has_plenty(v))
		return false;
	for (struct list *l = v->sessions.prev; l != &v->sessions; l = l->prev)
		if (*list_entry(l, struct session, link)->plan == &stage_reach)
			return true;
	return false;
}

/* Serves an accepted connection, or holds on to it until there are the means. */
static void serve(struct server *v, int sock, const struct endpoint *peer, nsec now)
{
	int r = check_spare(v, sock);

	if (r == 0)
		r = per_host_add(&v->hosts, peer);
	if (r == 0) {
		r = v->settings->command ? begin_child(v, sock, peer) : begin_session(v, sock, peer);
		if (r < 0)
			per_host_remove(&v->hosts, peer);
	}
	if (r < 0) {
		v->held = sock;
		v->held_peer = *peer;
		pause_accepting(v, r, now);
		return;
	}
	v->active++;
	if (!v->settings->keep_open)
		stop_accepting(v);
}

/* May this peer be served? Says why not, under -v. */
static bool is_welcome(const struct server *v, const struct endpoint *peer)
{
	const struct server_settings *settings = v->settings;
	char text[ENDPOINT_TEXT];

	endpoint_text(peer, text);
	if (!access_permits(settings->access, peer)) {
		diag_step("refused %s port %u: not allowed", text, endpoint_port(peer));
		return false;
	}
	if (settings->max_per_host && per_host_count(&v->hosts, peer) >= settings->max_per_host) {
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
	return v->accepting && v->active < v->settings->max_connections && now >= v->paused_until &&
	       v->held < 0 && !somebody_takes_more(v);
}

/* What was held when the means were lacking comes first, and alone. Returns true if there was such. */
static bool serve_held(struct server *v, nsec now)
{
	int sock = v->held;

	if (sock < 0 || now < v->paused_until || somebody_takes_more(v))
		return false;
	v->held = -1;
	serve(v, sock, &v->held_peer, now);
	return true;
}

/*
 * Accepts what waits, as far as there is room, and not too many at a time; where descriptors may run out
 * only one to be forwarded, so that it has got its second one before anybody else takes it.
 */
static void accept_waiting(struct server *v, nsec now)
{
	struct endpoint peer;

	for (int most = forwards(v) && !has_plenty(v) ? 1 : ACCEPTS_MOST; may_accept(v, now); most--) {
		int sock;

		if (most == 0) {
			task_wake(&v->task);
			return;
		}
		sock = listener_accept(v->listener, &peer);
		if (sock == -EAGAIN) {
			/* nobody waits any more: times are better */
			v->exhausted = false;
			return;
		}
		if (sock >= 0 && is_welcome(v, &peer)) {
			serve(v, sock, &peer, now);
		} else if (sock >= 0) {
			fd_close(&sock);
		} else if (exitcode_for(sock, EXIT_LISTEN) == EXIT_RESOURCES) {
			pause_accepting(v, sock, now);
		} else {
			diag_failure("accept: %s", strerror(-sock));
			finish(v, EXIT_LISTEN);
			return;
		}
	}
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

/* SIGUSR1: how the sessions that live are doing. */
static void report_live(const struct server *v)
{
	for (struct list *l = v->sessions.next; l != &v->sessions; l = l->next)
		report_write(list_entry(l, struct session, link), STDERR_FILENO);
}

/* SIGTERM and SIGINT: accept no more; those that are served have the time to drain. */
static void check_signals(struct server *v, nsec now)
{
	static const int deadly[] = {SIGTERM, SIGINT};

	if (signals_taken(SIGHUP))
		reload_rules(v);
	if (signals_taken(SIGUSR1))
		report_live(v);
	if (signals_taken(SIGCHLD))
		reap(v);
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
		finish(v, EXIT_RAISE + v->ended_by);
}

/* --deadline: nobody else is served. Sessions end by themselves then, commands do not. */
static void check_deadline(struct server *v, nsec now)
{
	if (now < v->settings->session->deadline)
		return;
	if (v->accepting)
		stop_accepting(v);
	fd_close(&v->held);
	if (v->active > 0 && !v->settings->command)
		return;
	diag_failure("the time for the whole run is over (--deadline)");
	finish(v, EXIT_TIMEDOUT);
}

/* -w, while nobody is served: who waits in the backlog has been accepted before. */
static void check_wait(struct server *v, nsec now)
{
	char text[32];

	if (!v->accepting || v->active > 0 || v->held >= 0 || now < v->wait_ends)
		return;
	diag_failure("no connection within %s (--timeout)",
		     clock_words(v->settings->wait, text, sizeof text));
	finish(v, EXIT_TIMEDOUT);
}

static nsec earlier(nsec a, nsec b)
{
	return a < b ? a : b;
}

/* Wakes the server for the next thing that only time brings. */
static void set_timer(struct server *v, nsec now)
{
	nsec next = v->settings->session->deadline;

	/* sessions end themselves then, and with the last of them comes our turn */
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

static void run(struct task *task)
{
	struct server *v = list_entry(task, struct server, task);
	nsec now = clock_now();
	int r;

	check_signals(v, now);
	check_deadline(v, now);
	if (serve_held(v, now))
		task_wake(&v->task);
	else
		accept_waiting(v, now);
	check_wait(v, now);
	set_timer(v, now);
	if (!v->accepting)
		return;
	r = listener_watch(v->listener, &v->task, may_accept(v, now));
	if (r < 0) {
		diag_failure("cannot wait: %s", strerror(-r));
		finish(v, exitcode_for(r, EXIT_LISTEN));
	}
}

/* --- the whole --- */

/* Ends what still runs, quietly: the run itself is over. */
static void end_all(struct server *v)
{
	while (!list_empty(&v->sessions))
		session_end(list_entry(v->sessions.next, struct session, link),
			    v->status ? v->status : EXIT_LOST);
	for (int i = 0; i < CHILD_BUCKETS; i++) {
		while (!list_empty(&v->children[i])) {
			struct child *c = list_entry(v->children[i].next, struct child, link);

			kill(c->pid, SIGTERM);
			list_remove(&c->link);
			per_host_remove(&v->hosts, &c->peer);
			free(c);
		}
	}
	if (v->accepting)
		stop_accepting(v);
	if (v->held >= 0)
		fd_close(&v->held);
	timer_stop(&v->timer);
	task_stop(&v->task);
}

/* Only what there is a use for is caught. Returns 0 or -errno. */
static int catch_signals(struct server *v)
{
	static const int always[] = {SIGTERM, SIGINT, SIGUSR1};
	static const int child[] = {SIGCHLD}, hangup[] = {SIGHUP};
	const struct access_settings *rules = v->settings->rules;
	int r = signals_catch(&v->task, always, 3);

	if (r == 0 && v->settings->command)
		r = signals_catch(&v->task, child, 1);
	if (r == 0 && (rules->allow_files.count || rules->deny_files.count))
		r = signals_catch(&v->task, hangup, 1);
	return r;
}

static struct server *new_server(const struct server_settings *settings, struct listener *l)
{
	struct server *v = calloc(1, sizeof *v);
	struct rlimit files = {0};

	if (!v)
		return NULL;
	getrlimit(RLIMIT_NOFILE, &files);
	v->descriptors = files.rlim_cur;
	v->settings = settings;
	v->listener = l;
	v->accepting = true;
	v->held = -1;
	list_init(&v->sessions);
	list_init(&v->turn.waiting);
	for (int i = 0; i < CHILD_BUCKETS; i++)
		list_init(&v->children[i]);
	task_init(&v->task, run);
	timer_init(&v->timer, &v->task);
	wait_anew(v);
	return v;
}

int server_open(struct server **out, const struct server_settings *settings, struct listener *l)
{
	struct server *v = new_server(settings, l);
	int r = v ? catch_signals(v) : -ENOMEM;

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
