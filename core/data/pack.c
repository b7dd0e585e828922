/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects kept small: their text compressed by zstd against a dictionary, which is made of the first objects that are
 * packed.  Objects of one kind say mostly the same, so that little is left of each.  A dictionary is never changed,
 * because the objects that were packed with it need it; when objects have become so different that it does not help any
 * more, the next ones are packed with a new one.
 *
 * A dictionary and its tables take some 130 KB, so that a store of few objects is left as it is.
 *
 * A packer belongs to one store and is guarded by its lock; what is packed is immutable and may be opened on any thread.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zdict.h>
#include <zstd.h>

#include "core/base/mem.h"
#include "core/data/pack.h"

#define CONTENT_MAX ((size_t)8 * 1024)   /* what objects are compared with */
#define SAMPLE_MAX  ((size_t)4 * 1024)   /* of one object */
#define SAMPLES     32
#define TABLES_MAX  ((size_t)2 * 1024)   /* how often which byte occurs, in front of the content */
#define SMALL       ((size_t)200)        /* not worth it */
#define WINDOW      512                  /* objects between looks at how well it goes */
#define LEVEL       1
#define HASH_LOG    11                   /* as good for a dictionary of this size as the usual 14, in a third of the memory */
#define OPENERS     4                    /* 94 KB each, made as threads open texts at one time */

struct am_dictionary {
	atomic_uint refs;
	ZSTD_DDict *opens;
};

struct am_packer {
	size_t from;                       /* objects in the store that packing is worth it for */
	struct am_dictionary *dictionary;  /* NULL: samples are being taken */
	ZSTD_CCtx *context;                /* the same, for the other direction */
	struct am_buf samples;
	size_t sizes[SAMPLES];
	unsigned sample_count, learned;
	size_t in, out, count;             /* of this window */
};

static void
dictionary_unref(struct am_dictionary *d)
{
	if (d == NULL || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
		return;
	(void)ZSTD_freeDDict(d->opens);
	free(d);
}

/* The next objects are samples again. */
static void
forget(struct am_packer *packer)
{
	dictionary_unref(packer->dictionary);
	packer->dictionary = NULL;
	(void)ZSTD_freeCCtx(packer->context);
	packer->context = NULL;
	am_buf_fini(&packer->samples);
	packer->sample_count = 0;
	packer->in = packer->out = packer->count = 0;
}

struct am_packer *
am_packer_new(size_t from)
{
	struct am_packer *packer = am_xcalloc(1, sizeof(*packer));

	packer->from = from;
	return packer;
}

void
am_packer_free(struct am_packer *packer)
{
	if (packer == NULL)
		return;
	forget(packer);
	free(packer);
}

static ZSTD_CCtx *
context_new(const char *dictionary, size_t n)
{
	static const struct {
		ZSTD_cParameter name;
		int value;
	} how[] = {
		{ ZSTD_c_compressionLevel, LEVEL }, { ZSTD_c_hashLog, HASH_LOG },
		/* The object says both, so that no text need to. */
		{ ZSTD_c_contentSizeFlag, 0 }, { ZSTD_c_dictIDFlag, 0 },
	};
	ZSTD_CCtx *context = ZSTD_createCCtx();
	bool good = context != NULL;

	for (size_t i = 0; good && i < AM_COUNTOF(how); i++)
		good = !ZSTD_isError(ZSTD_CCtx_setParameter(context, how[i].name, how[i].value));
	if (good && !ZSTD_isError(ZSTD_CCtx_loadDictionary(context, dictionary, n)))
		return context;
	(void)ZSTD_freeCCtx(context);
	return NULL;
}

/* A dictionary of the samples: the beginnings of the first ones, and tables of what occurs in all. */
static void
learn(struct am_packer *packer)
{
	char made[TABLES_MAX + CONTENT_MAX];
	const char *text = am_buf_str(&packer->samples);
	size_t content = AM_MIN(packer->samples.len, CONTENT_MAX);
	ZDICT_params_t how = { .compressionLevel = LEVEL };
	size_t n = ZDICT_finalizeDictionary(made, sizeof(made), text, content, text, packer->sizes, packer->sample_count, how);
	struct am_dictionary *d = calloc(1, sizeof(*d));

	if (ZDICT_isError(n)) { /* too little or too strange for tables */
		memcpy(made, text, content);
		n = content;
	}
	packer->context = context_new(made, n);
	if (d != NULL)
		d->opens = ZSTD_createDDict(made, n);
	if (d == NULL || d->opens == NULL || packer->context == NULL) {
		if (d != NULL)
			(void)ZSTD_freeDDict(d->opens);
		free(d);
		forget(packer);
		return;
	}
	atomic_init(&d->refs, 1);
	packer->dictionary = d;
	packer->learned++;
	packer->sample_count = 0;
	am_buf_fini(&packer->samples);
}

static void
sample(struct am_packer *packer, struct am_slice text)
{
	size_t n = AM_MIN(text.n, SAMPLE_MAX);

	am_buf_add(&packer->samples, text.p, n);
	if (packer->samples.failed) {
		forget(packer);
		return;
	}
	packer->sizes[packer->sample_count++] = n;
	if (packer->sample_count == SAMPLES)
		learn(packer);
}

/* Where less than a third is saved, what the dictionary was made of is not what objects look like now. */
static void
reconsider(struct am_packer *packer)
{
	if (++packer->count < WINDOW)
		return;
	if (packer->out > packer->in / 3 * 2)
		forget(packer);
	packer->in = packer->out = packer->count = 0;
}

bool
am_pack(struct am_packer *packer, size_t present, struct am_slice text, struct am_buf *out, struct am_dictionary **ret)
{
	size_t bound = ZSTD_compressBound(text.n), n;

	if (text.n < SMALL)
		return false;
	if (present < packer->from) {
		if (present < packer->from / 2)
			forget(packer);
		return false;
	}
	if (packer->dictionary == NULL) {
		sample(packer, text);
		return false;
	}
	am_buf_reset(out);
	if (!am_buf_reserve(out, bound))
		return false;
	n = ZSTD_compress2(packer->context, out->data, bound, text.p, text.n);
	if (ZSTD_isError(n))
		return false;
	out->len = n;
	packer->in += text.n;
	packer->out += n;
	*ret = packer->dictionary;
	(void)atomic_fetch_add_explicit(&(*ret)->refs, 1, memory_order_relaxed);
	reconsider(packer);
	return true;
}

unsigned
am_packer_learned(const struct am_packer *packer)
{
	return packer->learned;
}

/* What opening wants besides the dictionary; of the process, since texts are opened by whoever reads. */
static _Atomic(ZSTD_DCtx *) openers[OPENERS];

static ZSTD_DCtx *
opener_take(void)
{
	for (size_t i = 0; i < OPENERS; i++) {
		ZSTD_DCtx *opener = atomic_exchange_explicit(&openers[i], NULL, memory_order_acq_rel);

		if (opener != NULL)
			return opener;
	}
	return ZSTD_createDCtx();
}

static void
opener_give(ZSTD_DCtx *opener)
{
	for (size_t i = 0; opener != NULL && i < OPENERS; i++)
		opener = atomic_exchange_explicit(&openers[i], opener, memory_order_acq_rel);
	(void)ZSTD_freeDCtx(opener);
}

void
am_unpack(const char *packed, size_t n, const struct am_dictionary *dictionary, char *out, size_t out_len)
{
	ZSTD_DCtx *opener = opener_take();

	am_assert(opener != NULL);
	am_assert(ZSTD_decompress_usingDDict(opener, out, out_len, packed, n, dictionary->opens) == out_len);
	opener_give(opener);
}

void
am_pack_release(struct am_dictionary *dictionary)
{
	dictionary_unref(dictionary);
}
