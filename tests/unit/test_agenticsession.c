/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agenticsession plugin against a fake host: what effective values come out of which spec, and what a hostile report may say.
 */
#include "plugins/kind-shared/giturl.h"
#include "tests/lib/git_words.h"
#include "tests/unit/agenticsession.h"

#define LONG_NAME "a-session-whose-name-is-longer-than-what-fits-into-the-value-of-a-label-by-some-way"

START_TEST(running_session)
{
	begin();
	submit_named("s", SPEC);
	ck_assert_int_eq(settle(), 5 * AMBIENT_SECOND); /* to ask why there is no pod */
	ck_assert_str_eq(cond("JobCreated", "status"), "True");
	pod(UP);
	ck_assert_int_eq(settle(), 65 * AMBIENT_SECOND);
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(at("/status/startTime"), "2026-01-01T00:00:05Z");
	ck_assert_str_eq(cond("Ready", "lastTransitionTime"), "2026-01-01T00:00:00Z");
	/* A condition's time moves with its status only. */
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	pod(ENDED(0));
	(void)settle();
	ck_assert_str_eq(cond("Completed", "lastTransitionTime"), "2026-01-01T00:00:10Z");
	ck_assert_str_eq(cond("JobCreated", "lastTransitionTime"), "2026-01-01T00:00:00Z");
	ck_assert_str_eq(cond("Completed", "observedGeneration"), at("/metadata/generation"));
	ck_assert_ptr_nonnull(fake_host_event(fake, "Completed"));
	ck_assert_uint_eq(fake_host_events(fake, "Running"), 1);
	end();
}
END_TEST

START_TEST(job_as_agreed)
{
	static const char *const names[] = { "/spec/template/spec/containers/0/args/0",
		"/spec/template/spec/containers/1/args/0", "/spec/template/spec/serviceAccountName", "/spec/backoffLimit",
		"/spec/activeDeadlineSeconds", "/spec/template/spec/automountServiceAccountToken", "/spec/template/spec/priorityClassName" };
	static const char *const values[] = { "run", "agent", "ambient-session-s", "0", "420", "false", "high" };
	const char *agent;

	begin_with("{'workspaceSize':'7Gi'}");
	submit_named("s", "{'prompt':'do','timeout':60,'environmentVariables':{'LANG':'C'},'repos':[{'input':"
		     "{'url':'https://git.example/a.git','authSecret':'mine'}}],'resourceOverrides':{'cpu':'1',"
		     "'storageClass':'fast','priorityClass':'high'}}");
	(void)settle();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_str_eq(fake_host_at(fake, AS_JOB, "team-a", "s-job", names[i]), values[i]);
	/* The agent's container has no token, no git credentials and no place of the runner's. */
	agent = fake_host_at(fake, AS_JOB, "team-a", "s-job", "/spec/template/spec/containers/1");
	ck_assert_ptr_null(strstr(agent, "serviceaccount"));
	ck_assert_ptr_null(strstr(agent, "git-0"));
	ck_assert_ptr_null(strstr(agent, "GITHUB_TOKEN"));
	ck_assert_ptr_null(strstr(agent, ".ambient"));
	ck_assert_ptr_nonnull(strstr(agent, "\"ANTHROPIC_API_KEY,LANG\""));
	ck_assert_ptr_nonnull(strstr(agent, "\"cpu\":\"1\""));
	ck_assert_ptr_nonnull(strstr(fake_host_at(fake, AS_JOB, "team-a", "s-job", "/spec/template/spec/containers/0"),
				     "/run/secrets/git/0"));
	ck_assert_str_eq(fake_host_at(fake, AS_JOB, "team-a", "s-job", "/metadata/ownerReferences/0/uid"),
			 at("/metadata/uid"));
	/* The session's account may reach its own report and itself, by name. */
	ck_assert_str_eq(fake_host_at(fake, AS_ROLE, "team-a", "ambient-session-s-role", "/rules/0/resourceNames/0"),
			 "s-report");
	ck_assert_str_eq(fake_host_at(fake, AS_ROLE, "team-a", "ambient-session-s-role", "/rules/1/resourceNames/0"), "s");
	ck_assert_str_eq(fake_host_at(fake, AS_PVC, "team-a", "ambient-workspace-s", "/spec/storageClassName"), "fast");
	ck_assert_str_eq(fake_host_at(fake, AS_PVC, "team-a", "ambient-workspace-s", "/spec/resources/requests/storage"), "7Gi");
	ck_assert(fake_host_has(fake, AS_BINDING, "team-a", "ambient-session-s-rb"));
	end();
}
END_TEST

/* ---- the pod and the restricted Pod Security Standard: each of its controls, as its documentation lists them */

static const char *
job_at(const char *fmt, ...)
{
	char pointer[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(pointer, sizeof(pointer), fmt, ap);
	va_end(ap);

	const char *s = fake_host_at(fake, AS_JOB, "team-a", "s-job", pointer);

	return s != NULL ? s : "(none)";
}

START_TEST(a_session_that_is_to_be_rescued_has_time_to_end)
{
	begin();
	submit_named("s", "{'prompt':'do','rescue':true}");
	(void)settle();
	ck_assert_str_eq(at("/status/effective/rescue"), "true");
	ck_assert_str_eq(job_at("/spec/template/spec/terminationGracePeriodSeconds"), "90");
	ck_assert_ptr_nonnull(strstr(job_at("/spec/template/spec/containers/0/env"), "{\"name\":\"AMBIENT_GRACE\",\"value\":\"90s\"}"));
	ck_assert_ptr_null(strstr(job_at("/spec/template/spec/containers/1/env"), "AMBIENT_GRACE"));
	end();
	begin();
	submit_named("s", "{'prompt':'do','rescue':false}");
	(void)settle();
	ck_assert_str_eq(job_at("/spec/template/spec/terminationGracePeriodSeconds"), "(none)");
	end();
}
END_TEST

static void
restricted_container(int i)
{
	static const char *const absent[] = { "privileged", "capabilities/add", "seLinuxOptions", "procMount", "windowsOptions",
		"runAsUser", "seccompProfile", "runAsNonRoot" };
	const char *c = "/spec/template/spec/containers";

	ck_assert_str_eq(job_at("%s/%d/securityContext/allowPrivilegeEscalation", c, i), "false");
	ck_assert_str_eq(job_at("%s/%d/securityContext/capabilities/drop", c, i), "[\"ALL\"]");
	/* What the pod says is not taken back. */
	for (size_t k = 0; k < sizeof(absent) / sizeof(absent[0]); k++)
		ck_assert_str_eq(job_at("%s/%d/securityContext/%s", c, i, absent[k]), "(none)");
	ck_assert_str_eq(job_at("%s/%d/ports/0/hostPort", c, i), "(none)");
	ck_assert_str_eq(job_at("%s/%d/lifecycle", c, i), "(none)");
}

START_TEST(pods_are_restricted)
{
	static const char *const absent[] = { "hostNetwork", "hostPID", "hostIPC", "securityContext/sysctls",
		"securityContext/seLinuxOptions", "securityContext/windowsOptions", "initContainers", "ephemeralContainers",
		"containers/2" };
	static const char *const kinds[] = { "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
		"projected", "secret" };

	begin_with(_i == 0 ? NULL : "{'runAsUser':0}");
	submit_named("s", "{'prompt':'do','repos':[{'input':{'url':'https://git.example/a.git','authSecret':'mine'}}]}");
	(void)settle();
	for (size_t k = 0; k < sizeof(absent) / sizeof(absent[0]); k++)
		ck_assert_str_eq(job_at("/spec/template/spec/%s", absent[k]), "(none)");
	ck_assert_str_eq(job_at("/spec/template/spec/securityContext/seccompProfile/type"), "RuntimeDefault");
	ck_assert_str_eq(job_at("/spec/template/spec/securityContext/runAsNonRoot"), _i == 0 ? "true" : "(none)");
	ck_assert_str_eq(job_at("/spec/template/spec/securityContext/runAsUser"), _i == 0 ? "1001" : "(none)");
	ck_assert_str_eq(job_at("/spec/template/spec/securityContext/fsGroup"), _i == 0 ? "1001" : "(none)");
	restricted_container(0);
	restricted_container(1);
	for (int i = 0; i < 4; i++) {
		bool allowed = false;

		ck_assert_str_ne(job_at("/spec/template/spec/volumes/%d/name", i), "(none)");
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			allowed = allowed || strcmp(job_at("/spec/template/spec/volumes/%d/%s", i, kinds[k]), "(none)") != 0;
		ck_assert_msg(allowed, "%s", job_at("/spec/template/spec/volumes/%d", i));
	}
	ck_assert_str_eq(job_at("/spec/template/spec/volumes/4"), "(none)");
	end();
}
END_TEST

/* 12.3: the token is projected, lives an hour and rotates, and is in no variable; no Secret's value is in the Job. */
START_TEST(weakness_12_3_e_token_is_projected)
{
	const char *env;

	begin();
	submit_named("s", SPEC);
	(void)settle();
	ck_assert_str_eq(job_at("/spec/template/spec/volumes/2/projected/sources/0/serviceAccountToken/expirationSeconds"), "3600");
	ck_assert_str_eq(job_at("/spec/template/spec/automountServiceAccountToken"), "false");
	env = job_at("/spec/template/spec/containers/0/env");
	ck_assert_ptr_null(strstr(env, "TOKEN\",\"value\""));
	ck_assert_ptr_null(strstr(env, "BOT_TOKEN"));
	ck_assert_uint_eq(fake_host_count(fake, "v1/secrets", "team-a"), 0);
	end();
}
END_TEST

START_TEST(network_policy_of_a_session)
{
	begin_with(_i == 0 ? NULL : "{'networkPolicy':true}");
	submit_named("s", SPEC);
	(void)settle();
	ck_assert(fake_host_has(fake, AS_POLICY, "team-a", "ambient-session-s") == (_i == 1));
	if (_i == 1) {
		const char *p = fake_host_at(fake, AS_POLICY, "team-a", "ambient-session-s", "/spec");

		ck_assert_ptr_nonnull(strstr(p, "\"ingress\":[{\"ports\":[{\"protocol\":\"TCP\",\"port\":8001}]}]"));
		ck_assert_ptr_nonnull(strstr(p, "\"agentic-session\":\"s\""));
		ck_assert_ptr_nonnull(strstr(p, "169.254.0.0/16"));
		ck_assert_str_eq(fake_host_at(fake, AS_POLICY, "team-a", "ambient-session-s", "/metadata/ownerReferences/0/uid"),
				 at("/metadata/uid"));
	}
	ck_assert_str_eq(at("/status/phase"), "Creating");
	end();
}
END_TEST

START_TEST(unmanaged_namespace_waits)
{
	begin();
	fake_host_put(fake, AS_NS, "{'metadata':{'name':'team-a'}}");
	submit_named("s", SPEC);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Pending");
	ck_assert_str_eq(cond("Ready", "reason"), "NamespaceNotManaged");
	ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	fake_host_merge(fake, AS_NS, "", "team-a", "{'metadata':{'labels':{'ambient-code.io/managed':'true'}}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	end();
}
END_TEST

START_TEST(rule_37_rule_39_stop_while_pending_and_deletion)
{
	begin();
	submit_named("s", "{'prompt':'do','desiredState':'Stopped'}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Stopped");
	ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	fake_host_remove(fake, AS_SESSION, "team-a", "s");
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "s", NULL, NULL), 0);
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'s','namespace':'team-a','finalizers':['x/y'],"
		      "'deletionTimestamp':'2026-01-01T00:00:00Z'},'spec':{'prompt':'do'}}");
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "s", NULL, NULL), 0);
	ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	end();
}
END_TEST

START_TEST(intent_the_later_wins)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Running'}}");
	(void)settle();
	ck_assert_str_eq(at("/status/intent/state"), "Running");
	fake_host_merge(fake, AS_SESSION, "team-a", "s",
			"{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Stopped'}}}");
	(void)settle();
	ck_assert_str_eq(at("/status/intent/state"), "Stopped");
	ck_assert_str_eq(at("/status/phase"), "Stopped");
	end();
}
END_TEST

START_TEST(finished_before_the_stop_is_completed)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(ENDED(0));
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	end();
}
END_TEST

START_TEST(rule_40_foreign_objects_are_refused)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	fake_host_put(fake, AS_SA, "{'metadata':{'name':'ambient-session-s','namespace':'team-a'}}");
	submit_named("s", SPEC);
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "s", NULL, &err), -AMBIENT_E_EXISTS);
	ck_assert_str_eq(cond("Ready", "reason"), "NameConflict");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "ambient-session-s"));
	fake_host_remove(fake, AS_SA, "team-a", "ambient-session-s");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	end();
}
END_TEST

START_TEST(unknown_runner_type_names_the_loaded)
{
	begin();
	submit_named("s", "{'prompt':'do','runnerType':'wishful'}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_str_eq(cond("SpecValid", "reason"), "RunnerTypeUnknown");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "\"wishful\""));
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "command"));
	end();
}
END_TEST

START_TEST(plan_problems_are_shown)
{
	begin();
	fake_host_set_plan(fake, "command", NULL, "[{\"field\":\"spec.runnerConfig.command\",\"message\":\"is missing\"}]");
	submit_named("s", SPEC);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_str_eq(at("/status/message"), "spec.runnerConfig.command: is missing; correct it and start the session again");
	end();
}
END_TEST

#define SIXTY "a23456789_b23456789_c23456789_d23456789_e23456789_f23456789_"
static const struct effective_case {
	const char *spec, *settings;
	const char *pointer, *value; /* in status.effective; or NULL and a part of the refusal */
} effective_cases[] = {
	{ "{'prompt':'x'}", NULL, "/timeout", "3600" },
	{ "{'prompt':'x'}", NULL, "/interactive", "false" },
	{ "{'prompt':'x','timeout':300}", NULL, "/timeout", "300" },
	{ "{'prompt':'x'}", "{'defaultTimeout':120,'defaultModel':'m','runnerSecretsName':'k'}", "/timeout", "120" },
	{ "{'prompt':'x'}", "{'defaultTimeout':120,'defaultModel':'m','runnerSecretsName':'k'}", "/model", "m" },
	{ "{'prompt':'x'}", "{'defaultTimeout':120,'defaultModel':'m','runnerSecretsName':'k'}", "/secretName", "k" },
	{ "{'prompt':'x','anthropicApiKeySecret':'own'}", "{'runnerSecretsName':'k'}", "/secretName", "own" },
	{ "{'prompt':'x','model':'a'}", "{'defaultModel':'m'}", "/model", "a" },
	/* A default model is the default runner type's. */
	{ "{'prompt':'x','runnerType':'command'}", "{'runnerType':'robot','defaultModel':'m'}", "/model", "claude-sonnet-4-5" },
	{ "{'prompt':'x','runnerType':'command'}", "{'runnerType':'command','defaultModel':'m'}", "/model", "m" },
	{ "{'prompt':'x','llmSettings':{'model':'a','temperature':0.7}}", NULL, "/temperature", "0.7" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a/proj'},{'url':'https://h/b/Proj'}]}", NULL, "/repos/1/name", "Proj-2" },
	{ "{'prompt':'x','repos':[{'name':'p','url':'https://h/a'},{'name':'P','url':'https://h/b'}]}", NULL, NULL,
	  "spec.repos[1]: has the same name as another repository" },
	{ "{'prompt':'x','repos':[{'name':'" SIXTY "sixty','url':'https://h/a'}]}", NULL, NULL, "spec.repos[0]: has a name of more than 64 bytes" },
	{ "{'prompt':'x','repos':[{'url':'https://h/" SIXTY "more'}]}", NULL, "/repos/0/name", SIXTY },
	{ "{'prompt':'x','model':'-a'}", NULL, NULL, "spec.model: is no name of a model" },
	{ "{'prompt':'x','llmSettings':{'model':'a\\nb'}}", NULL, NULL, "spec.llmSettings.model: is no name of a model" },
	{ "{'prompt':'x'}", "{'defaultModel':'--m'}", NULL, "ProjectSettings: spec.defaultModel: is no name of a model" },
	{ "{'initialPrompt':'x'}", NULL, "/interactive", "true" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a'}],'gitConfig':{'authentication':{'tokenSecret':'t','sshKeySecret':'k'}}}",
	  "{'gitCredentialsSecret':'g'}", "/repos/0/authSecret", "t" },
	{ "{'prompt':'x','repos':[{'url':'git@h:a'}],'gitConfig':{'authentication':{'tokenSecret':'t','sshKeySecret':'k'}}}",
	  "{'gitCredentialsSecret':'g'}", "/repos/0/authSecret", "k" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a','authSecret':'o'}}],'gitConfig':{'authentication':{'tokenSecret':'t'}}}",
	  NULL, "/repos/0/authSecret", "o" },
	{ "{'prompt':'x','gitConfig':{'repositories':[{'url':'https://h/a','clonePath':'there','branch':'b'}]}}", NULL, "/repos/0/name", "there" },
	{ "{'prompt':'x','gitConfig':{'repositories':[{'url':'https://h/a','clonePath':'../up'}]}}", NULL, NULL,
	  "spec.gitConfig.repositories[0].clonePath: must be one plain name" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a'}],'gitConfig':{'repositories':[{'url':'https://h/a'}]}}", NULL, NULL,
	  "spec.gitConfig.repositories: is another list" },
	{ "{'prompt':'x','paths':{'workspace':'/w'}}", NULL, NULL, "spec.paths: cannot be chosen" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'type':'fork'}}]}", NULL, NULL, "spec.repos[0].output.type: is fork" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'type':'direct','forkRepo':'https://h/b'}}]}", NULL, NULL,
	  "spec.repos[0].output.type: is direct" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'https://h/w.git'}}", NULL, "/activeWorkflow/branch", "main" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'https://h/w.git'}}", NULL, "/activeWorkflow/name", "w" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'https://h/w.git','path':'a/b'}}", NULL, "/activeWorkflow/path", "a/b" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'https://h/w.git'}}", NULL, "/activeWorkflow/credentials", "-1" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a'}],'activeWorkflow':{'gitUrl':'https://h/w.git'}}",
	  "{'gitCredentialsSecret':'g'}", "/activeWorkflow/credentials", "1" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a'}],'activeWorkflow':{'gitUrl':'https://h/w.git'}}",
	  "{'gitCredentialsSecret':'g'}", "/gitSecrets/1", "g" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'file:///etc'}}", NULL, NULL, "spec.activeWorkflow.gitUrl: must be an https" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'https://h/w','branch':'-x'}}", NULL, NULL, "spec.activeWorkflow.branch: is no name" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'https://h/w','path':'/etc'}}", NULL, NULL, "spec.activeWorkflow.path: must be relative" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'https://h/w','path':'a/../../b'}}", NULL, NULL, "must not have \"..\"" },
	{ "{'prompt':'x','activeWorkflow':{'gitUrl':'https://h/w','path':'.GIT/hooks'}}", NULL, NULL, "spec.activeWorkflow.path" },
	{ "{'prompt':'x','repos':[{'url':'https://h/workflows.git'}]}", NULL, "/repos/0/name", "workflows-2" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a','name':'artifacts'}]}", NULL, NULL, "a directory of the workspace already" },
	{ "{'initialPrompt':'x'}", NULL, "/shape", "new" },
	{ "{'initialPrompt':'x'}", NULL, "/timeout", "0" },
	{ "{'initialPrompt':'x','interactive':false,'timeout':300}", NULL, "/timeout", "3600" },
	{ "{'initialPrompt':'x','interactive':false,'timeout':301}", NULL, "/timeout", "301" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a'}]}", NULL, "/interactive", "true" },
	{ "{'prompt':'x'}", NULL, "/runnerType", "command" },
	{ "{'prompt':'x','environmentVariables':{'RUNNER_TYPE':'command'}}", NULL, "/runnerType", "command" },
	{ "{'initialPrompt':'x','environmentVariables':{'RUNNER_TYPE':'claude-agent-sdk'}}", NULL, "/runnerType", "claude-code" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/x/a.git/'}}]}", NULL, "/repos/0/name", "a" },
	{ "{'prompt':'x','repos':[{'input':{'url':'git@h:x/a.git'}}]}", NULL, "/repos/0/name", "a" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'}},{'input':{'url':'https://i/a'}}]}", NULL,
	  "/repos/1/name", "a-2" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'}}]}", NULL, "/repos/0/branch", "main" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'}}]}", NULL, "/repos/0/push", "false" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'targetBranch':'t'}}]}", NULL,
	  "/repos/0/push", "true" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'targetBranch':'t'}}]}", NULL,
	  "/repos/0/pushBranch", "t" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'url':'https://f/a','branch':'t'}}]}", NULL,
	  "/repos/0/push", "false" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'createPR':true}}]}", NULL, "/repos/0/push", "true" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'createPullRequest':true}}]}", NULL, "/repos/0/push", "true" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'createPR':false}}]}", NULL, "/repos/0/push", "false" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'branch':'t','ensureBranch':true}}]}", NULL, "/repos/0/push", "true" },
	{ "{'prompt':'x','autoPushOnComplete':false,'repos':[{'input':{'url':'https://h/a'},'output':{'createPR':true}}]}", NULL, "/repos/0/push",
	  "false" },
	{ "{'prompt':'x','autoPushOnComplete':true,'repos':[{'input':{'url':'https://h/a'},'output':"
	  "{'url':'https://f/a'}}]}", NULL, "/repos/0/pushUrl", "https://f/a" },
	{ "{'prompt':'x','autoPushOnComplete':true,'repos':[{'input':{'url':'https://h/a'},'output':"
	  "{'url':'https://f/a'}}]}", NULL, "/repos/0/pushBranch", "sessions/s" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a','autoPush':true}]}", NULL, "/repos/0/push", "true" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'type':'direct','targetBranch':'main',"
	  "'pushBranch':'p'}}]}", NULL, "/repos/0/prBase", "main" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'targetBranch':'t'}}]}", NULL,
	  "/repos/0/ensureBranch", "false" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'targetBranch':'t','ensureBranch':true}}]}", NULL,
	  "/repos/0/ensureBranch", "true" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'targetBranch':'t','continueBranch':true}}]}", NULL,
	  "/repos/0/continueBranch", "true" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'continueBranch':true}}]}", NULL, NULL,
	  "spec.repos[0]: output.continueBranch needs output.targetBranch" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'ensureBranch':true}}]}", NULL, NULL,
	  "spec.repos[0]: output.ensureBranch needs output.targetBranch" },
	{ "{'prompt':'x','inputRepo':'https://h/a','inputBranch':'b','outputRepo':'https://f/a'}", NULL,
	  "/repos/0/branch", "b" },
	{ "{'prompt':'x','input':{'repo':'https://h/a'},'output':{'repo':'https://f/a','branch':'o'}}", NULL,
	  "/repos/0/pushUrl", "https://f/a" },
	{ "{'prompt':'x','outputRepo':'https://f/a'}", NULL, NULL, "spec.outputRepo: has no effect without inputRepo, nor beside repos" },
	{ "{'prompt':'x','outputBranch':'b'}", "{'repositories':[{'url':'https://h/a'}]}", NULL, "spec.outputBranch: has no effect" },
	{ "{'prompt':'x','inputBranch':'b'}", NULL, NULL, "spec.inputBranch: has no effect" },
	{ "{'prompt':'x','input':{'branch':'b'}}", NULL, NULL, "spec.input.branch: has no effect" },
	{ "{'prompt':'x','output':{'repo':'https://f/a'}}", NULL, NULL, "spec.output.repo: has no effect" },
	{ "{'prompt':'x','inputRepo':'https://h/a','output':{'branch':'o'},'repos':[{'url':'https://h/a'}]}", NULL, NULL,
	  "spec.output.branch: has no effect" },
	{ "{'prompt':'x','inputRepo':'https://h/a','outputRepo':'','repos':[{'url':'https://h/a','branch':'b'}]}", NULL, "/repos/0/branch", "b" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'}}]}", "{'gitCredentialsSecret':'g'}",
	  "/repos/0/authSecret", "g" },
	{ "{'prompt':'x'}", "{'repositories':[{'url':'https://h/a','branch':'b'},{'url':'https://h/c'}]}", "/repos/0/branch", "b" },
	{ "{'prompt':'x'}", "{'repositories':[{'url':'https://h/a','branch':'b'},{'url':'https://h/c'}]}", "/repos/1/name", "c" },
	{ "{'prompt':'x','repos':[{'url':'https://h/own'}]}", "{'repositories':[{'url':'https://h/a'}]}", "/repos/0/name", "own" },
	{ "{'prompt':'x','inputRepo':'https://h/own'}", "{'repositories':[{'url':'https://h/a'}]}", "/repos/0/name", "own" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a','branch':'b'},'output':{'targetBranch':'t'}}]}", NULL, "/repos/0/prBase",
	  "b" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'targetBranch':'-t','pushBranch':'p'}}]}", NULL, NULL,
	  "spec.repos[0].output.targetBranch: is no name" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'createPullRequest':true}}]}", NULL, "/repos/0/createPR",
	  "true" },
	{ "{'prompt':'x','repos':[{'input':{'url':'git@git.corp:x/a.git'}}]}", "{'repositories':[{'url':'https://git.corp/y/b',"
	  "'provider':'gitlab'}]}", "/repos/0/provider", "gitlab" },
	{ "{'prompt':'x'}", "{'repositories':[{'url':'https://git.corp/y/b'},{'url':'https://u@GIT.corp/c','provider':'github'}]}",
	  "/repos/0/provider", "github" },
	{ "{'prompt':'x','repos':[{'url':'https://git.corp:8443/x/a'}]}", "{'repositories':[{'url':'https://git.corp/y/b',"
	  "'provider':'gitlab'}]}", "/repos/0/provider", "" },
	{ "{'prompt':'x','repos':[{'url':'https://git.corp.evil/x'}]}", "{'repositories':[{'url':'https://git.corp/y','provider':'gitlab'}]}",
	  "/repos/0/provider", "" },
	{ "{'prompt':'x'}", "{'repositories':[{'url':'file:///etc'}]}", NULL,
	  "ProjectSettings.spec.repositories[0].input.url: must be an https" },
	{ "{'initialPrompt':'x'}", "{'inactivityTimeoutSeconds':86400}", "/inactivityTimeout", "86400" },
	{ "{'initialPrompt':'x','inactivityTimeout':5}", "{'inactivityTimeoutSeconds':86400}", "/inactivityTimeout", "5" },
	{ "{'initialPrompt':'x','inactivityTimeout':0}", "{'inactivityTimeoutSeconds':86400}", "/inactivityTimeout", "0" },
	{ "{'prompt':'x'}", "{'inactivityTimeoutSeconds':86400}", "/inactivityTimeout", "0" },
	/* refused: both set and different, and what is no repository */
	{ "{'prompt':'x','initialPrompt':'y'}", NULL, NULL, "spec.initialPrompt: differs from its alias \"spec.prompt\"" },
	{ "{'prompt':'x','initialPrompt':'x'}", NULL, "/shape", "new" },
	{ "{'prompt':'x','model':'a','llmSettings':{'model':'b'}}", NULL, NULL, "spec.llmSettings.model" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a','input':{'url':'https://h/b'}}]}", NULL, NULL, "spec.repos[0].url" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'targetBranch':'a','branch':'b'}}]}", NULL, NULL,
	  "spec.repos[0].output.branch" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'createPR':true,'createPullRequest':false}}]}",
	  NULL, NULL, "createPullRequest" },
	{ "{'prompt':'x','inputRepo':'https://h/a','input':{'repo':'https://h/b'}}", NULL, NULL, "spec.inputRepo" },
	{ "{'prompt':'x','inputRepo':'https://h/a','repos':[{'url':'https://h/b'}]}", NULL, NULL, "spec.repos" },
	{ "{'prompt':'x','mainRepoIndex':1,'repos':[{'url':'https://h/b'}]}", NULL, NULL,
	  "spec.mainRepoIndex: 1 is not the index of a repository; there are 1, and the first has 0" },
	{ "{'prompt':'x','mainRepoIndex':1}", "{'repositories':[{'url':'https://h/a'},{'url':'https://h/b'}]}", "/mainRepoIndex", "1" },
	{ "{'prompt':'x','mainRepoIndex':2}", "{'repositories':[{'url':'https://h/a'},{'url':'https://h/b'}]}", NULL,
	  "spec.mainRepoIndex: 2 is not the index of a repository; there are 2" },
	{ "{'prompt':'x','resourceOverrides':{'cpu':'0'}}", NULL, NULL, "spec.resourceOverrides.cpu: \"0\" must be more than zero" },
	{ "{'prompt':'x','resourceOverrides':{'cpu':'0.0m'}}", NULL, NULL, "spec.resourceOverrides.cpu: " },
	{ "{'prompt':'x','resourceOverrides':{'memory':'512'}}", NULL, NULL, "spec.resourceOverrides.memory: \"512\" is less than a megabyte" },
	{ "{'prompt':'x','resourceOverrides':{'memory':'0Gi'}}", NULL, NULL, "spec.resourceOverrides.memory: " },
	{ "{'prompt':'x','resourceOverrides':{'memory':'1.5Ki'}}", NULL, NULL, "spec.resourceOverrides.memory: " },
	{ "{'prompt':'x','resourceOverrides':{'cpu':'1m','memory':'0.5Gi'}}", NULL, "/interactive", "false" },
	{ "{'prompt':'x','environmentVariables':{'PARENT_SESSION_ID':'../x'}}", NULL, NULL,
	  "spec.environmentVariables[PARENT_SESSION_ID]: \"../x\" is no name that a session can have" },
	{ "{'prompt':'x','environmentVariables':{'PARENT_SESSION_ID':'Upper'}}", NULL, NULL, "spec.environmentVariables[PARENT_SESSION_ID]: " },
	{ "{'prompt':''}", NULL, NULL, "spec.prompt" },
	{ "{'prompt':'x','environmentVariables':{'AMBIENT_RUN_ID':'1'}}", NULL, NULL, "reserved" },
	{ "{'prompt':'x','environmentVariables':{'a-b':'1'}}", NULL, NULL, "no name of a variable" },
	{ "{'prompt':'x','repos':[{'url':'file:///etc'}]}", NULL, NULL, "spec.repos[0].input.url: must be an https" },
	{ "{'prompt':'x','repos':[{'url':'ext::sh -c id'}]}", NULL, NULL, "spec.repos[0].input.url" },
	{ "{'prompt':'x','repos':[{'url':'ext::sh%20-c'}]}", NULL, NULL, "must be an https" },
	{ "{'prompt':'x','repos':[{'url':'--upload-pack=id'}]}", NULL, NULL, "must not begin with" },
	{ "{'prompt':'x','repos':[{'url':'/srv/git'}]}", NULL, NULL, "must be an https" },
	{ "{'prompt':'x','repos':[{'url':'ssh://-oProxyCommand=id/x'}]}", NULL, NULL, "no usable host" },
	{ "{'prompt':'x','repos':[{'url':'a@-oProxyCommand=id:x'}]}", NULL, NULL, "no usable host" },
	{ "{'prompt':'x','repos':[{'url':'https://u:p@h/a'}]}", NULL, NULL, "password" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a','authSecret':'../x'}}]}", NULL, NULL,
	  "spec.repos[0].input.authSecret: is no name that an object can have" },
	{ "{'prompt':'x','anthropicApiKeySecret':'a/b'}", NULL, NULL, "spec.anthropicApiKeySecret: is no name" },
	{ "{'prompt':'x','resourceOverrides':{'priorityClass':'A'}}", NULL, NULL, "spec.resourceOverrides.priorityClass: is no name" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a','branch':'--force'}]}", NULL, NULL, "spec.repos[0].input.branch" },
	{ "{'prompt':'x','repos':[{'url':'https://h/a','branch':'a..b'}]}", NULL, NULL, "branch" },
	{ "{'prompt':'x','repos':[{'input':{'url':'https://h/a'},'output':{'forkRepo':'file:///x'}}]}", NULL, NULL,
	  "spec.repos[0].output.forkRepo" },
};

/* The words that the API server's rules and the runner are held to, too. */
static bool
takes_url(const char *text)
{
	return kg_url_problem(text) == NULL;
}

static bool
takes_branch(const char *text)
{
	return kg_branch_problem(text) == NULL;
}

START_TEST(addresses_and_branches)
{
	git_words(takes_url, takes_branch);
}
END_TEST

START_TEST(effective_values)
{
	const struct effective_case *c = &effective_cases[_i];
	char json[1024], pointer[128];

	begin();
	if (c->settings != NULL) {
		(void)snprintf(json, sizeof(json), "{'metadata':{'name':'projectsettings','namespace':'team-a'},'spec':%s}",
			       c->settings);
		fake_host_put(fake, AS_SETTINGS, json);
	}
	submit_named("s", c->spec);
	(void)settle();
	if (c->pointer != NULL) {
		(void)snprintf(pointer, sizeof(pointer), "/status/effective%s", c->pointer);
		ck_assert_msg(strcmp(at(pointer), c->value) == 0, "%s: %s is %s (%s)", c->spec, c->pointer, at(pointer),
			      at("/status/message"));
	} else {
		ck_assert_str_eq(at("/status/phase"), "Failed");
		ck_assert_str_eq(cond("SpecValid", "reason"), "SpecInvalid");
		ck_assert_msg(strstr(at("/status/message"), c->value) != NULL, "%s: %s", c->spec, at("/status/message"));
		ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	}
	end();
}
END_TEST

START_TEST(settings_without_effect_are_named)
{
	begin();
	submit_named("s", "{'prompt':'x','llmSettings':{'temperature':0.7,'maxTokens':4000},'mcpServers':{'custom':{'a':{'command':'b'}},'disabled':['c']}}");
	(void)settle();
	ck_assert_str_eq(cond("SpecValid", "status"), "True");
	ck_assert_str_eq(cond("SpecValid", "message"), "without effect with runner type \"command\": spec.llmSettings.temperature, "
			 "spec.llmSettings.maxTokens, spec.mcpServers.custom, spec.mcpServers.disabled");
	end();
	begin();
	fake_host_set_plan(fake, "command", "{\"honours\":[\"maxTokens\",\"mcpServers\"]}", NULL);
	submit_named("s", "{'prompt':'x','llmSettings':{'temperature':0.7,'maxTokens':4000}}");
	(void)settle();
	ck_assert_str_eq(cond("SpecValid", "message"), "without effect with runner type \"command\": spec.llmSettings.temperature");
	end();
}
END_TEST

static const struct {
	const char *spec, *message;
} modes[] = {
	{ "{'prompt':'x','inactivityTimeout':5,'stopOnRunFinished':true}",
	  "without effect in a session that is not interactive: spec.inactivityTimeout, spec.stopOnRunFinished" },
	{ "{'prompt':'x','inactivityTimeout':0,'stopOnRunFinished':false,'timeout':60}", "" },
	{ "{'initialPrompt':'x','inactivityTimeout':5,'stopOnRunFinished':true,'timeout':300}", "" },
	{ "{'initialPrompt':'x','timeout':60,'llmSettings':{'maxTokens':1}}",
	  "without effect with runner type \"command\": spec.llmSettings.maxTokens; in a chat: spec.timeout" },
	{ "{'prompt':'x','autoPushOnComplete':false,'repos':[{'url':'https://h/a','autoPush':true,'output':{'createPR':true}},"
	  "{'url':'https://h/b','output':{'createPR':true}},{'url':'https://h/c','output':{'createPullRequest':true}}],'interactive':false}",
	  "without effect where nothing is pushed: spec.repos[1].output.createPR, spec.repos[2].output.createPR" },
	{ "{'prompt':'x','stopOnRunFinished':true,'repos':[{'input':{'url':'https://h/a'},'output':{'createPR':true}}],'autoPushOnComplete':false}",
	  "without effect in a session that is not interactive: spec.stopOnRunFinished; where nothing is pushed: spec.repos[0].output.createPR" },
};

START_TEST(what_the_other_mode_has_is_named)
{
	begin();
	submit_named("s", modes[_i].spec);
	(void)settle();
	ck_assert_str_eq(cond("SpecValid", "message"), modes[_i].message);
	end();
}
END_TEST

START_TEST(effective_values_are_frozen)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'model':'m'}}");
	pod(UP);
	(void)settle();
	ck_assert_str_eq(at("/status/effective/model"), "claude-sonnet-4-5");
	ck_assert_str_eq(at("/status/phase"), "Running");
	end();
}
END_TEST

START_TEST(a_runner_that_is_silent_is_seen_within_a_minute)
{
	begin();
	submit_named("s", "{'prompt':'x','timeout':600}");
	(void)settle();
	ck_assert_ptr_nonnull(strstr(job_at("/spec/template/spec/containers/0/env"), "{\"name\":\"AMBIENT_HEARTBEAT\",\"value\":\"25s\"}"));
	pod(UP);
	/* While it clones and while it pushes it reports as well. */
	report("\"state\":\"preparing\",\"heartbeatAt\":\"2026-01-01T00:00:05Z\"");
	fake_host_advance(fake, 45 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(cond("Ready", "status"), "True");
	fake_host_advance(fake, 45 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "RunnerSilent");
	/* Whoever has said the end says no more. */
	report("\"state\":\"done\",\"heartbeatAt\":\"2026-01-01T00:00:06Z\"");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "status"), "True");
	report("\"state\":\"running\",\"heartbeatAt\":\"2026-01-01T00:01:30Z\"");
	fake_host_advance(fake, 49 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(cond("Ready", "status"), "True");
	fake_host_advance(fake, AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "RunnerSilent");
	ck_assert_ptr_nonnull(strstr(cond("Ready", "message"), "since 2026-01-01T00:01:30Z"));
	ck_assert_str_eq(at("/status/phase"), "Running");
	report("\"state\":\"running\",\"heartbeatAt\":\"2026-01-01T00:02:20Z\"");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "status"), "True");
	/* A clock that is ahead makes nobody silent. */
	report("\"state\":\"running\",\"heartbeatAt\":\"2026-01-01T01:00:00Z\"");
	fake_host_advance(fake, 100 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(cond("Ready", "status"), "True");
	end();
}
END_TEST

START_TEST(rule_30_an_edit_while_running_is_said)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	ck_assert_str_eq(cond("Reconciled", "reason"), "SpecApplied");
	pod(UP);
	report("\"state\":\"running\"");
	(void)settle();
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'prompt':'another'}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(cond("Reconciled", "status"), "False");
	ck_assert_str_eq(cond("Reconciled", "reason"), "SpecChanged");
	ck_assert_ptr_nonnull(strstr(cond("Reconciled", "message"), at("/status/runId")));
	ck_assert_str_eq(at("/status/observedGeneration"), at("/metadata/generation"));
	ck_assert_str_eq(at("/spec/prompt"), "another");
	/* Taken back: as it was.  A wish about the run is no edit. */
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'prompt':'do','desiredState':'Running'}}");
	(void)settle();
	ck_assert_str_eq(cond("Reconciled", "status"), "True");
	end();
}
END_TEST

/* A chat that nobody continued is Stopped; what was no chat cannot claim that. */
START_TEST(inactivity_stops_a_chat)
{
	begin();
	submit_named("s", _i == 0 ? "{'initialPrompt':'do','inactivityTimeout':5}" : SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	report("\"state\":\"done\",\"reason\":\"Inactivity\",\"message\":\"nothing happened\"");
	pod(ENDED(1));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), _i == 0 ? "Stopped" : "Failed");
	ck_assert_str_eq(at("/status/stoppedReason"), _i == 0 ? "inactivity" : "(none)");
	ck_assert_str_ne(at("/status/completionTime"), "(none)");
	end();
}
END_TEST

static const struct {
	const char *kind, *name;
} needed[] = {
	{ AS_CM, "s-report" },
	{ AS_SA, "ambient-session-s" },
	{ AS_ROLE, "ambient-session-s-role" },
	{ AS_BINDING, "ambient-session-s-rb" },
};

START_TEST(what_a_run_needs_to_report_is_made_again)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	ck_assert(fake_host_has(fake, needed[_i].kind, "team-a", needed[_i].name));
	fake_host_remove(fake, needed[_i].kind, "team-a", needed[_i].name);
	(void)settle();
	ck_assert(fake_host_has(fake, needed[_i].kind, "team-a", needed[_i].name));
	ck_assert_str_eq(at("/status/phase"), "Running");
	end();
}
END_TEST

/* Owners that others name beside the session do not take its Job and its report away, wherever they stand. */
START_TEST(another_owner_of_job_and_report_changes_nothing)
{
	char patch[512];

	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)snprintf(patch, sizeof(patch), "{'metadata':{'ownerReferences':[{'kind':'App','name':'a','uid':'other'},"
		       "{'kind':'AgenticSession','name':'s','uid':'%s','controller':true}]}}", at("/metadata/uid"));
	fake_host_merge(fake, AS_JOB, "team-a", "s-job", patch);
	fake_host_merge(fake, AS_CM, "team-a", "s-report", patch);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	report("\"state\":\"done\",\"result\":\"y\"");
	pod(ENDED(0));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_str_eq(at("/status/results"), "y");
	end();
}
END_TEST

START_TEST(rule_41_names_are_cut)
{
	char a[AS_NAME_MAX], b[AS_NAME_MAX];

	as_name(a, "ambient-workspace-", "short", "");
	ck_assert_str_eq(a, "ambient-workspace-short");
	as_name(a, "ambient-workspace-", LONG_NAME, "");
	ck_assert_uint_eq(strlen(a), 63);
	as_name(b, "ambient-workspace-", LONG_NAME "x", "");
	ck_assert_str_ne(a, b);
	as_name(a, "", "x123456789012345678901234567890123456789012345678901234567.--.901234567", "-job");
	ck_assert_ptr_null(strstr(a, "--"));
	ck_assert_ptr_nonnull(strstr(a, "-job"));
	begin();
	submit_named(LONG_NAME, SPEC);
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", LONG_NAME, NULL, NULL), 0);
	ck_assert_uint_eq(fake_host_count(fake, AS_JOB, "team-a"), 1);
	as_name(a, "", LONG_NAME, "-job");
	ck_assert_str_eq(fake_host_at(fake, AS_JOB, "team-a", a, "/metadata/annotations/ambient-code.io~1session"),
			 LONG_NAME);
	end();
}
END_TEST

/* What a report may not say, or is, is ignored, and the condition says so; the run ends as it would. */
static const struct {
	const char *members; /* NULL: 300,000 bytes; "": no JSON */
	const char *reason;
} ignored[] = {
	{ "\"phase\":\"Completed\",\"result\":\"x\"", "FieldIgnored" },
	{ "\"conditions\":[{\"type\":\"Completed\",\"status\":\"True\"}]", "FieldIgnored" },
	{ NULL, "ReportTooLarge" },
	{ "", "ReportUnreadable" },
};

START_TEST(what_is_ignored_of_a_report_is_said)
{
	char *large = NULL;

	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	ck_assert_str_eq(cond("ReportValid", "status"), "(none)");
	if (ignored[_i].members == NULL) {
		large = malloc(300100);
		ck_assert_ptr_nonnull(large);
		int n = sprintf(large, "{'data':{'report.json':'");
		memset(large + n, 'x', 300000);
		memcpy(large + n + 300000, "'}}", 4);
		fake_host_merge(fake, AS_CM, "team-a", "s-report", large);
		free(large);
	} else if (ignored[_i].members[0] == '\0') {
		fake_host_merge(fake, AS_CM, "team-a", "s-report", "{'data':{'report.json':'{'}}");
	} else {
		report(ignored[_i].members);
	}
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(cond("ReportValid", "reason"), ignored[_i].reason);
	report("\"state\":\"done\",\"result\":\"y\"");
	pod(ENDED(1));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_str_eq(cond("ReportValid", "status"), "True");
	ck_assert_str_eq(at("/status/results"), "y");
	end();
}
END_TEST

START_TEST(report_says_why)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	report("\"state\":\"done\",\"reason\":\"CloneFailed\",\"message\":\"branch \\\"x\\\" does not exist\"");
	pod(ENDED(1));
	(void)settle();
	ck_assert_str_eq(cond("Failed", "reason"), "CloneFailed");
	ck_assert_str_eq(at("/status/message"), "branch \"x\" does not exist; check the URL, the branch and the credentials "
			 "(input.authSecret), and start the session again");
	end();
}
END_TEST

/* However long it is what happened, what to do stands behind it, and no character is cut in two. */
START_TEST(what_to_do_is_never_cut_off)
{
	char text[512];

	for (size_t n = 0; n < sizeof(text) - 2; n++) {
		memset(text, 'x', sizeof(text));
		for (size_t i = n % 2; i + 1 < n; i += 2)
			memcpy(text + i, "\xc3\xa4", 2);
		text[n] = '\0';
		as_advise(text, sizeof(text), n % 3 == 0 ? "Timeout" : "Anything");
		ck_assert_uint_lt(strlen(text), sizeof(text));
		ck_assert_ptr_nonnull(strstr(text, "start the session again"));
		ck_assert(am_utf8_valid(text, strlen(text)));
	}
	(void)snprintf(text, sizeof(text), "do that, then start the session again");
	as_advise(text, sizeof(text), "Timeout");
	ck_assert_str_eq(text, "do that, then start the session again");
}
END_TEST

/* The runner keeps the time as well and may be the first to say so, but not before it is up. */
START_TEST(a_report_cannot_fake_a_timeout)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	report("\"state\":\"done\",\"reason\":\"Timeout\"");
	fake_host_advance(fake, (_i == 0 ? 10 : 70) * AMBIENT_SECOND);
	pod(ENDED(1));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), _i == 0 ? "Failed" : "Timeout");
	end();
}
END_TEST

START_TEST(lingering_agent_is_ended)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(ENDED(1));
	ck_assert_int_eq(settle(), 10 * AMBIENT_SECOND);
	ck_assert(fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	(void)settle();
	ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	ck_assert_str_eq(at("/status/phase"), "Failed");
	end();
}
END_TEST

/* A run that took too long has the time to say so, and to save what it has, as one with rescue more than another. */
START_TEST(a_late_run_ends_by_itself_or_is_ended)
{
	int64_t grace = (_i == 0 ? 30 : 90) + 10;

	begin();
	submit_named("s", _i == 0 ? "{'prompt':'do','timeout':60}" : "{'prompt':'do','timeout':60,'rescue':true}");
	(void)settle();
	pod(UP);
	(void)settle();
	fake_host_advance(fake, 66 * AMBIENT_SECOND);
	ck_assert_int_eq(settle(), grace * AMBIENT_SECOND);
	ck_assert_str_eq(at("/status/phase"), "Timeout");
	fake_host_advance(fake, (grace - 1) * AMBIENT_SECOND);
	ck_assert_int_eq(settle(), AMBIENT_SECOND);
	ck_assert(fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	fake_host_advance(fake, AMBIENT_SECOND);
	(void)settle();
	ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	end();
}
END_TEST

START_TEST(redaction)
{
	static const char *const cases[][2] = {
		{ "x ghp_Ab1 y", "x ghp_*** y" },
		{ "sk-ant-api03-AbC", "sk-ant-*********" },
		{ "https://me:secret@h/x and http://h/y@z", "https://me:******@h/x and http://h/y@z" },
		{ "nothing", "nothing" },
	};
	char text[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s", cases[i][0]);
		as_redact(text);
		ck_assert_str_eq(text, cases[i][1]);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, running_session);
	tcase_add_test(tc, job_as_agreed);
	tcase_add_test(tc, a_session_that_is_to_be_rescued_has_time_to_end);
	tcase_add_loop_test(tc, pods_are_restricted, 0, 2);
	tcase_add_test(tc, weakness_12_3_e_token_is_projected);
	tcase_add_loop_test(tc, network_policy_of_a_session, 0, 2);
	tcase_add_test(tc, unmanaged_namespace_waits);
	tcase_add_test(tc, rule_37_rule_39_stop_while_pending_and_deletion);
	tcase_add_test(tc, intent_the_later_wins);
	tcase_add_test(tc, finished_before_the_stop_is_completed);
	tcase_add_test(tc, rule_40_foreign_objects_are_refused);
	tcase_add_test(tc, unknown_runner_type_names_the_loaded);
	tcase_add_test(tc, plan_problems_are_shown);
	tcase_add_test(tc, addresses_and_branches);
	tcase_add_loop_test(tc, effective_values, 0, sizeof(effective_cases) / sizeof(effective_cases[0]));
	tcase_add_test(tc, settings_without_effect_are_named);
	tcase_add_loop_test(tc, what_the_other_mode_has_is_named, 0, sizeof(modes) / sizeof(modes[0]));
	tcase_add_test(tc, effective_values_are_frozen);
	tcase_add_test(tc, a_runner_that_is_silent_is_seen_within_a_minute);
	tcase_add_test(tc, rule_30_an_edit_while_running_is_said);
	tcase_add_loop_test(tc, inactivity_stops_a_chat, 0, 2);
	tcase_add_loop_test(tc, what_a_run_needs_to_report_is_made_again, 0, 4);
	tcase_add_test(tc, another_owner_of_job_and_report_changes_nothing);
	tcase_add_test(tc, rule_41_names_are_cut);
	tcase_add_loop_test(tc, what_is_ignored_of_a_report_is_said, 0, sizeof(ignored) / sizeof(ignored[0]));
	tcase_add_test(tc, report_says_why);
	tcase_add_test(tc, what_to_do_is_never_cut_off);
	tcase_add_loop_test(tc, a_report_cannot_fake_a_timeout, 0, 2);
	tcase_add_test(tc, lingering_agent_is_ended);
	tcase_add_loop_test(tc, a_late_run_ends_by_itself_or_is_ended, 0, 2);
	tcase_add_test(tc, redaction);
}

UNIT_MAIN("agenticsession", cases)
