/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for many small things that come and go together, in blocks of their own.  In the heap they would lie between what
 * stays, and pin every page of it; here a block in which nothing is left goes back to the kernel at once.
 * Not thread-safe.  For sizes that no outsider chooses: ends the process when there is no memory.
 */
#ifndef AM_BASE_SLAB_H
#define AM_BASE_SLAB_H

#include "core/base/attr.h"

struct am_slab;

struct am_slab *am_slab_new(void) am_nodiscard_;
void am_slab_free(struct am_slab *slab);                       /* NULL is fine; everything has been dropped */
void *am_slab_alloc(struct am_slab *slab, size_t n) am_nodiscard_; /* zeroed, aligned to 16 */
void am_slab_drop(struct am_slab *slab, void *p, size_t n);    /* of the same n; NULL is fine */
size_t am_slab_blocks(const struct am_slab *slab);             /* that it holds */

#endif
