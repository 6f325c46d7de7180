#include "flow/flow.h"

#include <errno.h>

#include "flow/carrier.h"
#include "flow/pacing.h"

/*
 * Fills and drains in one step, for fairness. Of the largest pieces, 1 MiB, a copy to a file then moves 16,
 * and splice(2) between a pipe and a socket 32.
 */
#define FAIR_ROUNDS 32

void flow_init(struct flow *f, struct stream *src, struct stream *dst)
{
	*f = (struct flow){.src = src, .dst = dst, .carrier = &carrier_copy};
}

static bool flow_fail(struct flow *f, ssize_t error, enum flow_sides culprit)
{
	f->error = (int16_t)error;
	/* carrier_splice, which reads and writes in one call, has told the side already */
	if (f->culprit == FLOW_NEITHER)
		f->culprit = (uint8_t)culprit;
	f->state = FLOW_FAILED;
	return false;
}

/* The kernel refuses to go on: held bytes are moved into a buffer, and a copy goes on from there. */
static bool flow_fall_back(struct flow *f)
{
	int r = f->carrier->rescue(f);

	f->culprit = FLOW_NEITHER;
	if (r < 0)
		return flow_fail(f, r, FLOW_SRC);
	f->refused = true;
	f->source_empty = false;
	f->carrier = &carrier_copy;
	return true;
}

/* Gives held bytes on. Returns false when the flow has to wait or is over. */
static bool flow_drain(struct flow *f)
{
	ssize_t put = f->carrier->drain(f);

	if (put == CARRIER_REFUSED)
		return flow_fall_back(f);
	if (put < 0 && put != -EAGAIN)
		return flow_fail(f, put, FLOW_DST);
	return put >= 0;
}

/* Nothing is held: takes the carrier that is best now. */
static void flow_choose(struct flow *f)
{
	const struct carrier *better = carrier_choose(f);

	if (better == f->carrier)
		return;
	f->carrier->release(f);
	f->carrier = better;
}

/* Asks the gates how many bytes may be taken now. */
static size_t admitted(struct flow *f)
{
	size_t quota = SIZE_MAX;
	nsec now;

	if (!f->filters)
		return quota;
	now = clock_now();
	for (struct filter *i = f->filters; i && quota > 0; i = i->next)
		if (i->ops->admit)
			quota = i->ops->admit(i, quota, now, &f->resume_at);
	return quota;
}

/* Tells the filters that `n` bytes have been taken; those behind a map, how many are held. */
static void flow_took(struct flow *f, size_t n)
{
	for (struct filter *i = f->filters; i; i = i->next) {
		if (i->ops->took)
			i->ops->took(i, n);
		if (i->ops->map)
			n = f->held;
	}
}

/*
 * A filter has bytes of its own to give to a destination that still takes some: behind the end of the
 * source, too, and as long as that end is withheld.
 */
static bool flow_has_own(const struct flow *f)
{
	if (f->cut || f->state == FLOW_FAILED || (f->state == FLOW_DONE && !f->withhold_end))
		return false;
	for (struct filter *i = f->filters; i; i = i->next)
		if (i->ops->has_own && i->ops->has_own(i))
			return true;
	return false;
}

/*
 * Takes bytes from the source, or before them those that a filter has. Returns false when the flow has to
 * wait or is over.
 */
static bool flow_fill(struct flow *f)
{
	ssize_t got;
	size_t quota;

	if (f->source_empty && !flow_has_own(f)) {
		/* known without asking: wait, and ask when woken */
		f->source_empty = false;
		f->waits = FLOW_SRC;
		return false;
	}
	quota = admitted(f);
	if (quota == 0)
		return false;
	flow_choose(f);
	got = f->carrier->fill(f, quota);
	if (got == 0)
		got = f->lost;
	if (got == CARRIER_REFUSED)
		return flow_fall_back(f);
	/* neither side is waited for: a coincidence, try again; unless a filter holds back */
	if (got == -EAGAIN)
		return f->waits == FLOW_NEITHER && !f->resume_at;
	if (got < 0)
		return flow_fail(f, got, FLOW_SRC);
	if (got == 0)
		f->state = FLOW_ENDING;
	else
		pacing_size_up(f, (size_t)got);
	flow_took(f, (size_t)got);
	return true;
}

/* The source has ended and all is given: end the destination. Returns false: nothing is left to do. */
static bool flow_finish(struct flow *f)
{
	int r = f->withhold_end ? 0 : f->dst->ops->shut(f->dst);

	if (r == -EAGAIN)
		f->waits = FLOW_DST;
	else if (r < 0)
		return flow_fail(f, r, FLOW_DST);
	else
		f->state = FLOW_DONE;
	return false;
}

/* One round: drain before fill, fill before the end. Returns false when there is no next one now. */
static bool flow_advance(struct flow *f)
{
	if (f->state == FLOW_FAILED)
		return false;
	if (f->held > 0)
		return flow_drain(f);
	if (f->state == FLOW_OPEN || flow_has_own(f))
		return flow_fill(f);
	return f->state == FLOW_ENDING ? flow_finish(f) : false;
}

bool flow_step(struct flow *f)
{
	uint64_t before = f->moved + f->held;
	bool more = true;

	f->waits = FLOW_NEITHER;
	f->resume_at = 0;
	for (int round = 0; more && round < FAIR_ROUNDS; round++)
		more = flow_advance(f);
	if (f->waits == FLOW_SRC)
		pacing_step(f, f->moved + f->held - before);
	/* an idle flow owns nothing; a failed one will not need it any more */
	if (f->held == 0 || f->state == FLOW_FAILED)
		f->carrier->release(f);
	return more;
}

void flow_stop_reading(struct flow *f)
{
	if (f->state != FLOW_OPEN)
		return;
	f->state = FLOW_ENDING;
	f->waits &= (uint8_t)~FLOW_SRC;
}

void flow_break(struct flow *f, int error, enum flow_sides culprit)
{
	if (flow_over(f))
		return;
	f->culprit = FLOW_NEITHER;
	flow_fail(f, error, culprit);
	f->waits = FLOW_NEITHER;
	f->carrier->release(f);
}

void flow_cut(struct flow *f)
{
	if (flow_over(f))
		return;
	pacing_step(f, 0);
	f->carrier->release(f);
	f->held = 0;
	f->waits = FLOW_NEITHER;
	f->cut = true;
	f->state = FLOW_DONE;
}

void flow_dismiss(struct flow *f)
{
	f->error = 0;
	f->culprit = FLOW_NEITHER;
	f->state = FLOW_OPEN;
	flow_cut(f);
}

bool flow_over(const struct flow *f)
{
	return f->state == FLOW_DONE || f->state == FLOW_FAILED;
}

bool flow_may_go_on(const struct flow *f)
{
	/* a step may be worth it without an event: by time, or for bytes of a filter's own */
	if (f->waits == FLOW_NEITHER || f->bulk || f->resume_at || f->filters)
		return true;
	return stream_is_crossed(f->src) || stream_is_crossed(f->dst) ||
	       ((f->waits & FLOW_SRC) && stream_pending(f->src));
}

void flow_close(struct flow *f)
{
	f->carrier->release(f);
}
