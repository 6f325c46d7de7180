/*
 * The facts of a session: what reports, the meter and -v tell, as one const view. Observers know this view,
 * and no session; no session calls back into them.
 */
#ifndef OBSERVE_FACTS_H
#define OBSERVE_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "net/dial.h"
#include "net/endpoint.h"

struct facts {
	uint64_t number;             /* of the connection, from 1 */
	bool incoming;               /* the peer connected to us */
	const char *host;            /* of connect or --forward; NULL: none */
	uint16_t port;
	const struct dial_record *dialed; /* NULL: none, or not kept */
	int sock;                    /* of the connection; -1: there is none */
	const struct endpoint *peer; /* ... and its peer; valid if there is a socket */
	nsec began, first_byte, now; /* first_byte: 0 until it has come */
	nsec date;                   /* of `began`: clock_wall(), by the present setting of the clock */
	uint64_t sent, received;
	const char *sent_end, *received_end; /* "open", "eof", "cut", "none" or an error in words */
	char sent_words[100], received_words[100]; /* room for such errors */
	const char *first_end;       /* the side that ended its direction first; NULL: neither yet */
	bool joined;                 /* the two flows have been set up */
	int status;                  /* as the caller of the program sees it */
	const char *failure;         /* NULL: none */
	bool from_stdin;             /* stdin is what is sent */
};

#endif
