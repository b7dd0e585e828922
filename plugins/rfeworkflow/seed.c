/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an umbrella repository begins with: the commands, scripts, templates and rules of the seed directory, the agents'
 * templates with those of the namespace over them, and the folder of the request's documents.  The seed directory is
 * laid out like the repository of spec-kit, so that a clone of that serves too.  The files are read when they are needed
 * and handed over as one text; names are of a few plain characters, so that the program which writes them needs no quoting.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 128
#define MARK_MAX  32

struct file {
	char path[160];
	const char *text; /* of the call */
};

struct files {
	struct ambient_call *call;
	struct file v[FILES_MAX];
	size_t n, bytes;
};

static const struct place {
	const char *from, *to, *suffix;
} places[] = {
	{ "templates/commands", ".claude/commands/speckit.", ".md" },
	{ "scripts/bash", ".specify/scripts/bash/", ".sh" },
	{ "templates", ".specify/templates/", ".md" },
	{ "memory", ".specify/memory/", ".md" },
};
/* Templates of steps: their agents are no people of the council, and the commands are for the same. */
static const char *const no_agents[] = { "specify.md", "plan.md", "tasks.md", "implement.md", "synthesis.md" };

static bool
plain(const char *name, const char *suffix)
{
	size_t n = strlen(name), tail = strlen(suffix);

	return n > tail && n < 100 && name[0] != '.' && name[0] != '-' && strcmp(name + n - tail, suffix) == 0 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static int
add(struct files *files, const char *to, const char *name, const char *text, struct ambient_error *err)
{
	char path[160];

	/* Newer templates of spec-kit have the prefix themselves. */
	if (strncmp(name, "speckit.", 8) == 0)
		name += 8;
	(void)snprintf(path, sizeof(path), "%s%s", to, name);
	for (size_t i = 0; i < files->n; i++)
		if (strcmp(files->v[i].path, path) == 0) {
			files->v[i].text = text;
			return 0;
		}
	files->bytes += strlen(text);
	if (files->n == FILES_MAX || files->bytes > RFE_FILES_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "what umbrella repositories begin with is more than %d files or %d bytes",
				   FILES_MAX, RFE_FILES_MAX);
	(void)snprintf(files->v[files->n].path, sizeof(path), "%s", path);
	files->v[files->n++].text = text;
	return 0;
}

/* *ret stays NULL for what is no regular file. */
static int
read_text(struct ambient_call *call, int dir, const char *name, const char **ret, struct ambient_error *err)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	struct stat st;
	size_t n = 0;
	ssize_t got;
	int rc = 0;

	*ret = NULL;
	if (fd < 0)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" of what umbrella repositories begin with cannot be read: %s", name,
				   strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		goto out;
	if (st.st_size <= RFE_TEXT_MAX)
		text = call->host->mem->scratch(call, (size_t)st.st_size + 1);
	while (text != NULL && n < (size_t)st.st_size && (got = read(fd, text + n, (size_t)st.st_size - n)) > 0)
		n += (size_t)got;
	if (text != NULL)
		text[n] = '\0';
	if (text == NULL || strlen(text) < n)
		rc = ambient_err(err, AMBIENT_E_INVALID, "\"%s\" of what umbrella repositories begin with is %s", name,
				 text == NULL ? "too large" : "no text");
	*ret = text;
out:
	(void)close(fd);
	return rc;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a directory that could be meant, sorted, as texts of the call. */
static size_t
names_of(struct ambient_call *call, DIR *dir, const char *suffix, char *names[FILES_MAX])
{
	struct dirent *entry;
	size_t n = 0;

	while (n < FILES_MAX && (entry = readdir(dir)) != NULL) {
		if (!plain(entry->d_name, suffix) || (names[n] = call->host->mem->scratch(call, strlen(entry->d_name) + 1)) == NULL)
			continue;
		(void)strcpy(names[n++], entry->d_name);
	}
	qsort(names, n, sizeof(names[0]), compare);
	return n;
}

static bool
skipped(const char *name, bool agents)
{
	for (size_t i = 0; agents && i < sizeof(no_agents) / sizeof(no_agents[0]); i++)
		if (strcmp(name, no_agents[i]) == 0)
			return true;
	return false;
}

/* A directory that is not there has no files. */
static int
add_directory(struct files *files, const char *path, const struct place *place, bool agents, struct ambient_error *err)
{
	char *names[FILES_MAX];
	DIR *dir = opendir(path);
	const char *text;
	size_t n;
	int rc = 0;

	if (dir == NULL)
		return 0;
	n = names_of(files->call, dir, place->suffix, names);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (skipped(names[i], agents))
			continue;
		rc = read_text(files->call, dirfd(dir), names[i], &text, err);
		if (rc == 0 && text != NULL)
			rc = add(files, place->to, names[i], text, err);
	}
	(void)closedir(dir);
	return rc;
}

static int
add_agents(const struct rfe_plugin *plugin, struct files *files, const char *ns, struct ambient_error *err)
{
	static const struct place place = { "", ".claude/agents/", ".md" };
	const struct ambient_object *map = NULL;
	const char *key, *text;
	int rc = add_directory(files, plugin->agents, &place, true, err);

	if (rc == 0)
		rc = ambient_get(files->call, RFE_CM, ns, RFE_AGENTS, &map, err);
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	for (size_t i = 0; rc == 0 && i < ambient_len(map, "/data"); i++) {
		text = ambient_str(ambient_item(map, "/data", i, &key), "", "");
		if (plain(key, place.suffix) && !skipped(key, true) && strlen(text) <= RFE_TEXT_MAX)
			rc = add(files, place.to, key, text, err);
	}
	return rc;
}

/* The folder of the request's documents: git knows no empty ones. */
static int
add_folder(struct files *files, const struct rfe_plan *plan, struct ambient_error *err)
{
	struct text b = { 0 };
	char *text;

	rfe_putf(&b, "# %.400s\n\n", plan->title[0] != '\0' ? plan->title : "Request");
	(void)rfe_put_cut(&b, plan->request, RFE_OUTPUT_MAX);
	text_puts(&b, "\n");
	if ((text = rfe_take(&b, files->call)) == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if (files->n == FILES_MAX)
		files->n--;
	files->v[files->n].path[0] = '\0'; /* its name may be longer than those of a template */
	files->v[files->n++].text = text;
	return 0;
}

static char *
put_together(const struct files *files, const struct rfe_plan *plan)
{
	struct text b = { 0 };
	char mark[MARK_MAX];
	bool found = true;

	for (unsigned k = 0; found; k++) {
		(void)snprintf(mark, sizeof(mark), "=== file %u:", k);
		found = false;
		for (size_t i = 0; !found && i < files->n; i++)
			found = strstr(files->v[i].text, mark) != NULL;
	}
	rfe_putf(&b, "%s\n", mark);
	for (size_t i = 0; i < files->n; i++) {
		const char *text = files->v[i].text;
		size_t n = strlen(text);

		if (files->v[i].path[0] != '\0')
			rfe_putf(&b, "%s%s\n", mark, files->v[i].path);
		else
			rfe_putf(&b, "%sspecs/%s/README.md\n", mark, plan->branch);
		text_put(&b, text, n);
		if (n > 0 && text[n - 1] != '\n')
			text_puts(&b, "\n");
	}
	return rfe_take(&b, files->call);
}

char *
rfe_seed_prompt(const struct rfe_plugin *plugin, struct ambient_call *call, const char *ns, const struct rfe_plan *plan,
		struct ambient_error *err)
{
	struct files *files = call->host->mem->scratch(call, sizeof(*files));
	char path[4096], *prompt;
	int rc = 0;

	if (files == NULL) {
		(void)ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
		return NULL;
	}
	memset(files, 0, sizeof(*files));
	files->call = call;
	for (size_t i = 0; rc == 0 && i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, sizeof(path), "%s/%s", plugin->seed, places[i].from) < (int)sizeof(path))
			rc = add_directory(files, path, &places[i], false, err);
	if (rc == 0 && files->n == 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "there is nothing in \"%.300s\" that an umbrella repository could begin with; "
				 "see rfeworkflow(5)", plugin->seed);
	if (rc < 0 || add_agents(plugin, files, ns, err) < 0 || add_folder(files, plan, err) < 0)
		return NULL;
	if ((prompt = put_together(files, plan)) == NULL)
		(void)ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	return prompt;
}
