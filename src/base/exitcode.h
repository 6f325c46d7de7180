/* What each way of ending means to the caller: EXIT STATUS in tcptool(1). */
#ifndef BASE_EXITCODE_H
#define BASE_EXITCODE_H

enum exitcode {
	EXIT_OK = 0,         /* all delivered, all written */
	EXIT_LOST = 1,       /* the connection was reset or aborted */
	EXIT_USAGE = 2,      /* bad command line */
	EXIT_UNRESOLVED = 3, /* a name has no address */
	EXIT_REFUSED = 4,    /* refused or unreachable */
	EXIT_TIMEDOUT = 5,   /* a time limit passed */
	EXIT_LISTEN = 6,     /* cannot listen there */
	EXIT_LOCAL = 7,      /* stdin, stdout or a named file failed */
	EXIT_EXPECT = 10,    /* --expect was not met */
	EXIT_RESOURCES = 11, /* out of memory, descriptors or processes */
	EXIT_SIGNAL = 128,   /* plus the number: a command was ended by that signal */
	EXIT_RAISE = 256,    /* plus the number: main() dies of that signal; to the caller 128 plus it */
};

/*
 * The status for a failed system call: EXIT_RESOURCES when `error` (-errno) says that memory,
 * descriptors or processes have run out, else `otherwise`.
 */
int exitcode_for(int error, int otherwise);

#endif
