/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent's side is told of the workspace.  The agent starts in the workflow's directory, else in the main repository, else
 * in artifacts; the others are its further directories.
 */
#include <stdlib.h>

#include "core/ambient-runner/runner_priv.h"
#include "core/ambient-runner/survey.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

static char *
workdir_of(const struct am_runner *runner)
{
	const char *name = runner->repos.n > 0 ? runner->repos.v[runner->repos.main].name : "artifacts";

	if (runner->workflow.dir != NULL)
		return am_xstrdup(runner->workflow.dir);
	return am_xasprintf("%s/workspace/%s", runner->dir, name);
}

static void
add_dir(struct am_buf *out, const char *dir, const char *workdir, const char **comma)
{
	if (am_streq(dir, workdir))
		return;
	am_buf_adds(out, *comma);
	am_json_add_str(out, dir);
	*comma = ",";
}

/* An agent in a workflow's directory does not see what it shall work on. */
static void
add_instructions(const struct am_runner *runner, struct am_buf *out)
{
	am_auto(am_buf_fini) struct am_buf text = {0};
	const char *before = " The repositories to work on are ";

	if (runner->workflow.dir == NULL)
		return;
	am_buf_addf(&text, "Your working directory %s holds the workflow to follow; what you change in it is not kept by anybody.",
		    runner->workflow.dir);
	for (size_t i = 0; i < runner->repos.n; i++) {
		if (!runner->repos.v[i].cloned)
			continue;
		am_buf_addf(&text, "%s%s/workspace/%s", before, runner->dir, runner->repos.v[i].name);
		before = ", ";
	}
	if (*before == ',')
		am_buf_addc(&text, '.');
	am_buf_addf(&text, " Results that belong to no repository go to %s/workspace/artifacts.", runner->dir);
	if (runner->workflow.system_prompt != NULL)
		am_buf_addf(&text, "\n\n%s", runner->workflow.system_prompt);
	am_json_addf(out, ",\"instructions\":%s", am_buf_str(&text));
}

void
am_runner_add_layout(const struct am_runner *runner, struct am_buf *out)
{
	am_auto(am_freep) char *workdir = workdir_of(runner);
	am_auto(am_freep) char *artifacts = am_xasprintf("%s/workspace/artifacts", runner->dir);
	const char *comma = "";

	am_json_addf(out, ",\"workdir\":%s,\"dirs\":[", workdir);
	for (size_t i = 0; i < runner->repos.n; i++) {
		am_auto(am_freep) char *dir = am_xasprintf("%s/workspace/%s", runner->dir, runner->repos.v[i].name);

		if (runner->repos.v[i].cloned)
			add_dir(out, dir, workdir, &comma);
	}
	add_dir(out, artifacts, workdir, &comma);
	am_buf_addc(out, ']');
	add_instructions(runner, out);
	am_buf_adds(out, ",\"repos\":[");
	comma = "";
	for (size_t i = 0; i < runner->repos.n; i++) {
		const struct am_repo *repo = &runner->repos.v[i];

		if (!repo->cloned)
			continue;
		am_buf_adds(out, comma);
		am_json_addf(out, "{\"name\":%s,\"base\":%s}", repo->name, repo->base);
		comma = ",";
	}
	am_buf_addc(out, ']');
}

static void
describe(const char *status, int64_t at, const char *error, struct am_buf *out)
{
	char when[32];

	am_json_addf(out, "\"status\":%s", status);
	if (at > 0) {
		am_time_format(when, at, false);
		am_json_addf(out, ",\"at\":%s", when);
	}
	if (error[0] != '\0')
		am_json_addf(out, ",\"error\":%s", error);
}

void
am_runner_describe(const struct am_runner *runner, struct am_buf *out)
{
	const struct am_workflow *workflow = &runner->workflow;

	am_buf_reset(out);
	am_json_addf(out, "{\"generation\":%l,\"repos\":[", runner->generation);
	for (size_t i = 0; i < runner->repos.n; i++) {
		const struct am_repo *repo = &runner->repos.v[i];
		bool bad = !repo->cloned && repo->error[0] != '\0';

		am_json_addf(out, "%j{\"name\":%s,", i > 0 ? "," : "", repo->name);
		describe(repo->cloned ? "Ready" : bad ? "Failed" : "Cloning", repo->cloned ? repo->cloned_at : 0, bad ? repo->error : "", out);
		if (repo->cloned)
			am_survey_branches(runner->dir, repo->name, out);
		if (repo->cloned && repo->default_branch != NULL)
			am_json_addf(out, ",\"defaultBranch\":%s", repo->default_branch);
		am_buf_addc(out, '}');
	}
	for (size_t i = 0; i < runner->removed_count; i++)
		am_json_addf(out, "%j{\"name\":%s,\"status\":\"Removed\",\"where\":%s}", runner->repos.n + i > 0 ? "," : "",
			     runner->removed[i].name, runner->removed[i].where);
	am_buf_addc(out, ']');
	if (workflow->wanted) {
		am_buf_adds(out, ",\"workflow\":{");
		describe(workflow->status != NULL ? workflow->status : "Cloning", workflow->applied_at, workflow->error, out);
		am_buf_addc(out, '}');
	}
	am_buf_addc(out, '}');
}
