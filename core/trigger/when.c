/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "when=": an update counts only when one of the things that are named has changed.  Objects that come and go always
 * count, and so does one that is asked to end, and one that is another incarnation of its name: a filter may save work,
 * but must never hide that there is some.  A value has changed when its text has; one that is absent is no text.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/data/scan.h"
#include "core/trigger/trigger_priv.h"

#define PARTS_MAX 32

struct am_when {
	bool generation;
	size_t count;
	char *pointers[PARTS_MAX];
};

/* Words for what is often meant. */
static const struct {
	const char *word, *pointer;
} words[] = {
	{"labels", "/metadata/labels"},
	{"annotations", "/metadata/annotations"},
};

static void
add(struct am_when *when, const char *part)
{
	const char *pointer = part;

	for (size_t i = 0; i < AM_COUNTOF(words); i++) {
		if (strcmp(part, words[i].word) == 0)
			pointer = words[i].pointer;
	}
	when->pointers[when->count++] = am_xstrdup(pointer);
}

int
am_when_new(const char *text, struct am_when **ret, struct ambient_error *err)
{
	struct am_when *when = am_xcalloc(1, sizeof(*when));
	int rc = 0;

	for (size_t n; rc == 0; text += n + 1) {
		n = strcspn(text, ",");
		am_auto(am_freep) char *part = am_xstrndup(text, n);
		if (strcmp(part, "generation") == 0)
			when->generation = true;
		else if (part[0] != '/' && strcmp(part, "labels") != 0 && strcmp(part, "annotations") != 0)
			rc = ambient_err(err, AMBIENT_E_INVALID,
					 "\"%.60s\" is none of generation, labels, annotations and a JSON Pointer",
					 part);
		else if (when->count == PARTS_MAX)
			rc = ambient_err(err, AMBIENT_E_INVALID, "when= names more than %d things", PARTS_MAX);
		else
			add(when, part);
		if (text[n] == '\0')
			break;
	}
	if (rc < 0) {
		am_when_free(when);
		return rc;
	}
	*ret = when;
	return 0;
}

void
am_when_free(struct am_when *when)
{
	for (size_t i = 0; when != NULL && i < when->count; i++)
		free(when->pointers[i]);
	free(when);
}

static bool
differs(const struct am_object *before, const struct am_object *after, const char *pointer)
{
	struct am_slice a, b;
	bool was = am_json_find(before->json, pointer, &a), is = am_json_find(after->json, pointer, &b);

	if (!was || !is)
		return was != is;
	return a.n != b.n || memcmp(a.p, b.p, a.n) != 0;
}

bool
am_when_passes(const struct am_when *when, const struct am_change *change)
{
	const struct am_object *before = change->before, *after = change->after;

	if (when == NULL || before == NULL || after == NULL || strcmp(before->uid, after->uid) != 0)
		return true;
	if (when->generation && before->generation != after->generation)
		return true;
	if (am_object_deleting(before) != am_object_deleting(after))
		return true;
	for (size_t i = 0; i < when->count; i++) {
		if (differs(before, after, when->pointers[i]))
			return true;
	}
	return false;
}
