/* The filters of a session: --crlf, --telnet, --limit-rate, --delay, --chunk. */
#ifndef SESSION_FILTERS_H
#define SESSION_FILTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct session;

struct filters_settings {
	bool crlf, telnet;
	int64_t rate;  /* bytes per second and direction; 0: no limit */
	int64_t chunk; /* bytes per write at most; 0: no limit */
	nsec delay;    /* between lines */
};

/* True when any of it is asked for. */
static inline bool filters_wanted(const struct filters_settings *f)
{
	return f->crlf || f->telnet || f->rate || f->chunk || f->delay;
}

/* Puts the filters into the flows of `s`, which have just been set up. Returns 0 or -ENOMEM. */
int filters_apply(struct session *s);

#endif
