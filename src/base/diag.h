/* Diagnostics: the only writer to stderr. One event is one line, written at once. */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

/* How much is said: failures only; each step (-v); every attempt and what the kernel knows (-vv). */
enum diag_level { DIAG_QUIET = -1, DIAG_FAILURES, DIAG_STEPS, DIAG_DETAILS };

/* Sets how much is said from now on. */
void diag_set_level(int level);

/* The level set last: ask before gathering what only a verbose run would print. */
int diag_level(void);

/* From now on nobody waits until stderr is read: a message that it cannot take at once is lost. */
void diag_wait_no_more(void);

/* What can befall many connections at a time, and is told once. */
enum diag_topic {
	DIAG_ONCE_ACCEPT,
	DIAG_ONCE_UPSTREAM,
	DIAG_ONCE_FORK,
	DIAG_ONCE_MEMORY,
	DIAG_ONCE_FULL,
	DIAG_ONCE_TOPICS,
};

/*
 * Says a failure as diag_failure() does, unless one of the same topic was said or left unsaid in the last 5 s:
 * so a shortage is told once, and again when it comes back.
 */
void diag_once(enum diag_topic topic, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Says a failure, a step or a detail, in printf(3) style, without newline; "tcptool: " goes before
 * it. Every byte of the result that is not printable ASCII is escaped by escape_message(), so that words may
 * come from anywhere; bytes that a peer has sent go through escape() first. Lines over 1000 bytes are cut.
 * Leaves errno alone.
 */
void diag_failure(const char *format, ...) __attribute__((format(printf, 1, 2)));
void diag_step(const char *format, ...) __attribute__((format(printf, 1, 2)));
void diag_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
