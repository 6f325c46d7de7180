#include "loop/timer.h"

static struct timer *root;

/* Joins two heaps; either may be NULL. The earlier root becomes the parent of the other. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->when < a->when) {
		struct timer *t = a;

		a = b;
		b = t;
	}
	b->next = a->child;
	b->prev = a;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Makes one heap of a row of siblings: in pairs from the left, then those from the right. */
static struct timer *meld_row(struct timer *row)
{
	struct timer *pairs = NULL, *heap = NULL;

	while (row) {
		struct timer *a = row, *b = row->next;

		row = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct timer *rest = pairs->next;

		pairs->next = NULL;
		heap = meld(heap, pairs);
		pairs = rest;
	}
	return heap;
}

static bool linked(const struct timer *t)
{
	return t == root || t->prev;
}

/* Takes `t` out of the heap, if it is in it. */
static void unlink_timer(struct timer *t)
{
	struct timer *orphans;

	if (!linked(t))
		return;
	orphans = meld_row(t->child);
	t->child = NULL;
	if (t == root) {
		root = orphans;
		return;
	}
	if (t->prev->child == t)
		t->prev->child = t->next;
	else
		t->prev->next = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->next = t->prev = NULL;
	root = meld(root, orphans);
}

void timer_init(struct timer *t, struct task *task)
{
	*t = (struct timer){.when = NSEC_NEVER, .task = task};
}

void timer_set(struct timer *t, nsec when)
{
	if (when == t->when && linked(t))
		return;
	unlink_timer(t);
	t->when = when;
	if (when != NSEC_NEVER)
		root = meld(root, t);
}

void timer_stop(struct timer *t)
{
	timer_set(t, NSEC_NEVER);
}

bool timer_due(const struct timer *t, nsec now)
{
	return t->when <= now;
}

nsec timer_next(void)
{
	return root ? root->when : NSEC_NEVER;
}

void timer_wake_due(void)
{
	nsec now;

	/* a busy relay has no timer, and saves the call of clock_gettime(2) */
	if (!root)
		return;
	now = clock_now();
	while (root && root->when <= now) {
		struct timer *t = root;

		unlink_timer(t);
		task_wake(t->task);
	}
}
