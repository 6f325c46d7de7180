/*
 * A health check: send what --send says, then read until --expect matches or the peer ends. The window
 * over what was received is bounded, so a match may span any number of reads but not more than that.
 */
#include "session/expect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/exitcode.h"
#include "session/session.h"

/*
 * regexec(3) may take a time that grows with the square of what it looks at, and cannot be interrupted: in
 * so much it takes a tenth of a second at worst.
 */
#define WINDOW_BYTES ((size_t)8 * 1024)
#define SHOWN_BYTES 100

/* After so long of reading and looking the limits on time have their turn, and as long again the others. */
#define LOOKING_MOST (10 * NSEC_PER_MSEC)

/* Who goes on talking when the answer has come is listened to for so many reads. */
#define PARTING_READS 16

struct expecting {
	size_t sent;   /* bytes of the text to send that are gone */
	int error;     /* -errno that sending has met: what the end of receiving will be */
	size_t length; /* bytes in the window */
	char window[WINDOW_BYTES + 1];
};

/* Sends what is left of the text, as far as that goes now. */
static void send_text(struct session *s)
{
	struct expecting *e = s->expecting;

	while (e->sent < s->settings->send_length && !e->error) {
		ssize_t put = s->remote->ops->write(s->remote, s->settings->send + e->sent,
						    s->settings->send_length - e->sent);

		if (put == -EAGAIN) {
			session_want(s, s->remote->wfd, s->remote->wwait);
			return;
		}
		if (put < 0) {
			/* the socket tells of it only once; what was received before may still match */
			e->error = (int)put;
			return;
		}
		e->sent += (size_t)put;
		s->out.moved += (uint64_t)put;
	}
}

/* A NUL byte would end the window for regexec(3): it is matched as what no text holds. */
static void take(struct expecting *e, size_t n)
{
	for (char *at = e->window + e->length; n > 0; n--, at++, e->length++)
		if (*at == '\0')
			*at = '\001';
	e->window[e->length] = '\0';
}

/* A full window forgets its older half. */
static void make_room(struct expecting *e)
{
	if (e->length < WINDOW_BYTES)
		return;
	memmove(e->window, e->window + WINDOW_BYTES / 2, WINDOW_BYTES / 2);
	e->length = WINDOW_BYTES / 2;
}

static enum stage_result connection_failed(struct session *s, int error)
{
	return session_fail(s, exitcode_for(error, EXIT_LOST), "%s",
			    strerror(error == -EPIPE ? ECONNRESET : -error));
}

/* The peer has ended, or was lost while we were sending. */
static enum stage_result not_met(struct session *s)
{
	struct expecting *e = s->expecting;
	int shown = e->length < SHOWN_BYTES ? (int)e->length : SHOWN_BYTES;

	if (e->error)
		return connection_failed(s, e->error);
	if (e->length == 0)
		return session_fail(s, EXIT_EXPECT, "nothing was received, expected '%.100s'",
				    s->settings->expect->text);
	return session_fail(s, EXIT_EXPECT, "expected '%.100s', received '%.*s%s'",
			    s->settings->expect->text, shown, e->window,
			    e->length > SHOWN_BYTES ? "..." : "");
}

static bool matches(const struct session *s)
{
	const struct expecting *e = s->expecting;
	/* where the window begins is no beginning once something before it is forgotten */
	int flags = s->in.moved > e->length ? REG_NOTBOL : 0;

	return regexec(&s->settings->expect->pattern, e->window, 0, NULL, flags) == 0;
}

/*
 * Found, and that is all that was asked: what becomes of the connection now is no failure. We part with a
 * FIN, and leave nothing unread that would turn it into a reset.
 */
static enum stage_result met(struct session *s)
{
	ssize_t got = 1;

	s->remote->ops->shut(s->remote);
	for (int i = 0; i < PARTING_READS && got > 0; i++) {
		got = s->remote->ops->read(s->remote, s->expecting->window, WINDOW_BYTES);
		s->in.moved += got > 0 ? (uint64_t)got : 0;
	}
	return STAGE_DONE;
}

/* Reads and looks for the pattern, for a while. */
static enum stage_result receive(struct session *s, nsec now)
{
	struct expecting *e = s->expecting;
	nsec spent = 0;

	for (; spent < LOOKING_MOST; spent = clock_now() - now) {
		ssize_t got;

		make_room(e);
		got = s->remote->ops->read(s->remote, e->window + e->length, WINDOW_BYTES - e->length);
		if (got == -EAGAIN) {
			session_want(s, s->remote->rfd, s->remote->rwait);
			return STAGE_WAIT;
		}
		if (got == 0)
			return not_met(s);
		if (got < 0)
			return connection_failed(s, (int)got);
		s->in.moved += (uint64_t)got;
		take(e, (size_t)got);
		if (matches(s))
			return met(s);
	}
	session_wake_at(s, now + 2 * spent);
	return STAGE_WAIT;
}

static enum stage_result step(struct session *s, nsec now)
{
	if (!s->expecting)
		s->expecting = calloc(1, sizeof *s->expecting);
	if (!s->expecting)
		return session_fail(s, EXIT_RESOURCES, "%s", strerror(ENOMEM));
	send_text(s);
	return receive(s, now);
}

static void leave(struct session *s)
{
	free(s->expecting);
	s->expecting = NULL;
}

const struct stage stage_expect = {"expect", step, leave};
