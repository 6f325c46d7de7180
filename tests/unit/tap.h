/* Test programs speak TAP: one point per fact, the plan at the end, a status that sums them up. */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* No point takes longer than so many seconds, however slow the machine: SIGALRM ends what hangs. */
#define POINT_LIMIT_S 120

static int tap_points, tap_failures;

/* One fact, in words that also tell what was seen. */
static void __attribute__((format(printf, 2, 3))) point(bool good, const char *format, ...)
{
	va_list args;

	tap_failures += !good;
	printf("%sok %d - ", good ? "" : "not ", ++tap_points);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	/* what was seen before a crash is seen; and a child never prints it again */
	fflush(stdout);
	alarm(POINT_LIMIT_S);
}

/* A fact that cannot be looked at here, and why. */
static void __attribute__((unused, format(printf, 2, 3)))
skip(const char *why, const char *format, ...)
{
	va_list args;

	printf("ok %d - ", ++tap_points);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" # SKIP %s\n", why);
	fflush(stdout);
}

/* The plan. Returns the exit status of main(). */
static int done(void)
{
	printf("1..%d\n", tap_points);
	return tap_failures > 0;
}

#endif
