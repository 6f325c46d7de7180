#include "cmd/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/escape.h"
#include "base/exitcode.h"
#include "base/fd.h"
#include "base/output.h"
#include "trace/trace.h"

static int prepare_out_of_memory(void)
{
	diag_failure("%s", strerror(ENOMEM));
	return EXIT_RESOURCES;
}

/* The format by its name, or by that of the file. Returns 0 or EXIT_USAGE. */
static int find_format(const struct settings *s, enum trace_format *out)
{
	static const char *const names[] = {"hex", "raw", "jsonl", "pcapng"};

	*out = trace_format_of(s->trace_file);
	if (!s->trace_format)
		return 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(s->trace_format, names[i]) != 0)
			continue;
		*out = (enum trace_format)i;
		return 0;
	}
	diag_failure("--trace-format: '%.60s' is not hex, raw, jsonl or pcapng", s->trace_format);
	return EXIT_USAGE;
}

/* A raw trace makes files, whose names no descriptor has. Returns 0 or EXIT_USAGE. */
static int check_raw(const struct settings *s, enum trace_format format)
{
	if (format != TRACE_RAW || output_descriptor(s->trace_file) < 0)
		return 0;
	diag_failure("--trace-format=raw makes two files for each connection: "
		     "--trace=%.100s is a descriptor",
		     s->trace_file);
	return EXIT_USAGE;
}

/* Says why a file cannot be opened. Returns the exit status. */
static int cannot_open(const struct settings *s, const char *what, const char *path, int error)
{
	/* a file system can time out as well: NFS */
	if (error != -ETIMEDOUT || clock_now() < s->session.deadline) {
		diag_failure("%s %s: %s", what, path, strerror(-error));
		return exitcode_for(error, EXIT_LOCAL);
	}
	diag_failure("%s %s: the FIFO was not opened for reading in time (--deadline)", what, path);
	return EXIT_TIMEDOUT;
}

static int open_trace(struct prepared *p, struct settings *s)
{
	enum trace_format format = TRACE_HEX;
	int r = 0;

	if (!s->hexdump && !s->trace_file)
		return 0;
	if (s->trace_file)
		r = find_format(s, &format);
	if (r == 0 && s->trace_file)
		r = check_raw(s, format);
	if (r)
		return r;
	r = trace_open(&p->trace, format, s->trace_file, s->session.deadline);
	if (r < 0)
		return cannot_open(s, "trace", s->trace_file ? s->trace_file : "stderr", r);
	s->session.trace = p->trace;
	return 0;
}

static int open_report(struct prepared *p, struct settings *s)
{
	const struct output_limit limit = {.until = s->session.deadline};
	int fd;

	if (!s->report)
		return 0;
	s->session.report_fd = STDERR_FILENO;
	/* by whatever name, standard error is where --progress makes room for a line */
	if (!s->report_file || output_descriptor(s->report_file) == STDERR_FILENO)
		return 0;
	fd = output_open(s->report_file, 0, &limit);
	if (fd < 0)
		return cannot_open(s, "report", s->report_file, fd);
	s->session.report_fd = p->report_fd = fd;
	return 0;
}

/* The text to send and the pattern to expect. */
static int read_texts(struct prepared *p, struct settings *s)
{
	char reason[128];
	long length;
	int r;

	if (s->send) {
		p->send = malloc(strlen(s->send) + 1);
		if (!p->send)
			return prepare_out_of_memory();
		length = unescape(s->send, p->send);
		if (length < 0) {
			diag_failure("--send: '%.100s' has an escape that does not exist", s->send);
			return EXIT_USAGE;
		}
		s->session.send = p->send;
		s->session.send_length = (size_t)length;
	}
	if (!s->expect)
		return 0;
	r = regcomp(&p->expect.pattern, s->expect, REG_EXTENDED | REG_NOSUB);
	if (r) {
		regerror(r, &p->expect.pattern, reason, sizeof reason);
		diag_failure("--expect: '%.100s': %s", s->expect, reason);
		return EXIT_USAGE;
	}
	p->has_pattern = true;
	p->expect.text = s->expect;
	s->session.expect = &p->expect;
	return 0;
}

/* Tries the socket options: a refusal has to be known before there is a peer. */
static int try_options(const struct prepared *p, const struct settings *s)
{
	const char *failed;
	int r = 0;

	if (!s->ipv6)
		r = sockopts_try(AF_INET, &p->options, &failed);
	if (r == 0 && !s->ipv4)
		r = sockopts_try(AF_INET6, &p->options, &failed);
	if (r == 0)
		return 0;
	diag_failure("--sockopt %s: %s", failed, strerror(-r));
	return EXIT_USAGE;
}

static int read_options(struct prepared *p, struct settings *s)
{
	char reason[600];

	if (s->options.count == 0)
		return 0;
	p->options.list = calloc((size_t)s->options.count, sizeof *p->options.list);
	if (!p->options.list)
		return prepare_out_of_memory();
	for (int i = 0; i < s->options.count; i++) {
		if (sockopt_parse(s->options.list[i], &p->options.list[i], reason, sizeof reason) < 0) {
			diag_failure("--sockopt: %s", reason);
			return EXIT_USAGE;
		}
		p->options.count++;
	}
	s->dial.options = s->listen.options = s->session.options = &p->options;
	return try_options(p, s);
}

int prepare_open(struct prepared *p, struct settings *s)
{
	int r;

	memset(p, 0, sizeof *p);
	p->report_fd = -1;
	r = read_options(p, s);
	if (r == 0)
		r = read_texts(p, s);
	if (r == 0)
		r = open_trace(p, s);
	return r ? r : open_report(p, s);
}

void prepare_close(struct prepared *p)
{
	trace_close(p->trace);
	fd_close(&p->report_fd);
	if (p->has_pattern)
		regfree(&p->expect.pattern);
	free(p->send);
	free(p->options.list);
}
