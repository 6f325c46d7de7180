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

/* Takes the line away for something else to be written there, if stderr is a terminal. */
void progress_wipe(void);

#endif
