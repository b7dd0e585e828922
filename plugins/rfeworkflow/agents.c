/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents' templates: <id>.md of the configured directory, and over them the keys of the same names of the ConfigMap
 * "ambient-agents" of the workflow's namespace, which may add others.  They are read when a step starts, so that an
 * edit counts from the next step on.  A template may begin with a head between two lines "---", of which "name" is
 * what people call the agent; the rest is what the agent is told.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTED_MAX 64
#define RFE_MORE   "more: ConfigMap \"" RFE_AGENTS "\""

/* The file as text of the call; NULL: there is none, or none that could be a template. */
static const char *
read_file(struct ambient_call *call, const char *dir, const char *id)
{
	char path[4096];
	char *text = NULL;
	struct stat st;
	size_t n = 0;
	ssize_t got;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s.md", dir, id) >= (int)sizeof(path))
		return NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= RFE_TEXT_MAX)
		text = call->host->mem->scratch(call, (size_t)st.st_size + 1);
	while (text != NULL && n < (size_t)st.st_size && (got = read(fd, text + n, (size_t)st.st_size - n)) > 0)
		n += (size_t)got;
	if (text != NULL)
		text[n] = '\0';
	(void)close(fd);
	return text;
}

/* Parts head and body. */
static void
read_template(struct ambient_call *call, const char *text, struct rfe_agent *agent)
{
	const char *p = text, *end;
	struct text name = { 0 };

	agent->name = agent->id;
	agent->body = text;
	if (strncmp(p, "---\n", 4) != 0 || (end = strstr(p + 3, "\n---\n")) == NULL)
		return;
	agent->body = end + 5;
	for (p += 4; p < end; p += strcspn(p, "\n") + 1) {
		if (strncmp(p, "name:", 5) != 0)
			continue;
		p += 5;
		p += strspn(p, " \t\"");
		text_put(&name, p, strcspn(p, "\"\n"));
		if (name.len > 0 && name.len <= 100)
			agent->name = rfe_take(&name, call);
		free(name.p);
		break;
	}
	if (agent->name == NULL)
		agent->name = agent->id;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
note(struct ambient_call *call, char *ids[LISTED_MAX], size_t *n, const char *file)
{
	size_t len = strlen(file);

	if (len <= 3 || len - 3 >= RFE_NAME_MAX || strcmp(file + len - 3, ".md") != 0 || *n == LISTED_MAX)
		return;
	char *id = call->host->mem->scratch(call, len - 2);

	if (id == NULL)
		return;
	memcpy(id, file, len - 3);
	id[len - 3] = '\0';
	for (size_t i = 0; i < *n; i++)
		if (strcmp(ids[i], id) == 0)
			return;
	ids[(*n)++] = id;
}

static int
unknown(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *map, const char *wanted,
	struct ambient_error *err)
{
	char *ids[LISTED_MAX], text[180] = "";
	DIR *dir = opendir(plugin->agents);
	struct dirent *entry;
	size_t n = 0, len = 0;
	const char *key;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		note(call, ids, &n, entry->d_name);
	if (dir != NULL)
		(void)closedir(dir);
	for (size_t i = 0; map != NULL && i < ambient_len(map, "/data"); i++) {
		(void)ambient_item(map, "/data", i, &key);
		note(call, ids, &n, key);
	}
	if (n > 0)
		qsort(ids, n, sizeof(ids[0]), compare);
	for (size_t i = 0; i < n && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? ", " : "", ids[i]);
	return ambient_err(err, AMBIENT_E_NOTFOUND, "there is no agent \"%.63s\"; those known: %s%s; " RFE_MORE, wanted,
			   n > 0 ? text : "none", len >= sizeof(text) ? "..." : "");
}

int
rfe_agent_find(const struct rfe_plugin *plugin, struct ambient_call *call, const char *ns, const char *wanted,
	       struct rfe_agent *ret, struct ambient_error *err)
{
	const struct ambient_object *map = NULL;
	const char *text = NULL;
	char pointer[80];
	int rc = ambient_get(call, RFE_CM, ns, RFE_AGENTS, &map, err);

	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	rfe_slug(ret->id, wanted);
	if (map != NULL) {
		(void)snprintf(pointer, sizeof(pointer), "/data/%s.md", ret->id);
		text = ambient_str(map, pointer, NULL);
		if (text != NULL && strlen(text) > RFE_TEXT_MAX)
			return ambient_err(err, AMBIENT_E_INVALID, "\"%s.md\" of ConfigMap \"" RFE_AGENTS "\" has %zu bytes; a "
					   "template may have %d", ret->id, strlen(text), RFE_TEXT_MAX);
	}
	if (text == NULL && ret->id[0] != '\0')
		text = read_file(call, plugin->agents, ret->id);
	if (text == NULL)
		return unknown(plugin, call, map, wanted, err);
	read_template(call, text, ret);
	return 0;
}
