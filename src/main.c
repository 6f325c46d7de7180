/* tcptool: picks the command, runs it and exits with its status. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/fd.h"
#include "cmd/cmd.h"
#include "cmd/hints.h"
#include "loop/signals.h"
#include "server/privileges.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"listen", cmd_listen},   {"connect", cmd_connect}, {"--help", cmd_help},
	{"-h", cmd_help},         {"help", cmd_help},       {"--version", cmd_version},
	{"-V", cmd_version},
};

static int run_command(int argc, char **argv)
{
	if (argc < 1) {
		diag_failure("no command: try tcptool --help");
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(argc, argv);
	return hints_command(argc, argv);
}

/*
 * Keeps M_MMAP_THRESHOLD of mallopt(3) from growing: freed blocks of 128 KiB and more go back to the kernel
 * at once.
 */
static void fix_mmap_threshold(void)
{
#ifdef M_MMAP_THRESHOLD
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
#endif
}

int main(int argc, char **argv)
{
	int status;

	signals_begin();
	if (fd_open_standard() < 0)
		return EXIT_LOCAL;
	if (privileges_are_lent()) {
		diag_failure("refused: this executable is set-user-ID or set-group-ID, or has file "
			     "capabilities");
		return EXIT_USAGE;
	}
	fix_mmap_threshold();
	status = run_command(argc - 1, argv + 1);
	if (status <= EXIT_RAISE)
		return status;
	signals_die(status - EXIT_RAISE);
	/* still here: SIGPIPE was inherited as ignored, so the error is printed */
	diag_failure("write to stdout: %s", strerror(EPIPE));
	return EXIT_LOCAL;
}
