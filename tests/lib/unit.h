/* SPDX-License-Identifier: Apache-2.0 */
/* What each unit test program needs: Check with TAP on standard output. */
#ifndef TESTS_LIB_UNIT_H
#define TESTS_LIB_UNIT_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

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
