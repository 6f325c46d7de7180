/*
 * Look-ups of names without blocking. getaddrinfo(3) blocks for an unknown time, so it runs in a child
 * process, which is killed when the look-up is given up. (A thread could not be stopped; a resolver library
 * would not follow nsswitch.conf.)
 */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <sys/types.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "net/endpoint.h"

#define LOOKUP_MOST 32 /* addresses of one name that are used */

/* A look-up, and what it found. */
struct lookup {
	int error; /* 0, or an EAI_ code of getaddrinfo(3) */
	int count;
	struct endpoint found[LOOKUP_MOST]; /* port 0, in the order of RFC 6724 */

	pid_t child; /* 0: none is running */
	int fd;
	struct watch watch;
	size_t received;
};

/*
 * The host where none was given. It is known by its address in memory, not by its text "localhost", and gives
 * the loopback addresses without a look-up, whatever /etc/hosts and name servers say.
 */
extern const char lookup_this_host[];

/*
 * Starts looking up `host` in `family` (AF_UNSPEC: both); `task` is woken as it goes on. Returns 0,
 * or -errno when there is no process or descriptor for it: then nothing has been started.
 */
int lookup_start(struct lookup *, const char *host, int family, struct task *task);

/* Returns 0 once error, count and found are valid, or -EAGAIN. */
int lookup_step(struct lookup *);

/*
 * The same without a loop: waits for the answer until the moment `until`. Returns 0, -ETIMEDOUT, or another
 * -errno when it could not be started.
 */
int lookup_now(struct lookup *, const char *host, int family, nsec until);

/* True while the child of a look-up runs. */
static inline bool lookup_is_under_way(const struct lookup *r)
{
	return r->child > 0;
}

/* Ends the look-up, finished or not. Fine for one that was never started but is all zero. */
void lookup_close(struct lookup *);

/* The words for an EAI_ code of getaddrinfo(3). */
const char *lookup_reason(int error);

#endif
