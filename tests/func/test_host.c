/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reconciler may ask of its host: the cache, the verbs, apply and status, through the tables that plugins get.
 * The call is made by the test, on the test's thread, so that nothing has to be waited for.
 */
#include <ambient/helpers.h>

#include "tests/func/host.h"

static struct host_call call;
static struct am_reconcile request;
static const struct ambient_object *object;
static int32_t cancelled;
static int quiet; /* requests that were made before the test itself asks for something */

#define C (&call.head.pub)

static void
begin_call(void)
{
	request = (struct am_reconcile){ .ns = "n", .name = "w", .deadline = am_clock_boot(fake) + 300 * S, .cancelled = &cancelled };
	call = (struct host_call){
		.head = { .pub = { .size = sizeof(call.head.pub), .host = &inst->table.pub, .deadline = request.deadline,
				   .cancelled = &cancelled },
			  .pool = am_pool_new() },
		.reconciler = &inst->reconcilers[0],
		.request = &request,
	};
}

/* After the rules of the test. */
static void
begin_widget(void)
{
	serve_widgets();
	inst = make_instance("widget-eu", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	watch_instance(inst);
	ck_assert(fake_api_wait(api, 4)); /* two lists, two watches */
	quiet = fake_api_count(api);
	begin_call();
}

static void
end_widget(void)
{
	am_pool_free(call.head.pool);
	end_host();
}

static struct ambient_draft *
draft(const char *kind, const char *name, const char *pointer, const char *json)
{
	struct ambient_draft *d = ambient_draft_new(C, kind, "n", name);

	ambient_draft_set_json(d, pointer, json);
	return d;
}

static bool
said(const char *what)
{
	return strstr(err.message, what) != NULL;
}

/* ---- cache */

START_TEST(cache_get)
{
	begin_host();
	begin_widget();
	ck_assert_int_eq(ambient_get(C, WIDGETS, "n", "w", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/spec/region", ""), "eu");
	ck_assert_str_eq(ambient_str(object, "/kind", ""), "Widget");
	ck_assert_int_eq(ambient_get(C, WIDGETS, "n", "x", &object, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_int_eq(ambient_get(C, WIDGETS, "m", "w", &object, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_int_eq(ambient_get(C, "v1/pods", "n", "w", &object, &err), -AMBIENT_E_UNSUPPORTED);
	ck_assert_msg(said("\"widget\" reads \"v1/pods\" without declaring it"), "%s", err.message);
	ck_assert_int_eq(ambient_get(C, SECRETS, "n", "w", &object, &err), -AMBIENT_E_UNSUPPORTED); /* may= is no watch */
	ck_assert_int_eq(fake_api_count(api), quiet);
	end_widget();
}
END_TEST

static int
listed(const char *ns, const char *selector, const char *index, const char *value)
{
	const struct ambient_list_options options = { sizeof(options), ns, selector, index, value };
	const struct ambient_list *list = NULL;
	int rc = ambient_list(C, WIDGETS, &options, &list, &err);

	return rc < 0 ? rc : (int)ambient_list_count(C, list);
}

START_TEST(cache_list)
{
	const struct ambient_list *list = NULL;

	begin_host();
	serve_kind("/apis/example.com/v1/widgets", "Widget",
		   "{" META("w", "5") ",\"spec\":{\"region\":\"eu\"}},"
		   "{\"metadata\":{\"name\":\"v\",\"namespace\":\"m\",\"uid\":\"v\",\"resourceVersion\":\"6\",\"labels\":{\"a\":\"b\"}},"
		   "\"spec\":{\"region\":\"us\"}}");
	begin_widget();
	ck_assert_int_eq(ambient_list(C, WIDGETS, NULL, &list, &err), 0);
	ck_assert_uint_eq(ambient_list_count(C, list), 2);
	ck_assert_ptr_nonnull(ambient_list_item(C, list, 1));
	ck_assert_ptr_null(ambient_list_item(C, list, 2));
	ck_assert_int_eq(listed(NULL, NULL, NULL, NULL), 2);
	ck_assert_int_eq(listed("m", NULL, NULL, NULL), 1);
	ck_assert_int_eq(listed(NULL, "a=b", NULL, NULL), 1);
	ck_assert_int_eq(listed("n", "a=b", NULL, NULL), 0);
	ck_assert_int_eq(listed(NULL, NULL, "byRegion", "eu"), 1);
	ck_assert_int_eq(listed(NULL, NULL, "byRegion", "none"), 0);
	ck_assert_int_eq(listed(NULL, NULL, "byName", "eu"), -AMBIENT_E_UNSUPPORTED);
	ck_assert_int_eq(listed(NULL, "a in", NULL, NULL), -AMBIENT_E_INVALID);
	ck_assert_int_eq(ambient_list(C, "v1/pods", NULL, &list, &err), -AMBIENT_E_UNSUPPORTED);
	end_widget();
}
END_TEST

/* ---- read your own writes: the watch shows none of them */

START_TEST(RW1_09_rule_21_reads_see_the_own_writes)
{
	begin_host();
	rule("POST", "/api/v1/namespaces/n/configmaps?*", 0, 201, NULL, CONFIGMAP("c", "11", ",\"data\":{\"k\":\"1\"}"), 0);
	rule("PUT", "/api/v1/namespaces/n/configmaps/c?*", 0, 200, NULL, CONFIGMAP("c", "12", ",\"data\":{\"k\":\"2\"}"), 0);
	rule("PATCH", "/api/v1/namespaces/n/configmaps/c?*", 0, 200, NULL, CONFIGMAP("c", "13", ",\"data\":{\"k\":\"3\"}"), 0);
	rule("PATCH", IN_N "/w/status?*", 0, 200, NULL, WIDGET("w", "14", ",\"status\":{\"ok\":true}"), 0);
	rule("DELETE", "/api/v1/namespaces/n/configmaps/c", 0, 200, NULL,
	     "{\"kind\":\"Status\",\"status\":\"Success\",\"details\":{\"name\":\"c\",\"uid\":\"u-c\"}}", 0);
	rule("DELETE", IN_N "/w", 0, 200, NULL,
	     "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\",\"namespace\":\"n\",\"uid\":\"u-w\","
	     "\"resourceVersion\":\"15\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"finalizers\":[\"x/y\"]}}", 0);
	begin_widget();
	ck_assert_int_eq(ambient_create(C, draft(CONFIGMAPS, "c", "/data", "{}"), NULL, &err), 0);
	ck_assert_int_eq(ambient_get(C, CONFIGMAPS, "n", "c", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/data/k", ""), "1");
	ck_assert_int_eq(ambient_update(C, ambient_draft_from(C, CONFIGMAPS, object), NULL, &err), 0);
	ck_assert_int_eq(ambient_get(C, CONFIGMAPS, "n", "c", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/data/k", ""), "2");
	const struct ambient_object *answer;
	ck_assert_int_eq(ambient_patch(C, CONFIGMAPS, "n", "c", NULL, AMBIENT_PATCH_MERGE, "{}", &answer, &err), 0);
	ck_assert_str_eq(ambient_str(answer, "/data/k", ""), "3");
	ck_assert_int_eq(ambient_get(C, CONFIGMAPS, "n", "c", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/data/k", ""), "3");
	ck_assert_int_eq(ambient_delete(C, CONFIGMAPS, "n", "c", NULL, &err), 0);
	ck_assert_int_eq(ambient_get(C, CONFIGMAPS, "n", "c", &object, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_int_eq(ambient_status(C, draft(WIDGETS, "w", "/status/ok", "true"), &err), 0);
	ck_assert_int_eq(ambient_get(C, WIDGETS, "n", "w", &object, &err), 0);
	ck_assert_int_eq(ambient_bool(object, "/status/ok", 0), 1);
	/* With a finalizer it ends, but is still there. */
	ck_assert_int_eq(ambient_delete(C, WIDGETS, "n", "w", NULL, &err), 0);
	ck_assert_int_eq(ambient_get(C, WIDGETS, "n", "w", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/metadata/deletionTimestamp", ""), "2026-01-01T00:00:00Z");
	end_widget();
}
END_TEST

START_TEST(RW1_10_a_write_that_leaves_the_selection_is_hidden)
{
	static const char text[] = "name=gadget\0version=1.0.0\0for=" WIDGETS "\0watch=v1/pods selector=app=x map=all\0may=v1/pods:patch\0";

	begin_host();
	rule("PATCH", "*", 0, 200, NULL, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META("p", "11") "}", 0);
	serve_kind("/apis/example.com/v1/widgets", "Widget", "");
	serve_kind("/api/v1/pods", "Pod", "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u-p\",\"resourceVersion\":\"5\","
					  "\"labels\":{\"app\":\"x\"}}}");
	inst = make_instance("gadget", plugin_of(text, sizeof(text) - 1), NULL);
	watch_instance(inst);
	begin_call();
	ck_assert_int_eq(ambient_get(C, "v1/pods", "n", "p", &object, &err), 0);
	ck_assert_int_eq(ambient_patch(C, "v1/pods", "n", "p", NULL, AMBIENT_PATCH_MERGE, "{\"metadata\":{\"labels\":null}}", NULL, &err), 0);
	ck_assert_int_eq(ambient_get(C, "v1/pods", "n", "p", &object, &err), -AMBIENT_E_NOTFOUND);
	end_widget();
}
END_TEST

START_TEST(a_deletion_of_what_is_gone_is_success)
{
	begin_host();
	rule("DELETE", "*", 0, 404, NULL, STATUS(404, "NotFound"), 0);
	begin_widget();
	ck_assert_int_eq(ambient_delete(C, CONFIGMAPS, "n", "c", NULL, &err), 0);
	ck_assert_str_eq(sent(quiet, "/propagationPolicy"), "\"Background\"");
	ck_assert_int_eq(ambient_delete(C, CONFIGMAPS, "n", "c", "{\"propagationPolicy\":\"Foreground\"}", &err), 0);
	ck_assert_str_eq(sent(quiet + 1, "/propagationPolicy"), "\"Foreground\"");
	end_widget();
}
END_TEST

/* What was decided by looking at one object does not hit another of its name. */
START_TEST(rule_35_a_deletion_names_the_uid)
{
	begin_host();
	rule("DELETE", "*", 0, 409, NULL, STATUS(409, "Conflict"), 0);
	serve_kind("/api/v1/configmaps", "ConfigMap", "{" META("c", "5") "}");
	begin_widget();
	ck_assert_int_eq(ambient_delete(C, CONFIGMAPS, "n", "c", "{\"preconditions\":{\"uid\":\"u-old\"},\"propagationPolicy\":\"Orphan\"}", &err),
			 -AMBIENT_E_CONFLICT);
	ck_assert_str_eq(sent(quiet, "/preconditions/uid"), "\"u-old\"");
	ck_assert_str_eq(sent(quiet, "/propagationPolicy"), "\"Orphan\"");
	/* and it is still there for readers */
	ck_assert_int_eq(ambient_get(C, CONFIGMAPS, "n", "c", &object, &err), 0);
	end_widget();
}
END_TEST

/* ---- apply */

START_TEST(rule_34_apply_creates_with_owner_and_manager)
{
	begin_host();
	rule("PATCH", "/api/v1/namespaces/n/configmaps/c?fieldManager=widget-eu&force=true", 0, 201, NULL, CONFIGMAP("c", "11", ""), 0);
	begin_widget();
	ck_assert_msg(ambient_apply(C, draft(CONFIGMAPS, "c", "/data/k", "\"v\""), &err) == 0, "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), quiet + 1);
	static const char *const members[][2] = {
		{ "/apiVersion", "\"v1\"" }, { "/kind", "\"ConfigMap\"" }, { "/data/k", "\"v\"" }, { "/metadata/name", "\"c\"" },
		{ "/metadata/ownerReferences/0/apiVersion", "\"example.com/v1\"" },
		{ "/metadata/ownerReferences/0/kind", "\"Widget\"" }, { "/metadata/ownerReferences/0/uid", "\"u-w\"" },
		{ "/metadata/ownerReferences/0/controller", "true" }, { "/metadata/ownerReferences/0/blockOwnerDeletion", "true" },
		{ "/metadata/ownerReferences/1", "-" }, { "/metadata/resourceVersion", "-" },
	};
	for (size_t i = 0; i < AM_COUNTOF(members); i++)
		ck_assert_str_eq(sent(quiet, members[i][0]), members[i][1]);
	ck_assert_str_eq(fake_api_header(fake_api_request(api, quiet), "Content-Type"), "application/apply-patch+yaml");
	end_widget();
}
END_TEST

#define OWNED(name, rv, more_meta, rest)                                                                                  \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"u-" name "\",\"resourceVersion\":\"" rv "\"," more_meta \
	"\"ownerReferences\":[{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"name\":\"w\",\"uid\":\"u-w\",\"controller\":true,"  \
	"\"blockOwnerDeletion\":true}]}" rest "}"

/* What it may have applied before it was restarted, only the API server knows: the first apply is always sent. */
START_TEST(rule_31_apply_sends_nothing_when_it_already_is)
{
	const struct ambient_object *answer = NULL;

	begin_host();
	serve_kind("/api/v1/configmaps", "ConfigMap",
		   OWNED("c", "7", "\"labels\":{\"of\":\"others\"},", ",\"data\":{\"k\":\"v\",\"defaulted\":\"by the server\"}"));
	rule("PATCH", "/api/v1/namespaces/n/configmaps/c?*", 0, 200, NULL,
	     OWNED("c", "7", "\"labels\":{\"of\":\"others\"},", ",\"data\":{\"k\":\"v\",\"defaulted\":\"by the server\"}"), 0);
	begin_widget();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(inst->table.pub.client->apply(C, draft(CONFIGMAPS, "c", "/data/k", "\"v\""), 0, &answer, &err), 0);
		ck_assert_str_eq(ambient_str(answer, "/metadata/resourceVersion", ""), "7");
		ck_assert_int_eq(fake_api_count(api), quiet + 1);
	}
	/* A draft that names less is another one: the field has to go. */
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "c", "/data", "{}"), &err), 0);
	ck_assert_int_eq(fake_api_count(api), quiet + 2);
	ck_assert_str_eq(sent(quiet + 1, "/data"), "{}");
	end_widget();
}
END_TEST

START_TEST(apply_sends_again_when_a_field_was_changed)
{
	begin_host();
	rule("PATCH", "/api/v1/namespaces/n/configmaps/c?*", 0, 200, NULL, OWNED("c", "11", "", ",\"data\":{\"k\":\"v\"}"), 0);
	rule("PUT", "*", 1, 200, NULL, OWNED("c", "12", "\"labels\":{\"x\":\"y\"},", ",\"data\":{\"k\":\"v\"}"), 0);
	rule("PUT", "*", 1, 200, NULL, OWNED("c", "13", "", ",\"data\":{\"k\":\"other\"}"), 0);
	begin_widget();
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "c", "/data/k", "\"v\""), &err), 0);
	/* Another field: nothing to do, and nothing to do after that. */
	struct ambient_draft *d = draft(CONFIGMAPS, "c", "/metadata/resourceVersion", "\"11\"");
	ck_assert_int_eq(ambient_update(C, d, NULL, &err), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "c", "/data/k", "\"v\""), &err), 0);
	ck_assert_int_eq(fake_api_count(api), quiet + 2);
	ck_assert_int_eq(ambient_update(C, d, NULL, &err), 0);
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "c", "/data/k", "\"v\""), &err), 0);
	ck_assert_int_eq(fake_api_count(api), quiet + 4);
	ck_assert_str_eq(sent(quiet + 3, "/metadata/resourceVersion"), "\"13\"");
	end_widget();
}
END_TEST

START_TEST(rule_33_apply_says_everything_at_the_version_it_saw)
{
	begin_host();
	rule("PATCH", "/api/v1/namespaces/n/configmaps/c?fieldManager=widget-eu&force=true", 0, 200, NULL, CONFIGMAP("c", "12", ""), 0);
	serve_kind("/api/v1/configmaps", "ConfigMap", OWNED("c", "7", "", ",\"data\":{\"k\":\"v\",\"same\":\"s\"}"));
	begin_widget();
	struct ambient_draft *d = draft(CONFIGMAPS, "c", "/data/k", "\"new\"");
	ambient_draft_set_str(d, "/data/same", "s");
	ck_assert_int_eq(ambient_apply(C, d, &err), 0);
	ck_assert_str_eq(sent(quiet, "/data"), "{\"k\":\"new\",\"same\":\"s\"}");
	ck_assert_str_eq(sent(quiet, "/metadata/resourceVersion"), "\"7\"");
	ck_assert_str_eq(fake_api_header(fake_api_request(api, quiet), "Content-Type"), "application/apply-patch+yaml");
	end_widget();
}
END_TEST

START_TEST(apply_takes_away_what_shall_be_absent)
{
	begin_host();
	rule("PATCH", "/api/v1/namespaces/n/configmaps/c?fieldManager=widget-eu", 0, 200, NULL,
	     OWNED("c", "12", "", ",\"data\":{\"k\":\"v\"}"), 0);
	rule("PATCH", "/api/v1/namespaces/n/configmaps/c?fieldManager=widget-eu&force=true", 0, 200, NULL,
	     OWNED("c", "12", "", ",\"data\":{\"k\":\"v\"}"), 0);
	serve_kind("/api/v1/configmaps", "ConfigMap", OWNED("c", "7", "", ",\"data\":{\"k\":\"v\",\"theirs\":\"t\"}"));
	begin_widget();
	for (int i = 0; i < 2; i++) {
		struct ambient_draft *d = draft(CONFIGMAPS, "c", "/data", "{\"k\":\"v\",\"theirs\":null,\"nobodys\":null}");
		ck_assert_msg(ambient_apply(C, d, &err) == 0, "%s", err.message);
		ck_assert_int_eq(fake_api_count(api), quiet + 2);
	}
	ck_assert_str_eq(fake_api_request(api, quiet)->body, "{\"data\":{\"theirs\":null},\"metadata\":{\"resourceVersion\":\"7\"}}");
	ck_assert_str_eq(sent(quiet + 1, "/data"), "{\"k\":\"v\"}");
	ck_assert_str_eq(sent(quiet + 1, "/metadata/resourceVersion"), "\"12\"");
	end_widget();
}
END_TEST

START_TEST(rule_27_apply_that_loses_a_race_is_a_conflict)
{
	begin_host();
	rule("PATCH", "*", 0, 409, NULL, STATUS(409, "Conflict"), 0);
	serve_kind("/api/v1/configmaps", "ConfigMap", OWNED("c", "7", "", ""));
	begin_widget();
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "c", "/data/k", "1"), &err), -AMBIENT_E_CONFLICT);
	ck_assert_uint_eq(err.flags & AMBIENT_ERROR_TERMINAL, 0);
	ck_assert_int_eq(fake_api_count(api), quiet + 1); /* and is not repeated behind the reconciler's back */
	end_widget();
}
END_TEST

START_TEST(rule_05_apply_finds_that_somebody_was_faster)
{
	begin_host();
	rule("PATCH", "*", 1, 422, NULL, STATUS(422, "Invalid"), 0);
	rule("GET", "/api/v1/namespaces/n/configmaps/c", 0, 200, NULL, CONFIGMAP("c", "9", ",\"data\":{\"k\":\"old\"}"), 0);
	rule("PATCH", "*", 0, 200, NULL, CONFIGMAP("c", "12", ",\"data\":{\"k\":\"v\"}"), 0);
	begin_widget();
	ck_assert_msg(ambient_apply(C, draft(CONFIGMAPS, "c", "/data/k", "\"v\""), &err) == 0, "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), quiet + 3);
	ck_assert_str_eq(sent(quiet + 2, "/metadata/resourceVersion"), "\"9\"");
	ck_assert_str_eq(sent(quiet + 2, "/metadata/ownerReferences/0/uid"), "\"u-w\"");
	ck_assert_int_eq(ambient_get(C, CONFIGMAPS, "n", "c", &object, &err), 0);
	end_widget();
}
END_TEST

START_TEST(apply_that_is_refused_says_why)
{
	begin_host();
	rule("PATCH", "*", 0, 422, NULL, STATUS(422, "Invalid"), 0);
	rule("GET", "*configmaps/c", 0, 404, NULL, STATUS(404, "NotFound"), 0);
	begin_widget();
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "c", "/data/k", "1"), &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(fake_api_count(api), quiet + 2);
	end_widget();
}
END_TEST

START_TEST(CU1_rule_36_apply_and_owners)
{
	begin_host();
	rule("PATCH", "*", 0, 200, NULL, CONFIGMAP("shared", "12", ""), 0);
	serve_kind("/api/v1/configmaps", "ConfigMap",
		   "{\"metadata\":{\"name\":\"taken\",\"namespace\":\"n\",\"uid\":\"t\",\"resourceVersion\":\"7\",\"ownerReferences\":["
		   "{\"apiVersion\":\"v1\",\"kind\":\"Other\",\"name\":\"o\",\"uid\":\"u-o\",\"controller\":true}]}},"
		   "{\"metadata\":{\"name\":\"shared\",\"namespace\":\"n\",\"uid\":\"s\",\"resourceVersion\":\"8\",\"ownerReferences\":["
		   "{\"apiVersion\":\"v1\",\"kind\":\"Other\",\"name\":\"o\",\"uid\":\"u-o\"}]}}");
	begin_widget();
	/* somebody else's controller reference is not overwritten; others' references are not ours to say */
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "taken", "/data/k", "1"), &err), -AMBIENT_E_EXISTS);
	ck_assert_msg(said("already controlled by Other \"o\""), "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), quiet);
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "shared", "/data/k", "\"1\""), &err), 0);
	ck_assert_str_eq(sent(quiet, "/metadata/ownerReferences/0/uid"), "\"u-w\"");
	ck_assert_str_eq(sent(quiet, "/metadata/ownerReferences/1/uid"), "-");
	/* an owner is in the same namespace, or there is none */
	struct ambient_draft *far = ambient_draft_new(C, CONFIGMAPS, "m", "c");
	ck_assert_int_eq(ambient_apply(C, far, &err), -AMBIENT_E_INVALID);
	ck_assert_uint_ne(err.flags & AMBIENT_ERROR_TERMINAL, 0);
	ck_assert_msg(said("another namespace than its owner"), "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), quiet + 1);
	ck_assert_int_eq(inst->table.pub.client->apply(C, far, AMBIENT_APPLY_NO_OWNER, NULL, &err), 0);
	ck_assert_str_eq(sent(quiet + 1, "/metadata/ownerReferences"), "-");
	request.name = "gone";
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "c", "/data/k", "1"), &err), -AMBIENT_E_NOTFOUND);
	ck_assert_msg(said("would own"), "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), quiet + 2);
	end_widget();
}
END_TEST

START_TEST(apply_of_a_kind_that_is_not_watched_reads_it_live)
{
	begin_host();
	rule("GET", "/api/v1/namespaces/n/secrets/s", 1, 404, NULL, STATUS(404, "NotFound"), 0);
	rule("PATCH", "/api/v1/namespaces/n/secrets/s?*", 1, 201, NULL, "{\"kind\":\"Secret\"," META("s", "11") "}", 0);
	rule("GET", "/api/v1/namespaces/n/secrets/s", 1, 200, NULL, "{\"kind\":\"Secret\",\"apiVersion\":\"v1\"," META("s", "11") ",\"data\":{\"k\":\"dg==\"}}", 0);
	begin_widget();
	for (int i = 0; i < 2; i++)
		ck_assert_msg(inst->table.pub.client->apply(C, draft(SECRETS, "s", "/data/k", "\"dg==\""), AMBIENT_APPLY_NO_OWNER, NULL, &err) == 0,
			      "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), quiet + 3);
	end_widget();
}
END_TEST

/* ---- status */

START_TEST(rule_29_status_sends_what_differs)
{
	begin_host();
	serve_kind("/apis/example.com/v1/widgets", "Widget",
		   "{" META("w", "5") ",\"spec\":{\"region\":\"eu\"},\"status\":{\"phase\":\"A\",\"count\":1,\"note\":\"x\"}}");
	rule("PATCH", IN_N "/w/status?fieldManager=widget-eu", 0, 200, NULL, WIDGET("w", "11", ",\"status\":{\"phase\":\"B\"}"), 0);
	begin_widget();
	ck_assert_int_eq(ambient_get(C, WIDGETS, "n", "w", &object, &err), 0);
	struct ambient_draft *d = ambient_draft_from(C, WIDGETS, object);
	ck_assert_int_eq(ambient_status(C, d, &err), 0); /* it is so */
	ck_assert_int_eq(ambient_status(C, draft(WIDGETS, "w", "/status/count", "1"), &err), 0);
	ck_assert_int_eq(fake_api_count(api), quiet);
	ambient_draft_set_str(d, "/status/phase", "B");
	ambient_draft_unset(d, "/status/note");
	ambient_draft_set_str(d, "/spec/region", "us"); /* only /status is looked at */
	ck_assert_int_eq(ambient_status(C, d, &err), 0);
	ck_assert_str_eq(sent(quiet, "/status/phase"), "\"B\"");
	ck_assert_str_eq(sent(quiet, "/status/note"), "null");
	ck_assert_str_eq(sent(quiet, "/status/count"), "-");
	ck_assert_str_eq(sent(quiet, "/spec"), "-");
	ck_assert_str_eq(sent(quiet, "/metadata/resourceVersion"), "\"5\"");
	/* d was made of version 5, the cache now has 11 */
	ambient_draft_set_str(d, "/status/phase", "C");
	ck_assert_int_eq(ambient_status(C, d, &err), -AMBIENT_E_CONFLICT);
	ck_assert_int_eq(fake_api_count(api), quiet + 1);
	ck_assert_int_eq(ambient_status(C, draft(WIDGETS, "w", "/spec/x", "1"), &err), -AMBIENT_E_INVALID);
	ck_assert_msg(said("is empty"), "%s", err.message);
	ck_assert_int_eq(ambient_status(C, draft(WIDGETS, "x", "/status/x", "1"), &err), -AMBIENT_E_NOTFOUND);
	end_widget();
}
END_TEST

/* ---- what is refused before anything is sent */

static int64_t open_until;
static bool held;

static int64_t
fence_until(void *arg)
{
	(void)arg;
	return open_until;
}

static bool
fence_holds(void *arg, const char *ns, const char *name)
{
	(void)arg;
	ck_assert_str_eq(ns, "n"); /* of what is reconciled, not of what is written */
	ck_assert_str_eq(name, "w");
	return held;
}

static const struct am_host_fence fence = { .until = fence_until, .holds = fence_holds };

START_TEST(a_closed_fence_lets_no_write_through)
{
	begin_host();
	rule("GET", "/api/v1/namespaces/n/secrets/s", 0, 200, NULL, "{\"kind\":\"Secret\",\"apiVersion\":\"v1\"," META("s", "11") "}", 0);
	begin_widget();
	held = true;
	am_host_set_fence(host, &fence);
	ck_assert_int_eq(ambient_create(C, draft(CONFIGMAPS, "c", "/data", "{}"), NULL, &err), -AMBIENT_E_CANCELLED);
	ck_assert_msg(said("does not lead"), "%s", err.message);
	ck_assert_int_eq(ambient_apply(C, draft(CONFIGMAPS, "c", "/data", "{}"), &err), -AMBIENT_E_CANCELLED);
	ck_assert_int_eq(ambient_status(C, draft(WIDGETS, "w", "/status/a", "1"), &err), -AMBIENT_E_CANCELLED);
	ck_assert_int_eq(ambient_patch(C, WIDGETS, "n", "w", NULL, AMBIENT_PATCH_JSON, "[]", NULL, &err), -AMBIENT_E_CANCELLED);
	ck_assert_int_eq(ambient_delete(C, WIDGETS, "n", "w", NULL, &err), -AMBIENT_E_CANCELLED);
	ck_assert_int_eq(fake_api_count(api), quiet);
	ck_assert_int_eq(ambient_get_live(C, SECRETS, "n", "s", &object, &err), 0); /* reading is harmless */
	open_until = am_clock_boot(fake) + 10 * S; /* the lease is there, but its shard is another's */
	held = false;
	ck_assert_int_eq(ambient_delete(C, WIDGETS, "n", "w", NULL, &err), -AMBIENT_E_CANCELLED);
	ck_assert_int_eq(fake_api_count(api), quiet + 1);
	am_host_set_fence(host, NULL);
	cancelled = 1;
	ck_assert_int_eq(ambient_get_live(C, SECRETS, "n", "s", &object, &err), -AMBIENT_E_CANCELLED);
	ck_assert_int_eq(fake_api_count(api), quiet + 1);
	end_widget();
}
END_TEST

static void *
let_time_pass(void *arg)
{
	(void)arg;
	ck_assert(fake_api_wait(api, quiet + 1));
	am_clock_fake_advance(fake, 10 * S);
	return NULL;
}

START_TEST(rule_49_a_write_does_not_outlive_the_lease)
{
	pthread_t thread;

	begin_host();
	rule("DELETE", IN_N "/w", 1, 0, NULL, NULL, FAKE_API_STALL);
	begin_widget();
	held = true;
	open_until = am_clock_boot(fake) + 10 * S; /* the call itself may take 300 s */
	am_host_set_fence(host, &fence);
	ck_assert_int_eq(pthread_create(&thread, NULL, let_time_pass, NULL), 0);
	ck_assert_int_eq(ambient_delete(C, WIDGETS, "n", "w", NULL, &err), -AMBIENT_E_TIMEOUT);
	(void)pthread_join(thread, NULL);
	ck_assert_int_eq(ambient_delete(C, WIDGETS, "n", "w", NULL, &err), -AMBIENT_E_CANCELLED); /* nor is it sent again */
	ck_assert_int_eq(fake_api_count(api), quiet + 1);
	am_host_set_fence(host, NULL);
	end_widget();
}
END_TEST

START_TEST(what_is_not_declared_is_forbidden_for_good)
{
	begin_host();
	rule("GET", IN_N "/w", 0, 200, NULL, WIDGET("w", "5", ""), 0);
	begin_widget();
	ck_assert_int_eq(ambient_create(C, draft(WIDGETS, "x", "/spec", "{}"), NULL, &err), -AMBIENT_E_FORBIDDEN);
	ck_assert_uint_ne(err.flags & AMBIENT_ERROR_TERMINAL, 0);
	ck_assert_str_eq(err.message, "plugin \"widget\" does not declare \"may=example.com/v1/widgets:create\"");
	ck_assert_int_eq(ambient_patch(C, CONFIGMAPS, "n", "c", "status", AMBIENT_PATCH_MERGE, "{}", NULL, &err), -AMBIENT_E_FORBIDDEN);
	ck_assert_str_eq(err.message, "plugin \"widget\" does not declare \"may=v1/configmaps/status:patch\"");
	ck_assert_int_eq(ambient_get_live(C, "v1/pods", "n", "p", &object, &err), -AMBIENT_E_FORBIDDEN);
	ck_assert_int_eq(ambient_delete(C, SECRETS, "n", "s", NULL, NULL), -AMBIENT_E_FORBIDDEN);
	ck_assert_int_eq(fake_api_count(api), quiet);
	ck_assert_int_eq(ambient_get_live(C, WIDGETS, "n", "w", &object, &err), 0); /* what it watches it may get */
	end_widget();
}
END_TEST

static int
ask(struct ambient_ask what)
{
	what.size = sizeof(what);
	what.len = what.body != NULL ? strlen(what.body) : 0;
	object = NULL;
	return ambient_ask(C, &what, &object, &err);
}

START_TEST(ask_says_what_the_other_verbs_do_not)
{
	static const struct {
		struct ambient_ask what;
		const char *method, *path, *type;
	} rows[] = {
		{ { .verb = "patch", .kind = WIDGETS, .ns = "n", .name = "w", .patch = AMBIENT_PATCH_APPLY, .body = "{}",
		    .flags = AMBIENT_ASK_DRY_RUN | AMBIENT_ASK_FORCE, .validation = "Strict" },
		  "PATCH", IN_N "/w?fieldManager=widget-eu&dryRun=All&force=true&fieldValidation=Strict", "application/apply-patch+yaml" },
		{ { .verb = "patch", .kind = WIDGETS, .ns = "n", .name = "w", .sub = "status", .patch = AMBIENT_PATCH_STRATEGIC, .body = "{}" },
		  "PATCH", IN_N "/w/status?fieldManager=widget-eu", "application/strategic-merge-patch+json" },
		{ { .verb = "update", .kind = WIDGETS, .ns = "n", .name = "w", .body = "{}", .flags = AMBIENT_ASK_DRY_RUN },
		  "PUT", IN_N "/w?fieldManager=widget-eu&dryRun=All", "application/json" },
		{ { .verb = "create", .kind = CONFIGMAPS, .ns = "n", .body = "{}", .validation = "Ignore" },
		  "POST", "/api/v1/namespaces/n/configmaps?fieldManager=widget-eu&fieldValidation=Ignore", "application/json" },
		{ { .verb = "create", .kind = "v1/serviceaccounts", .ns = "n", .name = "s", .sub = "token", .body = "{}" },
		  "POST", "/api/v1/namespaces/n/serviceaccounts/s/token?fieldManager=widget-eu", "application/json" },
		{ { .verb = "list", .kind = WIDGETS, .ns = "n", .selector = "a in (b,c)", .fields = "metadata.name=w", .limit = 5, .token = "x/y" },
		  "GET", IN_N "?labelSelector=a%20in%20%28b%2Cc%29&fieldSelector=metadata.name%3Dw&continue=x%2Fy&limit=5", NULL },
		{ { .verb = "get", .kind = WIDGETS, .ns = "n", .name = "w" }, "GET", IN_N "/w", NULL },
		{ { .verb = "delete", .kind = WIDGETS, .ns = "n", .name = "w", .flags = AMBIENT_ASK_DRY_RUN,
		    .body = "{\"preconditions\":{\"uid\":\"u\"}}" }, "DELETE", IN_N "/w?dryRun=All", "application/json" },
	};

	begin_host();
	begin_widget();
	rule(NULL, NULL, 0, 200, NULL, "{\"kind\":\"Answer\"}", 0);
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_msg(ask(rows[i].what) == 0, "row %zu: %s", i, err.message);
		const struct fake_api_request *r = fake_api_request(api, fake_api_count(api) - 1);
		ck_assert_str_eq(r->method, rows[i].method);
		ck_assert_str_eq(r->path, rows[i].path);
		if (rows[i].type != NULL)
			ck_assert_str_eq(fake_api_header(r, "Content-Type"), rows[i].type);
		ck_assert_str_eq(ambient_str(object, "/kind", ""), "Answer");
	}
	end_widget();
}
END_TEST

START_TEST(ask_refuses_what_makes_no_sense)
{
	static const struct {
		struct ambient_ask what;
		int code;
		const char *says;
	} rows[] = {
		{ { .verb = "look", .kind = WIDGETS }, AMBIENT_E_INVALID, "\"look\" is no verb" },
		{ { .kind = WIDGETS }, AMBIENT_E_INVALID, "is no verb" },
		{ { .verb = "get", .kind = WIDGETS }, AMBIENT_E_INVALID, "a kind and a name" },
		{ { .verb = "list", .kind = WIDGETS, .name = "w" }, AMBIENT_E_INVALID, "takes no name" },
		{ { .verb = "patch", .kind = WIDGETS, .name = "w", .patch = 77 }, AMBIENT_E_INVALID, "77 is no type" },
		{ { .verb = "deletecollection", .kind = WIDGETS, .ns = "n" }, AMBIENT_E_FORBIDDEN, "widgets:deletecollection" },
		{ { .verb = "list", .kind = SECRETS, .ns = "n" }, AMBIENT_E_FORBIDDEN, "secrets:list" },
		{ { .verb = "get", .kind = WIDGETS, .name = "w", .sub = "scale" }, AMBIENT_E_FORBIDDEN, "widgets/scale:get" },
	};

	begin_host();
	begin_widget();
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_msg(ask(rows[i].what) == -rows[i].code, "row %zu: %s", i, err.message);
		ck_assert_msg(said(rows[i].says), "row %zu: %s", i, err.message);
		ck_assert_uint_ne(err.flags & AMBIENT_ERROR_TERMINAL, 0);
	}
	ck_assert_int_eq(fake_api_count(api), quiet);
	held = true;
	open_until = 0;
	am_host_set_fence(host, &fence);
	ck_assert_int_eq(ask((struct ambient_ask){ .verb = "delete", .kind = WIDGETS, .ns = "n", .name = "w" }), -AMBIENT_E_CANCELLED);
	am_host_set_fence(host, NULL);
	end_widget();
}
END_TEST

START_TEST(wrong_requests_are_terminal)
{
	begin_host();
	begin_widget();
	ck_assert_int_eq(ambient_update(C, draft(WIDGETS, "w", "/spec", "{}"), NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_uint_ne(err.flags & AMBIENT_ERROR_TERMINAL, 0);
	ck_assert_msg(said("needs its resourceVersion"), "%s", err.message);
	ck_assert_int_eq(ambient_patch(C, WIDGETS, "n", "w", NULL, 9, "{}", NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_msg(said("9 is no type of patch"), "%s", err.message);
	ck_assert_int_eq(ambient_create(C, draft(CONFIGMAPS, "c", "/data", "{broken"), NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(fake_api_count(api), quiet);
	end_widget();
}
END_TEST

/* An eviction answers with a Status, whose fields are not the pod's: the cached pod stays what it was. */
START_TEST(rule_23_the_answer_of_a_subresource_is_another_kind)
{
	static const char text[] = "name=gadget\0version=1.0.0\0for=" WIDGETS "\0watch=v1/pods map=all\0may=v1/pods/eviction:create\0";
	static const char eviction[] = "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"}}";
	const struct ambient_ask ask = { .size = sizeof(ask), .verb = "create", .kind = "v1/pods", .ns = "n", .name = "p",
					 .sub = "eviction", .body = eviction, .len = sizeof(eviction) - 1 };

	begin_host();
	rule("POST", "/api/v1/namespaces/n/pods/p/eviction*", 0, 201, NULL,
	     "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"resourceVersion\":\"99\"},"
	     "\"status\":\"Success\",\"code\":201}", 0);
	serve_kind("/apis/example.com/v1/widgets", "Widget", "");
	serve_kind("/api/v1/pods", "Pod", "{" META("p", "5") ",\"spec\":{\"nodeName\":\"one\"}}");
	inst = make_instance("gadget", plugin_of(text, sizeof(text) - 1), NULL);
	watch_instance(inst);
	begin_call();
	ck_assert_msg(inst->table.pub.client->ask(C, &ask, &object, &err) == 0, "%s", err.message);
	ck_assert_str_eq(ambient_str(object, "/kind", ""), "Status");
	ck_assert_int_eq(ambient_get(C, "v1/pods", "n", "p", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/metadata/resourceVersion", ""), "5");
	ck_assert_str_eq(ambient_str(object, "/spec/nodeName", ""), "one");
	end_widget();
}
END_TEST

START_TEST(a_subresource_is_created_under_its_object)
{
	begin_host();
	rule("POST", "/api/v1/namespaces/n/serviceaccounts/robot/token?*", 0, 201, NULL, "{\"status\":{\"token\":\"t\"}}", 0);
	begin_widget();
	struct ambient_draft *d = draft("v1/serviceaccounts", "robot", "/spec/expirationSeconds", "600");
	ck_assert_int_eq(inst->table.pub.client->create(C, d, "token", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/status/token", ""), "t");
	ck_assert_str_eq(sent(quiet, "/kind"), "-"); /* TokenRequest is the plugin's to name */
	end_widget();
}
END_TEST

START_TEST(errors_and_garbage_of_the_api_server)
{
	begin_host();
	rule("POST", "*", 1, 422, NULL, STATUS(422, "Invalid"), 0);
	rule("POST", "*", 1, 201, NULL, "{half", 0);
	rule("POST", "*", 1, 201, NULL, "[]", 0);
	begin_widget();
	ck_assert_int_eq(ambient_create(C, draft(CONFIGMAPS, "c", "/data", "{}"), NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(err.http_status, 422);
	ck_assert_str_eq(err.reason, "Invalid");
	ck_assert_int_lt(ambient_create(C, draft(CONFIGMAPS, "c", "/data", "{}"), &object, &err), 0);
	ck_assert_msg(said("the API server's answer about v1/configmaps \"c\""), "%s", err.message);
	ck_assert_int_eq(ambient_create(C, draft(CONFIGMAPS, "c", "/data", "{}"), &object, &err), 0);
	ck_assert_int_eq(ambient_get(C, CONFIGMAPS, "n", "c", &object, &err), -AMBIENT_E_NOTFOUND);
	end_widget();
}
END_TEST

START_TEST(kinds_are_asked_for_once)
{
	static const char text[] = "name=gadget\0version=1.0.0\0for=" WIDGETS "\0may=acme.io/v1/things:create\0may=acme.io/v1/others:create\0";

	begin_host();
	rule("GET", "/apis/acme.io/v1", 2, 200, NULL,
	     "{\"resources\":[{\"name\":\"things/status\",\"kind\":\"Thing\"},{\"name\":\"things\",\"kind\":\"Thing\"}]}", 0);
	rule("GET", "/apis/acme.io/v1", 0, 200, NULL, "{\"resources\":[{\"name\":\"others\",\"kind\":\"Other\"}]}", 0);
	rule("POST", "/apis/acme.io/v1/namespaces/n/others?*", 0, 201, NULL, "{}", 0);
	rule("POST", "/apis/acme.io/v1/namespaces/n/things?*", 0, 201, NULL, "{}", 0);
	serve_kind("/apis/example.com/v1/widgets", "Widget", "");
	inst = make_instance("gadget", plugin_of(text, sizeof(text) - 1), NULL);
	watch_instance(inst);
	ck_assert(fake_api_wait(api, 2));
	quiet = fake_api_count(api);
	begin_call();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(ambient_create(C, draft("acme.io/v1/things", "t", "/spec", "{}"), NULL, &err), 0);
	ck_assert_int_eq(fake_api_count(api), quiet + 3);
	ck_assert_str_eq(sent(quiet + 1, "/kind"), "\"Thing\"");
	ck_assert_str_eq(sent(quiet + 1, "/apiVersion"), "\"acme.io/v1\"");
	ck_assert_int_eq(ambient_create(C, draft("acme.io/v1/others", "t", "/spec", "{}"), NULL, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_msg(said("no kind \"acme.io/v1/others\"; is its CustomResourceDefinition applied"), "%s", err.message);
	/* It is applied now: what was missed is looked for again. */
	ck_assert_msg(ambient_create(C, draft("acme.io/v1/others", "t", "/spec", "{}"), NULL, &err) == 0, "%s", err.message);
	end_widget();
}
END_TEST

/* ---- the helpers, over this host: tests/unit/test_helpers has what they do */

START_TEST(FN1_rule_33_finalizers_are_patched_at_their_version)
{
	begin_host();
	rule("PATCH", IN_N "/w?fieldManager=widget-eu", 1, 200, NULL,
	     "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\",\"namespace\":\"n\",\"uid\":\"u-w\","
	     "\"resourceVersion\":\"11\",\"finalizers\":[\"x.io/y\"]}}", 0);
	rule("PATCH", IN_N "/w?fieldManager=widget-eu", 0, 404, NULL, STATUS(404, "NotFound"), 0);
	begin_widget();
	ck_assert_int_eq(ambient_get(C, WIDGETS, "n", "w", &object, &err), 0);
	ck_assert_msg(ambient_finalizer_add(C, WIDGETS, &object, "x.io/y", &err) == 0, "%s", err.message);
	ck_assert_str_eq(sent(quiet, "/metadata/finalizers"), "[\"x.io/y\"]");
	ck_assert_str_eq(sent(quiet, "/metadata/resourceVersion"), "\"5\"");
	ck_assert_int_eq(ambient_get(C, WIDGETS, "n", "w", &object, &err), 0); /* the own write is seen */
	ck_assert_int_eq(ambient_finalizer_add(C, WIDGETS, &object, "x.io/y", &err), 0);
	ck_assert_int_eq(fake_api_count(api), quiet + 1);
	ck_assert_int_eq(ambient_finalizer_remove(C, WIDGETS, &object, "x.io/y", &err), 0); /* it is gone */
	ck_assert_str_eq(sent(quiet + 1, "/metadata/finalizers"), "[]");
	ck_assert_str_eq(sent(quiet + 1, "/metadata/resourceVersion"), "\"11\"");
	end_widget();
}
END_TEST

START_TEST(secrets_that_are_not_watched_are_copied_and_pruned_live)
{
	static const char text[] = "name=copier\0version=1.0.0\0for=" WIDGETS "\0may=" SECRETS ":get,list,create,patch,delete\0";
	static const char *const keep[] = { "s", NULL };
	const struct ambient_secret_copy copy = { sizeof(copy), "src", "s", "n", NULL, NULL };

	begin_host();
	rule("GET", "/api/v1/namespaces/src/secrets/s", 0, 200, NULL,
	     "{\"apiVersion\":\"v1\",\"kind\":\"Secret\"," META("s", "4") ",\"type\":\"Opaque\",\"data\":{\"k\":\"dg==\"}}", 0);
	rule("GET", "/api/v1/namespaces/n/secrets/s", 0, 404, NULL, STATUS(404, "NotFound"), 0);
	rule("PATCH", "/api/v1/namespaces/n/secrets/s?*", 0, 201, NULL, "{\"apiVersion\":\"v1\",\"kind\":\"Secret\"," META("s", "11") "}", 0);
	rule("GET", "/api/v1/namespaces/n/secrets?labelSelector=ambient-code.io%2Fcopied-by%3Dcopier", 0, 200, NULL,
	     "{\"kind\":\"SecretList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"12\"},\"items\":["
	     "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"uid\":\"1\",\"labels\":{\"ambient-code.io/copied-by\":\"copier\"}}},"
	     "{\"metadata\":{\"name\":\"old\",\"namespace\":\"n\",\"uid\":\"2\",\"labels\":{\"ambient-code.io/copied-by\":\"copier\"}}}]}", 0);
	rule("DELETE", "/api/v1/namespaces/n/secrets/old", 0, 200, NULL, "{\"kind\":\"Status\",\"status\":\"Success\"}", 0);
	serve_kind("/apis/example.com/v1/widgets", "Widget", "");
	inst = make_instance("copier", plugin_of(text, sizeof(text) - 1), NULL);
	watch_instance(inst);
	ck_assert(fake_api_wait(api, 2));
	quiet = fake_api_count(api);
	begin_call();
	ck_assert_msg(ambient_secret_copy(C, &copy, &err) == 0, "%s", err.message);
	int patch = fake_api_count(api) - 1;
	ck_assert_str_eq(sent(patch, "/data/k"), "\"dg==\"");
	ck_assert_str_eq(sent(patch, "/type"), "\"Opaque\"");
	ck_assert_str_eq(sent(patch, "/metadata/labels/ambient-code.io~1copied-by"), "\"copier\"");
	ck_assert_str_eq(sent(patch, "/metadata/ownerReferences"), "-");
	ck_assert_msg(ambient_secret_prune(C, "n", keep, &err) == 0, "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), patch + 3); /* the list, one deletion */
	ck_assert_str_eq(sent(patch + 2, "/preconditions/uid"), "\"2\"");
	end_widget();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, cache_get);
	tcase_add_test(tc, cache_list);
	tcase_add_test(tc, RW1_09_rule_21_reads_see_the_own_writes);
	tcase_add_test(tc, RW1_10_a_write_that_leaves_the_selection_is_hidden);
	tcase_add_test(tc, a_deletion_of_what_is_gone_is_success);
	tcase_add_test(tc, rule_34_apply_creates_with_owner_and_manager);
	tcase_add_test(tc, rule_31_apply_sends_nothing_when_it_already_is);
	tcase_add_test(tc, apply_sends_again_when_a_field_was_changed);
	tcase_add_test(tc, rule_33_apply_says_everything_at_the_version_it_saw);
	tcase_add_test(tc, apply_takes_away_what_shall_be_absent);
	tcase_add_test(tc, rule_27_apply_that_loses_a_race_is_a_conflict);
	tcase_add_test(tc, rule_05_apply_finds_that_somebody_was_faster);
	tcase_add_test(tc, apply_that_is_refused_says_why);
	tcase_add_test(tc, CU1_rule_36_apply_and_owners);
	tcase_add_test(tc, apply_of_a_kind_that_is_not_watched_reads_it_live);
	tcase_add_test(tc, rule_29_status_sends_what_differs);
	tcase_add_test(tc, a_closed_fence_lets_no_write_through);
	tcase_add_test(tc, rule_49_a_write_does_not_outlive_the_lease);
	tcase_add_test(tc, what_is_not_declared_is_forbidden_for_good);
	tcase_add_test(tc, ask_says_what_the_other_verbs_do_not);
	tcase_add_test(tc, ask_refuses_what_makes_no_sense);
	tcase_add_test(tc, wrong_requests_are_terminal);
	tcase_add_test(tc, a_subresource_is_created_under_its_object);
	tcase_add_test(tc, rule_23_the_answer_of_a_subresource_is_another_kind);
	tcase_add_test(tc, rule_35_a_deletion_names_the_uid);
	tcase_add_test(tc, errors_and_garbage_of_the_api_server);
	tcase_add_test(tc, kinds_are_asked_for_once);
	tcase_add_test(tc, FN1_rule_33_finalizers_are_patched_at_their_version);
	tcase_add_test(tc, secrets_that_are_not_watched_are_copied_and_pruned_live);
}

UNIT_MAIN("host", cases)
