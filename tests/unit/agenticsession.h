/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of the agenticsession plugin: a namespace that is managed, a session, its pod and its report, and a client
 * that fails from a chosen write on, as if the daemon had died there.
 */
#ifndef TESTS_UNIT_AGENTICSESSION_H
#define TESTS_UNIT_AGENTICSESSION_H

#include "plugins/agenticsession/agenticsession.h"

#include "tests/lib/cut.h"
#include "tests/lib/fake_host.h"
#include "tests/lib/unit.h"

static struct fake_host *fake;
static unsigned skipped; /* bit n: the n-th settle() is not made, as if its events had been coalesced with the next ones */
static int settled;
static int cut_each = -1; /* n: the first reconcile of each settle() dies at its n-th write */
static bool was_cut;

static inline void
begin_with(const char *conf)
{
	struct ambient_host *table;

	fake = fake_host_new(&ambient_plugin_v1);
	fake_host_set_fact(fake, "runner-image", "ambient-runner:test");
	fake_host_set_fact(fake, "runner-type", "command");
	fake_host_set_plan(fake, "command", "{\"agentEnv\":[{\"name\":\"ANTHROPIC_API_KEY\",\"valueFrom\":"
			   "{\"secretKeyRef\":{\"name\":\"ambient-runner-secrets\",\"key\":\"ANTHROPIC_API_KEY\"}}}]}", NULL);
	fake_host_put(fake, AS_NS, "{'metadata':{'name':'team-a','labels':{'ambient-code.io/managed':'true'}}}");
	table = fake_host_table(fake);
	cut_install(table);
	skipped = 0;
	settled = 0;
	if (conf != NULL)
		fake_host_set_conf(fake, conf);
	(void)fake_host_create(fake);
}

static inline void
begin(void)
{
	begin_with(NULL);
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
	char json[4096];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','namespace':'team-a'},'spec':%s}", name, spec);
	fake_host_put(fake, AS_SESSION, json);
}

#define SPEC "{'prompt':'do','timeout':60,'repos':[{'input':{'url':'https://git.example/a.git'}," \
	     "'output':{'targetBranch':'fix'}}]}"

static inline const char *
at(const char *pointer)
{
	const char *s = fake_host_at(fake, AS_SESSION, "team-a", "s", pointer);

	return s != NULL ? s : "(none)";
}

/* Writes that changed something. */
static inline size_t
writes(void)
{
	return fake_host_calls(fake, "status", AS_SESSION) + fake_host_calls(fake, "create", AS_JOB) +
	       fake_host_calls(fake, "delete", AS_JOB);
}

/* Reconciles until nothing changes. */
static inline int64_t
settle(void)
{
	struct ambient_result result = { .size = sizeof(result) };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (settled < 32 && (skipped >> settled++ & 1) != 0)
		return 0;
	if (cut_each >= 0) {
		writes_left = cut_each;
		was_cut = fake_host_reconcile(fake, NULL, "team-a", "s", NULL, &err) < 0 || was_cut;
		writes_left = -1;
	}
	for (int i = 0; i < 20; i++) {
		size_t before = writes();

		result.requeue_after = 0;
		ck_assert_msg(fake_host_reconcile(fake, NULL, "team-a", "s", &result, &err) == 0, "%s", err.message);
		if (before == writes())
			return result.requeue_after;
	}
	ck_abort_msg("does not settle: phase %s", at("/status/phase"));
}

static inline void
pod(const char *status)
{
	char json[2048];
	const char *run = fake_host_at(fake, AS_JOB, "team-a", "s-job", AS_RUN_ID);

	ck_assert_ptr_nonnull(run);
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'s-job-x','namespace':'team-a','labels':"
		       "{'app':'ambient-code-runner','agentic-session':'s'},'annotations':{'ambient-code.io/session':'s',"
		       "'ambient-code.io/run-id':'%s'}},'spec':{'nodeName':'n1'},'status':%s}", run, status);
	fake_host_put(fake, AS_POD, json);
}

static inline const char *
cond(const char *type, const char *member)
{
	static char pointer[128];

	for (int i = 0; i < AS_CONDITIONS; i++) {
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/type", i);
		if (strcmp(at(pointer), type) != 0)
			continue;
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/%s", i, member);
		return at(pointer);
	}
	return "(none)";
}

static inline void
report(const char *members)
{
	char patch[2048], text[1024], escaped[2000];
	size_t n = 0;

	(void)snprintf(text, sizeof(text), "{\"contract\":1,\"run\":\"%s\",%s}",
		       fake_host_at(fake, AS_JOB, "team-a", "s-job", AS_RUN_ID), members);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			escaped[n++] = '\\';
		escaped[n++] = *p;
	}
	escaped[n] = '\0';
	(void)snprintf(patch, sizeof(patch), "{\"data\":{\"report.json\":\"%s\"}}", escaped);
	fake_host_merge(fake, AS_CM, "team-a", "s-report", patch);
}

#define RUNNER(state) "{'phase':'Running','containerStatuses':[{'name':'runner','state':" state "}," \
		      "{'name':'agent','state':{'running':{'startedAt':'2026-01-01T00:00:05Z'}}}]}"
#define UP    RUNNER("{'running':{'startedAt':'2026-01-01T00:00:05Z'}}")
#define ENDED(code) RUNNER("{'terminated':{'exitCode':" #code ",'reason':'Error'}}")
#define ALL_ENDED "{'phase':'Failed','containerStatuses':[{'name':'runner','state':{'terminated':{'exitCode':143,'reason':'Error'}}}," \
		  "{'name':'agent','state':{'terminated':{'exitCode':143}}}]}"

#endif
