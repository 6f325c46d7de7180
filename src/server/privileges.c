#include "server/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/num.h"

#define NAME_MOST 256

/* A number stands for itself, as long as it is not the "no change" of setuid(2). */
static bool as_number(const char *word, unsigned *out)
{
	int64_t n;

	if (num_parse(word, 0, UINT32_MAX - 1, &n) < 0)
		return false;
	*out = (unsigned)n;
	return true;
}

static int look_up_group(struct privileges *p, const char *name)
{
	const struct group *group;

	if (as_number(name, &p->gid))
		return 0;
	group = getgrnam(name);
	if (!group)
		return -EINVAL;
	p->gid = group->gr_gid;
	return 0;
}

/* A user's own groups, the supplementary ones included. */
static int look_up_user(struct privileges *p, const char *name)
{
	const struct passwd *user = getpwnam(name);

	if (!user && as_number(name, &p->uid)) {
		p->gid = p->uid;
		return 0;
	}
	if (!user)
		return -EINVAL;
	p->uid = user->pw_uid;
	p->gid = user->pw_gid;
	p->group_count = sizeof p->groups / sizeof *p->groups;
	if (getgrouplist(name, user->pw_gid, p->groups, &p->group_count) < 0)
		p->group_count = sizeof p->groups / sizeof *p->groups;
	return 0;
}

int privileges_look_up(struct privileges *p)
{
	char name[NAME_MOST], *group;
	int r;

	if (!p->user)
		return 0;
	if (strlen(p->user) >= sizeof name)
		return -EINVAL;
	strcpy(name, p->user);
	group = strchr(name, ':');
	if (group)
		*group++ = '\0';
	r = look_up_user(p, name);
	if (r < 0 || !group)
		return r;
	/* a group that was named is the only one */
	p->group_count = 0;
	return look_up_group(p, group);
}

static int step(const char **what, const char *name, int result)
{
	*what = name;
	return result < 0 ? -errno : 0;
}

int privileges_try(const struct privileges *p, const char **what)
{
	gid_t groups[NGROUPS_MAX];
	int root, n, r = 0;

	if (p->chroot) {
		root = open(p->chroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = step(what, "chroot", root);
		fd_close(&root);
	}
	if (r < 0 || !p->user)
		return r;
	/* the groups we have already: the same permission, and no effect */
	n = getgroups(NGROUPS_MAX, groups);
	return step(what, "setgroups", n < 0 ? n : setgroups((size_t)n, groups));
}

/* All three of each kind are the new ones, and root cannot be had back. */
static int verify(const struct privileges *p)
{
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (uid[i] != p->uid || gid[i] != p->gid)
			return -EPERM;
	if (p->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		return -EPERM;
	return 0;
}

int privileges_drop(const struct privileges *p, const char **what)
{
	int r = 0;

	if (p->chroot) {
		r = step(what, "chroot", chroot(p->chroot));
		if (r == 0)
			r = step(what, "chdir", chdir("/"));
	}
	if (r == 0 && p->user)
		r = step(what, "setgroups", setgroups((size_t)p->group_count, p->groups));
	if (r == 0 && p->user)
		r = step(what, "setgid", setresgid(p->gid, p->gid, p->gid));
	if (r == 0 && p->user)
		r = step(what, "setuid", setresuid(p->uid, p->uid, p->uid));
	if (r == 0 && p->user) {
		*what = "verify";
		r = verify(p);
	}
	if (r == 0 && (p->user || p->chroot))
		r = step(what, "no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	return r;
}
