#include "session/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session/session.h"

#define PERIOD (100 * NSEC_PER_MSEC)
#define LINE_MOST 512

const char *progress_bytes(double bytes, char *buf, unsigned size)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
		bytes /= 1024;
	snprintf(buf, size, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return buf;
}

static void span_words(double seconds, char *buf, unsigned size)
{
	long s = (long)seconds;

	if (s >= 3600)
		snprintf(buf, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(buf, size, "%ld:%02ld", s / 60, s % 60);
}

/* What stdin still holds, when it is a file; 0 when that cannot be known. */
static double stdin_left(void)
{
	struct stat st;
	off_t at;

	if (fstat(STDIN_FILENO, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	return at >= 0 && at < st.st_size ? (double)(st.st_size - at) : 0;
}

/* The share that is done and the time left, if stdin's size says so. */
static void estimate(const struct session *s, double rate, char *buf, size_t size)
{
	double sent = (double)session_sent(s), left = stdin_left();
	char eta[32];

	*buf = '\0';
	/* what is sent in place of stdin says nothing about it */
	if (s->out.src != &s->stdio.stream || s->stdio.stream.rkind == FD_NONE)
		return;
	if (left <= 0 || sent <= 0 || rate <= 0)
		return;
	span_words(left / rate, eta, sizeof eta);
	snprintf(buf, size, ", %.0f%%, %s left", 100 * sent / (sent + left), eta);
}

static void draw(struct session *s, nsec now, const char *end)
{
	double elapsed = (double)(now - s->began) / NSEC_PER_SEC;
	double rate = elapsed > 0 ? (double)(session_sent(s) + session_received(s)) / elapsed : 0;
	char sent[32], received[32], speed[32], time[32], more[64], line[LINE_MOST], out[LINE_MOST + 16];
	struct winsize window = {0};
	int width;

	progress_bytes((double)session_sent(s), sent, sizeof sent);
	progress_bytes((double)session_received(s), received, sizeof received);
	progress_bytes(rate, speed, sizeof speed);
	span_words(elapsed, time, sizeof time);
	estimate(s, rate, more, sizeof more);
	snprintf(line, sizeof line, "sent %s, received %s, %s/s, %s%s", sent, received, speed, time, more);
	/* one column stays free, or the terminal would begin a new line */
	ioctl(STDERR_FILENO, TIOCGWINSZ, &window);
	width = window.ws_col > 1 ? window.ws_col - 1 : 79;
	snprintf(out, sizeof out, "\r%.*s\033[K%s", width, line, end);
	if (write(STDERR_FILENO, out, strlen(out)) < 0)
		s->drawn_at = now;
	s->drawn_at = now;
}

static bool wanted(const struct session *s)
{
	return s->settings->progress && isatty(STDERR_FILENO);
}

/* The line is there, and may be written over. */
static bool is_drawn(const struct session *s)
{
	return s->settings->progress && s->drawn_at && !s->drawn_last && wanted(s);
}

void progress_step(struct session *s, nsec now)
{
	if (!s->settings->progress || s->drawn_last || !wanted(s))
		return;
	if (now >= s->drawn_at + PERIOD)
		draw(s, now, "");
	session_wake_at(s, s->drawn_at + PERIOD);
}

void progress_wipe(const struct session *s)
{
	static const char wipe[] = "\r\033[K";

	/* a terminal that has gone is nobody's failure */
	if (is_drawn(s) && write(STDERR_FILENO, wipe, sizeof wipe - 1) < 0)
		return;
}

void progress_finish(struct session *s)
{
	if (is_drawn(s))
		draw(s, clock_now(), "\n");
	s->drawn_last = true;
}
