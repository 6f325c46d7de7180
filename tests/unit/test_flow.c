/*
 * Flows between streams that behave as badly as streams may: short counts, -EAGAIN for no reason,
 * an end that takes several tries, errors in the middle, filters on the way. Whatever they do,
 * each byte has to arrive once and in order, and what is left in the end has to be told truly. The
 * streams follow a seed, so what failed once fails again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flow/filter.h"
#include "flow/flow.h"
#include "flow/lease.h"
#include "tap.h"

#define SEEDS 120 /* of each kind */
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define STEPS_MOST 2000000

/* A step of a flow is a share: so many calls of its streams at most. */
#define CALLS_MOST 100

/* Time goes on when a flow waits for it: in place of the C library's. */
static nsec present;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){.tv_sec = present / NSEC_PER_SEC,
				.tv_nsec = present % NSEC_PER_SEC};
	return 0;
}

static uint64_t state;

static unsigned chance(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 11) % n);
}

/* --- what is tried --- */

enum { CRLF = 1, TELNET_SENT = 2, TELNET_RECEIVED = 4, RATE = 8, SLOW = 16 };

static const struct kind {
	const char *name;
	unsigned filters; /* chosen from among these */
	bool source_fails, dst_fails, shut_fails, withholds, stops, cuts, large;
} kinds[] = {
	{.name = "plain"},
	{.name = "large", .large = true},
	{.name = "the source fails", .source_fails = true},
	{.name = "the destination fails", .dst_fails = true},
	{.name = "the end fails", .shut_fails = true},
	{.name = "the end is withheld", .withholds = true},
	{.name = "reading is stopped", .stops = true},
	{.name = "cut", .cuts = true},
	{.name = "crlf", .filters = CRLF},
	{.name = "telnet, received", .filters = TELNET_RECEIVED},
	{.name = "telnet and crlf, sent", .filters = CRLF | TELNET_SENT},
	{.name = "rate", .filters = RATE},
	{.name = "slow", .filters = SLOW},
	{.name = "any filters", .filters = CRLF | TELNET_SENT | RATE | SLOW},
	{.name = "any filters, the source fails",
	 .filters = CRLF | TELNET_SENT | RATE | SLOW,
	 .source_fails = true},
	{.name = "any filters, the destination fails",
	 .filters = CRLF | RATE | SLOW,
	 .dst_fails = true},
	{.name = "any filters, large", .filters = CRLF | TELNET_SENT | RATE, .large = true},
};

/* One trial: both streams, and what is known about them. */
static struct trial {
	const struct kind *kind;
	struct stream src, dst;
	struct flow flow;

	unsigned char *text, *wanted;
	size_t length, wanted_length, read, written;
	int source_error, dst_error; /* what they answer behind fail_at bytes, or 0 */
	size_t fail_at;
	unsigned busy;    /* one of so many calls is answered -EAGAIN */
	size_t most;      /* bytes that one call takes at most */
	int shut_tries;   /* -EAGAINs of shut to come */
	int shuts;        /* times the end has been made */
	bool over;        /* the source has told its end or its error */
	unsigned refused; /* the sides that answered -EAGAIN in this step, as flow_sides */
	int calls;

	unsigned filters;
	struct filter_crlf crlf;
	struct filter_telnet telnet;
	struct filter_rate rate;
	struct filter_slow slow;
	nsec line_end_at; /* when a line went */
	nsec began;

	char why[160]; /* the first thing that was wrong */
} t;

static void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list args;

	if (*t.why)
		return;
	va_start(args, format);
	vsnprintf(t.why, sizeof t.why, format, args);
	va_end(args);
}

/* --- the streams --- */

static void called(void)
{
	t.calls++;
	if (t.refused)
		wrong("after -EAGAIN it goes on without waiting");
}

static size_t some_of(size_t n)
{
	size_t most = t.most < n ? t.most : n;

	switch (chance(4)) {
	case 0:
		return 1;
	case 1:
		return most;
	default:
		return 1 + chance((unsigned)most);
	}
}

static ssize_t chaos_read(struct stream *s, void *buf, size_t n)
{
	size_t until = t.source_error ? t.fail_at : t.length, left = until - t.read;

	(void)s;
	called();
	if (n == 0)
		wrong("a read of nothing");
	if (t.over)
		wrong("a read behind the end");
	if (t.flow.held > 0)
		wrong("a read while %zu bytes are held", (size_t)t.flow.held);
	if (chance(t.busy) == 0) {
		t.refused |= FLOW_SRC;
		return -EAGAIN;
	}
	if (left == 0) {
		t.over = true;
		return t.source_error;
	}
	n = some_of(n < left ? n : left);
	memcpy(buf, t.text + t.read, n);
	t.read += n;
	return (ssize_t)n;
}

/* What --delay and --chunk promise the one who receives. */
static void check_slowness(size_t n)
{
	if (t.slow.chunk && n > t.slow.chunk)
		wrong("%zu bytes in one write", n);
	if (t.slow.delay && t.line_end_at && present < t.line_end_at + t.slow.delay)
		wrong("the next line %lld ns after a line", (long long)(present - t.line_end_at));
}

static ssize_t chaos_write(struct stream *s, const void *buf, size_t n)
{
	(void)s;
	called();
	if (n == 0)
		wrong("a write of nothing");
	if (t.shuts || (t.dst_error && t.written >= t.fail_at && t.flow.state == FLOW_FAILED))
		wrong("a write behind the end");
	if (t.filters & SLOW)
		check_slowness(n);
	if (chance(t.busy) == 0) {
		t.refused |= FLOW_DST;
		return -EAGAIN;
	}
	if (t.dst_error && t.written >= t.fail_at)
		return t.dst_error;
	if (t.dst_error && n > t.fail_at - t.written)
		n = t.fail_at - t.written;
	n = some_of(n);
	if (t.written + n > t.wanted_length || memcmp(buf, t.wanted + t.written, n) != 0) {
		wrong("other bytes than those at %zu", t.written);
		return -EIO;
	}
	t.written += n;
	t.line_end_at = ((const char *)buf)[n - 1] == '\n' ? present : 0;
	return (ssize_t)n;
}

static int chaos_shut(struct stream *s)
{
	(void)s;
	called();
	if (t.flow.held > 0)
		wrong("an end in front of %zu bytes", (size_t)t.flow.held);
	if (t.shuts)
		wrong("a second end");
	if (t.shut_tries-- > 0) {
		t.refused |= FLOW_DST;
		return -EAGAIN;
	}
	t.shuts++;
	return t.kind->shut_fails ? -EPIPE : 0;
}

static void chaos_close(struct stream *s)
{
	(void)s;
}

/* --- what has to arrive --- */

static void add_filter(struct filter *f)
{
	struct filter **at = &t.flow.filters;

	while (*at)
		at = &(*at)->next;
	*at = f;
}

static bool takes(unsigned which)
{
	unsigned among = t.kind->filters & which;

	/* what is the only one of its kind is always there */
	return among && (t.kind->filters == which || chance(3) > 0);
}

static void put_filters(void)
{
	if (takes(CRLF)) {
		t.filters |= CRLF;
		filter_crlf_init(&t.crlf);
		add_filter(&t.crlf.filter);
	}
	if (takes(TELNET_SENT) || takes(TELNET_RECEIVED)) {
		bool sent = t.kind->filters & TELNET_SENT;

		t.filters |= sent ? TELNET_SENT : TELNET_RECEIVED;
		filter_telnet_init(&t.telnet);
		add_filter(sent ? &t.telnet.sent : &t.telnet.received);
	}
	if (takes(RATE)) {
		t.filters |= RATE;
		filter_rate_init(&t.rate, (int64_t)(1 + chance(200) * (unsigned)t.length));
		add_filter(&t.rate.filter);
	}
	if (takes(SLOW)) {
		t.filters |= SLOW;
		filter_slow_init(&t.slow, (nsec)chance(3) * NSEC_PER_SEC,
				 chance(2) ? 1 + chance(100) : 0);
		add_filter(&t.slow.filter);
	}
}

/* What the model makes of the text as far as the source gives it. */
static void make_wanted(void)
{
	size_t until = t.source_error ? t.fail_at : t.length;
	unsigned char *at = t.wanted = malloc(4 * until + 1), before = 0;

	for (size_t i = 0; i < until; before = t.text[i++]) {
		if (t.filters & CRLF && t.text[i] == '\n' && before != '\r')
			*at++ = '\r';
		if (t.filters & TELNET_SENT && t.text[i] == 255)
			*at++ = 255;
		/* the texts hold this byte in pairs and as that command without an operand, NOP */
		if (t.filters & TELNET_RECEIVED && t.text[i] == 255 && ++i < until &&
		    t.text[i] == 241)
			continue;
		if (i < until)
			*at++ = t.text[i];
	}
	t.wanted_length = (size_t)(at - t.wanted);
}

/* Many line ends, and bytes that filters look at. */
static void make_text(void)
{
	t.length = t.kind->large ? 1500000 + chance(3000000) :
		   chance(4)     ? chance(12000) :
				   chance(6);
	t.text = malloc(t.length + 2);
	for (size_t i = 0; i < t.length; i++) {
		unsigned kind = chance(30);

		t.text[i] = (unsigned char)(kind == 0 ? '\n' :
					    kind == 1 ? '\r' :
					    kind == 2 ? 255 :
							chance(255));
		if (t.text[i] != 255 || !(t.kind->filters & TELNET_RECEIVED))
			continue;
		if (i + 1 < t.length)
			t.text[++i] = chance(2) ? 255 : 241;
		else
			t.text[i] = (unsigned char)'x';
	}
}

static void begin(const struct kind *kind, unsigned seed)
{
	static const struct stream_ops ops = {
		.read = chaos_read, .write = chaos_write, .shut = chaos_shut, .close = chaos_close};
	static const enum fd_kind behind[] = {FD_FILE,     FD_PIPE,  FD_SOCKET,
					      FD_TERMINAL, FD_OTHER, FD_NONE};

	state = seed * UINT64_C(2654435761) + (uint64_t)(kind - kinds) * 40503 + UINT64_C(88172645463325252);
	t = (struct trial){.kind = kind};
	present = t.began = (nsec)(1 + chance(1000)) * NSEC_PER_SEC;
	make_text();
	t.busy = chance(4) ? 2 + chance(6) : 1000000;
	t.most = kind->large ? 1 + chance(2000000) : 1 + chance(3000);
	if (kind->large && t.most < 20000)
		t.most = 20000;
	t.shut_tries = (int)chance(4);
	t.fail_at = t.length ? chance((unsigned)t.length) : 0;
	t.source_error = kind->source_fails ? -ECONNRESET : 0;
	t.dst_error = kind->dst_fails ? -EPIPE : 0;
	t.src = (struct stream){
		.ops = &ops, .rfd = -1, .wfd = -1, .rkind = behind[chance(COUNT(behind))]};
	t.dst = (struct stream){
		.ops = &ops, .rfd = -1, .wfd = -1, .wkind = behind[chance(COUNT(behind))]};
	flow_init(&t.flow, &t.src, &t.dst);
	t.flow.withhold_end = kind->withholds;
	put_filters();
	make_wanted();
}

/* --- driving --- */

/* It waits: for whom, and is that one the one to wait for? */
static bool check_wait(void)
{
	const struct flow *f = &t.flow;

	if (f->waits & FLOW_DST && !(t.refused & FLOW_DST))
		wrong("it waits for a destination that did not refuse");
	if (f->held > 0 && f->waits & FLOW_SRC)
		wrong("it waits for the source while bytes are held");
	if (f->held > 0 && !f->buffer)
		wrong("bytes are held in no buffer");
	if (f->held == 0 && (f->buffer || f->pipe))
		wrong("an idle flow has something on loan");
	if (f->waits == FLOW_NEITHER && f->resume_at <= present)
		wrong("it waits for nothing");
	/* time passes until a filter lets go; or somebody wakes the flow before */
	if (f->resume_at > present && (f->waits == FLOW_NEITHER || chance(2)))
		present = chance(5) ? f->resume_at : present + (f->resume_at - present) / 2 + 1;
	return !*t.why;
}

static void check_rate(void)
{
	double seconds = (double)(present - t.began) / NSEC_PER_SEC, per_second = t.rate.per_second;
	double burst = per_second / 10 < 1 ? 1 : per_second / 10;

	if ((double)t.read > per_second * seconds + burst + 1)
		wrong("%zu bytes in %g s at %g a second", t.read, seconds, per_second);
}

/* What somebody does to the flow from outside, at some moment. */
static bool interfere(void)
{
	if (t.kind->stops && chance(40) == 0)
		flow_stop_reading(&t.flow);
	if (t.kind->cuts && chance(40) == 0)
		flow_cut(&t.flow);
	return flow_over(&t.flow);
}

static void drive(void)
{
	for (int steps = 0; !flow_over(&t.flow); steps++) {
		bool more;

		if (interfere())
			break;
		t.calls = 0;
		t.refused = FLOW_NEITHER;
		more = flow_step(&t.flow);
		if (t.calls > CALLS_MOST)
			wrong("%d calls in one step", t.calls);
		if (more && (flow_over(&t.flow) || t.refused))
			wrong("it does not wait, though it is over or was refused");
		if (t.flow.moved != t.written)
			wrong("%zu bytes have arrived, it says %llu", t.written,
			      (unsigned long long)t.flow.moved);
		if (t.filters & RATE)
			check_rate();
		if (steps > STEPS_MOST)
			wrong("no end after %d steps", steps);
		if (!more && !flow_over(&t.flow) && !check_wait())
			break;
		if (*t.why)
			break;
	}
}

/* --- the end --- */

static void check_failure(int error, unsigned culprit)
{
	if (t.flow.state != FLOW_FAILED || t.flow.error != error ||
	    t.flow.culprit != (enum flow_sides)culprit)
		wrong("state %d, error %d of %d, wanted error %d of %d", (int)t.flow.state,
		      t.flow.error, (int)t.flow.culprit, error, (int)culprit);
}

static void check_success(void)
{
	if (t.flow.state != FLOW_DONE || t.flow.error)
		wrong("state %d, error %d", (int)t.flow.state, t.flow.error);
	if (t.kind->cuts)
		return;
	if (t.shuts != !t.kind->withholds)
		wrong("%d ends", t.shuts);
	if (!t.kind->stops && t.written != t.wanted_length)
		wrong("%zu of %zu bytes have arrived", t.written, t.wanted_length);
	/* without a filter, what was read is what arrives */
	if (!t.filters && t.written != t.read)
		wrong("%zu of %zu bytes read have arrived", t.written, t.read);
}

static void check_end(void)
{
	const struct kind *k = t.kind;
	bool dst_fails = k->dst_fails && t.wanted_length > t.fail_at;

	if (k->source_fails) {
		check_failure(-ECONNRESET, FLOW_SRC);
		if (t.written != t.wanted_length)
			wrong("%zu of the %zu bytes before the error", t.written, t.wanted_length);
	} else if (dst_fails || k->shut_fails) {
		check_failure(-EPIPE, FLOW_DST);
	} else {
		check_success();
	}
	if ((k->source_fails || dst_fails) && t.shuts)
		wrong("an end though it failed");
	if (t.flow.held > 0 && !dst_fails)
		wrong("%zu bytes are still held", (size_t)t.flow.held);
	if (t.flow.buffer || t.flow.pipe)
		wrong("something is still on loan");
	if (flow_step(&t.flow) || t.flow.moved != t.written)
		wrong("a step behind the end did something");
}

static void end(void)
{
	flow_close(&t.flow);
	free(t.text);
	free(t.wanted);
}

static void check_kind(const struct kind *k)
{
	int seeds = k->large ? SEEDS / 20 : SEEDS;
	char first[200] = "";

	for (int seed = 1; seed <= seeds; seed++) {
		begin(k, (unsigned)seed);
		drive();
		if (!*t.why)
			check_end();
		if (*t.why && !*first)
			snprintf(first, sizeof first, ": seed %d: %s", seed, t.why);
		end();
	}
	point(!*first, "%s, %d seeds%s", k->name, seeds, first);
}

/* --- what a flow never started with does --- */

static void check_beginnings(void)
{
	struct stream_text from, to;
	struct flow f;

	stream_text_open(&from, "", 0);
	stream_text_open(&to, "", 0);
	flow_init(&f, &from.stream, &to.stream);
	point(!flow_over(&f) && f.waits == FLOW_NEITHER && f.held == 0, "a flow begins open");
	point(!flow_step(&f) && f.state == FLOW_DONE && f.moved == 0 && !f.buffer,
	      "nothing, and its end");
	flow_close(&f);
	flow_init(&f, &from.stream, &to.stream);
	flow_cut(&f);
	point(f.state == FLOW_DONE && f.cut && !flow_step(&f), "cut before it began");
	flow_stop_reading(&f);
	point(f.state == FLOW_DONE && f.cut, "what is over stays so");
	flow_close(&f);
}

/* --- what flows whose readers have stopped hold --- */

static ssize_t endless_read(struct stream *s, void *buf, size_t n)
{
	(void)s;
	(void)buf;
	return (ssize_t)n;
}

static ssize_t stopped_write(struct stream *s, const void *buf, size_t n)
{
	(void)s;
	(void)buf;
	(void)n;
	return -EAGAIN;
}

static const struct stream_ops endless = {.read = endless_read}, stopped = {.write = stopped_write};

#define STOPPED_FLOWS (LEASE_BUFFERS_FULL + 200)

/* Nobody bounds how many readers stop: what is held for them all has to be little. */
static void check_stopped(void)
{
	static struct flow flows[STOPPED_FLOWS];
	struct stream src = {.ops = &endless, .rkind = FD_SOCKET}, dst = {.ops = &stopped};
	size_t first, last;

	for (int i = 0; i < STOPPED_FLOWS; i++) {
		flow_init(&flows[i], &src, &dst);
		flow_step(&flows[i]);
	}
	first = flows[0].held;
	last = flows[STOPPED_FLOWS - 1].held;
	point(first > LEASE_SHARE_LEAST && last == LEASE_SHARE_LEAST,
	      "many that are stopped hold little each: %zu bytes, then %zu", first, last);
	for (int i = 0; i < STOPPED_FLOWS; i++)
		flow_cut(&flows[i]);
	flow_init(&flows[0], &src, &dst);
	flow_step(&flows[0]);
	point(flows[0].held == first, "and once they are gone one holds as much as before");
	flow_cut(&flows[0]);
}

/* --- what filters have of their own --- */

/* Two streams that answer as they are told, and what has been written. */
static struct {
	const char *text;        /* the next read gives it, and then there is nothing yet */
	bool ended, busy;        /* reading finds the end; writing is answered -EAGAIN */
	unsigned char given[64];
	size_t length;
	int ends;                /* made, the last of them behind so many bytes: */
	size_t end_at;
} said;

static ssize_t said_read(struct stream *s, void *buf, size_t n)
{
	size_t length = said.text ? strlen(said.text) : 0;

	(void)s;
	(void)n;
	if (length == 0)
		return said.ended ? 0 : -EAGAIN;
	memcpy(buf, said.text, length);
	said.text = NULL;
	return (ssize_t)length;
}

static ssize_t said_write(struct stream *s, const void *buf, size_t n)
{
	(void)s;
	if (said.busy)
		return -EAGAIN;
	memcpy(said.given + said.length, buf, n);
	said.length += n;
	return (ssize_t)n;
}

static int said_shut(struct stream *s)
{
	(void)s;
	said.ends++;
	said.end_at = said.length;
	return 0;
}

static const struct stream_ops saying = {.read = said_read, .write = said_write, .shut = said_shut};
static struct stream said_src = {.ops = &saying, .rkind = FD_PIPE},
		     said_dst = {.ops = &saying, .wkind = FD_SOCKET};
static struct filter_telnet said_telnet;

static void begin_saying(struct flow *f)
{
	memset(&said, 0, sizeof said);
	filter_telnet_init(&said_telnet);
	flow_init(f, &said_src, &said_dst);
	f->filters = &said_telnet.sent;
}

/* The peer asks for option 1. */
static void ask(void)
{
	unsigned char out[3];

	said_telnet.received.ops->map(&said_telnet.received, (const unsigned char *)"\xff\xfd\x01",
				      3, out);
}

/* Steps it until it waits. Returns true if `wanted` is what has been given in all. */
static bool gives(struct flow *f, const char *wanted)
{
	for (int i = 0; i < 10 && flow_step(f); i++)
		;
	return said.length == strlen(wanted) && memcmp(said.given, wanted, said.length) == 0;
}

#define REFUSAL "\xff\xfc\x01"

/* An answer waits for nobody but the destination. */
static void check_answers(void)
{
	struct flow f;

	begin_saying(&f);
	said.text = "x";
	said.busy = true;
	gives(&f, "");
	ask();
	said.busy = false;
	point(gives(&f, "x" REFUSAL) && f.waits == FLOW_SRC,
	      "an answer does not wait for a silent source");
	ask();
	said.ended = true;
	point(gives(&f, "x" REFUSAL REFUSAL) && f.state == FLOW_DONE && said.ends == 1 && said.end_at == 7,
	      "it goes before the end");
	ask();
	point(gives(&f, "x" REFUSAL REFUSAL) && said.ends == 1 && f.waits == FLOW_NEITHER,
	      "and not behind it");
	flow_close(&f);
}

static void check_answers_behind_end(void)
{
	struct flow f;

	begin_saying(&f);
	f.withhold_end = said.ended = true;
	point(gives(&f, "") && f.state == FLOW_DONE && said.ends == 0, "an end that is withheld");
	ask();
	said.busy = true;
	point(gives(&f, "") && flow_over(&f) && f.waits == FLOW_DST, "an answer behind it waits for room");
	said.busy = false;
	point(gives(&f, REFUSAL) && f.state == FLOW_DONE && f.waits == FLOW_NEITHER && !f.buffer,
	      "and goes as soon as there is some");
	point(gives(&f, REFUSAL) && said.ends == 0, "once");
	flow_close(&f);
	begin_saying(&f);
	f.withhold_end = true;
	flow_cut(&f);
	ask();
	point(gives(&f, "") && f.waits == FLOW_NEITHER, "a flow that was cut answers no more");
	flow_close(&f);
	begin_saying(&f);
	flow_stop_reading(&f);
	ask();
	point(gives(&f, REFUSAL) && f.state == FLOW_DONE && said.ends == 1 && said.end_at == 3,
	      "one that reads no more answers before its end");
	flow_close(&f);
}

int main(void)
{
	check_beginnings();
	check_stopped();
	check_answers();
	check_answers_behind_end();
	for (size_t i = 0; i < COUNT(kinds); i++)
		check_kind(&kinds[i]);
	lease_close();
	return done();
}
