/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, by tables: options may stand before and after the command, "--" ends them. */
#include "core/ambientctl/ctl.h"

#include <stdio.h>

const struct ctl_option ctl_global_options[] = {
	{ "kubeconfig", 0, "FILE", "how to reach the API server" },
	{ "context", 0, "NAME", "which context of that file" },
	{ "namespace", 'n', "NAME", "where the sessions are" },
	{ "output", 'o', "FORMAT", "json or table" },
	{ "help", 'h', NULL, "what a command does and takes" },
	{ "version", 0, NULL, "this program's version" },
	{ NULL, 0, NULL, NULL },
};

const char *
ctl_value(const struct ctl *ctl, const char *option)
{
	const char *value = NULL;

	for (size_t i = 0; i < ctl->given_count; i++)
		if (am_streq(ctl->given[i].option->name, option))
			value = ctl->given[i].value;
	return value;
}

bool
ctl_has(const struct ctl *ctl, const char *option)
{
	for (size_t i = 0; i < ctl->given_count; i++)
		if (am_streq(ctl->given[i].option->name, option))
			return true;
	return false;
}

static const struct ctl_option *
find(const struct ctl_option *options, const char *name, size_t n, char letter)
{
	for (; options != NULL && options->name != NULL; options++)
		if (letter != 0 ? options->letter == letter
				: strlen(options->name) == n && strncmp(options->name, name, n) == 0)
			return options;
	return NULL;
}

static const struct ctl_option *
find_any(const struct ctl *ctl, const char *name, size_t n, char letter)
{
	const struct ctl_option *option = ctl->command != NULL ? find(ctl->command->options, name, n, letter) : NULL;

	return option != NULL ? option : find(ctl_global_options, name, n, letter);
}

/* Of a word that begins with "-": the option, and the value if it is in the same word. */
static const struct ctl_option *
split(const struct ctl *ctl, const char *word, const char **value)
{
	bool is_long = word[1] == '-';
	size_t n = is_long ? strcspn(word + 2, "=") : 1;

	*value = NULL;
	if (is_long && word[2 + n] == '=')
		*value = word + 3 + n;
	else if (!is_long && word[2] != '\0')
		*value = word[2] == '=' ? word + 3 : word + 2;
	return is_long ? find_any(ctl, word + 2, n, 0) : find_any(ctl, NULL, 0, word[1]);
}

/* Is that the first word which is neither an option nor the value of one, when the options are those of this command? */
static bool
is_first(const struct ctl_command *command, const char *const *words, size_t n, size_t at)
{
	const struct ctl as_if = { .command = command };

	for (size_t i = 0; i < n && i <= at; i++) {
		const struct ctl_option *option;
		const char *value;

		if (words[i][0] != '-' || words[i][1] == '\0')
			return i == at;
		if (am_streq(words[i], "--"))
			return i + 1 == at;
		option = split(&as_if, words[i], &value);
		if (option != NULL && option->arg != NULL && value == NULL)
			i++;
	}
	return false;
}

/* Options of the command may come before it: then the command is looked for first.  A namespace may be called as one is. */
const struct ctl_command *
ctl_find_command(const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; ctl_commands[k] != NULL; k++)
			if (am_streq(words[i], ctl_commands[k]->name) && is_first(ctl_commands[k], words, n, i))
				return ctl_commands[k];
	return NULL;
}

void
ctl_take_options(struct ctl *ctl, const struct ctl_command *command, const char *const *words, size_t n)
{
	const struct ctl as_if = { .command = command };

	for (size_t i = 0; i < n && !am_streq(words[i], "--"); i++) {
		const char *value = NULL;
		const struct ctl_option *option = words[i][0] == '-' && words[i][1] != '\0' ? split(&as_if, words[i], &value) : NULL;

		if (option == NULL || option->arg == NULL)
			continue;
		if (value == NULL && ++i < n)
			value = words[i];
		if (value != NULL && ctl->given_count < CTL_GIVEN)
			ctl->given[ctl->given_count++] = (struct ctl_given){ option, value };
	}
}

static int
unknown_command(const char *word)
{
	const char *names[32];
	size_t n = 0;

	for (; ctl_commands[n] != NULL && n < AM_COUNTOF(names) - 1; n++)
		names[n] = ctl_commands[n]->name;
	names[n] = NULL;

	const char *like = am_suggest(word, names);

	return like != NULL ? ctl_usage("there is no command \"%s\"; did you mean \"%s\"?", word, like)
			    : ctl_usage("there is no command \"%s\"; see ambientctl --help", word);
}

/* One word that begins with "-"; *i moves on when the option takes the next word. */
static int
parse_option(struct ctl *ctl, int argc, char **argv, int *i)
{
	const char *word = argv[*i], *value;
	const struct ctl_option *option = split(ctl, word, &value);

	if (option == NULL)
		return ctl_usage("there is no option \"%s\"; see ambientctl %s%s--help", word,
				 ctl->command != NULL ? ctl->command->name : "", ctl->command != NULL ? " " : "");
	if (option->arg == NULL && value != NULL)
		return ctl_usage("option \"--%s\" takes no value", option->name);
	if (option->arg != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return ctl_usage("option \"--%s\" needs a value: %s", option->name, option->arg);
		value = argv[++*i];
	}
	if (ctl->given_count == CTL_GIVEN)
		return ctl_usage("too many options");
	ctl->given[ctl->given_count++] = (struct ctl_given){ option, value };
	return 0;
}

int
ctl_parse(struct ctl *ctl, int argc, char **argv, bool *help)
{
	bool options = true, named = false, own;
	const char *output;
	int rc;

	ctl->command = ctl_find_command((const char *const *)argv + 1, argc > 0 ? (size_t)argc - 1 : 0);
	for (int i = 1; i < argc; i++) {
		if (options && am_streq(argv[i], "--")) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
			if ((rc = parse_option(ctl, argc, argv, &i)) != 0)
				return rc;
		} else if (!named) {
			if (ctl->command == NULL || !am_streq(argv[i], ctl->command->name))
				return unknown_command(argv[i]);
			named = true;
		} else if (ctl->word_count < CTL_WORDS) {
			ctl->words[ctl->word_count++] = argv[i];
		} else {
			return ctl_usage("too many words");
		}
	}
	*help = ctl_has(ctl, "help");
	if (*help)
		return 0;
	output = ctl_value(ctl, "output");
	/* A command with an option of that name of its own prints text, not tables. */
	own = ctl->command != NULL && find(ctl->command->options, "output", strlen("output"), 0) != NULL;
	if (own && output != NULL && !am_streq(output, "json") && !am_streq(output, "text"))
		return ctl_usage("output \"%s\" is neither json nor text", output);
	if (!own && output != NULL && !am_streq(output, "json") && !am_streq(output, "table"))
		return ctl_usage("output \"%s\" is neither json nor table", output);
	ctl->json = am_streq(output, "json");
	if (ctl_has(ctl, "version")) {
		ctl->command = &ctl_version;
		return 0;
	}
	if (!named)
		return ctl_usage("which command?  See ambientctl --help");
	if ((int)ctl->word_count < ctl->command->min || (int)ctl->word_count > ctl->command->max)
		return ctl_usage("usage: ambientctl %s", ctl->command->synopsis);
	return 0;
}

static void
print_options(const struct ctl_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		char left[64], letter[6] = "    ";

		if (options->letter != 0)
			(void)snprintf(letter, sizeof(letter), "-%c, ", options->letter);
		(void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, options->name, options->arg != NULL ? " " : "",
			       options->arg != NULL ? options->arg : "");
		(void)printf("  %-28s %s\n", left, options->text);
	}
}

void
ctl_help(const struct ctl_command *command)
{
	if (command == NULL) {
		(void)printf("ambientctl runs coding agents as AgenticSessions and shows what they do.\n\n"
			     "usage: ambientctl COMMAND [WORDS] [OPTIONS]\n\ncommands:\n");
		for (size_t i = 0; ctl_commands[i] != NULL; i++)
			if (ctl_commands[i]->text != NULL)
				(void)printf("  %-12s %s\n", ctl_commands[i]->name, ctl_commands[i]->text);
		(void)printf("\noptions of all commands:\n");
		print_options(ctl_global_options);
		(void)printf("\nambientctl COMMAND --help says what a command takes; ambientctl(1) has examples and exit "
			     "codes.\n");
		return;
	}
	(void)printf("%s\n\nusage: ambientctl %s\n", command->text != NULL ? command->text : "", command->synopsis);
	if (command->options != NULL && command->options->name != NULL) {
		(void)printf("\noptions:\n");
		print_options(command->options);
	}
	(void)printf("\noptions of all commands:\n");
	print_options(ctl_global_options);
}
