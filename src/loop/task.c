#include "loop/task.h"

static struct list ready = {&ready, &ready};

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

bool task_any_ready(void)
{
	return !list_empty(&ready);
}

void task_run_ready(const bool *stop)
{
	struct list round;

	list_take(&round, &ready);
	while (!list_empty(&round) && !*stop) {
		struct task *t = list_entry(round.next, struct task, ready);

		list_remove(&t->ready);
		t->run(t);
	}
	/* stopped in mid-round: the rest stays woken */
	while (!list_empty(&round)) {
		struct list *node = round.next;

		list_remove(node);
		list_append(&ready, node);
	}
}
