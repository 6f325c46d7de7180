/*
 * The promise of --forward about losses, played out: a side that is lost is never passed on as one that has
 * ended. Runs "tcptool listen -k --forward" ($TCPTOOL) and plays both the clients and the upstream.
 *
 *     losses         forces each order of events, then SOAK connections at random (2000); TAP
 *     losses -s      only those at random
 *
 * Orders: the forwarder is stopped by SIGSTOP while the events of a row happen, so that it meets them all at
 * once, or it is held by a side that reads nothing. Each row is played with the client as the lost side and
 * with the upstream, with small pieces (which are copied), with large ones (which the kernel carries) and
 * under a trace. What the lost side had sent has to arrive, and then a reset.
 *
 * At random: each end sends a number of bytes that begin with a number of its own, and ends politely, by
 * close(2), or with a reset at some moment. An end that sees an end-of-file must have received every byte
 * that the other end had written before its own end-of-file; where both are polite, there is no reset. The
 * plan of each end follows from SEED in the environment.
 */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "helpers/helper.h"
#include "unit/tap.h"

#define LIMIT_MS 10000   /* what comes so late on a slow machine still comes */
#define BLOCKED_MS 60    /* so long without progress is backpressure */
#define RUN_LIMIT_S 300
#define SMALL ((size_t)100)
#define LARGE ((size_t)60000) /* one segment on loopback, so that it comes as one piece */
#define WARM_UP ((size_t)512 * 1024) /* behind so much the kernel carries what is large */

/* --- the forwarder --- */

struct forwarder {
	pid_t pid;
	int listener; /* the upstream's */
	int port;     /* its own */
};

static char directory[] = "/tmp/losses.XXXXXX";

static void remove_directory(void)
{
	rmdir(directory);
}

static struct forwarder start(int backlog, bool traced)
{
	static int count;
	struct forwarder f = {.listener = bound_socket("127.0.0.1", 0)};
	char upstream[64], port_file[64], option[80], line[16] = "";
	const char *const argv[] = {"tcptool", "listen",    "-k", "-m", "1000", upstream,
				    option,    "127.0.0.1", "0",  traced ? "-o/dev/null" : NULL, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	FILE *in;

	if (listen(f.listener, backlog) < 0)
		die("listen: %s", strerror(errno));
	snprintf(upstream, sizeof upstream, "--forward=127.0.0.1:%d", bound_port(f.listener));
	snprintf(port_file, sizeof port_file, "%s/%d", directory, ++count);
	snprintf(option, sizeof option, "--port-file=%s", port_file);
	f.pid = fork();
	if (f.pid < 0)
		die("fork: %s", strerror(errno));
	if (f.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execv(getenv("TCPTOOL"), (char *const *)(size_t)argv);
		_exit(HELPER_FAILED);
	}
	close(null);
	if (!wait_file(port_file, now_ms() + LIMIT_MS))
		die("losses: the forwarder does not begin");
	in = fopen(port_file, "r");
	if (!in || !fgets(line, sizeof line, in))
		die("%s: %s", port_file, strerror(errno));
	fclose(in);
	unlink(port_file);
	f.port = atoi(line);
	return f;
}

static void stop(const struct forwarder *f)
{
	int status;

	kill(f->pid, SIGSTOP);
	if (waitpid(f->pid, &status, WUNTRACED) != f->pid || !WIFSTOPPED(status))
		die("losses: the forwarder has ended");
}

static void resume(const struct forwarder *f)
{
	kill(f->pid, SIGCONT);
}

static void end(struct forwarder *f)
{
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	close(f->listener);
}

/* --- one connection, and the events of a row --- */

enum pieces { COPIED, CARRIED, TRACED };
static const char *const piece_words[] = {"small pieces", "large pieces", "traced"};

static struct {
	const struct forwarder *f;
	size_t piece;
	bool client_lost;
	int lost, alive; /* our ends of the connections to the side that will be lost, and to the other */
	size_t lost_sent, lost_got, alive_sent, alive_got;
	size_t acknowledged; /* of what the lost side has sent: that much has to arrive */
	bool ended;          /* the other side has seen an end-of-file */
} row;

static char why[200]; /* what was wrong first */

static void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list args;

	if (*why)
		return;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
}

/* The byte at `at` of what `number` sends. */
static char byte_of(uint32_t number, size_t at)
{
	return (char)(number + at * 31 + (at >> 12));
}

static void prepare_socket(int sock)
{
	int one = 1;

	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	fcntl(sock, F_SETFL, O_NONBLOCK);
	fcntl(sock, F_SETFD, FD_CLOEXEC);
}

static int connect_to(int port)
{
	struct sockaddr_storage to;
	socklen_t length = address("127.0.0.1", port, &to);
	int sock = bound_socket("127.0.0.1", 0);

	if (connect(sock, (struct sockaddr *)&to, length) < 0)
		die("losses: connect: %s", strerror(errno));
	prepare_socket(sock);
	return sock;
}

static int accept_from(int listener)
{
	int sock;

	if (!wait_fd(listener, POLLIN, now_ms() + LIMIT_MS))
		die("losses: the forwarder does not connect to the upstream");
	sock = accept(listener, NULL, NULL);
	if (sock < 0)
		die("losses: accept: %s", strerror(errno));
	prepare_socket(sock);
	return sock;
}

/* Sends up to `n` bytes of a side's stream, until for `patience` nothing more fits. */
static void give(int sock, size_t *sent, size_t n, int patience)
{
	static char buf[LARGE];

	while (n > 0) {
		size_t most = n < LARGE ? n : LARGE;
		ssize_t put;

		if (!wait_fd(sock, POLLOUT, now_ms() + patience))
			return;
		for (size_t i = 0; i < most; i++)
			buf[i] = byte_of(0, *sent + i);
		put = send(sock, buf, most, MSG_NOSIGNAL);
		if (put < 0 && errno != EAGAIN)
			wrong("send: %s", strerror(errno));
		if (put < 0 && errno != EAGAIN)
			return;
		*sent += put > 0 ? (size_t)put : 0;
		n -= put > 0 ? (size_t)put : 0;
	}
}

/* Receives until `*got` is `wanted`. Returns 1; or what came instead: 0, -errno, or -EAGAIN for nothing. */
static ssize_t take(int sock, size_t *got, size_t wanted)
{
	static char buf[LARGE];

	while (*got < wanted) {
		ssize_t n;

		if (!wait_fd(sock, POLLIN, now_ms() + LIMIT_MS))
			return -EAGAIN;
		n = recv(sock, buf, wanted - *got < sizeof buf ? wanted - *got : sizeof buf, 0);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_of(0, *got + (size_t)i))
				wrong("byte %zu is another", *got + (size_t)i);
		*got += (size_t)n;
	}
	return 1;
}

static void must_take(int sock, size_t *got, size_t wanted)
{
	ssize_t r = take(sock, got, wanted);

	if (r <= 0)
		wrong("%s after %zu bytes of %zu", r == 0 ? "end-of-file" : strerror((int)-r), *got,
		      wanted);
}

static int unacknowledged(int sock)
{
	int queued = 0;

	if (ioctl(sock, SIOCOUTQ, &queued) < 0)
		die("SIOCOUTQ: %s", strerror(errno));
	return queued;
}

/* Waits until the kernel of the forwarder has all that the lost side has sent, its end included. */
static void wait_acknowledged(void)
{
	for (long long ends = now_ms() + LIMIT_MS; unacknowledged(row.lost) > 0; pause_ms(1))
		if (now_ms() >= ends) {
			wrong("not acknowledged");
			return;
		}
}

static void reset(int sock)
{
	struct linger at_once = {1, 0};

	setsockopt(sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(sock);
}

/* One event of a row. */
static void happen(char event)
{
	switch (event) {
	case 'S': /* the forwarder is stopped ... */
		stop(row.f);
		break;
	case 'G': /* ... and goes on */
		resume(row.f);
		break;
	case 'w': /* the other side writes */
		give(row.alive, &row.alive_sent, row.piece, LIMIT_MS);
		break;
	case 'g': /* the lost side gets all of that */
		must_take(row.lost, &row.lost_got, row.alive_sent);
		break;
	case 'l': /* the lost side says its last words */
		give(row.lost, &row.lost_sent, row.piece, LIMIT_MS);
		wait_acknowledged();
		break;
	case 'f': /* it ends what it sends */
		shutdown(row.lost, SHUT_WR);
		wait_acknowledged();
		break;
	case 'e': /* the other side sees that */
		must_take(row.alive, &row.alive_got, row.lost_sent);
		row.ended = take(row.alive, &row.alive_got, SIZE_MAX) == 0;
		if (!row.ended)
			wrong("the end-of-file is not passed on");
		break;
	case 'b': /* the lost side sends until nothing more fits */
		give(row.lost, &row.lost_sent, SIZE_MAX, BLOCKED_MS);
		break;
	case 'k': /* the other side does */
		give(row.alive, &row.alive_sent, SIZE_MAX, BLOCKED_MS);
		break;
	default: /* 'r': the lost side resets its connection */
		row.acknowledged = row.lost_sent - (size_t)unacknowledged(row.lost);
		reset(row.lost);
		break;
	}
}

/* What the other side receives behind all that: the rest of what was sent, and then a reset. */
static void judge(bool may_end, bool has_to_end)
{
	struct pollfd p = {.fd = row.alive};
	bool failed;
	ssize_t r = row.ended ? 0 : take(row.alive, &row.alive_got, SIZE_MAX);

	if (row.alive_got < row.acknowledged)
		wrong("%zu bytes of %zu arrive", row.alive_got, row.acknowledged);
	if (r == 0 && !may_end)
		wrong("a clean end after %zu bytes", row.alive_got);
	if (r == -EAGAIN)
		wrong("no end after %zu bytes", row.alive_got);
	if (r < 0 && has_to_end)
		wrong("a reset hides that all had come");
	/* behind an end-of-file the reset shows as an error only */
	failed = r != 0 || (wait_fd(p.fd, 0, now_ms() + LIMIT_MS) && poll(&p, 1, 0) == 1 &&
			    (p.revents & POLLERR));
	if (!failed)
		wrong("no reset behind the end-of-file");
}

/* --- orders of events on a connection that is there --- */

static const struct order {
	const char *name, *events;
	bool may_end;    /* the end-of-file of the lost side came before its reset */
	bool has_to_end; /* ... and is passed on, where bytes are copied */
} orders[] = {
	{"a reset out of silence", "r", false, false},
	{"last words, then a reset", "SlrG", false, false},
	{"a reset meets bytes on their way to the lost side", "SwlrG", false, false},
	{"a reset without last words meets bytes on their way", "SwrG", false, false},
	{"bytes have reached the lost side, then it is reset", "wgSlrG", false, false},
	{"a reset behind an end-of-file that was passed on", "lfer", true, true},
	{"the same, and it meets bytes on their way", "lfeSwrG", true, true},
	{"an end-of-file and a reset come together", "SlfrG", true, true},
	{"the same, and they meet bytes on their way", "SwlfrG", true, true},
	{"bytes are held for the other side", "br", false, false},
	{"the same, and the reset meets bytes on their way", "bSwrG", false, false},
	{"bytes are held for the lost side", "kr", false, false},
	{"the same, and it has said last words", "kSlrG", false, false},
	{"bytes are held both ways", "bkr", false, false},
	{"bytes are held both ways, all meets the reset at once", "bkSrG", false, false},
};

/* Pieces both ways: the forwarder has joined the two, and carries what is large. */
static void warm_up(size_t most)
{
	for (size_t n = 0; n < most; n += row.piece) {
		give(row.lost, &row.lost_sent, row.piece, LIMIT_MS);
		must_take(row.alive, &row.alive_got, row.lost_sent);
		give(row.alive, &row.alive_sent, row.piece, LIMIT_MS);
		must_take(row.lost, &row.lost_got, row.alive_sent);
	}
}

static void begin_row(const struct forwarder *f, bool client_lost, size_t piece)
{
	memset(&row, 0, sizeof row);
	row.f = f;
	row.piece = piece;
	row.client_lost = client_lost;
	*why = '\0';
}

static void end_row(const char *name, const char *pieces)
{
	close(row.alive);
	point(!*why, "%s is lost: %s, %s%s%s", row.client_lost ? "a client" : "the upstream", name, pieces,
	      *why ? ": " : "", why);
}

static void play_order(const struct forwarder *f, const struct order *o, bool client_lost,
		       enum pieces pieces)
{
	int client, upstream;

	begin_row(f, client_lost, pieces == COPIED ? SMALL : LARGE);
	client = connect_to(f->port);
	upstream = accept_from(f->listener);
	row.lost = client_lost ? client : upstream;
	row.alive = client_lost ? upstream : client;
	warm_up(pieces == CARRIED ? WARM_UP : 1);
	for (const char *event = o->events; *event; event++)
		happen(*event);
	judge(o->may_end, o->has_to_end && pieces != CARRIED);
	end_row(o->name, piece_words[pieces]);
}

/* --- orders of events while the upstream is dialed --- */

/* Is an unanswered SYN on its way to the port? */
static bool is_dialed(int port)
{
	char line[256];
	unsigned to, state;
	bool found = false;
	FILE *table = fopen("/proc/net/tcp", "r");

	while (table && fgets(line, sizeof line, table))
		if (sscanf(line, " %*u: %*x:%*x %*x:%x %x", &to, &state) == 2 && to == (unsigned)port)
			found |= state == 2;
	if (table)
		fclose(table);
	return found;
}

/* Fills the backlog, so that the next SYN is answered only when it comes again. Returns how many are in it. */
static int fill_backlog(int port, int *waiting, int most)
{
	struct sockaddr_storage to;
	socklen_t length = address("127.0.0.1", port, &to);

	for (int n = 0; n < most; n++) {
		waiting[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(waiting[n], (struct sockaddr *)&to, length) < 0 && errno != EINPROGRESS)
			die("losses: connect: %s", strerror(errno));
		if (!wait_fd(waiting[n], POLLOUT, now_ms() + 150)) {
			close(waiting[n]);
			return n;
		}
	}
	die("losses: this kernel always answers");
}

static void empty_backlog(int listener, int *waiting, int n)
{
	for (int i = 0; i < n; i++) {
		close(accept_from(listener));
		close(waiting[i]);
	}
}

/*
 * The forwarder dials the upstream, and is stopped. `before` happens, the upstream is reached behind its
 * back, and `then` happens. A client that is lost so early need not be heard, but has not ended.
 */
static void play_dialing(const char *name, bool client_lost, const char *before, const char *then)
{
	int waiting[16], n, client, port;
	struct forwarder f = start(0, false);

	begin_row(&f, client_lost, SMALL);
	port = bound_port(f.listener);
	n = fill_backlog(port, waiting, 16);
	client = connect_to(f.port);
	for (long long ends = now_ms() + LIMIT_MS; !is_dialed(port) && now_ms() < ends;)
		pause_ms(1);
	stop(&f);
	row.lost = row.alive = client;
	for (const char *event = before; *event; event++)
		happen(*event);
	empty_backlog(f.listener, waiting, n);
	*(client_lost ? &row.alive : &row.lost) = accept_from(f.listener);
	for (const char *event = then; *event; event++)
		happen(*event);
	resume(&f);
	if (client_lost)
		row.acknowledged = 0;
	judge(false, false);
	end_row(name, "while the upstream is dialed");
	end(&f);
}

static void play_orders(void)
{
	struct forwarder plain = start(SOMAXCONN, false), traced = start(SOMAXCONN, true);

	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
		for (int client_lost = 0; client_lost < 2; client_lost++)
			for (enum pieces p = COPIED; p <= TRACED; p++)
				play_order(p == TRACED ? &traced : &plain, &orders[i], client_lost, p);
	end(&plain);
	end(&traced);
	play_dialing("last words, then a reset", true, "lr", "");
	play_dialing("last words, then a reset, and the upstream writes", true, "lr", "w");
	play_dialing("it is reached, then last words, then a reset", true, "", "lr");
	play_dialing("it is reached, then last words, then a reset", false, "", "lr");
	play_dialing("the same, and it meets bytes on their way", false, "w", "lr");
}

/* --- at random --- */

#define WIDTH 64 /* connections at a time */

enum manner { POLITE, CLOSES, RESETS, ENDS_THEN_RESETS };
enum fate { OPEN, WHOLE, LOST, LEFT }; /* it has seen the end-of-file; a reset; it went itself */

/* What is known of an end for good, by its number. */
static struct record {
	enum manner manner;
	enum fate fate;
	bool shut;        /* it has ended what it sends, politely */
	size_t sent, received;
	long partner;     /* the number that it was told; -1: none */
} *records;

struct side {
	int sock; /* -1: free */
	uint32_t number;
	struct record *record;
	size_t length;                    /* what it is to send */
	size_t doom_sent, doom_received;  /* it goes behind so much */
	long long reads_from;             /* it reads nothing before that time */
	long long goes_at;                /* it goes then, though less was received */
	unsigned char head[4];
	uint32_t state;                   /* of its random numbers */
};

static struct side clients[WIDTH], upstreams[WIDTH];
static uint32_t seed;
static long gone, cut_off, untold;

static uint32_t chance(struct side *s, uint32_t n)
{
	s->state ^= s->state << 13;
	s->state ^= s->state >> 17;
	s->state ^= s->state << 5;
	return s->state % n;
}

static size_t some_length(struct side *s)
{
	uint32_t kind = chance(s, 100);

	return 4 + chance(s, kind < 60 ? 2000 : kind < 95 ? 64 * 1024 : 600 * 1024);
}

/* What the end of this number is to do. */
static void plan(struct side *s, int sock, uint32_t number)
{
	*s = (struct side){.sock = sock, .number = number, .record = &records[number]};
	s->state = (seed + number) * 2654435761U | 1;
	for (int i = 0; i < 8; i++)
		chance(s, 1);
	s->length = some_length(s);
	s->record->manner = chance(s, 2) ? POLITE : (enum manner)(CLOSES + chance(s, 3));
	s->record->partner = -1;
	s->doom_sent = s->record->manner == RESETS ? chance(s, (uint32_t)s->length + 1) : s->length;
	s->doom_received = chance(s, 2) ? 0 : chance(s, 3) ? chance(s, 2000) : some_length(s);
	if (chance(s, 4) == 0)
		s->reads_from = now_ms() + chance(s, 8);
	s->goes_at = now_ms() + 20 + chance(s, 30);
	prepare_socket(sock);
}

static void leave(struct side *s, enum fate fate)
{
	gone++;
	s->record->fate = fate;
	/* close(2) sends a FIN, unless bytes lie unread */
	s->record->shut |= fate == LEFT && s->record->manner == CLOSES;
	if (fate == LEFT && s->record->manner != CLOSES)
		reset(s->sock);
	else
		close(s->sock);
	s->sock = -1;
}

static bool is_doomed(const struct side *s)
{
	const struct record *r = s->record;

	return r->manner != POLITE && r->sent >= s->doom_sent &&
	       (r->received >= s->doom_received || now_ms() >= s->goes_at) &&
	       (r->shut || r->manner != ENDS_THEN_RESETS);
}

/* Sends what fits. Returns false if the connection is no more. */
static bool say(struct side *s)
{
	struct record *r = s->record;
	char buf[16 * 1024];

	while (r->sent < s->doom_sent) {
		size_t n = s->doom_sent - r->sent < sizeof buf ? s->doom_sent - r->sent : sizeof buf;
		ssize_t put;

		for (size_t i = 0; i < n; i++)
			buf[i] = r->sent + i < 4 ? (char)(s->number >> (8 * (r->sent + i))) :
						   byte_of(s->number, r->sent + i);
		put = send(s->sock, buf, n, MSG_NOSIGNAL);
		if (put < 0)
			return errno == EAGAIN;
		r->sent += (size_t)put;
	}
	if (r->sent == s->length && !r->shut && (r->manner == POLITE || r->manner == ENDS_THEN_RESETS)) {
		r->shut = shutdown(s->sock, SHUT_WR) == 0;
		return r->shut;
	}
	return true;
}

static void hear(struct side *s, const char *bytes, size_t n)
{
	struct record *r = s->record;

	for (size_t i = 0; i < n; i++, r->received++) {
		if (r->received < 4)
			s->head[r->received] = (unsigned char)bytes[i];
		if (r->received == 3)
			r->partner = (long)(s->head[0] | s->head[1] << 8 | s->head[2] << 16 |
					    (uint32_t)s->head[3] << 24);
		if (r->received > 3 && bytes[i] != byte_of((uint32_t)r->partner, r->received))
			die("losses: SEED=%u: end %u: byte %zu is another", seed, s->number, r->received);
	}
}

/* An end-of-file has come. Was that the truth? */
static void check_end(const struct side *s)
{
	const struct record *r = s->record, *from = r->partner < 0 ? NULL : &records[r->partner];

	if (from && from->shut && from->sent == r->received)
		return;
	cut_off++;
	printf("# SEED=%u: %s %u: a clean end after %zu bytes of a side that %s\n", seed,
	       s >= clients && s < clients + WIDTH ? "client" : "upstream", s->number, r->received,
	       !from	     ? "never said its number" :
	       !from->shut ? "was reset" :
			     "had sent more");
}

static void step(struct side *s)
{
	char buf[64 * 1024];
	struct record *r = s->record;
	ssize_t got = 1;
	bool ended;

	if (!say(s)) {
		leave(s, LOST);
		return;
	}
	/* behind its end-of-file nothing more comes */
	ended = r->fate == WHOLE;
	while (!ended && !is_doomed(s) && now_ms() >= s->reads_from &&
	       (got = recv(s->sock, buf, sizeof buf, 0)) > 0)
		hear(s, buf, (size_t)got);
	if (is_doomed(s)) {
		leave(s, LEFT);
		return;
	}
	if (got < 0 && errno != EAGAIN) {
		leave(s, LOST);
		return;
	}
	if (got == 0) {
		check_end(s);
		r->fate = WHOLE;
		ended = true;
		/* what it waited for will not come */
		s->doom_received = 0;
	}
	if (ended && (r->shut || (r->sent == s->doom_sent && r->manner == RESETS)))
		leave(s, r->manner == RESETS ? LEFT : WHOLE);
}

static void begin_client(struct side *s, const struct forwarder *f, uint32_t number)
{
	char host[32];
	int one = 1, small = 8192;
	struct sockaddr_storage from, to;
	socklen_t from_length, to_length = address("127.0.0.1", f->port, &to);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* many addresses, or ports in TIME_WAIT would run out; chosen together with the destination */
	snprintf(host, sizeof host, "127.0.1.%u", 1 + number % 250);
	from_length = address(host, 0, &from);
	setsockopt(sock, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	if (number % 5 == 0)
		setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	if (bind(sock, (struct sockaddr *)&from, from_length) < 0 ||
	    connect(sock, (struct sockaddr *)&to, to_length) < 0)
		die("losses: client %u: %s", number, strerror(errno));
	plan(s, sock, number);
}

/* Takes in those whom the forwarder brings, as many as there is room for. */
static void accept_all(const struct forwarder *f, uint32_t *next, uint32_t last)
{
	for (int i = 0; i < WIDTH; i++) {
		int sock;

		if (upstreams[i].sock >= 0)
			continue;
		sock = accept(f->listener, NULL, NULL);
		if (sock < 0)
			return;
		if (*next >= last)
			die("losses: more connections than there are clients");
		plan(&upstreams[i], sock, (*next)++);
	}
}

static int poll_sides(struct pollfd *polled, struct side *sides)
{
	int open = 0;

	for (int i = 0; i < WIDTH; i++) {
		const struct side *s = &sides[i];
		bool reads = s->sock >= 0 && s->record->fate == OPEN && now_ms() >= s->reads_from;
		bool writes = s->sock >= 0 && s->record->sent < s->doom_sent;

		polled[i] = (struct pollfd){.fd = s->sock};
		polled[i].events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
		open += s->sock >= 0;
	}
	return open;
}

/* Where both ends were polite neither may have seen a reset. */
static void check_polite(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct record *r = &records[i], *other = r->partner < 0 ? NULL : &records[r->partner];

		if (!other || r->manner != POLITE || other->manner != POLITE)
			continue;
		if (r->fate == WHOLE && other->fate == WHOLE)
			continue;
		untold++;
		printf("# SEED=%u: end %u or %ld saw a reset, though both were polite\n", seed, i,
		       r->partner);
	}
}

static void tell(uint32_t n)
{
	long fates[4] = {0};

	for (uint32_t i = 0; i < 2 * n; i++)
		fates[records[i].fate]++;
	check_polite(2 * n);
	point(cut_off == 0 && untold == 0,
	      "%u connections, SEED=%u: %ld ends saw the other's end-of-file, %ld a reset, %ld went "
	      "themselves; %ld were cut off with a clean end, %ld reset for no reason",
	      n, seed, fates[WHOLE], fates[LOST], fates[LEFT], cut_off, untold);
}

static void tell_open(const char *what, const struct side *sides)
{
	static const char *const manners[] = {"polite", "closes", "resets", "ends and resets"};

	for (int i = 0; i < WIDTH; i++) {
		const struct record *r = sides[i].record;

		if (sides[i].sock >= 0)
			printf("# SEED=%u: %s %u has come to no end: it %s, with %ld; sent %zu of %zu%s, "
			       "received %zu%s\n",
			       seed, what, sides[i].number, manners[r->manner], r->partner, r->sent,
			       sides[i].doom_sent, r->shut ? " and an end-of-file" : "", r->received,
			       r->fate == WHOLE ? " and an end-of-file" : "");
	}
}

static void soak(uint32_t n)
{
	struct pollfd polled[2 * WIDTH + 1];
	struct forwarder f = start(SOMAXCONN, false);
	uint32_t begun = 0, next = n;
	long seen = 0;
	int open;

	records = calloc(2 * (size_t)n, sizeof *records);
	if (!records)
		die("losses: no memory");
	fcntl(f.listener, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < WIDTH; i++)
		clients[i].sock = upstreams[i].sock = -1;
	for (long long ends = now_ms() + LIMIT_MS;;) {
		for (int i = 0; i < WIDTH && begun < n; i++)
			if (clients[i].sock < 0)
				begin_client(&clients[i], &f, begun++);
		open = poll_sides(polled, clients);
		open += poll_sides(polled + WIDTH, upstreams);
		polled[2 * WIDTH] = (struct pollfd){.fd = f.listener, .events = POLLIN};
		if (begun == n && open == 0 && poll(polled + 2 * WIDTH, 1, 200) == 0)
			break;
		if (gone > seen)
			ends = now_ms() + LIMIT_MS;
		seen = gone;
		if (now_ms() >= ends) {
			tell_open("client", clients);
			tell_open("upstream", upstreams);
			untold += open;
			break;
		}
		poll(polled, 2 * WIDTH + 1, 1);
		for (int i = 0; i < WIDTH; i++) {
			if (clients[i].sock >= 0)
				step(&clients[i]);
			if (upstreams[i].sock >= 0)
				step(&upstreams[i]);
		}
		accept_all(&f, &next, 2 * n);
	}
	tell(n);
	end(&f);
	free(records);
}

int main(int argc, char **argv)
{
	const char *count = getenv("SOAK"), *given = getenv("SEED");
	bool only_soak = argc == 2 && strcmp(argv[1], "-s") == 0;
	uint32_t n = count && *count ? (uint32_t)number(count) : 2000;

	seed = given && *given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)(now_ms() ^ getpid() << 16);
	if (argc > 2 || (argc == 2 && !only_soak) || !getenv("TCPTOOL") || !mkdtemp(directory))
		die("usage: TCPTOOL=... [SOAK=N] [SEED=N] losses [-s]");
	atexit(remove_directory);
	signal(SIGPIPE, SIG_IGN);
	alarm(RUN_LIMIT_S + n / 200);
	if (!only_soak)
		play_orders();
	soak(n);
	return done();
}
