/* JSON objects on one line (RFC 8259), written member by member into memory of the caller's. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What does not fit is cut; `used` never exceeds size - 1, and the text is always NUL-terminated. */
struct json {
	char *text;
	size_t size, used;
	bool first; /* no comma before the next member */
};

/* Begins an empty text in `room` of `size` bytes (at least 1). */
void json_begin(struct json *, char *room, size_t size);

/* Opens an object or an array: the value of member `key`, or an element where `key` is NULL. */
void json_open(struct json *, const char *key, char bracket);

/* Closes what was opened last; `bracket` is '}' or ']'. */
void json_close(struct json *, char bracket);

/* Members; each takes care of its comma. Bytes of `value` that are no ASCII stand for U+0080 to U+00FF. */
void json_string(struct json *, const char *key, const char *value);
void json_number(struct json *, const char *key, uint64_t value);
void json_flag(struct json *, const char *key, bool value);
void json_null(struct json *, const char *key);

/* A member whose value is JSON already, in printf(3) style. */
void json_value(struct json *, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A member with the `n` bytes as a string in base64 (RFC 4648, 4), which takes 4/3 of the room. */
void json_base64(struct json *, const char *key, const void *bytes, size_t n);

/* Ends the line, whole or cut, with a newline; returns its length. */
size_t json_line(struct json *);

#endif
