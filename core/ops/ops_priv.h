/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the operations share. */
#ifndef AM_OPS_PRIV_H
#define AM_OPS_PRIV_H

#include "core/ops/ops.h"

/* process.c: brings process_* up to date. */
void ops_refresh_process(void);

#endif
