/*
 * A service manager's end of $NOTIFY_SOCKET: binds the datagram socket PATH ('@NAME': abstract), creates
 * READYFILE, prints the first message that comes and exits.
 *
 *     notified PATH READYFILE
 */
#include <stddef.h>
#include <sys/un.h>

#include "helper.h"

int main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char message[4096];
	size_t length;
	ssize_t got;
	int sock;

	if (argc != 3 || strlen(argv[1]) >= sizeof a.sun_path)
		die("usage: notified PATH READYFILE");
	length = strlen(argv[1]);
	memcpy(a.sun_path, argv[1], length);
	if (*argv[1] == '@')
		a.sun_path[0] = '\0';
	sock = socket(AF_UNIX, SOCK_DGRAM, 0);
	length += offsetof(struct sockaddr_un, sun_path);
	if (sock < 0 || bind(sock, (struct sockaddr *)&a, (socklen_t)length) < 0)
		die("bind %s: %s", argv[1], strerror(errno));
	write_file(argv[2], "");
	if (!wait_fd(sock, POLLIN, now_ms() + 30000))
		die("notified: no message");
	got = recv(sock, message, sizeof message, 0);
	if (got < 0)
		die("recv: %s", strerror(errno));
	show(stdout, message, (size_t)got);
	putchar('\n');
	return 0;
}
