/*
 * The loop: a woken task runs once, whoever woke it and however often; nobody starves; and
 * whatever a task stops or frees, no event of the same batch still points there. A loop that loses
 * a wake-up hangs, so an alarm ends this program.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/signals.h"
#include "loop/timer.h"
#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define MANY 600 /* more than one batch of any poller */

/* What a task does when it runs; log_text tells who ran, in order. */
struct actor {
	struct task task;
	struct watch watch;
	struct timer timer;
	char name;
	int runs, most; /* it stops the loop in its run number `most`; 0: never */
	void (*act)(struct actor *);
	struct actor *other;
};

static char log_text[64];

static void run(struct task *t)
{
	struct actor *a = list_entry(t, struct actor, task);
	size_t n = strlen(log_text);

	if (n + 1 < sizeof log_text) {
		log_text[n] = a->name;
		log_text[n + 1] = '\0';
	}
	if (++a->runs == a->most)
		loop_stop();
	/* the last: it may free the actor */
	if (a->act)
		a->act(a);
}

static struct actor *make(char name, void (*act)(struct actor *))
{
	struct actor *a = malloc(sizeof *a);

	*a = (struct actor){.name = name, .act = act};
	task_init(&a->task, run);
	timer_init(&a->timer, &a->task);
	watch_init(&a->watch, -1, &a->task);
	return a;
}

static void unmake(struct actor *a)
{
	watch_for(&a->watch, FD_NOTHING);
	timer_stop(&a->timer);
	task_stop(&a->task);
	free(a);
}

static void begin(void)
{
	*log_text = '\0';
}

static bool ran(const char *names)
{
	return strcmp(log_text, names) == 0;
}

/* --- tasks --- */

static void stop(struct actor *a)
{
	(void)a;
	loop_stop();
}

static void check_wake(void)
{
	struct actor *a = make('a', NULL), *b = make('b', NULL), *c = make('c', stop);

	begin();
	task_wake(&b->task);
	task_wake(&a->task);
	task_wake(&b->task);
	task_wake(&b->task);
	task_wake(&c->task);
	point(loop_run() == 0 && ran("bac"), "woken often, a task runs once, in its turn (%s)",
	      log_text);
	begin();
	task_wake(&a->task);
	task_wake(&b->task);
	task_stop(&a->task);
	task_stop(&a->task);
	task_wake(&c->task);
	point(loop_run() == 0 && ran("bc"), "a wake-up that was taken back is none (%s)", log_text);
	unmake(a);
	unmake(b);
	unmake(c);
}

static void check_stop_half_way(void)
{
	struct actor *a = make('a', NULL), *b = make('b', stop), *c = make('c', NULL),
		     *d = make('d', stop);

	begin();
	task_wake(&a->task);
	task_wake(&b->task);
	task_wake(&c->task);
	task_wake(&d->task);
	loop_run();
	point(ran("ab"), "stopped, it returns behind the task that runs (%s)", log_text);
	loop_run();
	point(ran("abcd"), "run again, the rest has its turn (%s)", log_text);
	unmake(a);
	unmake(b);
	unmake(c);
	unmake(d);
}

static void wake_other(struct actor *a)
{
	task_wake(&a->other->task);
}

static void wake_self(struct actor *a)
{
	task_wake(&a->task);
}

/* What wakes up while a round runs belongs to the next one. */
static void check_rounds(void)
{
	struct actor *a = make('a', wake_other), *b = make('b', NULL), *c = make('c', NULL);

	begin();
	a->other = c;
	c->most = 1;
	task_wake(&a->task);
	task_wake(&b->task);
	loop_run();
	point(ran("abc"), "a task that is woken by another runs in the next round (%s)", log_text);
	unmake(a);
	unmake(b);
	unmake(c);
}

/* Lets the loop look at all there is a few times, without waiting for any of it. */
static void go_round(void)
{
	struct actor *a = make('.', wake_self);

	a->most = 4;
	task_wake(&a->task);
	loop_run();
	unmake(a);
}

/* --- descriptors --- */

static void watch(struct actor *a, int fd, unsigned events)
{
	watch_init(&a->watch, fd, &a->task);
	if (watch_for(&a->watch, events) < 0)
		point(false, "watching %d for %u", fd, events);
}

static void check_busy(void)
{
	struct actor *busy = make('.', wake_self), *reader = make('r', stop),
		     *timed = make('t', stop);
	int p[2];

	if (pipe(p) < 0 || write(p[1], "x", 1) != 1)
		return;
	watch(reader, p[0], FD_IN);
	task_wake(&busy->task);
	loop_run();
	point(reader->runs == 1 && busy->runs < 10,
	      "one that is always busy does not keep a descriptor waiting");
	watch_for(&reader->watch, FD_NOTHING);
	timer_set(&timed->timer, clock_now() + 5 * NSEC_PER_MSEC);
	loop_run();
	point(timed->runs == 1 && timer_due(&timed->timer, clock_now()), "nor a timer");
	unmake(busy);
	unmake(reader);
	unmake(timed);
	close(p[0]);
	close(p[1]);
}

static void check_events(void)
{
	struct actor *a = make('a', stop);
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		return;
	begin();
	watch(a, s[0], FD_IN);
	go_round();
	point(ran("....") && a->watch.got == 0, "nothing to read: no task is woken (%s)", log_text);
	point(write(s[1], "x", 1) == 1 && loop_run() == 0 && a->runs == 1 && a->watch.got == FD_IN,
	      "readable");
	a->watch.got = 0;
	loop_run();
	point(a->runs == 2 && a->watch.got == FD_IN, "still readable: woken again");
	a->watch.got = 0;
	watch_for(&a->watch, FD_OUT);
	loop_run();
	point(a->runs == 3 && a->watch.got == FD_OUT,
	      "waits for writing only: that only is told (%u)", a->watch.got);
	/* what came is added to what the owner has not cleared */
	a->watch.got = FD_ERROR;
	watch_for(&a->watch, FD_IN | FD_OUT);
	loop_run();
	point(a->watch.got == (FD_ERROR | FD_IN | FD_OUT), "both");
	watch_for(&a->watch, FD_NOTHING);
	watch_for(&a->watch, FD_NOTHING);
	begin();
	a->watch.got = 0;
	go_round();
	point(ran("....") && a->watch.got == 0, "waits for nothing: hears of nothing (%s)",
	      log_text);
	close(s[1]);
	watch_for(&a->watch, FD_IN);
	loop_run();
	point(a->watch.got & FD_ERROR, "the other end has left: told as such (%u)", a->watch.got);
	unmake(a);
	close(s[0]);
}

/* A regular file cannot block, and some pollers refuse it: it is ready. */
static void check_file(void)
{
	struct actor *a = make('a', stop);
	FILE *f = tmpfile();

	if (!f)
		return;
	watch(a, fileno(f), FD_IN);
	loop_run();
	point(a->runs == 1, "a regular file is ready at once");
	watch_for(&a->watch, FD_NOTHING);
	watch_for(&a->watch, FD_OUT);
	loop_run();
	point(a->runs == 2, "and once more when it is waited for again");
	unmake(a);
	fclose(f);
}

/* --- freed within a batch --- */

static int left;

/* Frees all that are not yet, among them some whose event came in the same batch; itself last. */
static struct actor *crowd[MANY];
static int crowd_fds[MANY][2];

static void leave(int i)
{
	if (!crowd[i])
		return;
	unmake(crowd[i]);
	close(crowd_fds[i][0]);
	close(crowd_fds[i][1]);
	crowd[i] = NULL;
	left++;
}

static int killed_while_ready;

static void free_neighbours(struct actor *a)
{
	int self = 0;

	for (int i = 0; i < MANY; i++)
		if (crowd[i] == a)
			self = i;
	for (int i = self + 1; i < self + 4 && i < MANY; i++) {
		killed_while_ready += crowd[i] && !list_empty(&crowd[i]->task.ready);
		leave(i);
	}
	leave(self);
	if (left == MANY)
		loop_stop();
}

/* Each has a byte to read and a timer that is due; each that runs frees itself and three others. */
static void check_freed(bool timers)
{
	left = killed_while_ready = 0;
	for (int i = 0; i < MANY; i++) {
		crowd[i] = make('x', free_neighbours);
		if (pipe(crowd_fds[i]) < 0 || write(crowd_fds[i][1], "x", 1) != 1) {
			crowd_fds[i][0] = crowd_fds[i][1] = -1;
			task_wake(&crowd[i]->task);
			continue;
		}
		watch(crowd[i], crowd_fds[i][0], FD_IN);
		if (timers)
			timer_set(&crowd[i]->timer, clock_now() - i);
	}
	loop_run();
	point(left == MANY && killed_while_ready > 0,
	      "%d tasks free each other with events at hand%s (%d had one)", MANY,
	      timers ? ", timers too" : "", killed_while_ready);
}

/* A number that is used anew within the batch does not inherit what came for the old one. */
static struct actor *successor;
static int old_fd, new_pipe[2];

static void replace(struct actor *a)
{
	watch_for(&a->other->watch, FD_NOTHING);
	task_stop(&a->other->task);
	close(old_fd);
	if (pipe(new_pipe) == 0)
		watch(successor, new_pipe[0], FD_IN);
	loop_stop();
}

static void check_reused_number(void)
{
	struct actor *first = make('f', replace), *second = make('s', NULL);
	int p[2], q[2];

	begin();
	successor = make('n', NULL);
	if (pipe(p) < 0 || pipe(q) < 0 || write(p[1], "x", 1) != 1 || write(q[1], "x", 1) != 1)
		return;
	old_fd = q[0];
	first->other = second;
	/* whichever comes first in the batch: both are ready before a task runs */
	watch(first, p[0], FD_IN);
	watch(second, q[0], FD_IN);
	loop_run();
	watch_for(&first->watch, FD_NOTHING);
	go_round();
	point(successor->runs == 0 && new_pipe[0] == old_fd,
	      "a new descriptor of an old number hears of nothing (%s)", log_text);
	unmake(first);
	unmake(second);
	unmake(successor);
	close(p[0]);
	close(p[1]);
	close(q[1]);
	close(new_pipe[0]);
	close(new_pipe[1]);
}

/* --- timers --- */

static bool too_early;

static void ring(struct actor *a)
{
	too_early |= clock_now() < a->timer.when;
	if (a->name == 'e')
		loop_stop();
}

static void check_timers(void)
{
	static const int after[] = {3, -5, 7, 0, 5, -1, 12};
	struct actor *all[COUNT(after)];
	nsec now = clock_now();

	begin();
	too_early = false;
	for (size_t i = 0; i < COUNT(after); i++) {
		all[i] = make(i + 1 == COUNT(after) ? 'e' : (char)('0' + i), ring);
		timer_set(&all[i]->timer, now + after[i] * NSEC_PER_MSEC);
	}
	loop_run();
	point(ran("153042e"), "timers run in the order of their moments (%s)", log_text);
	point(!too_early, "and none before its moment");
	for (size_t i = 0; i < COUNT(after); i++)
		unmake(all[i]);
	point(timer_next() == NSEC_NEVER, "none is left");
}

static void set_in_the_past(struct actor *a)
{
	timer_set(&a->timer, a->runs < 4 ? clock_now() - a->runs : NSEC_NEVER);
}

static void check_timer_set_again(void)
{
	struct actor *a = make('a', set_in_the_past);

	begin();
	a->most = 4;
	timer_set(&a->timer, clock_now());
	loop_run();
	point(ran("aaaa"), "a timer that is set into the past runs out each time (%s)", log_text);
	unmake(a);
}

/* --- signals --- */

/* Lives as long as signals may come. */
static struct actor *receiver;

static void check_signals(void)
{
	static const int caught[] = {SIGUSR1, SIGUSR2};
	struct actor *a = receiver;

	begin();
	/* what is inherited as ignored would stay so */
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	point(signals_catch(&a->task, caught, COUNT(caught)) == 0, "signals can be caught");
	point(!signals_taken(SIGUSR1) && !signals_taken(SIGUSR2), "none has come");
	raise(SIGUSR1);
	raise(SIGUSR1);
	loop_run();
	point(a->runs == 1 && signals_taken(SIGUSR1) && !signals_taken(SIGUSR1) &&
		      !signals_taken(SIGUSR2),
	      "a signal wakes its task and is told once (%s)", log_text);
}

/* In the middle of a wait without any time-out: from another process. */
static void check_signal_while_waiting(void)
{
	pid_t parent = getpid(), child;

	receiver->runs = 0;
	child = fork();
	if (child == 0) {
		/* sent again and again, for it may come before the wait as well */
		for (int i = 0; i < 1000 && getppid() == parent; i++) {
			kill(parent, SIGUSR2);
			poll(NULL, 0, 5);
		}
		_exit(0);
	}
	for (int i = 0; i < 3; i++)
		loop_run();
	point(child > 0 && receiver->runs == 3 && signals_taken(SIGUSR2),
	      "a signal ends a wait that has no other end");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* --- a signal between any two instructions --- */

enum phase { BEFORE, ASKING, ASKED };

/* Asks for SIGUSR1, and then again; ends with 0 if it was told once. In `phase` a tracer sees where it is. */
static void __attribute__((noreturn)) ask_twice(volatile int *phase)
{
	int told;

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	*phase = ASKING;
	told = signals_taken(SIGUSR1);
	*phase = ASKED;
	told += signals_taken(SIGUSR1);
	_exit(told == 1 ? 0 : 1 + told);
}

/*
 * Lets a process ask, and sends it the signal after `steps` instructions of asking. Returns its exit status, or
 * -1 if it has no so many, or cannot be stopped between two.
 */
static int interrupt_after(int steps, volatile int *phase)
{
	int status = 0, taken = 0;
	pid_t child;

	*phase = BEFORE;
	child = fork();
	if (child == 0)
		ask_twice(phase);
	waitpid(child, &status, 0);
	while (WIFSTOPPED(status) && *phase != ASKED && taken <= steps) {
		taken += *phase == ASKING;
		if (taken > steps || ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0)
			break;
		waitpid(child, &status, 0);
	}
	if (!WIFSTOPPED(status) || *phase != ASKING) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		return -1;
	}
	ptrace(PTRACE_CONT, child, NULL, (void *)(long)SIGUSR1);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_signal_between_instructions(void)
{
	static const char what[] = "a signal between any two instructions of asking for it is told once";
	volatile int *phase = mmap(NULL, sizeof *phase, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *preloaded = getenv("LD_PRELOAD");
	int steps = 0, status = 0;

	if (preloaded && strstr(preloaded, "vgpreload")) {
		skip("valgrind", "%s", what);
		return;
	}
	signals_taken(SIGUSR1);
	while (phase != MAP_FAILED && steps < 10000 && (status = interrupt_after(steps, phase)) == 0)
		steps++;
	if (steps == 0 && status < 0)
		skip("no single steps here", "%s", what);
	else
		point(status <= 0, "%s (%d of them)", what, steps);
	munmap((void *)(size_t)phase, sizeof *phase);
}

int main(void)
{
	alarm(POINT_LIMIT_S);
	if (loop_open() < 0)
		return 1;
	check_wake();
	check_stop_half_way();
	check_rounds();
	check_busy();
	check_events();
	check_file();
	check_freed(false);
	check_freed(true);
	check_reused_number();
	check_timers();
	check_timer_set_again();
	receiver = make('a', stop);
	check_signals();
	check_signal_while_waiting();
	check_signal_between_instructions();
	loop_close();
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	free(receiver);
	return done();
}
