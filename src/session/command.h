/* What the two ways of running a COMMAND have in common: stage_command and stage_relay. */
#ifndef SESSION_COMMAND_H
#define SESSION_COMMAND_H

#include "session/children.h"
#include "session/session.h"

/* Starts the command of `s` with `fd` as its stdin and stdout. Returns 0 with *child registered, or -errno. */
int command_start(struct session *s, struct child *child, int fd);

/* It could not be started: an accepted connection waits for processes and memory, a client fails. */
enum stage_result command_cannot_start(struct session *s, int error, nsec now);

/* It has ended: its status is the session's; told under -v. */
void command_take_status(struct session *s, const struct child *child);

/* The stage is left: a command that still runs is sent the signal that ended the session, else SIGTERM. */
void command_leave_child(const struct session *s, struct child *child);

#endif
