/* Bytes cross through a buffer in our memory: the carrier that is never refused. */
#include <errno.h>

#include "flow/carrier.h"

/* Only what can block is worth waiting for; a short read of a file is just its end drawing near. */
static bool can_block(enum fd_kind kind)
{
	return kind != FD_FILE && kind != FD_MEMORY && kind != FD_NONE;
}

static ssize_t copy_fill(struct flow *f)
{
	ssize_t got;

	if (!f->buffer)
		f->buffer = lease_buffer();
	if (!f->buffer)
		return -ENOMEM;
	got = f->src->ops->read(f->src, f->buffer->bytes, f->buffer->size);
	if (got == -EAGAIN)
		f->waits = FLOW_SRC;
	if (got <= 0)
		return got;
	f->at = 0;
	f->held = (size_t)got;
	/* a short read has emptied the source: asking again at once would be one call in vain */
	f->source_empty = f->held < f->buffer->size && can_block(f->src->rkind);
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

static void copy_release(struct flow *f)
{
	lease_return(f->buffer);
	f->buffer = NULL;
}

const struct carrier carrier_copy = {"copy", copy_fill, copy_drain, copy_release};
