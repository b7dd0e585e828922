/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label and field selectors.  A selector is a list of requirements that must all hold.  As in Kubernetes, "!=" and
 * "notin" also hold for objects that lack the label, and a field that is absent is equal to "".
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/cache/cache_priv.h"
#include "core/data/scan.h"

#define TEXT_MAX 65536

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_NOT_EXISTS };

struct requirement {
	char *key;      /* a label, or a JSON Pointer */
	enum op op;
	char **values;
	size_t count;
};

struct am_selector {
	bool fields;
	struct requirement *reqs;
	size_t count;
};

void
am_selector_free(struct am_selector *selector)
{
	if (selector == NULL)
		return;
	for (size_t i = 0; i < selector->count; i++) {
		free(selector->reqs[i].key);
		for (size_t v = 0; v < selector->reqs[i].count; v++)
			free(selector->reqs[i].values[v]);
		free(selector->reqs[i].values);
	}
	free(selector->reqs);
	free(selector);
}

/* ---- reading */

static const char *
skip(const char *p)
{
	return p + strspn(p, " \t");
}

static int
bad(const char *text, const char *at, const char *what, struct ambient_error *err)
{
	return ambient_err(err, AMBIENT_E_INVALID, "selector \"%.120s\": %s at \"%.40s\"", text, what, at);
}

static struct requirement *
req_add(struct am_selector *selector, char *key, enum op op)
{
	struct requirement *req;

	selector->reqs = am_xrealloc(selector->reqs, selector->count + 1, sizeof(*selector->reqs));
	req = &selector->reqs[selector->count++];
	*req = (struct requirement){ .key = key, .op = op };
	return req;
}

static void
value_add(struct requirement *req, const char *p, size_t n)
{
	req->values = am_xrealloc(req->values, req->count + 1, sizeof(*req->values));
	req->values[req->count++] = am_xstrndup(p, n);
}

/* "(a, b)"; p is behind "in". */
static const char *
read_set(struct requirement *req, const char *p)
{
	p = skip(p);
	if (*p++ != '(')
		return NULL;
	for (;;) {
		size_t n;

		p = skip(p);
		n = strcspn(p, ",) \t(=!");
		value_add(req, p, n);
		p = skip(p + n);
		if (*p == ')')
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static bool
word(const char *p, const char *w)
{
	size_t n = strlen(w);

	return strncmp(p, w, n) == 0 && (p[n] == ' ' || p[n] == '\t' || p[n] == '(');
}

/* One requirement at p; returns what is behind it, NULL when it is none. */
static const char *
read_label_req(struct am_selector *selector, const char *p)
{
	bool not = *p == '!';
	struct requirement *req;
	size_t n;
	char *key;

	p = skip(p + not);
	n = strcspn(p, "=!,() \t<>");
	if (n == 0)
		return NULL;
	key = am_xstrndup(p, n);
	p = skip(p + n);
	if (*p == '\0' || *p == ',' || not) {
		(void)req_add(selector, key, not ? OP_NOT_EXISTS : OP_EXISTS);
		return p;
	}
	if (word(p, "in") || word(p, "notin")) {
		req = req_add(selector, key, *p == 'i' ? OP_IN : OP_NOT_IN);
		return read_set(req, p + (*p == 'i' ? 2 : 5));
	}
	req = req_add(selector, key, *p == '!' ? OP_NOT_IN : OP_IN);
	if (p[0] == '!' ? p[1] != '=' : p[0] != '=')
		return NULL;
	p = skip(p + (p[0] == '!' || p[1] == '=' ? 2 : 1));
	n = strcspn(p, "=!,() \t<>");
	value_add(req, p, n);
	return skip(p + n);
}

/* "metadata.name" is the pointer "/metadata/name". */
static char *
field_pointer(const char *p, size_t n)
{
	char *pointer = p[0] == '/' ? am_xstrndup(p, n) : am_xasprintf("/%.*s", (int)n, p);

	for (char *c = pointer; p[0] != '/' && *c != '\0'; c++)
		*c = *c == '.' ? '/' : *c;
	return pointer;
}

static const char *
read_field_req(struct am_selector *selector, const char *p)
{
	size_t n = strcspn(p, "=!, \t");
	struct requirement *req;
	const char *op;

	if (n == 0)
		return NULL;
	op = skip(p + n);
	if (op[0] != '=' && (op[0] != '!' || op[1] != '='))
		return NULL;
	req = req_add(selector, field_pointer(p, n), op[0] == '!' ? OP_NOT_IN : OP_IN);
	p = skip(op + (op[0] == '!' || op[1] == '=' ? 2 : 1));
	n = strcspn(p, ",");
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	value_add(req, p, n);
	return skip(p + n);
}

static int
parse(const char *text, bool fields, struct am_selector **ret, struct ambient_error *err)
{
	struct am_selector *selector;
	const char *p = skip(text), *next;

	*ret = NULL;
	if (strlen(text) > TEXT_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "a selector has at most %d bytes", TEXT_MAX);
	selector = am_xcalloc(1, sizeof(*selector));
	selector->fields = fields;
	while (*p != '\0') {
		next = fields ? read_field_req(selector, p) : read_label_req(selector, p);
		if (next != NULL)
			next = skip(next);
		if (next == NULL || (*next != '\0' && *next != ',') || (*next == ',' && *skip(next + 1) == '\0')) {
			am_selector_free(selector);
			return bad(text, p, "cannot read the requirement", err);
		}
		p = *next == ',' ? skip(next + 1) : next;
	}
	*ret = selector;
	return 0;
}

int
am_selector_labels(const char *text, struct am_selector **ret, struct ambient_error *err)
{
	return parse(text, false, ret, err);
}

int
am_selector_fields(const char *text, struct am_selector **ret, struct ambient_error *err)
{
	return parse(text, true, ret, err);
}

/* ---- matching */

static char *
field_dup(const struct am_object *object, const char *pointer)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	struct am_slice value;

	if (!am_json_find(object->json, pointer, &value) || !am_cache_scalar(value, &text) || text.failed)
		return am_xstrdup("");
	return am_xstrdup(am_buf_str(&text));
}

static bool
req_match(const struct am_selector *selector, const struct requirement *req, const struct am_object *object)
{
	char *value = selector->fields ? field_dup(object, req->key) : am_object_label(object, req->key);
	bool in = false;

	for (size_t i = 0; value != NULL && i < req->count; i++)
		in = in || strcmp(value, req->values[i]) == 0;
	bool present = value != NULL;
	free(value);
	switch (req->op) {
	case OP_IN:
		return in;
	case OP_NOT_IN:
		return !in;
	case OP_EXISTS:
		return present;
	case OP_NOT_EXISTS:
	default:
		return !present;
	}
}

bool
am_selector_match(const struct am_selector *selector, const struct am_object *object)
{
	for (size_t i = 0; selector != NULL && i < selector->count; i++) {
		if (!req_match(selector, &selector->reqs[i], object))
			return false;
	}
	return true;
}
