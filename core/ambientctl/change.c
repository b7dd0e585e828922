/* SPDX-License-Identifier: Apache-2.0 */
/* repos and workflow: what a session works on and by, edited in its spec; then the wait for the runner to say that it is so. */
#include "core/ambientctl/ctl.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"

#define WAIT_NS (600 * AM_NS_PER_S)
#define TRIES   5

/* What an edit adds to the patch of the spec.  0, or an exit code after a sentence. */
typedef int edit_f(struct ctl *ctl, struct am_arena *arena, const struct am_node *session, struct am_node *spec);

/* ---- waiting for it */

struct wait {
	struct ctl *ctl;
	const char *name;
	int64_t generation;
	int code;
	char said[600];
};

static bool
look(void *arg, const struct am_node *session)
{
	struct wait *w = arg;
	const struct am_node *condition = session != NULL ? ctl_condition(session, "Reconciled") : NULL;
	const char *phase = session != NULL ? ctl_text(session, "/status/phase") : "", *message;
	int64_t seen = 0, observed = 0;

	if (session == NULL) {
		(void)fprintf(stderr, "ambientctl: session \"%s\" is gone\n", w->name);
		w->code = CTL_NOTFOUND;
		return true;
	}
	(void)am_node_get_int(am_node_get(session, "status"), "observedGeneration", &observed);
	if (observed < w->generation)
		return false;
	if (condition == NULL || ctl_terminal(phase)) {
		(void)printf("session \"%s\" is %s; the edit is for its next run\n", w->name, phase[0] != '\0' ? phase : "Pending");
		w->code = CTL_OK;
		return true;
	}
	(void)am_node_get_int(condition, "observedGeneration", &seen);
	if (seen < w->generation)
		return false;
	message = am_node_get_str(condition, "message", "");
	if (strcmp(am_node_get_str(condition, "reason", ""), "Applying") == 0) {
		if (w->ctl->terminal && strcmp(w->said, message) != 0) {
			(void)am_strlcpy(w->said, message, sizeof(w->said));
			ctl_put_clean(stdout, message, true);
			(void)fputs("\n", stdout);
			(void)fflush(stdout);
		}
		return false;
	}
	if (strcmp(am_node_get_str(condition, "status", ""), "True") == 0) {
		(void)printf("session \"%s\": in effect\n", w->name);
		w->code = CTL_OK;
		return true;
	}
	(void)fprintf(stderr, "ambientctl: session \"%s\": %s: ", w->name, am_node_get_str(condition, "reason", ""));
	ctl_put_clean(stderr, message, true);
	(void)fputc('\n', stderr);
	w->code = CTL_REFUSED;
	return true;
}

static int
await_it(struct ctl *ctl, const char *name, const struct am_node *session)
{
	struct wait w = { .ctl = ctl, .name = name, .code = CTL_FAILED };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	(void)am_node_get_int(am_node_get(session, "metadata"), "generation", &w.generation);
	if (ctl_has(ctl, "no-wait"))
		return CTL_OK;
	if (ctl_await(ctl, CTL_KIND, name, &ctl_interrupted, am_clock_boot(am_clock_real()) + WAIT_NS, look, &w, &err) < 0)
		return ctl_fail(&err, "session \"%s\"", name);
	return w.code;
}

/* Reads the session, edits, writes it if nobody else did meanwhile. */
static int
change(struct ctl *ctl, const char *name, edit_f *edit)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	for (int i = 0; i < TRIES; i++) {
		am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
		am_auto(am_buf_fini) struct am_buf body = { 0 };
		struct am_node *session, *written, *patch = am_node_object(arena), *meta = am_node_object(arena);
		struct am_node *spec = am_node_object(arena);
		int rc = ctl_get(ctl, arena, name, &session, &err);

		if (rc < 0)
			break;
		am_node_set(arena, meta, "resourceVersion", am_node_str(arena, ctl_text(session, "/metadata/resourceVersion")));
		am_node_set(arena, patch, "metadata", meta);
		am_node_set(arena, patch, "spec", spec);
		if ((rc = edit(ctl, arena, session, spec)) != 0)
			return rc;
		am_node_print(patch, &body);
		rc = ctl_write(ctl, arena, "PATCH", "application/merge-patch+json", name, &body, &written, &err);
		if (rc == 0)
			return await_it(ctl, name, written);
		if (rc != -AMBIENT_E_CONFLICT)
			break;
	}
	return ctl_fail(&err, "session \"%s\"", name);
}

/* ---- repositories */

static const char *
url_of(const struct am_node *repo)
{
	const char *url = am_node_get_str(repo, "url", "");

	return url[0] != '\0' ? url : am_node_get_str(am_node_get(repo, "input"), "url", "");
}

/* The last part of a URL, without ".git": what a repository is called when it has no name. */
static struct am_slice
base_of(const char *url)
{
	size_t n = strlen(url), from;

	while (n > 0 && url[n - 1] == '/')
		n--;
	if (n > 4 && strncmp(url + n - 4, ".git", 4) == 0)
		n -= 4;
	for (from = n; from > 0 && url[from - 1] != '/' && url[from - 1] != ':'; from--)
		;
	return am_slice(url + from, n - from);
}

static bool
is_meant(const struct am_node *repo, const char *word)
{
	const char *name = am_node_get_str(repo, "name", ""), *url = url_of(repo);
	struct am_slice base = base_of(url);

	if (strcmp(url, word) == 0 || (name[0] != '\0' && strcmp(name, word) == 0))
		return true;
	return name[0] == '\0' && base.n == strlen(word) && memcmp(base.p, word, base.n) == 0;
}

/* In the shape that the session is written in, since the other one would change what it means. */
static bool
is_newer(const struct am_node *session)
{
	const struct am_node *repos = am_node_at(session, "/spec/repos");

	for (const struct am_node *r = repos != NULL ? repos->first : NULL; r != NULL; r = r->next)
		if (am_node_get(r, "url") != NULL)
			return true;
	return am_node_at(session, "/spec/initialPrompt") != NULL;
}

static struct am_node *
make_repo(struct am_arena *arena, bool newer, const char *url, const char *branch, const char *name)
{
	struct am_node *repo = am_node_object(arena), *half = newer ? repo : am_node_object(arena);

	am_node_set(arena, half, "url", am_node_str(arena, url));
	if (branch != NULL && branch[0] != '\0')
		am_node_set(arena, half, "branch", am_node_str(arena, branch));
	if (!newer)
		am_node_set(arena, repo, "input", half);
	if (name != NULL && name[0] != '\0')
		am_node_set(arena, repo, "name", am_node_str(arena, name));
	return repo;
}

/* The list as it is; that of the project, which an own one replaces, where the session names none. */
static struct am_node *
list_of(struct am_arena *arena, const struct am_node *session)
{
	const struct am_node *own = am_node_at(session, "/spec/repos"), *planned = am_node_at(session, "/status/effective/repos");
	struct am_node *list;

	if (own != NULL && own->first != NULL)
		return am_node_clone(arena, own);
	list = am_node_array(arena);
	for (const struct am_node *r = planned != NULL ? planned->first : NULL; r != NULL; r = r->next)
		am_node_append(list, make_repo(arena, is_newer(session), am_node_get_str(r, "url", ""), am_node_get_str(r, "branch", ""),
					       am_node_get_str(r, "name", "")));
	return list;
}

static int
has_single(const struct am_node *session)
{
	if (ctl_text(session, "/spec/inputRepo")[0] == '\0' && ctl_text(session, "/spec/input/repo")[0] == '\0')
		return 0;
	(void)fprintf(stderr, "ambientctl: the session names its repository in inputRepo or input.repo; name it in repos first\n");
	return CTL_REFUSED;
}

static int
add_repo(struct ctl *ctl, struct am_arena *arena, const struct am_node *session, struct am_node *spec)
{
	struct am_node *list = list_of(arena, session);
	int rc = has_single(session);

	am_node_append(list, make_repo(arena, is_newer(session), ctl->words[2], ctl_value(ctl, "branch"), ctl_value(ctl, "name")));
	am_node_set(arena, spec, "repos", list);
	return rc;
}

static int
remove_repo(struct ctl *ctl, struct am_arena *arena, const struct am_node *session, struct am_node *spec)
{
	struct am_node *list = list_of(arena, session);
	int64_t main_index = 0, at = 0;
	int rc = has_single(session);

	if (rc != 0)
		return rc;
	(void)am_node_get_int(am_node_get(session, "spec"), "mainRepoIndex", &main_index);
	for (struct am_node *r = list->first; r != NULL; r = r->next, at++) {
		if (!is_meant(r, ctl->words[2]))
			continue;
		am_node_remove(list, r);
		if (main_index > 0 && at <= main_index)
			am_node_set(arena, spec, "mainRepoIndex", am_node_int(arena, at == main_index ? 0 : main_index - 1));
		am_node_set(arena, spec, "repos", list);
		return 0;
	}
	(void)fprintf(stderr, "ambientctl: session \"%s\" has no repository \"%s\"\n", ctl->words[1], ctl->words[2]);
	return CTL_NOTFOUND;
}

static int
run_repos(struct ctl *ctl)
{
	bool add = am_streq(ctl->words[0], "add"), edit = add || am_streq(ctl->words[0], "remove");

	if (edit && ctl->word_count == 3)
		return change(ctl, ctl->words[1], add ? add_repo : remove_repo);
	if (ctl->word_count == 3)
		return ctl_usage("\"%s\" is neither add nor remove", ctl->words[0]);
	if (edit && ctl->word_count == 2)
		return ctl_usage("repos %s takes a session and a repository", ctl->words[0]);
	return ctl_clones(ctl, ctl->words[0], ctl->word_count > 1 ? ctl->words[1] : NULL);
}

static const struct ctl_option repos_options[] = {
	{ .name = "branch", .letter = 'b', .arg = "BRANCH", .text = "Of a repository that is added; otherwise main." },
	{ .name = "name", .arg = "NAME", .text = "Its directory; otherwise the last part of the URL." },
	{ .name = "no-wait", .text = "Do not wait for it to be in effect." },
	{ .name = "diff", .text = "What is not committed in a repository, as a diff." },
	{ 0 },
};

const struct ctl_command ctl_repos = {
	.name = "repos", .synopsis = "repos SESSION [NAME [--diff]] | repos add SESSION URL | repos remove SESSION NAME",
	.options = repos_options, .min = 1, .max = 3, .on_sessions = true, .run = run_repos,
	.text = "Show the clones of a session, as they are now; add or remove a repository.",
};

/* ---- the workflow */

static int
set_workflow(struct ctl *ctl, struct am_arena *arena, const struct am_node *session, struct am_node *spec)
{
	static const char *const parts[] = { "branch", "path" };
	struct am_node *workflow;

	(void)session;
	if (ctl_has(ctl, "none")) {
		am_node_set(arena, spec, "activeWorkflow", am_node_null(arena));
		return 0;
	}
	workflow = am_node_object(arena);
	am_node_set(arena, workflow, "gitUrl", am_node_str(arena, ctl->words[1]));
	for (size_t i = 0; i < AM_COUNTOF(parts); i++) {
		const char *value = ctl_value(ctl, parts[i]);

		/* null: not what another workflow had */
		am_node_set(arena, workflow, parts[i], value != NULL ? am_node_str(arena, value) : am_node_null(arena));
	}
	am_node_set(arena, spec, "activeWorkflow", workflow);
	return 0;
}

static int
run_workflow(struct ctl *ctl)
{
	if (ctl_has(ctl, "none") != (ctl->word_count == 1))
		return ctl_usage("workflow needs a URL or --none");
	return change(ctl, ctl->words[0], set_workflow);
}

static const struct ctl_option workflow_options[] = {
	{ .name = "branch", .letter = 'b', .arg = "BRANCH", .text = "Otherwise main." },
	{ .name = "path", .arg = "DIRECTORY", .text = "The workflow's directory in it; otherwise its root." },
	{ .name = "none", .text = "Work by none." },
	{ .name = "no-wait", .text = "Do not wait for it to be in effect." },
	{ 0 },
};

const struct ctl_command ctl_workflow = {
	.name = "workflow", .synopsis = "workflow SESSION [URL]", .options = workflow_options, .min = 1, .max = 2,
	.text = "Say which workflow the agent follows; in a chat that runs at once, else for the next run.", .run = run_workflow,
};
