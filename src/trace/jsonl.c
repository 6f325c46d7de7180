/*
 * JSON lines: an object for each event. The bytes are in base64, since JSON's strings hold only text.
 *
 *   {"event":"open","connection":1,"time":T,"incoming":false,"local":{"address":A,"port":P},"peer":{...}}
 *   {"event":"data","connection":1,"time":T,"direction":"sent","offset":0,"length":6,"data":"aGVsbG8K"}
 *   {"event":"end","connection":1,"time":T,"direction":"received","how":"fin"}
 *   {"event":"close","connection":1,"time":T,"how":"closed","sent":6,"received":0}
 */
#include "base/json.h"
#include "trace/writer.h"

/* Bytes a line: in base64 they leave room in the scratch for the rest of the object. */
#define LINE_BYTES ((size_t)30720)

/* Opens an object with what all events have. */
static struct json event(struct trace_connection *c, const char *name)
{
	char date[CLOCK_DATE];
	struct json j;

	json_begin(&j, c->trace->scratch, TRACE_SCRATCH);
	json_open(&j, NULL, '{');
	json_string(&j, "event", name);
	json_number(&j, "connection", c->number);
	json_string(&j, "time", clock_date(clock_wall(), date));
	return j;
}

static void write_event(struct trace_connection *c, struct json *j)
{
	json_close(j, '}');
	trace_write_text(c->trace, j->text, json_line(j));
}

static void address(struct json *j, const char *key, const struct trace_address *a)
{
	json_open(j, key, '{');
	json_string(j, "address", a->text);
	json_number(j, "port", a->port);
	json_close(j, '}');
}

static void direction(struct json *j, enum trace_direction way)
{
	json_string(j, "direction", way == TRACE_SENT ? "sent" : "received");
}

static void jsonl_begin(struct trace_connection *c)
{
	struct json j = event(c, "open");

	json_flag(&j, "incoming", c->incoming);
	address(&j, "local", &c->local);
	address(&j, "peer", &c->peer);
	write_event(c, &j);
}

static void jsonl_bytes(struct trace_connection *c, enum trace_direction way, const unsigned char *b,
			size_t n)
{
	for (size_t at = 0, now; at < n; at += now) {
		struct json j = event(c, "data");

		now = n - at < LINE_BYTES ? n - at : LINE_BYTES;
		direction(&j, way);
		json_number(&j, "offset", c->moved[way] + at);
		json_number(&j, "length", now);
		json_base64(&j, "data", b + at, now);
		write_event(c, &j);
	}
}

static void jsonl_end(struct trace_connection *c, enum trace_direction way, enum trace_ending how)
{
	struct json j = event(c, "end");

	direction(&j, way);
	json_string(&j, "how", how == TRACE_FIN ? "fin" : "reset");
	write_event(c, &j);
}

static void jsonl_finish(struct trace_connection *c, const char *how)
{
	struct json j = event(c, "close");

	json_string(&j, "how", how);
	json_number(&j, "sent", c->moved[TRACE_SENT]);
	json_number(&j, "received", c->moved[TRACE_RECEIVED]);
	write_event(c, &j);
}

const struct trace_ops trace_jsonl = {trace_open_file, jsonl_begin, jsonl_bytes, jsonl_end, jsonl_finish};
