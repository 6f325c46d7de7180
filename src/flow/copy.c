/* Bytes cross through a buffer in our memory: the carrier that is never refused. */
#include <errno.h>
#include <string.h>

#include "flow/carrier.h"

#define CHUNK_BYTES ((size_t)256 * 1024)

/* The pause before another try to get memory for a buffer. */
#define LEASE_PAUSE (10 * NSEC_PER_MSEC)

/* False for what never blocks: a short read of a file only means that its end is near. */
static bool can_block(enum fd_kind kind)
{
	return kind != FD_FILE && kind != FD_MEMORY && kind != FD_NONE;
}

/*
 * A short read has emptied the source: asking again at once would be one call in vain. Not so while
 * the stream has more, or when rwait may be left from an earlier -EAGAIN: only another tells what to
 * wait for now.
 */
static bool is_empty(const struct stream *src)
{
	return can_block((enum fd_kind)src->rkind) && !stream_pending(src) && src->rwait != FD_OUT;
}

/* A file is written best in large pieces; elsewhere a buffer that stays in the cache is better. */
static size_t copy_chunk(const struct flow *f)
{
	return f->dst->wkind == FD_FILE ? LEASE_BYTES : CHUNK_BYTES;
}

/* A map at most doubles its bytes, and a flow has two at most: what a read of this size becomes fits. */
#define MAPPED_BYTES (LEASE_BYTES / 4)

static bool any_maps(const struct flow *f)
{
	for (const struct filter *i = f->filters; i; i = i->next)
		if (i->ops->map)
			return true;
	return false;
}

/*
 * Maps the `n` bytes at the upper half of the buffer down to its beginning; between two filters they move
 * up again. Since each of them at most doubles, it never writes over what it has still to read.
 */
static size_t copy_map(struct flow *f, size_t n)
{
	unsigned char *low = f->buffer->bytes, *high = low + LEASE_BYTES / 2;
	bool first = true;

	for (struct filter *i = f->filters; i; i = i->next) {
		if (!i->ops->map)
			continue;
		if (!first)
			memmove(high, low, n);
		n = i->ops->map(i, high, n, low);
		first = false;
	}
	return n;
}

/* Puts bytes of a filter's own into the buffer, of the first that has some. Returns how many. */
static size_t copy_inject(struct flow *f)
{
	for (struct filter *i = f->filters; i; i = i->next) {
		size_t n = i->ops->inject ? i->ops->inject(i, f->buffer->bytes, LEASE_BYTES) : 0;

		if (n > 0)
			return n;
	}
	return 0;
}

/* Memory has run out: waits while other flows have buffers on loan, else returns -ENOMEM. */
static ssize_t wait_for_buffer(struct flow *f)
{
	if (!lease_is_worth_waiting())
		return -ENOMEM;
	f->resume_at = clock_now() + LEASE_PAUSE;
	return -EAGAIN;
}

static ssize_t copy_fill(struct flow *f, size_t most)
{
	bool maps = any_maps(f);
	size_t wanted = maps ? MAPPED_BYTES : copy_chunk(f);
	ssize_t got;

	if (!f->buffer)
		f->buffer = lease_buffer();
	if (!f->buffer)
		return wait_for_buffer(f);
	if (wanted > lease_share())
		wanted = lease_share();
	f->at = 0;
	f->held = (uint32_t)copy_inject(f);
	if (f->held > 0)
		return (ssize_t)f->held;
	if (most < wanted)
		wanted = most;
	got = f->src->ops->read(f->src, f->buffer->bytes + (maps ? LEASE_BYTES / 2 : 0), wanted);
	if (got == -EAGAIN)
		f->waits = FLOW_SRC;
	if (got <= 0)
		return got;
	f->held = (uint32_t)(maps ? copy_map(f, (size_t)got) : (size_t)got);
	f->source_empty = (size_t)got < wanted && is_empty(f->src);
	return got;
}

/* How many of the held bytes the gates let go now; 0: none. */
static size_t copy_portion(struct flow *f)
{
	size_t n = f->held;
	nsec now = f->filters ? clock_now() : 0;

	for (struct filter *i = f->filters; i && n > 0; i = i->next)
		if (i->ops->portion)
			n = i->ops->portion(i, f->buffer->bytes + f->at, n, now, &f->resume_at);
	return n;
}

static ssize_t copy_drain(struct flow *f)
{
	const unsigned char *bytes = f->buffer->bytes + f->at;
	size_t n = copy_portion(f);
	ssize_t put = n > 0 ? f->dst->ops->write(f->dst, bytes, n) : -EAGAIN;

	if (put == -EAGAIN && n > 0)
		f->waits = FLOW_DST;
	if (put <= 0)
		return put;
	f->at += (uint32_t)put;
	f->held -= (uint32_t)put;
	f->moved += (uint64_t)put;
	for (struct filter *i = f->filters; i; i = i->next)
		if (i->ops->gave)
			i->ops->gave(i, bytes, (size_t)put);
	return put;
}

static int copy_rescue(struct flow *f)
{
	(void)f;
	return 0;
}

static void copy_release(struct flow *f)
{
	lease_return_buffer(f->buffer);
	f->buffer = NULL;
}

const struct carrier carrier_copy = {"copy", copy_fill, copy_drain, copy_rescue, copy_release};
