#include "session/children.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

/* Generations of processes that are looked through below one that was left behind. */
#define DEPTH_MOST 16

void children_open(struct children *c)
{
	for (int i = 0; i < CHILDREN_BUCKETS; i++)
		list_init(&c->buckets[i]);
	c->used = false;
	c->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
}

void children_close(struct children *c)
{
	fd_close(&c->proc);
}

static struct list *children_bucket(struct children *c, pid_t pid)
{
	return &c->buckets[(unsigned)pid % CHILDREN_BUCKETS];
}

static struct child *children_find(const struct children *c, pid_t pid)
{
	const struct list *bucket = children_bucket((struct children *)(size_t)c, pid);

	for (struct list *l = bucket->next; l != bucket; l = l->next)
		if (list_entry(l, struct child, link)->pid == pid)
			return list_entry(l, struct child, link);
	return NULL;
}

void children_add(struct children *c, struct child *child)
{
	c->used = true;
	list_init(&child->link);
	list_append(children_bucket(c, child->pid), &child->link);
}

void children_remove(struct child *child)
{
	if (child->pid)
		list_remove(&child->link);
}

void children_reap(struct children *c)
{
	int status;
	pid_t pid;

	/*
	 * before the first command, the only children are look-ups, which are reaped where they were
	 * started
	 */
	while (c->used && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child = children_find(c, pid);

		if (!child)
			continue;
		list_remove(&child->link);
		child->ended = true;
		child->status = status;
		task_wake(child->task);
	}
}

/* --- what was left behind --- */

/* True when a descriptor of the process `pid` is the socket "socket:[INODE]", or cannot be read. */
static bool process_holds(int proc, pid_t pid, const char *name)
{
	char path[32], target[64];
	struct dirent *entry;
	bool holds = false;
	DIR *all;
	int fd;

	snprintf(path, sizeof path, "%d/fd", (int)pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* one that has ended meanwhile holds nothing */
	if (fd < 0)
		return errno != ENOENT && errno != ESRCH;
	all = fdopendir(fd);
	if (!all) {
		close(fd);
		return true;
	}
	while (!holds && (entry = readdir(all))) {
		ssize_t n = readlinkat(dirfd(all), entry->d_name, target, sizeof target - 1);

		target[n > 0 ? n : 0] = '\0';
		holds = strcmp(target, name) == 0;
	}
	closedir(all);
	return holds;
}

/*
 * The children of `pid` (0: our own) as numbers in `text`, which is freed by the caller; NULL: none are
 * known.
 */
static char *list_children(int proc, pid_t pid)
{
	char path[48], *text = NULL;
	size_t room = 0;
	FILE *file;
	int fd;

	if (pid)
		snprintf(path, sizeof path, "%d/task/%d/children", (int)pid, (int)pid);
	else
		snprintf(path, sizeof path, "thread-self/children");
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return NULL;
	}
	if (getline(&text, &room, file) < 0) {
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

/* True when a process among the descendants of `pid` that `known` does not leave out holds the socket. */
static bool descendants_hold(const struct children *c, pid_t pid, const char *name, int depth)
{
	char *text = list_children(c->proc, pid), *at = text, *end;
	bool holds = false;

	while (text && !holds) {
		pid_t child = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		at = end;
		/* a command that still runs holds a connection of its own */
		if (depth == 0 && children_find(c, child))
			continue;
		holds = process_holds(c->proc, child, name) ||
			(depth < DEPTH_MOST && descendants_hold(c, child, name, depth + 1));
	}
	free(text);
	return holds;
}

bool children_hold(const struct children *c, int sock)
{
	char name[40];
	struct stat st;
	siginfo_t info;

	if (c->proc < 0)
		return false;
	/* no child at all: the usual case costs one call */
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return false;
	if (fstat(sock, &st) < 0)
		return false;
	snprintf(name, sizeof name, "socket:[%lu]", (unsigned long)st.st_ino);
	return descendants_hold(c, 0, name, 0);
}
