/*
 * Many connections.
 *
 *   load storm PORT WIDTH SECONDS [answer]   connects, sends FIN, reads to the end, closes, WIDTH at a
 *                                            time; prints connections per second
 *   load idle PORT COUNT                     opens COUNT connections, prints "ready", holds them until
 *                                            stdin ends
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WIDTH_MOST 1024

static struct sockaddr_in target;

/* Begins a connection; -1 when none can be had now. */
static int begin(void)
{
	struct linger reset = {1, 0};
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (sock < 0)
		die("socket");
	if (connect(sock, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) {
		close(sock);
		return -1;
	}
	/* no TIME-WAIT on our side: ports would run out. By then the peer has closed. */
	setsockopt(sock, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	return sock;
}

/* Goes on with one. Returns 1 when it is over, -1 when it failed, 0 to wait. */
static int step(struct pollfd *p)
{
	char sink[4096];
	ssize_t got;

	if (p->events == POLLOUT) {
		shutdown(p->fd, SHUT_WR);
		p->events = POLLIN;
		return p->revents & POLLERR ? -1 : 0;
	}
	got = recv(p->fd, sink, sizeof sink, MSG_DONTWAIT);
	if (got == 0)
		return 1;
	return got < 0 && errno != EAGAIN ? -1 : 0;
}

int storm(int argc, char **argv)
{
	static struct pollfd all[WIDTH_MOST];
	int width = argc > 2 ? atoi(argv[2]) : 0;
	double began = now(), ends;
	long done = 0, failed = 0;

	if (argc < 4 || width < 1 || width > WIDTH_MOST)
		return 2;
	target = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	target.sin_port = htons((uint16_t)atoi(argv[1]));
	ends = began + atof(argv[3]);
	for (int i = 0; i < width; i++)
		all[i] = (struct pollfd){.fd = begin(), .events = POLLOUT};
	while (now() < ends) {
		poll(all, (nfds_t)width, 100);
		for (int i = 0; i < width; i++) {
			int r = all[i].fd < 0 ? -1 : all[i].revents ? step(&all[i]) : 0;

			if (r == 0)
				continue;
			done += r > 0;
			failed += r < 0;
			if (all[i].fd >= 0)
				close(all[i].fd);
			all[i] = (struct pollfd){.fd = begin(), .events = POLLOUT};
		}
	}
	printf("%.0f %ld\n", (double)done / (now() - began), failed);
	return 0;
}

int idle(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0;
	struct rlimit files;
	char c;

	if (argc < 3)
		return 2;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < count; i++)
		connect_to(argv[1]);
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		continue;
	return 0;
}
