/*
 * The format of packet analysers: pcapng (draft-ietf-opsawg-pcapng), link type LINKTYPE_RAW. What has crossed
 * the connection is written as the packets of a TCP connection (RFC 9293) without losses: real addresses and
 * ports, a handshake, sequence numbers that count the bytes of each side from 0, right checksums, and FIN or
 * RST as they happened.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "trace/writer.h"

/* Packets stay below 64 KiB with all headers. */
#define SEGMENT_MOST ((size_t)61440)

/* After this many bytes one way, an acknowledgement the other way is written. */
#define ACK_EVERY ((uint64_t)1 << 20)

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

#define BLOCK_SECTION 0x0a0d0d0aU
#define BLOCK_INTERFACE 1U
#define BLOCK_PACKET 6U
#define LINKTYPE_RAW 101U
#define OPTION_COMMENT 1U
#define OPTION_FLAGS 2U

/* A record under construction: bytes appended in either byte order. */
struct record {
	unsigned char bytes[512];
	size_t used;
};

static void add(struct record *r, const void *bytes, size_t n)
{
	if (n == 0)
		return;
	memcpy(r->bytes + r->used, bytes, n);
	r->used += n;
}

/* pcapng is written in the byte order of the machine. */
static void add32(struct record *r, uint32_t v)
{
	add(r, &v, sizeof v);
}

static void add16(struct record *r, uint16_t v)
{
	add(r, &v, sizeof v);
}

/* TCP and IP are in network order. */
static void net32(struct record *r, uint32_t v)
{
	add32(r, htonl(v));
}

static void net16(struct record *r, uint16_t v)
{
	add16(r, htons(v));
}

static void pad(struct record *r)
{
	while (r->used % 4)
		r->bytes[r->used++] = 0;
}

/* An option of a block: pcapng, 3.5. */
static void add_option(struct record *r, unsigned code, const void *value, size_t n)
{
	add16(r, (uint16_t)code);
	add16(r, (uint16_t)n);
	add(r, value, n);
	pad(r);
}

/* --- checksums: RFC 1071 --- */

/* Adds `n` bytes to a sum, as if an even number of bytes had gone before. */
static uint64_t sum(uint64_t so_far, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;
	uint32_t word;

	/* the sum of 16-bit words is that of 32-bit ones, once all carries are folded in */
	for (; n >= sizeof word; b += sizeof word, n -= sizeof word) {
		memcpy(&word, b, sizeof word);
		so_far += word;
	}
	if (n == 0)
		return so_far;
	word = 0;
	memcpy(&word, b, n);
	return so_far + word;
}

static uint16_t fold(uint64_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* --- packets --- */

struct packet {
	const struct trace_address *from, *to;
	const void *data;
	size_t length;
	unsigned flags;
	uint32_t seq, ack;
};

/* Puts a checksum, which is in network order already, into its place. */
static void store_sum(struct record *r, size_t at, uint64_t s)
{
	uint16_t folded = fold(s);

	memcpy(r->bytes + at, &folded, sizeof folded);
}

static size_t tcp_header_size(const struct packet *p)
{
	return p->flags & SYN ? 28 : 20;
}

/* IPv4: RFC 791. Returns the part of the TCP checksum that covers the addresses. */
static uint64_t add_ipv4(struct record *r, const struct packet *p)
{
	size_t start = r->used;

	net16(r, 0x4500);
	net16(r, (uint16_t)(20 + tcp_header_size(p) + p->length));
	net32(r, 0x4000); /* identification 0, don't fragment */
	net16(r, 64 << 8 | IPPROTO_TCP);
	net16(r, 0);
	add(r, p->from->bytes, 4);
	add(r, p->to->bytes, 4);
	store_sum(r, start + 10, sum(0, r->bytes + start, 20));
	return sum(0, r->bytes + start + 12, 8);
}

/* IPv6: RFC 8200. */
static uint64_t add_ipv6(struct record *r, const struct packet *p)
{
	net32(r, 0x60000000);
	net16(r, (uint16_t)(tcp_header_size(p) + p->length));
	net16(r, IPPROTO_TCP << 8 | 64);
	add(r, p->from->bytes, 16);
	add(r, p->to->bytes, 16);
	return sum(0, r->bytes + r->used - 32, 32);
}

/* TCP: RFC 9293. `addresses` is the sum over those of the IP header. */
static void add_tcp(struct record *r, const struct packet *p, uint64_t addresses)
{
	size_t start = r->used, size = tcp_header_size(p);
	uint64_t s = addresses + htons(IPPROTO_TCP) + htons((uint16_t)(size + p->length));

	net16(r, p->from->port);
	net16(r, p->to->port);
	net32(r, p->seq);
	net32(r, p->flags & ACK ? p->ack : 0);
	net16(r, (uint16_t)(size / 4 << 12 | p->flags));
	net16(r, 65535);
	net32(r, 0);
	if (p->flags & SYN) {
		/* maximum segment size; no operation, window scale 14 (RFC 7323) */
		net32(r, 0x02040000 | (uint32_t)SEGMENT_MOST);
		net32(r, 0x0103030e);
	}
	s = sum(s, r->bytes + start, size);
	store_sum(r, start + 16, sum(s, p->data, p->length));
}

/* An Enhanced Packet Block: pcapng, 4.3. The data stays where it is. */
static void write_packet(struct trace_connection *c, const struct packet *p)
{
	static const unsigned char zeros[4];
	struct timespec now = trace_time();
	uint64_t us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	uint32_t flags = p->from == &c->local ? 2 : 1; /* outbound, inbound */
	struct record head = {.used = 28}, tail = {.used = 0};
	struct iovec parts[4];
	size_t headers, padding;
	char comment[40];
	uint32_t total;

	add_tcp(&head, p, p->from->v6 ? add_ipv6(&head, p) : add_ipv4(&head, p));
	headers = head.used - 28;
	padding = -(headers + p->length) % 4;
	/* by its number a connection is found among many */
	if (p->flags == SYN) {
		int n = snprintf(comment, sizeof comment, "connection %" PRIu64, c->number);

		add_option(&tail, OPTION_COMMENT, comment, (size_t)n);
	}
	add_option(&tail, OPTION_FLAGS, &flags, sizeof flags);
	add_option(&tail, 0, NULL, 0);
	total = (uint32_t)(head.used + p->length + padding + tail.used + 4);
	add32(&tail, total);

	/* now that all lengths are known, the head of the block */
	head.used = 0;
	add32(&head, BLOCK_PACKET);
	add32(&head, total);
	add32(&head, 0);
	add32(&head, (uint32_t)(us >> 32));
	add32(&head, (uint32_t)us);
	add32(&head, (uint32_t)(headers + p->length));
	add32(&head, (uint32_t)(headers + p->length));
	parts[0] = (struct iovec){head.bytes, 28 + headers};
	parts[1] = (struct iovec){(void *)(uintptr_t)p->data, p->length};
	parts[2] = (struct iovec){(void *)(uintptr_t)zeros, padding};
	parts[3] = (struct iovec){tail.bytes, tail.used};
	trace_write(c->trace, parts, 4);
}

/* --- what happens on a connection, as packets --- */

static enum trace_direction other(enum trace_direction way)
{
	return way == TRACE_SENT ? TRACE_RECEIVED : TRACE_SENT;
}

/* The next sequence number of a side: SYN, its bytes and its FIN count. */
static uint32_t next_seq(const struct trace_connection *c, enum trace_direction way)
{
	return (uint32_t)(1 + c->moved[way] + c->ended[way]);
}

/* A packet that goes that way, `offset` bytes behind those moved so far. */
static void emit(struct trace_connection *c, enum trace_direction way, unsigned flags,
		 const void *data, size_t length, uint64_t offset)
{
	struct packet p = {
		.from = way == TRACE_SENT ? &c->local : &c->peer,
		.to = way == TRACE_SENT ? &c->peer : &c->local,
		.data = data,
		.length = length,
		.flags = flags,
		.seq = flags & SYN ? 0 : next_seq(c, way) + (uint32_t)offset,
		.ack = flags & SYN ? 1 : next_seq(c, other(way)),
	};

	write_packet(c, &p);
	c->acked[other(way)] = c->moved[other(way)];
}

static int open_file(struct trace *t)
{
	struct record r = {.used = 0};
	int e = trace_open_file(t);

	if (e < 0)
		return e;
	/* Section Header Block: byte order, version 1.0, length unknown */
	add32(&r, BLOCK_SECTION);
	add32(&r, 28);
	add32(&r, 0x1a2b3c4d);
	add16(&r, 1);
	add16(&r, 0);
	add32(&r, UINT32_MAX);
	add32(&r, UINT32_MAX);
	add32(&r, 28);
	/* Interface Description Block: packets are whole, times in microseconds */
	add32(&r, BLOCK_INTERFACE);
	add32(&r, 20);
	add16(&r, LINKTYPE_RAW);
	add16(&r, 0);
	add32(&r, 0);
	add32(&r, 20);
	trace_write_text(t, r.bytes, r.used);
	return 0;
}

static void pcapng_begin(struct trace_connection *c)
{
	enum trace_direction first = c->incoming ? TRACE_RECEIVED : TRACE_SENT;

	/* our own address is unknown, and IPv4, only when the connection has ended already */
	c->local.v6 = c->peer.v6;
	emit(c, first, SYN, NULL, 0, 0);
	emit(c, other(first), SYN | ACK, NULL, 0, 0);
	emit(c, first, ACK, NULL, 0, 0);
}

static void pcapng_bytes(struct trace_connection *c, enum trace_direction way, const unsigned char *b,
			size_t n)
{
	if (c->moved[way] - c->acked[way] >= ACK_EVERY)
		emit(c, other(way), ACK, NULL, 0, 0);
	for (size_t at = 0, now; at < n; at += now) {
		now = n - at < SEGMENT_MOST ? n - at : SEGMENT_MOST;
		emit(c, way, PSH | ACK, b + at, now, at);
	}
}

static void pcapng_end(struct trace_connection *c, enum trace_direction way, enum trace_ending how)
{
	if (how == TRACE_RESET) {
		emit(c, way, RST | ACK, NULL, 0, 0);
		return;
	}
	emit(c, way, FIN | ACK, NULL, 0, 0);
	/* the FIN is acknowledged at once; it counts from here on */
	c->ended[way] = true;
	emit(c, other(way), ACK, NULL, 0, 0);
	c->ended[way] = false;
}

static void pcapng_finish(struct trace_connection *c, const char *how)
{
	(void)c, (void)how;
}

const struct trace_ops trace_pcapng = {open_file, pcapng_begin, pcapng_bytes, pcapng_end, pcapng_finish};
