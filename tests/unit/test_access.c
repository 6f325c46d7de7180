/*
 * Who may connect: how rules are read, held by a table of right and wrong words, and whom they match, held
 * by a table of rules against peers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/access.h"
#include "tap.h"

/* --- reading --- */

/* `means`: the rule as "ADDRESS/PREFIX", or NULL if it has to be refused. */
static const struct {
	const char *word, *means;
} words[] = {
	/* addresses alone, and the two ends of the prefix lengths */
	{"192.0.2.1", "192.0.2.1/32"},
	{"192.0.2.1/32", "192.0.2.1/32"},
	{"0.0.0.0/0", "0.0.0.0/0"},
	{"128.0.0.0/1", "128.0.0.0/1"},
	{"255.255.255.255", "255.255.255.255/32"},
	{"2001:db8::1", "2001:db8::1/128"},
	{"2001:db8::1/128", "2001:db8::1/128"},
	{"::/0", "::/0"},
	{"8000::/1", "8000::/1"},
	{"2001:db8::/32", "2001:db8::/32"},
	{"2001:DB8:0::0/32", "2001:db8::/32"},

	/* prefix lengths that are none */
	{"192.0.2.0/33", NULL},
	{"2001:db8::/129", NULL},
	{"192.0.2.0/-1", NULL},
	{"2001:db8::/-1", NULL},
	{"192.0.2.1/032", NULL},
	{"10.0.0.0/08", NULL},
	{"0.0.0.0/00", NULL},
	{"10.0.0.0/+8", NULL},
	{"10.0.0.0/ 8", NULL},
	{"10.0.0.0/8 ", NULL},
	{"10.0.0.0 /8", NULL},
	{"10.0.0.0/8/8", NULL},
	{"10.0.0.0//8", NULL},
	{"10.0.0.0/", NULL},
	{"/8", NULL},
	{"/", NULL},
	{"", NULL},
	{"10.0.0.0/8x", NULL},
	{"10.0.0.0/0x8", NULL},
	{"10.0.0.0/8.0", NULL},
	{"10.0.0.0/255.0.0.0", NULL},
	{"10.0.0.0/4294967304", NULL},
	{"10.0.0.0/18446744073709551624", NULL},
	{"2001:db8::/256", NULL},

	/* IPv4 in forms on whose meaning programs disagree */
	{"010.0.0.1", NULL},
	{"10.0.0.01", NULL},
	{"10.00.0.1", NULL},
	{"0177.0.0.1", NULL},
	{"0x7f.0.0.1", NULL},
	{"0x7f000001", NULL},
	{"2130706433", NULL},
	{"127.1", NULL},
	{"10.1.1", NULL},
	{"10/8", NULL},
	{"10.0.0.0.0", NULL},
	{"256.0.0.1", NULL},
	{"1.2.3.-4", NULL},
	{"1.2.3.+4", NULL},
	{" 1.2.3.4", NULL},
	{"1.2.3.4 ", NULL},
	{"1.2.3.", NULL},
	{".1.2.3", NULL},
	{"1..2.3", NULL},
	{"1.2.3.4\n", NULL},

	/* bits beyond the prefix: was one address meant, or all? */
	{"10.0.0.1/8", NULL},
	{"192.0.2.128/24", NULL},
	{"1.0.0.0/0", NULL},
	{"2001:db8::1/64", NULL},
	{"2001:db8:8000::/32", NULL},
	{"192.0.2.2/31", "192.0.2.2/31"},
	{"192.0.2.3/31", NULL},

	/* IPv4 in IPv6: the mapped form is IPv4, all others are what they are */
	{"::ffff:192.0.2.1", "192.0.2.1/32"},
	{"::ffff:192.0.2.1/128", "192.0.2.1/32"},
	{"::ffff:192.0.2.0/120", "192.0.2.0/24"},
	{"::ffff:0:0/96", "0.0.0.0/0"},
	{"::ffff:c000:201", "192.0.2.1/32"},
	{"0:0:0:0:0:ffff:c000:0201", "192.0.2.1/32"},
	{"::ffff:0:0/95", NULL},
	{"::ffff:192.0.2.0/24", NULL},
	{"::ffff:192.0.2.1/120", NULL},
	{"::ffff:192.0.2.1/129", NULL},
	{"::ffff:010.0.0.1", NULL},
	{"::192.0.2.1", "::192.0.2.1/128"},
	{"64:ff9b::192.0.2.1", "64:ff9b::c000:201/128"},
	{"64:ff9b::/96", "64:ff9b::/96"},
	{"2002:c000:201::/48", "2002:c000:201::/48"},

	/* IPv6 that is none */
	{"2001:db8::1::2", NULL},
	{"2001:db8:::1", NULL},
	{"1:2:3:4:5:6:7", NULL},
	{"1:2:3:4:5:6:7:8:9", NULL},
	{"12345::", NULL},
	{"[2001:db8::1]", NULL},
	{"[::]/0", NULL},
	{":", NULL},
	{"::g", NULL},

	/* zones: only where there are any */
	{"fe80::1", "fe80::1/128"},
	{"fe80::/10", "fe80::/10"},
	{"fe80::1%lo", "fe80::1%lo/128"},
	{"fe80::%lo/10", "fe80::%lo/10"},
	{"fe80::1%1", "fe80::1%lo/128"},
	{"fe80::1%", NULL},
	{"fe80::1%nosuch0", NULL},
	{"fe80::1/64%lo", NULL},
	{"fe80::/10%lo", NULL},
	{"fe80::1%0", NULL},
	{"fe80::1%-1", NULL},
	{"2001:db8::1%lo", NULL},
	{"::1%lo", NULL},
	{"::%lo/0", NULL},
	{"::ffff:192.0.2.1%lo", NULL},
	{"192.0.2.1%lo", NULL},

	/* names and other words */
	{"localhost", NULL},
	{"localhost/8", NULL},
	{"example.com", NULL},
	{"*", NULL},
	{"any", NULL},
	{"all", NULL},
	{"10.0.0.0-10.0.0.9", NULL},
	{"!10.0.0.0/8", NULL},
	{"10.0.0.0/8,11.0.0.0/8", NULL},
	{"10.0.0.*", NULL},
};

/* A rule as it was understood. */
static const char *rule_text(const struct access_rule *r, char *buf, size_t size)
{
	char text[ENDPOINT_TEXT];

	snprintf(buf, size, "%s/%d", endpoint_text(&r->base, text), r->prefix);
	return buf;
}

static void check_words(void)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		struct access_rule rule;
		char text[128] = "refused", shown[64];
		const char *wanted = words[i].means ? words[i].means : "refused";
		int r;

		if (words[i].means && strchr(words[i].means, '%') && if_nametoindex("lo") != 1) {
			skip("no interface lo", "%s", words[i].word);
			continue;
		}
		r = access_parse(words[i].word, &rule);
		if (r == 0)
			rule_text(&rule, text, sizeof text);
		snprintf(shown, sizeof shown, "%s", words[i].word);
		shown[strcspn(shown, "\n")] = '\0';
		point(strcmp(text, wanted) == 0 && (r == 0 || r == -EINVAL), "'%s' is %s%s%s", shown, wanted,
		      strcmp(text, wanted) == 0 ? "" : ", not ", strcmp(text, wanted) == 0 ? "" : text);
	}
}

/* Longer than any address: nothing is cut off to fit. */
static void check_long_words(void)
{
	char word[5000];
	struct access_rule rule;
	bool good = true;

	for (size_t n = 40; n < sizeof word; n += n < 200 ? 1 : 97) {
		memset(word, '1', n);
		word[n] = '\0';
		good &= access_parse(word, &rule) == -EINVAL;
		memcpy(word, "10.0.0.0/", 9);
		good &= access_parse(word, &rule) == -EINVAL;
		memset(word, '0', n);
		memcpy(word + n - 8, "10.0.0.1", 8);
		good &= access_parse(word, &rule) == -EINVAL;
		memset(word, ':', n);
		good &= access_parse(word, &rule) == -EINVAL;
		memset(word, '0', n);
		word[n - 2] = word[n - 3] = ':';
		good &= access_parse(word, &rule) == -EINVAL;
	}
	point(good, "words of 40 to 5000 characters are refused");
}

/* --- matching --- */

/* Rules, separated by blanks, "-" for those that deny; and whether each peer is let in. */
static const struct {
	const char *rules, *in, *out;
} tables[] = {
	{"", "127.0.0.1 ::1 192.0.2.1 ::ffff:192.0.2.1", ""},
	{"192.0.2.0/24", "192.0.2.0 192.0.2.255 ::ffff:192.0.2.7",
	 "192.0.1.255 192.0.3.0 ::1 ::192.0.2.1 64:ff9b::192.0.2.1 2002:c000:201::1 ::ffff:192.0.3.1"},
	{"-192.0.2.0/24", "192.0.1.255 192.0.3.0 ::1 ::192.0.2.1 64:ff9b::192.0.2.1",
	 "192.0.2.0 192.0.2.255 ::ffff:192.0.2.7 ::ffff:c000:2ff"},
	{"::ffff:192.0.2.0/120", "192.0.2.9 ::ffff:192.0.2.9", "192.0.3.9 ::ffff:192.0.3.9 ::1"},
	{"-::ffff:192.0.2.9", "192.0.2.8 ::1", "192.0.2.9 ::ffff:192.0.2.9"},
	{"-64:ff9b::/96", "192.0.2.1 ::ffff:192.0.2.1", "64:ff9b::192.0.2.1 64:ff9b::"},
	{"-::/96", "192.0.2.1 ::ffff:192.0.2.1 64:ff9b::1", "::192.0.2.1 ::1 ::"},

	/* everybody of a family is not everybody */
	{"0.0.0.0/0", "0.0.0.0 255.255.255.255 127.0.0.1 ::ffff:1.2.3.4", "::1 :: ::1.2.3.4 2001:db8::1"},
	{"::/0", ":: ::1 ffff::", "127.0.0.1 0.0.0.0 ::ffff:1.2.3.4"},
	{"::ffff:0:0/96", "1.2.3.4 ::ffff:1.2.3.4", "::1 ::"},
	{"-0.0.0.0/0", "::1", "127.0.0.1 ::ffff:127.0.0.1"},
	{"0.0.0.0/0 ::/0", "127.0.0.1 ::1 ::ffff:1.2.3.4", ""},
	{"-0.0.0.0/0 -::/0", "", "127.0.0.1 ::1 ::ffff:1.2.3.4"},

	/* one address, one bit */
	{"192.0.2.1/32", "192.0.2.1", "192.0.2.0 192.0.2.2 193.0.2.1 192.0.2.129"},
	{"128.0.0.0/1", "128.0.0.0 255.0.0.0", "127.255.255.255 0.0.0.0"},
	{"10.128.0.0/9", "10.128.0.0 10.255.255.255", "10.127.255.255 11.128.0.0"},
	{"192.0.2.2/31", "192.0.2.2 192.0.2.3", "192.0.2.1 192.0.2.4"},
	{"2001:db8::1/128", "2001:db8::1", "2001:db8:: 2001:db8::2 2001:db9::1"},
	{"2001:db8::/33", "2001:db8:7fff:: 2001:db8::", "2001:db8:8000:: 2001:db7::"},
	{"2001:db8::2/127", "2001:db8::2 2001:db8::3", "2001:db8::1 2001:db8::4"},

	/* deny wins, in whatever order and however long */
	{"10.0.0.0/8 -10.1.0.0/16", "10.0.0.1 10.2.0.1", "10.1.0.1 11.0.0.1 ::1"},
	{"-10.1.0.0/16 10.0.0.0/8", "10.0.0.1", "10.1.0.1 11.0.0.1"},
	{"10.1.1.1 -10.0.0.0/8", "", "10.1.1.1 10.2.2.2 11.0.0.1"},
	{"10.1.1.1 -0.0.0.0/0", "", "10.1.1.1 ::1"},
	{"10.1.1.1 10.1.1.3 2001:db8::/32", "10.1.1.1 10.1.1.3 2001:db8::9", "10.1.1.2 2001:db9::9"},

	/* a zone in a rule holds; a rule without one holds in all */
	{"fe80::/10", "fe80::1 fe80::1%lo", "fec0::1"},
	{"fe80::1%lo", "fe80::1%lo", "fe80::1 fe80::1%2 fe80::2%lo"},
	{"-fe80::%lo/10", "fe80::1%2 fe80::1", "fe80::1%lo"},
};

/* What accept(2) would have told of this peer. */
static void peer_of(const char *word, struct endpoint *peer)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	char text[64], *zone;

	snprintf(text, sizeof text, "%s", word);
	zone = strchr(text, '%');
	if (zone)
		*zone++ = '\0';
	if (zone)
		v6.sin6_scope_id = strcmp(zone, "lo") == 0 ? 1 : 2;
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		endpoint_set(peer, (struct sockaddr *)&v4, sizeof v4);
		return;
	}
	inet_pton(AF_INET6, text, &v6.sin6_addr);
	endpoint_set(peer, (struct sockaddr *)&v6, sizeof v6);
}

/* Checks each of the blank-separated peers. */
static void check_peers(const struct access *a, const char *rules, const char *peers, bool in)
{
	char copy[256], *at = copy;

	snprintf(copy, sizeof copy, "%s", peers);
	for (char *word; (word = strsep(&at, " ")) && *word;) {
		struct endpoint peer;

		peer_of(word, &peer);
		point(access_permits(a, &peer) == in, "rules '%s': %s is let in: %s", rules, word,
		      in ? "yes" : "no");
	}
}

static void check_tables(void)
{
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct access a = {.has_allow = false};
		char copy[256], *at = copy;

		if (strchr(tables[i].rules, '%') && if_nametoindex("lo") != 1)
			continue;
		snprintf(copy, sizeof copy, "%s", tables[i].rules);
		for (char *word; (word = strsep(&at, " ")) && *word;) {
			int r = *word == '-' ? access_add(&a.deny, word + 1) : access_add(&a.allow, word);

			if (r < 0)
				point(false, "rule '%s' is understood", word);
			a.has_allow |= *word != '-';
		}
		check_peers(&a, tables[i].rules, tables[i].in, true);
		check_peers(&a, tables[i].rules, tables[i].out, false);
		access_free(&a);
	}
}

/* Every prefix of one address, against that address with each single bit changed. */
static void check_every_bit(int family)
{
	static const unsigned char base[16] = {0x20, 0x01, 0x0d, 0xb8, 0xa5, 0x5a, 0xff, 0x00,
					       0x01, 0x80, 0x7f, 0xfe, 0x33, 0xcc, 0x55, 0xaa};
	int bits = family == AF_INET ? 32 : 128, wrong = 0;

	for (int prefix = 0; prefix <= bits; prefix++) {
		unsigned char masked[16] = {0};
		char text[64], word[80];
		struct access a = {.has_allow = true};

		for (int i = 0; i < prefix; i++)
			masked[i / 8] |= (unsigned char)(base[i / 8] & 0x80 >> i % 8);
		inet_ntop(family, masked, text, sizeof text);
		snprintf(word, sizeof word, "%s/%d", text, prefix);
		if (access_add(&a.allow, word) < 0)
			wrong++;
		for (int flip = -1; flip < bits; flip++) {
			unsigned char changed[16];
			struct endpoint peer;

			memcpy(changed, base, sizeof changed);
			if (flip >= 0)
				changed[flip / 8] ^= (unsigned char)(0x80 >> flip % 8);
			inet_ntop(family, changed, text, sizeof text);
			peer_of(text, &peer);
			/* the change shows if it is inside the prefix */
			wrong += access_permits(&a, &peer) != (flip < 0 || flip >= prefix);
		}
		access_free(&a);
	}
	point(wrong == 0, "every bit of every prefix of IPv%d (%d wrong)", family == AF_INET ? 4 : 6, wrong);
}

/* --- files --- */

static void check_file(const char *text, size_t length, int result, int line, int rules, const char *what)
{
	struct access_list l = {NULL, 0};
	char path[] = "/tmp/tcptool-rules-XXXXXX";
	int fd = mkstemp(path), at, r;

	if (fd < 0 || write(fd, text, length) != (ssize_t)length) {
		point(false, "%s: cannot write %s", what, path);
		return;
	}
	close(fd);
	r = access_add_file(&l, path, &at);
	point(r == result && at == line && (r < 0 || l.count == rules), "file: %s (%d, line %d, %d rules)",
	      what, r, at, l.count);
	unlink(path);
	free(l.rules);
}

#define CHECK_FILE(text, ...) check_file(text, sizeof text - 1, __VA_ARGS__)

static void check_files(void)
{
	char longest[4096];
	struct access_list l = {NULL, 0};
	int line;

	CHECK_FILE("", 0, 0, 0, "empty");
	CHECK_FILE("\n\n# nobody\n   \t\n", 0, 0, 0, "comments and blanks");
	CHECK_FILE("10.0.0.0/8\n::1\n", 0, 0, 2, "two rules");
	CHECK_FILE("  10.0.0.0/8\t# the office\r\n\t::1  ", 0, 0, 2,
		   "blanks, a comment, CR, no newline at the end");
	CHECK_FILE("10.0.0.0/8\n\n10.0.0.1/8\n", -EINVAL, 3, 0, "a wrong rule in line 3");
	CHECK_FILE("10.0.0.0/8 11.0.0.0/8\n", -EINVAL, 1, 0, "two rules in a line");
	CHECK_FILE("10.0.0.0/8,\n", -EINVAL, 1, 0, "a comma");
	CHECK_FILE("10.0.0.0/8\0garbage\n11.0.0.0/8\n", -EINVAL, 1, 0, "a NUL byte");
	memset(longest, ' ', sizeof longest);
	memcpy(longest, "10.0.0.0", 8);
	memcpy(longest + 300, "/8\n", 3);
	check_file(longest, 303, -EINVAL, 1, 0, "a line that is too long is not cut to another meaning");
	point(access_add_file(&l, "/no/such/file", &line) == -ENOENT && line == 0, "file: missing");
	point(access_add_file(&l, "/", &line) < 0 && line == 0 && l.count == 0, "file: a directory");
	free(l.rules);
}

/* What is loaded replaces all of what was, or nothing. */
static void check_load(void)
{
	const char *good[] = {"10.0.0.0/8"}, *bad[] = {"10.0.0.0/8", "nonsense"}, *missing[] = {"/no/such"};
	struct access_settings s = {.allow = {good, 1}};
	struct access a = {.has_allow = false};
	struct endpoint inside, outside;
	char reason[300] = "";

	peer_of("10.1.2.3", &inside);
	peer_of("11.1.2.3", &outside);
	point(access_load(&a, &s, reason, sizeof reason) == 0 && access_permits(&a, &inside) &&
		      !access_permits(&a, &outside),
	      "load: a list");
	s.deny = (struct access_words){bad, 2};
	point(access_load(&a, &s, reason, sizeof reason) == -EINVAL && strstr(reason, "nonsense") &&
		      access_permits(&a, &inside),
	      "load: a bad word changes nothing (%s)", reason);
	s.deny.count = 0;
	s.deny_files = (struct access_words){missing, 1};
	point(access_load(&a, &s, reason, sizeof reason) == -ENOENT && access_permits(&a, &inside),
	      "load: a missing file changes nothing (%s)", reason);
	s.deny_files.count = 0;
	s.allow = (struct access_words){NULL, 0};
	s.allow_files = (struct access_words){(const char *[]){"/dev/null"}, 1};
	point(access_load(&a, &s, reason, sizeof reason) == 0 && !access_permits(&a, &inside),
	      "load: an allow file without a rule lets nobody in");
	access_free(&a);
}

int main(void)
{
	check_words();
	check_long_words();
	check_tables();
	check_every_bit(AF_INET);
	check_every_bit(AF_INET6);
	check_files();
	check_load();
	return done();
}
