/*
 * A TCP peer that does what it is told, step by step, for the tests to talk to.
 *
 *     peer [OPTION]... listen PORTFILE STEP...    accept on a free port, which PORTFILE then names
 *     peer [OPTION]... connect PORT STEP...       connect to PORT
 *     peer free                                   print a port nobody uses, for other programs
 *
 *     -a ADDR   listen on or connect to ADDR (127.0.0.1)      -s ADDR   connect from ADDR
 *     -p PORT   listen on PORT                                -n N      do the steps N times over
 *     -r BYTES  receive buffer                                -w BYTES  send buffer
 *     -t SEC    limit for the whole run (30)                  -l FILE   bind, but listen only once
 *                                                                       FILE is there
 *
 * Steps; TEXT takes C escapes:
 *
 *     send:TEXT      in one send              expect:TEXT   exactly these bytes come next
 *     dribble:MS:TEXT  a byte per segment,    rest:TEXT     these bytes and then end-of-file come
 *                    MS apart                 eof           end-of-file comes next
 *     file:PATH      a file's bytes           lost          a reset comes next
 *     urgent:C       a byte of urgent data    quiet:MS      nothing comes for MS, not even an end
 *     flood          until that fails         once:N        one recv of at most N bytes, shown
 *     stuff          until that blocks        gulp:N        N bytes, dropped
 *     acked          wait until all sent has  sink[:PATH]   all until end-of-file, counted or kept
 *                    been acknowledged        slow:MS:N     N bytes, one every MS, shown
 *     shut           end our half (FIN)       close         both; a reset if bytes lie unread
 *     reset          end with a reset         linger2:SEC   FIN_WAIT2 lasts only so long
 *     pause:MS       do nothing               hold          do nothing until killed
 *     wait:FILE      until FILE exists        touch:FILE    create FILE
 *
 * What it sees goes to stdout, one line an event, escaped. Exits 0 if every step went as told.
 */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "helper.h"

#define BLOCKED_MS 300

static long long ends; /* the limit of the whole run */
static int sock = -1;
static const char *step_word; /* for messages */

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "peer: step '%s': ", step_word);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* One recv. Returns the count, 0 at the end, or -errno. */
static ssize_t take(char *buf, size_t n)
{
	ssize_t got;

	if (!wait_fd(sock, POLLIN, ends))
		fail("nothing came");
	got = recv(sock, buf, n, 0);
	return got < 0 ? -errno : got;
}

static void give(const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t put;

		if (!wait_fd(sock, POLLOUT, ends))
			fail("cannot send within the limit");
		put = send(sock, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (put < 0 && errno == EAGAIN)
			continue;
		if (put < 0)
			fail("%s", strerror(errno));
		bytes += put;
		n -= (size_t)put;
	}
}

/* --- sending --- */

static void do_send(char *text)
{
	give(text, unescape(text));
}

static void do_dribble(char *arg)
{
	char *text = strchr(arg, ':');
	size_t n;

	if (!text)
		fail("MS:TEXT is missing");
	*text++ = '\0';
	n = unescape(text);
	for (size_t i = 0; i < n; i++) {
		give(text + i, 1);
		pause_ms(number(arg));
	}
}

static void do_file(char *path)
{
	char buf[65536];
	FILE *f = fopen(path, "r");
	size_t got;

	if (!f)
		fail("%s", strerror(errno));
	while ((got = fread(buf, 1, sizeof buf, f)) > 0)
		give(buf, got);
	fclose(f);
}

static void do_urgent(char *text)
{
	if (send(sock, text, 1, MSG_OOB | MSG_NOSIGNAL) != 1)
		fail("%s", strerror(errno));
}

static void do_flood(char *unused)
{
	static char buf[65536];

	(void)unused;
	while (wait_fd(sock, POLLOUT, ends))
		if (send(sock, buf, sizeof buf, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
			return;
	fail("it never ended");
}

static void do_stuff(char *unused)
{
	static char buf[65536];
	long total = 0;
	int queued = 0;

	(void)unused;
	while (wait_fd(sock, POLLOUT, now_ms() + BLOCKED_MS)) {
		ssize_t put = send(sock, buf, sizeof buf, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (put < 0 && errno != EAGAIN)
			fail("%s", strerror(errno));
		if (put > 0)
			total += put;
	}
	if (ioctl(sock, SIOCOUTQ, &queued) < 0)
		fail("%s", strerror(errno));
	printf("stuffed %ld bytes, %ld acknowledged\n", total, total - queued);
}

static void do_acked(char *unused)
{
	int queued = 1;

	(void)unused;
	while (ioctl(sock, SIOCOUTQ, &queued) == 0 && queued > 0) {
		if (now_ms() >= ends)
			fail("%d bytes were not", queued);
		pause_ms(2);
	}
}

/* --- receiving --- */

/* Receives `n` bytes into `buf` (NULL: dropped). */
static void take_all(char *buf, size_t n)
{
	char sink[65536];

	for (size_t done = 0; done < n;) {
		size_t want = buf || n - done < sizeof sink ? n - done : sizeof sink;
		ssize_t got = take(buf ? buf + done : sink, want);

		if (got <= 0)
			fail("%s after %zu bytes", got ? strerror((int)-got) : "end-of-file", done);
		done += (size_t)got;
	}
}

static void do_expect(char *text)
{
	size_t n = unescape(text);
	char *buf = malloc(n + 1);

	if (!buf)
		fail("no memory");
	take_all(buf, n);
	if (memcmp(buf, text, n) != 0) {
		fputs("got ", stderr);
		show(stderr, buf, n);
		fputc('\n', stderr);
		fail("other bytes came");
	}
	free(buf);
}

static void do_eof(char *unused)
{
	char buf[256];
	ssize_t got = take(buf, sizeof buf);

	(void)unused;
	if (got == 0)
		return;
	if (got > 0) {
		show(stderr, buf, (size_t)got);
		fputc('\n', stderr);
	}
	fail("%s", got > 0 ? "bytes came" : strerror((int)-got));
}

static void do_rest(char *text)
{
	do_expect(text);
	do_eof(NULL);
}

static void do_lost(char *unused)
{
	char buf[256];
	ssize_t got = take(buf, sizeof buf);

	(void)unused;
	if (got != -ECONNRESET)
		fail("%s", got > 0 ? "bytes came" : got == 0 ? "end-of-file came" : strerror((int)-got));
}

static void do_quiet(char *ms)
{
	char buf[256];
	ssize_t got;

	if (!wait_fd(sock, POLLIN, now_ms() + number(ms)))
		return;
	got = recv(sock, buf, sizeof buf, 0);
	fail("%s", got > 0 ? "bytes came" : got == 0 ? "end-of-file came" : strerror(errno));
}

static void do_once(char *n)
{
	char buf[65536];
	ssize_t got = take(buf, (size_t)number(n));

	if (got < 0)
		fail("%s", strerror((int)-got));
	fputs("got ", stdout);
	show(stdout, buf, (size_t)got);
	putchar('\n');
}

static void do_gulp(char *n)
{
	take_all(NULL, (size_t)number(n));
}

static void do_sink(char *path)
{
	char buf[65536];
	FILE *f = path ? fopen(path, "w") : NULL;
	long total = 0;
	ssize_t got;

	if (path && !f)
		fail("%s", strerror(errno));
	while ((got = take(buf, sizeof buf)) > 0) {
		total += got;
		if (f && fwrite(buf, 1, (size_t)got, f) != (size_t)got)
			fail("%s", strerror(errno));
	}
	if (f && fclose(f) != 0)
		fail("%s", strerror(errno));
	if (got < 0)
		fail("%s after %ld bytes", strerror((int)-got), total);
	printf("sank %ld bytes\n", total);
}

static void do_slow(char *arg)
{
	char *count = strchr(arg, ':'), c;

	if (!count)
		fail("MS:N is missing");
	*count++ = '\0';
	fputs("slowly ", stdout);
	for (long i = number(count); i > 0; i--) {
		take_all(&c, 1);
		show(stdout, &c, 1);
		pause_ms(number(arg));
	}
	putchar('\n');
}

/* --- ending --- */

static void do_shut(char *unused)
{
	(void)unused;
	if (shutdown(sock, SHUT_WR) < 0)
		fail("%s", strerror(errno));
}

static void do_close(char *unused)
{
	(void)unused;
	close(sock);
	sock = -1;
}

static void do_reset(char *unused)
{
	struct linger at_once = {1, 0};

	(void)unused;
	setsockopt(sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	do_close(NULL);
}

static void do_linger2(char *seconds)
{
	int n = (int)number(seconds);

	if (setsockopt(sock, IPPROTO_TCP, TCP_LINGER2, &n, sizeof n) < 0)
		fail("%s", strerror(errno));
}

/* --- keeping time --- */

static void do_pause(char *ms)
{
	pause_ms(number(ms));
}

static void do_hold(char *unused)
{
	(void)unused;
	fflush(stdout);
	for (;;)
		pause();
}

static void do_wait(char *path)
{
	if (!wait_file(path, ends))
		fail("it did not appear");
}

static void do_touch(char *path)
{
	write_file(path, "");
}

static const struct {
	const char *name;
	bool argument; /* needs one */
	void (*run)(char *arg);
} steps[] = {
	{"send", true, do_send},     {"dribble", true, do_dribble}, {"file", true, do_file},
	{"urgent", true, do_urgent}, {"flood", false, do_flood},    {"stuff", false, do_stuff},
	{"acked", false, do_acked},  {"expect", true, do_expect},   {"rest", true, do_rest},
	{"eof", false, do_eof},      {"lost", false, do_lost},      {"quiet", true, do_quiet},
	{"once", true, do_once},     {"gulp", true, do_gulp},       {"sink", false, do_sink},
	{"slow", true, do_slow},     {"shut", false, do_shut},      {"close", false, do_close},
	{"reset", false, do_reset},  {"linger2", true, do_linger2}, {"pause", true, do_pause},
	{"hold", false, do_hold},    {"wait", true, do_wait},       {"touch", true, do_touch},
};

/* Does one step. The word stays as it was: with -n it is needed again. */
static void do_step(const char *word)
{
	size_t length = strcspn(word, ":");
	char *arg = word[length] ? strdup(word + length + 1) : NULL;

	step_word = word;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (strlen(steps[i].name) != length || strncmp(steps[i].name, word, length) != 0)
			continue;
		if (steps[i].argument && !arg)
			die("step '%s' needs an argument", word);
		steps[i].run(arg);
		fflush(stdout);
		free(arg);
		return;
	}
	die("unknown step '%s'", word);
}

static void do_steps(char **words)
{
	int one = 1;

	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	for (; *words; words++)
		do_step(*words);
	if (sock >= 0)
		close(sock);
}

/* --- beginning --- */

static struct {
	const char *host, *from, *listen_when;
	int port, rounds, rcvbuf, sndbuf;
} opt = {.host = "127.0.0.1", .rounds = 1};

/* Buffers have to be set before the connection exists. */
static void set_buffers(int s)
{
	if (opt.rcvbuf)
		setsockopt(s, SOL_SOCKET, SO_RCVBUF, &opt.rcvbuf, sizeof opt.rcvbuf);
	if (opt.sndbuf)
		setsockopt(s, SOL_SOCKET, SO_SNDBUF, &opt.sndbuf, sizeof opt.sndbuf);
}

static void tell_peer(const struct sockaddr_storage *a, socklen_t length)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	char text[INET6_ADDRSTRLEN] = "";

	if (a->ss_family == AF_INET && length >= sizeof v4) {
		memcpy(&v4, a, sizeof v4);
		inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
	} else if (length >= sizeof v6) {
		memcpy(&v6, a, sizeof v6);
		inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
	}
	printf("from %s %d\n", text, port_of(a));
	fflush(stdout);
}

static void run_listen(const char *port_file, char **words)
{
	int listener = bound_socket(opt.host, opt.port);
	char line[16];

	set_buffers(listener);
	snprintf(line, sizeof line, "%d\n", bound_port(listener));
	if (!opt.listen_when && listen(listener, SOMAXCONN) < 0)
		die("listen: %s", strerror(errno));
	write_file(port_file, line);
	if (opt.listen_when && (!wait_file(opt.listen_when, ends) || listen(listener, SOMAXCONN) < 0))
		die("peer: %s did not appear", opt.listen_when);
	for (int i = 0; i < opt.rounds; i++) {
		struct sockaddr_storage from;
		socklen_t length = sizeof from;

		if (!wait_fd(listener, POLLIN, ends))
			die("peer: nobody connected");
		sock = accept4(listener, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
		if (sock < 0)
			die("accept: %s", strerror(errno));
		/* the last one: from now on others are refused */
		if (i == opt.rounds - 1)
			close(listener);
		tell_peer(&from, length);
		do_steps(words);
	}
}

static void run_connect(const char *port, char **words)
{
	struct sockaddr_storage to;
	socklen_t length = address(opt.host, (int)number(port), &to);

	for (int i = 0; i < opt.rounds; i++) {
		sock = opt.from ? bound_socket(opt.from, 0) :
				  socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		set_buffers(sock);
		if (connect(sock, (struct sockaddr *)&to, length) < 0)
			die("peer: connect to %s %s: %s", opt.host, port, strerror(errno));
		do_steps(words);
	}
}

/* Below the ephemeral range, so that no outgoing connection takes it meanwhile. */
static void run_free(void)
{
	srand((unsigned)(getpid() * 7919 + now_ms()));
	for (int i = 0; i < 1000; i++) {
		struct sockaddr_in any = {.sin_family = AF_INET};
		int port = 15000 + rand() % 17000, s = socket(AF_INET, SOCK_STREAM, 0);

		any.sin_port = htons((in_port_t)port);
		if (bind(s, (struct sockaddr *)&any, sizeof any) == 0) {
			printf("%d\n", port);
			exit(0);
		}
		close(s);
	}
	die("no port is free");
}

int main(int argc, char **argv)
{
	int letter, limit = 30;

	while ((letter = getopt(argc, argv, "+a:s:p:n:r:w:t:l:")) != -1) {
		switch (letter) {
		case 'a':
			opt.host = optarg;
			break;
		case 's':
			opt.from = optarg;
			break;
		case 'p':
			opt.port = (int)number(optarg);
			break;
		case 'n':
			opt.rounds = (int)number(optarg);
			break;
		case 'r':
			opt.rcvbuf = (int)number(optarg);
			break;
		case 'w':
			opt.sndbuf = (int)number(optarg);
			break;
		case 't':
			limit = (int)number(optarg);
			break;
		case 'l':
			opt.listen_when = optarg;
			break;
		default:
			return HELPER_FAILED;
		}
	}
	argv += optind;
	argc -= optind;
	signal(SIGPIPE, SIG_IGN);
	ends = now_ms() + limit * 1000LL;
	if (argc >= 2 && strcmp(argv[0], "listen") == 0)
		run_listen(argv[1], argv + 2);
	else if (argc >= 2 && strcmp(argv[0], "connect") == 0)
		run_connect(argv[1], argv + 2);
	else if (argc == 1 && strcmp(argv[0], "free") == 0)
		run_free();
	else
		die("usage: peer [OPTION]... listen PORTFILE STEP... | connect PORT STEP... | free");
	return 0;
}
