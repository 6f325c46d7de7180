/* tcptool listen: socket, bind, listen, accept; then sessions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/fd.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/targets.h"
#include "cmd/prepare.h"
#include "loop/loop.h"
#include "net/shared_lookup.h"
#include "session/children.h"
#include "session/program.h"
#include "trace/trace.h"

static const struct plan plan_stdio[] = {{&stage_stdio, LEG_OTHER, false},
					 {&stage_delivered, LEG_CONNECTION, false},
					 {NULL, LEG_CONNECTION, false}};
static const struct plan plan_greet[] = {{&stage_greet_host, LEG_CONNECTION, false},
					 {&stage_delivered, LEG_CONNECTION, false},
					 {NULL, LEG_CONNECTION, false}};
static const struct plan plan_forward[] = {{&stage_connect, LEG_OTHER, true},
					   {&stage_forward, LEG_OTHER, false},
					   {NULL, LEG_CONNECTION, false}};
static const struct plan plan_command[] = {{&stage_command, LEG_CONNECTION, false},
					   {&stage_delivered, LEG_CONNECTION, false},
					   {NULL, LEG_CONNECTION, false}};
static const struct plan plan_relay[] = {{&stage_relay, LEG_OTHER, false},
					 {&stage_delivered, LEG_CONNECTION, false},
					 {NULL, LEG_CONNECTION, false}};

/* Descriptors that are open for moments: the pipe of a look-up, a directory of /proc. */
#define DESCRIPTORS_BESIDE 2

/* How long the answer of a look-up for --forward is used. */
#define ANSWER_LASTS (5 * NSEC_PER_SEC)

/* Reports why listening failed. Returns the exit status. */
static int cannot_listen(const struct settings *s, const struct listener *l, int error)
{
	char text[ENDPOINT_TEXT];

	if (error == -ENOENT) {
		if (s->listen.host == s->loose_word)
			diag_failure("look up %s: %s (meant for --%s? write --%s=%s)", s->listen.host,
				     lookup_reason(l->look_up_error), s->loose_option, s->loose_option,
				     s->loose_word);
		else
			diag_failure("look up %s: %s", s->listen.host, lookup_reason(l->look_up_error));
		return EXIT_UNRESOLVED;
	}
	if (error == -ETIMEDOUT) {
		diag_failure("look up %s: no answer in time (%s)", s->listen.host,
			     s->timeout ? "--timeout" : "--deadline");
		return EXIT_TIMEDOUT;
	}
	if (l->not_asked) {
		diag_failure("look up %s: %s", s->listen.host, strerror(-error));
		return exitcode_for(error, EXIT_UNRESOLVED);
	}
	diag_failure("listen on %s port %u: %s", endpoint_text(&l->failed_at, text),
		     endpoint_port(&l->failed_at), strerror(-error));
	return exitcode_for(error, EXIT_LISTEN);
}

/* Opens what is listened on: sockets that a service manager passed on, or our own. */
static int open_listener(struct settings *s, struct listener *l, int inherited)
{
	int r = inherited ? listener_inherit(l, &s->listen, inherited) : listener_open(l, &s->listen);

	if (r == 0)
		return 0;
	if (!inherited)
		return cannot_listen(s, l, r);
	diag_failure("$LISTEN_FDS: descriptor %d is not a listening TCP socket: %s", 3 + l->count,
		     strerror(-r));
	return EXIT_LISTEN;
}

/*
 * How many sockets a service manager has passed on to this very process: sd_listen_fds(3). Returns -1
 * when it has said so, but not how many.
 */
static int count_inherited(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int64_t n;

	if (!pid || !count || num_parse(pid, 1, INT32_MAX, &n) < 0 || n != getpid())
		return 0;
	if (num_parse(count, 0, LISTEN_MOST, &n) == 0)
		return (int)n;
	diag_failure("$LISTEN_FDS: '%.60s' is no number from 0 to %d", count, LISTEN_MOST);
	return -1;
}

/* Calls `how`, which is privileges_drop() or privileges_try(). Returns the exit status. */
static int give_up_privileges(const struct settings *s,
			      int (*how)(const struct privileges *, const char **what))
{
	const char *what;
	int r = how(&s->privileges, &what);

	if (r == 0)
		return 0;
	diag_failure("cannot give up privileges: %s: %s", what, strerror(-r));
	return r == -ENOENT || r == -ENOTDIR ? EXIT_LOCAL : EXIT_LISTEN;
}

/* Finds the command, inside the new root if there is one. */
static int prepare_command(struct settings *s, struct program *command, const struct rlimit *files)
{
	int r;

	if (!settings_command(s))
		return 0;
	r = program_prepare(command, s->words, s->shell);
	command->files = *files;
	return r;
}

/* Listens, announces that, gives up privileges, serves: in this order. */
static int listen_serve(struct settings *s, struct program *command, int inherited)
{
	struct server *server = NULL;
	struct rlimit files;
	struct listener l;
	int r = 0;

	fd_raise_limit(&files);
	/* what is sure to fail has to fail before readiness is announced */
	if (!s->privileges.chroot)
		r = prepare_command(s, command, &files);
	if (r == 0)
		r = give_up_privileges(s, privileges_try);
	if (r == 0)
		r = open_listener(s, &l, inherited);
	if (r)
		return r;
	r = server_open(&server, &s->server, &l);
	if (r == 0)
		r = readiness_announce(&s->readiness, &l);
	if (r == 0)
		r = give_up_privileges(s, privileges_drop);
	if (r == 0 && s->privileges.chroot)
		r = prepare_command(s, command, &files);
	if (r == 0 && privileges_keep_root(&s->privileges))
		diag_failure("--chroot confines nothing without --user: root can leave the directory");
	if (r == 0)
		r = server_run(server);
	server_close(server);
	return r;
}

/* Loads the rules and looks up the user, whose names are in files that chroot may hide. */
static int listen_look_up(struct settings *s)
{
	char reason[300];
	int r = access_load(s->server.access, &s->rules, reason, sizeof reason);

	if (r < 0) {
		diag_failure("%s", reason);
		return r == -EINVAL ? EXIT_USAGE : EXIT_LOCAL;
	}
	r = privileges_look_up(&s->privileges);
	if (r == 0)
		return 0;
	if (r == -ENOENT)
		diag_failure("--user: there is no user or group '%.100s'", s->privileges.user);
	else if (r == -ENODATA)
		diag_failure("--user: no account has the number %.60s, so it needs a group: --user=%.60s:GROUP",
			     s->privileges.user, s->privileges.user);
	else
		diag_failure("--user: look up '%.100s': %s", s->privileges.user, strerror(-r));
	return r == -ENOENT || r == -ENODATA ? EXIT_USAGE : exitcode_for(r, EXIT_LOCAL);
}

static const struct plan *listen_plan(const struct settings *s)
{
	if (settings_command(s))
		return settings_relay(s) ? plan_relay : plan_command;
	return s->forward ? plan_forward : s->greet ? plan_greet : plan_stdio;
}

/* How many descriptors each connection takes at most. */
static int descriptors(const struct settings *s)
{
	int sockets = s->forward || (settings_command(s) && settings_relay(s)) ? 2 : 1;

	return sockets + (s->session.trace ? trace_descriptors(s->session.trace) : 0);
}

/* What the run keeps for all its sessions, beside the settings that point to it. */
struct shared {
	struct shared_lookup lookup;
	struct children children;
	struct program command;
	struct access access;
};

/* Completes the settings of server and sessions. */
static void complete_settings(struct settings *s, struct shared *shared)
{
	s->session.plan = listen_plan(s);
	s->server.descriptors = descriptors(s);
	s->server.descriptors_beside = DESCRIPTORS_BESIDE;
	s->server.tells_full = true;
	/* with -k the failure of a connection is told under -v only */
	s->session.failures = s->server.keep_open ? DIAG_STEPS : DIAG_FAILURES;
	/* -4 and -6 concern the listener, and not the upstream */
	s->dial.family = AF_UNSPEC;
	/* stdin and stdout can serve one at a time */
	if (!s->greet && !s->forward && !settings_command(s))
		s->server.max_connections = 1;
	if (s->server.max_connections == 1)
		s->server.tells_full = false;
	if (s->forward) {
		shared_lookup_init(&shared->lookup, s->session.host, AF_UNSPEC, ANSWER_LASTS);
		s->session.lookup = &shared->lookup;
	}
	if (settings_command(s)) {
		children_open(&shared->children);
		s->session.children = &shared->children;
		s->session.command = &shared->command;
	}
}

/* Opens the loop and serves. Returns the exit status. */
static int serve_in_loop(struct settings *s, struct shared *shared, int inherited)
{
	int r = loop_open();

	if (r < 0) {
		diag_failure("cannot wait: %s", strerror(-r));
		return exitcode_for(r, EXIT_LISTEN);
	}
	r = listen_serve(s, &shared->command, inherited);
	shared_lookup_close(&shared->lookup);
	loop_close();
	return r;
}

static int listen_run(struct settings *s)
{
	struct prepared prepared = {.report_fd = -1};
	struct shared shared = {.children.proc = -1};
	int inherited = count_inherited();
	int r = inherited < 0 ? EXIT_USAGE : targets_listen(s, inherited > 0);

	if (r == 0 && s->forward)
		r = targets_forward(s);
	s->server.access = &shared.access;
	if (r == 0)
		r = listen_look_up(s);
	if (r == 0)
		r = prepare_open(&prepared, s);
	if (r == 0) {
		complete_settings(s, &shared);
		fd_close_on_exec();
		r = serve_in_loop(s, &shared, inherited);
	}
	prepare_close(&prepared);
	children_close(&shared.children);
	program_free(&shared.command);
	access_free(&shared.access);
	return r;
}

int cmd_listen(int argc, char **argv)
{
	struct settings s;
	int r = options_parse(&s, IN_LISTEN, argc, argv);

	if (r == 0 && !s.help)
		r = listen_run(&s);
	options_free(&s);
	return r;
}
