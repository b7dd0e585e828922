/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for a CustomResourceDefinition itself: names, versions, structural schemas, paths. */
#include <ctype.h>

#include "plugins/standalone/apiserver/crd.h"

static bool
flag(const struct am_node *node, const char *key)
{
	const struct am_node *member = am_node_get(node, key);

	return member != NULL && member->type == AMBIENT_T_BOOL && member->boolean;
}

/* What objects may be kept in, besides what they were kept in before. */
static void
note_storage(struct am_change *change)
{
	const struct am_node *versions = am_node_path(change->object, "spec", "versions", NULL);
	struct am_node *status = am_child(change, change->object, "status"), *stored = am_node_get(status, "storedVersions");
	bool known = false;

	if (stored == NULL || stored->type != AMBIENT_T_ARRAY) {
		am_node_set(change->arena, status, "storedVersions", am_node_array(change->arena));
		stored = am_node_get(status, "storedVersions");
	}
	for (const struct am_node *v = versions != NULL ? versions->first : NULL; v != NULL; v = v->next) {
		if (!flag(v, "storage"))
			continue;
		for (const struct am_node *e = stored->first; e != NULL; e = e->next)
			known |= strcmp(am_node_text(e, ""), am_node_get_str(v, "name", "")) == 0;
		if (!known)
			am_node_append(stored, am_node_str(change->arena, am_node_get_str(v, "name", "")));
		return;
	}
}

static void
crd_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec"), *names = am_child(change, spec, "names");
	const char *kind = am_node_get_str(names, "kind", "");
	char *singular = am_arena_strdup(change->arena, kind);

	for (char *p = singular; p != NULL && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	if (*kind != '\0') {
		am_fill_str(change, names, "singular", singular);
		am_fill_str(change, names, "listKind", am_arena_printf(change->arena, "%sList", kind));
	}
	am_fill_str(change, am_child(change, spec, "conversion"), "strategy", "None");
	if (change->old != NULL && change->subresource == NULL)
		note_storage(change);
}

static void
crd_create(struct am_change *change)
{
	am_node_set(change->arena, change->object, "status", am_node_object(change->arena));
	note_storage(change);
}

/* ---- names ---- */

/* A DNS-1035 label; kinds may have upper case letters. */
static bool
is_label(const char *text, bool upper)
{
	size_t n = strlen(text);

	if (n == 0 || n > 63 || !(islower((unsigned char)*text) || (upper && isupper((unsigned char)*text))) || text[n - 1] == '-')
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-' && !(upper && isupper((unsigned char)*p)))
			return false;
	return true;
}

#define LABEL_RULE "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic " \
	"character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is " \
	"'[a-z]([-a-z0-9]*[a-z0-9])?')"

static void
check_label(struct am_change *change, const char *field, const struct am_node *value, bool upper)
{
	if (!is_label(am_node_text(value, ""), upper))
		am_bad(change, field, value, upper ? "may have mixed case, but should otherwise match: " LABEL_RULE : LABEL_RULE);
}

static void
check_label_list(struct am_change *change, const struct am_node *names, const char *key)
{
	const struct am_node *list = am_node_get(names, key);
	char field[64];
	int i = 0;

	for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next) {
		snprintf(field, sizeof(field), "spec.names.%s[%d]", key, i++);
		check_label(change, field, e, false);
	}
}

static void
check_names(struct am_change *change, const struct am_node *names)
{
	static const struct { const char *key, *field; bool upper; } fields[] = {
		{ "plural", "spec.names.plural", false }, { "singular", "spec.names.singular", false },
		{ "kind", "spec.names.kind", true }, { "listKind", "spec.names.listKind", true },
	};
	const char *kind = am_node_get_str(names, "kind", ""), *list_kind = am_node_get_str(names, "listKind", "");

	for (size_t i = 0; i < AM_COUNTOF(fields); i++) {
		const struct am_node *value = am_node_get(names, fields[i].key);
		if (am_empty(am_node_text(value, NULL)))
			am_need(change, fields[i].field);
		else
			check_label(change, fields[i].field, value, fields[i].upper);
	}
	check_label_list(change, names, "shortNames");
	check_label_list(change, names, "categories");
	if (*kind != '\0' && strcmp(kind, list_kind) == 0)
		am_bad(change, "spec.names.listKind", am_node_get(names, "listKind"), "kind and listKind may not be the same");
}

static void
check_group(struct am_change *change, const struct am_node *spec)
{
	const char *group = am_node_get_str(spec, "group", ""), *problem = am_name_problem(group, 2);
	const char *plural = am_node_get_str(am_node_get(spec, "names"), "plural", "");
	const char *name = am_node_get_str(am_node_get(change->object, "metadata"), "name", "");
	const char *want = am_arena_printf(change->arena, "%s.%s", plural, group);

	if (*group == '\0')
		am_need(change, "spec.group");
	else if (problem != NULL || strchr(group, '.') == NULL)
		am_bad(change, "spec.group", am_node_get(spec, "group"),
		       problem != NULL ? problem : "should be a domain with at least one dot");
	if (change->old == NULL && want != NULL && strcmp(name, want) != 0)
		am_bad(change, "metadata.name", am_node_str(change->arena, name), "must be spec.names.plural+\".\"+spec.group");
}

/* ---- the approval of groups that are Kubernetes' own ---- */

#define APPROVAL "api-approved.kubernetes.io"

bool
am_crd_group_protected(const char *group)
{
	return strcmp(group, "k8s.io") == 0 || strcmp(group, "kubernetes.io") == 0 || am_ends(group, ".k8s.io") ||
	       am_ends(group, ".kubernetes.io");
}

static bool
is_url(const char *text)
{
	const char *host = strstr(text, "://");

	return host != NULL && host > text && host[3] != '\0' && host[3] != '/' && strpbrk(text, " \t\r\n") == NULL;
}

enum am_crd_approval
am_crd_approval_of(const struct am_node *crd, char *text, size_t n)
{
	static const char why[] = "protected groups must have approval annotation \"" APPROVAL "\"%s, see "
		"https://github.com/kubernetes/enhancements/pull/1111";
	const char *value = am_node_get_str(am_node_path(crd, "metadata", "annotations", NULL), APPROVAL, "");

	if (*value == '\0') {
		snprintf(text, n, why, "");
		return AM_CRD_APPROVAL_MISSING;
	}
	if (am_starts(value, "unapproved")) {
		snprintf(text, n, "not approved: \"%.500s\"", value);
		return AM_CRD_UNAPPROVED;
	}
	if (is_url(value)) {
		snprintf(text, n, "approved in %.500s", value);
		return AM_CRD_APPROVED;
	}
	snprintf(text, n, why, " with either a URL or a reason starting with \"unapproved\"");
	return AM_CRD_APPROVAL_INVALID;
}

/* What was stored without an approval may stay so, and the status says it. */
static void
check_approval(struct am_change *change, const struct am_node *spec)
{
	static const char field[] = "metadata.annotations[" APPROVAL "]";
	char why[1024], before[1024];

	if (!am_crd_group_protected(am_node_get_str(spec, "group", "")))
		return;
	enum am_crd_approval state = am_crd_approval_of(change->object, why, sizeof(why));
	if (change->old != NULL && am_crd_approval_of(change->old, before, sizeof(before)) == state)
		return;
	if (state == AM_CRD_APPROVAL_MISSING)
		am_failure_cause(change->failure, "FieldValueRequired", field, "Required value: %s", why);
	else if (state == AM_CRD_APPROVAL_INVALID)
		am_bad(change, field, am_node_path(change->object, "metadata", "annotations", APPROVAL, NULL), why);
}

/* ---- versions ---- */

static const struct am_node *
version_named(const struct am_node *versions, const char *name)
{
	for (const struct am_node *v = versions != NULL ? versions->first : NULL; v != NULL; v = v->next)
		if (strcmp(am_node_get_str(v, "name", ""), name) == 0)
			return v;
	return NULL;
}

static void
check_schema(struct am_change *change, const struct am_crd_shared *shared, const struct am_node *version, int i)
{
	const struct am_node *openapi = am_node_path(version, "schema", "openAPIV3Schema", NULL);
	const struct am_node *versions = change->old != NULL ? am_node_path(change->old, "spec", "versions", NULL) : NULL;
	const struct am_node *before = version_named(versions, am_node_get_str(version, "name", ""));
	struct am_schema_past past = { .versions = versions };
	struct am_schema_set *set = am_schema_set_new();
	char field[96];

	am_crd_schema_path(openapi != NULL ? shared : NULL, i, field, sizeof(field));
	before = before != NULL ? am_node_path(before, "schema", "openAPIV3Schema", NULL) : NULL;
	past.unchanged = openapi != NULL && before != NULL && am_node_equal(openapi, before);
	if (openapi == NULL)
		am_failure_cause(change->failure, "FieldValueRequired", field, "Required value: schemas are required");
	else if (!shared->schema || i == 0)
		(void)am_schema_compile(change->arena, set, openapi, field, &past, change->failure);
	am_schema_set_free(set);
}

/* A version that objects may still be kept in stays. */
static void
check_stored(struct am_change *change)
{
	const struct am_node *stored = am_node_path(change->object, "status", "storedVersions", NULL);
	const struct am_node *versions = am_node_path(change->object, "spec", "versions", NULL);
	char field[64];
	int i = 0;

	if (stored == NULL || stored->count == 0)
		am_bad(change, "status.storedVersions", stored, "must have at least one stored version");
	for (const struct am_node *e = stored != NULL ? stored->first : NULL; e != NULL; e = e->next, i++) {
		const char *name = am_node_text(e, "");
		snprintf(field, sizeof(field), "status.storedVersions[%d]", i);
		if (version_named(versions, name) == NULL)
			am_bad(change, field, e,
			       am_arena_printf(change->arena, "missing from spec.versions; %.63s was previously a storage version, and "
					       "must remain in spec.versions until a storage migration ensures no data remains persisted "
					       "in %.63s and removes %.63s from status.storedVersions", name, name, name));
	}
	for (const struct am_node *v = versions != NULL ? versions->first : NULL; v != NULL; v = v->next) {
		bool there = !flag(v, "storage");
		for (const struct am_node *e = stored != NULL ? stored->first : NULL; e != NULL; e = e->next)
			there |= strcmp(am_node_text(e, ""), am_node_get_str(v, "name", "")) == 0;
		if (!there)
			am_bad(change, "status.storedVersions", stored,
			       am_arena_printf(change->arena, "must have the storage version %.63s", am_node_get_str(v, "name", "")));
	}
}

static void
check_versions(struct am_change *change, const struct am_node *versions)
{
	const struct am_crd_shared shared = am_crd_shared_by(versions);
	char field[64];
	int i = 0, storage = 0;

	for (const struct am_node *v = versions != NULL ? versions->first : NULL; v != NULL; v = v->next, i++) {
		const struct am_node *name = am_node_get(v, "name");
		snprintf(field, sizeof(field), "spec.versions[%d].name", i);
		check_label(change, field, name, false);
		if (version_named(versions, am_node_text(name, "")) != v)
			am_failure_cause(change->failure, "FieldValueInvalid", "spec.versions",
					 "Invalid value: \"%.63s\": must contain unique version names", am_node_text(name, ""));
		storage += flag(v, "storage");
		check_schema(change, &shared, v, i);
		am_crd_check_version(change, &shared, v, i);
	}
	if (storage != 1)
		am_failure_cause(change->failure, "FieldValueInvalid", "spec.versions",
				 "Invalid value: %d of them: must have exactly one version marked as storage version", storage);
	check_stored(change);
}

/* ---- the whole ---- */

static void
check_conversion(struct am_change *change, const struct am_node *conversion)
{
	static const char *const strategies[] = { "None", NULL };
	const char *strategy = am_node_get_str(conversion, "strategy", "");
	const struct am_node *webhook = am_node_get(conversion, "webhook");

	if (strcmp(strategy, "Webhook") == 0)
		am_bad(change, "spec.conversion.strategy", am_node_get(conversion, "strategy"),
		       "this server calls no conversion webhooks; let every version have the same fields and use None");
	else if (strcmp(strategy, "None") != 0)
		am_unsupported(change, "spec.conversion.strategy", strategy, strategies);
	else if (am_node_get(webhook, "clientConfig") != NULL)
		am_forbid(change, "spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook");
	if (strcmp(strategy, "None") == 0 && am_node_get(webhook, "conversionReviewVersions") != NULL)
		am_forbid(change, "spec.conversion.conversionReviewVersions", "should not be set when strategy is not set to Webhook");
}

static void
crd_check(struct am_change *change)
{
	static const char *const scopes[] = { "Cluster", "Namespaced", NULL };
	const struct am_node *spec = am_node_get(change->object, "spec");
	const char *scope = am_node_get_str(spec, "scope", "");

	check_group(change, spec);
	check_names(change, am_node_get(spec, "names"));
	check_approval(change, spec);
	if (*scope == '\0')
		am_need(change, "spec.scope");
	else if (strcmp(scope, "Cluster") != 0 && strcmp(scope, "Namespaced") != 0)
		am_unsupported(change, "spec.scope", scope, scopes);
	check_conversion(change, am_node_get(spec, "conversion"));
	if (flag(spec, "preserveUnknownFields"))
		am_bad(change, "spec.preserveUnknownFields", am_node_get(spec, "preserveUnknownFields"),
		       "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead");
	check_versions(change, am_node_get(spec, "versions"));
	am_immutable(change, "/spec/group", "spec.group");
	am_immutable(change, "/spec/scope", "spec.scope");
	am_immutable(change, "/spec/names/plural", "spec.names.plural");
	am_immutable(change, "/spec/names/kind", "spec.names.kind");
}

const struct am_kind am_kind_crd = { .fill = crd_fill, .create = crd_create, .check = crd_check };
