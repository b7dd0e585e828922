/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the API server engine's tests: an engine in a directory of its own, requests in one line. */
#ifndef TESTS_UNIT_APISERVER_H
#define TESTS_UNIT_APISERVER_H

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/data/scan.h"
#include "plugins/standalone/apiserver/engine.h"
#include "tests/lib/unit.h"

struct fixture {
	char dir[64];
	struct am_clock *clock; /* fake; NULL: the real one */
	struct am_engine *engine;
	struct am_failure failure;
	struct am_written written;
	bool janitor;           /* a thread; else janitor_run by hand */
	size_t ring, pack_from;
	const char *key_file;
	int64_t quota;
	int64_t event_ttl;
	bool process_only;      /* durability = "process" */
};

static am_unused_ void
fixture_reopen(struct fixture *f)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_engine_options options = { .dir = f->dir, .clock = f->clock, .no_janitor = !f->janitor, .ring = f->ring, .pack_from = f->pack_from,
					     .key_file = f->key_file, .quota = f->quota,
					     .survive_process_only = f->process_only, .event_ttl_ns = f->event_ttl };

	ck_assert_msg(am_engine_open(&options, &f->engine, &err) == 0, "%s", err.message);
	am_engine_janitor_run(f->engine);
}

static am_unused_ void
fixture_open(struct fixture *f)
{
	strcpy(f->dir, "/tmp/ambient-engine-XXXXXX");
	ck_assert(mkdtemp(f->dir) != NULL);
	fixture_reopen(f);
}

static am_unused_ void
fixture_clear(struct fixture *f)
{
	am_failure_fini(&f->failure);
	am_written_fini(&f->written);
}

static am_unused_ void
fixture_close(struct fixture *f)
{
	fixture_clear(f);
	am_engine_close(f->engine);
	am_remove_tree(f->dir, NULL);
	am_clock_fake_free(f->clock);
}

/* "v1/pods", "batch/v1/jobs". */
static am_unused_ const struct am_resource *
resource(struct fixture *f, const char *kind)
{
	char group[128] = "", version[64], plural[64];

	if (sscanf(kind, "%127[^/]/%63[^/]/%63s", group, version, plural) != 3) {
		group[0] = '\0';
		ck_assert_int_eq(sscanf(kind, "%63[^/]/%63s", version, plural), 2);
	}
	return am_engine_resource(f->engine, group, version, plural);
}

/* Returns the code: of the answer, or of the failure. */
static am_unused_ am_printf_(6, 0) int
request(struct fixture *f, struct am_write write, const char *kind, const char *ns, const char *name, const char *fmt,
	va_list ap)
{
	struct am_buf body = { 0 };
	const struct am_resource *res = resource(f, kind);

	ck_assert_msg(res != NULL, "%s is not served", kind);
	fixture_clear(f);
	am_buf_addv(&body, fmt, ap);
	write.res = res;
	write.ns = ns;
	write.name = name;
	write.body = am_slice(body.data, body.len);
	int rc = am_engine_write(f->engine, &write, &f->written, &f->failure);
	ck_assert_msg((rc < 0) == (f->failure.code != 0), "%d %d", rc, f->failure.code);
	am_buf_fini(&body);
	am_resource_unref(res);
	return rc < 0 ? f->failure.code : f->written.code;
}

static am_unused_ am_printf_(4, 5) int
create(struct fixture *f, const char *kind, const char *ns, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int code = request(f, (struct am_write){ .verb = AM_VERB_CREATE }, kind, ns, NULL, fmt, ap);
	va_end(ap);
	return code;
}

static am_unused_ am_printf_(6, 7) int
update(struct fixture *f, const char *kind, const char *ns, const char *name, const char *sub, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int code = request(f, (struct am_write){ .verb = AM_VERB_UPDATE, .subresource = sub }, kind, ns, name, fmt, ap);
	va_end(ap);
	return code;
}

static am_unused_ am_printf_(7, 8) int
patch(struct fixture *f, enum am_patch_kind how, const char *kind, const char *ns, const char *name, const char *sub,
      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int code = request(f, (struct am_write){ .verb = AM_VERB_PATCH, .patch = how, .subresource = sub }, kind, ns, name, fmt,
			   ap);
	va_end(ap);
	return code;
}

static am_unused_ int
delete(struct fixture *f, const char *kind, const char *ns, const char *name, struct am_delete_options options)
{
	const struct am_resource *res = resource(f, kind);

	fixture_clear(f);
	int rc = am_engine_delete(f->engine, res, ns, name, &options, &f->written, &f->failure);
	am_resource_unref(res);
	return rc < 0 ? f->failure.code : f->written.code;
}

/* The text at pointer of the last answer; "" when it is not there.  Valid until the next call. */
static am_unused_ const char *
at(const struct am_object *object, const char *pointer)
{
	static char text[8][1024];
	static int turn;
	struct am_slice value;

	char *ret = text[turn++ % 8];
	ret[0] = '\0';
	if (object != NULL && am_json_find(am_object_text(object), pointer, &value))
		snprintf(ret, sizeof(text[0]), "%.*s", (int)value.n, value.p);
	return ret;
}

static am_unused_ const char *
answer(struct fixture *f, const char *pointer)
{
	return at(f->written.object, pointer);
}

/* What is stored: the text at pointer; NULL when there is no object. */
static am_unused_ const char *
stored(struct fixture *f, const char *group, const char *plural, const char *ns, const char *name, const char *pointer)
{
	struct am_object *object = am_engine_peek(f->engine, group, plural, ns, name);
	const char *ret = object != NULL ? at(object, pointer) : NULL;

	am_object_unref(object);
	return ret;
}

/* The field of the n-th cause. */
static am_unused_ const char *
field(struct fixture *f, size_t n)
{
	return n < f->failure.n_causes ? f->failure.causes[n].field : "";
}

#define WIDGETS "widgets.example.com"
#define WIDGET_KIND "example.com/v1/widgets"

/* The Widget of the reference's fixture, without CEL. */
static am_unused_ void
make_widgets(struct fixture *f)
{
	int code = create(f, "apiextensions.k8s.io/v1/customresourcedefinitions", NULL, "%s",
		"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":\"" WIDGETS
		"\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Namespaced\",\"names\":{\"plural\":\"widgets\",\"kind\":\"Widget\","
		"\"shortNames\":[\"wi\"]},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,\"subresources\":{\"status\":{},"
		"\"scale\":{\"specReplicasPath\":\".spec.replicas\",\"statusReplicasPath\":\".status.replicas\","
		"\"labelSelectorPath\":\".status.selector\"}},\"selectableFields\":[{\"jsonPath\":\".spec.mode\"}],"
		"\"additionalPrinterColumns\":[{\"name\":\"Size\",\"type\":\"integer\",\"jsonPath\":\".spec.size\"}],"
		"\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{"
		"\"size\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,\"default\":3},"
		"\"mode\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"]},\"replicas\":{\"type\":\"integer\"},"
		"\"tags\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"set\",\"items\":{\"type\":\"string\"}},"
		"\"ports\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"name\"],"
		"\"items\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"},\"port\":{\"type\":\"integer\"}}}},"
		"\"free\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true},"
		"\"any\":{\"x-kubernetes-int-or-string\":true},"
		"\"cmds\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}},"
		"\"status\":{\"type\":\"object\",\"properties\":{\"replicas\":{\"type\":\"integer\"},\"selector\":{\"type\":\"string\"}"
		"}}}}}}]}}");
	ck_assert_msg(code == 201, "%s", f->failure.message);
	if (!f->janitor)
		am_engine_janitor_run(f->engine);
}

#endif
