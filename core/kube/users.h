/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of users with tokens, which the standalone API server reads and `ambientctl user` writes.  The form is that
 * of Kubernetes' static token files: comma-separated lines "token,user,uid,"group,group"", with three additions: the
 * token may be "sha256:" and its hash in hex; a fifth field is the time at which the user was made; '#' begins a
 * comment, and "#ambient-users 1" on the first line is the version of the form.
 */
#ifndef AM_KUBE_USERS_H
#define AM_KUBE_USERS_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define AM_USERS_FILE     "users.csv"  /* beside the admin.kubeconfig */
#define AM_USERS_FILE_MAX ((size_t)4 << 20)

struct am_user {
	char hash[65];                /* SHA-256 of the token, in hex */
	char *name, *uid, *made;      /* uid, made: "" when not given */
	char **groups;
	size_t n_groups;
};

struct am_users {
	struct am_user *items;
	size_t n;
};

/* All or nothing; the error is "PATH:LINE: why". */
int am_users_parse(const char *path, const char *text, size_t n, struct am_users *ret, struct ambient_error *err);
void am_users_print(const struct am_users *users, struct am_buf *out);
void am_users_fini(struct am_users *users);
struct am_user *am_users_find(const struct am_users *users, const char *name);
/* Takes copies. */
void am_users_add(struct am_users *users, const char *hash, const char *name, const char *uid, const char *made,
		  const char *const *groups, size_t n_groups);
bool am_users_remove(struct am_users *users, const char *name);
/* NULL: fine for a user or group that people make; else a sentence. */
const char *am_users_name_problem(const char *name);

#endif
