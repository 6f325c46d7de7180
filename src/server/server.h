/* The server: accepts connections, makes each a session, and decides when it is all over. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "net/access.h"
#include "net/listener.h"
#include "session/session.h"

struct server_settings {
	bool keep_open;          /* go on to the next connection: -k */
	int64_t max_connections; /* served at the same time; more wait in the backlog: -m */
	int64_t max_per_host;    /* from one address; more are closed at once; 0: no limit */
	bool tells_full;         /* report once that more connections wait than may be served */
	int descriptors;         /* of each connection at most */
	int descriptors_beside;  /* that are open for moments, whatever the number of connections */
	nsec wait;               /* how long to wait for a connection: -w; 0: for ever */
	nsec drain;              /* how long sessions may go on after SIGTERM: --drain */
	const struct access_settings *rules; /* read again on SIGHUP */
	struct access *access;               /* the rules as they were read last */
	struct session_settings *session;    /* of each connection; the server completes them */
};

struct server;

/*
 * Makes a server of `l`, which is listening, and catches the signals that are for it: call it before
 * readiness is announced. All settings have to be complete. Returns 0 with *out, which has taken over the
 * listener, or the exit status after one line on stderr. server_close() *out in either case.
 */
int server_open(struct server **out, const struct server_settings *, struct listener *l);

/*
 * Serves connections until one has been served (or, with keep_open, for ever), a limit has passed or
 * SIGTERM or SIGINT came. Runs the loop. Returns the exit status; after a signal, EXIT_RAISE plus its
 * number.
 */
int server_run(struct server *);

/* Ends the sessions that still run, closes the listener and frees the server; NULL is fine. */
void server_close(struct server *);

#endif
