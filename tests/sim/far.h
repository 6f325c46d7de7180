/* A far end: says its text, in records or without, and compares what it hears with what it has to. */
#ifndef SIM_FAR_H
#define SIM_FAR_H

#include "sim/records.h"

/* Chance that a seed determines: below `n`. */
void chance_seed(unsigned long seed);
unsigned chance(unsigned n);

struct far {
	bool sealed;  /* speaks in records */
	bool answers; /* says nothing before it has heard all */
	bool talks;   /* is never ahead of what it hears by more than a piece */
	bool patient; /* does not end before it has heard all */
	bool last;    /* ... nor before the other side has ended */
	bool end_heard;
	const unsigned char *says, *hears;
	size_t length, wanted;
	size_t said, heard;
	struct codec codec;
	struct queue plain; /* said and not sent yet, without records */
	bool wrong;         /* it has heard another byte than the next */
};

/* Hears `n` bytes from the network. */
void far_take(struct far *, const unsigned char *bytes, size_t n);

/* What is to be sent. */
struct queue *far_queue(struct far *);

/* Has it something to say now? */
bool far_may_say(const struct far *);

/* Says the next piece; between records, a question now and then; the last record behind it all. */
void far_say(struct far *);

/* True when all is said, and may end now. */
bool far_may_end(const struct far *);

void far_free(struct far *);

#endif
