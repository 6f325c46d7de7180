#include "flow/pacing.h"

#include <sys/socket.h>

/*
 * splice(2) is faster than a copy for pieces of LARGE_BYTES and more, and slower for those below SMALL_BYTES:
 * by 4 us for an answer of one byte.
 */
#define LARGE_BYTES ((size_t)16 * 1024)
#define SMALL_BYTES ((size_t)2 * 1024)

/* Bulk: steps of at least BULK_KIB, BULK_STREAK_KIB in a row. A message and its answer never get there. */
#define BULK_KIB ((uint64_t)64)
#define BULK_STREAK_KIB ((uint64_t)256)

/* The low-water mark of a socket in bulk. */
#define BULK_WAKE ((int)256 * 1024)

void pacing_size_up(struct flow *f, size_t got)
{
	if (got >= LARGE_BYTES)
		f->large = true;
	else if (got < SMALL_BYTES)
		f->large = false;
}

static bool set_low_water(struct flow *f, int bytes)
{
	return setsockopt(f->src->rfd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0;
}

void pacing_step(struct flow *f, uint64_t got)
{
	uint64_t kib = got / 1024, streak = kib >= BULK_KIB ? f->streak + kib : 0;
	bool bulk = streak >= BULK_STREAK_KIB;

	/* no need to count beyond the mark */
	f->streak = (uint16_t)(bulk ? BULK_STREAK_KIB : streak);
	if (f->src->rkind != FD_SOCKET || !f->src->raw_in)
		return;
	/* while SO_RCVLOWAT cannot be changed back, FLOW_PATIENCE is still needed */
	if (bulk != f->bulk && set_low_water(f, bulk ? BULK_WAKE : 1))
		f->bulk = bulk;
}
