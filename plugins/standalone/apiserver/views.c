/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One store, two faces: core events are kept, events.k8s.io/v1 shows them under other names.  And custom resources
 * in a version that is not the stored one, where only apiVersion differs.
 */
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/schema.h"

static const struct {
	const char *core, *shown;
} names[] = {
	{ "involvedObject", "regarding" },
	{ "message", "note" },
	{ "reportingComponent", "reportingController" },
	{ "source", "deprecatedSource" },
	{ "firstTimestamp", "deprecatedFirstTimestamp" },
	{ "lastTimestamp", "deprecatedLastTimestamp" },
	{ "count", "deprecatedCount" },
};

static void
rename_member(struct am_arena *arena, struct am_node *object, const char *from, const char *to)
{
	struct am_node *member = am_node_get(object, from);

	if (member == NULL)
		return;
	struct am_node *copy = am_node_clone(arena, member);
	am_node_del(object, from);
	am_node_set(arena, object, to, copy);
}

static void
events_show(struct am_arena *arena, struct am_node *object)
{
	for (size_t i = 0; i < AM_COUNTOF(names); i++)
		rename_member(arena, object, names[i].core, names[i].shown);
	am_node_set(arena, object, "apiVersion", am_node_str(arena, "events.k8s.io/v1"));
}

static void
events_store(struct am_arena *arena, struct am_node *object)
{
	for (size_t i = 0; i < AM_COUNTOF(names); i++)
		rename_member(arena, object, names[i].shown, names[i].core);
	am_node_set(arena, object, "apiVersion", am_node_str(arena, "v1"));
}

const struct am_event_view am_view_events = { events_show, events_store };

/* As a view, or as a version with another schema than the stored one shows it. */
static void
print_otherwise(const struct am_object *object, const struct am_resource *res, struct am_buf *out)
{
	struct am_arena *arena = am_arena_new();
	struct am_node *node = am_node_parse(arena, object->body, object->len, NULL);

	if (node != NULL) {
		if (res->priv->view != NULL) {
			res->priv->view->show(arena, node);
		} else {
			am_node_set(arena, node, "apiVersion", am_node_str(arena, am_arena_printf(arena, "%s/%s", res->group, res->version)));
			am_schema_prune(res->priv->schema, node, NULL, NULL);
		}
		am_node_print(node, out);
	} else {
		out->failed = true;
	}
	am_arena_free(arena);
}

void
am_object_print(const struct am_object *packed, const struct am_resource *res, struct am_buf *out)
{
	struct am_slice version;

	if (res->priv->view == NULL && !res->priv->narrows && (res->flags & AM_RES_STORAGE)) {
		am_object_add_text(packed, out);
		return;
	}
	struct am_object *object = am_object_open(packed);
	if (res->priv->view != NULL || res->priv->narrows) {
		print_otherwise(object, res, out);
	} else if (!am_json_find(am_object_text(object), "/apiVersion", &version)) {
		am_buf_add(out, object->body, object->len);
	} else {
		am_buf_add(out, object->body, (size_t)(version.p - object->body));
		am_buf_addf(out, "\"%s%s%s\"", res->group, res->group[0] != '\0' ? "/" : "", res->version);
		am_buf_adds(out, version.p + version.n);
	}
	am_object_unref(object);
}
