/* SPDX-License-Identifier: Apache-2.0 */
/* state.jsonl, as core/ambient-shim writes it, version 1: the last word on each container. */
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_MAX (8 << 20)

static void
copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from);
}

struct container_state *
state_of(const struct pod_state *state, const char *name)
{
	for (size_t i = 0; i < state->count; i++)
		if (strcmp(state->c[i].name, name) == 0)
			return &state->c[i];
	return NULL;
}

static struct container_state *
make(struct pod_state *state, const char *name)
{
	struct container_state *c = state_of(state, name);

	if (c == NULL) {
		struct container_state *grown = realloc(state->c, (state->count + 1) * sizeof(*grown));

		if (grown == NULL)
			return NULL;
		state->c = grown;
		c = &grown[state->count++];
		memset(c, 0, sizeof(*c));
		copy(c->name, sizeof(c->name), name);
	}
	return c;
}

static void
exited(struct container_state *c, const struct ambient_object *r)
{
	c->state = C_EXITED;
	c->up = c->ready = false;
	c->code = (int)ambient_int(r, "/code", 0);
	copy(c->reason, sizeof(c->reason), ambient_str(r, "/reason", ""));
	copy(c->started, sizeof(c->started), ambient_str(r, "/started", ""));
	copy(c->finished, sizeof(c->finished), ambient_str(r, "/finished", ""));
	free(c->message);
	c->message = strdup(ambient_str(r, "/message", ""));
}

static void
starting(struct container_state *c, const struct ambient_object *r)
{
	if (c->state == C_WAITING || c->state == C_EXITED) {
		c->has_last = true;
		c->last_code = c->code;
		free(c->last_message);
		c->last_message = c->message;
		c->message = NULL;
		copy(c->last_reason, sizeof(c->last_reason), c->reason);
		copy(c->last_started, sizeof(c->last_started), c->started);
		copy(c->last_finished, sizeof(c->last_finished), c->finished);
	}
	c->state = C_STARTING;
	c->up = c->ready = false;
	free(c->image);
	free(c->image_id);
	c->image = c->image_id = NULL;
	free(c->of);
	c->of = ambient_str(r, "/of", NULL) != NULL ? strdup(ambient_str(r, "/of", "")) : NULL;
	c->wanted = false;
	if (ambient_str(r, "/imageID", NULL) != NULL) {
		c->image = strdup(ambient_str(r, "/image", ""));
		c->image_id = strdup(ambient_str(r, "/imageID", ""));
	}
}

static void
set_ready(struct container_state *c, const struct ambient_object *r)
{
	/* An older shim has no probes: what runs is ready. */
	c->up = ambient_bool(r, "/up", 1);
	c->ready = ambient_bool(r, "/ready", 1);
	c->was_up = c->was_up || c->up;
}

static void
add_note(struct pod_state *state, const struct ambient_object *r)
{
	struct state_note *grown = realloc(state->notes, (state->note_count + 1) * sizeof(*grown)), *n;

	if (grown == NULL)
		return;
	state->notes = grown;
	n = &grown[state->note_count++];
	n->i = ambient_int(r, "/i", 0);
	copy(n->container, sizeof(n->container), ambient_str(r, "/container", ""));
	copy(n->reason, sizeof(n->reason), ambient_str(r, "/reason", ""));
	n->message = strdup(ambient_str(r, "/message", ""));
}

static void
apply(struct pod_state *state, const struct ambient_object *r)
{
	const char *rec = ambient_str(r, "/rec", ""), *name = ambient_str(r, "/container", NULL);
	struct container_state *c;

	state->any = true;
	if (strcmp(rec, "end") == 0)
		state->ended = true;
	else if (strcmp(rec, "deadline") == 0)
		state->deadline = true;
	else if (strcmp(rec, "stop") == 0)
		state->kill_at = time_parse(ambient_str(r, "/t", NULL)) +
				 ambient_int(r, "/graceMs", 0) * AMBIENT_MILLISECOND;
	else if (strcmp(rec, "evict") == 0) {
		free(state->evicted);
		state->evicted = strdup(ambient_str(r, "/message", ""));
	} else if (strcmp(rec, "note") == 0) {
		add_note(state, r);
		return;
	}
	if (name == NULL || (c = make(state, name)) == NULL)
		return;
	if (strcmp(rec, "exit") == 0)
		exited(c, r);
	else if (strcmp(rec, "starting") == 0)
		starting(c, r);
	else if (strcmp(rec, "running") == 0) {
		c->state = C_RUNNING;
		copy(c->started, sizeof(c->started), ambient_str(r, "/started", ""));
		set_ready(c, r);
	} else if (strcmp(rec, "ready") == 0) {
		set_ready(c, r);
	} else if (strcmp(rec, "waiting") == 0) {
		/* code, reason, message and times stay those of the end before. */
		c->state = C_WAITING;
		free(c->note);
		c->note = strdup(ambient_str(r, "/message", ""));
	}
	if (strcmp(rec, "wanted") == 0) {
		c->wanted = true;
		c->state = c->state == C_EXITED ? C_WAITING : c->state;
	} else if (strcmp(rec, "waiting") != 0)
		c->restart = (int)ambient_int(r, "/n", c->restart);
}

int
state_read(struct ambient_call *call, const struct local *local, struct pod_state *state, struct ambient_error *err)
{
	struct text text = { 0 };
	char path[600];
	int rc;

	memset(state, 0, sizeof(*state));
	(void)snprintf(path, sizeof(path), "%s/state.jsonl", local->dir);
	rc = file_read(path, STATE_MAX, &text);
	if (rc == -ENOENT) {
		text_fini(&text);
		return 0;
	}
	if (rc < 0) {
		text_fini(&text);
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot read \"%s\": %s", path, strerror(-rc));
	}
	for (char *line = text.p, *end; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1) {
		const struct ambient_object *r;

		/* A line that a crash cut is the last one, and has no newline. */
		if (ambient_parse(call, line, (size_t)(end - line), &r, err) == 0)
			apply(state, r);
	}
	text_fini(&text);
	return 0;
}

void
state_free(struct pod_state *state)
{
	for (size_t i = 0; i < state->count; i++) {
		free(state->c[i].message);
		free(state->c[i].last_message);
		free(state->c[i].note);
		free(state->c[i].image);
		free(state->c[i].image_id);
		free(state->c[i].of);
	}
	for (size_t i = 0; i < state->note_count; i++)
		free(state->notes[i].message);
	free(state->notes);
	free(state->evicted);
	free(state->c);
	memset(state, 0, sizeof(*state));
}

/* Calls fn with each record until it returns true, and returns whether it did; for threads without a call.  -1: there is no
 * file, so the pod is gone. */
static int
scan(const struct node *node, const char *dir, bool (*fn)(void *arg, const struct ambient_object *r), void *arg)
{
	struct text text = { 0 };
	char path[600];
	bool found = false;

	(void)snprintf(path, sizeof(path), "%s/state.jsonl", dir);
	if (file_read(path, STATE_MAX, &text) < 0) {
		text_fini(&text);
		return -1;
	}
	for (char *line = text.p, *end; !found && line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1) {
		const struct ambient_object *r = NULL;

		if (node->host->object->parse(NULL, line, (size_t)(end - line), &r, NULL) < 0)
			continue;
		found = fn(arg, r);
		/* The const is the interface's; a parsed object without a call is ours. */
		ambient_unref((struct ambient_object *)(uintptr_t)r);
	}
	text_fini(&text);
	return found;
}

struct wanted { const char *container; int restart; bool waits, ran; };

static bool
is_exit(void *arg, const struct ambient_object *r)
{
	const struct wanted *w = arg;
	const char *rec = ambient_str(r, "/rec", "");

	return strcmp(rec, "end") == 0 || (strcmp(rec, "exit") == 0 && ambient_int(r, "/n", -1) == w->restart &&
					   strcmp(ambient_str(r, "/container", ""), w->container) == 0);
}

bool
state_has_exit(const struct node *node, const char *dir, const char *container, int restart)
{
	struct wanted w = { container, restart, false, false };

	return scan(node, dir, is_exit, &w) != 0;
}

static bool
follow_waiting(void *arg, const struct ambient_object *r)
{
	struct wanted *w = arg;
	const char *rec = ambient_str(r, "/rec", "");

	if (strcmp(rec, "end") == 0)
		w->waits = false;
	else if (strcmp(rec, "note") != 0 && strcmp(ambient_str(r, "/container", ""), w->container) == 0) {
		w->waits = strcmp(rec, "waiting") == 0 || (w->ran && strcmp(rec, "wanted") == 0);
		w->ran = w->ran || strcmp(rec, "exit") == 0;
	}
	return false;
}

bool
state_waits(const struct node *node, const char *dir, const char *container)
{
	struct wanted w = { container, 0, false, false };

	(void)scan(node, dir, follow_waiting, &w);
	return w.waits;
}
