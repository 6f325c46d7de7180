/* tcptool connect: socket, connect; then a session. */
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "cmd/check.h"
#include "cmd/cmd.h"
#include "cmd/operands.h"
#include "cmd/options.h"
#include "loop/loop.h"

static const struct stage *const plan_relay[] = {&stage_dial, &stage_relay, &stage_settle, NULL};
static const struct stage *const plan_greet[] = {&stage_dial, &stage_greet_guest, &stage_settle, NULL};

static void session_ended(struct session *s)
{
	(void)s;
	loop_stop();
}

/* The one session of a client. Returns its status. */
static int converse(struct settings *s, const struct target *to)
{
	struct session session;
	int r;

	s->session.plan = s->greet ? plan_greet : plan_relay;
	s->session.host = to->host;
	s->session.port = to->port;
	session_start(&session, &s->session, -1, NULL, session_ended);
	r = loop_run();
	if (r == 0)
		return session.status;
	diag_failure("cannot wait: %s", strerror(-r));
	return exitcode_for(r, EXIT_LOST);
}

static int run(struct settings *s)
{
	struct targets targets;
	int r = operands_connect(s, &targets);

	if (r == 0) {
		r = loop_open();
		if (r < 0) {
			diag_failure("cannot wait: %s", strerror(-r));
			return exitcode_for(r, EXIT_LOST);
		}
		r = s->check ? check_run(s, &targets) : converse(s, &targets.list[0]);
		loop_close();
	}
	operands_free(&targets);
	return r;
}

int cmd_connect(int argc, char **argv)
{
	struct settings s;
	int r = options_parse(&s, IN_CONNECT, argc, argv);

	if (r == 0 && !s.help)
		r = run(&s);
	options_free(&s);
	return r;
}
