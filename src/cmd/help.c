/* tcptool --help and --version. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "cmd/cmd.h"

#include "config.h"

int help_finish(void)
{
	if (fflush(stdout) == 0)
		return EXIT_OK;
	diag_failure("write to stdout: %s", strerror(errno));
	return EXIT_LOCAL;
}

int cmd_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("usage: tcptool listen  [OPTION]... [HOST] PORT [-- COMMAND [ARG]...]\n"
	     "       tcptool connect [OPTION]... HOST PORT [-- COMMAND [ARG]...]\n"
	     "       tcptool listen --help | connect --help | --help | --version\n"
	     "\n"
	     "  listen   wait for TCP connections and join them to stdin and stdout, or to COMMAND\n"
	     "  connect  make a TCP connection and join it to stdin and stdout, or to COMMAND\n"
	     "\n"
	     "Exit status: 0 all delivered, 1 connection lost, 2 usage, 3 name not resolved,\n"
	     "4 refused or unreachable, 5 time limit, 6 cannot listen, 7 local input or output,\n"
	     "10 --expect not met, 11 out of resources, 126 and 127 COMMAND cannot be run or is\n"
	     "not found. tcptool(1) tells all.");
	return help_finish();
}

int cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts(PACKAGE_STRING);
	return help_finish();
}
