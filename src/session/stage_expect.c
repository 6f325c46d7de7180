/*
 * A health check: send what --send says, then read until --expect matches or the peer ends. The window
 * over what was received is bounded, so a match may span any number of reads but not more than that.
 */
#include "session/expect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/exitcode.h"
#include "session/session.h"
#include "stream/outbox.h"

/*
 * The time of regexec(3), which cannot be interrupted, may grow with the square of the text: for a window
 * of this size it is 0.1 s at worst.
 */
#define WINDOW_BYTES ((size_t)8 * 1024)
#define SHOWN_ROOM 204 /* of what was received, in a message */

/*
 * Reading and matching pause after this time, and for as long: time limits and other sessions have a turn.
 */
#define LOOKING_MOST (10 * NSEC_PER_MSEC)

/* Reads after a match, to drop what the peer still sends. */
#define PARTING_READS 16

struct expecting {
	struct outbox box; /* the text to send */
	bool filled;       /* ... has been put there */
	int error;         /* -errno of sending, reported when nothing more is received; 0: none */
	size_t length;     /* bytes in the window */
	char window[WINDOW_BYTES + 1];
};

/*
 * Sends what is left of the text, as far as that goes now. Returns STAGE_DONE unless this machine failed.
 */
static enum stage_result expect_send(struct session *s, struct stream *connection, struct expecting *e)
{
	size_t left = outbox_left(&e->box);
	int r;

	if (e->error)
		return STAGE_DONE;
	r = outbox_send(&e->box, connection);
	s->out.moved += left - outbox_left(&e->box);
	if (r == 0 || r == -EAGAIN)
		return STAGE_DONE;
	if (!stream_is_lost(r))
		return session_fail_stream(s, connection, STREAM_WRITE, r);
	/* what was received before may still match */
	e->error = r;
	return STAGE_DONE;
}

/* Adds `n` bytes to the window. A NUL byte would end it for regexec(3): it becomes a byte 1. */
static void expect_take(struct expecting *e, size_t n)
{
	for (char *at = e->window + e->length; n > 0; n--, at++, e->length++)
		if (*at == '\0')
			*at = '\001';
	e->window[e->length] = '\0';
}

/* Drops the older half of a full window. */
static void expect_make_room(struct expecting *e)
{
	if (e->length < WINDOW_BYTES)
		return;
	memmove(e->window, e->window + WINDOW_BYTES / 2, WINDOW_BYTES / 2);
	e->length = WINDOW_BYTES / 2;
}

/* The peer has ended, or was lost while we were sending. */
static enum stage_result not_met(struct session *s, struct stream *connection, const struct expecting *e)
{
	char shown[SHOWN_ROOM];

	if (e->error)
		return session_fail_stream(s, connection, STREAM_WRITE, e->error);
	if (e->length == 0)
		return session_fail(s, EXIT_EXPECT, "nothing was received, expected '%.100s'",
				    s->settings->expect->text);
	return session_fail(s, EXIT_EXPECT, "expected '%.100s', received '%s'", s->settings->expect->text,
			    escape(e->window, e->length, shown, sizeof shown));
}

static bool expect_matches(const struct session *s, const struct expecting *e)
{
	/* once bytes before the window were dropped, '^' does not match where it begins */
	int flags = s->in.moved > e->length ? REG_NOTBOL : 0;

	return regexec(&s->settings->expect->pattern, e->window, 0, NULL, flags) == 0;
}

/*
 * The pattern was found: whatever happens to the connection now is no failure. It ends with a FIN, and
 * nothing is left unread that would turn it into a reset.
 */
static enum stage_result met(struct session *s, struct stream *connection, struct expecting *e)
{
	ssize_t got = 1;

	connection->ops->shut(connection);
	for (int i = 0; i < PARTING_READS && got > 0; i++) {
		got = connection->ops->read(connection, e->window, WINDOW_BYTES);
		s->in.moved += got > 0 ? (uint64_t)got : 0;
	}
	return STAGE_DONE;
}

/* Reads and looks for the pattern, for a while. */
static enum stage_result expect_receive(struct session *s, struct stream *connection, struct expecting *e,
					nsec now)
{
	nsec spent = 0;

	for (; spent < LOOKING_MOST; spent = clock_now() - now) {
		ssize_t got;

		expect_make_room(e);
		got = connection->ops->read(connection, e->window + e->length, WINDOW_BYTES - e->length);
		if (got == -EAGAIN) {
			session_want_stream(s, connection, STREAM_READ);
			return STAGE_WAIT;
		}
		if (got == 0)
			return not_met(s, connection, e);
		if (got < 0)
			return session_fail_stream(s, connection, STREAM_READ, (int)got);
		s->in.moved += (uint64_t)got;
		expect_take(e, (size_t)got);
		if (expect_matches(s, e))
			return met(s, connection, e);
	}
	session_wake_at(s, now + 2 * spent);
	return STAGE_WAIT;
}

static enum stage_result expect_step(struct session *s, struct leg *leg, void *state, nsec now)
{
	struct expecting *e = state;
	enum stage_result r;

	if (!e->filled && s->settings->send &&
	    outbox_add(&e->box, s->settings->send, s->settings->send_length) < 0)
		return session_await_memory(s, now);
	e->filled = true;
	if (expect_send(s, leg->top, e) == STAGE_FAILED)
		return STAGE_FAILED;
	r = expect_receive(s, leg->top, e, now);
	/* asked behind the read, which may have changed what the write waits for */
	if (r == STAGE_WAIT && !e->error && outbox_left(&e->box) > 0)
		session_want_stream(s, leg->top, STREAM_WRITE);
	return r;
}

static void expect_leave(struct session *s, struct leg *leg, void *state)
{
	struct expecting *e = state;

	(void)s, (void)leg;
	outbox_free(&e->box);
}

const struct stage stage_expect = {"expect", sizeof(struct expecting), expect_step, expect_leave};
