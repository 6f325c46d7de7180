/*
 * Which words are addresses, which are names and which are neither, held by a table. A word that
 * another program reads as another address (0x7f.1, 010.0.0.1, 2130706433) must never pass for
 * either: whoever checks an address and whoever connects would not mean the same host.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/escape.h"
#include "net/endpoint.h"
#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define NAME "a name"

/* `means`: the address as it is printed, NAME, or NULL for neither. */
static const struct {
	const char *word, *means;
} words[] = {
	{"127.0.0.1", "127.0.0.1"},
	{"0.0.0.0", "0.0.0.0"},
	{"255.255.255.255", "255.255.255.255"},
	{"192.0.2.10", "192.0.2.10"},

	/* IPv4 as older programs wrote it, and what only looks like it */
	{"127.1", NULL},
	{"127.0.1", NULL},
	{"1", NULL},
	{"0", NULL},
	{"2130706433", NULL},
	{"017700000001", NULL},
	{"0x7f000001", NULL},
	{"0X7F000001", NULL},
	{"0x7f.1", NULL},
	{"0x7f.0.0.1", NULL},
	{"127.0.0.0x1", NULL},
	{"127.0.0.0x", NULL},
	{"0x", NULL},
	{"010.0.0.1", NULL},
	{"127.0.0.01", NULL},
	{"127.0.0.001", NULL},
	{"00.0.0.0", NULL},
	{"256.0.0.1", NULL},
	{"127.0.0.256", NULL},
	{"127.0.0.4294967297", NULL},
	{"4294967296", NULL},
	{"127.0.0", NULL},
	{"127.0.0.", NULL},
	{"127.0.0.1.", NULL},
	{"127.0.0.1.1", NULL},
	{".127.0.0.1", NULL},
	{"127..0.1", NULL},
	{" 127.0.0.1", NULL},
	{"127.0.0.1 ", NULL},
	{"127.0.0.1\n", NULL},
	{"127.0.0.1\t", NULL},
	{"127.0.0.+1", NULL},
	{"-1", NULL},
	{"127.0.0.1/8", NULL},
	{"127.0.0.1:80", NULL},
	{"127.0.0.1%lo", NULL},
	{"127,0,0,1", NULL},
	{"[127.0.0.1]", NULL},
	{"example.1", NULL},
	{"example.0x7f", NULL},
	{"example.1.", NULL},
	{"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1", NULL},
	{"127\xe3\x80\x82"
	 "0.0.1",
	 NULL},

	/* IPv6 */
	{"::", "::"},
	{"::1", "::1"},
	{"2001:db8::1", "2001:db8::1"},
	{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
	{"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
	{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
	{"1::", "1::"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
	 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
	{"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
	{"fe80::1", "fe80::1"},
	{":", NULL},
	{":::", NULL},
	{"::1::", NULL},
	{"1:2:3:4:5:6:7", NULL},
	{"1:2:3:4:5:6:7:8:9", NULL},
	{"1:2:3:4:5:6:7:8:", NULL},
	{":1:2:3:4:5:6:7:8", NULL},
	{"12345::", NULL},
	{"::10000", NULL},
	{"::g", NULL},
	{"::-1", NULL},
	{"::0x1", NULL},
	{"::1 ", NULL},
	{" ::1", NULL},
	{"::1/128", NULL},
	{"[::1]", NULL},
	{"[::1]:80", NULL},
	{"::1.2.3", NULL},
	{"::256.0.0.1", NULL},
	{"::ffff:127.1", NULL},
	{"::ffff:010.0.0.1", NULL},
	{"::ffff:2130706433", NULL},
	{"example:80", NULL},
	{"localhost:", NULL},

	/* zones; lo has number 1 */
	{"fe80::1%lo", "fe80::1%lo"},
	{"fe80::1%1", "fe80::1%lo"},
	{"ff02::1%lo", "ff02::1%lo"},
	{"fe80::1%4294967295", "fe80::1%4294967295"},
	{"fe80::1%", NULL},
	{"fe80::1%0", NULL},
	{"fe80::1%-1", NULL},
	{"fe80::1%4294967296", NULL},
	{"fe80::1%4294967297", NULL},
	{"fe80::1%18446744073709551617", NULL},
	{"fe80::1%0x1", NULL},
	{"fe80::1%1 ", NULL},
	{"fe80::1% 1", NULL},
	{"fe80::1%nosuch0", NULL},
	{"fe80::1%lo%lo", NULL},
	{"fe80::1%%lo", NULL},
	{"fe80::1%../lo", NULL},
	{"%lo", NULL},
	{"%", NULL},
	{"localhost%lo", NULL},

	/* names */
	{"localhost", NAME},
	{"example.com", NAME},
	{"example.com.", NAME},
	{"EXAMPLE.com", NAME},
	{"a", NAME},
	{"1a", NAME},
	{"a1", NAME},
	{"3com.com", NAME},
	{"127.0.0.1.example.com", NAME},
	{"1.2.3.4x", NAME},
	{"0x7g", NAME},
	{"x-y.example", NAME},
	{"_service.example", NAME},
	{"xn--bcher-kva.example", NAME},
	{"", NULL},
	{".", NULL},
	{"..", NULL},
	{".example", NULL},
	{"-example", NULL},
	{"--help", NULL},
	{"exam ple", NULL},
	{"example\n", NULL},
	{"example\033[m", NULL},
	{"example\x7f", NULL},
	{"b\xc3\xbc"
	 "cher.example",
	 NULL},
	{"example/x", NULL},
	{"user@example", NULL},
	{"http://example", NULL},
	{"*", NULL},
	{"*.example", NULL},
	{"example,example", NULL},
	{"$(id)", NULL},
	{"example;id", NULL},
	{"\xff", NULL},
};

static const char *understood(const char *word, char *text)
{
	struct endpoint e;

	memset(&e, 0xaa, sizeof e);
	switch (endpoint_parse(word, &e)) {
	case HOST_ADDRESS:
		return endpoint_port(&e) == 0 ? endpoint_text(&e, text) : "an address with a port";
	case HOST_NAME:
		return NAME;
	default:
		return NULL;
	}
}

static void check_words(void)
{
	for (size_t i = 0; i < COUNT(words); i++) {
		const char *word = words[i].word, *means = words[i].means, *got;
		char text[ENDPOINT_TEXT], shown[ESCAPE_ROOM(60)];

		escape(word, strlen(word), shown, sizeof shown);
		if (means && strchr(means, '%') && if_nametoindex("lo") != 1) {
			skip("no interface lo", "'%s'", shown);
			continue;
		}
		got = understood(word, text);
		point(means ? got && strcmp(got, means) == 0 : !got, "'%s' is %s (%s)", shown,
		      means ? means : "refused", got ? got : "refused");
	}
}

/* --- lengths --- */

/* A name of `n` characters in labels of at most `most`. */
static char *long_name(size_t n, size_t most)
{
	char *name = malloc(n + 1);

	for (size_t i = 0; i < n; i++)
		name[i] = i % (most + 1) == most && i + 1 < n ? '.' : 'x';
	name[n] = '\0';
	return name;
}

static void check_lengths(void)
{
	static const size_t lengths[] = {252, 253, 254, 255, 256, 1000, 100000};
	struct endpoint e;

	for (size_t i = 0; i < COUNT(lengths); i++) {
		char *name = long_name(lengths[i], 60);
		enum host_form wanted = lengths[i] <= HOST_NAME_MOST ? HOST_NAME : HOST_BAD;

		point(endpoint_parse(name, &e) == wanted, "a name of %zu characters is %s",
		      lengths[i], wanted == HOST_NAME ? "one" : "too long");
		memset(name, '1', lengths[i]);
		point(endpoint_parse(name, &e) == HOST_BAD, "%zu digits are refused", lengths[i]);
		memset(name, ':', lengths[i]);
		point(endpoint_parse(name, &e) == HOST_BAD, "%zu colons are refused", lengths[i]);
		memset(name, '0', lengths[i]);
		memcpy(name, "::", 2);
		point(endpoint_parse(name, &e) == HOST_BAD, "'::' and %zu zeros are refused",
		      lengths[i] - 2);
		memset(name, 'l', lengths[i]);
		memcpy(name, "::1%lo", 6);
		point(endpoint_parse(name, &e) == HOST_BAD, "a zone of %zu characters is refused",
		      lengths[i] - 4);
		free(name);
	}
}

/* --- what the kernel says --- */

static struct endpoint of_v6(const char *address, uint16_t port, uint32_t scope)
{
	struct sockaddr_in6 a = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};
	struct endpoint e;

	inet_pton(AF_INET6, address, &a.sin6_addr);
	endpoint_set(&e, (struct sockaddr *)&a, sizeof a);
	return e;
}

static struct endpoint of_v4(const char *address, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct endpoint e;

	inet_pton(AF_INET, address, &a.sin_addr);
	endpoint_set(&e, (struct sockaddr *)&a, sizeof a);
	return e;
}

static void check_mapped(void)
{
	struct endpoint mapped = of_v6("::ffff:192.0.2.1", 4711, 0),
			plain = of_v4("192.0.2.1", 4711);
	struct endpoint like = of_v6("::192.0.2.1", 4711, 0),
			nat = of_v6("64:ff9b::192.0.2.1", 4711, 0);
	char text[ENDPOINT_TEXT];

	point(mapped.any.sa_family == AF_INET && mapped.length == sizeof(struct sockaddr_in) &&
		      endpoint_port(&mapped) == 4711 &&
		      strcmp(endpoint_text(&mapped, text), "192.0.2.1") == 0,
	      "a mapped peer is an IPv4 peer with its port (%s)", text);
	point(endpoint_equal(&mapped, &plain), "a mapped peer equals the same one by IPv4");
	point(!endpoint_same_host(&like, &plain) && !endpoint_same_host(&nat, &plain),
	      "other IPv6 addresses that hold the IPv4 address do not");
}

static void check_equality(void)
{
	struct endpoint a = of_v6("fe80::1", 1, 1), zone = of_v6("fe80::1", 1, 2),
			port = of_v6("fe80::1", 2, 1);
	struct endpoint host = of_v6("fe80::2", 1, 1), b = of_v6("fe80::1", 1, 1);
	struct endpoint v4 = of_v4("10.0.0.1", 1), other = of_v4("10.0.0.2", 1),
			again = of_v4("10.0.0.1", 65535);

	point(endpoint_equal(&a, &b), "equal: the same");
	point(!endpoint_equal(&a, &zone) && !endpoint_same_host(&a, &zone),
	      "not equal: another zone");
	point(!endpoint_equal(&a, &port) && endpoint_same_host(&a, &port),
	      "another port: the same host, not equal");
	point(!endpoint_equal(&a, &host) && !endpoint_same_host(&a, &host),
	      "not equal: another host");
	point(!endpoint_same_host(&v4, &other) && !endpoint_same_host(&v4, &a),
	      "not equal: another, other family");
	point(endpoint_same_host(&v4, &again) && endpoint_port(&again) == 65535,
	      "the same host on port 65535");
}

/* Every port, in both families. */
static void check_ports(void)
{
	bool good = true;

	for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
		struct endpoint e;

		endpoint_any(family, &e);
		for (int port = 65535; port >= 0; port--) {
			endpoint_set_port(&e, (uint16_t)port);
			good &= endpoint_port(&e) == port;
		}
		good &= e.any.sa_family == family &&
			e.length == (family == AF_INET ? sizeof e.v4 : sizeof e.v6);
	}
	point(good, "every port can be set and read, in both families");
}

/* A connection to ourselves: both ends know both ends. */
static void check_sockets(void)
{
	struct endpoint any, listening, local, peer;
	int listener = socket(AF_INET, SOCK_STREAM, 0), ours = socket(AF_INET, SOCK_STREAM, 0),
	    theirs;

	any = of_v4("127.0.0.1", 0);
	if (bind(listener, &any.any, any.length) < 0 || listen(listener, 1) < 0) {
		point(false, "cannot listen: %s", strerror(errno));
		return;
	}
	point(endpoint_of_local(listener, &listening) == 0 &&
		      endpoint_same_host(&any, &listening) && endpoint_port(&listening) != 0,
	      "the end of a listener has its port");
	point(endpoint_of_peer(ours, &peer) == -ENOTCONN, "no peer: -ENOTCONN");
	theirs = connect(ours, &listening.any, listening.length) == 0 ?
			 accept(listener, NULL, NULL) :
			 -1;
	point(endpoint_of_peer(ours, &peer) == 0 && endpoint_equal(&peer, &listening) &&
		      endpoint_of_local(ours, &local) == 0 &&
		      endpoint_of_peer(theirs, &peer) == 0 && endpoint_equal(&local, &peer),
	      "both ends of a connection agree on who is who");
	close(ours);
	close(theirs);
	close(listener);
	point(endpoint_of_local(listener, &local) == -EBADF, "no socket: -EBADF");
}

/* The address of a Unix socket is longer than what an endpoint holds. */
static void check_foreign_family(void)
{
	struct sockaddr_un long_one = {.sun_family = AF_UNIX};
	struct endpoint *e = malloc(sizeof *e);

	memset(long_one.sun_path, 'x', sizeof long_one.sun_path);
	endpoint_set(e, (struct sockaddr *)&long_one, sizeof long_one);
	point(e->length <= sizeof e->v6 && e->any.sa_family == AF_UNIX,
	      "a longer address is not written beyond");
	free(e);
}

int main(void)
{
	check_words();
	check_lengths();
	check_mapped();
	check_equality();
	check_ports();
	check_sockets();
	check_foreign_family();
	return done();
}
