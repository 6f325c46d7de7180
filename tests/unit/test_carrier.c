/*
 * Flows between real sockets, pipes and files over a kernel that cannot be relied on: its
 * splice(2) moves less than it was asked to, says EAGAIN without reason, or refuses at any moment,
 * with bytes under way; pipes cannot be had, or not be widened. All that may cost speed only: each
 * byte has to arrive once and in order. Peers also send urgent bytes, reset the connection behind
 * what they have sent, or leave while bytes come for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "flow/carrier.h"
#include "flow/filter.h"
#include "flow/flow.h"
#include "flow/lease.h"
#include "net/sockopt.h"
#include "tap.h"

#define SEEDS 18 /* of each pair of ends */
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Nobody is ready for so long: then nobody ever will be. */
#define STUCK_MS 10000

static uint64_t state;

static unsigned chance(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 11) % n);
}

/* --- the kernel, in place of the C library's calls --- */

static nsec present;

/* One call of so many is short, refused for good, is asked to come again; 0: none. */
static struct {
	unsigned short_counts, refusals, again, interrupted, no_pipes, no_room;
} kernel;

static unsigned spliced, refused, no_pipes; /* what came of it, all in all */

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){.tv_sec = present / NSEC_PER_SEC,
				.tv_nsec = present % NSEC_PER_SEC};
	return 0;
}

static bool strikes(unsigned one_of)
{
	return one_of && chance(one_of) == 0;
}

static int fails(int error)
{
	errno = error;
	return -1;
}

ssize_t splice(int from, off_t *from_at, int to, off_t *to_at, size_t n, unsigned how)
{
	static const int refusals[] = {EINVAL, EPERM, ENOSYS, EOPNOTSUPP, EACCES, ENOMEM};
	ssize_t moved;

	if (strikes(kernel.interrupted))
		return fails(EINTR);
	if (strikes(kernel.again))
		return fails(EAGAIN);
	if (strikes(kernel.refusals)) {
		refused++;
		return fails(refusals[chance(COUNT(refusals))]);
	}
	if (strikes(kernel.short_counts) && n > 1)
		n = 1 + chance((unsigned)(chance(3) ? n - 1 : n > 4097 ? 4097 : n - 1));
	moved = syscall(SYS_splice, from, from_at, to, to_at, n, how);
	spliced += moved > 0;
	return moved;
}

int pipe2(int ends[2], int how)
{
	if (strikes(kernel.no_pipes)) {
		no_pipes++;
		return fails(chance(2) ? EMFILE : ENFILE);
	}
	return (int)syscall(SYS_pipe2, ends, how);
}

int fcntl(int fd, int what, ...)
{
	va_list args;
	long value;

	va_start(args, what);
	value = va_arg(args, long);
	va_end(args);
	if ((what == F_SETPIPE_SZ || what == F_GETPIPE_SZ) && strikes(kernel.no_room))
		return fails(what == F_GETPIPE_SZ ? EINVAL : chance(2) ? EPERM : EBUSY);
	return (int)syscall(SYS_fcntl, fd, what, value);
}

/* Each seed has a kernel of its own; every sixth has one that works. */
static void choose_kernel(unsigned seed)
{
	memset(&kernel, 0, sizeof kernel);
	if (seed % 6 == 0)
		return;
	kernel.short_counts = chance(3) ? 1 + chance(3) : 0;
	kernel.interrupted = chance(2) ? 2 + chance(5) : 0;
	kernel.again = chance(2) ? 2 + chance(30) : 0;
	kernel.refusals = chance(3) ? 1 + chance(chance(2) ? 6 : 60) : 0;
	kernel.no_pipes = chance(3) == 0 ? 1 + chance(2) : 0;
	kernel.no_room = chance(2) ? 1 + chance(3) : 0;
}

/* --- ends --- */

enum kind { TCP, LOCAL, PIPE, PLAIN, APPENDED, VOID };

static const char *const kind_names[] = {"TCP",  "Unix socket",    "pipe",
					 "file", "file, O_APPEND", "/dev/null"};

enum story { ALL_IS_WELL, SOURCE_RESETS, DESTINATION_LEAVES };

static struct trial {
	enum story story;
	enum kind from, to;
	int near_from, far_from, near_to, far_to; /* near: the flow's side; -1: none */
	struct stream_socket from_sock, to_sock;
	struct stream_stdio from_fd, to_fd;
	struct stream *src, *dst;
	struct flow flow;
	struct filter_rate rate;

	unsigned char *text, *arrived;
	size_t length, sent, received, most, leaves_at;
	uint64_t before; /* what the flow believes to have moved already */
	bool ended;      /* the far source is done */
	bool finished;   /* the far destination is */
	bool urgent;
	char why[160];
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

/* A connection over the loopback interface. */
static int connected(int ends[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), r = -1;
	socklen_t length = sizeof at;

	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0 &&
	    getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
	    connect(ends[0], (struct sockaddr *)&at, sizeof at) == 0)
		r = ends[1] = accept(listener, NULL, NULL);
	close(listener);
	return r < 0 ? -1 : 0;
}

static void make_nonblocking(int fd)
{
	int flags = (int)syscall(SYS_fcntl, fd, F_GETFL, 0L);

	syscall(SYS_fcntl, fd, F_SETFL, (long)(flags | O_NONBLOCK));
}

/* ends[0] writes, ends[1] reads. */
static bool make_pair(enum kind kind, int ends[2])
{
	struct keepalive none = {.off = true};
	int small = 4096 + (int)chance(200000), pipe_ends[2];

	ends[0] = ends[1] = -1;
	if (kind == PIPE) {
		if (syscall(SYS_pipe2, pipe_ends, 0) < 0)
			return false;
		ends[0] = pipe_ends[1];
		ends[1] = pipe_ends[0];
		return true;
	}
	if ((kind == TCP ? connected(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) < 0)
		return false;
	sockopt_prepare(ends[0], &none);
	sockopt_prepare(ends[1], &none);
	if (chance(2))
		setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	make_nonblocking(ends[0]);
	make_nonblocking(ends[1]);
	return true;
}

static int make_file(int flags)
{
	char path[] = "/tmp/tcptool-carrier-XXXXXX";
	int fd = mkostemp(path, flags);

	unlink(path);
	return fd;
}

static bool open_source(void)
{
	int ends[2];

	if (t.from == PLAIN) {
		t.near_from = make_file(0);
		t.far_from = -1;
		if (t.near_from < 0 || write(t.near_from, t.text, t.length) != (ssize_t)t.length)
			return false;
		lseek(t.near_from, 0, SEEK_SET);
		t.sent = t.length;
		t.ended = true;
	} else {
		if (!make_pair(t.from, ends))
			return false;
		t.far_from = ends[0];
		t.near_from = ends[1];
		make_nonblocking(t.far_from);
	}
	if (t.from == TCP || t.from == LOCAL)
		stream_socket_open(&t.from_sock, t.near_from, 0);
	else
		stream_stdio_open(&t.from_fd, t.near_from, -1, false);
	/* other than TCP a Unix socket that is closed ends both halves, and that is no loss */
	t.from_sock.shut = t.from == LOCAL;
	t.src = t.from == TCP || t.from == LOCAL ? &t.from_sock.stream : &t.from_fd.stream;
	return true;
}

static bool open_destination(void)
{
	int ends[2];

	t.far_to = -1;
	if (t.to == VOID) {
		t.near_to = open("/dev/null", O_WRONLY);
	} else if (t.to == PLAIN || t.to == APPENDED) {
		t.near_to = make_file(t.to == APPENDED ? O_APPEND : 0);
		t.far_to = dup(t.near_to);
	} else {
		if (!make_pair(t.to, ends))
			return false;
		t.near_to = ends[0];
		t.far_to = ends[1];
		make_nonblocking(t.far_to);
	}
	if (t.to == TCP || t.to == LOCAL)
		stream_socket_open(&t.to_sock, t.near_to, 0);
	else
		stream_stdio_open(&t.to_fd, -1, t.near_to, false);
	t.dst = t.to == TCP || t.to == LOCAL ? &t.to_sock.stream : &t.to_fd.stream;
	return t.near_to >= 0;
}

/* The far destination reads while the flow goes on, and not only behind it. */
static bool has_reader(void)
{
	return t.to == TCP || t.to == LOCAL || t.to == PIPE;
}

static bool begin(enum story story, enum kind from, enum kind to, unsigned seed)
{
	state = seed * UINT64_C(2654435761) + (uint64_t)(from * 64 + to * 8 + story) * 40503 +
		UINT64_C(88172645463325252);
	t = (struct trial){.story = story, .from = from, .to = to};
	present = NSEC_PER_SEC;
	choose_kernel(seed);
	t.length = chance(3) ? 100000 + chance(600000) : chance(5000);
	if (story == DESTINATION_LEAVES)
		t.length += 1000000;
	t.text = malloc(t.length + 1);
	t.arrived = malloc(t.length + 1);
	for (size_t i = 0; i < t.length; i++)
		t.text[i] = (unsigned char)chance(256);
	t.most = t.length > 10000 ? 2000 + chance(300000) : 1 + chance(2000);
	t.urgent = from == TCP && story != DESTINATION_LEAVES && chance(3) == 0;
	t.leaves_at = story == DESTINATION_LEAVES ? chance(400000) : SIZE_MAX;
	if (!open_source() || !open_destination())
		return false;
	flow_init(&t.flow, t.src, t.dst);
	/* as if so much had crossed before: a carrier that needs bulk gets its turn at once */
	t.flow.moved = t.before = chance(2) ? (uint64_t)1 << 20 : 0;
	if (chance(4) == 0) {
		filter_rate_init(&t.rate, 1000 + chance(3000000));
		t.flow.filters = &t.rate.filter;
	}
	/* sometimes no pipe is left of those that were on loan before */
	if (chance(2))
		lease_close();
	return true;
}

/* --- the far ends --- */

/*
 * Ends what is sent: as an end, or as a reset once all of it has arrived. Returns false to be
 * asked again.
 */
static bool end_source(void)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (t.story == SOURCE_RESETS) {
		if (sockopt_unacknowledged(t.far_from) > 0)
			return false;
		setsockopt(t.far_from, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	}
	close(t.far_from);
	t.far_from = -1;
	t.ended = true;
	return true;
}

/* Sends some; returns whether it did anything. */
static bool feed(void)
{
	size_t n = 1 + chance((unsigned)t.most);
	bool urgent = t.urgent && chance(4) == 0;
	ssize_t put;

	if (t.ended)
		return false;
	if (t.sent == t.length)
		return end_source();
	if (n > t.length - t.sent)
		n = t.length - t.sent;
	put = urgent ? send(t.far_from, t.text + t.sent, n, MSG_OOB | MSG_DONTWAIT) :
		       write(t.far_from, t.text + t.sent, n);
	if (put > 0)
		t.sent += (size_t)put;
	return put > 0;
}

/* Receives some, or the end; returns whether it did anything. */
static bool collect(void)
{
	size_t n = 1 + chance((unsigned)t.most);
	ssize_t got;

	if (t.finished || !has_reader())
		return false;
	if (t.received >= t.leaves_at) {
		close(t.far_to);
		t.far_to = -1;
		t.finished = true;
		return true;
	}
	if (n > t.length - t.received + 1)
		n = t.length - t.received + 1;
	got = read(t.far_to, t.arrived + t.received, n);
	if (got > 0)
		t.received += (size_t)got;
	t.finished = got == 0;
	return got >= 0;
}

/* --- driving --- */

static short events_of(unsigned waits)
{
	return (short)((waits & FD_IN ? POLLIN : 0) | (waits & FD_OUT ? POLLOUT : 0));
}

/*
 * What the flow says it waits for; and, with `far`, what its peers wait for. Returns how many are
 * ready.
 */
static int look(bool far, int timeout)
{
	const struct flow *f = &t.flow;
	struct pollfd fds[4];
	nfds_t n = 0;

	if (f->waits & FLOW_SRC)
		fds[n++] = (struct pollfd){.fd = t.src->rfd, .events = events_of(t.src->rwait)};
	if (f->waits & FLOW_DST)
		fds[n++] = (struct pollfd){.fd = t.dst->wfd, .events = events_of(t.dst->wwait)};
	if (far && !t.ended)
		fds[n++] = (struct pollfd){.fd = t.far_from, .events = POLLOUT};
	if (far && !t.finished && has_reader())
		fds[n++] = (struct pollfd){.fd = t.far_to, .events = POLLIN};
	return poll(fds, n, timeout);
}

/* The flow has stopped. Returns true when there is a reason for another step. */
static bool awake(void)
{
	const struct flow *f = &t.flow;

	if (f->resume_at) {
		present = f->resume_at;
		return true;
	}
	if (f->waits == FLOW_NEITHER)
		wrong("it waits for nothing");
	return look(false, 0) > 0;
}

/* Nobody has done anything: waits until somebody can. */
static void rest(void)
{
	int patience = t.flow.bulk ? 1 : STUCK_MS;

	if (look(true, patience) > 0)
		return;
	if (!t.flow.bulk)
		wrong("all wait for each other: %zu sent, %zu received, flow %d waits for %u",
		      t.sent, t.received, (int)t.flow.state, t.flow.waits);
}

static void check_state(void)
{
	const struct flow *f = &t.flow;

	if (f->state != FLOW_FAILED && f->held == 0 && (f->buffer || f->pipe))
		wrong("an idle flow has something on loan");
	if (f->moved - t.before + f->held > t.sent)
		wrong("%llu moved and %zu held of %zu sent",
		      (unsigned long long)(f->moved - t.before), (size_t)f->held, t.sent);
}

/* A reset flow does not end its destination: its owner does. */
static void end_failed(void)
{
	if (t.story == SOURCE_RESETS)
		t.dst->ops->shut(t.dst);
}

/* Everybody in turn, at random. */
static void drive(void)
{
	bool more = true, patient = false;

	while (!*t.why && !flow_over(&t.flow)) {
		bool did = false;

		if (chance(3))
			did |= feed();
		if (chance(3))
			did |= collect();
		if (more || patient || awake()) {
			more = flow_step(&t.flow);
			check_state();
			did |= more;
		}
		patient = false;
		if (did || flow_over(&t.flow) || t.flow.resume_at || *t.why)
			continue;
		if (feed() || collect())
			continue;
		rest();
		patient = t.flow.bulk;
	}
	end_failed();
	/* what is on its way still arrives */
	while (!*t.why && !t.finished && has_reader() &&
	       (t.flow.state == FLOW_DONE || t.story == SOURCE_RESETS))
		if (!collect() && look(true, STUCK_MS) == 0)
			wrong("no end arrives");
}

/* --- the end --- */

static void check_arrived(void)
{
	if (t.to == PLAIN || t.to == APPENDED) {
		lseek(t.far_to, 0, SEEK_SET);
		t.received = (size_t)read(t.far_to, t.arrived, t.length + 1);
	}
	if (t.to == VOID)
		return;
	if (t.story != DESTINATION_LEAVES && t.received != t.length) {
		wrong("%zu of %zu bytes have arrived", t.received, t.length);
		return;
	}
	for (size_t i = 0; i < t.received; i++)
		if (t.arrived[i] != t.text[i]) {
			wrong("byte %zu of %zu is another", i, t.length);
			return;
		}
}

static void check_end(void)
{
	const struct flow *f = &t.flow;
	bool resets = t.story == SOURCE_RESETS, leaves = t.story == DESTINATION_LEAVES;

	if (!resets && !leaves && (f->state != FLOW_DONE || f->error))
		wrong("state %d, error %d of %d", (int)f->state, f->error, (int)f->culprit);
	if (resets &&
	    (f->state != FLOW_FAILED || f->error != -ECONNRESET || f->culprit != FLOW_SRC))
		wrong("reset: state %d, error %d of %d", (int)f->state, f->error, (int)f->culprit);
	/* unless the kernel had room for all of it before */
	if (leaves && f->moved - t.before < t.length &&
	    (f->state != FLOW_FAILED || f->culprit != FLOW_DST ||
	     (f->error != -EPIPE && f->error != -ECONNRESET)))
		wrong("nobody there: state %d, error %d of %d", (int)f->state, f->error,
		      (int)f->culprit);
	if (!leaves && (f->moved - t.before != t.length || f->held))
		wrong("%llu of %zu moved, %zu held", (unsigned long long)(f->moved - t.before),
		      t.length, (size_t)f->held);
	if (f->buffer || f->pipe)
		wrong("something is still on loan");
}

static void end(void)
{
	int fds[] = {t.near_from, t.far_from, t.near_to, t.far_to};

	flow_close(&t.flow);
	for (size_t i = 0; i < COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(t.text);
	free(t.arrived);
}

static void one_trial(enum story story, enum kind from, enum kind to, unsigned seed)
{
	if (!begin(story, from, to, seed)) {
		wrong("cannot set it up: %s", strerror(errno));
		end();
		return;
	}
	drive();
	if (!*t.why)
		check_end();
	if (!*t.why)
		check_arrived();
	end();
}

static void check_pair(enum story story, enum kind from, enum kind to)
{
	static const char *const names[] = {"", ", the source resets", ", the destination leaves"};
	char first[220] = "";

	for (unsigned seed = 1; seed <= SEEDS && !*first; seed++) {
		one_trial(story, from, to, seed);
		if (*t.why)
			snprintf(first, sizeof first, ": seed %u: %s", seed, t.why);
	}
	point(!*first, "%s to %s%s, %d seeds%s", kind_names[from], kind_names[to], names[story],
	      SEEDS, first);
}

/* How many descriptors are open. */
static int count_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

int main(void)
{
	int before, after;

	signal(SIGPIPE, SIG_IGN);
	alarm(POINT_LIMIT_S);
	before = count_open();
	for (int from = TCP; from <= PLAIN; from++)
		for (int to = TCP; to <= VOID; to++)
			check_pair(ALL_IS_WELL, (enum kind)from, (enum kind)to);
	for (int to = TCP; to <= VOID; to++)
		check_pair(SOURCE_RESETS, TCP, (enum kind)to);
	for (int from = TCP; from <= PLAIN; from++)
		for (int to = TCP; to <= PIPE; to++)
			check_pair(DESTINATION_LEAVES, (enum kind)from, (enum kind)to);
	point(spliced > 1000 && refused > 50 && no_pipes > 5,
	      "the kernel did move bytes (%u times), refuse to (%u) and lack pipes (%u)", spliced,
	      refused, no_pipes);
	memset(&kernel, 0, sizeof kernel);
	lease_close();
	after = count_open();
	point(after == before, "no descriptor is left open (%d, %d)", before, after);
	return done();
}
