/* One JSON object per connection, on one line: --report, and SIGUSR1 for the sessions that live. */
#ifndef OBSERVE_REPORT_H
#define OBSERVE_REPORT_H

#include "observe/facts.h"

/* Writes what `f` tells to the descriptor `fd`. Returns 0 or -errno. */
int report_write(const struct facts *f, int fd);

#endif
