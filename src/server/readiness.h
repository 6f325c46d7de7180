/* Announcing readiness, once all sockets listen and not before, so that no script has to sleep. */
#ifndef SERVER_READINESS_H
#define SERVER_READINESS_H

#include "net/listener.h"

struct readiness_settings {
	const char *port_file; /* --port-file; NULL: none */
	int64_t ready_fd;      /* --ready-fd; 0: none */
	nsec deadline;         /* --deadline: no reader is waited for after that; NSEC_NEVER: none */
};

/*
 * Announces the port in every way that was asked for: -v, --port-file (as output_put() does), --ready-fd
 * (one line, then closed), $NOTIFY_SOCKET (sd_notify(3)). A reader that takes nothing is waited for until
 * SIGTERM or SIGINT has come, which the server has caught, or the deadline. A failure is reported here;
 * returns 0 or the exit status.
 */
int readiness_announce(const struct readiness_settings *, const struct listener *);

#endif
