/* Listening: every address a name or a wildcard stands for, all on one port. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "loop/loop.h"
#include "net/endpoint.h"
#include "net/lookup.h"
#include "net/sockopt.h"
#include "net/sockopt_table.h"

#define LISTEN_MOST (LOOKUP_MOST)

struct listen_settings {
	const char *host;  /* NULL: all addresses */
	uint16_t port;     /* 0: the kernel picks one */
	int family;        /* AF_UNSPEC, or the only one to use: -4, -6 */
	nsec look_up_until; /* the moment at which a look-up of the host is given up; NSEC_NEVER: none */
	int64_t backlog;   /* 0: as long as the kernel allows */
	struct keepalive keepalive; /* of the connections */
	const struct sockopts *options; /* -O, for the listening sockets; NULL: none */
	bool reuse_port;   /* share the port with others that ask for it too: --reuse-port */
};

struct listener {
	uint16_t port; /* the one that is listened on */
	int count;
	int socks[LISTEN_MOST];
	int turn; /* the socket to accept from next, so that no family starves the other */
	struct endpoint at[LISTEN_MOST];
	struct watch watches[LISTEN_MOST];
	struct endpoint failed_at; /* the address that bind(2) or listen(2) failed for */
	int look_up_error; /* an EAI_ code, when the look-up failed */
	bool not_asked;    /* the look-up could not be started, or had no answer in time */
};

/*
 * Binds and listens on all addresses of `settings`. SO_REUSEADDR is set, as a restarted server needs
 * it. Returns 0 with every socket listening, or -errno with none open: -ENOENT means look_up_error,
 * -ETIMEDOUT that it took too long; any other is one of starting it if not_asked, else one at failed_at.
 */
int listener_open(struct listener *, const struct listen_settings *);

/*
 * Takes over `n` listening sockets, LISTEN_MOST at most, descriptors 3 and on, from a service manager:
 * sd_listen_fds(3). Returns 0, or -errno: -ENOTSOCK or -EPROTOTYPE when one is no listening TCP socket.
 */
int listener_inherit(struct listener *, const struct listen_settings *, int n);

/* Lets connections wake `task` (on), or wait in the backlog (off). Returns 0 or -errno. */
int listener_watch(struct listener *, struct task *task, bool on);

/*
 * Takes one waiting connection: its socket (non-blocking, close-on-exec, prepared as sockopt_prepare() does),
 * the caller's from now on, and its peer's address; -EAGAIN when none waits; -EMFILE, -ENFILE, -ENOBUFS or
 * -ENOMEM when one waits and descriptors or memory have run out; another -errno when the listening socket
 * fails. Connections that ended while they waited are skipped: accept(2).
 */
int listener_accept(struct listener *, struct endpoint *peer);

/* True when a connection waits to be accepted. */
bool listener_has_waiting(const struct listener *);

/* Closes it; the kernel resets what still waits in the backlog. */
void listener_close(struct listener *);

#endif
