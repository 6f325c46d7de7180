#include "flow/filter.h"

#include <string.h>

static size_t slow_portion(struct filter *f, const unsigned char *bytes, size_t n, nsec now, nsec *when)
{
	struct filter_slow *s = (struct filter_slow *)(void *)f;
	const unsigned char *line_end = s->delay ? memchr(bytes, '\n', n) : NULL;

	if (now < s->not_before) {
		*when = s->not_before;
		return 0;
	}
	if (line_end)
		n = (size_t)(line_end - bytes) + 1;
	return s->chunk && n > s->chunk ? s->chunk : n;
}

/* The pause begins when the whole line has gone. */
static void slow_gave(struct filter *f, const unsigned char *bytes, size_t n)
{
	struct filter_slow *s = (struct filter_slow *)(void *)f;

	if (s->delay && bytes[n - 1] == '\n')
		s->not_before = clock_after(clock_now(), s->delay);
}

void filter_slow_init(struct filter_slow *s, nsec delay, size_t chunk)
{
	static const struct filter_ops ops = {.name = "slow", .portion = slow_portion, .gave = slow_gave};

	*s = (struct filter_slow){.filter.ops = &ops, .delay = delay, .chunk = chunk};
}
