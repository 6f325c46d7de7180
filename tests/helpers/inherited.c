/*
 * Tells what it has inherited, one line each: open descriptors, blocked and ignored signals, limits of
 * descriptors, and whether its stdin is a socket that waits. With an argument it prints only the line
 * that begins with it.
 */
#include <signal.h>
#include <sys/resource.h>

#include "helper.h"

static const char *only;

static bool wants(const char *what)
{
	return !only || strcmp(only, what) == 0;
}

static void tell_descriptors(void)
{
	fputs("descriptors", stdout);
	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	putchar('\n');
}

static void tell_signals(void)
{
	sigset_t blocked;

	sigprocmask(SIG_BLOCK, NULL, &blocked);
	fputs("blocked", stdout);
	for (int signo = 1; signo < NSIG; signo++)
		if (sigismember(&blocked, signo) == 1)
			printf(" %d", signo);
	fputs("\nignored", stdout);
	for (int signo = 1; signo < NSIG; signo++) {
		struct sigaction now;

		if (sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
			printf(" %d", signo);
	}
	putchar('\n');
}

static void tell_stdin(void)
{
	struct stat in, out;

	if (fstat(0, &in) < 0 || fstat(1, &out) < 0)
		die("fstat: %s", strerror(errno));
	printf("stdin %s %s %s\n", S_ISSOCK(in.st_mode) ? "socket" : "other",
	       fcntl(0, F_GETFL) & O_NONBLOCK ? "nonblocking" : "blocking",
	       in.st_dev == out.st_dev && in.st_ino == out.st_ino ? "same" : "different");
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (argc > 1)
		only = argv[1];
	if (wants("descriptors"))
		tell_descriptors();
	if (wants("signals"))
		tell_signals();
	getrlimit(RLIMIT_NOFILE, &files);
	if (wants("limit"))
		printf("limit %llu %llu\n", (unsigned long long)files.rlim_cur,
		       (unsigned long long)files.rlim_max);
	if (wants("stdin"))
		tell_stdin();
	return 0;
}
