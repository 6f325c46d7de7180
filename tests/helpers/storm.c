/*
 * Connects again and again, to what echoes or to what refuses:
 *
 *     storm [-c WIDTH] [-a SHARE] [-h HOSTS] [-b BYTES] [-t SEC] [-r] PORT N
 *
 *     -c WIDTH   so many connections at a time (16)
 *     -a SHARE   one in SHARE is aborted with a reset, at a random moment (0: none)
 *     -h HOSTS   from so many addresses, 127.0.1.1 and on (from 127.0.0.1)
 *     -b BYTES   at most so many bytes are sent on each (600)
 *     -t SEC     limit for the whole run (60)
 *     -r         each has to be refused: closed or reset without a byte
 *
 * On each that is not aborted it sends a random number of bytes and an end-of-file, and has to get just
 * these bytes and an end-of-file back. Prints "N connections, A aborted" and exits 0 if all did.
 */
#include <netinet/tcp.h>
#include <signal.h>

#include "helper.h"

#define WIDTH_MOST 1000
#define HOSTS_MOST 20000

static struct {
	long width, share, hosts, bytes;
	bool refused;
} opt = {.width = 16, .bytes = 600};

struct connection {
	int sock; /* -1: free */
	long number;
	size_t length, sent, received;
	bool shut;
	bool doomed;      /* to be aborted, once so many bytes have gone and come */
	size_t doom_sent, doom_received;
};

static struct connection table[WIDTH_MOST];
static struct pollfd polled[WIDTH_MOST];
static long begun, over, aborted;
static struct sockaddr_storage to;
static socklen_t to_length;

static char byte_of(const struct connection *c, size_t at)
{
	return (char)((unsigned long)c->number * 31 + at * 7);
}

static void finish(struct connection *c)
{
	close(c->sock);
	c->sock = -1;
	over++;
}

static void abort_connection(struct connection *c)
{
	struct linger at_once = {1, 0};

	setsockopt(c->sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	aborted++;
	finish(c);
}

/* Is its moment to be aborted here? */
static bool is_doom(const struct connection *c)
{
	return c->doomed && c->sent >= c->doom_sent && c->received >= c->doom_received;
}

/* What it is to do. */
static void plan(struct connection *c)
{
	*c = (struct connection){.sock = -1, .number = begun};
	c->length = 1 + (size_t)(rand() % opt.bytes);
	c->doomed = opt.share && begun % opt.share == 0;
	c->doom_sent = (size_t)rand() % (c->length + 1);
	/* before the answer, in the middle of it, or with nothing sent at all */
	c->doom_received = rand() % 2 ? 0 : (size_t)rand() % (c->doom_sent + 1);
	if (rand() % 4 == 0)
		c->doom_sent = c->doom_received = 0;
}

static void begin(struct connection *c)
{
	char host[32];
	int one = 1, which = opt.hosts ? (int)(begun % opt.hosts) : -1;
	struct sockaddr_storage from;
	socklen_t length;

	plan(c);
	begun++;
	snprintf(host, sizeof host, "127.0.%d.%d", which < 0 ? 0 : 1 + which / 250,
		 which < 0 ? 1 : 1 + which % 250);
	length = address(host, 0, &from);
	c->sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->sock < 0)
		die("socket: %s", strerror(errno));
	/* the port is chosen together with the destination: there are enough of them */
	setsockopt(c->sock, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	if (bind(c->sock, (struct sockaddr *)&from, length) < 0)
		die("bind %s: %s", host, strerror(errno));
	if (connect(c->sock, (struct sockaddr *)&to, to_length) < 0 && errno != EINPROGRESS)
		die("storm: connection %ld: %s", c->number, strerror(errno));
	/* this one is aborted while it waits to be accepted */
	if (is_doom(c))
		abort_connection(c);
}

/* Sends what fits, up to the end or to the moment of doom. Returns false on an error. */
static bool give(struct connection *c)
{
	size_t until = c->doomed ? c->doom_sent : c->length;
	char buf[4096];

	while (c->sent < until) {
		size_t n = 0;
		ssize_t put;

		while (n < sizeof buf && c->sent + n < until) {
			buf[n] = byte_of(c, c->sent + n);
			n++;
		}
		put = send(c->sock, buf, n, MSG_NOSIGNAL);
		if (put < 0)
			return errno == EAGAIN;
		c->sent += (size_t)put;
	}
	if (c->sent == c->length && !c->shut)
		c->shut = shutdown(c->sock, SHUT_WR) == 0 || errno == ENOTCONN;
	return true;
}

/* Receives what there is. Returns what recv said last: 0 at the end, -1 with errno. */
static ssize_t take(struct connection *c)
{
	char buf[4096];
	ssize_t got;

	while (!is_doom(c) && (got = recv(c->sock, buf, sizeof buf, 0)) != -1) {
		if (got == 0)
			return 0;
		if (opt.refused)
			die("storm: connection %ld: not refused, bytes came", c->number);
		for (ssize_t i = 0; i < got; i++)
			if (buf[i] != byte_of(c, c->received++))
				die("storm: connection %ld: byte %zu is wrong", c->number, c->received - 1);
	}
	return -1;
}

/* A connection that has to be refused: no byte, then any end. */
static void step_refused(struct connection *c)
{
	ssize_t got = take(c);

	if (got == 0 || errno != EAGAIN)
		finish(c);
}

static void step(struct connection *c)
{
	ssize_t got;

	if (opt.refused) {
		step_refused(c);
		return;
	}
	if (!give(c))
		die("storm: connection %ld: send: %s", c->number, strerror(errno));
	got = take(c);
	if (is_doom(c))
		abort_connection(c);
	else if (got == 0 && c->received == c->length)
		finish(c);
	else if (got == 0)
		die("storm: connection %ld: %zu bytes of %zu came back", c->number, c->received, c->length);
	else if (errno != EAGAIN)
		die("storm: connection %ld: after %zu bytes of %zu: %s", c->number, c->received, c->length,
		    strerror(errno));
}

static short wanted(const struct connection *c)
{
	size_t until = c->doomed ? c->doom_sent : c->length;

	return (short)(POLLIN | (!opt.refused && (c->sent < until || (until == c->length && !c->shut)) ?
					 POLLOUT :
					 0));
}

static void run(long n, long long ends)
{
	for (long i = 0; i < opt.width; i++)
		table[i].sock = -1;
	while (over < n) {
		for (long i = 0; i < opt.width; i++) {
			while (table[i].sock < 0 && begun < n)
				begin(&table[i]);
			polled[i] = (struct pollfd){.fd = table[i].sock};
			if (table[i].sock >= 0)
				polled[i].events = wanted(&table[i]);
		}
		if (over == n)
			break;
		if (now_ms() >= ends)
			die("storm: %ld of %ld connections were over in time", over, n);
		poll(polled, (nfds_t)opt.width, 100);
		for (long i = 0; i < opt.width; i++)
			if (polled[i].fd >= 0 && polled[i].revents)
				step(&table[i]);
	}
}

int main(int argc, char **argv)
{
	long seconds = 60, n;
	int letter;

	while ((letter = getopt(argc, argv, "+c:a:h:b:t:r")) != -1) {
		if (letter == 'c')
			opt.width = number(optarg);
		else if (letter == 'a')
			opt.share = number(optarg);
		else if (letter == 'h')
			opt.hosts = number(optarg);
		else if (letter == 'b')
			opt.bytes = number(optarg);
		else if (letter == 't')
			seconds = number(optarg);
		else if (letter == 'r')
			opt.refused = true;
		else
			return HELPER_FAILED;
	}
	if (optind != argc - 2 || opt.width < 1 || opt.width > WIDTH_MOST || opt.hosts < 0 ||
	    opt.hosts > HOSTS_MOST || opt.bytes < 1)
		die("usage: storm [-c WIDTH] [-a SHARE] [-h HOSTS] [-b BYTES] [-t SEC] [-r] PORT N");
	to_length = address("127.0.0.1", (int)number(argv[optind]), &to);
	n = number(argv[optind + 1]);
	signal(SIGPIPE, SIG_IGN);
	srand(20);
	run(n, now_ms() + seconds * 1000LL);
	printf("%ld connections, %ld aborted\n", over, aborted);
	return 0;
}
