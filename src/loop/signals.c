#include "loop/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/exitcode.h"

static int waker = -1; /* an eventfd */
static volatile sig_atomic_t noted[NSIG];
static sigset_t caught; /* those with a handler of ours */
static sigset_t ignored; /* at the start */
static bool looked_at_ignored;
static struct sigaction inherited_pipe = {.sa_handler = SIG_DFL};
static struct sigaction inherited_xfsz = {.sa_handler = SIG_DFL};
static struct watch watch;
static struct task drainer;
static struct task *receiver;

/* All a handler does: note the number, wake the loop. */
static void note(int signo)
{
	static const uint64_t one = 1;
	int saved = errno;

	noted[signo] = 1;
	if (write(waker, &one, sizeof one) < 0)
		noted[signo] = 1; /* the counter is full: woken all the same */
	errno = saved;
}

static void signals_drain(struct task *t)
{
	uint64_t sink;

	(void)t;
	if (read(waker, &sink, sizeof sink) > 0)
		task_wake(receiver);
}

/*
 * Puts `handler` in place of the default action of `n` signals, and unblocks them; those that are ignored stay
 * so.
 */
static void handle(const int *which, int n, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;
	sigset_t heard;

	sigfillset(&action.sa_mask);
	sigemptyset(&heard);
	for (int i = 0; i < n; i++) {
		sigaction(which[i], NULL, &old);
		if (old.sa_handler == SIG_IGN)
			continue;
		sigaddset(&caught, which[i]);
		sigaction(which[i], &action, NULL);
		sigaddset(&heard, which[i]);
	}
	/* inherited as blocked, it would never come: children could not be reaped, nor the program be ended */
	sigprocmask(SIG_UNBLOCK, &heard, NULL);
}

/* Opens the eventfd through which handlers wake the loop, once. Returns 0 or -errno. */
static int open_waker(void)
{
	if (waker >= 0)
		return 0;
	waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (waker < 0)
		return -errno;
	task_init(&drainer, signals_drain);
	watch_init(&watch, waker, &drainer);
	return watch_for(&watch, FD_IN);
}

int signals_catch(struct task *task, const int *which, int n)
{
	int r = open_waker();

	if (r < 0)
		return r;
	receiver = task;
	handle(which, n, note, SA_RESTART);
	return 0;
}

bool signals_taken(int signo)
{
	if (!noted[signo])
		return false;
	/* cleared before the caller acts on it: a signal that comes later sets it again, and is not lost */
	noted[signo] = 0;
	return true;
}

bool signals_came(int signo)
{
	return noted[signo];
}

void signals_begin(void)
{
	static const int deadly[] = {SIGTERM, SIGINT, SIGHUP};

	handle(deadly, sizeof deadly / sizeof *deadly, signals_die, 0);
	signal(SIGCHLD, SIG_DFL);
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &inherited_pipe);
	sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, &inherited_xfsz);
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
	/* still here: process 1 of a PID namespace has no default actions */
	if (signo != SIGPIPE || inherited_pipe.sa_handler != SIG_IGN)
		_exit(EXIT_SIGNAL + signo);
}

/* Finds the ignored signals, once: signals_default() then resets only those and the caught ones. */
static void look_at_ignored(void)
{
	struct sigaction now;

	looked_at_ignored = true;
	sigemptyset(&ignored);
	for (int signo = 1; signo < NSIG; signo++)
		if (sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
			sigaddset(&ignored, signo);
}

void signals_block(sigset_t *before)
{
	sigset_t all;

	if (!looked_at_ignored)
		look_at_ignored();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, before);
}

void signals_unblock(const sigset_t *before)
{
	sigprocmask(SIG_SETMASK, before, NULL);
}

void signals_default(void)
{
	struct sigaction action;
	sigset_t none;

	memset(&action, 0, sizeof action);
	action.sa_handler = SIG_DFL;
	for (int signo = 1; signo < NSIG; signo++)
		if (sigismember(&caught, signo) == 1 || sigismember(&ignored, signo) == 1)
			sigaction(signo, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t signals_fork(void)
{
	sigset_t before;
	pid_t pid;
	int error;

	signals_block(&before);
	pid = fork();
	error = errno;
	/* our handlers would wake the parent's loop from inside the child */
	for (int signo = 1; pid == 0 && signo < NSIG; signo++)
		if (sigismember(&caught, signo) == 1)
			signal(signo, SIG_DFL);
	if (pid == 0) {
		sigaction(SIGPIPE, &inherited_pipe, NULL);
		sigaction(SIGXFSZ, &inherited_xfsz, NULL);
	}
	signals_unblock(&before);
	return pid < 0 ? -error : pid;
}
