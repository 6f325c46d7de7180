/* -q, --quit-after: once one flow has ended, the other has this time left. */
#ifndef SESSION_QUIT_H
#define SESSION_QUIT_H

#include "session/session.h"

/*
 * Behind a step of the flows: starts the clock when one of them is over, has the session woken when it runs
 * out, and returns true once it has.
 */
bool quit_is_due(struct session *s, nsec now);

#endif
