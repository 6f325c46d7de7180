/* Limits on time that hold in every stage: --deadline and --idle-timeout. */
#ifndef SESSION_LIMITS_H
#define SESSION_LIMITS_H

#include "session/session.h"

/*
 * Has one of them passed? To be asked behind a step, so that what has come in time is looked at before the
 * clock is. Returns STAGE_WAIT, and has the session woken when the next one passes, or STAGE_FAILED.
 */
enum stage_result limits_check(struct session *s, nsec now);

#endif
