/* The poll set: descriptors that are waited for, level-triggered, and the tasks they wake. epoll(7) */
#ifndef LOOP_POLLSET_H
#define LOOP_POLLSET_H

#include "base/clock.h"
#include "base/fd.h"
#include "loop/task.h"

/* A descriptor in the poll set. */
struct watch {
	int fd;
	uint8_t events; /* what it waits for now: FD_IN, FD_OUT, FD_ERROR; FD_NOTHING: not in the set */
	uint8_t got;    /* the events that came; the owner clears it */
	struct task *task;
};

/* Makes `w` a watch on `fd` for `t` that waits for nothing yet. The descriptor stays the caller's. */
void watch_init(struct watch *w, int fd, struct task *t);

/*
 * Waits for `events` from now on; FD_NOTHING takes the descriptor out of the poll set: call that before the
 * descriptor is closed. A descriptor that cannot block, such as a regular file, wakes its task at once.
 * Returns 0 or -errno: -ENOMEM, or -EMFILE when the poll set is full (fs.epoll.max_user_watches).
 */
int watch_for(struct watch *w, unsigned events);

/* Opens the poll set. Returns 0 or -errno. */
int pollset_open(void);

/* Closes it. */
void pollset_close(void);

/*
 * Waits until a descriptor is ready or the moment `until` has come (0: only looks, NSEC_NEVER: without
 * limit); adds what came to each watch's `got` and wakes its task. A signal ends the wait. Returns 0 or
 * -errno.
 */
int pollset_wait(nsec until);

#endif
