/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects inside of objects (x-kubernetes-embedded-resource): apiVersion, kind and metadata are as of any object, whatever the
 * schema says of them.  What is of another type than these are is no object (400); what they say wrongly is a cause (422).
 */
#include <ctype.h>

#include "core/base/clock.h"
#include "core/base/str.h"
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema_priv.h"

struct walk {
	struct am_buf *path;
	struct am_failure *failure;
	/* Called with each of them; true ends the walk. */
	bool (*visit)(struct walk *w, const struct am_node *node);
};

static bool walk(struct walk *w, const struct am_schema *s, const struct am_node *node);

static bool
walk_members(struct walk *w, const struct am_schema *s, const struct am_node *node)
{
	for (const struct am_node *m = node->first; m != NULL; m = m->next) {
		const struct am_schema *property = am_schema_property_of(s, m->key);
		bool named = property != NULL;
		size_t mark = w->path->len;

		if (!named && (property = s->additional) == NULL)
			continue;
		am_buf_addf(w->path, !named ? "[%s]" : mark > 0 ? ".%s" : "%s", m->key);
		if (walk(w, property, m))
			return true;
		am_buf_cut(w->path, mark);
	}
	return false;
}

static bool
walk(struct walk *w, const struct am_schema *s, const struct am_node *node)
{
	size_t i = 0;

	if (!s->has_embedded)
		return false;
	if (node->type == AMBIENT_T_OBJECT)
		return (s->embedded && w->visit(w, node)) || walk_members(w, s, node);
	if (node->type != AMBIENT_T_ARRAY || s->items == NULL)
		return false;
	for (const struct am_node *e = node->first; e != NULL; e = e->next, i++) {
		size_t mark = w->path->len;

		am_buf_addf(w->path, "[%zu]", i);
		if (walk(w, s->items, e))
			return true;
		am_buf_cut(w->path, mark);
	}
	return false;
}

/* ---- types ---- */

static bool
add_step(struct walk *w, const char *before, const char *name)
{
	am_buf_addf(w->path, "%s%s%s", w->path->len > 0 ? "." : "", before, name);
	return true;
}

static bool
misfits(struct walk *w, const struct am_node *node)
{
	static const char *const texts[] = { "apiVersion", "kind" }, *const times[] = { "creationTimestamp", "deletionTimestamp" };
	const struct am_node *metadata = am_node_get(node, "metadata"), *m;
	const char *misfit;
	int64_t ns;

	for (size_t i = 0; i < AM_COUNTOF(texts); i++)
		if ((m = am_node_get(node, texts[i])) != NULL && m->type != AMBIENT_T_STRING)
			return add_step(w, "", texts[i]);
	if (metadata == NULL || metadata->type == AMBIENT_T_NULL)
		return false;
	if (metadata->type != AMBIENT_T_OBJECT)
		return add_step(w, "", "metadata");
	if ((misfit = am_meta_misfit(metadata)) != NULL)
		return add_step(w, "metadata.", misfit);
	for (size_t i = 0; i < AM_COUNTOF(times); i++)
		if ((m = am_node_get(metadata, times[i])) != NULL && m->type == AMBIENT_T_STRING && am_time_parse(m->text, &ns) < 0)
			return add_step(w, "metadata.", times[i]);
	return false;
}

bool
am_schema_embedded_misfit(const struct am_schema *schema, const struct am_node *root, struct am_buf *path)
{
	struct walk w = { .path = path, .visit = misfits };

	return walk(&w, schema, root);
}

/* ---- values ---- */

static void
need(struct walk *w, const struct am_node *node, const char *key, const char *problem)
{
	const struct am_node *m = am_node_get(node, key);
	size_t mark = w->path->len;

	am_buf_addf(w->path, "%s%s", mark > 0 ? "." : "", key);
	if (m == NULL)
		am_failure_cause(w->failure, "FieldValueRequired", am_buf_str(w->path), "Required value: must not be empty");
	else if (am_node_text(m, "")[0] == '\0')
		am_failure_cause(w->failure, "FieldValueInvalid", am_buf_str(w->path), "Invalid value: \"\": must not be empty");
	else if (problem != NULL)
		am_failure_cause(w->failure, "FieldValueInvalid", am_buf_str(w->path), "Invalid value: \"%.200s\": %s", m->text, problem);
	am_buf_cut(w->path, mark);
}

/* A DNS-1035 label in any case. */
static bool
is_kind(const char *text)
{
	size_t n = strlen(text);

	if (n > 63 || !isalpha((unsigned char)*text) || !isalnum((unsigned char)text[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return true;
}

static bool
check(struct walk *w, const struct am_node *node)
{
	const char *version = am_node_get_str(node, "apiVersion", ""), *kind = am_node_get_str(node, "kind", "");
	const char *slash = strchr(version, '/');
	const struct am_node *metadata = am_node_get(node, "metadata");
	size_t mark = w->path->len;

	need(w, node, "apiVersion", slash != NULL && strchr(slash + 1, '/') != NULL ?
	     "unexpected GroupVersion string: it is a version, or a group, a slash and a version" : NULL);
	need(w, node, "kind", *kind != '\0' && !is_kind(kind) ?
	     "may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or "
	     "'-', start with an alphabetic character, and end with an alphanumeric character" : NULL);
	if (metadata == NULL || metadata->type != AMBIENT_T_OBJECT)
		return false;
	am_buf_addf(w->path, "%smetadata", mark > 0 ? "." : "");
	am_meta_check_embedded(w->failure, am_buf_str(w->path), metadata);
	am_buf_cut(w->path, mark);
	return false;
}

void
am_schema_check_embedded(const struct am_schema *schema, const struct am_node *root, struct am_failure *failure)
{
	struct am_buf path = { 0 };
	struct walk w = { .path = &path, .failure = failure, .visit = check };

	walk(&w, schema, root);
	am_buf_fini(&path);
}
