/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of objects, compressed against what their kind has in common.  See pack.c. */
#ifndef AM_DATA_PACK_H
#define AM_DATA_PACK_H

#include "core/base/buf.h"
#include "core/base/str.h"

struct am_packer;
struct am_dictionary;

/* from: objects that a store has at least when its texts are packed; with less than half of it again they are not. */
struct am_packer *am_packer_new(size_t from) am_nodiscard_;
void am_packer_free(struct am_packer *packer);
/* present: objects in the store.  False: not now, or not worth it; the text is kept as it is.  *ret is a reference, which
 * release gives back. */
bool am_pack(struct am_packer *packer, size_t present, struct am_slice text, struct am_buf *out, struct am_dictionary **ret);
/* How many dictionaries it has made: with each, what was kept as it is may be worth another try. */
unsigned am_packer_learned(const struct am_packer *packer);
void am_unpack(const char *packed, size_t n, const struct am_dictionary *dictionary, char *out, size_t out_len);
void am_pack_release(struct am_dictionary *dictionary); /* NULL is fine */

#endif
