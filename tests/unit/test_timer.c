/*
 * The heap of timers against a model that only compares numbers: ten thousand settings, moves,
 * stops and freed timers in pseudo-random order, on a clock of our own. A timer that is lost is a
 * time-out that never comes; one that stays behind is a use of freed memory.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loop/timer.h"
#include "tap.h"

#define TIMERS 97
#define ROUNDS 10000

/* Time stands still unless told otherwise: in place of the C library's. */
static nsec present = 1000;

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
	state = state * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(state >> 33) % n;
}

/* A timer and what the model knows of it. */
struct one {
	struct timer timer;
	struct task task;
	bool running; /* it is to wake its task at `when` */
	nsec when;
};

static struct one *all[TIMERS];
static int wrong_next, wrong_woken, wrong_due;

static void nothing(struct task *t)
{
	(void)t;
}

static struct one *make(void)
{
	struct one *o = malloc(sizeof *o);

	*o = (struct one){.running = false, .when = NSEC_NEVER};
	task_init(&o->task, nothing);
	timer_init(&o->timer, &o->task);
	return o;
}

static void unmake(struct one *o)
{
	timer_stop(&o->timer);
	task_stop(&o->task);
	free(o);
}

/* Few moments for many timers: most of them share theirs with others. */
static nsec some_moment(void)
{
	switch (chance(8)) {
	case 0:
		return present;
	case 1:
		return NSEC_NEVER - 1 - chance(3);
	case 2:
		return NSEC_NEVER;
	case 3:
		return present - chance(50);
	default:
		return present + chance(200);
	}
}

static void set(struct one *o, nsec when)
{
	timer_set(&o->timer, when);
	o->when = when;
	o->running = when != NSEC_NEVER;
}

/* The clock goes on: exactly those whose moment has come wake their tasks, once. */
static void pass_time(nsec span)
{
	present += span;
	timer_wake_due();
	for (int i = 0; i < TIMERS; i++) {
		bool woken = !list_empty(&all[i]->task.ready),
		     due = all[i]->running && all[i]->when <= present;

		wrong_woken += woken != due;
		if (due)
			all[i]->running = false;
		task_stop(&all[i]->task);
	}
}

static void step(void)
{
	int i = (int)chance(TIMERS);

	switch (chance(10)) {
	case 0:
		timer_stop(&all[i]->timer);
		all[i]->running = false;
		all[i]->when = NSEC_NEVER;
		break;
	case 1:
		unmake(all[i]);
		all[i] = make();
		break;
	case 2:
		/* once more for the same moment: also when it has passed */
		set(all[i], all[i]->when);
		break;
	case 3:
		pass_time(chance(60));
		break;
	default:
		set(all[i], some_moment());
	}
}

/* The next moment is the least of those that run; what is due stays so until it is set anew. */
static void compare(void)
{
	nsec next = NSEC_NEVER;

	for (int i = 0; i < TIMERS; i++) {
		if (all[i]->running && all[i]->when < next)
			next = all[i]->when;
		wrong_due += timer_due(&all[i]->timer, present) != (all[i]->when <= present);
	}
	wrong_next += timer_next() != next;
}

static void check_model(unsigned long seed)
{
	state = seed;
	present = 1000;
	wrong_next = wrong_woken = wrong_due = 0;
	for (int i = 0; i < TIMERS; i++)
		all[i] = make();
	for (int round = 0; round < ROUNDS; round++) {
		step();
		compare();
	}
	pass_time(100000);
	compare();
	for (int i = 0; i < TIMERS; i++)
		unmake(all[i]);
	point(wrong_next == 0, "seed %lu: timer_next() is the earliest (%d times not)", seed,
	      wrong_next);
	point(wrong_woken == 0, "seed %lu: those that are due wake, once (%d did not)", seed,
	      wrong_woken);
	point(wrong_due == 0, "seed %lu: timer_due() tells what has come (%d wrong)", seed,
	      wrong_due);
	point(timer_next() == NSEC_NEVER, "seed %lu: nothing is left", seed);
}

static void check_few(void)
{
	struct one *a = make(), *b = make();

	point(timer_next() == NSEC_NEVER && !timer_due(&a->timer, NSEC_NEVER - 1),
	      "none runs at first");
	timer_stop(&a->timer);
	timer_stop(&a->timer);
	point(timer_next() == NSEC_NEVER, "to stop one that does not run is harmless");
	timer_set(&a->timer, present + 1);
	point(!timer_due(&a->timer, present) && timer_due(&a->timer, present + 1),
	      "due to the nanosecond");
	timer_set(&b->timer, present + 1);
	timer_set(&a->timer, NSEC_NEVER);
	point(timer_next() == present + 1, "two of one moment: stopping one leaves the other");
	timer_wake_due();
	point(list_empty(&b->task.ready), "no task wakes before its moment");
	present++;
	timer_wake_due();
	point(!list_empty(&b->task.ready) && list_empty(&a->task.ready), "the one that runs wakes");
	task_stop(&b->task);
	timer_wake_due();
	point(list_empty(&b->task.ready) && timer_due(&b->timer, present),
	      "once, and goes on being due");
	timer_set(&b->timer, present);
	timer_wake_due();
	point(!list_empty(&b->task.ready), "set anew for the same moment it wakes again");
	unmake(a);
	unmake(b);
}

/* Many at once: a heap that recursed for each of them would not survive. */
static void check_many(void)
{
	enum { MANY = 200000 };
	struct timer *many = malloc(MANY * sizeof *many);
	struct task task;
	bool good = true;

	task_init(&task, nothing);
	for (int i = 0; i < MANY; i++) {
		timer_init(&many[i], &task);
		timer_set(&many[i], present + 1 + i);
	}
	for (int i = 0; i < MANY; i += 2)
		timer_stop(&many[i]);
	for (int i = 1; i < MANY; i += 2) {
		good &= timer_next() == present + 1 + i;
		timer_stop(&many[i]);
	}
	point(good && timer_next() == NSEC_NEVER, "%d timers come in their order", MANY);
	free(many);
}

int main(void)
{
	check_few();
	for (unsigned long seed = 1; seed <= 3; seed++)
		check_model(seed);
	check_many();
	return done();
}
