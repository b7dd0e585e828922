/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers whose definition comes while their shim runs (core/ambient-shim/define.c): those of podman's, whose images
 * are pulled one after the other as their turn comes, and those whose image was changed.  Level-triggered: what the
 * shim wants and what it was told stand in state.jsonl.
 */
#include "node.h"

#include <stdlib.h>
#include <string.h>

static const char *const lists[] = {"/spec/initContainers", "/spec/containers"};

/* One that has ended stays as it was; of one that waits for its definition nothing is left to change. */
static bool
outdated(const struct container_state *c, const struct ambient_object *container)
{
	return c->of != NULL && !c->wanted &&
	       (c->state == C_STARTING || c->state == C_RUNNING || c->state == C_WAITING) &&
	       strcmp(c->of, ambient_str(container, "/image", "")) != 0;
}

void
define_changes(const struct ambient_object *pod, const struct local *local, const struct pod_state *state)
{
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < ambient_len(pod, lists[k]); i++) {
			const struct ambient_object *container = container_at(pod, lists[k], i);
			const struct container_state *c = state_of(state, ambient_str(container, "/name", ""));

			/* What the shim does about it wakes us; one that is on its way to its end refuses. */
			if (c != NULL && (k == 1 || life_sidecar(container)) && outdated(c, container))
				(void)shim_hold(local, c->name);
		}
}

/* Its image is pulled, or waits for its turn among the pulls: nobody else's is pulled before. */
static bool
pulls(const struct trouble *t)
{
	return t->quiet && strcmp(t->reason, "ContainerCreating") == 0;
}

static int
define(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
       const struct ambient_object *container, struct trouble *t, struct ambient_error *err)
{
	const char *name = ambient_str(container, "/name", "");
	struct text spec = {0};
	int rc = spec_container(node, call, pod, local, container, &spec, t, err);

	if (rc == 0 && t->reason[0] == '\0' && (spec.failed || podman_remember(node, pod, local) < 0))
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot prepare container \"%s\"", name);
	if (rc == 0 && t->reason[0] == '\0' && shim_define(local, name, &spec) == 0)
		ambient_event(call, pod, "Normal", "Started", "Started container %s", name);
	text_fini(&spec);
	return rc;
}

int
define_wanted(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	      const struct pod_state *state, struct trouble **ret, struct ambient_error *err)
{
	struct trouble **next = ret, *t;
	bool pulling = false;
	int rc = 0;

	*ret = NULL;
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < ambient_len(pod, lists[k]) && rc == 0 && !pulling; i++) {
			const struct ambient_object *container = container_at(pod, lists[k], i);
			const struct container_state *c = state_of(state, ambient_str(container, "/name", ""));

			if (c == NULL || !c->wanted)
				continue;
			t = calloc(1, sizeof(*t));
			if (t == NULL)
				return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
			rc = define(node, call, pod, local, container, t, err);
			pulling = pulls(t);
			*next = t;
			next = &t->next;
		}
	return rc;
}

void
define_free(struct trouble *t)
{
	for (struct trouble *next; t != NULL; t = next) {
		next = t->next;
		free(t);
	}
}
