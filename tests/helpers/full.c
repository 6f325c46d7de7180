/*
 * Tells whether its stdout takes anything now: "full" exits 0 when it does not, as a pipe that is full, and 1
 * when it does. It writes nothing.
 */
#include "helper.h"

int main(void)
{
	return wait_fd(STDOUT_FILENO, POLLOUT, now_ms()) ? 1 : 0;
}
