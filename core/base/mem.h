/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory.  am_x* are for small sizes that no outsider chooses: they end the process when there is none.
 * Whatever is sized by input uses malloc or struct am_buf and handles failure.
 * An arena hands out memory that is freed all at once; it belongs to one thread.
 */
#ifndef AM_BASE_MEM_H
#define AM_BASE_MEM_H

#include "core/base/attr.h"

void *am_xcalloc(size_t n, size_t size) am_nodiscard_;
void *am_xrealloc(void *p, size_t n, size_t size) am_nodiscard_;
char *am_xstrdup(const char *s) am_nodiscard_;              /* NULL in, NULL out */
char *am_xstrndup(const char *s, size_t n) am_nodiscard_;
char *am_xasprintf(const char *fmt, ...) am_nodiscard_ am_printf_(1, 2);
void am_freep(void *pp);                                    /* for am_auto: frees *(void **)pp */
_Noreturn void am_no_memory(void);                          /* says so and ends the process */

struct am_arena;
struct am_arena *am_arena_new(void) am_nodiscard_;
/* Limits what it may hold; am_arena_alloc returns NULL beyond.  0: no limit. */
struct am_arena *am_arena_new_limited(size_t max) am_nodiscard_;
void am_arena_free(struct am_arena *arena);                 /* NULL is fine */
void am_arena_freep(struct am_arena **arena);
void am_arena_reset(struct am_arena *arena);                /* keeps the first block */
/* 16-byte aligned, not zeroed; NULL when out of memory or over the limit, and then failed() stays true. */
void *am_arena_alloc(struct am_arena *arena, size_t n) am_nodiscard_;
void *am_arena_zalloc(struct am_arena *arena, size_t n) am_nodiscard_;
char *am_arena_strdup(struct am_arena *arena, const char *s);
char *am_arena_strndup(struct am_arena *arena, const char *s, size_t n);
char *am_arena_printf(struct am_arena *arena, const char *fmt, ...) am_printf_(2, 3);
bool am_arena_failed(const struct am_arena *arena);
size_t am_arena_used(const struct am_arena *arena);

#endif
