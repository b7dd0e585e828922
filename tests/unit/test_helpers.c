/* SPDX-License-Identifier: Apache-2.0 */
/* <ambient/helpers.h> over the fake host: what each helper writes, and when it writes nothing. */
#include "tests/lib/fake_host.h"
#include "tests/lib/unit.h"

#include "core/base/util.h"

#define KIND    "example.com/v1/widgets"
#define CM      "v1/configmaps"
#define SECRET  "v1/secrets"
#define S       INT64_C(1000000000)

static struct fake_host *fake;
static struct ambient_call *call;
static struct ambient_error err;
static const struct ambient_object *widget;

static void
reread(void)
{
	ck_assert_msg(ambient_get(call, KIND, "n", "w", &widget, &err) == 0, "%s", err.message);
}

/* Widget n/w as json says, and a call. */
static void
begin(const char *json)
{
	err = (struct ambient_error)AMBIENT_ERROR_INIT;
	fake = fake_host_new(NULL);
	fake_host_put(fake, KIND, json);
	call = fake_host_call_begin(fake, KIND, "n", "w");
	reread();
}

static void
end(void)
{
	fake_host_call_end(call);
	fake_host_free(fake);
}

#define W(meta, rest) "{'apiVersion':'example.com/v1','kind':'Widget','metadata':{'name':'w','namespace':'n'" meta "}" rest "}"

static const char *
at(const char *pointer)
{
	const char *text = fake_host_at(fake, KIND, "n", "w", pointer);

	return text != NULL ? text : "-";
}

/* ---- conditions */

static int
set(const char *type, const char *status, const char *reason, const char *message)
{
	struct ambient_draft *draft = ambient_draft_from(call, KIND, widget);
	int rc = ambient_condition_set(call, draft, widget, type, status, reason, message, &err);

	if (rc >= 0) {
		ck_assert_msg(ambient_status(call, draft, &err) == 0, "%s", err.message);
		reread();
	}
	return rc;
}

START_TEST(a_condition_moves_its_time_with_its_status_only)
{
	begin(W(",'generation':3", ""));
	ck_assert_int_eq(set("Ready", "False", "Starting", "not yet"), 1);
	ck_assert_str_eq(at("/status/conditions/0/type"), "Ready");
	ck_assert_str_eq(at("/status/conditions/0/status"), "False");
	ck_assert_str_eq(at("/status/conditions/0/reason"), "Starting");
	ck_assert_str_eq(at("/status/conditions/0/message"), "not yet");
	ck_assert_str_eq(at("/status/conditions/0/observedGeneration"), "3");
	ck_assert_str_eq(at("/status/conditions/0/lastTransitionTime"), "2026-01-01T00:00:00Z");
	fake_host_advance(fake, 90 * S);
	ck_assert_int_eq(set("Ready", "False", "Starting", "not yet"), 0); /* rule 31 */
	ck_assert_int_eq(set("Ready", "False", "Waiting", "for a region"), 1);
	ck_assert_str_eq(at("/status/conditions/0/reason"), "Waiting");
	ck_assert_str_eq(at("/status/conditions/0/lastTransitionTime"), "2026-01-01T00:00:00Z");
	ck_assert_int_eq(set("Ready", "True", "Done", ""), 1);
	ck_assert_str_eq(at("/status/conditions/0/lastTransitionTime"), "2026-01-01T00:01:30Z");
	ck_assert_str_eq(at("/status/conditions/1"), "-");
	ck_assert_int_eq(ambient_condition_is(widget, "Ready", "True"), 1);
	ck_assert_int_eq(ambient_condition_is(widget, "Ready", "False"), 0);
	ck_assert_int_eq(ambient_condition_is(widget, "Other", "False"), 0);
	end();
}
END_TEST

START_TEST(a_condition_leaves_others_and_says_the_generation_that_was_read)
{
	begin(W(",'generation':3",
		",'status':{'note':'x','conditions':[{'type':'A','status':'True','reason':'R','message':'m','mine':1,"
		"'lastTransitionTime':'2020-01-01T00:00:00Z'},{'type':'B','status':'Unknown','reason':'R','message':''}]}"));
	ck_assert_int_eq(set("B", "Unknown", "R", ""), 1); /* a time and a generation it did not have */
	ck_assert_str_eq(at("/status/conditions/0/mine"), "1");
	ck_assert_str_eq(at("/status/conditions/0/lastTransitionTime"), "2020-01-01T00:00:00Z");
	ck_assert_str_eq(at("/status/conditions/1/observedGeneration"), "3");
	ck_assert_str_eq(at("/status/conditions/1/lastTransitionTime"), "2026-01-01T00:00:00Z");
	ck_assert_str_eq(at("/status/note"), "x");
	/* Over a draft that says nothing else, too. */
	struct ambient_draft *draft = ambient_draft_new(call, KIND, "n", "w");
	ck_assert_int_eq(ambient_condition_set(call, draft, widget, "C", "True", "New", "", &err), 1);
	ck_assert_int_eq(ambient_condition_set(call, draft, widget, "C", "True", "New", "", &err), 0);
	ck_assert_uint_eq(ambient_len(ambient_draft_view(draft), "/status/conditions"), 3);
	ck_assert_ptr_nonnull(ambient_condition(ambient_draft_view(draft), "A"));
	ck_assert_ptr_null(ambient_condition(ambient_draft_view(draft), "D"));
	end();
}
END_TEST

START_TEST(a_condition_that_is_none_is_refused)
{
	begin(W("", ",'status':{'conditions':'none'}"));
	ck_assert_int_eq(set("Ready", "true", "R", ""), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "a condition cannot be \"true\"; use True, False or Unknown");
	ck_assert_uint_ne(err.flags & AMBIENT_ERROR_TERMINAL, 0);
	ck_assert_int_eq(set("Ready", "True", "", ""), -AMBIENT_E_INVALID);
	ck_assert_int_eq(set("", "True", "R", ""), -AMBIENT_E_INVALID);
	ck_assert_ptr_null(ambient_condition(widget, "Ready"));
	ck_assert_int_eq(set("Ready", "True", "R", ""), 1); /* what was no list is one now */
	ck_assert_str_eq(at("/status/conditions/0/status"), "True");
	end();
}
END_TEST

START_TEST(times_are_those_of_the_calendar)
{
	static const struct { int64_t s; const char *text; } rows[] = {
		{ 0, "1970-01-01T00:00:00Z" }, { 951782399, "2000-02-28T23:59:59Z" }, { 951782400, "2000-02-29T00:00:00Z" },
		{ 1709251199, "2024-02-29T23:59:59Z" }, { 1772323199, "2026-02-28T23:59:59Z" }, { 1772323200, "2026-03-01T00:00:00Z" },
		{ 4107542400, "2100-03-01T00:00:00Z" }, { -5, "1970-01-01T00:00:00Z" },
	};
	char text[32];

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ambient_time(text, rows[i].s * S + 999);
		ck_assert_str_eq(text, rows[i].text);
	}
}
END_TEST

/* ---- finalizers */

static char order[64];
static int results[3], said_codes;

static int
undo(int which, struct ambient_error *e)
{
	size_t n = strlen(order);

	(void)snprintf(order + n, sizeof(order) - n, "%d", which);
	return results[which] < 0 ? ambient_err(e, -results[which], "thing %d does not go", which) : results[which];
}

static int
undo_0(void *self, struct ambient_call *c, const struct ambient_object *obj, struct ambient_error *e)
{
	ck_assert_ptr_eq(self, &said_codes);
	ck_assert_ptr_eq(c, call);
	ck_assert_str_eq(ambient_str(obj, "/metadata/name", ""), "w");
	return undo(0, e);
}

static int
undo_1(void *self, struct ambient_call *c, const struct ambient_object *obj, struct ambient_error *e)
{
	(void)self;
	(void)c;
	(void)obj;
	return undo(1, e);
}

static int
undo_2(void *self, struct ambient_call *c, const struct ambient_object *obj, struct ambient_error *e)
{
	(void)self;
	(void)c;
	(void)obj;
	return undo(2, e);
}

static const struct ambient_finalizer zero = { sizeof(zero), "x.io/0", undo_0 }, one = { sizeof(one), "x.io/1", undo_1 },
				      two = { sizeof(two), "x.io/2", undo_2 };
static const struct ambient_finalizer *const all[] = { &zero, &one, &two, NULL };

static int
finalize(int r0, int r1, int r2)
{
	order[0] = '\0';
	results[0] = r0;
	results[1] = r1;
	results[2] = r2;
	return ambient_finalize(call, KIND, &widget, all, &said_codes, &err);
}

START_TEST(FN1_finalizers_are_added_once_and_together)
{
	begin(W(",'finalizers':['other/one','x.io/1']", ""));
	ck_assert_int_eq(finalize(0, 0, 0), 0);
	ck_assert_str_eq(order, ""); /* it lives: nothing is undone */
	ck_assert_str_eq(at("/metadata/finalizers"), "[\"other/one\",\"x.io/1\",\"x.io/0\",\"x.io/2\"]");
	ck_assert_uint_eq(fake_host_calls(fake, "patch", KIND), 1);
	ck_assert_int_eq(ambient_finalizer_has(widget, "x.io/2"), 1); /* what came back is what is there */
	ck_assert_int_eq(finalize(0, 0, 0), 0);
	ck_assert_uint_eq(fake_host_calls(fake, "patch", KIND), 1);
	end();
}
END_TEST

START_TEST(FN1_deletion_undoes_in_order_and_takes_the_own_names_only)
{
	begin(W(",'finalizers':['x.io/2','other/one','x.io/0']", ""));
	ck_assert_int_eq(ambient_delete(call, KIND, "n", "w", NULL, &err), 0);
	reread();
	ck_assert_int_eq(ambient_deleting(widget), 1);
	ck_assert_int_eq(finalize(0, 0, 0), 1);
	ck_assert_str_eq(order, "02"); /* the table's order, not the object's; what has not its name is not undone */
	ck_assert_str_eq(at("/metadata/finalizers"), "[\"other/one\"]");
	ck_assert_uint_eq(fake_host_calls(fake, "patch", KIND), 1);
	ck_assert_int_eq(finalize(0, 0, 0), 1); /* and none is added any more */
	ck_assert_str_eq(order, "");
	ck_assert_uint_eq(fake_host_calls(fake, "patch", KIND), 1);
	end();
}
END_TEST

START_TEST(FN1_what_fails_or_takes_longer_keeps_its_finalizer)
{
	begin(W(",'finalizers':['x.io/0','x.io/1','x.io/2']", ""));
	ck_assert_int_eq(ambient_delete(call, KIND, "n", "w", NULL, &err), 0);
	reread();
	ck_assert_int_eq(finalize(-AMBIENT_E_UNAVAILABLE, 0, -AMBIENT_E_TIMEOUT), -AMBIENT_E_UNAVAILABLE);
	ck_assert_str_eq(err.message, "thing 0 does not go"); /* the first one's, not the last one's */
	ck_assert_str_eq(order, "012");
	ck_assert_str_eq(at("/metadata/finalizers"), "[\"x.io/0\",\"x.io/2\"]");
	ck_assert_int_eq(finalize(1, 0, 0), 1);
	ck_assert_str_eq(order, "02");
	ck_assert_str_eq(at("/metadata/finalizers"), "[\"x.io/0\"]");
	ck_assert_int_eq(finalize(0, 0, 0), 1);
	ck_assert(!fake_host_has(fake, KIND, "n", "w"));
	end();
}
END_TEST

START_TEST(FN1_a_finalizer_is_written_at_the_version_that_was_read)
{
	begin(W("", ""));
	fake_host_merge(fake, KIND, "n", "w", "{'metadata':{'finalizers':['somebody/else']}}");
	ck_assert_int_eq(ambient_finalizer_add(call, KIND, &widget, "x.io/0", &err), -AMBIENT_E_CONFLICT); /* rule 33 */
	ck_assert_str_eq(at("/metadata/finalizers"), "[\"somebody/else\"]");
	reread();
	ck_assert_int_eq(ambient_finalizer_add(call, KIND, &widget, "x.io/0", &err), 0);
	ck_assert_int_eq(ambient_finalizer_add(call, KIND, &widget, "x.io/0", &err), 0);
	ck_assert_str_eq(at("/metadata/finalizers"), "[\"somebody/else\",\"x.io/0\"]");
	ck_assert_uint_eq(fake_host_calls(fake, "patch", KIND), 2);
	ck_assert_int_eq(ambient_finalizer_remove(call, KIND, &widget, "x.io/1", &err), 0);
	ck_assert_uint_eq(fake_host_calls(fake, "patch", KIND), 2);
	ck_assert_int_eq(ambient_finalizer_remove(call, KIND, &widget, "x.io/0", &err), 0);
	ck_assert_str_eq(at("/metadata/finalizers"), "[\"somebody/else\"]");
	end();
}
END_TEST

START_TEST(FN1_what_is_deleted_gets_none_and_what_is_gone_is_done)
{
	begin(W(",'finalizers':['x.io/0']", ""));
	ck_assert_int_eq(ambient_delete(call, KIND, "n", "w", NULL, &err), 0);
	reread();
	ck_assert_int_eq(ambient_finalizer_add(call, KIND, &widget, "x.io/1", &err), -AMBIENT_E_INVALID); /* rule 38 */
	ck_assert_str_eq(err.message, KIND " \"w\" is being deleted, it can get no finalizer \"x.io/1\"");
	ck_assert_uint_eq(fake_host_calls(fake, "patch", KIND), 0);
	fake_host_remove(fake, KIND, "n", "w");
	ck_assert_int_eq(ambient_finalizer_remove(call, KIND, &widget, "x.io/0", &err), 0); /* rule 39 */
	ck_assert_int_eq(finalize(0, 0, 0), 1);
	end();
}
END_TEST

/* ---- owner references */

static const struct ambient_object *
object(const char *text)
{
	const struct ambient_object *o = NULL;

	ck_assert_msg(ambient_parse(call, text, strlen(text), &o, &err) == 0, "%s", err.message);
	return o;
}

static const char *
refs(struct ambient_draft *draft, const char *pointer)
{
	const char *text = ambient_json(ambient_draft_view(draft), pointer, NULL);

	return text != NULL ? text : "-";
}

START_TEST(CU1_owners_are_added_updated_and_removed)
{
	begin(W(",'uid':'u-w'", ""));
	const struct ambient_object *other = object("{\"apiVersion\":\"v1\",\"kind\":\"Other\",\"metadata\":{\"name\":\"o\",\"uid\":\"u-o\"}}");
	struct ambient_draft *cm = ambient_draft_new(call, CM, "n", "c");
	ck_assert_int_eq(ambient_owner_set(cm, widget, 0, &err), 0);
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/0/apiVersion"), "\"example.com/v1\"");
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/0/kind"), ambient_json(widget, "/kind", NULL));
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/0/name"), "\"w\"");
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/0/blockOwnerDeletion"), "true");
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/0/controller"), "-");
	ck_assert_ptr_null(ambient_controller_of(ambient_draft_view(cm)));
	/* a cluster-scoped owner is allowed everywhere; the one that is there becomes the controller at its place */
	ck_assert_int_eq(ambient_owner_set(cm, other, 0, &err), 0);
	ck_assert_int_eq(ambient_owner_set(cm, widget, AMBIENT_OWNER_CONTROLLER, &err), 0);
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/0/controller"), "true");
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/1/uid"), "\"u-o\"");
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/2"), "-");
	ck_assert_str_eq(ambient_str(ambient_controller_of(ambient_draft_view(cm)), "/name", ""), "w");
	ck_assert_int_eq(ambient_owner_at(ambient_draft_view(cm), other), 1);
	ck_assert_int_eq(ambient_owner_remove(cm, widget), 1);
	ck_assert_int_eq(ambient_owner_remove(cm, widget), 0);
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/0/uid"), "\"u-o\"");
	ck_assert_str_eq(refs(cm, "/metadata/ownerReferences/1"), "-");
	end();
}
END_TEST

START_TEST(CU1_owners_elsewhere_and_second_controllers_are_refused)
{
	begin(W(",'uid':'u-w'", ""));
	struct ambient_draft *far = ambient_draft_new(call, CM, "m", "c"), *none = ambient_draft_new(call, "v1/nodes", NULL, "c");
	ck_assert_int_eq(ambient_owner_set(far, widget, 0, &err), -AMBIENT_E_INVALID);
	ck_assert_uint_ne(err.flags & AMBIENT_ERROR_TERMINAL, 0);
	ck_assert_str_eq(err.message, "\"w\" of namespace \"n\" cannot own what is not in that namespace");
	ck_assert_int_eq(ambient_owner_set(none, widget, 0, &err), -AMBIENT_E_INVALID);
	ck_assert_str_eq(refs(far, "/metadata/ownerReferences"), "-");
	struct ambient_draft *taken = ambient_draft_from(call, CM, object(
		"{\"metadata\":{\"name\":\"c\",\"namespace\":\"n\",\"ownerReferences\":[{\"kind\":\"Other\",\"name\":\"o\",\"uid\":\"u-o\","
		"\"controller\":true},{\"kind\":\"Widget\",\"name\":\"w\",\"uid\":\"u-before\"}]}}"));
	ck_assert_int_eq(ambient_owner_set(taken, widget, AMBIENT_OWNER_CONTROLLER, &err), -AMBIENT_E_EXISTS);
	ck_assert_str_eq(err.message, "\"c\" is already controlled by Other \"o\"");
	ck_assert_int_eq(ambient_owner_remove(taken, widget), 0); /* the one before it of that name was another */
	ck_assert_int_eq(ambient_owner_set(taken, widget, 0, &err), 0); /* one more owner it may have */
	ck_assert_str_eq(refs(taken, "/metadata/ownerReferences/2/uid"), "\"u-w\"");
	end();
}
END_TEST

/* ---- create or update */

struct wish {
	const char *pointer, *value;
	int rc;
	bool saw;
};

static int
grant(void *arg, struct ambient_draft *draft, const struct ambient_object *present, struct ambient_error *e)
{
	struct wish *wish = arg;

	wish->saw = present != NULL;
	ambient_draft_set_str(draft, wish->pointer, wish->value);
	return wish->rc < 0 ? ambient_err(e, -wish->rc, "no") : 0;
}

static int
wish(const char *pointer, const char *value, int rc)
{
	struct wish w = { pointer, value, rc, false };
	bool there = fake_host_has(fake, CM, "n", "c");
	int got = ambient_create_or_update(call, CM, "n", "c", grant, &w, &widget, &err);

	ck_assert(w.saw == there);
	return got;
}

START_TEST(CU1_create_or_update_writes_what_differs)
{
	begin(W("", ""));
	ck_assert_int_eq(wish("/data/k", "1", 0), AMBIENT_CREATED);
	ck_assert_str_eq(ambient_str(widget, "/data/k", ""), "1");
	fake_host_merge(fake, CM, "n", "c", "{'data':{'other':'x'}}");
	ck_assert_int_eq(wish("/data/k", "1", 0), AMBIENT_UNCHANGED);
	ck_assert_str_eq(ambient_str(widget, "/data/other", ""), "x");
	ck_assert_uint_eq(fake_host_calls(fake, "update", CM), 0);
	ck_assert_int_eq(wish("/data/k", "2", 0), AMBIENT_UPDATED);
	ck_assert_str_eq(fake_host_at(fake, CM, "n", "c", "/data/k"), "2");
	ck_assert_str_eq(fake_host_at(fake, CM, "n", "c", "/data/other"), "x");
	ck_assert_uint_eq(fake_host_calls(fake, "update", CM), 1);
	/* the mutation refuses: nothing is written */
	ck_assert_int_eq(wish("/data/k", "3", -AMBIENT_E_UNAVAILABLE), -AMBIENT_E_UNAVAILABLE);
	ck_assert_str_eq(fake_host_at(fake, CM, "n", "c", "/data/k"), "2");
	end();
}
END_TEST

START_TEST(CU1_create_or_update_keeps_the_key_and_retries_races)
{
	begin(W("", ""));
	ck_assert_int_eq(wish("/metadata/name", "d", 0), -AMBIENT_E_INVALID);
	ck_assert_uint_ne(err.flags & AMBIENT_ERROR_TERMINAL, 0);
	ck_assert_str_eq(err.message, CM " \"c\" must keep its name and namespace");
	ck_assert_int_eq(wish("/metadata/namespace", "m", 0), -AMBIENT_E_INVALID);
	ck_assert_uint_eq(fake_host_count(fake, CM, NULL), 0);
	fake_host_fail(fake, "create", CM, AMBIENT_E_EXISTS, 1);
	ck_assert_int_eq(wish("/data/k", "1", 0), -AMBIENT_E_CONFLICT);
	ck_assert_int_eq(wish("/data/k", "1", 0), AMBIENT_CREATED);
	ck_assert_int_eq(wish("/metadata/resourceVersion", "1", 0), -AMBIENT_E_CONFLICT);
	fake_host_fail(fake, "create", CM, AMBIENT_E_FORBIDDEN, 1);
	fake_host_remove(fake, CM, "n", "c");
	ck_assert_int_eq(wish("/data/k", "1", 0), -AMBIENT_E_FORBIDDEN);
	end();
}
END_TEST

/* ---- copies of Secrets */

static int
copy_to(const char *ns, const char *name)
{
	struct ambient_secret_copy copy = { sizeof(copy), "src", "s", ns, name, widget };

	return ambient_secret_copy(call, &copy, &err);
}

static const char *
copied(const char *ns, const char *name, const char *pointer)
{
	const char *text = fake_host_at(fake, SECRET, ns, name, pointer);

	return text != NULL ? text : "-";
}

static void
begin_secret(void)
{
	begin(W(",'uid':'u-w'", ""));
	fake_host_put(fake, SECRET, "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s','namespace':'src','labels':{'a':'b'}},"
				    "'type':'Opaque','immutable':true,'data':{'k':'MQ=='}}");
}

START_TEST(a_secrets_copy_is_marked_and_follows_its_source)
{
	begin_secret();
	ck_assert_msg(copy_to("n", NULL) == 0, "%s", err.message);
	ck_assert_str_eq(copied("n", "s", "/data/k"), "MQ==");
	ck_assert_str_eq(copied("n", "s", "/type"), "Opaque");
	ck_assert_str_eq(copied("n", "s", "/immutable"), "-"); /* it has to follow */
	ck_assert_str_eq(copied("n", "s", "/metadata/labels"), "{\"ambient-code.io/copied-by\":\"test\"}");
	ck_assert_str_eq(copied("n", "s", "/metadata/annotations/vteam.ambient-code~1copied-from"), "src/s");
	ck_assert_str_eq(copied("n", "s", "/metadata/ownerReferences/0/uid"), "u-w");
	ck_assert_str_eq(copied("n", "s", "/metadata/ownerReferences/0/controller"), "-"); /* siblings share it */
	ck_assert_int_eq(copy_to("n", NULL), 0);
	ck_assert_uint_eq(fake_host_calls(fake, "noop", SECRET), 1);
	fake_host_merge(fake, SECRET, "src", "s", "{'data':{'k':'Mg=='}}");
	ck_assert_int_eq(copy_to("n", NULL), 0);
	ck_assert_str_eq(copied("n", "s", "/data/k"), "Mg==");
	fake_host_merge(fake, SECRET, "n", "s", "{'data':{'k':'c3BvaWxlZA=='}}"); /* somebody changed the copy */
	ck_assert_int_eq(copy_to("n", NULL), 0);
	ck_assert_str_eq(copied("n", "s", "/data/k"), "Mg==");
	/* Another namespace: no owner, another name. */
	ck_assert_int_eq(copy_to("m", "t"), 0);
	ck_assert_str_eq(copied("m", "t", "/metadata/ownerReferences"), "-");
	ck_assert_str_eq(copied("m", "t", "/data/k"), "Mg==");
	/* The source came back with another type. */
	fake_host_remove(fake, SECRET, "src", "s");
	ck_assert_int_eq(copy_to("m", "t"), -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(copied("m", "t", "/data/k"), "Mg==");
	fake_host_put(fake, SECRET, "{'metadata':{'name':'s','namespace':'src'},'type':'kubernetes.io/basic-auth','data':{'password':'eA=='}}");
	ck_assert_int_eq(copy_to("m", "t"), 0);
	ck_assert_str_eq(copied("m", "t", "/type"), "kubernetes.io/basic-auth");
	ck_assert_str_eq(copied("m", "t", "/data"), "{\"password\":\"eA==\"}");
	end();
}
END_TEST

START_TEST(a_secrets_copy_keeps_the_owners_that_it_has)
{
	begin_secret();
	ck_assert_int_eq(copy_to("n", NULL), 0);
	fake_host_put(fake, KIND, "{'apiVersion':'example.com/v1','kind':'Widget','metadata':{'name':'v','namespace':'n','uid':'u-v'}}");
	ck_assert_int_eq(ambient_get(call, KIND, "n", "v", &widget, &err), 0);
	ck_assert_int_eq(copy_to("n", NULL), 0);
	ck_assert_str_eq(copied("n", "s", "/metadata/ownerReferences/0/uid"), "u-w");
	ck_assert_str_eq(copied("n", "s", "/metadata/ownerReferences/1/uid"), "u-v");
	end();
}
END_TEST

START_TEST(a_secret_that_is_no_copy_of_ours_is_left_alone)
{
	begin_secret();
	fake_host_put(fake, SECRET, "{'metadata':{'name':'s','namespace':'n'},'type':'Opaque','data':{'k':'bWluZQ=='}}");
	ck_assert_int_eq(copy_to("n", NULL), -AMBIENT_E_EXISTS); /* rule 40 */
	ck_assert_str_eq(err.message, "Secret \"n/s\" is there and is no copy of \"src/s\" that \"test\" made");
	ck_assert_str_eq(copied("n", "s", "/data/k"), "bWluZQ==");
	ck_assert_int_eq(copy_to("src", NULL), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "Secret \"src/s\" cannot be a copy of itself");
	fake_host_merge(fake, SECRET, "src", "s", "{'type':'kubernetes.io/service-account-token'}");
	ck_assert_int_eq(copy_to("m", NULL), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "Secret \"src/s\" is a ServiceAccount's token, which is not copied");
	end();
}
END_TEST

START_TEST(copies_that_are_not_kept_are_pruned)
{
	static const char *const keep[] = { "t", NULL };

	begin_secret();
	ck_assert_int_eq(copy_to("m", NULL), 0);
	ck_assert_int_eq(copy_to("m", "t"), 0);
	ck_assert_int_eq(copy_to("o", "u"), 0);
	fake_host_put(fake, SECRET, "{'metadata':{'name':'own','namespace':'m'},'type':'Opaque'}");
	fake_host_put(fake, SECRET, "{'metadata':{'name':'others','namespace':'m','labels':{'ambient-code.io/copied-by':'another'}}}");
	ck_assert_msg(ambient_secret_prune(call, "m", keep, &err) == 0, "%s", err.message);
	ck_assert(!fake_host_has(fake, SECRET, "m", "s"));
	ck_assert(fake_host_has(fake, SECRET, "m", "t"));
	ck_assert(fake_host_has(fake, SECRET, "m", "own"));
	ck_assert(fake_host_has(fake, SECRET, "m", "others"));
	ck_assert(fake_host_has(fake, SECRET, "o", "u"));
	ck_assert(fake_host_has(fake, SECRET, "src", "s"));
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, a_condition_moves_its_time_with_its_status_only);
	tcase_add_test(tc, a_condition_leaves_others_and_says_the_generation_that_was_read);
	tcase_add_test(tc, a_condition_that_is_none_is_refused);
	tcase_add_test(tc, times_are_those_of_the_calendar);
	tcase_add_test(tc, FN1_finalizers_are_added_once_and_together);
	tcase_add_test(tc, FN1_deletion_undoes_in_order_and_takes_the_own_names_only);
	tcase_add_test(tc, FN1_what_fails_or_takes_longer_keeps_its_finalizer);
	tcase_add_test(tc, FN1_a_finalizer_is_written_at_the_version_that_was_read);
	tcase_add_test(tc, FN1_what_is_deleted_gets_none_and_what_is_gone_is_done);
	tcase_add_test(tc, CU1_owners_are_added_updated_and_removed);
	tcase_add_test(tc, CU1_owners_elsewhere_and_second_controllers_are_refused);
	tcase_add_test(tc, CU1_create_or_update_writes_what_differs);
	tcase_add_test(tc, CU1_create_or_update_keeps_the_key_and_retries_races);
	tcase_add_test(tc, a_secrets_copy_is_marked_and_follows_its_source);
	tcase_add_test(tc, a_secrets_copy_keeps_the_owners_that_it_has);
	tcase_add_test(tc, a_secret_that_is_no_copy_of_ours_is_left_alone);
	tcase_add_test(tc, copies_that_are_not_kept_are_pruned);
}

UNIT_MAIN("helpers", cases)
