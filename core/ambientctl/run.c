/* SPDX-License-Identifier: Apache-2.0 */
/* run: a session from a prompt and repositories. */
#include "core/ambientctl/ctl.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/util.h"

#define PROMPT_MAX (2 << 20)

/* The prompt: the word, or standard input for "-". */
static int
read_prompt(const char *word, struct am_buf *out)
{
	char piece[65536];
	ssize_t n;

	if (!am_streq(word, "-")) {
		am_buf_adds(out, word);
		return am_utf8_valid(word, strlen(word)) ? 0 : ctl_usage("the prompt is no UTF-8 text");
	}
	out->max = PROMPT_MAX;
	while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
		am_buf_add(out, piece, (size_t)n);
	if (n < 0 || out->failed)
		return ctl_usage("the prompt on standard input cannot be read, or is larger than 2 MiB");
	if (!am_utf8_valid(am_buf_str(out), out->len) || (out->len > 0 && memchr(out->data, 0, out->len) != NULL))
		return ctl_usage("the prompt on standard input is no UTF-8 text");
	return 0;
}

/* --branch and --push-to belong to the --repo before them; before the first they belong to the first. */
static int
add_repos(const struct ctl *ctl, struct am_buf *out)
{
	struct { const char *url, *branch, *push; } repos[32] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < ctl->given_count; i++) {
		const char *option = ctl->given[i].option->name, *value = ctl->given[i].value;

		if (am_streq(option, "repo")) {
			if (n == AM_COUNTOF(repos))
				return ctl_usage("at most %zu repositories", AM_COUNTOF(repos));
			repos[n++].url = value;
		} else if (am_streq(option, "branch")) {
			repos[n > 0 ? n - 1 : 0].branch = value;
		} else if (am_streq(option, "push-to")) {
			repos[n > 0 ? n - 1 : 0].push = value;
		}
	}
	if (n == 0 && (repos[0].branch != NULL || repos[0].push != NULL))
		return ctl_usage("--branch and --push-to need a --repo");
	am_buf_adds(out, "[");
	for (size_t i = 0; i < n; i++) {
		am_json_addf(out, "%j{\"input\":{\"url\":%s", i > 0 ? "," : "", repos[i].url);
		if (repos[i].branch != NULL)
			am_json_addf(out, ",\"branch\":%s", repos[i].branch);
		am_buf_adds(out, "}");
		if (repos[i].push != NULL)
			am_json_addf(out, ",\"output\":{\"targetBranch\":%s}", repos[i].push);
		am_buf_adds(out, "}");
	}
	am_buf_adds(out, "]");
	return 0;
}

/* A name that says what it is about: that of the repository that the agent starts in, and five characters. */
static void
make_name(const struct ctl *ctl, char out[64])
{
	const char *url = NULL, *base;
	char suffix[8];
	size_t n = 0;

	for (size_t i = 0; url == NULL && i < ctl->given_count; i++)
		url = am_streq(ctl->given[i].option->name, "repo") ? ctl->given[i].value : NULL;
	base = url != NULL ? strrchr(url, '/') : NULL;

	for (base = base != NULL ? base + 1 : "session"; *base != '\0' && n < 40; base++) {
		if (am_streq(base, ".git"))
			break;
		if (isalnum((unsigned char)*base))
			out[n++] = (char)tolower((unsigned char)*base);
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	if (n == 0)
		n = am_strlcpy(out, "session", 64);
	am_random_suffix(suffix, 5);
	(void)snprintf(out + n, 64 - n, "-%s", suffix);
}

static int
add_spec(const struct ctl *ctl, const char *prompt, struct am_buf *out)
{
	const char *type = ctl_value(ctl, "runner-type"), *command = ctl_value(ctl, "command");
	const char *model = ctl_value(ctl, "model"), *timeout = ctl_value(ctl, "timeout");
	int64_t ns;
	int rc;

	am_json_addf(out, "{\"prompt\":%s,\"repos\":", prompt);
	if ((rc = add_repos(ctl, out)) != 0)
		return rc;
	if (command != NULL && type == NULL)
		type = "command";
	if (type != NULL)
		am_json_addf(out, ",\"runnerType\":%s", type);
	if (command != NULL)
		am_json_addf(out, ",\"runnerConfig\":{\"command\":[\"sh\",\"-c\",%s]}", command);
	if (model != NULL)
		am_json_addf(out, ",\"model\":%s", model);
	if (timeout != NULL) {
		if (am_parse_duration(timeout, &ns) < 0 || ns < 1000000000)
			return ctl_usage("timeout \"%s\" is no duration such as 90s or 30m", timeout);
		am_json_addf(out, ",\"timeout\":%l", ns / 1000000000);
	}
	am_buf_adds(out, "}");
	return 0;
}

static int
run(struct ctl *ctl)
{
	am_auto(am_buf_fini) struct am_buf prompt = { 0 };
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *session;
	const char *chosen = ctl_value(ctl, "name");
	char name[254];
	int rc;

	if ((rc = read_prompt(ctl->words[0], &prompt)) != 0)
		return rc;
	if (prompt.len == 0)
		return ctl_usage("the prompt is empty");
	if (chosen != NULL && am_name_problem(chosen, 2) != NULL)
		return ctl_usage("\"%s\" is no name of a session: %s", chosen, am_name_problem(chosen, 2));
	if (chosen != NULL)
		(void)am_strlcpy(name, chosen, sizeof(name));
	else
		make_name(ctl, name);
	am_json_addf(&body, "{\"apiVersion\":\"vteam.ambient-code/v1alpha1\",\"kind\":\"AgenticSession\","
		     "\"metadata\":{\"name\":%s,\"namespace\":%s},\"spec\":", name, ctl->ns);
	if ((rc = add_spec(ctl, am_buf_str(&prompt), &body)) != 0)
		return rc;
	am_buf_adds(&body, "}");
	if (ctl_write(ctl, arena, "POST", NULL, NULL, &body, &session, &err) < 0)
		return ctl_fail(&err, "session \"%s\" in namespace \"%s\"", name, ctl->ns);
	if (!ctl_has(ctl, "follow")) {
		if (ctl->json)
			ctl_print_json(session);
		else
			(void)printf("session \"%s\" in namespace \"%s\"; follow it with: ambientctl messages -f %s -n %s\n",
				     name, ctl->ns, name, ctl->ns);
		return CTL_OK;
	}
	if (!ctl->json)
		(void)printf("session \"%s\" in namespace \"%s\"\n", name, ctl->ns);
	(void)fflush(stdout);
	return ctl_follow(ctl, name, session, true, true);
}

static const struct ctl_option options[] = {
	{ "repo", 'r', "URL", "a repository to clone; may be given again" },
	{ "branch", 'b', "BRANCH", "the branch of the --repo before it" },
	{ "push-to", 'p', "BRANCH", "where to push the --repo before it" },
	{ "runner-type", 't', "TYPE", "which agent runs, such as claude-code" },
	{ "command", 'c', "SHELL", "run this shell command as the agent" },
	{ "model", 'm', "MODEL", "the model of the agent" },
	{ "timeout", 0, "DURATION", "how long the run may take, such as 30m" },
	{ "name", 0, "NAME", "the session's name; otherwise one is made" },
	{ "follow", 'f', NULL, "show phases and messages until the end" },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command ctl_run = {
	.name = "run", .synopsis = "run \"PROMPT\" [--repo URL [--branch B] [--push-to BRANCH]]... [--follow]",
	.text = "Start a session; PROMPT \"-\" is read from standard input.", .options = options, .min = 1, .max = 1,
	.run = run,
};
