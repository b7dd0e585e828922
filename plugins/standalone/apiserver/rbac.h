/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RBAC inside the HTTP half.  A table is the four RBAC kinds, compiled: who (by "u:NAME" or "g:NAME") got which rules
 * by which binding.  It is immutable and counted; rest_rbac_table gives one that is as new as every write that was
 * answered before the call, and compiles only the objects that have changed since the last one.
 */
#ifndef AM_APISERVER_RBAC_H
#define AM_APISERVER_RBAC_H

#include "plugins/standalone/apiserver/rest.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

enum rbac_list { RBAC_VERBS, RBAC_GROUPS, RBAC_RESOURCES, RBAC_NAMES, RBAC_URLS, RBAC__LISTS };

extern const char *const rbac_list_names[RBAC__LISTS];

struct rbac_rule {
	const char *list[RBAC__LISTS]; /* n strings, one behind the other, each ended by NUL */
	uint32_t n[RBAC__LISTS];
};

struct rbac_role {
	const struct rbac_rule *rules;
	size_t n;
};

/* One subject in one binding. */
struct rbac_grant {
	const char *ns;                /* NULL: everywhere */
	const char *binding, *role_kind, *role_name;
	const struct rbac_role *role;  /* NULL: it is not there */
	const struct rbac_grant *next; /* of the same subject */
};

struct rbac_table;

struct rbac_table *rest_rbac_table(struct rest_rbac *rbac);
void rest_rbac_table_unref(struct rest_rbac *rbac, struct rbac_table *table);
/* kind 'u' or 'g'. */
const struct rbac_grant *rbac_table_grants(const struct rbac_table *table, char kind, const char *name);

/* Compiles the array "rules" of a role; what is malformed fits nothing. */
void rbac_role_compile(struct am_slice object, struct rbac_role *role, char **text);
bool rbac_rule_fits(const struct rbac_rule *rule, const struct rest_access *access);
/* for (const char *s = NULL; (s = rbac_rule_next(rule, list, s, &i)) != NULL;) with i = 0 at first. */
const char *rbac_rule_next(const struct rbac_rule *rule, enum rbac_list list, const char *at, uint32_t *i);

#endif
