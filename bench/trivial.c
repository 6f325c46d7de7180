/*
 * The least program there is, for the cost of serving and not of what is served: it ends, or with
 * -DANSWER says a word first. It begins without the C library, whose start takes longer than all else.
 */
#include <sys/syscall.h>
#include <unistd.h>

void _start(void) __attribute__((noreturn));

void _start(void)
{
#ifdef ANSWER
	syscall(SYS_write, 1, "hello\n", 6);
#endif
	_exit(0);
}
