/* SPDX-License-Identifier: Apache-2.0 */
/* What health pages, the admin socket and the metrics page say of an instance and of the cache. */
#include <stdio.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/host/host_priv.h"
#include "core/kube/kube.h"

/* ---- health */

struct checking {
	am_check_f *each;
	void *arg;
	char name[400];
	char problem[700];
};

static void
tell(struct checking *c, bool fine)
{
	c->each(c->arg, c->name, fine ? NULL : c->problem);
}

/* A 403 is mended by whoever writes the account's role: say what is missing in it. */
static void
say_rule(struct checking *c, const struct host_watch *watch, const char *ns)
{
	size_t n = strlen(c->problem);
	struct am_gvr gvr;

	if (am_gvr_parse(watch->kind, &gvr, NULL) == 0)
		(void)snprintf(c->problem + n, sizeof(c->problem) - n,
			       "; the account needs a rule with apiGroups [\"%s\"], resources [\"%s\"], verbs "
			       "[\"list\", \"watch\"]%s%s%s",
			       gvr.group, gvr.plural, ns != NULL ? " in namespace \"" : "", ns != NULL ? ns : "", ns != NULL ? "\"" : "");
}

static void
check_part(struct checking *c, const struct am_instance *instance, const struct host_watch *watch, const struct host_part *part)
{
	const char *at = part->ns != NULL ? "@" : "", *ns = part->ns != NULL ? part->ns : "";
	struct am_reflector_status status;

	(void)snprintf(c->name, sizeof(c->name), "%s/watch/%s%s%s%s%s", instance->name, watch->kind, at, ns,
		       watch->labels != NULL ? "?" : "", watch->labels != NULL ? watch->labels : "");
	am_informer_status(part->informer, &status);
	bool forbidden = status.state == AM_REFLECTOR_FORBIDDEN, synced = am_informer_has_synced(part->informer);
	bool lost = forbidden || status.state == AM_REFLECTOR_MISSING;
	(void)snprintf(c->problem, sizeof(c->problem), "%s: %s%s%s%s is not %s (%s%s%s)", instance->name, watch->kind,
		       part->ns != NULL ? " of namespace \"" : "", ns, part->ns != NULL ? "\"" : "",
		       synced ? "followed any more" : "synced", am_reflector_state_name(status.state),
		       status.error[0] != '\0' ? ": " : "", status.error);
	if (forbidden)
		say_rule(c, watch, part->ns);
	tell(c, synced && !lost);
}

static void
check_watch(struct checking *c, struct am_instance *instance, struct host_watch *watch)
{
	size_t n = host_parts(watch);
	struct am_reflector_status status;

	for (size_t i = 0; i < n; i++)
		check_part(c, instance, watch, &watch->parts[i]);
	if (n > 0)
		return;
	host_watch_problem(instance, watch, &status);
	(void)snprintf(c->name, sizeof(c->name), "%s/watch/%s", instance->name, watch->kind);
	(void)snprintf(c->problem, sizeof(c->problem), "%s: it is not known whether %s is in namespaces (%s: %s)", instance->name,
		       watch->kind, am_reflector_state_name(status.state), status.error);
	tell(c, false);
}

void
am_instance_checks(struct am_instance *instance, am_check_f *each, void *arg)
{
	struct checking c = {.each = each, .arg = arg};
	bool failed = am_instance_state(instance) == AM_PLUGIN_FAILED;

	(void)snprintf(c.name, sizeof(c.name), "%s/plugin", instance->name);
	(void)snprintf(c.problem, sizeof(c.problem), "%s: %s", instance->name, failed ? instance->failure : "");
	tell(&c, !failed);
	for (size_t i = 0; i < instance->servers_started; i++) {
		const struct ambient_server *s = &instance->plugin->servers[i];
		struct ambient_error err = AMBIENT_ERROR_INIT;
		int rc = s->ready != NULL ? s->ready(instance->self, &err) : 0;
		(void)snprintf(c.name, sizeof(c.name), "%s/server", instance->name);
		(void)snprintf(c.problem, sizeof(c.problem), "%s: the server is not ready: %s", instance->name,
			       err.message[0] != '\0' ? err.message : "it gave no reason");
		tell(&c, rc >= 0);
	}
	for (size_t i = 0; i < instance->watch_count; i++)
		check_watch(&c, instance, &instance->watches[i]);
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		struct am_controller_status status;
		am_controller_status(instance->reconcilers[i].controller, &status);
		(void)snprintf(c.name, sizeof(c.name), "%s/controller/%s", instance->name,
			       instance->reconcilers[i].name);
		(void)snprintf(c.problem, sizeof(c.problem), "%s: %d calls are stuck", instance->reconcilers[i].name,
			       status.stuck);
		tell(&c, status.stuck == 0);
	}
}

static void
first_problem(void *arg, const char *name am_unused_, const char *problem)
{
	struct ambient_error *err = arg;

	if (problem != NULL && err->code == 0)
		(void)ambient_err(err, AMBIENT_E_UNAVAILABLE, "%s", problem);
}

int
am_instance_ready(struct am_instance *instance, struct ambient_error *err)
{
	struct ambient_error found = AMBIENT_ERROR_INIT;

	am_instance_checks(instance, first_problem, &found);
	return found.code == 0 ? 0 : ambient_err(err, found.code, "%s", found.message);
}

/* ---- metrics */

static void
gauge(const char *name, const char *help, const char *const *labels, double value)
{
	am_metric_set(am_metric(AM_GAUGE, name, help, labels, NULL), value);
}

/* Counted elsewhere: the page shows what the count is now. */
static void
counter(const char *name, const char *help, const char *const *labels, uint64_t value)
{
	am_metric_set(am_metric(AM_COUNTER, name, help, labels, NULL), (double)value);
}

void
am_instance_refresh_metrics(struct am_instance *instance)
{
	const char *labels[] = {"plugin", instance->name, NULL};
	size_t objects = 0, bytes = 0;

	for (size_t i = 0; i < instance->reconciler_count; i++)
		am_controller_refresh_metrics(instance->reconcilers[i].controller);
	for (size_t i = 0; i < instance->watch_count; i++) {
		objects += am_stores_count(instance->watches[i].stores);
		bytes += am_stores_bytes(instance->watches[i].stores);
	}
	if (instance->provider)
		return;
	gauge("ambient_plugin_cache_objects", "Objects in the caches that a plugin reads; shared ones count for each.",
	      labels, (double)objects);
	gauge("ambient_plugin_cache_bytes",
	      "Bytes of JSON text in the caches that a plugin reads; shared ones count for each.", labels,
	      (double)bytes);
}

/* A float holds 15 digits exactly. */
static double
low_digits(const char *rv)
{
	size_t n = strlen(rv);
	uint64_t value = 0;

	return am_parse_u64(n > 15 ? rv + n - 15 : rv, &value) == 0 ? (double)value : 0;
}

static void
informer_metrics(void *arg am_unused_, struct am_informer *informer, int users)
{
	struct am_store *store = am_informer_store(informer);
	struct am_reflector_status status;
	struct am_gvr gvr;
	char rv[64];

	if (am_gvr_parse(am_informer_kind(informer), &gvr, NULL) < 0)
		return;
	const char *labels[] = {"name",     am_informer_selection(informer),
				"group",    gvr.group,
				"version",  gvr.version,
				"resource", gvr.plural,
				NULL};
	am_informer_status(informer, &status);
	am_store_rv(store, rv, sizeof(rv));
	gauge("informer_store_resource_version",
	      "Resource version up to which the cache is current, its low 15 digits.", labels, low_digits(rv));
	gauge("ambient_informer_users", "Watches of plugins that share the cache.", labels, users);
	gauge("ambient_informer_objects", "Objects in the cache.", labels, (double)am_store_count(store));
	gauge("ambient_informer_bytes", "Bytes of JSON text in the cache.", labels, (double)am_store_bytes(store));
	gauge("ambient_informer_watching", "Whether the cache follows the API server.", labels,
	      status.state == AM_REFLECTOR_WATCHING);
	counter("ambient_informer_lists_total", "Lists that were started.", labels, status.lists);
	counter("ambient_informer_watches_total", "Watches that were started.", labels, status.watches);
	counter("ambient_informer_events_total", "Events that were taken.", labels, status.events);
	counter("ambient_informer_skipped_total", "Objects that could not be read.", labels, status.skipped);
}

void
am_host_refresh_metrics(struct am_host *host)
{
	if (host->informers != NULL)
		am_informers_each(host->informers, informer_metrics, NULL);
}

/* ---- the status page */

bool
am_instance_has_controller(const struct am_instance *instance, const char *controller)
{
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		if (strcmp(instance->reconcilers[i].name, controller) == 0)
			return true;
	}
	return false;
}

void
am_instance_explain(struct am_instance *instance, const char *controller, const char *ns, const char *name, const char *elsewhere,
		    struct am_buf *out)
{
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		const struct host_reconciler *r = &instance->reconcilers[i];
		struct am_buf one = { 0 };
		if (controller != NULL && strcmp(r->name, controller) != 0)
			continue;
		if (am_controller_explain(r->controller, ns, name, elsewhere, &one))
			am_buf_addf(out, "%s%s", out->len != 0 ? "," : "", am_buf_str(&one));
		am_buf_fini(&one);
	}
}

static void
describe_watch(struct am_instance *instance, struct host_watch *w, struct am_buf *out)
{
	size_t n = host_parts(w);
	struct am_reflector_status s;

	for (size_t i = 0; i < n; i++) {
		struct am_store *store = am_informer_store(w->parts[i].informer);
		am_informer_status(w->parts[i].informer, &s);
		am_buf_addf(out, "  watch %s%s%s%s%s state=%s objects=%zu bytes=%zu lists=%llu events=%llu\n", w->kind,
			    w->parts[i].ns != NULL ? " namespace=" : "", w->parts[i].ns != NULL ? w->parts[i].ns : "",
			    w->labels != NULL ? " selector=" : "", w->labels != NULL ? w->labels : "",
			    am_reflector_state_name(s.state), am_store_count(store), am_store_bytes(store),
			    (unsigned long long)s.lists, (unsigned long long)s.events);
	}
	if (n > 0)
		return;
	host_watch_problem(instance, w, &s);
	am_buf_addf(out, "  watch %s state=%s problem=%s\n", w->kind, am_reflector_state_name(s.state), s.error);
}

void
am_instance_describe(struct am_instance *instance, struct am_buf *out)
{
	am_buf_addf(out, "instance %s plugin=%s version=%s state=%s%s\n", instance->name, instance->plugin->decl->name,
		    instance->plugin->decl->version, am_plugin_state_name(am_instance_state(instance)),
		    instance->readonly ? " readonly" : "");
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		struct am_controller_status s;
		struct am_queue *q = am_controller_queue(instance->reconcilers[i].controller);
		am_controller_status(instance->reconcilers[i].controller, &s);
		am_buf_addf(out,
			    "  controller %s workers=%d active=%d stuck=%d ready=%zu delayed=%zu calls=%llu "
			    "errors=%llu%s%s\n",
			    instance->reconcilers[i].name, s.workers, s.active, s.stuck, am_queue_len(q),
			    am_queue_delayed(q), (unsigned long long)s.calls, (unsigned long long)s.errors,
			    s.last_error[0] != '\0' ? " last=" : "", s.last_error);
	}
	for (size_t i = 0; i < instance->watch_count; i++)
		describe_watch(instance, &instance->watches[i], out);
}
