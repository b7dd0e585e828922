/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin rbac: the roles that the account of a daemon with these plugins needs, from what their files declare.  A
 * ClusterRole, since plugins look at all namespaces, and a Role for the leases, which are in one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ambientctl/ctl.h"
#include "core/base/str.h"
#include "core/plugin/plugin.h"

#define READ (AM_VERB_GET | AM_VERB_LIST | AM_VERB_WATCH)
#define LAST AM_VERB_IMPERSONATE

struct rule {
	char *group, *resource, *names; /* resource with its subresource; names "": all */
	uint32_t verbs;
};

struct rules {
	struct rule *at;
	size_t n;
};

static void
add(struct rules *rules, const char *kind, const char *sub, const char *names, uint32_t verbs)
{
	const char *group, *version, *plural;
	size_t group_len, version_len, i = 0;

	if (!am_plugin_kind_split(kind, &group, &group_len, &version, &version_len, &plural))
		return;
	am_auto(am_freep) char *resource = am_xasprintf("%s%s%s", plural, sub != NULL ? "/" : "", sub != NULL ? sub : "");

	names = names != NULL ? names : "";
	while (i < rules->n && !(strlen(rules->at[i].group) == group_len && memcmp(rules->at[i].group, group, group_len) == 0 &&
				 am_streq(rules->at[i].resource, resource) && am_streq(rules->at[i].names, names)))
		i++;
	if (i == rules->n) {
		rules->at = am_xrealloc(rules->at, rules->n + 1, sizeof(*rules->at));
		rules->at[rules->n++] = (struct rule){ am_xstrndup(group, group_len), am_xstrdup(resource), am_xstrdup(names), 0 };
	}
	rules->at[i].verbs |= verbs;
}

static void
add_plugin(struct rules *rules, const struct am_plugin_decl *decl)
{
	for (size_t i = 0; i < decl->reconciler_count; i++) {
		const struct am_plugin_reconciler *r = &decl->reconcilers[i];

		if (r->for_kind != NULL)
			add(rules, r->for_kind, NULL, NULL, READ);
		for (size_t k = 0; k < r->owns_count; k++)
			add(rules, r->owns[k], NULL, NULL, READ);
		for (size_t k = 0; k < r->watch_count; k++)
			add(rules, r->watches[k].kind, NULL, NULL, READ);
	}
	for (size_t i = 0; i < decl->may_count; i++)
		add(rules, decl->mays[i].kind, decl->mays[i].sub, decl->mays[i].names, decl->mays[i].verbs);
}

static int
by_name(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int group = strcmp(x->group, y->group), resource = strcmp(x->resource, y->resource);

	return group != 0 ? group : resource != 0 ? resource : strcmp(x->names, y->names);
}

/* A list of words as they stand between commas, each in quotes: a name may hold a colon. */
static void
put_list(const char *key, const char *list)
{
	(void)printf("  %s: [", key);
	for (size_t n; *list != '\0'; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		(void)printf("\"%.*s\"%s", (int)n, list, list[n] == ',' ? ", " : "");
	}
	(void)puts("]");
}

static void
put_rule(const char *group, const char *resource, const char *names, uint32_t bits)
{
	am_auto(am_buf_fini) struct am_buf verbs = { 0 };

	for (uint32_t verb = AM_VERB_GET; verb <= LAST; verb <<= 1)
		if ((bits & verb) != 0)
			am_buf_addf(&verbs, "%s%s", verbs.len > 0 ? "," : "", am_plugin_verb_name(verb));
	(void)printf("- apiGroups: [\"%s\"]\n", group);
	put_list("resources", resource);
	if (names[0] != '\0')
		put_list("resourceNames", names);
	put_list("verbs", am_buf_str(&verbs));
}

static void
put_roles(struct rules *rules)
{
	static const char *const api = "apiVersion: rbac.authorization.k8s.io/v1\n";

	qsort(rules->at, rules->n, sizeof(*rules->at), by_name);
	(void)printf("%skind: ClusterRole\nmetadata: {name: ambient}\nrules:\n", api);
	for (size_t i = 0; i < rules->n; i++)
		put_rule(rules->at[i].group, rules->at[i].resource, rules->at[i].names, rules->at[i].verbs);
	(void)printf("---\n# In the namespace of the leases, see lease.namespace in ambient.conf(5).\n%skind: Role\n"
		     "metadata: {name: ambient-leases}\nrules:\n", api);
	put_rule("coordination.k8s.io", "leases", "", READ | AM_VERB_CREATE | AM_VERB_UPDATE | AM_VERB_DELETE);
}

int
ctl_plugin_rbac(const char *const *files, size_t n)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct rules rules = { 0 };
	int rc = CTL_OK;

	for (size_t i = 0; rc == CTL_OK && i < n; i++) {
		struct am_plugin_info info = { 0 };

		if (am_plugin_inspect(files[i], &info, &err) < 0) {
			rc = ctl_fail(&err, "cannot inspect");
			continue;
		}
		add_plugin(&rules, info.decl);
		am_plugin_info_fini(&info);
	}
	/* The daemon tells what it does by events. */
	add(&rules, "v1/events", NULL, NULL, AM_VERB_CREATE | AM_VERB_PATCH);
	if (rc == CTL_OK)
		put_roles(&rules);
	for (size_t i = 0; i < rules.n; i++) {
		free(rules.at[i].group);
		free(rules.at[i].resource);
		free(rules.at[i].names);
	}
	free(rules.at);
	return rc;
}
