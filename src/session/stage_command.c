/* A client's command: it has the connection as stdin and stdout, and we wait for its end. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/exitcode.h"
#include "loop/signals.h"
#include "session/program.h"
#include "session/session.h"

/* What ends us ends the command, too: pass it on, then die of it. Returns true if one came. */
static bool ended_by_signal(struct session *s)
{
	static const int deadly[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
		if (!signals_taken(deadly[i]))
			continue;
		kill(s->child, deadly[i]);
		s->child = 0;
		s->status = EXIT_RAISE + deadly[i];
		return true;
	}
	return false;
}

static enum stage_result step(struct session *s, nsec now)
{
	int status;
	pid_t r;

	(void)now;
	if (!s->child) {
		r = program_spawn(s->settings->command, s->remote->rfd, &s->peer, 1);
		if (r < 0)
			return session_fail(s, exitcode_for((int)r, EXIT_RESOURCES), "fork: %s",
					    strerror((int)-r));
		s->child = r;
		/* the connection is the command's alone: its end must be the peer's end-of-file */
		s->remote->ops->close(s->remote);
		s->remote = NULL;
	}
	if (ended_by_signal(s))
		return STAGE_FAILED;
	r = waitpid(s->child, &status, WNOHANG);
	if (r != s->child)
		return STAGE_WAIT;
	s->child = 0;
	s->status = WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
	return STAGE_DONE;
}

/* Only --deadline comes here with the command still running. */
static void leave(struct session *s)
{
	if (s->child)
		kill(s->child, SIGTERM);
}

const struct stage stage_command = {"command", step, leave};
