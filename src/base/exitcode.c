#include "base/exitcode.h"

#include <errno.h>

int exitcode_for(int error, int otherwise)
{
	switch (-error) {
	case ENOMEM:
	case ENOBUFS:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
		return EXIT_RESOURCES;
	default:
		return otherwise;
	}
}
