#include "session/establish.h"

#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"

/* The pause between two rounds doubles from the first up to the longest, which depends on the time so far. */
#define FIRST_PAUSE (100 * NSEC_PER_MSEC)
#define LONGEST_PAUSE_AT_FIRST (250 * NSEC_PER_MSEC)
#define LONGEST_PAUSE NSEC_PER_SEC
#define AT_FIRST (10 * NSEC_PER_SEC)

/* The last round begins when the time of --retry ends, and may take this long. */
#define LAST_ROUND (250 * NSEC_PER_MSEC)

struct establish {
	nsec began, budget_ends, retry_ends;
	nsec round_ends; /* by --retry=TIME */
	nsec pause;
	nsec pause_ends; /* 0: no pause now */
	char *failure;   /* of the last round; NULL: none yet */
	int status;      /* ... and its status */
};

static struct establish *establish_of(const struct session *s)
{
	return s->notes ? s->notes->establish : NULL;
}

static enum stage_result establish_begin(struct session *s, nsec now)
{
	const struct dial_settings *d = s->settings->dial;
	struct session_notes *n = session_notes(s);
	struct establish *e = n ? calloc(1, sizeof *e) : NULL;

	if (!e)
		return session_await_memory(s, now);
	/* counted from the session's beginning: a wait for memory is part of it */
	e->began = s->began;
	e->budget_ends = d->timeout ? clock_after(e->began, d->timeout) : NSEC_NEVER;
	e->retry_ends = d->retry_for ? clock_after(e->began, d->retry_for) : NSEC_NEVER;
	e->round_ends = d->retry ? e->retry_ends : NSEC_NEVER;
	e->pause = d->retry_interval ? d->retry_interval : FIRST_PAUSE;
	n->establish = e;
	return STAGE_DONE;
}

/* Fails as the last round did. Returns STAGE_FAILED. */
static enum stage_result fail_as_before(struct session *s, const struct establish *e)
{
	char limit[32];

	if (e->budget_ends > e->round_ends)
		return session_fail(s, e->status, "%s", e->failure);
	clock_words(s->settings->dial->timeout, limit, sizeof limit);
	return session_fail(s, EXIT_TIMEDOUT, "%s; no success within %s (--timeout)", e->failure, limit);
}

enum stage_result establish_time_is_up(struct session *s, const char *what)
{
	const struct establish *e = establish_of(s);
	const struct dial_settings *d = s->settings->dial;
	bool by_budget = e->budget_ends <= e->round_ends;
	char limit[32];

	if (e->failure)
		return fail_as_before(s, e);
	clock_words(by_budget ? d->timeout : d->retry_for, limit, sizeof limit);
	return session_fail(s, EXIT_TIMEDOUT, "%s: no answer within %s (%s)", what, limit,
			    by_budget ? "--timeout" : "--retry");
}

enum stage_result establish_step(struct session *s, nsec now)
{
	struct establish *e = establish_of(s);

	if (!e)
		return establish_begin(s, now);
	if (!e->pause_ends)
		return STAGE_DONE;
	if (now >= e->budget_ends)
		return fail_as_before(s, e);
	if (now < e->pause_ends) {
		session_wake_at(s, e->pause_ends < e->budget_ends ? e->pause_ends : e->budget_ends);
		return STAGE_WAIT;
	}
	e->pause_ends = 0;
	e->round_ends = now < e->retry_ends ? e->retry_ends : clock_after(now, LAST_ROUND);
	return STAGE_DONE;
}

nsec establish_until(const struct session *s)
{
	const struct establish *e = establish_of(s);

	return e->budget_ends < e->round_ends ? e->budget_ends : e->round_ends;
}

/* The pause that comes now; the next one will be longer, but never shorter than what was asked for. */
static nsec next_pause(struct establish *e, nsec now)
{
	nsec longest = now - e->began < AT_FIRST ? LONGEST_PAUSE_AT_FIRST : LONGEST_PAUSE, pause = e->pause;

	if (e->pause < longest)
		e->pause = e->pause * 2 < longest ? e->pause * 2 : longest;
	return pause;
}

/* Keeps what the failure was, for when the time is up, and takes it off the session. */
static void take_failure(struct session *s, struct establish *e)
{
	free(e->failure);
	e->failure = s->notes->failure;
	e->status = s->status;
	s->notes->failure = NULL;
	s->status = 0;
	s->failed = false;
}

/* Back to the first stage of the run, with the leg as it was then. */
static void rewind_plan(struct session *s)
{
	session_leave_stage(s);
	session_forget(s, leg_socket(&s->legs[s->plan->leg]));
	leg_close(&s->legs[s->plan->leg]);
	while (s->plan > s->settings->plan && s->plan[-1].establishes)
		s->plan--;
}

enum stage_result establish_again(struct session *s, nsec now)
{
	struct establish *e = establish_of(s);

	if (!s->settings->dial->retry || now >= e->retry_ends || !s->notes->failure)
		return STAGE_FAILED;
	take_failure(s, e);
	diag_detail("%s; will retry", e->failure);
	rewind_plan(s);
	e->pause_ends = clock_after(now, next_pause(e, now));
	if (e->pause_ends > e->retry_ends)
		e->pause_ends = e->retry_ends;
	e->round_ends = NSEC_NEVER;
	return establish_step(s, now);
}

void establish_end(struct session *s)
{
	struct establish *e = establish_of(s);

	if (!e)
		return;
	free(e->failure);
	free(e);
	s->notes->establish = NULL;
	session_tidy_notes(s);
}
