#include "session/facts.h"

#include "base/exitcode.h"
#include "net/sockopt.h"
#include "net/tcpinfo.h"
#include "observe/progress.h"
#include "session/session.h"

/* How one direction stands or ended; `words` has room for an error. */
static const char *facts_ending(const struct session *s, const struct flow *f, char *words, size_t size)
{
	const struct stream *culprit = f->culprit == FLOW_SRC ? f->src : f->dst;

	if (!s->joined)
		return "none";
	if (f->state == FLOW_FAILED) {
		stream_explain(culprit, f->culprit == FLOW_SRC ? STREAM_READ : STREAM_WRITE, f->error, words,
			       size);
		return words;
	}
	if (f->cut)
		return "cut";
	return f->state == FLOW_DONE ? "eof" : "open";
}

static const char *facts_first_end(const struct session *s)
{
	if (s->first_end == SIDE_NONE)
		return NULL;
	if (s->first_end == SIDE_PEER)
		return "the peer";
	return s->incoming && s->settings->host ? "the upstream" : "this side";
}

/* A command has the socket itself: no byte passes us, and the kernel alone has counted them. */
static void facts_count(struct facts *f)
{
	int queued = sockopt_unacknowledged(f->sock);
	struct tcpinfo info;

	if (tcpinfo_read(f->sock, &info) < 0)
		return;
	f->sent = info.bytes_acked + (queued > 0 ? (uint64_t)queued : 0);
	f->received = info.bytes_received;
	/* an end counts as a byte there */
	if (f->sent > 0 && tcpinfo_end_sent(&info))
		f->sent--;
	if (f->received > 0 && tcpinfo_end_received(&info))
		f->received--;
}

void session_facts(const struct session *s, struct facts *f)
{
	const struct session_notes *n = s->notes;
	const struct leg *other = &s->legs[LEG_OTHER];

	*f = (struct facts){
		.number = s->number,
		.incoming = s->incoming,
		.host = s->settings->host,
		.port = s->settings->port,
		.dialed = n ? n->dialed : NULL,
		.sock = leg_socket(&s->legs[LEG_CONNECTION]),
		.peer = &s->peer,
		.began = s->began,
		.date = clock_wall() - (clock_now() - s->began),
		.first_byte = s->first_byte_us ? s->began + s->first_byte_us * (nsec)1000 : 0,
		.now = clock_now(),
		.sent = s->out.moved,
		.received = s->in.moved,
		.joined = s->joined,
		.first_end = facts_first_end(s),
		.status = s->status > EXIT_RAISE ? s->status - EXIT_RAISE + EXIT_SIGNAL : s->status,
		.failure = n ? n->failure : NULL,
		.from_stdin = s->joined && other->top && s->out.src == other->top && other->top->rfd == 0,
	};
	if (s->settings->command && !s->joined)
		facts_count(f);
	f->sent_end = facts_ending(s, &s->out, f->sent_words, sizeof f->sent_words);
	f->received_end = facts_ending(s, &s->in, f->received_words, sizeof f->received_words);
}

void session_draw(struct session *s, nsec now)
{
	struct session_notes *n = session_notes(s);
	struct facts facts;

	if (!n || n->drawn_last || !progress_is_wanted())
		return;
	if (now >= n->drawn_at + PROGRESS_PERIOD) {
		session_facts(s, &facts);
		progress_draw(&facts, false);
		n->drawn_at = now;
	}
	session_wake_at(s, n->drawn_at + PROGRESS_PERIOD);
}

void session_draw_last(struct session *s)
{
	struct session_notes *n = s->notes;
	struct facts facts;

	if (!n || !n->drawn_at || n->drawn_last)
		return;
	session_facts(s, &facts);
	progress_draw(&facts, true);
	n->drawn_last = true;
}
