/*
 * Socket options by name: -O NAME[=VALUE]. One table says what each is; see tcp(7), ip(7), ipv6(7) and
 * socket(7).
 */
#ifndef NET_SOCKOPT_TABLE_H
#define NET_SOCKOPT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockopt_row;

/* One option that was asked for. `text` points into the word it was parsed from. */
struct sockopt {
	const struct sockopt_row *row;
	int64_t value;
	const char *text;
};

struct sockopts {
	struct sockopt *list;
	int count;
};

/*
 * Reads NAME, NAME=VALUE or, for a switch, NAME=0. Returns 0, or -EINVAL with what is wrong in `reason`:
 * an unknown name lists the known ones.
 */
int sockopt_parse(const char *word, struct sockopt *out, char *reason, size_t size);

/*
 * Sets all of them on a socket of `family`. Returns 0, or -errno with *failed the name of the one that the
 * kernel refused. NULL for no options is fine. Those that belong to another family are passed over.
 */
int sockopts_set(int sock, int family, const struct sockopts *, const char **failed);

/*
 * Sets all of them on a socket that is closed again, so that a refusal is known before there is a connection.
 * Returns as sockopts_set(), and 0 for a family that this machine does not have.
 */
int sockopts_try(int family, const struct sockopts *, const char **failed);

/* The protocol for socket(2): IPPROTO_MPTCP when that was asked for, else 0. */
int sockopts_protocol(const struct sockopts *);

/* The `i`th row in words, "name  type  meaning", in `buf`; false behind the last. */
bool sockopt_describe(int i, char *buf, size_t size);

#endif
