/*
 * Runs tcptool between a stdin and a stdout of chosen kinds and a TCP peer, all of which it plays itself:
 *
 *     carriage [-b] [-p MS] IN OUT SIZE listen|connect TCPTOOL...
 *
 * IN is pipe, file, append, null, terminal or socket, and OUT the same. SIZE bytes go each way (none where
 * IN is null), in single bytes with -b. With -p whoever takes bytes stops for so long in the middle, and
 * the command may use no processor time to speak of meanwhile. TCPTOOL may be several words: strace and its
 * options in front of it. Exits 0 if each byte arrived once and in order, each end was passed on, and the
 * command's status was 0.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "helper.h"

#define LIMIT_MS 60000
#define BEFORE "what was there before\n"

/* One way: SIZE bytes of a pattern are given at one end and taken at the other. */
struct way {
	const char *name;
	unsigned seed;
	int from, to;          /* where it is given and taken; -1: by nobody, or no more */
	size_t given, taken;
	bool ended;            /* its end has been seen */
	bool hold_end;         /* give no end before the other way has come to its own */
};

static size_t size;
static bool single;
static long long stop_ms, ends;
static pid_t child;

static void __attribute__((noreturn)) fail(const char *name, const char *what)
{
	if (child > 0)
		kill(child, SIGKILL);
	die("carriage: %s: %s", name, what);
}

/* The byte at `at`: no two stretches of the pattern look alike. */
static unsigned char pattern(unsigned seed, size_t at)
{
	unsigned v = (unsigned)at * 2654435761U + seed;

	return (unsigned char)((v >> 24) ^ (v >> 11) ^ at >> 12);
}

static void fill(const struct way *w, size_t at, unsigned char *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = pattern(w->seed, at + i);
}

static void check(struct way *w, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (w->taken + i >= size || bytes[i] != pattern(w->seed, w->taken + i))
			fail(w->name, "a byte is wrong");
	w->taken += n;
}

static void set_nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* --- what stdin and stdout are --- */

static int open_file(const char *path, const struct way *content, int flags)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	unsigned char *bytes = malloc(size + 1);

	if (content)
		fill(content, 0, bytes, size);
	if (fd < 0 || (content && write(fd, bytes, size) != (ssize_t)size))
		die("%s: %s", path, strerror(errno));
	free(bytes);
	close(fd);
	return open(path, O_RDWR | flags);
}

static void open_terminal(int *ours, int *its)
{
	struct termios raw;

	*ours = posix_openpt(O_RDWR | O_NOCTTY);
	if (*ours < 0 || grantpt(*ours) < 0 || unlockpt(*ours) < 0)
		die("pty: %s", strerror(errno));
	*its = open(ptsname(*ours), O_RDWR | O_NOCTTY);
	tcgetattr(*its, &raw);
	cfmakeraw(&raw);
	tcsetattr(*its, TCSANOW, &raw);
}

/* Both ends of what the kind asks for: [0] is the command's, [1] ours or -1. */
static void open_kind(const char *kind, bool input, struct way *w, int fds[2])
{
	int ends_of[2];

	fds[1] = -1;
	if (strcmp(kind, "pipe") == 0) {
		if (pipe(ends_of) < 0)
			die("pipe: %s", strerror(errno));
		fds[0] = ends_of[input ? 0 : 1];
		fds[1] = ends_of[input ? 1 : 0];
	} else if (strcmp(kind, "socket") == 0) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends_of) < 0)
			die("socketpair: %s", strerror(errno));
		fds[0] = ends_of[0];
		fds[1] = ends_of[1];
	} else if (strcmp(kind, "terminal") == 0) {
		open_terminal(&fds[1], &fds[0]);
	} else if (strcmp(kind, "null") == 0) {
		fds[0] = open("/dev/null", O_RDWR);
	} else {
		int flags = strcmp(kind, "append") == 0 ? O_APPEND : 0;

		fds[0] = open_file(input ? "stdin.bin" : "stdout.bin", input ? w : NULL, flags);
		if (!input && write(fds[0], BEFORE, strlen(BEFORE)) < 0)
			die("stdout.bin: %s", strerror(errno));
	}
	if (fds[1] >= 0) {
		set_nonblocking(fds[1]);
		fcntl(fds[1], F_SETFD, FD_CLOEXEC);
	}
}

/* What has got into the file, behind what was there before. */
static void check_file(struct way *w)
{
	unsigned char block[65536];
	FILE *f = fopen("stdout.bin", "r");
	size_t n;

	if (!f || fread(block, 1, strlen(BEFORE), f) != strlen(BEFORE) ||
	    memcmp(block, BEFORE, strlen(BEFORE)) != 0)
		fail(w->name, "what was there before has gone");
	while ((n = fread(block, 1, sizeof block, f)) > 0)
		check(w, block, n);
	fclose(f);
	w->ended = true;
}

/* --- giving and taking --- */

/* Ends the giving: a FIN, an end-of-file; a terminal has no such thing. */
static void end_giving(struct way *w, const char *kind)
{
	if (strcmp(kind, "socket") == 0)
		shutdown(w->from, SHUT_WR);
	else if (strcmp(kind, "terminal") != 0)
		close(w->from);
	w->from = -1;
}

static void give(struct way *w, const char *kind)
{
	unsigned char block[65536];
	size_t n = size - w->given < sizeof block ? size - w->given : sizeof block;
	ssize_t put = 0;

	if (single && n > 1)
		n = 1;
	fill(w, w->given, block, n);
	if (n > 0)
		put = write(w->from, block, n);
	if (put < 0 && errno != EAGAIN)
		fail(w->name, strerror(errno));
	w->given += put > 0 ? (size_t)put : 0;
	if (w->given == size && !w->hold_end)
		end_giving(w, kind);
}

static void take(struct way *w)
{
	unsigned char block[65536];
	ssize_t got = read(w->to, block, sizeof block);

	/* EIO is how the master of a terminal tells that nobody has it open any more */
	if (got == 0 || (got < 0 && errno == EIO)) {
		w->ended = true;
		w->to = -1;
	} else if (got > 0) {
		check(w, block, (size_t)got);
	} else if (errno != EAGAIN) {
		fail(w->name, strerror(errno));
	}
}

/* Nobody takes anything for a while: the command waits, and does nothing else. */
static void stop_taking(void)
{
	struct timespec before, after;
	clockid_t clock;
	long long used;

	if (clock_getcpuclockid(child, &clock) != 0)
		return;
	/* what was under way may come to its end first */
	pause_ms(200);
	clock_gettime(clock, &before);
	pause_ms(stop_ms);
	clock_gettime(clock, &after);
	used = (after.tv_sec - before.tv_sec) * 1000LL + (after.tv_nsec - before.tv_nsec) / 1000000;
	if (used > stop_ms / 4)
		fail("blocked", "it spins");
	stop_ms = 0;
}

static void pump(struct way *out, struct way *in, const char *in_kind)
{
	while (out->from >= 0 || in->from >= 0 || out->to >= 0 || in->to >= 0) {
		struct pollfd p[4] = {
			{.fd = out->given < size || !out->hold_end ? out->from : -1, .events = POLLOUT},
			{.fd = in->given < size || !in->hold_end ? in->from : -1, .events = POLLOUT},
			{.fd = out->to, .events = POLLIN},
			{.fd = in->to, .events = POLLIN}};

		/* the peer of a terminal ends first, once it has got all */
		if (out->taken == size)
			in->hold_end = false;
		if (now_ms() > ends)
			fail(in->ended ? out->name : in->name, "no end came in time");
		if (poll(p, 4, 100) < 0)
			continue;
		if (p[0].revents)
			give(out, in_kind);
		if (p[1].revents)
			give(in, "socket");
		if (stop_ms && out->taken + in->taken > size / 2)
			stop_taking();
		if (p[2].revents)
			take(out);
		if (p[3].revents)
			take(in);
	}
}

/* --- the command and the peer --- */

static int tcp_socket(struct sockaddr_in *at)
{
	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void start(const char **words, int in, int out)
{
	child = fork();
	if (child != 0)
		return;
	dup2(in, 0);
	dup2(out, 1);
	for (int fd = 3; fd < 20; fd++)
		close(fd);
	execvp(words[0], (char *const *)(uintptr_t)words);
	_exit(HELPER_FAILED);
}

/* The command connects to us. */
static int serve(const char **words, int count, int in, int out)
{
	struct sockaddr_in at;
	socklen_t length = sizeof at;
	int listener = tcp_socket(&at), sock;
	char port[8];

	if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &length) < 0)
		die("listen: %s", strerror(errno));
	snprintf(port, sizeof port, "%u", ntohs(at.sin_port));
	words[count] = "127.0.0.1";
	words[count + 1] = port;
	start(words, in, out);
	if (!wait_fd(listener, POLLIN, ends))
		fail("peer", "nobody connected");
	sock = accept(listener, NULL, NULL);
	close(listener);
	return sock;
}

/* We connect to the command. */
static int join(const char **words, int count, int in, int out)
{
	struct sockaddr_in at;
	int sock = tcp_socket(&at);
	unsigned port = 0;
	FILE *f;

	unlink("carriage.port");
	words[count] = "--port-file=carriage.port";
	words[count + 1] = "127.0.0.1:0";
	start(words, in, out);
	while (!(f = fopen("carriage.port", "r"))) {
		if (now_ms() > ends || waitpid(child, NULL, WNOHANG) == child)
			fail("peer", "nobody listens");
		pause_ms(2);
	}
	if (fscanf(f, "%u", &port) != 1)
		fail("peer", "no port");
	fclose(f);
	at.sin_port = htons((uint16_t)port);
	if (connect(sock, (struct sockaddr *)&at, sizeof at) < 0)
		fail("peer", strerror(errno));
	return sock;
}

static void check_result(const char *out_kind, struct way *out, struct way *in, bool silent)
{
	int status;

	while (waitpid(child, &status, WNOHANG) != child) {
		if (now_ms() > ends)
			fail("the command", "does not end");
		pause_ms(1);
	}
	child = 0;
	if (status != 0)
		die("carriage: the command's status is %d", shell_status(status));
	if (strcmp(out_kind, "file") == 0 || strcmp(out_kind, "append") == 0)
		check_file(in);
	if (!out->ended || out->taken != (silent ? 0 : size))
		fail(out->name, "not all has arrived");
	if (strcmp(out_kind, "null") != 0 && (!in->ended || in->taken != size))
		fail(in->name, "not all has arrived");
}

int main(int argc, char **argv)
{
	struct way out = {.name = "stdin to peer", .seed = 1}, in = {.name = "peer to stdout", .seed = 2};
	const char *words[64];
	const char *in_kind, *out_kind;
	int opt, count = 0, its_in[2], its_out[2], sock;
	bool silent;

	while ((opt = getopt(argc, argv, "+bp:")) != -1) {
		single |= opt == 'b';
		if (opt == 'p')
			stop_ms = atoi(optarg);
	}
	if (argc - optind < 5)
		die("usage: carriage [-b] [-p MS] IN OUT SIZE listen|connect TCPTOOL...");
	in_kind = argv[optind];
	out_kind = argv[optind + 1];
	size = (size_t)atol(argv[optind + 2]);
	for (int i = optind + 4; i < argc && count < 60; i++)
		words[count++] = argv[i];
	words[count++] = argv[optind + 3];
	words[count + 2] = NULL;

	signal(SIGPIPE, SIG_IGN);
	ends = now_ms() + LIMIT_MS;
	open_kind(in_kind, true, &out, its_in);
	open_kind(out_kind, false, &in, its_out);
	sock = *argv[optind + 3] == 'c' ? serve(words, count, its_in[0], its_out[0]) :
					  join(words, count, its_in[0], its_out[0]);
	close(its_in[0]);
	close(its_out[0]);
	set_nonblocking(sock);
	silent = strcmp(in_kind, "null") == 0;
	out.from = its_in[1];
	out.to = in.from = sock;
	in.to = its_out[1];
	in.hold_end = strcmp(in_kind, "terminal") == 0;
	pump(&out, &in, in_kind);
	check_result(out_kind, &out, &in, silent);
	return 0;
}
