/*
 * Runs a command on a new pseudo-terminal and plays the person in front of it:
 *
 *     pty [-i] [-o] [-t SEC] STEP... -- COMMAND [ARG]...
 *
 *     -i   only stdin is the terminal     -o   only stdout is     (neither: both)
 *     -t   limit for the whole (20 s)
 *
 *     type:TEXT   (C escapes; \x04 is ^D, \x03 is ^C)     see:TEXT    wait until TEXT has been shown
 *     wait:FILE   until FILE exists                       touch:FILE  create FILE
 *     kill:N      send signal N to the command
 *
 * After the last step it waits for the command's end, prints what the terminal has shown and exits with
 * the command's status. It exits 98 if the terminal's modes or the flags of its open file description
 * are not what they were, and 99 if a step failed.
 */
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "helper.h"

#define CHANGED 98

static int master, slave;
static pid_t child;
static bool ended;
static int status;
static long long ends;
static char shown[65536];
static size_t shown_length;

static void give_up(const char *why, const char *what)
{
	if (!ended)
		kill(child, SIGKILL);
	fwrite(shown, 1, shown_length, stdout);
	die("pty: %s%s", why, what);
}

/* Takes what the terminal shows within `ms`. Returns false when nothing has come. */
static bool take(int ms)
{
	ssize_t got;

	if (!wait_fd(master, POLLIN, now_ms() + ms))
		return false;
	if (shown_length == sizeof shown)
		give_up("too much was shown", "");
	got = read(master, shown + shown_length, sizeof shown - shown_length);
	if (got > 0)
		shown_length += (size_t)got;
	return got > 0;
}

/* Notices the command's end; what it wrote before is in the terminal then. */
static bool look_whether_ended(void)
{
	if (!ended && waitpid(child, &status, WNOHANG) == child)
		ended = true;
	return ended;
}

static void see(const char *text, size_t n)
{
	while (!memmem(shown, shown_length, text, n)) {
		if (!take(20) && look_whether_ended() && !take(0))
			give_up("the command ended before it was seen: ", text);
		if (now_ms() >= ends)
			give_up("not seen: ", text);
	}
}

static void type(const char *text, size_t n)
{
	if (write(master, text, n) != (ssize_t)n)
		give_up("cannot type", "");
}

/* A file appears; meanwhile what is shown has to be read, or the command would block. */
static void wait_for_file(const char *path)
{
	while (access(path, F_OK) < 0) {
		take(10);
		if (now_ms() >= ends)
			give_up("did not appear: ", path);
	}
}

static void do_step(char *word)
{
	char *arg = strchr(word, ':');

	if (!arg)
		give_up("unknown step ", word);
	*arg++ = '\0';
	if (strcmp(word, "type") == 0)
		type(arg, unescape(arg));
	else if (strcmp(word, "see") == 0)
		see(arg, unescape(arg));
	else if (strcmp(word, "wait") == 0)
		wait_for_file(arg);
	else if (strcmp(word, "touch") == 0)
		write_file(arg, "");
	else if (strcmp(word, "kill") == 0)
		kill(child, (int)number(arg));
	else
		give_up("unknown step ", word);
}

static void start(char **command, bool input, bool output)
{
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child > 0)
		return;
	/* its own session with this terminal, so that ^C reaches it */
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	if (input)
		dup2(slave, 0);
	if (output)
		dup2(slave, 1);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(*command, command);
	_exit(HELPER_FAILED);
}

static void open_terminal(void)
{
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		die("posix_openpt: %s", strerror(errno));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		die("open %s: %s", ptsname(master), strerror(errno));
}

int main(int argc, char **argv)
{
	bool input = false, output = false;
	struct termios before, after;
	int letter, flags, limit = 20;

	while ((letter = getopt(argc, argv, "+iot:")) != -1) {
		if (letter == 'i')
			input = true;
		else if (letter == 'o')
			output = true;
		else if (letter == 't')
			limit = (int)number(optarg);
		else
			return HELPER_FAILED;
	}
	if (!input && !output)
		input = output = true;
	/* getopt would eat a "--" that comes first: then there are no steps */
	int command = optind;
	bool bare = optind > 1 && strcmp(argv[optind - 1], "--") == 0;

	while (!bare && command < argc && strcmp(argv[command], "--") != 0)
		command++;
	command += !bare;
	if (command >= argc)
		die("usage: pty [-i] [-o] [-t SEC] STEP... -- COMMAND [ARG]...");
	ends = now_ms() + limit * 1000LL;
	open_terminal();
	flags = fcntl(slave, F_GETFL);
	tcgetattr(slave, &before);
	start(argv + command, input, output);
	for (int i = optind; i < command - !bare; i++)
		do_step(argv[i]);
	while (!look_whether_ended()) {
		take(20);
		if (now_ms() >= ends)
			give_up("the command did not end", "");
	}
	while (take(0))
		continue;
	fwrite(shown, 1, shown_length, stdout);
	tcgetattr(slave, &after);
	if (memcmp(&before, &after, sizeof before) != 0 || fcntl(slave, F_GETFL) != flags) {
		fprintf(stderr, "pty: the terminal was left changed\n");
		return CHANGED;
	}
	return shell_status(status);
}
