#include "cmd/check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/escape.h"
#include "base/exitcode.h"
#include "net/shared_lookup.h"
#include "stream/outbox.h"

#define AT_A_TIME_MOST 512
#define LOOK_UPS_MOST 32      /* at a time: each is a process */
#define DESCRIPTORS_SPARED 16 /* for stdin, stdout, stderr, the poll set and what a look-up opens */
#define RESOURCES_PAUSE (100 * NSEC_PER_MSEC)

static const struct plan plan_check[] = {{&stage_connect, LEG_CONNECTION, true},
					 {&stage_stay, LEG_CONNECTION, true},
					 {NULL, LEG_CONNECTION, false}};

/* A name, which is looked up once, however many of its ports are probed. */
struct host {
	const char *name;
	struct shared_lookup lookup;
	int under_way; /* probes of it */
	bool late;     /* the look-up took longer than --timeout */
};

/* A probe that is under way: a client session with settings of its own. */
struct probing {
	struct session_settings settings;
	struct session session;
	struct probe *probe;
};

struct probe {
	struct check *check;
	const struct target *target;
	struct host *host;       /* NULL for an address */
	struct probing *probing; /* while it is under way */
	bool done;
	int status;              /* enum exitcode */
	const char *state;       /* as it is printed */
	double ms;
};

struct check {
	const struct settings *settings;
	const struct targets *targets;
	struct task task;    /* wakes for probes that ended, for stdout and for the deadline */
	struct timer timer;
	nsec begin_again;    /* no probe begins before: descriptors or memory have run out */
	int first_waiting, under_way, most, printed, host_count;
	struct host *hosts;
	struct probe *probes;
	struct stream_stdio out;
	struct watch watch;  /* of stdout */
	struct outbox lines;
	int written;         /* 0: all lines; -EAGAIN: not yet; another -errno: stdout cannot be written */
	int status;          /* of the first in order that is not open */
	int untried;         /* -errno of why some were not tried; 0: all were */
	int error;           /* -errno of what ends the run before its time */
};

/* --- one probe --- */

/* The word for how a probe ended. */
static const char *state_of(int status, const struct dial_record *d)
{
	switch (status) {
	case EXIT_OK:
		return "open";
	case EXIT_TIMEDOUT:
		return "filtered";
	case EXIT_UNRESOLVED:
		return "unresolved";
	case EXIT_RESOURCES:
		return "untried";
	case EXIT_LOST:
		return "dropped";
	default:
		return d && d->error == -ECONNREFUSED ? "closed" : "unreachable";
	}
}

static void probe_done(struct probe *p, int status, const struct dial_record *d)
{
	p->done = true;
	p->status = status;
	p->state = state_of(status, d);
	p->ms = d ? (double)(d->connected - d->looked_up) / NSEC_PER_MSEC : 0;
}

/*
 * A session has ended: its probe has an answer; without descriptors or memory, it is tried again as long as
 * other probes, which will give some back, are under way.
 */
static void probe_ended(struct session *s)
{
	struct probing *running = list_entry(s, struct probing, session);
	struct probe *p = running->probe;
	const struct dial_record *d = s->notes ? s->notes->dialed : NULL;
	struct check *c = p->check;
	int status = s->status;

	c->under_way--;
	if (p->host)
		p->host->under_way--;
	p->probing = NULL;
	if (status == EXIT_RESOURCES && c->under_way > 0) {
		if (p - c->probes < c->first_waiting)
			c->first_waiting = (int)(p - c->probes);
		c->begin_again = clock_after(clock_now(), RESOURCES_PAUSE);
	} else {
		probe_done(p, status, d);
		if (status == EXIT_RESOURCES)
			c->untried = d && d->error ? d->error : -ENOMEM;
		if (p->host && status == EXIT_TIMEDOUT && p->host->lookup.asking)
			p->host->late = true;
		c->begin_again = 0;
	}
	free(running);
	task_wake(&c->task);
}

/* Begins a probe. Returns 0 or -ENOMEM. */
static int probe_begin(struct check *c, struct probe *p)
{
	struct probing *running = malloc(sizeof *running);

	if (!running)
		return -ENOMEM;
	running->settings = c->settings->session;
	running->settings.plan = plan_check;
	running->settings.ended = probe_ended;
	running->settings.failures = DIAG_STEPS;
	running->settings.settle = c->settings->settle;
	running->settings.host = p->target->host;
	running->settings.port = p->target->port;
	running->settings.lookup = p->host ? &p->host->lookup : NULL;
	running->probe = p;
	p->probing = running;
	c->under_way++;
	if (p->host)
		p->host->under_way++;
	session_start(&running->session, &running->settings, (uint64_t)(p - c->probes) + 1, -1, NULL);
	return 0;
}

/* --- all of them --- */

/* Adds the lines of probes that are done, in the order of the targets. Returns 0 or -ENOMEM. */
static int print_done(struct check *c)
{
	for (; c->printed < c->targets->count && c->probes[c->printed].done; c->printed++) {
		const struct probe *p = &c->probes[c->printed];
		const struct target *t = p->target;
		char host[ESCAPE_ROOM(HOST_NAME_MOST)];
		int r = 0;

		if (!c->status)
			c->status = p->status;
		if (c->settings->quiet)
			continue;
		/* the name of an interface, which may be a zone, can hold any byte */
		escape_message(t->host, host, sizeof host);
		if (p->status == EXIT_OK)
			r = outbox_print(&c->lines, "%s %u %s %.2f\n", host, t->port, p->state, p->ms);
		else
			r = outbox_print(&c->lines, "%s %u %s\n", host, t->port, p->state);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Writes what stdout takes now. Returns 0, -EAGAIN or another -errno; -EPIPE when the reader has gone. */
static int write_lines(struct check *c)
{
	struct stream *out = &c->out.stream;
	bool is_pipe = out->wkind == FD_PIPE;
	int r;

	if (c->settings->quiet)
		return 0;
	/* a pipe whose reader has left has an error event, and no other */
	if (is_pipe && (c->watch.got & FD_ERROR))
		return -EPIPE;
	r = outbox_send(&c->lines, out);
	if (r == -EAGAIN)
		r = watch_for(&c->watch, out->wwait) < 0 ? -ENOMEM : -EAGAIN;
	else if (r == 0)
		r = watch_for(&c->watch, is_pipe ? FD_ERROR : FD_NOTHING);
	return r;
}

/* Names that are being looked up, or are about to be. */
static int looking_up(const struct check *c, nsec now)
{
	int n = 0;

	for (int i = 0; i < c->host_count; i++)
		n += c->hosts[i].under_way > 0 && now >= c->hosts[i].lookup.valid_until;
	return n;
}

/* A probe of a name begins when the answer is known, or as the first one, which starts the look-up. */
static bool may_begin(const struct check *c, const struct probe *p, nsec now)
{
	if (!p->host || now < p->host->lookup.valid_until)
		return true;
	return p->host->under_way == 0 && looking_up(c, now) < LOOK_UPS_MOST;
}

/* Begins the probes that may; a slow look-up delays only the targets of its name. */
static void begin_probes(struct check *c, nsec now)
{
	while (c->first_waiting < c->targets->count &&
	       (c->probes[c->first_waiting].done || c->probes[c->first_waiting].probing))
		c->first_waiting++;
	for (int i = c->first_waiting; i < c->targets->count && c->under_way < c->most; i++) {
		struct probe *p = &c->probes[i];

		if (p->done || p->probing)
			continue;
		if (p->host && p->host->late) {
			probe_done(p, EXIT_TIMEDOUT, NULL);
		} else if (may_begin(c, p, now) && probe_begin(c, p) < 0) {
			if (c->under_way == 0)
				c->error = -ENOMEM;
			c->begin_again = clock_after(now, RESOURCES_PAUSE);
			return;
		}
	}
}

/* --deadline: the probes that have not begun are done, without an answer in time. */
static void give_up(struct check *c)
{
	for (int i = 0; i < c->targets->count; i++)
		if (!c->probes[i].done && !c->probes[i].probing)
			probe_done(&c->probes[i], EXIT_TIMEDOUT, NULL);
}

static void check_set_timer(struct check *c, nsec now)
{
	nsec next = c->settings->session.deadline;

	if (now >= next)
		next = NSEC_NEVER;
	if (c->begin_again > now && c->begin_again < next)
		next = c->begin_again;
	timer_set(&c->timer, next);
}

static void check_step(struct task *task)
{
	struct check *c = list_entry(task, struct check, task);
	nsec now = clock_now();
	bool late = now >= c->settings->session.deadline;
	int r;

	if (late)
		give_up(c);
	else if (now >= c->begin_again)
		begin_probes(c, now);
	r = print_done(c);
	if (!c->error)
		c->error = r;
	c->written = write_lines(c);
	check_set_timer(c, now);
	if ((c->printed == c->targets->count && (c->written == 0 || late)) || c->error ||
	    (c->written < 0 && c->written != -EAGAIN))
		loop_stop();
}

/* --- setting up --- */

/* As many at a time as descriptors allow. */
static int at_a_time(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= AT_A_TIME_MOST + DESCRIPTORS_SPARED)
		return AT_A_TIME_MOST;
	return limit.rlim_cur > DESCRIPTORS_SPARED ? (int)limit.rlim_cur - DESCRIPTORS_SPARED : 1;
}

/* The host of that name, to be looked up once; NULL for an address. */
static struct host *find_host(struct check *c, const char *name)
{
	const struct dial_settings *d = &c->settings->dial;
	struct endpoint literal;
	struct host *h;

	if (endpoint_parse(name, &literal) == HOST_ADDRESS)
		return NULL;
	/* from the newest on: targets of one host mostly follow each other */
	for (int i = c->host_count - 1; i >= 0; i--)
		if (strcmp(c->hosts[i].name, name) == 0)
			return &c->hosts[i];
	h = &c->hosts[c->host_count++];
	h->name = name;
	shared_lookup_init(&h->lookup, name, d->family, NSEC_NEVER);
	/* with --retry a name that is not known yet is asked for again */
	h->lookup.keeps_failures = !d->retry;
	return h;
}

/* How many different hosts there are at most: one more than there are changes along the list. */
static size_t count_hosts(const struct targets *t)
{
	size_t n = 1;

	for (int i = 1; i < t->count; i++)
		n += t->list[i].host != t->list[i - 1].host;
	return n;
}

/* Allocates and fills what the targets need. Returns 0 or -ENOMEM. */
static int set_up(struct check *c)
{
	const struct targets *t = c->targets;

	c->probes = calloc((size_t)t->count, sizeof *c->probes);
	c->hosts = calloc(count_hosts(t), sizeof *c->hosts);
	if (!c->probes || !c->hosts)
		return -ENOMEM;
	for (int i = 0; i < t->count; i++) {
		c->probes[i].check = c;
		c->probes[i].target = &t->list[i];
		c->probes[i].host = find_host(c, t->list[i].host);
	}
	return 0;
}

static void tear_down(struct check *c)
{
	for (int i = 0; c->probes && i < c->targets->count; i++)
		if (c->probes[i].probing)
			session_end(&c->probes[i].probing->session, EXIT_TIMEDOUT);
	for (int i = 0; i < c->host_count; i++)
		shared_lookup_close(&c->hosts[i].lookup);
	watch_for(&c->watch, FD_NOTHING);
	c->out.stream.ops->close(&c->out.stream);
	outbox_free(&c->lines);
	timer_stop(&c->timer);
	task_stop(&c->task);
	free(c->probes);
	free(c->hosts);
}

/* Reports why not all lines are written. Returns the status. */
static int output_failed(const struct check *c)
{
	if (c->written == -EPIPE)
		return EXIT_RAISE + SIGPIPE;
	if (c->written == -EAGAIN) {
		diag_failure("write to stdout: the time for the whole run is over (--deadline)");
		return EXIT_TIMEDOUT;
	}
	diag_failure("write to stdout: %s", strerror(-c->written));
	return exitcode_for(c->written, EXIT_LOCAL);
}

/* Reports what has failed in a run that is over. Returns its status. */
static int check_conclude(const struct check *c, int r)
{
	if (r == 0)
		r = c->error;
	if (r < 0) {
		diag_failure("check: %s", strerror(-r));
		return exitcode_for(r, EXIT_RESOURCES);
	}
	if (c->written < 0)
		return output_failed(c);
	if (c->untried)
		diag_failure("check: %s", strerror(-c->untried));
	return c->status;
}

int check_run(const struct settings *s, const struct targets *t)
{
	struct check c = {.settings = s, .targets = t, .most = at_a_time()};
	int r;

	task_init(&c.task, check_step);
	timer_init(&c.timer, &c.task);
	stream_stdio_open(&c.out, -1, STDOUT_FILENO, true);
	watch_init(&c.watch, c.out.stream.wfd, &c.task);
	r = set_up(&c);
	if (r == 0) {
		task_wake(&c.task);
		r = loop_run();
	}
	r = check_conclude(&c, r);
	tear_down(&c);
	return r;
}
