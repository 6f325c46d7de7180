#include "net/sockopt.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/num.h"

/* Seconds as the kernel counts them: whole, at least one, at most what its options take. */
static int parse_seconds(const char *word, int *out)
{
	nsec span;
	int r = num_time(word, &span);

	if (r < 0)
		return r;
	span = span / NSEC_PER_SEC + (span % NSEC_PER_SEC != 0);
	if (span < 1 || span > 32767)
		return -ERANGE;
	*out = (int)span;
	return 0;
}

int keepalive_parse(const char *word, struct keepalive *k)
{
	char copy[64], *interval, *count = NULL;
	struct keepalive parsed = *k;
	int64_t number = k->count;
	int r;

	if (strlen(word) >= sizeof copy)
		return -EINVAL;
	strcpy(copy, word);
	interval = strchr(copy, ',');
	if (interval) {
		*interval++ = '\0';
		count = strchr(interval, ',');
	}
	if (count)
		*count++ = '\0';
	r = parse_seconds(copy, &parsed.idle);
	if (r == 0 && interval)
		r = parse_seconds(interval, &parsed.interval);
	if (r == 0 && count)
		r = num_parse(count, 1, 127, &number);
	if (r < 0)
		return r;
	parsed.count = (int)number;
	*k = parsed;
	return 0;
}

static void set(int sock, int level, int name, int value)
{
	setsockopt(sock, level, name, &value, sizeof value);
}

void sockopt_prepare(int sock, const struct keepalive *k)
{
	set(sock, IPPROTO_TCP, TCP_NODELAY, 1);
	/* an urgent byte is a byte of the stream, or it would be lost: RFC 6093 */
	set(sock, SOL_SOCKET, SO_OOBINLINE, 1);
	if (k->off)
		return;
	set(sock, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(sock, IPPROTO_TCP, TCP_KEEPIDLE, k->idle);
	set(sock, IPPROTO_TCP, TCP_KEEPINTVL, k->interval);
	set(sock, IPPROTO_TCP, TCP_KEEPCNT, k->count);
}

int sockopt_unacknowledged(int sock)
{
	int queued = 0;

	/* tcp(7): the bytes of the send queue, sent or not */
	return ioctl(sock, SIOCOUTQ, &queued) < 0 ? -errno : queued;
}

void sockopt_abort_on_close(int sock)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(sock, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}
