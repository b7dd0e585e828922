/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that do not exist yet.  A watch of a missing kind looks again every ten seconds; nobody should have to wait for
 * that.  So while one is missing, CustomResourceDefinitions are watched, and each change makes those that wait look at
 * once.  Where that is forbidden, or the kind comes from elsewhere, the ten seconds remain.
 */
#include "core/host/host_priv.h"

#define DEFINITIONS "apiextensions.k8s.io/v1/customresourcedefinitions"

static bool
misses_a_kind(struct am_instance *instance)
{
	bool missing = false;

	for (size_t i = 0; i < instance->watch_count; i++) {
		const struct host_watch *w = &instance->watches[i];
		for (size_t j = 0; j < w->made && !missing; j++) {
			struct am_reflector_status status;
			if (am_informer_has_synced(w->parts[j].informer))
				continue;
			am_informer_status(w->parts[j].informer, &status);
			missing = status.state == AM_REFLECTOR_MISSING;
		}
	}
	return missing;
}

/* On the I/O thread. */
static void
on_definition(void *arg, const struct am_change *change)
{
	struct am_host *host = arg;

	if (change->after == NULL)
		return;
	am_lock(&host->lock);
	host->definitions_seen++;
	am_cond_broadcast(&host->definitions_changed);
	am_unlock(&host->lock);
	am_informers_retry(host->informers);
}

void
host_kinds_forget(struct am_host *host)
{
	if (host->definitions == NULL)
		return;
	am_informer_unsubscribe(host->definitions_told);
	am_informer_put(host->definitions);
	host->definitions = NULL;
	host->definitions_told = NULL;
}

void
am_host_await_kinds(struct am_host *host)
{
	static const struct am_informer_spec spec = { .kind = DEFINITIONS, .only = "metadata" };
	bool missing = false;

	for (size_t i = 0; i < host->instance_count; i++) {
		bool unopened = host_watches_complete(host->instances[i]);
		missing = missing || unopened || misses_a_kind(host->instances[i]);
	}
	if (!missing)
		host_kinds_forget(host);
	else if (host->definitions == NULL && am_informer_get(host->informers, &spec, &host->definitions, NULL) == 0)
		host->definitions_told = am_informer_subscribe(host->definitions, on_definition, host);
}
