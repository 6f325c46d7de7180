/*
 * The promise of the two flows, played out: neither ever waits for the other.
 *
 * Runs tcptool ($TCPTOOL) as client and as server, itself being the peer and whatever is in front of
 * stdin and behind stdout; as a forwarder, itself being the client and the upstream; and with a command
 * whose bytes are relayed, itself being the peer and that command. The direction that is not under test is
 * quiet, or filled until backpressure stops it, or has ended; then in the direction under test data must
 * arrive, and after it an end-of-file. 4 roles x 2 directions x 3 states x {data, end} = 48 outcomes,
 * printed as TAP.
 *
 * A fill begins with a write of an odd size, and several sizes are tried: a relay that judges a pipe's
 * room by bytes and not by slots hangs with some and not with others. After each end-of-file it watches
 * for a second that nothing ends which should not, so that no timer passes for patience. At last the
 * other direction is emptied and ended as well: every byte arrives, and tcptool exits 0.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/un.h>

#include "helpers/helper.h"

#define ARRIVES_MS 10000  /* generous: what comes so late on a slow machine still comes */
#define BLOCKED_MS 300    /* so long without progress is backpressure */
#define PATIENCE_MS 1000
#define RUN_LIMIT_S 60
#define AT_ONCE 8

/* "matrix HAND_OVER PATH" is the command of the relayed: it gives its stdin to the matrix, see start_relayed(). */
#define HAND_OVER "--hand-over"

enum role { CLIENT, SERVER, FORWARD, RELAYED, ROLES };
enum direction { TO_NET, FROM_NET };
enum state { QUIET, FILLED, ENDED };
enum outcome { DATA, END };

static const char *const role_words[] = {"client", "server", "forward", "relayed command"};
static const char *const direction_words[][2] = {{"stdin to socket", "socket to stdout"},
						 {"stdin to socket", "socket to stdout"},
						 {"upstream to client", "client to upstream"},
						 {"command to socket", "socket to command"}};
static const char *const state_words[] = {"quiet", "filled", "ended"};
static const char *const outcome_words[] = {"data arrives", "end-of-file arrives"};

static const size_t odd_sizes[] = {512, 1, 4097, 65535};
#define ODD_SIZES (sizeof odd_sizes / sizeof *odd_sizes)

/* One run, and in the child that plays it: the program and our ends of it. */
static struct {
	enum role role;
	enum direction tested, other;
	enum state state;
	size_t odd;
	enum outcome at; /* what is under test just now */

	pid_t tool;
	int in, out, sock, errors; /* in and out may be one socket */
	int control;               /* the command that has handed over its end lives until this is closed */
	bool ended[2];
	unsigned long long sent[2], received[2];
} run;

/* --- telling --- */

/* Repeats what tcptool said on stderr, as comments. */
static void tell_errors(void)
{
	char text[2000];
	ssize_t got = pread(run.errors, text, sizeof text - 1, 0);

	if (got <= 0)
		return;
	text[got] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("# %s\n", line);
}

/* The outcome under test was not as promised. Exit status 1: already the data; 2: only the end. */
static void __attribute__((noreturn, format(printf, 1, 2))) bad(const char *format, ...)
{
	va_list args;

	printf("# %s, %s, other direction %s, first write %zu: %s: ", role_words[run.role],
	       direction_words[run.role][run.tested], state_words[run.state], run.odd, outcome_words[run.at]);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	tell_errors();
	fflush(stdout);
	if (run.tool > 0)
		kill(run.tool, SIGKILL);
	_exit(run.at == DATA ? 1 : 2);
}

static void too_late(int signo)
{
	(void)signo;
	if (run.tool > 0)
		kill(run.tool, SIGKILL);
	_exit(3);
}

/* --- bytes --- */

/* The byte at `position`: no two neighbouring blocks of any likely size are alike. */
static char pattern(unsigned long long position)
{
	return (char)(position * 31 + position / 251 + position / 65521);
}

static int source_of(enum direction d)
{
	return d == TO_NET ? run.in : run.sock;
}

static int sink_of(enum direction d)
{
	return d == TO_NET ? run.sock : run.out;
}

/* Writes up to `n` bytes of the pattern without waiting; returns how many. */
static size_t put(enum direction d, size_t n)
{
	char buf[65536];
	ssize_t done;

	n = n < sizeof buf ? n : sizeof buf;
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(run.sent[d] + i);
	done = write(source_of(d), buf, n);
	if (done < 0 && errno != EAGAIN)
		bad("cannot write: %s", strerror(errno));
	if (done > 0)
		run.sent[d] += (unsigned long long)done;
	return done > 0 ? (size_t)done : 0;
}

/* Reads what has come and compares it. Returns the count, 0 at the end. */
static size_t get(enum direction d)
{
	char buf[65536];
	ssize_t got;

	if (!wait_fd(sink_of(d), POLLIN, now_ms() + ARRIVES_MS))
		bad("%llu bytes went in, %llu came out, then nothing", run.sent[d], run.received[d]);
	got = read(sink_of(d), buf, sizeof buf);
	if (got < 0)
		bad("cannot read: %s", strerror(errno));
	for (ssize_t i = 0; i < got; i++)
		if (buf[i] != pattern(run.received[d] + (unsigned long long)i))
			bad("byte %llu differs", run.received[d] + (unsigned long long)i);
	run.received[d] += (unsigned long long)got;
	return (size_t)got;
}

/* Everything that was sent in a direction comes out. */
static void empty(enum direction d)
{
	while (run.received[d] < run.sent[d])
		if (get(d) == 0)
			bad("it ended after %llu of %llu bytes", run.received[d], run.sent[d]);
}

/* `n` bytes go in and come out. */
static void pass(enum direction d, size_t n)
{
	while (n > 0) {
		n -= put(d, n);
		empty(d);
	}
}

/* Writes until nobody takes any more. */
static void fill(enum direction d)
{
	if (put(d, run.odd) != run.odd)
		bad("not even the first write was taken");
	while (wait_fd(source_of(d), POLLOUT, now_ms() + BLOCKED_MS))
		put(d, 65536);
}

/* --- ends --- */

/* True when the sink of `d` has been told of an end, be there bytes before it or not. */
static bool end_is_near(enum direction d)
{
	struct pollfd p = {.fd = sink_of(d), .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* Nothing that is still open may end by itself, the program least of all. */
static void watch(void)
{
	long long until = now_ms() + PATIENCE_MS;
	int status;

	do {
		for (int d = TO_NET; d <= FROM_NET; d++)
			if (!run.ended[d] && end_is_near((enum direction)d))
				bad("%s ended by itself", direction_words[run.role][d]);
		if (waitpid(run.tool, &status, WNOHANG) == run.tool) {
			run.tool = 0;
			bad("tcptool ended with status %d", shell_status(status));
		}
		pause_ms(20);
	} while (now_ms() < until);
}

/* Ends the source of a direction; its sink must see that after all bytes. */
static void end(enum direction d)
{
	if (d == FROM_NET)
		shutdown(run.sock, SHUT_WR);
	else if (run.in == run.out)
		shutdown(run.in, SHUT_WR);
	else
		close(run.in);
	while (get(d) > 0)
		continue;
	if (run.received[d] != run.sent[d])
		bad("%llu of %llu bytes came before the end", run.received[d], run.sent[d]);
	run.ended[d] = true;
}

/* Both directions are over: so is the program. */
static void expect_exit(void)
{
	long long until = now_ms() + ARRIVES_MS;
	int status;

	close(run.sock);
	if (run.in == run.out)
		close(run.in);
	if (run.control >= 0)
		close(run.control);
	while (waitpid(run.tool, &status, WNOHANG) == 0) {
		if (now_ms() >= until)
			bad("tcptool does not end");
		pause_ms(5);
	}
	run.tool = 0;
	if (shell_status(status) != 0)
		bad("tcptool ended with status %d", shell_status(status));
}

/* --- the program under test --- */

static void nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Starts tcptool with pipes at its stdin and stdout. */
static void spawn(const char *const *words)
{
	const char *tool = getenv("TCPTOOL");
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	run.tool = fork();
	if (run.tool < 0)
		die("fork: %s", strerror(errno));
	if (run.tool == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_DFL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(run.errors, 2);
		execv(tool ? tool : "./tcptool", (char **)(size_t)words);
		_exit(HELPER_FAILED);
	}
	close(in[0]);
	close(out[1]);
	run.in = in[1];
	run.out = out[0];
}

/* A socket that listens on some port, which is written to `port`. */
static int listener_open(char port[16])
{
	int listener = bound_socket("127.0.0.1", 0);

	if (listen(listener, 1) < 0)
		die("listen: %s", strerror(errno));
	snprintf(port, 16, "%d", bound_port(listener));
	return listener;
}

/* The one connection of a listener, which is closed then. `what` is what should have happened. */
static int take_connection(int listener, const char *what)
{
	int sock;

	if (!wait_fd(listener, POLLIN, now_ms() + ARRIVES_MS))
		bad("tcptool does not %s", what);
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return sock;
}

/* tcptool connects to us. */
static void start_client(void)
{
	char port[16];
	int listener = listener_open(port);

	spawn((const char *[]){"tcptool", "connect", "--numeric", "127.0.0.1", port, NULL});
	run.sock = take_connection(listener, "connect");
}

/* A directory of this run. */
static void make_directory(char *dir, size_t size)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, size, "%s/matrix.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		die("%s: %s", dir, strerror(errno));
}

/* We connect to tcptool, which listens with this option and these words behind its operands; NULL: none. */
static void connect_to_tool(const char *dir, const char *option, const char *const *words)
{
	char file[4200], port_file[sizeof file + 16], line[16] = "";
	const char *all[12] = {"tcptool", "listen", port_file};
	struct sockaddr_storage to;
	socklen_t length;
	int n = 3;
	FILE *f;

	snprintf(file, sizeof file, "%s/port", dir);
	snprintf(port_file, sizeof port_file, "--port-file=%s", file);
	if (option)
		all[n++] = option;
	all[n++] = "127.0.0.1";
	all[n++] = "0";
	while (words && *words)
		all[n++] = *words++;
	spawn(all);
	if (!wait_file(file, now_ms() + ARRIVES_MS))
		bad("tcptool does not listen");
	f = fopen(file, "r");
	if (!f || !fgets(line, sizeof line, f))
		bad("the port file is empty");
	fclose(f);
	unlink(file);
	length = address("127.0.0.1", atoi(line), &to);
	run.sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(run.sock, (struct sockaddr *)&to, length) < 0)
		bad("cannot connect: %s", strerror(errno));
}

static void start_server(void)
{
	char dir[4096];

	make_directory(dir, sizeof dir);
	connect_to_tool(dir, NULL, NULL);
	rmdir(dir);
}

/* stdin and stdout of tcptool play no part. */
static void drop_pipes(void)
{
	close(run.in);
	close(run.out);
}

/* We connect to tcptool, which connects to us. */
static void start_forward(void)
{
	char dir[4096], port[16], option[64];
	int listener = listener_open(port);

	make_directory(dir, sizeof dir);
	snprintf(option, sizeof option, "--forward=127.0.0.1:%s", port);
	connect_to_tool(dir, option, NULL);
	rmdir(dir);
	drop_pipes();
	run.in = run.out = take_connection(listener, "forward");
}

/* The descriptor that comes with the byte at `control`: unix(7), SCM_RIGHTS. */
static int take_descriptor(int control)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec one = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {
		.msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	int fd;

	if (!wait_fd(control, POLLIN, now_ms() + ARRIVES_MS) || recvmsg(control, &m, MSG_CMSG_CLOEXEC) != 1 ||
	    !CMSG_FIRSTHDR(&m))
		bad("the command has handed over nothing");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}

static struct sockaddr_un path_address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof a.sun_path)
		die("%s: too long", path);
	strcpy(a.sun_path, path);
	return a;
}

/* The command: hands over what it has as stdin and stdout, lets go of it, and ends when it is told to. */
static int hand_over(const char *path)
{
	struct sockaddr_un to = path_address(path);
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec one = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {
		.msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&m);
	int control = socket(AF_UNIX, SOCK_STREAM, 0);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memset(CMSG_DATA(rights), 0, sizeof(int)); /* descriptor 0 */
	if (connect(control, (struct sockaddr *)&to, sizeof to) < 0 || sendmsg(control, &m, 0) != 1)
		return HELPER_FAILED;
	close(0);
	close(1);
	return read(control, &byte, 1) == 0 ? 0 : HELPER_FAILED;
}

/* We connect to tcptool, whose command hands over its end to us. */
static void start_relayed(void)
{
	char dir[4096], path[sizeof dir + 16], self[4096] = "";
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;

	if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
		die("/proc/self/exe: %s", strerror(errno));
	make_directory(dir, sizeof dir);
	snprintf(path, sizeof path, "%s/control", dir);
	at = path_address(path);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1) < 0)
		die("%s: %s", path, strerror(errno));
	connect_to_tool(dir, "--idle-timeout=1h", (const char *[]){"--", self, HAND_OVER, path, NULL});
	drop_pipes();
	run.control = take_connection(listener, "start the command");
	unlink(path);
	rmdir(dir);
	run.in = run.out = take_descriptor(run.control);
}

static void play(void)
{
	static void (*const start[])(void) = {start_client, start_server, start_forward, start_relayed};
	FILE *errors = tmpfile();

	if (!errors)
		die("tmpfile: %s", strerror(errno));
	run.errors = fileno(errors);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, too_late);
	alarm(RUN_LIMIT_S);
	run.at = DATA;
	run.control = -1;
	start[run.role]();
	nonblocking(run.sock);
	nonblocking(run.in);
	nonblocking(run.out);

	if (run.state == FILLED)
		fill(run.other);
	if (run.state == ENDED) {
		end(run.other);
		watch();
	}
	pass(run.tested, run.odd);
	pass(run.tested, 200000);

	run.at = END;
	end(run.tested);
	if (run.state != ENDED) {
		watch();
		empty(run.other);
		pass(run.other, run.odd);
		end(run.other);
	}
	expect_exit();
	_exit(0);
}

/* --- all of them --- */

#define OUTCOMES (ROLES * 12)

static bool failed[OUTCOMES];

struct played {
	pid_t pid;
	int row; /* of its data; the end's is the next */
};

/* Waits for one run to end and notes how it went. */
static void collect(struct played *playing, int *count)
{
	int status, verdict;
	pid_t pid = wait(&status);

	for (int i = 0; i < *count; i++) {
		if (playing[i].pid != pid)
			continue;
		verdict = shell_status(status);
		if (verdict > 2)
			printf("# row %d: took too long or could not be played (%d)\n",
			       playing[i].row + 1, verdict);
		/* where data does not arrive, an end cannot either */
		failed[playing[i].row] |= verdict != 0 && verdict != 2;
		failed[playing[i].row + 1] |= verdict != 0;
		playing[i] = playing[--*count];
		return;
	}
}

int main(int argc, char **argv)
{
	struct played playing[AT_ONCE];
	int count = 0, any = 0;

	if (argc == 3 && strcmp(argv[1], HAND_OVER) == 0)
		return hand_over(argv[2]);
	printf("1..%d\n", OUTCOMES);
	for (int row = 0; row < OUTCOMES; row += 2) {
		run.role = (enum role)(row / 12);
		run.tested = (enum direction)(row / 6 % 2);
		run.other = run.tested == TO_NET ? FROM_NET : TO_NET;
		run.state = (enum state)(row / 2 % 3);
		for (size_t i = 0; i < (run.state == FILLED ? ODD_SIZES : 1); i++) {
			run.odd = odd_sizes[i];
			if (count == AT_ONCE)
				collect(playing, &count);
			fflush(stdout);
			playing[count].row = row;
			playing[count].pid = fork();
			if (playing[count].pid < 0)
				die("fork: %s", strerror(errno));
			if (playing[count].pid == 0)
				play();
			count++;
		}
	}
	while (count > 0)
		collect(playing, &count);
	for (int row = 0; row < OUTCOMES; row++) {
		printf("%sok %d - %s, %s, other direction %s: %s\n", failed[row] ? "not " : "", row + 1,
		       role_words[row / 12], direction_words[row / 12][row / 6 % 2], state_words[row / 2 % 3],
		       outcome_words[row % 2]);
		any |= failed[row];
	}
	return any;
}
