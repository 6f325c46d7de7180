/* The first stage of a client: from a host and a port to a connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "session/report.h"
#include "session/session.h"

static enum stage_result step(struct session *s, nsec now)
{
	const struct session_settings *settings = s->settings;
	char text[ENDPOINT_TEXT], reason[512];
	int r;

	(void)now;
	if (!s->dial) {
		s->dial = malloc(sizeof *s->dial);
		if (!s->dial)
			return session_fail(s, EXIT_RESOURCES, "connect to %s port %u: %s",
					    settings->host, settings->port, strerror(ENOMEM));
		dial_start(s->dial, settings->dial, settings->host, settings->port, &s->task);
	}
	r = dial_step(s->dial);
	if (r == -EAGAIN)
		return STAGE_WAIT;
	report_keep_dial(s, s->dial);
	if (r < 0)
		return session_fail(s, dial_status(s->dial), "%s",
				    dial_reason(s->dial, reason, sizeof reason));
	session_connected(s, s->dial->sock, s->dial->lost, &s->dial->peer);
	s->dial->sock = -1;
	diag_step("connected to %s port %u", endpoint_text(&s->peer, text), endpoint_port(&s->peer));
	return STAGE_DONE;
}

static void leave(struct session *s)
{
	if (!s->dial)
		return;
	dial_close(s->dial);
	free(s->dial);
	s->dial = NULL;
}

const struct stage stage_connect = {"dial", step, leave};
