/* SPDX-License-Identifier: Apache-2.0 */
/* What valgrind has to find: canary leak | canary uninitialised | canary behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
branch_on(const volatile char *p)
{
	return p[0] == 'x' ? printf("x\n") : printf("no x\n");
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	volatile char *p = malloc(16);

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
