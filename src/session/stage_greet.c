/*
 * The greeting of the tutorial this program grew from: the host welcomes, the guest answers, each
 * prints what it was told. A message ends at its NUL byte or at end-of-file, however the network cut
 * it up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "session/session.h"

/* A message takes so much room at first, for most are short, and at last. */
#define MESSAGE_ROOM ((size_t)512)
#define MESSAGE_MOST ((size_t)64 * 1024)
#define TIME_LIMIT (10 * NSEC_PER_SEC)

static const char welcome[] = "welcome %a to bejing";
static const char hello[] = "hello,this is client";

/* What one exchange needs while it lasts; the parts are walked through in the order of a role. */
enum part { SEND, RECEIVE, PRINT, FINISHED };

struct greeting {
	int step;     /* index into the role's parts */
	size_t done;  /* bytes of this part that are done */
	char *text;   /* what to send, its NUL byte included */
	size_t text_length;
	char *message; /* what was received */
	size_t length, room;
	int lost;      /* -errno of what cut the message off; 0: it is whole */
};

/* Writes `format` with %a, %p and %% replaced into *out, if it is not NULL; returns the length. */
static size_t expand(const struct session *s, const char *format, char *out)
{
	char address[ENDPOINT_TEXT], port[8];
	size_t n = 0;

	endpoint_text(&s->peer, address);
	snprintf(port, sizeof port, "%u", endpoint_port(&s->peer));
	for (; *format; format++) {
		const char *piece = format;
		size_t length = 1;

		if (*format == '%' && strchr("ap%", format[1]) && format[1]) {
			format++;
			piece = *format == 'a' ? address : *format == 'p' ? port : "%";
			length = strlen(piece);
		}
		if (out)
			memcpy(out + n, piece, length);
		n += length;
	}
	return n;
}

/* Sets the exchange up. Returns 0 or -ENOMEM. */
static int set_up(struct session *s)
{
	const char *format = s->settings->greeting;
	struct greeting *g = calloc(1, sizeof *g);

	if (!g)
		return -ENOMEM;
	if (!format)
		format = s->incoming ? welcome : hello;
	g->text_length = expand(s, format, NULL) + 1;
	g->text = malloc(g->text_length);
	if (!g->text) {
		free(g);
		return -ENOMEM;
	}
	s->greeting = g;
	expand(s, format, g->text);
	g->text[g->text_length - 1] = '\0';
	stream_stdio_open(&s->stdio, -1, STDOUT_FILENO, true);
	s->local = &s->stdio.stream;
	return 0;
}

static enum stage_result send_text(struct session *s)
{
	struct greeting *g = s->greeting;

	while (g->done < g->text_length) {
		ssize_t put = s->remote->ops->write(s->remote, g->text + g->done,
						    g->text_length - g->done);

		if (put == -EAGAIN) {
			session_want(s, s->remote->wfd, s->remote->wwait);
			return STAGE_WAIT;
		}
		if (put < 0)
			return session_fail(s, EXIT_LOST, "%s", strerror((int)-put));
		g->done += (size_t)put;
	}
	s->out.moved += g->text_length;
	return STAGE_DONE;
}

/* The message ends here: at its NUL byte, or without one at the peer's end-of-file or a reset. */
static enum stage_result message_ends(struct greeting *g, size_t length)
{
	g->length = length;
	g->message[g->length++] = '\n';
	return STAGE_DONE;
}

/* Makes room for more of the message, which has filled what there is. Returns 0 or -ENOMEM. */
static int make_room(struct greeting *g)
{
	size_t room = g->room ? g->room * 2 : MESSAGE_ROOM;
	char *message;

	if (room > MESSAGE_MOST)
		room = MESSAGE_MOST + 1;
	message = realloc(g->message, room);
	if (!message)
		return -ENOMEM;
	g->message = message;
	g->room = room;
	return 0;
}

static enum stage_result cut_off(struct session *s)
{
	return session_fail(s, exitcode_for(s->greeting->lost, EXIT_LOST), "%s",
			    strerror(-s->greeting->lost));
}

static enum stage_result receive(struct session *s, nsec now)
{
	struct greeting *g = s->greeting;

	for (;;) {
		const char *end;
		ssize_t got;

		if (g->done == g->room && make_room(g) < 0)
			return session_await_memory(s, now);
		got = s->remote->ops->read(s->remote, g->message + g->done, g->room - g->done);
		if (got == -EAGAIN) {
			session_want(s, s->remote->rfd, s->remote->rwait);
			return STAGE_WAIT;
		}
		if (got < 0)
			g->lost = (int)got;
		if (got < 0 && g->done == 0)
			return cut_off(s);
		if (got == 0 && g->done == 0)
			return session_fail(s, EXIT_LOST, "ended before its greeting");
		if (got <= 0)
			return message_ends(g, g->done);
		s->in.moved += (uint64_t)got;
		end = memchr(g->message + g->done, '\0', (size_t)got);
		if (end)
			return message_ends(g, (size_t)(end - g->message));
		g->done += (size_t)got;
		if (g->done > MESSAGE_MOST)
			return session_fail(s, EXIT_LOST, "its greeting is longer than %zu bytes",
					    MESSAGE_MOST);
	}
}

/* --- one at a time on stdout, so that no two messages mix --- */

static bool take_turn(struct session *s)
{
	struct turn *t = s->turn;

	if (!t || t->holder == s)
		return true;
	if (!t->holder) {
		t->holder = s;
		return true;
	}
	if (list_empty(&s->turn_link))
		list_append(&t->waiting, &s->turn_link);
	return false;
}

static void give_turn(struct session *s)
{
	struct turn *t = s->turn;

	list_remove(&s->turn_link);
	if (!t || t->holder != s)
		return;
	t->holder = NULL;
	if (list_empty(&t->waiting))
		return;
	t->holder = list_entry(t->waiting.next, struct session, turn_link);
	list_remove(&t->holder->turn_link);
	task_wake(&t->holder->task);
}

static enum stage_result print(struct session *s)
{
	struct greeting *g = s->greeting;

	if (!take_turn(s))
		return STAGE_WAIT;
	while (g->done < g->length) {
		ssize_t put = s->local->ops->write(s->local, g->message + g->done, g->length - g->done);

		if (put == -EAGAIN) {
			session_want(s, s->local->wfd, s->local->wwait);
			return STAGE_WAIT;
		}
		if (put < 0)
			return session_output_failed(s, (int)put);
		g->done += (size_t)put;
	}
	give_turn(s);
	/* received bytes come before bad news */
	return g->lost ? cut_off(s) : STAGE_DONE;
}

/* --- the exchange --- */

static enum stage_result step_part(struct session *s, nsec now, enum part part)
{
	switch (part) {
	case SEND:
		return send_text(s);
	case RECEIVE:
		return receive(s, now);
	default:
		return print(s);
	}
}

static enum stage_result step_role(struct session *s, nsec now, const enum part *parts)
{
	nsec limit = s->settings->idle_timeout ? s->settings->idle_timeout : TIME_LIMIT;
	struct greeting *g;
	char text[32];

	if (!s->greeting && set_up(s) < 0)
		return session_await_memory(s, now);
	g = s->greeting;
	if (s->quit_at == NSEC_NEVER)
		s->quit_at = clock_after(now, limit);
	for (; parts[g->step] != FINISHED; g->step++, g->done = 0) {
		enum stage_result r = step_part(s, now, parts[g->step]);

		if (r == STAGE_FAILED)
			return r;
		if (r == STAGE_WAIT && now >= s->quit_at)
			return session_fail(s, EXIT_TIMEDOUT, "no greeting within %s (--idle-timeout)",
					    clock_words(limit, text, sizeof text));
		if (r == STAGE_WAIT) {
			session_wake_at(s, s->quit_at);
			return r;
		}
	}
	/* what may still come after the message is nobody's, but must not be answered with a reset */
	s->drop_input = true;
	return STAGE_DONE;
}

static enum stage_result step_host(struct session *s, nsec now)
{
	static const enum part parts[] = {SEND, RECEIVE, PRINT, FINISHED};

	return step_role(s, now, parts);
}

static enum stage_result step_guest(struct session *s, nsec now)
{
	static const enum part parts[] = {RECEIVE, PRINT, SEND, FINISHED};

	return step_role(s, now, parts);
}

static void leave(struct session *s)
{
	give_turn(s);
	if (!s->greeting)
		return;
	free(s->greeting->text);
	free(s->greeting->message);
	free(s->greeting);
	s->greeting = NULL;
}

const struct stage stage_greet_host = {"greet", step_host, leave};
const struct stage stage_greet_guest = {"greet", step_guest, leave};
