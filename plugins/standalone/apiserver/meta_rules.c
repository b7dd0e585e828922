/* SPDX-License-Identifier: Apache-2.0 */
/* What metadata of any object may say, whether it stands alone or inside of a custom resource: labels, annotations, owners,
 * finalizers. */
#include <ctype.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"

#define ANNOTATIONS_MAX (256 * 1024)
#define MANAGER_MAX     128
#define SUBRESOURCE_MAX 256

struct place {
	struct am_failure *failure;
	const char *path; /* of the metadata */
};

static const char *am_printf_(3, 4)
at(const struct place *p, struct am_buf *field, const char *fmt, ...)
{
	va_list ap;

	am_buf_reset(field);
	am_buf_addf(field, "%s.", p->path);
	va_start(ap, fmt);
	am_buf_addv(field, fmt, ap);
	va_end(ap);
	return am_buf_str(field);
}

static void
bad_at(struct am_failure *failure, const char *field, const char *text, const char *why)
{
	struct am_buf quoted = { .max = 1024 };

	am_json_add_str(&quoted, text);
	am_failure_cause(failure, "FieldValueInvalid", field, "Invalid value: %s: %s", quoted.failed ? "\"...\"" : am_buf_str(&quoted), why);
	am_buf_fini(&quoted);
}

static void
bad(const struct place *p, const char *key, const char *text, const char *why)
{
	struct am_buf field = { 0 };

	bad_at(p->failure, at(p, &field, "%s", key), text, why);
	am_buf_fini(&field);
}

void
am_check_labels(struct am_failure *failure, const struct am_node *labels, const char *field)
{
	const char *problem;

	for (const struct am_node *m = labels != NULL ? labels->first : NULL; m != NULL; m = m->next) {
		if ((problem = am_name_problem(m->key, 4)) != NULL)
			bad_at(failure, field, m->key, problem);
		if (m->len > 0 && (problem = am_name_problem(m->text, 3)) != NULL)
			bad_at(failure, field, m->text, problem);
	}
}

/* Names as of labels, in any case. */
static const char *
annotation_problem(const char *name)
{
	char lower[512];
	size_t n = strlen(name);

	if (n >= sizeof(lower))
		return am_name_problem(name, 4);
	for (size_t i = 0; i <= n; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	return am_name_problem(lower, 4);
}

static void
check_annotations(const struct place *p, const struct am_node *annotations)
{
	struct am_buf field = { 0 };
	const char *problem;
	size_t total = 0;

	for (const struct am_node *m = annotations != NULL ? annotations->first : NULL; m != NULL; m = m->next) {
		total += m->key_len + m->len;
		if ((problem = annotation_problem(m->key)) != NULL)
			bad(p, "annotations", m->key, problem);
	}
	if (total > ANNOTATIONS_MAX)
		am_failure_cause(p->failure, "FieldValueTooLong", at(p, &field, "annotations"), "Too long: may not be more than %d bytes",
				 ANNOTATIONS_MAX);
	am_buf_fini(&field);
}

static void
check_owner(const struct place *p, const struct am_node *owner)
{
	static const char *const required[] = { "kind", "name", "uid" };
	const char *version = am_node_get_str(owner, "apiVersion", ""), *kind = am_node_get_str(owner, "kind", "");
	const char *slash = strchr(version, '/');

	if (*version == '\0' || (slash != NULL && slash[1] == '\0'))
		bad(p, "ownerReferences.apiVersion", version, "version must not be empty");
	for (size_t k = 0; k < AM_COUNTOF(required); k++)
		if (am_empty(am_node_get_str(owner, required[k], NULL))) {
			char key[64];

			snprintf(key, sizeof(key), "ownerReferences.%s", required[k]);
			bad(p, key, "", "must not be empty");
		}
	if (strcmp(version, "v1") == 0 && strcmp(kind, "Event") == 0)
		bad(p, "ownerReferences", "v1 Event", "/v1, Kind=Event is disallowed from being an owner");
}

static void
check_owners(const struct place *p, const struct am_node *owners)
{
	int controllers = 0;

	for (const struct am_node *o = owners != NULL ? owners->first : NULL; o != NULL; o = o->next) {
		const struct am_node *controller = am_node_get(o, "controller");

		check_owner(p, o);
		controllers += controller != NULL && controller->type == AMBIENT_T_BOOL && controller->boolean;
	}
	if (controllers > 1)
		bad(p, "ownerReferences", "", "Only one reference can have Controller set to true");
}

static void
check_finalizers(const struct place *p, const struct am_node *finalizers)
{
	bool orphan = false, foreground = false;
	const char *problem;

	for (const struct am_node *e = finalizers != NULL ? finalizers->first : NULL; e != NULL; e = e->next) {
		if ((problem = am_name_problem(e->text, 4)) != NULL)
			bad(p, "finalizers", e->text, problem);
		orphan |= strcmp(e->text, "orphan") == 0;
		foreground |= strcmp(e->text, "foregroundDeletion") == 0;
	}
	if (orphan && foreground)
		bad(p, "finalizers", "", "finalizer orphan and foregroundDeletion cannot be both set");
}

void
am_meta_check_rules(struct am_failure *failure, const char *path, const struct am_node *metadata)
{
	const struct place p = { failure, path };
	struct am_buf field = { 0 };

	am_check_labels(failure, am_node_get(metadata, "labels"), at(&p, &field, "labels"));
	am_buf_fini(&field);
	check_annotations(&p, am_node_get(metadata, "annotations"));
	check_owners(&p, am_node_get(metadata, "ownerReferences"));
	check_finalizers(&p, am_node_get(metadata, "finalizers"));
}

/* ---- of embedded resources only ---- */

static void
check_managed(const struct place *p, const struct am_node *list)
{
	char key[64];
	int i = 0;

	for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next, i++) {
		const char *operation = am_node_get_str(e, "operation", ""), *type = am_node_get_str(e, "fieldsType", "");

		snprintf(key, sizeof(key), "managedFields[%d].operation", i);
		if (strcmp(operation, "Apply") != 0 && strcmp(operation, "Update") != 0)
			bad(p, key, operation, "must be `Apply` or `Update`");
		snprintf(key, sizeof(key), "managedFields[%d].fieldsType", i);
		if (*type != '\0' && strcmp(type, "FieldsV1") != 0)
			bad(p, key, type, "must be `FieldsV1`");
		snprintf(key, sizeof(key), "managedFields[%d].manager", i);
		if (strlen(am_node_get_str(e, "manager", "")) > MANAGER_MAX)
			bad(p, key, "...", "may not be more than 128 bytes");
		snprintf(key, sizeof(key), "managedFields[%d].subresource", i);
		if (strlen(am_node_get_str(e, "subresource", "")) > SUBRESOURCE_MAX)
			bad(p, key, "...", "may not be more than 256 bytes");
	}
}

static void
check_segment(const struct place *p, const char *key, const char *text, bool prefix)
{
	if (!prefix && (strcmp(text, ".") == 0 || strcmp(text, "..") == 0))
		bad(p, key, text, "may not be '.' or '..'");
	if (strpbrk(text, "/%") != NULL)
		bad(p, key, text, "may not contain '/' or '%'");
}

void
am_meta_check_embedded(struct am_failure *failure, const char *path, const struct am_node *metadata)
{
	const struct place p = { failure, path };
	const char *ns = am_node_get_str(metadata, "namespace", ""), *problem = *ns != '\0' ? am_name_problem(ns, 1) : NULL;
	int64_t generation = 0;

	check_segment(&p, "generateName", am_node_get_str(metadata, "generateName", ""), true);
	check_segment(&p, "name", am_node_get_str(metadata, "name", ""), false);
	if (problem != NULL)
		bad(&p, "namespace", ns, problem);
	am_node_get_int(metadata, "generation", &generation);
	if (generation < 0)
		bad(&p, "generation", "", "must be greater than or equal to 0");
	am_meta_check_rules(failure, path, metadata);
	check_managed(&p, am_node_get(metadata, "managedFields"));
}
