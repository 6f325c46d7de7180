/*
 * The command line. One table describes every option: getopt_long's arrays, --help, the ranges and
 * the checks of what goes with what all come from it, and a test holds the man page against it.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdbool.h>

#include "net/dial.h"
#include "net/listener.h"
#include "net/access.h"
#include "server/readiness.h"
#include "server/privileges.h"
#include "server/server.h"
#include "session/session.h"

/* The subcommands, as a set: an option belongs to one or both. */
enum command_set { IN_CONNECT = 1, IN_LISTEN = 2, IN_BOTH = 3 };

/* All that a command line says. The parts are what the layers below take. */
struct settings {
	enum command_set command;
	struct dial_settings dial;
	struct listen_settings listen;
	struct readiness_settings readiness;
	struct session_settings session;
	struct server_settings server;
	struct access_settings rules;
	struct privileges privileges;

	bool greet;  /* --greet */
	bool check;  /* --check */
	bool shuts;  /* --shutdown: the default, with no effect */
	bool quiet;  /* --quiet */
	bool help;   /* --help: it has been printed, there is nothing to do */
	int verbose; /* -v: how often */
	bool ipv4, ipv6, numeric;
	nsec timeout;  /* -w */
	nsec deadline; /* --deadline, from the start; 0: none */
	struct keepalive keepalive;

	bool hexdump;             /* --hexdump */
	const char *trace_file;   /* --trace; NULL: none */
	const char *trace_format; /* --trace-format; NULL: by the file's name */
	bool report;              /* --report */
	const char *report_file;  /* ... to this file; NULL: stderr */
	const char *send;         /* --send, escapes and all; NULL: stdin */
	const char *expect;       /* --expect; NULL: nothing in particular */
	nsec settle;              /* --settle: how long a connection must stay open; 0: not at all */
	struct access_words options; /* --sockopt */

	const char *shell;   /* --shell: a command for sh -c; NULL: none */
	const char *forward; /* --forward: HOST:PORT; NULL: no forwarding */
	char **words;        /* COMMAND and its arguments, behind "--"; NULL: none */

	/* copies that are cut into parts: ps(1) goes on to show the command line as it was typed */
	char **operands; /* the words that are no options, NULL at the end */
	int operand_count;
	/* the operand behind an option whose argument is optional, that option and its argument's name */
	const char *loose_word, *loose_option, *loose_argument;
	char *upstream;  /* --forward; NULL: none */
};

/* True when a command is to be run, in either form. */
static inline bool settings_command(const struct settings *s)
{
	return s->words || s->shell;
}

/* True when tcptool has to see the bytes of a COMMAND: then they are relayed. */
static inline bool settings_relay(const struct settings *s)
{
	const struct session_settings *to = &s->session;

	return to->trace || to->report_fd >= 0 || to->send_only || to->quit_after >= 0 || to->idle_timeout ||
	       filters_wanted(&to->filters);
}

/*
 * Parses argv[1...] for `command`, argv[0] being its name, into *s. Sets how much diagnostics say.
 * Prints --help itself. Returns 0, or EXIT_USAGE after one line on stderr. *s points into argv and
 * owns the lists and copies that it makes: options_free(). With s->help the help has been printed and
 * nothing is left to do.
 */
int options_parse(struct settings *s, enum command_set command, int argc, char **argv);

void options_free(struct settings *s);

/* Prints the table as help for `command` to stdout. Returns EXIT_OK or EXIT_LOCAL. */
int options_help(enum command_set command);

#endif
