/* One JSON object per connection, on one line: --report, and SIGUSR1 for the sessions that live. */
#ifndef SESSION_REPORT_H
#define SESSION_REPORT_H

struct dial;
struct session;

/* Writes the report of `s`, over or not, to the descriptor `fd`. Returns 0 or -errno. */
int report_write(const struct session *s, int fd);

/* Keeps what the report will say of a dial that has ended, either way: look-up, addresses, durations. */
void report_keep_dial(struct session *s, const struct dial *d);

#endif
