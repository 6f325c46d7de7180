/*
 * Access by address: --allow and --deny. With an allow list, all other addresses are refused; deny always
 * wins.
 *
 * A rule is an address or a prefix in CIDR form (RFC 4632, RFC 4291), read strictly: no leading zeros, no
 * octal or hexadecimal IPv4, no bits beyond the prefix, and an IPv4-mapped IPv6 rule is the IPv4 rule it
 * means. A rule for a link-local address, and no other, may name a %zone and then matches only there.
 */
#ifndef NET_ACCESS_H
#define NET_ACCESS_H

#include "net/endpoint.h"

struct access_rule {
	struct endpoint base;
	int prefix; /* how many leading bits have to be equal */
};

struct access_list {
	struct access_rule *rules;
	int count;
};

struct access {
	struct access_list allow, deny;
	bool has_allow; /* an allow list was given, even if it is empty */
};

/* Words of the command line: rules, or the names of files with rules. */
struct access_words {
	const char **list;
	int count;
};

struct access_settings {
	struct access_words allow, deny, allow_files, deny_files;
};

/* Reads one rule. Returns 0 or -EINVAL. */
int access_parse(const char *word, struct access_rule *out);

/* Appends one rule to a list. Returns 0, -EINVAL or -ENOMEM. */
int access_add(struct access_list *, const char *word);

/*
 * Appends the rules of a file: one a line, blanks around it ignored, '#' begins a comment. Returns 0, or
 * -errno with *line the number of the line that is wrong (-EINVAL) or 0.
 */
int access_add_file(struct access_list *, const char *path, int *line);

/*
 * Replaces *a by the rules that `settings` name. Returns 0; or leaves *a alone, puts one line into `reason`
 * and returns -EINVAL for a bad rule on the command line, another -errno for a file.
 */
int access_load(struct access *a, const struct access_settings *settings, char *reason, size_t size);

/* True when `peer` may connect. An IPv4-mapped peer counts as IPv4 (endpoint_set() sees to it). */
bool access_permits(const struct access *, const struct endpoint *peer);

/* Frees the rules. */
void access_free(struct access *);

#endif
