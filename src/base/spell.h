/* How near a mistyped word is to a right one. */
#ifndef BASE_SPELL_H
#define BASE_SPELL_H

#include <stdbool.h>

/*
 * The number of single slips that make `typed` of `meant`: a letter too many, too few, another one, or two
 * neighbours that have changed places (optimal string alignment). Only words of up to 31 bytes are compared;
 * for longer ones the answer is 32.
 */
unsigned spell_distance(const char *typed, const char *meant);

/* May `typed` be a slip for `meant`? One slip if either has less than 5 bytes, else up to two. */
bool spell_is_near(const char *typed, const char *meant);

#endif
