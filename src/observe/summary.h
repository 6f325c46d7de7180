/* What -v and -vv tell of a connection that has ended. */
#ifndef OBSERVE_SUMMARY_H
#define OBSERVE_SUMMARY_H

#include "observe/facts.h"

/*
 * Tells bytes, time and rate under -v; under -vv how each direction ended and what TCP_INFO knows. `who` begins
 * each line: "connection to 192.0.2.1 port 80".
 */
void summary_tell(const struct facts *f, const char *who);

#endif
