/*
 * How a TCP socket ends as a stream. The kernel tells once that a connection is lost, to whatever asks
 * first; reading must not take what it finds then for the peer's end-of-file, and must not miss one that came.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow/carrier.h"
#include "stream/stream.h"
#include "tap.h"

enum teller { NOTHING, WRITE, TWO_WRITES, SO_ERROR_READ, SPLICE_OUT, SPLICE_IN, TOLD_BEFORE };
static const char *const tellers[] = {
	"nothing",	"a write",	    "two writes",     "SO_ERROR",
	"a splice to it", "a splice from it", "what dialed it"};

/* Two connected TCP sockets on loopback. */
static bool connected(int ends[2])
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof any;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	bool good = bind(listener, (struct sockaddr *)&any, length) == 0 && listen(listener, 1) == 0 &&
		    getsockname(listener, (struct sockaddr *)&any, &length) == 0;

	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	good = good && (connect(ends[0], (struct sockaddr *)&any, length) == 0 || errno == EINPROGRESS);
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
	return good && ends[1] >= 0;
}

/* Waits for `events`, 0: for an error or a hang-up. */
static void await(int sock, short events)
{
	struct pollfd p = {.fd = sock, .events = events};

	poll(&p, 1, 10000);
}

static void reset(int sock)
{
	struct linger at_once = {1, 0};

	setsockopt(sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(sock);
}

/* Something is told that the connection is lost. Returns the -errno that it was, if that was found out. */
static int tell(struct stream_socket *s, enum teller teller)
{
	struct stream *stream = &s->stream;
	int error = 0, ends[2];
	socklen_t length = sizeof error;

	switch (teller) {
	case TWO_WRITES:
		stream->ops->write(stream, "x", 1);
		/* fall through */
	case WRITE:
		return (int)stream->ops->write(stream, "x", 1);
	case SO_ERROR_READ:
	case TOLD_BEFORE:
		getsockopt(stream->rfd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (teller == TOLD_BEFORE)
			stream_socket_open(s, stream->rfd, -error);
		return -error;
	case SPLICE_OUT:
	case SPLICE_IN:
		if (pipe(ends) < 0 || write(ends[1], "x", 1) != 1)
			return 0;
		error = (int)(teller == SPLICE_OUT ? carrier_move(ends[0], stream->wfd, 1) :
						     carrier_move(stream->rfd, ends[1], 1));
		close(ends[0]);
		close(ends[1]);
		return error;
	default:
		return 0;
	}
}

/* The peer says a few bytes, ends or does not, and resets; what does the stream tell? */
static void check_loss(enum teller teller, bool words, bool fin, bool shut)
{
	struct stream_socket s;
	char buf[16];
	int ends[2], first;
	ssize_t got, again;
	bool good;

	if (!connected(ends)) {
		point(false, "no connection");
		return;
	}
	await(ends[0], POLLOUT);
	stream_socket_open(&s, ends[0], 0);
	if (shut)
		s.stream.ops->shut(&s.stream);
	if (words && write(ends[1], "words", 5) != 5)
		point(false, "no words");
	if (fin)
		shutdown(ends[1], SHUT_WR);
	reset(ends[1]);
	await(ends[0], 0);
	first = tell(&s, teller);
	got = words ? s.stream.ops->read(&s.stream, buf, sizeof buf) : 5;
	good = got == 5;
	got = s.stream.ops->read(&s.stream, buf, sizeof buf);
	again = s.stream.ops->read(&s.stream, buf, sizeof buf);
	good = good && got == again && (fin ? got == 0 : got == -ECONNRESET);
	point(good, "%s%sreset%s, told to %s first (%s): %s, and again: %s", words ? "words, " : "",
	      fin ? "an end-of-file, " : "", shut ? " behind our end" : "", tellers[teller], strerror(-first),
	      got == 0 ? "end-of-file" : strerror((int)-got),
	      again == 0 ? "end-of-file" : strerror((int)-again));
	s.stream.ops->close(&s.stream);
}

/* The peer ends politely, before or after us. */
static void check_end(bool we_end, bool we_first)
{
	struct stream_socket s;
	char buf[16];
	int ends[2];
	ssize_t got;

	if (!connected(ends)) {
		point(false, "no connection");
		return;
	}
	await(ends[0], POLLOUT);
	stream_socket_open(&s, ends[0], 0);
	if (we_end && we_first)
		s.stream.ops->shut(&s.stream);
	shutdown(ends[1], SHUT_WR);
	await(ends[0], POLLIN);
	if (we_end && !we_first)
		s.stream.ops->shut(&s.stream);
	if (we_end)
		close(ends[1]);
	got = s.stream.ops->read(&s.stream, buf, sizeof buf);
	point(got == 0, "an end-of-file%s: %s", !we_end ? "" : we_first ? " behind ours" : ", then ours",
	      strerror((int)-got));
	s.stream.ops->close(&s.stream);
	if (!we_end)
		close(ends[1]);
}

int main(void)
{
	for (enum teller teller = NOTHING; teller <= TOLD_BEFORE; teller++)
		for (int words = 0; words < 2; words++)
			/* a splice from it takes the words first */
			if (teller != SPLICE_IN || !words)
				check_loss(teller, words, false, false);
	/* of SO_ERROR and splice(2) the stream does not hear what they were told */
	for (int words = 0; words < 2; words++) {
		check_loss(NOTHING, words, true, false);
		check_loss(WRITE, words, true, false);
		check_loss(TWO_WRITES, words, true, false);
		check_loss(TOLD_BEFORE, words, true, false);
		check_loss(NOTHING, words, false, true);
	}
	check_end(false, false);
	check_end(true, true);
	check_end(true, false);
	return done();
}
