#include "net/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

/* The bytes of an address in network order, and how many bits they are. */
static const unsigned char *address_bytes(const struct endpoint *e, int *bits)
{
	if (e->any.sa_family == AF_INET6) {
		*bits = 128;
		return e->v6.sin6_addr.s6_addr;
	}
	*bits = 32;
	return (const unsigned char *)&e->v4.sin_addr;
}

/* Bit `i` of an address, counted from the left. */
static int bit(const unsigned char *bytes, int i)
{
	return bytes[i / 8] >> (7 - i % 8) & 1;
}

static bool same_prefix(const unsigned char *a, const unsigned char *b, int bits)
{
	int whole = bits / 8;

	if (memcmp(a, b, (size_t)whole) != 0)
		return false;
	for (int i = whole * 8; i < bits; i++)
		if (bit(a, i) != bit(b, i))
			return false;
	return true;
}

/* The prefix length behind the slash: 0 to `bits`, without leading zeros. */
static int parse_prefix(const char *word, int bits, int *out)
{
	int64_t n;

	if ((word[0] == '0' && word[1] != '\0') || num_parse(word, 0, bits, &n) < 0)
		return -EINVAL;
	*out = (int)n;
	return 0;
}

/* Makes an IPv4-mapped rule the IPv4 rule. -EINVAL: its prefix is shorter than that of the mapped block. */
static int unmap(struct access_rule *r)
{
	struct endpoint e;

	if (r->base.any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&r->base.v6.sin6_addr))
		return 0;
	if (r->prefix < 96)
		return -EINVAL;
	endpoint_set(&e, &r->base.any, r->base.length);
	r->base = e;
	r->prefix -= 96;
	return 0;
}

/* Only link-local addresses have zones (RFC 4007): a rule with a zone and another would match no peer. */
static bool has_idle_zone(const struct endpoint *e)
{
	return e->any.sa_family == AF_INET6 && e->v6.sin6_scope_id != 0 &&
	       !IN6_IS_ADDR_LINKLOCAL(&e->v6.sin6_addr);
}

int access_parse(const char *word, struct access_rule *out)
{
	char address[ENDPOINT_TEXT];
	const char *slash = strchr(word, '/');
	size_t length = slash ? (size_t)(slash - word) : strlen(word);
	const unsigned char *bytes;
	struct access_rule r;
	int bits;

	if (length >= sizeof address)
		return -EINVAL;
	memcpy(address, word, length);
	address[length] = '\0';
	if (endpoint_parse(address, &r.base) != HOST_ADDRESS || has_idle_zone(&r.base))
		return -EINVAL;
	bytes = address_bytes(&r.base, &bits);
	r.prefix = bits;
	if (slash && parse_prefix(slash + 1, bits, &r.prefix) < 0)
		return -EINVAL;
	/* 10.0.0.1/8 is a slip: was one address meant, or all of them? */
	for (int i = r.prefix; i < bits; i++)
		if (bit(bytes, i))
			return -EINVAL;
	if (unmap(&r) < 0)
		return -EINVAL;
	*out = r;
	return 0;
}

int access_add(struct access_list *l, const char *word)
{
	struct access_rule rule, *rules;

	if (access_parse(word, &rule) < 0)
		return -EINVAL;
	rules = realloc(l->rules, ((size_t)l->count + 1) * sizeof *rules);
	if (!rules)
		return -ENOMEM;
	l->rules = rules;
	l->rules[l->count++] = rule;
	return 0;
}

/* Adds the rule on one line, if there is one. */
static int add_line(struct access_list *l, char *text)
{
	char *end;

	text[strcspn(text, "#\n")] = '\0';
	text += strspn(text, " \t\r");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r", end[-1]))
		*--end = '\0';
	return *text ? access_add(l, text) : 0;
}

int access_add_file(struct access_list *l, const char *path, int *line)
{
	char *text = NULL;
	FILE *f = fopen(path, "re");
	size_t room = 0;
	ssize_t length;
	int r = 0;

	*line = 0;
	if (!f)
		return -errno;
	while (r == 0 && (length = getline(&text, &room, f)) >= 0) {
		++*line;
		/* a NUL byte would hide the rest of its line */
		r = strlen(text) < (size_t)length ? -EINVAL : add_line(l, text);
	}
	if (r == 0) {
		*line = 0;
		r = feof(f) ? 0 : -errno;
	}
	free(text);
	fclose(f);
	return r;
}

/* Loads one list: the rules themselves, then the files. Returns 0 or -errno, with the reason. */
static int load_list(struct access_list *l, const struct access_words *rules,
		     const struct access_words *files, char *reason, size_t size)
{
	int line, r;

	for (int i = 0; i < rules->count; i++) {
		r = access_add(l, rules->list[i]);
		if (r < 0) {
			snprintf(reason, size, "'%.100s' is not an address or a prefix", rules->list[i]);
			return r;
		}
	}
	for (int i = 0; i < files->count; i++) {
		r = access_add_file(l, files->list[i], &line);
		if (r < 0 && line > 0) {
			snprintf(reason, size, "%s line %d: not an address or a prefix", files->list[i],
				 line);
			return -EIO;
		}
		if (r < 0) {
			snprintf(reason, size, "%s: %s", files->list[i], strerror(-r));
			return r == -EINVAL ? -EIO : r;
		}
	}
	return 0;
}

int access_load(struct access *a, const struct access_settings *s, char *reason, size_t size)
{
	struct access fresh = {.has_allow = s->allow.count || s->allow_files.count};
	int r = load_list(&fresh.allow, &s->allow, &s->allow_files, reason, size);

	if (r == 0)
		r = load_list(&fresh.deny, &s->deny, &s->deny_files, reason, size);
	if (r < 0) {
		access_free(&fresh);
		return r;
	}
	access_free(a);
	*a = fresh;
	return 0;
}

static bool access_matches(const struct access_rule *r, const struct endpoint *peer)
{
	int bits, peer_bits;
	const unsigned char *rule = address_bytes(&r->base, &bits);
	const unsigned char *bytes = address_bytes(peer, &peer_bits);

	if (bits != peer_bits || !same_prefix(rule, bytes, r->prefix))
		return false;
	return bits == 32 || r->base.v6.sin6_scope_id == 0 ||
	       r->base.v6.sin6_scope_id == peer->v6.sin6_scope_id;
}

static bool any_matches(const struct access_list *l, const struct endpoint *peer)
{
	for (int i = 0; i < l->count; i++)
		if (access_matches(&l->rules[i], peer))
			return true;
	return false;
}

bool access_permits(const struct access *a, const struct endpoint *peer)
{
	if (any_matches(&a->deny, peer))
		return false;
	return !a->has_allow || any_matches(&a->allow, peer);
}

void access_free(struct access *a)
{
	free(a->allow.rules);
	free(a->deny.rules);
	memset(a, 0, sizeof *a);
}
