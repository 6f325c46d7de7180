/* The raw format: two files a connection, and nothing in them but its bytes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/output.h"
#include "trace/writer.h"

/* What the files' names begin with, behind the last slash of the path. */
static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* True for a path that can only be a directory: "DIR/" would make hidden files, such as DIR/.1.in. */
static bool is_directory(const char *path)
{
	const char *name = file_name(path);

	return !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Opens the directory that the files are made in, so that chroot(2) does not hide it. */
static int open_directory(struct trace *t)
{
	char *path;

	if (is_directory(t->path))
		return -EISDIR;
	path = strdup(t->path);
	if (!path)
		return -ENOMEM;
	t->fd = open(dirname(path), O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(path);
	return t->fd < 0 ? -errno : 0;
}

/* "PATH.N.in" or "PATH.N.out", for the caller to free; NULL without memory. */
static char *path_of(const struct trace_connection *c, enum trace_direction way)
{
	char *path;

	if (asprintf(&path, "%s.%" PRIu64 ".%s", c->trace->path, c->number,
		     way == TRACE_SENT ? "out" : "in") < 0)
		return NULL;
	return path;
}

static void raw_fail(struct trace_connection *c, enum trace_direction way, int error)
{
	char *path = path_of(c, way);

	trace_break(c->trace, path ? path : c->trace->path, error);
	free(path);
}

/* A file in the directory of the trace. Returns 0 or -errno. */
static int open_one(struct trace_connection *c, enum trace_direction way)
{
	char *path = path_of(c, way);
	int fd;

	if (!path)
		return -ENOMEM;
	fd = output_open_at(c->trace->fd, file_name(path), O_TRUNC);
	free(path);
	if (fd < 0)
		return fd;
	c->files[way] = fd;
	stream_stdio_open(&c->outs[way], -1, c->files[way], true);
	return 0;
}

static void raw_begin(struct trace_connection *c)
{
	int r = open_one(c, TRACE_SENT);

	if (r < 0) {
		raw_fail(c, TRACE_SENT, r);
		return;
	}
	r = open_one(c, TRACE_RECEIVED);
	if (r < 0)
		raw_fail(c, TRACE_RECEIVED, r);
}

static void raw_bytes(struct trace_connection *c, enum trace_direction way, const unsigned char *b, size_t n)
{
	int r = trace_put(c->trace, &c->outs[way], b, n);

	if (r < 0)
		raw_fail(c, way, r);
}

static void raw_end(struct trace_connection *c, enum trace_direction way, enum trace_ending how)
{
	(void)c, (void)way, (void)how;
}

static void raw_finish(struct trace_connection *c, const char *how)
{
	(void)c, (void)how;
}

const struct trace_ops trace_raw = {open_directory, raw_begin, raw_bytes, raw_end, raw_finish};
