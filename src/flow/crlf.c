#include "flow/filter.h"

static size_t crlf_map(struct filter *f, const unsigned char *in, size_t n, unsigned char *out)
{
	struct filter_crlf *c = (struct filter_crlf *)(void *)f;
	unsigned char *at = out;

	for (size_t i = 0; i < n; i++) {
		if (in[i] == '\n' && !c->after_cr)
			*at++ = '\r';
		c->after_cr = in[i] == '\r';
		*at++ = in[i];
	}
	return (size_t)(at - out);
}

void filter_crlf_init(struct filter_crlf *c)
{
	static const struct filter_ops ops = {.name = "crlf", .map = crlf_map};

	*c = (struct filter_crlf){.filter.ops = &ops};
}
