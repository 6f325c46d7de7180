#include "net/shared_lookup.h"

#include <errno.h>
#include <string.h>

/* Bytes of the answer have come: when it is whole, wakes the dials that wait for it. */
static void shared_lookup_run(struct task *task)
{
	struct shared_lookup *l = list_entry(task, struct shared_lookup, task);

	if (!l->asking || lookup_step(&l->answer) == -EAGAIN)
		return;
	l->asking = false;
	l->valid_until = l->answer.error && !l->keeps_failures ? 0 : clock_after(clock_now(), l->lasts);
	for (struct list *i = l->waiting.next; i != &l->waiting; i = i->next)
		task_wake(list_entry(i, struct lookup_waiter, link)->task);
}

void shared_lookup_init(struct shared_lookup *l, const char *host, int family, nsec lasts)
{
	struct endpoint literal;

	memset(l, 0, sizeof *l);
	l->host = host;
	l->family = family;
	l->lasts = lasts;
	l->by_name = endpoint_parse(host, &literal) != HOST_ADDRESS;
	list_init(&l->waiting);
	task_init(&l->task, shared_lookup_run);
}

const struct lookup *shared_lookup_use(struct shared_lookup *l, struct lookup_waiter *w, nsec now, int *error)
{
	*error = 0;
	list_init(&w->link);
	if (!l->by_name)
		return NULL;
	if (!l->asking && now >= l->valid_until) {
		*error = lookup_start(&l->answer, l->host, l->family, &l->task);
		if (*error < 0)
			return NULL;
		l->asking = true;
	}
	list_append(&l->waiting, &w->link);
	return &l->answer;
}

void shared_lookup_leave(struct lookup_waiter *w)
{
	if (w->link.next)
		list_remove(&w->link);
}

void shared_lookup_forget(struct shared_lookup *l)
{
	if (!l->keeps_failures)
		l->valid_until = 0;
}

void shared_lookup_close(struct shared_lookup *l)
{
	if (!l->host)
		return;
	if (l->asking)
		lookup_close(&l->answer);
	l->asking = false;
	task_stop(&l->task);
}
