/*
 * Buffers and pipes on loan: a flow borrows one while bytes wait in it and gives it back when none do,
 * so a session that is idle owns none, and thousands of them share a few.
 */
#ifndef FLOW_LEASE_H
#define FLOW_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of every buffer, and the most that a leased pipe can hold: so a pipe fits into a buffer. */
#define LEASE_BYTES ((size_t)1024 * 1024)

/* Pipes on loan at a time, of two descriptors each; beyond that flows copy. */
#define LEASE_PIPES_MOST 256

/*
 * While more than LEASE_BUFFERS_FULL buffers are on loan, a fill takes LEASE_SHARE_LEAST bytes at most:
 * thousands of peers that do not read then cost 16 KiB each, and a few flows have their full speed.
 */
#define LEASE_BUFFERS_FULL 64
#define LEASE_SHARE_LEAST ((size_t)16 * 1024)

struct buffer {
	struct buffer *next; /* the pool's own */
	unsigned char bytes[LEASE_BYTES];
};

struct pipe {
	struct pipe *next; /* the pool's own */
	int in, out;       /* what is written to `in` is read from `out`; both non-blocking */
	size_t room;       /* bytes that fit, in whole pages */
};

/* Borrows a buffer; NULL when memory has run out. Untouched pages of it cost nothing. */
struct buffer *lease_buffer(void);

/* Makes sure that there is one buffer at least, kept or on loan, to wait for. Returns 0 or -ENOMEM. */
int lease_reserve(void);

/* After lease_buffer() had none: true when some are on loan, of which one may come back. */
bool lease_is_worth_waiting(void);

/* How many bytes a fill puts into a buffer at most: fewer while many buffers are on loan. */
size_t lease_share(void);

/* Takes a buffer back; NULL is fine. A few are kept for the next, the rest are freed. */
void lease_return_buffer(struct buffer *);

/* Lets at most `n` pipes out at a time, and never more than LEASE_PIPES_MOST. */
void lease_limit_pipes(int64_t n);

/* Borrows an empty pipe; NULL when the limit is reached or the system has none: use a buffer instead. */
struct pipe *lease_pipe(void);

/* Takes a pipe back; NULL is fine. It has to be empty. */
void lease_return_pipe(struct pipe *);

/* Takes a pipe back that may still hold bytes, and closes it, so that no other flow gets them. */
void lease_discard_pipe(struct pipe *);

/* Frees what the pools keep, except one buffer for the flows that are under way. */
void lease_trim(void);

/* Frees what the pools keep. */
void lease_close(void);

#endif
