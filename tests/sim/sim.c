/*
 * A simulator: whole sessions, with the product's own objects, over a kernel, a network and far ends that follow
 * a seed (kernel.h). Whatever these do:
 *
 *   each byte arrives once and in order, as far as any arrives
 *   a session never waits for what cannot come, never spins, never waits inside a call, and has an end
 *   a loss is never told as an end: status 0 says that all has been acknowledged and all that was received has
 *   been written; a forwarded connection that is lost on one side is reset on the other
 *   a failure has a cause, and a line that tells it
 *   nothing is left open, on loan, waiting or running
 *
 * sim                the seeds of "make check"
 * sim FIRST-LAST     those seeds
 * sim SEED           that one, with every call and every event on stderr
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "flow/lease.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "session/expect.h"
#include "session/session.h"
#include "sim/kernel.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* What "make check" tries. */
#define SEEDS_CHECKED 3000

/* What a seed may take of the processor: a step that makes no call has no other limit. */
#define SECONDS_MOST 20

#define TEXT_MOST ((size_t)1200 * 1000)

static unsigned char text[2 * TEXT_MOST];

/* --- one seed --- */

enum local { LOCAL_PIPES, LOCAL_DEVICES, LOCAL_TERMINAL, LOCAL_SOCKET, LOCAL_FILES, LOCAL_KINDS };

static struct trial {
	unsigned long seed;
	const struct plan *plan;
	const char *name;
	struct session_settings settings;
	struct session session;
	struct connection *a, *b; /* the connection; the upstream */
	int a_sock, b_sock;
	struct records records[2];
	bool sealed[2]; /* by enum leg_name */
	unsigned asks;
	enum local local_kind;
	struct far local; /* stdin and stdout */
	struct channel *in, *out;
	struct connection *inherited;
	unsigned char *mapped; /* stdin behind the filters */
	bool over;
	int status;
	int unacknowledged; /* by the end of the session */
	size_t taken;       /* bytes of stdin, by then */
} t;

void sim_fail(const char *format, ...)
{
	va_list args;

	kernel.active = false;
	fflush(stderr);
	printf("not ok 1 - seed %lu, %s: ", t.seed, t.name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("; tests/sim/sim %lu shows it\n1..1\n", t.seed);
	fflush(stdout);
	_exit(1);
}

static void too_long(int signo)
{
	(void)signo;
	/* the process ends here: that printf(3) may have been interrupted does not matter any more */
	sim_fail("a step that has no end");
}

static size_t some_length(void)
{
	unsigned kind = chance(100);

	return kind < 10 ? 0 :
	       kind < 50 ? chance(100) :
	       kind < 90 ? chance(20000) :
	       kind < 98 ? chance(200000) :
			   chance(TEXT_MOST);
}

static struct far some_far(bool sealed)
{
	return (struct far){.sealed = sealed, .says = text + chance(1000), .length = some_length()};
}

/* What `f` has to hear is what `from` says. */
static void listens(struct far *f, const struct far *from)
{
	f->hears = from->says;
	f->wanted = from->length;
}

/* An urgent byte, which splice(2) does not pass, most often among the last. */
static void some_urgency(struct connection *c)
{
	size_t length = c->far.length;

	if (length > 0 && chance(2))
		c->urgent_at =
			length - 1 - chance((unsigned)(length > 150000 && chance(2) ? 150000 : length));
}

static void some_story(struct connection *c)
{
	static const enum story stories[] = {STORY_RESETS, STORY_LEAVES, STORY_VANISHES, STORY_CUT};

	if (chance(3))
		return;
	c->story = stories[chance(COUNT(stories))];
	c->story_at = chance((unsigned)(c->far.length + c->far.wanted) + 1);
}

/* Who waits for what the other says: never both for ever. */
static void some_manners(struct far *a, struct far *b)
{
	if (chance(2)) {
		a->talks = b->talks = chance(2);
		a->talks |= chance(4) == 0;
	} else {
		(chance(2) ? a : b)->answers = chance(2);
	}
	a->patient = chance(2);
	b->patient = chance(2);
}

static unsigned one_of(unsigned likely, unsigned most)
{
	return chance(likely) ? 0 : 2 + chance(most);
}

static void some_habits(struct habits *h)
{
	if (chance(5) == 0)
		return;
	*h = (struct habits){.short_counts = one_of(2, 3),
			     .again = one_of(2, 12),
			     .interrupted = one_of(3, 12),
			     .refuses_splice = one_of(3, 40),
			     .refuses_nowait = one_of(8, 60),
			     .no_memory = one_of(5, 40),
			     .no_pipe = one_of(4, 3),
			     .no_watch = one_of(30, 30),
			     .full_disk = one_of(20, 30),
			     .meanwhile = one_of(2, 10)};
}

/* --- stages that only put things together --- */

static enum stage_result wrap_step(struct session *s, struct leg *leg, void *none, nsec now)
{
	size_t which = leg == &s->legs[LEG_CONNECTION] ? LEG_CONNECTION : LEG_OTHER;

	(void)none, (void)now;
	if (which == LEG_OTHER)
		leg_open(leg, t.b_sock, 0);
	if (!t.sealed[which])
		return STAGE_DONE;
	records_open(&t.records[which], leg->top, t.asks, t.seed);
	t.records[which].end_fails = chance(30) == 0;
	leg->top = &t.records[which].stream;
	return STAGE_DONE;
}

static const struct stage stage_wrap = {"wrap", 0, wrap_step, NULL};

static const struct plan plan_stdio[] = {{&stage_wrap, LEG_CONNECTION, false},
					 {&stage_stdio, LEG_OTHER, false},
					 {&stage_delivered, LEG_CONNECTION, false},
					 {NULL, LEG_CONNECTION, false}};
static const struct plan plan_forward[] = {{&stage_wrap, LEG_CONNECTION, false},
					   {&stage_wrap, LEG_OTHER, false},
					   {&stage_forward, LEG_OTHER, false},
					   {NULL, LEG_CONNECTION, false}};

/* --- worlds --- */

static void give_pipes(bool device, bool terminal)
{
	t.in = kernel_channel();
	t.out = kernel_channel();
	t.in->feeds = t.out->drains = &t.local;
	t.in->room = 4096 + chance(chance(2) ? 100 : 65536);
	t.out->room = 4096 + chance(chance(2) ? 100 : 65536);
	t.in->device = t.out->device = device;
	t.in->terminal = t.out->terminal = terminal;
	if (chance(8) == 0) {
		t.out->leaves = true;
		t.out->leaves_at = chance((unsigned)t.local.wanted + 1);
	}
	kernel_give_channel(STDIN_FILENO, t.in, true);
	kernel_give_channel(STDOUT_FILENO, t.out, false);
}

/* One socket is both, as a superserver does it. */
static void give_socket(void)
{
	int sock = kernel_connect(&t.inherited);

	t.inherited->far = t.local;
	t.inherited->nonblocking = false;
	/* what becomes of stdout behind us is not promised */
	t.inherited->drops_unread = false;
	kernel_give_connection(STDIN_FILENO, t.inherited);
	kernel_give_connection(STDOUT_FILENO, t.inherited);
	close(sock);
}

static struct far *local_far(void)
{
	return t.inherited ? &t.inherited->far : &t.local;
}

static void give_local(void)
{
	if (t.local_kind == LOCAL_SOCKET) {
		give_socket();
	} else if (t.local_kind == LOCAL_FILES) {
		kernel.file = t.local.says;
		kernel.file_length = t.local.length;
		kernel.file_reader = &t.local;
		kernel_give_file(STDIN_FILENO, false);
		kernel_give_file(STDOUT_FILENO, chance(4) == 0 && t.settings.send_only);
	} else {
		give_pipes(t.local_kind != LOCAL_PIPES, t.local_kind == LOCAL_TERMINAL);
	}
}

/* What CRLF makes of what stdin says. */
static void map_crlf(struct far *hears, const struct far *says)
{
	unsigned char *at = t.mapped = malloc(2 * says->length + 1), before = 0;

	for (size_t i = 0; i < says->length; before = says->says[i++]) {
		if (says->says[i] == '\n' && before != '\r')
			*at++ = '\r';
		*at++ = says->says[i];
	}
	hears->hears = t.mapped;
	hears->wanted = (size_t)(at - t.mapped);
}

static void some_shaping(void)
{
	struct filters_settings *f = &t.settings.filters;
	size_t longest = t.local.length + t.a->far.length;

	if (chance(5))
		return;
	f->crlf = chance(2);
	if (chance(2))
		f->rate = (int64_t)(1 + longest / (1 + chance(20)) + chance(1000));
	if (chance(3) == 0)
		f->chunk = (int64_t)(1 + longest / (1 + chance(100)));
	if (chance(3) == 0 && t.local.length < 5000)
		f->delay = (nsec)chance(50) * NSEC_PER_MSEC;
}

static void set_up_stdio(void)
{
	struct session_settings *s = &t.settings;

	t.name = "stdin and stdout";
	t.plan = plan_stdio;
	s->send_only = chance(10) == 0;
	s->recv_only = !s->send_only && chance(10) == 0;
	s->no_shutdown = chance(10) == 0;
	t.local = some_far(false);
	t.a->far = some_far(t.sealed[LEG_CONNECTION]);
	t.local_kind = (enum local)chance(LOCAL_KINDS);
	/* a terminal takes a byte at a time */
	if (t.local_kind == LOCAL_TERMINAL)
		t.a->far.length %= 20000;
	some_shaping();
	if (!s->recv_only)
		listens(&t.a->far, &t.local);
	if (s->filters.crlf && !s->recv_only)
		map_crlf(&t.a->far, &t.local);
	if (!s->send_only)
		listens(&t.local, &t.a->far);
	some_manners(&t.local, &t.a->far);
	/* the measures differ where CRLF adds to one side */
	if (s->filters.crlf)
		t.local.talks = t.a->far.talks = false;
	/* whoever is told no end cannot wait for it */
	if (!s->send_only && !s->recv_only && !s->no_shutdown)
		(chance(2) ? &t.local : &t.a->far)->last = chance(2);
	some_story(t.a);
	some_urgency(t.a);
	give_local();
}

static void set_up_forward(void)
{
	t.name = "forward";
	t.plan = plan_forward;
	t.b_sock = kernel_connect(&t.b);
	t.a->far = some_far(t.sealed[LEG_CONNECTION]);
	t.b->far = some_far(t.sealed[LEG_OTHER]);
	listens(&t.a->far, &t.b->far);
	listens(&t.b->far, &t.a->far);
	some_manners(&t.a->far, &t.b->far);
	(chance(2) ? t.a : t.b)->far.last = chance(2);
	some_story(chance(2) ? t.a : t.b);
	some_urgency(t.a);
	some_urgency(t.b);
	if (chance(6) == 0)
		some_story(t.b);
}

static void session_ended(struct session *s)
{
	t.over = true;
	t.status = s->status;
	t.unacknowledged = kernel_unacknowledged(t.a);
	t.taken = t.inherited                 ? t.inherited->taken :
		  t.local_kind == LOCAL_FILES ? kernel.file_at :
		  t.in                        ? t.in->taken :
						0;
	loop_stop();
}

static void begin(unsigned long seed, bool loud)
{
	bool sealed;

	chance_seed(seed);
	t = (struct trial){.seed = seed};
	kernel_boot((nsec)(1 + chance(1000)) * NSEC_PER_SEC);
	kernel.loud = loud;
	sealed = chance(3) == 0;
	t.sealed[LEG_CONNECTION] = sealed && chance(3);
	t.sealed[LEG_OTHER] = sealed && (chance(2) || !t.sealed[LEG_CONNECTION]);
	t.asks = chance(2) ? 0 : 1 + chance(4);
	t.a_sock = kernel_connect(&t.a);
	t.settings = (struct session_settings){.ended = session_ended,
					       .failures = DIAG_FAILURES,
					       .quit_after = -1,
					       .deadline = NSEC_NEVER,
					       .report_fd = -1};
	if (chance(2))
		set_up_stdio();
	else
		set_up_forward();
	if (chance(10) == 0)
		t.settings.quit_after = (nsec)chance(3000) * NSEC_PER_MSEC;
	if (chance(10) == 0)
		t.settings.idle_timeout = (nsec)(1 + chance(5000)) * NSEC_PER_MSEC;
	t.settings.plan = t.plan;
	some_habits(&kernel.habits);
}

static void run(void)
{
	struct endpoint peer;

	endpoint_any(AF_INET, &peer);
	if (loop_open() < 0)
		sim_fail("no loop");
	session_start(&t.session, &t.settings, 1, t.a_sock, &peer);
	if (loop_run() < 0)
		sim_fail("the loop fails");
	if (!t.over)
		sim_fail("the loop ends, the session does not");
	memset(&kernel.habits, 0, sizeof kernel.habits);
	loop_close();
	lease_close();
}

/* The process ends; the world goes on until all has arrived. */
static void leave(void)
{
	static const struct stat none;
	struct stat st = none;

	/* an inherited socket stays with the one that we have it from */
	for (int fd = 0; fd <= 1 && !t.inherited; fd++)
		if (t.plan == plan_stdio && fstat(fd, &st) == 0)
			close(fd);
	while (kernel_world(kernel.now + 20 * NSEC_PER_SEC))
		;
}

/* --- what has to hold --- */

static bool lost(const struct connection *c)
{
	return c && c->story_told;
}

/* Is there a reason for the session to have failed? */
static bool has_cause(void)
{
	return lost(t.a) || lost(t.b) || kernel.hurt || t.records[0].end_fails || t.records[1].end_fails ||
	       (t.out && !t.out->reader && t.out->leaves) || t.settings.quit_after >= 0 ||
	       t.settings.idle_timeout;
}

static void check_leftovers(void)
{
	if (kernel_open_descriptors())
		sim_fail("%d descriptors are left open", kernel_open_descriptors());
	if (timer_next() != NSEC_NEVER)
		sim_fail("a timer is left running");
	if (task_any_ready())
		sim_fail("a task is left awake");
	for (int i = 0; i < 2; i++)
		if (t.records[i].misused)
			sim_fail("a write did not come again as it was, or came behind the end");
}

static void check_status(void)
{
	if (t.status != 0 && !has_cause())
		sim_fail("status %d without a cause: %s", t.status, kernel.said);
	if (t.status == 0 && *kernel.said && !kernel.hurt)
		sim_fail("status 0, and yet: %s", kernel.said);
	if (t.status != 0 && t.status != EXIT_RAISE + SIGPIPE && !*kernel.said)
		sim_fail("status %d without a word", t.status);
	if (t.status > EXIT_RAISE && !(t.out && !t.out->reader))
		sim_fail("status %d, and stdout is read", t.status);
}

/* How many bytes the peer has to have heard when so many of stdin were taken. */
static size_t mapped_length(size_t taken)
{
	size_t n = 0;

	if (!t.settings.filters.crlf)
		return taken;
	for (size_t i = 0; i < taken; i++)
		n += 1 + (text[(size_t)(local_far()->says - text) + i] == '\n' &&
			  (i == 0 || local_far()->says[i - 1] != '\r'));
	return n;
}

/* The peer's direction came to its proper end. */
static bool ended_well(const struct connection *c)
{
	return c->far.sealed ? c->whole : c->fin_arrived;
}

/* Bytes of its text that have reached us, when it ended well. */
static size_t arrived(const struct connection *c)
{
	return c->far.sealed ? c->far.said : (size_t)c->arrived;
}

static void check_stdio_success(void)
{
	const struct session_settings *s = &t.settings;
	const struct far *local = local_far();

	/* within --quit-after the end itself is not waited for */
	if (t.unacknowledged > (s->quit_after >= 0))
		sim_fail("status 0, and %d bytes were not acknowledged", t.unacknowledged);
	if (!s->recv_only && !lost(t.a) && t.a->far.heard != mapped_length(t.taken))
		sim_fail("status 0, %zu bytes of stdin were taken, %zu heard", t.taken, t.a->far.heard);
	/* at a terminal the end of the peer is the end of all */
	if (!s->recv_only && !lost(t.a) && s->quit_after < 0 && t.local_kind != LOCAL_TERMINAL &&
	    t.taken != local->length)
		sim_fail("status 0, and %zu of %zu bytes of stdin were taken", t.taken, local->length);
	if (!lost(t.a) && !t.a->fin_delivered)
		sim_fail("status 0, and the peer has seen no end");
	if (s->send_only || s->quit_after >= 0)
		return;
	if (!ended_well(t.a))
		sim_fail("status 0, and the peer had not ended");
	if (local->heard != arrived(t.a) && !(t.out && t.out->leaves))
		sim_fail("status 0, and stdout has %zu of %zu bytes", local->heard, arrived(t.a));
}

/* One direction of a forwarded connection. */
static void check_way(const struct connection *from, const struct connection *to)
{
	bool told_end = to->fin_delivered && !to->reset_by_us && !to->far_closed && !kernel_is_gone(to);

	if (told_end && !ended_well(from))
		sim_fail("connection %d was lost, and the other has seen an end", from == t.b);
	if (told_end && to->far.sealed && !to->far.codec.ended)
		sim_fail("connection %d has seen the end of the connection, and no last record", to == t.b);
	if (told_end && to->far.heard != arrived(from))
		sim_fail("connection %d has heard %zu of %zu bytes, and an end", to == t.b, to->far.heard,
			 arrived(from));
	if (!told_end && !to->reset_by_us && !to->far_closed && !to->dead && !kernel_is_gone(to))
		sim_fail("connection %d is left without an end", to == t.b);
	if (t.status == 0 && t.settings.quit_after < 0 && !lost(to) && !told_end)
		sim_fail("status 0, and connection %d has seen no end", to == t.b);
	/* before the reset: all that the lost side had sent */
	if (lost(from) && from->story == STORY_RESETS && !lost(to) && !from->fin_arrived && !kernel.hurt &&
	    !from->far.sealed && !to->far.sealed && t.settings.quit_after < 0 && !t.settings.idle_timeout &&
	    to->delivered != from->arrived)
		sim_fail("connection %d was reset behind %llu bytes, %llu were delivered", from == t.b,
			 (unsigned long long)from->arrived, (unsigned long long)to->delivered);
}

static void check(void)
{
	check_leftovers();
	check_status();
	if (t.plan == plan_forward) {
		check_way(t.a, t.b);
		check_way(t.b, t.a);
	} else if (t.status == 0) {
		check_stdio_success();
	}
}

static void one_seed(unsigned long seed, bool loud)
{
	setitimer(ITIMER_VIRTUAL, &(struct itimerval){.it_value.tv_sec = SECONDS_MOST}, NULL);
	begin(seed, loud);
	run();
	leave();
	check();
	kernel_halt();
	far_free(&t.local);
	free(t.mapped);
}

/* The system calls may have other names here: then the real ones would be made. */
static bool is_in_place(void)
{
	struct stat st;
	int fd;

	kernel_boot(4711 * NSEC_PER_SEC);
	fd = open("/dev/null", O_RDONLY);
	if (clock_now() / NSEC_PER_SEC != 4711 || fd < 100 || fstat(fd, &st) < 0 || fd_kind(fd) != FD_MEMORY)
		return false;
	close(fd);
	kernel_halt();
	return true;
}

static void make_text(void)
{
	chance_seed(1);
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = chance(20) ? (unsigned char)chance(256) : chance(3) ? '\n' : '\r';
}

int main(int argc, char **argv)
{
	unsigned long first = 1, last = SEEDS_CHECKED;
	char *rest;

	if (!is_in_place()) {
		puts("1..0 # SKIP the system calls have other names here");
		return 0;
	}
	make_text();
	signal(SIGVTALRM, too_long);
	if (argc > 1) {
		first = last = strtoul(argv[1], &rest, 10);
		if (*rest == '-')
			last = strtoul(rest + 1, NULL, 10);
	}
	for (unsigned long seed = first; seed <= last; seed++)
		one_seed(seed, argc > 1 && first == last);
	printf("ok 1 - sessions over a kernel that follows a seed: seeds %lu to %lu\n1..1\n", first, last);
	return 0;
}
