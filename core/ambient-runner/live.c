/* SPDX-License-Identifier: Apache-2.0 */
/* See live.h. */
#include "core/ambient-runner/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>
#include <sys/eventfd.h>

#include "core/ambient-runner/aside.h"
#include "core/ambient-runner/runner_priv.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define RETRY     (30 * AM_NS_PER_S)
#define RETRY_MAX (600 * AM_NS_PER_S)

enum state { RESTING, CLONING, HOLDING, LAYING_OUT };

struct am_live {
	struct am_runner *runner;
	enum state state;
	bool stale;           /* a plan was seen that is not in wanted */
	int64_t seen;         /* the newest generation that was seen */
	int64_t retry_at, retry_every;
	unsigned failures;
	/* What is being made: the thread's while there is one, the loop's otherwise. */
	struct am_repos wanted;
	struct am_workflow workflow;
	int64_t generation;
	bool has_wanted, fetch_workflow;
	struct am_git git;
	struct am_redactor *redactor; /* of the thread: its values are added to the runner's afterwards */
	struct am_thread *thread;
	int32_t cancelled, finished;
	int fd;
};

static int64_t
now_boot(void)
{
	return am_clock_boot(am_clock_real());
}

struct am_live *
am_runner_live_new(struct am_runner *runner)
{
	struct am_live *live = am_xcalloc(1, sizeof(*live));
	const char *every = getenv("AMBIENT_CLONE_RETRY");
	bool missing = runner->workflow.wanted && !am_streq(runner->workflow.status, "Active");

	live->runner = runner;
	live->seen = runner->generation;
	live->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (am_empty(every) || am_parse_duration(every, &live->retry_every) < 0 || live->retry_every < AM_NS_PER_MS)
		live->retry_every = RETRY;
	for (size_t i = 0; i < runner->repos.n; i++)
		missing = missing || !runner->repos.v[i].cloned;
	live->retry_at = missing && am_runner_session_interactive(am_runner_session(runner)) ? now_boot() + live->retry_every : AM_FOREVER;
	return live;
}

static void
drop_wanted(struct am_live *live)
{
	if (live->has_wanted) {
		am_runner_repos_fini(&live->wanted);
		am_runner_workflow_fini(&live->workflow);
	}
	live->has_wanted = false;
}

static void
join(struct am_live *live)
{
	uint64_t count;

	am_thread_join(live->thread);
	live->thread = NULL;
	(void)!read(live->fd, &count, sizeof(count));
	am_runner_redactor_merge(live->runner->redactor, live->redactor);
	am_runner_redactor_free(live->redactor);
	live->redactor = NULL;
	am_runner_git_fini(&live->git);
}

void
am_runner_live_free(struct am_live *live)
{
	if (live == NULL)
		return;
	__atomic_store_n(&live->cancelled, 1, __ATOMIC_RELEASE);
	if (live->thread != NULL)
		join(live);
	drop_wanted(live);
	if (live->fd >= 0)
		(void)close(live->fd);
	free(live);
}

int
am_runner_live_fd(const struct am_live *live)
{
	return live != NULL && live->thread != NULL ? live->fd : -1;
}

/* ---- what is wanted */

/* The newest state of the session, if it is still about this run. */
static bool
take_session(struct am_live *live)
{
	struct am_runner *runner = live->runner;
	am_auto(am_buf_fini) struct am_buf text = {0};
	bool gone = false;

	if (runner->watch == NULL || !am_runner_watch_take(runner->watch, &text, &gone) || gone)
		return false;
	am_auto(am_freep) char *run = am_json_dup(am_slice(am_buf_str(&text), text.len), "/status/runId");
	int64_t generation = am_json_int(am_slice(am_buf_str(&text), text.len), "/status/effective/generation", 0);
	if ((!am_empty(run) && !am_streq(run, runner->run)) || generation == 0)
		return false;
	am_buf_reset(&runner->session);
	am_buf_add(&runner->session, am_buf_str(&text), text.len);
	if (generation != live->seen)
		live->stale = true;
	live->seen = generation;
	return true;
}

static struct am_repo *
find_repo(struct am_repos *repos, const char *name)
{
	for (size_t i = 0; i < repos->n; i++)
		if (am_streq(repos->v[i].name, name))
			return &repos->v[i];
	return NULL;
}

static bool
same_origin(const struct am_repo *a, const struct am_repo *b)
{
	return am_streq(a->url, b->url) && (a->branch == b->branch || am_streq(a->branch, b->branch));
}

/* One that is there already is the same with other settings, if any; the rest is to be cloned.  Returns whether something is. */
static bool
adopt(struct am_live *live)
{
	bool any = false, chat = am_runner_session_interactive(am_runner_session(live->runner));

	for (size_t i = 0; i < live->wanted.n; i++) {
		struct am_repo *repo = &live->wanted.v[i], *old = find_repo(&live->runner->repos, repo->name);

		if (old != NULL && old->cloned && same_origin(old, repo)) {
			repo->cloned = true;
			repo->cloned_at = old->cloned_at;
			repo->default_branch = am_xstrdup(old->default_branch);
			repo->there = old->there;
			memcpy(repo->base, old->base, sizeof(repo->base));
		} else if (old != NULL && !chat) {
			/* A batch run goes on with what it began with. */
			repo->status = old->status;
			memcpy(repo->error, old->error, sizeof(repo->error));
		} else if (repo->usable) {
			repo->fresh = true;
			any = true;
		}
	}
	live->fetch_workflow = live->workflow.wanted && live->workflow.status == NULL &&
			       !(am_runner_workflow_same(&live->workflow, &live->runner->workflow) && live->runner->workflow.dir != NULL);
	return any || live->fetch_workflow;
}

/* ---- cloning */

static void
clone_all(void *arg)
{
	struct am_live *live = arg;
	uint64_t one = 1;

	for (size_t i = 0; i < live->wanted.n && __atomic_load_n(&live->cancelled, __ATOMIC_ACQUIRE) == 0; i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_repo *repo = &live->wanted.v[i];

		if (repo->fresh && am_runner_git_prepare(&live->git, repo, &err) < 0)
			(void)am_strlcpy(repo->error, err.message, sizeof(repo->error));
	}
	if (live->fetch_workflow && __atomic_load_n(&live->cancelled, __ATOMIC_ACQUIRE) == 0) {
		struct ambient_error err = AMBIENT_ERROR_INIT;

		if (am_runner_workflow_fetch(&live->git, &live->workflow, &err) < 0)
			(void)am_strlcpy(live->workflow.error, err.message, sizeof(live->workflow.error));
	}
	__atomic_store_n(&live->finished, 1, __ATOMIC_RELEASE);
	(void)!write(live->fd, &one, sizeof(one));
}

static int
start_cloning(struct am_live *live, struct ambient_error *err)
{
	int rc;

	for (size_t i = 0; i < live->wanted.n; i++)
		if (live->wanted.v[i].fresh)
			am_runner_progress(live->runner, "running", "cloning %s", live->wanted.v[i].url);
	if (live->fetch_workflow)
		am_runner_progress(live->runner, "running", "cloning the workflow %s", live->workflow.repo.url);
	live->redactor = am_runner_redactor_new();
	am_runner_redactor_merge(live->redactor, live->runner->redactor);
	live->finished = 0;
	if ((rc = am_runner_git_init(&live->git, live->runner->dir, live->redactor, &live->cancelled, err)) < 0) {
		am_runner_redactor_free(live->redactor);
		live->redactor = NULL;
		return rc;
	}
	live->thread = am_thread_new("clone", 0, clone_all, live);
	live->state = CLONING;
	return 0;
}

static void
say_bad(struct am_live *live, const char *reason, char *error, size_t size)
{
	struct am_runner *runner = live->runner;

	am_runner_redact_string(runner->redactor, error, size);
	if (runner->log_error.code == 0)
		(void)am_runner_msglog_say(runner->log, AMBIENT_MSG_ERROR, "reason", reason, error, &runner->log_error);
}

/* What could not be cloned is so for now.  Returns how many. */
static unsigned
note_failures(struct am_live *live)
{
	unsigned bad = 0;

	for (size_t i = 0; i < live->wanted.n; i++) {
		struct am_repo *repo = &live->wanted.v[i];

		if (!repo->fresh || repo->error[0] == '\0')
			continue;
		repo->fresh = false;
		repo->status = "error";
		say_bad(live, "CloneFailed", repo->error, sizeof(repo->error));
		bad++;
	}
	if (live->fetch_workflow && live->workflow.error[0] != '\0') {
		live->fetch_workflow = false;
		live->workflow.status = "Failed";
		say_bad(live, "WorkflowFailed", live->workflow.error, sizeof(live->workflow.error));
		bad++;
	}
	return bad;
}

/* ---- the workspace */

static bool
moves_something(const struct am_live *live)
{
	const struct am_workflow *old = &live->runner->workflow;

	for (size_t i = 0; i < live->wanted.n; i++)
		if (live->wanted.v[i].fresh)
			return true;
	for (size_t i = 0; i < live->runner->repos.n; i++) {
		const struct am_repo *repo = find_repo((struct am_repos *)(uintptr_t)&live->wanted, live->runner->repos.v[i].name);

		if (live->runner->repos.v[i].cloned && (repo == NULL || !repo->cloned))
			return true;
	}
	if (live->wanted.n > 0 && live->runner->repos.n > 0 &&
	    !am_streq(live->wanted.v[live->wanted.main].name, live->runner->repos.v[live->runner->repos.main].name))
		return true;
	return live->fetch_workflow || (old->dir != NULL && !am_runner_workflow_same(old, &live->workflow));
}

/* The last ones are enough for the report; the messages have all. */
static void
note_removed(struct am_runner *runner, const char *name, const char *where)
{
	struct am_removed *removed = runner->removed;

	if (runner->removed_count == AM_REMOVED_MAX)
		memmove(removed, removed + 1, (AM_REMOVED_MAX - 1) * sizeof(*removed));
	else
		runner->removed_count++;
	removed += runner->removed_count - 1;
	(void)am_strlcpy(removed->name, name, sizeof(removed->name));
	(void)am_strlcpy(removed->where, where, sizeof(removed->where));
}

/* Moves workspace/<sub><name> to workspace/removed and says where it is. */
static void
put_aside(struct am_live *live, const char *sub, const char *name)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/workspace%s", live->runner->dir, sub);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char where[AM_ASIDE_MAX];

	if (dir < 0 || faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		if (dir >= 0)
			(void)close(dir);
		return; /* the agent has removed it */
	}
	if (am_runner_aside(live->runner->dir, dir, name, where, &err) < 0) {
		am_log_error("runner", "%s", err.message);
	} else {
		note_removed(live->runner, name, where);
		am_runner_progress(live->runner, "running", "\"%s\" is no longer part of the session; its files are kept in workspace/%s",
				   name, where);
	}
	(void)close(dir);
}

static void
place_repos(struct am_live *live)
{
	struct am_repos *old = &live->runner->repos;

	for (size_t i = 0; i < old->n; i++) {
		const struct am_repo *repo = find_repo(&live->wanted, old->v[i].name);

		if (old->v[i].cloned && (repo == NULL || repo->fresh))
			put_aside(live, "", old->v[i].name);
	}
	for (size_t i = 0; i < live->wanted.n; i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_repo *repo = &live->wanted.v[i];

		if (!repo->fresh || am_runner_git_place(&live->runner->git, repo, &err) == 0)
			continue;
		repo->fresh = false;
		repo->status = "error";
		(void)am_strlcpy(repo->error, err.message, sizeof(repo->error));
		say_bad(live, "CloneFailed", repo->error, sizeof(repo->error));
	}
}

static void
place_workflow(struct am_live *live)
{
	struct am_workflow *old = &live->runner->workflow, *next = &live->workflow, swap;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (old->dir != NULL && am_runner_workflow_same(old, next)) {
		swap = *old;
		*old = *next;
		*next = swap;
		return;
	}
	if (old->dir != NULL && (!next->wanted || !am_streq(old->repo.name, next->repo.name)))
		put_aside(live, "/workflows", old->repo.name);
	if (!live->fetch_workflow || am_runner_workflow_place(&live->runner->git, next, &err) == 0)
		return;
	live->fetch_workflow = false;
	next->status = "Failed";
	(void)am_strlcpy(next->error, err.message, sizeof(next->error));
	say_bad(live, "WorkflowFailed", next->error, sizeof(next->error));
}

/* From here on the session consists of what is wanted. */
static void
take_over(struct am_live *live)
{
	struct am_repos repos = live->runner->repos;
	struct am_workflow workflow = live->runner->workflow;

	live->runner->repos = live->wanted;
	live->runner->workflow = live->workflow;
	live->wanted = repos;
	live->workflow = workflow;
	drop_wanted(live);
}

/* ---- the steps */

static void
settle(struct am_live *live)
{
	live->runner->generation = live->generation;
	live->state = RESTING;
	live->retry_at = AM_FOREVER;
	if (live->failures > 0) {
		int64_t wait = live->retry_every << AM_MIN(live->failures - 1, 10u);

		live->retry_at = now_boot() + AM_MIN(wait, RETRY_MAX);
	}
	am_runner_progress(live->runner, "running", live->failures > 0 ? "the workspace is not yet as the session says; what failed is "
									 "tried again"
								       : "the workspace is as the session says");
}

/* What could be cloned is; now the agent is in the way, or nothing is to be moved. */
static void
arrange(struct am_live *live)
{
	static const char hold[] = "{\"t\":\"hold\"}";

	live->failures = note_failures(live) > 0 ? live->failures + 1 : 0;
	if (moves_something(live)) {
		live->state = HOLDING;
		am_runner_channel_send(&live->runner->agent, hold, sizeof(hold) - 1);
		return;
	}
	place_workflow(live);
	take_over(live);
	settle(live);
}

static void
begin(struct am_live *live)
{
	struct am_slice session = am_runner_session(live->runner);
	struct ambient_error err = AMBIENT_ERROR_INIT;

	live->stale = false;
	live->retry_at = AM_FOREVER;
	drop_wanted(live);
	live->has_wanted = true;
	live->generation = live->seen;
	am_runner_workflow_parse(session, &live->workflow);
	if (am_runner_repos_parse(session, live->runner->name, &live->wanted, &err) < 0) {
		/* The operator has looked at it before; what passes there and not here is not taken. */
		am_log_warn("runner", "the edited repositories cannot be used: %s", err.message);
		return;
	}
	if (!adopt(live)) {
		arrange(live);
		return;
	}
	if (start_cloning(live, &err) < 0) {
		am_log_error("runner", "%s", err.message);
		live->retry_at = now_boot() + live->retry_every;
	}
}

static void
lay_out(struct am_live *live)
{
	am_auto(am_buf_fini) struct am_buf out = {0};
	bool greet = live->fetch_workflow;

	place_repos(live);
	place_workflow(live);
	greet = greet && live->fetch_workflow;
	take_over(live);
	am_buf_adds(&out, "{\"t\":\"layout\"");
	am_runner_add_layout(live->runner, &out);
	if (greet && live->runner->workflow.startup_prompt != NULL) {
		am_json_addf(&out, ",\"say\":%s", live->runner->workflow.startup_prompt);
		am_runner_input_turn(live->runner, true);
	}
	am_buf_addc(&out, '}');
	live->state = LAYING_OUT;
	am_runner_channel_send(&live->runner->agent, am_buf_str(&out), out.len);
}

bool
am_runner_live_tick(struct am_live *live)
{
	bool written;

	if (live == NULL || live->runner->exited || am_runner_is_asked() != 0)
		return false;
	written = take_session(live);
	if (live->state == CLONING && __atomic_load_n(&live->finished, __ATOMIC_ACQUIRE) != 0) {
		join(live);
		arrange(live);
	}
	if (live->state == RESTING && (live->stale || now_boot() >= live->retry_at))
		begin(live);
	return written;
}

void
am_runner_live_hear(struct am_live *live, const char *t)
{
	if (live == NULL || live->runner->exited)
		return;
	if (live->state == HOLDING && am_streq(t, "held"))
		lay_out(live);
	else if (live->state == LAYING_OUT && am_streq(t, "laidout"))
		settle(live);
}
