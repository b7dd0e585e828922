/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of tests/bench/peers as a plugin: a reconciler of AgenticSessions.  Its lines on standard output are those
 * of the programs that it is measured beside; doc/bench.md says which.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ambient/plugin.h>

#ifndef PEER_NAME
#define PEER_NAME "peer"
#endif
#define SESSIONS "vteam.ambient-code/v1alpha1/agenticsessions"
#define MESSAGE  "/status/message"
#define STAMP    "/metadata/annotations/bench~1stamp"

AMBIENT_DECLARE("name=" PEER_NAME "\0"
		"version=1.0.0\0"
		"for=" SESSIONS "\0"
		"may=" SESSIONS "/status:patch\0");

static const struct ambient_option objects_row = {.size = sizeof(objects_row),
						  .name = "objects",
						  .type = AMBIENT_OPT_INT,
						  .def = "0",
						  .max = 100000000,
						  .text = "How many there are; names end in their number."};
static const struct ambient_option target_row = {.size = sizeof(target_row),
						 .name = "target",
						 .type = AMBIENT_OPT_STRING,
						 .def = "",
						 .text = "What status.message is to be; empty: nothing is written."};
static const struct ambient_option *const options[] = {&objects_row, &target_row, NULL};

/* One bit for each object that was counted. */
struct set {
	size_t n;
	unsigned char *bits;
};

struct self {
	size_t objects;
	char target[64];
	pthread_mutex_t lock; /* of what is below */
	int started;
	struct set reconciled, converged;
};

static void
destroy(void *arg)
{
	struct self *self = arg;

	(void)pthread_mutex_destroy(&self->lock);
	free(self->reconciled.bits);
	free(self->converged.bits);
	free(self);
}

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	struct self *self = calloc(1, sizeof(*self));

	if (self == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory");
	(void)pthread_mutex_init(&self->lock, NULL);
	self->objects = (size_t)host->conf->integer(conf, "objects", 0);
	(void)snprintf(self->target, sizeof(self->target), "%s", host->conf->str(conf, "target", ""));
	self->reconciled.bits = calloc(1, self->objects / 8 + 1);
	self->converged.bits = calloc(1, self->objects / 8 + 1);
	if (self->reconciled.bits == NULL || self->converged.bits == NULL) {
		destroy(self);
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for %zu objects", self->objects);
	}
	*ret_self = self;
	return 0;
}

static void
say(const char *what)
{
	(void)printf("bench %s\n", what);
	(void)fflush(stdout);
}

/* Counts a name in a set; says so when they are all there. */
static void
count(struct self *self, struct set *set, const char *name, const char *what)
{
	const char *dash = strrchr(name, '-');
	size_t i = dash != NULL ? strtoul(dash + 1, NULL, 10) : self->objects;

	(void)pthread_mutex_lock(&self->lock);
	if (i < self->objects && (set->bits[i / 8] & 1 << i % 8) == 0) {
		set->bits[i / 8] |= (unsigned char)(1 << i % 8);
		if (++set->n == self->objects)
			say(what);
	}
	(void)pthread_mutex_unlock(&self->lock);
}

/* Reconciles begin when the cache is full. */
static void
note_start(struct self *self)
{
	(void)pthread_mutex_lock(&self->lock);
	if (!self->started)
		say("synced");
	self->started = 1;
	(void)pthread_mutex_unlock(&self->lock);
}

static int
reconcile(void *arg, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	  struct ambient_error *err)
{
	struct self *self = arg;
	const struct ambient_object *session;
	struct timespec began;
	char patch[128];

	(void)result;
	(void)clock_gettime(CLOCK_REALTIME, &began);
	note_start(self);
	int rc = ambient_get(call, SESSIONS, req->ns, req->name, &session, err);
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	const char *stamp = ambient_str(session, STAMP, NULL);
	if (stamp != NULL) {
		(void)printf("bench start %.40s %lld%09ld\n", stamp, (long long)began.tv_sec, began.tv_nsec);
		(void)fflush(stdout);
	}
	count(self, &self->reconciled, req->name, "reconciled");
	if (self->target[0] == '\0')
		return 0;
	if (strcmp(ambient_str(session, MESSAGE, ""), self->target) == 0) {
		count(self, &self->converged, req->name, "converged");
		return 0;
	}
	(void)snprintf(patch, sizeof(patch), "{\"status\":{\"message\":\"%s\"}}", self->target);
	return ambient_patch(call, SESSIONS, req->ns, req->name, "status", AMBIENT_PATCH_MERGE, patch, NULL, err);
}

static const struct ambient_reconciler only = {.size = sizeof(only), .reconcile = reconcile};
static const struct ambient_reconciler *const reconcilers[] = {&only, NULL};

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD, .options = options, .create = create, .destroy = destroy, .reconcilers = reconcilers,
};
