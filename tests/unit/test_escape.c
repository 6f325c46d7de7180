/*
 * What comes from outside is shown without a byte that a terminal or a log would obey, and what
 * the user types with escapes becomes exactly the bytes that were meant, or is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define LITERAL(s) s, sizeof s - 1

static unsigned state = 1;

static unsigned chance(unsigned n)
{
	state = state * 1103515245 + 12345;
	return (state >> 16) % n;
}

/* --- escape --- */

static const struct {
	const char *bytes;
	size_t n;
	const char *shown;
} shows[] = {
	{LITERAL(""), ""},
	{LITERAL("plain text ~!\"'"), "plain text ~!\"'"},
	{LITERAL("a\nb\r\tc"), "a\\nb\\r\\tc"},
	{LITERAL("\\"), "\\\\"},
	{LITERAL("\\n"), "\\\\n"},
	{LITERAL("\0"), "\\x00"},
	{LITERAL("a\0b"), "a\\x00b"},
	{LITERAL("\033[2J"), "\\x1b[2J"},
	{LITERAL("\a\b\f\v"), "\\x07\\x08\\x0c\\x0b"},
	{LITERAL("\x7f"), "\\x7f"},
	{LITERAL("\x80\x9b\x9f\xa0\xff"), "\\x80\\x9b\\x9f\\xa0\\xff"},
	{LITERAL("caf\xc3\xa9"), "caf\\xc3\\xa9"},
	{LITERAL("\xc2\x9b"
		 "31m"),
	 "\\xc2\\x9b31m"},
};

static void check_shows(void)
{
	for (size_t i = 0; i < COUNT(shows); i++) {
		char out[80];

		point(escape(shows[i].bytes, shows[i].n, out, sizeof out) == out &&
			      strcmp(out, shows[i].shown) == 0,
		      "%s is shown as '%s'", shows[i].shown, out);
	}
}

static bool is_safe(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

/* Every byte there is: harmless, and one can read back which it was. */
static void check_every_byte(void)
{
	int unsafe = 0, different = 0;

	for (int c = 0; c < 256; c++) {
		unsigned char byte = (unsigned char)c;
		char out[ESCAPE_ROOM(1)], back[ESCAPE_ROOM(1)];

		escape(&byte, 1, out, sizeof out);
		unsafe += !is_safe(out);
		different += unescape(out, back) != 1 || (unsigned char)*back != byte;
	}
	point(unsafe == 0, "no byte of 256 is shown as a control character (%d are)", unsafe);
	point(different == 0, "each of 256 bytes can be read back (%d cannot)", different);
}

/* A message: as harmless, but a backslash is the one that was typed. */
static void check_messages(void)
{
	char all[256], out[ESCAPE_ROOM(sizeof all)];

	point(strcmp(escape_message("C:\\temp \\x1b", out, sizeof out), "C:\\temp \\x1b") == 0,
	      "a message keeps its backslashes: '%s'", out);
	point(strcmp(escape_message("\033[2J\n\x9b\xc3\xa9", out, sizeof out),
		     "\\x1b[2J\\n\\x9b\\xc3\\xa9") == 0,
	      "all else in a message is escaped: '%s'", out);
	for (int c = 1; c < 256; c++)
		all[c - 1] = (char)c;
	all[255] = '\0';
	point(is_safe(escape_message(all, out, sizeof out)) && strlen(out) > 255,
	      "no byte of a message is shown as a control character");
	point(strcmp(escape_message("0123456789", out, 8), "0123...") == 0, "a long message is cut: '%s'",
	      out);
}

/* ESCAPE_ROOM is enough for the worst of bytes. */
static void check_room(void)
{
	bool good = true;

	for (size_t n = 0; n < 300; n++) {
		unsigned char *bytes = malloc(n + 1);
		char *out = malloc(ESCAPE_ROOM(n));

		memset(bytes, 0xff, n + 1);
		escape(bytes, n, out, ESCAPE_ROOM(n));
		good &= strlen(out) == 4 * n;
		free(bytes);
		free(out);
	}
	point(good, "nothing is cut where there is ESCAPE_ROOM");
}

/* The full text, or whole escapes of its beginning and the mark. */
static bool is_cut_right(const char *full, const char *cut, size_t size)
{
	size_t length = strlen(cut);

	if (length >= size)
		return false;
	if (strcmp(full, cut) == 0)
		return true;
	if (length < 3 || strcmp(cut + length - 3, "...") != 0 ||
	    strncmp(full, cut, length - 3) != 0)
		return false;
	/* no escape is cut in two: what is left can be read by itself */
	for (const char *at = cut; at < cut + length - 3;) {
		at += *at != '\\' ? 1 : at[1] == 'x' ? 4 : 2;
		if (at > cut + length - 3)
			return false;
	}
	return true;
}

/*
 * Every text in a room of every size: the rooms are malloc()ed, so that one byte too many is
 * noticed.
 */
static void check_cuts(void)
{
	int wrong = 0;

	for (int text = 0; text < 200; text++) {
		unsigned char bytes[24];
		size_t n = chance(sizeof bytes + 1);
		char full[ESCAPE_ROOM(sizeof bytes)];

		for (size_t i = 0; i < n; i++)
			bytes[i] = (unsigned char)(chance(2) ? 'a' + chance(26) : chance(256));
		escape(bytes, n, full, sizeof full);
		for (size_t size = 4; size <= ESCAPE_ROOM(n); size++) {
			char *out = malloc(size);

			escape(bytes, n, out, size);
			wrong += !is_cut_right(full, out, size);
			free(out);
		}
	}
	point(wrong == 0,
	      "texts in rooms of 4 bytes and more: whole, or whole escapes and '...' (%d wrong)",
	      wrong);
}

/* --- unescape --- */

/* `bytes` NULL: it has to be refused. */
static const struct {
	const char *text, *bytes;
	size_t n;
} reads[] = {
	{"", LITERAL("")},
	{"plain", LITERAL("plain")},
	{"GET / HTTP/1.0\\r\\n\\r\\n", LITERAL("GET / HTTP/1.0\r\n\r\n")},
	{"\\a\\b\\e\\f\\n\\r\\t\\v", LITERAL("\a\b\033\f\n\r\t\v")},
	{"\\\\", LITERAL("\\")},
	{"\\\\n", LITERAL("\\n")},
	{"\\\\\\n", LITERAL("\\\n")},
	{"\\\"\\'\\?", LITERAL("\"'?")},
	{"\\0", LITERAL("\0")},
	{"a\\0b", LITERAL("a\0b")},
	{"\\00", LITERAL("\0")},
	{"\\000", LITERAL("\0")},
	{"\\0000", LITERAL("\0"
			   "0")},
	{"\\1011", LITERAL("A1")},
	{"\\18", LITERAL("\0018")},
	{"\\377", LITERAL("\xff")},
	{"\\x0", LITERAL("\0")},
	{"\\x41", LITERAL("A")},
	{"\\x411", LITERAL("A1")},
	{"\\xff\\xFF\\xfF", LITERAL("\xff\xff\xff")},
	{"\\xag", LITERAL("\ng")},
	{"\\x4\\x1", LITERAL("\004\001")},
	{"x\xc3\xa9\\n", LITERAL("x\xc3\xa9\n")},
	{"n\\nn", LITERAL("n\nn")},
	/* escapes there are not */
	{"\\", NULL, 0},
	{"abc\\", NULL, 0},
	{"\\\\\\", NULL, 0},
	{"\\x", NULL, 0},
	{"\\xg", NULL, 0},
	{"\\x-1", NULL, 0},
	{"\\x 1", NULL, 0},
	{"\\8", NULL, 0},
	{"\\9", NULL, 0},
	{"\\c", NULL, 0},
	{"\\q", NULL, 0},
	{"\\N", NULL, 0},
	{"\\R", NULL, 0},
	{"\\X41", NULL, 0},
	{"\\u0041", NULL, 0},
	{"\\ n", NULL, 0},
	{"\\\n", NULL, 0},
	{"\\\xff", NULL, 0},
	{"good\\n\\z", NULL, 0},
};

static void check_reads(void)
{
	for (size_t i = 0; i < COUNT(reads); i++) {
		size_t room = strlen(reads[i].text);
		char *out = malloc(room ? room : 1), shown[ESCAPE_ROOM(40)];
		long n = unescape(reads[i].text, out);
		bool good = reads[i].bytes ? n == (long)reads[i].n &&
						     memcmp(out, reads[i].bytes, (size_t)n) == 0 :
					     n == -1;

		escape(reads[i].text, room, shown, sizeof shown);
		point(good, "typed with escapes, as shown: '%s' is %s (%ld bytes)", shown,
		      reads[i].bytes ? "understood" : "refused", n);
		free(out);
	}
}

/* An octal escape has room for more than a byte holds. */
static void check_large_octal(void)
{
	char out[4];
	long n = unescape("\\400", out);

	point(n == -1 || (n == 1 && *out == 0), "\\400 is refused or one byte, not two (%ld)", n);
}

/* What is shown can be typed again, whatever it was. */
static void check_both_ways(void)
{
	int wrong = 0;

	for (int text = 0; text < 500; text++) {
		unsigned char bytes[60];
		size_t n = chance(sizeof bytes + 1);
		char shown[ESCAPE_ROOM(sizeof bytes)], back[ESCAPE_ROOM(sizeof bytes)];

		for (size_t i = 0; i < n; i++)
			bytes[i] = (unsigned char)(chance(2) ? (int)chance(256) :
							       "\\x0n19a"[chance(7)]);
		escape(bytes, n, shown, sizeof shown);
		wrong += unescape(shown, back) != (long)n || memcmp(back, bytes, n) != 0;
	}
	point(wrong == 0, "500 texts are the same after escape and unescape (%d are not)", wrong);
}

int main(void)
{
	check_shows();
	check_every_byte();
	check_messages();
	check_room();
	check_cuts();
	check_reads();
	check_large_octal();
	check_both_ways();
	return done();
}
