/*
 * The greeting of the socket tutorial that this program grew from: the host welcomes, the guest answers,
 * each prints what it was told. ("bejing" is the tutorial's own spelling.) A message ends at its NUL byte
 * or at end-of-file, however the network cut it up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "session/session.h"
#include "stream/outbox.h"

/* Room for a message, in bytes: at first, since most are short, and at most. */
#define MESSAGE_ROOM ((size_t)512)
#define MESSAGE_MOST ((size_t)64 * 1024)
#define TIME_LIMIT (10 * NSEC_PER_SEC)

static const char welcome[] = "welcome %a to bejing";
static const char hello[] = "hello,this is client";

/* The parts of an exchange, walked through in the order of a role. */
enum part { SEND, RECEIVE, PRINT, FINISHED };

struct greeting {
	struct stream_stdio stdio;
	struct outbox sent;    /* what the peer is told */
	struct outbox printed; /* what stdout is told */
	struct list turn_link; /* in line for stdout */
	struct task *task;     /* ... and what to wake when it is this one's turn */
	bool begun;
	uint8_t step;          /* index into the role's parts */
	nsec ends;             /* when the time limit passes */
	char *message;         /* what was received */
	size_t length, room;
	int lost;              /* -errno of what cut the message off; 0: it is whole */
};

/* Fills the outbox with `format`, %a, %p and %% replaced, and a NUL byte. Returns 0 or -ENOMEM. */
static int greet_expand(const struct session *s, const char *format, struct outbox *box)
{
	char address[ENDPOINT_TEXT], port[8];
	int r = 0;

	endpoint_text(&s->peer, address);
	snprintf(port, sizeof port, "%u", endpoint_port(&s->peer));
	for (; *format && r == 0; format++) {
		const char *piece = format;
		size_t length = 1;

		if (*format == '%' && format[1] && strchr("ap%", format[1])) {
			format++;
			piece = *format == 'a' ? address : *format == 'p' ? port : "%";
			length = strlen(piece);
		}
		r = outbox_add(box, piece, length);
	}
	return r == 0 ? outbox_add(box, "", 1) : r;
}

/* Sets the exchange up. Returns 0 or -ENOMEM. */
static int greet_set_up(struct session *s, struct greeting *g, nsec now)
{
	const char *format = s->settings->greeting;
	nsec limit = s->settings->idle_timeout ? s->settings->idle_timeout : TIME_LIMIT;

	if (!format)
		format = s->incoming ? welcome : hello;
	if (greet_expand(s, format, &g->sent) < 0) {
		outbox_free(&g->sent);
		return -ENOMEM;
	}
	list_init(&g->turn_link);
	g->task = &s->task;
	stream_stdio_open(&g->stdio, -1, STDOUT_FILENO, true);
	s->legs[LEG_OTHER].top = &g->stdio.stream;
	g->ends = clock_after(now, limit);
	g->begun = true;
	return 0;
}

static enum stage_result greet_send(struct session *s, struct stream *connection, struct greeting *g)
{
	size_t left = outbox_left(&g->sent);
	int r = outbox_send(&g->sent, connection);

	s->out.moved += left - outbox_left(&g->sent);
	if (r == -EAGAIN) {
		session_want_stream(s, connection, STREAM_WRITE);
		return STAGE_WAIT;
	}
	return r < 0 ? session_fail_stream(s, connection, STREAM_WRITE, r) : STAGE_DONE;
}

/* --- receiving --- */

/* Makes room for more of the message, which has filled what there is. Returns 0 or -ENOMEM. */
static int greet_make_room(struct greeting *g)
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

/* The message is `length` bytes long: what is printed is that and a newline. */
static enum stage_result message_ends(struct session *s, struct greeting *g, size_t length)
{
	if (outbox_add(&g->printed, g->message, length) < 0 || outbox_add(&g->printed, "\n", 1) < 0)
		return session_fail(s, EXIT_RESOURCES, "%s", strerror(ENOMEM));
	return STAGE_DONE;
}

/* The peer has ended (`got` is 0) or was lost before a NUL byte. */
static enum stage_result message_cut(struct session *s, struct stream *connection, struct greeting *g, int got)
{
	g->lost = got;
	if (g->length > 0)
		return message_ends(s, g, g->length);
	if (got < 0)
		return session_fail_stream(s, connection, STREAM_READ, got);
	return session_fail(s, EXIT_LOST, "ended before its greeting");
}

static enum stage_result greet_receive(struct session *s, struct stream *connection, struct greeting *g,
				       nsec now)
{
	for (;;) {
		const char *end;
		ssize_t got;

		if (g->length == g->room && greet_make_room(g) < 0)
			return session_await_memory(s, now);
		got = connection->ops->read(connection, g->message + g->length, g->room - g->length);
		if (got == -EAGAIN) {
			session_want_stream(s, connection, STREAM_READ);
			return STAGE_WAIT;
		}
		if (got <= 0)
			return message_cut(s, connection, g, (int)got);
		s->in.moved += (uint64_t)got;
		end = memchr(g->message + g->length, '\0', (size_t)got);
		if (end)
			return message_ends(s, g, (size_t)(end - g->message));
		g->length += (size_t)got;
		if (g->length > MESSAGE_MOST)
			return session_fail(s, EXIT_LOST, "its greeting is longer than %zu bytes",
					    MESSAGE_MOST);
	}
}

/* --- printing: one at a time on stdout, so that no two messages mix --- */

static bool take_turn(struct session *s, struct greeting *g)
{
	struct turn *t = s->settings->turn;

	if (!t || t->holder == s)
		return true;
	if (!t->holder) {
		t->holder = s;
		return true;
	}
	if (list_empty(&g->turn_link))
		list_append(&t->waiting, &g->turn_link);
	return false;
}

static void give_turn(struct session *s, struct greeting *g)
{
	struct turn *t = s->settings->turn;
	struct greeting *next;

	list_remove(&g->turn_link);
	if (!t || t->holder != s)
		return;
	t->holder = NULL;
	if (list_empty(&t->waiting))
		return;
	/* the next in line takes its turn when it runs */
	next = list_entry(t->waiting.next, struct greeting, turn_link);
	list_remove(&next->turn_link);
	task_wake(next->task);
}

static enum stage_result greet_print(struct session *s, struct stream *connection, struct greeting *g)
{
	struct stream *local = &g->stdio.stream;
	int r;

	if (!take_turn(s, g))
		return STAGE_WAIT;
	r = outbox_send(&g->printed, local);
	if (r == -EAGAIN) {
		session_want_stream(s, local, STREAM_WRITE);
		return STAGE_WAIT;
	}
	if (r < 0)
		return session_fail_output(s, r);
	give_turn(s, g);
	/* received bytes come before bad news */
	return g->lost ? session_fail_stream(s, connection, STREAM_READ, g->lost) : STAGE_DONE;
}

/* --- the exchange --- */

static enum stage_result greet_part(struct session *s, struct stream *connection, struct greeting *g,
				    enum part part, nsec now)
{
	switch (part) {
	case SEND:
		return greet_send(s, connection, g);
	case RECEIVE:
		return greet_receive(s, connection, g, now);
	default:
		return greet_print(s, connection, g);
	}
}

static enum stage_result greet_role(struct session *s, struct leg *leg, struct greeting *g, const enum part *parts,
				    nsec now)
{
	enum stage_result r = STAGE_DONE;
	char text[32];

	if (!g->begun && greet_set_up(s, g, now) < 0)
		return session_await_memory(s, now);
	for (; parts[g->step] != FINISHED && r == STAGE_DONE; g->step += r == STAGE_DONE)
		r = greet_part(s, leg->top, g, parts[g->step], now);
	if (r == STAGE_WAIT && now >= g->ends)
		return session_fail(s, EXIT_TIMEDOUT, "no greeting within %s (--idle-timeout)",
				    clock_words(s->settings->idle_timeout ? s->settings->idle_timeout : TIME_LIMIT,
						text, sizeof text));
	session_wake_at(s, g->ends);
	/* what may still come after the message is of no use, but must not be answered with a reset */
	s->drop_input = r == STAGE_DONE;
	return r;
}

static enum stage_result greet_host_step(struct session *s, struct leg *leg, void *state, nsec now)
{
	static const enum part parts[] = {SEND, RECEIVE, PRINT, FINISHED};

	return greet_role(s, leg, state, parts, now);
}

static enum stage_result greet_guest_step(struct session *s, struct leg *leg, void *state, nsec now)
{
	static const enum part parts[] = {RECEIVE, PRINT, SEND, FINISHED};

	return greet_role(s, leg, state, parts, now);
}

static void greet_leave(struct session *s, struct leg *leg, void *state)
{
	struct greeting *g = state;

	(void)leg;
	if (!g->begun)
		return;
	give_turn(s, g);
	session_forget(s, g->stdio.stream.wfd);
	leg_close(&s->legs[LEG_OTHER]);
	outbox_free(&g->sent);
	outbox_free(&g->printed);
	free(g->message);
}

const struct stage stage_greet_host = {"greet", sizeof(struct greeting), greet_host_step, greet_leave};
const struct stage stage_greet_guest = {"greet", sizeof(struct greeting), greet_guest_step, greet_leave};
