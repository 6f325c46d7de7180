/*
 * A stream like TLS without its mathematics: records on top of the stream below, with all that makes
 * such a stream awkward. It reads ahead, up to READS_AHEAD bytes at once, gives at most a record of
 * them a read, and the descriptor shows nothing meanwhile. A question of the peer has to be answered
 * before reading goes on, so a read may have to write; a question to the peer has to be answered
 * before writing goes on, so a write may have to read, and what it reads besides is for the other
 * half. Its end is a record of its own.
 */
#ifndef SIM_RECORDS_H
#define SIM_RECORDS_H

#include "stream/stream.h"

#define READS_AHEAD 100000
#define RECORD_MOST 16384

/* Bytes that wait, first in, first out. */
struct queue {
	unsigned char *bytes;
	size_t begin, end, room;
};

void queue_add(struct queue *, const void *bytes, size_t n);
size_t queue_length(const struct queue *);
const unsigned char *queue_first(const struct queue *);
void queue_drop(struct queue *, size_t n);
void queue_free(struct queue *);

/* The records alone, without reading or writing: for both ends. */
struct codec {
	struct queue raw;    /* received, not a whole record yet */
	struct queue plain;  /* received and understood */
	struct queue sealed; /* to be sent */
	bool ended;          /* the peer's last record has come */
	bool said_end;       /* ours is on its way */
	bool answers;        /* an answer is on its way */
	bool awaits;         /* an answer to our question has not come */
	bool broken;         /* what came is no record */
};

/* Understands `n` bytes more; a question puts its answer to what is to be sent. */
void codec_take(struct codec *, const void *bytes, size_t n);

/* Puts into records what is to be sent: up to RECORD_MOST bytes, a question, the end. */
void codec_seal(struct codec *, const void *bytes, size_t n);
void codec_ask(struct codec *);
void codec_end(struct codec *);

void codec_free(struct codec *);

struct records {
	struct stream stream;
	struct stream *below; /* owned */
	struct codec codec;
	struct queue promised; /* the bytes that a write answered -EAGAIN to: they have to come again */
	int error;             /* what the stream below has told: it tells it once */
	unsigned asks_one_of;  /* one write of so many is followed by a question; 0: none is */
	unsigned long state;   /* of chance */
	bool end_fails;        /* shut answers -EIO */
	bool misused;          /* a write did not come again as it was, or came behind the end */
};

/* Makes `r` a stream on top of `below`, which it closes. `seed` decides when it asks. */
void records_open(struct records *r, struct stream *below, unsigned asks_one_of, unsigned long seed);

#endif
