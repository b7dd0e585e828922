/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields that a builtin kind does not have.  They are taken out, as the Go types of Kubernetes would, and named, so that
 * fieldValidation can warn of them or refuse them.  The shapes are those of the protobuf tables.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/proto.h"

#define DEEPEST 24
#define PATH    512

struct walk {
	struct am_buf *unknown;
	char path[PATH];
};

static void prune(struct walk *w, const struct rest_proto_message *message, struct am_node *node, int depth);

/* One element, with its place appended to the path for as long as it takes. */
static void __attribute__((format(printf, 5, 6)))
descend(struct walk *w, const struct rest_proto_message *message, struct am_node *node, int depth, const char *fmt, ...)
{
	size_t length = strlen(w->path);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(w->path + length, PATH - length, fmt, ap);
	va_end(ap);
	prune(w, message, node, depth + 1);
	w->path[length] = '\0';
}

static void
prune_field(struct walk *w, const struct rest_proto_field *field, struct am_node *value, int depth)
{
	const struct rest_proto_message *message = rest_proto_find(field->type);
	const char *dot = w->path[0] != '\0' ? "." : "";
	int i = 0;

	if (message == NULL || field->wrapped_list)
		return;
	if (field->map && value->type == AMBIENT_T_OBJECT)
		for (struct am_node *m = value->first; m != NULL; m = m->next)
			descend(w, message, m, depth, "%s%s[%s]", dot, field->json, m->key);
	else if (field->repeated && value->type == AMBIENT_T_ARRAY)
		for (struct am_node *e = value->first; e != NULL; e = e->next)
			descend(w, message, e, depth, "%s%s[%d]", dot, field->json, i++);
	else if (!field->map && !field->repeated)
		descend(w, message, value, depth, "%s%s", dot, field->json);
}

static void
prune(struct walk *w, const struct rest_proto_message *message, struct am_node *node, int depth)
{
	if (node->type != AMBIENT_T_OBJECT || depth > DEEPEST)
		return;
	for (struct am_node *m = node->first, *next; m != NULL; m = next) {
		const struct rest_proto_message *owner;
		struct rest_proto_field field;

		next = m->next;
		/* The envelope and metadata have rules of their own. */
		if (depth == 0 && (strcmp(m->key, "apiVersion") == 0 || strcmp(m->key, "kind") == 0 || strcmp(m->key, "metadata") == 0))
			continue;
		if (rest_proto_field_of(message, m->key, &owner, &field)) {
			prune_field(w, &field, m, depth);
			continue;
		}
		am_buf_addf(w->unknown, "unknown field \"%s%s%.200s\"\n", w->path, w->path[0] != '\0' ? "." : "", m->key);
		am_node_remove(node, m);
	}
}

void
am_unknown_builtin(const char *api_version, const char *kind, struct am_node *object, struct am_buf *unknown)
{
	const struct rest_proto_message *message = rest_proto_of_kind(api_version, kind);
	struct walk w = { unknown, "" };

	/* Schemas in a definition are JSON with shapes of their own; admission_crd.c reads them. */
	if (message != NULL && strcmp(kind, "CustomResourceDefinition") != 0)
		prune(&w, message, object, 0);
}
