/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects kept small: their text deflated against a dictionary, which is the text of the first objects of the store.
 * Objects of one kind say mostly the same, so that little is left of each.  A dictionary is never changed, because the
 * objects that were packed with it need it; when objects have become so different that it does not help any more, the
 * next ones are packed with a new one.
 *
 * A packer belongs to one store and is guarded by its lock; what is packed is immutable and may be opened on any thread.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/mem.h"
#include "core/cache/pack.h"

#define DICTIONARY_MAX ((size_t)8 * 1024)
#define SAMPLE_MAX     ((size_t)4 * 1024)  /* of one object */
#define SAMPLES        4
#define SMALL          ((size_t)200)       /* not worth it */
#define WINDOW         512                 /* objects between looks at how well it goes */

struct am_dictionary {
	atomic_uint refs;
	size_t n;
	char text[];
};

struct am_packer {
	struct am_dictionary *dictionary;  /* NULL: samples are being taken */
	struct am_buf samples;
	int sample_count;
	size_t in, out, count;             /* of this window */
	z_stream deflate;
};

static void
dictionary_unref(struct am_dictionary *d)
{
	if (d != NULL && atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) == 1)
		free(d);
}

struct am_packer *
am_packer_new(void)
{
	struct am_packer *packer = am_xcalloc(1, sizeof(*packer));

	packer->samples.max = DICTIONARY_MAX;
	/* Raw, a window of 16 KiB, which the dictionary fits in: 80 KiB of state for each store. */
	am_assert(deflateInit2(&packer->deflate, 3, Z_DEFLATED, -14, 6, Z_DEFAULT_STRATEGY) == Z_OK);
	return packer;
}

void
am_packer_free(struct am_packer *packer)
{
	if (packer == NULL)
		return;
	(void)deflateEnd(&packer->deflate);
	dictionary_unref(packer->dictionary);
	am_buf_fini(&packer->samples);
	free(packer);
}

static void
learn(struct am_packer *packer, struct am_slice text)
{
	struct am_dictionary *d;

	am_buf_add(&packer->samples, text.p, AM_MIN(text.n, AM_MIN(SAMPLE_MAX, DICTIONARY_MAX - packer->samples.len)));
	if (++packer->sample_count < SAMPLES)
		return;
	d = malloc(sizeof(*d) + packer->samples.len);
	if (d != NULL) {
		atomic_init(&d->refs, 1);
		d->n = packer->samples.len;
		memcpy(d->text, am_buf_str(&packer->samples), d->n);
		packer->dictionary = d;
	}
	packer->sample_count = 0;
	am_buf_fini(&packer->samples);
}

/* Where less than a third is saved, what the dictionary was made of is not what objects look like now. */
static void
reconsider(struct am_packer *packer)
{
	if (++packer->count < WINDOW)
		return;
	if (packer->out > packer->in / 3 * 2) {
		dictionary_unref(packer->dictionary);
		packer->dictionary = NULL;
	}
	packer->in = packer->out = packer->count = 0;
}

bool
am_pack(struct am_packer *packer, struct am_slice text, struct am_buf *out, struct am_dictionary **ret)
{
	z_stream *z = &packer->deflate;
	uLong bound = deflateBound(z, text.n);

	if (text.n < SMALL)
		return false;
	if (packer->dictionary == NULL) {
		learn(packer, text);
		return false;
	}
	am_buf_reset(out);
	if (!am_buf_reserve(out, bound))
		return false;
	(void)deflateReset(z);
	(void)deflateSetDictionary(z, (const Bytef *)packer->dictionary->text, (uInt)packer->dictionary->n);
	z->next_in = (z_const Bytef *)(uintptr_t)text.p;
	z->avail_in = (uInt)text.n;
	z->next_out = (Bytef *)out->data;
	z->avail_out = (uInt)bound;
	am_assert(deflate(z, Z_FINISH) == Z_STREAM_END);
	out->len = z->total_out;
	packer->in += text.n;
	packer->out += out->len;
	*ret = packer->dictionary;
	(void)atomic_fetch_add_explicit(&(*ret)->refs, 1, memory_order_relaxed);
	reconsider(packer);
	return true;
}

void
am_unpack(const char *packed, size_t n, const struct am_dictionary *dictionary, char *out, size_t out_len)
{
	z_stream z = { .next_in = (z_const Bytef *)(uintptr_t)packed, .avail_in = (uInt)n, .next_out = (Bytef *)out,
		       .avail_out = (uInt)out_len };

	am_assert(inflateInit2(&z, -14) == Z_OK);
	(void)inflateSetDictionary(&z, (const Bytef *)dictionary->text, (uInt)dictionary->n);
	am_assert(inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == out_len);
	(void)inflateEnd(&z);
}

void
am_pack_release(struct am_dictionary *dictionary)
{
	dictionary_unref(dictionary);
}
