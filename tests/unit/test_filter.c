/*
 * Filters, each by itself: what they make of bytes must not depend on where a read cut the stream,
 * so every text goes through them in every way to cut it in one, two and three pieces. And no more
 * than the permitted rate is admitted, by a clock of our own.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/escape.h"
#include "flow/filter.h"
#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define LITERAL(s) s, sizeof s - 1

/* Time passes only by our will: in place of the C library's. */
static nsec present = 1000 * NSEC_PER_SEC;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){.tv_sec = present / NSEC_PER_SEC,
				.tv_nsec = present % NSEC_PER_SEC};
	return 0;
}

static uint64_t state = 1;

static unsigned chance(unsigned n)
{
	state = state * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(state >> 33) % n;
}

/* --- maps --- */

/* One filter, new for each text; `answers` are what telnet then has to say, or NULL. */
struct mapping {
	const char *what, *text;
	size_t length;
	const char *wanted;
	size_t wanted_length;
	const char *answers;
	size_t answers_length;
};

/* Maps a piece in memory of just its size, and never twice as much out as the contract says. */
static size_t map_piece(struct filter *f, const char *in, size_t n, char *out)
{
	unsigned char *from = malloc(n ? n : 1), *to = malloc(n ? 2 * n : 1);
	size_t made;

	memcpy(from, in, n);
	made = f->ops->map(f, from, n, to);
	memcpy(out, to, made);
	free(from);
	free(to);
	return made;
}

enum which { CRLF, SENT, RECEIVED };

/* The text, cut in front of its bytes number `one` and `two`. */
static bool map_pieces(enum which which, const struct mapping *m, size_t one, size_t two)
{
	struct filter_crlf crlf;
	struct filter_telnet telnet;
	struct filter *f = which == CRLF ? &crlf.filter :
			   which == SENT ? &telnet.sent :
					   &telnet.received;
	char *out = malloc(2 * m->length + 1);
	unsigned char answers[300];
	size_t n;
	bool good;

	filter_crlf_init(&crlf);
	filter_telnet_init(&telnet);
	n = map_piece(f, m->text, one, out);
	n += map_piece(f, m->text + one, two - one, out + n);
	n += map_piece(f, m->text + two, m->length - two, out + n);
	good = n == m->wanted_length && memcmp(out, m->wanted, n) == 0;
	free(out);
	if (!m->answers)
		return good;
	n = telnet.sent.ops->inject(&telnet.sent, answers, sizeof answers);
	return good && n == m->answers_length && memcmp(answers, m->answers, n) == 0;
}

static void check_mapping(enum which which, const struct mapping *m)
{
	static const char *const names[] = {"crlf", "telnet sent", "telnet received"};
	char shown[ESCAPE_ROOM(60)];
	int wrong = 0, ways = 0;

	for (size_t one = 0; one <= m->length; one++)
		for (size_t two = one; two <= m->length; two++, ways++)
			wrong += !map_pieces(which, m, one, two);
	escape(m->text, m->length, shown, sizeof shown);
	for (char *at = shown; (at = strchr(at, '#'));)
		*at = '.';
	point(wrong == 0, "%s, %s: '%s' cut in %d ways, %d of them wrong", names[which], m->what,
	      shown, ways, wrong);
}

#define MAPS(text, wanted) LITERAL(text), LITERAL(wanted), NULL, 0

static const struct mapping crlf_maps[] = {
	{"nothing", MAPS("", "")},
	{"no line end", MAPS("text", "text")},
	{"a line end", MAPS("\n", "\r\n")},
	{"a pair stays one", MAPS("\r\n", "\r\n")},
	{"lines", MAPS("one\ntwo\n", "one\r\ntwo\r\n")},
	{"lines with pairs", MAPS("one\r\ntwo\r\n", "one\r\ntwo\r\n")},
	{"both", MAPS("a\nb\r\nc\n\r\n", "a\r\nb\r\nc\r\n\r\n")},
	{"empty lines", MAPS("\n\n\n", "\r\n\r\n\r\n")},
	{"a CR alone stays", MAPS("\ra\rb\r", "\ra\rb\r")},
	{"two CRs", MAPS("\r\r\n\n", "\r\r\n\r\n")},
	{"the wrong way round", MAPS("\n\r\n\r", "\r\n\r\n\r")},
	{"a NUL between", MAPS("\r\0\n", "\r\0\r\n")},
	{"high bytes", MAPS("\xff\n\x8d\x8a", "\xff\r\n\x8d\x8a")},
};

static const struct mapping sent_maps[] = {
	{"nothing", MAPS("", "")},
	{"no command byte", MAPS("text\n", "text\n")},
	{"a byte 255", MAPS("\xff", "\xff\xff")},
	{"several", MAPS("a\xff\xff"
			 "b\xff",
			 "a\xff\xff\xff\xff"
			 "b\xff\xff")},
	{"what looks like a command", MAPS("\xff\xfd\x01", "\xff\xff\xfd\x01")},
	{"its neighbours", MAPS("\xfe\xfd\xfb\xf0", "\xfe\xfd\xfb\xf0")},
};

#define RECEIVES(text, wanted, answers) LITERAL(text), LITERAL(wanted), LITERAL(answers)

/* IAC 255, DONT 254, DO 253, WONT 252, WILL 251, SB 250, GA 249, NOP 241, SE 240 */
static const struct mapping received_maps[] = {
	{"nothing", RECEIVES("", "", "")},
	{"no command", RECEIVES("text\n\xfd\x01\xf0", "text\n\xfd\x01\xf0", "")},
	{"a byte 255", RECEIVES("a\xff\xff"
				"b",
				"a\xff"
				"b",
				"")},
	{"two of them", RECEIVES("\xff\xff\xff\xff", "\xff\xff", "")},
	{"DO is refused", RECEIVES("a\xff\xfd\x01"
				   "b",
				   "ab", "\xff\xfc\x01")},
	{"WILL is refused", RECEIVES("a\xff\xfb\x03"
				     "b",
				     "ab", "\xff\xfe\x03")},
	{"DONT needs no answer", RECEIVES("a\xff\xfe\x01"
					  "b",
					  "ab", "")},
	{"WONT needs no answer", RECEIVES("a\xff\xfc\x01"
					  "b",
					  "ab", "")},
	{"several", RECEIVES("\xff\xfd\x18\xff\xfb\x01x\xff\xfd\x1f", "x",
			     "\xff\xfe\x01\xff\xfc\x18\xff\xfc\x1f")},
	{"one option both ways", RECEIVES("\xff\xfb\x01\xff\xfd\x01", "",
					  "\xff\xfc\x01\xff\xfe\x01")},
	{"a request that is repeated", RECEIVES("\xff\xfd\x01\xff\xfd\x01", "", "\xff\xfc\x01")},
	{"a request that is withdrawn", RECEIVES("\xff\xfd\x01\xff\xfe\x01", "", "\xff\xfc\x01")},
	{"option 255", RECEIVES("\xff\xfd\xff"
				"a",
				"a", "\xff\xfc\xff")},
	{"option 253", RECEIVES("\xff\xfb\xfd"
				"a",
				"a", "\xff\xfe\xfd")},
	{"option 0", RECEIVES("\xff\xfd\0a", "a", "\xff\xfc\0")},
	{"commands without option", RECEIVES("a\xff\xf1"
					     "b\xff\xf9"
					     "c\xff\xf6",
					     "abc", "")},
	{"a subnegotiation", RECEIVES("a\xff\xfa\x18\x01\xff\xf0"
				      "b",
				      "ab", "")},
	{"a 255 in it", RECEIVES("a\xff\xfa\x18\xff\xff\xf0z\xff\xf0"
				 "b",
				 "ab", "")},
	{"what looks like a request in it",
	 RECEIVES("\xff\xfa\x18\xfd\x01\xff\xf0\xff\xfd\x05", "", "\xff\xfc\x05")},
	{"an empty one", RECEIVES("a\xff\xfa\xff\xf0"
				  "b",
				  "ab", "")},
	{"text, command, 255, text", RECEIVES("ab\xff\xfb\x01\xff\xff"
					      "cd",
					      "ab\xff"
					      "cd",
					      "\xff\xfe\x01")},
	{"cut off behind IAC", RECEIVES("ab\xff", "ab", "")},
	{"cut off behind DO", RECEIVES("ab\xff\xfd", "ab", "")},
	{"cut off in a subnegotiation", RECEIVES("ab\xff\xfa\x01zz", "ab", "")},
};

/* --- telnet: many requests --- */

static bool are_answers(const unsigned char *bytes, size_t n, unsigned char *next)
{
	for (size_t i = 0; i + 3 <= n; i += 3)
		if (bytes[i] != 255 || bytes[i + 1] != 252 || bytes[i + 2] != (*next)++)
			return false;
	return n % 3 == 0;
}

/* A peer that asks for ever is answered once for each option, until those answers have gone. */
static void check_flood(void)
{
	struct filter_telnet *telnet = malloc(sizeof *telnet);
	struct filter *sent = &telnet->sent;
	unsigned char requests[3 * 256], out[3 * 256], next = 0;
	unsigned char *answers = malloc(1024);
	size_t n = 0, kept = 0;

	filter_telnet_init(telnet);
	for (int i = 0; i < 256; i++)
		memcpy(requests + 3 * i, (unsigned char[]){255, 253, (unsigned char)i}, 3);
	point(!sent->ops->has_own(sent), "no request: nothing to say");
	for (int i = 0; i < 50; i++)
		kept += telnet->received.ops->map(&telnet->received, requests, sizeof requests,
						  out);
	point(sent->ops->has_own(sent), "a flood of requests: something to say");
	n = sent->ops->inject(sent, answers, 1024);
	point(kept == 0 && n == 3 * 256 && are_answers(answers, n, &next),
	      "one whole answer for each option (%zu bytes)", n);
	point(!sent->ops->has_own(sent) && sent->ops->inject(sent, answers, 1024) == 0,
	      "and they are said once");
	telnet->received.ops->map(&telnet->received, requests, 6, out);
	n = sent->ops->inject(sent, answers, 1024);
	point(n == 6, "asked for anew, refused anew (%zu bytes)", n);
	free(answers);
	free(telnet);
}

/* Answers go whole, however little room there is for them. */
static void check_portions_of_answers(void)
{
	struct filter_telnet telnet;
	unsigned char requests[30], out[30], answers[64], next = 0;
	bool good = true;
	size_t all = 0;

	filter_telnet_init(&telnet);
	for (int i = 0; i < 10; i++)
		memcpy(requests + 3 * i, (unsigned char[]){255, 253, (unsigned char)i}, 3);
	telnet.received.ops->map(&telnet.received, requests, sizeof requests, out);
	good = telnet.sent.ops->inject(&telnet.sent, answers, 2) == 0;
	for (size_t n, room = 3;
	     (n = telnet.sent.ops->inject(&telnet.sent, answers + all, room)) > 0; all += n) {
		good &= n <= room;
		room = room % 9 + 3;
	}
	good &= all == 30 && are_answers(answers, all, &next);
	point(good, "answers given in pieces of 3 to 11 bytes are the same");
}

/* --- rate --- */

/* Takes as much as is admitted, in pieces of at most `piece`, whenever it is told to ask again. */
static void check_rate(int64_t per_second, size_t piece, int early)
{
	struct filter_rate r;
	struct filter *f = &r.filter;
	nsec began = present, when;
	double burst = (double)per_second / 10 < 1 ? 1 : (double)per_second / 10, taken = 0;
	int looks = 0, too_much = 0, past = 0;

	filter_rate_init(&r, per_second);
	while (present < began + 20 * NSEC_PER_SEC && looks < 200000) {
		size_t n;

		when = 0;
		n = f->ops->admit(f, piece, present, &when);
		looks++;
		if (n == 0) {
			/* at the moment that was told, or before it */
			past += when <= present;
			present = early && chance(2) ? present + (when - present) / 3 : when;
			continue;
		}
		/* the source need not have as much as was admitted */
		too_much += n > piece;
		n = 1 + chance((unsigned)n);
		f->ops->took(f, n);
		taken += (double)n;
		too_much += taken > (double)(present - began) / NSEC_PER_SEC * (double)per_second +
					    burst + 1;
	}
	point(too_much == 0 && past == 0,
	      "rate %lld, pieces of %zu%s: never more (%d), never to ask in the past (%d)",
	      (long long)per_second, piece, early ? ", asked early" : "", too_much, past);
	/* a limit is no standstill: two thirds of what is permitted go at least */
	point(taken * 1.5 >= (double)per_second * (double)(present - began) / NSEC_PER_SEC ||
		      looks == 200000,
	      "rate %lld, pieces of %zu%s: as much as is permitted (%.0f)", (long long)per_second,
	      piece, early ? ", asked early" : "", taken);
}

/* Having waited for long gives no right to a flood. */
static void check_rate_after_pause(void)
{
	struct filter_rate r;
	nsec when;
	size_t n;

	filter_rate_init(&r, 1000);
	present += 3600 * NSEC_PER_SEC;
	n = r.filter.ops->admit(&r.filter, 1000000, present, &when);
	point(n > 0 && n <= 100, "after an hour's pause the burst is no larger (%zu)", n);
	n = r.filter.ops->admit(&r.filter, 7, present, &when);
	point(n == 7, "no more is admitted than was asked for (%zu)", n);
}

/* --- slow --- */

static void check_slow(void)
{
	static const struct {
		nsec delay;
		size_t chunk;
		const char *bytes;
		size_t n;
	} cases[] = {
		{0, 0, "a\nb\n", 4},
		{NSEC_PER_SEC, 0, "a\nb\n", 2},
		{NSEC_PER_SEC, 0, "abcd", 4},
		{0, 3, "a\nb\n", 3},
		{NSEC_PER_SEC, 3, "a\nb\n", 2},
		{NSEC_PER_SEC, 1, "a\nb\n", 1},
		{NSEC_PER_SEC, 0, "\n\n", 1},
		{0, 100, "a\nb\n", 4},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct filter_slow s;
		const unsigned char *bytes = (const unsigned char *)cases[i].bytes;
		nsec when = 0;
		size_t n;

		filter_slow_init(&s, cases[i].delay, cases[i].chunk);
		n = s.filter.ops->portion(&s.filter, bytes, strlen(cases[i].bytes), present, &when);
		point(n == cases[i].n, "slow %zu: %zu of %zu bytes go", i, n,
		      strlen(cases[i].bytes));
	}
}

/* A line, its pause, the next; and none in the middle of one. */
static void check_pauses(void)
{
	static const unsigned char text[] = "ab\ncd\n";
	struct filter_slow s;
	struct filter *f = &s.filter;
	nsec when = 0;

	filter_slow_init(&s, NSEC_PER_SEC, 2);
	f->ops->gave(f, text, 2);
	point(f->ops->portion(f, text + 2, 4, present, &when) == 1, "no pause within a line");
	f->ops->gave(f, text + 2, 1);
	point(f->ops->portion(f, text + 3, 3, present, &when) == 0 &&
		      when == present + NSEC_PER_SEC,
	      "a pause behind it, which says how long it is");
	point(f->ops->portion(f, text + 3, 3, when - 1, &when) == 0, "not a nanosecond less");
	point(f->ops->portion(f, text + 3, 3, when, &when) == 2, "then the next line");
}

int main(void)
{
	static const int64_t rates[] = {
		1, 2, 7, 10, 100, 1000, 65536, 1000000000, INT64_C(1) << 40};

	for (size_t i = 0; i < COUNT(crlf_maps); i++)
		check_mapping(CRLF, &crlf_maps[i]);
	for (size_t i = 0; i < COUNT(sent_maps); i++)
		check_mapping(SENT, &sent_maps[i]);
	for (size_t i = 0; i < COUNT(received_maps); i++)
		check_mapping(RECEIVED, &received_maps[i]);
	check_flood();
	check_portions_of_answers();
	for (size_t i = 0; i < COUNT(rates); i++) {
		check_rate(rates[i], 1, 0);
		check_rate(rates[i], 100000, 0);
		check_rate(rates[i], 100000, 1);
	}
	check_rate_after_pause();
	check_slow();
	check_pauses();
	return done();
}
