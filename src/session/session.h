/*
 * A session is one conversation: two legs, the plan of stages that it goes through, and one teardown.
 *
 *                          out (to the connection)
 *     other leg   ------------------------------------------>   connection leg
 *     stdin/stdout,                                             accepted, or made
 *     a COMMAND, or <-----------------------------------------
 *     the upstream          in (from the connection)
 *
 * The connection leg is the one that the session is named for; the other leg is what it is joined to. Each
 * leg is a stack of streams on a socket. A stage is stepped until it is done, then the next begins. Whatever
 * wakes a session (a descriptor, a timer, its owner) leads to the same function, which steps the present
 * stage and then asks anew what to wait for: nothing is remembered from one wake-up to the next but the state
 * itself. HACKING draws every plan and every stack.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "flow/flow.h"
#include "loop/pollset.h"
#include "loop/timer.h"
#include "net/dial.h"
#include "net/endpoint.h"
#include "session/filters.h"
#include "stream/stream.h"

struct children;
struct expectation;
struct establish;
struct program;
struct session;
struct shared_lookup;
struct sockopts;
struct trace;
struct traced;

/* --- legs --- */

enum leg_name { LEG_CONNECTION, LEG_OTHER };

struct leg {
	struct stream *top;          /* the top of its stack of streams; NULL: there is none yet */
	struct stream_socket socket; /* the bottom of the stack, if that is a socket of ours */
};

/* The socket of a leg, for questions to the kernel; -1: it has none. */
int leg_socket(const struct leg *);

/*
 * SO_ERROR of the leg's socket: -errno of a failure that no read or write has reported yet, or 0. The
 * kernel reports it once; it is kept, so that a read reports it behind the bytes that were received before.
 */
int leg_take_error(struct leg *);

/* From now on closing the leg's socket sends a reset: SO_LINGER of socket(7). */
void leg_abort_on_close(const struct leg *);

/* Closes the leg's stack, if there is one. */
void leg_close(struct leg *);

/* --- stages and plans --- */

enum stage_result {
	STAGE_WAIT,   /* not yet: session_want() and session_wake_at() say for what */
	STAGE_DONE,   /* on to the next */
	STAGE_FAILED, /* session_fail() has said why: the session is over */
	STAGE_RETRY,  /* the same, but worth another run from the first establishing stage on, with --retry */
};

struct stage {
	const char *name;
	/* The size of the stage's own state: allocated and zeroed when it begins, freed when it is left. */
	size_t room;
	/* Carries the stage on as far as that goes without waiting. */
	enum stage_result (*step)(struct session *, struct leg *, void *state, nsec now);
	/* Releases what the state owns, however the stage ended. NULL: nothing. */
	void (*leave)(struct session *, struct leg *, void *state);
};

/* One stage of a plan, and the leg that it works on. */
struct plan {
	const struct stage *stage; /* NULL: the end of the plan */
	enum leg_name leg;
	bool establishes; /* one of the run from look-up to the last handshake: one budget, repeated whole */
};

extern const struct stage stage_connect;     /* look up, race, connect: the leg gets its socket */
extern const struct stage stage_stdio;       /* stdin to the connection, the connection to stdout */
extern const struct stage stage_forward;     /* the client to the upstream, and back */
extern const struct stage stage_greet_guest; /* the greeting, as the side that connected */
extern const struct stage stage_greet_host;  /* the greeting, as the side that listens */
extern const struct stage stage_expect;      /* --send and --expect: a health check */
extern const struct stage stage_stay;        /* --check: does the connection stay for --settle? */
extern const struct stage stage_command;     /* COMMAND has the socket itself */
extern const struct stage stage_relay;       /* COMMAND has one end of a socket pair; two flows in between */
extern const struct stage stage_delivered;   /* all that was sent is acknowledged */

/* --- settings --- */

/* How many connections the address of a peer has at present, counted by the owner. */
struct place {
	int count;
};

/* The session that writes a whole message to stdout now; the others wait in line. */
struct turn {
	struct session *holder;
	struct list waiting; /* struct greeting */
};

/* Settings for every session of a run. What they point to belongs to the owner of the sessions. */
struct session_settings {
	const struct plan *plan; /* ends with a stage of NULL */
	void (*ended)(struct session *); /* called at the very end; may free the session */
	void *owner;                     /* for `ended` */
	int failures;         /* enum diag_level at which the failure of a session is told */
	bool send_only, recv_only, no_shutdown;
	bool keep_stdout;     /* more sessions will write to it */
	nsec quit_after;      /* -q; negative: not given */
	nsec idle_timeout;    /* -i; 0: none */
	nsec deadline;        /* the moment at which the run ends; NSEC_NEVER: none */
	nsec settle;          /* for stage_stay: how long a connection has to stay; 0: not at all */
	const char *greeting; /* the text to greet with; NULL: the tutorial's own */
	struct filters_settings filters;
	struct trace *trace;  /* NULL: none */
	int report_fd;        /* where each connection is reported; -1: nowhere */
	bool progress;        /* a meter on stderr */
	const char *send;     /* sent in place of stdin; NULL: stdin */
	size_t send_length;
	const struct expectation *expect; /* for stage_expect */
	const struct sockopts *options; /* -O, for accepted connections; NULL: none */
	const struct program *command; /* for stage_command and stage_relay */
	struct children *children;      /* ... and the registry of its processes */
	struct turn *turn;              /* for stage_greet_*: sessions that share stdout; NULL: only one */
	/* for stage_connect */
	const struct dial_settings *dial;
	struct shared_lookup *lookup; /* NULL: each dial asks for itself */
	const char *host;
	uint16_t port;
};

/* --- the session --- */

#define SESSION_WATCHES 2 /* a descriptor of each leg; the third, with stdin and stdout, is in the notes */

/* What only some sessions need, allocated at first use. */
struct session_notes {
	struct watch watch;            /* the third */
	char *failure;                 /* what session_fail() said first; NULL: nothing */
	struct filters *filters;       /* the flows' */
	struct traced *traced;         /* the connection leg's stream that writes a trace */
	struct dial_record *dialed;    /* for reports */
	struct establish *establish;   /* while the connection is established */
	nsec idle_since;               /* -i: when the clock last started; 0: not yet */
	uint64_t idle_moved, idle_delivered; /* ... and what had moved, and been acknowledged, by then */
	nsec quit_ends;                /* -q: when the flow that is left has to end; 0: not running yet */
	nsec drawn_at;                 /* --progress: when the meter was last drawn; 0: never */
	bool drawn_last;               /* ... and it is not drawn any more */
};

struct session {
	const struct session_settings *settings;
	const struct plan *plan; /* the present stage */
	void *state;             /* ... its own state */
	struct session_notes *notes; /* NULL until session_notes() is called */
	struct list link;        /* the owner's */
	struct place *place;     /* the owner's: what the session takes of the peer's share */
	struct endpoint peer;    /* of the connection */
	struct leg legs[2];      /* by enum leg_name */
	struct flow out, in;     /* other leg to connection, connection to other leg */
	struct task task;
	struct timer timer;
	struct watch watches[SESSION_WATCHES];
	nsec began, wake_at;
	uint32_t number;         /* of the connection, from 1 */
	uint32_t first_byte_us;  /* when the first byte was received, counted from `began`; 0: not yet */
	int16_t status;          /* how it ended: enum exitcode, a signal in EXIT_SIGNAL or EXIT_RAISE added */
	uint8_t pause_ms;        /* session_look_again(): the last pause, 250 ms at most */
	uint8_t wanted[SESSION_WATCHES + 1];
	uint8_t first_end;       /* enum session_side: which side ended its direction first */
	bool incoming : 1;       /* the peer connected to us */
	bool entered : 1;        /* the present stage has begun */
	bool joined : 1;         /* the flows are set up */
	bool failed : 1;         /* session_fail() was called */
	bool drop_input : 1;     /* what still comes is read and dropped, so that no RST answers it */
	bool abandoned : 1;      /* -q ended it: nothing is waited for any more */
	bool shut : 1;           /* stage_delivered has ended our half */
};

enum session_side { SIDE_NONE, SIDE_PEER, SIDE_OTHER };

/*
 * Makes `s` a session, connection `number` of its run, and wakes it. `sock` is an accepted connection from
 * `peer`, the session's from now on; or -1 for a plan that begins with stage_connect. The settings must
 * outlive it.
 */
void session_start(struct session *s, const struct session_settings *, uint64_t number, int sock,
		   const struct endpoint *peer);

/* Ends it from outside with `status`, saying nothing; `ended` is called. */
void session_end(struct session *s, int status);

/* --- for stages --- */

/* The notes of `s`, allocated if need be; NULL without memory. */
struct session_notes *session_notes(struct session *s);

/* Frees the notes if there is nothing in them: an idle session carries none. */
void session_tidy_notes(struct session *s);

/*
 * Puts the connected `sock`, from now on the leg's, at the bottom of its stack; `lost` as
 * stream_socket_open().
 */
void leg_open(struct leg *leg, int sock, int lost);

/* Joins the legs: sets up both flows between them, filters included. Returns 0 or -ENOMEM. */
int session_join(struct session *s);

/* Steps both flows as far as something has come for them; wakes the session when there is more to do. */
void session_step_flows(struct session *s);

/*
 * The session has failed with `status`: keeps the words, of which the first are told at the end
 * ("connection to 192.0.2.1 port 80: ..."), and the status, unless an earlier failure has. Returns
 * STAGE_FAILED.
 */
enum stage_result session_fail(struct session *s, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The failure of an operation on a stream (-errno), in the stream's own words and with its status. */
enum stage_result session_fail_stream(struct session *s, const struct stream *, enum stream_half, int error);

/* The same for the connection, and how many bytes got lost with it. */
enum stage_result session_fail_connection(struct session *s, enum stream_half, int error);

/*
 * stdout cannot be written. After EPIPE the session ends without a message, and the program by SIGPIPE, as
 * any filter does; anything else is a failure. Returns STAGE_FAILED.
 */
enum stage_result session_fail_output(struct session *s, int error);

/*
 * Memory has run out: the session of an accepted connection waits until others free some; a client fails.
 */
enum stage_result session_await_memory(struct session *s, nsec now);

/* For the session and for establish.c: releases the state of the present stage. */
void session_leave_stage(struct session *s);

/* The leg beside `leg`. */
struct leg *session_beside(struct session *s, const struct leg *leg);

/* --- what it waits for: waiting.c --- */

/* While a stage steps: wake it when `events` come on `fd`; wake it at the moment `when`. */
void session_want(struct session *s, int fd, unsigned events);
void session_wake_at(struct session *s, nsec when);

/* ... when that half of `stream`, which has answered -EAGAIN, can go on. */
void session_want_stream(struct session *s, const struct stream *, enum stream_half);

/* ... when a flow can go on. */
void session_want_flow(struct session *s, const struct flow *f, nsec now);

/* False when `f` waits for something that has not come: a step would ask the kernel in vain. */
bool session_may_step(const struct session *s, const struct flow *f);

/*
 * ... soon, for what no event tells of: acknowledgements, processes that hold a connection. The first pause
 * is 1 ms; each is twice the last, up to `most_ms` (250 at most).
 */
void session_look_again(struct session *s, nsec now, unsigned most_ms);

/* True when the last wait brought an error or a hang-up on `fd`. */
bool session_got_error(const struct session *s, int fd);

/* Stops watching `fd`, which is about to be closed. */
void session_forget(struct session *s, int fd);

/* For the session alone: forgets what was wanted; sets watches and timer to what is (0 or -errno). */
void waiting_clear(struct session *s);
int waiting_apply(struct session *s);

/* Stops all watches. */
void waiting_end(struct session *s);

/* --- facts --- */

/* Bytes of the outgoing flow that the peer's TCP has not acknowledged, or -1 when that cannot be known. */
int session_unacknowledged(const struct session *s);

#endif
