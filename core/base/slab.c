/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of 64 KiB, aligned to their size, each with cells of one size: a multiple of 32 bytes up to a kilobyte.  A block
 * finds its free cells in a list that goes through them, and behind the last one that was ever used.  Invariants: blocks
 * with free cells are in the list of their class, others in none; an empty block stays only while it is the only one there,
 * so that a thing that comes and goes costs no system call.  Larger things are the heap's.
 *
 * With sanitizers each thing is an allocation of its own, so that an overrun is seen.
 */
#include "core/base/slab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/mem.h"

#define BLOCK   ((size_t)64 * 1024)
#define STEP    ((size_t)32)
#define LARGEST ((size_t)1024)
#define CLASSES (LARGEST / STEP)

struct cell {
	struct cell *next;
};

struct block {
	struct block *prev, *next; /* of its class, while it has free cells */
	struct cell *free;
	uint32_t used, fresh, count; /* cells: in use; never used from here on; in all */
	uint32_t class;
};

#define HEAD ((sizeof(struct block) + STEP - 1) / STEP * STEP)

struct am_slab {
	struct block *partial[CLASSES];
	size_t blocks, large;
};

struct am_slab *
am_slab_new(void)
{
	return am_xcalloc(1, sizeof(struct am_slab));
}

void
am_slab_free(struct am_slab *slab)
{
	if (slab == NULL)
		return;
	for (size_t i = 0; i < CLASSES; i++) {
		struct block *block = slab->partial[i];

		if (block != NULL) {
			am_assert(block->used == 0 && block->next == NULL);
			(void)munmap(block, BLOCK);
			slab->blocks--;
		}
	}
	am_assert(slab->blocks == 0);
	free(slab);
}

size_t
am_slab_blocks(const struct am_slab *slab)
{
	return slab->blocks;
}

static void
link_in(struct am_slab *slab, struct block *block)
{
	block->prev = NULL;
	block->next = slab->partial[block->class];
	if (block->next != NULL)
		block->next->prev = block;
	slab->partial[block->class] = block;
}

static void
take_out(struct am_slab *slab, struct block *block)
{
	*(block->prev != NULL ? &block->prev->next : &slab->partial[block->class]) = block->next;
	if (block->next != NULL)
		block->next->prev = block->prev;
}

/* The kernel gives pages; twice as many as are wanted hold an aligned block. */
static struct block *
map_block(void)
{
	char *p = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		am_no_memory();
	size_t before = (size_t)(-(uintptr_t)p % BLOCK);
	if (before != 0)
		(void)munmap(p, before);
	(void)munmap(p + before + BLOCK, BLOCK - before);
	return (struct block *)(void *)(p + before);
}

static void
block_add(struct am_slab *slab, size_t class)
{
	struct block *block = map_block();

	block->class = (uint32_t)class;
	block->count = (uint32_t)((BLOCK - HEAD) / ((class + 1) * STEP));
	slab->blocks++;
	link_in(slab, block);
}

static void *
cell_at(struct block *block, uint32_t i)
{
	return (char *)block + HEAD + (size_t)i * (block->class + 1) * STEP;
}

/* CLASSES: it is the heap's. */
static size_t
class_of(size_t n)
{
#ifdef AM_SANITIZED
	(void)n;
	return CLASSES;
#else
	return n == 0 ? 0 : AM_MIN((n - 1) / STEP, CLASSES);
#endif
}

void *
am_slab_alloc(struct am_slab *slab, size_t n)
{
	size_t class = class_of(n);
	struct block *block;
	void *p;

	if (class >= CLASSES)
		return am_xcalloc(1, n);
	if (slab->partial[class] == NULL)
		block_add(slab, class);
	block = slab->partial[class];
	p = block->free;
	if (p != NULL)
		block->free = block->free->next;
	else
		p = cell_at(block, block->fresh++);
	if (++block->used == block->count)
		take_out(slab, block);
	return memset(p, 0, (class + 1) * STEP);
}

void
am_slab_drop(struct am_slab *slab, void *p, size_t n)
{
	size_t class = class_of(n);
	struct block *block = (struct block *)(void *)((char *)p - (uintptr_t)p % BLOCK);
	struct cell *cell = p;

	if (p == NULL)
		return;
	if (class >= CLASSES) {
		free(p);
		return;
	}
	am_assert(block->class == class && block->used > 0);
	cell->next = block->free;
	block->free = cell;
	if (block->used-- == block->count)
		link_in(slab, block);
	if (block->used == 0 && (block->prev != NULL || block->next != NULL)) {
		take_out(slab, block);
		(void)munmap(block, BLOCK);
		slab->blocks--;
	}
}
