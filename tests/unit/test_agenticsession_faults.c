/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways of a session from Pending to each end, and the same ways disturbed at every point: the daemon dies after any of its
 * writes, comes back with a cache that is as old as any of them, or hears of several events as one.  The end is that of
 * the undisturbed way, and there is one Job.
 */
#include "tests/unit/agenticsession.h"

static bool
is_warned(const char *reason)
{
	const char *event = fake_host_event(fake, reason);

	return event != NULL && strncmp(event, "Warning", 7) == 0;
}

static void
mount_event(void)
{
	char json[1024], now[40];

	ambient_time(now, fake_host_wall(fake));
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'m','namespace':'team-a'},'involvedObject':{'kind':'Pod','uid':'%s'},"
		       "'reason':'FailedMount','lastTimestamp':'%s','message':'MountVolume.SetUp failed for volume \\u0022git-0\\u0022 : secret "
		       "\\u0022g\\u0022 not found'}", fake_host_at(fake, AS_POD, "team-a", "s-job-x", "/metadata/uid"), now);
	fake_host_put(fake, AS_EVENT, json);
}

/* What the world does after the Job is there; each walks to its end. */
static void w_success(void) { pod(UP); (void)settle(); pod(ENDED(0)); }
static void w_failure(void) { pod(UP); (void)settle(); pod(ENDED(1)); }
static void w_prerequisite(void) { pod(UP); (void)settle(); pod(ENDED(2)); }
static void w_unseen(void) { fake_host_merge(fake, AS_JOB, "team-a", "s-job",
	"{'status':{'conditions':[{'type':'Complete','status':'True'}]}}"); }
static void w_job_deleted(void) { pod(UP); (void)settle(); fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	fake_host_remove(fake, AS_JOB, "team-a", "s-job"); }
static void w_pod_lost(void) { pod(UP); (void)settle(); fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	fake_host_merge(fake, AS_JOB, "team-a", "s-job",
	"{'status':{'conditions':[{'type':'Failed','status':'True','reason':'BackoffLimitExceeded'}]}}"); }
static void w_pod_deleted(void) { pod(UP); (void)settle(); pod(ENDED(143));
	report("\"state\":\"done\",\"reason\":\"Stopped\",\"message\":\"the run was stopped\"");
	fake_host_merge(fake, AS_POD, "team-a", "s-job-x",
	"{'metadata':{'deletionTimestamp':'2026-01-01T00:00:09Z','deletionGracePeriodSeconds':30}}"); }
static void w_evicted(void) { pod("{'phase':'Failed','reason':'Evicted','message':'disk pressure'}"); }
static void w_deadline(void) { fake_host_merge(fake, AS_JOB, "team-a", "s-job",
	"{'status':{'conditions':[{'type':'Failed','status':'True','reason':'DeadlineExceeded','message':'late'}]}}"); }
static void w_oom(void) { pod(RUNNER("{'terminated':{'exitCode':137,'reason':'OOMKilled'}}")); }
static void w_all_gone(void) { pod(UP); (void)settle(); fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	fake_host_remove(fake, AS_JOB, "team-a", "s-job"); fake_host_advance(fake, 3600 * AMBIENT_SECOND); }
static void w_agent_oom(void) { pod("{'phase':'Running','containerStatuses':[{'name':'runner','state':{'terminated':{'exitCode':1}}},"
	"{'name':'agent','state':{'terminated':{'exitCode':137,'reason':'OOMKilled'}}}]}"); }
static void w_agent_image(void) { pod("{'phase':'Pending','containerStatuses':[{'name':'runner','state':{'running':{}}},"
	"{'name':'agent','state':{'waiting':{'reason':'ImagePullBackOff','message':'no such image'}}}]}");
	(void)settle(); fake_host_advance(fake, 301 * AMBIENT_SECOND); }
static void w_crash_loop(void) { pod(RUNNER("{'waiting':{'reason':'CrashLoopBackOff','message':'back-off'}}"));
	(void)settle(); ck_assert_str_eq(at("/status/phase"), "Creating"); ck_assert(is_warned("CrashLoopBackOff"));
	fake_host_advance(fake, 301 * AMBIENT_SECOND); }
static void w_hiccup(void) { pod(RUNNER("{'waiting':{'reason':'ErrImagePull','message':'not there'}}"));
	(void)settle(); fake_host_advance(fake, 30 * AMBIENT_SECOND); w_success(); }
static void w_timeout(void) { pod(UP); (void)settle(); fake_host_advance(fake, 66 * AMBIENT_SECOND); }
static void w_bad_name(void) { pod(RUNNER("{'waiting':{'reason':'InvalidImageName','message':'no such thing'}}")); }
static void w_no_image(void) { pod(RUNNER("{'waiting':{'reason':'ErrImagePull','message':'not there'}}"));
	ck_assert_int_eq(settle(), 300 * AMBIENT_SECOND); ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(cond("Ready", "reason"), "ErrImagePull"); ck_assert(is_warned("ErrImagePull"));
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "pull Secret")); fake_host_advance(fake, 300 * AMBIENT_SECOND); }
static void w_late_secret(void) { pod(RUNNER("{'waiting':{'reason':'CreateContainerConfigError','message':'there is no Secret gone'}}"));
	(void)settle(); ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(cond("SecretsReady", "status"), "False"); ck_assert(is_warned("SecretMissing"));
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "goes on by itself")); w_success(); }
static void w_no_volume(void) { pod(RUNNER("{'waiting':{'reason':'ContainerCreating','message':'no Secret g: not found'}}"));
	ck_assert_int_eq(settle(), 300 * AMBIENT_SECOND); ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(cond("SecretsReady", "reason"), "SecretMissing"); fake_host_advance(fake, 300 * AMBIENT_SECOND); }
static void w_slow_image(void) { pod(RUNNER("{'waiting':{'reason':'ContainerCreating'}}"));
	ck_assert_int_gt(settle(), 0); fake_host_advance(fake, 600 * AMBIENT_SECOND);
	ck_assert_int_eq(settle(), 600 * AMBIENT_SECOND); ck_assert_str_eq(at("/status/phase"), "Creating"); pod(ENDED(0)); }
/* A kubelet says why it cannot mount a volume in an event alone. */
static void w_no_mount(void) { pod(RUNNER("{'waiting':{'reason':'ContainerCreating'}}")); mount_event();
	ck_assert_int_eq(settle(), 5 * AMBIENT_SECOND); ck_assert_str_eq(cond("Ready", "reason"), "Creating");
	fake_host_advance(fake, 5 * AMBIENT_SECOND); ck_assert_int_eq(settle(), 5 * AMBIENT_SECOND);
	ck_assert_str_eq(cond("Ready", "reason"), "SecretMissing"); ck_assert_str_eq(cond("SecretsReady", "status"), "False");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "goes on by itself")); ck_assert(is_warned("SecretMissing"));
	fake_host_advance(fake, 300 * AMBIENT_SECOND); mount_event(); }
static void w_mounted(void) { pod(RUNNER("{'waiting':{'reason':'ContainerCreating'}}")); mount_event();
	(void)settle(); fake_host_advance(fake, 5 * AMBIENT_SECOND); (void)settle(); ck_assert_str_eq(cond("Ready", "reason"), "SecretMissing");
	/* What it no longer says is over: it pulls the image now. */
	fake_host_advance(fake, 600 * AMBIENT_SECOND); (void)settle(); ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(cond("Ready", "reason"), "Creating"); pod(ENDED(0)); }
static void stop_running(void) { pod(UP); (void)settle();
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
	ck_assert_int_eq(settle(), 40 * AMBIENT_SECOND); ck_assert_str_eq(at("/status/phase"), "Stopping"); }
/* The runner ends by itself: its pod and the Job stay, and what it logged with them. */
static void w_stop(void) { stop_running(); pod(ENDED(143)); (void)settle();
	ck_assert_str_eq(at("/status/phase"), "Stopping"); pod(ALL_ENDED); (void)settle();
	ck_assert(fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	ck_assert_uint_eq(fake_host_calls(fake, "delete", AS_JOB), 0); }
static void w_stop_in_vain(void) { stop_running(); fake_host_advance(fake, 39 * AMBIENT_SECOND);
	ck_assert_int_eq(settle(), AMBIENT_SECOND); fake_host_advance(fake, AMBIENT_SECOND);
	(void)settle(); ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	ck_assert_str_eq(at("/status/phase"), "Stopping"); fake_host_remove(fake, AS_POD, "team-a", "s-job-x"); }
static void w_stop_silent(void) { pod(UP); report("\"state\":\"running\",\"heartbeatAt\":\"2026-01-01T00:00:05Z\"");
	(void)settle(); fake_host_advance(fake, 55 * AMBIENT_SECOND); (void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "RunnerSilent");
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
	(void)settle(); ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	fake_host_remove(fake, AS_POD, "team-a", "s-job-x"); }
static void w_stop_annotation(void) { fake_host_merge(fake, AS_SESSION, "team-a", "s",
	"{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Stopped'}}}"); }

/* ---- pods that are taken away, and nodes */
#define TAKEN(by, why) "{'phase':'Running','conditions':[{'type':'DisruptionTarget','status':'True','reason':'" by "','message':'" why "'}]," \
		       "'containerStatuses':[{'name':'runner','state':{'terminated':{'exitCode':143,'reason':'Error'}}}," \
		       "{'name':'agent','state':{'terminated':{'exitCode':143}}}]}"
/* As the controller leaves a pod whose node it has not heard of for a while. */
#define UNHEARD "{'phase':'Running','conditions':[{'type':'Ready','status':'False'},{'type':'ContainersReady','status':'True'}]," \
		"'containerStatuses':[{'name':'runner','state':{'running':{'startedAt':'2026-01-01T00:00:05Z'}}}," \
		"{'name':'agent','state':{'running':{'startedAt':'2026-01-01T00:00:05Z'}}}]}"
#define DELETED(when) "{'metadata':{'deletionTimestamp':'2026-01-01T00:00:" when "Z','deletionGracePeriodSeconds':30}}"

static void
deleted(const char *patch)
{
	fake_host_merge(fake, AS_POD, "team-a", "s-job-x", patch);
}

static void
job_failed(const char *type, const char *reason)
{
	char patch[300];

	(void)snprintf(patch, sizeof(patch), "{'status':{'conditions':[{'type':'%s','status':'True','reason':'%s','message':'late'}]}}",
		       type, reason);
	fake_host_merge(fake, AS_JOB, "team-a", "s-job", patch);
}

static void
quota_event(void)
{
	char json[1024];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'e','namespace':'team-a'},'involvedObject':{'kind':'Job','uid':'%s'},"
		       "'reason':'FailedCreate','lastTimestamp':'2026-01-01T00:00:02Z','message':'Error creating: pods is forbidden: "
		       "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'}",
		       fake_host_at(fake, AS_JOB, "team-a", "s-job", "/metadata/uid"));
	fake_host_put(fake, AS_EVENT, json);
}

static void w_evicted_running(void) { pod(UP); (void)settle(); pod("{'phase':'Failed','reason':'Evicted','message':'memory',"
	"'containerStatuses':[{'name':'runner','state':{'terminated':{'exitCode':137,'reason':'Error'}}}]}"); }
static void w_drained(void) { pod(UP); (void)settle(); pod(TAKEN("EvictionByEvictionAPI", "Eviction API: being evicted"));
	deleted(DELETED("40")); }
static void w_preempted(void) { pod(UP); (void)settle(); pod(TAKEN("PreemptionByScheduler", "by another pod")); deleted(DELETED("40")); }
static void w_node_gone(void) { pod(UP); (void)settle(); pod("{'phase':'Failed','conditions':[{'type':'DisruptionTarget','status':'True',"
	"'reason':'DeletionByPodGC','message':'PodGC: node no longer exists'}],'containerStatuses':[{'name':'runner','state':{'running':{}}}]}"); }
static void w_node_lost(void) { pod(UP); (void)settle(); pod(UNHEARD);
	ck_assert_int_gt(settle(), 0); ck_assert_str_eq(cond("Ready", "reason"), "NodeNotReady");
	ck_assert_str_eq(at("/status/phase"), "Running"); ck_assert_uint_eq(fake_host_events(fake, "NodeNotReady"), 1);
	/* Nobody ends the pod in its 30 s, nor in the minute after that.  The real Job says that it will have failed. */
	deleted(DELETED("40")); job_failed("FailureTarget", "BackoffLimitExceeded");
	ck_assert_int_gt(settle(), 0); ck_assert_str_eq(at("/status/phase"), "Running"); fake_host_advance(fake, 100 * AMBIENT_SECOND); }
static void w_node_back(void) { pod(UP); (void)settle(); pod(UNHEARD); (void)settle(); pod(UP); (void)settle();
	ck_assert_str_eq(cond("Ready", "status"), "True"); pod(ENDED(0)); }
/* Older clusters say that the Job has failed as soon as its pod is asked to go. */
static void w_pod_deleted_job_failed(void) { pod(UP); (void)settle(); deleted(DELETED("40"));
	job_failed("Failed", "BackoffLimitExceeded"); (void)settle(); ck_assert_str_eq(at("/status/phase"), "Running");
	pod(ENDED(143)); deleted(DELETED("40")); }
static void w_job_deadline_pod(void) { pod(UP); (void)settle(); pod(ENDED(143)); deleted(DELETED("40"));
	job_failed("FailureTarget", "DeadlineExceeded"); }
/* The agent's container dies before it has connected: the runner cannot notice, and its next report shows it. */
static void w_agent_early(void) { pod("{'phase':'Running','containerStatuses':[{'name':'runner','state':{'running':"
	"{'startedAt':'2026-01-01T00:00:05Z'}}},{'name':'agent','state':{'terminated':{'exitCode':137,'reason':'Error',"
	"'finishedAt':'2026-01-01T00:00:06Z'}}}]}");
	report("\"state\":\"preparing\",\"heartbeatAt\":\"2026-01-01T00:00:06Z\""); (void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	report("\"state\":\"preparing\",\"heartbeatAt\":\"2026-01-01T00:00:36Z\""); }
/* One that ended in its time is no news: the runner saves what it did. */
static void w_agent_done(void) { pod("{'phase':'Running','containerStatuses':[{'name':'runner','state':{'running':"
	"{'startedAt':'2026-01-01T00:00:05Z'}}},{'name':'agent','state':{'terminated':{'exitCode':0,'finishedAt':'2026-01-01T00:00:06Z'}}}]}");
	report("\"state\":\"pushing\",\"heartbeatAt\":\"2026-01-01T00:00:36Z\""); (void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running"); pod(ENDED(0)); }
static void w_quota(void) { quota_event(); ck_assert_int_eq(settle(), 5 * AMBIENT_SECOND);
	ck_assert_str_eq(cond("Ready", "reason"), "Creating"); fake_host_advance(fake, 5 * AMBIENT_SECOND);
	ck_assert_int_eq(settle(), 5 * AMBIENT_SECOND); ck_assert_str_eq(cond("Ready", "reason"), "QuotaExceeded");
	ck_assert_uint_eq(fake_host_events(fake, "QuotaExceeded"), 1); ck_assert_str_eq(at("/status/phase"), "Creating");
	fake_host_advance(fake, 60 * AMBIENT_SECOND); ck_assert_int_eq(settle(), 65 * AMBIENT_SECOND);
	ck_assert_uint_eq(fake_host_events(fake, "QuotaExceeded"), 1); job_failed("Failed", "DeadlineExceeded"); }
static void w_quota_freed(void) { quota_event(); (void)settle(); fake_host_advance(fake, 20 * AMBIENT_SECOND); (void)settle();
	ck_assert_str_eq(cond("PodScheduled", "reason"), "QuotaExceeded"); pod(UP); (void)settle();
	ck_assert_str_eq(cond("PodScheduled", "status"), "True"); pod(ENDED(0)); }

static const struct walk {
	const char *name;
	void (*world)(void);
	const char *phase, *reason, *text;
	bool looks; /* at what happens in between, and so cannot do without it */
} walks[] = {
	{ "success", w_success, "Completed", "Completed", "", false },
	{ "exit 1", w_failure, "Failed", "RunnerExit", "exit code 1", false },
	{ "exit 2", w_prerequisite, "Failed", "PrerequisiteFailed", "exit code 2", false },
	{ "job complete, pod gone", w_unseen, "Completed", "Completed", "", false },
	{ "job deleted", w_job_deleted, "Failed", "JobMissing", "deleted", false },
	{ "pod lost", w_pod_lost, "Failed", "PodMissing", "evicted", false },
	{ "pod deleted", w_pod_deleted, "Failed", "PodDeleted", "the pod was deleted", false },
	{ "evicted", w_evicted, "Failed", "PodEvicted", "disk pressure", false },
	{ "evicted while running", w_evicted_running, "Failed", "PodEvicted", "start the session again", false },
	{ "drained", w_drained, "Failed", "PodEvicted", "being evicted", false },
	{ "preempted", w_preempted, "Failed", "PodPreempted", "higher priority", false },
	{ "node gone", w_node_gone, "Failed", "NodeLost", "no longer exists", false },
	{ "node does not answer", w_node_lost, "Failed", "NodeLost", "delete the pod by force", true },
	{ "node comes back", w_node_back, "Completed", "Completed", "", true },
	{ "deleted, and its Job has failed for that", w_pod_deleted_job_failed, "Failed", "PodDeleted", "the pod was deleted", true },
	{ "deleted for the Job's deadline", w_job_deadline_pod, "Timeout", "Timeout", "late", false },
	{ "the agent's container dies early", w_agent_early, "Failed", "AgentLost", "exit code 137 (Error)", true },
	{ "the agent's container ended before the push", w_agent_done, "Completed", "Completed", "", true },
	{ "quota for ever", w_quota, "Timeout", "Timeout", "exceeded quota: q", true },
	{ "quota that is raised", w_quota_freed, "Completed", "Completed", "", true },
	{ "job deadline", w_deadline, "Timeout", "Timeout", "late", false },
	{ "out of memory", w_oom, "Failed", "OOMKilled", "137", false },
	{ "agent out of memory", w_agent_oom, "Failed", "OOMKilled", "resourceOverrides.memory", false },
	{ "both gone for long", w_all_gone, "Failed", "JobMissing", "deleted", false },
	{ "agent's image", w_agent_image, "Failed", "ImagePullBackOff", "agent container: no such image", false },
	{ "crash loop", w_crash_loop, "Failed", "CrashLoopBackOff", "back-off", true },
	{ "registry hiccup", w_hiccup, "Completed", "Completed", "", false },
	{ "timeout", w_timeout, "Timeout", "Timeout", "60 s", false },
	{ "invalid image", w_bad_name, "Failed", "InvalidImageName", "no such thing", false },
	{ "image never there", w_no_image, "Failed", "ErrImagePull", "not there", true },
	{ "secret comes late", w_late_secret, "Completed", "Completed", "", true },
	{ "a volume's secret is missing", w_no_volume, "Failed", "SecretMissing", "no Secret g: not found; create what is missing", true },
	{ "a kubelet that finds no secret", w_no_mount, "Failed", "SecretMissing", "secret \"g\" not found; create what is missing", true },
	{ "a kubelet that found it then", w_mounted, "Completed", "Completed", "", true },
	{ "a large image", w_slow_image, "Completed", "Completed", "", true },
	{ "stop while running", w_stop, "Stopped", "UserStopped", "", true },
	{ "stop of a runner that does not end", w_stop_in_vain, "Stopped", "UserStopped", "", true },
	{ "stop of a runner that is silent", w_stop_silent, "Stopped", "UserStopped", "", true },
	{ "stop while creating", w_stop_annotation, "Stopped", "UserStopped", "", false },
};

/* Walks one way; at the write number `at_write` of the first reconcile after whatever happens everything fails, and the
 * next reconcile starts anew.  Returns whether that write was ever reached. */
static bool
run_walk(const struct walk *walk, int at_write)
{
	begin();
	was_cut = false;
	cut_each = at_write;
	submit_named("s", SPEC);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	walk->world();
	(void)settle();
	cut_each = -1;
	ck_assert_msg(strcmp(at("/status/phase"), walk->phase) == 0, "%s: phase %s (%s: %s)", walk->name,
		      at("/status/phase"), cond("Ready", "reason"), at("/status/message"));
	ck_assert_str_eq(cond("Ready", "reason"), walk->reason);
	ck_assert_msg(strstr(at("/status/message"), walk->text) != NULL, "%s: \"%s\"", walk->name, at("/status/message"));
	ck_assert_str_ne(at("/status/completionTime"), "(none)");
	/* Whoever looks at events learns it, too, from a Warning where somebody has to act. */
	if (strcmp(walk->phase, "Failed") == 0 || strcmp(walk->phase, "Timeout") == 0)
		ck_assert_msg(is_warned(walk->reason) && strstr(at("/status/message"), "start the session again") != NULL,
			      "%s: no event, or one that says nothing of what to do: %s", walk->name, at("/status/message"));
	else
		ck_assert_ptr_nonnull(fake_host_event(fake, walk->phase));
	/* One run, one Job, whatever happened in between. */
	ck_assert_uint_eq(fake_host_calls(fake, "create", AS_JOB), 1);
	/* Nothing more happens, whoever looks and whenever. */
	size_t before = fake_host_calls(fake, "status", AS_SESSION);

	fake_host_advance(fake, 3600 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_uint_eq(fake_host_calls(fake, "status", AS_SESSION), before);
	ck_assert_str_eq(at("/status/phase"), walk->phase);
	end();
	return was_cut;
}

START_TEST(walks_to_each_end)
{
	(void)run_walk(&walks[_i], -1);
}
END_TEST

/* 12.1: nobody saw the runner run.  It did, with all that it needed; one that could not start did not, whatever time it has. */
START_TEST(weakness_12_1_f_a_run_that_nobody_saw)
{
	static const struct {
		const char *ended, *start, *started, *secrets;
	} ends[] = {
		{ "'exitCode':0,'startedAt':'2026-01-01T00:00:07Z'", "2026-01-01T00:00:07Z", "True", "True" },
		{ "'exitCode':128,'reason':'StartError','message':'no such program','startedAt':'1970-01-01T00:00:00Z'", "(none)", "False",
		  "False" },
	};
	char json[400];

	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(RUNNER("{'waiting':{'reason':'CreateContainerConfigError','message':'there is no Secret gone'}}"));
	(void)settle();
	ck_assert_str_eq(cond("SecretsReady", "status"), "False");
	(void)snprintf(json, sizeof(json), RUNNER("{'terminated':{%s}}"), ends[_i].ended);
	pod(json);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), _i == 0 ? "Completed" : "Failed");
	ck_assert_str_eq(at("/status/startTime"), ends[_i].start);
	ck_assert_str_eq(cond("RunnerStarted", "status"), ends[_i].started);
	ck_assert_str_eq(cond("SecretsReady", "status"), ends[_i].secrets);
	end();
}
END_TEST

START_TEST(rule_28_crash_after_each_write)
{
	int at_write = 0;

	while (at_write < 30 && run_walk(&walks[_i], at_write))
		at_write++;
	/* status, claim, account, role, binding, report, Job, status: at least these were cut. */
	ck_assert_int_ge(at_write, 8);
	ck_assert_int_lt(at_write, 30);
}
END_TEST

/* ---- disturbed */

static void
restart_daemon(void)
{
	fake_host_destroy(fake);
	(void)fake_host_create(fake);
}

static char the_job[64];

/* From here on a Job with another uid is one too many. */
static void
note_job(void)
{
	(void)snprintf(the_job, sizeof(the_job), "%s", fake_host_at(fake, AS_JOB, "team-a", "s-job", "/metadata/uid"));
}

static void
is_as_undisturbed(const struct walk *walk, const char *how, int n)
{
	ck_assert_msg(strcmp(at("/status/phase"), walk->phase) == 0 && strcmp(cond("Ready", "reason"), walk->reason) == 0 &&
		      strstr(at("/status/message"), walk->text) != NULL, "%s, %s %d: %s, %s: %s", walk->name, how, n,
		      at("/status/phase"), cond("Ready", "reason"), at("/status/message"));
	ck_assert_str_eq(at("/status/runs"), "1");
	if (fake_host_has(fake, AS_JOB, "team-a", "s-job"))
		ck_assert_msg(strcmp(fake_host_at(fake, AS_JOB, "team-a", "s-job", "/metadata/uid"), the_job) == 0,
			      "%s, %s %d: a second Job", walk->name, how, n);
	ck_assert_uint_eq(fake_host_count(fake, AS_PVC, "team-a"), 1);
	ck_assert_uint_eq(fake_host_count(fake, AS_CM, "team-a"), 1);
	ck_assert_uint_eq(fake_host_count(fake, AS_SA, "team-a"), 1);
	ck_assert_uint_eq(fake_host_calls(fake, "delete", AS_PVC) + fake_host_calls(fake, "delete", AS_CM), 0);
}

/* A daemon that has just started, whose cache is as old as the last fake_host_remember().  What it tries may fail. */
static void
with_an_old_cache(void)
{
	restart_daemon();
	fake_host_lag(fake, true);
	for (int i = 0; i < 4; i++)
		(void)fake_host_reconcile(fake, NULL, "team-a", "s", NULL, NULL);
	fake_host_lag(fake, false);
}

/* Old by the n-th write before the Job is there, or by the n-th at the end. */
static bool
old_cache(const struct walk *walk, int n, bool at_the_end)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool cut_off;

	begin();
	submit_named("s", SPEC);
	if (at_the_end) {
		(void)settle();
		note_job();
		walk->world();
	}
	writes_left = n;
	cut_off = fake_host_reconcile(fake, NULL, "team-a", "s", NULL, &err) < 0;
	writes_left = -1;
	fake_host_remember(fake);
	(void)settle();
	if (!at_the_end)
		note_job();
	with_an_old_cache();
	(void)settle();
	if (!at_the_end) {
		ck_assert_str_eq(at("/status/phase"), "Creating");
		walk->world();
		/* And the other way round: the world has moved on, and the cache has not heard of it. */
		with_an_old_cache();
		(void)settle();
	}
	is_as_undisturbed(walk, at_the_end ? "an old cache at the end" : "an old cache", n);
	end();
	return cut_off;
}

START_TEST(cache_as_old_as_any_write)
{
	int n = 0, k = 0;

	while (n < 30 && old_cache(&walks[_i], n, false))
		n++;
	while (k < 30 && old_cache(&walks[_i], k, true))
		k++;
	ck_assert_int_ge(n, 7);
	ck_assert_int_lt(n + k, 40);
}
END_TEST

/* Any of the looks in between is left out, in each combination. */
START_TEST(coalesced_events)
{
	const struct walk *walk = &walks[_i];

	for (unsigned mask = 0; mask < (walk->looks ? 1 : 16); mask++) {
		begin();
		submit_named("s", SPEC);
		(void)settle();
		note_job();
		settled = 0;
		skipped = mask;
		walk->world();
		skipped = 0;
		(void)settle();
		is_as_undisturbed(walk, "coalesced", (int)mask);
		end();
	}
}
END_TEST

/* 11.5 and 12.1: the daemon is another one at every look. */
START_TEST(weakness_12_1_c_behaviour_11_5_operator_restart_in_each_phase)
{
	const struct walk *walk = &walks[_i];

	begin();
	submit_named("s", SPEC);
	(void)settle();
	note_job();
	restart_daemon();
	(void)settle();
	restart_daemon();
	walk->world();
	restart_daemon();
	(void)settle();
	restart_daemon();
	(void)settle();
	is_as_undisturbed(walk, "restarted", 0);
	end();
}
END_TEST

/* 12.1: a session at rest costs no write, however often it is looked at. */
START_TEST(weakness_12_1_i_looking_writes_nothing)
{
	size_t before;

	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	before = fake_host_calls(fake, "status", AS_SESSION);
	for (int i = 0; i < 50; i++) {
		fake_host_advance(fake, AMBIENT_SECOND / 10);
		(void)settle();
	}
	ck_assert_uint_eq(fake_host_calls(fake, "status", AS_SESSION), before);
	/* And while it stops it does not go back to Running because its container still runs. */
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
	(void)settle();
	for (int i = 0; i < 5; i++) {
		(void)settle();
		ck_assert_str_eq(at("/status/phase"), "Stopping");
	}
	end();
}
END_TEST

/* 12.1: what keeps a pod from its node is said, and is no failure: a node may come. */
START_TEST(weakness_12_1_h_unschedulable_is_said)
{
	char json[1024];

	begin();
	submit_named("s", SPEC);
	(void)settle();
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'s-job-x','namespace':'team-a','labels':{'app':'ambient-code-runner',"
		       "'agentic-session':'s'},'annotations':{'ambient-code.io/session':'s','ambient-code.io/run-id':'%s'}},"
		       "'status':{'phase':'Pending','conditions':[{'type':'PodScheduled','status':'False','reason':'Unschedulable',"
		       "'message':'0/3 nodes are available: insufficient cpu'}]}}", at("/status/runId"));
	fake_host_put(fake, AS_POD, json);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(cond("PodScheduled", "reason"), "Unschedulable");
	ck_assert(is_warned("Unschedulable"));
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "insufficient cpu"));
	/* The same where the only node's name stands in the pod already; a sentence inside the sentence has no end. */
	fake_host_merge(fake, AS_POD, "team-a", "s-job-x", "{'spec':{'nodeName':'standalone'},'status':{'conditions':[{'type':'PodScheduled',"
			"'status':'False','reason':'Unschedulable','message':'0/1 nodes are available: 1 Insufficient memory.'}]}}");
	(void)settle();
	ck_assert_str_eq(cond("PodScheduled", "reason"), "Unschedulable");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "Insufficient memory; it goes on"));
	pod(UP);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(cond("PodScheduled", "status"), "True");
	end();
}
END_TEST

static bool is_full;

static int
create_within_quota(struct ambient_call *call, struct ambient_draft *draft, const char *sub, const struct ambient_object **ret,
		    struct ambient_error *err)
{
	return is_full ? ambient_err(err, AMBIENT_E_FORBIDDEN, "\"ambient-workspace-s\" is forbidden: exceeded quota: few") :
			 cut_real->create(call, draft, sub, ret, err);
}

/* 12.1: a quota may refuse what the pod needs as well as the pod; nothing tells of the room that comes. */
START_TEST(weakness_12_1_a_a_quota_of_what_a_run_needs_is_waited_for)
{
	begin();
	cut_client.create = create_within_quota;
	is_full = true;
	submit_named("s", SPEC);
	ck_assert_int_eq(settle(), 5 * AMBIENT_SECOND);
	ck_assert_str_eq(at("/status/phase"), "Pending");
	ck_assert_str_eq(cond("Ready", "reason"), "QuotaExceeded");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "exceeded quota: few; it goes on when"));
	ck_assert(is_warned("QuotaExceeded"));
	fake_host_advance(fake, 20 * AMBIENT_SECOND);
	ck_assert_int_eq(settle(), 20 * AMBIENT_SECOND);
	fake_host_advance(fake, 3600 * AMBIENT_SECOND);
	ck_assert_int_eq(settle(), 60 * AMBIENT_SECOND);
	ck_assert_uint_eq(fake_host_events(fake, "QuotaExceeded"), 1);
	is_full = false;
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_uint_eq(fake_host_calls(fake, "create", AS_JOB), 1);
	end();
}
END_TEST

static const struct {
	const char *asks, *pod, *says;
} asked[] = {
	{ "'cpu':'90','memory':'1Gi'", "{'phase':'Pending','conditions':[{'type':'PodScheduled','status':'False','reason':'Unschedulable','message':"
	  "'1 Insufficient cpu.'}]}", "1 Insufficient cpu; spec.resourceOverrides asks for cpu 90 and memory 1Gi; it goes on" },
	{ "'memory':'8Mi'", "{'phase':'Running','containerStatuses':[{'name':'runner','state':{'waiting':{'reason':'CreateContainerError','message':"
	  "'container \\u0022agent\\u0022: too little\\n'}}}]}", "container \"agent\": too little; spec.resourceOverrides asks for memory 8Mi; look at" },
	{ "'cpu':'1'", "{'phase':'Running','containerStatuses':[{'name':'runner','state':{'waiting':{'reason':'ErrImagePull','message':'not\\nthere'}}}]}",
	  "runner container: not there; check the image" },
};

/* What the person asked for is in the message, where it may be why. */
START_TEST(what_was_asked_for_is_said)
{
	char spec[200];

	begin();
	(void)snprintf(spec, sizeof(spec), "{'prompt':'x','resourceOverrides':{%s}}", asked[_i].asks);
	submit_named("s", spec);
	(void)settle();
	pod(asked[_i].pod);
	if (_i == 0)
		fake_host_merge(fake, AS_POD, "team-a", "s-job-x", "{'spec':{'nodeName':null}}");
	(void)settle();
	ck_assert_msg(strstr(at("/status/message"), asked[_i].says) != NULL, "%s", at("/status/message"));
	end();
}
END_TEST

/* 12.2: the end of a session takes nothing that another one might use. */
START_TEST(weakness_12_2_b_nothing_shared_is_deleted)
{
	static const char *const kinds[] = { AS_PVC, AS_CM, AS_SA, AS_ROLE, AS_BINDING, "v1/secrets" };

	begin();
	fake_host_put(fake, "v1/secrets", "{'metadata':{'name':'ambient-runner-secrets','namespace':'team-a'}}");
	submit_named("s", SPEC);
	submit_named("other", SPEC);
	(void)settle();
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "other", NULL, NULL), 0);
	pod(ENDED(0));
	(void)settle();
	fake_host_advance(fake, 3600 * AMBIENT_SECOND);
	(void)settle();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		ck_assert_uint_eq(fake_host_calls(fake, "delete", kinds[i]), 0);
	ck_assert(fake_host_has(fake, "v1/secrets", "team-a", "ambient-runner-secrets"));
	ck_assert(fake_host_has(fake, AS_JOB, "team-a", "other-job"));
	end();
}
END_TEST

/* 11.5 and 12.2: everything is owned, under a version that exists, so that deletion takes it. */
START_TEST(weakness_12_2_d_behaviour_11_5_owner_references)
{
	static const struct {
		const char *kind, *name;
	} children[] = {
		{ AS_JOB, "s-job" }, { AS_PVC, "ambient-workspace-s" }, { AS_CM, "s-report" }, { AS_SA, "ambient-session-s" },
		{ AS_ROLE, "ambient-session-s-role" }, { AS_BINDING, "ambient-session-s-rb" }, { AS_POLICY, "ambient-session-s" },
	};

	begin_with("{'networkPolicy':true}");
	submit_named("s", SPEC);
	(void)settle();
	for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
		const char *ref = "/metadata/ownerReferences/0";
		char pointer[64];

		(void)snprintf(pointer, sizeof(pointer), "%s/uid", ref);
		ck_assert_str_eq(fake_host_at(fake, children[i].kind, "team-a", children[i].name, pointer), at("/metadata/uid"));
		(void)snprintf(pointer, sizeof(pointer), "%s/apiVersion", ref);
		ck_assert_str_eq(fake_host_at(fake, children[i].kind, "team-a", children[i].name, pointer), AS_API);
		(void)snprintf(pointer, sizeof(pointer), "%s/controller", ref);
		ck_assert_str_eq(fake_host_at(fake, children[i].kind, "team-a", children[i].name, pointer), "true");
	}
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	const int n = sizeof(walks) / sizeof(walks[0]);

	tcase_add_loop_test(tc, walks_to_each_end, 0, n);
	tcase_add_loop_test(tc, weakness_12_1_f_a_run_that_nobody_saw, 0, 2);
	tcase_add_loop_test(tc, rule_28_crash_after_each_write, 0, n);
	tcase_add_loop_test(tc, cache_as_old_as_any_write, 0, n);
	tcase_add_loop_test(tc, coalesced_events, 0, n);
	tcase_add_loop_test(tc, weakness_12_1_c_behaviour_11_5_operator_restart_in_each_phase, 0, n);
	tcase_add_test(tc, weakness_12_1_i_looking_writes_nothing);
	tcase_add_test(tc, weakness_12_1_h_unschedulable_is_said);
	tcase_add_loop_test(tc, what_was_asked_for_is_said, 0, sizeof(asked) / sizeof(asked[0]));
	tcase_add_test(tc, weakness_12_1_a_a_quota_of_what_a_run_needs_is_waited_for);
	tcase_add_test(tc, weakness_12_2_b_nothing_shared_is_deleted);
	tcase_add_test(tc, weakness_12_2_d_behaviour_11_5_owner_references);
}

UNIT_MAIN("agenticsession_faults", cases)
