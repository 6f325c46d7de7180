/*
 * Inherited descriptors as a stream: reading and writing never wait, and yet the flags of what we
 * inherited, which the shell and our neighbours share, stay as they were. Each kind of descriptor
 * is read while empty and written until full; whatever waits is ended by an alarm.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "stream/stream.h"
#include "tap.h"

/* More than any pipe or socket holds. */
#define MUCH ((size_t)64 * 1024 * 1024)

/* A call that waits would wait for ever. */

static unsigned char block[200000];

static int flags(int fd)
{
	return fcntl(fd, F_GETFL);
}

/* Bytes that tell where they belong. */
static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static ssize_t get(struct stream_stdio *s, size_t n)
{
	return s->stream.ops->read(&s->stream, block, n);
}

static ssize_t put(struct stream_stdio *s, const void *bytes, size_t n)
{
	return s->stream.ops->write(&s->stream, bytes, n);
}

/* Writes until it would wait; returns how much went, or -errno. */
static ssize_t put_until_full(struct stream_stdio *s)
{
	size_t all = 0;

	while (all < MUCH) {
		ssize_t n;

		for (size_t i = 0; i < sizeof block; i++)
			block[i] = byte_at(all + i);
		n = put(s, block, sizeof block);
		if (n == -EAGAIN)
			return (ssize_t)all;
		if (n <= 0)
			return n;
		all += (size_t)n;
	}
	return -EFBIG;
}

/* Reads `n` bytes that put_until_full() wrote; true if they are those. */
static bool get_all(struct stream_stdio *s, size_t n)
{
	bool good = true;

	for (size_t at = 0; at < n;) {
		ssize_t got = get(s, sizeof block);

		if (got <= 0)
			return false;
		for (ssize_t i = 0; i < got; i++, at++)
			good &= block[i] == byte_at(at);
	}
	return good;
}

/*
 * What is written to `out` is read from `in`. Both are blocking descriptions, as one inherits
 * them; `what` names the kind.
 */
static void check_pair(const char *what, int in, int out, bool blocking)
{
	struct stream_stdio from, to;
	int in_flags = flags(in), out_flags = flags(out);
	ssize_t n;

	stream_stdio_open(&from, in, -1, false);
	stream_stdio_open(&to, -1, out, false);
	point(blocking == !(in_flags & O_NONBLOCK) && blocking == !(out_flags & O_NONBLOCK),
	      "%s: the test begins with what it says", what);
	point(get(&from, 100) == -EAGAIN && from.stream.rwait == FD_IN && from.stream.rfd >= 0,
	      "%s: reading while empty is -EAGAIN", what);
	n = put_until_full(&to);
	point(n > 0, "%s: writing until full is -EAGAIN (after %zd bytes)", what, n);
	point(to.stream.wwait == FD_OUT && to.stream.wfd >= 0, "%s: there is something to wait for",
	      what);
	point(n > 0 && get_all(&from, (size_t)n), "%s: what was written is read", what);
	point(get(&from, 100) == -EAGAIN, "%s: empty again, -EAGAIN again", what);
	point(put(&to, "x", 1) == 1 && get(&from, 100) == 1 && *block == 'x', "%s: a single byte",
	      what);
	point(flags(in) == in_flags && flags(out) == out_flags, "%s: the flags are what they were",
	      what);
	point(to.stream.ops->shut(&to.stream) == 0, "%s: ending it succeeds", what);
	point(get(&from, 100) == 0, "%s: and its reader finds the end", what);
	point(fcntl(out, F_GETFD) >= 0 && fd_kind(out) == FD_MEMORY,
	      "%s: /dev/null is in its place", what);
	point(to.stream.ops->shut(&to.stream) == 0 && fd_kind(out) == FD_MEMORY,
	      "%s: a second end is harmless", what);
	to.stream.ops->close(&to.stream);
	from.stream.ops->close(&from.stream);
	point(fcntl(in, F_GETFD) >= 0, "%s: what was inherited stays open for reading", what);
	close(in);
	close(out);
}

static void make_nonblocking(int fd)
{
	fcntl(fd, F_SETFL, flags(fd) | O_NONBLOCK);
}

static void check_pipes(void)
{
	int p[2];

	if (pipe(p) == 0)
		check_pair("pipe", p[0], p[1], true);
	if (pipe(p) == 0) {
		make_nonblocking(p[0]);
		make_nonblocking(p[1]);
		check_pair("non-blocking pipe", p[0], p[1], false);
	}
	if (pipe(p) == 0) {
		fcntl(p[1], F_SETPIPE_SZ, 4096);
		check_pair("pipe of one page", p[0], p[1], true);
	}
}

/* A pipe that others fill to the last slot but not to the last byte. */
static void check_full_slots(void)
{
	struct stream_stdio to;
	int p[2], slots = 0;

	if (pipe(p) < 0)
		return;
	while (poll(&(struct pollfd){.fd = p[1], .events = POLLOUT}, 1, 0) > 0 &&
	       write(p[1], block, 4096) == 4096)
		slots++;
	stream_stdio_open(&to, -1, p[1], false);
	point(slots > 0 && put(&to, "x", 1) == -EAGAIN,
	      "a pipe filled by others: -EAGAIN (%d slots)", slots);
	point(read(p[0], block, 4096) == 4096 && put(&to, block, sizeof block) > 0,
	      "with a page of room again: as much as fits");
	close(p[0]);
	point(put(&to, "x", 1) == -EPIPE, "no reader any more: -EPIPE");
	to.stream.ops->close(&to.stream);
	close(p[1]);
}

static void check_fifo(void)
{
	char directory[] = "/tmp/tcptool-fifo-XXXXXX", path[64];
	int in, out;

	if (!mkdtemp(directory))
		return;
	snprintf(path, sizeof path, "%s/fifo", directory);
	if (mkfifo(path, 0600) == 0) {
		/* a reader that does not wait for its writer */
		in = open(path, O_RDONLY | O_NONBLOCK);
		out = open(path, O_WRONLY);
		fcntl(in, F_SETFL, flags(in) & ~O_NONBLOCK);
		check_pair("fifo", in, out, true);
		unlink(path);
	}
	rmdir(directory);
}

/* --- sockets --- */

static void check_sockets(void)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0)
		check_pair("socket", s[0], s[1], true);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0)
		check_pair("non-blocking socket", s[0], s[1], false);
}

/* stdin and stdout are one socket, as inetd gives them. */
static void check_one_socket(void)
{
	struct stream_stdio both;
	int s[2], out;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		return;
	out = dup(s[0]);
	stream_stdio_open(&both, s[0], out, false);
	point(put(&both, "hello", 5) == 5 && read(s[1], block, 100) == 5, "one socket: written");
	point(both.stream.ops->shut(&both.stream) == 0 && read(s[1], block, 100) == 0,
	      "one socket: its end is seen though the other half is still open");
	point(write(s[1], "answer", 6) == 6 && get(&both, 100) == 6,
	      "one socket: the other half is still read");
	close(s[1]);
	point(get(&both, 100) == 0, "one socket: the end of the other half");
	both.stream.ops->close(&both.stream);
	close(out);
	close(s[0]);
}

static void check_kept(void)
{
	struct stream_stdio to;
	int p[2];

	if (pipe(p) < 0)
		return;
	stream_stdio_open(&to, -1, p[1], true);
	point(to.stream.ops->shut(&to.stream) == 0 && fd_kind(p[1]) == FD_PIPE &&
		      write(p[1], "x", 1) == 1,
	      "kept: the end leaves it open");
	to.stream.ops->close(&to.stream);
	point(fd_kind(p[1]) == FD_PIPE, "kept: and so does closing");
	close(p[0]);
	close(p[1]);
}

/* The peer has reset or left. */
static void check_lost_socket(void)
{
	struct stream_stdio both;
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		return;
	stream_stdio_open(&both, s[0], s[0], false);
	close(s[1]);
	signal(SIGPIPE, SIG_DFL);
	point(put(&both, "x", 1) == -EPIPE, "a socket without a peer: -EPIPE and no signal");
	signal(SIGPIPE, SIG_IGN);
	close(s[0]);
}

/* --- what never blocks --- */

static int temporary(const char *bytes)
{
	char path[] = "/tmp/tcptool-file-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	if (fd >= 0 && write(fd, bytes, strlen(bytes)) != (ssize_t)strlen(bytes))
		return -1;
	return fd;
}

static void check_file(void)
{
	struct stream_stdio s;
	int fd = temporary("0123456789"), out = dup(fd);

	lseek(fd, 4, SEEK_SET);
	stream_stdio_open(&s, fd, -1, false);
	point(s.stream.rkind == FD_FILE && get(&s, 3) == 3 && memcmp(block, "456", 3) == 0,
	      "file: from its position");
	point(get(&s, 100) == 3 && get(&s, 100) == 0, "file: to its end");
	point(write(out, "more", 4) == 4 && lseek(fd, -4, SEEK_CUR) == 10 && get(&s, 100) == 4,
	      "file: the position is the shared one");
	stream_stdio_open(&s, -1, out, false);
	point(lseek(fd, 2, SEEK_SET) == 2 && put(&s, "ab", 2) == 2 && pread(fd, block, 5, 0) == 5 &&
		      memcmp(block, "01ab4", 5) == 0 && lseek(fd, 0, SEEK_CUR) == 4,
	      "file: written at its position, which moves");
	s.stream.ops->shut(&s.stream);
	close(out);
	close(fd);
}

/* What others append in between is not overwritten. */
static void check_append(void)
{
	struct stream_stdio s;
	int fd = temporary("one "), before;

	fcntl(fd, F_SETFL, O_APPEND);
	before = flags(fd);
	stream_stdio_open(&s, -1, fd, true);
	lseek(fd, 0, SEEK_SET);
	point(put(&s, "two ", 4) == 4 && lseek(fd, 0, SEEK_SET) == 0 &&
		      write(fd, "three ", 6) == 6 && lseek(fd, 0, SEEK_SET) == 0 &&
		      put(&s, "four", 4) == 4,
	      "O_APPEND: written");
	point(pread(fd, block, 100, 0) == 18 && memcmp(block, "one two three four", 18) == 0,
	      "O_APPEND: everything is behind everything");
	point(flags(fd) == before, "O_APPEND: the flags are what they were");
	close(fd);
}

static void check_devices(void)
{
	struct stream_stdio s;
	int full = open("/dev/full", O_RDWR), null = open("/dev/null", O_RDWR),
	    zero = open("/dev/zero", O_RDONLY);

	stream_stdio_open(&s, zero, full, true);
	point(full >= 0 && put(&s, "x", 1) == -ENOSPC, "/dev/full: -ENOSPC");
	point(get(&s, 100) == 100, "/dev/zero: read");
	stream_stdio_open(&s, null, null, true);
	point(get(&s, 100) == 0 && put(&s, "x", 1) == 1, "/dev/null: the end, and room for all");
	stream_stdio_open(&s, -1, -1, false);
	point(get(&s, 100) == 0 && put(&s, "x", 1) == 1 && s.stream.ops->shut(&s.stream) == 0,
	      "no descriptors: the end, room for all");
	s.stream.ops->close(&s.stream);
	close(full);
	close(null);
	close(zero);
}

static void check_errors(void)
{
	struct stream_stdio s;
	int reading = open("/dev/null", O_RDONLY), directory = open("/", O_RDONLY), p[2];

	stream_stdio_open(&s, -1, reading, true);
	point(put(&s, "x", 1) == -EBADF, "opened for reading only: -EBADF");
	stream_stdio_open(&s, directory, -1, true);
	point(get(&s, 100) == -EISDIR, "a directory: -EISDIR");
	close(reading);
	close(directory);
	if (pipe(p) < 0)
		return;
	stream_stdio_open(&s, p[1], p[0], true);
	point(get(&s, 100) == -EBADF && put(&s, "x", 1) == -EBADF,
	      "a pipe the wrong way round: -EBADF");
	close(p[0]);
	close(p[1]);
	stream_stdio_open(&s, p[0], p[1], true);
	point(get(&s, 100) == -EBADF && put(&s, "x", 1) == -EBADF, "closed descriptors: -EBADF");
}

/* --- terminals --- */

/* Opens a pseudo-terminal whose slave passes bytes on as they are; -1 where there is none. */
static int open_terminal(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	struct termios raw;

	*slave = -1;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return -1;
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (*slave < 0 || tcgetattr(*slave, &raw) < 0)
		return -1;
	cfmakeraw(&raw);
	tcsetattr(*slave, TCSANOW, &raw);
	return master;
}

static void check_terminal(void)
{
	struct stream_stdio s;
	int slave, master = open_terminal(&slave), before;
	ssize_t n;

	if (master < 0) {
		skip("no pseudo-terminal", "terminal");
		return;
	}
	before = flags(slave);
	stream_stdio_open(&s, slave, slave, true);
	point(s.stream.rkind == FD_TERMINAL && get(&s, 100) == -EAGAIN,
	      "terminal: nothing typed, -EAGAIN");
	point(write(master, "typed", 5) == 5 &&
		      poll(&(struct pollfd){.fd = slave, .events = POLLIN}, 1, 10000) == 1 &&
		      get(&s, 100) == 5,
	      "terminal: what is typed is read");
	n = put_until_full(&s);
	point(n > 0, "terminal: writing until full is -EAGAIN (%zd bytes)", n);
	point(flags(slave) == before && !(before & O_NONBLOCK),
	      "terminal: the flags are what they were");
	s.stream.ops->close(&s.stream);
	point(flags(slave) == before && isatty(slave), "terminal: and it stays open");
	close(master);
	close(slave);
}

/* The master's side, as a program that started us on it would pass it on. */
static void check_master(void)
{
	struct stream_stdio s;
	int slave, master = open_terminal(&slave), before;
	ssize_t n;

	if (master < 0) {
		skip("no pseudo-terminal", "terminal's master");
		return;
	}
	before = flags(master);
	stream_stdio_open(&s, master, master, true);
	point(get(&s, 100) == -EAGAIN, "terminal's master: nothing written, -EAGAIN");
	point(put(&s, "x", 1) == 1 &&
		      poll(&(struct pollfd){.fd = slave, .events = POLLIN}, 1, 10000) == 1 &&
		      read(slave, block, 1) == 1,
	      "terminal's master: its slave reads");
	point(write(slave, "out", 3) == 3 &&
		      poll(&(struct pollfd){.fd = master, .events = POLLIN}, 1, 10000) == 1 &&
		      get(&s, 100) == 3,
	      "terminal's master: and writes");
	point(flags(master) == before, "terminal's master: the flags are what they were");
	n = put_until_full(&s);
	point(n > 0, "terminal's master: writing until full is -EAGAIN (%zd bytes)", n);
	close(slave);
	point(get(&s, 100) == 0, "terminal's master: the slave has left, which is the end");
	s.stream.ops->close(&s.stream);
	close(master);
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
	check_pipes();
	check_full_slots();
	check_fifo();
	check_sockets();
	check_one_socket();
	check_kept();
	check_lost_socket();
	check_file();
	check_append();
	check_devices();
	check_errors();
	check_terminal();
	check_master();
	after = count_open();
	point(after == before, "no descriptor is left open (%d, %d)", before, after);
	return done();
}
