#include "sim/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 100
#define FDS 64

/* Calls in one wake-up, and wake-ups in a row, that do nothing for anybody: then it spins. */
#define CALLS_MOST 200000
#define IDLE_MOST 300
#define WAITS_MOST 200000

enum what { NOTHING, CONNECTION, READ_END, WRITE_END, FILE_END, MEMORY, POLLSET };

struct descriptor {
	enum what what;
	struct connection *connection;
	struct channel *channel;
	bool watched;
	uint32_t events;
	void *data;
};

struct kernel kernel;

static struct descriptor descriptors[FDS]; /* the first two are 0 and 1 */
static unsigned long progress, progress_seen, calls_seen;
static unsigned idle;

/* --- descriptors --- */

static struct descriptor *find(int fd)
{
	int i = fd == 0 || fd == 1 ? fd : fd - FIRST_FD;

	if (!kernel.active || i < 0 || i >= FDS || (fd >= 2 && i < 2))
		return NULL;
	return &descriptors[i];
}

/* NULL: not one of ours, the real call is made. */
static struct descriptor *ours(int fd)
{
	struct descriptor *d = find(fd);

	if (!d)
		return NULL;
	if (d->what == NOTHING)
		sim_fail("descriptor %d is used and not open", fd);
	return d;
}

static int new_descriptor(struct descriptor d)
{
	for (int i = 2; i < FDS; i++)
		if (descriptors[i].what == NOTHING) {
			descriptors[i] = d;
			return FIRST_FD + i;
		}
	sim_fail("too many descriptors: they leak");
}

int kernel_open_descriptors(void)
{
	int n = 0;

	for (int i = 2; i < FDS; i++)
		n += descriptors[i].what != NOTHING;
	return n;
}

static void give(int fd, struct descriptor d)
{
	descriptors[fd] = d;
}

void kernel_give_channel(int fd, struct channel *c, bool read_end)
{
	give(fd, (struct descriptor){.what = read_end ? READ_END : WRITE_END, .channel = c});
}

void kernel_give_connection(int fd, struct connection *c)
{
	give(fd, (struct descriptor){.what = CONNECTION, .connection = c});
	c->open = true;
}

void kernel_give_file(int fd, bool memory)
{
	give(fd, (struct descriptor){.what = memory ? MEMORY : FILE_END});
}

struct channel *kernel_channel(void)
{
	for (int i = 0; i < KERNEL_CHANNELS; i++) {
		struct channel *c = &kernel.channels[i];

		if (c->used)
			continue;
		*c = (struct channel){.room = 65536, .reader = true, .writer = true, .used = true};
		return c;
	}
	sim_fail("too many pipes: they leak");
}

int kernel_connect(struct connection **out)
{
	struct connection *c = kernel.connections;

	while (c->used)
		c++;
	*c = (struct connection){.open = true,
				 .used = true,
				 .low_water = 1,
				 .nonblocking = true,
				 .drops_unread = chance(2),
				 .urgent_at = SIZE_MAX,
				 .incoming_room = 1000 + chance(chance(2) ? 300000 : 5000),
				 .outgoing_room = 1000 + chance(chance(2) ? 300000 : 5000)};
	*out = c;
	return new_descriptor((struct descriptor){.what = CONNECTION, .connection = c});
}

void kernel_boot(nsec now)
{
	memset(&kernel, 0, sizeof kernel);
	memset(descriptors, 0, sizeof descriptors);
	kernel.now = now;
	kernel.active = true;
	progress = progress_seen = calls_seen = idle = 0;
}

void kernel_halt(void)
{
	kernel.active = false;
	for (int i = 0; i < KERNEL_CONNECTIONS; i++) {
		queue_free(&kernel.connections[i].incoming);
		queue_free(&kernel.connections[i].outgoing);
		queue_free(&kernel.connections[i].at_far);
		far_free(&kernel.connections[i].far);
	}
	for (int i = 0; i < KERNEL_CHANNELS; i++)
		queue_free(&kernel.channels[i].bytes);
}

/* --- the world: what far ends and the network do --- */

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void tell(const char *format, ...)
{
	va_list args;

	if (!kernel.loud)
		return;
	fprintf(stderr, "%12.6f  ", (double)kernel.now / NSEC_PER_SEC);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static int index_of(const struct connection *c)
{
	return (int)(c - kernel.connections);
}

static size_t some(size_t n)
{
	return n <= 1 || chance(3) == 0 ? n : 1 + chance((unsigned)n);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Both sides have ended and all is acknowledged. */
static void note_closed(struct connection *c)
{
	if (c->fin_acknowledged && c->fin_arrived)
		c->dead = true;
}

/* A reset, or the end of the kernel's patience, reaches the product. */
static void die(struct connection *c, int error)
{
	if (c->dead)
		return;
	tell("connection %d: %s", index_of(c), strerror(error));
	c->dead = true;
	c->error = c->fin_arrived && error == ECONNRESET ? EPIPE : error;
	queue_drop(&c->outgoing, queue_length(&c->outgoing));
}

/* A reset reaches the far end. */
static void reset_far(struct connection *c)
{
	if (c->far_closed)
		return;
	tell("connection %d: the far end is reset", index_of(c));
	c->far_closed = c->reset_by_us = true;
	if (c->drops_unread)
		queue_drop(&c->at_far, queue_length(&c->at_far));
	while (queue_length(&c->at_far) > 0) {
		far_take(&c->far, queue_first(&c->at_far), queue_length(&c->at_far));
		queue_drop(&c->at_far, queue_length(&c->at_far));
	}
}

bool kernel_is_gone(const struct connection *c)
{
	return c->story == STORY_VANISHES && c->story_told;
}

/* The network carries some of what the product has written. */
static bool carry_out(struct connection *c)
{
	size_t n = some(queue_length(&c->outgoing));

	if (kernel_is_gone(c) || c->dead || c->reset_by_us)
		return false;
	if (n > 0 && c->far_closed) {
		die(c, ECONNRESET);
		return true;
	}
	if (n > 0) {
		if (queue_length(&c->at_far) > 300000)
			return false;
		queue_add(&c->at_far, queue_first(&c->outgoing), n);
		queue_drop(&c->outgoing, n);
		c->unacknowledged += n;
		c->delivered += n;
		tell("connection %d: %zu bytes delivered", index_of(c), n);
		return true;
	}
	if (!c->shut || c->fin_delivered)
		return false;
	tell("connection %d: our end delivered", index_of(c));
	return c->fin_delivered = c->far.end_heard = true;
}

static bool acknowledge(struct connection *c)
{
	bool fin = c->fin_delivered && !c->fin_acknowledged;

	if (kernel_is_gone(c) || c->dead || (c->unacknowledged == 0 && !fin))
		return false;
	c->unacknowledged -= some(c->unacknowledged);
	if (c->unacknowledged == 0 && fin && chance(2))
		c->fin_acknowledged = true;
	note_closed(c);
	return true;
}

/* The network carries some of what the far end says. */
static bool carry_in(struct connection *c)
{
	struct queue *q = far_queue(&c->far);
	size_t room = c->incoming_room - least(queue_length(&c->incoming), c->incoming_room);
	size_t n = some(least(queue_length(q), room));

	if (kernel_is_gone(c) || c->dead || c->far_closed || c->fin_arrived)
		return false;
	if (!c->open && queue_length(q) > 0) {
		reset_far(c);
		return true;
	}
	if (n > 0) {
		queue_add(&c->incoming, queue_first(q), n);
		queue_drop(q, n);
		c->arrived += n;
		c->whole = queue_length(q) == 0 && c->far.codec.said_end;
		tell("connection %d: %zu bytes arrive", index_of(c), n);
		return true;
	}
	if (queue_length(q) > 0 || !far_may_end(&c->far))
		return false;
	tell("connection %d: its end arrives", index_of(c));
	c->fin_arrived = true;
	note_closed(c);
	return true;
}

static bool hear(struct connection *c)
{
	size_t n = some(queue_length(&c->at_far));

	if (c->rests_until > kernel.now || n == 0 || c->far_closed || kernel_is_gone(c))
		return false;
	far_take(&c->far, queue_first(&c->at_far), n);
	queue_drop(&c->at_far, n);
	if (c->far.wrong)
		sim_fail("connection %d hears another byte than number %zu", index_of(c), c->far.heard);
	return true;
}

static bool say(struct connection *c)
{
	if (c->rests_until > kernel.now || c->far_closed || c->fin_arrived || kernel_is_gone(c) ||
	    !far_may_say(&c->far) || queue_length(far_queue(&c->far)) > 0)
		return false;
	far_say(&c->far);
	return true;
}

/* The far end's story takes its turn. */
static bool live(struct connection *c)
{
	if (c->story == STORY_GOOD || c->story_told || c->far_closed || c->dead ||
	    c->far.heard + c->far.said < c->story_at || c->rests_until > kernel.now)
		return false;
	c->story_told = true;
	tell("connection %d: story %d", index_of(c), c->story);
	if (c->story == STORY_VANISHES)
		c->rests_until = kernel.now + 3 * NSEC_PER_SEC;
	else if (c->story == STORY_RESETS || (c->story == STORY_LEAVES && queue_length(&c->at_far) > 0))
		die(c, ECONNRESET);
	else
		c->fin_arrived = true;
	if (c->story == STORY_RESETS || c->story == STORY_LEAVES)
		c->far_closed = true;
	/* what its network had not carried is lost */
	queue_drop(far_queue(&c->far), queue_length(far_queue(&c->far)));
	note_closed(c);
	return true;
}

static bool time_out(struct connection *c)
{
	if (!kernel_is_gone(c) || c->dead || c->rests_until > kernel.now)
		return false;
	die(c, ETIMEDOUT);
	return true;
}

static bool feed(struct channel *c)
{
	struct queue *q;
	size_t n;

	if (!c->used || !c->feeds || !c->writer || c->rests_until > kernel.now)
		return false;
	q = far_queue(c->feeds);
	if (queue_length(q) == 0 && far_may_say(c->feeds))
		far_say(c->feeds);
	n = some(least(queue_length(q), c->room - queue_length(&c->bytes)));
	if (n > 0 && c->reader) {
		queue_add(&c->bytes, queue_first(q), n);
		queue_drop(q, n);
		tell("stdin: %zu bytes", n);
		return true;
	}
	if (queue_length(q) > 0 || !far_may_end(c->feeds))
		return false;
	tell("stdin: its end");
	c->writer = false;
	return true;
}

static bool drain(struct channel *c)
{
	size_t n = some(queue_length(&c->bytes));

	if (!c->used || !c->drains || !c->reader || c->rests_until > kernel.now)
		return false;
	if (c->leaves && c->drains->heard >= c->leaves_at) {
		tell("stdout: its reader leaves");
		c->reader = false;
		/* one that hears no more does not wait for it */
		c->drains->answers = c->drains->patient = c->drains->last = c->drains->talks = false;
		return true;
	}
	if (n == 0 && !c->writer && !c->drains->end_heard)
		return c->drains->end_heard = true;
	if (n == 0)
		return false;
	far_take(c->drains, queue_first(&c->bytes), n);
	queue_drop(&c->bytes, n);
	if (c->drains->wrong)
		sim_fail("stdout is given another byte than number %zu", c->drains->heard);
	return true;
}

#define CONNECTION_EVENTS 7

static bool connection_event(struct connection *c, unsigned which)
{
	static bool (*const events[CONNECTION_EVENTS])(struct connection *) = {
		carry_out, acknowledge, carry_in, hear, say, live, time_out};

	return c->used && events[which](c);
}

/* One event that is possible now, the first from a random place on. Returns false when there is none. */
static bool something_happens(void)
{
	unsigned all = KERNEL_CONNECTIONS * CONNECTION_EVENTS + KERNEL_CHANNELS * 2, at = chance(all);

	for (unsigned i = 0; i < all; i++, at = (at + 1) % all) {
		unsigned of_channel = at - KERNEL_CONNECTIONS * CONNECTION_EVENTS;

		if (at < KERNEL_CONNECTIONS * CONNECTION_EVENTS) {
			if (connection_event(&kernel.connections[at / CONNECTION_EVENTS],
					     at % CONNECTION_EVENTS))
				return true;
		} else if ((of_channel % 2 ? feed : drain)(&kernel.channels[of_channel / 2])) {
			return true;
		}
	}
	return false;
}

/* The moment at which the first of those that rest goes on. */
static nsec next_moment(void)
{
	nsec next = NSEC_NEVER;

	for (int i = 0; i < KERNEL_CONNECTIONS; i++) {
		const struct connection *c = &kernel.connections[i];

		if (c->used && c->rests_until > kernel.now && c->rests_until < next)
			next = c->rests_until;
	}
	for (int i = 0; i < KERNEL_CHANNELS; i++) {
		const struct channel *c = &kernel.channels[i];

		if (c->used && c->rests_until > kernel.now && c->rests_until < next)
			next = c->rests_until;
	}
	return next;
}

/* Now and then a far end rests for a while. */
static void let_rest(void)
{
	struct connection *c = &kernel.connections[chance(KERNEL_CONNECTIONS)];
	nsec span = (nsec)chance(chance(3) ? 2000 : 900000) * 1000;

	if (chance(40))
		return;
	if (c->used && !kernel_is_gone(c))
		c->rests_until = kernel.now + span;
	if (chance(2))
		kernel.channels[chance(2)].rests_until = kernel.now + span;
}

bool kernel_world(nsec until)
{
	bool outside = kernel.outside, happened;
	nsec next;

	kernel.outside = true;
	let_rest();
	happened = something_happens();
	if (!happened) {
		next = next_moment();
		if (next < until) {
			kernel.now = next;
			happened = true;
		}
	} else {
		kernel.now += (nsec)(1 + chance(chance(8) ? 20000 : 2000000));
	}
	progress += happened;
	kernel.outside = outside;
	return happened;
}

/* --- what every call begins with --- */

static int fails(int error)
{
	errno = error;
	return -1;
}

static bool strikes(unsigned one_of)
{
	return one_of && !kernel.outside && chance(one_of) == 0;
}

/* A call takes time, in which the world goes on. */
static void called(const char *name, int fd)
{
	tell("%s(%d)", name, fd);
	kernel.now += 200;
	if (++kernel.calls > calls_seen + CALLS_MOST)
		sim_fail("%lu calls without waiting", kernel.calls - calls_seen);
	if (strikes(kernel.habits.meanwhile))
		kernel_world(kernel.now);
}

/* What the trick of one call of so many is. Returns true when it has been played. */
static bool interrupted(void)
{
	if (strikes(kernel.habits.interrupted)) {
		errno = EINTR;
		return true;
	}
	if (strikes(kernel.habits.again)) {
		errno = EAGAIN;
		return true;
	}
	return false;
}

static size_t shortened(size_t n)
{
	return strikes(kernel.habits.short_counts) ? some(n) : n;
}

/* --- readiness --- */

static size_t outgoing_all(const struct connection *c)
{
	return queue_length(&c->outgoing) + c->unacknowledged;
}

static uint32_t connection_ready(const struct connection *c)
{
	size_t there = queue_length(&c->incoming), used = outgoing_all(c);
	size_t room = c->outgoing_room - least(used, c->outgoing_room);
	uint32_t ready = 0;

	if (there >= c->low_water || there >= c->incoming_room || c->fin_arrived || c->dead)
		ready |= EPOLLIN;
	/* sk_stream_is_writeable() of the kernel: a third of it is free */
	if (c->dead || c->shut || room >= used / 2 + 1)
		ready |= EPOLLOUT;
	if (c->error)
		ready |= EPOLLERR;
	if (c->dead || (c->fin_arrived && c->shut))
		ready |= EPOLLHUP;
	return ready;
}

static uint32_t ready_of(const struct descriptor *d)
{
	const struct channel *c = d->channel;

	switch (d->what) {
	case CONNECTION:
		return connection_ready(d->connection);
	case READ_END:
		return (queue_length(&c->bytes) > 0 ? EPOLLIN : 0u) | (c->writer ? 0u : EPOLLHUP);
	case WRITE_END:
		return (c->room - queue_length(&c->bytes) >= least(c->room, 4096) ? EPOLLOUT : 0u) |
		       (c->reader ? 0u : EPOLLERR);
	default:
		return EPOLLIN | EPOLLOUT;
	}
}

/* --- reading and writing --- */

static int take_error(struct connection *c)
{
	int error = c->error;

	c->error = 0;
	return fails(error);
}

static ssize_t connection_read(struct connection *c, void *buf, size_t n, int flags)
{
	size_t there = queue_length(&c->incoming);

	/* behind the end of the peer no error is told to a reader: SOCK_DONE of the kernel */
	if (there == 0 && c->error && !c->fin_arrived)
		return take_error(c);
	if (there == 0)
		return c->fin_arrived || c->dead ? 0 : fails(EAGAIN);
	n = shortened(least(n, there));
	/* a read stops in front of an urgent byte as well, but the next begins with it */
	if (c->taken < c->urgent_at)
		n = least(n, c->urgent_at - c->taken);
	memcpy(buf, queue_first(&c->incoming), n);
	if (flags & MSG_PEEK)
		return (ssize_t)n;
	queue_drop(&c->incoming, n);
	c->taken += n;
	progress++;
	return (ssize_t)n;
}

static ssize_t connection_write(struct connection *c, const void *buf, size_t n)
{
	size_t used = outgoing_all(c);

	if (c->error)
		return take_error(c);
	if (c->dead || c->shut)
		return fails(EPIPE);
	if (used >= c->outgoing_room)
		return fails(EAGAIN);
	n = shortened(least(n, c->outgoing_room - used));
	queue_add(&c->outgoing, buf, n);
	c->written += n;
	progress++;
	return (ssize_t)n;
}

/* `waits`: the call would wait where it cannot go on. */
static ssize_t channel_read(struct channel *c, void *buf, size_t n, bool waits)
{
	size_t there = queue_length(&c->bytes);

	if (there == 0 && !c->writer)
		return 0;
	if (there == 0 && waits)
		sim_fail("a read that waits");
	if (there == 0)
		return fails(EAGAIN);
	n = shortened(least(n, there));
	memcpy(buf, queue_first(&c->bytes), n);
	queue_drop(&c->bytes, n);
	c->taken += n;
	progress++;
	return (ssize_t)n;
}

static ssize_t channel_write(struct channel *c, const void *buf, size_t n, bool waits)
{
	size_t room = c->room - queue_length(&c->bytes);

	if (!c->reader)
		return fails(EPIPE);
	if (n > room && waits)
		sim_fail("a write that waits");
	if (room == 0)
		return fails(EAGAIN);
	n = shortened(least(n, room));
	queue_add(&c->bytes, buf, n);
	progress++;
	return (ssize_t)n;
}

static ssize_t file_read(void *buf, size_t n)
{
	n = least(n, kernel.file_length - kernel.file_at);
	if (n > 0)
		memcpy(buf, kernel.file + kernel.file_at, n);
	kernel.file_at += n;
	progress += n > 0;
	return (ssize_t)n;
}

static ssize_t file_write(const void *buf, size_t n)
{
	if (strikes(kernel.habits.full_disk)) {
		kernel.hurt |= HURT_DISK;
		return fails(ENOSPC);
	}
	n = shortened(n);
	far_take(kernel.file_reader, buf, n);
	if (kernel.file_reader->wrong)
		sim_fail("stdout is given another byte than number %zu", kernel.file_reader->heard);
	progress++;
	return (ssize_t)n;
}

static ssize_t any_read(struct descriptor *d, void *buf, size_t n, bool waits)
{
	switch (d->what) {
	case CONNECTION:
		return connection_read(d->connection, buf, n, 0);
	case READ_END:
		return channel_read(d->channel, buf, n, waits);
	case FILE_END:
		return file_read(buf, n);
	case MEMORY:
		return 0;
	default:
		sim_fail("a read of what cannot be read");
	}
}

static ssize_t any_write(struct descriptor *d, const void *buf, size_t n, bool waits)
{
	switch (d->what) {
	case CONNECTION:
		return connection_write(d->connection, buf, n);
	case WRITE_END:
		return channel_write(d->channel, buf, n, waits);
	case FILE_END:
		return file_write(buf, n);
	case MEMORY:
		return (ssize_t)n;
	default:
		sim_fail("a write to what cannot be written");
	}
}

/* --- the calls, as the linker names them --- */

/* What is declared here is called by the linker's choice alone. */
#define CALL(type, name, ...)                                                                                \
	type __real_##name(__VA_ARGS__);                                                                     \
	type __wrap_##name(__VA_ARGS__);                                                                     \
	type __wrap_##name(__VA_ARGS__)

CALL(ssize_t, recv, int fd, void *buf, size_t n, int flags)
{
	struct descriptor *d = ours(fd);

	if (!d)
		return __real_recv(fd, buf, n, flags);
	called("recv", fd);
	if (d->what != CONNECTION)
		return fails(ENOTSOCK);
	if (!(flags & MSG_DONTWAIT))
		sim_fail("recv without MSG_DONTWAIT");
	return !(flags & MSG_PEEK) && interrupted() ? -1 : connection_read(d->connection, buf, n, flags);
}

CALL(ssize_t, __recv_chk, int fd, void *buf, size_t n, size_t room, int flags)
{
	if (n > room)
		sim_fail("recv of more than there is room for");
	return __wrap_recv(fd, buf, n, flags);
}

CALL(ssize_t, send, int fd, const void *buf, size_t n, int flags)
{
	struct descriptor *d = ours(fd);

	if (!d)
		return __real_send(fd, buf, n, flags);
	called("send", fd);
	if (d->what != CONNECTION)
		return fails(ENOTSOCK);
	if (!(flags & MSG_DONTWAIT) || !(flags & MSG_NOSIGNAL))
		sim_fail("send without MSG_DONTWAIT or MSG_NOSIGNAL");
	return interrupted() ? -1 : connection_write(d->connection, buf, n);
}

/* Pipes between our own two ends do not wait: pipe2(2) was told so. */
static bool call_waits(const struct descriptor *d)
{
	return d->channel && (d->channel->feeds || d->channel->drains);
}

CALL(ssize_t, read, int fd, void *buf, size_t n)
{
	struct descriptor *d = ours(fd);

	if (!d)
		return __real_read(fd, buf, n);
	called("read", fd);
	if (strikes(kernel.habits.interrupted))
		return fails(EINTR);
	return any_read(d, buf, n, call_waits(d));
}

CALL(ssize_t, __read_chk, int fd, void *buf, size_t n, size_t room)
{
	if (n > room)
		sim_fail("read of more than there is room for");
	return __wrap_read(fd, buf, n);
}

CALL(ssize_t, write, int fd, const void *buf, size_t n)
{
	struct descriptor *d;

	if (kernel.active && fd == STDERR_FILENO) {
		snprintf(kernel.said, sizeof kernel.said, "%.*s", (int)n, (const char *)buf);
		tell("stderr: %s", kernel.said);
		return (ssize_t)n;
	}
	d = ours(fd);
	if (!d)
		return __real_write(fd, buf, n);
	called("write", fd);
	if (strikes(kernel.habits.interrupted))
		return fails(EINTR);
	return any_write(d, buf, n, call_waits(d));
}

/* preadv2 and pwritev2 with RWF_NOWAIT, the only ones that are called by number here. */
CALL(long, syscall, long number, ...)
{
	const struct iovec *iov;
	struct descriptor *d;
	va_list args;
	int fd;

	va_start(args, number);
	fd = va_arg(args, int);
	iov = va_arg(args, const struct iovec *);
	va_end(args);
	if (number != SYS_preadv2 && number != SYS_pwritev2)
		sim_fail("call number %ld", number);
	d = ours(fd);
	called(number == SYS_preadv2 ? "preadv2" : "pwritev2", fd);
	if (interrupted())
		return -1;
	if ((d->channel && d->channel->device) || strikes(kernel.habits.refuses_nowait))
		return fails(EOPNOTSUPP);
	return number == SYS_preadv2 ? any_read(d, iov->iov_base, iov->iov_len, false) :
				       any_write(d, iov->iov_base, iov->iov_len, false);
}

/* --- splice(2) --- */

/* What could be taken from `d` now: bytes, 0 for the end, or -1 and errno. */
static ssize_t spliceable(struct descriptor *d, const unsigned char **bytes)
{
	struct connection *c = d->connection;
	size_t n;

	if (d->what == FILE_END) {
		*bytes = kernel.file + kernel.file_at;
		return (ssize_t)(kernel.file_length - kernel.file_at);
	}
	if (d->what == READ_END) {
		n = queue_length(&d->channel->bytes);
		*bytes = n ? queue_first(&d->channel->bytes) : NULL;
		return n || !d->channel->writer ? (ssize_t)n : fails(EAGAIN);
	}
	if (!c->nonblocking)
		sim_fail("splice of a socket that waits");
	n = queue_length(&c->incoming);
	/* it stops in front of an urgent byte, and takes that place for the end once there is one */
	if (c->taken <= c->urgent_at)
		n = least(n, c->urgent_at - c->taken);
	if (n > 0) {
		*bytes = queue_first(&c->incoming);
		return (ssize_t)n;
	}
	if (c->error && !c->fin_arrived)
		return take_error(c);
	return c->fin_arrived || c->dead ? 0 : fails(EAGAIN);
}

static void spliced(struct descriptor *d, size_t n)
{
	if (d->what == FILE_END) {
		kernel.file_at += n;
	} else if (d->what == READ_END) {
		queue_drop(&d->channel->bytes, n);
		d->channel->taken += n;
	} else {
		queue_drop(&d->connection->incoming, n);
		d->connection->taken += n;
	}
}

static ssize_t splice_to(struct descriptor *d, const unsigned char *bytes, size_t n)
{
	if (d->what == WRITE_END)
		return channel_write(d->channel, bytes, n, false);
	if (d->what == MEMORY)
		return (ssize_t)n;
	if (!d->connection->nonblocking)
		sim_fail("splice to a socket that waits");
	return connection_write(d->connection, bytes, n);
}

CALL(ssize_t, splice, int from, off_t *from_at, int to, off_t *to_at, size_t n, unsigned how)
{
	static const int refusals[] = {EINVAL, EPERM, ENOSYS, EOPNOTSUPP, EACCES, ENOMEM};
	struct descriptor *a = ours(from), *b = ours(to);
	const unsigned char *bytes = NULL;
	ssize_t there, moved;

	if (!a || !b || from_at || to_at || !(how & 2))
		sim_fail("splice that waits, or of what is not here");
	called("splice", from);
	if (interrupted())
		return -1;
	if (strikes(kernel.habits.refuses_splice))
		return fails(refusals[chance(6)]);
	if ((a->what != READ_END && b->what != WRITE_END) || (a->channel && a->channel->device) ||
	    (b->channel && b->channel->device))
		return fails(EINVAL);
	/* a full pipe is found first: the source keeps its end and its error */
	if (b->what == WRITE_END && b->channel->reader &&
	    b->channel->room == queue_length(&b->channel->bytes))
		return fails(EAGAIN);
	if (b->what == WRITE_END && !b->channel->reader)
		return fails(EPIPE);
	there = spliceable(a, &bytes);
	if (there <= 0)
		return there;
	moved = splice_to(b, bytes, shortened(least(n, (size_t)there)));
	if (moved > 0)
		spliced(a, (size_t)moved);
	return moved;
}

/* --- waiting --- */

static bool poll_once(struct pollfd *fds, nfds_t n)
{
	bool any = false;

	for (nfds_t i = 0; i < n; i++) {
		struct descriptor *d = fds[i].fd == STDERR_FILENO ? NULL : ours(fds[i].fd);
		uint32_t ready = d ? ready_of(d) : EPOLLOUT;

		/* EPOLLIN and the like are the same numbers as POLLIN and the like */
		fds[i].revents = (short)(ready & ((uint32_t)fds[i].events | EPOLLERR | EPOLLHUP));
		any |= fds[i].revents != 0;
	}
	return any;
}

CALL(int, poll, struct pollfd *fds, nfds_t n, int timeout)
{
	int count = 0;

	if (!kernel.active)
		return __real_poll(fds, n, timeout);
	called("poll", fds[0].fd);
	if (!poll_once(fds, n) && timeout != 0)
		sim_fail("poll that waits");
	for (nfds_t i = 0; i < n; i++)
		count += fds[i].revents != 0;
	return count;
}

CALL(int, __poll_chk, struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	(void)room;
	return __wrap_poll(fds, n, timeout);
}

CALL(int, epoll_create1, int flags)
{
	(void)flags;
	return new_descriptor((struct descriptor){.what = POLLSET});
}

CALL(int, epoll_ctl, int set, int op, int fd, struct epoll_event *e)
{
	struct descriptor *d = ours(fd);

	(void)set;
	called("epoll_ctl", fd);
	if (d->what == FILE_END || d->what == MEMORY)
		return fails(EPERM);
	if (d->watched == (op == EPOLL_CTL_ADD))
		sim_fail("epoll_ctl(%d) of descriptor %d, which is %swatched", op, fd,
			 d->watched ? "" : "not ");
	if (op == EPOLL_CTL_ADD && strikes(kernel.habits.no_watch)) {
		kernel.hurt |= HURT_WATCH;
		return fails(chance(2) ? ENOSPC : ENOMEM);
	}
	d->watched = op != EPOLL_CTL_DEL;
	d->events = e->events;
	d->data = e->data.ptr;
	tell("  it waits for %s%s", e->events & EPOLLIN ? "in " : "", e->events & EPOLLOUT ? "out" : "");
	return 0;
}

/* How far the far ends have come, for one who looks why all wait. */
static void tell_fars(void)
{
	for (int i = 0; i < KERNEL_CONNECTIONS; i++) {
		const struct connection *c = &kernel.connections[i];

		if (c->used)
			tell("connection %d: %zu of %zu said, %zu of %zu heard, %zu to be read", i,
			     c->far.said, c->far.length, c->far.heard, c->far.wanted,
			     queue_length(&c->incoming));
	}
	for (int i = 0; i < 2; i++) {
		const struct far *f = i ? kernel.channels[i].drains : kernel.channels[i].feeds;

		if (f)
			tell("std%s: %zu of %zu said, %zu of %zu heard, %zu in the pipe", i ? "out" : "in",
			     f->said, f->length, f->heard, f->wanted,
			     queue_length(&kernel.channels[i].bytes));
	}
}

/* What is ready, some of it or all, in any order. */
static int collect(struct epoll_event *came, int most)
{
	unsigned first = chance(FDS), mask = chance(4) ? ~0u : chance(255) | 1u << chance(8);
	int n = 0, found = 0;

	for (unsigned i = 0; i < FDS && n < most; i++) {
		const struct descriptor *d = &descriptors[(first + i) % FDS];
		uint32_t ready = d->watched ? ready_of(d) & (d->events | EPOLLERR | EPOLLHUP) : 0;

		if (!ready)
			continue;
		if (mask >> (found++ % 8) & 1u || n == 0)
			came[n++] = (struct epoll_event){.events = ready, .data.ptr = d->data};
	}
	return n;
}

/* A wake-up without anything having happened in the world or to the clock since the last is one in vain. */
static void count_wait(bool timed_out)
{
	calls_seen = kernel.calls;
	if (++kernel.waits > WAITS_MOST)
		sim_fail("no end after %lu waits", kernel.waits);
	if (progress != progress_seen || timed_out)
		idle = 0;
	else if (++idle > IDLE_MOST)
		sim_fail("it spins: %u wake-ups, and nothing moves", idle);
	progress_seen = progress;
}

CALL(int, epoll_wait, int set, struct epoll_event *came, int most, int timeout)
{
	nsec until = timeout < 0 ? NSEC_NEVER : kernel.now + timeout * NSEC_PER_MSEC;
	int n = 0;

	(void)set;
	tell("epoll_wait(%d)", timeout);
	if (strikes(kernel.habits.interrupted))
		return fails(EINTR);
	/* a caller with work to do only looks */
	if (timeout == 0 && chance(2))
		kernel_world(kernel.now);
	for (;;) {
		n = collect(came, most);
		if (kernel.now >= until || (n > 0 && chance(3)))
			break;
		if (kernel_world(until))
			continue;
		if (n > 0)
			break;
		if (until == NSEC_NEVER)
			tell_fars();
		if (until == NSEC_NEVER)
			sim_fail("it waits for what cannot come");
		kernel.now = until;
	}
	count_wait(n == 0 && timeout > 0);
	return n;
}

CALL(int, clock_gettime, clockid_t clock, struct timespec *ts)
{
	if (!kernel.active)
		return __real_clock_gettime(clock, ts);
	kernel.now += 50;
	*ts = (struct timespec){.tv_sec = kernel.now / NSEC_PER_SEC, .tv_nsec = kernel.now % NSEC_PER_SEC};
	return 0;
}

/* --- all the others --- */

int kernel_unacknowledged(const struct connection *c)
{
	return (int)(c->written - c->delivered + c->unacknowledged) + (c->shut && !c->fin_acknowledged);
}

static int state_of(const struct connection *c)
{
	return c->dead ? 7 : 1;
}

CALL(int, getsockopt, int fd, int level, int name, void *value, socklen_t *length)
{
	struct descriptor *d = ours(fd);
	struct tcp_info *info = value;

	if (!d)
		return __real_getsockopt(fd, level, name, value, length);
	called("getsockopt", fd);
	if (d->what != CONNECTION)
		return fails(ENOTSOCK);
	memset(value, 0, *length);
	if (level == SOL_SOCKET && name == SO_ERROR) {
		*(int *)value = d->connection->error;
		d->connection->error = 0;
	} else if (level == IPPROTO_TCP && name == TCP_INFO) {
		info->tcpi_state = (uint8_t)state_of(d->connection);
		info->tcpi_rtt = 1000;
	}
	return 0;
}

CALL(int, setsockopt, int fd, int level, int name, const void *value, socklen_t length)
{
	struct descriptor *d = ours(fd);
	const struct linger *linger = value;
	struct connection *c;

	if (!d)
		return __real_setsockopt(fd, level, name, value, length);
	called("setsockopt", fd);
	if (d->what != CONNECTION)
		return fails(ENOTSOCK);
	c = d->connection;
	if (level == SOL_SOCKET && name == SO_LINGER)
		c->linger_reset = linger->l_onoff && linger->l_linger == 0;
	if (level == SOL_SOCKET && name == SO_RCVLOWAT) {
		c->low_water = (size_t) * (const int *)value;
		/* the kernel makes room for it */
		if (c->incoming_room < 2 * c->low_water)
			c->incoming_room = 2 * c->low_water;
	}
	return 0;
}

CALL(int, ioctl, int fd, unsigned long what, ...)
{
	struct descriptor *d = ours(fd);
	va_list args;
	int *value;

	va_start(args, what);
	value = va_arg(args, int *);
	va_end(args);
	if (!d)
		return __real_ioctl(fd, what, value);
	called("ioctl", fd);
	if (d->what != CONNECTION)
		return fails(ENOTTY);
	/* what a dead connection had not delivered stays so */
	if (what == SIOCOUTQ)
		*value = kernel_unacknowledged(d->connection);
	else if (what == FIONREAD)
		*value = (int)queue_length(&d->connection->incoming);
	else
		return fails(ENOTTY);
	return 0;
}

CALL(int, shutdown, int fd, int how)
{
	struct descriptor *d = ours(fd);

	if (!d)
		return __real_shutdown(fd, how);
	called("shutdown", fd);
	if (d->what != CONNECTION)
		return fails(ENOTSOCK);
	if (how != SHUT_WR)
		sim_fail("shutdown(%d)", how);
	if (d->connection->dead && !d->connection->shut)
		return fails(ENOTCONN);
	progress += !d->connection->shut;
	d->connection->shut = true;
	return 0;
}

/* The last descriptor of a connection is closed: RFC 1122, 4.2.2.13. */
static void close_connection(struct connection *c)
{
	c->open = false;
	if (c->dead)
		return;
	if (c->linger_reset || queue_length(&c->incoming) > 0) {
		queue_drop(&c->outgoing, queue_length(&c->outgoing));
		reset_far(c);
		c->dead = true;
		return;
	}
	c->shut = true;
}

static bool shared(const struct descriptor *d)
{
	for (int i = 0; i < FDS; i++)
		if (&descriptors[i] != d && descriptors[i].what == d->what && d->what == CONNECTION &&
		    descriptors[i].connection == d->connection)
			return true;
	return false;
}

static void close_descriptor(struct descriptor *d)
{
	struct descriptor was = *d;
	bool last = !shared(d);

	*d = (struct descriptor){.what = NOTHING};
	progress++;
	if (was.what == CONNECTION && last)
		close_connection(was.connection);
	if (was.what == READ_END)
		was.channel->reader = false;
	if (was.what == WRITE_END)
		was.channel->writer = false;
	/* a pipe of our own is gone with its last end */
	if (was.channel && !was.channel->reader && !was.channel->writer && !was.channel->feeds &&
	    !was.channel->drains) {
		queue_free(&was.channel->bytes);
		was.channel->used = false;
	}
}

CALL(int, close, int fd)
{
	struct descriptor *d = find(fd);

	if (!d)
		return __real_close(fd);
	called("close", fd);
	if (d->what == NOTHING)
		sim_fail("close of descriptor %d, which is not open", fd);
	if (d->watched)
		sim_fail("close of descriptor %d, which is still watched", fd);
	close_descriptor(d);
	return 0;
}

CALL(int, fcntl, int fd, int what, ...)
{
	struct descriptor *d = ours(fd);
	va_list args;
	long value;

	va_start(args, what);
	value = va_arg(args, long);
	va_end(args);
	if (!d)
		return __real_fcntl(fd, what, value);
	called("fcntl", fd);
	if (what == F_SETPIPE_SZ && d->channel && chance(4)) {
		if ((size_t)value < queue_length(&d->channel->bytes))
			return fails(EBUSY);
		d->channel->room = (size_t)value;
		return (int)value;
	}
	if (what == F_GETPIPE_SZ && d->channel)
		return (int)d->channel->room;
	if (what == F_GETFL)
		return O_RDWR;
	return fails(what == F_SETPIPE_SZ ? EPERM : EINVAL);
}

CALL(int, pipe2, int ends[2], int how)
{
	struct channel *c;

	if (!kernel.active)
		return __real_pipe2(ends, how);
	called("pipe2", -1);
	if (strikes(kernel.habits.no_pipe))
		return fails(EMFILE);
	c = kernel_channel();
	if (chance(3) == 0)
		c->room = 4096 * (1 + chance(4));
	ends[0] = new_descriptor((struct descriptor){.what = READ_END, .channel = c});
	ends[1] = new_descriptor((struct descriptor){.what = WRITE_END, .channel = c});
	return 0;
}

CALL(int, open, const char *path, int how, ...)
{
	va_list args;
	unsigned mode;

	va_start(args, how);
	mode = va_arg(args, unsigned);
	va_end(args);
	if (!kernel.active)
		return __real_open(path, how, mode);
	called("open", -1);
	if (strcmp(path, "/dev/null") != 0)
		return fails(ENOENT);
	return new_descriptor((struct descriptor){.what = MEMORY});
}

CALL(int, dup2, int from, int to)
{
	struct descriptor *a = ours(from), *b = find(to);

	if (!a || !b)
		return __real_dup2(from, to);
	called("dup2", from);
	if (b->what != NOTHING)
		close_descriptor(b);
	*b = *a;
	return to;
}

CALL(int, fstat, int fd, struct stat *st)
{
	struct descriptor *d = ours(fd);

	if (!d)
		return __real_fstat(fd, st);
	memset(st, 0, sizeof *st);
	st->st_ino = (ino_t)(d->connection ? 10 + index_of(d->connection) : 1);
	st->st_mode = d->what == CONNECTION            ? S_IFSOCK :
		      d->what == FILE_END              ? S_IFREG :
		      d->what == MEMORY                ? S_IFCHR :
		      d->channel && d->channel->device ? S_IFCHR :
							 S_IFIFO;
	st->st_rdev = d->what == MEMORY ? makedev(1, 3) : makedev(10, 200);
	return 0;
}

CALL(int, isatty, int fd)
{
	struct descriptor *d = ours(fd);

	if (!d)
		return __real_isatty(fd);
	errno = ENOTTY;
	return d->channel && d->channel->terminal;
}

static bool no_memory(void)
{
	if (!kernel.active || !strikes(kernel.habits.no_memory))
		return false;
	kernel.hurt |= HURT_MEMORY;
	errno = ENOMEM;
	return true;
}

CALL(void *, malloc, size_t n)
{
	return no_memory() ? NULL : __real_malloc(n);
}

CALL(void *, calloc, size_t n, size_t size)
{
	return no_memory() ? NULL : __real_calloc(n, size);
}

CALL(void *, realloc, void *old, size_t n)
{
	return no_memory() ? NULL : __real_realloc(old, n);
}
