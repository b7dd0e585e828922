/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the builtin kinds' rules, and the kinds whose rules are short. */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission_pod.h"
#include "plugins/standalone/apiserver/quantity.h"

#define DATA_MAX (1024 * 1024)

/* ---- helpers ---- */

void
am_change_warn(struct am_change *change, const char *fmt, ...)
{
	struct am_buf text = { .max = 4096 };
	va_list ap;

	if (change->n_warnings >= 50)
		return;
	va_start(ap, fmt);
	am_buf_addv(&text, fmt, ap);
	va_end(ap);
	change->warnings = am_xrealloc(change->warnings, change->n_warnings + 1, sizeof(*change->warnings));
	change->warnings[change->n_warnings++] = am_xstrdup(am_buf_str(&text));
	am_buf_fini(&text);
}

void
am_need(struct am_change *change, const char *field)
{
	am_failure_cause(change->failure, "FieldValueRequired", field, "Required value");
}

void
am_bad(struct am_change *change, const char *field, const struct am_node *value, const char *why)
{
	struct am_buf text = { .max = 1024 };

	if (value != NULL)
		am_node_print(value, &text);
	am_failure_cause(change->failure, "FieldValueInvalid", field, "Invalid value: %s: %s",
			 text.failed ? "\"...\"" : text.len > 0 ? am_buf_str(&text) : "\"\"", why);
	am_buf_fini(&text);
}

void
am_forbid(struct am_change *change, const char *field, const char *why)
{
	am_failure_cause(change->failure, "FieldValueForbidden", field, "Forbidden: %s", why);
}

void
am_unsupported(struct am_change *change, const char *field, const char *value, const char *const *supported)
{
	struct am_buf text = { .max = 1024 };

	for (size_t i = 0; supported[i] != NULL; i++)
		am_buf_addf(&text, "%s\"%s\"", i > 0 ? ", " : "", supported[i]);
	am_failure_cause(change->failure, "FieldValueNotSupported", field, "Unsupported value: \"%.100s\": supported values: %s",
			 value, am_buf_str(&text));
	am_buf_fini(&text);
}

struct am_node *
am_child(struct am_change *change, struct am_node *parent, const char *key)
{
	struct am_node *child = am_node_get(parent, key);

	if (child == NULL || child->type != AMBIENT_T_OBJECT) {
		am_node_set(change->arena, parent, key, am_node_object(change->arena));
		child = am_node_get(parent, key);
	}
	return child;
}

void
am_fill_str(struct am_change *change, struct am_node *parent, const char *key, const char *value)
{
	const struct am_node *have = am_node_get(parent, key);

	if (have == NULL || (have->type == AMBIENT_T_STRING && have->len == 0))
		am_node_set(change->arena, parent, key, am_node_str(change->arena, value));
}

void
am_fill_int(struct am_change *change, struct am_node *parent, const char *key, int64_t value)
{
	if (am_node_get(parent, key) == NULL)
		am_node_set(change->arena, parent, key, am_node_int(change->arena, value));
}

void
am_fill_bool(struct am_change *change, struct am_node *parent, const char *key, bool value)
{
	if (am_node_get(parent, key) == NULL)
		am_node_set(change->arena, parent, key, am_node_bool(change->arena, value));
}

bool
am_same_at(const struct am_node *a, const struct am_node *b, const char *pointer)
{
	const struct am_node *va = am_node_at(a, pointer), *vb = am_node_at(b, pointer);

	return va == NULL || vb == NULL ? va == vb : am_node_equal(va, vb);
}

void
am_immutable(struct am_change *change, const char *pointer, const char *field)
{
	if (change->old != NULL && !am_same_at(change->old, change->object, pointer))
		am_failure_cause(change->failure, "FieldValueInvalid", field, "Invalid value: field is immutable");
}

/* ---- Namespace, Node ---- */

static void
namespace_create(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec"), *list = am_node_array(change->arena);

	am_node_append(list, am_node_str(change->arena, "kubernetes"));
	am_node_set(change->arena, spec, "finalizers", list);
	am_node_set(change->arena, am_child(change, change->object, "status"), "phase", am_node_str(change->arena, "Active"));
}

static void
namespace_fill(struct am_change *change)
{
	struct am_node *metadata = am_node_get(change->object, "metadata");
	const char *name = am_node_get_str(metadata, "name", NULL);

	if (name != NULL)
		am_node_set(change->arena, am_child(change, metadata, "labels"), "kubernetes.io/metadata.name",
			    am_node_str(change->arena, name));
}

const struct am_kind am_kind_namespace = { .create = namespace_create, .fill = namespace_fill };
static void
node_check(struct am_change *change)
{
	am_check_taints(change, am_node_path(change->object, "spec", "taints", NULL));
}

const struct am_kind am_kind_node = { .check = node_check };
const struct am_kind am_kind_service_account = { NULL, NULL, NULL, NULL };

/* ---- Secret, ConfigMap ---- */

static void
merge_string_data(struct am_change *change)
{
	struct am_node *strings = am_node_get(change->object, "stringData");

	if (strings == NULL)
		return;
	struct am_node *data = am_child(change, change->object, "data");
	for (const struct am_node *m = strings->first; m != NULL; m = m->next) {
		struct am_buf out = { 0 };
		am_base64_encode(&out, m->text, m->type == AMBIENT_T_STRING ? m->len : 0, false);
		am_node_set(change->arena, data, m->key, am_node_strn(change->arena, am_buf_str(&out), out.len));
		am_buf_fini(&out);
	}
	am_node_del(change->object, "stringData");
}

static void
secret_fill(struct am_change *change)
{
	merge_string_data(change);
	am_fill_str(change, change->object, "type", "Opaque");
}

static void
check_key(struct am_change *change, const char *map, const struct am_node *m)
{
	char field[320];
	static const char *const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	snprintf(field, sizeof(field), "%s[%.260s]", map, m->key);
	if (m->key_len == 0 || m->key_len > 253 || strspn(m->key, allowed) != m->key_len || strcmp(m->key, ".") == 0 ||
	    strcmp(m->key, "..") == 0)
		am_bad(change, field, am_node_str(change->arena, m->key), "a valid config key must consist of alphanumeric "
		       "characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
		       "'[-._a-zA-Z0-9]+')");
}

/* Keys, base64 where asked for, and the sum of sizes. */
static void
check_data(struct am_change *change, const char *map, bool base64, size_t *total)
{
	const struct am_node *data = am_node_get(change->object, map);

	for (const struct am_node *m = data != NULL ? data->first : NULL; m != NULL; m = m->next) {
		struct am_buf out = { 0 };
		check_key(change, map, m);
		if (m->type != AMBIENT_T_STRING || (base64 && am_base64_decode(&out, m->text, m->len, false) < 0))
			am_fail(change->failure, 400, "BadRequest", "%s in version \"v1\" cannot be handled as a %s: %s[%.100s] is no %s",
				change->res->kind, change->res->kind, map, m->key, base64 ? "base64 data" : "string");
		*total += base64 ? out.len : m->len;
		am_buf_fini(&out);
	}
}

static void
check_immutable_data(struct am_change *change)
{
	static const char *const maps[] = { "data", "binaryData" };
	const struct am_node *flag = am_node_get(change->old, "immutable");

	if (flag == NULL || !flag->boolean)
		return;
	const struct am_node *now = am_node_get(change->object, "immutable");
	if (now == NULL || !now->boolean)
		am_forbid(change, "immutable", "field is immutable when `immutable` is set");
	for (size_t i = 0; i < AM_COUNTOF(maps); i++) {
		const struct am_node *a = am_node_get(change->old, maps[i]), *b = am_node_get(change->object, maps[i]);
		if (a == NULL || b == NULL ? a != b : !am_node_equal(a, b))
			am_forbid(change, maps[i], "field is immutable when `immutable` is set");
	}
}

static const struct {
	const char *type, *key;
} typed_secrets[] = {
	{ "kubernetes.io/dockerconfigjson", ".dockerconfigjson" },
	{ "kubernetes.io/dockercfg", ".dockercfg" },
	{ "kubernetes.io/tls", "tls.crt" },
	{ "kubernetes.io/tls", "tls.key" },
	{ "kubernetes.io/ssh-auth", "ssh-privatekey" },
};

static void
check_too_long(struct am_change *change, size_t total)
{
	if (total > DATA_MAX)
		am_failure_cause(change->failure, "FieldValueTooLong", "data", "Too long: may not be more than %d bytes", DATA_MAX);
}

/* A configuration of registries is JSON, or nobody can use it. */
static void
check_docker_config(struct am_change *change, const struct am_node *data, const char *key)
{
	const struct am_node *value = am_node_get(data, key);
	struct am_buf out = { 0 };
	char field[96];

	snprintf(field, sizeof(field), "data[%s]", key);
	if (value != NULL && value->type == AMBIENT_T_STRING && am_base64_decode(&out, value->text, value->len, false) == 0 &&
	    am_json_check(am_buf_str(&out), out.len, NULL) < 0)
		am_failure_cause(change->failure, "FieldValueInvalid", field, "Invalid value: \"<secret contents redacted>\": it is no JSON");
	am_buf_fini(&out);
}

/* What the type of a Secret says of its content. */
static void
check_typed(struct am_change *change, const char *type, const struct am_node *data)
{
	const struct am_node *annotations = am_node_path(change->object, "metadata", "annotations", NULL);
	char field[96];

	for (size_t i = 0; i < AM_COUNTOF(typed_secrets); i++) {
		snprintf(field, sizeof(field), "data[%s]", typed_secrets[i].key);
		if (strcmp(type, typed_secrets[i].type) == 0 && am_node_get(data, typed_secrets[i].key) == NULL)
			am_need(change, field);
	}
	if (strcmp(type, "kubernetes.io/dockerconfigjson") == 0)
		check_docker_config(change, data, ".dockerconfigjson");
	if (strcmp(type, "kubernetes.io/dockercfg") == 0)
		check_docker_config(change, data, ".dockercfg");
	if (strcmp(type, "kubernetes.io/basic-auth") == 0 && am_node_get(data, "username") == NULL &&
	    am_node_get(data, "password") == NULL) {
		am_need(change, "data[username]");
		am_need(change, "data[password]");
	}
	if (strcmp(type, "kubernetes.io/service-account-token") == 0 &&
	    am_empty(am_node_get_str(annotations, "kubernetes.io/service-account.name", NULL)))
		am_need(change, "metadata.annotations[kubernetes.io/service-account.name]");
}

static void
secret_check(struct am_change *change)
{
	size_t total = 0;

	check_data(change, "data", true, &total);
	check_too_long(change, total);
	check_typed(change, am_node_get_str(change->object, "type", ""), am_node_get(change->object, "data"));
	am_immutable(change, "/type", "type");
	check_immutable_data(change);
}

const struct am_kind am_kind_secret = { .fill = secret_fill, .check = secret_check };

static void
config_map_check(struct am_change *change)
{
	const struct am_node *data = am_node_get(change->object, "data"), *binary = am_node_get(change->object, "binaryData");
	size_t total = 0;

	check_data(change, "data", false, &total);
	check_data(change, "binaryData", true, &total);
	for (const struct am_node *m = binary != NULL ? binary->first : NULL; m != NULL; m = m->next)
		if (am_node_get(data, m->key) != NULL)
			am_bad(change, "data", am_node_str(change->arena, m->key), "duplicate of key present in binaryData");
	check_too_long(change, total);
	check_immutable_data(change);
}

const struct am_kind am_kind_config_map = { .check = config_map_check };

/* ---- PersistentVolumeClaim ---- */

/* The node makes a claim's directory when a pod first uses it; so a claim counts as bound from the start. */
static void
claim_create(struct am_change *change)
{
	struct am_node *status = am_child(change, change->object, "status"), *spec = am_child(change, change->object, "spec");
	const struct am_node *requests = am_node_path(spec, "resources", "requests", NULL), *modes = am_node_get(spec, "accessModes");
	const char *uid = am_node_get_str(am_node_get(change->object, "metadata"), "uid", "");

	am_node_set(change->arena, status, "phase", am_node_str(change->arena, "Bound"));
	if (modes != NULL)
		am_node_set(change->arena, status, "accessModes", am_node_clone(change->arena, modes));
	if (requests != NULL)
		am_node_set(change->arena, status, "capacity", am_node_clone(change->arena, requests));
	am_fill_str(change, spec, "volumeName", am_arena_printf(change->arena, "pvc-%s", uid));
}

static void
claim_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec");

	am_fill_str(change, spec, "volumeMode", "Filesystem");
	am_fill_str(change, spec, "storageClassName", "standalone");
	/* A directory has room for what is asked: a claim that grows has grown. */
	if (change->old != NULL && change->subresource == NULL && am_node_path(spec, "resources", "requests", NULL) != NULL &&
	    strcmp(am_node_get_str(am_node_get(change->object, "status"), "phase", ""), "Bound") == 0)
		am_node_set(change->arena, am_child(change, change->object, "status"), "capacity",
			    am_node_clone(change->arena, am_node_path(spec, "resources", "requests", NULL)));
}

static void
check_growth(struct am_change *change)
{
	struct am_quantity before, now;

	if (am_quantity_of(am_node_path(change->old, "spec", "resources", "requests", "storage", NULL), &before) &&
	    am_quantity_of(am_node_path(change->object, "spec", "resources", "requests", "storage", NULL), &now) &&
	    am_quantity_cmp(&now, &before) < 0)
		am_forbid(change, "spec.resources.requests.storage", "field can not be less than status.capacity");
}

static void
claim_check(struct am_change *change)
{
	const struct am_node *spec = am_node_get(change->object, "spec"), *modes = am_node_get(spec, "accessModes");

	static const char *const known[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", NULL };
	static const char *const volume_modes[] = { "Block", "Filesystem", NULL };
	const char *class = am_node_get_str(spec, "storageClassName", "");

	for (const struct am_node *m = modes != NULL ? modes->first : NULL; m != NULL; m = m->next) {
		size_t i = 0;

		while (known[i] != NULL && !am_streq(known[i], am_node_text(m, NULL)))
			i++;
		if (known[i] == NULL)
			am_unsupported(change, "spec.accessModes", am_node_text(m, ""), known);
	}
	am_pod_check_choice(change, spec, "volumeMode", "spec", volume_modes);
	if (*class != '\0' && am_name_problem(class, 2) != NULL)
		am_bad(change, "spec.storageClassName", am_node_get(spec, "storageClassName"), am_name_problem(class, 2));
	am_check_selector(change, am_node_get(spec, "selector"), "spec.selector");
	if (modes == NULL || modes->count == 0)
		am_failure_cause(change->failure, "FieldValueRequired", "spec.accessModes",
				 "Required value: at least 1 access mode is required");
	if (am_node_path(spec, "resources", "requests", "storage", NULL) == NULL)
		am_need(change, "spec.resources[storage]");
	if (strcmp(am_node_get_str(spec, "volumeMode", ""), "Block") == 0)
		am_forbid(change, "spec.volumeMode", "block volumes are not supported by the standalone node");
	am_immutable(change, "/spec/accessModes", "spec.accessModes");
	am_immutable(change, "/spec/volumeName", "spec.volumeName");
	am_immutable(change, "/spec/storageClassName", "spec.storageClassName");
	check_growth(change);
}

const struct am_kind am_kind_claim = { .create = claim_create, .fill = claim_fill, .check = claim_check };

/* ---- Lease, Event ---- */

static void
lease_check(struct am_change *change)
{
	const struct am_node *spec = am_node_get(change->object, "spec");
	int64_t n;

	if (am_node_get_int(spec, "leaseDurationSeconds", &n) && n <= 0)
		am_bad(change, "spec.leaseDurationSeconds", am_node_get(spec, "leaseDurationSeconds"), "must be greater than 0");
	if (am_node_get_int(spec, "leaseTransitions", &n) && n < 0)
		am_bad(change, "spec.leaseTransitions", am_node_get(spec, "leaseTransitions"),
		       "must be greater than or equal to 0");
}

const struct am_kind am_kind_lease = { .check = lease_check };

/* What events.k8s.io asks for beyond presence. */
static void
check_new_event(struct am_change *change)
{
	static const struct {
		const char *key, *field;
		size_t max;
	} lengths[] = { { "action", "action", 128 }, { "reason", "reason", 128 }, { "message", "note", 1024 },
			{ "reportingInstance", "reportingInstance", 128 } };
	static const char *const types[] = { "Normal", "Warning", NULL };
	const char *type = am_node_get_str(change->object, "type", "");

	for (size_t i = 0; i < AM_COUNTOF(lengths); i++)
		if (strlen(am_node_get_str(change->object, lengths[i].key, "")) > lengths[i].max)
			am_failure_cause(change->failure, "FieldValueInvalid", lengths[i].field, "Invalid value: can have at most %zu "
					 "characters", lengths[i].max);
	const struct am_node *series = am_node_get(change->object, "series");
	const char *controller = am_node_get_str(change->object, "reportingComponent", "");
	int64_t n = 0;

	if (*controller != '\0' && am_name_problem(controller, 4) != NULL)
		am_bad(change, "reportingController", am_node_get(change->object, "reportingComponent"), am_name_problem(controller, 4));
	if (series != NULL && series->type == AMBIENT_T_OBJECT) {
		if (!am_node_get_int(series, "count", &n) || n < 2)
			am_bad(change, "series.count", am_node_int(change->arena, n), "should be at least 2");
		if (am_empty(am_node_get_str(series, "lastObservedTime", NULL)))
			am_need(change, "series.lastObservedTime");
	}
	if (*type != '\0' && strcmp(type, "Normal") != 0 && strcmp(type, "Warning") != 0)
		am_unsupported(change, "type", type, types);
}

static void
event_check(struct am_change *change)
{
	const struct am_node *object = am_node_get(change->object, "involvedObject");
	const char *ns = am_node_get_str(object, "namespace", "");

	if (object == NULL)
		am_need(change, "involvedObject");
	else if (*ns != '\0' ? strcmp(ns, change->ns) != 0
			     : strcmp(change->ns, "default") != 0 && strcmp(change->ns, "kube-system") != 0)
		am_bad(change, "involvedObject.namespace", am_node_get(object, "namespace"), "does not match event.namespace");
	if (change->res->priv->view != NULL && change->old == NULL) {
		static const char *const required[] = { "eventTime", "reportingComponent", "reportingInstance", "action", "reason",
							"type" };
		for (size_t i = 0; i < AM_COUNTOF(required); i++)
			if (am_empty(am_node_get_str(change->object, required[i], NULL)))
				am_need(change, strcmp(required[i], "reportingComponent") == 0 ? "reportingController" : required[i]);
		check_new_event(change);
	}
}

const struct am_kind am_kind_event = { .check = event_check };

/* ---- RBAC ---- */

static void
role_fill(struct am_change *change)
{
	if (am_node_get(change->object, "rules") == NULL)
		am_node_set(change->arena, change->object, "rules", am_node_array(change->arena));
}

static bool
empty_list(const struct am_node *rule, const char *key)
{
	const struct am_node *list = am_node_get(rule, key);

	return list == NULL || list->count == 0;
}

static void
role_check(struct am_change *change)
{
	const struct am_node *rules = am_node_get(change->object, "rules");
	char field[64];
	int i = 0;

	for (const struct am_node *r = rules != NULL ? rules->first : NULL; r != NULL; r = r->next, i++) {
		snprintf(field, sizeof(field), "rules[%d].verbs", i);
		if (empty_list(r, "verbs"))
			am_failure_cause(change->failure, "FieldValueRequired", field,
					 "Required value: verbs must contain at least one value");
		snprintf(field, sizeof(field), "rules[%d].nonResourceURLs", i);
		if (!empty_list(r, "nonResourceURLs")) {
			if (change->res->flags & AM_RES_NAMESPACED)
				am_bad(change, field, am_node_get(r, "nonResourceURLs"),
				       "namespaced rules cannot apply to non-resource URLs");
			continue;
		}
		snprintf(field, sizeof(field), "rules[%d].apiGroups", i);
		if (empty_list(r, "apiGroups"))
			am_failure_cause(change->failure, "FieldValueRequired", field,
					 "Required value: resource rules must supply at least one api group");
		snprintf(field, sizeof(field), "rules[%d].resources", i);
		if (empty_list(r, "resources"))
			am_failure_cause(change->failure, "FieldValueRequired", field,
					 "Required value: resource rules must supply at least one resource");
	}
}

const struct am_kind am_kind_role = { .fill = role_fill, .check = role_check };

#define RBAC "rbac.authorization.k8s.io"

static void
binding_fill(struct am_change *change)
{
	struct am_node *subjects = am_node_get(change->object, "subjects");

	am_fill_str(change, am_child(change, change->object, "roleRef"), "apiGroup", RBAC);
	for (struct am_node *s = subjects != NULL ? subjects->first : NULL; s != NULL; s = s->next)
		if (strcmp(am_node_get_str(s, "kind", ""), "ServiceAccount") != 0)
			am_fill_str(change, s, "apiGroup", RBAC);
}

static void
binding_check(struct am_change *change)
{
	static const char *const kinds[] = { "ServiceAccount", "User", "Group", NULL };
	static const char *const role_kinds[] = { "Role", "ClusterRole", NULL }, *const cluster[] = { "ClusterRole", NULL };
	const struct am_node *ref = am_node_get(change->object, "roleRef"), *subjects = am_node_get(change->object, "subjects");
	static const char *const groups[] = { RBAC, NULL };
	const char *kind = am_node_get_str(ref, "kind", ""), *role = am_node_get_str(ref, "name", "");
	bool namespaced = change->res->flags & AM_RES_NAMESPACED;
	char field[64];
	int i = 0;

	if (!am_streq(am_node_get_str(ref, "apiGroup", ""), RBAC))
		am_unsupported(change, "roleRef.apiGroup", am_node_get_str(ref, "apiGroup", ""), groups);
	if (strchr(role, '/') != NULL || strchr(role, '%') != NULL)
		am_bad(change, "roleRef.name", am_node_get(ref, "name"), "may not contain '/' or '%'");

	if (strcmp(kind, "ClusterRole") != 0 && !(namespaced && strcmp(kind, "Role") == 0))
		am_unsupported(change, "roleRef.kind", kind, namespaced ? role_kinds : cluster);
	if (am_empty(am_node_get_str(ref, "name", NULL)))
		am_need(change, "roleRef.name");
	for (const struct am_node *s = subjects != NULL ? subjects->first : NULL; s != NULL; s = s->next, i++) {
		kind = am_node_get_str(s, "kind", "");
		snprintf(field, sizeof(field), "subjects[%d].kind", i);
		if (strcmp(kind, "ServiceAccount") != 0 && strcmp(kind, "User") != 0 && strcmp(kind, "Group") != 0)
			am_unsupported(change, field, kind, kinds);
		snprintf(field, sizeof(field), "subjects[%d].name", i);
		if (am_empty(am_node_get_str(s, "name", NULL)))
			am_need(change, field);
		else if (strcmp(kind, "ServiceAccount") == 0 && am_name_problem(am_node_get_str(s, "name", ""), 2) != NULL)
			am_bad(change, field, am_node_get(s, "name"), am_name_problem(am_node_get_str(s, "name", ""), 2));
		snprintf(field, sizeof(field), "subjects[%d].apiGroup", i);
		if (*kind != '\0' && strcmp(kind, "ServiceAccount") != 0 && !am_streq(am_node_get_str(s, "apiGroup", ""), RBAC))
			am_unsupported(change, field, am_node_get_str(s, "apiGroup", ""), groups);
		snprintf(field, sizeof(field), "subjects[%d].namespace", i);
		if (strcmp(kind, "ServiceAccount") == 0 && am_empty(am_node_get_str(s, "namespace", NULL)))
			am_need(change, field);
	}
	if (change->old != NULL && !am_same_at(change->old, change->object, "/roleRef"))
		am_bad(change, "roleRef", ref, "cannot change roleRef");
}

const struct am_kind am_kind_binding = { .fill = binding_fill, .check = binding_check };
