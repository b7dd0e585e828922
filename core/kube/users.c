/* SPDX-License-Identifier: Apache-2.0 */
/* See users.h. */
#include "core/kube/users.h"

#include <stdlib.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/util.h"

#define USERS_MAX  10000
#define GROUPS_MAX 60
#define FIELD_MAX  4096
#define FORM    1
#define HEAD       "#ambient-users "

const char *
am_users_name_problem(const char *name)
{
	if (name[0] == '\0')
		return "it is empty";
	if (strlen(name) > 253)
		return "it is longer than 253 bytes";
	for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++)
		if (*p <= ' ' || *p == 127 || *p == ',' || *p == '"')
			return "it has a space, a comma, a quote or a control character in it";
	return am_utf8_valid(name, strlen(name)) ? NULL : "it is no UTF-8";
}

/* ---- one line */

struct line {
	const char *path, *p, *end;
	unsigned number;
};

/* The next field; false when its quotes do not end.  *more: a comma stands behind it. */
static bool
next_field(struct line *l, struct am_buf *out, bool *more)
{
	am_buf_reset(out);
	if (l->p < l->end && *l->p == '"') {
		for (l->p++;; l->p++) {
			if (l->p >= l->end)
				return false;
			if (*l->p == '"' && (l->p + 1 >= l->end || l->p[1] != '"'))
				break;
			if (*l->p == '"')
				l->p++;
			am_buf_addc(out, *l->p);
		}
		l->p++;
		if (l->p < l->end && *l->p != ',')
			return false;
	} else {
		while (l->p < l->end && *l->p != ',') {
			if (*l->p == '"')
				return false;
			am_buf_addc(out, *l->p++);
		}
	}
	*more = l->p < l->end;
	l->p += *more;
	return !out->failed && (out->len == 0 || memchr(out->data, '\0', out->len) == NULL);
}

static int
bad(const struct line *l, struct ambient_error *err, const char *why)
{
	return ambient_err(err, AMBIENT_E_INVALID, "%s:%u: %s; a line is token,user,uid,\"group,group\"", l->path, l->number, why);
}

static bool
set_hash(struct am_user *user, const char *token)
{
	unsigned char digest[32];

	if (!am_starts(token, "sha256:")) {
		am_sha256(token, strlen(token), digest);
		am_hex(user->hash, digest, sizeof(digest));
		return true;
	}
	token += strlen("sha256:");
	return strlen(token) == 64 && strspn(token, "0123456789abcdef") == 64 && am_strlcpy(user->hash, token, 65) == 64;
}

/* "a,b": the groups; NULL when fine. */
static const char *
set_groups(struct am_user *user, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, ",");
		char *group = am_xstrndup(text, n);
		char *name = group + strspn(group, " ");

		if (*name != '\0') {
			user->groups = am_xrealloc(user->groups, user->n_groups + 1, sizeof(char *));
			user->groups[user->n_groups++] = am_xstrdup(name);
		}
		const char *why = *name != '\0' ? am_users_name_problem(name) : NULL;

		free(group);
		if (why != NULL)
			return "a group's name has a space or a control character in it, or is too long";
		if (user->n_groups > GROUPS_MAX)
			return "there are more than 60 groups";
		text += n + (text[n] == ',');
	}
	return NULL;
}

static void
free_user(struct am_user *user)
{
	free(user->name);
	free(user->uid);
	free(user->made);
	for (size_t i = 0; i < user->n_groups; i++)
		free(user->groups[i]);
	free(user->groups);
	*user = (struct am_user){ 0 };
}

/* NULL, or why it is not one. */
static const char *
parse_fields(struct line *l, struct am_user *user, struct am_buf *field)
{
	static const char *const missing[] = { "there is no token", "there is no user", "there is no uid" };
	const char *why = NULL;
	bool more = true;

	for (int i = 0; more && why == NULL; i++) {
		if (!next_field(l, field, &more))
			return "a field is too long, or a quote in it does not end";
		const char *text = am_buf_str(field);

		if (i == 0)
			why = *text == '\0' ? missing[0] : set_hash(user, text) ? NULL : "\"sha256:\" is followed by 64 hex digits";
		else if (i == 1)
			user->name = am_xstrdup(text), why = am_users_name_problem(text) != NULL ? "the user's name is not usable" : NULL;
		else if (i == 2)
			user->uid = am_xstrdup(text);
		else if (i == 3)
			why = set_groups(user, text);
		else if (i == 4)
			user->made = am_xstrdup(text);
		if (why == NULL && !more && i < 2)
			why = missing[i + 1];
	}
	return why;
}

static int
parse_line(struct line *l, struct am_users *users, struct ambient_error *err)
{
	struct am_buf field = { .max = FIELD_MAX };
	struct am_user user = { 0 };
	const char *why = users->n == USERS_MAX ? "there are more than 10000 users" : parse_fields(l, &user, &field);

	am_buf_fini(&field);
	for (size_t i = 0; why == NULL && i < users->n; i++)
		if (strcmp(users->items[i].hash, user.hash) == 0)
			why = "the token is there twice";
	if (why != NULL) {
		free_user(&user);
		return bad(l, err, why);
	}
	if (user.made == NULL)
		user.made = am_xstrdup("");
	users->items = am_xrealloc(users->items, users->n + 1, sizeof(*users->items));
	users->items[users->n++] = user;
	return 0;
}

static int
check_version(const char *path, const char *p, const char *end, struct ambient_error *err)
{
	size_t n = strlen(HEAD);
	uint64_t version;

	if ((size_t)(end - p) < n || memcmp(p, HEAD, n) != 0)
		return 0;
	am_auto(am_freep) char *text = am_xstrndup(p + n, AM_MIN((size_t)(end - p) - n, (size_t)20));

	text[strcspn(text, " \r\n")] = '\0';
	if (am_parse_u64(text, &version) < 0 || version > FORM)
		return ambient_err(err, AMBIENT_E_INVALID, "%s:1: the form \"%s\" is not known, this release reads up to %d; use the "
				   "release that wrote it", path, text, FORM);
	return 0;
}

int
am_users_parse(const char *path, const char *text, size_t n, struct am_users *ret, struct ambient_error *err)
{
	struct line l = { .path = path };
	const char *p = text, *end = text + n;
	int rc = check_version(path, text, end, err);

	*ret = (struct am_users){ 0 };
	while (rc == 0 && p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		if (eol == NULL)
			eol = end;
		l.p = p;
		l.end = eol > p && eol[-1] == '\r' ? eol - 1 : eol;
		l.number++;
		p = eol + (eol < end);
		if (l.p < l.end && *l.p != '#')
			rc = parse_line(&l, ret, err);
	}
	if (rc < 0)
		am_users_fini(ret);
	return rc;
}

/* ---- the list */

static void
add_field(struct am_buf *out, const char *text)
{
	am_buf_adds(out, ",\"");
	for (; *text != '\0'; text++) {
		if (*text == '"')
			am_buf_addc(out, '"');
		am_buf_addc(out, *text);
	}
	am_buf_addc(out, '"');
}

void
am_users_print(const struct am_users *users, struct am_buf *out)
{
	am_buf_addf(out, HEAD "%d\n# Written by ambientctl user; tokens are hashed.\n", FORM);
	for (size_t i = 0; i < users->n; i++) {
		const struct am_user *u = &users->items[i];
		struct am_buf groups = { 0 };

		for (size_t k = 0; k < u->n_groups; k++)
			am_buf_addf(&groups, "%s%s", k > 0 ? "," : "", u->groups[k]);
		am_buf_addf(out, "sha256:%s", u->hash);
		add_field(out, u->name);
		add_field(out, u->uid);
		add_field(out, am_buf_str(&groups));
		add_field(out, u->made);
		am_buf_addc(out, '\n');
		am_buf_fini(&groups);
	}
}

void
am_users_fini(struct am_users *users)
{
	for (size_t i = 0; i < users->n; i++)
		free_user(&users->items[i]);
	free(users->items);
	*users = (struct am_users){ 0 };
}

struct am_user *
am_users_find(const struct am_users *users, const char *name)
{
	for (size_t i = 0; i < users->n; i++)
		if (strcmp(users->items[i].name, name) == 0)
			return &users->items[i];
	return NULL;
}

void
am_users_add(struct am_users *users, const char *hash, const char *name, const char *uid, const char *made,
	     const char *const *groups, size_t n_groups)
{
	struct am_user user = { .name = am_xstrdup(name), .uid = am_xstrdup(uid), .made = am_xstrdup(made) };

	(void)am_strlcpy(user.hash, hash, sizeof(user.hash));
	user.groups = am_xcalloc(n_groups + 1, sizeof(char *));
	for (; user.n_groups < n_groups; user.n_groups++)
		user.groups[user.n_groups] = am_xstrdup(groups[user.n_groups]);
	users->items = am_xrealloc(users->items, users->n + 1, sizeof(*users->items));
	users->items[users->n++] = user;
}

bool
am_users_remove(struct am_users *users, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < users->n;) {
		if (strcmp(users->items[i].name, name) != 0) {
			i++;
			continue;
		}
		free_user(&users->items[i]);
		memmove(&users->items[i], &users->items[i + 1], (--users->n - i) * sizeof(*users->items));
		found = true;
	}
	return found;
}
