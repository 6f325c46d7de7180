#include "loop/loop.h"

#include <errno.h>

#include "loop/poller.h"
#include "loop/timer.h"

static struct list ready = {&ready, &ready};
static bool stopping;

int loop_open(void)
{
	return poller_open();
}

void loop_close(void)
{
	poller_close();
}

void task_init(struct task *t, void (*run)(struct task *))
{
	t->run = run;
	list_init(&t->ready);
}

void task_wake(struct task *t)
{
	if (list_empty(&t->ready))
		list_append(&ready, &t->ready);
}

void task_stop(struct task *t)
{
	list_remove(&t->ready);
}

void watch_init(struct watch *w, int fd, struct task *t)
{
	*w = (struct watch){.fd = fd, .slot = -1, .task = t};
}

int watch_for(struct watch *w, unsigned events)
{
	int r;

	if (events == w->events)
		return 0;
	r = poller_set(w, events);
	if (r == -EPERM) {
		/* what the poll set refuses can never block: it is ready now */
		task_wake(w->task);
		return 0;
	}
	if (r == 0)
		w->events = events;
	return r;
}

/* Runs what is ready now; what gets ready meanwhile waits for the next round, so nobody starves. */
static void run_ready(void)
{
	struct list round;

	list_take(&round, &ready);
	while (!list_empty(&round) && !stopping) {
		struct task *t = list_entry(round.next, struct task, ready);

		list_remove(&t->ready);
		t->run(t);
	}
	/* stopped half-way: the rest keeps its turn */
	while (!list_empty(&round)) {
		struct list *node = round.next;

		list_remove(node);
		list_append(&ready, node);
	}
}

int loop_run(void)
{
	int r = 0;

	stopping = false;
	while (r >= 0) {
		run_ready();
		if (stopping)
			return 0;
		r = poller_wait(list_empty(&ready) ? timer_next() : 0);
		timer_wake_due();
	}
	return r;
}

void loop_stop(void)
{
	stopping = true;
}
