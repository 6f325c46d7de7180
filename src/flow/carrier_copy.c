/* Bytes cross through a buffer in our memory: the carrier that is never refused. */
#include <errno.h>

#include "flow/carrier.h"

#define CHUNK_BYTES ((size_t)256 * 1024)

/* Only what can block is worth waiting for; a short read of a file is just its end drawing near. */
static bool can_block(enum fd_kind kind)
{
	return kind != FD_FILE && kind != FD_MEMORY && kind != FD_NONE;
}

/* A file is written best in large pieces; elsewhere a buffer that stays in the cache is better. */
static size_t chunk(const struct flow *f)
{
	return f->dst->wkind == FD_FILE ? LEASE_BYTES : CHUNK_BYTES;
}

static ssize_t copy_fill(struct flow *f)
{
	ssize_t got;

	if (!f->buffer)
		f->buffer = lease_buffer();
	if (!f->buffer)
		return -ENOMEM;
	got = f->src->ops->read(f->src, f->buffer->bytes, chunk(f));
	if (got == -EAGAIN)
		f->waits = FLOW_SRC;
	if (got <= 0)
		return got;
	f->at = 0;
	f->held = (size_t)got;
	/* a short read has emptied the source: asking again at once would be one call in vain */
	f->source_empty = f->held < chunk(f) && can_block(f->src->rkind);
	return got;
}

static ssize_t copy_drain(struct flow *f)
{
	ssize_t put = f->dst->ops->write(f->dst, f->buffer->bytes + f->at, f->held);

	if (put == -EAGAIN)
		f->waits = FLOW_DST;
	if (put > 0) {
		f->at += (size_t)put;
		f->held -= (size_t)put;
		f->moved += (uint64_t)put;
	}
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
