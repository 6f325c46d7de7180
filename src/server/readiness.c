#include "server/readiness.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "base/fd.h"
#include "base/output.h"
#include "loop/signals.h"

/* True when a signal has come that ends the server, which has caught them before. */
static bool must_end(void)
{
	return signals_came(SIGTERM) || signals_came(SIGINT);
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

static int tell_ready_fd(int fd, const char *line, const struct output_limit *limit)
{
	int r = output_write(fd, line, strlen(line), limit);
	int closed = fd_close(&fd);

	return r < 0 ? r : closed;
}

/*
 * Reports what failed. Returns the exit status: 0 when a signal or --deadline ended the wait for a reader,
 * which the server sees next, to end with the right status.
 */
static int readiness_failed(const char *what, const char *which, int error, const struct output_limit *limit)
{
	/* a file system can time out as well: NFS */
	if (error == -ECANCELED || (error == -ETIMEDOUT && clock_now() >= limit->until))
		return 0;
	diag_failure("%s %s: %s", what, which, strerror(-error));
	return exitcode_for(error, EXIT_LOCAL);
}

/* Writes to the file and the descriptor, and notifies the service manager. Returns the exit status. */
static int readiness_write(const struct readiness_settings *settings, const char *line)
{
	const struct output_limit limit = {.until = settings->deadline, .stop = must_end};
	const char *notify_socket = getenv("NOTIFY_SOCKET");
	int r = 0;

	if (settings->port_file)
		r = output_put(settings->port_file, line, &limit);
	if (r < 0)
		return readiness_failed("write port file", settings->port_file, r, &limit);
	if (settings->ready_fd)
		r = tell_ready_fd((int)settings->ready_fd, line, &limit);
	if (r < 0)
		return readiness_failed("write to", "--ready-fd", r, &limit);
	if (notify_socket && *notify_socket)
		r = notify(notify_socket);
	/* a failed notification is no reason not to serve: the service manager times out */
	if (r < 0)
		diag_failure("notify %s: %s", notify_socket, strerror(-r));
	return 0;
}

int readiness_announce(const struct readiness_settings *settings, const struct listener *l)
{
	char line[16], text[ENDPOINT_TEXT];

	snprintf(line, sizeof line, "%u\n", l->port);
	for (int i = 0; i < l->count; i++)
		diag_step("listening on %s %u", endpoint_text(&l->at[i], text),
			  endpoint_port(&l->at[i]));
	return readiness_write(settings, line);
}
