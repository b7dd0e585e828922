/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of completion indexes as ascending ranges, which is also how a Job's status writes them: "1,3-5,7", two
 * neighbours as "3,4".
 */
#include "workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first range that ends at index or after it. */
static size_t
lower(const struct job_indexes *set, int64_t index)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (set->at[mid].last < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool
job_indexes_has(const struct job_indexes *set, int64_t index)
{
	size_t i = lower(set, index);

	return i < set->n && set->at[i].first <= index;
}

static bool
make_room(struct ambient_call *call, struct job_indexes *set)
{
	size_t cap = set->cap > 0 ? 2 * set->cap : 8;
	struct job_range *at;

	if (set->n < set->cap)
		return true;
	at = call->host->mem->scratch(call, cap * sizeof(*at));
	if (at == NULL) {
		set->failed = true;
		return false;
	}
	if (set->n > 0)
		memcpy(at, set->at, set->n * sizeof(*at));
	set->at = at;
	set->cap = cap;
	return true;
}

/* Adds a range whose members may be there already. */
static void
add_range(struct ambient_call *call, struct job_indexes *set, int64_t first, int64_t last)
{
	size_t i = lower(set, first - 1), end = i;

	while (end < set->n && set->at[end].first <= last + 1) {
		first = set->at[end].first < first ? set->at[end].first : first;
		last = set->at[end].last > last ? set->at[end].last : last;
		end++;
	}
	if (end == i) {
		if (!make_room(call, set))
			return;
		memmove(set->at + i + 1, set->at + i, (set->n - i) * sizeof(*set->at));
		set->n++;
	} else {
		memmove(set->at + i + 1, set->at + end, (set->n - end) * sizeof(*set->at));
		set->n -= end - i - 1;
	}
	set->at[i] = (struct job_range){ first, last };
}

void
job_indexes_add(struct ambient_call *call, struct job_indexes *set, int64_t index)
{
	if (index >= 0)
		add_range(call, set, index, index);
}

void
job_indexes_add_all(struct ambient_call *call, struct job_indexes *set, const struct job_indexes *other)
{
	for (size_t i = 0; i < other->n; i++)
		add_range(call, set, other->at[i].first, other->at[i].last);
}

static bool
number(const char **p, int64_t *ret)
{
	char *end;

	if (**p < '0' || **p > '9')
		return false;
	*ret = strtoll(*p, &end, 10);
	*p = end;
	return *ret <= INT32_MAX;
}

void
job_indexes_parse(struct ambient_call *call, struct job_indexes *set, const char *text, int64_t completions)
{
	while (text != NULL && *text != '\0') {
		int64_t first, last;
		bool ok = number(&text, &first);

		last = first;
		if (ok && *text == '-') {
			text++;
			ok = number(&text, &last);
		}
		if (ok && (*text == ',' || *text == '\0') && first <= last && first < completions)
			add_range(call, set, first, last < completions ? last : completions - 1);
		text += strcspn(text, ",");
		text += *text == ',';
	}
}

int64_t
job_indexes_total(const struct job_indexes *set)
{
	int64_t total = 0;

	for (size_t i = 0; i < set->n; i++)
		total += set->at[i].last - set->at[i].first + 1;
	return total;
}

int64_t
job_indexes_common(const struct job_indexes *a, const struct job_indexes *b)
{
	int64_t total = 0;

	for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
		int64_t first = a->at[i].first > b->at[j].first ? a->at[i].first : b->at[j].first;
		int64_t last = a->at[i].last < b->at[j].last ? a->at[i].last : b->at[j].last;

		if (first <= last)
			total += last - first + 1;
		if (a->at[i].last < b->at[j].last)
			i++;
		else
			j++;
	}
	return total;
}

const char *
job_indexes_text(struct ambient_call *call, const struct job_indexes *set)
{
	char *text = call->host->mem->scratch(call, set->n * 44 + 1), *p = text;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < set->n; i++) {
		const struct job_range *r = &set->at[i];

		p += sprintf(p, "%s%lld", i > 0 ? "," : "", (long long)r->first);
		if (r->last > r->first)
			p += sprintf(p, "%c%lld", r->last > r->first + 1 ? '-' : ',', (long long)r->last);
	}
	*p = '\0';
	return text;
}
