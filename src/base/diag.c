#include "base/diag.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"

#define LINE_BYTES 1000

/* A topic that has not come up for this time is printed again. */
#define ONCE_SPAN (5 * NSEC_PER_SEC)

static int level = DIAG_FAILURES;
static bool waits = true;

void diag_set_level(int to)
{
	level = to;
}

int diag_level(void)
{
	return level;
}

void diag_wait_no_more(void)
{
	waits = false;
}

static bool is_ready(void)
{
	return waits || poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, 0) > 0;
}

static void __attribute__((format(printf, 1, 0))) say(const char *format, va_list args)
{
	static const char prefix[] = "tcptool: ";
	char text[LINE_BYTES], line[sizeof prefix + ESCAPE_ROOM(LINE_BYTES)];
	int saved = errno;
	size_t length;

	vsnprintf(text, sizeof text, format, args);
	memcpy(line, prefix, sizeof prefix - 1);
	escape_message(text, line + sizeof prefix - 1, sizeof line - sizeof prefix);
	length = strlen(line);
	line[length++] = '\n';
	/* one write(2), so that lines of several processes do not mix; its failure is ignored */
	if (is_ready() && write(STDERR_FILENO, line, length) < 0)
		length = 0;
	errno = saved;
}

#define SAY_FROM(threshold)                                                                        \
	do {                                                                                       \
		va_list args;                                                                      \
		if (level < (threshold))                                                           \
			return;                                                                    \
		va_start(args, format);                                                            \
		say(format, args);                                                                 \
		va_end(args);                                                                      \
	} while (0)

void diag_failure(const char *format, ...)
{
	SAY_FROM(DIAG_FAILURES);
}

void diag_once(enum diag_topic topic, const char *format, ...)
{
	static nsec last[DIAG_ONCE_TOPICS];
	nsec now = clock_now();
	bool told = last[topic] && now < clock_after(last[topic], ONCE_SPAN);
	va_list args;

	last[topic] = now;
	if (told || level < DIAG_FAILURES)
		return;
	va_start(args, format);
	say(format, args);
	va_end(args);
}

void diag_step(const char *format, ...)
{
	SAY_FROM(DIAG_STEPS);
}

void diag_detail(const char *format, ...)
{
	SAY_FROM(DIAG_DETAILS);
}
