/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repos SESSION: the state of the clones in a session's workspace, now, or as its last run left them.  It is what git says
 * where the agent is, so no more than the agent's word; names and texts of it are shown and never used, but for the names
 * of directories, which go back to the runner that told them.
 */
#include "core/ambientctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"

#define COLUMNS 5

/* All changed files; lines where they are text. */
static const char *
changes(struct am_arena *arena, const struct am_node *state)
{
	const struct am_node *files = am_node_get(state, "files"), *more = am_node_get(state, "truncated");
	int64_t added = 0, removed = 0, n;

	if (files == NULL || files->type != AMBIENT_T_ARRAY || files->count == 0)
		return "clean";
	for (const struct am_node *f = files->first; f != NULL; f = f->next) {
		added += am_node_get_int(f, "added", &n) ? n : 0;
		removed += am_node_get_int(f, "removed", &n) ? n : 0;
	}
	return am_arena_printf(arena, "%s%u file%s, +%" PRId64 " -%" PRId64, more != NULL && more->boolean ? "more than " : "",
			       (unsigned)files->count, files->count == 1 ? "" : "s", added, removed);
}

static void
add_row(struct am_arena *arena, const struct am_node *state, const char **cells)
{
	const char *branch = am_node_get_str(state, "branch", ""), *commit = am_node_get_str(state, "commit", "");
	const struct am_node *ahead = am_node_get(state, "ahead");

	cells[0] = am_node_get_str(state, "repo", "");
	cells[1] = branch[0] != '\0' ? branch : "(none)";
	cells[2] = commit[0] != '\0' ? am_arena_printf(arena, "%.10s", commit) : "(none)";
	cells[3] = ahead != NULL && ahead->type == AMBIENT_T_NUMBER ? ahead->text : "-";
	cells[4] = changes(arena, state);
}

static int
ask(struct ctl_endpoint *ep, struct am_arena *arena, const char *name, struct am_node **ret, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf request = { 0 };
	am_auto(am_buf_fini) struct am_buf answer = { 0 };
	int rc;

	am_buf_adds(&request, "/v1/git?repo=");
	am_url_escape(&request, name);
	if (ctl_has(ep->ctl, "diff"))
		am_buf_adds(&request, "&diff=true");
	rc = ctl_endpoint_do(ep, "GET", am_buf_str(&request), NULL, &answer, err);
	if (rc < 0)
		return rc;
	*ret = am_node_parse(arena, am_buf_str(&answer), answer.len, err);
	if (*ret == NULL || (*ret)->type != AMBIENT_T_OBJECT)
		return ambient_err(err, AMBIENT_E_INVALID, "the answer is no state of a clone");
	return 0;
}

static void
show_files(const struct am_node *state)
{
	const struct am_node *files = am_node_get(state, "files");
	int64_t added, removed;

	for (const struct am_node *f = files != NULL ? files->first : NULL; f != NULL; f = f->next) {
		ctl_put_clean(stdout, am_node_get_str(f, "code", ""), true);
		(void)fputs(" ", stdout);
		ctl_put_clean(stdout, am_node_get_str(f, "path", ""), true);
		if (am_node_get_int(f, "added", &added) && am_node_get_int(f, "removed", &removed))
			(void)printf("  +%" PRId64 " -%" PRId64, added, removed);
		(void)putchar('\n');
	}
}

/* As git wrote it, so that it can be applied; cleaned only where a terminal would be steered by it. */
static void
show_diff(const struct ctl *ctl, const struct am_node *state)
{
	const char *diff = am_node_get_str(state, "diff", "");
	const struct am_node *cut = am_node_get(state, "diffTruncated");

	if (ctl->terminal)
		ctl_put_clean(stdout, diff, false);
	else
		(void)fputs(diff, stdout);
	(void)fflush(stdout);
	if (cut != NULL && cut->boolean)
		(void)fputs("ambientctl: there is more of the diff than is shown\n", stderr);
}

static int
show_one(struct ctl_endpoint *ep, const char *name, struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	const char *cells[2 * COLUMNS] = { "NAME", "BRANCH", "COMMIT", "AHEAD", "CHANGES" };
	struct am_node *state;
	int rc = ask(ep, arena, name, &state, err);

	if (rc < 0)
		return rc;
	if (ep->ctl->json) {
		ctl_print_json(state);
	} else if (ctl_has(ep->ctl, "diff")) {
		show_diff(ep->ctl, state);
	} else {
		add_row(arena, state, cells + COLUMNS);
		ctl_table(cells, COLUMNS, 2);
		show_files(state);
	}
	return 0;
}

/* A directory of the workspace with a repository in it. */
static int
is_clone(struct ctl_endpoint *ep, struct am_arena *arena, const struct am_node *entry, struct ambient_error *err)
{
	const char *name = am_node_get_str(entry, "name", "");
	struct am_node *entries;
	int rc;

	if (!am_streq(am_node_get_str(entry, "type", ""), "directory"))
		return 0;
	rc = ctl_read_directory(ep, am_arena_printf(arena, "%s/.git", name), arena, &entries, err);
	/* A file is what a submodule has, and is read as no list. */
	return rc >= 0 ? 1 : rc == -AMBIENT_E_NOTFOUND || rc == -AMBIENT_E_INVALID || rc == -AMBIENT_E_FORBIDDEN ? 0 : rc;
}

static int
show_all(struct ctl_endpoint *ep, bool *failed, struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct am_node *entries, *state;
	int rc = ctl_read_directory(ep, "", arena, &entries, err), found;
	size_t rows = 1;

	if (rc < 0)
		return rc;
	const char **cells = am_arena_zalloc(arena, ((size_t)entries->count + 1) * COLUMNS * sizeof(*cells));

	for (size_t i = 0; i < COLUMNS; i++)
		cells[i] = (const char *const[]){ "NAME", "BRANCH", "COMMIT", "AHEAD", "CHANGES" }[i];
	for (const struct am_node *e = entries->first; e != NULL; e = e->next) {
		struct ambient_error why = AMBIENT_ERROR_INIT;
		const char *name = am_node_get_str(e, "name", "");

		if ((found = is_clone(ep, arena, e, err)) < 0)
			return found;
		if (found == 0)
			continue;
		if (ask(ep, arena, name, &state, &why) < 0) {
			(void)ctl_fail(&why, "repository \"%s\"", name);
			*failed = true;
		} else if (ep->ctl->json) {
			ctl_print_json(state);
		} else {
			add_row(arena, state, cells + rows++ * COLUMNS);
		}
	}
	if (!ep->ctl->json)
		ctl_table(cells, COLUMNS, rows);
	return 0;
}

int
ctl_clones(struct ctl *ctl, const char *session, const char *name)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ctl_endpoint endpoint;
	bool failed = false;
	int rc;

	if (name == NULL && ctl_has(ctl, "diff"))
		return ctl_usage("--diff needs the name of a repository: ambientctl repos %s NAME --diff", session);
	if ((rc = ctl_reach(&endpoint, ctl, session)) != CTL_OK)
		return rc;
	rc = name != NULL ? show_one(&endpoint, name, &err) : show_all(&endpoint, &failed, &err);
	ctl_endpoint_close(&endpoint);
	if (rc < 0)
		return ctl_fail(&err, "repositories of session \"%s\"", session);
	return failed ? CTL_FAILED : CTL_OK;
}
