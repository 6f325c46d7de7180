#include "cmd/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/escape.h"
#include "base/exitcode.h"
#include "base/fd.h"
#include "trace/trace.h"

static int out_of_memory(void)
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

static int open_trace(struct prepared *w, struct settings *s)
{
	enum trace_format format = TRACE_HEX;
	int r = 0;

	if (!s->hexdump && !s->trace_file)
		return 0;
	if (s->trace_file)
		r = find_format(s, &format);
	if (r)
		return r;
	r = trace_open(&w->trace, format, s->trace_file, s->session.deadline);
	if (r < 0) {
		diag_failure("trace %s: %s", s->trace_file ? s->trace_file : "stderr", strerror(-r));
		return exitcode_for(r, EXIT_LOCAL);
	}
	s->session.trace = w->trace;
	return 0;
}

static int open_report(struct prepared *w, struct settings *s)
{
	if (!s->report)
		return 0;
	s->session.report_fd = 2;
	if (!s->report_file)
		return 0;
	w->report_fd = open(s->report_file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	if (w->report_fd < 0) {
		diag_failure("report %s: %s", s->report_file, strerror(errno));
		return exitcode_for(-errno, EXIT_LOCAL);
	}
	s->session.report_fd = w->report_fd;
	return 0;
}

/* The text to send and the pattern to expect. */
static int read_texts(struct prepared *w, struct settings *s)
{
	char reason[128];
	long length;
	int r;

	if (s->send) {
		w->send = malloc(strlen(s->send) + 1);
		if (!w->send)
			return out_of_memory();
		length = unescape(s->send, w->send);
		if (length < 0) {
			diag_failure("--send: '%.100s' has an escape that does not exist", s->send);
			return EXIT_USAGE;
		}
		s->session.send = w->send;
		s->session.send_length = (size_t)length;
	}
	if (!s->expect)
		return 0;
	r = regcomp(&w->expect.pattern, s->expect, REG_EXTENDED | REG_NOSUB);
	if (r) {
		regerror(r, &w->expect.pattern, reason, sizeof reason);
		diag_failure("--expect: '%.100s': %s", s->expect, reason);
		return EXIT_USAGE;
	}
	w->has_pattern = true;
	w->expect.text = s->expect;
	s->session.expect = &w->expect;
	return 0;
}

/* What the kernel refuses here it would refuse later, with a peer waiting. */
static int try_options(const struct prepared *w, const struct settings *s)
{
	const char *failed;
	int r = 0;

	if (!s->ipv6)
		r = sockopts_try(AF_INET, &w->options, &failed);
	if (r == 0 && !s->ipv4)
		r = sockopts_try(AF_INET6, &w->options, &failed);
	if (r == 0)
		return 0;
	diag_failure("--sockopt %s: %s", failed, strerror(-r));
	return EXIT_USAGE;
}

static int read_options(struct prepared *w, struct settings *s)
{
	char reason[600];

	if (s->options.count == 0)
		return 0;
	w->options.list = calloc((size_t)s->options.count, sizeof *w->options.list);
	if (!w->options.list)
		return out_of_memory();
	for (int i = 0; i < s->options.count; i++) {
		if (sockopt_parse(s->options.list[i], &w->options.list[i], reason, sizeof reason) < 0) {
			diag_failure("--sockopt: %s", reason);
			return EXIT_USAGE;
		}
		w->options.count++;
	}
	s->dial.options = s->listen.options = s->session.options = &w->options;
	return try_options(w, s);
}

int prepare_open(struct prepared *w, struct settings *s)
{
	int r;

	memset(w, 0, sizeof *w);
	w->report_fd = -1;
	r = read_options(w, s);
	if (r == 0)
		r = read_texts(w, s);
	if (r == 0)
		r = open_trace(w, s);
	return r ? r : open_report(w, s);
}

void prepare_close(struct prepared *w)
{
	trace_close(w->trace);
	fd_close(&w->report_fd);
	if (w->has_pattern)
		regfree(&w->expect.pattern);
	free(w->send);
	free(w->options.list);
}
