/* tcptool connect: socket, connect; then a session. */
#include <signal.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "cmd/check.h"
#include "cmd/cmd.h"
#include "cmd/operands.h"
#include "cmd/options.h"
#include "loop/loop.h"
#include "loop/signals.h"

static const struct stage *const plan_relay[] = {&stage_dial, &stage_relay, &stage_settle, NULL};
static const struct stage *const plan_greet[] = {&stage_dial, &stage_greet_guest, &stage_settle, NULL};

static const struct stage *const plan_command[] = {&stage_dial, &stage_command, NULL};

static void session_ended(struct session *s)
{
	(void)s;
	loop_stop();
}

/* The one session of a client. Returns its status. */
static int converse(struct settings *s, const struct target *to)
{
	static const int which[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	struct session session;
	int r = 0;

	s->session.plan = s->session.command ? plan_command : s->greet ? plan_greet : plan_relay;
	s->session.host = to->host;
	s->session.port = to->port;
	session_start(&session, &s->session, -1, NULL, session_ended);
	/* without a command, signals do what they always do */
	if (s->session.command)
		r = signals_catch(&session.task, which, sizeof which / sizeof *which);
	if (r == 0)
		r = loop_run();
	if (r == 0)
		return session.status;
	diag_failure("cannot wait: %s", strerror(-r));
	return exitcode_for(r, EXIT_LOST);
}

/* Checks the targets; when all are open, the command takes our place. */
static int check(struct settings *s, const struct targets *targets, const struct command *command)
{
	int r = check_run(s, targets);

	return r == 0 && command->path ? command_exec(command) : r;
}

static int run(struct settings *s, struct command *command)
{
	struct targets targets;
	int r = operands_connect(s, &targets);

	if (r == 0 && settings_command(s)) {
		r = command_prepare(command, s->words, s->shell);
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
	operands_free(&targets);
	return r;
}

int cmd_connect(int argc, char **argv)
{
	struct command command = {0};
	struct settings s;
	int r = options_parse(&s, IN_CONNECT, argc, argv);

	if (r == 0 && !s.help)
		r = run(&s, &command);
	command_free(&command);
	options_free(&s);
	return r;
}
