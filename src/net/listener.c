#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/fd.h"

/* For port 0: how often to let the kernel pick, when its pick for one family is taken in the other. */
#define PICKS_MOST 64

#define INHERITED_FIRST 3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */

static void switch_on(int sock, int level, int name)
{
	int one = 1;

	setsockopt(sock, level, name, &one, sizeof one);
}

/* A socket bound to `at`, which gets the port that was picked. Returns it or -errno. */
static int bind_one(struct endpoint *at, const struct listen_settings *s)
{
	int sock = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			  sockopts_protocol(s->options));
	const char *refused;
	int r;

	if (sock < 0)
		return -errno;
	switch_on(sock, SOL_SOCKET, SO_REUSEADDR);
	if (s->reuse_port)
		switch_on(sock, SOL_SOCKET, SO_REUSEPORT);
	/* IPv4 has a socket of its own, so that no peer ever shows up as ::ffff:a.b.c.d */
	if (at->any.sa_family == AF_INET6)
		switch_on(sock, IPPROTO_IPV6, IPV6_V6ONLY);
	r = sockopts_set(sock, at->any.sa_family, s->options, &refused);
	if (r == 0)
		r = bind(sock, &at->any, at->length) < 0 ? -errno : endpoint_of_local(sock, at);
	if (r < 0) {
		fd_close(&sock);
		return r;
	}
	return sock;
}

/* Where to listen: fills wanted[] from host and family. Returns how many, or -errno. */
static int find_addresses(struct listener *l, const struct listen_settings *s,
			  struct endpoint wanted[LISTEN_MOST])
{
	struct lookup look_up;
	int n = 0, r;

	if (!s->host) {
		if (s->family != AF_INET)
			endpoint_any(AF_INET6, &wanted[n++]);
		if (s->family != AF_INET6)
			endpoint_any(AF_INET, &wanted[n++]);
		return n;
	}
	if (endpoint_parse(s->host, &wanted[0]) == HOST_ADDRESS)
		return 1;
	r = lookup_now(&look_up, s->host, s->family, s->look_up_until);
	l->not_asked = r < 0;
	if (r < 0)
		return r;
	l->look_up_error = look_up.error;
	if (look_up.error)
		return -ENOENT;
	memcpy(wanted, look_up.found, sizeof look_up.found);
	return look_up.count;
}

/*
 * True for an error that says that this machine has no such family: the address is left out. Without IPv6 a
 * name, such as localhost, may still have an IPv6 address. An address that was given as such is never left
 * out.
 */
static bool lacks_family(const struct listen_settings *s, int family, int error)
{
	struct endpoint literal;

	if (s->host && endpoint_parse(s->host, &literal) == HOST_ADDRESS)
		return false;
	return error == -EAFNOSUPPORT || (error == -EADDRNOTAVAIL && (family == AF_INET6 || !s->host));
}

/* Binds each of `wanted` on one port. Returns 0 or -errno. */
static int bind_all(struct listener *l, const struct listen_settings *s,
		    const struct endpoint *wanted, int n)
{
	int lacking = 0;

	l->port = s->port;
	for (int i = 0; i < n; i++) {
		struct endpoint at = wanted[i];
		int sock;

		endpoint_set_port(&at, l->port);
		sock = bind_one(&at, s);
		l->failed_at = at;
		if (lacks_family(s, at.any.sa_family, sock) && ++lacking < n)
			continue;
		if (sock < 0)
			return sock;
		l->port = endpoint_port(&at);
		l->at[l->count] = at;
		watch_init(&l->watches[l->count], sock, NULL);
		l->socks[l->count++] = sock;
	}
	return 0;
}

/* Starts listening on all that is bound. Returns 0 or -errno. */
static int listen_all(struct listener *l, const struct listen_settings *s)
{
	for (int i = 0; i < l->count; i++) {
		l->failed_at = l->at[i];
		/* accepted connections inherit these options from the listening socket */
		sockopt_prepare(l->socks[i], &s->keepalive);
		if (listen(l->socks[i], s->backlog ? (int)s->backlog : SOMAXCONN) < 0)
			return -errno;
	}
	return 0;
}

int listener_open(struct listener *l, const struct listen_settings *s)
{
	struct endpoint wanted[LISTEN_MOST];
	int n, r;

	memset(l, 0, sizeof *l);
	n = find_addresses(l, s, wanted);
	if (n < 0)
		return n;
	for (int pick = 1;; pick++) {
		r = bind_all(l, s, wanted, n);
		if (r == 0)
			r = listen_all(l, s);
		if (r == 0)
			return 0;
		listener_close(l);
		if (r != -EADDRINUSE || s->port != 0 || pick == PICKS_MOST)
			return r;
	}
}

/* Is it a listening TCP socket? Returns 0 or -errno. */
static int check_listening(int sock)
{
	int value = 0;
	socklen_t length = sizeof value;

	if (getsockopt(sock, SOL_SOCKET, SO_PROTOCOL, &value, &length) < 0)
		return -errno;
	if (value != IPPROTO_TCP)
		return -EPROTOTYPE;
	if (getsockopt(sock, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) < 0)
		return -errno;
	return value ? 0 : -EPROTOTYPE;
}

int listener_inherit(struct listener *l, const struct listen_settings *s, int n)
{
	memset(l, 0, sizeof *l);
	for (int i = 0; i < n; i++) {
		int sock = INHERITED_FIRST + i, r = check_listening(sock);

		if (r == 0)
			r = endpoint_of_local(sock, &l->at[i]);
		if (r == 0 && (fcntl(sock, F_SETFL, O_NONBLOCK) < 0 ||
			       fcntl(sock, F_SETFD, FD_CLOEXEC) < 0))
			r = -errno;
		if (r < 0)
			return r;
		sockopt_prepare(sock, &s->keepalive);
		watch_init(&l->watches[i], sock, NULL);
		l->socks[l->count++] = sock;
	}
	l->port = endpoint_port(&l->at[0]);
	return 0;
}

int listener_watch(struct listener *l, struct task *task, bool on)
{
	for (int i = 0; i < l->count; i++) {
		int r;

		l->watches[i].task = task;
		r = watch_for(&l->watches[i], on ? FD_IN : FD_NOTHING);
		if (r < 0)
			return r;
	}
	return 0;
}

/* True for an error of accept(2) that is one of the connection, which ended while it waited. */
static bool vanished(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EPERM:
	case EINTR:
		return true;
	default:
		return false;
	}
}

/* False for EMFILE and ENFILE with an empty backlog: accept(2) answers that, too. Keeps errno. */
static bool connection_waits(int from, int error)
{
	struct pollfd p = {.fd = from, .events = POLLIN};
	bool waits = (error != EMFILE && error != ENFILE) || poll(&p, 1, 0) != 0;

	errno = error;
	return waits;
}

/* Takes a connection from one backlog. Returns its socket or -errno. */
static int listener_accept_one(int from, struct endpoint *peer)
{
	struct sockaddr_in6 addr;
	socklen_t length;
	int sock;

	do {
		length = sizeof addr;
		sock = accept4(from, (struct sockaddr *)&addr, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (sock < 0 && vanished(errno));
	if (sock < 0)
		return connection_waits(from, errno) ? -errno : -EAGAIN;
	endpoint_set(peer, (struct sockaddr *)&addr, length);
	return sock;
}

int listener_accept(struct listener *l, struct endpoint *peer)
{
	for (int i = 0; i < l->count; i++) {
		int sock = listener_accept_one(l->socks[l->turn], peer);

		l->turn = (l->turn + 1) % l->count;
		if (sock != -EAGAIN)
			return sock;
	}
	return -EAGAIN;
}

bool listener_has_waiting(const struct listener *l)
{
	struct pollfd p[LISTEN_MOST];

	for (int i = 0; i < l->count; i++)
		p[i] = (struct pollfd){.fd = l->socks[i], .events = POLLIN};
	return poll(p, (nfds_t)l->count, 0) > 0;
}

void listener_close(struct listener *l)
{
	for (int i = 0; i < l->count; i++) {
		if (l->watches[i].task)
			watch_for(&l->watches[i], FD_NOTHING);
		fd_close(&l->socks[i]);
	}
	l->count = 0;
}
