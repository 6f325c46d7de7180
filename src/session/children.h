/*
 * Children: the processes that run a COMMAND, which task each one's end wakes, and what they leave behind.
 *
 * The process is the reaper of all that its commands leave behind (PR_SET_CHILD_SUBREAPER of prctl(2)): a
 * process that a command has put in the background becomes our child once the command has ended. So it is
 * known whether such a process still holds a connection, and none of them stays a zombie.
 */
#ifndef SESSION_CHILDREN_H
#define SESSION_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"
#include "loop/task.h"

#define CHILDREN_BUCKETS 256

/* A command that runs or has ended. */
struct child {
	struct list link;
	pid_t pid;         /* 0: none */
	struct task *task; /* woken at its end */
	bool ended;
	int status;        /* of waitpid(2), once it has ended */
};

struct children {
	struct list buckets[CHILDREN_BUCKETS]; /* struct child, by pid, while they run */
	int proc;                              /* /proc, opened while it is in reach; -1: there is none */
	bool used;                             /* a command has been started */
};

/* Makes the registry, empty, and this process the reaper. To be called before chroot(2), for /proc. */
void children_open(struct children *);

void children_close(struct children *);

/* Adds `child`, whose pid and task are set: a process that was just started. */
void children_add(struct children *, struct child *child);

/* Takes it out, if it still runs; no signal is sent. */
void children_remove(struct child *child);

/* After SIGCHLD: reaps all that has ended and wakes the tasks of the commands among them. */
void children_reap(struct children *);

/*
 * True when a process that an ended command has left behind still has the socket `sock` open, or when it
 * cannot be examined (another user's process). False without /proc.
 */
bool children_hold(const struct children *, int sock);

#endif
