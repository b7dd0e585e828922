/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The declarations: strings "key=value", one after the other, each ended by NUL (grammar: doc/plugin.md).  Every
 * key is a row of a table.  The text may come from a file that nobody has judged yet: only printable ASCII, at
 * most 64 KiB and 1,024 strings.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/plugin/plugin_priv.h"

enum { LINES_MAX = 1024, NAME_MAX_LEN = 40 };

struct full {
	struct am_plugin_decl pub;
	struct am_arena *arena;
	struct am_plugin_reconciler *current; /* whom for, owns, watch and index belong to */
	bool named;                           /* a reconciler= line was seen */
};

static const char *const verbs[] = { "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
				     "bind", "escalate", "impersonate" };

/* ---- pieces */

/* Room for one more in an array that lives in the arena; it moves when its length is a power of two. */
static void *
more(struct full *f, void *array, size_t count, size_t size)
{
	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	char *bigger = am_arena_zalloc(f->arena, AM_MAX(count * 2, (size_t)1) * size);
	am_assert(bigger != NULL);
	if (count > 0)
		memcpy(bigger, array, count * size);
	return bigger;
}

static char *
dup_n(struct full *f, const char *s, size_t n)
{
	char *p = am_arena_strndup(f->arena, s, n);

	am_assert(p != NULL);
	return p;
}

static bool
is_version(const char *p, size_t n)
{
	size_t i = 1;

	if (n < 2 || p[0] != 'v')
		return false;
	while (i < n && p[i] >= '0' && p[i] <= '9')
		i++;
	if (i == 1 || p[1] == '0')
		return false;
	if (i == n)
		return true;
	if (n - i > 5 && memcmp(p + i, "alpha", 5) == 0)
		i += 5;
	else if (n - i > 4 && memcmp(p + i, "beta", 4) == 0)
		i += 4;
	else
		return false;
	for (; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
	}
	return true;
}

static bool
is_plural(const char *p, size_t n)
{
	if (n == 0 || n > 63 || p[0] < 'a' || p[0] > 'z')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9')))
			return false;
	}
	return true;
}

static bool
is_group(const char *p, size_t n)
{
	char buf[254];

	if (n == 0 || n >= sizeof(buf))
		return false;
	memcpy(buf, p, n);
	buf[n] = '\0';
	return am_name_problem(buf, 2) == NULL;
}

/* How much of s[0..n) is a kind; 0: it does not begin with one.  What follows may only be "/subresource". */
static size_t
kind_len(const char *s, size_t n)
{
	const char *a = memchr(s, '/', n), *end = s + n;

	if (a == NULL)
		return 0;
	if (!is_version(s, (size_t)(a - s))) {
		const char *b = memchr(a + 1, '/', (size_t)(end - a - 1));

		if (b == NULL || !is_group(s, (size_t)(a - s)) || !is_version(a + 1, (size_t)(b - a - 1)))
			return 0;
		a = b;
	}
	const char *c = memchr(a + 1, '/', (size_t)(end - a - 1));
	if (c == NULL)
		c = end;
	return is_plural(a + 1, (size_t)(c - a - 1)) ? (size_t)(c - s) : 0;
}

bool
am_plugin_kind_split(const char *kind, const char **group, size_t *group_len, const char **version, size_t *version_len,
		     const char **plural)
{
	size_t n = strlen(kind);

	if (n == 0 || kind_len(kind, n) != n)
		return false;
	const char *last = strrchr(kind, '/'), *first = strchr(kind, '/');
	*plural = last + 1;
	*group = kind;
	*group_len = first == last ? 0 : (size_t)(first - kind);
	*version = first == last ? kind : first + 1;
	*version_len = (size_t)(last - *version);
	return true;
}

static bool
is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= NAME_MAX_LEN && s[n] == '\0';
}

static bool
is_pointer(const char *s)
{
	if (s[0] != '/')
		return false;
	for (; *s != '\0'; s++) {
		if (*s == '~' && s[1] != '0' && s[1] != '1')
			return false;
	}
	return true;
}

static bool
is_index_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n > 0 && n <= NAME_MAX_LEN && s[n] == '\0';
}

#define BAD(...) ambient_err(err, AMBIENT_E_INVALID, __VA_ARGS__)

/* The reconciler that a line belongs to: the current one, or the plugin's only one, made now. */
static struct am_plugin_reconciler *
reconciler(struct full *f)
{
	struct am_plugin_decl *d = &f->pub;

	if (f->current == NULL) {
		d->reconcilers = more(f, d->reconcilers, d->reconciler_count, sizeof(*d->reconcilers));
		f->current = &d->reconcilers[d->reconciler_count++];
		f->current->name = d->name;
	}
	return f->current;
}

/* ---- keys */

static int
key_name(struct full *f, const char *v, struct ambient_error *err)
{
	if (f->pub.name != NULL)
		return BAD("there can be only one name");
	if (!is_name(v))
		return BAD("a name has 1 to %d lower-case letters, digits and \"-\"", NAME_MAX_LEN);
	f->pub.name = v;
	return 0;
}

static int
key_version(struct full *f, const char *v, struct ambient_error *err)
{
	if (f->pub.version != NULL)
		return BAD("there can be only one version");
	if (*v == '\0' || strlen(v) > 64 || strchr(v, ' ') != NULL)
		return BAD("a version is one word of 1 to 64 characters");
	f->pub.version = v;
	return 0;
}

static int
key_provides(struct full *f, const char *v, struct ambient_error *err)
{
	if (strcmp(v, "cluster") != 0)
		return BAD("only \"cluster\" can be provided");
	f->pub.provides_cluster = true;
	return 0;
}

static int
key_needs(struct full *f, const char *v, struct ambient_error *err)
{
	if (strcmp(v, "network") == 0)
		f->pub.needs |= AM_NEEDS_NETWORK;
	else if (strcmp(v, "jansson") == 0)
		f->pub.needs |= AM_NEEDS_JANSSON;
	else
		return BAD("only \"network\" and \"jansson\" can be needed");
	return 0;
}

static int
key_reconciler(struct full *f, const char *v, struct ambient_error *err)
{
	struct am_plugin_decl *d = &f->pub;

	if (!is_name(v))
		return BAD("a name has 1 to %d lower-case letters, digits and \"-\"", NAME_MAX_LEN);
	if (d->reconciler_count > 0 && !f->named)
		return BAD("with several reconcilers, the first needs its reconciler= line too");
	if (am_plugin_decl_reconciler(d, v) != NULL)
		return BAD("this reconciler is there twice");
	f->named = true;
	f->current = NULL;
	reconciler(f)->name = v;
	return 0;
}

/* The list behind when=. */
int
am_plugin_check_when(const char *v, struct ambient_error *err)
{
	static const char *const words[] = { "generation", "labels", "annotations" };

	for (size_t n;; v += n + 1) {
		char part[256];
		bool known = false;

		n = strcspn(v, ",");
		(void)am_strlcpy(part, v, AM_MIN(n + 1, sizeof(part)));
		for (size_t i = 0; i < AM_COUNTOF(words); i++)
			known = known || strcmp(part, words[i]) == 0;
		if (n >= sizeof(part) || (!known && !is_pointer(part)))
			return BAD("when= takes \"generation\", \"labels\", \"annotations\" and JSON Pointers, with commas between, "
				   "not \"%.60s\"", part);
		if (v[n] == '\0')
			return 0;
	}
}

/* KIND [when=...] */
static int
kind_when(struct full *f, const char *v, const char **kind, const char **when, struct ambient_error *err)
{
	size_t n = strcspn(v, " "), gap = strspn(v + n, " ");

	if (kind_len(v, n) != n)
		return BAD("write group/version/plural, such as \"batch/v1/jobs\", or \"v1/pods\"");
	*kind = dup_n(f, v, n);
	*when = NULL;
	v += n + gap;
	if (*v == '\0')
		return 0;
	if (!am_starts(v, "when=") || strchr(v, ' ') != NULL)
		return BAD("behind the kind comes when= or nothing, not \"%.60s\"", v);
	*when = v + 5;
	return am_plugin_check_when(*when, err);
}

static int
key_for(struct full *f, const char *v, struct ambient_error *err)
{
	struct am_plugin_reconciler *r = reconciler(f);
	const char *kind, *when;
	int rc = kind_when(f, v, &kind, &when, err);

	if (rc < 0)
		return rc;
	if (r->for_kind != NULL)
		return BAD("a reconciler is for one kind, begin another with reconciler=NAME");
	r->for_kind = kind;
	r->for_when = when;
	return 0;
}

static int
key_owns(struct full *f, const char *v, struct ambient_error *err)
{
	struct am_plugin_reconciler *r = reconciler(f);
	const char *kind, *when;
	int rc = kind_when(f, v, &kind, &when, err);

	if (rc < 0)
		return rc;
	r->owns = more(f, r->owns, r->owns_count, sizeof(*r->owns));
	r->owns_when = more(f, r->owns_when, r->owns_count, sizeof(*r->owns_when));
	r->owns_when[r->owns_count] = when;
	r->owns[r->owns_count++] = kind;
	return 0;
}

static int
watch_map(struct full *f, struct am_plugin_watch *w, const char *v, size_t n, struct ambient_error *err)
{
	static const struct {
		const char *word;
		enum am_plugin_map map;
		bool key;
	} maps[] = { { "self", AM_PLUGIN_MAP_SELF, false },
		     { "namespace", AM_PLUGIN_MAP_NAMESPACE, false },
		     { "all", AM_PLUGIN_MAP_ALL, false },
		     { "label:", AM_PLUGIN_MAP_LABEL, true },
		     { "annotation:", AM_PLUGIN_MAP_ANNOTATION, true } };

	for (size_t i = 0; i < AM_COUNTOF(maps); i++) {
		size_t len = strlen(maps[i].word);

		if (n < len || memcmp(v, maps[i].word, len) != 0 || (!maps[i].key && n != len))
			continue;
		w->map = maps[i].map;
		if (maps[i].key) {
			w->map_key = dup_n(f, v + len, n - len);
			if (am_name_problem(w->map_key, 4) != NULL)
				return BAD("\"%.80s\" is no name of a label or annotation", w->map_key);
		}
		return 0;
	}
	return BAD("map is self, namespace, all, label:KEY or annotation:KEY");
}

/* Is one of the paths in the list `only` above the path, or the path itself? */
static bool
under_one_of(const char *path, size_t n, const char *only)
{
	for (size_t m; *only != '\0'; only += m + (only[m] == ',')) {
		m = strcspn(only, ",");
		if (m <= n && memcmp(path, only, m) == 0 && (m == n || path[m] == '/'))
			return true;
	}
	return false;
}

/* Is everything that `when` compares in what `only` keeps? */
static bool
kept(const char *when, const char *only)
{
	for (size_t n; *when != '\0'; when += n + (when[n] == ',')) {
		n = strcspn(when, ",");
		if (when[0] == '/' && !under_one_of(when, n, "/metadata") && !under_one_of(when, n, only))
			return false;
	}
	return true;
}

static int
key_watch(struct full *f, const char *v, struct ambient_error *err)
{
	struct am_plugin_reconciler *r = reconciler(f);
	struct am_plugin_watch w = { .map = AM_PLUGIN_MAP_SELF };
	size_t n = strcspn(v, " ");
	bool mapped = false;
	int rc;

	if (kind_len(v, n) != n)
		return BAD("write group/version/plural, such as \"batch/v1/jobs\", or \"v1/pods\"");
	w.kind = dup_n(f, v, n);
	for (v += n; *v != '\0'; v += n) {
		v += strspn(v, " ");
		n = strcspn(v, " ");
		if (n == 0)
			break;
		if (n > 9 && memcmp(v, "selector=", 9) == 0 && w.labels == NULL) {
			w.labels = dup_n(f, v + 9, n - 9);
		} else if (n > 6 && memcmp(v, "field=", 6) == 0 && w.fields == NULL) {
			w.fields = dup_n(f, v + 6, n - 6);
		} else if (n > 5 && memcmp(v, "only=", 5) == 0 && w.only == NULL) {
			w.only = dup_n(f, v + 5, n - 5);
			if (strcmp(w.only, "metadata") != 0 && w.only[0] != '/')
				return BAD("only= takes \"metadata\", or JSON Pointers with commas between, not \"%.60s\"", w.only);
		} else if (n > 5 && memcmp(v, "when=", 5) == 0 && w.when == NULL) {
			w.when = dup_n(f, v + 5, n - 5);
			rc = am_plugin_check_when(w.when, err);
			if (rc < 0)
				return rc;
		} else if (n > 4 && memcmp(v, "map=", 4) == 0 && !mapped) {
			mapped = true;
			rc = watch_map(f, &w, v + 4, n - 4, err);
			if (rc < 0)
				return rc;
		} else if (n > 6 && memcmp(v, "index=", 6) == 0 && !mapped) {
			mapped = true;
			w.map = AM_PLUGIN_MAP_INDEX;
			w.map_key = dup_n(f, v + 6, n - 6);
		} else {
			return BAD("behind the kind come selector=, field=, only=, when= and one of map= and index=, each once, not \"%.*s\"",
				   (int)AM_MIN(n, (size_t)60), v);
		}
	}
	if (w.when != NULL && w.only != NULL && !kept(w.when, w.only))
		return BAD("when=%.60s names what only=%.60s leaves out", w.when, w.only);
	r->watches = more(f, r->watches, r->watch_count, sizeof(*r->watches));
	r->watches[r->watch_count++] = w;
	return 0;
}

static int
key_index(struct full *f, const char *v, struct ambient_error *err)
{
	struct am_plugin_reconciler *r = reconciler(f);
	const char *colon = strchr(v, ':');
	struct am_plugin_index x;

	if (colon == NULL || !is_pointer(colon + 1))
		return BAD("write NAME:POINTER, such as \"byHost:/spec/host\"");
	x.name = dup_n(f, v, (size_t)(colon - v));
	x.pointer = colon + 1;
	if (!is_index_name(x.name))
		return BAD("the name of an index has 1 to %d letters, digits, \"-\" and \"_\"", NAME_MAX_LEN);
	for (size_t i = 0; i < r->index_count; i++) {
		if (am_streq(r->indexes[i].name, x.name))
			return BAD("this index is there twice");
	}
	r->indexes = more(f, r->indexes, r->index_count, sizeof(*r->indexes));
	r->indexes[r->index_count++] = x;
	return 0;
}

#define NAMEABLE (AM_VERB_BIND | AM_VERB_ESCALATE | AM_VERB_IMPERSONATE) /* verbs that no request of a plugin has */

/* "[a,b]": the names that a grant is for, between the brackets. */
static int
may_names(struct full *f, struct am_plugin_may *may, const char *open, const char *close, struct ambient_error *err)
{
	if (close == NULL || close == open + 1 || close[1] != ':')
		return BAD("names stand in brackets between the kind and the colon, such as \"[view,edit]:bind\"");
	for (const char *p = open + 1; p < close; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-.:,", *p) == NULL || (*p == ',' && (p[1] == ',' || p[1] == ']')))
			return BAD("\"%.*s\" are no names of objects", (int)AM_MIN(close - open - 1, 60), open + 1);
	may->names = dup_n(f, open + 1, (size_t)(close - open - 1));
	return 0;
}

static int
one_may(struct full *f, const char *v, size_t n, struct ambient_error *err)
{
	struct am_plugin_decl *d = &f->pub;
	const char *end = v + n, *open = memchr(v, '[', n), *close = open != NULL ? memchr(open, ']', (size_t)(end - open)) : NULL;
	const char *from = close != NULL ? close : v, *colon = memchr(from, ':', (size_t)(end - from));
	struct am_plugin_may may = { 0 };
	size_t k = colon != NULL ? kind_len(v, (size_t)((open != NULL ? open : colon) - v)) : 0, sub = k;

	if (k > 0 && v[k] == '[' && may_names(f, &may, open, close, err) < 0)
		return -AMBIENT_E_INVALID;
	if (k == 0 || (open != NULL && v + k != open))
		return BAD("write KIND:verbs or KIND/SUB:verbs, such as \"v1/secrets:get\" or \"v1/pods/log:get\"");
	may.kind = dup_n(f, v, k);
	if (v[k] == '/') {
		sub = (size_t)(colon - v);
		if (!is_plural(v + k + 1, sub - k - 1))
			return BAD("write KIND:verbs or KIND/SUB:verbs, such as \"v1/secrets:get\" or \"v1/pods/log:get\"");
		may.sub = dup_n(f, v + k + 1, sub - k - 1);
	}
	for (const char *p = colon + 1; p <= end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t len = (size_t)((comma != NULL ? comma : end) - p), i = 0;

		while (i < AM_COUNTOF(verbs) && !(strlen(verbs[i]) == len && memcmp(verbs[i], p, len) == 0))
			i++;
		if (i == AM_COUNTOF(verbs))
			return BAD("\"%.*s\" is no verb, they are get, list, watch, create, update, patch, delete, "
				   "deletecollection, bind, escalate and impersonate", (int)AM_MIN(len, (size_t)40), p);
		may.verbs |= 1u << i;
		p += len + 1;
	}
	if (may.names != NULL && (may.verbs & ~(uint32_t)NAMEABLE) != 0)
		return BAD("names go with bind, escalate and impersonate only: what a request names is not compared");
	d->mays = more(f, d->mays, d->may_count, sizeof(*d->mays));
	d->mays[d->may_count++] = may;
	return 0;
}

static int
key_may(struct full *f, const char *v, struct ambient_error *err)
{
	if (*v == '\0')
		return BAD("write KIND:verbs or KIND/SUB:verbs, such as \"v1/secrets:get\" or \"v1/pods/log:get\"");
	while (*v != '\0') {
		size_t n = strcspn(v, " ");
		int rc = n > 0 ? one_may(f, v, n, err) : 0;

		if (rc < 0)
			return rc;
		v += n + strspn(v + n, " ");
	}
	return 0;
}

static int
add_name(struct full *f, const char ***array, size_t *count, const char *v, const char *what, struct ambient_error *err)
{
	if (!is_name(v))
		return BAD("a name has 1 to %d lower-case letters, digits and \"-\"", NAME_MAX_LEN);
	for (size_t i = 0; i < *count; i++) {
		if (strcmp((*array)[i], v) == 0)
			return BAD("this %s is there twice", what);
	}
	*array = more(f, *array, *count, sizeof(**array));
	(*array)[(*count)++] = v;
	return 0;
}

static int
key_runner(struct full *f, const char *v, struct ambient_error *err)
{
	return add_name(f, &f->pub.runners, &f->pub.runner_count, v, "runner type", err);
}

static int
key_server(struct full *f, const char *v, struct ambient_error *err)
{
	return add_name(f, &f->pub.servers, &f->pub.server_count, v, "server", err);
}

static const struct {
	const char *key;
	int (*take)(struct full *f, const char *v, struct ambient_error *err);
} keys[] = {
	{ "name", key_name },
	{ "version", key_version },
	{ "provides", key_provides },
	{ "needs", key_needs },
	{ "reconciler", key_reconciler },
	{ "for", key_for },
	{ "owns", key_owns },
	{ "watch", key_watch },
	{ "index", key_index },
	{ "may", key_may },
	{ "runner", key_runner },
	{ "server", key_server },
};

/* ---- the whole */

static int
take_line(struct full *f, const char *line, struct ambient_error *err)
{
	const char *names[AM_COUNTOF(keys) + 1];
	size_t len = strcspn(line, "="), n = 0;
	char key[24];
	int rc = 0;

	for (const char *p = line; *p != '\0'; p++) {
		if (*p < 0x20 || *p > 0x7e)
			return BAD("a declaration is printable ASCII");
	}
	if (strlen(line) > 1024)
		return BAD("declaration \"%.40s...\" is longer than 1024 characters", line);
	for (size_t i = 0; i < AM_COUNTOF(keys); i++) {
		names[n++] = keys[i].key;
		if (line[len] != '=' || strlen(keys[i].key) != len || memcmp(keys[i].key, line, len) != 0)
			continue;
		if (f->pub.name == NULL && i != 0)
			return BAD("the first declaration must be name=, not \"%.80s\"", line);
		rc = keys[i].take(f, line + len + 1, err);
		return rc < 0 ? am_err_prefix(err, "declaration \"%.80s\"", line) : 0;
	}
	names[n] = NULL;
	(void)am_strlcpy(key, line, AM_MIN(len + 1, sizeof(key)));
	const char *better = line[len] == '=' ? am_suggest(key, names) : NULL;
	if (better != NULL)
		return BAD("declaration \"%.80s\": unknown key, did you mean \"%s\"?", line, better);
	return BAD("declaration \"%.80s\": unknown key", line);
}

static int
check_reconciler(const struct am_plugin_reconciler *r, struct ambient_error *err)
{
	if (r->for_kind == NULL)
		return BAD("reconciler \"%s\" has no for= line", r->name);
	for (size_t i = 0; i < r->watch_count; i++) {
		const struct am_plugin_watch *w = &r->watches[i];
		bool found = w->map != AM_PLUGIN_MAP_INDEX;

		for (size_t k = 0; k < r->index_count; k++)
			found = found || am_streq(r->indexes[k].name, w->map_key);
		if (!found)
			return BAD("reconciler \"%s\" watches %.80s by index \"%.40s\", which it does not declare", r->name, w->kind,
				   w->map_key);
	}
	return 0;
}

static int
check_whole(const struct full *f, struct ambient_error *err)
{
	const struct am_plugin_decl *d = &f->pub;

	if (d->name == NULL)
		return BAD("it declares nothing, not even name=");
	if (d->version == NULL)
		return BAD("it declares no version=");
	if (d->reconciler_count + d->runner_count + d->server_count == 0)
		return BAD("it provides nothing: no for=, runner= or server= line");
	if (d->provides_cluster && d->server_count != 1)
		return BAD("provides=cluster needs exactly one server= line");
	for (size_t i = 0; i < d->reconciler_count; i++) {
		int rc = check_reconciler(&d->reconcilers[i], err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

struct am_plugin_decl *
am_plugin_decl_parse(const char *text, size_t len, struct ambient_error *err)
{
	struct am_arena *arena = am_arena_new();
	struct full *f = am_arena_zalloc(arena, sizeof(*f));
	size_t lines = 0;
	int rc = 0;

	am_assert(f != NULL);
	f->arena = arena;
	if (len > PLUGIN_DECL_MAX) {
		rc = BAD("its declarations are longer than %d KiB", PLUGIN_DECL_MAX / 1024);
	} else if (len > 0 && text[len - 1] != '\0') {
		rc = BAD("its declarations do not end with NUL");
	} else {
		f->pub.text = dup_n(f, "", 0);
		if (len > 0) {
			char *copy = am_arena_alloc(arena, len);

			am_assert(copy != NULL);
			f->pub.text = memcpy(copy, text, len);
		}
		f->pub.text_len = len;
	}
	for (const char *p = f->pub.text; rc == 0 && p < f->pub.text + len; p += strlen(p) + 1) {
		if (*p == '\0')
			continue;
		rc = ++lines > LINES_MAX ? BAD("it has more than %d declarations", LINES_MAX) : take_line(f, p, err);
	}
	if (rc == 0)
		rc = check_whole(f, err);
	if (rc == 0)
		return &f->pub;
	am_arena_free(arena);
	return NULL;
}

void
am_plugin_decl_free(struct am_plugin_decl *decl)
{
	if (decl != NULL)
		am_arena_free(AM_CONTAINER(decl, struct full, pub)->arena);
}

/* ---- questions */

const struct am_plugin_reconciler *
am_plugin_decl_reconciler(const struct am_plugin_decl *decl, const char *name)
{
	for (size_t i = 0; i < decl->reconciler_count; i++) {
		if (am_streq(decl->reconcilers[i].name, name))
			return &decl->reconcilers[i];
	}
	return NULL;
}

bool
am_plugin_decl_may(const struct am_plugin_decl *decl, const char *kind, const char *sub, uint32_t verb)
{
	for (size_t i = 0; i < decl->may_count; i++) {
		const struct am_plugin_may *m = &decl->mays[i];

		if ((m->verbs & verb) != 0 && am_streq(m->kind, kind) &&
		    (am_empty(sub) ? m->sub == NULL : am_streq(m->sub, sub)))
			return true;
	}
	return false;
}

bool
am_plugin_decl_watches(const struct am_plugin_decl *decl, const char *kind)
{
	for (size_t i = 0; i < decl->reconciler_count; i++) {
		const struct am_plugin_reconciler *r = &decl->reconcilers[i];

		if (am_streq(r->for_kind, kind))
			return true;
		for (size_t k = 0; k < r->owns_count; k++) {
			if (am_streq(r->owns[k], kind))
				return true;
		}
		for (size_t k = 0; k < r->watch_count; k++) {
			if (am_streq(r->watches[k].kind, kind))
				return true;
		}
	}
	return false;
}

const char *
am_plugin_verb_name(uint32_t verb)
{
	for (size_t i = 0; i < AM_COUNTOF(verbs); i++) {
		if (verb == 1u << i)
			return verbs[i];
	}
	return NULL;
}
