/* Giving up privileges, for good: after binding, before the first connection. */
#ifndef SERVER_PRIVILEGES_H
#define SERVER_PRIVILEGES_H

#include <grp.h>
#include <stdbool.h>
#include <sys/types.h>

struct privileges {
	const char *user;   /* --user, "NAME[:GROUP]"; NULL: stay who we are */
	const char *chroot; /* --chroot; NULL: none */
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	int group_count;
};

/*
 * Looks up who `user` is, while the system's files are still in reach. Numbers are taken as they are.
 * Returns 0 or -EINVAL when there is no such user or group.
 */
int privileges_look_up(struct privileges *);

/*
 * Sees whether privileges_drop() would be allowed, without doing it: what can be known to fail is to fail
 * before anybody is told that we are ready. Returns 0, or -errno with *what the step that would fail.
 */
int privileges_try(const struct privileges *, const char **what);

/*
 * chroot(2), setgroups(2), setgid(2), setuid(2), in that order; then verifies that there is no way back
 * and sets no_new_privs (prctl(2)), so that no set-user-id program restores what was given up. Returns 0,
 * or -errno with *what the step that failed.
 */
int privileges_drop(const struct privileges *, const char **what);

#endif
