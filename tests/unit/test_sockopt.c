/*
 * --keepalive and -O: tables of words that are understood, with what they come to, and of words
 * that are refused, with the reason. What was understood is then read back from sockets by
 * getsockopt(2): a value that went to another option, or lost its high bits, would be set without
 * a word.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sockopt.h"
#include "net/sockopt_table.h"
#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- --keepalive --- */

static const struct {
	const char *word;
	int r, idle, interval, count;
} keepalives[] = {
	{"30", 0, 30, 10, 6},
	{"30,5", 0, 30, 5, 6},
	{"30,5,3", 0, 30, 5, 3},
	{"1,1,1", 0, 1, 1, 1},
	{"32767,32767,127", 0, 32767, 32767, 127},
	{"2m,1s,9", 0, 120, 1, 9},
	{"1h", 0, 3600, 10, 6},
	{"500ms", 0, 1, 10, 6},
	{"1500ms,1001ms", 0, 2, 2, 6},
	{"1.000000001", 0, 2, 10, 6},
	{"0.000000001", 0, 1, 10, 6},
	{"010,08", 0, 10, 8, 6},
	{"0", -ERANGE, 0, 0, 0},
	{"0ms", -ERANGE, 0, 0, 0},
	{"32768", -ERANGE, 0, 0, 0},
	{"32767.5", -ERANGE, 0, 0, 0},
	{"65537", -ERANGE, 0, 0, 0},
	{"10h", -ERANGE, 0, 0, 0},
	{"4294967297", -ERANGE, 0, 0, 0},
	{"18446744073709551617", -ERANGE, 0, 0, 0},
	{"30,0", -ERANGE, 0, 0, 0},
	{"30,32768", -ERANGE, 0, 0, 0},
	{"30,5,0", -ERANGE, 0, 0, 0},
	{"30,5,128", -ERANGE, 0, 0, 0},
	{"30,5,257", -ERANGE, 0, 0, 0},
	{"30,5,4294967297", -ERANGE, 0, 0, 0},
	{"", -EINVAL, 0, 0, 0},
	{",", -EINVAL, 0, 0, 0},
	{"30,", -EINVAL, 0, 0, 0},
	{",5", -EINVAL, 0, 0, 0},
	{"30,,3", -EINVAL, 0, 0, 0},
	{"30,5,", -EINVAL, 0, 0, 0},
	{"30,5,3,", -EINVAL, 0, 0, 0},
	{"30,5,3,1", -EINVAL, 0, 0, 0},
	{"30, 5", -EINVAL, 0, 0, 0},
	{" 30", -EINVAL, 0, 0, 0},
	{"-1", -EINVAL, 0, 0, 0},
	{"30,-5", -EINVAL, 0, 0, 0},
	{"30,5,3s", -EINVAL, 0, 0, 0},
	{"30,5,1.5", -EINVAL, 0, 0, 0},
	{"30;5", -EINVAL, 0, 0, 0},
	{"1e3", -EINVAL, 0, 0, 0},
	{"0x10", -EINVAL, 0, 0, 0},
	{"on", -EINVAL, 0, 0, 0},
};

static bool same(const struct keepalive *a, const struct keepalive *b)
{
	return a->off == b->off && a->idle == b->idle && a->interval == b->interval &&
	       a->count == b->count;
}

static void check_keepalives(void)
{
	for (size_t i = 0; i < COUNT(keepalives); i++) {
		struct keepalive k = KEEPALIVE_DEFAULT, wanted = KEEPALIVE_DEFAULT;
		int r = keepalive_parse(keepalives[i].word, &k);

		if (keepalives[i].r == 0)
			wanted = (struct keepalive){false, keepalives[i].idle,
						    keepalives[i].interval, keepalives[i].count};
		point(r == keepalives[i].r && same(&k, &wanted), "keepalive '%s': %d (%d %d %d)",
		      keepalives[i].word, r, k.idle, k.interval, k.count);
	}
}

/* Nothing is cut off to fit. */
static void check_long_keepalive(void)
{
	char word[400];
	struct keepalive k = KEEPALIVE_DEFAULT, before = k;
	int wrong = 0;

	for (size_t n = 20; n < sizeof word; n++) {
		memset(word, '0', n);
		word[n] = '\0';
		memcpy(word, "30,5,3", 6);
		wrong += keepalive_parse(word, &k) == 0;
		memset(word, '1', n);
		wrong += keepalive_parse(word, &k) == 0;
	}
	point(wrong == 0 && same(&k, &before),
	      "keepalive: words of 20 to 400 characters are refused");
}

static int option(int sock, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof value;

	getsockopt(sock, level, name, &value, &length);
	return value;
}

static void check_prepare(void)
{
	struct keepalive k = {false, 77, 8, 9},
			 off = {.off = true, .idle = 77, .interval = 8, .count = 9};
	int on_sock = socket(AF_INET, SOCK_STREAM, 0), off_sock = socket(AF_INET, SOCK_STREAM, 0);

	sockopt_prepare(on_sock, &k);
	sockopt_prepare(off_sock, &off);
	point(option(on_sock, SOL_SOCKET, SO_KEEPALIVE) == 1 &&
		      option(on_sock, IPPROTO_TCP, TCP_KEEPIDLE) == 77 &&
		      option(on_sock, IPPROTO_TCP, TCP_KEEPINTVL) == 8 &&
		      option(on_sock, IPPROTO_TCP, TCP_KEEPCNT) == 9,
	      "keepalive: set as it was said");
	point(option(off_sock, SOL_SOCKET, SO_KEEPALIVE) == 0, "keepalive: off means off");
	point(option(on_sock, IPPROTO_TCP, TCP_NODELAY) == 1 &&
		      option(off_sock, IPPROTO_TCP, TCP_NODELAY) == 1 &&
		      option(off_sock, SOL_SOCKET, SO_OOBINLINE) == 1,
	      "no delay, and urgent bytes in the stream, either way");
	close(on_sock);
	close(off_sock);
}

/* --- -O: words --- */

#define ANY INT64_MIN

/* `value`: what it comes to; `text` for those that are names. */
static const struct {
	const char *word;
	int64_t value;
	const char *text;
} good[] = {
	{"nodelay", 1, NULL},
	{"nodelay=1", 1, NULL},
	{"nodelay=0", 0, NULL},
	{"keepalive=0", 0, NULL},
	{"freebind", 1, NULL},
	{"ttl=1", 1, NULL},
	{"ttl=255", 255, NULL},
	{"ttl=064", 64, NULL},
	{"tos=0", 0, NULL},
	{"tos=255", 255, NULL},
	{"dscp=0", 0, NULL},
	{"dscp=46", 46, NULL},
	{"dscp=63", 63, NULL},
	{"priority=0", 0, NULL},
	{"priority=15", 15, NULL},
	{"mark=0", 0, NULL},
	{"mark=2147483647", INT32_MAX, NULL},
	{"mark=2147483648", INT64_C(2147483648), NULL},
	{"mark=4294967295", UINT32_MAX, NULL},
	{"rcvbuf=1", 1, NULL},
	{"rcvbuf=64k", 65536, NULL},
	{"rcvbuf=1.5MiB", 1572864, NULL},
	{"user-timeout=1d", 86400000, NULL},
	{"user-timeout=1m30s", 90000, NULL},
	{"sndbuf=1M", 1048576, NULL},
	{"sndbuf=1073741823", 1073741823, NULL},
	{"notsent-lowat=16k", 16384, NULL},
	{"keepidle=1", 1, NULL},
	{"keepidle=2m", 120, NULL},
	{"keepidle=1500ms", 2, NULL},
	{"keepintvl=32767", 32767, NULL},
	{"keepcnt=127", 127, NULL},
	{"linger2=0", 0, NULL},
	{"defer-accept=1h", 3600, NULL},
	{"user-timeout=1ms", 1, NULL},
	{"user-timeout=30", 30000, NULL},
	{"user-timeout=0.5ms", 1, NULL},
	{"user-timeout=2147483647ms", INT32_MAX, NULL},
	{"maxseg=536", 536, NULL},
	{"syncnt=3", 3, NULL},
	{"congestion=cubic", ANY, "cubic"},
	{"congestion==", ANY, "="},
	{"interface=lo", ANY, "lo"},
	{"mptcp", ANY, NULL},
};

static const char *const bad[] = {
	/* no such name */
	"",
	"=",
	"=1",
	"no-such",
	"NODELAY",
	"Ttl=1",
	"nodela",
	"nodelayx",
	"ttl ",
	" ttl=1",
	"ttl =1",
	"tcp_nodelay",
	"--ttl=1",
	"ttl,tos",
	"fastopen-connect",
	/* a value is missing, or there is none to give */
	"ttl",
	"ttl=",
	"rcvbuf",
	"rcvbuf=",
	"keepidle=",
	"congestion",
	"congestion=",
	"interface=",
	"mptcp=1",
	"mptcp=0",
	"mptcp=",
	"nodelay=",
	/* out of range */
	"nodelay=2",
	"keepalive=256",
	"ttl=0",
	"ttl=256",
	"ttl=257",
	"tos=256",
	"dscp=64",
	"dscp=256",
	"priority=16",
	"mark=4294967296",
	"mark=18446744073709551616",
	"rcvbuf=0",
	"rcvbuf=1G",
	"sndbuf=2G",
	"sndbuf=4294967297",
	"sndbuf=1073741824",
	"keepidle=0",
	"keepidle=32768",
	"keepidle=10h",
	"keepcnt=0",
	"keepcnt=128",
	"keepcnt=257",
	"defer-accept=0",
	"defer-accept=3601",
	"linger2=2h",
	"user-timeout=0",
	"user-timeout=2147483648ms",
	"user-timeout=4294967297ms",
	"user-timeout=1000h",
	"maxseg=87",
	"maxseg=32768",
	"syncnt=0",
	"syncnt=128",
	"fastopen=0",
	"fastopen=65536",
	"window-clamp=0",
	"notsent-lowat=2G",
	/* no numbers */
	"nodelay=on",
	"nodelay=yes",
	"nodelay=-1",
	"nodelay=1 ",
	"ttl=-1",
	"ttl=+1",
	"ttl= 1",
	"ttl=1 ",
	"ttl=0x40",
	"ttl=1e2",
	"ttl=64k",
	"ttl=64s",
	"ttl=1.5",
	"tos=x",
	"dscp=ef",
	"mark=0x10",
	"rcvbuf=64kb",
	"rcvbuf=-1",
	"rcvbuf=1.5",
	"rcvbuf=1s",
	"keepidle=1k",
	"keepidle=-1s",
	"keepcnt=3s",
	"user-timeout=-1",
	"user-timeout=30d",
	"user-timeout=999999999999",
	"user-timeout=99999999999999999999",
	"keepidle=99999999999999999999h",
	"priority=1=2",
};

static void check_good(void)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct sockopt o;
		char reason[2000] = "";
		int r = sockopt_parse(good[i].word, &o, reason, sizeof reason);
		bool right = r == 0 && (good[i].value == ANY || o.value == good[i].value) &&
			     (!good[i].text || (o.text && strcmp(o.text, good[i].text) == 0));

		point(right, "-O '%s' is understood %s", good[i].word, reason);
	}
}

static void check_bad(void)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct sockopt o;
		char reason[2000] = "";
		int r = sockopt_parse(bad[i], &o, reason, sizeof reason);

		point(r == -EINVAL && *reason, "-O '%s' is refused, with a reason", bad[i]);
	}
}

/* However long the word and however small the room: the reason ends in it. */
static void check_reasons(void)
{
	static const char *const starts[] = {"", "ttl=", "congestion=", "mptcp=", "no-such="};
	char *word = malloc(5001);
	bool fine = true;

	for (size_t i = 0; i < COUNT(starts); i++) {
		memset(word, 'x', 5000);
		word[5000] = '\0';
		memcpy(word, starts[i], strlen(starts[i]));
		for (size_t size = 1; size < 1500; size += 13) {
			char *reason = malloc(size);
			struct sockopt o;

			memset(reason, 'x', size);
			/* a name of any length may be one: that the kernel tells */
			if (sockopt_parse(word, &o, reason, size) < 0)
				fine &= memchr(reason, '\0', size) != NULL;
			free(reason);
		}
	}
	free(word);
	point(fine, "reasons fit into the room there is");
}

/* --- -O: sockets --- */

/* What is asked for, by word, and what getsockopt() then says at least. */
static const struct {
	const char *word;
	int family, level, name, value;
} settings[] = {
	{"nodelay", AF_INET, IPPROTO_TCP, TCP_NODELAY, 1},
	{"nodelay=0", AF_INET, IPPROTO_TCP, TCP_NODELAY, 0},
	{"keepalive", AF_INET, SOL_SOCKET, SO_KEEPALIVE, 1},
	{"oobinline", AF_INET, SOL_SOCKET, SO_OOBINLINE, 1},
	{"keepidle=2m", AF_INET, IPPROTO_TCP, TCP_KEEPIDLE, 120},
	{"keepintvl=7", AF_INET, IPPROTO_TCP, TCP_KEEPINTVL, 7},
	{"keepcnt=5", AF_INET, IPPROTO_TCP, TCP_KEEPCNT, 5},
	{"user-timeout=2500ms", AF_INET, IPPROTO_TCP, TCP_USER_TIMEOUT, 2500},
	{"syncnt=3", AF_INET, IPPROTO_TCP, TCP_SYNCNT, 3},
	{"linger2=9", AF_INET, IPPROTO_TCP, TCP_LINGER2, 9},
	{"notsent-lowat=16k", AF_INET, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384},
	{"ttl=33", AF_INET, IPPROTO_IP, IP_TTL, 33},
	{"tos=16", AF_INET, IPPROTO_IP, IP_TOS, 16},
	{"dscp=46", AF_INET, IPPROTO_IP, IP_TOS, 184},
	{"dscp=0", AF_INET, IPPROTO_IP, IP_TOS, 0},
	{"freebind", AF_INET, IPPROTO_IP, IP_FREEBIND, 1},
	{"priority=5", AF_INET, SOL_SOCKET, SO_PRIORITY, 5},
	{"rcvbuf=16k", AF_INET, SOL_SOCKET, SO_RCVBUF, 32768},
	{"sndbuf=16k", AF_INET, SOL_SOCKET, SO_SNDBUF, 32768},
	{"ttl=33", AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33},
	{"tos=16", AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, 16},
	{"dscp=46", AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, 184},
	{"nodelay", AF_INET6, IPPROTO_TCP, TCP_NODELAY, 1},
	{"keepcnt=5", AF_INET6, IPPROTO_TCP, TCP_KEEPCNT, 5},
};

static void check_settings(void)
{
	for (size_t i = 0; i < COUNT(settings); i++) {
		const char *family = settings[i].family == AF_INET ? "IPv4" : "IPv6", *failed = "";
		int sock = socket(settings[i].family, SOCK_STREAM, 0), r, value;
		struct sockopt o;
		char reason[2000];

		if (sock < 0) {
			skip("no such sockets", "-O %s, %s", settings[i].word, family);
			continue;
		}
		if (sockopt_parse(settings[i].word, &o, reason, sizeof reason) < 0) {
			point(false, "-O %s is understood", settings[i].word);
			continue;
		}
		r = sockopts_set(sock, settings[i].family, &(struct sockopts){&o, 1}, &failed);
		value = option(sock, settings[i].level, settings[i].name);
		point(r == 0 && value == settings[i].value, "-O %s, %s: getsockopt says %d (%d %s)",
		      settings[i].word, family, value, r, failed);
		close(sock);
	}
}

/* The kernel's refusal is told by the option's name, and what comes before it has been set. */
static void check_refusal(void)
{
	int sock = socket(AF_INET, SOCK_STREAM, 0), r;
	struct sockopt list[3];
	const char *failed = NULL;
	char reason[2000];

	sockopt_parse("ttl=44", &list[0], reason, sizeof reason);
	sockopt_parse("congestion=no-such-one", &list[1], reason, sizeof reason);
	sockopt_parse("tos=16", &list[2], reason, sizeof reason);
	r = sockopts_set(sock, AF_INET, &(struct sockopts){list, 3}, &failed);
	point(r < 0 && failed && strcmp(failed, "congestion") == 0 &&
		      option(sock, IPPROTO_IP, IP_TTL) == 44,
	      "what the kernel refuses is told by name (%d %s)", r, failed ? failed : "");
	close(sock);
	failed = NULL;
	r = sockopts_try(AF_INET, &(struct sockopts){list, 3}, &failed);
	point(r < 0 && failed && strcmp(failed, "congestion") == 0, "and so when it is only tried");
	point(sockopts_try(AF_INET, &(struct sockopts){list, 1}, &failed) == 0,
	      "what it takes is fine");
	point(sockopts_set(-1, AF_INET, NULL, &failed) == 0 && sockopts_protocol(NULL) == 0,
	      "no options are fine");
}

static void check_protocol(void)
{
	struct sockopt list[2];
	char reason[2000];

	sockopt_parse("ttl=44", &list[0], reason, sizeof reason);
	sockopt_parse("mptcp", &list[1], reason, sizeof reason);
	point(sockopts_protocol(&(struct sockopts){list, 1}) == 0 &&
		      sockopts_protocol(&(struct sockopts){list, 2}) == 262,
	      "mptcp asks for another protocol");
}

/* Every row that is described can be asked for by its name, which the refusal of another lists. */
static void check_descriptions(void)
{
	char line[200], name[40], known[2000];
	struct sockopt o;
	int rows = 0, unknown = 0;

	sockopt_parse("no-such", &o, known, sizeof known);
	for (; sockopt_describe(rows, line, sizeof line); rows++) {
		char reason[2000];

		snprintf(name, sizeof name, "%.*s", (int)strcspn(line, "[= "), line);
		unknown += !strstr(known, name) ||
			   (sockopt_parse(name, &o, reason, sizeof reason) < 0 &&
			    !strstr(reason, "needs a value"));
	}
	point(rows > 20 && unknown == 0, "the %d options that are described are known", rows);
	point(!sockopt_describe(-1, line, sizeof line) &&
		      !sockopt_describe(rows + 1, line, sizeof line),
	      "and there are no more");
}

static void check_unacknowledged(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), sock = socket(AF_INET, SOCK_STREAM, 0),
	    queued = -1;
	static char much[8 * 1024 * 1024];
	socklen_t length = sizeof at;

	if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &length) < 0 ||
	    connect(sock, (struct sockaddr *)&at, sizeof at) < 0) {
		point(false, "cannot connect: %s", strerror(errno));
		return;
	}
	point(sockopt_unacknowledged(sock) == 0, "nothing sent, nothing unacknowledged");
	/* nobody reads: what the other side has no room for stays here */
	while (send(sock, much, sizeof much, MSG_DONTWAIT) > 0)
		;
	queued = sockopt_unacknowledged(sock);
	point(queued > 0, "what the peer has no room for is unacknowledged (%d bytes)", queued);
	point(sockopt_unacknowledged(-1) == -EBADF, "no socket: the kernel does not say");
	close(sock);
	close(listener);
}

int main(void)
{
	check_keepalives();
	check_long_keepalive();
	check_prepare();
	check_good();
	check_bad();
	check_reasons();
	check_settings();
	check_refusal();
	check_protocol();
	check_descriptions();
	check_unacknowledged();
	return done();
}
