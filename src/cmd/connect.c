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
#include "session/report.h"

static const struct stage *const plan_relay[] = {&stage_connect, &stage_stdio, &stage_delivered, NULL};
static const struct stage *const plan_greet[] = {&stage_connect, &stage_greet_guest, &stage_delivered, NULL};
static const struct stage *const plan_expect[] = {&stage_connect, &stage_expect, NULL};
static const struct stage *const plan_command[] = {&stage_connect, &stage_command, NULL};

static void session_ended(struct session *s)
{
	(void)s;
	loop_stop();
}

/* SIGUSR1 asks how the session is doing. */
struct asked {
	struct task task;
	const struct session *session;
};

static void report_live(struct task *task)
{
	signals_taken(SIGUSR1);
	report_write(list_entry(task, struct asked, task)->session, STDERR_FILENO);
}

static const struct stage *const *choose_plan(const struct settings *s)
{
	if (s->session.command)
		return plan_command;
	if (s->session.expect)
		return plan_expect;
	return s->greet ? plan_greet : plan_relay;
}

/* The one session of a client. Returns its status. */
static int converse(struct settings *s, const struct target *to)
{
	static const int report[] = {SIGUSR1};
	static const int for_command[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	struct session session;
	struct asked asked = {.session = &session};
	int r;

	s->session.plan = choose_plan(s);
	s->session.host = to->host;
	s->session.port = to->port;
	session_start(&session, &s->session, 1, -1, NULL, session_ended);
	task_init(&asked.task, report_live);
	/* without a command, the other signals do what they always do */
	if (s->session.command)
		r = signals_catch(&session.task, for_command, sizeof for_command / sizeof *for_command);
	else
		r = signals_catch(&asked.task, report, 1);
	if (r == 0)
		r = loop_run();
	if (r == 0)
		return session.status;
	diag_failure("cannot wait: %s", strerror(-r));
	return exitcode_for(r, EXIT_LOST);
}

/* Checks the targets; when all are open, the command takes our place. */
static int check(struct settings *s, const struct targets *targets, struct program *command)
{
	int r;

	fd_raise_limit(&command->files);
	r = check_run(s, targets);
	return r == 0 && command->path ? program_exec(command) : r;
}

static int run(struct settings *s, struct program *command)
{
	struct prepared watching = {.report_fd = -1};
	struct targets targets;
	int r = targets_connect(s, &targets);

	if (r == 0)
		r = prepare_open(&watching, s);
	if (r == 0 && settings_command(s)) {
		r = program_prepare(command, s->words, s->shell);
		s->session.command = command;
		fd_keep_to_ourselves();
	}
	if (r == 0) {
		r = loop_open();
		if (r < 0) {
			diag_failure("cannot wait: %s", strerror(-r));
			return exitcode_for(r, EXIT_LOST);
		}
		r = s->check ? check(s, &targets, command) : converse(s, &targets.list[0]);
		loop_close();
	}
	prepare_close(&watching);
	targets_free(&targets);
	return r;
}

int cmd_connect(int argc, char **argv)
{
	struct program command = {0};
	struct settings s;
	int r = options_parse(&s, IN_CONNECT, argc, argv);

	if (r == 0 && !s.help)
		r = run(&s, &command);
	program_free(&command);
	options_free(&s);
	return r;
}
