#include "observe/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "net/tcpinfo.h"
#include "observe/progress.h"

/* Room for the members of limited length, and for one address that was tried. */
#define LINE_BYTES 4096
#define TRIED_BYTES 512

/* Milliseconds, or null for what did not happen. */
static void put_duration(struct json *j, const char *key, nsec from, nsec to)
{
	if (from == 0 || to == 0)
		json_null(j, key);
	else
		json_value(j, key, "%.3f", (double)(to - from) / NSEC_PER_MSEC);
}

static void put_endpoint(struct json *j, const char *key, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT];

	json_open(j, key, '{');
	json_string(j, "address", endpoint_text(e, text));
	json_number(j, "port", endpoint_port(e));
	json_close(j, '}');
}

static void put_tcp(struct json *j, int sock)
{
	struct tcpinfo i;

	if (tcpinfo_read(sock, &i) < 0 || tcpinfo_forgotten(&i)) {
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

static void put_tried(struct json *j, const struct dial_tried *t)
{
	char text[ENDPOINT_TEXT];
	const char *result = t->error ? strerror(-t->error) : t->ended ? "connected" : "abandoned";

	json_open(j, NULL, '{');
	json_string(j, "address", endpoint_text(&t->at, text));
	json_number(j, "port", endpoint_port(&t->at));
	json_string(j, "result", result);
	put_duration(j, "ms", t->began, t->ended);
	json_close(j, '}');
}

/* The host that was dialed, the addresses that were tried, and the two ends of the connection. */
static void put_addresses(struct json *j, const struct facts *f)
{
	struct endpoint local;

	if (f->host) {
		json_string(j, f->incoming ? "forward_host" : "host", f->host);
		json_number(j, f->incoming ? "forward_port" : "port", f->port);
	}
	if (f->dialed) {
		json_open(j, "tried", '[');
		for (int i = 0; i < f->dialed->count; i++)
			put_tried(j, &f->dialed->tried[i]);
		json_close(j, ']');
	}
	if (f->sock < 0)
		return;
	if (endpoint_of_local(f->sock, &local) == 0)
		put_endpoint(j, "local", &local);
	put_endpoint(j, "peer", f->peer);
}

static void put_durations(struct json *j, const struct facts *f)
{
	static const struct dial_record none;
	const struct dial_record *d = f->dialed ? f->dialed : &none;

	put_duration(j, "lookup_ms", d->began, d->looked_up);
	put_duration(j, "connect_ms", d->looked_up, d->connected);
	put_duration(j, "first_byte_ms", f->began, f->first_byte);
	put_duration(j, "duration_ms", f->began, f->now);
}

/* No line is longer than this: an escaped byte takes 6. */
static size_t room_for(const struct facts *f)
{
	size_t texts = f->failure ? strlen(f->failure) : 0;

	texts += f->host ? strlen(f->host) : 0;
	return LINE_BYTES + 6 * texts + (f->dialed ? (size_t)f->dialed->count * TRIED_BYTES : 0);
}

int report_write(const struct facts *f, int fd)
{
	size_t size = room_for(f);
	char *room = malloc(size), date[CLOCK_DATE];
	struct json j;
	int r;

	if (!room)
		return -ENOMEM;
	json_begin(&j, room, size);
	json_open(&j, NULL, '{');
	json_number(&j, "connection", f->number);
	json_string(&j, "time", clock_date(f->date, date));
	json_string(&j, "role", f->incoming ? "listen" : "connect");
	put_addresses(&j, f);
	put_durations(&j, f);
	json_number(&j, "sent", f->sent);
	json_number(&j, "received", f->received);
	json_string(&j, "sent_end", f->sent_end);
	json_string(&j, "received_end", f->received_end);
	json_number(&j, "status", (uint64_t)f->status);
	if (f->failure)
		json_string(&j, "error", f->failure);
	put_tcp(&j, f->sock);
	json_close(&j, '}');
	if (fd == STDERR_FILENO)
		progress_wipe();
	r = fd_write_all(fd, room, json_line(&j));
	free(room);
	return r;
}
