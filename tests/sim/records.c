#include "sim/records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exitcode.h"

/* --- a queue --- */

size_t queue_length(const struct queue *q)
{
	return q->end - q->begin;
}

const unsigned char *queue_first(const struct queue *q)
{
	return q->bytes + q->begin;
}

void queue_add(struct queue *q, const void *bytes, size_t n)
{
	size_t length = queue_length(q);

	if (n == 0)
		return;
	/* reallocarray, since the simulator refuses memory to those who call realloc */
	if (q->end + n > q->room) {
		size_t room = 2 * (length + n);
		unsigned char *moved = reallocarray(q->bytes, room > q->room ? room : q->room, 1);

		if (!moved)
			abort();
		q->room = room > q->room ? room : q->room;
		q->bytes = moved;
		memmove(q->bytes, q->bytes + q->begin, length);
		q->begin = 0;
		q->end = length;
	}
	memcpy(q->bytes + q->end, bytes, n);
	q->end += n;
}

void queue_drop(struct queue *q, size_t n)
{
	q->begin += n;
	if (q->begin == q->end)
		q->begin = q->end = 0;
}

void queue_free(struct queue *q)
{
	free(q->bytes);
	*q = (struct queue){.bytes = NULL};
}

/* --- records: a kind, a length of two bytes, and as many bytes that are not what they say --- */

enum { DATA = 'd', QUESTION = '?', ANSWER = '!', END = '.' };

#define HEAD 3
#define MASK 0x5a

static void put(struct codec *c, int kind, const unsigned char *bytes, size_t n)
{
	unsigned char record[HEAD + RECORD_MOST] = {(unsigned char)kind, (unsigned char)(n >> 8),
						    (unsigned char)n};

	for (size_t i = 0; i < n; i++)
		record[HEAD + i] = bytes[i] ^ MASK;
	queue_add(&c->sealed, record, HEAD + n);
}

/* Understands the first record. Returns its length, or 0 while it is not whole. */
static size_t take_one(struct codec *c)
{
	const unsigned char *at = queue_first(&c->raw);
	size_t there = queue_length(&c->raw), n;
	unsigned char plain[RECORD_MOST];

	if (there < HEAD)
		return 0;
	n = (size_t)at[1] << 8 | at[2];
	if (n > RECORD_MOST || !strchr("d?!.", at[0]) || !at[0] || c->ended) {
		c->broken = true;
		return there;
	}
	if (there < HEAD + n)
		return 0;
	for (size_t i = 0; i < n; i++)
		plain[i] = at[HEAD + i] ^ MASK;
	if (at[0] == QUESTION && !c->said_end) {
		put(c, ANSWER, NULL, 0);
		c->answers = true;
	}
	queue_add(&c->plain, plain, at[0] == DATA ? n : 0);
	c->ended = at[0] == END;
	/* behind the end there is no answer any more */
	if (at[0] == ANSWER || at[0] == END)
		c->awaits = false;
	return HEAD + n;
}

void codec_take(struct codec *c, const void *bytes, size_t n)
{
	size_t taken;

	queue_add(&c->raw, bytes, n);
	while (!c->broken && (taken = take_one(c)) > 0)
		queue_drop(&c->raw, taken);
}

void codec_seal(struct codec *c, const void *bytes, size_t n)
{
	put(c, DATA, bytes, n);
}

void codec_ask(struct codec *c)
{
	if (c->ended)
		return;
	put(c, QUESTION, NULL, 0);
	c->awaits = true;
}

void codec_end(struct codec *c)
{
	if (!c->said_end)
		put(c, END, NULL, 0);
	c->said_end = true;
}

void codec_free(struct codec *c)
{
	queue_free(&c->raw);
	queue_free(&c->plain);
	queue_free(&c->sealed);
}

/* --- the stream --- */

static struct records *outer(struct stream *s)
{
	return (struct records *)(void *)s;
}

static unsigned chance(struct records *r, unsigned n)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return (unsigned)((r->state >> 11) % n);
}

/* Sends what is sealed. Returns 0 when all has gone, or -errno. */
static int flush(struct records *r)
{
	struct queue *q = &r->codec.sealed;

	while (queue_length(q) > 0) {
		ssize_t n = r->below->ops->write(r->below, queue_first(q), queue_length(q));

		if (n < 0)
			return (int)n;
		queue_drop(q, (size_t)n);
	}
	r->codec.answers = false;
	return 0;
}

/* The same for the writing half: a read that had to send this first need not any more. */
static int flush_for_both(struct records *r)
{
	int e = flush(r);

	if (e == 0)
		r->stream.rwait = FD_IN;
	return e;
}

/* Takes in what has come. Returns 1, or 0 at the end of the stream below, or -errno. */
static int take_in(struct records *r)
{
	static unsigned char ahead[READS_AHEAD];
	ssize_t got = r->below->ops->read(r->below, ahead, sizeof ahead);

	if (got == -EAGAIN)
		return -EAGAIN;
	if (got > 0)
		codec_take(&r->codec, ahead, (size_t)got);
	else
		r->error = got < 0 ? (int)got : r->codec.ended ? 0 : -EPROTO;
	if (r->codec.broken)
		r->error = -EBADMSG;
	if (got <= 0)
		r->codec.awaits = false;
	return r->error ? r->error : got > 0;
}

static ssize_t give(struct records *r, void *buf, size_t n)
{
	struct queue *q = &r->codec.plain;

	if (n > queue_length(q))
		n = queue_length(q);
	if (n > RECORD_MOST)
		n = RECORD_MOST;
	memcpy(buf, queue_first(q), n);
	queue_drop(q, n);
	return (ssize_t)n;
}

static ssize_t records_read(struct stream *s, void *buf, size_t n)
{
	struct records *r = outer(s);

	for (;;) {
		int e = r->codec.answers ? flush(r) : 0;

		if (e == -EAGAIN) {
			s->rwait = FD_OUT;
			return -EAGAIN;
		}
		/* that nothing can be sent any more is no reason not to have what was received */
		if (e < 0)
			r->codec.answers = false;
		if (queue_length(&r->codec.plain) > 0)
			return give(r, buf, n);
		if (r->error || r->codec.ended)
			return r->error;
		e = take_in(r);
		/* a write that had to receive this first need not any more */
		if (!r->codec.awaits)
			s->wwait = FD_OUT;
		if (e == -EAGAIN) {
			s->rwait = r->below->rwait;
			return -EAGAIN;
		}
	}
}

/* Before a record is sealed: the answer has to have come, and all has to have gone. Returns 0 or -errno. */
static int make_ready(struct records *r)
{
	int e = flush_for_both(r);

	while (e == 0 && r->codec.awaits) {
		e = take_in(r);
		if (e == -EAGAIN) {
			r->stream.wwait = FD_IN;
			return -EAGAIN;
		}
		e = e < 0 ? e : flush_for_both(r);
	}
	if (e == -EAGAIN)
		r->stream.wwait = FD_OUT;
	return e;
}

/* Seals a record and notes which bytes are in it. */
static void promise(struct records *r, const void *buf, size_t n)
{
	n = n < RECORD_MOST ? n : RECORD_MOST;
	codec_seal(&r->codec, buf, n);
	queue_add(&r->promised, buf, n);
	if (r->asks_one_of && chance(r, r->asks_one_of) == 0)
		codec_ask(&r->codec);
}

static ssize_t records_write(struct stream *s, const void *buf, size_t n)
{
	struct records *r = outer(s);
	size_t done = queue_length(&r->promised);
	int e = 0;

	if (done == 0)
		e = make_ready(r);
	if (e < 0)
		return e;
	if (done == 0)
		promise(r, buf, n);
	done = queue_length(&r->promised);
	if (n < done || memcmp(buf, queue_first(&r->promised), done) != 0 || r->codec.said_end)
		r->misused = true;
	e = flush_for_both(r);
	if (e == -EAGAIN)
		s->wwait = FD_OUT;
	if (e < 0)
		return e;
	queue_drop(&r->promised, done);
	s->wwait = FD_OUT;
	return (ssize_t)done;
}

static int records_shut(struct stream *s)
{
	struct records *r = outer(s);
	int e;

	if (r->end_fails)
		return -EIO;
	codec_end(&r->codec);
	e = flush_for_both(r);
	if (e == -EAGAIN)
		s->wwait = FD_OUT;
	return e < 0 ? e : r->below->ops->shut(r->below);
}

static bool records_pending(const struct stream *s)
{
	const struct records *r = (const struct records *)(const void *)s;

	return !r->codec.answers && (queue_length(&r->codec.plain) > 0 || r->error || r->codec.ended);
}

static int records_explain(const struct stream *s, enum stream_half half, int error, char *words, size_t size)
{
	const struct records *r = (const struct records *)(const void *)s;

	if (error != -EPROTO && error != -EBADMSG)
		return stream_explain(r->below, half, error, words, size);
	snprintf(words, size, "%s", error == -EPROTO ? "cut off before its last record" : "not a record");
	return EXIT_LOST;
}

static void records_close(struct stream *s)
{
	struct records *r = outer(s);

	r->below->ops->close(r->below);
	codec_free(&r->codec);
	queue_free(&r->promised);
	s->rfd = s->wfd = -1;
}

void records_open(struct records *r, struct stream *below, unsigned asks_one_of, unsigned long seed)
{
	static const struct stream_ops ops = {.read = records_read,
					      .write = records_write,
					      .shut = records_shut,
					      .pending = records_pending,
					      .explain = records_explain,
					      .close = records_close};

	*r = (struct records){
		.stream = *below, .below = below, .asks_one_of = asks_one_of, .state = seed | 1};
	r->stream.ops = &ops;
	r->stream.raw_in = r->stream.raw_out = false;
}
