/*
 * Establishing: the run of a plan from the look-up to the last handshake. One budget of time covers it
 * (--timeout), and --retry repeats it whole while it fails in a way that may pass.
 */
#ifndef SESSION_ESTABLISH_H
#define SESSION_ESTABLISH_H

#include "session/session.h"

/*
 * Before an establishing stage is stepped. Returns STAGE_DONE when it may be, STAGE_WAIT during a pause
 * between two rounds, STAGE_FAILED when the time is up or memory is short.
 */
enum stage_result establish_step(struct session *s, nsec now);

/* The moment at which the present round has to be given up; NSEC_NEVER: none. */
nsec establish_until(const struct session *s);

/*
 * That moment has come: fails with the limit that has passed. `what` tells what had no answer, such as
 * "connect to 192.0.2.1 port 80". Returns STAGE_FAILED.
 */
enum stage_result establish_time_is_up(struct session *s, const char *what);

/*
 * A stage has failed in a way that may pass. Returns STAGE_WAIT when --retry grants another round: the leg is
 * closed, and the plan begins again behind a pause. Else STAGE_FAILED.
 */
enum stage_result establish_again(struct session *s, nsec now);

/* The run is over, well or not: frees what it needed. */
void establish_end(struct session *s);

#endif
