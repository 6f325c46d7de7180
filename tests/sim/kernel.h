/*
 * A kernel that follows a seed, below the product's own objects: sockets, pipes, files, a poll set, memory and
 * time. It lives in place of the system calls, which the linker leads here (--wrap, see Makefile.am): so the
 * code that is tried is the code that is shipped, and what is tried is a whole session.
 *
 * It does whatever a kernel may do and no more: counts fall short, -EAGAIN comes for no reason, calls are
 * interrupted, refused or without memory, the network delivers while a call is made, events come in any order,
 * connections are reset, half-closed or vanish. It also knows what a caller must never do: wait in a call, close
 * what it has not opened, wait for what cannot come, spin.
 */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include "base/clock.h"
#include "sim/far.h"

/* What a far end does besides speaking and hearing, once it has heard or said so much of its text. */
enum story {
	STORY_GOOD,
	STORY_RESETS,   /* resets the connection */
	STORY_LEAVES,   /* closes it, whatever comes or is unread */
	STORY_VANISHES, /* is not there any more: in the end the kernel says ETIMEDOUT */
	STORY_CUT,      /* ends the connection in the middle of what it says */
};

/* A connection of the product and its far end, which lives on when the product has closed its side. */
struct connection {
	struct far far;
	enum story story;
	size_t story_at; /* bytes heard and said, together */
	bool story_told;
	nsec rests_until;  /* the far end does nothing before */
	bool drops_unread; /* a reset that reaches the far end destroys what it has not read */

	/* towards the product */
	struct queue incoming;
	size_t incoming_room, low_water, urgent_at, taken;
	uint64_t arrived; /* bytes in all */
	bool fin_arrived;
	bool whole; /* its last record has */
	int error;  /* not told yet */
	bool dead;  /* reset, timed out, or ended by both sides */

	/* from the product */
	struct queue outgoing; /* written and not delivered */
	size_t outgoing_room, unacknowledged;
	uint64_t written, delivered;
	bool shut, fin_delivered, fin_acknowledged;
	struct queue at_far; /* delivered and not read by the far end */
	bool reset_by_us, far_closed, linger_reset;

	bool open; /* the product has it */
	bool nonblocking;
	bool used;
};

/* One way of a pipe, terminal or the like between the product and a far end, or inside the product. */
struct channel {
	struct queue bytes;
	size_t room, taken;
	bool reader, writer; /* there is one */
	struct far *feeds;   /* the far end that writes; NULL: the product does */
	struct far *drains;  /* the far end that reads */
	bool leaves;         /* the far reader leaves once it has heard ... */
	size_t leaves_at;
	nsec rests_until;
	bool device;   /* no pipe: RWF_NOWAIT and splice are refused */
	bool terminal; /* a device that is one, and cannot be opened anew */
	bool used;
};

/* What the present seed's kernel does to its callers: one call of so many; 0: none. */
struct habits {
	unsigned short_counts, again, interrupted, refuses_splice, refuses_nowait, no_memory, no_pipe,
		no_watch, full_disk, meanwhile;
};

/* What has befallen the product, so that a failure has a cause. */
enum hurt {
	HURT_MEMORY = 1,
	HURT_WATCH = 2,
	HURT_DISK = 4,
};

#define KERNEL_CONNECTIONS 3
#define KERNEL_CHANNELS 16

extern struct kernel {
	bool active;  /* calls are led here */
	bool outside; /* the far ends and the kernel itself are at work: no tricks */
	bool loud;    /* tells each call on stderr */
	nsec now;
	struct habits habits;
	unsigned hurt; /* enum hurt */
	struct connection connections[KERNEL_CONNECTIONS];
	struct channel channels[KERNEL_CHANNELS];
	const unsigned char *file; /* what the regular file that is read holds */
	size_t file_length, file_at;
	struct far *file_reader; /* what hears what is written to a file */
	unsigned long calls, waits;
	char said[400]; /* the last line of the product to stderr */
} kernel;

/* Everything anew: a world without descriptors at the moment `now`. */
void kernel_boot(nsec now);

/* Frees what is left. */
void kernel_halt(void);

/* A connection of the product with `far` at its other end. Returns its descriptor. */
int kernel_connect(struct connection **out);

/* Descriptors 0 and 1 of the product, one of these each. */
void kernel_give_channel(int fd, struct channel *c, bool read_end);
void kernel_give_connection(int fd, struct connection *c);
void kernel_give_file(int fd, bool memory);
struct channel *kernel_channel(void);

/* Bytes of the product that the far end has not acknowledged, its end counted as one. */
int kernel_unacknowledged(const struct connection *c);

/* The far end has vanished: nothing reaches it, nothing comes from it. */
bool kernel_is_gone(const struct connection *c);

/* One thing that happens in the world before `until`. Returns false when nothing can. */
bool kernel_world(nsec until);

/* Descriptors that the product has open, but for 0 and 1. */
int kernel_open_descriptors(void);

/* The seed has failed: tells why and exits. In sim.c. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
