/*
 * Look-ups in a process of their own: one that cannot be watched has never begun. Retried every so often, as it
 * is, it would otherwise cost a process and a descriptor each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "net/lookup.h"
#include "tap.h"

static struct task task;
static struct lookup look_up;

static void stop(struct task *t)
{
	(void)t;
	loop_stop();
}

/* The number that the next descriptor gets. */
static int lowest_free(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

/* Is there no child process, zombies included? */
static bool is_childless(void)
{
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* The loop is not open: no descriptor can be watched. */
static void check_unwatched(void)
{
	int before = lowest_free();
	int r = lookup_start(&look_up, "127.0.0.1", AF_INET, &task);

	point(r < 0, "what cannot be watched is not begun (%s)", strerror(-r));
	point(!lookup_is_under_way(&look_up) && is_childless(), "no process of it is left");
	point(lowest_free() == before, "and no descriptor");
	lookup_close(&look_up);
}

static void check_watched(void)
{
	int r = lookup_start(&look_up, "127.0.0.1", AF_INET, &task);

	while (r == 0 && lookup_step(&look_up) == -EAGAIN)
		r = loop_run();
	point(r == 0 && look_up.error == 0 && look_up.count == 1, "once it can be, there is an answer");
	point(is_childless(), "and its process has been reaped");
}

int main(void)
{
	alarm(POINT_LIMIT_S);
	task_init(&task, stop);
	check_unwatched();
	if (loop_open() < 0)
		return 1;
	check_watched();
	loop_close();
	return done();
}
