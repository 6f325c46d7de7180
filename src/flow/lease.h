/*
 * Buffers on loan: a flow borrows one while bytes wait in it and gives it back when none do, so a
 * session that is idle owns none, and thousands of them share a few.
 */
#ifndef FLOW_LEASE_H
#define FLOW_LEASE_H

#include <stddef.h>

struct buffer {
	struct buffer *next; /* the pool's own */
	size_t size;
	unsigned char bytes[];
};

/* Borrows a buffer; NULL when memory has run out. Return it with lease_return(). */
struct buffer *lease_buffer(void);

/* Takes a buffer back; NULL is fine. A few are kept for the next, the rest are freed. */
void lease_return(struct buffer *);

/* Frees what the pool keeps. */
void lease_close(void);

#endif
