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

static void append(struct flow *f, struct filter *filter)
{
	struct filter **at = &f->filters;

	while (*at)
		at = &(*at)->next;
	*at = filter;
}

int filters_apply(struct session *s)
{
	const struct filters_settings *settings = &s->settings->shaping;
	struct filters *shaping;
	struct session_notes *n;

	if (!filters_wanted(settings))
		return 0;
	shaping = malloc(sizeof *shaping);
	if (!shaping)
		return -ENOMEM;
	n = session_notes(s);
	if (!n) {
		free(shaping);
		return -ENOMEM;
	}
	n->filters = shaping;
	/* a line's end is changed first, for it is text; what protects the text from TELNET comes behind */
	if (settings->crlf) {
		filter_crlf_init(&shaping->crlf);
		append(&s->out, &shaping->crlf.filter);
	}
	/* what crosses the wire counts: before commands are taken out, and behind what is added */
	if (settings->rate) {
		filter_rate_init(&shaping->rate_in, settings->rate);
		append(&s->in, &shaping->rate_in.filter);
	}
	if (settings->telnet) {
		filter_telnet_init(&shaping->telnet);
		append(&s->out, &shaping->telnet.sent);
		append(&s->in, &shaping->telnet.received);
	}
	if (settings->rate) {
		filter_rate_init(&shaping->rate_out, settings->rate);
		append(&s->out, &shaping->rate_out.filter);
	}
	if (settings->delay || settings->chunk) {
		filter_slow_init(&shaping->slow, settings->delay, (size_t)settings->chunk);
		append(&s->out, &shaping->slow.filter);
	}
	return 0;
}
