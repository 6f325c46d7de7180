#include "observe/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"

#define LINE_MOST 512

static void clock_face(double seconds, char *buf, unsigned size)
{
	long s = (long)seconds;

	if (s >= 3600)
		snprintf(buf, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(buf, size, "%ld:%02ld", s / 60, s % 60);
}

/* Bytes that stdin still holds, when it is a file; 0 when that cannot be known. */
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
static void estimate(const struct facts *f, double rate, char *buf, size_t size)
{
	double sent = (double)f->sent, left = f->from_stdin ? stdin_left() : 0;
	char eta[32];

	*buf = '\0';
	if (left <= 0 || sent <= 0 || rate <= 0)
		return;
	clock_face(left / rate, eta, sizeof eta);
	snprintf(buf, size, ", %.0f%%, %s left", 100 * sent / (sent + left), eta);
}

bool progress_is_wanted(void)
{
	return isatty(STDERR_FILENO);
}

/* Writes to the terminal; an error there is no failure of the session. */
static void progress_put(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

void progress_draw(const struct facts *f, bool last)
{
	double elapsed = (double)(f->now - f->began) / NSEC_PER_SEC;
	double rate = elapsed > 0 ? (double)(f->sent + f->received) / elapsed : 0;
	char sent[UNITS_TEXT], received[UNITS_TEXT], speed[UNITS_TEXT], time[32], more[64], line[LINE_MOST],
		out[LINE_MOST + 16];
	struct winsize window = {0};
	int width;

	clock_face(elapsed, time, sizeof time);
	estimate(f, rate, more, sizeof more);
	snprintf(line, sizeof line, "sent %s, received %s, %s/s, %s%s", units_bytes((double)f->sent, sent),
		 units_bytes((double)f->received, received), units_bytes(rate, speed), time, more);
	/* one column stays free, or the terminal would begin a new line */
	ioctl(STDERR_FILENO, TIOCGWINSZ, &window);
	width = window.ws_col > 1 ? window.ws_col - 1 : 79;
	snprintf(out, sizeof out, "\r%.*s\033[K%s", width, line, last ? "\n" : "");
	progress_put(out);
}

void progress_wipe(void)
{
	if (progress_is_wanted())
		progress_put("\r\033[K");
}
