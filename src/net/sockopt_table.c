#include "net/sockopt_table.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262 /* linux/in.h */
#endif

enum type {
	SWITCH, /* 1 unless =0 is given */
	NUMBER,
	SIZE,
	SECONDS,
	MILLISECONDS,
	DSCP, /* the upper six bits of the traffic class */
	TEXT,
	PROTOCOL, /* no option, but another protocol for socket(2) */
};

static const char *const type_names[] = {"[=0]",   "=NUMBER", "=SIZE", "=TIME",
					 "=TIME",  "=NUMBER", "=NAME", ""};

/* The units in which a range is given. */
static const char *const units[] = {"", "", " bytes", " s", " ms", "", "", ""};

struct sockopt_row {
	const char *name;
	enum type type;
	int level, option;
	int level6, option6; /* for IPv6 sockets, where that differs; 0: the same */
	int64_t min, max;
	const char *meaning;
};

/*
 * TCP_FASTOPEN_CONNECT is not among them: with a cookie from an earlier connection, connect(2) succeeds
 * without having sent anything, and --retry and --check could not tell whether the peer accepts.
 */
static const struct sockopt_row table[] = {
	{"congestion", TEXT, IPPROTO_TCP, TCP_CONGESTION, 0, 0, 0, 0, "congestion control algorithm"},
	{"defer-accept", SECONDS, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 0, 1, 3600, "accept when data has come"},
	{"dscp", DSCP, IPPROTO_IP, IP_TOS, IPPROTO_IPV6, IPV6_TCLASS, 0, 63, "class of service, RFC 2474"},
	{"fastopen", NUMBER, IPPROTO_TCP, TCP_FASTOPEN, 0, 0, 1, 65535,
	 "listen: queue of TCP Fast Open, RFC 7413"},
	{"freebind", SWITCH, IPPROTO_IP, IP_FREEBIND, 0, 0, 0, 1, "bind to an address that is not there yet"},
	{"interface", TEXT, SOL_SOCKET, SO_BINDTODEVICE, 0, 0, 0, 0, "only this network interface"},
	{"keepalive", SWITCH, SOL_SOCKET, SO_KEEPALIVE, 0, 0, 0, 1, "probe a silent peer"},
	{"keepcnt", NUMBER, IPPROTO_TCP, TCP_KEEPCNT, 0, 0, 1, 127, "unanswered probes until the end"},
	{"keepidle", SECONDS, IPPROTO_TCP, TCP_KEEPIDLE, 0, 0, 1, 32767, "silence before the first probe"},
	{"keepintvl", SECONDS, IPPROTO_TCP, TCP_KEEPINTVL, 0, 0, 1, 32767, "time between probes"},
	{"linger2", SECONDS, IPPROTO_TCP, TCP_LINGER2, 0, 0, 0, 3600, "life of an orphan in FIN-WAIT-2"},
	{"mark", NUMBER, SOL_SOCKET, SO_MARK, 0, 0, 0, UINT32_MAX, "mark for routing and filtering"},
	{"maxseg", NUMBER, IPPROTO_TCP, TCP_MAXSEG, 0, 0, 88, 32767, "largest segment"},
	{"mptcp", PROTOCOL, 0, 0, 0, 0, 0, 0, "Multipath TCP, RFC 8684"},
	{"nodelay", SWITCH, IPPROTO_TCP, TCP_NODELAY, 0, 0, 0, 1, "no Nagle's delay (on by default)"},
	{"notsent-lowat", SIZE, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, 0, 1, INT32_MAX,
	 "unsent bytes to queue at most"},
	{"oobinline", SWITCH, SOL_SOCKET, SO_OOBINLINE, 0, 0, 0, 1,
	 "urgent data in the stream (on by default)"},
	{"priority", NUMBER, SOL_SOCKET, SO_PRIORITY, 0, 0, 0, 15, "queueing priority"},
	{"quickack", SWITCH, IPPROTO_TCP, TCP_QUICKACK, 0, 0, 0, 1, "acknowledge at once"},
	{"rcvbuf", SIZE, SOL_SOCKET, SO_RCVBUF, 0, 0, 1, INT32_MAX / 2, "receive buffer"},
	{"sndbuf", SIZE, SOL_SOCKET, SO_SNDBUF, 0, 0, 1, INT32_MAX / 2, "send buffer"},
	{"syncnt", NUMBER, IPPROTO_TCP, TCP_SYNCNT, 0, 0, 1, 127, "SYNs to send at most"},
	{"tos", NUMBER, IPPROTO_IP, IP_TOS, IPPROTO_IPV6, IPV6_TCLASS, 0, 255, "the whole traffic class"},
	{"transparent", SWITCH, IPPROTO_IP, IP_TRANSPARENT, 0, 0, 0, 1, "foreign addresses, for proxies"},
	{"ttl", NUMBER, IPPROTO_IP, IP_TTL, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 1, 255, "hops at most"},
	{"user-timeout", MILLISECONDS, IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 0, 1, INT32_MAX,
	 "unacknowledged data ends the connection, RFC 5482"},
	{"window-clamp", SIZE, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 0, 1, INT32_MAX, "largest window to offer"},
};

#define ROWS (sizeof table / sizeof *table)

static const struct sockopt_row *sockopt_find(const char *name, size_t length)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0)
			return &table[i];
	return NULL;
}

static int unknown(const char *word, size_t length, char *reason, size_t size)
{
	size_t used = (size_t)snprintf(reason, size, "no option '%.*s'; there are",
				       (int)(length < 40 ? length : 40), word);

	for (size_t i = 0; i < ROWS && used < size; i++)
		used += (size_t)snprintf(reason + used, size - used, " %s", table[i].name);
	return -EINVAL;
}

/* Reads a time in whole units of `unit`. */
static int parse_time(const char *word, nsec unit, const struct sockopt_row *row, int64_t *out)
{
	nsec span;

	if (num_time(word, &span) < 0)
		return -EINVAL;
	span = span / unit + (span % unit != 0);
	if (span < row->min || span > row->max)
		return -ERANGE;
	*out = span;
	return 0;
}

static int parse_value(const struct sockopt_row *row, const char *word, struct sockopt *out)
{
	switch (row->type) {
	case SIZE:
		return num_size(word, row->min, row->max, &out->value);
	case SECONDS:
		return parse_time(word, NSEC_PER_SEC, row, &out->value);
	case MILLISECONDS:
		return parse_time(word, NSEC_PER_MSEC, row, &out->value);
	case TEXT:
		out->text = word;
		return *word ? 0 : -EINVAL;
	case PROTOCOL:
		return -EINVAL;
	default:
		return num_parse(word, row->min, row->max, &out->value);
	}
}

/* The range of a row's values in words, in `buf`; returns `buf`. */
static const char *range_words(const struct sockopt_row *row, char *buf, size_t size)
{
	if (row->type == SWITCH)
		snprintf(buf, size, "0 or 1");
	else
		snprintf(buf, size, "%" PRId64 " to %" PRId64 "%s", row->min, row->max, units[row->type]);
	return buf;
}

int sockopt_parse(const char *word, struct sockopt *out, char *reason, size_t size)
{
	size_t length = strcspn(word, "=");
	const struct sockopt_row *row = sockopt_find(word, length);
	char range[64];

	if (!row)
		return unknown(word, length, reason, size);
	*out = (struct sockopt){.row = row, .value = 1};
	if (word[length] == '\0') {
		if (row->type == SWITCH || row->type == PROTOCOL)
			return 0;
		snprintf(reason, size, "%s needs a value: %s%s", row->name, row->name,
			 type_names[row->type]);
		return -EINVAL;
	}
	if (parse_value(row, word + length + 1, out) == 0)
		return 0;
	if (row->type == TEXT || row->type == PROTOCOL)
		snprintf(reason, size, "'%.60s' is no value for %s", word + length + 1, row->name);
	else
		snprintf(reason, size, "'%.60s' is no value for %s, which takes %s", word + length + 1,
			 row->name, range_words(row, range, sizeof range));
	return -EINVAL;
}

static int set_one(int sock, int family, const struct sockopt *o)
{
	const struct sockopt_row *row = o->row;
	bool other = family == AF_INET6 && row->level6;
	int level = other ? row->level6 : row->level, option = other ? row->option6 : row->option;
	int value = (int)(uint32_t)(row->type == DSCP ? o->value << 2 : o->value);
	int r;

	if (row->type == PROTOCOL)
		return 0;
	if (row->type == TEXT)
		r = setsockopt(sock, level, option, o->text, (socklen_t)strlen(o->text));
	else
		r = setsockopt(sock, level, option, &value, sizeof value);
	return r < 0 ? -errno : 0;
}

int sockopts_set(int sock, int family, const struct sockopts *all, const char **failed)
{
	for (int i = 0; all && i < all->count; i++) {
		int r = set_one(sock, family, &all->list[i]);

		if (r == 0)
			continue;
		*failed = all->list[i].row->name;
		return r;
	}
	return 0;
}

int sockopts_try(int family, const struct sockopts *all, const char **failed)
{
	int sock = socket(family, SOCK_STREAM | SOCK_CLOEXEC, sockopts_protocol(all)), r;

	*failed = "mptcp";
	if (sock < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno;
	r = sockopts_set(sock, family, all, failed);
	close(sock);
	return r;
}

int sockopts_protocol(const struct sockopts *all)
{
	for (int i = 0; all && i < all->count; i++)
		if (all->list[i].row->type == PROTOCOL)
			return IPPROTO_MPTCP;
	return 0;
}

bool sockopt_describe(int i, char *buf, size_t size)
{
	char left[40], range[64], words[sizeof range + 3] = "";

	if (i < 0 || i >= (int)ROWS)
		return false;
	snprintf(left, sizeof left, "%s%s", table[i].name, type_names[table[i].type]);
	if (table[i].max > 1)
		snprintf(words, sizeof words, " (%s)", range_words(&table[i], range, sizeof range));
	snprintf(buf, size, "%-24s %s%s", left, table[i].meaning, words);
	return true;
}
