/*
 * Tasks: what runs when woken. A task is never told why it was woken, so every cause (a descriptor, a timer,
 * a signal, another task) leads through the same code; and it runs once, however often it was woken.
 */
#ifndef LOOP_TASK_H
#define LOOP_TASK_H

#include <stdbool.h>

#include "base/list.h"

/* Embed it; list_entry() leads back to the owner. */
struct task {
	void (*run)(struct task *);
	struct list ready; /* linked while it waits for its turn */
};

/* Makes `t` a task that runs `run`, not woken. */
void task_init(struct task *t, void (*run)(struct task *));

/* Lets `t` run in the next round. */
void task_wake(struct task *t);

/* Takes back a wake-up; call it before the task is freed. */
void task_stop(struct task *t);

/* True while a woken task waits for its turn. */
bool task_any_ready(void);

/*
 * Runs each task that is woken now; tasks woken meanwhile wait for the next round. Once *stop is true, the
 * tasks that are left keep their turn. Called by the loop alone.
 */
void task_run_ready(const bool *stop);

#endif
