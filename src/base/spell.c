#include "base/spell.h"

#include <string.h>

#define WORD_MOST 31

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned spell_distance(const char *typed, const char *meant)
{
	/* row i: the distances between the first i letters of `typed` and each beginning of `meant` */
	unsigned rows[WORD_MOST + 1][WORD_MOST + 1];
	size_t n = strlen(typed), m = strlen(meant);

	if (n > WORD_MOST || m > WORD_MOST)
		return WORD_MOST + 1;
	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			unsigned *d = &rows[i][j];

			if (i == 0 || j == 0) {
				*d = (unsigned)(i + j);
				continue;
			}
			*d = rows[i - 1][j - 1] + (typed[i - 1] != meant[j - 1]);
			*d = least(*d, 1 + least(rows[i - 1][j], rows[i][j - 1]));
			if (i > 1 && j > 1 && typed[i - 1] == meant[j - 2] && typed[i - 2] == meant[j - 1])
				*d = least(*d, 1 + rows[i - 2][j - 2]);
		}
	}
	return rows[n][m];
}

bool spell_is_near(const char *typed, const char *meant)
{
	size_t n = strlen(typed), m = strlen(meant);

	return spell_distance(typed, meant) <= (n < 5 || m < 5 ? 1 : 2);
}
