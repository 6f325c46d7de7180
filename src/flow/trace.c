#include "flow/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "flow/trace_writer.h"

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
	t->fd = STDERR_FILENO;
	if (t->path)
		t->fd = open(t->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	return t->fd < 0 ? -errno : 0;
}

int trace_open(struct trace **out, enum trace_format format, const char *path)
{
	struct trace *t = calloc(1, sizeof *t);
	int r = -ENOMEM;

	*out = NULL;
	if (!t)
		return r;
	t->ops = formats[format];
	t->fd = -1;
	t->path = path ? strdup(path) : NULL;
	if (t->path || !path)
		r = t->ops->open(t);
	if (r < 0) {
		trace_close(t);
		return r;
	}
	/* a limit of file sizes is a full disk too, and no reason to die of SIGXFSZ: setrlimit(2) */
	signal(SIGXFSZ, SIG_IGN);
	/* the time zone is read now: later the root directory may be another */
	tzset();
	*out = t;
	return 0;
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
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
	fd_close(&c->files[TRACE_SENT]);
	fd_close(&c->files[TRACE_RECEIVED]);
	free(c);
}

/* --- for the formats --- */

void trace_break(struct trace *t, const char *path, int error)
{
	t->broken = true;
	diag_failure("trace %s: %s; no more is written to it", path, strerror(-error));
}

static size_t size_of(const struct iovec *parts, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += parts[i].iov_len;
	return n;
}

/* All parts in one call if the kernel takes them, else what it left of each. Returns 0 or -errno. */
static int write_parts(int fd, struct iovec *parts, int count)
{
	ssize_t put = writev(fd, parts, count);
	size_t done = put > 0 ? (size_t)put : 0;
	int r = 0;

	for (int i = 0; i < count && r == 0; i++) {
		size_t skip = done < parts[i].iov_len ? done : parts[i].iov_len;

		done -= skip;
		if (skip < parts[i].iov_len)
			r = fd_write_all(fd, (char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
	}
	return r;
}

void trace_write(struct trace *t, struct iovec *parts, int count)
{
	int r;

	if (t->broken)
		return;
	r = write_parts(t->fd, parts, count);
	if (r == 0) {
		t->whole += (off_t)size_of(parts, count);
		return;
	}
	/* half a record would spoil the whole ones for those who read them */
	if (t->path && ftruncate(t->fd, t->whole) < 0)
		r = r ? r : -errno;
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
