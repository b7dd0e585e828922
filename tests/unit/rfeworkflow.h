/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rfeworkflow plugin on a fake host, for its unit tests: workflows of namespace "team-a", a client whose writes can be
 * made to fail from one on, a cache that can lag, and the part of the sessions, which the tests play.
 */
#ifndef TESTS_UNIT_RFEWORKFLOW_H
#define TESTS_UNIT_RFEWORKFLOW_H

#include "plugins/rfeworkflow/rfeworkflow.h"

#include "tests/lib/cut.h"
#include "tests/lib/fake_host.h"
#include "tests/lib/unit.h"

#define REQUEST "'request':'log in with what people have','context':'three providers','retries':0"
/* As they were before anything seeded their repositories. */
#define LEGACY UMBRELLA ",'seed':false"
#define UMBRELLA "'title':'Export of all invoices','description':'in one file','umbrellaRepo':{'url':'https://git.example/specs.git'," \
	       "'branch':'trunk'},'supportingRepos':[{'url':'https://git.example/billing.git'}]"

static const char *const council[] = {
	"product-manager", "solution-architect", "staff-engineer", "product-owner", "team-lead", "team-member",
	"delivery-owner", "synthesis",
};

static struct fake_host *fake;
static const struct ambient_cache_api *real_cache;
static struct ambient_cache_api late_cache;
static const struct ambient_object *late; /* what the cache still thinks of the workflow; NULL: it is up to date */

static inline int
late_get(struct ambient_call *call, const char *kind, const char *ns, const char *name, const struct ambient_object **ret,
	 struct ambient_error *err)
{
	if (late != NULL && strcmp(kind, RFE_SESSION) == 0)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "not seen yet");
	if (late != NULL && strcmp(kind, RFE_KIND) == 0) {
		*ret = late;
		return 0;
	}
	return real_cache->get(call, kind, ns, name, ret, err);
}

static inline void
begin_with(const char *conf)
{
	const char *top = getenv("top_srcdir") != NULL ? getenv("top_srcdir") : ".";
	char json[2048];
	struct ambient_host *table;

	fake = fake_host_new(&ambient_plugin_v1);
	if (strstr(conf, "'agents'") == NULL)
		(void)snprintf(json, sizeof(json), "{'agents':'%.800s/etc/agents'%.300s", top, conf);
	else
		(void)snprintf(json, sizeof(json), "{%.300s", conf + 1); /* without its comma */
	if (strstr(conf, "'seed'") == NULL)
		(void)snprintf(json + strlen(json), 900, ",'seed':'%.800s/etc/seed'", top);
	(void)strcat(json, "}");
	for (char *p = json; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	fake_host_set_conf(fake, json);
	fake_host_put(fake, RFE_NS, "{'metadata':{'name':'team-a','labels':{'ambient-code.io/managed':'true'}}}");
	table = fake_host_table(fake);
	cut_install(table);
	real_cache = table->cache;
	late_cache = *real_cache;
	late_cache.get = late_get;
	table->cache = &late_cache;
	late = NULL;
	(void)fake_host_create(fake);
}

static inline void
begin(void)
{
	begin_with("");
}

static inline void
end(void)
{
	fake_host_destroy(fake);
	fake_host_free(fake);
}

static inline void
submit_named(const char *name, const char *spec)
{
	char *json = malloc(strlen(spec) + strlen(name) + 128);

	ck_assert_ptr_nonnull(json);
	(void)sprintf(json, "{'metadata':{'name':'%s','namespace':'team-a'},'spec':{%s}}", name, spec);
	fake_host_put(fake, RFE_KIND, json);
	free(json);
}

static inline const char *
at_of(const char *name, const char *pointer)
{
	const char *s = fake_host_at(fake, RFE_KIND, "team-a", name, pointer);

	return s != NULL ? s : "(none)";
}

static inline const char *
at(const char *pointer)
{
	return at_of("w", pointer);
}

static inline const char *
step(size_t i, const char *member)
{
	char pointer[96];

	(void)snprintf(pointer, sizeof(pointer), "/status/steps/%zu/%s", i, member);
	return at(pointer);
}

static inline const char *
cond_of(const char *name, const char *type, const char *member)
{
	char pointer[128];

	for (int i = 0; i < RFE_CONDITIONS; i++) {
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/type", i);
		if (strcmp(at_of(name, pointer), type) != 0)
			continue;
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/%s", i, member);
		return at_of(name, pointer);
	}
	return "(none)";
}

static inline const char *
cond(const char *type, const char *member)
{
	return cond_of("w", type, member);
}

static inline size_t
writes(void)
{
	return fake_host_calls(fake, "status", RFE_KIND) + fake_host_calls(fake, "create", RFE_SESSION) +
	       fake_host_calls(fake, "patch", RFE_SESSION);
}

static inline int64_t
settle_named(const char *name)
{
	struct ambient_result result = { .size = sizeof(result) };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	for (int i = 0; i < 20; i++) {
		size_t before = writes();

		result.requeue_after = 0;
		ck_assert_msg(fake_host_reconcile(fake, NULL, "team-a", name, &result, &err) == 0, "%s", err.message);
		if (before == writes())
			return result.requeue_after;
	}
	ck_abort_msg("does not settle: phase %s", at_of(name, "/status/phase"));
}

static inline int64_t
settle(void)
{
	return settle_named("w");
}

static inline size_t
sessions(void)
{
	return fake_host_count(fake, RFE_SESSION, "team-a");
}

static inline const char *
session(const char *name, const char *pointer)
{
	const char *s = fake_host_at(fake, RFE_SESSION, "team-a", name, pointer);

	return s != NULL ? s : "(none)";
}

/* A session comes to its end. */
static inline void
ends(const char *name, const char *phase, const char *more)
{
	char patch[1024];

	(void)snprintf(patch, sizeof(patch), "{'status':{'phase':'%s','completionTime':'2026-01-01T00:00:00Z'%s}}", phase, more);
	ck_assert_msg(fake_host_has(fake, RFE_SESSION, "team-a", name), "there is no session %s", name);
	fake_host_merge(fake, RFE_SESSION, "team-a", name, patch);
}

static inline void
says(const char *name, const char *result)
{
	char more[800];

	(void)snprintf(more, sizeof(more), ",'results':'%s'", result);
	ends(name, "Completed", more);
}

static inline void
annotate(const char *run, const char *when)
{
	char patch[400];

	(void)snprintf(patch, sizeof(patch), "{'metadata':{'annotations':{'ambient-code.io/run-step':'%s',"
		       "'ambient-code.io/run-requested-at':'%s'}}}", run, when);
	fake_host_merge(fake, RFE_KIND, "team-a", "w", patch);
}

static inline void
desire(const char *state)
{
	char patch[100];

	(void)snprintf(patch, sizeof(patch), "{'spec':{'desiredState':'%s'}}", state);
	fake_host_merge(fake, RFE_KIND, "team-a", "w", patch);
}

#endif
