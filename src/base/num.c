#include "base/num.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SECOND NSEC_PER_SEC
#define DAY (24 * 3600 * SECOND)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads the digits at *at into *value and leaves *at behind them; an overflow sticks at INT64_MAX. */
static int num_digits(const char **at, int64_t *value)
{
	int64_t v = 0;

	if (!is_digit(**at))
		return -EINVAL;
	for (; is_digit(**at); ++*at) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **at - '0', &v)) {
			v = INT64_MAX;
			/* skipped, not added: the number is too large anyway */
			*at += strspn(*at, "0123456789");
			break;
		}
	}
	*value = v;
	return 0;
}

static int in_range(int64_t value, int64_t min, int64_t max, int64_t *out)
{
	if (value < min || value > max || value == INT64_MAX)
		return -ERANGE;
	*out = value;
	return 0;
}

int num_parse(const char *word, int64_t min, int64_t max, int64_t *out)
{
	int64_t v;

	if (num_digits(&word, &v) < 0 || *word != '\0')
		return -EINVAL;
	return in_range(v, min, max, out);
}

/* A number with or without a fraction: "1", "1.5", ".5". The fraction is a pointer to its digits. */
struct decimal {
	int64_t whole;
	const char *fraction;
	size_t places;
};

/* Reads a decimal at *at and leaves *at behind it. Returns 0 or -EINVAL. */
static int read_decimal(const char **at, struct decimal *d)
{
	*d = (struct decimal){.whole = 0};
	if (**at != '.' && num_digits(at, &d->whole) < 0)
		return -EINVAL;
	if (**at != '.')
		return 0;
	d->fraction = ++*at;
	d->places = strspn(*at, "0123456789");
	*at += d->places;
	return d->places > 0 ? 0 : -EINVAL;
}

/* The bytes in the fraction of a unit of 2^shift bytes, rounded down. */
static int64_t fraction_of_size(const struct decimal *d, int shift)
{
	double value = 0, scale = 1;

	/* a double holds 15 digits exactly, and to multiply it by a power of two costs none of them */
	for (size_t i = 0; i < d->places && i < 15; i++) {
		value = value * 10 + (d->fraction[i] - '0');
		scale *= 10;
	}
	return (int64_t)(value * (double)(INT64_C(1) << shift) / scale);
}

/* The logarithm to base 2 of a unit in bytes, or -1 for an unknown one. */
static int unit_shift(const char *unit)
{
	static const char letters[] = "kmgtKMGT";
	const char *letter = *unit ? strchr(letters, *unit) : NULL;
	const char *rest = letter ? unit + 1 : unit;

	if (*rest != '\0' && strcmp(rest, "B") != 0 && !(letter && strcmp(rest, "iB") == 0))
		return -1;
	return letter ? 10 * (int)((letter - letters) % 4 + 1) : 0;
}

int num_size(const char *word, int64_t min, int64_t max, int64_t *out)
{
	struct decimal d;
	int shift;

	if (read_decimal(&word, &d) < 0)
		return -EINVAL;
	shift = unit_shift(word);
	if (shift < 0 || (shift == 0 && d.fraction))
		return -EINVAL;
	if (d.whole > INT64_MAX >> shift)
		return -ERANGE;
	return in_range((d.whole << shift) + fraction_of_size(&d, shift), min, max, out);
}

/* The length of the unit at *at in ns, leaving *at behind it; 0 for an unknown one. */
static nsec unit_length(const char **at)
{
	static const struct {
		const char *name;
		nsec length;
	} units[] = {
		{"us", 1000},       {"ms", NSEC_PER_MSEC}, {"s", SECOND},        {"sec", SECOND},
		{"m", 60 * SECOND}, {"min", 60 * SECOND},  {"h", 3600 * SECOND}, {"d", DAY},
		{"w", 7 * DAY},
	};
	size_t length = strcspn(*at, "0123456789.");

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strlen(units[i].name) != length || memcmp(*at, units[i].name, length) != 0)
			continue;
		*at += length;
		return units[i].length;
	}
	return 0;
}

/* `from` plus `d` times `unit`; NSEC_NEVER on overflow. */
static nsec add_span(nsec from, const struct decimal *d, nsec unit)
{
	nsec span, fraction = 0, tenth = unit / 10;

	if (__builtin_mul_overflow(d->whole, unit, &span))
		return NSEC_NEVER;
	/* each digit is worth a tenth of the one before, in whole nanoseconds */
	for (size_t i = 0; i < d->places && tenth > 0; i++, tenth /= 10)
		fraction += (d->fraction[i] - '0') * tenth;
	return clock_after(clock_after(from, span), fraction);
}

int num_time(const char *word, nsec *out)
{
	nsec total = 0, unit, last = NSEC_NEVER;
	const char *begin = word;

	do {
		struct decimal d;
		bool first = word == begin;

		if (read_decimal(&word, &d) < 0)
			return -EINVAL;
		unit = *word == '\0' && first ? SECOND : unit_length(&word);
		/* units get shorter: 30s1m is an error, and so is 5m5 */
		if (unit == 0 || unit >= last)
			return -EINVAL;
		last = unit;
		total = add_span(total, &d, unit);
	} while (*word);
	*out = total;
	return 0;
}
