/* A meter on stderr, when that is a terminal: --progress. */
#ifndef OBSERVE_PROGRESS_H
#define OBSERVE_PROGRESS_H

#include "observe/facts.h"

/* The meter is drawn no more often than this. */
#define PROGRESS_PERIOD (100 * NSEC_PER_MSEC)

/* True when stderr is a terminal. */
bool progress_is_wanted(void);

/* Draws the meter over its last state; `last`: and ends the line. */
void progress_draw(const struct facts *f, bool last);

/* Clears the line of the meter, if stderr is a terminal, before something else is written there. */
void progress_wipe(void);

#endif
