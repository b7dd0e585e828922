/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of a project: how many there are in which phase, and the end of those that have ended.
 *
 * Counts are written every ten seconds at most, whatever happens meanwhile: the time of the last one stands beside them,
 * and who comes earlier comes back.  The same pass deletes, when the project asks for it, what ended longer ago than
 * retentionDays, and what is more than retentionCount; the next one is due when the next session is.
 *
 * A session is deleted as it was read: one that is started again meanwhile has another version and stays.  A session
 * that something else owns (a workflow) goes with its owner, not before, and one in whose workspace another session works,
 * or is to, when that one is done: that is no other rule than a session's own ttlSecondsAfterFinished has.
 */
#include <stdlib.h>

#include "plugins/kind-shared/conditions.h"
#include "plugins/kind-shared/workspace.h"
#include "plugins/projectsettings/projectsettings.h"

#define COUNT_EVERY   (10 * AMBIENT_SECOND)
#define DAY           (INT64_C(24) * 60 * AMBIENT_MINUTE)
#define KEEP_DAYS     7
#define BATCH         200                    /* that are deleted before others have their turn */
#define LONGEST_SLEEP (60 * AMBIENT_MINUTE)  /* the wall clock may be set meanwhile */

static const char *const phases[] = { "Pending", "Creating", "Running", "Stopping", "Stopped", "Completed", "Failed", "Timeout" };
#define PHASES      (sizeof(phases) / sizeof(phases[0]))
#define FIRST_ENDED 4

struct ended {
	const struct ambient_object *session;
	int64_t when;
};

struct sweep {
	struct ambient_call *call;
	const struct ambient_object *settings;
	const struct ambient_list *sessions;
	int64_t now, counts[PHASES], total;
	struct ended *ended; /* those that may be deleted, the last one first */
	size_t n;
	const char **used;   /* names of workspaces, sorted */
	size_t used_n;
};

static size_t
phase_of(const struct ambient_object *session)
{
	const char *phase = ambient_str(session, "/status/phase", "");
	size_t k = 0;

	while (k < PHASES && strcmp(phases[k], phase) != 0)
		k++;
	return k < PHASES ? k : 0;
}

/* When it ended; false: it may not be deleted. */
static bool
deletable(const struct ambient_object *session, int64_t *ret_ended)
{
	return !ambient_deleting(session) && ambient_len(session, "/metadata/ownerReferences") == 0 && kw_is_over(session) &&
	       kc_time_parse(ambient_str(session, "/status/completionTime", ""), ret_ended);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
is_used(const struct sweep *s, const struct ambient_object *session)
{
	const char *name = ambient_str(session, "/metadata/name", "");

	return bsearch(&name, s->used, s->used_n, sizeof(*s->used), by_name) != NULL;
}

/* In whose workspace each session works that is not done.  One without a plan does in that of the session it continues. */
static int
find_used(struct sweep *s, struct ambient_error *err)
{
	const char *ns = ambient_str(s->settings, "/metadata/namespace", "");

	for (size_t i = 0; i < (size_t)s->total; i++) {
		const struct ambient_object *session = ambient_list_item(s->call, s->sessions, i), *parent = NULL;
		const char *where = kw_planned(session);

		if (kw_is_over(session))
			continue;
		if (where[0] == '\0' && (where = kw_parent(session))[0] != '\0') {
			int rc = ambient_get(s->call, PS_SESSION, ns, where, &parent, err);

			if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
				return rc;
			if (rc == 0 && kw_planned(parent)[0] != '\0')
				where = kw_planned(parent);
		}
		if (where[0] != '\0' && strcmp(where, ambient_str(session, "/metadata/name", "")) != 0)
			s->used[s->used_n++] = where;
	}
	qsort(s->used, s->used_n, sizeof(*s->used), by_name);
	return 0;
}

static int
last_first(const void *a, const void *b)
{
	const struct ended *x = a, *y = b;

	if (x->when != y->when)
		return x->when > y->when ? -1 : 1;
	return strcmp(ambient_str(x->session, "/metadata/name", ""), ambient_str(y->session, "/metadata/name", ""));
}

static int
look(struct sweep *s, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options),
						.ns = ambient_str(s->settings, "/metadata/namespace", "") };
	int rc = ambient_list(s->call, PS_SESSION, &options, &s->sessions, err);

	if (rc < 0)
		return rc;
	s->total = (int64_t)ambient_list_count(s->call, s->sessions);
	s->ended = calloc((size_t)s->total + 1, sizeof(*s->ended));
	s->used = calloc((size_t)s->total + 1, sizeof(*s->used));
	if (s->ended == NULL || s->used == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if ((rc = find_used(s, err)) < 0)
		return rc;
	for (size_t i = 0; i < (size_t)s->total; i++) {
		const struct ambient_object *session = ambient_list_item(s->call, s->sessions, i);
		size_t phase = phase_of(session);

		s->counts[phase]++;
		s->ended[s->n].session = session;
		if (phase >= FIRST_ENDED && deletable(session, &s->ended[s->n].when) && !is_used(s, session))
			s->n++;
	}
	qsort(s->ended, s->n, sizeof(*s->ended), last_first);
	return 0;
}

/* Those from *ret on are to go; returns when the next one will be, 0: none will by its age. */
static int64_t
due(const struct sweep *s, size_t *ret)
{
	int64_t days = ambient_int(s->settings, "/spec/retentionDays", KEEP_DAYS), age = days * DAY;
	size_t keep = (size_t)ambient_int(s->settings, "/spec/retentionCount", 0), n = s->n;

	while (days > 0 && n > 0 && s->ended[n - 1].when + age <= s->now)
		n--;
	if (keep > 0 && n > keep)
		n = keep;
	*ret = n;
	return days > 0 && n > 0 ? s->ended[n - 1].when + age : 0;
}

/* Sets *ret_again to when to come back for the next, if there will be one. */
static int
clean(struct sweep *s, int64_t *ret_again, struct ambient_error *err)
{
	size_t first, gone = 0;
	int64_t next = due(s, &first);
	int rc = 0;

	for (size_t i = first; rc == 0 && i < s->n && gone < BATCH && !ambient_cancelled(s->call); i++, gone++)
		rc = ps_delete(s->call, PS_SESSION, s->ended[i].session, err);
	if (gone > 0 && rc == 0)
		ambient_event(s->call, s->settings, "Normal", "SessionsDeleted", "deleted %zu sessions that had ended, \"%s\" the "
			      "last of them", gone, ambient_str(s->ended[first].session, "/metadata/name", ""));
	if (first + gone < s->n)
		*ret_again = s->now + AMBIENT_SECOND;
	else if (next > 0)
		*ret_again = next;
	return rc;
}

static int
write_counts(struct sweep *s, struct ambient_error *err)
{
	struct ambient_draft *draft = ambient_draft_from(s->call, PS_SETTINGS, s->settings);
	char pointer[64], now[32];

	ambient_time(now, s->now);
	ambient_draft_set_json(draft, "/status/sessions", "{\"phases\":{}}");
	ambient_draft_set_int(draft, "/status/sessions/total", s->total);
	for (size_t k = 0; k < PHASES; k++) {
		(void)snprintf(pointer, sizeof(pointer), "/status/sessions/phases/%s", phases[k]);
		if (s->counts[k] > 0)
			ambient_draft_set_int(draft, pointer, s->counts[k]);
	}
	ambient_draft_set_str(draft, "/status/sessions/observedTime", now);
	return ambient_status(s->call, draft, err);
}

static bool
counts_differ(const struct sweep *s)
{
	char pointer[64];

	if (ambient_int(s->settings, "/status/sessions/total", -1) != s->total)
		return true;
	for (size_t k = 0; k < PHASES; k++) {
		(void)snprintf(pointer, sizeof(pointer), "/status/sessions/phases/%s", phases[k]);
		if (ambient_int(s->settings, pointer, 0) != s->counts[k])
			return true;
	}
	return false;
}

static int
sweep(struct sweep *s, struct ambient_result *result, struct ambient_error *err)
{
	int64_t again = 0;
	int rc = look(s, err);

	if (rc == 0 && ambient_bool(s->settings, "/spec/enableAutoCleanup", 0))
		rc = clean(s, &again, err);
	if (rc == 0 && counts_differ(s))
		rc = write_counts(s, err);
	free(s->ended);
	free(s->used);
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	if (again > 0)
		result->requeue_after = again - s->now < LONGEST_SLEEP ? again - s->now : LONGEST_SLEEP;
	return 0;
}

int
ps_retention_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		       struct ambient_result *result, struct ambient_error *err)
{
	struct sweep s = { .call = call, .now = ps_now(call) };
	int64_t last;
	int managed = strcmp(req->name, PS_NAME) == 0 ? ps_managed(call, req->ns, err) : 0, rc;

	if (managed <= 0)
		return managed;
	rc = ambient_get(call, PS_SETTINGS, req->ns, req->name, &s.settings, err);
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	if (ambient_deleting(s.settings))
		return 0;
	/* A clock that was set back does not stop the counting. */
	if (kc_time_parse(ambient_str(s.settings, "/status/sessions/observedTime", ""), &last) && last <= s.now &&
	    s.now < last + COUNT_EVERY)
		return ambient_requeue_after(result, last + COUNT_EVERY - s.now);
	return sweep(&s, result, err);
}
