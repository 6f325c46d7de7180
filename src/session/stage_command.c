/*
 * COMMAND has the socket itself as stdin and stdout; the session keeps a descriptor of it and waits. When
 * the command has ended, and with it every process that it left behind with the connection, what they sent
 * is still to be delivered: the next stage shuts our half down, reads and drops what the command left
 * unread, and waits for the acknowledgement. So no close of the last descriptor can turn the answer into a
 * reset.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "session/children.h"
#include "session/command.h"
#include "session/program.h"
#include "session/session.h"

/* The pause before another try to start a command. */
#define PROCESSES_PAUSE (50 * NSEC_PER_MSEC)

/* The longest pause between two looks whether a process that was left behind still has the connection. */
#define HOLDERS_MOST_MS 250

int command_start(struct session *s, struct child *child, int fd)
{
	pid_t pid = program_spawn(s->settings->command, fd, leg_socket(&s->legs[LEG_CONNECTION]), &s->peer,
				  s->place ? s->place->count : 1);

	if (pid < 0)
		return (int)pid;
	*child = (struct child){.pid = pid, .task = &s->task};
	children_add(s->settings->children, child);
	return 0;
}

enum stage_result command_cannot_start(struct session *s, int error, nsec now)
{
	/* a client has no others that could give processes back */
	if (!s->incoming || exitcode_for(error, EXIT_OK) != EXIT_RESOURCES)
		return session_fail(s, exitcode_for(error, EXIT_RESOURCES), "fork: %s", strerror(-error));
	diag_once(DIAG_ONCE_FORK, "cannot start a command: %s; will retry", strerror(-error));
	session_wake_at(s, now + PROCESSES_PAUSE);
	return STAGE_WAIT;
}

void command_take_status(struct session *s, const struct child *child)
{
	char text[ENDPOINT_TEXT];
	int status = child->status;

	s->status = (int16_t)(WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status));
	if (!s->incoming)
		return;
	endpoint_text(&s->peer, text);
	if (WIFSIGNALED(status))
		diag_step("connection from %s port %u: command %d ended by signal %d", text,
			  endpoint_port(&s->peer), (int)child->pid, WTERMSIG(status));
	else
		diag_step("connection from %s port %u: command %d ended with status %d", text,
			  endpoint_port(&s->peer), (int)child->pid, WEXITSTATUS(status));
}

void command_leave_child(const struct session *s, struct child *child)
{
	int signo = s->status > EXIT_RAISE ? s->status - EXIT_RAISE : SIGTERM;

	if (!child->pid || child->ended)
		return;
	children_remove(child);
	kill(child->pid, signo);
}

struct commanding {
	struct child child;
	bool told; /* the command's end has been recorded */
};

static enum stage_result command_step(struct session *s, struct leg *leg, void *state, nsec now)
{
	struct commanding *c = state;
	int sock = leg_socket(leg), r = 0;

	if (!c->child.pid) {
		/* programs expect a blocking socket; our own calls have MSG_DONTWAIT */
		fcntl(sock, F_SETFL, 0);
		r = command_start(s, &c->child, sock);
	}
	if (r < 0)
		return command_cannot_start(s, r, now);
	if (!c->child.ended)
		return STAGE_WAIT;
	if (!c->told)
		command_take_status(s, &c->child);
	c->told = true;
	if (children_hold(s->settings->children, sock)) {
		session_look_again(s, now, HOLDERS_MOST_MS);
		return STAGE_WAIT;
	}
	s->drop_input = true;
	return STAGE_DONE;
}

static void command_leave(struct session *s, struct leg *leg, void *state)
{
	struct commanding *c = state;

	(void)leg;
	command_leave_child(s, &c->child);
}

const struct stage stage_command = {"command", sizeof(struct commanding), command_step, command_leave};
