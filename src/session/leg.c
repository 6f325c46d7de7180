#include <errno.h>
#include <sys/socket.h>

#include "session/session.h"

int leg_socket(const struct leg *leg)
{
	return leg->socket.stream.ops ? leg->socket.stream.rfd : -1;
}

void leg_open(struct leg *leg, int sock, int lost)
{
	stream_socket_open(&leg->socket, sock, lost);
	leg->top = &leg->socket.stream;
}

int leg_take_error(struct leg *leg)
{
	int error = 0;
	socklen_t length = sizeof error;

	if (getsockopt(leg_socket(leg), SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return 0;
	if (error)
		leg->socket.lost = -error;
	return -error;
}

void leg_abort_on_close(const struct leg *leg)
{
	sockopt_abort_on_close(leg_socket(leg));
}

void leg_close(struct leg *leg)
{
	if (leg->top)
		leg->top->ops->close(leg->top);
	leg->top = NULL;
	leg->socket.stream.ops = NULL;
}
