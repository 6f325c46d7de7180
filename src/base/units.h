/* Amounts as a person reads them: "12.3 MiB", "1.25 s". */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include "base/clock.h"

/* Room for any of these texts, NUL included. */
#define UNITS_TEXT 32

/* A number of bytes ("512 bytes", "12.3 MiB") in `buf` of UNITS_TEXT bytes; returns `buf`. */
const char *units_bytes(double bytes, char *buf);

/* A measured span of time, to three digits ("42 us", "1.25 ms", "2.5 s", "1:02:03") in `buf`; returns `buf`. */
const char *units_span(nsec span, char *buf);

#endif
