/* Bytes from outside, made safe to show: no control byte reaches a terminal or breaks a line. */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stddef.h>

/* The room that `n` escaped bytes need at most, the terminating NUL included. */
#define ESCAPE_ROOM(n) (4 * (size_t)(n) + 4)

/*
 * Writes the `n` bytes at `bytes` into `out` of `size` bytes (at least 4): printable ASCII as it is,
 * the backslash doubled, \n \r \t by name, all else as \xHH. What does not fit is cut and marked
 * with "...". Returns `out`, NUL-terminated. For what a peer has sent: it can be read back with unescape().
 */
char *escape(const void *bytes, size_t n, char *out, size_t size);

/*
 * The same for the string `text`, with its backslashes left single: for a whole message, in which a word is
 * shown as it was typed, and what a peer has sent is escaped already.
 */
char *escape_message(const char *text, char *out, size_t size);

/*
 * Replaces the escapes of C in `text` (those of one letter, \e for ESC, up to three octal digits, \x and
 * up to two hexadecimal ones) by what they stand for, into `out`, which has room for strlen(text) bytes. The
 * result may hold NUL bytes and is not terminated. Returns its length, or -1 for an unknown escape.
 */
long unescape(const char *text, char *out);

#endif
