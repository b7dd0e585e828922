/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The projectsettings plugin against a fake host: scenarios as lists of what the world does, walked undisturbed, with the
 * daemon dying at each write, with all events in one, and with a cache that does not show what is there; each has to end
 * as the undisturbed one.  Then what single steps do and say.
 */
#include "plugins/projectsettings/projectsettings.h"

#include "tests/lib/cut.h"
#include "tests/lib/fake_host.h"
#include "tests/lib/unit.h"

#define NS "team-a"

static struct fake_host *fake;
static const struct ambient_cache_api *real_cache;
static struct ambient_cache_api blind_cache;
static int blind;             /* reads of what the plugin makes that find nothing yet */
static const char *own_types; /* that the host has loaded */

static int
blind_get(struct ambient_call *call, const char *kind, const char *ns, const char *name, const struct ambient_object **ret,
	  struct ambient_error *err)
{
	if (blind > 0 && strcmp(kind, PS_NS) != 0) {
		blind--;
		return ambient_err(err, AMBIENT_E_NOTFOUND, "not seen yet");
	}
	return real_cache->get(call, kind, ns, name, ret, err);
}

static const char *
types(const struct ambient_host *host)
{
	return own_types;
}

static void
space(const char *name, const char *labels)
{
	char json[256];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','labels':{%s}}}", name, labels);
	fake_host_put(fake, PS_NS, json);
}

static void
begin(void)
{
	struct ambient_host *table;

	fake = fake_host_new(&ambient_plugin_v1);
	space(NS, "'ambient-code.io/managed':'true'");
	table = fake_host_table(fake);
	real_cache = table->cache;
	blind_cache = *real_cache;
	blind_cache.get = blind_get;
	cut_install(table);
	table->cache = &blind_cache;
	table->runner_types = types;
	own_types = "claude-code, command";
	blind = 0;
	(void)fake_host_create(fake);
}

static void
end(void)
{
	fake_host_destroy(fake);
	fake_host_free(fake);
}

static void
settings(const char *spec)
{
	char json[8192];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'projectsettings','namespace':'" NS "','generation':2},'spec':%s}",
		       spec);
	if (fake_host_has(fake, PS_SETTINGS, NS, PS_NAME)) {
		/* As a user does it: the spec becomes another, the object stays. */
		(void)snprintf(json, sizeof(json), "{'metadata':{'generation':%d},'spec':null}",
			       atoi(fake_host_at(fake, PS_SETTINGS, NS, PS_NAME, "/metadata/generation")) + 1);
		fake_host_merge(fake, PS_SETTINGS, NS, PS_NAME, json);
		(void)snprintf(json, sizeof(json), "{'spec':%s}", spec);
		fake_host_merge(fake, PS_SETTINGS, NS, PS_NAME, json);
	} else {
		fake_host_put(fake, PS_SETTINGS, json);
	}
}

static const char *
at(const char *pointer)
{
	const char *s = fake_host_at(fake, PS_SETTINGS, NS, PS_NAME, pointer);

	return s != NULL ? s : "(none)";
}

static const char *
cond(const char *type, const char *member)
{
	char pointer[128];

	for (int i = 0; i < PS_CONDITIONS; i++) {
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/type", i);
		if (strcmp(at(pointer), type) != 0)
			continue;
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/%s", i, member);
		return at(pointer);
	}
	return "(none)";
}

/* Writes that changed something. */
static size_t
writes(void)
{
	static const char *const verbs[] = { "create", "apply", "patch", "delete", "status" };
	static const char *const kinds[] = { PS_SETTINGS, PS_BINDING, PS_RANGE, PS_QUOTA, PS_SESSION };
	size_t n = 0;

	for (size_t v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			n += fake_host_calls(fake, verbs[v], kinds[k]);
	return n;
}

/* One look of each reconciler, as all are woken by one event; the first failure. */
static int
look(struct ambient_error *err)
{
	int a = fake_host_reconcile(fake, "projects", "", NS, NULL, err);
	int b = fake_host_reconcile(fake, "settings", NS, PS_NAME, NULL, err);

	return a < 0 ? a : b;
}

static void
settle(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	for (int i = 0; i < 20; i++) {
		size_t before = writes();

		ck_assert_msg(look(&err) == 0, "%s", err.message);
		if (before == writes())
			return;
	}
	ck_abort_msg("does not settle");
}

static int64_t
count_and_clean(void)
{
	struct ambient_result result = { .size = sizeof(result) };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(fake_host_reconcile(fake, "retention", NS, PS_NAME, &result, &err) == 0, "%s", err.message);
	return result.requeue_after;
}

static void
binding(const char *name, const char *more)
{
	char json[1024];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','namespace':'" NS "'%s", name, more);
	fake_host_put(fake, PS_BINDING, json);
}

#define ROLE_REF(name) "'roleRef':{'apiGroup':'rbac.authorization.k8s.io','kind':'ClusterRole','name':'" name "'}"
#define GROUP(name)    "'subjects':[{'apiGroup':'rbac.authorization.k8s.io','kind':'Group','name':'" name "'}]"
#define OF(name, role) "{'groupName':'" name "','role':'" role "'}"
#define ALL_OF_IT      "{'groupAccess':[" OF("devs", "edit") "," OF("ops", "admin") "],'limitRange':{}," \
		       "'resourceQuota':{'hard':{'pods':'5'}},'runnerSecretsName':'keys'}"

/* ---- scenarios */

static void s_ask(void) { settings(ALL_OF_IT); }
static void s_change(void) { settings("{'groupAccess':[" OF("devs", "view") "],'limitRange':{'limits':[{'type':'Pod'}]}}"); }
static void s_nothing(void) { settings("{'groupAccess':[]}"); }
static void s_wrong(void) { settings("{'groupAccess':[" OF("devs", "owner") "," OF("ops", "edit") "," OF("ops", "view") "]}"); }
static void s_unlabel(void) { space(NS, ""); }
static void s_label(void) { space(NS, "'ambient-code.io/managed':'true'"); }
static void s_gone(void) { fake_host_remove(fake, PS_SETTINGS, NS, PS_NAME); }
static void s_secret(void) { fake_host_put(fake, PS_SECRET, "{'metadata':{'name':'keys','namespace':'" NS "'}}"); }
static void s_foreign(void) { binding("devs-edit", "}," ROLE_REF("view") "," GROUP("devs") "}"); }
static void s_hand(void) { if (fake_host_has(fake, PS_BINDING, NS, "devs-edit")) fake_host_merge(fake, PS_BINDING, NS,
	"devs-edit", "{" GROUP("everybody") "}"); }
static void s_old(void) { binding("devs-edit", ",'labels':{'ambient-code.io/managed':'true'}}," ROLE_REF("ambient-project-edit") ","
	GROUP("devs") "}"); binding("left-admin", ",'labels':{'ambient-code.io/managed':'true'}},"
	ROLE_REF("ambient-project-admin") "," GROUP("left") "}"); }

static const struct scenario {
	const char *name;
	void (*steps[5])(void);
	size_t bindings;
	const char *ready; /* the reason of Ready at the end */
} scenarios[] = {
	{ "asked for", { s_ask, s_secret }, 2, "Applied" },
	{ "changed", { s_ask, s_change }, 1, "Applied" },
	{ "no more", { s_ask, s_nothing }, 0, "Applied" },
	{ "wrong entries", { s_ask, s_wrong }, 1, "EntryInvalid" },
	{ "no label", { s_ask, s_unlabel }, 0, "NamespaceNotManaged" },
	{ "no label for a while", { s_ask, s_secret, s_unlabel, s_label }, 2, "Applied" },
	{ "made by nobody", { s_label, s_gone }, 0, "Applied" },
	{ "unlabelled and untouched", { s_label, s_unlabel }, 0, "(none)" },
	{ "in the way", { s_foreign, s_ask }, 2, "NameConflict" },
	{ "changed by hand", { s_ask, s_hand, s_secret }, 2, "Applied" },
	{ "of the older platform", { s_old, s_ask, s_secret }, 2, "Applied" },
	{ "everything at once", { s_ask, s_hand, s_wrong, s_change, s_nothing }, 0, "Applied" },
};

static void
dump(char *out, size_t size)
{
	static const char *const kinds[] = { PS_SETTINGS, PS_BINDING, PS_RANGE, PS_QUOTA };
	/* Not who made the settings: that is another when nobody looked before the user wrote them. */
	static const char *const parts[] = { "/spec", "/roleRef", "/subjects", "/metadata/labels",
					     "/metadata/annotations/ambient-code.io~1groupName", "/status/groupBindingsCreated",
					     "/status/limitRangeReady" };
	static const char *const members[] = { "status", "reason", "message" };
	size_t n = 0;

	for (size_t k = 0; k < 4; k++)
		for (size_t i = 0; i < fake_host_count(fake, kinds[k], NS); i++) {
			const char *name = strchr(fake_host_name(fake, kinds[k], NS, i), '/') + 1;

			n += (size_t)snprintf(out + n, size - n, "%s %s\n", kinds[k], name);
			for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
				const char *value = fake_host_at(fake, kinds[k], NS, name, parts[p]);

				n += (size_t)snprintf(out + n, size - n, "  %s\n", value != NULL ? value : "-");
			}
		}
	static const char *const all[] = { "Ready", "SpecValid", "GroupAccessReady", "SecretsReady", "LimitRangeReady",
					   "ResourceQuotaReady" };

	for (size_t c = 0; c < sizeof(all) / sizeof(all[0]); c++)
		for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++)
			n += (size_t)snprintf(out + n, size - n, "%s %s\n", all[c], cond(all[c], members[m]));
	ck_assert_uint_lt(n, size);
}

/* at_write: everything from that write on fails in the first look after each step; unseen: so many first reads find
 * nothing; at_once: nobody looks before the last step.  Whether a write was cut off. */
static bool
run_scenario(const struct scenario *s, int at_write, int unseen, bool at_once, char *out, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool crashed = false;

	begin();
	for (size_t i = 0; i < 5 && s->steps[i] != NULL; i++) {
		s->steps[i]();
		if (at_once && i < 4 && s->steps[i + 1] != NULL)
			continue;
		writes_left = at_write;
		blind = unseen;
		crashed = (look(&err) < 0 && writes_left == 0) || crashed;
		writes_left = -1;
		blind = 0;
		settle();
	}
	dump(out, size);
	ck_assert_msg(fake_host_count(fake, PS_BINDING, NS) == s->bindings, "%s:\n%s", s->name, out);
	ck_assert_msg(strcmp(cond("Ready", "reason"), s->ready) == 0, "%s:\n%s", s->name, out);
	end();
	return crashed;
}

static void
same_end(const struct scenario *s, const char *how, int n, const char *want, const char *got)
{
	ck_assert_msg(strcmp(want, got) == 0, "%s, %s %d: ends as\n%s\ninstead of\n%s", s->name, how, n, got, want);
}

START_TEST(rule_28_crash_after_each_write)
{
	static char want[65536], got[65536];
	int k = 0;

	(void)run_scenario(&scenarios[_i], -1, 0, false, want, sizeof(want));
	for (bool crashed = true; crashed; k++) {
		ck_assert_int_lt(k, 40);
		crashed = run_scenario(&scenarios[_i], k, 0, false, got, sizeof(got));
		same_end(&scenarios[_i], "cut at write", k, want, got);
	}
	ck_assert_int_gt(k, 1);
}
END_TEST

START_TEST(lagging_cache_ends_the_same)
{
	static char want[65536], got[65536];

	(void)run_scenario(&scenarios[_i], -1, 0, false, want, sizeof(want));
	for (int k = 1; k < 12; k++) {
		(void)run_scenario(&scenarios[_i], -1, k, false, got, sizeof(got));
		same_end(&scenarios[_i], "unseen reads", k, want, got);
	}
}
END_TEST

/* A daemon that has just started and whose cache is as old as the n-th write after each step; what it tries may fail. */
static bool
run_with_old_cache(const struct scenario *s, int n, char *out, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool cut_off = false;

	begin();
	for (size_t i = 0; i < 5 && s->steps[i] != NULL; i++) {
		s->steps[i]();
		writes_left = n;
		cut_off = (look(&err) < 0 && writes_left == 0) || cut_off;
		writes_left = -1;
		fake_host_remember(fake);
		settle();
		fake_host_destroy(fake);
		(void)fake_host_create(fake);
		fake_host_lag(fake, true);
		for (int k = 0; k < 3; k++)
			(void)look(&err);
		fake_host_lag(fake, false);
		settle();
	}
	dump(out, size);
	end();
	return cut_off;
}

START_TEST(cache_as_old_as_any_write)
{
	static char want[65536], got[65536];
	int n = 0;

	(void)run_scenario(&scenarios[_i], -1, 0, false, want, sizeof(want));
	for (bool cut_off = true; cut_off; n++) {
		ck_assert_int_lt(n, 40);
		cut_off = run_with_old_cache(&scenarios[_i], n, got, sizeof(got));
		same_end(&scenarios[_i], "an old cache", n, want, got);
	}
	ck_assert_int_gt(n, 1);
}
END_TEST

START_TEST(coalesced_events_end_the_same)
{
	static char want[65536], got[65536];

	(void)run_scenario(&scenarios[_i], -1, 0, false, want, sizeof(want));
	(void)run_scenario(&scenarios[_i], -1, 0, true, got, sizeof(got));
	same_end(&scenarios[_i], "in one", 0, want, got);
}
END_TEST

/* ---- the singleton */

START_TEST(singleton_for_each_managed_namespace)
{
	begin();
	space("theirs", "'a':'b'");
	space("other", "'ambient-code.io/managed':'false'");
	fake_host_put(fake, PS_NS, "{'metadata':{'name':'leaving','labels':{'ambient-code.io/managed':'true'},"
		      "'deletionTimestamp':'2026-01-01T00:00:00Z','finalizers':['x/y']}}");
	static const char *const names[] = { NS, "theirs", "other", "leaving", "gone" };

	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(fake_host_reconcile(fake, "projects", "", names[i], NULL, NULL), 0);
	ck_assert_uint_eq(fake_host_count(fake, PS_SETTINGS, NULL), 1);
	ck_assert_str_eq(at("/spec"), "{\"groupAccess\":[]}");
	fake_host_remove(fake, PS_SETTINGS, NS, PS_NAME);
	ck_assert_int_eq(fake_host_reconcile(fake, "projects", "", NS, NULL, NULL), 0);
	ck_assert(fake_host_has(fake, PS_SETTINGS, NS, PS_NAME));
	end();
}
END_TEST

START_TEST(behaviour_11_5_singleton_name_enforced)
{
	begin();
	fake_host_put(fake, PS_SETTINGS, "{'metadata':{'name':'settings','namespace':'" NS "'},'spec':{'groupAccess':["
		      OF("devs", "admin") "],'enableAutoCleanup':true,'retentionCount':1}}");
	ck_assert_int_eq(fake_host_reconcile(fake, "settings", NS, "settings", NULL, NULL), 0);
	ck_assert_int_eq(fake_host_reconcile(fake, "retention", NS, "settings", NULL, NULL), 0);
	ck_assert_uint_eq(fake_host_count(fake, PS_BINDING, NS), 0);
	ck_assert_str_eq(fake_host_at(fake, PS_SETTINGS, NS, "settings", "/status/conditions/0/reason"), "NotTheSingleton");
	ck_assert_ptr_nonnull(strstr(fake_host_at(fake, PS_SETTINGS, NS, "settings", "/status/conditions/0/message"),
				     "metadata.name"));
	ck_assert_ptr_null(fake_host_at(fake, PS_SETTINGS, NS, "settings", "/status/sessions"));
	end();
}
END_TEST

START_TEST(behaviour_11_5_unmanaged_namespace_ignored)
{
	begin();
	space(NS, "");
	settings(ALL_OF_IT);
	settle();
	(void)count_and_clean();
	ck_assert_uint_eq(fake_host_calls(fake, "apply", PS_BINDING) + fake_host_calls(fake, "apply", PS_RANGE), 0);
	ck_assert_str_eq(cond("Ready", "reason"), "NamespaceNotManaged");
	ck_assert_str_eq(at("/status/sessions"), "(none)");
	ck_assert(fake_host_has(fake, PS_SETTINGS, NS, PS_NAME));
	end();
}
END_TEST

/* ---- access */

START_TEST(behaviour_11_5_group_access_add_change_remove)
{
	begin();
	settings("{'groupAccess':[" OF("devs", "edit") "]}");
	settle();
	ck_assert_str_eq(fake_host_at(fake, PS_BINDING, NS, "devs-edit", "/roleRef/name"), "ambient-project-edit");
	ck_assert_str_eq(fake_host_at(fake, PS_BINDING, NS, "devs-edit", "/subjects/0/kind"), "Group");
	ck_assert_str_eq(fake_host_at(fake, PS_BINDING, NS, "devs-edit", "/subjects/0/name"), "devs");
	ck_assert_str_eq(at("/status/groupBindingsCreated"), "1");
	settings("{'groupAccess':[" OF("devs", "view") "," OF("ops", "admin") "]}");
	settle();
	ck_assert(!fake_host_has(fake, PS_BINDING, NS, "devs-edit"));
	ck_assert_str_eq(fake_host_at(fake, PS_BINDING, NS, "devs-view", "/roleRef/name"), "ambient-project-view");
	ck_assert_str_eq(at("/status/groupBindingsCreated"), "2");
	settings("{'groupAccess':[]}");
	settle();
	ck_assert_uint_eq(fake_host_count(fake, PS_BINDING, NS), 0);
	ck_assert_str_eq(at("/status/groupBindingsCreated"), "0");
	end();
}
END_TEST

/* Revoked groupAccess keeps its RoleBinding; also one that the operator of the older platform made and left. */
START_TEST(weakness_12_3_f_revoked_access_goes)
{
	begin();
	s_old();
	binding("ambient-permission-edit-joe-user", ",'labels':{'app':'ambient-permission'}}," ROLE_REF("ambient-project-edit") "}");
	binding("mine-view", "}," ROLE_REF("ambient-project-view") "," GROUP("mine") "}");
	settings("{'groupAccess':[" OF("devs", "edit") "]}");
	settle();
	ck_assert(!fake_host_has(fake, PS_BINDING, NS, "left-admin"));
	ck_assert(fake_host_has(fake, PS_BINDING, NS, "ambient-permission-edit-joe-user"));
	ck_assert(fake_host_has(fake, PS_BINDING, NS, "mine-view"));
	ck_assert_str_eq(fake_host_at(fake, PS_BINDING, NS, "devs-edit", "/metadata/ownerReferences/0/uid"), at("/metadata/uid"));
	/* A grant that cannot be made holds up no revocation. */
	settings("{'groupAccess':[" OF("new", "edit") "]}");
	fake_host_fail(fake, "apply", PS_BINDING, AMBIENT_E_FORBIDDEN, 1);
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_int_eq(look(&err), -AMBIENT_E_FORBIDDEN);
	ck_assert(!fake_host_has(fake, PS_BINDING, NS, "devs-edit"));
	ck_assert_str_eq(cond("GroupAccessReady", "reason"), "BindingFailed");
	ck_assert_ptr_nonnull(strstr(cond("GroupAccessReady", "message"), "spec.groupAccess[0]"));
	end();
}
END_TEST

/* Its definition was removed: nobody says when that comes back. */
START_TEST(weakness_12_1_a_settings_whose_definition_is_missing)
{
	struct ambient_result result = { .size = sizeof(result) };

	begin();
	fake_host_fail(fake, "create", PS_SETTINGS, AMBIENT_E_NOTFOUND, 1);
	ck_assert_int_eq(fake_host_reconcile(fake, "projects", "", NS, &result, NULL), 0);
	ck_assert_int_eq(result.requeue_after, 10 * AMBIENT_SECOND);
	result.requeue_after = 0;
	ck_assert_int_eq(fake_host_reconcile(fake, "projects", "", NS, &result, NULL), 0);
	ck_assert(fake_host_has(fake, PS_SETTINGS, NS, PS_NAME));
	ck_assert_int_eq(result.requeue_after, 0);
	end();
}
END_TEST

/* A handler's error is not retried: here a step that failed is an error of the reconcile, and the others were done. */
START_TEST(weakness_12_1_a_what_failed_is_tried_again)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	settings(ALL_OF_IT);
	fake_host_fail(fake, "apply", PS_BINDING, AMBIENT_E_UNAVAILABLE, 1);
	ck_assert_int_eq(look(&err), -AMBIENT_E_UNAVAILABLE);
	ck_assert(!fake_host_has(fake, PS_BINDING, NS, "devs-edit"));
	ck_assert(fake_host_has(fake, PS_BINDING, NS, "ops-admin"));
	ck_assert(fake_host_has(fake, PS_QUOTA, NS, PS_QUOTA_NAME));
	ck_assert_str_eq(cond("Ready", "status"), "False");
	settle();
	ck_assert(fake_host_has(fake, PS_BINDING, NS, "devs-edit"));
	ck_assert_str_eq(cond("GroupAccessReady", "status"), "True");
	/* A role that is missing in the cluster is no reason to be silent. */
	fake_host_fail(fake, "apply", PS_BINDING, AMBIENT_E_NOTFOUND, 1);
	ck_assert_int_eq(look(&err), -AMBIENT_E_NOTFOUND);
	end();
}
END_TEST

/* Status is not rewritten while nothing changes, and a conflict is a retry. */
START_TEST(weakness_12_1_i_status_is_written_when_it_changes)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	settings(ALL_OF_IT);
	settle();
	const char *version = at("/metadata/resourceVersion");

	for (int i = 0; i < 5; i++) {
		fake_host_advance(fake, 3600 * AMBIENT_SECOND);
		ck_assert_int_eq(look(&err), 0);
	}
	ck_assert_str_eq(at("/metadata/resourceVersion"), version);
	ck_assert_str_eq(cond("Ready", "lastTransitionTime"), "2026-01-01T00:00:00Z");
	ck_assert_str_eq(cond("Ready", "observedGeneration"), at("/metadata/generation"));
	fake_host_fail(fake, "status", PS_SETTINGS, AMBIENT_E_CONFLICT, 1);
	ck_assert_int_eq(look(&err), -AMBIENT_E_CONFLICT);
	end();
}
END_TEST

/* Owner references name a version that there is. */
START_TEST(weakness_12_2_d_children_name_their_owner)
{
	static const char *const all[][2] = {
		{ PS_BINDING, "devs-edit" }, { PS_RANGE, PS_RANGE_NAME }, { PS_QUOTA, PS_QUOTA_NAME },
	};

	begin();
	settings(ALL_OF_IT);
	settle();
	for (size_t i = 0; i < 3; i++) {
		const char *prefix = "/metadata/ownerReferences/0/";
		char pointer[64];

		(void)snprintf(pointer, sizeof(pointer), "%sapiVersion", prefix);
		ck_assert_str_eq(fake_host_at(fake, all[i][0], NS, all[i][1], pointer), PS_API);
		(void)snprintf(pointer, sizeof(pointer), "%suid", prefix);
		ck_assert_str_eq(fake_host_at(fake, all[i][0], NS, all[i][1], pointer), at("/metadata/uid"));
		(void)snprintf(pointer, sizeof(pointer), "%scontroller", prefix);
		ck_assert_str_eq(fake_host_at(fake, all[i][0], NS, all[i][1], pointer), "true");
	}
	end();
}
END_TEST

static const struct {
	const char *group, *role, *name;
} names[] = {
	{ "devs", "edit", "devs-edit" },
	{ "system:authenticated", "view", "system:authenticated-view" },
	{ "Team_A.x@y", "admin", "Team_A.x@y-admin" },
	{ "oidc:/a b", "view", "oidc:-a-b-" },
	{ "..", "view", "..-view" },
	{ "gr\xc3\xbcn", "edit", "gr--n-" },
};

/* Group names that are no names of objects fail. */
START_TEST(weakness_3_2_every_group_has_a_name_for_its_binding)
{
	char name[PS_BINDING_MAX], other[PS_BINDING_MAX], group[254];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ps_binding_name(name, names[i].group, names[i].role);
		ck_assert_msg(strncmp(name, names[i].name, strlen(names[i].name)) == 0, "%s", name);
		ck_assert_str_eq(name + strlen(name) - strlen(names[i].role), names[i].role);
		for (const char *p = name; *p != '\0'; p++)
			ck_assert_msg(strchr("/% ", *p) == NULL && (unsigned char)*p < 0x80, "%s", name);
	}
	memset(group, 'g', 253);
	group[253] = '\0';
	ps_binding_name(name, group, "admin");
	group[252] = 'h';
	ps_binding_name(other, group, "admin");
	ck_assert_uint_le(strlen(name), 253);
	ck_assert_str_ne(name, other);
}
END_TEST

START_TEST(entries_that_cannot_hold_are_named_and_grant_nothing)
{
	begin();
	settings("{'groupAccess':[" OF("a", "edit") "," OF("b", "root") "," OF("", "view") "," OF("a", "view") "," OF("a", "edit") ","
		 OF("c", "view") "]}");
	settle();
	ck_assert_uint_eq(fake_host_count(fake, PS_BINDING, NS), 2);
	ck_assert(fake_host_has(fake, PS_BINDING, NS, "a-edit"));
	ck_assert(fake_host_has(fake, PS_BINDING, NS, "c-view"));
	const char *said = cond("GroupAccessReady", "message");

	ck_assert_ptr_nonnull(strstr(said, "spec.groupAccess[1].role"));
	ck_assert_ptr_nonnull(strstr(said, "spec.groupAccess[2].groupName"));
	ck_assert_ptr_nonnull(strstr(said, "spec.groupAccess[3] (\"a\") gives the group another role than spec.groupAccess[0]"));
	ck_assert_ptr_null(strstr(said, "spec.groupAccess[4]"));
	ck_assert_str_eq(cond("Ready", "status"), "False");
	/* An entry that becomes wrong no longer grants. */
	settings("{'groupAccess':[" OF("a", "none") "]}");
	settle();
	ck_assert_uint_eq(fake_host_count(fake, PS_BINDING, NS), 0);
	end();
}
END_TEST

START_TEST(many_wrong_entries_are_counted)
{
	static char spec[65536];
	size_t n = (size_t)snprintf(spec, sizeof(spec), "{'groupAccess':[");

	for (int i = 0; i < 600; i++)
		n += (size_t)snprintf(spec + n, sizeof(spec) - n, "%s{'groupName':'g%d','role':'%s'}", i > 0 ? "," : "", i,
				      i < 590 ? "x" : "view");
	(void)snprintf(spec + n, sizeof(spec) - n, "]}");
	begin();
	char *json = malloc(sizeof(spec) + 200);

	(void)snprintf(json, sizeof(spec) + 200, "{'metadata':{'name':'projectsettings','namespace':'" NS "'},'spec':%s}", spec);
	fake_host_put(fake, PS_SETTINGS, json);
	free(json);
	settle();
	ck_assert_ptr_nonnull(strstr(cond("GroupAccessReady", "message"), "more"));
	ck_assert_uint_lt(strlen(cond("GroupAccessReady", "message")), 512);
	ck_assert_uint_eq(fake_host_count(fake, PS_BINDING, NS), 0);
	end();
}
END_TEST

/* An answer is cut where it is too long: what is whole stays, wherever the cut is. */
START_TEST(half_a_character_is_left_out)
{
	static const char *const want[] = { "", "a", "a", "a\xc3\xa4", "a\xc3\xa4", "a\xc3\xa4", "a\xc3\xa4\xe2\x82\xac",
					    "a\xc3\xa4\xe2\x82\xacz" };

	for (int i = 0; i < (int)(sizeof(want) / sizeof(want[0])); i++) {
		struct ps_status st = { 0 };

		ps_bad(&st, PS_LIMITS, "NotApplied", "%.*s", i, "a\xc3\xa4\xe2\x82\xacz");
		ck_assert_str_eq(st.cond[PS_LIMITS].message, want[i]);
	}
}
END_TEST

START_TEST(a_binding_of_ours_with_another_role_is_made_anew)
{
	begin();
	settings("{'groupAccess':[" OF("devs", "view") "]}");
	settle();
	fake_host_merge(fake, PS_BINDING, NS, "devs-view", "{" ROLE_REF("cluster-admin") "}");
	settle();
	ck_assert_str_eq(fake_host_at(fake, PS_BINDING, NS, "devs-view", "/roleRef/name"), "ambient-project-view");
	ck_assert_uint_eq(fake_host_calls(fake, "delete", PS_BINDING), 1);
	end();
}
END_TEST

/* ---- limits, secrets, defaults */

START_TEST(limits_come_change_and_go)
{
	begin();
	settings(ALL_OF_IT);
	settle();
	ck_assert_str_eq(fake_host_at(fake, PS_RANGE, NS, PS_RANGE_NAME, "/spec/limits/0/default/memory"), "4Gi");
	ck_assert_str_eq(fake_host_at(fake, PS_QUOTA, NS, PS_QUOTA_NAME, "/spec/hard/pods"), "5");
	ck_assert_str_eq(at("/status/limitRangeReady"), "true");
	settings("{'groupAccess':[],'limitRange':{'limits':[{'type':'Pod'}]},'resourceQuota':{'hard':{'pods':'6'}}}");
	settle();
	ck_assert_str_eq(fake_host_at(fake, PS_RANGE, NS, PS_RANGE_NAME, "/spec/limits"), "[{\"type\":\"Pod\"}]");
	ck_assert_str_eq(fake_host_at(fake, PS_QUOTA, NS, PS_QUOTA_NAME, "/spec/hard/pods"), "6");
	settings("{'groupAccess':[]}");
	settle();
	ck_assert_uint_eq(fake_host_count(fake, PS_RANGE, NS) + fake_host_count(fake, PS_QUOTA, NS), 0);
	ck_assert_str_eq(at("/status/limitRangeReady"), "(none)");
	ck_assert_str_eq(cond("LimitRangeReady", "status"), "(none)");
	end();
}
END_TEST

START_TEST(limits_of_others_are_left_alone)
{
	begin();
	fake_host_put(fake, PS_RANGE, "{'metadata':{'name':'ambient-default-limits','namespace':'" NS "'},'spec':{'limits':[]}}");
	settings("{'groupAccess':[],'limitRange':{}}");
	settle();
	ck_assert_str_eq(fake_host_at(fake, PS_RANGE, NS, PS_RANGE_NAME, "/spec"), "{\"limits\":[]}");
	ck_assert_str_eq(cond("LimitRangeReady", "reason"), "NameConflict");
	ck_assert_str_eq(at("/status/limitRangeReady"), "false");
	settings("{'groupAccess':[]}");
	settle();
	ck_assert(fake_host_has(fake, PS_RANGE, NS, PS_RANGE_NAME));
	end();
}
END_TEST

START_TEST(what_the_server_refuses_is_said_and_not_repeated)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	settings("{'groupAccess':[],'resourceQuota':{'hard':{'pods':'many'}}}");
	fake_host_fail(fake, "apply", PS_QUOTA, AMBIENT_E_INVALID, 1);
	ck_assert_int_eq(look(&err), 0);
	ck_assert_str_eq(cond("ResourceQuotaReady", "reason"), "Invalid");
	ck_assert_ptr_nonnull(strstr(cond("Ready", "message"), "spec.resourceQuota"));
	ck_assert_ptr_nonnull(fake_host_event(fake, "Invalid"));
	end();
}
END_TEST

/* A Secret that is missing is waited for by a watch, and its coming is seen. */
START_TEST(weakness_12_1_b_a_secret_that_comes_later_is_seen)
{
	begin();
	settings("{'groupAccess':[],'runnerSecretsName':'keys','anthropicApiKeySecret':'keys','gitCredentialsSecret':'git'}");
	settle();
	ck_assert_str_eq(cond("SecretsReady", "reason"), "SecretMissing");
	ck_assert_ptr_nonnull(strstr(cond("SecretsReady", "message"), "spec.runnerSecretsName: there is no Secret \"keys\""));
	ck_assert_ptr_nonnull(strstr(cond("SecretsReady", "message"), "spec.gitCredentialsSecret"));
	ck_assert_ptr_null(strstr(cond("SecretsReady", "message"), "anthropic"));
	s_secret();
	fake_host_put(fake, PS_SECRET, "{'metadata':{'name':'git','namespace':'" NS "'}}");
	settle();
	ck_assert_str_eq(cond("SecretsReady", "reason"), "Found");
	ck_assert_str_eq(cond("Ready", "status"), "True");
	ck_assert_ptr_nonnull(fake_host_event(fake, "Applied"));
	/* That there is a watch which wakes us is in the declarations. */
	const char *p = ambient_plugin_v1.decl;
	bool watched = false;

	for (; p < ambient_plugin_v1.decl + ambient_plugin_v1.decl_len; p += strlen(p) + 1)
		watched = watched || (strstr(p, "watch=v1/secrets ") == p && strstr(p, "only=metadata") != NULL);
	ck_assert(watched);
	end();
}
END_TEST

START_TEST(spec_problems_are_named)
{
	begin();
	settings("{'groupAccess':[],'runnerSecretsName':'a','anthropicApiKeySecret':'b','runnerType':'gemini'}");
	settle();
	ck_assert_str_eq(cond("SpecValid", "status"), "False");
	ck_assert_ptr_nonnull(strstr(cond("SpecValid", "message"), "spec.anthropicApiKeySecret differs from its alias"));
	ck_assert_ptr_nonnull(strstr(cond("SpecValid", "message"), "those that are: claude-code, command"));
	settings("{'groupAccess':[],'runnerType':'command'}");
	settle();
	ck_assert_str_eq(cond("SpecValid", "status"), "True");
	end();
}
END_TEST

/* ---- counts and retention */

static void
session(const char *name, const char *phase, int days_ago, const char *metadata)
{
	char json[1024], when[32];

	ambient_time(when, fake_host_wall(fake) - days_ago * INT64_C(86400) * AMBIENT_SECOND);
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','namespace':'" NS "'%s},'status':{'phase':'%s'%s%s%s}}", name,
		       metadata, phase, days_ago >= 0 ? ",'completionTime':'" : "", days_ago >= 0 ? when : "",
		       days_ago >= 0 ? "'" : "");
	fake_host_put(fake, PS_SESSION, json);
}

static bool
there(const char *name)
{
	return fake_host_has(fake, PS_SESSION, NS, name);
}

static void
some_sessions(void)
{
	session("new", "Completed", 1, "");
	session("old", "Failed", 8, "");
	session("older", "Stopped", 30, "");
	session("busy", "Running", -1, "");
	session("waiting", "", -1, "");
	session("step", "Completed", 40, ",'ownerReferences':[{'kind':'RFEWorkflow','name':'w','uid':'u','controller':true}]");
	session("unknown", "Completed", -1, "");
	session("again", "Completed", 9, ",'annotations':{'ambient-code.io/desired-phase':'Running',"
		"'ambient-code.io/start-requested-at':'2026-01-01T00:00:00Z'}");
	fake_host_put(fake, PS_SESSION, "{'metadata':{'name':'other','namespace':'team-b'},'status':{'phase':'Completed',"
		      "'completionTime':'2020-01-01T00:00:00Z'}}");
}

START_TEST(sessions_are_counted)
{
	begin();
	settings("{'groupAccess':[]}");
	some_sessions();
	ck_assert_int_eq(count_and_clean(), 0);
	ck_assert_str_eq(at("/status/sessions/total"), "8");
	ck_assert_str_eq(at("/status/sessions/phases"),
			 "{\"Pending\":1,\"Running\":1,\"Stopped\":1,\"Completed\":4,\"Failed\":1}");
	ck_assert_str_eq(at("/status/sessions/observedTime"), "2026-01-01T00:00:00Z");
	/* Without being asked to, nothing is deleted. */
	ck_assert_uint_eq(fake_host_calls(fake, "delete", PS_SESSION), 0);
	/* Whatever happens meanwhile, they are written every ten seconds at most. */
	session("busy", "Completed", 0, "");
	for (int i = 0; i < 5; i++) {
		fake_host_advance(fake, AMBIENT_SECOND);
		ck_assert_int_eq(count_and_clean(), (9 - i) * AMBIENT_SECOND);
	}
	ck_assert_str_eq(at("/status/sessions/phases/Running"), "1");
	fake_host_advance(fake, 5 * AMBIENT_SECOND);
	ck_assert_int_eq(count_and_clean(), 0);
	ck_assert_str_eq(at("/status/sessions/phases/Running"), "(none)");
	ck_assert_uint_eq(fake_host_calls(fake, "status", PS_SETTINGS), 2);
	/* And not at all while they are right. */
	fake_host_advance(fake, 3600 * AMBIENT_SECOND);
	(void)count_and_clean();
	ck_assert_uint_eq(fake_host_calls(fake, "status", PS_SETTINGS), 2);
	end();
}
END_TEST

/* The documents promise retention, and nothing did it. */
START_TEST(weakness_12_5_c_retention_by_age)
{
	begin();
	settings("{'groupAccess':[],'enableAutoCleanup':true}");
	some_sessions();
	/* The next one is six days old in six days; the clock may be set until then. */
	ck_assert_int_eq(count_and_clean(), 3600 * AMBIENT_SECOND);
	ck_assert(!there("old") && !there("older"));
	ck_assert(there("new") && there("busy") && there("waiting") && there("step") && there("unknown") && there("again"));
	ck_assert(fake_host_has(fake, PS_SESSION, "team-b", "other"));
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "SessionsDeleted"), "deleted 2 sessions"));
	fake_host_advance(fake, (INT64_C(6) * 86400 - 100) * AMBIENT_SECOND);
	ck_assert_int_eq(count_and_clean(), 100 * AMBIENT_SECOND);
	ck_assert(there("new"));
	fake_host_advance(fake, 100 * AMBIENT_SECOND);
	(void)count_and_clean();
	ck_assert(!there("new") && there("step"));
	end();
}
END_TEST

START_TEST(retention_by_count)
{
	begin();
	settings("{'groupAccess':[],'enableAutoCleanup':true,'retentionDays':0,'retentionCount':2}");
	some_sessions();
	ck_assert_int_eq(count_and_clean(), 0);
	ck_assert(there("new") && there("old") && !there("older") && there("step") && there("again"));
	settings("{'groupAccess':[],'enableAutoCleanup':true,'retentionDays':0}");
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	ck_assert_int_eq(count_and_clean(), 0);
	ck_assert(there("new") && there("old"));
	end();
}
END_TEST

/* The claim goes with the session that made it, so that one stays while another session works on its files, waits to, or has not
 * even been looked at; and whoever is to run again, as far as that was not served yet. */
START_TEST(retention_leaves_a_workspace_that_is_in_use)
{
	begin();
	settings("{'groupAccess':[],'enableAutoCleanup':true}");
	for (const char *const *name = (const char *const[]){ "lender", "asked", "chain", "free", NULL }; *name != NULL; name++)
		session(*name, "Completed", 9, "");
	fake_host_put(fake, PS_SESSION, "{'metadata':{'name':'worker','namespace':'" NS "'},'status':{'phase':'Pending',"
		      "'effective':{'workspace':'lender'}}}");
	fake_host_put(fake, PS_SESSION, "{'metadata':{'name':'young','namespace':'" NS "','annotations':"
		      "{'vteam.ambient-code/parent-session-id':'asked'}},'spec':{}}");
	/* The child has ended; who continues it works where it did. */
	fake_host_put(fake, PS_SESSION, "{'metadata':{'name':'child','namespace':'" NS "'},'status':{'phase':'Completed',"
		      "'completionTime':'2025-12-31T00:00:00Z','effective':{'workspace':'chain'}}}");
	fake_host_put(fake, PS_SESSION, "{'metadata':{'name':'grandchild','namespace':'" NS "'},'spec':{'environmentVariables':"
		      "{'PARENT_SESSION_ID':'child'}}}");
	/* A wish that was served is none, whatever its clock said. */
	fake_host_put(fake, PS_SESSION, "{'metadata':{'name':'served','namespace':'" NS "','annotations':{'ambient-code.io/desired-phase':"
		      "'Running','ambient-code.io/start-requested-at':'2030-01-01T00:00:00Z'}},'spec':{'desiredState':'Running'},'status':"
		      "{'phase':'Completed','completionTime':'2025-12-20T00:00:00Z','intent':{'spec':'Running','annotation':"
		      "'Running@2030-01-01T00:00:00Z'}}}");
	fake_host_put(fake, PS_SESSION, "{'metadata':{'name':'wanted','namespace':'" NS "'},'spec':{'desiredState':'Running'},'status':"
		      "{'phase':'Completed','completionTime':'2025-12-20T00:00:00Z'}}");
	fake_host_put(fake, PS_SESSION, "{'metadata':{'name':'kept','namespace':'" NS "'},'status':{'phase':'Completed','completionTime':"
		      "'2025-12-20T00:00:00Z','intent':{'again':'true'}}}");
	(void)count_and_clean();
	ck_assert(!there("free") && !there("served"));
	ck_assert(there("lender") && there("asked") && there("chain") && there("wanted") && there("kept"));
	/* When they are done, and by nothing else than their end. */
	session("young", "Completed", 0, ",'annotations':{'vteam.ambient-code/parent-session-id':'asked'}");
	fake_host_merge(fake, PS_SESSION, NS, "worker", "{'status':{'phase':'Failed','completionTime':'2026-01-01T00:00:00Z'}}");
	fake_host_remove(fake, PS_SESSION, NS, "grandchild");
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	(void)count_and_clean();
	ck_assert(!there("lender") && !there("asked") && !there("chain") && there("worker") && there("wanted"));
	end();
}
END_TEST

/* One that is started again between our look and our deletion stays. */
START_TEST(retention_spares_what_changed_meanwhile)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	settings("{'groupAccess':[],'enableAutoCleanup':true}");
	session("old", "Completed", 8, "");
	fake_host_fail(fake, "delete", PS_SESSION, AMBIENT_E_CONFLICT, 1);
	ck_assert_int_eq(fake_host_reconcile(fake, "retention", NS, PS_NAME, NULL, &err), -AMBIENT_E_CONFLICT);
	ck_assert(there("old"));
	/* It is the version that was read which is asked to go. */
	struct ambient_call *call = fake_host_call_begin(fake, NULL, NULL, NULL);
	const struct ambient_object *read = NULL;

	ck_assert_int_eq(ambient_get(call, PS_SESSION, NS, "old", &read, &err), 0);
	session("old", "Creating", -1, "");
	ck_assert_int_eq(ps_delete(call, PS_SESSION, read, &err), -AMBIENT_E_CONFLICT);
	ck_assert(there("old"));
	fake_host_call_end(call);
	end();
}
END_TEST

START_TEST(retention_of_thousands_goes_in_parts)
{
	char name[32];

	begin();
	settings("{'groupAccess':[],'enableAutoCleanup':true}");
	for (int i = 0; i < 450; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		session(name, "Completed", 8, "");
	}
	ck_assert_int_eq(count_and_clean(), AMBIENT_SECOND);
	ck_assert_uint_eq(fake_host_count(fake, PS_SESSION, NS), 250);
	for (int i = 0; i < 2; i++) {
		fake_host_advance(fake, 10 * AMBIENT_SECOND);
		(void)count_and_clean();
	}
	ck_assert_uint_eq(fake_host_count(fake, PS_SESSION, NS), 0);
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	int n = (int)(sizeof(scenarios) / sizeof(scenarios[0]));

	tcase_add_loop_test(tc, rule_28_crash_after_each_write, 0, n);
	tcase_add_loop_test(tc, lagging_cache_ends_the_same, 0, n);
	tcase_add_loop_test(tc, cache_as_old_as_any_write, 0, n);
	tcase_add_loop_test(tc, coalesced_events_end_the_same, 0, n);
	tcase_add_test(tc, singleton_for_each_managed_namespace);
	tcase_add_test(tc, behaviour_11_5_singleton_name_enforced);
	tcase_add_test(tc, behaviour_11_5_unmanaged_namespace_ignored);
	tcase_add_test(tc, behaviour_11_5_group_access_add_change_remove);
	tcase_add_test(tc, weakness_12_3_f_revoked_access_goes);
	tcase_add_test(tc, weakness_12_1_a_settings_whose_definition_is_missing);
	tcase_add_test(tc, weakness_12_1_a_what_failed_is_tried_again);
	tcase_add_test(tc, weakness_12_1_i_status_is_written_when_it_changes);
	tcase_add_test(tc, weakness_12_2_d_children_name_their_owner);
	tcase_add_test(tc, weakness_3_2_every_group_has_a_name_for_its_binding);
	tcase_add_test(tc, entries_that_cannot_hold_are_named_and_grant_nothing);
	tcase_add_test(tc, many_wrong_entries_are_counted);
	tcase_add_test(tc, half_a_character_is_left_out);
	tcase_add_test(tc, a_binding_of_ours_with_another_role_is_made_anew);
	tcase_add_test(tc, limits_come_change_and_go);
	tcase_add_test(tc, limits_of_others_are_left_alone);
	tcase_add_test(tc, what_the_server_refuses_is_said_and_not_repeated);
	tcase_add_test(tc, weakness_12_1_b_a_secret_that_comes_later_is_seen);
	tcase_add_test(tc, spec_problems_are_named);
	tcase_add_test(tc, sessions_are_counted);
	tcase_add_test(tc, weakness_12_5_c_retention_by_age);
	tcase_add_test(tc, retention_by_count);
	tcase_add_test(tc, retention_spares_what_changed_meanwhile);
	tcase_add_test(tc, retention_leaves_a_workspace_that_is_in_use);
	tcase_add_test(tc, retention_of_thousands_goes_in_parts);
}

UNIT_MAIN("projectsettings", cases)
