#include "session/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/fd.h"
#include "base/json.h"
#include "net/tcpinfo.h"
#include "session/progress.h"
#include "session/session.h"

/* Room for all that is of limited length, and for what is told of one address that was tried. */
#define LINE_BYTES 4096
#define ATTEMPT_BYTES 512

/* Milliseconds, or null for what did not happen. */
static void duration(struct json *j, const char *key, nsec from, nsec to)
{
	if (from == 0 || to == 0)
		json_null(j, key);
	else
		json_value(j, key, "%.3f", (double)(to - from) / NSEC_PER_MSEC);
}

static void endpoint(struct json *j, const char *key, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT];

	json_open(j, key, '{');
	json_string(j, "address", endpoint_text(e, text));
	json_number(j, "port", endpoint_port(e));
	json_close(j, '}');
}

/* How one direction stands or ended. */
static const char *ending(const struct session *s, const struct flow *f)
{
	if (!s->relaying)
		return "none";
	if (f->state == FLOW_FAILED)
		return strerror(f->error == -EPIPE ? ECONNRESET : -f->error);
	if (f->cut)
		return "cut";
	return f->state == FLOW_DONE ? "eof" : "open";
}

static void tcp(struct json *j, const struct session *s)
{
	struct tcpinfo i;

	if (!s->remote || tcpinfo_read(s->remote->rfd, &i) < 0 || tcpinfo_forgotten(&i)) {
		json_null(j, "tcp");
		return;
	}
	json_open(j, "tcp", '{');
	json_number(j, "rtt_us", i.rtt_us);
	json_number(j, "rttvar_us", i.rttvar_us);
	json_number(j, "retransmits", i.retransmits);
	json_number(j, "mss", i.mss);
	json_number(j, "cwnd", i.cwnd);
	json_number(j, "bytes_acked", i.bytes_acked);
	json_number(j, "bytes_received", i.bytes_received);
	json_number(j, "delivery_rate", i.delivery_rate);
	json_close(j, '}');
}

/* Whom it was to reach, what was tried for that, and with whom it came to be. */
static void addresses(struct json *j, const struct session *s)
{
	struct endpoint local;

	if (s->settings->host) {
		json_string(j, s->incoming ? "forward_host" : "host", s->settings->host);
		json_number(j, s->incoming ? "forward_port" : "port", s->settings->port);
	}
	if (s->dialed)
		json_value(j, "tried", "%s", s->dialed);
	if (!s->remote)
		return;
	if (endpoint_of_local(s->remote->rfd, &local) == 0)
		endpoint(j, "local", &local);
	endpoint(j, "peer", &s->peer);
}

static void durations(struct json *j, const struct session *s)
{
	duration(j, "lookup_ms", s->dial_began, s->dial_looked_up);
	duration(j, "connect_ms", s->dial_looked_up, s->dial_connected);
	duration(j, "first_byte_ms", s->began, s->first_byte);
	duration(j, "duration_ms", s->began, clock_now());
}

/* No line is longer than this: an escaped byte takes 6. */
static size_t room_for(const struct session *s)
{
	size_t texts = s->failure ? strlen(s->failure) : 0;

	texts += s->settings->host ? strlen(s->settings->host) : 0;
	return LINE_BYTES + 6 * texts + (s->dialed ? strlen(s->dialed) : 0);
}

/* As the caller of the program will see it. */
static int status_told(const struct session *s)
{
	return s->status > EXIT_RAISE ? s->status - EXIT_RAISE + EXIT_SIGNAL : s->status;
}

int report_write(const struct session *s, int fd)
{
	size_t size = room_for(s);
	char *room = malloc(size);
	struct json j;
	int r;

	if (!room)
		return -ENOMEM;
	json_begin(&j, room, size);
	json_open(&j, NULL, '{');
	json_number(&j, "connection", s->number);
	json_string(&j, "role", s->incoming ? "listen" : "connect");
	addresses(&j, s);
	durations(&j, s);
	json_number(&j, "sent", session_sent(s));
	json_number(&j, "received", session_received(s));
	json_string(&j, "sent_end", ending(s, &s->out));
	json_string(&j, "received_end", ending(s, &s->in));
	json_number(&j, "status", (uint64_t)status_told(s));
	if (s->failure)
		json_string(&j, "error", s->failure);
	tcp(&j, s);
	json_close(&j, '}');
	if (fd == STDERR_FILENO)
		progress_wipe(s);
	r = fd_write_all(fd, room, json_line(&j));
	free(room);
	return r;
}

static void attempt(struct json *j, const struct dial *d, int i)
{
	const struct dial_attempt *a = &d->attempts[i];
	const struct endpoint *address = &d->look_up.found[i];
	char text[ENDPOINT_TEXT];
	bool won = d->connected && endpoint_equal(address, &d->peer);

	json_open(j, NULL, '{');
	json_string(j, "address", endpoint_text(address, text));
	json_number(j, "port", d->port);
	json_string(j, "result", won ? "connected" : a->error ? strerror(-a->error) : "abandoned");
	duration(j, "ms", a->began, a->ended);
	json_close(j, '}');
}

void report_keep_dial(struct session *s, const struct dial *d)
{
	size_t size = LINE_BYTES + (size_t)d->begun * ATTEMPT_BYTES;
	struct json j;

	s->dial_began = d->look_up_began;
	s->dial_looked_up = d->looked_up;
	s->dial_connected = d->connected;
	free(s->dialed);
	s->dialed = malloc(size);
	if (!s->dialed)
		return;
	json_begin(&j, s->dialed, size);
	json_open(&j, NULL, '[');
	for (int i = 0; i < d->begun; i++)
		attempt(&j, d, i);
	json_close(&j, ']');
}
