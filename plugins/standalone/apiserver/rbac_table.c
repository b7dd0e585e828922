/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles and bindings, compiled.  What was compiled stays as long as the object that it was made of is the current one,
 * so that a new binding costs the compilation of one binding and a new index.  A compiled role is one block of text
 * with the rules pointing into it; a compiled binding one block of keys.
 *
 * Invariants: a table's contents never change; compiled objects are counted by the tables that hold them, under the
 * lock.  Revisions are read before the objects, so a table is never older than it says.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rbac.h"


const char *const rbac_list_names[RBAC__LISTS] = {
	[RBAC_VERBS] = "verbs", [RBAC_GROUPS] = "apiGroups", [RBAC_RESOURCES] = "resources",
	[RBAC_NAMES] = "resourceNames", [RBAC_URLS] = "nonResourceURLs",
};

enum { ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS, KINDS };

static const char *const plurals[KINDS] = { "roles", "clusterroles", "rolebindings", "clusterrolebindings" };

struct compiled {
	uint32_t refs;
	struct am_object *object;
	char *text;
	struct rbac_role role;                  /* of roles */
	const char *role_kind, *role_name;      /* of bindings */
	const char **subjects;                  /* of bindings: keys */
	size_t n_subjects;
};

struct rbac_table {
	uint32_t refs;
	uint64_t rv, kind_rv[KINDS];
	struct am_map *compiled;                /* "k/ns/name" */
	struct am_map *subjects;                /* "u:NAME" -> struct chain */
	struct am_arena *arena;
};

struct chain {
	struct rbac_grant *first, *last;
};

struct rest_rbac {
	struct am_engine *engine;
	struct am_lock lock;                    /* guards table and every refs */
	struct rbac_table *table;
};

/* ---- one object */

/* Appends the strings of an array; returns how many. */
static uint32_t
add_strings(struct am_slice object, const char *member, struct am_buf *out)
{
	struct am_slice array, v;
	char pointer[32];
	uint32_t n = 0;

	(void)snprintf(pointer, sizeof(pointer), "/%s", member);
	if (!am_json_find(object, pointer, &array) || am_json_type(array) != AMBIENT_T_ARRAY)
		return 0;
	for (size_t it = 0; am_json_element(array, &it, &v);) {
		size_t start = out->len;

		if (am_json_type(v) != AMBIENT_T_STRING || !am_json_unescape(v, out))
			continue;
		am_buf_addc(out, '\0');
		/* A NUL inside would be read as two strings: it fits nothing. */
		if (out->failed || strlen(out->data + start) + 1 != out->len - start)
			out->len = start;
		else
			n++;
	}
	return n;
}

void
rbac_role_compile(struct am_slice object, struct rbac_role *role, char **text)
{
	struct am_buf out = { 0 };
	struct am_slice rules, r;
	size_t i = 0;

	*role = (struct rbac_role){ 0 };
	*text = NULL;
	if (!am_json_find(object, "/rules", &rules) || am_json_type(rules) != AMBIENT_T_ARRAY)
		return;
	size_t count = am_json_count(rules);
	struct rbac_rule *compiled = am_xcalloc(count + 1, sizeof(*compiled));
	size_t *starts = am_xcalloc(count * RBAC__LISTS + 1, sizeof(*starts));

	for (size_t it = 0; i < count && am_json_element(rules, &it, &r); i++)
		for (int k = 0; k < RBAC__LISTS; k++) {
			starts[i * RBAC__LISTS + (size_t)k] = out.len;
			compiled[i].n[k] = add_strings(r, rbac_list_names[k], &out);
		}
	am_buf_addc(&out, '\0');
	/* Half a role would be another role. */
	if (out.failed)
		count = 0;
	*text = am_buf_steal(&out, NULL);
	for (i = 0; i < count; i++)
		for (size_t k = 0; k < RBAC__LISTS; k++)
			compiled[i].list[k] = *text + starts[i * RBAC__LISTS + k];
	free(starts);
	role->rules = compiled;
	role->n = count;
}

static bool
add_subject(struct am_slice subject, const char *ns, struct am_buf *out)
{
	am_auto(am_freep) char *kind = am_json_dup(subject, "/kind"), *name = am_json_dup(subject, "/name");
	am_auto(am_freep) char *in = am_json_dup(subject, "/namespace");

	if (kind == NULL || name == NULL)
		return false;
	if (strcmp(kind, "User") == 0)
		am_buf_addf(out, "u:%s", name);
	else if (strcmp(kind, "Group") == 0)
		am_buf_addf(out, "g:%s", name);
	else if (strcmp(kind, "ServiceAccount") == 0 && (!am_empty(in) || !am_empty(ns)))
		am_buf_addf(out, "u:system:serviceaccount:%s:%s", !am_empty(in) ? in : ns, name);
	else
		return false;
	am_buf_addc(out, '\0');
	return true;
}

static void
compile_binding(struct compiled *c, struct am_slice text)
{
	struct am_slice subjects, s;
	am_auto(am_freep) char *kind = am_json_dup(text, "/roleRef/kind"), *name = am_json_dup(text, "/roleRef/name");
	struct am_buf out = { 0 };
	size_t n = 0;

	am_buf_addf(&out, "%s%c%s%c", kind != NULL ? kind : "", '\0', name != NULL ? name : "", '\0');
	if (am_json_find(text, "/subjects", &subjects) && am_json_type(subjects) == AMBIENT_T_ARRAY)
		for (size_t it = 0; am_json_element(subjects, &it, &s);)
			n += add_subject(s, c->object->ns, &out);
	if (out.failed)
		n = 0;
	c->text = am_buf_steal(&out, NULL);
	c->subjects = am_xcalloc(n + 1, sizeof(char *));
	if (c->text == NULL)
		return;
	c->role_kind = c->text;
	c->role_name = c->role_kind + strlen(c->role_kind) + 1;
	const char *at = c->role_name + strlen(c->role_name) + 1;

	for (; c->n_subjects < n; at += strlen(at) + 1)
		c->subjects[c->n_subjects++] = at;
}

static struct compiled *
compile(struct am_object *object, int kind)
{
	struct compiled *c = am_xcalloc(1, sizeof(*c));

	c->object = am_object_ref(object);
	struct am_object *open = am_object_open(object);
	if (kind == ROLES || kind == CLUSTER_ROLES)
		rbac_role_compile(am_object_text(open), &c->role, &c->text);
	else
		compile_binding(c, am_object_text(open));
	am_object_unref(open);
	return c;
}

static void
compiled_unref(struct compiled *c)
{
	if (--c->refs > 0)
		return;
	am_object_unref(c->object);
	free((void *)(uintptr_t)c->role.rules);
	free(c->subjects);
	free(c->text);
	free(c);
}

/* ---- a table */

static void
key_of(int kind, const char *ns, const char *name, struct am_buf *key)
{
	am_buf_reset(key);
	am_buf_addf(key, "%d/%s/%s", kind, ns, name);
}

static void
grant(struct rbac_table *table, const struct compiled *binding, const struct compiled *role)
{
	const struct am_object *object = binding->object;

	for (size_t i = 0; i < binding->n_subjects; i++) {
		struct rbac_grant *g = am_arena_zalloc(table->arena, sizeof(*g));
		struct chain *chain = am_map_get(table->subjects, binding->subjects[i]);

		if (g == NULL)
			return;
		*g = (struct rbac_grant){ .ns = *object->ns != '\0' ? object->ns : NULL, .binding = object->name,
					  .role_kind = binding->role_kind, .role_name = binding->role_name,
					  .role = role != NULL ? &role->role : NULL };
		if (chain == NULL) {
			chain = am_xcalloc(1, sizeof(*chain));
			am_map_put(table->subjects, binding->subjects[i], chain);
			chain->first = g;
		} else {
			chain->last->next = g;
		}
		chain->last = g;
	}
}

static void
take_kind(struct rest_rbac *rbac, struct rbac_table *table, int kind, struct am_buf *key)
{
	struct am_list list = { 0 };

	am_engine_all(rbac->engine, RBAC_GROUP, plurals[kind], NULL, &list);
	for (size_t i = 0; i < list.n; i++) {
		struct am_object *object = list.items[i];
		struct compiled *c;

		key_of(kind, object->ns, object->name, key);
		c = rbac->table != NULL ? am_map_get(rbac->table->compiled, am_buf_str(key)) : NULL;
		if (c == NULL || c->object->stamp != object->stamp)
			c = compile(object, kind);
		c->refs++;
		am_map_put(table->compiled, am_buf_str(key), c);
		if (kind == ROLES || kind == CLUSTER_ROLES)
			continue;
		bool role = am_streq(c->role_kind, "Role");

		if (c->role_name == NULL || (!role && !am_streq(c->role_kind, "ClusterRole")))
			continue;
		key_of(role ? ROLES : CLUSTER_ROLES, role ? object->ns : "", c->role_name, key);
		grant(table, c, am_map_get(table->compiled, am_buf_str(key)));
	}
	am_list_fini(&list);
}

static void
free_table(struct rbac_table *table)
{
	const char *key;
	void *value;

	for (size_t it = 0; am_map_next(table->compiled, &it, &key, &value);)
		compiled_unref(value);
	am_map_free(table->compiled);
	am_map_free(table->subjects);
	am_arena_free(table->arena);
	free(table);
}

static void
unref(struct rbac_table *table)
{
	if (table != NULL && --table->refs == 0)
		free_table(table);
}

/* A table of what is there now; the lock is held. */
static struct rbac_table *
build(struct rest_rbac *rbac, uint64_t rv, const uint64_t kind_rv[KINDS])
{
	struct rbac_table *table = am_xcalloc(1, sizeof(*table));
	struct am_buf key = { 0 };

	table->refs = 1;
	table->rv = rv;
	memcpy(table->kind_rv, kind_rv, sizeof(table->kind_rv));
	table->compiled = am_map_new();
	table->subjects = am_map_new_owning(free);
	table->arena = am_arena_new();
	take_kind(rbac, table, ROLES, &key);
	take_kind(rbac, table, CLUSTER_ROLES, &key);
	take_kind(rbac, table, CLUSTER_BINDINGS, &key);
	take_kind(rbac, table, BINDINGS, &key);
	am_buf_fini(&key);
	return table;
}

struct rbac_table *
rest_rbac_table(struct rest_rbac *rbac)
{
	uint64_t rv, kind_rv[KINDS];

	am_lock(&rbac->lock);
	rv = am_engine_rv(rbac->engine);
	if (rbac->table == NULL || rbac->table->rv != rv) {
		for (int i = 0; i < KINDS; i++)
			kind_rv[i] = am_engine_store_rv(rbac->engine, RBAC_GROUP, plurals[i]);
		if (rbac->table == NULL || memcmp(rbac->table->kind_rv, kind_rv, sizeof(kind_rv)) != 0) {
			struct rbac_table *table = build(rbac, rv, kind_rv);

			unref(rbac->table);
			rbac->table = table;
		} else {
			rbac->table->rv = rv;
		}
	}
	struct rbac_table *table = rbac->table;

	table->refs++;
	am_unlock(&rbac->lock);
	return table;
}

void
rest_rbac_table_unref(struct rest_rbac *rbac, struct rbac_table *table)
{
	am_lock(&rbac->lock);
	unref(table);
	am_unlock(&rbac->lock);
}

const struct rbac_grant *
rbac_table_grants(const struct rbac_table *table, char kind, const char *name)
{
	struct am_buf key = { 0 };

	am_buf_addf(&key, "%c:%s", kind, name);
	const struct chain *chain = am_map_get(table->subjects, am_buf_str(&key));

	am_buf_fini(&key);
	return chain != NULL ? chain->first : NULL;
}

struct rest_rbac *
rest_rbac_new(struct am_engine *engine)
{
	struct rest_rbac *rbac = am_xcalloc(1, sizeof(*rbac));

	rbac->engine = engine;
	am_lock_init(&rbac->lock, "rbac");
	return rbac;
}

void
rest_rbac_free(struct rest_rbac *rbac)
{
	if (rbac == NULL)
		return;
	unref(rbac->table);
	am_lock_fini(&rbac->lock);
	free(rbac);
}

/* ---- rules against an access */

const char *
rbac_rule_next(const struct rbac_rule *rule, enum rbac_list list, const char *at, uint32_t *i)
{
	if (*i >= rule->n[list])
		return NULL;
	at = *i == 0 ? rule->list[list] : at + strlen(at) + 1;
	(*i)++;
	return at;
}

static bool
has(const struct rbac_rule *rule, enum rbac_list list, const char *text, bool wildcard)
{
	uint32_t i = 0;

	for (const char *s = NULL; (s = rbac_rule_next(rule, list, s, &i)) != NULL;)
		if (strcmp(s, text) == 0 || (wildcard && strcmp(s, "*") == 0))
			return true;
	return false;
}

/* The resource, resource/sub, any/sub, or everything. */
static bool
resource_fits(const struct rbac_rule *rule, const struct rest_access *a)
{
	size_t n = strlen(a->plural);
	uint32_t i = 0;

	if (a->sub == NULL)
		return has(rule, RBAC_RESOURCES, a->plural, true);
	for (const char *s = NULL; (s = rbac_rule_next(rule, RBAC_RESOURCES, s, &i)) != NULL;) {
		if (strcmp(s, "*") == 0)
			return true;
		if (strncmp(s, a->plural, n) == 0 && s[n] == '/' && strcmp(s + n + 1, a->sub) == 0)
			return true;
		if (s[0] == '*' && s[1] == '/' && strcmp(s + 2, a->sub) == 0)
			return true;
	}
	return false;
}

static bool
path_fits(const struct rbac_rule *rule, const char *path)
{
	uint32_t i = 0;

	for (const char *s = NULL; (s = rbac_rule_next(rule, RBAC_URLS, s, &i)) != NULL;) {
		size_t n = strlen(s);

		if (strcmp(s, path) == 0 || (n > 0 && s[n - 1] == '*' && strncmp(s, path, n - 1) == 0))
			return true;
	}
	return false;
}

bool
rbac_rule_fits(const struct rbac_rule *rule, const struct rest_access *a)
{
	if (!has(rule, RBAC_VERBS, a->verb, true))
		return false;
	if (a->path != NULL)
		return path_fits(rule, a->path);
	return has(rule, RBAC_GROUPS, a->group, true) && resource_fits(rule, a) &&
	       (rule->n[RBAC_NAMES] == 0 || (a->name != NULL && has(rule, RBAC_NAMES, a->name, false)));
}
