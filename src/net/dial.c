#include "net/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"

#define ATTEMPT_DELAY (250 * NSEC_PER_MSEC) /* RFC 8305, section 5 */

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24 /* linux/in.h: the port is chosen by connect, not by bind */
#endif

void dial_start(struct dial *d, const struct dial_settings *settings, const char *host, uint16_t port,
		nsec until, struct task *task)
{
	memset(d, 0, sizeof *d);
	d->sock = -1;
	d->settings = settings;
	d->host = host;
	d->port = port;
	d->until = until;
	d->task = task;
	d->began = clock_now();
	timer_init(&d->timer, task);
	if (settings->source)
		endpoint_parse(settings->source, &d->source);
}

void dial_use(struct dial *d, const struct lookup *known)
{
	d->known = known;
}

/* --- the race --- */

/*
 * Closes one attempt and forgets its socket. It may have connected meanwhile: a reset tells the peer that this
 * is given up, and not a conversation that ends before its first byte.
 */
static void end_attempt(struct dial_attempt *a)
{
	if (a->sock < 0)
		return;
	watch_for(&a->watch, FD_NOTHING);
	sockopt_abort_on_close(a->sock);
	fd_close(&a->sock);
}

static void end_attempts(struct dial *d)
{
	for (int i = 0; i < d->begun; i++)
		end_attempt(&d->attempts[i]);
}

/* An attempt has failed: note it, tell of it, and let the next one begin at once. */
static void attempt_failed(struct dial *d, int i, int error)
{
	struct dial_attempt *a = &d->attempts[i];
	char text[ENDPOINT_TEXT];

	a->error = error;
	a->ended = clock_now();
	end_attempt(a);
	d->next_begins = 0;
	diag_detail("attempt %s port %u: %s (%.1f ms)", endpoint_text(&d->look_up.found[i], text),
		    d->port, strerror(-error), (double)(a->ended - a->began) / NSEC_PER_MSEC);
}

/* Binds to the source address and port that were asked for. Returns 0 or -errno. */
static int bind_source(const struct dial *d, int sock, int family)
{
	struct endpoint source = d->source;
	int one = 1;

	if (source.length == 0 && d->settings->source_port == 0)
		return 0;
	if (source.length == 0)
		endpoint_any(family, &source);
	if (source.any.sa_family != family)
		return -EAFNOSUPPORT;
	endpoint_set_port(&source, (uint16_t)d->settings->source_port);
	if (d->settings->source_port)
		setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	else
		setsockopt(sock, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	return bind(sock, &source.any, source.length) < 0 ? -errno : 0;
}

/*
 * With both ports in the ephemeral range TCP can connect a socket to itself (simultaneous open, RFC
 * 9293, 3.5): connect(2) succeeds though nothing listens. That counts as a refusal.
 */
static bool is_self(int sock)
{
	struct endpoint local, peer;

	return endpoint_of_local(sock, &local) == 0 && endpoint_of_peer(sock, &peer) == 0 &&
	       endpoint_equal(&local, &peer);
}

/* An attempt has connected: it wins, unless it is connected to itself. Returns true if it won. */
static bool attempt_connected(struct dial *d, int i)
{
	struct dial_attempt *a = &d->attempts[i];
	char text[ENDPOINT_TEXT];

	if (is_self(a->sock)) {
		attempt_failed(d, i, -ECONNREFUSED);
		return false;
	}
	watch_for(&a->watch, FD_NOTHING);
	d->sock = a->sock;
	a->sock = -1;
	d->peer = d->look_up.found[i];
	d->connected = a->ended = clock_now();
	diag_detail("attempt %s port %u: connected (%.1f ms)", endpoint_text(&d->peer, text), d->port,
		    (double)(d->connected - a->began) / NSEC_PER_MSEC);
	return true;
}

static bool attempts_under_way(const struct dial *d)
{
	for (int i = 0; i < d->begun; i++)
		if (d->attempts[i].sock >= 0)
			return true;
	return false;
}

/*
 * An attempt could not begin. A lack of descriptors or memory says nothing about the address: while other
 * attempts are under way, which will give some back, it is put off.
 */
static void cannot_begin(struct dial *d, int i, int error)
{
	end_attempt(&d->attempts[i]);
	if (exitcode_for(error, EXIT_OK) == EXIT_RESOURCES && attempts_under_way(d))
		d->begun--;
	else
		attempt_failed(d, i, error);
}

/* Begins the next attempt. Returns true if that has connected at once. */
static bool begin_attempt(struct dial *d)
{
	int i = d->begun++, r;
	struct dial_attempt *a = &d->attempts[i];
	const struct endpoint *to = &d->look_up.found[i];
	const char *refused;

	*a = (struct dial_attempt){.sock = -1, .began = clock_now()};
	d->next_begins = clock_after(a->began, ATTEMPT_DELAY);
	a->sock = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			 sockopts_protocol(d->settings->options));
	watch_init(&a->watch, a->sock, d->task);
	r = a->sock < 0 ? -errno : bind_source(d, a->sock, to->any.sa_family);
	if (r == 0) {
		sockopt_prepare(a->sock, &d->settings->keepalive);
		r = sockopts_set(a->sock, to->any.sa_family, d->settings->options, &refused);
	}
	if (r == 0)
		r = connect(a->sock, &to->any, to->length) < 0 ? -errno : 0;
	if (r == 0)
		return attempt_connected(d, i);
	if (r == -EINPROGRESS || r == -EINTR)
		r = watch_for(&a->watch, FD_OUT);
	if (r < 0)
		cannot_begin(d, i, r);
	return false;
}

/* Looks at an attempt that is under way. Returns true if it has won. */
static bool check_attempt(struct dial *d, int i)
{
	struct dial_attempt *a = &d->attempts[i];
	int error = 0;
	socklen_t length = sizeof error;
	bool reset;

	if (a->sock < 0 || !a->watch.got)
		return false;
	a->watch.got = 0;
	if (getsockopt(a->sock, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		error = errno;
	/* a refusal is ECONNREFUSED: a peer that resets has accepted, and may have sent something before */
	reset = error == ECONNRESET || error == EPIPE;
	if (reset)
		d->lost = -error;
	if (error == 0 || reset)
		return attempt_connected(d, i);
	attempt_failed(d, i, -error);
	return false;
}

/*
 * Of several failures the one with the highest weight is reported: an attempt without resources (4), a
 * refusal (3), any other (2), a missing route or address (1).
 */
static int weight(int error)
{
	if (exitcode_for(error, EXIT_OK) == EXIT_RESOURCES)
		return 4;
	switch (-error) {
	case ECONNREFUSED:
		return 3;
	case ENETUNREACH:
	case EAFNOSUPPORT:
	case EADDRNOTAVAIL:
		return 1;
	default:
		return 2;
	}
}

/* Runs the race one step. Returns 0 when won, -EAGAIN to wait, -EHOSTUNREACH when all have lost. */
static int race(struct dial *d, nsec now)
{
	for (int i = 0; i < d->begun; i++)
		if (check_attempt(d, i))
			return 0;
	while (d->begun < d->addresses && (now >= d->next_begins || !attempts_under_way(d)))
		if (begin_attempt(d))
			return 0;
	if (attempts_under_way(d))
		return -EAGAIN;
	d->error = 0;
	for (int i = 0; i < d->begun; i++)
		if (d->error == 0 || weight(d->attempts[i].error) > weight(d->error))
			d->error = d->attempts[i].error;
	return -EHOSTUNREACH;
}

/* --- the look-up --- */

/* RFC 8305, section 4: the families take turns, beginning with that of the first address. */
static void interleave(struct lookup *r)
{
	struct endpoint sorted[LOOKUP_MOST];
	int first = r->count ? r->found[0].any.sa_family : 0;
	int mine = 0, other = 0;

	for (int n = 0; n < r->count; n++) {
		bool want_first = n % 2 == 0;

		while (mine < r->count && r->found[mine].any.sa_family != first)
			mine++;
		while (other < r->count && r->found[other].any.sa_family == first)
			other++;
		/* one family used up: the rest of the other follows in its order */
		if ((want_first && mine < r->count) || other >= r->count)
			sorted[n] = r->found[mine++];
		else
			sorted[n] = r->found[other++];
	}
	memcpy(r->found, sorted, (size_t)r->count * sizeof *sorted);
}

/* The addresses are known: begin the race. */
static void begin_race(struct dial *d, nsec now)
{
	interleave(&d->look_up);
	d->addresses = d->look_up.count;
	for (int i = 0; i < d->addresses; i++)
		endpoint_set_port(&d->look_up.found[i], d->port);
	d->looked_up = now;
	d->stage = DIAL_RACE;
}

/* One step of the look-up. Returns 0 when the race can begin, or -errno. */
static int dial_look_up(struct dial *d)
{
	struct lookup *r = &d->look_up;
	struct endpoint literal;
	int family = d->settings->family, e;

	if (endpoint_parse(d->host, &literal) == HOST_ADDRESS) {
		r->found[0] = literal;
		r->count = 1;
		return 0;
	}
	if (d->known) {
		if (lookup_is_under_way(d->known))
			return -EAGAIN;
		memcpy(r, d->known, offsetof(struct lookup, child));
		return r->error ? -ENOENT : 0;
	}
	if (r->child == 0) {
		e = lookup_start(r, d->host, family, d->task);
		if (e < 0) {
			d->error = e;
			return -EMFILE;
		}
	}
	if (lookup_step(r) == -EAGAIN)
		return -EAGAIN;
	d->error = 0;
	return r->error ? -ENOENT : 0;
}

/* --- the whole --- */

/* Sets the timer for the end of the dial or the beginning of the next attempt, whichever is first. */
static void dial_set_timer(struct dial *d)
{
	nsec next = d->until;

	if (d->stage == DIAL_RACE && d->begun < d->addresses && d->next_begins < next)
		next = d->next_begins;
	timer_set(&d->timer, next);
}

/* Returns 0 when connected, -EAGAIN to wait or another -errno. */
static int dial_advance(struct dial *d, nsec now)
{
	int r;

	if (d->stage == DIAL_LOOK_UP) {
		r = dial_look_up(d);
		if (r < 0)
			return r;
		begin_race(d, now);
	}
	return race(d, now);
}

int dial_step(struct dial *d)
{
	nsec now = clock_now();
	int r = dial_advance(d, now);

	/* asked behind the step: what came in time counts, however late it is looked at */
	if (r == -EAGAIN && now < d->until) {
		dial_set_timer(d);
		return r;
	}
	d->out_of_time = r == -EAGAIN;
	d->not_asked = r == -EMFILE;
	d->stage = DIAL_OVER;
	timer_stop(&d->timer);
	end_attempts(d);
	return d->out_of_time ? -ETIMEDOUT : r;
}

int dial_status(const struct dial *d)
{
	if (d->out_of_time)
		return EXIT_TIMEDOUT;
	if (d->error == 0)
		return EXIT_UNRESOLVED;
	if (d->error == -ETIMEDOUT)
		return EXIT_TIMEDOUT;
	return exitcode_for(d->error, EXIT_REFUSED);
}

/* The addresses that were tried, as " (A, B)", when they are not the host itself. */
static void list_addresses(const struct dial *d, char *buf, size_t size)
{
	char text[ENDPOINT_TEXT];
	size_t used = 0;

	*buf = '\0';
	for (int i = 0; i < d->begun && used < size; i++) {
		endpoint_text(&d->look_up.found[i], text);
		if (strcmp(text, d->host) != 0)
			used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : " (",
						 text);
	}
	if (used > 0 && used < size)
		snprintf(buf + used, size - used, ")");
}

const char *dial_words(const struct dial *d, char *buf, size_t size)
{
	char tried[256];

	list_addresses(d, tried, sizeof tried);
	if ((d->error == 0 && !d->out_of_time) || d->not_asked)
		snprintf(buf, size, "look up %s", d->host);
	else
		snprintf(buf, size, "connect to %s port %u%s", d->host, d->port, tried);
	return buf;
}

const char *dial_reason(const struct dial *d)
{
	if (d->out_of_time)
		return "no answer";
	return d->error ? strerror(-d->error) : lookup_reason(d->look_up.error);
}

struct dial_record *dial_keep(const struct dial *d)
{
	struct dial_record *r = calloc(1, sizeof *r + (size_t)d->begun * sizeof *r->tried);

	if (!r)
		return NULL;
	r->began = d->began;
	r->looked_up = d->looked_up;
	r->connected = d->connected;
	r->error = d->error;
	r->count = d->begun;
	for (int i = 0; i < d->begun; i++)
		r->tried[i] = (struct dial_tried){d->look_up.found[i], d->attempts[i].error,
						  d->attempts[i].began, d->attempts[i].ended};
	return r;
}

void dial_close(struct dial *d)
{
	if (!d->settings)
		return;
	timer_stop(&d->timer);
	end_attempts(d);
	lookup_close(&d->look_up);
	fd_close(&d->sock);
}
