/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches of parts of objects: what a reconciler gets when it reads what its watch leaves out.  A field that is not there
 * reads as its fallback, and nobody could tell the two apart; so the reconcile fails with a sentence.
 */
#include "tests/func/host.h"

#include "core/base/log.h"
#include "core/queue/queue.h"

static const char partial[] = "name=widget\0version=1.0.0\0for=" WIDGETS "\0watch=" CONFIGMAPS " only=metadata\0"
			      "watch=v1/pods only=/spec/nodeName,/status/list/*/a~1b,/spec/map\0may=" CONFIGMAPS ":update,patch,create\0";
static const char whole[] = "name=whole\0version=1.0.0\0for=" CONFIGMAPS "\0";

static const struct ambient_object *object;
static int (*reads)(const struct ambient_object *o);

static int
script_get(void *self am_unused_, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result am_unused_,
	   struct ambient_error *e)
{
	int rc = ambient_get(call, req->name[0] == 'm' ? CONFIGMAPS : "v1/pods", "n", req->name, &object, e);

	if (rc == 0)
		ck_assert_int_eq(reads(object), 0);
	return rc;
}

static int
script_list(void *self am_unused_, struct ambient_call *call, const struct ambient_request *req am_unused_,
	    struct ambient_result *result am_unused_, struct ambient_error *e)
{
	const struct ambient_list *list;
	int rc = ambient_list(call, CONFIGMAPS, NULL, &list, e);

	if (rc == 0)
		ck_assert_int_eq(reads(ambient_list_item(call, list, 0)), 0);
	return rc;
}

static int
script_update(void *self am_unused_, struct ambient_call *call, const struct ambient_request *req am_unused_,
	      struct ambient_result *result am_unused_, struct ambient_error *e)
{
	int rc = ambient_get(call, CONFIGMAPS, "n", "m", &object, e);

	return rc < 0 ? rc : ambient_update(call, ambient_draft_from(call, CONFIGMAPS, object), NULL, e);
}

static int
script_apply(void *self am_unused_, struct ambient_call *call, const struct ambient_request *req am_unused_,
	     struct ambient_result *result am_unused_, struct ambient_error *e)
{
	struct ambient_draft *d = ambient_draft_new(call, CONFIGMAPS, "n", "m");

	ambient_draft_set_str(d, "/data/k", "secret");
	return call->host->client->apply(call, d, AMBIENT_APPLY_NO_OWNER, NULL, e);
}

static int
reconciled(const char *name)
{
	struct am_reconcile request = { .ns = "n", .name = name, .deadline = am_clock_boot(fake) + 300 * S };

	err = (struct ambient_error)AMBIENT_ERROR_INIT;
	return host_reconcile(&inst->reconcilers[0], &request, &err);
}

static void
begin_parts(void)
{
	am_log_set_level(0);
	begin_host();
	serve_kind("/apis/example.com/v1/widgets", "Widget", "");
	/* A server that knows no metadata alone sends everything. */
	serve_kind("/api/v1/configmaps", "ConfigMap", "{" META("m", "5") ",\"data\":{\"k\":\"secret\"}}");
	serve_kind("/api/v1/pods", "Pod",
		   "{" META("p", "6") ",\"spec\":{\"nodeName\":\"node\",\"map\":{\"x/y\":[1]},\"secret\":true},"
		   "\"status\":{\"list\":[{\"a/b\":7,\"c\":8}]}}");
}

static void
watch_parts(void)
{
	inst = make_instance("w", plugin_of(partial, sizeof(partial) - 1), NULL);
	watch_instance(inst);
	script = script_get;
}

#define READS(name, expression)                                                                                        \
	static int name(const struct ambient_object *o) { return (expression) ? 0 : 1; }
READS(meta, strcmp(ambient_str(o, "/metadata/name", ""), "m") == 0 && strcmp(ambient_str(o, "/kind", ""), "ConfigMap") == 0 &&
		    ambient_at(o, "/metadata") != NULL && ambient_str(ambient_at(o, "/metadata"), "/labels/none", NULL) == NULL)
READS(data, strcmp(ambient_str(o, "/data/k", "fallback"), "fallback") == 0)
READS(type, ambient_type(o, "/data") == AMBIENT_T_NONE)
READS(at, ambient_at(o, "/data") == NULL)
READS(len, ambient_len(o, "/data") == 0)
READS(item, ambient_item(o, "/data", 0, NULL) == NULL)
READS(flag, ambient_bool(o, "/spec/on", 1) == 1)
READS(number, ambient_int(o, "/spec/n", 3) == 3)
READS(json, o->api->json(o, "/spec", NULL) == NULL)
READS(node, strcmp(ambient_str(o, "/spec/nodeName", ""), "node") == 0 && ambient_int(o, "/spec/map/x~1y/0", 0) == 1)
READS(secret, ambient_bool(o, "/spec/secret", 0) == 0)
READS(piece, ambient_bool(ambient_at(o, "/spec"), "/secret", 0) == 0)
READS(element, ambient_int(ambient_item(o, "/status/list", 0, NULL), "/a~1b", 0) == 7)
READS(left_element, ambient_int(ambient_item(o, "/status/list", 0, NULL), "/c", 0) == 0)
READS(member, ambient_int(ambient_item(ambient_at(o, "/spec"), "/map", 0, NULL), "/0", 0) == 1)
READS(absent, ambient_type(o, "/spec/map/none") == AMBIENT_T_NONE)

static const struct {
	const char *name;
	int (*reads)(const struct ambient_object *o);
	const char *said; /* NULL: all is well */
} rows[] = {
	{ "m", meta, NULL },
	{ "m", data, "plugin \"widget\" read \"/data/k\" of v1/configmaps \"n/m\", which only=metadata leaves out" },
	{ "m", type, "read \"/data\"" },
	{ "m", at, "read \"/data\"" },
	{ "m", len, "read \"/data\"" },
	{ "m", item, "read \"/data\"" },
	{ "m", flag, "read \"/spec/on\"" },
	{ "m", number, "read \"/spec/n\"" },
	{ "m", json, "read \"/spec\"" },
	{ "p", node, NULL },
	{ "p", secret, "read \"/spec/secret\" of v1/pods \"n/p\", which only=/spec/nodeName,/status/list/*/a~1b,/spec/map leaves out" },
	{ "p", piece, "read \"/spec/secret\"" },
	{ "p", element, NULL },
	{ "p", left_element, "read \"/status/list/0/c\"" },
	{ "p", member, NULL },
	{ "p", absent, NULL },
};

START_TEST(CA4_a_read_of_what_is_left_out_fails_the_reconcile)
{
	begin_parts();
	watch_parts();
	reads = rows[_i].reads;
	int rc = reconciled(rows[_i].name);
	ck_assert_msg(rc == (rows[_i].said != NULL ? -AMBIENT_E_UNSUPPORTED : 0), "%s", err.message);
	if (rows[_i].said != NULL) {
		ck_assert_msg(strstr(err.message, rows[_i].said) != NULL, "%s", err.message);
		ck_assert(err.flags & AMBIENT_ERROR_TERMINAL); /* no retry mends a declaration */
	}
	end_host();
}
END_TEST

START_TEST(CA4_listed_objects_are_the_same)
{
	begin_parts();
	watch_parts();
	script = script_list;
	reads = data;
	ck_assert_int_eq(reconciled("m"), -AMBIENT_E_UNSUPPORTED);
	reads = meta;
	ck_assert_int_eq(reconciled("m"), 0);
	end_host();
}
END_TEST

/* Somebody else's whole informer serves it, and it still sees no more than it declares. */
START_TEST(CA4_who_else_watches_makes_no_difference)
{
	begin_parts();
	struct am_instance *other = make_instance("whole", plugin_of(whole, sizeof(whole) - 1), NULL);
	watch_instance(other);
	watch_parts();
	ck_assert_ptr_eq(inst->watches[1].parts[0].informer, other->watches[0].parts[0].informer);
	reads = data;
	ck_assert_int_eq(reconciled("m"), -AMBIENT_E_UNSUPPORTED);
	am_instance_free(other);
	end_host();
}
END_TEST

/* An update from it would take away everything else. */
START_TEST(CA4_a_draft_does_not_begin_with_parts)
{
	begin_parts();
	watch_parts();
	script = script_update;
	ck_assert_int_lt(reconciled("m"), 0);
	ck_assert_msg(strstr(err.message, "a draft of v1/configmaps \"m\" cannot begin with what only=metadata keeps of it: patch it, or get it "
					  "live") != NULL, "%s", err.message);
	for (int i = 0; i < fake_api_count(api); i++)
		ck_assert_str_eq(fake_api_request(api, i)->method, "GET");
	end_host();
}
END_TEST

/* What is there already is asked of the API server, as the cache does not have it. */
START_TEST(rule_31_apply_compares_with_the_whole_object)
{
	begin_parts();
	rule("GET", "/api/v1/namespaces/n/configmaps/m", 0, 200, NULL,
	     CONFIGMAP("m", "5", ",\"data\":{\"k\":\"secret\"}"), 0);
	rule("PATCH", "/api/v1/namespaces/n/configmaps/m?*", 0, 200, NULL, CONFIGMAP("m", "5", ",\"data\":{\"k\":\"secret\"}"), 0);
	watch_parts();
	ck_assert(fake_api_wait(api, 6)); /* lists and watches */
	script = script_apply;
	ck_assert_msg(reconciled("m") == 0, "%s", err.message); /* nobody knows yet whose the fields are */
	int before = fake_api_count(api);
	ck_assert_msg(reconciled("m") == 0, "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), before + 1);
	ck_assert_str_eq(fake_api_request(api, before)->method, "GET");
	end_host();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, CA4_a_read_of_what_is_left_out_fails_the_reconcile, 0, AM_COUNTOF(rows));
	tcase_add_test(tc, CA4_listed_objects_are_the_same);
	tcase_add_test(tc, CA4_who_else_watches_makes_no_difference);
	tcase_add_test(tc, CA4_a_draft_does_not_begin_with_parts);
	tcase_add_test(tc, rule_31_apply_compares_with_the_whole_object);
}

UNIT_MAIN("host parts", cases)
