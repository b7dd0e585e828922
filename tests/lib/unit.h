/* SPDX-License-Identifier: Apache-2.0 */
/* What each unit test program needs: Check with TAP on standard output. */
#ifndef TESTS_LIB_UNIT_H
#define TESTS_LIB_UNIT_H

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does AMBIENT_REQUIRE name it?  Then a test that cannot have it fails instead of being left out. */
static inline bool
unit_required(const char *what)
{
	const char *list = getenv("AMBIENT_REQUIRE");
	size_t len = strlen(what);

	for (const char *p = list != NULL ? list : ""; *p != '\0'; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == len && strncmp(p, what, len) == 0)
			return true;
	return false;
}

/* n rounds of a test with random numbers, times AMBIENT_SCALE: fewer where each costs more (valgrind), more by choice. */
static inline int
unit_rounds(int n)
{
	const char *scale = getenv("AMBIENT_SCALE");
	double scaled = n * (scale != NULL ? strtod(scale, NULL) : 1.0);

	return scaled < 2 ? 2 : (int)scaled;
}

/* How often to look for what takes real time: n times, and more where everything is slower, as for Check's own limits. */
static inline int
unit_looks(int n)
{
	const char *slower = getenv("CK_TIMEOUT_MULTIPLIER");
	double by = slower != NULL ? strtod(slower, NULL) : 1.0;

	return by > 1 && by <= 100 ? (int)(n * by) : n;
}

/* static void cases(TCase *tc) { tcase_add_test(tc, name); ... }  UNIT_MAIN("queue", cases) */
#define UNIT_MAIN(title, add_cases)                                                                 \
	int main(void)                                                                              \
	{                                                                                           \
		Suite *suite = suite_create(title);                                                 \
		TCase *tc = tcase_create(title);                                                    \
		tcase_set_timeout(tc, 60);                                                          \
		add_cases(tc);                                                                      \
		suite_add_tcase(suite, tc);                                                         \
		SRunner *sr = srunner_create(suite);                                                \
		srunner_set_tap(sr, "-");                                                           \
		srunner_run_all(sr, CK_SILENT);                                                     \
		int failed = srunner_ntests_failed(sr);                                             \
		srunner_free(sr);                                                                   \
		return failed == 0 ? 0 : 1;                                                         \
	}

#endif
