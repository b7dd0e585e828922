/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes and postStart.  A container is up when its postStart is through and its startup probe has passed; only
 * then the other probes begin.  It is ready while it is up and its readiness probe says so.  A startup or liveness
 * probe that fails too often ends the instance; what follows is the restart policy's business.
 */
#include "core/ambient-shim/shim.h"

#include <string.h>

#include "core/data/scan.h"

static const char *const names[SHIM_PROBES] = { "Startup", "Liveness", "Readiness" };

static bool
has(const struct shim_container *c, int which)
{
	return c->probes[which].action.kind != SHIM_NOTHING;
}

static bool
is_up(const struct shim_container *c)
{
	/* What ends does not become up any more. */
	if (c->stop_wanted)
		return c->up;
	return c->phase == SHIM_RUNNING && c->hook == NULL &&
	       (!has(c, SHIM_STARTUP) || c->probes[SHIM_STARTUP].passed);
}

static bool
is_ready(const struct shim_container *c)
{
	return c->up && (!has(c, SHIM_READINESS) || c->probes[SHIM_READINESS].passed);
}

void
shim_probe_begin(struct shim *shim, struct shim_container *c)
{
	for (int i = 0; i < SHIM_PROBES; i++) {
		c->probes[i].next = c->started + c->probes[i].delay;
		c->probes[i].good = c->probes[i].bad = 0;
		c->probes[i].passed = false;
	}
	if (c->post_start.kind != SHIM_NOTHING)
		c->hook = shim_task_start(shim, c, &c->post_start, 0);
	c->up = is_up(c);
	c->ready = is_ready(c);
	c->was_up = c->was_up || c->up;
}

void
shim_probe_end(struct shim *shim, struct shim_container *c)
{
	for (int i = 0; i < SHIM_PROBES; i++)
		shim_task_drop(shim, &c->probes[i].task);
	shim_task_drop(shim, &c->hook);
	c->up = c->ready = false;
}

static void
give_up(struct shim *shim, struct shim_container *c, int64_t grace, const char *reason, const char *why)
{
	shim_note(shim, c, reason, "Container %s %s, it will be ended", c->name, why);
	shim_life_stop(shim, c, shim_now() + (grace >= 0 ? grace : shim->grace));
}

static void
judge(struct shim *shim, struct shim_container *c, int which, bool ok, const char *text)
{
	struct shim_probe *p = &c->probes[which];

	p->good = ok ? p->good + 1 : 0;
	p->bad = ok ? 0 : p->bad + 1;
	if (!ok)
		shim_note(shim, c, "Unhealthy", "%s probe failed: %s", names[which], text);
	if (ok && p->good >= (which == SHIM_READINESS ? p->success : 1))
		p->passed = true;
	if (p->bad < p->failure)
		return;
	p->passed = false;
	if (which == SHIM_STARTUP)
		give_up(shim, c, p->grace, "Killing", "failed startup probe");
	else if (which == SHIM_LIVENESS)
		give_up(shim, c, p->grace, "Killing", "failed liveness probe");
}

static int64_t
run(struct shim *shim, struct shim_container *c, int which)
{
	struct shim_probe *p = &c->probes[which];

	if (p->task != NULL && shim_task_done(p->task)) {
		judge(shim, c, which, shim_task_ok(p->task), shim_task_text(p->task));
		shim_task_drop(shim, &p->task);
		p->next = AM_MAX(p->next + p->period, shim_now());
	}
	if (p->task != NULL || c->stop_wanted)
		return AM_FOREVER;
	/* A startup probe that has passed has said all it can. */
	if (which == SHIM_STARTUP ? p->passed : !c->up)
		return AM_FOREVER;
	if (which != SHIM_STARTUP || c->hook == NULL) {
		if (p->next > shim_now())
			return p->next;
		p->task = shim_task_start(shim, c, &p->action, p->timeout);
	}
	return p->task != NULL && shim_task_done(p->task) ? shim_now() : AM_FOREVER;
}

static void
look_at_post_start(struct shim *shim, struct shim_container *c)
{
	if (c->hook == NULL || c->stop_wanted || !shim_task_done(c->hook))
		return;
	if (!shim_task_ok(c->hook)) {
		shim_note(shim, c, "FailedPostStartHook", "PostStartHook failed: %s", shim_task_text(c->hook));
		shim_task_drop(shim, &c->hook);
		give_up(shim, c, -1, "Killing", "failed its postStart hook");
		return;
	}
	shim_task_drop(shim, &c->hook);
}

int64_t
shim_probe_tick(struct shim *shim, struct shim_container *c)
{
	int64_t next = AM_FOREVER;
	bool up, ready;

	look_at_post_start(shim, c);
	for (int i = 0; i < SHIM_PROBES; i++)
		if (has(c, i))
			next = AM_MIN(next, run(shim, c, i));
	up = is_up(c);
	c->was_up = c->was_up || up;
	ready = c->ready;
	if (up != c->up) {
		c->up = up;
		next = shim_now(); /* the other probes begin */
	} else if (is_ready(c) == ready) {
		return next;
	}
	c->ready = is_ready(c);
	struct am_buf line = { 0 };
	shim_record(&line, "ready", c);
	am_json_addf(&line, ",\"up\":%b,\"ready\":%b", c->up, c->ready);
	shim_record_end(shim, &line, false);
	return next;
}
