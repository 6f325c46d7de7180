/* Giving up privileges, for good: after binding, before the first connection. */
#ifndef SERVER_PRIVILEGES_H
#define SERVER_PRIVILEGES_H

#include <grp.h>
#include <stdbool.h>
#include <sys/types.h>

struct privileges {
	const char *user;   /* --user, "NAME[:GROUP]"; NULL: no change */
	const char *chroot; /* --chroot; NULL: none */
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	int group_count;
};

/*
 * True when the executable gives its caller privileges: set-user-ID, set-group-ID or capabilities(7) of the
 * file.
 */
bool privileges_are_lent(void);

/*
 * Looks up `user`, to be called before chroot(2): user, group and supplementary groups, by name or number.
 * Returns 0, -ENOENT when there is no such user or group, -ENODATA for a number that has no account and no
 * group beside it, or another -errno when the look-up fails.
 */
int privileges_look_up(struct privileges *);

/*
 * Checks that privileges_drop() would be allowed, without doing it, so that it fails before readiness is
 * announced. Returns 0, or -errno with *what the step that would fail.
 */
int privileges_try(const struct privileges *, const char **what);

/*
 * chroot(2), then no_new_privs (prctl(2)), so that no program that is executed restores what is given up;
 * then setgroups(2), setgid(2), setuid(2), and for every user but root all sets of capabilities
 * (capabilities(7)) are emptied: the bounding set as far as the caller may, CAP_SETPCAP. At last it is
 * verified that there is no way back. Returns 0, or -errno with *what the step that failed.
 */
int privileges_drop(const struct privileges *, const char **what);

/*
 * True for --chroot that leaves the user root: with the right to call chroot(2) the directory can be left.
 */
bool privileges_keep_root(const struct privileges *);

#endif
