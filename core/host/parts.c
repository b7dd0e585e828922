/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a watch: one informer of everything, or in a set of namespaces one for each, all of which have to be
 * complete.  Of what is outside of the set nothing is known, which is said and never taken for absence.  A kind that is
 * in no namespace is watched as a whole; which ones are, the API server is asked before the first watch of them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/host/host_priv.h"

#define MISSING_NS (10 * AM_NS_PER_S) /* between looks for a kind that the API server does not have */
#define RETRY_NS   AM_NS_PER_S        /* after a question that it did not answer */

/* Index names are the instance's own: informers are shared. */
char *
host_index_name(const struct am_instance *instance, const char *name)
{
	return am_xasprintf("%s.%s", instance->name, name);
}

/* Of the reconcilers whose kind it is. */
static int
add_indexes(struct am_instance *instance, const struct host_watch *w, struct am_store *store, struct ambient_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < instance->reconciler_count; i++) {
		const struct am_plugin_reconciler *decl = instance->reconcilers[i].decl;
		for (size_t j = 0; rc == 0 && instance->reconcilers[i].watch == w && j < decl->index_count; j++) {
			char *name = host_index_name(instance, decl->indexes[j].name);
			rc = am_store_add_index(store, name, decl->indexes[j].pointer, err);
			free(name);
		}
	}
	return rc;
}

static void
drop_parts(struct host_watch *w)
{
	for (size_t i = 0; i < w->made; i++)
		am_informer_put(w->parts[i].informer);
	free(w->parts);
	w->parts = NULL;
	w->made = 0;
}

void
host_parts_close(struct host_watch *w)
{
	drop_parts(w);
	am_stores_free(w->stores);
}

/* Takes the informers; nothing shows them yet. */
static int
make_parts(struct am_instance *instance, struct host_watch *w, const char *const *namespaces, size_t count,
	   struct ambient_error *err)
{
	struct am_stores_item *items = am_xcalloc(count, sizeof(*items));
	int rc = 0;

	w->parts = am_xcalloc(count, sizeof(*w->parts));
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct host_part *part = &w->parts[i];
		const struct am_informer_spec spec = {
			.kind = w->kind, .ns = namespaces[i], .selector = w->labels, .field = w->fields, .only = w->only };
		rc = am_informer_get(instance->host->informers, &spec, &part->informer, err);
		if (rc < 0)
			break;
		w->made = i + 1;
		part->ns = namespaces[i];
		items[i] = (struct am_stores_item){ part->ns, am_informer_store(part->informer) };
		rc = add_indexes(instance, w, items[i].store, err);
	}
	if (rc == 0)
		am_stores_fill(w->stores, items, count);
	else
		drop_parts(w);
	free(items);
	return rc;
}

void
host_parts_show(struct host_watch *w)
{
	for (size_t i = 0; i < w->made; i++)
		w->parts[i].subscription = am_informer_subscribe(w->parts[i].informer, host_watch_changed, w);
	atomic_store(&w->part_count, w->made);
}

static void
note_problem(struct am_instance *instance, struct host_watch *w, const struct ambient_error *said)
{
	am_lock(&instance->lock);
	w->state = said->code == AMBIENT_E_NOTFOUND ? AM_REFLECTOR_MISSING :
		   said->code == AMBIENT_E_FORBIDDEN || said->code == AMBIENT_E_UNAUTHORIZED ? AM_REFLECTOR_FORBIDDEN :
		   AM_REFLECTOR_BACKOFF;
	(void)am_strlcpy(w->problem, said->message, sizeof(w->problem));
	am_unlock(&instance->lock);
	w->look_at = am_clock_boot(instance->host->clock) + (w->state == AM_REFLECTOR_MISSING ? MISSING_NS : RETRY_NS);
}

/* What comes later than this is a reason to look again. */
static void
note_look(struct am_host *host, struct host_watch *w)
{
	am_lock(&host->lock);
	w->looked = host->definitions_seen;
	am_unlock(&host->lock);
}

/* In a set of namespaces a kind is watched in each, or as a whole when it is in none. */
int
host_parts_make(struct am_instance *instance, struct host_watch *w, bool look, struct ambient_error *err)
{
	static const char *const everywhere[] = { NULL };
	const struct host_namespaces *set = &instance->namespaces;
	struct ambient_error said = AMBIENT_ERROR_INIT;
	bool cluster_scoped = true;

	if (look)
		note_look(instance->host, w);
	if (set->count > 0 && !look)
		(void)ambient_err(&said, AMBIENT_E_UNAVAILABLE, "the API server did not answer about another kind");
	else if (set->count > 0)
		(void)host_kind_scope(instance->host, w->kind, &cluster_scoped, &said);
	if (said.code != 0) {
		note_problem(instance, w, &said);
		return 0;
	}
	return cluster_scoped ? make_parts(instance, w, everywhere, 1, err)
			      : make_parts(instance, w, (const char *const *)set->names, set->count, err);
}

bool
host_parts_answered(const struct am_instance *instance)
{
	for (size_t i = 0; i < instance->watch_count; i++) {
		const struct host_watch *w = &instance->watches[i];
		if (w->made == 0 && w->state == AM_REFLECTOR_BACKOFF)
			return false;
	}
	return true;
}

bool
host_watches_complete(struct am_instance *instance)
{
	struct am_host *host = instance->host;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool missing = false, look = true;

	for (size_t i = 0; i < instance->watch_count; i++) {
		struct host_watch *w = &instance->watches[i];
		if (w->made > 0)
			continue;
		am_lock(&host->lock);
		bool news = w->looked != host->definitions_seen;
		am_unlock(&host->lock);
		if (look && (news || am_clock_boot(host->clock) >= w->look_at)) {
			if (host_parts_make(instance, w, true, &err) < 0)
				note_problem(instance, w, &err);
			else if (w->made > 0)
				host_parts_show(w);
			look = w->made > 0 || w->state != AM_REFLECTOR_BACKOFF;
		}
		missing = missing || w->made == 0;
	}
	return missing;
}

void
host_watch_problem(struct am_instance *instance, struct host_watch *watch, struct am_reflector_status *ret)
{
	*ret = (struct am_reflector_status){ 0 };
	am_lock(&instance->lock);
	ret->state = watch->state;
	(void)am_strlcpy(ret->error, watch->problem, sizeof(ret->error));
	am_unlock(&instance->lock);
}

/* ---- namespaces */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
host_namespaces_copy(struct host_namespaces *to, const struct am_host_namespaces *from)
{
	to->count = from->count;
	to->names = am_xcalloc(from->count, sizeof(*to->names));
	for (size_t i = 0; i < from->count; i++)
		to->names[i] = am_xstrdup(from->names[i]);
	qsort(to->names, to->count, sizeof(*to->names), compare_names);
}

void
host_namespaces_fini(struct host_namespaces *set)
{
	for (size_t i = 0; i < set->count; i++)
		free(set->names[i]);
	free(set->names);
	*set = (struct host_namespaces){ 0 };
}

int
host_watch_covers(const struct am_instance *instance, const struct host_watch *watch, const char *ns, struct ambient_error *err)
{
	struct am_buf names = { 0 };

	/* A name without a namespace is looked for where it was always: in a watch of everything. */
	if (am_stores_of(watch->stores, ns != NULL ? ns : "") != NULL)
		return 0;
	for (size_t i = 0; i < instance->namespaces.count && names.len < 120; i++)
		am_buf_addf(&names, "%s%s", i > 0 ? ", " : "", instance->namespaces.names[i]);
	(void)ambient_err(err, AMBIENT_E_UNSUPPORTED, "%s of namespace \"%.63s\" are not watched: instance \"%s\" sees only %.130s%s",
			  watch->kind, ns != NULL ? ns : "", instance->name, am_buf_str(&names), names.len >= 120 ? "..." : "");
	am_buf_fini(&names);
	return -AMBIENT_E_UNSUPPORTED;
}
