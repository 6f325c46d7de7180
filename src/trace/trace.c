#include "trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/output.h"
#include "trace/writer.h"

static const struct trace_ops *const formats[] = {
	[TRACE_HEX] = &trace_hex,
	[TRACE_RAW] = &trace_raw,
	[TRACE_JSONL] = &trace_jsonl,
	[TRACE_PCAPNG] = &trace_pcapng,
};

enum trace_format trace_format_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (dot && strcmp(dot, ".jsonl") == 0)
		return TRACE_JSONL;
	if (dot && strcmp(dot, ".pcapng") == 0)
		return TRACE_PCAPNG;
	return TRACE_HEX;
}

int trace_descriptors(const struct trace *t)
{
	return t->ops == &trace_raw ? 2 : 0;
}

int trace_open_file(struct trace *t)
{
	const struct output_limit limit = {.until = t->deadline};
	int fd = t->path ? output_open(t->path, O_TRUNC, &limit) : STDERR_FILENO;

	if (fd < 0)
		return fd;
	t->fd = fd;
	stream_stdio_open(&t->out, -1, t->fd, true);
	return 0;
}

int trace_open(struct trace **out, enum trace_format format, const char *path, nsec deadline)
{
	struct trace *t = calloc(1, sizeof *t);
	int r = -ENOMEM;

	*out = NULL;
	if (!t)
		return r;
	t->ops = formats[format];
	t->fd = -1;
	t->deadline = deadline;
	t->path = path ? strdup(path) : NULL;
	if (t->path || !path)
		r = t->ops->open(t);
	if (r < 0) {
		trace_close(t);
		return r;
	}
	/* the time zone is read now: after chroot(2) its file may be missing */
	tzset();
	*out = t;
	return 0;
}

/* Closes the view of a terminal that stream_stdio_open() has opened. */
static void close_view(struct stream_stdio *out)
{
	if (out->stream.ops)
		out->stream.ops->close(&out->stream);
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	close_view(&t->out);
	if (t->path)
		fd_close(&t->fd);
	free(t->path);
	free(t);
}

/* --- a connection --- */

struct trace_connection *trace_begin(struct trace *t, uint64_t number, bool incoming,
				     const struct trace_address *local, const struct trace_address *peer)
{
	struct trace_connection *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->trace = t;
	c->number = number;
	c->incoming = incoming;
	c->local = *local;
	c->peer = *peer;
	c->files[TRACE_SENT] = c->files[TRACE_RECEIVED] = -1;
	if (!t->broken)
		t->ops->begin(c);
	return c;
}

void trace_bytes(struct trace_connection *c, enum trace_direction way, const void *bytes, size_t n)
{
	if (!c)
		return;
	if (!c->trace->broken)
		c->trace->ops->bytes(c, way, bytes, n);
	c->moved[way] += n;
}

void trace_end(struct trace_connection *c, enum trace_direction way, enum trace_ending how)
{
	if (!c || c->reset || (how == TRACE_FIN && c->ended[way]))
		return;
	if (!c->trace->broken)
		c->trace->ops->end(c, way, how);
	/* a RST takes no sequence number, as a FIN does */
	if (how == TRACE_FIN)
		c->ended[way] = true;
	else
		c->reset = true;
}

void trace_finish(struct trace_connection *c, const char *how)
{
	if (!c)
		return;
	if (!c->trace->broken)
		c->trace->ops->finish(c, how);
	for (int way = TRACE_SENT; way <= TRACE_RECEIVED; way++) {
		close_view(&c->outs[way]);
		fd_close(&c->files[way]);
	}
	free(c);
}

/* --- for the formats --- */

void trace_break(struct trace *t, const char *path, int error)
{
	const char *why = error == -EINTR     ? "its reader has stalled, and a signal came" :
			  error == -ETIMEDOUT ? "its reader has stalled, and the time is over" :
			  error == -ENXIO     ? "no process has it open for reading" :
						strerror(-error);

	t->broken = true;
	/* stderr may have the same reader: the message must not wait for it either */
	if (error == -EINTR || error == -ETIMEDOUT)
		diag_wait_no_more();
	diag_failure("trace %s: %s; no more is written to it", path, why);
}

/* Waits until `fd` is writable. Returns 0, -EINTR after a signal, -ETIMEDOUT at the deadline, or -errno. */
static int wait_for_reader(const struct trace *t, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (poll(&p, 1, clock_ms_until(t->deadline)) < 0)
		return -errno;
	return p.revents == 0 && clock_now() >= t->deadline ? -ETIMEDOUT : 0;
}

int trace_put(struct trace *t, struct stream_stdio *out, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t put = out->stream.ops->write(&out->stream, at, n);

		if (put == -EAGAIN)
			put = wait_for_reader(t, out->stream.wfd);
		if (put < 0)
			return (int)put;
		at += put;
		n -= (size_t)put;
		t->partial += (size_t)put;
	}
	return 0;
}

/* All parts in one call where that cannot block, else what is left of each. Returns 0 or -errno. */
static int write_parts(struct trace *t, struct iovec *parts, int count)
{
	ssize_t put = t->out.write_way == WAY_PLAIN ? writev(t->out.stream.wfd, parts, count) : 0;
	size_t done = put > 0 ? (size_t)put : 0;
	int r = 0;

	t->partial = done;
	for (int i = 0; i < count && r == 0; i++) {
		size_t skip = done < parts[i].iov_len ? done : parts[i].iov_len;

		done -= skip;
		if (skip < parts[i].iov_len)
			r = trace_put(t, &t->out, (char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
	}
	return r;
}

/*
 * Cuts the part of a record that has been written off the end of the file again, so that all records in
 * it are whole, unless another process has appended to the file since. A descriptor that was passed on is
 * left alone.
 */
static void cut_partial(const struct trace *t)
{
	struct stat st;
	off_t end;

	if (!t->path || output_descriptor(t->path) >= 0)
		return;
	/* the offset is behind what was written last: O_APPEND, open(2) */
	end = lseek(t->fd, 0, SEEK_CUR);
	if (end < 0 || fstat(t->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != end)
		return;
	if (ftruncate(t->fd, end - (off_t)t->partial) < 0)
		return; /* what cannot be cut stays: the failure that led here is what is told */
}

void trace_write(struct trace *t, struct iovec *parts, int count)
{
	int r;

	if (t->broken)
		return;
	r = write_parts(t, parts, count);
	if (r == 0)
		return;
	cut_partial(t);
	trace_break(t, t->path ? t->path : "stderr", r);
}

void trace_write_text(struct trace *t, const void *text, size_t n)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = n};

	trace_write(t, &part, 1);
}

struct timespec trace_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}
