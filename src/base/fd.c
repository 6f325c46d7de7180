#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2) /* linux/close_range.h */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Without /proc: the numbers to try, as many as fs.nr_open by default; takes 0.1 s. */
#define NUMBERS_MOST 1048576

/* fd_count() stops there: under a higher limit the few descriptors of our own make no difference. */
#define COUNTED_MOST 1024

/* Documentation/admin-guide/devices.txt of Linux */
#define MAJOR_MEMORY 1

/* Those of the memory devices that never block: null, zero, full, random, urandom. Reading kmsg does. */
static bool never_blocks(dev_t device)
{
	switch (minor(device)) {
	case 3:
	case 5:
	case 7:
	case 8:
	case 9:
		return major(device) == MAJOR_MEMORY;
	default:
		return false;
	}
}

enum fd_kind fd_kind(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return FD_NONE;
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode))
		return FD_FILE;
	if (S_ISFIFO(st.st_mode))
		return FD_PIPE;
	if (S_ISSOCK(st.st_mode))
		return FD_SOCKET;
	if (S_ISCHR(st.st_mode) && never_blocks(st.st_rdev))
		return FD_MEMORY;
	return isatty(fd) ? FD_TERMINAL : FD_OTHER;
}

int fd_open_standard(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* the lowest free number is the one that is missing */
		if (open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0)
			return -errno;
	}
	return 0;
}

int fd_make_null(int fd)
{
	int null = open("/dev/null", O_RDWR);
	int r = 0;

	if (null < 0)
		return -errno;
	if (null == fd)
		return 0;
	if (dup2(null, fd) < 0)
		r = -errno;
	close(null);
	return r;
}

int fd_close(int *fd)
{
	int r = 0;

	/* Linux has released the descriptor even when it says EINTR: never close twice */
	if (*fd >= 0 && close(*fd) < 0 && errno != EINTR)
		r = -errno;
	*fd = -1;
	return r;
}

int fd_write_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t put = write(fd, at, n);

		if (put >= 0) {
			at += put;
			n -= (size_t)put;
		} else if (errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

void fd_raise_limit(struct rlimit *inherited)
{
	struct rlimit raised;

	if (getrlimit(RLIMIT_NOFILE, inherited) < 0) {
		*inherited = (struct rlimit){0};
		return;
	}
	raised = *inherited;
	raised.rlim_cur = raised.rlim_max;
	setrlimit(RLIMIT_NOFILE, &raised);
}

int fd_count(int limit)
{
	int count = 0;

	for (int fd = 0; fd < limit && fd < COUNTED_MOST; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	return count;
}

/* Calls `chore` for every number from `first` up to the limit of descriptors, open or not. */
static void up_to_limit(int first, void (*chore)(int fd))
{
	struct rlimit limit = {.rlim_max = NUMBERS_MOST};

	/* the hard limit: the soft one may have been lowered since a descriptor was opened */
	getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = first; fd < NUMBERS_MOST && (rlim_t)fd < limit.rlim_max; fd++)
		chore(fd);
}

/* Calls `chore` for every open descriptor from `first` on, for kernels without close_range(2). */
static void one_by_one(int first, void (*chore)(int fd))
{
	DIR *open_ones = opendir("/proc/self/fd");
	struct dirent *one;

	if (!open_ones) {
		up_to_limit(first, chore);
		return;
	}
	while ((one = readdir(open_ones)))
		if (atoi(one->d_name) >= first && atoi(one->d_name) != dirfd(open_ones))
			chore(atoi(one->d_name));
	closedir(open_ones);
}

static void set_close_on_exec(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void close_now(int fd)
{
	close(fd);
}

void fd_close_on_exec(void)
{
	if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		one_by_one(3, set_close_on_exec);
}

void fd_close_from(int first)
{
	if (syscall(SYS_close_range, (unsigned)first, ~0U, 0U) < 0)
		one_by_one(first, close_now);
}
