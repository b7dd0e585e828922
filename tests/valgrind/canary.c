/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What valgrind has to find: canary leak | canary uninitialised | canary behind.  And what it has to know: canary openat2 ends
 * with 3 where the system call is not to be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
branch_on(const volatile char *p)
{
	return p[0] == 'x' ? printf("x\n") : printf("no x\n");
}

static int
know_openat2(void)
{
	struct open_how how = { .flags = O_PATH };

	return syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how)) < 0 && errno == ENOSYS ? 3 : 0;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	volatile char *p;

	if (strcmp(what, "openat2") == 0)
		return know_openat2();
	p = malloc(16);
	if (p == NULL)
		return 1;
	if (strcmp(what, "leak") == 0) {
		p[0] = 'x';
		p = NULL;
		return 0;
	}
	if (strcmp(what, "uninitialised") == 0)
		(void)branch_on(p);
	else if (strcmp(what, "behind") == 0)
		p[atoi("16")] = 'x';
	free((void *)p);
	return 0;
}
