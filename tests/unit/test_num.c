/*
 * Numbers, times and sizes from the command line, held by tables of words: the whole word is
 * understood, within its range, or it is refused and the result is left alone. A number that wraps
 * around or means something else in octal would become a wrong port, limit or time-out without a
 * word.
 */
#include <errno.h>
#include <string.h>

#include "base/escape.h"
#include "base/num.h"
#include "tap.h"

#define UNTOUCHED INT64_C(-77)
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define MS NSEC_PER_MSEC
#define S NSEC_PER_SEC

static void check(const char *what, const char *word, int r, int64_t got, int wanted_r,
		  int64_t wanted)
{
	if (wanted_r < 0)
		wanted = UNTOUCHED;
	point(r == wanted_r && got == wanted, "%s '%s': %s (%d, %lld)", what, word,
	      wanted_r == 0       ? "understood" :
	      wanted_r == -EINVAL ? "no number" :
				    "out of range",
	      r, (long long)got);
}

/* --- words that are no number for any of the parsers --- */

static const char *const nonsense[] = {
	"",
	" ",
	"-1",
	"-0",
	"+1",
	"+",
	"-",
	" 1",
	"1 ",
	"\t1",
	"1\n",
	"1 000",
	"1,000",
	"1_000",
	"0x10",
	"0x",
	"1e9",
	"1E9",
	"x",
	"k",
	"ms",
	".",
	"..5",
	".k",
	".s",
	"1.B",
	"1iB",
	"1kb",
	"1Mib",
	"1kBB",
	"1P",
	"1m30",
	"1s1m",
	"1m1m",
	"1h30m1h",
	"1m 30s",
	"1m-30s",
	"1m30s ",
	"1D",
	"1M30s",
	"1.5.5s",
	"5m5",
	"1.",
	"1..5",
	"1.5.5",
	"0b1",
	"1l",
	"1u",
	"inf",
	"nan",
	"1-2",
	"1/2",
	"١",
	"１",
	"NULL",
	"1kk",
	"1 k",
	"1Ms",
	"1 s",
	"1ss",
	"1ns",
	"1S",
	"1H",
	"1.5.ms",
	"1.ms",
	"1.-5",
	"1.5 s",
	"-1s",
	"--1",
	"\x7f",
	"99999999999999999999x",
	"99999999999999999999 ",
	"18446744073709551617x",
};

static void check_nonsense(void)
{
	for (size_t i = 0; i < COUNT(nonsense); i++) {
		int64_t n = UNTOUCHED, size = UNTOUCHED;
		nsec time = UNTOUCHED;
		int r[] = {num_parse(nonsense[i], 0, INT64_MAX, &n),
			   num_size(nonsense[i], 0, INT64_MAX, &size),
			   num_time(nonsense[i], &time)};
		char shown[ESCAPE_ROOM(40)];

		escape(nonsense[i], strlen(nonsense[i]), shown, sizeof shown);
		point(r[0] == -EINVAL && r[1] == -EINVAL && r[2] == -EINVAL && n == UNTOUCHED &&
			      size == UNTOUCHED && time == UNTOUCHED,
		      "'%s' is no number, size or time (%d %d %d)", shown, r[0], r[1], r[2]);
	}
}

/* --- plain numbers --- */

static const struct {
	const char *word;
	int64_t min, max;
	int r;
	int64_t value;
} numbers[] = {
	{"0", 0, 65535, 0, 0},
	{"1", 0, 65535, 0, 1},
	{"0", 1, 65535, -ERANGE, 0},
	{"1", 1, 65535, 0, 1},
	{"65535", 0, 65535, 0, 65535},
	{"65536", 0, 65535, -ERANGE, 0},
	{"131073", 0, 65535, -ERANGE, 0},
	{"7", 7, 7, 0, 7},
	{"6", 7, 7, -ERANGE, 0},
	{"8", 7, 7, -ERANGE, 0},
	/* leading zeros do not make it octal */
	{"010", 0, 100, 0, 10},
	{"08", 0, 100, 0, 8},
	{"00", 0, 100, 0, 0},
	{"0000000000000000000000000000000000000007", 0, 100, 0, 7},
	{"2147483647", 0, INT64_MAX, 0, INT32_MAX},
	{"2147483647", 0, INT32_MAX, 0, INT32_MAX},
	{"2147483648", 0, INT64_MAX, 0, INT64_C(2147483648)},
	{"2147483648", 0, INT32_MAX, -ERANGE, 0},
	{"4294967295", 0, INT64_MAX, 0, INT64_C(4294967295)},
	{"4294967296", 0, INT64_MAX, 0, INT64_C(4294967296)},
	{"4294967296", 0, INT32_MAX, -ERANGE, 0},
	{"4294967297", 0, 65535, -ERANGE, 0},
	{"9223372036854775806", 0, INT64_MAX, 0, INT64_MAX - 1},
	{"9223372036854775808", 0, INT64_MAX, -ERANGE, 0},
	{"18446744073709551615", 0, INT64_MAX, -ERANGE, 0},
	{"18446744073709551616", 0, INT64_MAX, -ERANGE, 0},
	{"18446744073709551617", 0, INT64_MAX, -ERANGE, 0},
	{"36893488147419103233", 0, 65535, -ERANGE, 0},
	{"99999999999999999999999999999999999999999999999999", 0, INT64_MAX, -ERANGE, 0},
	/* units are for sizes and times */
	{"1k", 0, INT64_MAX, -EINVAL, 0},
	{"1s", 0, INT64_MAX, -EINVAL, 0},
	{"1.5", 0, INT64_MAX, -EINVAL, 0},
	{"1.0", 0, INT64_MAX, -EINVAL, 0},
};

/* --- sizes --- */

static const struct {
	const char *word;
	int64_t min, max;
	int r;
	int64_t value;
} sizes[] = {
	{"0", 0, INT64_MAX, 0, 0},
	{"1", 1, INT64_MAX, 0, 1},
	{"0", 1, INT64_MAX, -ERANGE, 0},
	{"0k", 1, INT64_MAX, -ERANGE, 0},
	{"1k", 0, INT64_MAX, 0, 1024},
	{"1M", 0, INT64_MAX, 0, 1048576},
	{"1G", 0, INT64_MAX, 0, 1073741824},
	{"010k", 0, INT64_MAX, 0, 10240},
	{"64k", 0, 65536, 0, 65536},
	{"64k", 0, 65535, -ERANGE, 0},
	{"2G", 0, INT32_MAX, -ERANGE, 0},
	{"2097151k", 0, INT32_MAX, 0, INT64_C(2097151) << 10},
	{"4G", 0, INT64_MAX, 0, INT64_C(4294967296)},
	{"4194304k", 0, 65536, -ERANGE, 0},
	{"9007199254740991k", 0, INT64_MAX, 0, INT64_C(9007199254740991) << 10},
	{"9007199254740992k", 0, INT64_MAX, -ERANGE, 0},
	{"8796093022207M", 0, INT64_MAX, 0, INT64_C(8796093022207) << 20},
	{"8796093022208M", 0, INT64_MAX, -ERANGE, 0},
	{"8589934591G", 0, INT64_MAX, 0, INT64_C(8589934591) << 30},
	{"8589934592G", 0, INT64_MAX, -ERANGE, 0},
	{"17179869184G", 0, INT64_MAX, -ERANGE, 0},
	{"9223372036854775808", 0, INT64_MAX, -ERANGE, 0},
	{"18446744073709551616k", 0, INT64_MAX, -ERANGE, 0},
	{"99999999999999999999999999k", 0, INT64_MAX, -ERANGE, 0},
	{"1s", 0, INT64_MAX, -EINVAL, 0},
	{"1h", 0, INT64_MAX, -EINVAL, 0},
	{"1.5", 0, INT64_MAX, -EINVAL, 0},
	{"1.5B", 0, INT64_MAX, -EINVAL, 0},
	{".5", 0, INT64_MAX, -EINVAL, 0},
	/* in either case, in bytes or not */
	{"500K", 0, INT64_MAX, 0, 512000},
	{"500kB", 0, INT64_MAX, 0, 512000},
	{"500KB", 0, INT64_MAX, 0, 512000},
	{"500KiB", 0, INT64_MAX, 0, 512000},
	{"1m", 0, INT64_MAX, 0, 1048576},
	{"1MB", 0, INT64_MAX, 0, 1048576},
	{"1MiB", 0, INT64_MAX, 0, 1048576},
	{"1g", 0, INT64_MAX, 0, 1073741824},
	{"1T", 0, INT64_MAX, 0, INT64_C(1) << 40},
	{"8388607T", 0, INT64_MAX, 0, INT64_C(8388607) << 40},
	{"8388608T", 0, INT64_MAX, -ERANGE, 0},
	{"100B", 0, INT64_MAX, 0, 100},
	/* fractions */
	{"1.5M", 0, INT64_MAX, 0, 1572864},
	{"1.5MiB", 0, INT64_MAX, 0, 1572864},
	{".5k", 0, INT64_MAX, 0, 512},
	{"1.1k", 0, INT64_MAX, 0, 1126},
	{"0.3G", 0, INT64_MAX, 0, 322122547},
	{"0.0009765625k", 0, INT64_MAX, 0, 1},
	{"0.0001k", 0, INT64_MAX, 0, 0},
	{"0.0001k", 1, INT64_MAX, -ERANGE, 0},
	{"0.99999999999999999999999999999999k", 0, INT64_MAX, 0, 1023},
	{"8589934591.5G", 0, INT64_MAX, 0, (INT64_C(8589934591) << 30) + (1 << 29)},
};

/* --- times --- */

static const struct {
	const char *word;
	int r;
	nsec value;
} times[] = {
	{"0", 0, 0},
	{"0s", 0, 0},
	{"0.0", 0, 0},
	{"1", 0, S},
	{"1s", 0, S},
	{"1ms", 0, MS},
	{"1m", 0, 60 * S},
	{"1h", 0, 3600 * S},
	{"010", 0, 10 * S},
	{"08ms", 0, 8 * MS},
	{"1500ms", 0, 1500 * MS},
	{"1.5", 0, 1500 * MS},
	{"1.5s", 0, 1500 * MS},
	{"1.50000", 0, 1500 * MS},
	{"0.5m", 0, 30 * S},
	{"1.25h", 0, 4500 * S},
	{"1.05", 0, 1050 * MS},
	{"0.001", 0, MS},
	{"0.000000001", 0, 1},
	{"0.0000000009", 0, 0},
	{"0.999999999", 0, S - 1},
	{"0.99999999999999999999999999999999999999", 0, S - 1},
	{"0.5ms", 0, MS / 2},
	{"0.000001ms", 0, 1},
	{"0.00000000000000000000000000000000000001h", 0, 0},
	{"2147483647ms", 0, INT32_MAX *MS},
	{"2147483648ms", 0, INT64_C(2147483648) * MS},
	{"4294967296ms", 0, INT64_C(4294967296) * MS},
	{".2", 0, 200 * MS},
	{".2s", 0, 200 * MS},
	{".5m", 0, 30 * S},
	{"1us", 0, 1000},
	{"250us", 0, 250000},
	{"1sec", 0, S},
	{"1min", 0, 60 * S},
	{"1d", 0, 86400 * S},
	{"30d", 0, INT64_C(30) * 86400 * S},
	{"1w", 0, 7 * 86400 * S},
	/* together */
	{"1m30s", 0, 90 * S},
	{"1m30sec", 0, 90 * S},
	{"1h30m", 0, 5400 * S},
	{"1d12h", 0, 36 * 3600 * S},
	{"1w2d3h4m5s6ms7us", 0, ((((INT64_C(9) * 24 + 3) * 60 + 4) * 60 + 5) * S) + 6 * MS + 7000},
	{"1m0.5s", 0, 60500 * MS},
	{"1m.5s", 0, 60500 * MS},
	{"0h0m0s", 0, 0},
	/* a clock of 64 bits holds 292 years: what is longer is for ever, and never wraps around */
	{"999999999", 0, INT64_C(999999999) * S},
	{"2147483648", 0, INT64_C(2147483648) * S},
	{"4294967296", 0, INT64_C(4294967296) * S},
	{"9223372036", 0, INT64_C(9223372036) * S},
	{"9223372036.854775806", 0, NSEC_NEVER - 1},
	{"9223372036.854775807", 0, NSEC_NEVER},
	{"9223372036.9", 0, NSEC_NEVER},
	{"9223372037", 0, NSEC_NEVER},
	{"18446744073", 0, NSEC_NEVER},
	{"18446744074", 0, NSEC_NEVER},
	{"106751d", 0, INT64_C(106751) * 86400 * S},
	{"106752d", 0, NSEC_NEVER},
	{"106751d24h", 0, NSEC_NEVER},
	{"15250w6d", 0, NSEC_NEVER},
	{"99999999h99m99s", 0, NSEC_NEVER},
	/* 2^64 nanoseconds and a bit, in each unit: what would be small if it wrapped around */
	{"18446744073709.6ms", 0, NSEC_NEVER},
	{"307445734561.9m", 0, NSEC_NEVER},
	{"5124095576030432h", 0, NSEC_NEVER},
	{"9223372036854775807", 0, NSEC_NEVER},
	{"9223372036854775807h", 0, NSEC_NEVER},
	{"9223372036854775808ms", 0, NSEC_NEVER},
	{"18446744073709551616ms", 0, NSEC_NEVER},
	{"18446744073709551617", 0, NSEC_NEVER},
	{"99999999999999999999999999999999.9s", 0, NSEC_NEVER},
	{"1k", -EINVAL, 0},
	{"1M", -EINVAL, 0},
	{"1G", -EINVAL, 0},
};

/* No word of digits, however long, is anything but out of range, or for ever. */
static void check_long_words(void)
{
	char word[4001];
	bool good = true;

	for (size_t length = 20; length < sizeof word; length += 37) {
		int64_t n = UNTOUCHED;
		nsec t = UNTOUCHED;

		memset(word, '1' + (int)(length % 9), length);
		word[length] = '\0';
		good &= num_parse(word, 0, INT64_MAX, &n) == -ERANGE &&
			num_size(word, 0, INT64_MAX, &n) == -ERANGE && num_time(word, &t) == 0 &&
			n == UNTOUCHED && t == NSEC_NEVER;
		t = UNTOUCHED;
		word[length - 1] = 'x';
		good &= num_parse(word, 0, INT64_MAX, &n) == -EINVAL &&
			num_size(word, 0, INT64_MAX, &n) == -EINVAL &&
			num_time(word, &t) == -EINVAL && n == UNTOUCHED && t == UNTOUCHED;
	}
	point(good,
	      "words of 20 to 4000 digits are out of range or for ever, and no numbers with a letter at "
	      "the end");
}

int main(void)
{
	check_nonsense();
	for (size_t i = 0; i < COUNT(numbers); i++) {
		int64_t n = UNTOUCHED;
		int r = num_parse(numbers[i].word, numbers[i].min, numbers[i].max, &n);

		check("number", numbers[i].word, r, n, numbers[i].r, numbers[i].value);
	}
	for (size_t i = 0; i < COUNT(sizes); i++) {
		int64_t n = UNTOUCHED;
		int r = num_size(sizes[i].word, sizes[i].min, sizes[i].max, &n);

		check("size", sizes[i].word, r, n, sizes[i].r, sizes[i].value);
	}
	for (size_t i = 0; i < COUNT(times); i++) {
		nsec t = UNTOUCHED;
		int r = num_time(times[i].word, &t);

		check("time", times[i].word, r, t, times[i].r, times[i].value);
	}
	check_long_words();
	return done();
}
