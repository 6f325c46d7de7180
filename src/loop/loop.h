/*
 * The loop: one thread that waits for descriptors, timers and signals, and runs the tasks they wake.
 *
 * All events of one wait are turned into wake-ups before the first task runs. A task may therefore
 * stop any watch or timer and free anything, itself included (as its last act): no event of the same
 * batch can still point there.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "loop/pollset.h"
#include "loop/task.h"

/* Opens the poll set. Call it once, before any watch is set. Returns 0 or -errno. */
int loop_open(void);

/* Closes it; nothing may be watched any more. */
void loop_close(void);

/* Runs tasks until loop_stop(). Returns 0, or -errno when waiting itself fails. */
int loop_run(void);

/* Lets loop_run() return once the task that is running has finished. */
void loop_stop(void);

#endif
