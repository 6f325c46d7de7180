/*
 * Streams that read ahead, as TLS does: bytes wait inside them that no event of the descriptor tells
 * of, a read may have to write and a write to read. Flows between them, in both directions at once,
 * driven as a session would drive them (it goes by what they say they wait for, and by nothing else);
 * then real sessions with such streams on the sockets of their legs. Nothing may stall or spin,
 * whatever the sizes.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "flow/flow.h"
#include "flow/lease.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "session/session.h"
#include "sim/far.h"
#include "sim/records.h"
#include "stream/outbox.h"
#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define SEEDS 60        /* of each pair of sizes */
#define SESSION_SEEDS 6 /* of each pair of sizes */
#define IDLE_MOST 1000  /* wake-ups in a row without anything moving */

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

/* All that is said are beginnings of this. */
static unsigned char text[300 * 1024];

static char why[160];

static void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list args;

	if (*why)
		return;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
}

/* --- a wire: two pipes of some room between a stream and a far end --- */

struct wire {
	struct stream stream;
	struct queue up, down; /* to the stream, from the stream */
	size_t room;
	bool up_ended, down_ended;
	unsigned busy; /* one call of so many is answered -EAGAIN without a reason */
	struct records records;
	struct stream *top; /* the wire itself, or the records on top of it */
	struct far far;
	int shuts;      /* calls of shut that are still answered -EAGAIN */
};

static ssize_t wire_read(struct stream *s, void *buf, size_t n)
{
	struct wire *w = (struct wire *)(void *)s;
	size_t there = queue_length(&w->up);

	if (chance(w->busy) == 0 || (there == 0 && !w->up_ended))
		return -EAGAIN;
	if (n > there)
		n = there;
	if (n > 0)
		memcpy(buf, queue_first(&w->up), n);
	queue_drop(&w->up, n);
	return (ssize_t)n;
}

static ssize_t wire_write(struct stream *s, const void *buf, size_t n)
{
	struct wire *w = (struct wire *)(void *)s;
	size_t room = w->room - queue_length(&w->down);

	if (w->down_ended)
		wrong("a write behind the end");
	if (chance(w->busy) == 0 || room == 0)
		return -EAGAIN;
	if (n > room)
		n = room;
	queue_add(&w->down, buf, n);
	return (ssize_t)n;
}

static int wire_shut(struct stream *s)
{
	struct wire *w = (struct wire *)(void *)s;

	if (w->shuts-- > 0)
		return -EAGAIN;
	w->down_ended = true;
	return 0;
}

static void wire_close(struct stream *s)
{
	(void)s;
}

static const struct stream_ops wire_ops = {
	.read = wire_read, .write = wire_write, .shut = wire_shut, .close = wire_close};

static void wire_open(struct wire *w, bool sealed, size_t says, size_t hears)
{
	*w = (struct wire){.stream = {.ops = &wire_ops,
				      .rfd = 1000,
				      .wfd = 1000,
				      .rkind = FD_SOCKET,
				      .wkind = FD_SOCKET,
				      .rwait = FD_IN,
				      .wwait = FD_OUT}};
	w->far = (struct far){.sealed = sealed, .says = text, .length = says, .hears = text, .wanted = hears};
	w->room = 16 + chance(chance(2) ? 200000 : 3000);
	w->busy = chance(3) ? 1000000 : 2 + chance(5);
	w->shuts = (int)chance(3);
	w->top = &w->stream;
	if (!sealed)
		return;
	records_open(&w->records, &w->stream, chance(3) ? 1 + chance(4) : 0, chance(1000000));
	w->top = &w->records.stream;
}

static void wire_free(struct wire *w)
{
	if (w->top != &w->stream) {
		if (w->records.misused)
			wrong("a write did not come again as it was");
		w->top->ops->close(w->top);
	}
	far_free(&w->far);
	queue_free(&w->up);
	queue_free(&w->down);
}

/* The events that the wire's descriptor would show. */
static unsigned wire_events(const struct wire *w)
{
	return (queue_length(&w->up) > 0 || w->up_ended ? FD_IN : 0u) |
	       (queue_length(&w->down) < w->room ? FD_OUT : 0u);
}

/* The far end does something. Returns false when there is nothing it can do. */
static bool wire_far_moves(struct wire *w)
{
	struct queue *out = far_queue(&w->far);
	size_t n = 1 + chance(chance(2) ? 120000 : 1500);
	bool did = false;

	if (queue_length(&w->down) > 0) {
		n = n < queue_length(&w->down) ? n : queue_length(&w->down);
		far_take(&w->far, queue_first(&w->down), n);
		queue_drop(&w->down, n);
		did = true;
	} else if (w->down_ended && !w->far.end_heard) {
		w->far.end_heard = did = true;
	}
	if (w->far.wrong)
		wrong("another byte than number %zu", w->far.heard);
	if (queue_length(out) == 0 && far_may_say(&w->far))
		far_say(&w->far);
	n = 1 + chance(chance(2) ? 120000 : 1500);
	if (queue_length(out) < n)
		n = queue_length(out);
	if (w->room - queue_length(&w->up) < n)
		n = w->room - queue_length(&w->up);
	if (n > 0) {
		queue_add(&w->up, queue_first(out), n);
		queue_drop(out, n);
		did = true;
	}
	if (far_may_end(&w->far) && queue_length(out) == 0 && !w->up_ended)
		w->up_ended = did = true;
	return did;
}

/* --- two flows between two of them, as a session drives them --- */

static struct trial {
	struct wire a, b;
	struct flow ab, ba;
	unsigned got[2]; /* what the last wait brought, for each wire */
} t;

static unsigned events_of(const struct stream *s, const unsigned got[2])
{
	return got[s == t.b.top];
}

/* What a session asks before it steps a flow: waiting.c. */
static bool may_step(const struct flow *f)
{
	return flow_may_go_on(f) || ((f->waits & FLOW_SRC) && (events_of(f->src, t.got) & f->src->rwait)) ||
	       ((f->waits & FLOW_DST) && (events_of(f->dst, t.got) & f->dst->wwait));
}

/* Would what a session waits for wake it now? */
static bool awake(const struct flow *f)
{
	unsigned now[] = {wire_events(&t.a), wire_events(&t.b)};

	if ((f->waits & FLOW_SRC) && (stream_pending(f->src) || (events_of(f->src, now) & f->src->rwait)))
		return true;
	return (f->waits & FLOW_DST) && (events_of(f->dst, now) & f->dst->wwait);
}

/* What the wait brings is only what was waited for. */
static unsigned brought(const struct wire *w)
{
	unsigned wanted = FD_NOTHING;

	wanted |= t.ab.src == w->top && (t.ab.waits & FLOW_SRC) ? t.ab.src->rwait : 0;
	wanted |= t.ba.src == w->top && (t.ba.waits & FLOW_SRC) ? t.ba.src->rwait : 0;
	wanted |= t.ab.dst == w->top && (t.ab.waits & FLOW_DST) ? t.ab.dst->wwait : 0;
	wanted |= t.ba.dst == w->top && (t.ba.waits & FLOW_DST) ? t.ba.dst->wwait : 0;
	return wire_events(w) & wanted;
}

static bool all_over(void)
{
	return flow_over(&t.ab) && flow_over(&t.ba) && t.a.far.end_heard && t.b.far.end_heard;
}

static bool far_ends_move(void)
{
	bool first = wire_far_moves(&t.a);

	return wire_far_moves(&t.b) || first;
}

/* One wake-up of the session, if there is one. Returns whether there was. */
static bool step_if_awake(bool *more)
{
	if (!*more && !awake(&t.ab) && !awake(&t.ba))
		return false;
	t.got[0] = brought(&t.a);
	t.got[1] = brought(&t.b);
	*more = may_step(&t.ab) && flow_step(&t.ab);
	*more |= may_step(&t.ba) && flow_step(&t.ba);
	return true;
}

static void drive(void)
{
	bool more = true;

	for (int idle = 0; !*why && !all_over(); idle++) {
		uint64_t before = t.ab.moved + t.ba.moved;
		bool moved = chance(3) == 0 && far_ends_move();
		bool stepped = step_if_awake(&more);

		if (!stepped)
			moved |= far_ends_move();
		if (!moved && !stepped)
			wrong("a stall: %llu and %llu moved, waits %u and %u, pending %d and %d",
			      (unsigned long long)t.ab.moved, (unsigned long long)t.ba.moved, t.ab.waits,
			      t.ba.waits, stream_pending(t.a.top), stream_pending(t.b.top));
		if (moved || t.ab.moved + t.ba.moved != before)
			idle = 0;
		if (idle > IDLE_MOST)
			wrong("it spins: %d steps in vain", idle);
	}
}

static void one_flow_trial(bool a_sealed, bool b_sealed, size_t ab, size_t ba, unsigned seed)
{
	chance_seed(seed * 1000003UL + ab * 31 + ba);
	t = (struct trial){.got = {FD_NOTHING}};
	wire_open(&t.a, a_sealed, ab, ba);
	wire_open(&t.b, b_sealed, ba, ab);
	t.a.far.patient = chance(2);
	t.b.far.patient = chance(2);
	t.b.far.answers = chance(2);
	(chance(2) ? &t.a : &t.b)->far.last = chance(2);
	flow_init(&t.ab, t.a.top, t.b.top);
	flow_init(&t.ba, t.b.top, t.a.top);
	drive();
	if (!*why && (t.ab.state != FLOW_DONE || t.ba.state != FLOW_DONE))
		wrong("errors %d and %d", t.ab.error, t.ba.error);
	if (!*why && (t.a.far.heard != ba || t.b.far.heard != ab))
		wrong("%zu of %zu and %zu of %zu bytes have arrived", t.b.far.heard, ab, t.a.far.heard, ba);
	for (int i = 0; !*why && i < 2; i++)
		if (t.a.top->ops->shut(t.a.top) != 0 || t.b.top->ops->shut(t.b.top) != 0)
			wrong("a second end is not answered 0");
	flow_close(&t.ab);
	flow_close(&t.ba);
	wire_free(&t.a);
	wire_free(&t.b);
}

static void check_flows(bool a_sealed, bool b_sealed, const char *what)
{
	static const size_t sizes[] = {0, 1, 2, 1000, 16383, 16384, 16385, 65536, 100000, 100001, 300 * 1024};
	char first[220] = "";
	int n = 0;

	for (size_t i = 0; i < COUNT(sizes) && !*first; i++)
		for (unsigned seed = 1; seed <= SEEDS && !*first; seed++, n++) {
			size_t back = sizes[(i + seed) % COUNT(sizes)];

			*why = '\0';
			one_flow_trial(a_sealed, b_sealed, sizes[i], back, seed);
			if (*why)
				snprintf(first, sizeof first, ": %zu and %zu bytes, seed %u: %s", sizes[i],
					 back, seed, why);
		}
	point(!*first, "flows, %s: nothing stalls, %d trials%s", what, n, first);
}

/* --- what a flow waits for behind a read that had to write first --- */

static int crossed_reads;

static ssize_t crossed_read(struct stream *s, void *buf, size_t n)
{
	(void)n;
	if (crossed_reads++ == 1) {
		memcpy(buf, "hello", 5);
		return 5;
	}
	s->rwait = crossed_reads == 1 ? FD_OUT : FD_IN;
	return -EAGAIN;
}

static void check_wait_behind_crossed(void)
{
	static const struct stream_ops ops = {.read = crossed_read};
	struct stream src = {.ops = &ops, .rfd = 1000, .wfd = 1000, .rkind = FD_SOCKET, .rwait = FD_IN};
	struct stream_text to;
	struct flow f;

	stream_text_open(&to, "", 0);
	flow_init(&f, &src, &to.stream);
	flow_step(&f);
	point(f.waits == FLOW_SRC && src.rwait == FD_OUT, "a read that has to write first waits for that");
	flow_step(&f);
	point(f.moved == 5 && f.waits == FLOW_SRC && src.rwait == FD_IN,
	      "once it has, what comes next is waited for, not room to write");
	flow_close(&f);
}

/* --- sessions between real sockets --- */

/* What a trial takes on a slow machine, many times over. */
#define WATCHDOG (20 * NSEC_PER_SEC)

/* A far end on a socket, in the same loop. */
struct peer {
	struct far far;
	int fd;
	bool ended;    /* our end has come */
	bool said_all; /* ... and its own has gone */
	struct task task;
	struct watch watch;
};

static struct session_trial {
	struct session session;
	struct peer peers[2];
	struct records records[2]; /* by enum leg_name */
	bool sealed[2];
	int upstream; /* the socket of the other leg of a forwarding session */
	int status;   /* how the session has ended; -1: it has not */
	struct task watchdog_task;
	struct timer watchdog;
} st;

static bool peer_done(const struct peer *p)
{
	return p->said_all && p->ended;
}

static void stop_when_done(void)
{
	if (st.status >= 0 && peer_done(&st.peers[0]) && peer_done(&st.peers[1]))
		loop_stop();
}

static void peer_receive(struct peer *p)
{
	static unsigned char bytes[65536];
	ssize_t got = 1;

	for (int i = 0; i < 4 && got > 0 && !p->ended; i++) {
		got = recv(p->fd, bytes, 1 + chance(sizeof bytes), MSG_DONTWAIT);
		if (got > 0)
			far_take(&p->far, bytes, (size_t)got);
	}
	p->ended |= got == 0;
	p->far.end_heard = p->ended;
	if (p->far.wrong)
		wrong("another byte than number %zu", p->far.heard);
	if (got < 0 && errno != EAGAIN)
		wrong("a peer: %s", strerror(errno));
}

static void peer_send(struct peer *p)
{
	struct queue *q = far_queue(&p->far);
	ssize_t put = 0;

	if (queue_length(q) == 0 && far_may_say(&p->far))
		far_say(&p->far);
	if (queue_length(q) > 0)
		put = send(p->fd, queue_first(q), queue_length(q), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (put > 0)
		queue_drop(q, (size_t)put);
	if (queue_length(q) > 0 || !far_may_end(&p->far) || p->said_all)
		return;
	p->said_all = true;
	shutdown(p->fd, SHUT_WR);
}

static void peer_run(struct task *task)
{
	struct peer *p = list_entry(task, struct peer, task);

	peer_receive(p);
	peer_send(p);
	watch_for(&p->watch,
		  (p->ended ? 0 : FD_IN) |
			  (queue_length(far_queue(&p->far)) > 0 || far_may_say(&p->far) ? FD_OUT : 0));
	stop_when_done();
}

static void session_ended(struct session *s)
{
	st.status = s->status;
	stop_when_done();
}

static void watchdog_run(struct task *task)
{
	(void)task;
	wrong("a stall: %llu and %llu moved, status %d", (unsigned long long)st.session.in.moved,
	      (unsigned long long)st.session.out.moved, st.status);
	loop_stop();
}

/* Puts records on a leg. */
static enum stage_result wrap_step(struct session *s, struct leg *leg, void *none, nsec now)
{
	size_t which = leg == &s->legs[LEG_CONNECTION] ? LEG_CONNECTION : LEG_OTHER;

	(void)none, (void)now;
	if (which == LEG_OTHER)
		leg_open(leg, st.upstream, 0);
	if (!st.sealed[which])
		return STAGE_DONE;
	records_open(&st.records[which], leg->top, 1 + chance(4), chance(1000000));
	leg->top = &st.records[which].stream;
	return STAGE_DONE;
}

static const struct stage stage_wrap = {"wrap", 0, wrap_step, NULL};

static const struct plan plan_stdio[] = {{&stage_wrap, LEG_CONNECTION, false},
					 {&stage_stdio, LEG_OTHER, false},
					 {NULL, LEG_CONNECTION, false}};
static const struct plan plan_forward[] = {{&stage_wrap, LEG_CONNECTION, false},
					   {&stage_wrap, LEG_OTHER, false},
					   {&stage_forward, LEG_OTHER, false},
					   {NULL, LEG_CONNECTION, false}};

/* A pair of sockets: one for the peer, the other, small or large, is returned. */
static int peer_open(struct peer *p, bool sealed, size_t says, size_t hears)
{
	int ends[2], room = 4096 + (int)chance(100000);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	if (chance(2))
		setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	*p = (struct peer){
		.far = {.sealed = sealed, .says = text, .length = says, .hears = text, .wanted = hears},
		.fd = ends[0]};
	task_init(&p->task, peer_run);
	watch_init(&p->watch, p->fd, &p->task);
	task_wake(&p->task);
	return ends[1];
}

static void peer_close(struct peer *p)
{
	watch_for(&p->watch, FD_NOTHING);
	task_stop(&p->task);
	fd_close(&p->fd);
	far_free(&p->far);
}

static void one_session_trial(const struct plan *plan, bool sealed, bool other_sealed, size_t there,
			      size_t back)
{
	struct session_settings settings = {.plan = plan,
					    .ended = session_ended,
					    .failures = 1,
					    .quit_after = -1,
					    .deadline = NSEC_NEVER,
					    .report_fd = -1};
	struct endpoint peer;
	int sock;

	st = (struct session_trial){.status = -1, .sealed = {sealed, other_sealed}};
	endpoint_any(AF_INET, &peer);
	sock = peer_open(&st.peers[0], sealed, there, back);
	st.upstream = peer_open(&st.peers[1], other_sealed, back, there);
	st.peers[0].far.patient = chance(2);
	st.peers[1].far.patient = chance(2);
	st.peers[chance(2)].far.answers = chance(2);
	st.peers[chance(2)].far.last = chance(2);
	if (plan == plan_stdio) {
		dup2(st.upstream, STDIN_FILENO);
		dup2(st.upstream, STDOUT_FILENO);
		close(st.upstream);
	}
	task_init(&st.watchdog_task, watchdog_run);
	timer_init(&st.watchdog, &st.watchdog_task);
	timer_set(&st.watchdog, clock_now() + WATCHDOG);
	session_start(&st.session, &settings, 1, sock, &peer);
	loop_run();
	timer_stop(&st.watchdog);
	if (st.status < 0)
		session_end(&st.session, EXIT_TIMEDOUT);
	if (!*why && (st.status != 0 || st.peers[0].far.heard != back || st.peers[1].far.heard != there))
		wrong("status %d, %zu and %zu bytes have arrived", st.status, st.peers[0].far.heard,
		      st.peers[1].far.heard);
	peer_close(&st.peers[0]);
	peer_close(&st.peers[1]);
}

/* Returns the first thing that was wrong, or "". */
static const char *try_sessions(const struct plan *plan, bool sealed, bool other_sealed, char *first,
				size_t size)
{
	static const size_t sizes[] = {1, 16384, 100001, 300 * 1024};

	*first = *why = '\0';
	for (size_t i = 0; i < COUNT(sizes) && !*why; i++)
		for (unsigned seed = 0; seed < COUNT(sizes) * SESSION_SEEDS && !*why; seed++) {
			size_t back = sizes[seed % COUNT(sizes)];

			chance_seed(i * 1000003UL + seed);
			one_session_trial(plan, sealed, other_sealed, sizes[i], back);
			if (*why)
				snprintf(first, size, ": %zu and %zu bytes, seed %u: %s", sizes[i], back,
					 seed, why);
		}
	return first;
}

/* stdin and stdout are the sessions' meanwhile: what was found is told behind them. */
static void check_sessions(void)
{
	int in = dup(STDIN_FILENO), out = dup(STDOUT_FILENO);
	char stdio[220], client[220], upstream[220], both[220];

	loop_open();
	try_sessions(plan_stdio, true, false, stdio, sizeof stdio);
	try_sessions(plan_forward, true, false, client, sizeof client);
	try_sessions(plan_forward, false, true, upstream, sizeof upstream);
	try_sessions(plan_forward, true, true, both, sizeof both);
	loop_close();
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	close(in);
	close(out);
	point(!*stdio, "a session between records and stdin and stdout%s", stdio);
	point(!*client, "a forwarding session, records from the client%s", client);
	point(!*upstream, "a forwarding session, records to the upstream%s", upstream);
	point(!*both, "a forwarding session, records on both sides%s", both);
}

/* --- an outbox in front of such a stream --- */

/* Sends what is in the box, a far end moving whenever it waits. Returns what outbox_send() said last. */
static int send_all(struct outbox *o, struct wire *w, bool *waited)
{
	int r;

	do {
		size_t left = outbox_left(o);

		r = outbox_send(o, w->top);
		*waited |= r == -EAGAIN;
		if ((r == 0) != (outbox_left(o) == 0) || outbox_left(o) > left)
			wrong("%zu bytes are left behind %d", outbox_left(o), r);
		while (r == -EAGAIN && !(wire_events(w) & w->top->wwait))
			if (!wire_far_moves(w))
				return r;
	} while (r == -EAGAIN && !*why);
	return r;
}

#define PIECE 300

static void check_outbox(bool sealed)
{
	struct wire w;
	struct outbox o = {.text = NULL};
	bool waited = false;
	int r;

	*why = '\0';
	chance_seed(4711);
	wire_open(&w, sealed, 0, 200 * PIECE);
	w.room = 1000;
	point(outbox_send(&o, w.top) == 0 && outbox_left(&o) == 0, "an empty outbox has nothing to send");
	for (size_t i = 0; i < 200; i++) {
		if (outbox_add(&o, text + i * PIECE, PIECE) < 0)
			wrong("no memory");
		/* some of it goes before the next is added: what was begun has to stay as it is */
		if (i % 16 == 0 && outbox_send(&o, w.top) < 0)
			waited = true;
	}
	r = send_all(&o, &w, &waited);
	while (r == 0 && wire_far_moves(&w))
		;
	point(!*why && r == 0 && waited && w.far.heard == 200 * PIECE && !w.records.misused,
	      "an outbox %s: all arrives, in its order%s%s", sealed ? "before records" : "before a wire",
	      *why ? ": " : "", why);
	point(outbox_print(&o, "%s %d", "port", 80) == 0 && outbox_print(&o, "%s", "") == 0 &&
		      outbox_left(&o) == 7 && memcmp(o.text + o.sent, "port 80", 7) == 0,
	      "what is printed is added, without a NUL byte");
	w.down_ended = false;
	outbox_free(&o);
	point(outbox_left(&o) == 0 && !o.text, "a freed outbox is empty");
	wire_free(&w);
}

static ssize_t failing_write(struct stream *s, const void *buf, size_t n)
{
	(void)s, (void)buf;
	return n > 3 ? 3 : -EPIPE;
}

static void check_outbox_failure(void)
{
	static const struct stream_ops ops = {.write = failing_write};
	struct stream s = {.ops = &ops, .rfd = -1, .wfd = -1};
	struct outbox o = {.text = NULL};

	outbox_add(&o, "hello", 5);
	point(outbox_send(&o, &s) == -EPIPE && outbox_left(&o) == 2,
	      "an outbox tells a failure and what is left");
	outbox_free(&o);
}

/* --- shut, pending and explain of every kind of stream --- */

static void check_shut(const char *what, struct stream *s)
{
	bool good = s->ops->shut(s) == 0 && s->ops->shut(s) == 0 && s->ops->shut(s) == 0;

	point(good, "%s: the end may be asked for again", what);
	s->ops->close(s);
}

static void check_shuts(void)
{
	struct stream_socket sock;
	struct stream_stdio fds;
	struct stream_text words;
	struct records records;
	int ends[2];

	stream_text_open(&words, "x", 1);
	check_shut("a text", &words.stream);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) {
		stream_socket_open(&sock, ends[0], 0);
		check_shut("a socket", &sock.stream);
		close(ends[1]);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) {
		stream_socket_open(&sock, ends[0], 0);
		close(ends[1]);
		check_shut("a socket whose peer has gone", &sock.stream);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) {
		stream_socket_open(&sock, ends[0], 0);
		records_open(&records, &sock.stream, 0, 1);
		check_shut("records", &records.stream);
		close(ends[1]);
	}
	for (int keep = 0; keep < 2 && pipe(ends) == 0; keep++) {
		stream_stdio_open(&fds, ends[0], ends[1], keep);
		check_shut(keep ? "a pipe that is kept" : "a pipe", &fds.stream);
		close(ends[0]);
		close(ends[1]);
	}
	stream_stdio_open(&fds, -1, -1, false);
	check_shut("no descriptors", &fds.stream);
}

static void check_explained(const struct stream *s, enum stream_half half, int error, int status,
			    const char *words)
{
	char said[100] = "";
	int r = stream_explain(s, half, error, said, sizeof said);

	point(r == status && strcmp(said, words) == 0, "'%s' and status %d (%s, %d)", words, status, said, r);
}

static void check_explain(void)
{
	struct stream_socket sock;
	struct stream_stdio fds;
	struct records records;
	char cut[8];

	stream_socket_open(&sock, -1, 0);
	check_explained(&sock.stream, STREAM_READ, -ECONNRESET, EXIT_LOST, strerror(ECONNRESET));
	check_explained(&sock.stream, STREAM_WRITE, -EPIPE, EXIT_LOST, strerror(ECONNRESET));
	check_explained(&sock.stream, STREAM_READ, -ETIMEDOUT, EXIT_LOST, strerror(ETIMEDOUT));
	check_explained(&sock.stream, STREAM_WRITE, -ENOBUFS, EXIT_RESOURCES, strerror(ENOBUFS));
	stream_stdio_open(&fds, -1, -1, false);
	check_explained(&fds.stream, STREAM_READ, -EIO, EXIT_LOCAL, "read stdin: Input/output error");
	check_explained(&fds.stream, STREAM_WRITE, -ENOSPC, EXIT_LOCAL,
			"write to stdout: No space left on device");
	check_explained(&fds.stream, STREAM_WRITE, -ENOMEM, EXIT_RESOURCES,
			"write to stdout: Cannot allocate memory");
	records_open(&records, &sock.stream, 0, 1);
	check_explained(&records.stream, STREAM_READ, -EPROTO, EXIT_LOST, "cut off before its last record");
	check_explained(&records.stream, STREAM_READ, -ECONNRESET, EXIT_LOST, strerror(ECONNRESET));
	stream_explain(&records.stream, STREAM_READ, -EPROTO, cut, sizeof cut);
	point(strcmp(cut, "cut off") == 0, "words that do not fit are cut (%s)", cut);
	point(!stream_pending(&sock.stream) && !stream_pending(&fds.stream) &&
		      !stream_pending(&records.stream),
	      "nothing is pending where nothing was read ahead");
}

int main(void)
{
	alarm(300);
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = byte_at(i);
	check_flows(true, false, "records on one side");
	check_flows(false, true, "records on the other");
	check_flows(true, true, "records on both");
	check_flows(false, false, "no records");
	check_wait_behind_crossed();
	check_sessions();
	check_outbox(false);
	check_outbox(true);
	check_outbox_failure();
	check_shuts();
	check_explain();
	lease_close();
	return done();
}
