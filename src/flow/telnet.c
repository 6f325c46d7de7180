#include "flow/filter.h"

#include "base/list.h"

/* RFC 854, "TELNET COMMAND STRUCTURE". */
enum { SE = 240, SB = 250, WILL = 251, WONT = 252, DO = 253, DONT = 254, IAC = 255 };

/* Where in a command the received stream is. */
enum state { DATA, COMMAND, OPTION, SUBNEGOTIATION, SUBNEGOTIATION_COMMAND };

/* Refuses what was offered or asked for; what is withdrawn needs no answer. */
static void answer(struct filter_telnet *t, unsigned char verb, unsigned char option)
{
	bool *refused = &t->refused[option][verb == WILL];

	if ((verb != DO && verb != WILL) || *refused)
		return;
	*refused = true;
	t->unsaid++;
}

/* What follows an IAC. Returns true if it is a byte of data. */
static bool command(struct filter_telnet *t, unsigned char c)
{
	if (c == IAC) {
		t->state = DATA;
		return true;
	}
	t->verb = c;
	t->state = c == SB ? SUBNEGOTIATION : c >= WILL ? OPTION : DATA;
	return false;
}

/* Takes one received byte. Returns true if it is a byte of data. */
static bool receive(struct filter_telnet *t, unsigned char c)
{
	switch (t->state) {
	case COMMAND:
		return command(t, c);
	case OPTION:
		answer(t, t->verb, c);
		t->state = DATA;
		return false;
	case SUBNEGOTIATION:
		if (c == IAC)
			t->state = SUBNEGOTIATION_COMMAND;
		return false;
	case SUBNEGOTIATION_COMMAND:
		t->state = c == SE ? DATA : SUBNEGOTIATION;
		return false;
	default:
		if (c == IAC)
			t->state = COMMAND;
		return c != IAC;
	}
}

static size_t map_received(struct filter *f, const unsigned char *in, size_t n, unsigned char *out)
{
	struct filter_telnet *t = list_entry(f, struct filter_telnet, received);
	unsigned char *at = out;

	for (size_t i = 0; i < n; i++)
		if (receive(t, in[i]))
			*at++ = in[i];
	return (size_t)(at - out);
}

static size_t map_sent(struct filter *f, const unsigned char *in, size_t n, unsigned char *out)
{
	unsigned char *at = out;

	(void)f;
	for (size_t i = 0; i < n; i++) {
		if (in[i] == IAC)
			*at++ = IAC;
		*at++ = in[i];
	}
	return (size_t)(at - out);
}

static size_t inject_answers(struct filter *f, unsigned char *out, size_t room)
{
	static const unsigned char verbs[] = {WONT, DONT};
	struct filter_telnet *t = list_entry(f, struct filter_telnet, sent);
	unsigned char *at = out;

	for (int i = 0; i < 2 * 256 && t->unsaid > 0 && room >= 3; i++) {
		bool *refused = &t->refused[i / 2][i % 2];

		if (!*refused)
			continue;
		*refused = false;
		t->unsaid--;
		*at++ = IAC;
		*at++ = verbs[i % 2];
		*at++ = (unsigned char)(i / 2);
		room -= 3;
	}
	return (size_t)(at - out);
}

static bool has_answers(struct filter *f)
{
	return list_entry(f, struct filter_telnet, sent)->unsaid > 0;
}

void filter_telnet_init(struct filter_telnet *t)
{
	static const struct filter_ops received = {.name = "telnet received", .map = map_received};
	static const struct filter_ops sent = {
		.name = "telnet sent", .map = map_sent, .inject = inject_answers, .has_own = has_answers};

	*t = (struct filter_telnet){.received.ops = &received, .sent.ops = &sent};
}
