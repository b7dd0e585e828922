/* SPDX-License-Identifier: Apache-2.0 */
/* get and describe: sessions as a table, one session in full. */
#include "core/ambientctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/mem.h"

#define COLUMNS 6

static void
add_row(struct am_arena *arena, const struct am_node *session, const char **row, bool with_ns)
{
	const struct am_node *ready = ctl_condition(session, "Ready");
	const char *phase = ctl_text(session, "/status/phase"), *runner = ctl_text(session, "/status/effective/runnerType");
	const char *reason = ready != NULL ? ctl_text(ready, "/reason") : "";
	char *age = am_arena_alloc(arena, 16);

	ctl_age(age, ctl_text(session, "/metadata/creationTimestamp"));
	row[0] = ctl_text(session, with_ns ? "/metadata/namespace" : "/metadata/name");
	row[1] = with_ns ? ctl_text(session, "/metadata/name") : phase[0] != '\0' ? phase : "Pending";
	row[2] = with_ns ? (phase[0] != '\0' ? phase : "Pending") : reason;
	row[3] = with_ns ? reason : runner;
	row[4] = with_ns ? runner : age;
	if (with_ns)
		row[5] = age;
}

static int
print_list(const struct ctl *ctl, struct am_arena *arena, const struct am_node *list, bool with_ns)
{
	static const char *const titles[COLUMNS] = { "NAMESPACE", "NAME", "PHASE", "REASON", "RUNNER", "AGE" };
	const struct am_node *items = am_node_get(list, "items");
	size_t columns = with_ns ? COLUMNS : COLUMNS - 1, n = items != NULL ? items->count : 0, row = 1;

	if (n == 0) {
		(void)fprintf(stderr, "no sessions in %s%s%s\n", with_ns ? "any namespace" : "namespace \"",
			      with_ns ? "" : ctl->ns, with_ns ? "" : "\"");
		return CTL_OK;
	}

	const char **cells = am_arena_zalloc(arena, (n + 1) * columns * sizeof(*cells));

	if (cells == NULL)
		return ctl_usage("out of memory");
	memcpy(cells, titles + (with_ns ? 0 : 1), columns * sizeof(*cells));
	for (const struct am_node *s = items->first; s != NULL; s = s->next)
		add_row(arena, s, cells + columns * row++, with_ns);
	ctl_table(cells, columns, n + 1);
	return CTL_OK;
}

static int
run_get(struct ctl *ctl)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool all = ctl_has(ctl, "all-namespaces");
	struct am_node *node, *list, *items;

	if (ctl->word_count == 1) {
		if (ctl_get(ctl, arena, ctl->words[0], &node, &err) < 0)
			return ctl_fail(&err, "session \"%s\"", ctl->words[0]);
		if (ctl->json) {
			ctl_print_json(node);
			return CTL_OK;
		}
		list = am_node_object(arena);
		items = am_node_array(arena);
		am_node_append(items, node);
		am_node_set(arena, list, "items", items);
		return print_list(ctl, arena, list, false);
	}
	if (all)
		am_buf_adds(&path, "/apis/vteam.ambient-code/v1alpha1/agenticsessions");
	else
		ctl_path(ctl, &path, CTL_KIND, NULL, NULL);
	if (ctl_read(ctl, arena, am_buf_str(&path), &list, &err) < 0)
		return ctl_fail(&err, "sessions");
	if (ctl->json) {
		ctl_print_json(list);
		return CTL_OK;
	}
	return print_list(ctl, arena, list, all);
}

static const struct ctl_option get_options[] = {
	{ "all-namespaces", 'A', NULL, "sessions of all namespaces" },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command ctl_get_command = {
	.name = "get", .synopsis = "get [NAME] [-A]", .text = "List sessions, or one.", .options = get_options, .max = 1,
	.on_sessions = true, .run = run_get,
};

static void
field(const struct ctl *ctl, const char *label, const char *text)
{
	if (text[0] == '\0')
		return;
	(void)printf("%s%-12s%s ", ctl_color(ctl, "bold"), label, ctl_color(ctl, "reset"));
	ctl_put_clean(stdout, text, true);
	(void)putchar('\n');
}

static void
print_prompt(const struct am_node *session)
{
	const char *text = ctl_text(session, "/spec/prompt");
	int lines = 0;

	if (text[0] == '\0')
		text = ctl_text(session, "/spec/initialPrompt");
	while (*text != '\0' && lines++ < 10) {
		size_t n = strcspn(text, "\n");
		am_auto(am_buf_fini) struct am_buf line = { 0 };

		ctl_add_cut(&line, text, n, 300);
		(void)printf("  %s\n", am_buf_str(&line));
		text += n + (text[n] == '\n');
	}
	if (*text != '\0')
		(void)puts("  ...");
}

static void
print_conditions(const struct ctl *ctl, const struct am_node *session)
{
	const struct am_node *list = am_node_at(session, "/status/conditions");

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next) {
		char age[16];

		ctl_age(age, ctl_text(c, "/lastTransitionTime"));
		(void)printf("  %-17s %-8s %-6s ", ctl_text(c, "/type"), ctl_text(c, "/status"), age);
		ctl_put_clean(stdout, ctl_text(c, "/reason"), true);
		if (ctl_text(c, "/message")[0] != '\0') {
			(void)fputs(": ", stdout);
			ctl_put_clean(stdout, ctl_text(c, "/message"), true);
		}
		(void)putchar('\n');
	}
	(void)ctl;
}

static void
print_events(struct ctl *ctl, struct am_arena *arena, const char *name)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *list, *items;

	ctl_path(ctl, &path, "v1/events", NULL, NULL);
	am_buf_adds(&path, "?fieldSelector=involvedObject.name%3D");
	am_url_escape(&path, name);
	if (ctl_read(ctl, arena, am_buf_str(&path), &list, &err) < 0) {
		(void)printf("  cannot be read: %s\n", err.message);
		return;
	}
	items = am_node_get(list, "items");
	for (const struct am_node *e = items != NULL ? items->first : NULL; e != NULL; e = e->next) {
		char age[16];

		if (!am_streq(ctl_text(e, "/involvedObject/name"), name))
			continue;
		ctl_age(age, ctl_text(e, "/lastTimestamp"));
		(void)printf("  %-8s %-6s ", ctl_text(e, "/type"), age);
		ctl_put_clean(stdout, ctl_text(e, "/reason"), true);
		(void)fputs("  ", stdout);
		ctl_put_clean(stdout, ctl_text(e, "/message"), true);
		(void)putchar('\n');
	}
}

static void
print_plan(const struct ctl *ctl, const struct am_node *session)
{
	const struct am_node *repos = am_node_at(session, "/status/effective/repos");
	int64_t timeout = 0;
	char text[64];

	field(ctl, "Runner", ctl_text(session, "/status/effective/runnerType"));
	field(ctl, "Model", ctl_text(session, "/status/effective/model"));
	if (am_node_get_int(am_node_at(session, "/status/effective"), "timeout", &timeout) && timeout > 0) {
		(void)snprintf(text, sizeof(text), "%" PRId64 " s", timeout);
		field(ctl, "Timeout", text);
	}
	for (const struct am_node *r = repos != NULL ? repos->first : NULL; r != NULL; r = r->next) {
		const struct am_node *push = am_node_get(r, "push");
		const char *to = ctl_text(r, "/pushUrl");
		bool pushes = push != NULL && push->boolean, fork = pushes && to[0] != '\0' && !am_streq(to, ctl_text(r, "/url"));
		am_auto(am_freep) char *line = am_xasprintf("%s (%s)%s%s%s%s", ctl_text(r, "/url"), ctl_text(r, "/branch"), pushes ? " -> " : "",
							    fork ? to : "", fork ? " " : "", pushes ? ctl_text(r, "/pushBranch") : "");

		field(ctl, r == repos->first ? "Repositories" : "", line);
	}
}

/* While it runs its repositories are known, and not yet what becomes of them. */
static bool
has_outcome(const struct am_node *session)
{
	const struct am_node *repos = am_node_at(session, "/status/repos");
	bool any = false;

	for (const struct am_node *r = repos != NULL ? repos->first : NULL; r != NULL; r = r->next)
		any = any || ctl_text(r, "/status")[0] != '\0';
	return any;
}

static int
run_describe(struct ctl *ctl)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const char *phase, *results;
	struct am_node *s;

	if (ctl_get(ctl, arena, ctl->words[0], &s, &err) < 0)
		return ctl_fail(&err, "session \"%s\"", ctl->words[0]);
	if (ctl->json) {
		ctl_print_json(s);
		return CTL_OK;
	}
	phase = ctl_text(s, "/status/phase");
	phase = phase[0] != '\0' ? phase : "Pending";
	field(ctl, "Name", ctl_text(s, "/metadata/name"));
	field(ctl, "Namespace", ctl_text(s, "/metadata/namespace"));
	(void)printf("%s%-12s%s %s%s%s\n", ctl_color(ctl, "bold"), "Phase", ctl_color(ctl, "reset"),
		     ctl_phase_color(ctl, phase), phase, ctl_color(ctl, "reset"));
	field(ctl, "Message", ctl_text(s, "/status/message"));
	field(ctl, "Created", ctl_text(s, "/metadata/creationTimestamp"));
	field(ctl, "Started", ctl_text(s, "/status/startTime"));
	field(ctl, "Ended", ctl_text(s, "/status/completionTime"));
	field(ctl, "Agent", ctl_text(s, "/status/agentStatus"));
	field(ctl, "Last word", ctl_text(s, "/status/lastActivityTime"));
	field(ctl, "Job", ctl_text(s, "/status/jobName"));
	field(ctl, "Pod", ctl_text(s, "/status/runnerPodName"));
	print_plan(ctl, s);
	(void)printf("%sPrompt%s\n", ctl_color(ctl, "bold"), ctl_color(ctl, "reset"));
	print_prompt(s);
	if (has_outcome(s)) {
		(void)printf("%sPushed%s\n", ctl_color(ctl, "bold"), ctl_color(ctl, "reset"));
		ctl_print_repos(ctl, s);
	}
	results = ctl_text(s, "/status/results");
	if (results[0] != '\0') {
		(void)printf("%sResult%s\n  ", ctl_color(ctl, "bold"), ctl_color(ctl, "reset"));
		ctl_put_clean(stdout, results, false);
		(void)putchar('\n');
	}
	(void)printf("%sConditions%s\n", ctl_color(ctl, "bold"), ctl_color(ctl, "reset"));
	print_conditions(ctl, s);
	(void)printf("%sEvents%s\n", ctl_color(ctl, "bold"), ctl_color(ctl, "reset"));
	print_events(ctl, arena, ctl->words[0]);
	return CTL_OK;
}

const struct ctl_command ctl_describe = {
	.name = "describe", .synopsis = "describe NAME", .text = "Show everything about a session.", .min = 1, .max = 1,
	.on_sessions = true, .run = run_describe,
};
