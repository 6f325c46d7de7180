/*
 * Many connections in one process.
 *
 *     crowd listen PORTFILE                      echo what comes on any number of connections; each ends
 *                                                when its peer has ended
 *     crowd [-s ADDR] connect PORT N HELD [GO]   make N connections, one after another, each of which has
 *                                                to give one byte back before the next is made; create
 *                                                HELD, and when GO is there let each give a byte back
 *                                                once more and end politely
 *
 * Without GO it holds them until it is killed. Exits 0 if all N did as they should.
 */
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>

#include "helper.h"

#define CROWD_MOST 20000
#define LIMIT_MS 60000

static long long ends;

/* As many descriptors as are to be had. */
static void raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		die("getrlimit: %s", strerror(errno));
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

/* --- the one that listens --- */

static struct pollfd polled[CROWD_MOST + 1];
static int count = 1;

static void take_in(void)
{
	int one = 1, sock = accept4(polled[0].fd, NULL, NULL, SOCK_CLOEXEC);

	if (sock < 0)
		return;
	if (count > CROWD_MOST)
		die("crowd: too many");
	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	polled[count++] = (struct pollfd){.fd = sock, .events = POLLIN};
}

/* Gives back what came, which is little. Returns false when the connection is over. */
static bool echo(int sock)
{
	char buf[4096];
	ssize_t got = recv(sock, buf, sizeof buf, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	return got > 0 && send(sock, buf, (size_t)got, MSG_NOSIGNAL) == got;
}

static void run_listen(const char *port_file)
{
	char line[16];
	int sock = bound_socket("127.0.0.1", 0);

	if (listen(sock, SOMAXCONN) < 0)
		die("listen: %s", strerror(errno));
	fcntl(sock, F_SETFL, O_NONBLOCK);
	polled[0] = (struct pollfd){.fd = sock, .events = POLLIN};
	snprintf(line, sizeof line, "%d\n", bound_port(sock));
	write_file(port_file, line);
	for (;;) {
		if (poll(polled, (nfds_t)count, -1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		/* from behind, so that the last one may fill a gap */
		for (int i = count - 1; i > 0; i--) {
			if (!polled[i].revents || echo(polled[i].fd))
				continue;
			close(polled[i].fd);
			polled[i] = polled[--count];
		}
		if (polled[0].revents)
			take_in();
	}
}

/* --- the one that connects --- */

static void exchange(int sock, int i)
{
	char sent = (char)('a' + i % 26), came;

	if (send(sock, &sent, 1, MSG_NOSIGNAL) != 1)
		die("crowd: connection %d: send: %s", i, strerror(errno));
	if (!wait_fd(sock, POLLIN, ends))
		die("crowd: connection %d: no answer", i);
	if (recv(sock, &came, 1, 0) != 1 || came != sent)
		die("crowd: connection %d: not the byte that was sent", i);
}

static void end_politely(int sock, int i)
{
	char byte;

	shutdown(sock, SHUT_WR);
	if (!wait_fd(sock, POLLIN, ends) || recv(sock, &byte, 1, 0) != 0)
		die("crowd: connection %d: no end-of-file", i);
	close(sock);
}

static void run_connect(const char *from, int port, int n, const char *held, const char *go)
{
	struct sockaddr_storage to;
	socklen_t length = address("127.0.0.1", port, &to);
	int *socks = calloc((size_t)n, sizeof *socks), one = 1;

	if (!socks)
		die("crowd: no memory");
	for (int i = 0; i < n; i++) {
		socks[i] = bound_socket(from, 0);
		setsockopt(socks[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (connect(socks[i], (struct sockaddr *)&to, length) < 0)
			die("crowd: connection %d: %s", i, strerror(errno));
		exchange(socks[i], i);
	}
	write_file(held, "");
	while (!go)
		pause();
	if (!wait_file(go, ends))
		die("crowd: %s did not appear", go);
	for (int i = 0; i < n; i++)
		exchange(socks[i], i);
	for (int i = 0; i < n; i++)
		end_politely(socks[i], i);
	free(socks);
}

int main(int argc, char **argv)
{
	const char *from = "127.0.0.1";
	int letter;

	while ((letter = getopt(argc, argv, "+s:")) != -1) {
		if (letter != 's')
			return HELPER_FAILED;
		from = optarg;
	}
	argv += optind;
	argc -= optind;
	raise_limit();
	signal(SIGPIPE, SIG_IGN);
	ends = now_ms() + LIMIT_MS;
	if (argc == 2 && strcmp(argv[0], "listen") == 0)
		run_listen(argv[1]);
	else if ((argc == 4 || argc == 5) && strcmp(argv[0], "connect") == 0)
		run_connect(from, (int)number(argv[1]), (int)number(argv[2]), argv[3], argv[4]);
	else
		die("usage: crowd listen PORTFILE | [-s ADDR] connect PORT N HELD [GO]");
	return 0;
}
