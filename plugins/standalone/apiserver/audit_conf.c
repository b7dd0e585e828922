/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's options: the table, and from the configuration to rules. */
#include "plugins/standalone/apiserver/audit.h"

#include <ambient/plugin.h>
#include <stdlib.h>

#define LISTS 6

static const char *const list_names[LISTS] = { "users", "groups", "verbs", "resources", "namespaces", "paths" };

static const struct ambient_option rule_level = {
	sizeof(struct ambient_option), "level", AMBIENT_OPT_STRING, AMBIENT_OPT_REQUIRED, NULL, 0, 0,
	"None, Metadata, Request or RequestResponse.", NULL,
};
#define RULE_LIST(name, text)                                                                                               \
	static const struct ambient_option rule_##name = {                                                                  \
		sizeof(struct ambient_option), #name, AMBIENT_OPT_STRINGS, 0, NULL, 0, 0, text, NULL,                       \
	}
RULE_LIST(users, "User names; in these lists * stands for anything.");
RULE_LIST(groups, "Groups, one of which the user is in.");
RULE_LIST(verbs, "Verbs, as in RBAC.");
RULE_LIST(resources, "Resources: \"secrets\", \"jobs.batch\", \"pods/log\".");
RULE_LIST(namespaces, "Namespaces.");
RULE_LIST(paths, "Paths that are no resources.");
static const struct ambient_option *const rule_options[] = { &rule_level, &rule_users, &rule_groups, &rule_verbs,
							     &rule_resources, &rule_namespaces, &rule_paths, NULL };

const struct ambient_option rest_opt_audit_file = {
	sizeof(struct ambient_option), "auditFile", AMBIENT_OPT_PATH, 0, NULL, 0, 0,
	"Where each request is noted as a line, an Event of audit.k8s.io/v1; unset: nowhere.  Bodies of secrets and tokens "
	"are never in it.", NULL,
};
const struct ambient_option rest_opt_audit_level = {
	sizeof(struct ambient_option), "auditLevel", AMBIENT_OPT_STRING, 0, "Metadata", 0, 0,
	"What is noted of a request that no rule is for: None, Metadata, Request (with its body) or RequestResponse.", NULL,
};
const struct ambient_option rest_opt_audit_rules = {
	sizeof(struct ambient_option), "auditRules", AMBIENT_OPT_GROUPS, 0, NULL, 0, 0,
	"Rules, the first of which that holds gives the level; of a rule all lists that are given must hold.", rule_options,
};
const struct ambient_option rest_opt_audit_size = {
	sizeof(struct ambient_option), "auditMaxSize", AMBIENT_OPT_SIZE, 0, "100MiB", 64 * 1024, INT64_C(1) << 40,
	"The size at which another file is begun.", NULL,
};
const struct ambient_option rest_opt_audit_backups = {
	sizeof(struct ambient_option), "auditMaxBackups", AMBIENT_OPT_INT, 0, "10", 0, 1000,
	"How many older files are kept: FILE.1 is the newest of them.", NULL,
};

static const char *const *
read_list(const struct ambient_host *host, const struct ambient_conf *conf, const char *name)
{
	size_t n = host->conf->count(conf, name);
	const char **list = am_xcalloc(n + 1, sizeof(char *)), *key, *value;

	for (size_t i = 0; i < n; i++)
		if (host->conf->entry(conf, name, i, &key, &value) == 0)
			list[i] = am_xstrdup(value);
	return list;
}

static int
read_level(const char *text, enum audit_level *ret, const char *where, struct ambient_error *err)
{
	int level = audit_level_parse(text);

	if (level < 0)
		return ambient_err(err, AMBIENT_E_INVALID, "%s: \"%s\" is none of None, Metadata, Request, RequestResponse", where, text);
	*ret = (enum audit_level)level;
	return 0;
}

int
rest_audit_conf(const struct ambient_host *host, const struct ambient_conf *conf, struct rest_audit_options *o,
		struct ambient_error *err)
{
	size_t n = host->conf->count(conf, "auditRules");
	enum audit_level level = AUDIT_METADATA;
	int rc = read_level(host->conf->str(conf, "auditLevel", "Metadata"), &level, "auditLevel", err);

	*o = (struct rest_audit_options){ .path = am_xstrdup(host->conf->str(conf, "auditFile", NULL)), .level = (int)level };
	o->max_size = host->conf->integer(conf, "auditMaxSize", INT64_C(100) << 20);
	o->backups = host->conf->integer(conf, "auditMaxBackups", 10);
	o->rules = am_xcalloc(n + 1, sizeof(*o->rules));
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct ambient_conf *group = host->conf->group(conf, "auditRules", i);
		struct audit_rule *r = &o->rules[o->n_rules++];
		const char *const **lists[LISTS] = { &r->users, &r->groups, &r->verbs, &r->resources, &r->namespaces, &r->paths };
		char where[48];

		(void)snprintf(where, sizeof(where), "auditRules[%zu].level", i);
		rc = read_level(host->conf->str(group, "level", ""), &r->level, where, err);
		for (size_t k = 0; k < LISTS; k++)
			*lists[k] = read_list(host, group, list_names[k]);
	}
	return rc;
}

void
rest_audit_conf_fini(struct rest_audit_options *o)
{
	for (size_t i = 0; i < o->n_rules; i++) {
		struct audit_rule *r = &o->rules[i];
		const char *const *lists[LISTS] = { r->users, r->groups, r->verbs, r->resources, r->namespaces, r->paths };

		for (size_t k = 0; k < LISTS; k++) {
			for (size_t j = 0; lists[k] != NULL && lists[k][j] != NULL; j++)
				free((char *)(uintptr_t)lists[k][j]);
			free((void *)(uintptr_t)lists[k]);
		}
	}
	free(o->rules);
	free((char *)(uintptr_t)o->path);
	*o = (struct rest_audit_options){ 0 };
}
