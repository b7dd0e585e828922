/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances that see a set of namespaces: an informer for each, which all have to be complete; lists are the union, and
 * what is outside is never taken for absent.  Kinds in no namespace are watched as a whole.
 */
#include "tests/func/host.h"

#include "core/base/log.h"
#include "tests/lib/eventually.h"

#define DISCOVERY "/apis/example.com/v1"
#define RESOURCES(plural, kind, namespaced)                                                                            \
	"{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":\"" plural "\",\"kind\":\"" kind                        \
	"\",\"namespaced\":" namespaced "},{\"name\":\"" plural "/status\",\"kind\":\"" kind "\",\"namespaced\":true}]}"
#define ITEM(name, ns, region)                                                                                         \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns "\",\"uid\":\"u-" name "\",\"resourceVersion\":\"5\"}," \
	"\"spec\":{\"region\":\"" region "\"}}"

static const char *const ba[] = { "b", "a" }, *const bc[] = { "b", "c" };
static struct host_call call;
static struct am_reconcile request;
static const struct ambient_object *object;

#define C (&call.head.pub)

static void
widgets_of(const char *ns, const char *items)
{
	serve_kind(kept(am_xasprintf("/apis/example.com/v1/namespaces/%s/widgets", ns)), "Widget", items);
}

static void
maps_of(const char *ns)
{
	serve_kind(kept(am_xasprintf("/api/v1/namespaces/%s/configmaps", ns)), "ConfigMap", "");
}

static void
serve_spaces(void)
{
	rule("GET", DISCOVERY, 0, 200, NULL, RESOURCES("widgets", "Widget", "true"), 0);
	widgets_of("a", ITEM("one", "a", "eu") "," ITEM("two", "a", "us"));
	widgets_of("b", ITEM("one", "b", "eu"));
	widgets_of("c", "");
	maps_of("a");
	maps_of("b");
	maps_of("c");
}

static struct am_instance *
make_in(const char *name, const struct am_plugin *plugin, const char *const *names, size_t count)
{
	const struct am_instance_options options = {
		.name = name, .plugin = plugin, .workers = 1, .namespaces = { names, count } };
	struct am_instance *made = NULL;

	ck_assert_msg(am_instance_new(host, &options, &made, &err) == 0, "%s", err.message);
	ck_assert_msg(am_instance_create(made, &err) == 0, "%s", err.message);
	return made;
}

static struct am_instance *
widgets_in(const char *name, const char *const *names, size_t count)
{
	return make_in(name, plugin_of(declarations, sizeof(declarations) - 1), names, count);
}

static void
begin_call(void)
{
	request = (struct am_reconcile){ .ns = "a", .name = "one", .deadline = am_clock_boot(fake) + 300 * S };
	call = (struct host_call){
		.head = { .pub = { .size = sizeof(call.head.pub), .host = &inst->table.pub, .deadline = request.deadline },
			  .pool = am_pool_new() },
		.reconciler = &inst->reconcilers[0],
		.request = &request,
	};
}

static void
begin_spaces(void)
{
	am_log_set_level(0);
	begin_host();
	serve_spaces();
	inst = widgets_in("w", ba, 2);
	watch_instance(inst);
	begin_call();
}

static void
end_spaces(void)
{
	am_pool_free(call.head.pool);
	end_host();
}

static bool
said(const char *what)
{
	return strstr(err.message, what) != NULL;
}

static int
requests_of(const char *pattern)
{
	int n = 0;

	for (int i = 0; i < fake_api_count(api); i++)
		n += am_glob(pattern, fake_api_request(api, i)->path);
	return n;
}

static int
listed(const char *ns, const char *index, const char *value)
{
	const struct ambient_list_options options = { sizeof(options), ns, NULL, index, value };
	const struct ambient_list *list = NULL;
	int rc = ambient_list(C, WIDGETS, &options, &list, &err);

	return rc < 0 ? rc : (int)ambient_list_count(C, list);
}

START_TEST(CA2_02_a_set_of_namespaces_is_read_as_one)
{
	begin_spaces();
	ck_assert_int_eq(ambient_get(C, WIDGETS, "a", "one", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/metadata/namespace", ""), "a");
	ck_assert_int_eq(ambient_get(C, WIDGETS, "b", "one", &object, &err), 0);
	ck_assert_str_eq(ambient_str(object, "/metadata/namespace", ""), "b");
	ck_assert_int_eq(ambient_get(C, WIDGETS, "b", "two", &object, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_int_eq(listed(NULL, NULL, NULL), 3);
	ck_assert_int_eq(listed("a", NULL, NULL), 2);
	ck_assert_int_eq(listed("b", NULL, NULL), 1);
	ck_assert_int_eq(listed(NULL, "byRegion", "eu"), 2);
	ck_assert_int_eq(listed("b", "byRegion", "us"), 0);
	ck_assert_int_eq(listed(NULL, "byName", "us"), -AMBIENT_E_UNSUPPORTED);
	/* Nothing was asked of more than the set. */
	ck_assert_int_eq(requests_of("/apis/example.com/v1/widgets*"), 0);
	ck_assert_int_eq(requests_of("/api/v1/configmaps*"), 0);
	ck_assert_int_eq(requests_of("*/namespaces/c/*"), 0);
	ck_assert_int_eq(requests_of(DISCOVERY), 1);
	end_spaces();
}
END_TEST

START_TEST(CA2_03_what_is_outside_of_the_set_is_never_absent)
{
	begin_spaces();
	ck_assert_int_eq(ambient_get(C, WIDGETS, "c", "one", &object, &err), -AMBIENT_E_UNSUPPORTED);
	ck_assert_msg(said(WIDGETS " of namespace \"c\" are not watched: instance \"w\" sees only a, b"), "%s", err.message);
	ck_assert_int_eq(ambient_get(C, WIDGETS, NULL, "one", &object, &err), -AMBIENT_E_UNSUPPORTED);
	ck_assert_int_eq(listed("c", NULL, NULL), -AMBIENT_E_UNSUPPORTED);
	ck_assert_int_eq(inst->table.pub.queue->add(&inst->table.pub, NULL, "c", "one", 0), -AMBIENT_E_UNSUPPORTED);
	ck_assert_int_eq(inst->table.pub.queue->add(&inst->table.pub, NULL, "b", "new", 0), 0);
	/* Written there is all the same, where the account may: what is there is then asked of the API server. */
	rule("GET", "/api/v1/namespaces/c/configmaps/m", 0, 200, NULL,
	     "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\",\"namespace\":\"c\",\"uid\":\"u\","
	     "\"resourceVersion\":\"8\"},\"data\":{\"k\":\"1\"}}", 0);
	rule("PATCH", "/api/v1/namespaces/c/configmaps/m?*", 0, 200, NULL,
	     "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\",\"namespace\":\"c\",\"uid\":\"u\","
	     "\"resourceVersion\":\"9\"},\"data\":{\"k\":\"2\"}}", 0);
	struct ambient_draft *d = ambient_draft_new(C, CONFIGMAPS, "c", "m");
	ambient_draft_set_str(d, "/data/k", "2");
	ck_assert_msg(inst->table.pub.client->apply(C, d, AMBIENT_APPLY_NO_OWNER, NULL, &err) == 0, "%s", err.message);
	ck_assert_int_eq(requests_of("/api/v1/namespaces/c/configmaps/m"), 1);
	ck_assert_int_eq(requests_of("/api/v1/namespaces/c/configmaps/m?*"), 1);
	end_spaces();
}
END_TEST

static void
note_checks(void *arg, const char *name, const char *problem)
{
	am_buf_addf(arg, "%s=%s\n", name, problem != NULL ? problem : "");
}

START_TEST(CA2_05_every_namespace_has_to_be_complete_and_is_named)
{
	struct am_buf text = { 0 };

	am_log_set_level(0);
	begin_host();
	rule("GET", "/apis/example.com/v1/namespaces/b/widgets?*", 0, 403, NULL, STATUS(403, "Forbidden"), 0);
	serve_spaces();
	inst = widgets_in("w", ba, 2);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	EVENTUALLY(am_instance_warm(inst)); /* as no wait helps */
	ck_assert_int_eq(am_instance_wait_synced(inst, 0, NULL, &err), -AMBIENT_E_TIMEOUT);
	ck_assert_msg(said("\"w\" waits for " WIDGETS ": namespace \"b\": "), "%s", err.message);
	am_instance_checks(inst, note_checks, &text);
	ck_assert_ptr_nonnull(strstr(text.data, "\nw/watch/" WIDGETS "@a=\n"));
	ck_assert_ptr_nonnull(strstr(text.data, "\nw/watch/v1/configmaps@b=\n"));
	const char *refused = strstr(text.data, "\nw/watch/" WIDGETS "@b=w: " WIDGETS " of namespace \"b\" is not synced (forbidden");
	ck_assert_msg(refused != NULL, "%s", text.data);
	ck_assert_ptr_nonnull(strstr(refused, "apiGroups [\"example.com\"], resources [\"widgets\"], verbs [\"list\", \"watch\"] in "
					      "namespace \"b\"\n"));
	am_buf_reset(&text);
	am_instance_describe(inst, &text);
	ck_assert_ptr_nonnull(strstr(text.data, "  watch " WIDGETS " namespace=a state=watching objects=2 "));
	ck_assert_ptr_nonnull(strstr(text.data, "  watch " WIDGETS " namespace=b state=forbidden objects=0 "));
	am_buf_reset(&text);
	am_host_report_cache(host, &text);
	ck_assert_ptr_nonnull(strstr(text.data, "{\"kind\":\"" WIDGETS "\",\"selection\":\"a\",\"state\":\"watching\""));
	ck_assert_ptr_nonnull(strstr(text.data, "{\"kind\":\"" WIDGETS "\",\"selection\":\"b\",\"state\":\"forbidden\""));
	am_buf_fini(&text);
	end_host();
}
END_TEST

/* v1/namespaces is known to everybody; of zones the API server says it. */
START_TEST(CA2_04_kinds_in_no_namespace_are_watched_as_a_whole)
{
	static const char zones[] = "name=zone\0version=1.0.0\0for=example.com/v1/zones\0watch=v1/namespaces map=self\0";

	am_log_set_level(0);
	begin_host();
	rule("GET", DISCOVERY, 0, 200, NULL, RESOURCES("zones", "Zone", "false"), 0);
	serve_kind("/apis/example.com/v1/zones", "Zone", "{\"metadata\":{\"name\":\"z\",\"uid\":\"u\",\"resourceVersion\":\"3\"}}");
	serve_kind("/api/v1/namespaces", "Namespace", "{\"metadata\":{\"name\":\"c\",\"uid\":\"c\",\"resourceVersion\":\"3\"}}");
	inst = make_in("z", plugin_of(zones, sizeof(zones) - 1), ba, 2);
	watch_instance(inst);
	begin_call();
	ck_assert_int_eq(ambient_get(C, "example.com/v1/zones", NULL, "z", &object, &err), 0);
	ck_assert_int_eq(ambient_get(C, "example.com/v1/zones", NULL, "y", &object, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_int_eq(ambient_get(C, "v1/namespaces", "", "c", &object, &err), 0);
	ck_assert_int_eq(requests_of("/api*/namespaces/*"), 0);
	ck_assert_int_eq(requests_of("/api/v1"), 0);
	end_spaces();
}
END_TEST

/* A kind that comes later is asked about again after ten seconds, and opened when it is there. */
START_TEST(CA2_06_where_a_missing_kind_lives_is_found_when_it_comes)
{
	struct am_buf text = { 0 };

	am_log_set_level(0);
	begin_host();
	rule("GET", DISCOVERY, 2, 404, NULL, STATUS(404, "NotFound"), 0);
	serve_spaces();
	inst = widgets_in("w", ba, 2);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	ck_assert_int_eq(am_instance_wait_synced(inst, 0, NULL, &err), -AMBIENT_E_TIMEOUT);
	ck_assert_msg(said("it is not known whether \"" WIDGETS "\" is in namespaces"), "%s", err.message);
	EVENTUALLY(am_instance_warm(inst));
	am_instance_checks(inst, note_checks, &text);
	ck_assert_ptr_nonnull(strstr(text.data, "\nw/watch/" WIDGETS "=w: it is not known whether " WIDGETS
						 " is in namespaces (no such kind: "));
	am_instance_describe(inst, &text);
	ck_assert_ptr_nonnull(strstr(text.data, "  watch " WIDGETS " state=no such kind problem="));
	am_host_await_kinds(host); /* too early */
	ck_assert_int_eq(requests_of(DISCOVERY), 1);
	am_clock_fake_advance(fake, 10 * S);
	am_host_await_kinds(host); /* not there yet */
	ck_assert_int_eq(requests_of(DISCOVERY), 2);
	am_clock_fake_advance(fake, 10 * S);
	am_host_await_kinds(host);
	ck_assert_msg(am_instance_wait_synced(inst, AM_FOREVER, NULL, &err) == 0, "%s", err.message);
	begin_call();
	ck_assert_int_eq(listed(NULL, "byRegion", "eu"), 2);
	EVENTUALLY(am_queue_len(am_controller_queue(inst->reconcilers[0].controller)) == 3);
	am_buf_fini(&text);
	end_spaces();
}
END_TEST

/* An API server that is not there is asked about one kind, not about each, and again a second later. */
START_TEST(CA2_06_an_api_server_that_does_not_answer_is_asked_again)
{
	static const char many[] = "name=widget\0version=1.0.0\0for=" WIDGETS "\0owns=other.io/v1/things\0watch=" CONFIGMAPS "\0";
	struct am_buf text = { 0 };

	am_log_set_level(0);
	begin_host();
	rule("GET", DISCOVERY, 1, 500, NULL, STATUS(500, "InternalError"), 0);
	rule("GET", "/apis/other.io/v1", 0, 200, NULL, RESOURCES("things", "Thing", "true"), 0);
	serve_spaces();
	serve_kind("/apis/other.io/v1/namespaces/?/things", "Thing", "");
	inst = make_in("w", plugin_of(many, sizeof(many) - 1), ba, 2);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	ck_assert(!am_instance_warm(inst)); /* waiting helps */
	ck_assert_int_eq(requests_of("/apis/other.io/v1"), 0);
	am_instance_checks(inst, note_checks, &text);
	ck_assert_ptr_nonnull(strstr(text.data, "\nw/watch/" WIDGETS "=w: it is not known whether " WIDGETS " is in namespaces (backing off: "));
	ck_assert_ptr_nonnull(strstr(text.data, "(backing off: the API server did not answer about another kind)"));
	am_clock_fake_advance(fake, S);
	am_host_await_kinds(host);
	ck_assert_msg(am_instance_wait_synced(inst, AM_FOREVER, NULL, &err) == 0, "%s", err.message);
	ck_assert_int_eq(requests_of(DISCOVERY), 2);
	am_buf_fini(&text);
	end_host();
}
END_TEST

/* A CustomResourceDefinition that is created is a reason to look at once. */
START_TEST(CA2_06_a_definition_that_comes_is_looked_at_at_once)
{
	static const char *const events[] = {
		"", "{\"type\":\"ADDED\",\"object\":{\"kind\":\"CustomResourceDefinition\",\"apiVersion\":\"apiextensions.k8s.io/v1\","
		    "\"metadata\":{\"name\":\"widgets.example.com\",\"uid\":\"d\",\"resourceVersion\":\"11\"}}}\n", NULL
	};

	am_log_set_level(0);
	begin_host();
	rule("GET", DISCOVERY, 1, 404, NULL, STATUS(404, "NotFound"), 0);
	serve_spaces();
	fake_api_add(api, &(struct fake_api_rule){ .method = "GET", .path = "/apis/apiextensions.k8s.io/*watch=true*", .status = 200,
						    .pieces = events, .flags = FAKE_API_STALL | FAKE_API_WAIT });
	rule("GET", "/apis/apiextensions.k8s.io/*", 0, 200, NULL,
	     "{\"kind\":\"CustomResourceDefinitionList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[]}", 0);
	inst = widgets_in("w", ba, 2);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	am_host_await_kinds(host);
	EVENTUALLY(requests_of("/apis/apiextensions.k8s.io/*watch=true*") == 1);
	am_host_await_kinds(host);
	ck_assert_int_eq(requests_of(DISCOVERY), 1);
	fake_api_go(api);
	/* Whoever waits is woken by it, the clock stands still. */
	ck_assert_int_eq(am_instance_wait_synced(inst, am_clock_boot(fake) + S, NULL, &err), -AMBIENT_E_TIMEOUT);
	am_host_await_kinds(host);
	ck_assert_msg(am_instance_wait_synced(inst, AM_FOREVER, NULL, &err) == 0, "%s", err.message);
	ck_assert_int_eq(requests_of(DISCOVERY), 2);
	end_host();
}
END_TEST

static int
users_of(const char *kind, const char *selection)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	am_auto(am_freep) char *head = am_xasprintf("{\"kind\":\"%s\",\"selection\":\"%s\",", kind, selection);

	am_host_report_cache(host, &text);
	const char *at = strstr(am_buf_str(&text), head);
	const char *users = at != NULL ? strstr(at, "\"users\":") : NULL;
	return users != NULL ? atoi(users + 8) : 0;
}

/* Each namespace is shared by itself, and stops when its last user goes. */
START_TEST(CA5_namespaces_are_shared_and_stopped_one_by_one)
{
	begin_spaces();
	struct am_instance *other = widgets_in("v", bc, 2);
	ck_assert_int_eq(am_instance_watch(other, &err), 0);
	ck_assert_int_eq(am_instance_wait_synced(other, AM_FOREVER, NULL, &err), 0);
	ck_assert_int_eq(users_of(WIDGETS, "a"), 1);
	ck_assert_int_eq(users_of(WIDGETS, "b"), 2);
	ck_assert_int_eq(users_of(WIDGETS, "c"), 1);
	ck_assert_int_eq(requests_of("*/namespaces/b/widgets*watch=true*"), 1);
	am_pool_free(call.head.pool);
	am_instance_free(inst);
	ck_assert_int_eq(users_of(WIDGETS, "a"), 0);
	ck_assert_int_eq(users_of(WIDGETS, "b"), 1);
	ck_assert(fake_api_wait_closed(api, 2)); /* the watches of a */
	inst = other;
	begin_call();
	ck_assert_int_eq(ambient_get(C, WIDGETS, "b", "one", &object, &err), 0);
	ck_assert_int_eq(ambient_get(C, WIDGETS, "a", "one", &object, &err), -AMBIENT_E_UNSUPPORTED);
	end_spaces();
}
END_TEST

/* The set of the host holds for instances that have none. */
START_TEST(CA2_07_an_instance_may_have_a_set_of_its_own)
{
	begin_host();
	const struct am_host_options options = { .clock = fake, .mode = "cluster", .ns = "ambient", .namespaces = { ba, 2 } };
	struct am_host *set = am_host_new(&options);
	const struct am_instance_options plain = { .name = "plain", .plugin = plugin_of(declarations, sizeof(declarations) - 1) };
	struct am_instance_options own = plain;
	struct am_instance *instance;

	own.name = "own";
	own.namespaces = (struct am_host_namespaces){ bc, 2 };
	ck_assert_int_eq(am_instance_new(set, &plain, &instance, &err), 0);
	ck_assert_uint_eq(instance->namespaces.count, 2);
	ck_assert_str_eq(instance->namespaces.names[0], "a");
	am_instance_free(instance);
	ck_assert_int_eq(am_instance_new(set, &own, &instance, &err), 0);
	ck_assert_str_eq(instance->namespaces.names[1], "c");
	am_instance_free(instance);
	am_host_free(set);
	end_host();
}
END_TEST

/* An annotation names whom it likes: what nobody sees is not queued, or it would fail for ever. */
START_TEST(CA2_03_nobody_is_woken_outside_of_the_set)
{
	static const char mapped[] = "name=widget\0version=1.0.0\0for=" WIDGETS "\0watch=" CONFIGMAPS " map=annotation:for\0";

	am_log_set_level(0);
	begin_host();
	rule("GET", DISCOVERY, 0, 200, NULL, RESOURCES("widgets", "Widget", "true"), 0);
	widgets_of("a", "");
	serve_kind("/api/v1/namespaces/a/configmaps", "ConfigMap",
		   "{\"metadata\":{\"name\":\"m\",\"namespace\":\"a\",\"uid\":\"m\",\"resourceVersion\":\"5\",\"annotations\":{"
		   "\"for\":\"c/secret\"}}},"
		   "{\"metadata\":{\"name\":\"n\",\"namespace\":\"a\",\"uid\":\"n\",\"resourceVersion\":\"6\",\"annotations\":{"
		   "\"for\":\"a/mine\"}}}");
	inst = make_in("w", plugin_of(mapped, sizeof(mapped) - 1), ba + 1, 1);
	watch_instance(inst);
	ck_assert_uint_eq(am_queue_len(am_controller_queue(inst->reconcilers[0].controller)), 1);
	end_host();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, CA2_02_a_set_of_namespaces_is_read_as_one);
	tcase_add_test(tc, CA2_03_what_is_outside_of_the_set_is_never_absent);
	tcase_add_test(tc, CA2_05_every_namespace_has_to_be_complete_and_is_named);
	tcase_add_test(tc, CA2_04_kinds_in_no_namespace_are_watched_as_a_whole);
	tcase_add_test(tc, CA2_06_where_a_missing_kind_lives_is_found_when_it_comes);
	tcase_add_test(tc, CA2_06_an_api_server_that_does_not_answer_is_asked_again);
	tcase_add_test(tc, CA2_06_a_definition_that_comes_is_looked_at_at_once);
	tcase_add_test(tc, CA5_namespaces_are_shared_and_stopped_one_by_one);
	tcase_add_test(tc, CA2_07_an_instance_may_have_a_set_of_its_own);
	tcase_add_test(tc, CA2_03_nobody_is_woken_outside_of_the_set);
}

UNIT_MAIN("host spaces", cases)
