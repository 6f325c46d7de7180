/*
 * Does nothing for a while: "pause MILLISECONDS". For loops that poll a condition, and for tests that
 * watch that something does not happen; sleep(1) need not know fractions.
 */
#include "helper.h"

int main(int argc, char **argv)
{
	if (argc != 2)
		die("usage: pause MILLISECONDS");
	pause_ms(number(argv[1]));
	return 0;
}
