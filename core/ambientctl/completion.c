/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion.  The shells' scripts are short and the same for ever: they hand the words of the line to
 * `ambientctl __complete`, which knows the tables of commands and options, and the API server for names.
 * etc/completion holds the same scripts for packages; a test compares them.
 */
#include "core/ambientctl/ctl.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/mem.h"

static const char bash[] =
	"# bash completion for ambientctl\n"
	"_ambientctl()\n"
	"{\n"
	"\tlocal IFS=$'\\n'\n"
	"\tCOMPREPLY=($(compgen -W \"$(ambientctl __complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\" \\\n"
	"\t\t-- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
	"}\n"
	"complete -o default -F _ambientctl ambientctl\n";
static const char zsh[] =
	"#compdef ambientctl\n"
	"# zsh completion for ambientctl\n"
	"_ambientctl()\n"
	"{\n"
	"\tlocal -a found\n"
	"\tfound=(${(f)\"$(ambientctl __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"})\n"
	"\tif (( $#found )); then compadd -a found; else _files; fi\n"
	"}\n"
	"if [[ $funcstack[1] == _ambientctl ]]; then _ambientctl \"$@\"; else compdef _ambientctl ambientctl; fi\n";
static const char fish[] =
	"# fish completion for ambientctl\n"
	"function __ambientctl_complete\n"
	"\tset -l words (commandline -opc) (commandline -ct)\n"
	"\tset -l found (ambientctl __complete -- $words[2..-1] 2>/dev/null)\n"
	"\tif set -q found[1]\n"
	"\t\tprintf '%s\\n' $found\n"
	"\telse\n"
	"\t\t__fish_complete_path (commandline -ct)\n"
	"\tend\n"
	"end\n"
	"complete -c ambientctl -f -a '(__ambientctl_complete)'\n";

static int
run_completion(struct ctl *ctl)
{
	static const struct { const char *shell, *script; } scripts[] = {
		{ "bash", bash }, { "zsh", zsh }, { "fish", fish },
	};

	for (size_t i = 0; i < AM_COUNTOF(scripts); i++)
		if (am_streq(ctl->words[0], scripts[i].shell)) {
			(void)fputs(scripts[i].script, stdout);
			return CTL_OK;
		}
	return ctl_usage("no completion for \"%s\"; there is one for bash, zsh and fish", ctl->words[0]);
}

const struct ctl_command ctl_completion = {
	.name = "completion", .synopsis = "completion bash|zsh|fish", .text = "Print completion for a shell.", .min = 1,
	.max = 1, .offline = true, .run = run_completion,
};

static void
offer(const char *word, const char *text, const char *prefix)
{
	am_auto(am_freep) char *whole = am_xasprintf("%s%s", prefix, text);

	if (am_starts(whole, word))
		(void)printf("%s\n", whole);
}

static void
offer_options(const struct ctl_option *options, const char *word)
{
	for (; options != NULL && options->name != NULL; options++)
		offer(word, options->name, "--");
}

/* Names of the objects of a list; says nothing when the server does not answer within two seconds. */
static void
offer_names(struct ctl *ctl, const char *list_path, const char *word)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *list, *items;

	if (ctl_connect(ctl) != 0)
		return;
	if (list_path != NULL)
		am_buf_adds(&path, list_path);
	else
		ctl_path(ctl, &path, CTL_KIND, NULL, NULL);
	am_buf_adds(&path, "?limit=200");

	const struct am_kube_request what = {
		.method = "GET", .path = am_buf_str(&path), .deadline = am_clock_boot(am_clock_real()) + 2 * AM_NS_PER_S,
	};

	if (am_kube_do(ctl->kube, &what, &body, &err) < 0)
		return;
	list = am_node_parse(arena, am_buf_str(&body), body.len, &err);
	items = list != NULL ? am_node_get(list, "items") : NULL;
	for (const struct am_node *s = items != NULL ? items->first : NULL; s != NULL; s = s->next)
		if (am_name_problem(ctl_text(s, "/metadata/name"), 2) == NULL)
			offer(word, ctl_text(s, "/metadata/name"), "");
}

static void
offer_sessions(struct ctl *ctl, const char *word)
{
	offer_names(ctl, NULL, word);
}

static void
offer_values(struct ctl *ctl, const struct ctl_command *command, const char *option, const char *word)
{
	const struct { const char *option, *values[6]; } known[] = {
		{ "output", { "json", command == &ctl_messages_command ? "text" : "table", NULL } },
		{ "container", { "runner", "agent", NULL } },
		{ "runner-type", { "claude-code", "codex", "command", "gemini-cli", "opencode", NULL } },
	};

	for (size_t i = 0; i < AM_COUNTOF(known); i++)
		for (size_t k = 0; am_streq(option, known[i].option) && known[i].values[k] != NULL; k++)
			offer(word, known[i].values[k], "");
	if (am_streq(option, "namespace"))
		offer_names(ctl, "/api/v1/namespaces", word);
}

static const struct ctl_option *
takes_value(const struct ctl_command *command, const char *word)
{
	const struct ctl_option *tables[] = { command != NULL ? command->options : NULL, ctl_global_options };

	for (size_t t = 0; t < AM_COUNTOF(tables); t++)
		for (const struct ctl_option *o = tables[t]; o != NULL && o->name != NULL; o++)
			if (o->arg != NULL && ((am_starts(word, "--") && am_streq(word + 2, o->name)) ||
					       (o->letter != 0 && word[0] == '-' && word[1] == o->letter && word[2] == '\0')))
				return o;
	return NULL;
}

/* bash takes "--option=value" for three words: the middle one says nothing. */
static void
drop_equal_signs(struct ctl *ctl)
{
	size_t n = 0;

	for (size_t i = 0; i < ctl->word_count; i++)
		if (i == 0 || !am_streq(ctl->words[i], "=") || !am_starts(ctl->words[i - 1], "--"))
			ctl->words[n++] = ctl->words[i];
	ctl->word_count = n;
}

/* The words of the line without the program; the last is the one to complete, maybe "". */
static int
run_complete(struct ctl *ctl)
{
	drop_equal_signs(ctl);

	const struct ctl_command *command = ctl->word_count > 0 ? ctl_find_command(ctl->words, ctl->word_count - 1) : NULL;
	const char *word = ctl->word_count > 0 ? ctl->words[ctl->word_count - 1] : "";
	const struct ctl_option *option;

	option = ctl->word_count > 1 ? takes_value(command, ctl->words[ctl->word_count - 2]) : NULL;
	ctl_take_options(ctl, command, ctl->words, ctl->word_count > 0 ? ctl->word_count - 1 - (option != NULL) : 0);
	if (option != NULL) {
		offer_values(ctl, command, option->name, word);
	} else if (word[0] == '-') {
		offer_options(command != NULL ? command->options : NULL, word);
		offer_options(ctl_global_options, word);
	} else if (command == NULL) {
		for (size_t k = 0; ctl_commands[k] != NULL; k++)
			if (ctl_commands[k]->text != NULL)
				offer(word, ctl_commands[k]->name, "");
	} else if (command == &ctl_files && !am_streq(ctl->words[ctl->word_count - 2], "files")) {
		/* The second word is a path where only the session is. */
	} else if (command == &ctl_repos && am_streq(ctl->words[ctl->word_count - 2], "repos")) {
		offer(word, "add", "");
		offer(word, "remove", "");
		offer_sessions(ctl, word);
	} else if (command->on_sessions) {
		offer_sessions(ctl, word);
	} else if (command == &ctl_completion) {
		offer(word, "bash", "");
		offer(word, "zsh", "");
		offer(word, "fish", "");
	} else if (command == &ctl_plugin && am_streq(ctl->words[ctl->word_count - 2], "plugin")) {
		offer(word, "inspect", "");
		offer(word, "rbac", "");
	} else if (command == &ctl_user && am_streq(ctl->words[ctl->word_count - 2], "user")) {
		offer(word, "add", "");
		offer(word, "remove", "");
		offer(word, "list", "");
	} else if (command == &ctl_standalone && am_streq(ctl->words[ctl->word_count - 2], "standalone")) {
		offer(word, "backup", "");
		offer(word, "restore", "");
		offer(word, "check", "");
	}
	return CTL_OK;
}

const struct ctl_command ctl_complete = {
	.name = "__complete", .synopsis = "__complete -- WORDS", .text = NULL, .max = CTL_WORDS, .offline = true,
	.run = run_complete,
};
