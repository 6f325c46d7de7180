#include "session/filters.h"

#include <errno.h>
#include <stdlib.h>

#include "flow/filter.h"
#include "session/session.h"

struct filters {
	struct filter_crlf crlf;
	struct filter_telnet telnet;
	struct filter_rate rate_out, rate_in;
	struct filter_slow slow;
};

static void filters_append(struct flow *f, struct filter *filter)
{
	struct filter **at = &f->filters;

	while (*at)
		at = &(*at)->next;
	*at = filter;
}

int filters_apply(struct session *s)
{
	const struct filters_settings *settings = &s->settings->filters;
	struct filters *filters;
	struct session_notes *n;

	if (!filters_wanted(settings))
		return 0;
	filters = malloc(sizeof *filters);
	if (!filters)
		return -ENOMEM;
	n = session_notes(s);
	if (!n) {
		free(filters);
		return -ENOMEM;
	}
	n->filters = filters;
	/* CRLF before TELNET, which escapes bytes of the text */
	if (settings->crlf) {
		filter_crlf_init(&filters->crlf);
		filters_append(&s->out, &filters->crlf.filter);
	}
	/* the rate counts bytes on the wire: before commands are removed, and behind what is added */
	if (settings->rate) {
		filter_rate_init(&filters->rate_in, settings->rate);
		filters_append(&s->in, &filters->rate_in.filter);
	}
	if (settings->telnet) {
		filter_telnet_init(&filters->telnet);
		filters_append(&s->out, &filters->telnet.sent);
		filters_append(&s->in, &filters->telnet.received);
	}
	if (settings->rate) {
		filter_rate_init(&filters->rate_out, settings->rate);
		filters_append(&s->out, &filters->rate_out.filter);
	}
	if (settings->delay || settings->chunk) {
		filter_slow_init(&filters->slow, settings->delay, (size_t)settings->chunk);
		filters_append(&s->out, &filters->slow.filter);
	}
	return 0;
}
