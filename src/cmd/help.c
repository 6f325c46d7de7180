/* tcptool --help and --version. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "cmd/cmd.h"
#include "cmd/options.h"

#include "config.h"

int help_finish(void)
{
	if (fflush(stdout) == 0)
		return EXIT_OK;
	diag_failure("write to stdout: %s", strerror(errno));
	return EXIT_LOCAL;
}

static int help_all(void)
{
	puts("usage: tcptool listen  [OPTION]... [HOST] PORT [-- COMMAND [ARG]...]\n"
	     "       tcptool connect [OPTION]... HOST PORT [-- COMMAND [ARG]...]\n"
	     "       tcptool help [listen | connect]\n"
	     "       tcptool --version\n"
	     "\n"
	     "  listen   wait for a connection; join it to stdin and stdout, or to COMMAND\n"
	     "  connect  make a connection; join it to stdin and stdout, or to COMMAND\n"
	     "  help     show the options of a command, as tcptool COMMAND --help does\n"
	     "\n"
	     "Exit status: 0 all delivered, 1 connection lost, 2 usage, 3 name not resolved,\n"
	     "4 refused or unreachable, 5 time limit, 6 cannot listen, 7 local input or\n"
	     "output, 10 --expect not met, 11 out of resources, 126 and 127 COMMAND cannot\n"
	     "be run or is not found. tcptool(1) tells all.");
	return help_finish();
}

int cmd_help(int argc, char **argv)
{
	if (argc < 2)
		return help_all();
	if (argc == 2 && strcmp(argv[1], "listen") == 0)
		return options_help(IN_LISTEN);
	if (argc == 2 && strcmp(argv[1], "connect") == 0)
		return options_help(IN_CONNECT);
	diag_failure("help: '%.100s' is no command: it is listen or connect", argv[argc - 1]);
	return EXIT_USAGE;
}

int cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts(PACKAGE_STRING);
	return help_finish();
}
