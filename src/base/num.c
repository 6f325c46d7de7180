#include "base/num.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define YEARS_10 (INT64_C(3653) * 24 * 3600 * NSEC_PER_SEC)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads the digits at *at into *value and leaves *at behind them; an overflow sticks at INT64_MAX. */
static int digits(const char **at, int64_t *value)
{
	int64_t v = 0;

	if (!is_digit(**at))
		return -EINVAL;
	for (; is_digit(**at); ++*at) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **at - '0', &v)) {
			v = INT64_MAX;
			/* the rest still has to be digits for the word to be a number */
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

	if (digits(&word, &v) < 0 || *word != '\0')
		return -EINVAL;
	return in_range(v, min, max, out);
}

int num_size(const char *word, int64_t min, int64_t max, int64_t *out)
{
	int64_t v;
	int shift = 0;

	if (digits(&word, &v) < 0)
		return -EINVAL;
	if (*word != '\0') {
		shift = *word == 'k' ? 10 : *word == 'M' ? 20 : *word == 'G' ? 30 : -1;
		if (shift < 0 || word[1] != '\0')
			return -EINVAL;
	}
	if (v > INT64_MAX >> shift)
		return -ERANGE;
	return in_range(v << shift, min, max, out);
}

/* The nanoseconds one of `unit` lasts, or 0 for an unknown one. */
static nsec unit_length(const char *unit)
{
	static const struct {
		const char *name;
		nsec length;
	} units[] = {
		{"", NSEC_PER_SEC},       {"s", NSEC_PER_SEC},         {"ms", NSEC_PER_MSEC},
		{"m", 60 * NSEC_PER_SEC}, {"h", 3600 * NSEC_PER_SEC},
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].length;
	return 0;
}

int num_time(const char *word, nsec *out)
{
	const char *fraction = NULL;
	int64_t whole, v;
	nsec unit, tenth;

	if (digits(&word, &whole) < 0)
		return -EINVAL;
	if (*word == '.') {
		fraction = ++word;
		if (!is_digit(*word))
			return -EINVAL;
		word += strspn(word, "0123456789");
	}
	unit = unit_length(word);
	if (unit == 0)
		return -EINVAL;
	if (__builtin_mul_overflow(whole, unit, &v) || v > YEARS_10)
		return -ERANGE;
	/* each digit of the fraction is worth a tenth of the one before, in whole nanoseconds */
	for (tenth = unit / 10; fraction && is_digit(*fraction); fraction++, tenth /= 10)
		v += (*fraction - '0') * tenth;
	*out = v;
	return 0;
}
