#include "loop/pollset.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 256

static int set = -1;

int pollset_open(void)
{
	set = epoll_create1(EPOLL_CLOEXEC);
	return set < 0 ? -errno : 0;
}

void pollset_close(void)
{
	close(set);
	set = -1;
}

void watch_init(struct watch *w, int fd, struct task *t)
{
	*w = (struct watch){.fd = fd, .task = t};
}

/* Enters the change in the kernel's set. Returns 0, -EPERM for what cannot be polled, or another -errno. */
static int pollset_set(struct watch *w, unsigned events)
{
	struct epoll_event e = {.data.ptr = w};
	int op = w->events == FD_NOTHING ? EPOLL_CTL_ADD :
		 events == FD_NOTHING    ? EPOLL_CTL_DEL :
					      EPOLL_CTL_MOD;

	if (events & FD_IN)
		e.events |= EPOLLIN;
	if (events & FD_OUT)
		e.events |= EPOLLOUT;
	if (epoll_ctl(set, op, w->fd, &e) == 0)
		return 0;
	/* ENOSPC is fs.epoll.max_user_watches, not a full disk */
	return errno == ENOSPC ? -EMFILE : -errno;
}

int watch_for(struct watch *w, unsigned events)
{
	int r;

	if (events == w->events)
		return 0;
	r = pollset_set(w, events);
	if (r == -EPERM) {
		/* epoll refuses what never blocks: it is ready now */
		task_wake(w->task);
		return 0;
	}
	if (r == 0)
		w->events = (uint8_t)events;
	return r;
}

int pollset_wait(nsec until)
{
	struct epoll_event came[BATCH];
	int n = epoll_wait(set, came, BATCH, clock_ms_until(until));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct watch *w = came[i].data.ptr;

		w->got |= (uint8_t)((came[i].events & EPOLLIN ? FD_IN : 0) |
			  (came[i].events & EPOLLOUT ? FD_OUT : 0) |
			  (came[i].events & (EPOLLERR | EPOLLHUP) ? FD_ERROR : 0));
		task_wake(w->task);
	}
	return 0;
}
