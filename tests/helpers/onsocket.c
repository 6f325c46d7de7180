/*
 * Runs a command whose stdin and stdout are one Unix stream socket, as a super-server would:
 *
 *     onsocket TEXT COMMAND [ARG]...
 *
 * Sends it TEXT (C escapes) and an end-of-file, prints what comes back until its end, and exits with
 * the command's status. 99: it took too long.
 */
#include <signal.h>

#include "helper.h"

int main(int argc, char **argv)
{
	long long ends = now_ms() + 20000;
	char buf[4096];
	int ends_of[2], status;
	size_t length;
	ssize_t got;
	pid_t child;

	if (argc < 3)
		die("usage: onsocket TEXT COMMAND [ARG]...");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_of) < 0)
		die("socketpair: %s", strerror(errno));
	child = fork();
	if (child == 0) {
		dup2(ends_of[1], 0);
		dup2(ends_of[1], 1);
		execvp(argv[2], argv + 2);
		_exit(HELPER_FAILED);
	}
	close(ends_of[1]);
	length = unescape(argv[1]);
	if (send(ends_of[0], argv[1], length, MSG_NOSIGNAL) != (ssize_t)length)
		die("send: %s", strerror(errno));
	shutdown(ends_of[0], SHUT_WR);
	do {
		if (!wait_fd(ends_of[0], POLLIN, ends)) {
			kill(child, SIGKILL);
			die("onsocket: no end came");
		}
		got = recv(ends_of[0], buf, sizeof buf, 0);
		if (got > 0 && fwrite(buf, 1, (size_t)got, stdout) != (size_t)got)
			die("write: %s", strerror(errno));
	} while (got > 0);
	if (waitpid(child, &status, 0) < 0)
		die("waitpid: %s", strerror(errno));
	return shell_status(status);
}
