/*
 * A fuzz target is one function that takes any bytes, and aborts when a promise is broken. libFuzzer looks for
 * such bytes ("make fuzz"); replay.c tries those that are kept in tests/fuzz/corpus/NAME, and some near them, in
 * every "make check".
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A promise of the code that is tried. */
#define PROMISE(holds)                                                                                       \
	do {                                                                                                 \
		if (!(holds)) {                                                                              \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #holds);                  \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#endif
