/* A traced connection: a stream that passes operations on to the stream below it and records the bytes. */
#ifndef TRACE_TRACED_H
#define TRACE_TRACED_H

#include <stdbool.h>
#include <stdint.h>

#include "net/endpoint.h"
#include "stream/stream.h"

struct trace;
struct traced;

/*
 * Makes a stream in front of `below`, which it owns from then on: connection `number` of `trace`, from `peer`
 * (`incoming`) or to it. Returns NULL without memory; `below` stays the caller's then.
 */
struct traced *traced_open(struct trace *trace, struct stream *below, uint64_t number, bool incoming,
			   const struct endpoint *local, const struct endpoint *peer);

/* The stream to use; closing it frees the whole. */
struct stream *traced_stream(struct traced *);

/*
 * Ends the record of the connection with `how`, in words, and with the FIN or reset that closing the socket
 * will send. `lost`: 0, or the -errno by which the connection was lost. The stream itself is still to be
 * closed.
 */
void traced_finish(struct traced *, int lost, const char *how);

#endif
