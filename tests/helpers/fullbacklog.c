/*
 * A listener that answers nobody: its backlog is full, so the kernel drops every further SYN. Stands in
 * for a host behind a firewall, without a packet leaving the machine.
 *
 *     fullbacklog [-u] [-a ADDR] [-p PORT] PORTFILE
 *
 * With -u it is a UDP socket that is never read, such as a name server that does not answer. Writes the
 * port once it is deaf, then holds until it is killed.
 */
#include "helper.h"

#define ENOUGH 64       /* connections; a backlog of 0 takes one or two */
#define NO_ANSWER_MS 150

/* Connects once. Returns true if that was answered. */
static bool is_answered(const char *host, int port)
{
	struct sockaddr_storage to;
	socklen_t length = address(host, port, &to);
	int sock = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (sock < 0)
		die("socket: %s", strerror(errno));
	/* it stays open: in the queue it shall remain */
	if (connect(sock, (struct sockaddr *)&to, length) == 0)
		return true;
	if (errno != EINPROGRESS)
		die("connect: %s", strerror(errno));
	return wait_fd(sock, POLLOUT, now_ms() + NO_ANSWER_MS);
}

/* A TCP listener that has become deaf. Returns its port. */
static int fill_backlog(const char *host, int port)
{
	int listener = bound_socket(host, port);

	if (listen(listener, 0) < 0)
		die("listen: %s", strerror(errno));
	port = bound_port(listener);
	for (int i = 0; is_answered(host, port); i++)
		if (i == ENOUGH)
			die("fullbacklog: this kernel always answers");
	return port;
}

/* A UDP socket that is deaf from the start. Returns its port. */
static int ignore_datagrams(const char *host, int port)
{
	struct sockaddr_storage at;
	socklen_t length = address(host, port, &at);
	int sock = socket(at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0 || bind(sock, (struct sockaddr *)&at, length) < 0)
		die("bind %s %d: %s", host, port, strerror(errno));
	return bound_port(sock);
}

int main(int argc, char **argv)
{
	const char *host = "127.0.0.1";
	int letter, port = 0;
	bool udp = false;
	char line[16];

	while ((letter = getopt(argc, argv, "ua:p:")) != -1) {
		if (letter == 'u')
			udp = true;
		else if (letter == 'a')
			host = optarg;
		else if (letter == 'p')
			port = (int)number(optarg);
		else
			return HELPER_FAILED;
	}
	if (optind != argc - 1)
		die("usage: fullbacklog [-u] [-a ADDR] [-p PORT] PORTFILE");
	port = udp ? ignore_datagrams(host, port) : fill_backlog(host, port);
	snprintf(line, sizeof line, "%d\n", port);
	write_file(argv[optind], line);
	for (;;)
		pause();
}
