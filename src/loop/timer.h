/* Timers: moments at which a task is to be woken. A pairing heap, so none of this allocates. */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include "base/clock.h"
#include "loop/task.h"

struct timer {
	nsec when; /* NSEC_NEVER while it is not running */
	struct task *task;
	struct timer *child, *next, *prev; /* prev: the elder sibling, or the parent of the eldest */
};

/* Makes `t` a timer for `task` that is not running. */
void timer_init(struct timer *t, struct task *task);

/* Wakes the task at the moment `when`, in place of any earlier setting; NSEC_NEVER stops it. */
void timer_set(struct timer *t, nsec when);

/* Stops it; call it before the timer is freed. */
void timer_stop(struct timer *t);

/* True when the timer is running and its moment has come by `now`. */
bool timer_due(const struct timer *t, nsec now);

/* The moment of the next timer, or NSEC_NEVER. */
nsec timer_next(void);

/*
 * Wakes the tasks of all timers whose moment has come. They go on being due (timer_due()) until
 * their owner sets or stops them, but wake their task only once.
 */
void timer_wake_due(void);

#endif
