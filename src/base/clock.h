/* Time: nanoseconds of CLOCK_MONOTONIC, which a change of the date does not move. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* A moment or a span, in nanoseconds. */
typedef int64_t nsec;

#define NSEC_PER_MSEC ((nsec)1000000)
#define NSEC_PER_SEC ((nsec)1000000000)
#define NSEC_NEVER INT64_MAX

/* The present moment, as clock_gettime(2) counts CLOCK_MONOTONIC. Never fails. */
nsec clock_now(void);

/* The present date, in nanoseconds since 1970 (CLOCK_REALTIME). Changes of date move it. Never fails. */
nsec clock_wall(void);

/* from + span; NSEC_NEVER on overflow. */
nsec clock_after(nsec from, nsec span);

/*
 * Whole milliseconds from now to `until`, as poll(2) and epoll_wait(2) take them: rounded up (waking
 * early would mean waking twice), -1 for NSEC_NEVER, 0 for a moment in the past, 3600000 (an hour) at most.
 */
int clock_ms_until(nsec until);

/* The size of a date as clock_date() writes it, its NUL byte included. */
#define CLOCK_DATE 32

/* Writes a moment of clock_wall() in RFC 3339's form, "2026-01-31T12:34:56.123456Z"; returns `buf`. */
const char *clock_date(nsec wall, char buf[CLOCK_DATE]);

/* Writes a span as a person says it ("250 ms", "1.5 s", "2 m") into `buf` of `size` bytes; returns `buf`. */
const char *clock_words(nsec span, char *buf, unsigned size);

#endif
