#include "observe/summary.h"

#include "base/diag.h"
#include "base/units.h"
#include "net/tcpinfo.h"

/* Which side ended which direction, and which came first. */
static void tell_endings(const struct facts *f, const char *who)
{
	if (f->joined)
		diag_detail("%s: to the peer %s, from the peer %s; %s ended first", who, f->sent_end,
			    f->received_end, f->first_end ? f->first_end : "neither");
}

void summary_tell(const struct facts *f, const char *who)
{
	char sent[UNITS_TEXT], received[UNITS_TEXT], speed[UNITS_TEXT], time[UNITS_TEXT], text[256];
	double seconds = (double)(f->now - f->began) / NSEC_PER_SEC;
	double rate = seconds > 0 ? (double)(f->sent + f->received) / seconds : 0;
	struct tcpinfo info;

	diag_step("%s: sent %s, received %s in %s, %s/s", who, units_bytes((double)f->sent, sent),
		  units_bytes((double)f->received, received), units_span(f->now - f->began, time),
		  units_bytes(rate, speed));
	tell_endings(f, who);
	if (diag_level() >= DIAG_DETAILS && tcpinfo_read(f->sock, &info) == 0 && !tcpinfo_forgotten(&info))
		diag_detail("%s: %s", who, tcpinfo_words(&info, text, sizeof text));
}
