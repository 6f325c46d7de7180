/*
 * A stream is one end of a conversation: a socket, a pair of descriptors, a TLS connection. It has a half
 * that is read and a half that is written, and it never blocks. Streams stack: one that transforms bytes (a
 * trace, TLS) owns the stream below it and closes it.
 *
 * An operation that cannot go on answers -EAGAIN, and rwait or wwait then says which event on rfd or wfd is
 * worth another try. For most streams that is FD_IN to read and FD_OUT to write; TLS may have to write before
 * it can read. So the direction is data, and no caller knows TLS. A stream may also hold bytes that it has
 * read ahead: then no event of the descriptor tells of them, and `pending` does.
 *
 * An operation on one half may bring about what the other half waits for: a read takes in what a write has to
 * read first, a write sends what a read has to write first. No event will tell of that any more, so the
 * operation sets the other half's wait back to its own event (FD_IN to read, FD_OUT to write).
 */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fd.h"

struct stream;

enum stream_half { STREAM_READ, STREAM_WRITE };

struct stream_ops {
	/* Reads up to `n` bytes; returns their count, 0 at end-of-file, or -errno. */
	ssize_t (*read)(struct stream *, void *buf, size_t n);
	/* Writes up to `n` bytes (n > 0); returns how many were taken, or -errno. */
	ssize_t (*write)(struct stream *, const void *buf, size_t n);
	/*
	 * Ends the written half so that its reader sees end-of-file; 0, or -errno: -EAGAIN, call again. Once
	 * it has answered 0 it does so again.
	 */
	int (*shut)(struct stream *);
	/*
	 * True when a read would answer something else than -EAGAIN without the descriptor being readable.
	 * NULL: never. Behind a read that answered -EAGAIN it is false.
	 */
	bool (*pending)(const struct stream *);
	/*
	 * Explains `error`, which an operation on that half answered last: one line in `words`, of `size`
	 * bytes; returns the exit status that it means. NULL: as a TCP connection does.
	 */
	int (*explain)(const struct stream *, enum stream_half, int error, char *words, size_t size);
	/* Releases what the stream owns, the stream below included. */
	void (*close)(struct stream *);
};

struct stream {
	const struct stream_ops *ops;
	int rfd, wfd;         /* what to wait on; -1: that half never waits */
	uint8_t rkind, wkind; /* enum fd_kind: what lies behind them */
	uint8_t rwait, wwait; /* FD_IN or FD_OUT: what the last -EAGAIN of each half waits for */
	bool raw_in, raw_out; /* rfd or wfd carries these very bytes and the kernel can move them
			       * without ever waiting: see carrier.h */
};

/* True when a read has bytes, an end or an error to return that no event of the descriptor announces. */
bool stream_pending(const struct stream *);

/*
 * True when one half waits for the event of the other (a read that has to write first, or the reverse): the
 * operation that serves that event may be one on the other half, so both are worth a try on every wake-up.
 */
bool stream_is_crossed(const struct stream *);

/*
 * Explains what an operation on `half` of `s` answered (-errno) as one line in `words`; returns the exit
 * status for it: EXIT STATUS in tcptool(1).
 */
int stream_explain(const struct stream *s, enum stream_half half, int error, char *words, size_t size);

/*
 * True for the errors of a lost connection (EPIPE, ECONNRESET, ETIMEDOUT): what was received before can still
 * be read. Any other failure to write is one of this machine.
 */
bool stream_is_lost(int error);

/* A connected, non-blocking TCP socket. The stream owns it; ending the written half is a FIN. */
struct stream_socket {
	struct stream stream;
	int lost;  /* the first -errno by which the kernel has reported the loss of the connection; 0: none */
	bool shut; /* we have ended the written half */
};

/*
 * Makes `s` the stream of `sock`. `lost` is 0, or the -errno by which the kernel has already reported the
 * loss of the connection. After a loss, whichever call it was reported to, a read returns what was received
 * before and then an error, not 0, unless the peer's FIN had come first.
 */
void stream_socket_open(struct stream_socket *s, int sock, int lost);

/*
 * Makes `s` the stream of one end of a Unix socket pair, which it owns. That the other end was closed is an
 * end-of-file to the reader, whatever was left unread there, and EPIPE to the writer.
 */
void stream_pair_open(struct stream *s, int end);

/* A text in memory: read to its end, then end-of-file; what is written vanishes. */
struct stream_text {
	struct stream stream;
	const char *text;
	size_t left;
};

/* Makes `s` the stream of the `n` bytes at `text`, which stay the caller's. */
void stream_text_open(struct stream_text *s, const char *text, size_t n);

/* How a half of inherited descriptors is kept from blocking, found out once: see stdio.c. */
enum stream_stdio_way { WAY_PLAIN, WAY_NOWAIT, WAY_SOCKET, WAY_POLLED };

/* Two inherited descriptors, as a rule 0 and 1; their flags and modes are never changed. */
struct stream_stdio {
	struct stream stream;
	enum stream_stdio_way read_way, write_way;
	int reopened_in, reopened_out; /* our own, non-blocking view of a terminal, or -1 */
	int out;                       /* the inherited descriptor behind the written half */
	bool keep_out;                 /* further sessions will need it: do not close it */
	bool one_socket;               /* both halves are one socket: end-of-file takes a shutdown */
};

/*
 * Makes `s` the stream that reads `in` and writes `out`; either may be -1 for none (reads find the
 * end, writes vanish). Ending the written half closes `out` (put /dev/null in its place) unless
 * `keep_out`; where `in` and `out` are one socket, it is shut down as well. The stream owns neither,
 * only views it opened itself.
 */
void stream_stdio_open(struct stream_stdio *s, int in, int out, bool keep_out);

#endif
