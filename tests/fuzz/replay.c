/*
 * Tries a fuzz target with every file of its corpus and with inputs near each of them, with any compiler. The
 * corpus of fuzz_NAME is tests/fuzz/corpus/NAME; or name files: "fuzz_flow FILE..." tries those alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "unit/tap.h"

#define NEIGHBOURS 300
#define INPUT_MOST 65536

static unsigned long state = 88172645463325252UL;

static size_t chance(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

/* Changes a few bytes: other ones, doubled, taken out. Returns the new length. */
static size_t vary(uint8_t *bytes, size_t n)
{
	static const uint8_t telling[] = {0, 1, 10, 13, 32, 127, 128, 240, 250, 251, 253, 255};

	for (size_t i = 1 + chance(6); i > 0 && n > 0; i--) {
		size_t at = chance(n), length = 1 + chance(n - at);

		switch (chance(4)) {
		case 0:
			bytes[at] = (uint8_t)chance(256);
			break;
		case 1:
			bytes[at] = telling[chance(sizeof telling)];
			break;
		case 2:
			if (n + length <= INPUT_MOST) {
				memmove(bytes + at + length, bytes + at, n - at);
				n += length;
			}
			break;
		default:
			memmove(bytes + at, bytes + at + length, n - at - length);
			n -= length;
		}
	}
	return n;
}

/* What is tried now, for when it crashes. */
static const uint8_t *trying;
static size_t trying_length;

/* Writes it to a file, so that it can be tried again, and lets the crash go on. */
static void keep(int signo)
{
	int fd = open("fuzz-input", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	signal(signo, SIG_DFL);
	if (fd >= 0 && write(fd, trying, trying_length) == (ssize_t)trying_length)
		fprintf(stderr, "the input is in ./fuzz-input\n");
	raise(signo);
}

static void try(const uint8_t *bytes, size_t n)
{
	trying = bytes;
	trying_length = n;
	LLVMFuzzerTestOneInput(bytes, n);
}

static void try_file(const char *path, int neighbours)
{
	static uint8_t input[INPUT_MOST], near[2 * INPUT_MOST];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		point(false, "%s cannot be read", path);
		return;
	}
	n = fread(input, 1, sizeof input, f);
	fclose(f);
	try(input, n);
	for (int i = 0; i < neighbours; i++) {
		memcpy(near, input, n);
		try(near, vary(near, n));
	}
	point(true, "%s, and %d inputs near it", path, neighbours);
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir"), *name = strrchr(argv[0], '_');
	char directory[1000], path[2000];
	struct dirent *one;
	DIR *corpus;

	signal(SIGABRT, keep);
	signal(SIGSEGV, keep);
	for (int i = 1; i < argc; i++)
		try_file(argv[i], 0);
	if (argc > 1)
		return done();
	snprintf(directory, sizeof directory, "%s/tests/fuzz/corpus/%s", top ? top : ".",
		 name ? name + 1 : "");
	corpus = opendir(directory);
	if (!corpus) {
		point(false, "no corpus in %s", directory);
		return done();
	}
	while ((one = readdir(corpus))) {
		if (*one->d_name == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", directory, one->d_name);
		try_file(path, NEIGHBOURS);
	}
	closedir(corpus);
	return done();
}
