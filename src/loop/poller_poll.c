/* The poll set by poll(2): an array, for systems that have no epoll(7). */
#include "loop/poller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

static struct pollfd *polled;
static struct watch **owners; /* owners[i] watches polled[i] */
static int count, room;

int poller_open(void)
{
	count = 0;
	return 0;
}

void poller_close(void)
{
	free(polled);
	free(owners);
	polled = NULL;
	owners = NULL;
	count = room = 0;
}

/* Makes room for one more. Returns 0 or -ENOMEM. */
static int grow(void)
{
	int more = room ? room * 2 : 16;
	struct pollfd *p;
	struct watch **o;

	if (count < room)
		return 0;
	p = realloc(polled, (size_t)more * sizeof *p);
	if (!p)
		return -ENOMEM;
	polled = p;
	o = realloc(owners, (size_t)more * sizeof *o);
	if (!o)
		return -ENOMEM;
	owners = o;
	room = more;
	return 0;
}

/* Fills the gap that `w` leaves with the last one, so the array stays dense. */
static void take_out(struct watch *w)
{
	count--;
	polled[w->slot] = polled[count];
	owners[w->slot] = owners[count];
	owners[w->slot]->slot = w->slot;
	w->slot = -1;
}

int poller_set(struct watch *w, unsigned events)
{
	if (events == FD_NOTHING) {
		take_out(w);
		return 0;
	}
	if (w->events == FD_NOTHING) {
		if (grow() < 0)
			return -ENOMEM;
		w->slot = count++;
		owners[w->slot] = w;
		polled[w->slot].fd = w->fd;
	}
	polled[w->slot].events =
		(short)((events & FD_IN ? POLLIN : 0) | (events & FD_OUT ? POLLOUT : 0));
	polled[w->slot].revents = 0;
	return 0;
}

int poller_wait(nsec until)
{
	int n = poll(polled, (nfds_t)count, clock_ms_until(until));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count && n > 0; i++) {
		short came = polled[i].revents;

		if (!came)
			continue;
		n--;
		owners[i]->got |= (came & POLLIN ? FD_IN : 0) | (came & POLLOUT ? FD_OUT : 0) |
				  (came & (POLLERR | POLLHUP | POLLNVAL) ? FD_ERROR : 0);
		task_wake(owners[i]->task);
	}
	return 0;
}
