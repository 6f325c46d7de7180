#include "cmd/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/num.h"
#include "base/output.h"
#include "base/spell.h"
#include "cmd/cmd.h"
#include "cmd/hints.h"

/* How the argument of an option is read, and what lies at its offset in struct settings. */
enum kind {
	FLAG,          /* no argument; a bool that becomes true */
	COUNT,         /* no argument; an int that grows */
	NUMBER,        /* an int64_t from min to max */
	SIZE,          /* the same, with units */
	TIME,          /* an nsec */
	OPTIONAL_TIME, /* an nsec, and the bool at `also` becomes true */
	STRING,        /* a const char * into argv */
	OPTIONAL_STRING, /* a const char *, and the bool at `also` becomes true */
	KEEPALIVE,     /* a struct keepalive */
	LIST,          /* one more word of a struct access_words */
	COMMAND,       /* no option, but the words behind "--" */
};

/* The groups of --help, in their order: the options that are used most come first. */
enum help_group {
	OFTEN,
	FLOWS,
	CONNECTING,
	HEALTH,
	LISTENING,
	SERVING,
	ACCESS,
	ADDRESSES,
	LIMITS,
	SEEING,
	SHAPING,
	MESSAGES,
	GROUPS
};

static const char *const group_names[] = {
	[OFTEN] = "Used most",
	[FLOWS] = "The two flows, or COMMAND",
	[CONNECTING] = "Connecting",
	[HEALTH] = "Health checks",
	[LISTENING] = "Listening",
	[SERVING] = "Serving",
	[ACCESS] = "Access and privileges",
	[ADDRESSES] = "Addresses",
	[LIMITS] = "Limits on time",
	[SEEING] = "Traces and reports",
	[SHAPING] = "Shaping",
	[MESSAGES] = "Messages",
};

struct option_row {
	enum help_group group; /* where --help shows it */
	const char *name;
	char letter; /* 0: only long */
	enum kind kind;
	enum command_set in;
	size_t offset, also;
	int64_t min, max;
	const char *argument; /* its name in --help; NULL: none */
	const char *help;
	const char *excludes; /* names of the options it cannot be used with, or NULL */
	const char *needs;    /* names of options of which it needs one, or NULL */
};

#define AT(member) offsetof(struct settings, member)

/* Options for a connection that is joined to stdin and stdout. */
#define ONLY_RELAY "quit-after no-shutdown send-only recv-only"

/* ... and the uses of a connection that a COMMAND excludes. */
#define NOT_OF_COMMAND "no-shutdown recv-only greet"

/* Options that change the flows, and the uses of a connection that have no such flows. */
#define SHAPERS "crlf telnet limit-rate delay chunk"
#define NO_FLOWS "greet check"

static const struct option_row table[] = {
	/* the two flows */
	{OFTEN, "quit-after", 'q', TIME, IN_BOTH, AT(session.quit_after), 0, 0, 0, "TIME",
	 "after one flow has ended, give the other TIME", "greet check recv-only", NULL},
	{FLOWS, "no-shutdown", 0, FLAG, IN_BOTH, AT(session.no_shutdown), 0, 0, 0, NULL,
	 "send no FIN before the session's end", "greet check recv-only", NULL},
	{FLOWS, "shutdown", 'N', FLAG, IN_BOTH, AT(shuts), 0, 0, 0, NULL,
	 "send a FIN at the end of stdin (the default)", "no-shutdown", NULL},
	{FLOWS, "send-only", 0, FLAG, IN_BOTH, AT(session.send_only), 0, 0, 0, NULL,
	 "drop what is received", "recv-only greet check", NULL},
	{FLOWS, "recv-only", 0, FLAG, IN_BOTH, AT(session.recv_only), 0, 0, 0, NULL,
	 "send nothing, do not read stdin", "greet check", NULL},
	{FLOWS, "greet", 'g', OPTIONAL_STRING, IN_BOTH, AT(session.greeting), AT(greet), 0, 0, "TEXT",
	 "exchange a greeting instead of stdin and stdout", "check", NULL},

	/* connecting */
	{OFTEN, "retry", 0, OPTIONAL_TIME, IN_CONNECT, AT(dial.retry_for), AT(dial.retry), 1, 0, "TIME",
	 "try again while nothing accepts [for TIME]", NULL, NULL},
	{CONNECTING, "retry-interval", 0, TIME, IN_CONNECT, AT(dial.retry_interval), 0, 1, 0, "TIME",
	 "first pause (100ms); grows to 250ms, later 1s", NULL, "retry"},
	{CONNECTING, "source", 's', STRING, IN_CONNECT, AT(dial.source), 0, 0, 0, "ADDR",
	 "connect from this address", NULL, NULL},
	{CONNECTING, "source-port", 'p', NUMBER, IN_CONNECT, AT(dial.source_port), 0, 1, 65535, "PORT",
	 "connect from this port", NULL, NULL},
	{OFTEN, "check", 'z', FLAG, IN_CONNECT, AT(check), 0, 0, 0, NULL,
	 "only check which PORTS of HOST accept", NULL, NULL},

	/* listening */
	{OFTEN, "keep-open", 'k', FLAG, IN_LISTEN, AT(server.keep_open), 0, 0, 0, NULL,
	 "accept further connections after the first", NULL, NULL},
	{FLOWS, "shell", 'c', STRING, IN_BOTH, AT(shell), 0, 0, 0, "STRING", "run STRING by sh -c as COMMAND",
	 "COMMAND forward " NOT_OF_COMMAND, NULL},
	{OFTEN, "forward", 'F', STRING, IN_LISTEN, AT(forward), 0, 0, 0, "HOST:PORT",
	 "relay each connection to that address", "COMMAND " ONLY_RELAY " greet", NULL},
	{SERVING, "max-connections", 'm', NUMBER, IN_LISTEN, AT(server.max_connections), 0, 1, 1000000, "N",
	 "serve at most N at a time (100), let more wait", NULL, "COMMAND shell forward greet"},
	{SERVING, "max-per-host", 0, NUMBER, IN_LISTEN, AT(server.max_per_host), 0, 1, 1000000, "N",
	 "serve at most N of one address, close more", NULL, "COMMAND shell forward greet"},
	{OFTEN, "allow", 0, LIST, IN_LISTEN, AT(rules.allow), 0, 0, 0, "CIDR",
	 "serve these addresses, refuse others", NULL, NULL},
	{ACCESS, "deny", 0, LIST, IN_LISTEN, AT(rules.deny), 0, 0, 0, "CIDR",
	 "refuse these addresses, even if allowed", NULL, NULL},
	{ACCESS, "allow-file", 0, LIST, IN_LISTEN, AT(rules.allow_files), 0, 0, 0, "FILE",
	 "as --allow, one a line; read again on SIGHUP", NULL, NULL},
	{ACCESS, "deny-file", 0, LIST, IN_LISTEN, AT(rules.deny_files), 0, 0, 0, "FILE",
	 "as --deny, one a line; read again on SIGHUP", NULL, NULL},
	{ACCESS, "user", 0, STRING, IN_LISTEN, AT(privileges.user), 0, 0, 0, "NAME[:GROUP]",
	 "become this user before serving", NULL, NULL},
	{ACCESS, "chroot", 0, STRING, IN_LISTEN, AT(privileges.chroot), 0, 0, 0, "DIR",
	 "make DIR the root directory before serving", NULL, NULL},
	{LISTENING, "backlog", 0, NUMBER, IN_LISTEN, AT(listen.backlog), 0, 1, INT32_MAX, "N",
	 "let at most N connections wait to be accepted", NULL, NULL},
	{LISTENING, "reuse-port", 0, FLAG, IN_LISTEN, AT(listen.reuse_port), 0, 0, 0, NULL,
	 "share the port with others that use this", NULL, NULL},
	{OFTEN, "port-file", 0, STRING, IN_LISTEN, AT(readiness.port_file), 0, 0, 0, "FILE",
	 "when listening, write the port to FILE", NULL, NULL},
	{LISTENING, "ready-fd", 0, NUMBER, IN_LISTEN, AT(readiness.ready_fd), 0, 3, INT32_MAX, "N",
	 "when listening, write the port to descriptor N", NULL, NULL},
	{SERVING, "drain", 0, TIME, IN_LISTEN, AT(server.drain), 0, 0, 0, "TIME",
	 "on SIGTERM, SIGINT: let sessions last TIME (0)", NULL, NULL},

	/* addresses */
	{ADDRESSES, "ipv4", '4', FLAG, IN_BOTH, AT(ipv4), 0, 0, 0, NULL, "use IPv4 only", "ipv6", NULL},
	{ADDRESSES, "ipv6", '6', FLAG, IN_BOTH, AT(ipv6), 0, 0, 0, NULL, "use IPv6 only", NULL, NULL},
	{ADDRESSES, "numeric", 'n', FLAG, IN_BOTH, AT(numeric), 0, 0, 0, NULL, "look up no names", NULL,
	 NULL},

	/* health checks */
	{OFTEN, "send", 0, STRING, IN_CONNECT, AT(send), 0, 0, 0, "TEXT",
	 "send TEXT, with C's escapes, in place of stdin", "recv-only greet check COMMAND shell", NULL},
	{OFTEN, "expect", 0, STRING, IN_CONNECT, AT(expect), 0, 0, 0, "REGEX",
	 "succeed when what is received matches REGEX", ONLY_RELAY " greet check COMMAND shell " SHAPERS,
	 NULL},
	{HEALTH, "settle", 0, TIME, IN_CONNECT, AT(settle), 0, 1, 0, "TIME",
	 "with -z: what closes within TIME is dropped", NULL, "check"},

	/* limits on time */
	{OFTEN, "timeout", 'w', TIME, IN_BOTH, AT(timeout), 0, 1, 0, "TIME",
	 "wait at most TIME for a connection", NULL, NULL},
	{OFTEN, "idle-timeout", 'i', TIME, IN_BOTH, AT(session.idle_timeout), 0, 1, 0, "TIME",
	 "end a session in which no byte moves for TIME", "check", NULL},
	{LIMITS, "deadline", 0, TIME, IN_BOTH, AT(deadline), 0, 1, 0, "TIME", "end the whole run after TIME",
	 NULL, NULL},
	{LIMITS, "keepalive", 0, KEEPALIVE, IN_BOTH, AT(keepalive), 0, 0, 0, "IDLE[,INTERVAL[,COUNT]]",
	 "probe a silent peer (60,10,6)", "no-keepalive", NULL},
	{LIMITS, "no-keepalive", 0, FLAG, IN_BOTH, AT(keepalive.off), 0, 0, 0, NULL,
	 "send no keepalive probes", NULL, NULL},

	/* seeing */
	{OFTEN, "verbose", 'v', COUNT, IN_BOTH, AT(verbose), 0, 0, 0, NULL,
	 "print each step; -vv: each attempt, TCP_INFO", "quiet", NULL},
	{OFTEN, "hexdump", 'x', FLAG, IN_BOTH, AT(hexdump), 0, 0, 0, NULL,
	 "dump what is sent and received on stderr", "check trace", NULL},
	{SEEING, "trace", 'o', STRING, IN_BOTH, AT(trace_file), 0, 0, 0, "FILE",
	 "record what is sent and received in FILE", "check", NULL},
	{SEEING, "trace-format", 0, STRING, IN_BOTH, AT(trace_format), 0, 0, 0, "FORMAT",
	 "hex, raw, jsonl or pcapng (by FILE's ending)", NULL, "trace"},
	{SEEING, "report", 0, OPTIONAL_STRING, IN_BOTH, AT(report_file), AT(report), 0, 0, "FILE",
	 "print a line of JSON for each connection", "check", NULL},
	{SEEING, "progress", 0, FLAG, IN_BOTH, AT(session.progress), 0, 0, 0, NULL,
	 "show a meter, if stderr is a terminal", "check COMMAND shell greet forward expect", NULL},

	/* shaping */
	{OFTEN, "crlf", 'C', FLAG, IN_BOTH, AT(session.filters.crlf), 0, 0, 0, NULL, "send LF as CRLF",
	 NO_FLOWS " forward", NULL},
	{SHAPING, "telnet", 't', FLAG, IN_BOTH, AT(session.filters.telnet), 0, 0, 0, NULL,
	 "refuse TELNET's options", NO_FLOWS " forward", NULL},
	{SHAPING, "limit-rate", 0, SIZE, IN_BOTH, AT(session.filters.rate), 0, 1, INT64_MAX / 2, "SIZE",
	 "move at most SIZE bytes a second each way", NO_FLOWS, NULL},
	{SHAPING, "delay", 0, TIME, IN_BOTH, AT(session.filters.delay), 0, 1, 0, "TIME",
	 "pause for TIME behind each line sent", NO_FLOWS " forward", NULL},
	{SHAPING, "chunk", 0, SIZE, IN_BOTH, AT(session.filters.chunk), 0, 1, INT32_MAX, "SIZE",
	 "send at most SIZE bytes a write", NO_FLOWS " forward", NULL},
	{SHAPING, "sockopt", 'O', LIST, IN_BOTH, AT(options), 0, 0, 0, "NAME[=VALUE]",
	 "set a socket option; -O help lists them", NULL, NULL},

	/* more or less */
	{MESSAGES, "quiet", 0, FLAG, IN_BOTH, AT(quiet), 0, 0, 0, NULL, "print no error messages", NULL,
	 NULL},
	{MESSAGES, "help", 'h', FLAG, IN_BOTH, AT(help), 0, 0, 0, NULL, "show these options", NULL, NULL},

	{FLOWS, "COMMAND", 0, COMMAND, IN_BOTH, AT(words), 0, 0, 0, NULL, NULL,
	 NOT_OF_COMMAND, NULL},
};

#define ROWS (sizeof table / sizeof *table)
#define OPTIONS (ROWS - 1) /* the last one is COMMAND */
#define FIRST_CODE 256 /* getopt_long answers FIRST_CODE + row, above all letters */

static int has_argument(const struct option_row *row)
{
	switch (row->kind) {
	case FLAG:
	case COUNT:
	case COMMAND:
		return no_argument;
	case OPTIONAL_TIME:
	case OPTIONAL_STRING:
		return optional_argument;
	default:
		return required_argument;
	}
}

/* --- parsing --- */

/* The arrays that getopt_long wants, made of the table. */
struct getopt_arrays {
	struct option longs[ROWS];
	char letters[3 * ROWS + 3];
};

static void make_arrays(struct getopt_arrays *a)
{
	char *at = a->letters;

	/* '-': operands come in their order, so that those behind "--" can be told apart; ':' no messages */
	*at++ = '-';
	*at++ = ':';
	for (size_t i = 0; i < OPTIONS; i++) {
		int argument = has_argument(&table[i]);

		a->longs[i] = (struct option){table[i].name, argument, NULL, FIRST_CODE + (int)i};
		if (!table[i].letter)
			continue;
		*at++ = table[i].letter;
		for (int colons = argument; colons > 0; colons--)
			*at++ = ':';
	}
	*at = '\0';
	a->longs[OPTIONS] = (struct option){0};
}

/* A usage error: one line, which ends with the --help to read. Returns EXIT_USAGE. */
static int __attribute__((format(printf, 2, 3))) usage(const struct settings *s, const char *format, ...)
{
	char what[600];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	diag_failure("%s (see tcptool %s --help)", what, s->command == IN_LISTEN ? "listen" : "connect");
	return EXIT_USAGE;
}

/* The usage error for a number, with its range. */
static int bad_number(const struct settings *s, const struct option_row *row, const char *word)
{
	return usage(s, "--%s: '%.100s' is not a number from %" PRId64 " to %" PRId64, row->name, word,
		     row->min, row->max);
}

static int store_time(const struct settings *s, const struct option_row *row, const char *word, nsec *out)
{
	nsec span;

	if (num_time(word, &span) < 0)
		return usage(s, "--%s: '%.100s' is not a time such as 500ms, 1.5, 2m or 1h30m", row->name,
			     word);
	if (span < row->min)
		return usage(s, "--%s: the time must be more than 0", row->name);
	*out = span;
	return 0;
}

static int store_size(const struct settings *s, const struct option_row *row, const char *word, int64_t *out)
{
	int r = num_size(word, row->min, row->max, out);

	if (r == -ERANGE)
		return usage(s, "--%s: '%.100s' is not from %" PRId64 " to %" PRId64 " bytes", row->name,
			     word, row->min, row->max);
	if (r < 0)
		return usage(s, "--%s: '%.100s' is not a size such as 64k, 1.5M or 2GiB", row->name, word);
	return 0;
}

/* One more word of a list. Returns 0 or EXIT_RESOURCES. */
static int append_word(struct access_words *words, const char *word)
{
	const char **list = realloc(words->list, ((size_t)words->count + 1) * sizeof *list);

	if (!list) {
		diag_failure("%s", strerror(ENOMEM));
		return EXIT_RESOURCES;
	}
	words->list = list;
	list[words->count++] = word;
	return 0;
}

/* Stores what an option says where its row points. Returns 0 or EXIT_USAGE. */
static int store(struct settings *s, const struct option_row *row, const char *word)
{
	void *at = (char *)s + row->offset;
	bool *also = (void *)((char *)s + row->also);

	switch (row->kind) {
	case FLAG:
		*(bool *)at = true;
		return 0;
	case COUNT:
		if (*(int *)at < 2)
			++*(int *)at;
		return 0;
	case NUMBER:
		return num_parse(word, row->min, row->max, at) < 0 ? bad_number(s, row, word) : 0;
	case SIZE:
		return store_size(s, row, word, at);
	case OPTIONAL_TIME:
		*also = true;
		return word ? store_time(s, row, word, at) : 0;
	case TIME:
		return store_time(s, row, word, at);
	case OPTIONAL_STRING:
		*also = true;
		*(const char **)at = word;
		return 0;
	case STRING:
		if (*word == '\0')
			return usage(s, "--%s: the argument is empty", row->name);
		*(const char **)at = word;
		return 0;
	case KEEPALIVE:
		if (keepalive_parse(word, at) < 0)
			return usage(s, "--%s: '%.100s' is not IDLE[,INTERVAL[,COUNT]]", row->name, word);
		return 0;
	case LIST:
		return append_word(at, word);
	case COMMAND:
		break;
	}
	return EXIT_USAGE;
}

/* A letter or a name that getopt_long could not take, and why. */
static int refuse(const struct settings *s, int answer, char **argv)
{
	char letter[] = {'-', (char)optopt, '\0'};

	if (optopt >= FIRST_CODE) {
		const char *name = table[optopt - FIRST_CODE].name;

		return usage(s, answer == ':' ? "--%s needs an argument" : "--%s takes no argument", name);
	}
	if (answer == ':')
		return usage(s, "-%c needs an argument", optopt);
	if (hints_option(s->command, letter, argv[optind]))
		return EXIT_USAGE;
	return usage(s, "unknown option -%c", optopt);
}

static const struct option_row *row_of_letter(int letter)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (table[i].letter == letter)
			return &table[i];
	return NULL;
}

static const struct option_row *row_of_name(const char *name)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* The option of this command that `name` abbreviates, misspells or is the last part of; or NULL. */
static const char *name_meant(const struct settings *s, const char *name)
{
	const char *near = NULL, *part = NULL;
	size_t length = strlen(name);

	for (size_t i = 0; i < OPTIONS; i++) {
		const char *other = table[i].name, *dash = strchr(other, '-');

		if (!(table[i].in & s->command))
			continue;
		if (strncmp(other, name, length) == 0)
			return other;
		if (!near && spell_is_near(name, other))
			near = other;
		if (!part && dash && strcmp(dash + 1, name) == 0)
			part = other;
	}
	return part ? part : near;
}

/* getopt_long(3) takes a part of a name for the whole: the next release may have another that begins so. */
static int check_name(const struct settings *s, const char *word, const char *next)
{
	size_t length = strcspn(word, "=");
	char name[64], dashed[64 + 2];
	const char *meant, *value = word[length] ? word + length + 1 : next;

	snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name), word);
	if (row_of_name(name))
		return 0;
	snprintf(dashed, sizeof dashed, "--%s", name);
	if (hints_option(s->command, dashed, value))
		return EXIT_USAGE;
	meant = *name ? name_meant(s, name) : NULL;
	if (!meant)
		return usage(s, "%s: there is no such option", dashed);
	diag_failure("%s: there is no such option; did you mean --%s?", dashed, meant);
	return EXIT_USAGE;
}

/* Looks at the next word before getopt_long(3) does. Returns 0 or EXIT_USAGE. */
static int check_next(const struct settings *s, char **argv)
{
	const char *word = argv[optind];

	if (!word || word[0] != '-')
		return 0;
	if (word[1] == '-')
		return word[2] ? check_name(s, word + 2, argv[optind + 1]) : 0;
	/* -verbose would be nine options, or one with an argument */
	if (!word[1] || !word[2] || !row_of_name(word + 1))
		return 0;
	diag_failure("%s: a long option has two dashes: -%s", word, word);
	return EXIT_USAGE;
}

/* An option of the other command: a hint what to use here, or which command has it. */
static int refuse_other(const struct settings *s, const struct option_row *row, bool by_letter)
{
	char letter[] = {'-', row->letter, '\0'};

	if (by_letter && hints_option(s->command, letter, optarg))
		return EXIT_USAGE;
	return usage(s, "--%s is an option of tcptool %s", row->name,
		     s->command == IN_LISTEN ? "connect" : "listen");
}

/* Takes one option. Returns 0 or EXIT_USAGE. */
static int take_option(struct settings *s, int answer, char **argv, bool *seen)
{
	const struct option_row *row;

	if (answer == '?' || answer == ':')
		return refuse(s, answer, argv);
	row = answer >= FIRST_CODE ? &table[answer - FIRST_CODE] : row_of_letter(answer);
	if (!(row->in & s->command))
		return refuse_other(s, row, answer < FIRST_CODE);
	seen[row - table] = true;
	/* the next word is an operand, though it may have been meant as the argument */
	if (has_argument(row) == optional_argument && !optarg && !s->loose_word && argv[optind] &&
	    *argv[optind] != '-') {
		s->loose_option = row->name;
		s->loose_argument = row->argument;
	}
	return store(s, row, optarg);
}

/* Keeps a word that is no option. Returns 0 or EXIT_RESOURCES. */
static int take_operand(struct settings *s, const char *word)
{
	char *copy = strdup(word);

	if (!copy)
		return EXIT_RESOURCES;
	s->operands[s->operand_count++] = copy;
	if (s->loose_option && !s->loose_word)
		s->loose_word = copy;
	return 0;
}

/* Reads options and operands until the end or "--". Returns 0 or EXIT_USAGE. */
static int read_words(struct settings *s, int argc, char **argv, bool *seen)
{
	struct getopt_arrays arrays;
	int answer, at, r;

	make_arrays(&arrays);
	opterr = 0;
	for (;;) {
		at = optind;
		r = check_next(s, argv);
		if (r)
			return r;
		answer = getopt_long(argc, argv, arrays.letters, arrays.longs, NULL);
		if (answer == -1)
			break;
		r = answer == 1 ? take_operand(s, optarg) : take_option(s, answer, argv, seen);
		if (r)
			return r;
	}
	if (optind < argc) {
		s->words = argv + optind;
		seen[OPTIONS] = true;
	} else if (optind > at) {
		return usage(s, "COMMAND is missing behind --");
	}
	return 0;
}

/* --- what goes with what --- */

/* Is `name` among the blank-separated `names`? */
static bool is_among(const char *name, const char *names)
{
	size_t length = strlen(name);

	for (const char *at = names; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL)
		if (strncmp(at, name, length) == 0 && strchr(" ", at[length]))
			return true;
	return false;
}

/* The first row named in `names` (NULL: none) that was seen, or NULL. */
static const struct option_row *first_seen(const char *names, const bool *seen)
{
	for (size_t i = 0; names && i < ROWS; i++)
		if (seen[i] && is_among(table[i].name, names))
			return &table[i];
	return NULL;
}

/* The dashes in front of a row's name in messages. */
static const char *dashes(const struct option_row *row)
{
	return row->kind == COMMAND ? "" : "--";
}

/* "A, B or C" with the dashes that options have, of the blank-separated `names`. */
static const char *alternatives(const char *names, char *buf, size_t size)
{
	size_t used = 0;

	for (size_t i = ROWS; i-- > 0 && used < size;)
		if (is_among(table[i].name, names))
			used += (size_t)snprintf(buf + used, size - used, "%s%s%s", used ? " or " : "",
						 dashes(&table[i]), table[i].name);
	return buf;
}

static int check_relations(const struct settings *s, const bool *seen)
{
	char buf[128];

	for (size_t i = 0; i < ROWS; i++) {
		const struct option_row *row = &table[i], *other;

		if (!seen[i])
			continue;
		other = first_seen(row->excludes, seen);
		if (other)
			return usage(s, "%s%s cannot be used with %s%s", dashes(row), row->name,
				     dashes(other), other->name);
		if (row->needs && !first_seen(row->needs, seen))
			return usage(s, "--%s needs %s", row->name,
				     alternatives(row->needs, buf, sizeof buf));
	}
	return 0;
}

static int check_source(const struct settings *s)
{
	struct endpoint source;

	if (s->dial.source && endpoint_parse(s->dial.source, &source) != HOST_ADDRESS)
		return usage(s, "--source: '%.100s' is not an address", s->dial.source);
	return 0;
}

/* Descriptors that options name have to be inherited: nothing has been opened yet. */
static int check_descriptors(const struct settings *s)
{
	const struct {
		const char *option;
		int fd; /* -1: none */
	} named[] = {
		{"--ready-fd", s->readiness.ready_fd ? (int)s->readiness.ready_fd : -1},
		{"--port-file", s->readiness.port_file ? output_descriptor(s->readiness.port_file) : -1},
		{"--trace", s->trace_file ? output_descriptor(s->trace_file) : -1},
		{"--report", s->report_file ? output_descriptor(s->report_file) : -1},
	};

	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		if (named[i].fd >= 0 && !output_is_writable(named[i].fd))
			return usage(s, "%s: descriptor %d is not open for writing", named[i].option,
				     named[i].fd);
	return 0;
}

static bool wants_option_list(const struct settings *s)
{
	for (int i = 0; i < s->options.count; i++)
		if (strcmp(s->options.list[i], "help") == 0)
			return true;
	return false;
}

/* -O help: all that can be set. */
static int list_sockopts(void)
{
	char line[128];

	for (int i = 0; sockopt_describe(i, line, sizeof line); i++)
		puts(line);
	return help_finish();
}

/* --- defaults before, completion after --- */

static void set_defaults(struct settings *s, enum command_set command)
{
	memset(s, 0, sizeof *s);
	s->command = command;
	s->keepalive = KEEPALIVE_DEFAULT;
	s->session.quit_after = -1;
	s->session.report_fd = -1;
	s->server.max_connections = 100;
}

/* Copies options to all the settings that they concern. */
static void complete_options(struct settings *s)
{
	int family = s->ipv4 ? AF_INET : s->ipv6 ? AF_INET6 : AF_UNSPEC;

	s->dial.family = s->listen.family = family;
	s->dial.timeout = s->server.wait = s->timeout;
	s->dial.keepalive = s->listen.keepalive = s->keepalive;
	s->session.deadline = s->deadline ? clock_after(clock_now(), s->deadline) : NSEC_NEVER;
	s->listen.look_up_until = s->readiness.deadline = s->session.deadline;
	if (s->timeout && (!s->deadline || s->timeout < s->deadline))
		s->listen.look_up_until = clock_after(clock_now(), s->timeout);
	s->session.keep_stdout = s->server.keep_open;
	s->session.dial = &s->dial;
	s->server.session = &s->session;
	s->server.rules = &s->rules;
}

int options_parse(struct settings *s, enum command_set command, int argc, char **argv)
{
	bool seen[ROWS] = {false};
	int r;

	set_defaults(s, command);
	s->operands = calloc((size_t)argc + 1, sizeof *s->operands);
	if (!s->operands)
		return EXIT_RESOURCES;
	r = read_words(s, argc, argv, seen);
	if (r)
		return r;
	if (s->help)
		return options_help(command);
	s->help = wants_option_list(s);
	if (s->help)
		return list_sockopts();
	r = check_relations(s, seen);
	if (r == 0)
		r = hints_operands(s);
	if (r == 0)
		r = check_source(s);
	if (r == 0)
		r = check_descriptors(s);
	if (r)
		return r;
	diag_set_level(s->quiet ? DIAG_QUIET : s->verbose);
	complete_options(s);
	return 0;
}

void options_free(struct settings *s)
{
	struct access_words *lists[] = {&s->rules.allow, &s->rules.deny, &s->rules.allow_files,
					&s->rules.deny_files, &s->options};

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		free(lists[i]->list);
	for (int i = 0; s->operands && i < s->operand_count; i++)
		free(s->operands[i]);
	free(s->operands);
	free(s->upstream);
	s->operands = NULL;
}

/* --- help --- */

#define HELP_WIDTH 79
#define HELP_COLUMN 32 /* where the words begin */

/* Prints words from HELP_COLUMN on, where the line is already `at`; long ones go on in the next line. */
static void print_words(const char *words, int at)
{
	for (int length; *words; words += length + (words[length] == ' ')) {
		length = (int)strlen(words);
		if (length > HELP_WIDTH - HELP_COLUMN)
			for (length = HELP_WIDTH - HELP_COLUMN; words[length] != ' ';)
				length--;
		printf("%*s%.*s\n", HELP_COLUMN - at, "", length, words);
		at = 0;
	}
}

static void print_row(const struct option_row *row)
{
	int argument = has_argument(row), at;

	at = printf("  %s --%s%s%s%s", row->letter ? (char[]){'-', row->letter, ',', '\0'} : "   ", row->name,
		    argument == optional_argument ? "[=" : argument ? "=" : "",
		    row->argument ? row->argument : "", argument == optional_argument ? "]" : "");
	/* a long one has a line of its own */
	if (at + 2 > HELP_COLUMN) {
		putchar('\n');
		at = 0;
	}
	print_words(row->help, at);
}

static void print_group(enum help_group group, enum command_set command)
{
	bool is_empty = true;

	for (size_t i = 0; i < OPTIONS; i++) {
		if (table[i].group != group || !(table[i].in & command))
			continue;
		if (is_empty)
			printf("\n%s:\n", group_names[group]);
		is_empty = false;
		print_row(&table[i]);
	}
}

int options_help(enum command_set command)
{
	if (command == IN_LISTEN)
		puts("usage: tcptool listen [OPTION]... [HOST] PORT [-- COMMAND [ARG]...]\n"
		     "Wait for a connection; join it to stdin and stdout, or to COMMAND.");
	else
		puts("usage: tcptool connect [OPTION]... HOST PORT [-- COMMAND [ARG]...]\n"
		     "       tcptool connect -z [OPTION]... HOST PORTS [-- COMMAND [ARG]...]\n"
		     "       tcptool connect -z [OPTION]... HOST:PORTS... [-- COMMAND [ARG]...]\n"
		     "Make a connection; join it to stdin and stdout, or to COMMAND.");
	for (int group = 0; group < GROUPS; group++)
		print_group((enum help_group)group, command);
	puts("\nHOST:PORT, [IPV6]:PORT and :PORT do as well as HOST PORT.\n"
	     "TIME: 500ms, 1.5 (seconds), 2m, 1h30m, 30d. SIZE: 64k, 1.5M, 2GiB.");
	return help_finish();
}
