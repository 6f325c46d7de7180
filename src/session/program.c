#include "session/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "loop/signals.h"

#define VARIABLE_ROOM (16 + ENDPOINT_TEXT)

/* Not inherited: they would describe a connection or a socket of another program. */
static const char *const not_inherited[] = {
	"PROTO",         "TCPLOCALIP",     "TCPLOCALPORT",  "TCPLOCALHOST", "TCPREMOTEIP",
	"TCPREMOTEPORT", "TCPREMOTEHOST",  "TCPREMOTEINFO", "TCPCONNNUM",   "LISTEN_FDS",
	"LISTEN_PID",    "LISTEN_FDNAMES", "NOTIFY_SOCKET",
};

static bool is_inherited(const char *entry)
{
	for (size_t i = 0; i < sizeof not_inherited / sizeof *not_inherited; i++) {
		size_t n = strlen(not_inherited[i]);

		if (strncmp(entry, not_inherited[i], n) == 0 && entry[n] == '=')
			return false;
	}
	return true;
}

/* The environment but for the variables of a connection, which get the first places. */
static char **copy_environment(void)
{
	size_t n = 0;
	char **copy, **at;

	while (environ[n])
		n++;
	copy = calloc(PROGRAM_VARIABLES + n + 1, sizeof *copy);
	if (!copy)
		return NULL;
	at = copy + PROGRAM_VARIABLES;
	for (size_t i = 0; i < n; i++)
		if (is_inherited(environ[i]))
			*at++ = environ[i];
	return copy;
}

static bool is_executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Looks along $PATH as execvp(3) does. Returns a copy of the path, or NULL with *status set. */
static char *find_program(const char *name, int *status)
{
	const char *directories = getenv("PATH"), *end;
	char *path;

	*status = 127;
	if (strchr(name, '/')) {
		*status = access(name, F_OK) == 0 ? 126 : 127;
		return is_executable(name) ? strdup(name) : NULL;
	}
	if (!directories)
		directories = "/bin:/usr/bin";
	for (;; directories = end + 1) {
		end = strchrnul(directories, ':');
		/* an empty element means the current directory */
		if (asprintf(&path, "%.*s%s%s", (int)(end - directories), directories,
			     end == directories ? "./" : "/", name) < 0)
			return NULL;
		if (is_executable(path))
			return path;
		if (access(path, F_OK) == 0)
			*status = 126;
		free(path);
		if (*end == '\0')
			return NULL;
	}
}

int program_prepare(struct program *c, char *const *argv, const char *shell)
{
	static char sh[] = "/bin/sh", dash_c[] = "-c", end_of_options[] = "--";
	int status;

	memset(c, 0, sizeof *c);
	c->argv = argv;
	if (shell) {
		c->shell[0] = sh;
		c->shell[1] = dash_c;
		/* the string may begin with a dash */
		c->shell[2] = end_of_options;
		c->shell[3] = strdup(shell);
		c->argv = c->shell;
	}
	c->path = find_program(c->argv[0], &status);
	c->environment = copy_environment();
	if (!c->path) {
		diag_failure("%s: %s", c->argv[0],
			     status == 127 ? "command not found" : "cannot be executed");
		return status;
	}
	if (c->environment && (!shell || c->shell[3]))
		return 0;
	diag_failure("%s", strerror(ENOMEM));
	return EXIT_RESOURCES;
}

void program_free(struct program *c)
{
	free(c->path);
	free(c->shell[3]);
	free(c->environment);
	memset(c, 0, sizeof *c);
}

/* Writes the variables that describe the connection. */
static void describe(char text[PROGRAM_VARIABLES][VARIABLE_ROOM], int sock, const struct endpoint *peer,
		     int number)
{
	char address[ENDPOINT_TEXT];
	struct endpoint local;

	if (endpoint_of_local(sock, &local) < 0)
		endpoint_any(AF_INET, &local);
	strcpy(text[0], "PROTO=TCP");
	snprintf(text[1], VARIABLE_ROOM, "TCPLOCALIP=%s", endpoint_text(&local, address));
	snprintf(text[2], VARIABLE_ROOM, "TCPLOCALPORT=%u", endpoint_port(&local));
	snprintf(text[3], VARIABLE_ROOM, "TCPREMOTEIP=%s", endpoint_text(peer, address));
	snprintf(text[4], VARIABLE_ROOM, "TCPREMOTEPORT=%u", endpoint_port(peer));
	snprintf(text[5], VARIABLE_ROOM, "TCPCONNNUM=%d", number);
}

/* Restores the inherited limit and signals, and executes. Returns 126 or 127 when that has failed. */
static int execute(const struct program *c, char *const *environment)
{
	int error;

	if (c->files.rlim_max)
		setrlimit(RLIMIT_NOFILE, &c->files);
	signals_default();
	execve(c->path, c->argv, environment);
	error = errno;
	diag_failure("%s: %s", c->path, strerror(error));
	return error == ENOENT ? 127 : 126;
}

int program_exec(const struct program *c)
{
	sigset_t before;

	signals_block(&before);
	return execute(c, environ);
}

/* The child of vfork(2): system calls only, for its memory is that of the parent. */
static void __attribute__((noreturn)) program_child(const struct program *c, int fd)
{
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	_exit(execute(c, c->environment));
}

pid_t program_spawn(const struct program *c, int fd, int sock, const struct endpoint *peer, int number)
{
	char text[PROGRAM_VARIABLES][VARIABLE_ROOM];
	sigset_t before;
	pid_t pid;
	int error;

	describe(text, sock, peer, number);
	for (int i = 0; i < PROGRAM_VARIABLES; i++)
		c->environment[i] = text[i];
	signals_block(&before);
	pid = vfork();
	if (pid == 0)
		program_child(c, fd);
	error = errno;
	signals_unblock(&before);
	return pid < 0 ? -error : pid;
}
