/*
 * Two flows with their filters, as --crlf, --telnet and --chunk put them together: what is received and what is
 * sent are any bytes, cut anywhere. A model that sees each text whole says what has to come of it: each byte once
 * and in order, commands taken out, each option that is asked for refused, nothing that was not asked for.
 *
 * The input: flags, a seed for the cuts, how much of the rest is received; the rest.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "flow/filter.h"
#include "flow/flow.h"

#define LEAST 3
#define TEXT_MOST ((size_t)64 * 1024)
#define STEPS_MOST 1000000

enum { CRLF = 1, TELNET = 2, CHUNK = 4 };
enum { SE = 240, SB = 250, WILL = 251, WONT = 252, DO = 253, DONT = 254, IAC = 255 };

static unsigned cuts;

static size_t cut(size_t n)
{
	cuts = cuts * 1103515245u + 12345u;
	return n <= 1 ? n : 1 + (cuts >> 8) % (cuts & 0x10000u ? 4 : n) % n;
}

/* --- ends in memory --- */

struct text {
	struct stream stream;
	const uint8_t *left;
	size_t n;
	uint8_t *arrived; /* of a destination */
	size_t length, most;
	bool shut;
};

static ssize_t text_read(struct stream *s, void *buf, size_t n)
{
	struct text *t = (struct text *)(void *)s;

	n = cut(n < t->n ? n : t->n);
	if (n > 0 && n % 5 == 0)
		return -EAGAIN;
	if (n > 0)
		memcpy(buf, t->left, n);
	t->left += n;
	t->n -= n;
	return (ssize_t)n;
}

static ssize_t text_write(struct stream *s, const void *buf, size_t n)
{
	struct text *t = (struct text *)(void *)s;

	PROMISE(n > 0 && !t->shut);
	PROMISE(!t->most || n <= t->most);
	n = cut(n);
	if (n % 7 == 0)
		return -EAGAIN;
	/* answers come besides: as many as there are options at most, each time all have gone */
	PROMISE(t->length + n <= 8 * TEXT_MOST);
	memcpy(t->arrived + t->length, buf, n);
	t->length += n;
	return (ssize_t)n;
}

static int text_shut(struct stream *s)
{
	((struct text *)(void *)s)->shut = true;
	return 0;
}

static struct text text_of(const uint8_t *bytes, size_t n, uint8_t *arrived)
{
	static const struct stream_ops ops = {.read = text_read, .write = text_write, .shut = text_shut};

	return (struct text){.stream = {.ops = &ops, .rfd = -1, .wfd = -1, .rwait = FD_IN, .wwait = FD_OUT},
			     .left = bytes,
			     .n = n,
			     .arrived = arrived};
}

/* --- the models --- */

static size_t model_crlf(const uint8_t *in, size_t n, uint8_t *out)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++) {
		if (in[i] == '\n' && (i == 0 || in[i - 1] != '\r'))
			out[length++] = '\r';
		out[length++] = in[i];
	}
	return length;
}

/*
 * Takes TELNET's commands out of a text that is whole; asked[option][DO or not] tells what they asked for. A
 * subnegotiation ends at IAC SE alone. Returns what is left, in `out`.
 */
static size_t model_received(const uint8_t *in, size_t n, uint8_t *out, bool asked[256][2])
{
	size_t length = 0, i = 0;

	while (i < n) {
		if (in[i] != IAC) {
			out[length++] = in[i++];
		} else if (i + 1 >= n) {
			break;
		} else if (in[i + 1] == IAC) {
			out[length++] = IAC;
			i += 2;
		} else if (in[i + 1] == SB) {
			for (i += 2; i < n && !(in[i] == IAC && i + 1 < n && in[i + 1] == SE); i++)
				i += in[i] == IAC;
			i += 2;
		} else if (in[i + 1] >= WILL) {
			if (i + 2 < n && (in[i + 1] == DO || in[i + 1] == WILL))
				asked[in[i + 2]][in[i + 1] == WILL] = true;
			i += 3;
		} else {
			i += 2;
		}
	}
	return length;
}

/* What was sent is `wanted`, its IACs doubled, and an answer to each that was asked for. */
static void check_sent(const struct text *to, const uint8_t *wanted, size_t n, bool asked[256][2])
{
	bool answered[256][2] = {{false}};
	size_t data = 0;

	for (size_t i = 0; i < to->length; i++) {
		const uint8_t *at = to->arrived + i;

		if (*at == IAC) {
			PROMISE(i + 1 < to->length);
			i++;
		}
		if (*at != IAC || at[1] == IAC) {
			PROMISE(data < n && wanted[data] == *at);
			data++;
			continue;
		}
		PROMISE((at[1] == WONT || at[1] == DONT) && ++i < to->length);
		PROMISE(asked[at[2]][at[1] == DONT]);
		answered[at[2]][at[1] == DONT] = true;
	}
	PROMISE(data == n);
	PROMISE(memcmp(answered, asked, sizeof answered) == 0);
}

/* --- the trial --- */

static void append(struct flow *f, struct filter *filter)
{
	struct filter **at = &f->filters;

	while (*at)
		at = &(*at)->next;
	*at = filter;
}

/* Both in turn, until neither has anything to do. */
static void drive(struct flow *received, struct flow *sent)
{
	for (int steps = 0;; steps++) {
		bool more = flow_step(received);

		more |= flow_step(sent);
		PROMISE(steps < STEPS_MOST);
		PROMISE(received->state != FLOW_FAILED && sent->state != FLOW_FAILED);
		if (!more && flow_over(received) && flow_over(sent) && sent->held == 0 &&
		    sent->waits == FLOW_NEITHER)
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static uint8_t arrived[2][8 * TEXT_MOST], wanted[2][2 * TEXT_MOST];
	struct filter_telnet telnet;
	struct filter_crlf crlf;
	struct filter_slow slow;
	struct flow received, sent;
	struct text from_net, to_local, from_local, to_net;
	bool asked[256][2] = {{false}};
	size_t first, rest, lengths[2];

	if (n < LEAST || n > TEXT_MOST)
		return 0;
	cuts = bytes[1];
	rest = n - LEAST;
	first = rest * bytes[2] / 255;
	from_net = text_of(bytes + LEAST, first, NULL);
	from_local = text_of(bytes + LEAST + first, rest - first, NULL);
	to_local = text_of(NULL, 0, arrived[0]);
	to_net = text_of(NULL, 0, arrived[1]);
	flow_init(&received, &from_net.stream, &to_local.stream);
	flow_init(&sent, &from_local.stream, &to_net.stream);
	/* so answers go behind the end of what is sent, too */
	sent.withhold_end = true;
	filter_crlf_init(&crlf);
	filter_telnet_init(&telnet);
	filter_slow_init(&slow, 0, 1 + bytes[1] % 9);
	lengths[0] = first;
	memcpy(wanted[0], bytes + LEAST, first);
	lengths[1] = rest - first;
	memcpy(wanted[1], bytes + LEAST + first, rest - first);
	if (bytes[0] & CRLF) {
		append(&sent, &crlf.filter);
		lengths[1] = model_crlf(bytes + LEAST + first, rest - first, wanted[1]);
	}
	if (bytes[0] & TELNET) {
		append(&sent, &telnet.sent);
		append(&received, &telnet.received);
		lengths[0] = model_received(bytes + LEAST, first, wanted[0], asked);
	}
	if (bytes[0] & CHUNK) {
		append(&sent, &slow.filter);
		to_net.most = slow.chunk;
	}
	drive(&received, &sent);
	PROMISE(to_local.shut && to_local.length == lengths[0] &&
		memcmp(arrived[0], wanted[0], lengths[0]) == 0);
	if (bytes[0] & TELNET)
		check_sent(&to_net, wanted[1], lengths[1], asked);
	else
		PROMISE(to_net.length == lengths[1] && memcmp(arrived[1], wanted[1], lengths[1]) == 0);
	flow_close(&received);
	flow_close(&sent);
	return 0;
}
