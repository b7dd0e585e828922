/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drives a fuzz target where there is no libFuzzer: every file given (or found in a directory given; without
 * arguments the target's corpus) goes in as it is, then cut short at many places, then with bytes changed.  The
 * changes are the same in each run; AMBIENT_SEED chooses others.  A crash is the failure.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CUTS      64
#define MUTANTS   400
#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t seed = 1;
static unsigned inputs, runs;

static uint64_t
next_random(void)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A copy of exactly that size, so that a sanitizer sees a read beyond it. */
static void
run_one(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	runs++;
}

static void
mutate(uint8_t *data, size_t *size)
{
	static const char interesting[] = "{}[]\":,'&*|>-\n\t\\/%#\x00\xff\xc3\x80" "09eE.+";
	size_t times = 1 + next_random() % 4;

	for (size_t i = 0; i < times && *size > 0; i++) {
		size_t at = next_random() % *size;

		switch (next_random() % 4) {
		case 0:
			data[at] ^= (uint8_t)(1u << next_random() % 8);
			break;
		case 1:
			data[at] = (uint8_t)interesting[next_random() % (sizeof(interesting) - 1)];
			break;
		case 2: { /* doubled from somewhere else */
			size_t from = next_random() % *size;
			size_t n = *size - (at > from ? at : from);

			n = n > 16 ? 16 : n;
			memmove(data + at, data + from, n);
			break;
		}
		default: { /* taken out */
			size_t n = 1 + next_random() % 8;

			n = n > *size - at ? *size - at : n;
			memmove(data + at, data + at + n, *size - at - n);
			*size -= n;
		}
		}
	}
}

static void
run_file(const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	uint8_t *changed = malloc(INPUT_MAX);
	FILE *file = fopen(path, "rb");

	if (data == NULL || changed == NULL || file == NULL) {
		(void)printf("Bail out! cannot read %s\n", path);
		exit(1);
	}
	size_t size = fread(data, 1, INPUT_MAX, file);
	(void)fclose(file);
	inputs++;
	run_one(data, size);
	for (size_t i = 0; i < CUTS && size > 0; i++)
		run_one(data, size <= CUTS ? i % size : next_random() % size);
	for (size_t i = 0; i < MUTANTS; i++) {
		size_t n = size;

		memcpy(changed, data, size);
		mutate(changed, &n);
		run_one(changed, n);
	}
	free(data);
	free(changed);
}

static void
run_path(const char *path)
{
	struct stat st;
	struct dirent **names;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	int n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char file[4096];

		(void)snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			run_file(file);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

int
main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	const char *top = getenv("top_srcdir");
	const char *from = getenv("AMBIENT_SEED");
	char corpus[4096];

	name = name != NULL ? name + 1 : argv[0];
	name = strncmp(name, "lt-", 3) == 0 ? name + 3 : name;
	if (from != NULL)
		seed = strtoull(from, NULL, 10);
	(void)printf("1..1\n");
	(void)fflush(stdout);
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			run_path(argv[i]);
	} else {
		(void)snprintf(corpus, sizeof(corpus), "%s/tests/fuzz/corpus/%s", top != NULL ? top : ".",
			       strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
		run_path(corpus);
	}
	(void)printf("%sok 1 - %s: %u inputs, %u runs\n", inputs > 0 ? "" : "not ", name, inputs, runs);
	return inputs > 0 ? 0 : 1;
}
