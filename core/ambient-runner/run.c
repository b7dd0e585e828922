/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ambient-runner run`: the side that holds credentials.  It reads its session, clones, lets the agent's container
 * work, takes the result as bundles, pushes, reports.  See runner_priv.h for the order and serve.c for the part in
 * the middle.
 */
#include "core/ambient-runner/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>
#include <ambient/runner.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "core/ambient-runner/forge.h"
#include "core/ambient-runner/runner_priv.h"
#include "core/ambient-runner/survey.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

/* How long the last report is tried: while it is only slow, while no server answers, when it is not allowed, and when
 * the run is to end at once. */
#define REPORT_WAIT    (20 * AM_NS_PER_S)
#define REPORT_AWAY    (600 * AM_NS_PER_S)
#define REPORT_REFUSED (3 * AM_NS_PER_S)
#define REPORT_ASKED   (5 * AM_NS_PER_S)
#define HEARTBEAT      (25 * AM_NS_PER_S)
#define FIRST_BEAT     AM_NS_PER_S
/* What Kubernetes gives a pod when nobody says anything, and what is left of it for the report. */
#define GRACE          (30 * AM_NS_PER_S)
#define LAST_WORDS     (8 * AM_NS_PER_S)
/* How long those who read messages may take for the last ones. */
#define READERS_WAIT  (3 * AM_NS_PER_S)
#define READERS_ASKED AM_NS_PER_S
#define SESSION_KIND "vteam.ambient-code/v1alpha1/agenticsessions"

int32_t am_runner_asked;
int am_runner_wake_fd = -1;

static void
on_signal(int sig)
{
	uint64_t one = 1;
	int saved = errno;

	__atomic_store_n(&am_runner_asked, sig, __ATOMIC_RELEASE);
	(void)!write(am_runner_wake_fd, &one, sizeof(one));
	errno = saved;
}

int
am_runner_catch_signals(void)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigset_t none;

	am_runner_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (am_runner_wake_fd < 0)
		return -1;
	for (size_t i = 0; i < AM_COUNTOF(numbers); i++)
		(void)sigaction(numbers[i], &sa, NULL);
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &sa, NULL);
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
	return 0;
}

int
am_runner_fail(struct am_runner *runner, int code, const char *reason, const char *fmt, ...)
{
	va_list ap;

	(void)am_strlcpy(runner->report.reason, reason, sizeof(runner->report.reason));
	va_start(ap, fmt);
	(void)vsnprintf(runner->report.message, sizeof(runner->report.message), fmt, ap);
	va_end(ap);
	am_runner_redact_string(runner->redactor, runner->report.message, sizeof(runner->report.message));
	return code;
}

/* What became of a repository became so now, if it was not so in the last report. */
static void
note_updates(struct am_runner *runner)
{
	for (size_t i = 0; i < runner->repos.n; i++) {
		struct am_repo *repo = &runner->repos.v[i];
		bool pr = repo->pr_url[0] != '\0';

		if (repo->told == repo->status && repo->told_pr == pr)
			continue;
		repo->told = repo->status;
		repo->told_pr = pr;
		repo->updated_at = runner->report.heartbeat_at;
	}
}

/* NULL: no agent is at work. */
static const char *
agent_status(const struct am_runner *runner)
{
	if (!am_streq(runner->report.state, "running") || runner->exited)
		return NULL;
	return runner->n_pending > 0 ? "waiting_input" : runner->turn ? "working" : "idle";
}

void
am_runner_send_report(struct am_runner *runner)
{
	struct am_report *report = &runner->report;
	am_auto(am_buf_fini) struct am_buf json = {0};

	runner->sent_at = am_clock_boot(am_clock_real());
	runner->beat_at = runner->sent_at + runner->beat_every;
	report->heartbeat_at = am_clock_wall(am_clock_real());
	report->agent = agent_status(runner);
	report->artifacts = am_survey_artifacts(runner->dir);
	report->messages = runner->log != NULL ? am_runner_msglog_seq(runner->log) : -1;
	note_updates(runner);
	am_runner_describe(runner, &runner->report.reconciled);
	am_runner_report_json(&runner->report, &runner->repos, runner->redactor, &json);
	am_runner_reporter_send(runner->reporter, &json);
}

/* A batch run has one turn, and what follows it tells the rest. */
void
am_runner_hurry(struct am_runner *runner)
{
	const char *was = runner->report.agent, *now = agent_status(runner);

	if (now == NULL || am_streq(was, now) || (!am_runner_session_chat(am_runner_session(runner)) && am_streq(now, "idle")))
		return;
	runner->beat_at = AM_MIN(runner->beat_at, runner->sent_at + runner->beat_every / 5);
}

void
am_runner_touch(struct am_runner *runner)
{
	runner->last_activity = am_clock_boot(am_clock_real());
	runner->report.activity_at = am_clock_wall(am_clock_real());
}

void
am_runner_beat(struct am_runner *runner)
{
	if (am_clock_boot(am_clock_real()) >= runner->beat_at)
		am_runner_send_report(runner);
}

bool
am_runner_out_of_time(struct am_runner *runner)
{
	int64_t now = am_clock_boot(am_clock_real());

	if (am_runner_is_asked() == 0)
		return false;
	if (runner->save_by == 0)
		runner->save_by = now + runner->grace_ns - LAST_WORDS;
	return !runner->rescue || !runner->saving || now >= runner->save_by;
}

static void
beat(void *arg)
{
	struct am_runner *runner = arg;

	am_runner_beat(runner);
	if (am_runner_out_of_time(runner))
		runner->git_cancel = 1;
}

void
am_runner_progress(struct am_runner *runner, const char *state, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Who reads the message asks for the state that it tells of. */
	runner->report.state = state;
	am_endpoint_state(runner->endpoint, state);
	if (runner->log != NULL && runner->log_error.code == 0)
		(void)am_runner_msglog_say(runner->log, AMBIENT_MSG_STATUS, NULL, NULL, text, &runner->log_error);
	am_runner_send_report(runner);
}

/* ---- the environment */

static int
read_environment(struct am_runner *runner)
{
	const struct {
		const char *name, **value;
		bool needed;
	} variables[] = {
		{"AMBIENT_SESSION_NAME", &runner->name, true}, {"AMBIENT_SESSION_NAMESPACE", &runner->ns, true},
		{"AMBIENT_SESSION_UID", &runner->uid, false},  {"AMBIENT_RUN_ID", &runner->run, true},
		{"AMBIENT_RUNNER_TYPE", &runner->type, true},  {"AMBIENT_REPORT", &runner->report_name, true},
		{"AMBIENT_SESSION_DIR", &runner->dir, true},   {"AMBIENT_SOCKET", &runner->socket, true},
	};

	for (size_t i = 0; i < AM_COUNTOF(variables); i++) {
		*variables[i].value = getenv(variables[i].name);
		if (!variables[i].needed || !am_empty(*variables[i].value))
			continue;
		(void)fprintf(stderr,
			      "ambient-runner: the environment has no %s; \"run\" is started by the operator's Job\n",
			      variables[i].name);
		return AM_EXIT_PREREQUISITE;
	}
	if (*runner->dir != '/' || *runner->socket != '/' || am_name_problem(runner->run, 3) != NULL) {
		(void)fprintf(stderr,
			      "ambient-runner: AMBIENT_SESSION_DIR and AMBIENT_SOCKET must be absolute paths and "
			      "AMBIENT_RUN_ID a label value\n");
		return AM_EXIT_PREREQUISITE;
	}
	const char *every = getenv("AMBIENT_HEARTBEAT");
	if (am_empty(every) || am_parse_duration(every, &runner->beat_every) < 0 || runner->beat_every < AM_NS_PER_MS)
		runner->beat_every = HEARTBEAT;
	const char *grace = getenv("AMBIENT_GRACE");
	if (am_empty(grace) || am_parse_duration(grace, &runner->grace_ns) < 0 || runner->grace_ns < 2 * LAST_WORDS)
		runner->grace_ns = GRACE;
	return 0;
}

/* ---- preparing */

static int
open_workspace(struct am_runner *runner)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	static const struct {
		const char *name;
		mode_t mode;
		bool agents; /* who may have put something else in its place, in an earlier run */
	} dirs[] = {{"workspace", 0755, false}, {"workspace/artifacts", 0755, true}, {"out", 0755, false},
		    {".ambient", 0700, false},	{".claude", 0755, false}};

	runner->private_dir = am_xasprintf("%s/.ambient", runner->dir);
	for (size_t i = 0; i < AM_COUNTOF(dirs); i++) {
		am_auto(am_freep) char *path = am_xasprintf("%s/%s", runner->dir, dirs[i].name);

		if (am_mkdirs(path, dirs[i].mode, &err) < 0 && !dirs[i].agents)
			return am_runner_fail(runner, AM_EXIT_FAILED, "WorkspaceFailed", "%s", err.message);
	}
	am_auto(am_freep) char *lock = am_xasprintf("%s/lock", runner->private_dir);
	runner->lock_fd = am_lock_file(lock, &err);
	if (runner->lock_fd < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "WorkspaceBusy",
				      "another runner works on this session: %s", err.message);
	struct am_msglog_options options = {.dir = runner->private_dir,
					    .run = runner->run,
					    .redactor = runner->redactor,
					    .clock = am_clock_real(),
					    .stdout_fd = STDOUT_FILENO};
	const char *max = getenv("AMBIENT_MESSAGES_MAX");
	if (!am_empty(max) && am_parse_size(max, &options.max) < 0)
		options.max = 0;
	if (am_runner_msglog_open(&options, &runner->log, &err) < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, err.sys_errno == ENOSPC ? "DiskFull" : "WorkspaceFailed",
				      "%s", err.message);
	return 0;
}

int
am_runner_connect(struct am_kube **ret, struct ambient_error *err)
{
	const char *server = getenv("AMBIENT_API_SERVER");
	struct am_kube_config *config = NULL;
	struct am_kube_options options = {.user_agent = "ambient-runner/" PACKAGE_VERSION};
	int rc = am_empty(server) ? am_kube_config_incluster(&config, err)
				  : am_kube_config_manual(server, getenv("AMBIENT_API_CA"),
							  getenv("AMBIENT_API_TOKEN_FILE"), &config, err);

	return rc < 0 ? rc : am_kube_new(config, &options, ret, err);
}

static int
connect_api(struct am_runner *runner)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (am_runner_connect(&runner->kube, &err) < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "ApiUnreachable", "%s", err.message);
	runner->reporter = am_runner_reporter_new(runner->kube, runner->ns, runner->report_name);
	return 0;
}

static int
read_session(struct am_runner *runner)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_buf_fini) struct am_buf path = {0};
	struct am_gvr gvr;

	(void)am_gvr_parse(SESSION_KIND, &gvr, NULL);
	am_kube_path(&path, &gvr, runner->ns, runner->name, NULL);
	struct am_kube_request request = {.method = "GET",
					  .path = am_buf_str(&path),
					  .cancelled = &am_runner_asked,
					  .deadline = am_clock_boot(am_clock_real()) + 120 * AM_NS_PER_S,
					  .max = 16u << 20};
	int rc;

	/* The API server may be starting again; that is no reason to end a run before it began. */
	while ((rc = am_kube_do(runner->kube, &request, &runner->session, &err)) == -AMBIENT_E_UNAVAILABLE &&
	       am_clock_boot(am_clock_real()) < request.deadline &&
	       am_runner_is_asked() == 0) {
		am_buf_reset(&runner->session);
		(void)usleep(250 * 1000);
	}
	if (rc < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "SessionUnreadable", "cannot read session \"%s\": %s",
				      runner->name, err.message);
	if (am_json_check(am_buf_str(&runner->session), runner->session.len, &err) < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "SessionUnreadable", "session \"%s\": %s", runner->name,
				      err.message);
	am_auto(am_freep) char *uid = am_json_dup(am_runner_session(runner), "/metadata/uid");
	if (!am_empty(runner->uid) && !am_streq(uid, runner->uid))
		return am_runner_fail(runner, AM_EXIT_FAILED, "SessionReplaced",
				      "session \"%s\" was deleted and made anew; this run belongs to the old one",
				      runner->name);
	return 0;
}

/* ---- the session from here on, and who may ask about it */

/* A run that is stopped, or was judged from outside, ends as by SIGTERM, but by itself: so its pod stays, and the log with it.
 * Any thread. */
static void
hear_the_end(struct am_runner *runner, struct am_slice session)
{
	static const char *const over[] = {"Stopping", "Stopped", "Timeout", "Failed"};
	am_auto(am_freep) char *run = am_json_dup(session, "/status/runId");
	am_auto(am_freep) char *phase = am_json_dup(session, "/status/phase");

	if (run == NULL || phase == NULL || !am_streq(run, runner->run))
		return;
	for (size_t i = 0; i < AM_COUNTOF(over); i++) {
		if (!am_streq(phase, over[i]))
			continue;
		if (am_streq(phase, "Timeout"))
			__atomic_store_n(&runner->judged_late, AM_MAX(am_runner_session_timeout(session), 1), __ATOMIC_RELEASE);
		if (am_runner_is_asked() == 0)
			on_signal(SIGTERM);
	}
}

static void
on_session(void *arg, struct am_slice session)
{
	struct am_runner *runner = arg;

	am_endpoint_session(runner->endpoint, session);
	if (session.p != NULL)
		hear_the_end(runner, session);
}

static void
on_written(void *arg, off_t size, int64_t seq)
{
	struct am_runner *runner = arg;

	am_endpoint_written(runner->endpoint, size, seq);
}

/* A run without an endpoint is a run; those who look for it find out why in the messages. */
static void
open_endpoint(struct am_runner *runner)
{
	struct am_endpoint_options options = {.address = getenv("AMBIENT_ENDPOINT"),
					      .dir = runner->dir,
					      .run = runner->run,
					      .interactive = am_runner_session_chat(am_runner_session(runner))};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (am_empty(options.address))
		return;
	if (am_endpoint_start(&options, &runner->endpoint, &err) < 0) {
		am_runner_progress(runner, "preparing", "nobody can reach this run's endpoint: %s", err.message);
		return;
	}
	am_endpoint_session(runner->endpoint, am_runner_session(runner));
	am_runner_msglog_listen(runner->log, on_written, runner);
}

static void
watch_session(struct am_runner *runner)
{
	const struct am_watch_options options = {.io = am_kube_io(runner->kube),
						 .ns = runner->ns,
						 .name = runner->name,
						 .uid = runner->uid,
						 .change = on_session,
						 .arg = runner};

	hear_the_end(runner, am_runner_session(runner));
	runner->watch = am_runner_watch_new(&options, am_runner_session(runner));
}

static int
check_marker(struct am_runner *runner)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/run-%s.started", runner->private_dir, runner->run);
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	return am_runner_fail(
		runner, AM_EXIT_FAILED, "AlreadyStarted",
		"run \"%s\" has started its agent before and the runner was restarted since; an agent is started at "
		"most once per run",
		runner->run);
}

static void
remove_old_bundles(struct am_runner *runner)
{
	am_auto(am_freep) char *out = am_xasprintf("%s/out", runner->dir);
	int dir = open(out, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	for (size_t i = 0; dir >= 0 && i < runner->repos.n; i++) {
		am_auto(am_freep) char *name = am_xasprintf("%s.bundle", runner->repos.v[i].name);

		(void)unlinkat(dir, name, 0);
	}
	if (dir >= 0)
		(void)close(dir);
}

/* Says what went wrong with a repository: in the report, and as a message. */
static void
repo_failed(struct am_runner *runner, struct am_repo *repo, const char *reason, const struct ambient_error *err)
{
	(void)am_strlcpy(repo->error, err->message, sizeof(repo->error));
	am_runner_redact_string(runner->redactor, repo->error, sizeof(repo->error));
	if (runner->log_error.code == 0)
		(void)am_runner_msglog_say(runner->log, AMBIENT_MSG_ERROR, "reason", reason, repo->error, &runner->log_error);
}

static int
clone_one(struct am_runner *runner, struct am_repo *repo)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (!repo->usable)
		return 0;
	am_runner_progress(runner, "preparing", "cloning %s", repo->url);
	if (am_runner_git_prepare(&runner->git, repo, &err) == 0) {
		/* Cloned, but not all that belongs to it. */
		if (repo->error[0] != '\0' &&
		    ambient_err(&err, AMBIENT_E_UNAVAILABLE, "%s", repo->error) < 0)
			repo_failed(runner, repo, "CloneIncomplete", &err);
		return 0;
	}
	if (am_runner_is_asked() != 0)
		return AM_EXIT_SIGNAL + am_runner_is_asked();
	repo->status = "error";
	repo_failed(runner, repo, "CloneFailed", &err);
	if (repo->main)
		return am_runner_fail(runner, AM_EXIT_FAILED, "CloneFailed", "%s", err.message);
	return 0;
}

/* It is where the agent starts, so that a batch run without it would do something else than was asked.  In a chat a person sees
 * what is missing, and goes on with what is there. */
static int
prepare_workflow(struct am_runner *runner)
{
	struct am_workflow *workflow = &runner->workflow;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_runner_workflow_parse(am_runner_session(runner), workflow);
	runner->generation = am_json_int(am_runner_session(runner), "/status/effective/generation", 0);
	if (!workflow->wanted)
		return 0;
	if (workflow->status == NULL) {
		am_runner_progress(runner, "preparing", "cloning the workflow %s", workflow->repo.url);
		if (am_runner_workflow_fetch(&runner->git, workflow, &err) == 0 &&
		    am_runner_workflow_place(&runner->git, workflow, &err) == 0)
			return 0;
		if (am_runner_is_asked() != 0)
			return AM_EXIT_SIGNAL + am_runner_is_asked();
		workflow->status = "Failed";
		(void)am_strlcpy(workflow->error, err.message, sizeof(workflow->error));
		am_runner_redact_string(runner->redactor, workflow->error, sizeof(workflow->error));
	}
	if (!am_runner_session_interactive(am_runner_session(runner)))
		return am_runner_fail(runner, AM_EXIT_FAILED, "WorkflowFailed", "%s", workflow->error);
	if (runner->log_error.code == 0)
		(void)am_runner_msglog_say(runner->log, AMBIENT_MSG_ERROR, "reason", "WorkflowFailed", workflow->error,
					   &runner->log_error);
	return 0;
}

static int
prepare(struct am_runner *runner)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_slice session = am_runner_session(runner);
	int rc;

	runner->report.generation = am_json_int(session, "/metadata/generation", 0);
	open_endpoint(runner);
	watch_session(runner);
	am_auto(am_freep) char *prompt = am_runner_session_prompt(session);
	if (am_empty(prompt) && !am_runner_session_interactive(session))
		return am_runner_fail(runner, AM_EXIT_FAILED, "NoPrompt", "session \"%s\" has no prompt", runner->name);
	if (am_runner_repos_parse(session, runner->name, &runner->repos, &err) < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "InvalidRepository", "%s", err.message);
	if (am_runner_git_init(&runner->git, runner->dir, runner->redactor, &runner->git_cancel, &err) < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "WorkspaceFailed", "%s", err.message);
	runner->git.tick = beat;
	runner->git.tick_arg = runner;
	runner->rescue = am_json_bool(session, "/status/effective/rescue", am_json_bool(session, "/spec/rescue", 0)) == 1;
	remove_old_bundles(runner);
	if (runner->repos.n > 0 && (rc = clone_one(runner, &runner->repos.v[runner->repos.main])) != 0)
		return rc;
	for (size_t i = 0; i < runner->repos.n; i++)
		if (i != runner->repos.main && (rc = clone_one(runner, &runner->repos.v[i])) != 0)
			return rc;
	return prepare_workflow(runner);
}

/* ---- afterwards */

/* What was pushed stays pushed, whatever becomes of the request. */
static void
open_request(struct am_runner *runner, struct am_repo *repo)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_freep) char *title = am_json_dup(am_runner_session(runner), "/spec/displayName");
	am_auto(am_buf_fini) struct am_buf clean_title = {0};
	am_auto(am_buf_fini) struct am_buf text = {0};

	if (am_empty(title)) {
		am_freep(&title);
		title = am_runner_git_subject(&runner->git, repo);
	}
	if (am_empty(title)) {
		am_freep(&title);
		title = am_xasprintf("Session %s", runner->name);
	}
	(void)am_runner_redact(runner->redactor, title, strlen(title), &clean_title);
	(void)am_runner_redact(runner->redactor, am_buf_str(&runner->report.result), runner->report.result.len, &text);
	am_buf_addf(&text, "%sSession %s/%s, run %s: %lld commit(s), +%lld -%lld.", text.len > 0 ? "\n\n" : "", runner->ns,
		    runner->name, runner->run, (long long)repo->commits, (long long)repo->added, (long long)repo->removed);
	if (am_forge_open(&runner->git, repo, am_buf_str(&clean_title), am_buf_str(&text), &err) < 0)
		repo_failed(runner, repo, "PullRequestFailed", &err);
	else
		am_runner_progress(runner, "pushing", "opened %s", repo->pr_url);
}

/* What did not come to its end goes where nobody expects it to be good. */
static void
rename_branch(struct am_runner *runner, struct am_repo *repo)
{
	free(repo->push_branch);
	repo->push_branch = am_xasprintf("ambient/rescue/%.100s-%s", runner->name, runner->run);
	repo->push = repo->rescued = true;
	repo->create_pr = false;
}

/* Asked to end, and with no time to take work in: where the agent's side, which has saved, left none, that is known all the same. */
static void
settle_untouched(struct am_runner *runner)
{
	for (size_t i = 0; i < runner->repos.n; i++) {
		struct am_repo *repo = &runner->repos.v[i];

		if (!repo->cloned || repo->status != NULL || !am_runner_git_untouched(&runner->git, repo))
			continue;
		repo->status = "nochanges";
		(void)am_strlcpy(repo->commit, repo->base, sizeof(repo->commit));
	}
}

/* Takes each repository's work in, and pushes it where that was asked for and the agent succeeded, or to be rescued. */
static void
publish(struct am_runner *runner, bool good)
{
	bool push = good || runner->rescue;

	runner->saving = true;
	am_runner_progress(runner, "pushing", "saving the agent's work");
	for (size_t i = 0; i < runner->repos.n && !am_runner_out_of_time(runner); i++) {
		struct am_repo *repo = &runner->repos.v[i];
		struct ambient_error err = AMBIENT_ERROR_INIT;

		if (!repo->cloned || repo->status != NULL)
			continue;
		int rc = am_runner_git_import(&runner->git, repo, &err);
		bool make = good && repo->ensure && !repo->there && am_streq(repo->status, "nochanges");
		if (!good && runner->rescue)
			rename_branch(runner, repo);
		if (rc == 0 && (repo->status == NULL || make) && push && repo->push)
			rc = am_runner_git_push(&runner->git, repo, &err);
		else if (rc == 0 && repo->status == NULL)
			repo->status = "abandoned";
		if (rc < 0) {
			repo->status = "error";
			repo_failed(runner, repo, "PushFailed", &err);
		} else if (am_streq(repo->status, "pushed")) {
			am_runner_progress(runner, "pushing", "pushed %lld commit(s) of %s to %s (+%lld -%lld)",
					   (long long)repo->commits, repo->name, repo->push_branch,
					   (long long)repo->added, (long long)repo->removed);
			if (repo->create_pr && repo->commits > 0)
				open_request(runner, repo);
		}
	}
	settle_untouched(runner);
}

/* A verdict is about the session as it was then, with a timeout that this process may not have heard of before. */
static int
too_late(struct am_runner *runner, int code)
{
	int64_t judged = __atomic_load_n(&runner->judged_late, __ATOMIC_ACQUIRE);
	int64_t seconds = judged > 0 ? judged : am_runner_session_timeout(am_runner_session(runner));

	return am_runner_fail(runner, code, "Timeout", "the session ran longer than its timeout of %lld second%s", (long long)seconds,
			      seconds == 1 ? "" : "s");
}

/* The agent has ended in order: what does that make of the run? */
static int
judge(struct am_runner *runner)
{
	bool good = runner->success && runner->agent_code == 0 && !runner->timed_out && !runner->idle_out && runner->log_error.code == 0 &&
		    (!runner->report.is_error || runner->said_end) && am_runner_is_asked() == 0;

	if (runner->log_error.code == 0 || runner->log_error.sys_errno != ENOSPC)
		publish(runner, good);
	if (am_runner_is_asked() != 0)
		return AM_EXIT_SIGNAL + am_runner_is_asked();
	if (runner->log_error.code != 0)
		return am_runner_fail(runner, AM_EXIT_FAILED,
				      runner->log_error.sys_errno == ENOSPC ? "DiskFull" : "WorkspaceFailed", "%s",
				      runner->log_error.message);
	if (runner->timed_out)
		return too_late(runner, AM_EXIT_FAILED);
	if (runner->idle_out)
		return am_runner_fail(runner, AM_EXIT_FAILED, "Inactivity",
				      "nothing happened for the %lld seconds of inactivityTimeout",
				      (long long)am_runner_session_idle(am_runner_session(runner)));
	if (!good) {
		if (runner->report.reason[0] == '\0')
			(void)am_runner_fail(runner, 0, "AgentFailed", "the agent failed");
		return runner->agent_code != 0 ? runner->agent_code : AM_EXIT_FAILED;
	}
	for (size_t i = 0; i < runner->repos.n; i++) {
		struct am_repo *repo = &runner->repos.v[i];

		if (repo->cloned && am_streq(repo->status, "error"))
			return am_runner_fail(runner, AM_EXIT_FAILED, "PushFailed",
					      "the agent finished, but its work on \"%s\" could "
					      "not be saved: %s",
					      repo->name, repo->error);
	}
	return AM_EXIT_OK;
}

/* The last report.  An API server that is away, as while the daemon is updated, is waited for: without the report
 * nobody would learn what was pushed. */
static void
deliver(struct am_runner *runner)
{
	int64_t start = am_clock_boot(am_clock_real()), patience;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc;

	do {
		rc = am_runner_reporter_flush(runner->reporter, AM_NS_PER_S, &err);
		bool asked = am_runner_is_asked() != 0;
		/* Its account or the session itself may be gone: then nobody is left to be told. */
		bool refused = rc == -AMBIENT_E_UNAUTHORIZED || rc == -AMBIENT_E_FORBIDDEN || rc == -AMBIENT_E_NOTFOUND;

		patience = refused                           ? (asked ? 0 : REPORT_REFUSED)
			   : asked                           ? REPORT_ASKED
			   : rc == -AMBIENT_E_UNAVAILABLE ? REPORT_AWAY
							     : REPORT_WAIT;
	} while (rc < 0 && am_clock_boot(am_clock_real()) < start + patience);
	if (rc < 0)
		am_log_error("runner", "%s", err.message);
}

/* What was cloned and got no further: its work stays in the workspace and was not pushed. */
static void
settle_repos(struct am_runner *runner)
{
	for (size_t i = 0; i < runner->repos.n; i++)
		if (runner->repos.v[i].cloned && runner->repos.v[i].status == NULL)
			runner->repos.v[i].status = "abandoned";
}

/* Says the end everywhere. */
static int
finish(struct am_runner *runner, int code)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool late = runner->timed_out || __atomic_load_n(&runner->judged_late, __ATOMIC_ACQUIRE) != 0;
	const char *state = code == AM_EXIT_OK ? "completed" : am_runner_is_asked() != 0 && !late ? "stopped" : "failed";

	if (am_runner_is_asked() != 0) {
		code = AM_EXIT_SIGNAL + am_runner_is_asked();
		if (late)
			(void)too_late(runner, code);
		else
			(void)am_runner_fail(runner, code, "Stopped", "the run was stopped");
	}
	settle_repos(runner);
	am_runner_redact_string(runner->redactor, runner->report.message, sizeof(runner->report.message));
	const char *text = runner->report.message[0] != '\0' ? runner->report.message : "the agent finished";
	if (runner->log != NULL &&
	    am_runner_msglog_say(runner->log, AMBIENT_MSG_SESSION, "state", state, text, &err) < 0)
		am_log_error("runner", "%s", err.message);
	if (code != AM_EXIT_OK)
		am_log_error("runner", "%s: %s", runner->report.reason, text);
	runner->report.state = "done";
	am_endpoint_state(runner->endpoint, "done");
	am_runner_send_report(runner);
	if (runner->reporter != NULL)
		deliver(runner);
	am_endpoint_finish(runner->endpoint, am_runner_is_asked() != 0 ? READERS_ASKED : READERS_WAIT);
	if (runner->agent.fd >= 0) {
		static const char bye[] = "{\"t\":\"bye\"}";

		am_runner_channel_send(&runner->agent, bye, sizeof(bye) - 1);
	}
	return code;
}

static void
cleanup(struct am_runner *runner)
{
	/* An agent's side that comes later must not wait for a runner that has ended.  Where one was connected, the
	 * directory is the agent's to play with and nothing is written there. */
	if (runner->agent.fd < 0) {
		am_auto(am_freep) char *done = am_xasprintf("%s.done", runner->socket);

		(void)am_file_write(done, "", 0, 0644, NULL);
	}
	am_runner_channel_fini(&runner->agent);
	if (runner->listen_fd >= 0) {
		(void)close(runner->listen_fd);
		(void)unlink(runner->socket);
	}
	am_runner_watch_free(runner->watch);
	am_endpoint_free(runner->endpoint);
	am_runner_reporter_free(runner->reporter);
	if (runner->kube != NULL)
		am_kube_free(runner->kube);
	am_runner_msglog_close(runner->log);
	am_runner_git_fini(&runner->git);
	am_runner_repos_fini(&runner->repos);
	am_runner_workflow_fini(&runner->workflow);
	am_runner_report_fini(&runner->report);
	am_buf_fini(&runner->session);
	if (runner->lock_fd >= 0)
		(void)close(runner->lock_fd);
	am_runner_redactor_free(runner->redactor);
	free(runner->private_dir);
}

int
am_runner_run_main(void)
{
	struct am_runner runner = {.listen_fd = -1, .lock_fd = -1, .agent = {.fd = -1}};
	int code = read_environment(&runner);

	if (code != 0)
		return code;
	if (am_runner_catch_signals() < 0)
		return AM_EXIT_FAILED;
	runner.started = am_clock_boot(am_clock_real());
	/* What it does next mostly tells more than that it is there. */
	runner.beat_at = runner.started + AM_MIN(FIRST_BEAT, runner.beat_every);
	runner.redactor = am_runner_redactor_new();
	am_runner_redactor_add_env(runner.redactor, NULL);
	runner.report.run = runner.run;
	runner.report.state = "preparing";
	runner.report.cost = runner.report.api_ms = runner.report.restarts = -1;
	runner.report.started_at = am_clock_wall(am_clock_real());
	/* The socket is there first, so that the agent's container need not wait for clones to connect. */
	if ((code = connect_api(&runner)) == 0 && (code = open_workspace(&runner)) == 0 &&
	    (code = check_marker(&runner)) == 0 && (code = am_runner_listen(&runner)) == 0 &&
	    (code = read_session(&runner)) == 0 && (code = prepare(&runner)) == 0 &&
	    (code = am_runner_serve(&runner)) == 0)
		code = judge(&runner);
	code = finish(&runner, code);
	cleanup(&runner);
	return code;
}
