/*
 * Waiting. One thread, one loop: a descriptor that became ready, a timer that ran out or a signal
 * that came wakes a task, and a woken task runs once. A task finds out by itself what has changed;
 * it is never told why it was woken, so every cause leads through the same code.
 *
 * All events of one wait are turned into wake-ups before the first task runs. A task may therefore
 * stop any watch or timer and free anything, itself included (as its last act): no event of the same
 * batch can still point there.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>

#include "base/fd.h"
#include "base/list.h"

/* Something that runs when woken. Embed it; list_entry() leads back to the owner. */
struct task {
	void (*run)(struct task *);
	struct list ready; /* linked while it waits for its turn */
};

/* A descriptor in the poll set, and the task it wakes. */
struct watch {
	int fd;
	unsigned events; /* what it waits for now: FD_IN, FD_OUT, FD_ERROR */
	unsigned got;    /* what came; the owner clears it */
	int slot;        /* the poller's own */
	struct task *task;
};

/* Opens the poll set. Call it once, before anything else here. Returns 0 or -errno. */
int loop_open(void);

/* Closes it; nothing may be watched any more. */
void loop_close(void);

/* Makes `t` a task that runs `run`, not woken. */
void task_init(struct task *t, void (*run)(struct task *));

/* Lets `t` run in the next round, once however often it is woken. */
void task_wake(struct task *t);

/* Takes back a wake-up; call it before the task's memory goes. */
void task_stop(struct task *t);

/* Makes `w` a watch on `fd` for `t` that waits for nothing yet. The descriptor stays the caller's. */
void watch_init(struct watch *w, int fd, struct task *t);

/*
 * Waits for `events` from now on (level-triggered); FD_NOTHING takes the descriptor out of the
 * poll set. Call it before the descriptor is closed. A descriptor that cannot block, such as a
 * regular file, wakes its task at once. Returns 0 or -errno (ENOMEM, or EMFILE when the poll set is full).
 */
int watch_for(struct watch *w, unsigned events);

/* Runs tasks until loop_stop(). Returns 0, or -errno when waiting itself fails. */
int loop_run(void);

/* Lets loop_run() return once the task that is running has finished. */
void loop_stop(void);

#endif
