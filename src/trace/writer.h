/*
 * What the formats have in common, for them and trace.c alone: a format handles four events, and writes whole
 * records through the trace, which knows up to where the file has whole records.
 */
#ifndef TRACE_WRITER_H
#define TRACE_WRITER_H

#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "trace/trace.h"
#include "stream/stream.h"

/* Room to put a record together in. */
#define TRACE_SCRATCH 65536

struct trace_ops {
	int (*open)(struct trace *); /* opens and begins what is to be written: 0 or -errno */
	void (*begin)(struct trace_connection *);
	void (*bytes)(struct trace_connection *, enum trace_direction, const unsigned char *, size_t);
	void (*end)(struct trace_connection *, enum trace_direction, enum trace_ending);
	void (*finish)(struct trace_connection *, const char *how);
};

extern const struct trace_ops trace_hex, trace_raw, trace_jsonl, trace_pcapng;

struct trace {
	const struct trace_ops *ops;
	char *path;           /* NULL: stderr */
	int fd;               /* raw: the directory, since each connection has files of its own */
	struct stream_stdio out; /* the way to write to it, which never blocks; not for raw */
	nsec deadline;        /* no write waits beyond it */
	bool broken;          /* writing has failed, and that has been reported */
	size_t partial;       /* bytes of the record at hand that have been written */
	char scratch[TRACE_SCRATCH];
};

struct trace_connection {
	struct trace *trace;
	uint64_t number;
	bool incoming;
	struct trace_address local, peer;
	uint64_t moved[2]; /* by enum trace_direction: bytes before the ones at hand */
	bool ended[2], reset; /* a FIN has gone that way; a RST has ended both */
	uint64_t acked[2]; /* pcapng: as far as the other side's packets have acknowledged */
	int files[2];      /* raw: its own */
	struct stream_stdio outs[2]; /* ... and the ways to write to them */
};

/*
 * Writes a record, by one system call where the descriptor takes it at once, else waiting for a slow reader.
 * A failure is reported and breaks the trace: what a regular file has got of that record is cut off again.
 */
void trace_write(struct trace *, struct iovec *parts, int count);

/* The same for `n` bytes in one piece. */
void trace_write_text(struct trace *, const void *text, size_t n);

/*
 * Writes all `n` bytes to `out`, waiting for a slow reader. Returns 0, or -errno: -EINTR when a
 * signal has come meanwhile, -ETIMEDOUT when the deadline has.
 */
int trace_put(struct trace *, struct stream_stdio *out, const void *bytes, size_t n);

/*
 * Opens the trace's one file as output_open() does, and empties it; stderr without a path. Returns 0 or
 * -errno.
 */
int trace_open_file(struct trace *);

/* Reports that `path` cannot be written (-errno), and breaks the trace. */
void trace_break(struct trace *, const char *path, int error);

/* The present time, by CLOCK_REALTIME of clock_gettime(2). */
struct timespec trace_time(void);

#endif
