#include "stream/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exitcode.h"

bool stream_pending(const struct stream *s)
{
	return s->ops->pending && s->ops->pending(s);
}

bool stream_is_crossed(const struct stream *s)
{
	return (s->rfd >= 0 && s->rwait == FD_OUT) || (s->wfd >= 0 && s->wwait == FD_IN);
}

bool stream_is_lost(int error)
{
	return error == -EPIPE || error == -ECONNRESET || error == -ETIMEDOUT;
}

int stream_explain(const struct stream *s, enum stream_half half, int error, char *words, size_t size)
{
	if (s->ops->explain)
		return s->ops->explain(s, half, error, words, size);
	/* a write after a reset fails with EPIPE: the reset is the reason */
	snprintf(words, size, "%s", strerror(error == -EPIPE ? ECONNRESET : -error));
	return exitcode_for(error, EXIT_LOST);
}
