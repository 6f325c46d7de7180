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
 * Is the program one that lends privileges to its caller: set-user-ID, set-group-ID, or with capabilities of
 * its file (capabilities(7))?
 */
bool privileges_are_lent(void);

/*
 * Looks up `user`, while the system's files are still in reach: user, group and supplementary groups, of a
 * number as well. Returns 0, -ENOENT when there is no such user or group, -ENODATA for the number of no account
 * without a group, or another -errno when that cannot be found out.
 */
int privileges_look_up(struct privileges *);

/*
 * Sees whether privileges_drop() would be allowed, without doing it: what can be known to fail is to fail
 * before anybody is told that we are ready. Returns 0, or -errno with *what the step that would fail.
 */
int privileges_try(const struct privileges *, const char **what);

/*
 * chroot(2), then no_new_privs (prctl(2)), so that no program that is executed restores what is given up; then
 * setgroups(2), setgid(2), setuid(2), and for every user but root all sets of capabilities (capabilities(7))
 * are emptied: the bounding set as far as the caller may, CAP_SETPCAP. At last it is verified that there is no
 * way back. Returns 0, or -errno with *what the step that failed.
 */
int privileges_drop(const struct privileges *, const char **what);

/* Is root left to what is in the directory of --chroot? Who may call chroot(2) can also leave it. */
bool privileges_keep_root(const struct privileges *);

#endif
