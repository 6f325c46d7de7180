#include "session/upstream.h"

#include <errno.h>
#include <string.h>

#include "session/session.h"

/* An answer of the name service is used for so long. */
#define ANSWER_LASTS (5 * NSEC_PER_SEC)

/* The answer has come, or a part of it: whoever waits for it looks for himself. */
static void run(struct task *task)
{
	struct upstream *u = list_entry(task, struct upstream, task);

	if (!u->asking || lookup_step(&u->answer) == -EAGAIN)
		return;
	u->asking = false;
	u->valid_until = u->answer.error ? 0 : clock_after(clock_now(), ANSWER_LASTS);
	for (struct list *l = u->waiting.next; l != &u->waiting; l = l->next)
		task_wake(&list_entry(l, struct session, upstream_link)->task);
}

void upstream_init(struct upstream *u, const char *host)
{
	struct endpoint literal;

	memset(u, 0, sizeof *u);
	u->host = host;
	u->by_name = endpoint_parse(host, &literal) != HOST_ADDRESS;
	list_init(&u->waiting);
	task_init(&u->task, run);
}

int upstream_use(struct upstream *u, struct session *s, nsec now)
{
	int r;

	if (u->by_name && !u->asking && now >= u->valid_until) {
		r = lookup_start(&u->answer, u->host, s->settings->dial->family, &u->task);
		if (r < 0)
			return r;
		u->asking = true;
	}
	list_append(&u->waiting, &s->upstream_link);
	if (u->by_name)
		dial_use(s->dial, &u->answer);
	return 0;
}

void upstream_leave(struct upstream *u, struct session *s, bool failed)
{
	list_remove(&s->upstream_link);
	if (failed)
		u->valid_until = 0;
}

void upstream_close(struct upstream *u)
{
	if (!u->host)
		return;
	if (u->asking)
		lookup_close(&u->answer);
	u->asking = false;
	task_stop(&u->task);
}
