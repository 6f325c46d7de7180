/*
 * The load generator of the benchmark: everything that has to be fast, or timed closely, in one program.
 *
 *   load produce MIB                  writes so much to stdout
 *   load consume                      reads stdin to its end
 *   load measure FILE COMMAND...      runs COMMAND; appends its CPU seconds, context switches and memory
 *   load pingpong N SERVER -- CLIENT  bounces a byte through two programs; prints p50 and maximum (us)
 *   load repeat N COMMAND...          starts COMMAND N times, one after another; prints the median (us)
 *   load discard PORTFILE SECONDS     accepts, reads to the end, closes, for so long
 *   load hold PORTFILE SECONDS        accepts and does nothing, for so long
 *   load limit-send PORT              the bare system calls of a sender, stdin to a connection
 *   load limit-receive PORTFILE       ... and of a receiver, a connection to stdout
 *   load limit-receive-low PORTFILE   ... which asks to be woken less often (SO_RCVLOWAT)
 *   load free                         prints a port that nobody listens on
 *   load storm / load idle            see storm.c
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (64 * 1024)

void die(const char *what)
{
	perror(what);
	exit(1);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sort(double *figures, int n)
{
	qsort(figures, (size_t)n, sizeof *figures, compare);
}

int listen_to(const char *path)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof at;
	int sock = socket(AF_INET, SOCK_STREAM, 0);
	char temporary[4096];
	FILE *f;

	if (sock < 0 || bind(sock, (struct sockaddr *)&at, sizeof at) < 0 || listen(sock, SOMAXCONN) < 0 ||
	    getsockname(sock, (struct sockaddr *)&at, &length) < 0)
		die("listen");
	snprintf(temporary, sizeof temporary, "%s.new", path);
	f = fopen(temporary, "w");
	if (!f || fprintf(f, "%u\n", ntohs(at.sin_port)) < 0 || fclose(f) < 0 || rename(temporary, path) < 0)
		die(path);
	return sock;
}

int connect_to(const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int sock = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	to.sin_port = htons((uint16_t)atoi(port));
	if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect");
	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return sock;
}

/* --- bulk --- */

static int produce(const char *mib)
{
	static char block[BLOCK];
	long long left = atoll(mib) << 20;

	memset(block, 'x', sizeof block);
	while (left > 0) {
		ssize_t put = write(1, block, left < BLOCK ? (size_t)left : BLOCK);

		if (put < 0)
			die("produce");
		left -= put;
	}
	return 0;
}

static int consume(void)
{
	static char block[BLOCK];

	while (read(0, block, sizeof block) > 0)
		continue;
	return 0;
}

/* --- what a program costs --- */

static pid_t start(char **argv, int in, int out)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	if (in >= 0)
		dup2(in, 0);
	if (out >= 0)
		dup2(out, 1);
	execvp(argv[0], argv);
	die(argv[0]);
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static int measure(const char *file, char **argv)
{
	double began = now();
	pid_t pid = start(argv, -1, -1);
	struct rusage used;
	int status;
	FILE *f;

	if (wait4(pid, &status, 0, &used) < 0)
		die("wait4");
	f = fopen(file, "a");
	if (!f)
		die(file);
	fprintf(f, "%.6f %.6f %ld %ld %ld\n", now() - began,
		seconds(&used.ru_utime) + seconds(&used.ru_stime), used.ru_nvcsw + used.ru_nivcsw,
		used.ru_maxrss, (long)WEXITSTATUS(status));
	fclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* --- a byte to and fro --- */

/* One byte through the pipe `to`, until it shows up at `from`. */
static void bounce(int to, int from)
{
	char c = 'x';

	if (write(to, &c, 1) != 1 || read(from, &c, 1) != 1)
		die("bounce");
}

static int pingpong(int rounds, char **argv)
{
	char **client = argv;
	int server_in[2], server_out[2], client_in[2], client_out[2];
	double *took = calloc((size_t)rounds, sizeof *took);
	pid_t pids[2];

	while (*client && strcmp(*client, "--") != 0)
		client++;
	if (!*client || !took || pipe2(server_in, O_CLOEXEC) || pipe2(server_out, O_CLOEXEC) ||
	    pipe2(client_in, O_CLOEXEC) || pipe2(client_out, O_CLOEXEC))
		die("pingpong");
	*client++ = NULL;
	pids[0] = start(argv, server_in[0], server_out[1]);
	/* the client is a shell command that waits for the server's port by itself */
	pids[1] = start(client, client_in[0], client_out[1]);
	for (int i = -100; i < rounds; i++) {
		double began = now();

		bounce(client_in[1], server_out[0]);
		bounce(server_in[1], client_out[0]);
		if (i >= 0)
			took[i] = now() - began;
	}
	sort(took, rounds);
	printf("%.1f %.1f\n", took[rounds / 2] * 1e6, took[rounds - 1] * 1e6);
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return 0;
}

/* --- from start to exit --- */

static int repeat(int times, char **argv)
{
	double *took = calloc((size_t)times, sizeof *took);
	int null = open("/dev/null", O_RDWR), status;

	if (!took || null < 0)
		die("repeat");
	for (int i = 0; i < times; i++) {
		double began = now();
		pid_t pid = start(argv, null, null);

		if (waitpid(pid, &status, 0) < 0 || status != 0)
			die(argv[0]);
		took[i] = now() - began;
	}
	sort(took, times);
	printf("%.1f\n", took[times / 2] * 1e6);
	return 0;
}

/* Reads each connection to its end and closes it; or leaves it open, unread. */
static void __attribute__((noreturn)) discard(const char *port_file, const char *duration, bool hold)
{
	static char block[BLOCK];
	int listener = listen_to(port_file);

	alarm((unsigned)atoi(duration));
	for (;;) {
		int sock = accept(listener, NULL, NULL);

		if (hold)
			continue;
		while (sock >= 0 && read(sock, block, sizeof block) > 0)
			continue;
		if (sock >= 0)
			close(sock);
	}
}

/*
 * Prints a port that nobody has. It is none of those the kernel gives to clients: a connection that has
 * ended would keep a server from it for a minute.
 */
static int free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
	int sock = socket(AF_INET, SOCK_STREAM, 0);
	unsigned low = 32768;

	if (range) {
		if (fscanf(range, "%u", &low) != 1 || low < 12000)
			low = 32768;
		fclose(range);
	}
	srand((unsigned)getpid());
	for (int tries = 0; sock >= 0 && tries < 1000; tries++) {
		at.sin_port = htons((uint16_t)(10000 + (unsigned)rand() % (low - 10000)));
		if (bind(sock, (struct sockaddr *)&at, sizeof at) < 0)
			continue;
		printf("%u\n", ntohs(at.sin_port));
		return 0;
	}
	die("bind");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "produce") == 0 && argc == 3)
		return produce(argv[2]);
	if (strcmp(what, "consume") == 0)
		return consume();
	if (strcmp(what, "measure") == 0 && argc > 3)
		return measure(argv[2], argv + 3);
	if (strcmp(what, "pingpong") == 0 && argc > 4)
		return pingpong(atoi(argv[2]), argv + 3);
	if (strcmp(what, "repeat") == 0 && argc > 3)
		return repeat(atoi(argv[2]), argv + 3);
	if (strcmp(what, "discard") == 0 && argc == 4)
		discard(argv[2], argv[3], false);
	if (strcmp(what, "hold") == 0 && argc == 4)
		discard(argv[2], argv[3], true);
	if (strcmp(what, "limit-send") == 0 && argc == 3)
		return limit_send(argv[2]);
	if (strcmp(what, "limit-receive") == 0 && argc == 3)
		return limit_receive(argv[2], 0);
	if (strcmp(what, "limit-receive-low") == 0 && argc == 3)
		return limit_receive(argv[2], 256 * 1024);
	if (strcmp(what, "free") == 0)
		return free_port();
	if (strcmp(what, "storm") == 0)
		return storm(argc - 1, argv + 1);
	if (strcmp(what, "idle") == 0)
		return idle(argc - 1, argv + 1);
	fprintf(stderr, "load: see the comment at the top of load.c\n");
	return 2;
}
