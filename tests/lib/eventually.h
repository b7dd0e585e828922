/* SPDX-License-Identifier: Apache-2.0 */
/* Waits in real time, at most 10 s, for other threads to get somewhere.  Whose clock is a fake one does not notice. */
#ifndef TESTS_LIB_EVENTUALLY_H
#define TESTS_LIB_EVENTUALLY_H

#include <time.h>

static void
nap(void)
{
	struct timespec ts = { 0, 200000 };

	(void)nanosleep(&ts, NULL);
}

#define EVENTUALLY(cond)                                                                            \
	do {                                                                                        \
		for (int i_ = 0; i_ < 50000 && !(cond); i_++)                                       \
			nap();                                                                      \
		ck_assert(cond);                                                                    \
	} while (0)

#endif
