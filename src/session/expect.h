/* --expect: a pattern that has to show up in what is received. */
#ifndef SESSION_EXPECT_H
#define SESSION_EXPECT_H

#include <regex.h>
#include <stddef.h>

struct expectation {
	regex_t pattern;
	const char *text; /* as it was typed */
};

#endif
