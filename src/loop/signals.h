/* Signals as wake-ups: a handler notes the number and wakes the loop; a task acts on it later. */
#ifndef LOOP_SIGNALS_H
#define LOOP_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "loop/loop.h"

/*
 * Sets the actions of signals, whatever they were inherited as. To be called first.
 *
 * SIGTERM, SIGINT and SIGHUP end the program until they are caught otherwise: also when they were inherited
 * as blocked, and also as process 1 of a PID namespace, to which the kernel sends no signal without a handler
 * (pid_namespaces(7)). Inherited as ignored they stay so (nohup).
 *
 * SIGCHLD has its default action: ignored, the kernel would reap children, and a process id that is still to
 * be signalled or waited for could belong to another process by then.
 *
 * SIGPIPE and SIGXFSZ are ignored, so that a write fails with EPIPE or EFBIG; the inherited actions are kept
 * for signals_die() and signals_fork(). splice(2) has no MSG_NOSIGNAL; a limit of file sizes, setrlimit(2),
 * is reported as a full disk is.
 */
void signals_begin(void);

/*
 * From now on the `n` signals in `which` wake `task`, the same for all, in place of their default action. One
 * that was inherited as ignored stays ignored (nohup); one that was blocked is unblocked. Returns 0 or
 * -errno.
 */
int signals_catch(struct task *task, const int *which, int n);

/*
 * True when `signo` has come since the last call; clears that. One that comes meanwhile is found next time.
 */
bool signals_taken(int signo);

/* The same without clearing it: signals_taken() still finds it. */
bool signals_came(int signo);

/*
 * Dies by `signo`, as a shell expects of a program that was ended by it; process 1 of a PID namespace, which
 * cannot, exits with 128 plus `signo`. Returns only for a SIGPIPE that was inherited as ignored. With system
 * calls only, so it can be a handler.
 */
void signals_die(int signo);

/*
 * For a child between vfork(2) and execve(2): default actions for all signals and an empty mask, with
 * system calls only. The parent has blocked everything (signals_block()), so that no handler of ours
 * runs in the child.
 */
void signals_default(void);

/* Blocks all signals, with the mask from before in *before; restores that mask. */
void signals_block(sigset_t *before);
void signals_unblock(const sigset_t *before);

/*
 * fork(2) with all signals blocked meanwhile: the child starts with default actions in place of
 * our handlers and with the inherited mask. Returns as fork does, or -errno.
 */
pid_t signals_fork(void);

#endif
