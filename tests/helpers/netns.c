/*
 * Runs a command in a network of its own, where nothing but the loopback interface exists, and may lend
 * it other name-service files: the place for unreachable hosts, names and ports below 1024.
 *
 *     netns [-du] [-R NAME] [-A ADDR6[/N]]... [-b FILE:OVER]... COMMAND [ARG]...
 *     netns -j PID [-d] [COMMAND [ARG]...]
 *
 *     -d              the loopback interface is down
 *     -u              COMMAND runs as the user who calls, not as root of a user namespace
 *     -R NAME         the loopback interface is called NAME, of any bytes that an interface's name may have
 *     -A ADDR6[/N]    give it this IPv6 address; the others of the prefix, of N bits, do not answer
 *     -b FILE:OVER    FILE shows in place of OVER, whether there is such a file or not
 *     -j PID          join the network of process PID, which netns has made, and make no new one
 *
 * Exits 77 where a user may not make networks.
 */
#include <linux/if.h>
#include <linux/ipv6.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "helper.h"

#define NOT_ALLOWED 77
#define LOANS_MOST 16

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		exit(NOT_ALLOWED);
	close(fd);
}

/*
 * Makes a network and mounts of our own, in a new user namespace if that takes it. Its one user has the
 * id 0, or the same id as outside if `same_user`; that one loses its capabilities at the next execve(2).
 */
static void leave(bool same_user)
{
	unsigned uid = getuid(), gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
			exit(NOT_ALLOWED);
		put("/proc/self/setgroups", "deny");
		snprintf(map, sizeof map, "%u %u 1\n", same_user ? uid : 0, uid);
		put("/proc/self/uid_map", map);
		snprintf(map, sizeof map, "%u %u 1\n", same_user ? gid : 0, gid);
		put("/proc/self/gid_map", map);
	}
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		exit(NOT_ALLOWED);
}

/* Enters one namespace of another process, unless we are in it already. */
static void enter(const char *pid, const char *kind)
{
	char path[64], theirs[64] = "", ours[64] = "";
	int fd;

	snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kind);
	if (readlink(path, theirs, sizeof theirs - 1) < 0)
		die("netns: %s: %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
	if (readlink(path, ours, sizeof ours - 1) < 0)
		die("netns: %s: %s", path, strerror(errno));
	if (strcmp(theirs, ours) != 0 && setns(fd, 0) < 0)
		die("netns: cannot join %s: %s", theirs, strerror(errno));
	close(fd);
}

static void join(const char *pid)
{
	char here[4096];

	if (!getcwd(here, sizeof here))
		die("getcwd: %s", strerror(errno));
	enter(pid, "user");
	enter(pid, "net");
	enter(pid, "mnt");
	/* another mount namespace begins at its root */
	if (chdir(here) < 0)
		die("chdir %s: %s", here, strerror(errno));
}

static void set_loopback(const char *name, bool up)
{
	struct ifreq request = {.ifr_name = ""};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(request.ifr_name, name, strlen(name));
	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &request) < 0)
		die("netns: %s", strerror(errno));
	if (up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
	if (ioctl(s, SIOCSIFFLAGS, &request) < 0)
		die("netns: %s", strerror(errno));
	close(s);
}

/* In a new network the interface is down, and may be renamed. */
static void rename_loopback(const char *to)
{
	struct ifreq request = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	if (strlen(to) >= sizeof request.ifr_newname)
		die("netns: '%s' is too long", to);
	strcpy(request.ifr_newname, to);
	if (s < 0 || ioctl(s, SIOCSIFNAME, &request) < 0)
		die("netns: rename lo: %s", strerror(errno));
	close(s);
}

static void add_address(char *text)
{
	struct in6_ifreq request = {.ifr6_prefixlen = 128, .ifr6_ifindex = 1};
	int s = socket(AF_INET6, SOCK_DGRAM, 0);
	char *slash = strchr(text, '/');

	if (s < 0)
		exit(NOT_ALLOWED);
	if (slash) {
		*slash = '\0';
		request.ifr6_prefixlen = (unsigned)number(slash + 1);
	}
	if (inet_pton(AF_INET6, text, &request.ifr6_addr) != 1)
		die("netns: '%s' is no address", text);
	if (ioctl(s, SIOCSIFADDR, &request) < 0)
		die("netns: %s: %s", text, strerror(errno));
	close(s);
}

/* Where `over` is missing, a layer upon its directory, which only this mount namespace sees, has it. */
static void make_place(const char *file, const char *over)
{
	char directory[4096], layer[4096], place[2 * 4096], options[2 * 4096 + 16];
	char *name;

	snprintf(directory, sizeof directory, "%s", over);
	name = strrchr(directory, '/');
	if (!name)
		die("netns: '%s' is no absolute name", over);
	*name++ = '\0';
	snprintf(layer, sizeof layer, "%s.layer", file);
	snprintf(place, sizeof place, "%s/%s", layer, name);
	mkdir(layer, 0755);
	if (mknod(place, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
		die("netns: %s: %s", place, strerror(errno));
	snprintf(options, sizeof options, "lowerdir=%s:%s", layer, directory);
	if (mount("overlay", directory, "overlay", MS_RDONLY, options) < 0)
		exit(NOT_ALLOWED);
}

/* Each pair is FILE:OVER. The places come first: a layer hides what is mounted in its directory. */
static void lend(char **pairs, int count)
{
	char *over[LOANS_MOST];

	for (int i = 0; i < count; i++) {
		over[i] = strchr(pairs[i], ':');
		if (!over[i])
			die("netns: FILE:OVER is not '%s'", pairs[i]);
		*over[i]++ = '\0';
		if (access(over[i], F_OK) < 0)
			make_place(pairs[i], over[i]);
	}
	for (int i = 0; i < count; i++)
		if (mount(pairs[i], over[i], NULL, MS_BIND, NULL) < 0)
			exit(NOT_ALLOWED);
}

int main(int argc, char **argv)
{
	char *addresses[16], *loans[LOANS_MOST];
	int letter, address_count = 0, loan_count = 0;
	const char *pid = NULL, *name = "lo";
	bool down = false, same_user = false;

	while ((letter = getopt(argc, argv, "+j:duR:A:b:")) != -1) {
		if (letter == 'j')
			pid = optarg;
		else if (letter == 'd')
			down = true;
		else if (letter == 'u')
			same_user = true;
		else if (letter == 'R')
			name = optarg;
		else if (letter == 'A' && address_count < 16)
			addresses[address_count++] = optarg;
		else if (letter == 'b' && loan_count < LOANS_MOST)
			loans[loan_count++] = optarg;
		else
			return HELPER_FAILED;
	}
	if (pid)
		join(pid);
	else
		leave(same_user);
	if (strcmp(name, "lo") != 0)
		rename_loopback(name);
	if (!pid || down)
		set_loopback(name, !down);
	for (int i = 0; i < address_count; i++)
		add_address(addresses[i]);
	lend(loans, loan_count);
	if (optind == argc)
		return 0;
	execvp(argv[optind], argv + optind);
	die("netns: %s: %s", argv[optind], strerror(errno));
}
