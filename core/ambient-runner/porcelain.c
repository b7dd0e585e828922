/* SPDX-License-Identifier: Apache-2.0 */
/* See porcelain.h. */
#include "core/ambient-runner/porcelain.h"

#include <stdlib.h>

#include "core/ambient-runner/giturl.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

struct count {
	int64_t added, removed; /* -1: not text */
};

/* The next record that has its NUL.  False: no more; *text is then what is left of one that was cut. */
static bool
next_record(struct am_slice *text, const char **ret)
{
	const char *end = text->n > 0 ? memchr(text->p, '\0', text->n) : NULL;

	if (end == NULL)
		return false;
	*ret = text->p;
	text->n -= (size_t)(end + 1 - text->p);
	text->p = end + 1;
	return true;
}

/* A number or "-", and a tab; *p is then behind it. */
static bool
take_count(const char **p, int64_t *ret)
{
	size_t n = strcspn(*p, "\t");
	char text[24];

	if ((*p)[n] != '\t' || n == 0 || n >= sizeof(text))
		return false;
	memcpy(text, *p, n);
	text[n] = '\0';
	if (am_streq(text, "-"))
		*ret = -1;
	else if (am_parse_i64(text, ret) < 0 || *ret < 0)
		return false;
	*p += n + 1;
	return true;
}

struct am_map *
am_porcelain_numstat(struct am_slice text)
{
	struct am_map *counts = am_map_new_owning(free);
	const char *p;

	while (am_map_len(counts) < AM_PORCELAIN_FILES && next_record(&text, &p)) {
		struct count count;

		if (!take_count(&p, &count.added) || !take_count(&p, &count.removed) || *p == '\0')
			continue;
		struct count *copy = am_xcalloc(1, sizeof(*copy));
		*copy = count;
		(void)am_map_put(counts, p, copy);
	}
	return counts;
}

/* The path of a record, and its two letters; NULL: it is of another kind, such as a header. */
static const char *
path_of(const char *record, char code[3])
{
	static const struct {
		char kind;
		int words; /* before the path */
	} kinds[] = {{'1', 8}, {'u', 10}, {'?', 1}};
	int words = 0;

	for (size_t i = 0; i < AM_COUNTOF(kinds); i++)
		if (record[0] == kinds[i].kind)
			words = kinds[i].words;
	if (words == 0 || record[1] != ' ')
		return NULL;
	(void)am_strlcpy(code, "??", 3);
	if (words > 1) {
		if (strcspn(record + 2, " ") != 2)
			return NULL;
		(void)am_strlcpy(code, record + 2, 3);
	}
	const char *p = record;
	while (words-- > 0 && (p = strchr(p, ' ')) != NULL)
		p++;
	return p == NULL || *p == '\0' ? NULL : p;
}

bool
am_porcelain_status(struct am_slice text, const struct am_map *counts, struct am_buf *out)
{
	const char *record;
	int n = 0;

	while (next_record(&text, &record)) {
		char code[3];
		const char *path = path_of(record, code);

		if (path == NULL)
			continue;
		if (n++ == AM_PORCELAIN_FILES)
			return false;
		am_json_addf(out, "%j{\"path\":%s,\"code\":%s", n > 1 ? "," : "", path, code);
		const struct count *count = am_map_get(counts, path);
		if (count != NULL && count->added >= 0 && count->removed >= 0)
			am_json_addf(out, ",\"added\":%l,\"removed\":%l", count->added, count->removed);
		am_buf_addc(out, '}');
	}
	return text.n == 0;
}

char *
am_porcelain_default_branch(const char *text)
{
	static const char begin[] = "ref: refs/heads/";
	char *branch;

	if (!am_starts(text, begin))
		return NULL;
	text += sizeof(begin) - 1;
	branch = am_xstrndup(text, strcspn(text, "\t\n"));
	if (am_runner_branch_check(branch, NULL) < 0)
		am_freep(&branch);
	return branch;
}
