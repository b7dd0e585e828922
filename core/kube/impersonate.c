/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acting for somebody else: what a kubeconfig's user says with "as", "as-uid", "as-groups" and "as-user-extra" becomes
 * header lines, once.  A part that cannot be said as a header is refused: without it the request would be made as
 * somebody who may do more, or less.
 */
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/data/node.h"
#include "core/kube/kube_priv.h"

#define LINES_MAX 256
#define VALUE_MAX 4096

struct lines {
	char **items;
	size_t n;
};

/* Takes what a header carries unharmed: no control characters, nothing around it that a server would trim. */
static const char *
value_problem(const struct am_node *value)
{
	if (value->type != AMBIENT_T_STRING)
		return "is no string; put it in quotes";
	if (value->len == 0)
		return "is empty; leave it out, or say who is meant";
	if (value->len > VALUE_MAX)
		return "is longer than 4096 bytes";
	for (size_t i = 0; i < value->len; i++)
		if ((unsigned char)value->text[i] < ' ' || value->text[i] == 127)
			return "holds a control character";
	return value->text[0] == ' ' || value->text[value->len - 1] == ' ' ? "begins or ends with a space" : NULL;
}

static int
add(struct lines *lines, const char *what, const char *header, const struct am_node *value, struct ambient_error *err)
{
	const char *problem = value_problem(value);

	if (problem != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" %s", what, problem);
	if (lines->n == LINES_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "impersonation says more than %d things", LINES_MAX);
	lines->items = am_xrealloc(lines->items, lines->n + 2, sizeof(char *));
	lines->items[lines->n++] = am_xasprintf("%s: %s", header, value->text);
	lines->items[lines->n] = NULL;
	return 0;
}

static int
add_each(struct lines *lines, const char *what, const char *header, const struct am_node *list, struct ambient_error *err)
{
	int rc = 0;

	if (list->type != AMBIENT_T_ARRAY)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no list; write [\"a\", \"b\"]", what);
	for (const struct am_node *e = list->first; rc == 0 && e != NULL; e = e->next)
		rc = add(lines, what, header, e, err);
	return rc;
}

/* What may stand in a header's name stays, but for the '%' itself; the server takes the rest back from %XX. */
static void
escape_key(struct am_buf *out, const struct am_node *value)
{
	for (size_t i = 0; i < value->key_len; i++) {
		unsigned char c = (unsigned char)value->key[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			     (c != '\0' && strchr("!#$&'*+-.^_`|~", c) != NULL);

		if (plain)
			am_buf_addc(out, (char)c);
		else
			am_buf_addf(out, "%%%02X", c);
	}
}

static int
add_extras(struct lines *lines, const struct am_node *extras, struct ambient_error *err)
{
	int rc = 0;

	if (extras->type != AMBIENT_T_OBJECT)
		return ambient_err(err, AMBIENT_E_INVALID, "\"as-user-extra\" is no mapping; write {key: [\"value\"]}");
	for (const struct am_node *e = extras->first; rc == 0 && e != NULL; e = e->next) {
		am_auto(am_buf_fini) struct am_buf header = { 0 };

		if (e->key_len == 0 || e->key_len > VALUE_MAX)
			return ambient_err(err, AMBIENT_E_INVALID, "\"as-user-extra\" has a key that is empty or too long");
		am_buf_adds(&header, "Impersonate-Extra-");
		escape_key(&header, e);
		rc = add_each(lines, "as-user-extra", am_buf_str(&header), e, err);
	}
	return rc;
}

static const struct am_node *
given(const struct am_node *user, const char *key)
{
	const struct am_node *value = am_node_get(user, key);

	return value == NULL || value->type == AMBIENT_T_NULL ? NULL : value;
}

int
am_impersonate_parse(const struct am_node *user, char ***ret, struct ambient_error *err)
{
	const struct am_node *as = given(user, "as"), *uid = given(user, "as-uid"), *groups = given(user, "as-groups"),
			     *extras = given(user, "as-user-extra");
	struct lines lines = { 0 };
	int rc = 0;

	if (as == NULL && (uid != NULL || groups != NULL || extras != NULL))
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" needs \"as\", the user to impersonate, beside it",
				   uid != NULL ? "as-uid" : groups != NULL ? "as-groups" : "as-user-extra");
	if (as != NULL)
		rc = add(&lines, "as", "Impersonate-User", as, err);
	if (rc == 0 && uid != NULL)
		rc = add(&lines, "as-uid", "Impersonate-Uid", uid, err);
	if (rc == 0 && groups != NULL)
		rc = add_each(&lines, "as-groups", "Impersonate-Group", groups, err);
	if (rc == 0 && extras != NULL)
		rc = add_extras(&lines, extras, err);
	if (rc < 0) {
		am_impersonate_free(lines.items);
		return rc;
	}
	*ret = lines.items;
	return 0;
}

void
am_impersonate_free(char **lines)
{
	for (size_t i = 0; lines != NULL && lines[i] != NULL; i++)
		free(lines[i]);
	free(lines);
}
