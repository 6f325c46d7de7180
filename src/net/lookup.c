#include "net/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "loop/signals.h"

/* What the child sends: the head of struct lookup, as it is in memory. */
#define ANSWER_BYTES offsetof(struct lookup, child)

/* Where the child writes it: its only descriptor beyond the standard three. */
#define ANSWER_FD 3

/* Adds one address, unless it is there already: /etc/hosts may have it twice. */
static void lookup_add(struct lookup *r, const struct addrinfo *a)
{
	struct endpoint *e = &r->found[r->count];

	if (r->count == LOOKUP_MOST || (a->ai_family != AF_INET && a->ai_family != AF_INET6))
		return;
	endpoint_set(e, a->ai_addr, a->ai_addrlen);
	for (int i = 0; i < r->count; i++)
		if (endpoint_same_host(&r->found[i], e))
			return;
	r->count++;
}

/* Asks the C library and stores the answer. */
static void ask(struct lookup *r, const char *host, int family)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	struct addrinfo *all = NULL;

	r->error = getaddrinfo(host, NULL, &hints, &all);
	for (struct addrinfo *a = r->error ? NULL : all; a; a = a->ai_next)
		lookup_add(r, a);
	if (r->error == 0 && r->count == 0)
		r->error = EAI_NONAME;
}

/*
 * The child process: asks, writes the answer, exits. It does not outlive a parent that was killed, and
 * keeps no connection and no port open that the parent closes.
 */
static void __attribute__((noreturn)) lookup_child(const char *host, int family, int fd, pid_t parent)
{
	struct lookup r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(fd, ANSWER_FD) < 0)
		_exit(1);
	fd_close_from(ANSWER_FD + 1);
	memset(&r, 0, sizeof r);
	ask(&r, host, family);
	fd_write_all(ANSWER_FD, &r, ANSWER_BYTES);
	_exit(0);
}

const char lookup_this_host[] = "localhost";

/* The loopback addresses of `family`, as an answer that has come. */
static void find_this_host(struct lookup *r, int family)
{
	if (family != AF_INET) {
		endpoint_any(AF_INET6, &r->found[r->count]);
		r->found[r->count++].v6.sin6_addr = in6addr_loopback;
	}
	if (family != AF_INET6) {
		endpoint_any(AF_INET, &r->found[r->count]);
		r->found[r->count++].v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	r->received = ANSWER_BYTES;
}

static int start_child(struct lookup *r, const char *host, int family)
{
	pid_t parent = getpid();
	int ends[2], error;

	memset(r, 0, sizeof *r);
	r->fd = -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	r->child = signals_fork();
	if (r->child == 0)
		lookup_child(host, family, ends[1], parent);
	close(ends[1]);
	if (r->child < 0) {
		error = (int)r->child;
		r->child = 0;
		close(ends[0]);
		return error;
	}
	r->fd = ends[0];
	return 0;
}

int lookup_start(struct lookup *r, const char *host, int family, struct task *task)
{
	int e;

	if (host == lookup_this_host) {
		memset(r, 0, sizeof *r);
		find_this_host(r, family);
		task_wake(task);
		return 0;
	}
	e = start_child(r, host, family);
	if (e < 0)
		return e;
	fcntl(r->fd, F_SETFL, O_NONBLOCK);
	watch_init(&r->watch, r->fd, task);
	e = watch_for(&r->watch, FD_IN);
	if (e < 0)
		lookup_close(r);
	return e;
}

int lookup_step(struct lookup *r)
{
	while (r->received < ANSWER_BYTES) {
		ssize_t got = read(r->fd, (char *)r + r->received, ANSWER_BYTES - r->received);

		if (got > 0) {
			r->received += (size_t)got;
			continue;
		}
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return -EAGAIN;
		/* the child died before it had written the whole answer */
		r->error = EAI_SYSTEM;
		r->count = 0;
		break;
	}
	lookup_close(r);
	return 0;
}

int lookup_now(struct lookup *r, const char *host, int family, nsec until)
{
	struct pollfd p = {.events = POLLIN};
	int e = start_child(r, host, family);

	if (e < 0)
		return e;
	fcntl(r->fd, F_SETFL, O_NONBLOCK);
	p.fd = r->fd;
	while (lookup_step(r) == -EAGAIN) {
		if (poll(&p, 1, clock_ms_until(until)) == 0) {
			lookup_close(r);
			r->error = EAI_AGAIN;
			return -ETIMEDOUT;
		}
	}
	return 0;
}

void lookup_close(struct lookup *r)
{
	if (r->child <= 0)
		return;
	if (r->watch.task)
		watch_for(&r->watch, FD_NOTHING);
	fd_close(&r->fd);
	/* only the waitpid(2) below reaps the child: until then its process id cannot be another's */
	kill(r->child, SIGKILL);
	while (waitpid(r->child, NULL, 0) < 0 && errno == EINTR)
		continue;
	r->child = 0;
}

const char *lookup_reason(int error)
{
	return error == EAI_SYSTEM ? "the look-up failed on this machine" : gai_strerror(error);
}
