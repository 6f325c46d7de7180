/*
 * Runs a command with some of the descriptors 0, 1 and 2 closed:
 *
 *     closedfds 02 COMMAND [ARG]...
 *
 * A shell can close them, too, but not before it has opened others of its own there.
 */
#include "helper.h"

int main(int argc, char **argv)
{
	if (argc < 3)
		die("usage: closedfds DIGITS COMMAND [ARG]...");
	for (const char *c = argv[1]; *c; c++)
		close(*c - '0');
	execvp(argv[2], argv + 2);
	_exit(HELPER_FAILED);
}
