/*
 * A session is one conversation: a connection, what is joined to it, and the stages it goes through.
 *
 * Its life is a plan, a list of stages; each is stepped until it is done. Whatever wakes a session
 * (a descriptor, a timer, its owner) leads to the same function, which steps the present stage and then
 * asks anew what to wait for: nothing is remembered from one wake-up to the next but the state itself.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "flow/flow.h"
#include "loop/timer.h"
#include "net/dial.h"
#include "net/endpoint.h"
#include "session/filters.h"
#include "stream/stream.h"

struct program;
struct expectation;
struct expecting;
struct greeting;
struct session;
struct filters;
struct stream_traced;
struct trace;
struct upstream;

enum stage_result {
	STAGE_WAIT,   /* not yet: session_want() and session_wake_at() say for what */
	STAGE_DONE,   /* on to the next */
	STAGE_FAILED, /* session_fail() has been called: the session is over */
};

/* One stage: what starts it (may be NULL), what carries it on, and what it leaves behind (may be NULL). */
struct stage {
	const char *name;
	enum stage_result (*step)(struct session *, nsec now);
	void (*leave)(struct session *);
};

extern const struct stage stage_connect;       /* connect to settings->host */
extern const struct stage stage_stdio;      /* stdin to the socket, the socket to stdout */
extern const struct stage stage_greet_guest; /* the greeting, as the one who connected */
extern const struct stage stage_greet_host;  /* the greeting, as the one who was connected to */
extern const struct stage stage_delivered;     /* everything sent is acknowledged */
extern const struct stage stage_reach;      /* connect to the upstream of a forwarded connection */
extern const struct stage stage_forward;    /* the client to the upstream, and back */

extern const struct stage stage_expect;     /* --send and --expect: a health check */
extern const struct stage stage_command;    /* a command has the connection; wait for its end */

/* What holds for every session of a run. */
struct session_settings {
	const struct stage *const *plan; /* ends with NULL */
	bool send_only, recv_only, no_shutdown;
	bool keep_stdout;     /* more sessions will write to it */
	nsec quit_after;      /* -q; negative: not given */
	nsec idle_timeout;    /* -i; 0: none */
	nsec deadline;        /* the moment at which the run ends; NSEC_NEVER: none */
	const char *greeting; /* the text to greet with; NULL: the tutorial's own */
	struct filters_settings shaping;
	struct trace *trace;  /* NULL: none */
	int report_fd;        /* where each connection is reported; -1: nowhere */
	bool progress;        /* a meter on stderr */
	const char *send;     /* sent in place of stdin; NULL: stdin */
	size_t send_length;
	const struct expectation *expect; /* for stage_expect */
	const struct sockopts *options; /* -O, for accepted connections; NULL: none */
	const struct program *command; /* for stage_command */
	struct upstream *upstream; /* for stage_reach */
	/* for stage_connect and stage_reach */
	const struct dial_settings *dial;
	const char *host;
	uint16_t port;
};

/* Who may write a whole message to stdout now; the others wait in line. */
struct turn {
	struct session *holder;
	struct list waiting;
};

#define SESSION_WATCHES 3 /* the socket, stdin, stdout */

struct session {
	/* the owner's */
	const struct session_settings *settings;
	void (*ended)(struct session *); /* called last; may free the session */
	struct list link;
	struct turn *turn;
	struct task *owner; /* woken when it has all the descriptors it needs; NULL: nobody cares */
	uint64_t number; /* from 1 */
	int status; /* how it ended: enum exitcode, a signal in EXIT_SIGNAL or EXIT_RAISE added */

	struct task task;
	const struct stage *const *plan; /* the present stage */
	struct endpoint peer;
	bool incoming; /* the peer connected to us */
	nsec began;

	struct dial *dial; /* while dialing */
	struct stream_socket sock;
	struct stream_traced *traced;  /* in front of sock, when traced */
	struct stream_stdio stdio;
	struct stream_text text;       /* in place of stdin: --send */
	struct stream_socket upstream;   /* in place of stdio, when forwarding */
	struct stream *remote, *local; /* NULL until connected */
	struct flow out, in;           /* from local to remote, from remote to local */
	struct filters *shaping;       /* the flows' filters, if there are any */
	struct greeting *greeting;     /* while greeting */
	struct expecting *expecting;   /* while expecting */
	pid_t child;                   /* while a command has the connection */
	struct list turn_link, upstream_link;

	struct watch watches[SESSION_WATCHES];
	unsigned wanted[SESSION_WATCHES];
	struct timer timer;
	nsec wake_at;
	nsec idle_since, quit_at;
	uint64_t progress;      /* the sum of what had moved when the idle clock last started */
	uint64_t delivered;     /* ... and how much of that was acknowledged */
	uint64_t sent_at_end;   /* what we had sent when the peer's end came */
	bool relaying;          /* the flows are set up */
	const char *first_end;  /* which side ended its direction first, in words; NULL: neither yet */
	bool output_ended;      /* stdout is closed */
	bool drop_input;        /* what still comes is read and dropped, so that no RST answers it */
	bool abandoned;         /* -q ended it: wait for nothing any more */
	bool settling;          /* the last stage has sent our FIN, if it had not gone before */
	nsec settle_pause;

	/* for the report */
	nsec dial_began, dial_looked_up, dial_connected, first_byte;
	char *dialed;  /* JSON: the addresses tried; NULL: none */
	char *failure; /* what session_fail() said first; NULL: nothing */
	nsec drawn_at; /* the progress meter; 0: never */
	bool drawn_last; /* it is not drawn any more */
};

/*
 * Makes `s` a session, connection `number` of its run, and wakes it. `sock` is an accepted connection
 * from `peer`, the session's from now on; or -1 for a plan that begins with stage_connect. The settings must
 * outlive it.
 */
void session_start(struct session *s, const struct session_settings *, uint64_t number, int sock,
		   const struct endpoint *peer, void (*ended)(struct session *));

/* Takes the session's socket over from a stage that has connected it; `lost` as stream_socket_open(). */
void session_connected(struct session *s, int sock, int lost, const struct endpoint *peer);

/* While a stage steps: wake it when `events` come on `fd`; wake it at the moment `when`. */
void session_want(struct session *s, int fd, unsigned events);
void session_wake_at(struct session *s, nsec when);

/* ... when `f` can go on. */
void session_want_flow(struct session *s, const struct flow *f, nsec now);

/*
 * False when `f` waits for something that has not come: a step would ask the kernel in vain, which costs as
 * much as the message that woke the session for the other flow.
 */
bool session_can_step(const struct session *s, const struct flow *f);

/*
 * ... in a moment, since memory is lacking to begin: other connections will give some back. Who is the
 * only one, because it was us who connected, fails. Returns what the stage is to return.
 */
enum stage_result session_await_memory(struct session *s, nsec now);

/* ... soon, to see whether more has been acknowledged; no event tells. Each time a little later. */
void session_look_again(struct session *s, nsec now);

/* True when the last wait brought an error or a hang-up on `fd`. */
bool session_got_error(const struct session *s, int fd);

/* Stops watching `fd`, which is about to be closed. */
void session_forget(struct session *s, int fd);

/*
 * The session has failed: says so ("connection to 192.0.2.1 port 80: ..."), sets the status unless
 * an earlier failure has, and returns STAGE_FAILED.
 */
enum stage_result session_fail(struct session *s, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * stdout cannot be written: a reader that left is no failure but the quiet death of any filter, anything
 * else is one. Returns STAGE_FAILED.
 */
enum stage_result session_output_failed(struct session *s, int error);

/* Ends it from outside with `status`, saying nothing; `ended` is called. */
void session_end(struct session *s, int status);

/*
 * True for what sending answers (-errno) when the connection is no more: then reading comes to its end,
 * too, and what was received before may still be had. Any other failure is one of this machine.
 */
bool session_is_gone(int error);

/* Bytes of the outgoing flow that the peer's TCP has not acknowledged; a FIN is no byte. */
int session_unacknowledged(const struct session *s);

/* Bytes each way so far. */
uint64_t session_sent(const struct session *s);
uint64_t session_received(const struct session *s);

#endif
