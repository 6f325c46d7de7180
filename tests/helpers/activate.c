/*
 * Starts a command as a service manager does, with sockets that listen already:
 *
 *     activate [-n COUNT] [-p PID] [-dfb] PORTFILE ADDR... -- COMMAND [ARG]...
 *
 *     -n COUNT   say that there are so many, whatever was passed on
 *     -p PID     say that they are for process PID and not for the command
 *     -d         a datagram socket in place of the first one
 *     -f         a plain file in place of the first one
 *     -b         no listening at all: the first one is only bound
 *
 * A socket listens on a free port of each ADDR (";" in front: on the port of the one before); PORTFILE
 * gets the ports, separated by blanks.
 */
#include <signal.h>

#include "helper.h"

#define FIRST 3

static bool datagram, file, only_bound;

/* A listening socket, or what is to stand in its place. */
static int open_one(const char *host, int port, bool first)
{
	struct sockaddr_storage at;
	socklen_t length = address(host, port, &at);
	int sock, one = 1;

	if (first && file)
		return open("/dev/null", O_RDONLY);
	sock = socket(at.ss_family, first && datagram ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (at.ss_family == AF_INET6)
		setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (sock < 0 || bind(sock, (struct sockaddr *)&at, length) < 0)
		die("bind %s: %s", host, strerror(errno));
	if (first && (datagram || only_bound))
		return sock;
	if (listen(sock, SOMAXCONN) < 0)
		die("listen: %s", strerror(errno));
	return sock;
}

int main(int argc, char **argv)
{
	const char *port_file, *pid = NULL, *count = NULL;
	char ports[256] = "", word[32];
	int letter, n = 0, port = 0;

	while ((letter = getopt(argc, argv, "+n:p:dfb")) != -1) {
		if (letter == 'n')
			count = optarg;
		else if (letter == 'p')
			pid = optarg;
		else if (letter == 'd')
			datagram = true;
		else if (letter == 'f')
			file = true;
		else if (letter == 'b')
			only_bound = true;
		else
			return HELPER_FAILED;
	}
	argv += optind;
	port_file = *argv++;
	/* whatever this process was given stays out of the way */
	for (int fd = FIRST; fd < 64; fd++)
		close(fd);
	for (; port_file && *argv && strcmp(*argv, "--") != 0; argv++, n++) {
		bool same = **argv == ';';
		int fd = open_one(*argv + same, same ? port : 0, n == 0);

		if (fd != FIRST + n)
			die("activate: descriptor %d is not the next one", fd);
		port = file && n == 0 ? 0 : bound_port(fd);
		snprintf(ports + strlen(ports), sizeof ports - strlen(ports), "%s%d", n ? " " : "", port);
	}
	if (!*argv || !argv[1])
		die("usage: activate [-n COUNT] [-p PID] [-dfb] PORTFILE ADDR... -- COMMAND [ARG]...");
	strcat(ports, "\n");
	write_file(port_file, ports);
	snprintf(word, sizeof word, "%d", n);
	setenv("LISTEN_FDS", count ? count : word, 1);
	snprintf(word, sizeof word, "%d", (int)getpid());
	setenv("LISTEN_PID", pid ? pid : word, 1);
	execvp(argv[1], argv + 1);
	die("%s: %s", argv[1], strerror(errno));
}
