/*
 * Traces: records of what is sent and received. A trace is one file (or stderr) that all connections of a run
 * share; a connection writes to it through a struct trace_connection.
 *
 * A trace never fails a session: when it cannot be written (a full disk) that is reported once, and nothing
 * more is written. Sessions wait for a slow reader of the trace, but not once a signal has come or the
 * deadline has passed: then the trace ends in the same way, so that the loop sees the signal.
 */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum trace_format { TRACE_HEX, TRACE_RAW, TRACE_JSONL, TRACE_PCAPNG };

/* The direction of bytes, seen from this side. */
enum trace_direction { TRACE_SENT, TRACE_RECEIVED };

/* How one direction, or a connection, came to its end. */
enum trace_ending { TRACE_FIN, TRACE_RESET };

/* One end of a connection: IPv4 or IPv6 as bytes in network order, and the port. */
struct trace_address {
	bool v6;
	unsigned char bytes[16]; /* 4 of them for IPv4 */
	uint16_t port;
	char text[64]; /* the address in words, zone included */
};

struct trace;
struct trace_connection;

/*
 * Opens a trace in `format` to `path`, as output_open() does: a file is created, readable by its owner
 * alone, or emptied; what several runs write to it then is appended, a record at a time. NULL is stderr
 * (hex only). For TRACE_RAW `path` is the beginning of names: "PATH.N.in" and "PATH.N.out" are the bytes
 * received and sent by connection N, created when it begins. A FIFO is waited for until it has a reader
 * or `deadline` has come, and so is a reader that takes nothing. Returns 0 with *out, or -errno,
 * -ETIMEDOUT for the deadline.
 */
int trace_open(struct trace **out, enum trace_format format, const char *path, nsec deadline);

/* How many descriptors each connection takes. */
int trace_descriptors(const struct trace *);

/* The format that a file name asks for: .jsonl, .pcapng, else hex. */
enum trace_format trace_format_of(const char *path);

/*
 * Begins connection `number` (from 1). `incoming`: the peer connected to us. For pcapng the handshake is
 * written, from the side that began it. Returns NULL when memory has run out; every function below
 * takes NULL and does nothing.
 */
struct trace_connection *trace_begin(struct trace *, uint64_t number, bool incoming,
				     const struct trace_address *local, const struct trace_address *peer);

/* `n` bytes have gone that way. */
void trace_bytes(struct trace_connection *, enum trace_direction, const void *bytes, size_t n);

/*
 * That direction has ended; further calls for it are ignored. A reset that went that way ends both.
 */
void trace_end(struct trace_connection *, enum trace_direction, enum trace_ending);

/* The connection is over; `how` in words ("closed", "Connection reset by peer"). Frees it. */
void trace_finish(struct trace_connection *, const char *how);

/* Closes the files and frees it. NULL is fine. */
void trace_close(struct trace *);

#endif
