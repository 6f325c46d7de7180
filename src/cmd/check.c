#include "cmd/check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "cmd/lines.h"

#define AT_A_TIME_MOST 512
#define LOOK_UPS_MOST 32      /* at a time: each is a process */
#define DESCRIPTORS_SPARED 16 /* for stdin, stdout, stderr, the poll set and what a look-up opens */
#define READS_MOST 16         /* of one connection at a time */
#define BREATHER (100 * NSEC_PER_MSEC)

/* LATE: given up, since the budget of time has passed. */
enum name_state { NAME_WAITING, NAME_ASKED, NAME_KNOWN, NAME_LATE };

/* A name is looked up once, however many of its ports are tried. */
struct host {
	const char *name;
	struct lookup look_up;
	enum name_state state;
	nsec asked, took; /* when the look-up began, and how long it took */
};

struct probe {
	struct task task;
	struct check *check;
	const struct target *target;
	struct host *host; /* NULL for an address */
	struct dial *dial; /* while it is under way */
	int sock;          /* connected, and watched until it has settled; -1: none */
	struct watch watch;
	struct timer timer;
	nsec settled_at;
	bool begun, done;
	int status;        /* enum exitcode */
	const char *state; /* as it is printed */
	double ms;
};

struct check {
	const struct settings *settings;
	struct dial_settings dial;
	const struct targets *targets;
	struct task task;    /* wakes for names, for stdout and for the deadline */
	struct timer timer;
	nsec look_up_limit;  /* what a look-up may take: -w or --retry=TIME, whichever is shorter */
	nsec begin_again;    /* begin nothing before: something is lacking */
	int host_count, next_host, looking; /* names; the first that is not asked for yet; those that are */
	int first_waiting, under_way, most, printed;
	struct host *hosts;
	struct probe *probes;
	struct lines lines;
	int written;         /* 0: all lines; -EAGAIN: not yet; another -errno: stdout cannot be written */
	int status;          /* of the first in order that is not open */
	int lacking;         /* -errno of why something was not tried; 0: all was */
	int error;           /* -errno of what ends the run before its time */
};

/* --- one probe --- */

/* The word for a failed dial. */
static const char *state_of(const struct dial *d)
{
	switch (dial_status(d)) {
	case EXIT_TIMEDOUT:
		return "filtered";
	case EXIT_UNRESOLVED:
		return "unresolved";
	case EXIT_RESOURCES:
		return "untried";
	default:
		return d->error == -ECONNREFUSED ? "closed" : "unreachable";
	}
}

/* Ends a connection that is only a proof: our FIN first, and nothing unread that would turn it into a RST. */
static void close_politely(int *sock)
{
	char sink[4096];

	shutdown(*sock, SHUT_WR);
	for (int i = 0; i < READS_MOST && recv(*sock, sink, sizeof sink, MSG_DONTWAIT) > 0; i++)
		continue;
	fd_close(sock);
}

/* The probe has an answer: `state` in words, and as an exit status. */
static void probe_done(struct probe *p, const char *state, int status)
{
	p->done = true;
	p->state = state;
	p->status = status;
	p->check->under_way--;
	p->check->begin_again = 0;
	/* there is room for another, and perhaps something to print */
	task_wake(&p->check->task);
}

static void drop_dial(struct probe *p)
{
	if (p->dial)
		dial_close(p->dial);
	free(p->dial);
	p->dial = NULL;
}

/*
 * What is lacking for this probe others that are under way will give back: then it is as if it had not
 * begun. Returns false if it is not that.
 */
static bool put_off(struct probe *p)
{
	struct check *c = p->check;

	if (dial_status(p->dial) != EXIT_RESOURCES || c->looking + c->under_way == 1)
		return false;
	drop_dial(p);
	p->begun = false;
	if (p - c->probes < c->first_waiting)
		c->first_waiting = (int)(p - c->probes);
	c->under_way--;
	c->begin_again = clock_after(clock_now(), BREATHER);
	task_wake(&c->task);
	return true;
}

/* The dial has an end: keep what it says. Connected, it is kept too, since it may have to go on. */
static void dial_done(struct probe *p, int r)
{
	struct dial *d = p->dial;
	nsec settle = p->check->settings->settle;
	char reason[512];

	if (r < 0 && put_off(p))
		return;
	if (r < 0) {
		diag_step("%s", dial_reason(d, reason, sizeof reason));
		if (dial_status(d) == EXIT_RESOURCES)
			p->check->lacking = d->error;
		probe_done(p, state_of(d), dial_status(d));
		drop_dial(p);
		return;
	}
	p->ms = (double)(d->connected - d->looked_up) / NSEC_PER_MSEC;
	p->sock = d->sock;
	d->sock = -1;
	p->settled_at = clock_after(d->connected, settle);
	watch_init(&p->watch, p->sock, &p->task);
}

/*
 * Reads what comes and drops it; from a peer that never pauses some, for others have to be looked at, too.
 * Returns true when the peer has ended or reset the connection.
 */
static bool peer_left(int sock)
{
	char sink[4096];

	for (int i = 0; i < READS_MOST; i++) {
		ssize_t got = recv(sock, sink, sizeof sink, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return true;
		if (got < 0 && errno == EAGAIN)
			return false;
	}
	return false;
}

/* Connected: a service that is up stays so for the time to settle, --settle. */
static void settle(struct probe *p)
{
	bool left = p->check->settings->settle && peer_left(p->sock);

	if (!left && clock_now() < p->settled_at && watch_for(&p->watch, FD_IN) == 0) {
		timer_set(&p->timer, p->settled_at);
		return;
	}
	watch_for(&p->watch, FD_NOTHING);
	timer_stop(&p->timer);
	close_politely(&p->sock);
	/* who waits for a service waits for one that stays */
	if (left && dial_again(p->dial) == -EAGAIN)
		return;
	drop_dial(p);
	if (left)
		probe_done(p, "dropped", EXIT_LOST);
	else
		probe_done(p, "open", EXIT_OK);
}

static void run_probe(struct task *task)
{
	struct probe *p = list_entry(task, struct probe, task);
	int r;

	if (p->sock < 0 && p->dial) {
		r = dial_step(p->dial);
		if (r == -EAGAIN)
			return;
		dial_done(p, r);
	}
	if (p->sock >= 0)
		settle(p);
}

/* Begins a probe. Returns 0 or -ENOMEM. */
static int begin_probe(struct check *c, struct probe *p)
{
	p->dial = malloc(sizeof *p->dial);
	if (!p->dial)
		return -ENOMEM;
	dial_start(p->dial, &c->dial, p->target->host, p->target->port, &p->task);
	/* the look-up counts, but not the time for which the probe has waited for its turn */
	if (p->host)
		dial_began(p->dial, clock_now() - p->host->took);
	/* who retries asks anew for a name that is not known yet */
	if (p->host && !(p->host->look_up.error && c->dial.retry))
		dial_use(p->dial, &p->host->look_up);
	p->begun = true;
	c->under_way++;
	task_wake(&p->task);
	return 0;
}

/* --- all of them --- */

/* Prints what is known, as far as everything before it is. Returns 0 or -ENOMEM. */
static int print_done(struct check *c)
{
	for (; c->printed < c->targets->count && c->probes[c->printed].done; c->printed++) {
		const struct probe *p = &c->probes[c->printed];
		const struct target *t = p->target;
		int r = 0;

		if (!c->status)
			c->status = p->status;
		if (c->settings->quiet)
			continue;
		if (p->status == EXIT_OK)
			r = lines_add(&c->lines, "%s %u %s %.2f\n", t->host, t->port, p->state, p->ms);
		else
			r = lines_add(&c->lines, "%s %u %s\n", t->host, t->port, p->state);
		if (r < 0)
			return r;
	}
	if (!c->settings->quiet)
		c->written = lines_write(&c->lines);
	return 0;
}

/* The moment at which a look-up that is under way is given up. */
static nsec look_up_ends(const struct check *c, const struct host *h)
{
	return clock_after(h->asked, c->look_up_limit);
}

/* Sees which names are known by now, and which have taken longer than they may. */
static void step_look_ups(struct check *c, nsec now)
{
	for (int i = 0; i < c->next_host; i++) {
		struct host *h = &c->hosts[i];

		if (h->state != NAME_ASKED)
			continue;
		if (lookup_step(&h->look_up) == 0)
			h->state = NAME_KNOWN;
		else if (now >= look_up_ends(c, h))
			h->state = NAME_LATE;
		else
			continue;
		lookup_close(&h->look_up);
		h->took = now - h->asked;
		c->looking--;
		c->begin_again = 0;
	}
}

static bool has_room(const struct check *c)
{
	return c->looking + c->under_way < c->most;
}

/* `error` kept something from beginning. What is under way will give back what is lacking, if it is that. */
static void cannot_begin(struct check *c, int error)
{
	if (exitcode_for(error, EXIT_OK) == EXIT_RESOURCES && c->looking + c->under_way > 0)
		c->begin_again = clock_after(clock_now(), BREATHER);
	else
		c->error = error;
}

/* Begins as many look-ups as there is room for. */
static void begin_look_ups(struct check *c)
{
	while (c->next_host < c->host_count && c->looking < LOOK_UPS_MOST && has_room(c)) {
		struct host *h = &c->hosts[c->next_host];
		int r = lookup_start(&h->look_up, h->name, c->dial.family, &c->task);

		if (r < 0) {
			lookup_close(&h->look_up);
			cannot_begin(c, r);
			return;
		}
		h->state = NAME_ASKED;
		h->asked = clock_now();
		c->next_host++;
		c->looking++;
	}
}

/* Begins what can be begun: a name that is slow keeps only its own targets waiting. */
static void begin_probes(struct check *c)
{
	while (c->first_waiting < c->targets->count && c->probes[c->first_waiting].begun)
		c->first_waiting++;
	for (int i = c->first_waiting; i < c->targets->count && has_room(c); i++) {
		struct probe *p = &c->probes[i];

		if (p->begun || p->done || (p->host && p->host->state < NAME_KNOWN))
			continue;
		if (p->host && p->host->state == NAME_LATE) {
			p->begun = p->done = true;
			p->state = "filtered";
			p->status = EXIT_TIMEDOUT;
		} else if (begin_probe(c, p) < 0) {
			cannot_begin(c, -ENOMEM);
			return;
		}
	}
}

/* What is not done when the time for the whole run is over had no answer in time. */
static void give_up(struct check *c)
{
	for (int i = 0; i < c->targets->count; i++) {
		struct probe *p = &c->probes[i];

		if (p->done)
			continue;
		p->done = true;
		p->state = "filtered";
		p->status = EXIT_TIMEDOUT;
	}
}

/* Wakes us for whatever comes first, apart from what wakes us by itself. */
static void set_timer(struct check *c, nsec now)
{
	nsec next = c->settings->session.deadline;

	for (int i = 0; i < c->next_host; i++)
		if (c->hosts[i].state == NAME_ASKED && look_up_ends(c, &c->hosts[i]) < next)
			next = look_up_ends(c, &c->hosts[i]);
	if (c->begin_again > now && c->begin_again < next)
		next = c->begin_again;
	timer_set(&c->timer, next);
}

static void run(struct task *task)
{
	struct check *c = list_entry(task, struct check, task);
	nsec now = clock_now();
	bool over = now >= c->settings->session.deadline;
	int r;

	step_look_ups(c, now);
	if (over) {
		give_up(c);
	} else if (now >= c->begin_again) {
		c->begin_again = 0;
		begin_look_ups(c);
		begin_probes(c);
	}
	r = print_done(c);
	if (!c->error)
		c->error = r;
	set_timer(c, now);
	over |= c->printed == c->targets->count && c->written == 0;
	if (over || c->error || (c->written < 0 && c->written != -EAGAIN))
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
	struct endpoint literal;
	struct host *h;

	if (endpoint_parse(name, &literal) == HOST_ADDRESS)
		return NULL;
	/* targets of one host stand side by side: the newest is the one, if any is */
	for (int i = c->host_count - 1; i >= 0; i--)
		if (strcmp(c->hosts[i].name, name) == 0)
			return &c->hosts[i];
	h = &c->hosts[c->host_count++];
	h->name = name;
	return h;
}

/* How many different runs of hosts there can be at most. */
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
		struct probe *p = &c->probes[i];

		p->check = c;
		p->target = &t->list[i];
		p->sock = -1;
		task_init(&p->task, run_probe);
		timer_init(&p->timer, &p->task);
		p->host = find_host(c, t->list[i].host);
	}
	return 0;
}

/* Given up while it settles. */
static void settle_no_more(struct probe *p)
{
	watch_for(&p->watch, FD_NOTHING);
	close_politely(&p->sock);
}

static void tear_down(struct check *c)
{
	for (int i = 0; c->probes && i < c->targets->count && c->probes[i].check; i++) {
		task_stop(&c->probes[i].task);
		timer_stop(&c->probes[i].timer);
		if (c->probes[i].sock >= 0)
			settle_no_more(&c->probes[i]);
		drop_dial(&c->probes[i]);
	}
	for (int i = 0; i < c->host_count; i++)
		lookup_close(&c->hosts[i].look_up);
	lines_close(&c->lines);
	timer_stop(&c->timer);
	task_stop(&c->task);
	free(c->probes);
	free(c->hosts);
}

/* Tells why the lines are not all written. Returns the status. */
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

/* What a run that is over has to say: the status, unless stdout took less than all of it. */
static int conclude(const struct check *c, int r)
{
	if (r == 0)
		r = c->error;
	if (r < 0) {
		diag_failure("check: %s", strerror(-r));
		return exitcode_for(r, EXIT_RESOURCES);
	}
	if (c->written < 0)
		return output_failed(c);
	if (c->lacking)
		diag_failure("check: %s", strerror(-c->lacking));
	return c->status;
}

/* The look-up of a name has the budget that its targets have, and what it takes they no longer have. */
static nsec look_up_limit(const struct dial_settings *d)
{
	nsec limit = d->timeout ? d->timeout : NSEC_NEVER;

	return d->retry_for && d->retry_for < limit ? d->retry_for : limit;
}

int check_run(const struct settings *s, const struct targets *t)
{
	struct check c = {.settings = s, .dial = s->dial, .targets = t, .most = at_a_time()};
	int r;

	c.look_up_limit = look_up_limit(&s->dial);
	task_init(&c.task, run);
	timer_init(&c.timer, &c.task);
	lines_open(&c.lines, &c.task);
	r = set_up(&c);
	if (r == 0) {
		task_wake(&c.task);
		r = loop_run();
	}
	r = conclude(&c, r);
	tear_down(&c);
	return r;
}
