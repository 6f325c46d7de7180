#include "trace/traced.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "trace/trace.h"

struct traced {
	struct stream stream;
	struct stream *inner; /* the stream below */
	struct trace_connection *trace;
	bool reset; /* the connection has been reset, and what came before that may still be unread */
};

static struct traced *traced_outer(struct stream *s)
{
	return (struct traced *)(void *)s;
}

/* This stream waits for what the inner one waits for. */
static void take_over(struct traced *t)
{
	t->stream.rwait = t->inner->rwait;
	t->stream.wwait = t->inner->wwait;
}

/* True for a reset; when a connection times out the peer has sent none. */
static bool is_reset(ssize_t error)
{
	return error == -ECONNRESET || error == -EPIPE;
}

/* Nothing more is received. A reset that a write has met first is recorded here, behind the last bytes. */
static void input_ended(struct traced *t, ssize_t how)
{
	if (is_reset(how) || t->reset)
		trace_end(t->trace, TRACE_RECEIVED, TRACE_RESET);
	else if (how == 0)
		trace_end(t->trace, TRACE_RECEIVED, TRACE_FIN);
}

static ssize_t traced_read(struct stream *s, void *buf, size_t n)
{
	struct traced *t = traced_outer(s);
	ssize_t got = t->inner->ops->read(t->inner, buf, n);

	take_over(t);
	if (got > 0)
		trace_bytes(t->trace, TRACE_RECEIVED, buf, (size_t)got);
	else if (got != -EAGAIN)
		input_ended(t, got);
	return got;
}

static ssize_t traced_write(struct stream *s, const void *buf, size_t n)
{
	struct traced *t = traced_outer(s);
	ssize_t put = t->inner->ops->write(t->inner, buf, n);

	take_over(t);
	if (put > 0)
		trace_bytes(t->trace, TRACE_SENT, buf, (size_t)put);
	else if (is_reset(put))
		t->reset = true;
	return put;
}

static int traced_shut(struct stream *s)
{
	struct traced *t = traced_outer(s);
	struct endpoint peer;
	/* asked before shutting down, which may close the connection; after a reset no FIN is sent */
	bool connected = !t->reset && endpoint_of_peer(t->inner->wfd, &peer) == 0;
	int r = t->inner->ops->shut(t->inner);

	take_over(t);
	if (r == 0 && connected)
		trace_end(t->trace, TRACE_SENT, TRACE_FIN);
	return r;
}

static bool traced_pending(const struct stream *s)
{
	return stream_pending(((const struct traced *)(const void *)s)->inner);
}

static int traced_explain(const struct stream *s, enum stream_half half, int error, char *words, size_t size)
{
	return stream_explain(((const struct traced *)(const void *)s)->inner, half, error, words,
			      size);
}

static void traced_close(struct stream *s)
{
	struct traced *t = traced_outer(s);

	t->inner->ops->close(t->inner);
	free(t);
}

static void to_trace(const struct endpoint *e, struct trace_address *a)
{
	memset(a, 0, sizeof *a);
	a->v6 = e->any.sa_family == AF_INET6;
	a->port = endpoint_port(e);
	if (a->v6)
		memcpy(a->bytes, &e->v6.sin6_addr, 16);
	else
		memcpy(a->bytes, &e->v4.sin_addr, 4);
	endpoint_text(e, a->text);
}

struct traced *traced_open(struct trace *trace, struct stream *below, uint64_t number, bool incoming,
			   const struct endpoint *local, const struct endpoint *peer)
{
	static const struct stream_ops ops = {.read = traced_read,
					      .write = traced_write,
					      .shut = traced_shut,
					      .pending = traced_pending,
					      .explain = traced_explain,
					      .close = traced_close};
	struct trace_address here, there;
	struct traced *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	to_trace(local, &here);
	to_trace(peer, &there);
	t->trace = trace_begin(trace, number, incoming, &here, &there);
	t->inner = below;
	t->stream = *below;
	t->stream.ops = &ops;
	/* the bytes must pass through a buffer to be recorded */
	t->stream.raw_in = t->stream.raw_out = false;
	return t;
}

struct stream *traced_stream(struct traced *t)
{
	return &t->stream;
}

/* Records what closing the socket will send, unless our direction has ended. */
static void end_by_close(struct traced *t)
{
	int sock = t->stream.rfd, unread = 0;
	struct linger linger = {0};
	socklen_t size = sizeof linger;
	struct endpoint peer;
	bool reset;

	/* nothing is sent on a connection that is gone */
	if (endpoint_of_peer(sock, &peer) < 0)
		return;
	/* SO_LINGER asks for a reset, and unread bytes cause one: RFC 1122, 4.2.2.13 */
	getsockopt(sock, SOL_SOCKET, SO_LINGER, &linger, &size);
	ioctl(sock, FIONREAD, &unread);
	reset = unread > 0 || (linger.l_onoff && linger.l_linger == 0);
	trace_end(t->trace, TRACE_SENT, reset ? TRACE_RESET : TRACE_FIN);
}

void traced_finish(struct traced *t, int lost, const char *how)
{
	if (t->reset || is_reset(lost))
		trace_end(t->trace, TRACE_RECEIVED, TRACE_RESET);
	end_by_close(t);
	trace_finish(t->trace, how);
	t->trace = NULL;
}
