#include "cmd/targets.h"

#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/num.h"
#include "net/lookup.h"

/* Operands are shown in messages up to this length. */
#define SHOWN "'%.100s'"

static int targets_out_of_memory(void)
{
	diag_failure("out of memory");
	return EXIT_RESOURCES;
}

/* A port by number, or by its name in services(5) unless --numeric. Returns 0 or EXIT_USAGE. */
static int parse_port(const struct settings *s, const char *word, bool may_be_0, uint16_t *port)
{
	const struct servent *service = NULL;
	int64_t number;

	if (num_parse(word, 0, 65535, &number) == 0) {
		*port = (uint16_t)number;
		if (number > 0 || may_be_0)
			return 0;
		diag_failure("port 0 cannot be connected to");
		return EXIT_USAGE;
	}
	/* a word that begins with a digit is a number gone wrong, not a service */
	if (!s->numeric && *word && !strchr("0123456789+-. ", *word) && strlen(word) <= 64)
		service = getservbyname(word, "tcp");
	if (!service) {
		diag_failure(SHOWN " is not a port: 0 to 65535 or the name of a service", word);
		return EXIT_USAGE;
	}
	*port = ntohs((uint16_t)service->s_port);
	return 0;
}

/* Splits HOST:PORT or [IPV6]:PORT in place. Returns 0 or EXIT_USAGE. */
static int split(char *word, char **host, char **port)
{
	char *colon = strrchr(word, ':');

	if (*word == '[') {
		char *close = strchr(word, ']');

		if (!close || close[1] != ':' || close == word + 1) {
			diag_failure(SHOWN " is not [ADDRESS]:PORT", word);
			return EXIT_USAGE;
		}
		*close = '\0';
		*host = word + 1;
		*port = close + 2;
		return 0;
	}
	if (!colon) {
		diag_failure(SHOWN " has no port: write HOST:PORT or HOST PORT", word);
		return EXIT_USAGE;
	}
	if (strchr(word, ':') != colon) {
		diag_failure(SHOWN " is ambiguous: write [ADDRESS]:PORT", word);
		return EXIT_USAGE;
	}
	*colon = '\0';
	*host = word;
	*port = colon + 1;
	return 0;
}

/* Takes the brackets from a [HOST] that stands alone. */
static char *unbracket(char *host)
{
	size_t length = strlen(host);

	if (length < 3 || *host != '[' || host[length - 1] != ']')
		return host;
	host[length - 1] = '\0';
	return host + 1;
}

/* Why `host`, which has a zone, is no address; it may be the address itself. */
static void refuse_zone(const char *host, const char *zone)
{
	char address[INET6_ADDRSTRLEN];
	struct endpoint e;

	snprintf(address, sizeof address, "%.*s", (int)(zone - host < 45 ? zone - host : 45), host);
	if (endpoint_parse(address, &e) != HOST_ADDRESS || e.any.sa_family != AF_INET6)
		diag_failure(SHOWN " is not ADDRESS%%INTERFACE: '%s' is no IPv6 address", host, address);
	else
		diag_failure(SHOWN ": this machine has no interface '%.40s'", host, zone + 1);
}

/*
 * A link-local address is one on each link (RFC 4007): without its zone the kernel knows no way there, unless
 * an option or the source says the interface. Returns 0 or EXIT_USAGE.
 */
static int check_zone(const struct settings *s, const char *host, const struct endpoint *e)
{
	char name[IF_NAMESIZE];
	uint32_t scope;

	if (e->any.sa_family != AF_INET6)
		return 0;
	scope = e->v6.sin6_scope_id;
	if (scope && !if_indextoname(scope, name)) {
		diag_failure(SHOWN ": this machine has no interface %u", host, scope);
		return EXIT_USAGE;
	}
	if (scope || !IN6_IS_ADDR_LINKLOCAL(&e->v6.sin6_addr) || s->options.count || s->dial.source)
		return 0;
	diag_failure(SHOWN " is link-local: its interface has to be said, as in %.60s%%eth0", host, host);
	return EXIT_USAGE;
}

/* A host must be an address of `family` or a name that may be looked up. Returns 0 or EXIT_USAGE. */
static int check_host(const struct settings *s, const char *host, int family)
{
	const char *zone = strchr(host, '%');
	struct endpoint e;

	switch (endpoint_parse(host, &e)) {
	case HOST_BAD:
		if (zone)
			refuse_zone(host, zone);
		else
			diag_failure(SHOWN " is neither an address nor a host name", host);
		return EXIT_USAGE;
	case HOST_NAME:
		if (!s->numeric)
			return 0;
		diag_failure(SHOWN " is a name, and --numeric allows no look-up", host);
		return EXIT_USAGE;
	default:
		if (family == AF_UNSPEC || family == e.any.sa_family)
			return check_zone(s, host, &e);
		diag_failure(SHOWN " is no address for --%s", host, family == AF_INET ? "ipv4" : "ipv6");
		return EXIT_USAGE;
	}
}

/* HOST or PORT is missing. Inherited sockets take its place, but only in the process $LISTEN_PID. */
static int missing(const struct settings *s)
{
	const char *pid = getenv("LISTEN_PID");
	bool listens = s->command == IN_LISTEN;

	if (listens && getenv("LISTEN_FDS"))
		diag_failure("PORT is missing, and $LISTEN_FDS is not for this process: $LISTEN_PID is "
			     "%.20s, not %ld",
			     pid ? pid : "not set", (long)getpid());
	else
		diag_failure("%s is missing (see tcptool %s --help)",
			     s->operand_count || listens ? "PORT" : "HOST", listens ? "listen" : "connect");
	return EXIT_USAGE;
}

/* Finds host (may be "") and port words among the operands. Returns 0 or EXIT_USAGE. */
static int host_and_port(struct settings *s, char **host, char **port)
{
	char **words = s->operands;

	if (s->operand_count > 2) {
		diag_failure("one operand too many: " SHOWN, words[2]);
		return EXIT_USAGE;
	}
	if (s->operand_count == 2) {
		/* an unset variable in a script must not come to mean some other host */
		if (*words[0] == '\0') {
			diag_failure("HOST is empty: write :PORT for this machine");
			return EXIT_USAGE;
		}
		*host = unbracket(words[0]);
		*port = words[1];
		return 0;
	}
	if (s->operand_count == 0 || (s->command == IN_CONNECT && !strchr(words[0], ':')))
		return missing(s);
	if (strchr(words[0], ':'))
		return split(words[0], host, port);
	*host = words[0] + strlen(words[0]);
	*port = words[0];
	return 0;
}

int targets_listen(struct settings *s, bool inherited)
{
	char *host, *port;
	int r;

	if (inherited && s->operand_count == 0)
		return 0;
	r = host_and_port(s, &host, &port);
	if (r == 0 && *host && strcmp(host, "*") != 0) {
		r = check_host(s, host, s->listen.family);
		s->listen.host = host;
	}
	return r ? r : parse_port(s, port, true, &s->listen.port);
}

int targets_forward(struct settings *s)
{
	char *host, *port;
	int r;

	s->upstream = strdup(s->forward);
	if (!s->upstream)
		return targets_out_of_memory();
	r = split(s->upstream, &host, &port);
	if (r)
		return r;
	s->session.host = *host ? host : lookup_this_host;
	if (*host)
		r = check_host(s, host, AF_UNSPEC);
	return r ? r : parse_port(s, port, false, &s->session.port);
}

/* --- what to connect to --- */

/* Appends ports `first` to `last` of `host`. Returns 0 or EXIT_RESOURCES. */
static int add_range(struct targets *t, const char *host, unsigned first, unsigned last)
{
	size_t count = (size_t)t->count + last - first + 1;
	struct target *list = realloc(t->list, count * sizeof *list);

	if (!list)
		return targets_out_of_memory();
	t->list = list;
	for (unsigned port = first; port <= last; port++)
		t->list[t->count++] = (struct target){host, (uint16_t)port};
	return 0;
}

/* Adds one element of a list of ports: PORT or FIRST-LAST. */
static int add_element(const struct settings *s, struct targets *t, const char *host, char *word)
{
	uint16_t first, last;
	char *dash = strchr(word, '-');
	int r;

	/* a service's name may hold a dash of its own */
	if (!s->check || !dash || word[strspn(word, "0123456789")] != '-') {
		r = parse_port(s, word, false, &first);
		return r ? r : add_range(t, host, first, first);
	}
	*dash = '\0';
	r = parse_port(s, word, false, &first);
	if (r == 0)
		r = parse_port(s, dash + 1, false, &last);
	if (r)
		return r;
	if (first > last) {
		diag_failure("the range %u-%u runs backwards", first, last);
		return EXIT_USAGE;
	}
	return add_range(t, host, first, last);
}

/* Adds all PORTS of one host; without --check there is one. */
static int add_ports(const struct settings *s, struct targets *t, const char *host, char *ports)
{
	char *next;
	int r = 0;

	for (; ports && r == 0; ports = next) {
		next = s->check ? strchr(ports, ',') : NULL;
		if (next)
			*next++ = '\0';
		r = add_element(s, t, host, ports);
	}
	return r;
}

static int add_target(const struct settings *s, struct targets *t, const char *host, char *ports)
{
	int r = 0;

	if (*host == '\0')
		host = lookup_this_host;
	else
		r = check_host(s, host, s->dial.family);
	return r ? r : add_ports(s, t, host, ports);
}

int targets_connect(struct settings *s, struct targets *t)
{
	char **words = s->operands, *host, *ports;
	int r = 0;

	*t = (struct targets){0};
	/* HOST PORTS: the second word names no host */
	if (!s->check || s->operand_count == 0 || (s->operand_count == 2 && !strchr(words[1], ':'))) {
		r = host_and_port(s, &host, &ports);
		return r ? r : add_target(s, t, host, ports);
	}
	for (int i = 0; i < s->operand_count && r == 0; i++) {
		r = split(words[i], &host, &ports);
		if (r == 0)
			r = add_target(s, t, host, ports);
	}
	return r;
}

void targets_free(struct targets *t)
{
	free(t->list);
	t->list = NULL;
	t->count = 0;
}
