/*
 * --send and --expect, the stage alone: the pattern is found however what is received was cut into
 * reads, far behind what the window holds as well; what is to be sent goes once and in order
 * through short writes; and when nothing comes of it, the status says why.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "session/expect.h"
#include "session/session.h"
#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define WINDOW ((size_t)8 * 1024) /* what the stage remembers */
#define FD 7                       /* never opened: only waited for */

/* The peer: what it says, in pieces, and what it is told. */
static struct peer {
	struct stream stream;
	const char *text;
	size_t length, at;
	size_t cuts[2]; /* no read goes beyond one of these */
	size_t piece;   /* nor is it larger than this */
	bool pauses;    /* -EAGAIN before every piece */
	bool paused;
	int end;         /* 0 or -errno behind the text */
	int write_error; /* or 0 */
	char told[256];
	size_t told_length;
	bool refuses;
	bool shut;
} peer;

static ssize_t peer_read(struct stream *s, void *buf, size_t n)
{
	size_t left = peer.length - peer.at;

	(void)s;
	peer.paused = peer.pauses && !peer.paused;
	if (peer.paused)
		return -EAGAIN;
	if (left == 0)
		return peer.end;
	n = n < left ? n : left;
	n = peer.piece && n > peer.piece ? peer.piece : n;
	for (size_t i = 0; i < COUNT(peer.cuts); i++)
		if (peer.at < peer.cuts[i] && peer.at + n > peer.cuts[i])
			n = peer.cuts[i] - peer.at;
	memcpy(buf, peer.text + peer.at, n);
	peer.at += n;
	return (ssize_t)n;
}

/* Every other write is refused, and the rest take three bytes. */
static ssize_t peer_write(struct stream *s, const void *buf, size_t n)
{
	(void)s;
	peer.refuses = !peer.refuses;
	if (peer.refuses)
		return -EAGAIN;
	if (peer.write_error)
		return peer.write_error;
	n = n < 3 ? n : 3;
	if (peer.told_length + n > sizeof peer.told)
		return -EIO;
	memcpy(peer.told + peer.told_length, buf, n);
	peer.told_length += n;
	return (ssize_t)n;
}

static int peer_shut(struct stream *s)
{
	(void)s;
	peer.shut = true;
	return 0;
}

static void peer_close(struct stream *s)
{
	(void)s;
}

static void say(const char *text, size_t length)
{
	static const struct stream_ops ops = {
		.read = peer_read, .write = peer_write, .shut = peer_shut, .close = peer_close};

	peer = (struct peer){
		.stream = {.ops = &ops, .rfd = FD, .wfd = FD, .rwait = FD_IN, .wwait = FD_OUT},
		.text = text,
		.length = length,
	};
}

/* --- a session that has only this stage --- */

static struct session session;
static struct session_settings settings;
static struct expectation expectation;
static int waits, waits_in_vain;

/* What the session has kept as its failure; "" when there is none. */
static const char *failure(void)
{
	return session.notes && session.notes->failure ? session.notes->failure : "";
}

static void forget(void)
{
	if (session.notes)
		free(session.notes->failure);
	free(session.notes);
	session.notes = NULL;
}

/* A new session at the beginning of the stage, whose state is returned. */
static void *begin(void)
{
	forget();
	session = (struct session){.settings = &settings};
	session.legs[LEG_CONNECTION].top = &peer.stream;
	return calloc(1, stage_expect.room);
}

static enum stage_result step(void *state)
{
	return stage_expect.step(&session, &session.legs[LEG_CONNECTION], state, clock_now());
}

static void leave(void *state)
{
	stage_expect.leave(&session, &session.legs[LEG_CONNECTION], state);
	free(state);
}

/* Runs the stage to its end. `send` may be NULL. */
static enum stage_result expect(const char *pattern, const char *send)
{
	enum stage_result result;
	void *state;

	expectation.text = pattern;
	if (regcomp(&expectation.pattern, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return STAGE_FAILED;
	settings = (struct session_settings){
		.expect = &expectation, .send = send, .send_length = send ? strlen(send) : 0};
	state = begin();
	waits = waits_in_vain = 0;
	for (;;) {
		for (int i = 0; i < SESSION_WATCHES; i++)
			session.watches[i].fd = -1;
		memset(session.wanted, 0, sizeof session.wanted);
		session.wake_at = NSEC_NEVER;
		result = step(state);
		if (result != STAGE_WAIT || ++waits > 100000)
			break;
		/* for the peer, or, where looking takes long, for its next turn */
		waits_in_vain += session.wake_at == NSEC_NEVER &&
				 (session.watches[0].fd != FD || !(session.wanted[0] & FD_IN));
	}
	leave(state);
	regfree(&expectation.pattern);
	return result;
}

/* --- what is found --- */

static const struct {
	const char *pattern, *text;
	bool found;
} texts[] = {
	{"ready", "ready", true},
	{"ready", "it is ready now", true},
	{"ready", "Ready", false},
	{"ready", "read\ny", false},
	{"ready", "", false},
	{"^220 ", "220 mail", true},
	{"^220 ", "x220 mail", false},
	{"a.*z", "a\nb\nz", true},
	{"[0-9]{3}", "code 250", true},
	{"[0-9]{3}", "code 25 0", false},
	{"OK|FINE", "all is FINE", true},
	{"\r\n", "line\r\n", true},
	{"\303\251", "caf\303\251", true},
};

/* Cut in every way into three pieces, with a wait before each. */
static void check_texts(void)
{
	for (size_t i = 0; i < COUNT(texts); i++) {
		size_t length = strlen(texts[i].text);
		int wrong = 0, ways = 0, vain = 0;

		for (size_t one = 0; one <= length; one++)
			for (size_t two = one; two <= length; two++, ways++) {
				say(texts[i].text, length);
				peer.cuts[0] = one;
				peer.cuts[1] = two;
				peer.pauses = true;
				wrong += expect(texts[i].pattern, NULL) !=
					 (texts[i].found ? STAGE_DONE : STAGE_FAILED);
				wrong += session.status != (texts[i].found ? 0 : EXIT_EXPECT);
				vain += waits_in_vain;
			}
		point(wrong == 0 && vain == 0,
		      "case %zu: %s, cut in %d ways (%d wrong, %d waits for the wrong)", i,
		      texts[i].found ? "found" : "not found", ways, wrong, vain);
	}
}

/* What is found ends the reading; what has come behind it is taken away, so that no reset answers it. */
static void check_found(void)
{
	say("hello and more", 14);
	peer.piece = 1;
	point(expect("hello", NULL) == STAGE_DONE && peer.at == 14 && peer.shut &&
		      !session.failed,
	      "found, and parted with politely");
	/* it did not have to come to the end for that */
	say("hello and more", 14);
	peer.piece = 1;
	peer.pauses = true;
	peer.cuts[0] = peer.cuts[1] = 5;
	point(expect("hello", NULL) == STAGE_DONE && peer.at == 5, "found as soon as it is there");
}

/* A NUL byte ends no text. */
static void check_nul(void)
{
	say("\0a\0b\0ready\0", 11);
	point(expect("ready", NULL) == STAGE_DONE, "found behind NUL bytes");
	say("re\0ady", 6);
	point(expect("ready", NULL) == STAGE_FAILED, "a NUL byte within is not left out");
}

/* Behind much else, wherever the window's borders come to lie. */
static void check_far(void)
{
	static const size_t pieces[] = {0, 1000, 4097, 65536};
	size_t room = 5 * WINDOW;
	char *text = malloc(room);
	int wrong = 0;

	for (size_t i = 0; i < COUNT(pieces); i++)
		for (size_t before = WINDOW - 12; before <= WINDOW + 12; before++)
			for (size_t times = 1; times <= 4; times += 3) {
				size_t at = before + (times - 1) * WINDOW / 2;

				memset(text, '.', room);
				memcpy(text + at, "ready", 5);
				say(text, room);
				peer.piece = pieces[i];
				wrong += expect("ready", NULL) != STAGE_DONE;
			}
	point(wrong == 0, "found behind 8 KiB and more (%d times not)", wrong);
	memset(text, '.', room);
	say(text, room);
	point(expect("ready", NULL) == STAGE_FAILED && session.status == EXIT_EXPECT &&
		      session.in.moved == room,
	      "five windows without it: not met");
	/* what is forgotten makes no beginning */
	memset(text, 'x', room);
	say(text, room);
	peer.piece = 1000;
	memset(text + WINDOW / 2, 'y', WINDOW / 2);
	point(expect("^y", NULL) == STAGE_FAILED,
	      "where the window begins is not where the text begins");
	free(text);
}

/* --- what is sent --- */

static void check_sending(void)
{
	static const char text[] = "GET / HTTP/1.0\r\nHost: example\r\n\r\n";
	enum stage_result result;

	say("HTTP/1.0 200 OK", 15);
	peer.pauses = true;
	peer.piece = 1;
	result = expect("200 OK$", text);
	point(result == STAGE_DONE && session.out.moved == peer.told_length &&
		      memcmp(peer.told, text, peer.told_length) == 0,
	      "sent in short pieces, in order (%zu bytes when it was found)", peer.told_length);
	say("nothing of the kind, in fact", 28);
	peer.pauses = true;
	peer.piece = 1;
	point(expect("200", text) == STAGE_FAILED && session.out.moved == sizeof text - 1 &&
		      peer.told_length == sizeof text - 1 &&
		      memcmp(peer.told, text, sizeof text - 1) == 0,
	      "all of it, and once");
	say("go away", 7);
	peer.pauses = true;
	peer.write_error = -EPIPE;
	point(expect("away", text) == STAGE_DONE, "a peer that will not hear is read all the same");
}

/* Refused while sending: it waits for the destination as well. */
static void check_sending_waits(void)
{
	unsigned wanted = 0;
	void *state;

	say("", 0);
	peer.paused = false;
	peer.pauses = true;
	settings = (struct session_settings){.expect = &expectation, .send = "x", .send_length = 1};
	state = begin();
	for (int i = 0; i < SESSION_WATCHES; i++)
		session.watches[i].fd = -1;
	if (step(state) == STAGE_WAIT)
		wanted = session.wanted[0];
	leave(state);
	point(wanted == (FD_IN | FD_OUT),
	      "it waits for both sides while there is something to send (%u)", wanted);
}

/* --- what went wrong --- */

static const struct {
	const char *what, *text;
	int end;
	const char *pattern;
	int status;
	const char *said; /* part of the message */
} failures[] = {
	{"nothing received", "", 0, "x", EXIT_EXPECT, "nothing"},
	{"something else received", "another thing", 0, "x", EXIT_EXPECT, "another thing"},
	{"a reset", "partial", -ECONNRESET, "x", EXIT_LOST, "reset"},
	{"a reset behind what was expected", "just in time", -ECONNRESET, "in time", EXIT_OK, NULL},
	{"no memory", "partial", -ENOMEM, "x", EXIT_RESOURCES, ""},
};

static void check_failures(void)
{
	for (size_t i = 0; i < COUNT(failures); i++) {
		enum stage_result result;
		const char *said;

		say(failures[i].text, strlen(failures[i].text));
		peer.end = failures[i].end;
		result = expect(failures[i].pattern, NULL);
		said = failure();
		point(result == (failures[i].status ? STAGE_FAILED : STAGE_DONE) &&
			      session.status == failures[i].status &&
			      (failures[i].said ? *said && strstr(said, failures[i].said) : !*said),
		      "%s: status %d: %s", failures[i].what, session.status, said);
	}
}

int main(void)
{
	diag_set_level(DIAG_QUIET);
	check_texts();
	check_found();
	check_nul();
	check_far();
	check_sending();
	check_sending_waits();
	check_failures();
	forget();
	return done();
}
