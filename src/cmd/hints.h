/*
 * Hints: what is typed as for other programs, such as nc(1), or in another order is refused, by a message
 * that shows the right form.
 */
#ifndef CMD_HINTS_H
#define CMD_HINTS_H

#include "cmd/options.h"

/*
 * For an option that is unknown ("-e", "--ssl") or that `command` does not have; `next` is its argument, the
 * word behind it, or NULL. Returns true after one line on stderr, or false: there is no hint for it.
 */
bool hints_option(enum command_set command, const char *option, const char *next);

/*
 * Operands that have the form of something else: a URL, a command without "--", PORT before HOST, ports as
 * words of their own, the argument of an option that takes it only behind '='. Returns 0, or EXIT_USAGE after
 * one line on stderr.
 */
int hints_operands(const struct settings *s);

/* argv[0] is no command: says in one line on stderr what it may have been meant for; returns EXIT_USAGE. */
int hints_command(int argc, char **argv);

#endif
