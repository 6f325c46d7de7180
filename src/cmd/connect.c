/* tcptool connect: socket, connect; then a session. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/fd.h"
#include "cmd/check.h"
#include "cmd/cmd.h"
#include "cmd/targets.h"
#include "cmd/options.h"
#include "cmd/prepare.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "observe/report.h"
#include "session/children.h"
#include "session/facts.h"
#include "session/program.h"

static const struct plan plan_stdio[] = {{&stage_connect, LEG_CONNECTION, true},
					 {&stage_stdio, LEG_OTHER, false},
					 {&stage_delivered, LEG_CONNECTION, false},
					 {NULL, LEG_CONNECTION, false}};
static const struct plan plan_greet[] = {{&stage_connect, LEG_CONNECTION, true},
					 {&stage_greet_guest, LEG_CONNECTION, false},
					 {&stage_delivered, LEG_CONNECTION, false},
					 {NULL, LEG_CONNECTION, false}};
static const struct plan plan_expect[] = {{&stage_connect, LEG_CONNECTION, true},
					  {&stage_expect, LEG_CONNECTION, false},
					  {NULL, LEG_CONNECTION, false}};
static const struct plan plan_command[] = {{&stage_connect, LEG_CONNECTION, true},
					   {&stage_command, LEG_CONNECTION, false},
					   {&stage_delivered, LEG_CONNECTION, false},
					   {NULL, LEG_CONNECTION, false}};
static const struct plan plan_relay[] = {{&stage_connect, LEG_CONNECTION, true},
					 {&stage_relay, LEG_OTHER, false},
					 {&stage_delivered, LEG_CONNECTION, false},
					 {NULL, LEG_CONNECTION, false}};

/* The one session of a run, and the task that acts on signals. */
struct client {
	struct task task;
	struct session session;
	struct children *children; /* NULL: there is no command */
	int status;
};

static void client_ended(struct session *s)
{
	struct client *c = s->settings->owner;

	c->status = s->status;
	loop_stop();
}

/* SIGUSR1: reports the session as it stands, on stderr. */
static void client_report(const struct session *s)
{
	struct facts facts;

	session_facts(s, &facts);
	report_write(&facts, STDERR_FILENO);
}

/* A signal has come. SIGTERM, SIGINT and SIGHUP end the session, and with it its COMMAND. */
static void client_step(struct task *task)
{
	static const int deadly[] = {SIGTERM, SIGINT, SIGHUP};
	struct client *c = list_entry(task, struct client, task);

	if (signals_taken(SIGUSR1))
		client_report(&c->session);
	if (c->children && signals_taken(SIGCHLD))
		children_reap(c->children);
	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
		if (!signals_taken(deadly[i]))
			continue;
		session_end(&c->session, EXIT_RAISE + deadly[i]);
		return;
	}
}

static const struct plan *connect_plan(const struct settings *s)
{
	if (s->session.command)
		return settings_relay(s) ? plan_relay : plan_command;
	if (s->session.expect)
		return plan_expect;
	return s->greet ? plan_greet : plan_stdio;
}

/* Catches the signals that a client acts on. Returns 0 or -errno. */
static int client_catch_signals(struct client *c)
{
	static const int always[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
	static const int child[] = {SIGCHLD};
	int r = signals_catch(&c->task, always, sizeof always / sizeof *always);

	return r == 0 && c->children ? signals_catch(&c->task, child, 1) : r;
}

/* The one session of a client. Returns its status. */
static int converse(struct settings *s, const struct target *to)
{
	struct client c = {.children = s->session.children};
	int r;

	s->session.plan = connect_plan(s);
	s->session.ended = client_ended;
	s->session.owner = &c;
	s->session.host = to->host;
	s->session.port = to->port;
	task_init(&c.task, client_step);
	session_start(&c.session, &s->session, 1, -1, NULL);
	r = client_catch_signals(&c);
	if (r == 0)
		r = loop_run();
	if (r == 0)
		return c.status;
	diag_failure("cannot wait: %s", strerror(-r));
	return exitcode_for(r, EXIT_LOST);
}

/* Checks the targets; when all are open, COMMAND is executed in place of this program. */
static int check(struct settings *s, const struct targets *targets, struct program *command)
{
	int r;

	fd_raise_limit(&command->files);
	r = check_run(s, targets);
	return r == 0 && command->path ? program_exec(command) : r;
}

static int connect_run(struct settings *s, struct program *command)
{
	struct prepared prepared = {.report_fd = -1};
	struct children children = {.proc = -1};
	struct targets targets;
	int r = targets_connect(s, &targets);

	if (r == 0)
		r = prepare_open(&prepared, s);
	if (r == 0 && settings_command(s)) {
		r = program_prepare(command, s->words, s->shell);
		s->session.command = command;
		if (!s->check) {
			children_open(&children);
			s->session.children = &children;
		}
		fd_close_on_exec();
	}
	if (r == 0) {
		r = loop_open();
		if (r < 0) {
			diag_failure("cannot wait: %s", strerror(-r));
			r = exitcode_for(r, EXIT_LOST);
		} else {
			r = s->check ? check(s, &targets, command) : converse(s, &targets.list[0]);
			loop_close();
		}
	}
	children_close(&children);
	prepare_close(&prepared);
	targets_free(&targets);
	return r;
}

int cmd_connect(int argc, char **argv)
{
	struct program command = {0};
	struct settings s;
	int r = options_parse(&s, IN_CONNECT, argc, argv);

	if (r == 0 && !s.help)
		r = connect_run(&s, &command);
	program_free(&command);
	options_free(&s);
	return r;
}
