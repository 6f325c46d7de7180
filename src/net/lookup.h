/*
 * Names to addresses without blocking anything. getaddrinfo(3) blocks for as long as it likes, so it
 * runs in a child process: signals and time limits stay ours, and giving up is a kill. (A thread
 * could not be stopped; a resolver library would not follow nsswitch.conf.)
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
 * The host that stands for one that was left out: "localhost", but at this very place in memory. It is not
 * looked up: the loopback addresses are found at once, whatever the files and servers of the name service say.
 */
extern const char lookup_this_host[];

/*
 * Starts looking up `host` in `family` (AF_UNSPEC: both); `task` is woken as it goes on. Returns 0,
 * or -errno when no process or descriptor can be had: then nothing has been started.
 */
int lookup_start(struct lookup *, const char *host, int family, struct task *task);

/* Returns 0 when error, count and found are there, or -EAGAIN. */
int lookup_step(struct lookup *);

/* The same in one go, without a loop, waiting until the moment `until` (then error is EAI_AGAIN). */
int lookup_now(struct lookup *, const char *host, int family, nsec until);

/* Has it been started and not yet come to its end? */
static inline bool lookup_is_under_way(const struct lookup *r)
{
	return r->child > 0;
}

/* Ends the look-up, finished or not. Fine for one that was never started but is all zero. */
void lookup_close(struct lookup *);

/* getaddrinfo's reason in words. */
const char *lookup_reason(int error);

#endif
