/* Numbers from the command line: the whole word parses, within a stated range, or none of it does. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdint.h>

#include "base/clock.h"

/*
 * Each parser takes a NUL-terminated word, stores its value and returns 0, or leaves *out alone and
 * returns -EINVAL (not such a number) or -ERANGE (a number, but not in the range). No sign, no
 * blank, no octal or hexadecimal form is accepted.
 */

/* A decimal integer from min to max. */
int num_parse(const char *word, int64_t min, int64_t max, int64_t *out);

/*
 * A span of time: a decimal fraction with the unit us, ms, s, sec, m, min, h, d, w or none (seconds), or
 * several of them with units that get shorter, as in 1m30s. What is longer than the clock holds is
 * NSEC_NEVER, so that there is no -ERANGE.
 */
int num_time(const char *word, nsec *out);

/*
 * A size in bytes: a decimal fraction with the unit k, M, G, T (powers of 1024, in either case), with "B" or
 * "iB" behind it or not. Without a unit it is a whole number. Less than a byte is cut off.
 */
int num_size(const char *word, int64_t min, int64_t max, int64_t *out);

#endif
