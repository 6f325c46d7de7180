/* What observers are shown of a session: one const view of it, so that none of them knows sessions. */
#ifndef SESSION_FACTS_H
#define SESSION_FACTS_H

#include "observe/facts.h"

struct session;

/* Fills in what is known now. The view points into the session and is valid until it goes on. */
void session_facts(const struct session *s, struct facts *f);

/* Draws the meter of --progress, at most ten times a second, and has it drawn again. */
void session_draw(struct session *s, nsec now);

/* Draws it a last time and ends the line; nothing, if it was never drawn. */
void session_draw_last(struct session *s);

#endif
