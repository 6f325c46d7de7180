#include "cmd/hints.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/num.h"
#include "base/spell.h"

/* --- options --- */

struct hint {
	const char *option;
	enum command_set in;
	const char *right;    /* the right form, in words */
	const char *argument; /* ends it, unless the word behind the option does; NULL: nothing */
};

static const struct hint hints[] = {
	{"-p", IN_LISTEN, "the port is an operand: tcptool listen ", "PORT"},
	{"--port", IN_LISTEN, "the port is an operand: tcptool listen ", "PORT"},
	{"--port", IN_CONNECT, "the port is an operand: tcptool connect HOST ", "PORT"},
	{"-s", IN_LISTEN, "the address is an operand, before PORT: tcptool listen ", "ADDR"},
	{"--bind", IN_LISTEN, "the address is an operand, before PORT: tcptool listen ", "ADDR"},
	{"--host", IN_LISTEN, "the address is an operand, before PORT: tcptool listen ", "ADDR"},
	{"--host", IN_CONNECT, "the host is an operand, before PORT: tcptool connect ", "HOST"},
	{"-l", IN_LISTEN, "leave it out: tcptool listen listens, with -k for one connection after another",
	 NULL},
	{"-l", IN_CONNECT, "to listen: tcptool listen PORT, with -k for one connection after another", NULL},
	{"--listen", IN_BOTH, "to listen: tcptool listen PORT", NULL},
	{"-e", IN_LISTEN, "a command stands behind --: tcptool listen PORT -- ", "COMMAND"},
	{"-e", IN_CONNECT, "a command stands behind --: tcptool connect HOST PORT -- ", "COMMAND"},
	{"--exec", IN_BOTH, "a command stands at the end, behind --: -- ", "COMMAND"},
	{"--sh-exec", IN_BOTH, "a command for the shell: --shell=", "STRING"},
	{"-u", IN_BOTH, "there is only TCP, no UDP: see socat(1)", NULL},
	{"--udp", IN_BOTH, "there is only TCP, no UDP: see socat(1)", NULL},
	{"-U", IN_BOTH, "there is only TCP, no UNIX-domain socket: see socat(1)", NULL},
	{"--unixsock", IN_BOTH, "there is only TCP, no UNIX-domain socket: see socat(1)", NULL},
	{"-d", IN_BOTH, "to leave stdin alone: --recv-only; to pause behind each line: --delay=TIME", NULL},
	{"-V", IN_BOTH, "to see which version this is: tcptool --version", NULL},
	{"--version", IN_BOTH, "to see which version this is: tcptool --version", NULL},
	{"--ssl", IN_BOTH, "there is no TLS here, all is sent in the clear: see openssl-s_client(1)", NULL},
	{"--tls", IN_BOTH, "there is no TLS here, all is sent in the clear: see openssl-s_client(1)", NULL},
	{"--wait", IN_BOTH, "to limit the wait for a connection: --timeout=", "TIME"},
	{"--max-conns", IN_LISTEN, "it is called --max-connections=", "N"},
	{"--nodns", IN_BOTH, "it is called --numeric", NULL},
	{"--output", IN_BOTH, "to write down what is sent and received: --trace=", "FILE"},
};

bool hints_option(enum command_set command, const char *option, const char *next)
{
	for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
		const struct hint *h = &hints[i];
		const char *argument = h->argument ? h->argument : "";

		if (!(h->in & command) || strcmp(h->option, option) != 0)
			continue;
		if (h->argument && next && *next && *next != '-')
			argument = next;
		diag_failure("%s: %s%.100s", option, h->right, argument);
		return true;
	}
	return false;
}

/* --- operands --- */

static bool is_port_number(const char *word)
{
	int64_t n;

	return num_parse(word, 0, 65535, &n) == 0;
}

static bool is_address(const char *word)
{
	struct endpoint e;

	return endpoint_parse(word, &e) == HOST_ADDRESS;
}

static bool may_be_host(const char *word)
{
	struct endpoint e;

	return endpoint_parse(word, &e) != HOST_BAD || strcmp(word, "*") == 0 || *word == '[';
}

/* HOST:PORT in one word? */
static bool is_pair(const char *word)
{
	const char *colon = strchr(word, ':');

	return *word == '[' ? strstr(word, "]:") != NULL : colon && !strchr(colon + 1, ':');
}

static const char *command_name(const struct settings *s)
{
	return s->command == IN_LISTEN ? "listen" : "connect";
}

/* http://host/path: which host and port that would be. */
static bool hint_url(const struct settings *s)
{
	for (int i = 0; i < s->operand_count; i++) {
		const char *word = s->operands[i], *host = strstr(word, "://");
		char scheme[32], port[16] = " PORT";
		const struct servent *service;
		int length;

		if (!host)
			continue;
		snprintf(scheme, sizeof scheme, "%.*s", host - word < 31 ? (int)(host - word) : 0, word);
		service = getservbyname(scheme, "tcp");
		if (service)
			snprintf(port, sizeof port, " %u", ntohs((uint16_t)service->s_port));
		host += 3;
		length = (int)strcspn(host, "/?#");
		if (memchr(host, ':', (size_t)length))
			*port = '\0';
		diag_failure("'%.100s' is a URL: tcptool %s %.*s%s", word, command_name(s),
			     length < 100 ? length : 100, host, port);
		return true;
	}
	return false;
}

/* Names that files have and hosts have not. */
static bool is_file_name(const char *word)
{
	static const char *const endings[] = {".json", ".jsonl", ".log", ".txt"};
	const char *dot = strrchr(word, '.');

	for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
		if (strcmp(dot, endings[i]) == 0)
			return true;
	return false;
}

/* Without that word, the one behind an option with an optional argument, the operands would be right. */
static bool is_one_too_many(const struct settings *s, const char *word)
{
	if (is_pair(word) || (word == s->operands[0] && is_port_number(s->operands[1])))
		return false;
	for (int i = 0; i < s->operand_count; i++)
		if (s->operands[i] != word && is_pair(s->operands[i]))
			return true;
	return s->operand_count > 2;
}

/* --retry 30: the word behind the blank is an operand, and was not meant as one. */
static bool hint_loose(const struct settings *s)
{
	const char *word = s->loose_word;
	nsec span;

	if (!word || s->operand_count < 2)
		return false;
	if (strcmp(s->loose_argument, "TIME") == 0 && num_time(word, &span) < 0)
		return false;
	if (!is_one_too_many(s, word) && !is_file_name(word) && (word != s->operands[0] || may_be_host(word)))
		return false;
	diag_failure("--%s takes its %s behind a '=', without a blank: --%s=%.100s", s->loose_option,
		     s->loose_argument, s->loose_option, word);
	return true;
}

/* nc -z HOST 1 2 3 */
static bool hint_ports(const struct settings *s)
{
	char list[100] = "";
	size_t used = 0;

	if (!s->check || s->operand_count < 3 || !may_be_host(s->operands[0]))
		return false;
	for (int i = 1; i < s->operand_count; i++) {
		const char *word = s->operands[i];

		if (!*word || word[strspn(word, "0123456789-,")] != '\0')
			return false;
		if (used < sizeof list)
			used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 1 ? "," : "",
						 word);
	}
	diag_failure("PORTS are one word: tcptool connect -z %.100s %s", s->operands[0], list);
	return true;
}

/* PORT HOST */
static bool hint_order(const struct settings *s)
{
	char **words = s->operands;

	if (s->operand_count != 2 || !is_port_number(words[0]) || is_port_number(words[1]))
		return false;
	if (s->command == IN_LISTEN && !is_address(words[1]) && strcmp(words[1], "localhost") != 0)
		return false;
	if (!may_be_host(words[1]))
		return false;
	diag_failure("HOST stands before PORT: tcptool %s %.100s %s", command_name(s), words[1], words[0]);
	return true;
}

/* listen 9000 cat */
static bool hint_command(const struct settings *s)
{
	char **words = s->operands;
	int first = is_pair(words[0]) || (s->command == IN_LISTEN && is_port_number(words[0])) ? 1 : 2;

	if (s->check || settings_command(s) || s->operand_count <= first || is_port_number(words[first]))
		return false;
	/* HOST PORT has to be what is left */
	if (first == 2 && (!may_be_host(words[0]) || !is_port_number(words[1])))
		return false;
	diag_failure("a command stands behind --: tcptool %s %.100s%s%.100s -- %.100s", command_name(s),
		     words[0], first == 2 ? " " : "", first == 2 ? words[1] : "", words[first]);
	return true;
}

int hints_operands(const struct settings *s)
{
	if (s->operand_count == 0)
		return 0;
	if (hint_url(s) || hint_loose(s) || hint_ports(s) || hint_order(s) || hint_command(s))
		return EXIT_USAGE;
	return 0;
}

/* --- commands --- */

int hints_command(int argc, char **argv)
{
	static const char *const names[] = {"listen", "connect", "help"};
	const char *word = argv[0];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!spell_is_near(word, names[i]))
			continue;
		diag_failure("unknown command '%s': did you mean %s? (see tcptool --help)", word, names[i]);
		return EXIT_USAGE;
	}
	if (*word == '-' && word[1] != '-' && strchr(word, 'l'))
		diag_failure(
			"unknown command '%.100s': to listen, write tcptool listen PORT (see tcptool --help)",
			word);
	else if (*word && *word != '-' && (is_pair(word) || (argc > 1 && may_be_host(word))))
		diag_failure("unknown command '%.100s': to connect, write tcptool connect %.100s%s%.100s",
			     word, word, is_pair(word) ? "" : " ", is_pair(word) ? "" : argv[1]);
	else if (*word == '-')
		diag_failure("unknown option '%.100s': most stand behind the command, listen or connect "
			     "(see tcptool --help)",
			     word);
	else
		diag_failure("unknown command '%.100s': it is listen or connect (see tcptool --help)", word);
	return EXIT_USAGE;
}
