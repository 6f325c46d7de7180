#include "flow/filter.h"

/* A burst is the bytes of a tenth of a second. */
#define BURSTS_PER_SECOND 10

static double burst(const struct filter_rate *r)
{
	double bytes = r->per_second / BURSTS_PER_SECOND;

	return bytes < 1 ? 1 : bytes;
}

static void refill(struct filter_rate *r, nsec now)
{
	r->allowance += (double)(now - r->counted_at) / NSEC_PER_SEC * r->per_second;
	if (r->allowance > burst(r))
		r->allowance = burst(r);
	r->counted_at = now;
}

/* Opens for half a burst or more, so that a slow rate does not cost a read for every few bytes. */
static size_t rate_admit(struct filter *f, size_t n, nsec now, nsec *when)
{
	struct filter_rate *r = (struct filter_rate *)(void *)f;
	double enough = burst(r) / 2 < 1 ? 1 : burst(r) / 2;

	refill(r, now);
	if (r->allowance >= enough)
		return r->allowance < (double)n ? (size_t)r->allowance : n;
	*when = now + (nsec)((enough - r->allowance) / r->per_second * NSEC_PER_SEC) + 1;
	return 0;
}

static void rate_took(struct filter *f, size_t n)
{
	((struct filter_rate *)(void *)f)->allowance -= (double)n;
}

void filter_rate_init(struct filter_rate *r, int64_t per_second)
{
	static const struct filter_ops ops = {.name = "rate", .admit = rate_admit, .took = rate_took};

	*r = (struct filter_rate){
		.filter.ops = &ops, .per_second = (double)per_second, .counted_at = clock_now()};
}
