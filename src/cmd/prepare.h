/* Opens and parses what options name: traces, reports, patterns, socket options. */
#ifndef CMD_PREPARE_H
#define CMD_PREPARE_H

#include "cmd/options.h"
#include "net/sockopt_table.h"
#include "session/expect.h"

/* What is opened and parsed for a run, beside the settings that point to it. */
struct prepared {
	struct trace *trace;
	int report_fd; /* -1: no file was opened for it */
	struct expectation expect;
	bool has_pattern;
	char *send;
	struct sockopts options;
};

/*
 * Opens what the settings name and lets them point to it. Returns 0, or after one line on stderr
 * EXIT_USAGE, EXIT_LOCAL or EXIT_RESOURCES. prepare_close() in any case.
 */
int prepare_open(struct prepared *, struct settings *s);

/* Closes the files and frees the rest. */
void prepare_close(struct prepared *);

#endif
