/* What the loop asks of the system: poller_epoll.c or poller_poll.c answers, chosen by configure. */
#ifndef LOOP_POLLER_H
#define LOOP_POLLER_H

#include "base/clock.h"
#include "loop/loop.h"

/* Opens the poll set. Returns 0 or -errno. */
int poller_open(void);

/* Closes it and frees what it holds. */
void poller_close(void);

/*
 * Changes what `w` waits for from w->events to `events`; FD_NOTHING takes it out. Returns 0,
 * -EPERM for a descriptor that cannot be polled, or another -errno.
 */
int poller_set(struct watch *w, unsigned events);

/*
 * Waits until something is ready or the moment `until` has come (0: only looks, NSEC_NEVER: as long
 * as it takes); adds what came to each watch's `got` and wakes its task. A signal ends the wait.
 * Returns 0 or -errno.
 */
int poller_wait(nsec until);

#endif
