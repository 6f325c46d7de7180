/* What the test helpers share: giving up with a message, waiting with a limit, C escapes. */
#ifndef TESTS_HELPER_H
#define TESTS_HELPER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HELPER_FAILED 99 /* no status of tcptool's own */

/* Says why and exits with HELPER_FAILED. */
static inline void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(HELPER_FAILED);
}

static inline long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		continue;
}

/* Waits until `fd` is ready for `events` or the moment `until` has come; true if it is ready. */
static inline bool wait_fd(int fd, short events, long long until)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		long long left = until - now_ms();
		int r = poll(&p, 1, left > 0 ? (int)left : 0);

		if (r > 0)
			return true;
		if (r == 0 && left <= 0)
			return false;
		if (r < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
	}
}

/* A whole decimal number, or death. */
static inline long number(const char *word)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(word, &end, 10);
	if (errno || end == word || *end)
		die("'%s' is no number", word);
	return n;
}

/* Replaces C escapes (\n \r \t \\ \0 \xHH) in place; returns the new length. */
static inline size_t unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		switch (*++from) {
		case 'n':
			*to++ = '\n';
			break;
		case 'r':
			*to++ = '\r';
			break;
		case 't':
			*to++ = '\t';
			break;
		case '0':
			*to++ = '\0';
			break;
		case '\\':
			*to++ = '\\';
			break;
		case 'x': {
			char hex[3] = {from[1], from[1] ? from[2] : '\0', '\0'};

			*to++ = (char)strtol(hex, NULL, 16);
			from += strlen(hex);
			break;
		}
		default:
			die("unknown escape in '%s'", text);
		}
	}
	*to = '\0';
	return (size_t)(to - text);
}

/* Prints bytes so that a test can compare them: printable ASCII as it is, all else escaped. */
static inline void show(FILE *out, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\\')
			fputs("\\\\", out);
		else if (c == '\n')
			fputs("\\n", out);
		else if (c == '\0')
			fputs("\\0", out);
		else if (c >= ' ' && c <= '~')
			fputc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
}

/* Writes a file whole: under another name first, then renamed, so that who sees it sees all of it. */
static inline void write_file(const char *path, const char *text)
{
	char name[4096];
	FILE *f;

	snprintf(name, sizeof name, "%s.%ld", path, (long)getpid());
	f = fopen(name, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0 || rename(name, path) < 0)
		die("%s: %s", path, strerror(errno));
}

/* Waits for a file to appear. */
static inline bool wait_file(const char *path, long long until)
{
	while (access(path, F_OK) < 0) {
		if (now_ms() >= until)
			return false;
		pause_ms(5);
	}
	return true;
}

/* An IPv4 or IPv6 literal with a port as a socket address; returns its length. */
static inline socklen_t address(const char *host, int port, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((in_port_t)port)};

	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		memcpy(out, &v4, sizeof v4);
		return sizeof v4;
	}
	if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
		die("'%s' is no address", host);
	memcpy(out, &v6, sizeof v6);
	return sizeof v6;
}

/* The port in a socket address. */
static inline int port_of(const struct sockaddr_storage *a)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (a->ss_family == AF_INET) {
		memcpy(&v4, a, sizeof v4);
		return ntohs(v4.sin_port);
	}
	memcpy(&v6, a, sizeof v6);
	return ntohs(v6.sin6_port);
}

/* The port a socket is bound to. */
static inline int bound_port(int sock)
{
	struct sockaddr_storage a;
	socklen_t length = sizeof a;

	if (getsockname(sock, (struct sockaddr *)&a, &length) < 0)
		die("getsockname: %s", strerror(errno));
	return port_of(&a);
}

/* A TCP socket bound to `host` and `port` (0: any). */
static inline int bound_socket(const char *host, int port)
{
	struct sockaddr_storage a;
	socklen_t length = address(host, port, &a);
	int one = 1, sock = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		die("socket: %s", strerror(errno));
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(sock, (struct sockaddr *)&a, length) < 0)
		die("bind %s %d: %s", host, port, strerror(errno));
	return sock;
}

/* The status of an ended child, as shells count it. */
static inline int shell_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#endif
