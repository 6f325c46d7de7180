#include "flow/lease.h"

#include <stdlib.h>

#define BUFFER_BYTES ((size_t)256 * 1024)
#define KEPT_MOST 16

static struct buffer *kept;
static int kept_count;

struct buffer *lease_buffer(void)
{
	struct buffer *b = kept;

	if (b) {
		kept = b->next;
		kept_count--;
		return b;
	}
	b = malloc(sizeof *b + BUFFER_BYTES);
	if (b)
		b->size = BUFFER_BYTES;
	return b;
}

void lease_return(struct buffer *b)
{
	if (!b)
		return;
	if (kept_count >= KEPT_MOST) {
		free(b);
		return;
	}
	b->next = kept;
	kept = b;
	kept_count++;
}

void lease_close(void)
{
	while (kept) {
		struct buffer *b = kept;

		kept = b->next;
		free(b);
	}
	kept_count = 0;
}
