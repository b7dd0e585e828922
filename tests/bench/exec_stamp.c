/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_stamp: stands before ambient-runner in the path of a benchmark's image.  Its first act is to read the wall
 * clock; then it writes that, in nanoseconds, to $AMBIENT_SESSION_DIR/out/exec-<first argument> and becomes the
 * program that $BENCH_EXEC names.  Linked statically, so that no dynamic linker runs before the clock is read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	const char *dir = getenv("AMBIENT_SESSION_DIR"), *program = getenv("BENCH_EXEC");
	char path[4096], text[32];
	struct timespec now;
	int fd, n;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)snprintf(path, sizeof(path), "%s/out/exec-%s", dir != NULL ? dir : "", argc > 1 ? argv[1] : "");
	n = snprintf(text, sizeof(text), "%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		perror(path);
	(void)execv(program != NULL ? program : "", argv);
	perror("exec_stamp: execv");
	return 127;
}
