#include "loop/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int waker[2] = {-1, -1};
static volatile sig_atomic_t noted[NSIG];
static sigset_t caught;
static struct sigaction inherited_pipe = {.sa_handler = SIG_DFL};
static struct watch watch;
static struct task drainer;
static struct task *receiver;

/* All a handler does: note the number, wake the loop. A full pipe has woken it already. */
static void note(int signo)
{
	int saved = errno;

	noted[signo] = 1;
	if (write(waker[1], "", 1) < 0)
		errno = saved;
	errno = saved;
}

static void drain(struct task *t)
{
	char sink[64];

	(void)t;
	while (read(waker[0], sink, sizeof sink) > 0)
		continue;
	task_wake(receiver);
}

int signals_catch(struct task *task, const int *which, int n)
{
	struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART}, old;
	int r;

	if (pipe2(waker, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	receiver = task;
	task_init(&drainer, drain);
	watch_init(&watch, waker[0], &drainer);
	r = watch_for(&watch, FD_IN);
	if (r < 0)
		return r;
	sigemptyset(&caught);
	sigfillset(&action.sa_mask);
	for (int i = 0; i < n; i++) {
		sigaction(which[i], NULL, &old);
		if (old.sa_handler == SIG_IGN && which[i] != SIGCHLD)
			continue;
		sigaddset(&caught, which[i]);
		sigaction(which[i], &action, NULL);
	}
	return 0;
}

bool signals_taken(int signo)
{
	bool was = noted[signo];

	noted[signo] = 0;
	return was;
}

void signals_ignore_pipe(void)
{
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &inherited_pipe);
}

void signals_die(int signo)
{
	sigset_t only;

	if (signo == SIGPIPE)
		sigaction(SIGPIPE, &inherited_pipe, NULL);
	else
		signal(signo, SIG_DFL);
	sigemptyset(&only);
	sigaddset(&only, signo);
	sigprocmask(SIG_UNBLOCK, &only, NULL);
	raise(signo);
}

pid_t signals_fork(void)
{
	sigset_t all, before;
	pid_t pid;
	int error;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	error = errno;
	/* our handlers would wake the parent's loop from inside the child */
	for (int signo = 1; pid == 0 && signo < NSIG; signo++)
		if (sigismember(&caught, signo) == 1)
			signal(signo, SIG_DFL);
	if (pid == 0)
		sigaction(SIGPIPE, &inherited_pipe, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid < 0 ? -error : pid;
}
