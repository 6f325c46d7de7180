#include "base/escape.h"

#include <stdbool.h>
#include <string.h>

/* Writes one byte's escape into `to` (4 bytes); returns its length. */
static size_t escape_one(unsigned char c, bool doubles, char *to)
{
	static const char hex[] = "0123456789abcdef";
	const char *named = c == '\n'            ? "\\n" :
			    c == '\r'            ? "\\r" :
			    c == '\t'            ? "\\t" :
			    c == '\\' && doubles ? "\\\\" :
						   NULL;

	if (named) {
		memcpy(to, named, 2);
		return 2;
	}
	if (c >= ' ' && c <= '~') {
		to[0] = (char)c;
		return 1;
	}
	to[0] = '\\';
	to[1] = 'x';
	to[2] = hex[c >> 4];
	to[3] = hex[c & 15];
	return 4;
}

/* `doubles`: the backslash is doubled, so that unescape() gives back the same bytes. */
static char *escape_all(const unsigned char *in, size_t n, bool doubles, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		char one[4];
		size_t length = escape_one(in[i], doubles, one);
		/* unless this is the last byte, leave room for the mark that says more was cut */
		size_t reserve = i + 1 < n ? 4 : 1;

		if (used + length + reserve > size) {
			memcpy(out + used, "...", 3);
			used += 3;
			break;
		}
		memcpy(out + used, one, length);
		used += length;
	}
	out[used] = '\0';
	return out;
}

char *escape(const void *bytes, size_t n, char *out, size_t size)
{
	return escape_all(bytes, n, true, out, size);
}

char *escape_message(const char *text, char *out, size_t size)
{
	return escape_all((const unsigned char *)text, strlen(text), false, out, size);
}

/* Up to `most` digits of `base` at *at. Returns their value, or -1 when there is none. */
static int unescape_digits(const char **at, int base, int most)
{
	static const char all[] = "0123456789abcdef";
	int value = 0, n = 0;

	for (; n < most && **at; n++, ++*at) {
		const char *digit = strchr(all, **at | (**at >= 'A' && **at <= 'F' ? 0x20 : 0));

		if (!digit || digit - all >= base)
			break;
		value = value * base + (int)(digit - all);
	}
	return n > 0 ? value & 0xff : -1;
}

/* What follows a backslash at *at. Returns the byte, or -1. */
static int unescape_one(const char **at)
{
	static const char letters[] = "abefnrtv\\\"'?", meanings[] = "\a\b\033\f\n\r\t\v\\\"'?";
	const char *letter = **at ? strchr(letters, **at) : NULL;

	if (letter) {
		++*at;
		return meanings[letter - letters];
	}
	if (**at != 'x')
		return unescape_digits(at, 8, 3);
	++*at;
	return unescape_digits(at, 16, 2);
}

long unescape(const char *text, char *out)
{
	char *to = out;

	while (*text) {
		int c = (unsigned char)*text++;

		if (c == '\\')
			c = unescape_one(&text);
		if (c < 0)
			return -1;
		*to++ = (char)c;
	}
	return to - out;
}
