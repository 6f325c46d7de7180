/*
 * The limit: what the system calls alone can do, with none of a program around them. Safe variants only:
 * no call waits inside the kernel while it holds a pipe (see src/flow/carrier.h).
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST (1 << 20)

static void wait_for(int fd, short events, int ms)
{
	poll(&(struct pollfd){.fd = fd, .events = events}, 1, ms);
}

static int is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Moves what there is; waits for whichever side has to be waited for. Returns 0 at the end. */
static ssize_t move(int from, int to, int patience)
{
	ssize_t n = splice(from, NULL, to, NULL, MOST, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n >= 0)
		return n;
	if (errno != EAGAIN)
		die("splice");
	wait_for(from, POLLIN, patience);
	wait_for(to, POLLOUT, -1);
	return 1;
}

/* Through a pipe of our own, for ends that are both no pipes. Returns 0 at the end. */
static ssize_t move_by(const int pipe[2], int from, int to, int patience)
{
	ssize_t held = splice(from, NULL, pipe[1], NULL, MOST, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (held < 0 && errno == EAGAIN) {
		wait_for(from, POLLIN, patience);
		return 1;
	}
	if (held < 0)
		die("splice");
	for (ssize_t left = held; left > 0;) {
		ssize_t n = splice(pipe[0], NULL, to, NULL, (size_t)left, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

		if (n < 0 && errno != EAGAIN)
			die("splice");
		if (n < 0)
			wait_for(to, POLLOUT, -1);
		else
			left -= n;
	}
	return held;
}

static void run(int from, int to, int patience)
{
	int pipe_ends[2];

	if (is_pipe(from) || is_pipe(to)) {
		fcntl(is_pipe(from) ? from : to, F_SETPIPE_SZ, MOST);
		while (move(from, to, patience) > 0)
			continue;
		return;
	}
	if (pipe2(pipe_ends, O_NONBLOCK) < 0)
		die("pipe");
	while (move_by(pipe_ends, from, to, patience) > 0)
		continue;
}

int limit_send(const char *port)
{
	int sock = connect_to(port);
	char c;

	fcntl(sock, F_SETFL, O_NONBLOCK);
	run(0, sock, -1);
	shutdown(sock, SHUT_WR);
	wait_for(sock, POLLIN, -1);
	return read(sock, &c, 1) == 0 ? 0 : 1;
}

int limit_receive(const char *port_file, int low_water)
{
	int sock = accept(listen_to(port_file), NULL, NULL);

	if (sock < 0)
		die("accept");
	fcntl(sock, F_SETFL, O_NONBLOCK);
	if (low_water)
		setsockopt(sock, SOL_SOCKET, SO_RCVLOWAT, &low_water, sizeof low_water);
	run(sock, 1, low_water ? 1 : -1);
	return 0;
}
