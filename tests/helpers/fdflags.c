/*
 * Runs a command and looks whether it leaves its descriptors 0, 1 and 2 as they were: the flags of the
 * open file descriptions (F_GETFL), which it shares with everybody who holds them.
 *
 *     fdflags [-n] [-p PIDFILE] COMMAND [ARG]...
 *
 * With -n, 0 and 1 are made non-blocking first. PIDFILE gets the command's process id, for those who
 * want to kill it. Exits with the command's status, or 98 if something has changed.
 */
#include "helper.h"

#define CHANGED 98

/* Tells of each descriptor whose flags are not what they were. Returns true if there is one. */
static bool compare(const int before[3])
{
	bool changed = false;

	for (int fd = 0; fd < 3; fd++) {
		int after = fcntl(fd, F_GETFL);

		if (after == before[fd])
			continue;
		changed = true;
		fprintf(stderr, "fdflags: descriptor %d had flags %#o, has %#o\n", fd,
			(unsigned)before[fd], (unsigned)after);
	}
	return changed;
}

int main(int argc, char **argv)
{
	const char *pid_file = NULL;
	bool nonblocking = false;
	int before[3], status, letter;
	char line[16];
	pid_t child;

	while ((letter = getopt(argc, argv, "+np:")) != -1) {
		if (letter == 'n')
			nonblocking = true;
		else if (letter == 'p')
			pid_file = optarg;
		else
			return HELPER_FAILED;
	}
	if (optind == argc)
		die("usage: fdflags [-n] [-p PIDFILE] COMMAND [ARG]...");
	for (int fd = 0; fd < 3; fd++) {
		if (nonblocking && fd < 2)
			fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		before[fd] = fcntl(fd, F_GETFL);
	}
	child = fork();
	if (child == 0) {
		execvp(argv[optind], argv + optind);
		_exit(HELPER_FAILED);
	}
	snprintf(line, sizeof line, "%ld\n", (long)child);
	if (pid_file)
		write_file(pid_file, line);
	if (child < 0 || waitpid(child, &status, 0) < 0)
		die("fdflags: %s", strerror(errno));
	return compare(before) ? CHANGED : shell_status(status);
}
