/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: a registry of families, each with its series.  Series live for the process; updating one is an atomic
 * compare-and-swap on a double.  lock guards the registry only.
 */
#include "core/base/counter.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/map.h"
#include "core/base/mem.h"

struct family {
	char *name, *help;
	enum am_metric_type type;
	const double *buckets;
	size_t bucket_count;
	struct am_metric *first, *last;
};

struct am_metric {
	struct am_metric *next;
	const struct family *family;
	char *labels; /* a="b",c="d" */
	_Atomic double value; /* of a histogram: the sum */
	_Atomic uint64_t count;
	_Atomic uint64_t in_bucket[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct am_map *families, *series;

static struct family *
get_family(enum am_metric_type type, const char *name, const char *help, const double *buckets)
{
	struct family *f = am_map_get(families, name);

	if (f != NULL)
		return f;
	f = am_xcalloc(1, sizeof(*f));
	f->name = am_xstrdup(name);
	f->help = am_xstrdup(help);
	f->type = type;
	f->buckets = buckets;
	while (type == AM_HISTOGRAM && buckets != NULL && buckets[f->bucket_count] != 0)
		f->bucket_count++;
	am_map_put(families, name, f);
	return f;
}

static void
add_label_value(struct am_buf *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n')
			am_buf_adds(out, "\\n");
		else if (*s == '"' || *s == '\\')
			am_buf_addf(out, "\\%c", *s);
		else
			am_buf_addc(out, *s);
	}
}

struct am_metric *
am_metric(enum am_metric_type type, const char *name, const char *help, const char *const *labels, const double *buckets)
{
	struct am_buf key = { 0 };

	am_buf_addf(&key, "%s{", name);
	for (size_t i = 0; labels != NULL && labels[i] != NULL; i += 2) {
		am_buf_addf(&key, "%s%s=\"", i != 0 ? "," : "", labels[i]);
		add_label_value(&key, labels[i + 1]);
		am_buf_addc(&key, '"');
	}
	(void)pthread_mutex_lock(&lock);
	if (families == NULL) {
		families = am_map_new();
		series = am_map_new();
	}
	struct am_metric *m = am_map_get(series, am_buf_str(&key));
	if (m == NULL) {
		struct family *f = get_family(type, name, help, buckets);
		m = am_xcalloc(1, sizeof(*m) + f->bucket_count * sizeof(m->in_bucket[0]));
		m->family = f;
		m->labels = am_xstrdup(am_buf_str(&key) + strlen(name) + 1);
		if (f->last != NULL)
			f->last->next = m;
		else
			f->first = m;
		f->last = m;
		am_map_put(series, am_buf_str(&key), m);
	}
	(void)pthread_mutex_unlock(&lock);
	am_buf_fini(&key);
	return m;
}

void
am_metric_add(struct am_metric *m, double by)
{
	double before = atomic_load_explicit(&m->value, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&m->value, &before, before + by, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void
am_metric_set(struct am_metric *m, double value)
{
	atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

void
am_metric_observe(struct am_metric *m, double value)
{
	const struct family *f = m->family;

	/* Who reads the buckets, and then how many there are, finds no more in them. */
	atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
	for (size_t i = 0; i < f->bucket_count; i++) {
		if (value <= f->buckets[i]) {
			atomic_fetch_add_explicit(&m->in_bucket[i], 1, memory_order_release);
			break;
		}
	}
	am_metric_add(m, value);
}

double
am_metric_value(const struct am_metric *m)
{
	if (m->family->type == AM_HISTOGRAM)
		return (double)atomic_load(&m->count);
	return atomic_load(&m->value);
}

static void
add_number(struct am_buf *out, double v)
{
	if (isinf(v))
		am_buf_adds(out, v > 0 ? "+Inf" : "-Inf");
	else if (v == floor(v) && fabs(v) < 1e15)
		am_buf_addf(out, "%.0f", v);
	else
		am_buf_addf(out, "%.12g", v);
}

static void
add_series(struct am_buf *out, const struct am_metric *m)
{
	const struct family *f = m->family;
	const char *comma = m->labels[0] != '\0' ? "," : "";

	if (f->type != AM_HISTOGRAM) {
		am_buf_adds(out, f->name);
		if (m->labels[0] != '\0')
			am_buf_addf(out, "{%s}", m->labels);
		am_buf_addc(out, ' ');
		add_number(out, atomic_load(&m->value));
		am_buf_addc(out, '\n');
		return;
	}
	uint64_t total = 0;
	for (size_t i = 0; i < f->bucket_count; i++) {
		total += atomic_load(&m->in_bucket[i]);
		am_buf_addf(out, "%s_bucket{%s%sle=\"%.12g\"} %llu\n", f->name, m->labels, comma, f->buckets[i],
			    (unsigned long long)total);
	}
	unsigned long long count = atomic_load(&m->count);
	am_buf_addf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", f->name, m->labels, comma, count);
	const char *open = m->labels[0] != '\0' ? "{" : "", *close = m->labels[0] != '\0' ? "}" : "";
	am_buf_addf(out, "%s_sum%s%s%s ", f->name, open, m->labels, close);
	add_number(out, atomic_load(&m->value));
	am_buf_addf(out, "\n%s_count%s%s%s %llu\n", f->name, open, m->labels, close, count);
}

static int
by_name(const void *a, const void *b)
{
	const struct family *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

void
am_metric_page(struct am_buf *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	size_t it = 0, n = 0;
	void *value;

	(void)pthread_mutex_lock(&lock);
	struct family **sorted = am_xcalloc(families != NULL ? am_map_len(families) : 0, sizeof(struct family *));
	while (families != NULL && am_map_next(families, &it, NULL, &value))
		sorted[n++] = value;
	qsort(sorted, n, sizeof(struct family *), by_name);
	for (size_t i = 0; i < n; i++) {
		am_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", sorted[i]->name, sorted[i]->help, sorted[i]->name,
			    types[sorted[i]->type]);
		for (const struct am_metric *m = sorted[i]->first; m != NULL; m = m->next)
			add_series(out, m);
	}
	free(sorted);
	(void)pthread_mutex_unlock(&lock);
}
