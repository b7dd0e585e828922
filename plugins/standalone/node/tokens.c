/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of a pod's account in its projected volumes.  Each is asked for once and serves until 80 % of its life, or
 * tokenMaxAge, have passed; then the next reconcile puts another in its place, as files.c changes files.  Which token wants
 * renewal when is only in memory: after a restart of the daemon all of them are renewed.
 */
#include "node.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIFE 3600

static struct local_token *
find(struct local *local, const char *path)
{
	struct local_token *grown;

	for (size_t i = 0; i < local->token_count; i++)
		if (strcmp(local->tokens[i].path, path) == 0)
			return &local->tokens[i];
	grown = realloc(local->tokens, (local->token_count + 1) * sizeof(*grown));
	if (grown == NULL)
		return NULL;
	local->tokens = grown;
	grown[local->token_count] = (struct local_token){.path = strdup(path)};
	return grown[local->token_count].path != NULL ? &grown[local->token_count++] : NULL;
}

static int
request(struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
	const struct ambient_object *source, int64_t life, const struct ambient_object **ret, struct ambient_error *err)
{
	const char *audience = ambient_str(source, "/audience", NULL);
	struct ambient_draft *d = ambient_draft_new(call, ACCOUNT, ambient_str(pod, "/metadata/namespace", ""),
						    ambient_str(pod, "/spec/serviceAccountName", "default"));

	ambient_draft_set_str(d, "/apiVersion", "authentication.k8s.io/v1");
	ambient_draft_set_str(d, "/kind", "TokenRequest");
	ambient_draft_set_int(d, "/spec/expirationSeconds", life);
	if (audience != NULL) {
		ambient_draft_set_json(d, "/spec/audiences", "[]");
		ambient_draft_set_str(d, "/spec/audiences/-", audience);
	}
	ambient_draft_set_str(d, "/spec/boundObjectRef/apiVersion", "v1");
	ambient_draft_set_str(d, "/spec/boundObjectRef/kind", "Pod");
	ambient_draft_set_str(d, "/spec/boundObjectRef/name", ambient_str(pod, "/metadata/name", ""));
	ambient_draft_set_str(d, "/spec/boundObjectRef/uid", local->uid);
	return AMBIENT_CALL_(call, client, create, err, call, d, "token", ret, err);
}

int
token_get(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	  const char *dir, const struct ambient_object *source, struct text *ret, struct trouble *t,
	  struct ambient_error *err)
{
	const char *path = ambient_str(source, "/path", "token");
	int64_t life = ambient_int(source, "/expirationSeconds", LIFE), now = node->host->clock->wall(node->host), use;
	const struct ambient_object *answer;
	struct local_token *known;
	char at[PATH_MAX + 32];
	int rc;

	(void)snprintf(at, sizeof(at), "%.2048s/..data/%.1024s", dir, path);
	known = find(local, at);
	if (known == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if (payload_path_ok(path) && known->renew_at > now && file_read(at, 65536, ret) == 0 && ret->len > 0)
		return 0;
	ret->len = 0;
	rc = request(call, pod, local, source, life, &answer, err);
	if (rc == -AMBIENT_E_NOTFOUND) {
		trouble_set(t, "ContainerCreating", true, "serviceaccount \"%s\" not found",
			    ambient_str(pod, "/spec/serviceAccountName", "default"));
		return 0;
	}
	if (rc < 0)
		return rc;
	text_puts(ret, ambient_str(answer, "/status/token", ""));
	/* A server may give it another life than it was asked for; what it was asked for is the shorter one then. */
	use = life * AMBIENT_SECOND / 5 * 4;
	known->renew_at = now + (use < node->token_use ? use : node->token_use);
	return 0;
}

int64_t
token_next(const struct local *local)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < local->token_count; i++)
		if (local->tokens[i].renew_at > 0 && local->tokens[i].renew_at < next)
			next = local->tokens[i].renew_at;
	return next;
}

void
token_forget(struct local *local)
{
	for (size_t i = 0; i < local->token_count; i++)
		free(local->tokens[i].path);
	free(local->tokens);
	local->tokens = NULL;
	local->token_count = 0;
}
