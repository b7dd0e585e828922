/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sessions may run: at most maxRunning at once over all, and as many in each project as its settings allow; who
 * came first runs first, except that nobody waits behind those whose own project is full.
 *
 * Who runs is in the cache: status.admission is "Admitted" from the write that plans a run until the one that says how it
 * ended.  One lock is held from counting to that write, and own writes are seen by the next count, so that two workers
 * cannot give the same place away.  Who waits is also kept here, in order, for the place of each and for whom to wake; that
 * is no truth of its own: each session enters itself whenever it is looked at and has to wait.
 */
#include "plugins/agenticsession/agenticsession.h"

#include <pthread.h>
#include <stdlib.h>

#define LOOK_AHEAD 5 /* behind those that may run now: how many are told their new place */

struct waiting {
	char *ns, *name;
	char since[40];
};

struct as_queue {
	pthread_mutex_t lock;
	struct waiting *v; /* by since, namespace, name */
	size_t n, room;
};

struct as_queue *
as_queue_new(void)
{
	struct as_queue *queue = calloc(1, sizeof(*queue));

	if (queue != NULL)
		(void)pthread_mutex_init(&queue->lock, NULL);
	return queue;
}

static void
drop(struct waiting *w)
{
	free(w->ns);
	free(w->name);
}

void
as_queue_free(struct as_queue *queue)
{
	if (queue == NULL)
		return;
	for (size_t i = 0; i < queue->n; i++)
		drop(&queue->v[i]);
	free(queue->v);
	(void)pthread_mutex_destroy(&queue->lock);
	free(queue);
}

static int
compare(const struct waiting *w, const char *since, const char *ns, const char *name)
{
	int c = strcmp(w->since, since);

	if (c == 0)
		c = strcmp(w->ns, ns);
	return c != 0 ? c : strcmp(w->name, name);
}

static void
leave(struct as_queue *queue, const char *ns, const char *name)
{
	for (size_t i = 0; i < queue->n; i++) {
		if (strcmp(queue->v[i].name, name) != 0 || strcmp(queue->v[i].ns, ns) != 0)
			continue;
		drop(&queue->v[i]);
		memmove(&queue->v[i], &queue->v[i + 1], (--queue->n - i) * sizeof(queue->v[0]));
		return;
	}
}

/* Without memory it is not entered: it is then woken by what else happens, and runs as soon as there is room. */
static void
enter(struct as_queue *queue, const char *since, const char *ns, const char *name)
{
	size_t low = 0, high;

	leave(queue, ns, name);
	if (queue->n == queue->room) {
		size_t room = queue->room != 0 ? queue->room * 2 : 64;
		struct waiting *v = realloc(queue->v, room * sizeof(*v));

		if (v == NULL)
			return;
		queue->v = v;
		queue->room = room;
	}
	for (high = queue->n; low < high;) {
		size_t middle = (low + high) / 2;

		if (compare(&queue->v[middle], since, ns, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}

	struct waiting made = { .ns = strdup(ns), .name = strdup(name) };

	if (made.ns == NULL || made.name == NULL) {
		drop(&made);
		return;
	}
	(void)snprintf(made.since, sizeof(made.since), "%.39s", since);
	memmove(&queue->v[low + 1], &queue->v[low], (queue->n++ - low) * sizeof(queue->v[0]));
	queue->v[low] = made;
}

/* ---- places */

/* What is free in a project and over all, counted down as places are given away on paper. */
struct room {
	const struct as_plugin *plugin;
	struct ambient_call *call;
	int64_t all;
	struct project {
		const char *ns;
		int64_t free, limit;
	} *projects;
	size_t n, room;
};

#define UNLIMITED INT64_MAX

static int
running(struct ambient_call *call, const char *ns, int64_t *ret, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns, .index = "byAdmission", .value = "Admitted" };
	const struct ambient_list *list = NULL;
	int rc = ambient_list(call, AS_SESSION, &options, &list, err);

	*ret = rc < 0 ? 0 : (int64_t)ambient_list_count(call, list);
	return rc;
}

static int
project_limit(struct ambient_call *call, const char *ns, int64_t *ret, struct ambient_error *err)
{
	const struct ambient_object *settings = NULL;
	int rc = ambient_get(call, AS_SETTINGS, ns, "projectsettings", &settings, err);

	*ret = rc == 0 ? ambient_int(settings, "/spec/maxRunning", 0) : 0;
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

static int
room_init(struct room *room, const struct as_plugin *plugin, struct ambient_call *call, struct ambient_error *err)
{
	int64_t now = 0;
	int rc = 0;

	*room = (struct room){ .plugin = plugin, .call = call, .all = UNLIMITED };
	if (plugin->max_running > 0) {
		rc = running(call, NULL, &now, err);
		room->all = plugin->max_running - now;
	}
	return rc;
}

static int
room_of(struct room *room, const char *ns, struct project **ret, struct ambient_error *err)
{
	int64_t limit, now = 0;
	int rc;

	for (size_t i = room->n; i > 0; i--) {
		if (strcmp(room->projects[i - 1].ns, ns) == 0) {
			*ret = &room->projects[i - 1];
			return 0;
		}
	}
	if (room->n == room->room) {
		struct project *more = realloc(room->projects, (room->room * 2 + 8) * sizeof(*more));

		if (more == NULL)
			return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
		room->projects = more;
		room->room = room->room * 2 + 8;
	}
	if ((rc = project_limit(room->call, ns, &limit, err)) < 0 ||
	    (limit > 0 && (rc = running(room->call, ns, &now, err)) < 0))
		return rc;
	*ret = &room->projects[room->n++];
	**ret = (struct project){ .ns = ns, .limit = limit, .free = limit > 0 ? limit - now : UNLIMITED };
	return 0;
}

/* Gives the next place away, if there is one for this project. */
static int
take(struct room *room, const char *ns, bool *ret, struct ambient_error *err)
{
	struct project *project;
	int rc = room_of(room, ns, &project, err);

	*ret = rc == 0 && room->all > 0 && project->free > 0;
	if (!*ret)
		return rc;
	room->all -= room->all != UNLIMITED;
	project->free -= project->free != UNLIMITED;
	return 0;
}

/* May it run now?  If not, *place is where it stands among those that wait for the same. */
static int
judge(struct room *room, struct as_queue *queue, const char *since, const char *ns, const char *name, bool *ret,
      struct project **project, size_t *place, struct ambient_error *err)
{
	size_t before = 0, of_project = 0;
	bool theirs;
	int rc = 0;

	for (size_t i = 0; i < queue->n && compare(&queue->v[i], since, ns, name) < 0; i++, before++) {
		of_project += strcmp(queue->v[i].ns, ns) == 0;
		if (room->all > 0 && (rc = take(room, queue->v[i].ns, &theirs, err)) < 0)
			return rc;
	}
	if ((rc = room_of(room, ns, project, err)) < 0)
		return rc;
	*place = (*project)->free <= 0 ? of_project + 1 : before + 1;
	return take(room, ns, ret, err);
}

/* ---- what reconcile.c calls */

void
as_admit_begin(const struct as_plugin *plugin)
{
	(void)pthread_mutex_lock(&plugin->queue->lock);
}

void
as_admit_end(const struct as_plugin *plugin)
{
	(void)pthread_mutex_unlock(&plugin->queue->lock);
}

int
as_admit(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
	 struct as_status *st, bool *ret, struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *name = ambient_str(session, "/metadata/name", "");
	struct project *project = NULL;
	struct room room;
	size_t place = 0;
	int rc = room_init(&room, plugin, call, err);

	*ret = false;
	if (st->queued[0] == '\0')
		(void)snprintf(st->queued, sizeof(st->queued), "%.39s", ambient_str(session, "/metadata/creationTimestamp", ""));
	if (rc == 0)
		rc = judge(&room, plugin->queue, st->queued, ns, name, ret, &project, &place, err);
	if (rc == 0 && *ret) {
		leave(plugin->queue, ns, name);
		if (as_is(st, AS_ADMITTED, KC_FALSE))
			as_set(st, AS_ADMITTED, KC_TRUE, "Admitted", "%s", "");
	} else if (rc == 0) {
		bool own = project->free <= 0;

		enter(plugin->queue, st->queued, ns, name);
		(void)snprintf(st->admission, sizeof(st->admission), "Waiting");
		as_set(st, AS_ADMITTED, KC_FALSE, "MaxRunning",
		       "waits at place %zu or before: at most %lld sessions run at once%s", place,
		       (long long)(own ? project->limit : plugin->max_running),
		       own ? " in this project (maxRunning of its ProjectSettings)" : " (maxRunning of the configuration)");
		as_set(st, AS_READY, KC_FALSE, "MaxRunning", "%s", st->cond[AS_ADMITTED].message);
	}
	free(room.projects);
	return rc;
}

/* How many of those that wait, from the front, may run by now or hear their new place; they are entered in the work queue. */
static int
wake(const struct as_plugin *plugin, struct room *room, struct ambient_error *err)
{
	struct as_queue *queue = plugin->queue;
	int ahead = LOOK_AHEAD, rc = 0;
	bool theirs = false;

	for (size_t i = 0; i < queue->n && (room->all > 0 || ahead > 0) && rc == 0; i++) {
		if (room->all > 0)
			rc = take(room, queue->v[i].ns, &theirs, err);
		else
			theirs = false;
		if (rc == 0 && (theirs || ahead-- > 0))
			rc = ambient_enqueue(plugin->host, NULL, queue->v[i].ns, queue->v[i].name, 0);
	}
	return rc;
}

int
as_admit_others(const struct as_plugin *plugin, struct ambient_call *call, const char *ns, const char *name,
		struct ambient_error *err)
{
	struct room room = { 0 };
	int rc = 0;

	as_admit_begin(plugin);
	leave(plugin->queue, ns, name);
	if (plugin->queue->n > 0 && (rc = room_init(&room, plugin, call, err)) == 0)
		rc = wake(plugin, &room, err);
	free(room.projects);
	as_admit_end(plugin);
	return rc;
}
