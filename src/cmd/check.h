/* connect --check: which of many targets accept connections, tried at the same time. */
#ifndef CMD_CHECK_H
#define CMD_CHECK_H

#include "cmd/targets.h"
#include "cmd/options.h"

/*
 * Probes all targets, at most 512 at a time, and prints a line for each in the order given unless
 * s->quiet. Runs the loop. Returns EXIT_OK when all are open, else the status of the first in
 * order that is not.
 */
int check_run(const struct settings *s, const struct targets *t);

#endif
