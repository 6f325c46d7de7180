/* The subcommands. Each takes its arguments with its own name as argv[0] and returns the exit status. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

int cmd_connect(int argc, char **argv);
int cmd_listen(int argc, char **argv);

/* tcptool --help and --version. */
int cmd_help(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Flushes stdout: help that cannot be written is a failure like any other. Returns the exit status. */
int help_finish(void);

#endif
