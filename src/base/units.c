#include "base/units.h"

#include <stdio.h>

const char *units_bytes(double bytes, char *buf)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
		bytes /= 1024;
	snprintf(buf, UNITS_TEXT, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return buf;
}

const char *units_span(nsec span, char *buf)
{
	long seconds = (long)(span / NSEC_PER_SEC);

	if (span < NSEC_PER_MSEC)
		snprintf(buf, UNITS_TEXT, "%.3g us", (double)span / 1000);
	else if (span < NSEC_PER_SEC)
		snprintf(buf, UNITS_TEXT, "%.3g ms", (double)span / NSEC_PER_MSEC);
	else if (seconds < 120)
		snprintf(buf, UNITS_TEXT, "%.3g s", (double)span / NSEC_PER_SEC);
	else if (seconds < 3600)
		snprintf(buf, UNITS_TEXT, "%ld:%02ld", seconds / 60, seconds % 60);
	else
		snprintf(buf, UNITS_TEXT, "%ld:%02ld:%02ld", seconds / 3600, seconds / 60 % 60, seconds % 60);
	return buf;
}
