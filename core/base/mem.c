/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: checked wrappers and the arena.
 *
 * An arena is a chain of blocks; allocation moves a pointer in the newest.  Built with sanitizers each allocation is
 * a block of its own, so that an overrun is seen.
 */
#include "core/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"

#ifdef AM_SANITIZED
#define FIRST_BLOCK 0
#else
#define FIRST_BLOCK 4096
#endif
#define LARGEST_STEP (1024 * 1024)
#define ALIGNMENT    16

void
am_assert_failed(const char *cond, const char *file, int line, const char *func)
{
	am_log_error("base", "assertion failed: %s at %s:%d in %s", cond, file, line, func);
	am_log_fini();
	abort();
}

void
am_no_memory(void)
{
	static const char text[] = "ambient: out of memory\n";

	(void)!write(2, text, sizeof(text) - 1);
	abort();
}

static void *
checked(void *p, size_t n)
{
	if (p == NULL && n != 0)
		am_no_memory();
	return p;
}

void *
am_xcalloc(size_t n, size_t size)
{
	return checked(calloc(n != 0 ? n : 1, size != 0 ? size : 1), 1);
}

void *
am_xrealloc(void *p, size_t n, size_t size)
{
	return checked(reallocarray(p, n != 0 ? n : 1, size != 0 ? size : 1), 1);
}

char *
am_xstrdup(const char *s)
{
	return s == NULL ? NULL : checked(strdup(s), 1);
}

char *
am_xstrndup(const char *s, size_t n)
{
	return s == NULL ? NULL : checked(strndup(s, n), 1);
}

char *
am_xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return checked(s, 1);
}

void
am_freep(void *pp)
{
	void **p = pp;

	free(*p);
	*p = NULL;
}

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(ALIGNMENT) char bytes[];
};

struct am_arena {
	struct block *newest, *first;
	size_t used, max, step;
	bool failed;
};

struct am_arena *
am_arena_new(void)
{
	return am_arena_new_limited(0);
}

struct am_arena *
am_arena_new_limited(size_t max)
{
	struct am_arena *arena = am_xcalloc(1, sizeof(*arena));

	arena->max = max;
	arena->step = FIRST_BLOCK;
	return arena;
}

static void
free_blocks(struct block *from, const struct block *until)
{
	while (from != until) {
		struct block *next = from->next;
		free(from);
		from = next;
	}
}

void
am_arena_free(struct am_arena *arena)
{
	if (arena == NULL)
		return;
	free_blocks(arena->newest, NULL);
	free(arena);
}

void
am_arena_freep(struct am_arena **arena)
{
	am_arena_free(*arena);
	*arena = NULL;
}

void
am_arena_reset(struct am_arena *arena)
{
	free_blocks(arena->newest, arena->first);
	arena->newest = arena->first;
	if (arena->first != NULL)
		arena->first->used = 0;
#ifdef AM_SANITIZED
	free_blocks(arena->newest, NULL);
	arena->newest = arena->first = NULL;
#endif
	arena->used = 0;
	arena->failed = false;
}

static struct block *
add_block(struct am_arena *arena, size_t n)
{
	size_t size = AM_MAX(n, arena->step);
	struct block *block = malloc(sizeof(*block) + size);

	if (block == NULL)
		return NULL;
	block->next = arena->newest;
	block->size = size;
	block->used = 0;
	arena->newest = block;
	if (arena->first == NULL)
		arena->first = block;
	if (arena->step != 0 && arena->step < LARGEST_STEP)
		arena->step *= 2;
	return block;
}

void *
am_arena_alloc(struct am_arena *arena, size_t n)
{
	size_t rounded;

	if (arena->failed || __builtin_add_overflow(n, ALIGNMENT - 1, &rounded))
		goto fail;
	rounded &= ~(size_t)(ALIGNMENT - 1);
	if (rounded == 0)
		rounded = ALIGNMENT;
	if (arena->max != 0 && (rounded > arena->max || arena->used > arena->max - rounded))
		goto fail;
	struct block *block = arena->newest;
#ifdef AM_SANITIZED
	block = add_block(arena, n != 0 ? n : 1);
	if (block == NULL)
		goto fail;
	block->used = block->size;
	arena->used += rounded;
	return block->bytes;
#else
	if (block == NULL || block->size - block->used < rounded)
		block = add_block(arena, rounded);
	if (block == NULL)
		goto fail;
	void *p = block->bytes + block->used;
	block->used += rounded;
	arena->used += rounded;
	return p;
#endif
fail:
	arena->failed = true;
	return NULL;
}

void *
am_arena_zalloc(struct am_arena *arena, size_t n)
{
	void *p = am_arena_alloc(arena, n);

	return p != NULL ? memset(p, 0, n) : NULL;
}

char *
am_arena_strndup(struct am_arena *arena, const char *s, size_t n)
{
	char *copy = am_arena_alloc(arena, n + 1);

	if (copy != NULL) {
		if (n != 0)
			memcpy(copy, s, n);
		copy[n] = '\0';
	}
	return copy;
}

char *
am_arena_strdup(struct am_arena *arena, const char *s)
{
	return s != NULL ? am_arena_strndup(arena, s, strlen(s)) : NULL;
}

char *
am_arena_printf(struct am_arena *arena, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *s = n >= 0 ? am_arena_alloc(arena, (size_t)n + 1) : NULL;
	if (s != NULL)
		(void)vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}

bool
am_arena_failed(const struct am_arena *arena)
{
	return arena->failed;
}

size_t
am_arena_used(const struct am_arena *arena)
{
	return arena->used;
}
