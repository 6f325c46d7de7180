#include "server/readiness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/fd.h"
#include "loop/signals.h"

/* Nothing tells that a FIFO has got a reader: it is looked for so often. */
#define READER_PAUSE_MS 20

/* Writes the line and gives the file the mode that creat(2) would have. Returns 0 or -errno. */
static int fill_file(int fd, const char *line)
{
	mode_t mask = umask(0);
	int r;

	umask(mask);
	r = fd_write_all(fd, line, strlen(line));
	if (r == 0 && fchmod(fd, 0666 & ~mask) < 0)
		r = -errno;
	return r;
}

/* Whoever sees the file sees all of it: it is written under another name and renamed. */
static int replace_file(const char *path, const char *line)
{
	char *name;
	int fd, r, closed;

	if (asprintf(&name, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		free(name);
		return r;
	}
	r = fill_file(fd, line);
	closed = fd_close(&fd);
	if (r == 0)
		r = closed;
	if (r == 0 && rename(name, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(name);
	free(name);
	return r;
}

/*
 * Opens what is there. A FIFO waits for its reader, as with the shell's ">", but for no longer than until we
 * are told to end: then -EINTR. Returns the descriptor or -errno.
 */
static int open_for_reader(const char *path)
{
	for (;;) {
		int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd >= 0 || errno != ENXIO)
			return fd < 0 ? -errno : fd;
		if (signals_came(SIGTERM) || signals_came(SIGINT))
			return -EINTR;
		poll(NULL, 0, READER_PAUSE_MS);
	}
}

static int write_into(const char *path, const char *line)
{
	int fd = open_for_reader(path), r, closed;

	if (fd < 0)
		return fd;
	r = fd_write_all(fd, line, strlen(line));
	closed = fd_close(&fd);
	return r < 0 ? r : closed;
}

/* A FIFO or a device stays what it is, and so does a link to a file. Returns 0 or -errno. */
static int write_port_file(const char *path, const char *line)
{
	struct stat st;
	char *target;
	int r;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_into(path, line);
	target = realpath(path, NULL);
	r = replace_file(target ? target : path, line);
	free(target);
	return r;
}

/* The protocol of sd_notify(3): a datagram to a socket in the file system or, with '@', beside it. */
static int notify(const char *to)
{
	static const char ready[] = "READY=1";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t length = strlen(to);
	int sock, r = 0;

	if (length < 2 || length > sizeof addr.sun_path || (*to != '/' && *to != '@'))
		return -EINVAL;
	memcpy(addr.sun_path, to, length);
	if (*to == '@')
		addr.sun_path[0] = '\0';
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (sendto(sock, ready, sizeof ready - 1, MSG_NOSIGNAL, (struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		r = -errno;
	close(sock);
	return r;
}

static int tell_ready_fd(int fd, const char *line)
{
	int r = fd_write_all(fd, line, strlen(line));
	int closed = fd_close(&fd);

	return r < 0 ? r : closed;
}

static int failed(const char *what, const char *which, int error)
{
	diag_failure("%s %s: %s", what, which, strerror(-error));
	return exitcode_for(error, EXIT_LOCAL);
}

int readiness_announce(const struct readiness_settings *settings, const struct listener *l)
{
	const char *notify_socket = getenv("NOTIFY_SOCKET");
	char line[16], text[ENDPOINT_TEXT];
	int r;

	snprintf(line, sizeof line, "%u\n", l->port);
	for (int i = 0; i < l->count; i++)
		diag_step("listening on %s %u", endpoint_text(&l->at[i], text),
			  endpoint_port(&l->at[i]));
	if (settings->port_file) {
		r = write_port_file(settings->port_file, line);
		/* the server will hear of the signal */
		if (r < 0 && r != -EINTR)
			return failed("write port file", settings->port_file, r);
	}
	if (settings->ready_fd) {
		r = tell_ready_fd((int)settings->ready_fd, line);
		if (r < 0)
			return failed("write to", "--ready-fd", r);
	}
	if (notify_socket && *notify_socket) {
		r = notify(notify_socket);
		/* a manager that cannot be told will notice; serving is worth more than telling */
		if (r < 0)
			diag_failure("notify %s: %s", notify_socket, strerror(-r));
	}
	return 0;
}
