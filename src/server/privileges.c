#include "server/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/fd.h"
#include "base/num.h"

#define NAME_MOST 256

#define CAPABILITY_WORDS _LINUX_CAPABILITY_U32S_3 /* of 32 bits each; capget(2) */

/* Returns 1 if the permitted, effective or inheritable set has a capability, else 0, or -errno. */
static int any_capabilities(void)
{
	static const struct __user_cap_data_struct none[CAPABILITY_WORDS];
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct own[CAPABILITY_WORDS];

	if (syscall(SYS_capget, &header, own) < 0)
		return -errno;
	return memcmp(own, none, sizeof own) != 0;
}

bool privileges_are_lent(void)
{
	/* a security module may have set AT_SECURE for a service that has gained nothing */
	if (!getauxval(AT_SECURE))
		return false;
	if (getuid() != geteuid() || getgid() != getegid())
		return true;
	return getuid() != 0 && any_capabilities() != 0;
}

/* Parses a number but UINT32_MAX, which setresuid(2) takes for "no change". */
static bool as_number(const char *word, unsigned *out)
{
	int64_t n;

	if (num_parse(word, 0, UINT32_MAX - 1, &n) < 0)
		return false;
	*out = (unsigned)n;
	return true;
}

/*
 * Why the user database had no answer: getpwnam(3) lists what errno may be when there is no such entry.
 * Returns -ENOENT for that, else the -errno of what has run out or failed.
 */
static int no_entry(void)
{
	if (exitcode_for(-errno, EXIT_OK) == EXIT_RESOURCES || errno == EINTR || errno == EIO)
		return -errno;
	return -ENOENT;
}

static int look_up_group(struct privileges *p, const char *name)
{
	const struct group *group;

	if (as_number(name, &p->gid))
		return 0;
	errno = 0;
	group = getgrnam(name);
	if (!group)
		return no_entry();
	p->gid = group->gr_gid;
	return 0;
}

/* A user, by name or number, and the user's own groups, the supplementary ones included. */
static int look_up_user(struct privileges *p, const char *name)
{
	bool number = as_number(name, &p->uid);
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user && number)
		user = getpwuid(p->uid);
	if (!user && no_entry() != -ENOENT)
		return no_entry();
	if (!user)
		return number ? -ENODATA : -ENOENT;
	p->uid = user->pw_uid;
	p->gid = user->pw_gid;
	p->group_count = sizeof p->groups / sizeof *p->groups;
	if (getgrouplist(user->pw_name, user->pw_gid, p->groups, &p->group_count) < 0)
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
		return -ENOENT;
	strcpy(name, p->user);
	group = strchr(name, ':');
	if (group)
		*group++ = '\0';
	r = look_up_user(p, name);
	/* a number without an account is enough beside a group */
	if (r == -ENODATA && group)
		r = 0;
	if (r < 0 || !group)
		return r;
	/* a group that was named is the only one */
	p->group_count = 0;
	return look_up_group(p, group);
}

static int privileges_result(const char **what, const char *name, int result)
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
		r = privileges_result(what, "chroot", root);
		fd_close(&root);
	}
	if (r < 0 || !p->user)
		return r;
	/* the groups we have already: the same permission, and no effect */
	n = getgroups(NGROUPS_MAX, groups);
	return privileges_result(what, "setgroups", n < 0 ? n : setgroups((size_t)n, groups));
}

/*
 * Empties the bounding set, while CAP_SETPCAP is still there. A caller that has never had CAP_SETPCAP keeps
 * the bounding set: no_new_privs is enough to keep what is in it from coming back. Returns 1 if it is
 * empty, 0 if that is not permitted, or -errno.
 */
static int drop_bounding_set(void)
{
	for (long c = 0; prctl(PR_CAPBSET_READ, c, 0L, 0L, 0L) >= 0; c++)
		if (prctl(PR_CAPBSET_DROP, c, 0L, 0L, 0L) < 0)
			return errno == EPERM ? 0 : -errno;
	return 1;
}

/*
 * Empties the permitted, effective and inheritable set, and by that the ambient one. setresuid(2) never
 * empties the inheritable set, and none of them for a caller that was not root or has such secure bits.
 */
static int drop_capabilities(void)
{
	static const struct __user_cap_data_struct none[CAPABILITY_WORDS];
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capset, &header, none);
}

/* All sets are empty, the bounding set if it is to be. Returns 0 or -errno. */
static int verify_capabilities(bool bounding)
{
	int r = any_capabilities();

	for (long c = 0; r == 0 && prctl(PR_CAPBSET_READ, c, 0L, 0L, 0L) >= 0; c++)
		r = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0L, 0L) > 0 ||
		    (bounding && prctl(PR_CAPBSET_READ, c, 0L, 0L, 0L) > 0);
	return r > 0 ? -EPERM : r;
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

/* Becomes the user, for good. Returns 0, or -errno with *what the step that failed. */
static int become_user(const struct privileges *p, const char **what)
{
	/* --user=root keeps the capabilities of root */
	bool drops = p->uid != 0;
	int bounding = drops ? drop_bounding_set() : 0;
	int r = privileges_result(what, "bounding set", bounding);

	if (r == 0)
		r = privileges_result(what, "setgroups", setgroups((size_t)p->group_count, p->groups));
	if (r == 0)
		r = privileges_result(what, "setgid", setresgid(p->gid, p->gid, p->gid));
	if (r == 0)
		r = privileges_result(what, "setuid", setresuid(p->uid, p->uid, p->uid));
	if (r == 0 && drops)
		r = privileges_result(what, "capabilities", drop_capabilities());
	if (r < 0)
		return r;
	*what = "verify";
	r = verify(p);
	return r == 0 && drops ? verify_capabilities(bounding > 0) : r;
}

int privileges_drop(const struct privileges *p, const char **what)
{
	int r = 0;

	if (p->chroot) {
		r = privileges_result(what, "chroot", chroot(p->chroot));
		if (r == 0)
			r = privileges_result(what, "chdir", chdir("/"));
	}
	if (r == 0 && (p->user || p->chroot))
		r = privileges_result(what, "no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	if (r == 0 && p->user)
		r = become_user(p, what);
	return r;
}

bool privileges_keep_root(const struct privileges *p)
{
	return p->chroot && (!p->user || p->uid == 0);
}
