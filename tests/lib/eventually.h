/* SPDX-License-Identifier: Apache-2.0 */
/* Waits in real time, some 10 s, for other threads to get somewhere.  Whose clock is a fake one does not notice.  What was
 * true once counts: it is not looked at again. */
#ifndef TESTS_LIB_EVENTUALLY_H
#define TESTS_LIB_EVENTUALLY_H

#include <stdbool.h>
#include <time.h>

static void
nap(void)
{
	struct timespec ts = { 0, 200000 };

	(void)nanosleep(&ts, NULL);
}

#define EVENTUALLY(cond)                                                                            \
	do {                                                                                        \
		bool there_ = (cond);                                                               \
		for (int i_ = 0; i_ < 50000 && !there_; i_++) {                                     \
			nap();                                                                      \
			there_ = (cond);                                                            \
		}                                                                                   \
		ck_assert_msg(there_, "in vain: %s", #cond);                                        \
	} while (0)

#endif
