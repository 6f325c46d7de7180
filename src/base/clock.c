#include "base/clock.h"

#include <stdio.h>
#include <time.h>

nsec clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

nsec clock_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

nsec clock_after(nsec from, nsec span)
{
	return span >= NSEC_NEVER - from ? NSEC_NEVER : from + span;
}

int clock_ms_until(nsec until)
{
	nsec left;

	if (until == NSEC_NEVER)
		return -1;
	left = until <= 0 ? 0 : until - clock_now();
	if (left <= 0)
		return 0;
	if (left > 3600 * NSEC_PER_SEC)
		return 3600 * 1000;
	return (int)((left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
}

const char *clock_date(nsec wall, char buf[CLOCK_DATE])
{
	time_t seconds = (time_t)(wall / NSEC_PER_SEC);
	struct tm tm;
	size_t n = strftime(buf, CLOCK_DATE, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));

	snprintf(buf + n, CLOCK_DATE - n, ".%06ldZ", (long)(wall % NSEC_PER_SEC / 1000));
	return buf;
}

const char *clock_words(nsec span, char *buf, unsigned size)
{
	if (span < NSEC_PER_SEC)
		snprintf(buf, size, "%g ms", (double)span / NSEC_PER_MSEC);
	else if (span < 120 * NSEC_PER_SEC)
		snprintf(buf, size, "%g s", (double)span / NSEC_PER_SEC);
	else
		snprintf(buf, size, "%g m", (double)span / (60 * NSEC_PER_SEC));
	return buf;
}
