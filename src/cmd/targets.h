/* The words of a command line that name hosts and ports. */
#ifndef CMD_TARGETS_H
#define CMD_TARGETS_H

#include <stdint.h>

#include "cmd/options.h"

/* One host and one port to connect to. `host` points into the operands. */
struct target {
	const char *host;
	uint16_t port;
};

struct targets {
	int count;
	struct target *list;
};

/*
 * Reads "[HOST] PORT" or "HOST:PORT" into s->listen (HOST '*', empty or missing: all addresses).
 * With `inherited` sockets there may be no operand at all.
 * Returns 0 or EXIT_USAGE after one line on stderr.
 */
int targets_listen(struct settings *s, bool inherited);

/*
 * Reads --forward's HOST:PORT into s->session. Returns 0 or EXIT_USAGE after one line on stderr.
 */
int targets_forward(struct settings *s);

/*
 * Reads "HOST PORT" or "HOST:PORT"; with s->check "HOST PORTS" or any number of HOST:PORTS, PORTS
 * being a list of ports and ranges. A missing HOST is this machine. Returns 0, EXIT_USAGE or
 * EXIT_RESOURCES after one line on stderr; free with targets_free().
 */
int targets_connect(struct settings *s, struct targets *t);

void targets_free(struct targets *t);

#endif
