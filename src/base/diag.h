/* Diagnostics: messages on stderr, one line for each event, written by one write(2). */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

/* Nothing (--quiet); failures only; also each step (-v); also each attempt, and TCP_INFO (-vv). */
enum diag_level { DIAG_QUIET = -1, DIAG_FAILURES, DIAG_STEPS, DIAG_DETAILS };

/* Sets the level of all messages from now on. */
void diag_set_level(int level);

/* The level set last: ask before gathering what only a verbose run would print. */
int diag_level(void);

/* From now on no message waits for stderr: one that it cannot take at once is dropped. */
void diag_wait_no_more(void);

/* Failures that many connections meet at the same time: see diag_once(). */
enum diag_topic {
	DIAG_ONCE_ACCEPT,
	DIAG_ONCE_UPSTREAM,
	DIAG_ONCE_FORK,
	DIAG_ONCE_MEMORY,
	DIAG_ONCE_FULL,
	DIAG_ONCE_TOPICS,
};

/*
 * Prints a failure as diag_failure() does, unless the same topic came up, printed or not, in the last 5 s: a
 * shortage that lasts is printed once, and again when it comes back.
 */
void diag_once(enum diag_topic topic, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Prints a failure, a step or a detail, in printf(3) style, without newline; "tcptool: " goes before it.
 * Every byte of the result that is not printable ASCII is escaped by escape_message(), so the arguments may
 * hold any bytes; those that a peer has sent go through escape() first. Lines over 1000 bytes are cut. Leaves
 * errno alone.
 */
void diag_failure(const char *format, ...) __attribute__((format(printf, 1, 2)));
void diag_step(const char *format, ...) __attribute__((format(printf, 1, 2)));
void diag_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
