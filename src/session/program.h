/*
 * A command per connection, as UCSPI defines it: the program gets the socket itself as stdin and stdout
 * and the two addresses in its environment. It inherits no other descriptor, and nothing that the peer
 * can choose but its address.
 */
#ifndef SESSION_PROGRAM_H
#define SESSION_PROGRAM_H

#include <sys/resource.h>
#include <sys/types.h>

#include "net/endpoint.h"

#define PROGRAM_VARIABLES 6

struct program {
	char *const *argv;
	char *path;            /* the file that argv[0] is, found once */
	char *shell[5];        /* argv of "sh -c -- STRING" */
	char **environment;    /* room for PROGRAM_VARIABLES, then what was inherited */
	struct rlimit files;   /* the limit of descriptors that was inherited; the caller sets it */
};

/*
 * Prepares to run argv, or with `shell` the string by sh -c --: finds the program along $PATH. Returns 0,
 * or after one line on stderr 127 (not found), 126 (not executable) or EXIT_RESOURCES. argv must outlive
 * it. Call it after chroot(2): the path is one inside.
 */
int program_prepare(struct program *, char *const *argv, const char *shell);

/*
 * Starts it with `fd` as descriptors 0 and 1, default signals and an empty mask. Its environment describes
 * the connection of `sock` to `peer`; `number` is how many connections the peer has, this one included.
 * Both descriptors stay the caller's. vfork(2), so the cost does not grow with our memory. Returns the
 * child's pid or -errno; a program that cannot be executed is a child that ends with 126 or 127, after a
 * line on stderr.
 */
pid_t program_spawn(const struct program *, int fd, int sock, const struct endpoint *peer, int number);

/*
 * Executes it in place of this program: execve(2) with stdin, stdout and environment as they were
 * inherited. Returns 126 or 127, after one line on stderr, only if that failed.
 */
int program_exec(const struct program *);

void program_free(struct program *);

#endif
