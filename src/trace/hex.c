/*
 * The hexadecimal format, for people. A line opens with what it is about: ">" sent, "<" received, "="
 * the connection itself. The bytes of one chunk stay together, however many connections there are.
 *
 *   = #1 2026-01-31 12:34:56.123456 connected to 127.0.0.1 port 9000 from 127.0.0.1 port 40000
 *   > #1 12:34:56.123460 6 bytes
 *   > 00000000  68 65 6c 6c 6f 0a                                 |hello.|
 *   < #1 12:34:56.123470 end
 *   = #1 12:34:56.123480 closed
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "trace/writer.h"

#define COLUMNS 16

/* A line of bytes at its longest: mark, 16 digits of offset, columns, gaps and the frame of the text. */
#define LINE_MOST (2 + 16 + 2 + 3 * COLUMNS + 3 + COLUMNS + 3)

static const char marks[] = {[TRACE_SENT] = '>', [TRACE_RECEIVED] = '<'};

/* A failure in words at its longest, or two addresses with their zones; what is longer is cut. */
#define WORDS_MOST 1000

/*
 * "MARK #N TIME " with the date or without, then the words, escaped, and a newline, into the scratch;
 * returns the length. The words may hold bytes from outside, which must not begin a line of their own.
 */
static size_t __attribute__((format(printf, 4, 5)))
head(struct trace_connection *c, char mark, bool date, const char *words, ...)
{
	struct timespec now = trace_time();
	char *out = c->trace->scratch;
	char text[32], plain[WORDS_MOST];
	struct tm tm;
	va_list args;
	size_t n;

	localtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &tm);
	n = (size_t)snprintf(out, TRACE_SCRATCH, "%c #%" PRIu64 " %s.%06ld ", mark, c->number, text,
			     now.tv_nsec / 1000);
	va_start(args, words);
	vsnprintf(plain, sizeof plain, words, args);
	va_end(args);
	escape_message(plain, out + n, ESCAPE_ROOM(WORDS_MOST));
	n += strlen(out + n);
	out[n++] = '\n';
	return n;
}

/* Up to 16 bytes as a line; returns its length. */
static size_t line(char mark, uint64_t offset, const unsigned char *b, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	char *p = out + sprintf(out, "%c %08" PRIx64 " ", mark, offset);
	char *text = p + 3 * COLUMNS + 3;
	char *t = text;

	memset(p, ' ', 3 * COLUMNS + 3);
	*t++ = '|';
	for (size_t i = 0; i < n; i++) {
		/* a gap in the middle, for the eye */
		p += i == COLUMNS / 2 ? 2 : 1;
		*p++ = digits[b[i] >> 4];
		*p++ = digits[b[i] & 15];
		*t++ = b[i] >= ' ' && b[i] <= '~' ? (char)b[i] : '.';
	}
	*t++ = '|';
	*t++ = '\n';
	return (size_t)(t - out);
}

static void hex_begin(struct trace_connection *c)
{
	size_t n = head(c, '=', true, "%s %s port %u %s %s port %u",
			c->incoming ? "accepted from" : "connected to", c->peer.text, c->peer.port,
			c->incoming ? "at" : "from", c->local.text, c->local.port);

	trace_write_text(c->trace, c->trace->scratch, n);
}

static void hex_bytes(struct trace_connection *c, enum trace_direction way, const unsigned char *b, size_t n)
{
	char *out = c->trace->scratch;
	size_t used = head(c, marks[way], false, "%zu bytes", n);

	for (size_t at = 0; at < n; at += COLUMNS) {
		size_t now = n - at < COLUMNS ? n - at : COLUMNS;

		if (used + LINE_MOST > TRACE_SCRATCH) {
			trace_write_text(c->trace, out, used);
			used = 0;
		}
		used += line(marks[way], c->moved[way] + at, b + at, now, out + used);
	}
	trace_write_text(c->trace, out, used);
}

static void hex_end(struct trace_connection *c, enum trace_direction way, enum trace_ending how)
{
	size_t n = head(c, marks[way], false, "%s", how == TRACE_FIN ? "end" : "reset");

	trace_write_text(c->trace, c->trace->scratch, n);
}

static void hex_finish(struct trace_connection *c, const char *how)
{
	size_t n = head(c, '=', false, "%s", how);

	trace_write_text(c->trace, c->trace->scratch, n);
}

const struct trace_ops trace_hex = {trace_open_file, hex_begin, hex_bytes, hex_end, hex_finish};
