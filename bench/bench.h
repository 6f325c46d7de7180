/* What the parts of the benchmark's load generator share. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

/* Ends the program with a line that names what failed. */
void die(const char *what) __attribute__((noreturn));

/* Seconds of the monotonic clock. */
double now(void);

/* A listening socket on 127.0.0.1, its port written to the file `path` once it listens. */
int listen_to(const char *path);

/* A connection to 127.0.0.1, Nagle's delay off. */
int connect_to(const char *port);

/* Sorts `n` figures; their median is in the middle then. */
void sort(double *figures, int n);

/* limits.c: the bare system calls that the figures are held against. */
int limit_send(const char *port);
int limit_receive(const char *port_file, int low_water);

/* storm.c: many short connections, and many idle ones. */
int storm(int argc, char **argv);
int idle(int argc, char **argv);

#endif
