#include "sim/far.h"

#include <string.h>

static unsigned long state = 1;

void chance_seed(unsigned long seed)
{
	/* neighbours are to have nothing in common */
	state = (seed + 1) * 0x9e3779b97f4a7c15UL;
	state ^= state >> 29;
	state |= 1;
	for (int i = 0; i < 4; i++)
		chance(2);
}

unsigned chance(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 11) % n);
}

static void hear(struct far *f, const unsigned char *bytes, size_t n)
{
	if (n > f->wanted - f->heard || (n > 0 && memcmp(bytes, f->hears + f->heard, n) != 0)) {
		f->wrong = true;
		return;
	}
	f->heard += n;
}

void far_take(struct far *f, const unsigned char *bytes, size_t n)
{
	struct queue *q = &f->codec.plain;

	if (!f->sealed) {
		hear(f, bytes, n);
		return;
	}
	codec_take(&f->codec, bytes, n);
	if (queue_length(q) > 0)
		hear(f, queue_first(q), queue_length(q));
	queue_drop(q, queue_length(q));
	f->wrong |= f->codec.broken;
}

struct queue *far_queue(struct far *f)
{
	return f->sealed ? &f->codec.sealed : &f->plain;
}

static bool has_heard_end(const struct far *f)
{
	return f->end_heard || f->codec.ended;
}

/* All of it, or an end before that. */
static bool has_heard_all(const struct far *f)
{
	return f->heard == f->wanted || has_heard_end(f);
}

static bool has_heard_enough(const struct far *f)
{
	if (f->last && !has_heard_end(f))
		return false;
	return !f->patient || has_heard_all(f);
}

bool far_may_say(const struct far *f)
{
	if (f->answers && !has_heard_all(f))
		return false;
	/* in proportion: so one of two that talk may always go on */
	if (f->talks && f->said < f->length && !has_heard_all(f) &&
	    f->said * f->wanted > f->heard * f->length)
		return false;
	return f->said < f->length || (f->sealed && !f->codec.said_end && has_heard_enough(f));
}

void far_say(struct far *f)
{
	size_t left = f->length - f->said, n = 1 + chance(chance(3) && !f->talks ? RECORD_MOST : 200);
	const unsigned char *piece = f->says + f->said;

	if (n > left)
		n = left;
	f->said += n;
	if (!f->sealed) {
		queue_add(&f->plain, piece, n);
		return;
	}
	if (chance(4) == 0)
		codec_ask(&f->codec);
	if (n > 0)
		codec_seal(&f->codec, piece, n);
	if (f->said == f->length && has_heard_enough(f))
		codec_end(&f->codec);
}

bool far_may_end(const struct far *f)
{
	if (f->sealed)
		return f->codec.said_end;
	return f->said == f->length && has_heard_enough(f) && !far_may_say(f);
}

void far_free(struct far *f)
{
	codec_free(&f->codec);
	queue_free(&f->plain);
}
