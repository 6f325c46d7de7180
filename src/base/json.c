#include "base/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void json_begin(struct json *j, char *room, size_t size)
{
	*j = (struct json){.text = room, .size = size, .first = true};
	*room = '\0';
}

static void json_put(struct json *j, char c)
{
	if (j->used + 1 >= j->size)
		return;
	j->text[j->used++] = c;
	j->text[j->used] = '\0';
}

static void __attribute__((format(printf, 2, 0)))
put_words(struct json *j, const char *format, va_list args)
{
	int n = vsnprintf(j->text + j->used, j->size - j->used, format, args);

	if (n > 0)
		j->used += (size_t)n;
	if (j->used >= j->size)
		j->used = j->size - 1;
}

/* The text between quotes, escaped as RFC 8259, 7 asks. */
static void put_string(struct json *j, const char *value)
{
	static const char digits[] = "0123456789abcdef";

	json_put(j, '"');
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\') {
			json_put(j, '\\');
			json_put(j, (char)c);
		} else if (c < ' ' || c > '~') {
			json_put(j, '\\');
			json_put(j, 'u');
			json_put(j, '0');
			json_put(j, '0');
			json_put(j, digits[c >> 4]);
			json_put(j, digits[c & 15]);
		} else {
			json_put(j, (char)c);
		}
	}
	json_put(j, '"');
}

/* The beginning of a member or element. */
static void json_key(struct json *j, const char *key)
{
	if (!j->first)
		json_put(j, ',');
	j->first = false;
	if (!key)
		return;
	put_string(j, key);
	json_put(j, ':');
}

void json_open(struct json *j, const char *key, char bracket)
{
	json_key(j, key);
	json_put(j, bracket);
	j->first = true;
}

void json_close(struct json *j, char bracket)
{
	json_put(j, bracket);
	j->first = false;
}

void json_string(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	put_string(j, value);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	json_value(j, key, "%" PRIu64, value);
}

void json_flag(struct json *j, const char *key, bool value)
{
	json_value(j, key, "%s", value ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
	json_value(j, key, "null");
}

void json_value(struct json *j, const char *key, const char *format, ...)
{
	va_list args;

	json_key(j, key);
	va_start(args, format);
	put_words(j, format, args);
	va_end(args);
}

void json_base64(struct json *j, const char *key, const void *bytes, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *b = bytes;

	json_key(j, key);
	json_put(j, '"');
	/* three bytes are four digits; what is missing of the last three is padded */
	for (; n > 0; b += 3) {
		unsigned group = (unsigned)b[0] << 16;

		group |= n > 1 ? (unsigned)b[1] << 8 : 0;
		group |= n > 2 ? b[2] : 0;
		json_put(j, digits[group >> 18]);
		json_put(j, digits[group >> 12 & 63]);
		json_put(j, n > 1 ? digits[group >> 6 & 63] : '=');
		json_put(j, n > 2 ? digits[group & 63] : '=');
		n -= n > 2 ? 3 : n;
	}
	json_put(j, '"');
}

size_t json_line(struct json *j)
{
	if (j->used + 2 > j->size)
		j->used = j->size - 2;
	j->text[j->used++] = '\n';
	j->text[j->used] = '\0';
	return j->used;
}
