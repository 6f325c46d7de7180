/* A session's connection under observation: a stream that passes all on and writes it down. */
#ifndef SESSION_TRACED_H
#define SESSION_TRACED_H

struct session;

/*
 * Puts the tracing stream in front of the session's connection, if settings->trace asks for one. It owns
 * the stream behind it from then on. Returns 0 or -ENOMEM.
 */
int traced_begin(struct session *s);

/*
 * The connection turned out to have failed with `error` (positive), which was found out beside the stream:
 * if that is a reset, the trace will tell it. Harmless when there is no trace.
 */
void traced_lost(struct session *s, int error);

/* The session is over: tells the trace how. The stream itself goes with the session. */
void traced_finish(struct session *s);

#endif
