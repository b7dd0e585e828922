/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Informers: a store and a reflector for one kind and selection, shared by everybody who asks for the same one.
 *
 * The set's lock guards the list of informers, the user counts and what waiters wait for.  Reflectors and
 * subscriptions belong to the I/O thread: other threads reach them by posting and waiting.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/lock.h"
#include "core/base/mem.h"
#include "core/cache/cache_priv.h"
#include "core/kube/kube.h"

#define CANCEL_POLL (100 * AM_NS_PER_MS)
#define PACK_FROM   96  /* objects that save more than a dictionary and its tables take */

struct am_subscription {
	struct am_informer *informer;
	am_change_f *fn;
	void *arg;
	struct am_subscription *next;
	bool dead;             /* removed while the list is being walked */
	atomic_bool synced;
};

struct am_informer {
	struct am_informers *set;
	char *key, *kind, *selection;
	struct am_store *store;
	atomic_bool synced;
	/* set->lock */
	int users;
	struct am_informer *next;
	/* the I/O thread */
	struct am_reflector *reflector;
	struct am_subscription *subscriptions;
	int walking;
};

struct am_informers {
	struct am_io *io;
	struct am_lock lock;
	struct am_cond changed; /* something has synced */
	struct am_informer *first;
	struct am_informers_options options;
};

/* ---- calls on the I/O thread */

struct remote {
	struct am_informers *set;
	void (*fn)(void *);
	void *arg;
	bool done;
};

static void
remote_run(void *arg)
{
	struct remote *remote = arg;
	struct am_informers *set = remote->set;

	remote->fn(remote->arg);
	am_lock(&set->lock);
	remote->done = true;
	am_cond_broadcast(&set->changed);
	am_unlock(&set->lock);
}

/* Runs fn(arg) on the I/O thread and waits for its end. */
static void
remotely(struct am_informers *set, void (*fn)(void *), void *arg)
{
	struct remote remote = { .set = set, .fn = fn, .arg = arg };

	if (set->io->ops->on_thread(set->io)) {
		fn(arg);
		return;
	}
	am_io_post(set->io, remote_run, &remote);
	am_lock(&set->lock);
	while (!remote.done)
		(void)am_cond_wait(&set->changed, &set->lock, AM_FOREVER);
	am_unlock(&set->lock);
}

/* ---- subscribers */

static void
tell_all(void *arg, const struct am_change *change)
{
	struct am_informer *informer = arg;

	informer->walking++;
	for (struct am_subscription *sub = informer->subscriptions; sub != NULL; sub = sub->next) {
		if (!sub->dead)
			sub->fn(sub->arg, change);
	}
	informer->walking--;
}

static void
wake(struct am_informers *set)
{
	am_lock(&set->lock);
	am_cond_broadcast(&set->changed);
	am_unlock(&set->lock);
}

static void
all_synced(void *arg)
{
	struct am_informer *informer = arg;

	for (struct am_subscription *sub = informer->subscriptions; sub != NULL; sub = sub->next)
		atomic_store(&sub->synced, true);
	atomic_store(&informer->synced, true);
	wake(informer->set);
}

/* Removes the subscriptions that ended while their list was being walked. */
static void
reap(struct am_informer *informer)
{
	struct am_subscription **at = &informer->subscriptions;

	while (informer->walking == 0 && *at != NULL) {
		struct am_subscription *sub = *at;

		if (sub->dead) {
			*at = sub->next;
			free(sub);
		} else {
			at = &sub->next;
		}
	}
}

static void
subscribe_here(void *arg)
{
	struct am_subscription *sub = arg;
	struct am_informer *informer = sub->informer;
	struct am_subscription **at = &informer->subscriptions;

	while (*at != NULL)
		at = &(*at)->next;
	*at = sub;
	informer->walking++;
	am_store_replay(informer->store, sub->fn, sub->arg);
	informer->walking--;
	if (atomic_load(&informer->synced)) {
		atomic_store(&sub->synced, true);
		wake(informer->set);
	}
}

static void
unsubscribe_here(void *arg)
{
	struct am_subscription *sub = arg;
	struct am_informer *informer = sub->informer;

	sub->dead = true;
	reap(informer);
}

struct am_subscription *
am_informer_subscribe(struct am_informer *informer, am_change_f *fn, void *arg)
{
	struct am_subscription *sub = am_xcalloc(1, sizeof(*sub));

	sub->informer = informer;
	sub->fn = fn;
	sub->arg = arg;
	am_io_run(informer->set->io, subscribe_here, sub);
	return sub;
}

void
am_informer_unsubscribe(struct am_subscription *subscription)
{
	if (subscription != NULL)
		remotely(subscription->informer->set, unsubscribe_here, subscription);
}

bool
am_subscription_has_synced(const struct am_subscription *subscription)
{
	return atomic_load(&subscription->synced);
}

const char *
am_reflector_state_name(enum am_reflector_state state)
{
	static const char *const names[] = {
		[AM_REFLECTOR_STOPPED] = "stopped", [AM_REFLECTOR_LISTING] = "listing", [AM_REFLECTOR_WATCHING] = "watching",
		[AM_REFLECTOR_BACKOFF] = "backing off", [AM_REFLECTOR_FORBIDDEN] = "forbidden",
		[AM_REFLECTOR_MISSING] = "no such kind",
	};

	return names[state];
}

int
am_subscription_wait(struct am_subscription *subscription, int64_t deadline, const int32_t *cancelled,
		     struct ambient_error *err)
{
	struct am_informer *informer = subscription->informer;
	struct am_informers *set = informer->set;
	struct am_reflector_status status;
	bool stop = false, late = false;

	am_lock(&set->lock);
	while (!atomic_load(&subscription->synced) && !stop && !late) {
		int64_t now = am_clock_boot(set->io->clock);

		late = now >= deadline;
		stop = cancelled != NULL && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE) != 0;
		if (!late && !stop)
			(void)am_cond_wait(&set->changed, &set->lock,
					   cancelled != NULL ? AM_MIN(deadline, now + CANCEL_POLL) : deadline);
	}
	am_unlock(&set->lock);
	if (atomic_load(&subscription->synced))
		return 0;
	if (stop)
		return ambient_err(err, AMBIENT_E_CANCELLED, "stopped waiting for the objects of \"%s\"", informer->kind);
	am_informer_status(informer, &status);
	return ambient_err(err, AMBIENT_E_TIMEOUT, "the objects of \"%s\" did not arrive in time: %s%s%s", informer->kind,
			   am_reflector_state_name(status.state), status.error[0] != '\0' ? ", " : "", status.error);
}

/* ---- informers */

static void
informer_free(struct am_informer *informer)
{
	am_assert(informer->subscriptions == NULL);
	am_reflector_free(informer->reflector);
	am_store_free(informer->store);
	free(informer->key);
	free(informer->kind);
	free(informer->selection);
	free(informer);
}

static char *
selection_of(const struct am_informer_spec *spec)
{
	const char *const parts[] = { spec->ns, spec->selector, spec->field };
	struct am_buf text = { 0 };

	for (size_t i = 0; i < AM_COUNTOF(parts); i++) {
		if (!am_empty(parts[i]))
			am_buf_addf(&text, "%s%s", text.len > 0 ? " " : "", parts[i]);
	}
	if (spec->only != NULL)
		am_buf_addf(&text, "%sonly=%s", text.len > 0 ? " " : "", spec->only);
	char *out = am_xstrdup(am_buf_str(&text));
	am_buf_fini(&text);
	return out;
}

static int
informer_new(struct am_informers *set, const struct am_informer_spec *spec, char *key, struct am_informer **ret,
	     struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	am_auto(am_buf_fini) struct am_buf version = { 0 };
	struct am_selector *labels = NULL, *fields = NULL;
	struct am_reflector_options options = { .selector = spec->selector, .field = spec->field, .change = tell_all,
						.synced = all_synced };
	struct am_informer *informer;
	struct am_gvr gvr;
	int rc = am_gvr_parse(spec->kind, &gvr, err);

	if (rc == 0 && spec->only != NULL) {
		struct am_projection *checked = NULL;

		rc = am_projection_parse(spec->only, &checked, err);
		am_projection_free(checked);
	}
	if (rc == 0 && !am_empty(spec->selector))
		rc = am_selector_labels(spec->selector, &labels, err);
	if (rc == 0 && !am_empty(spec->field))
		rc = am_selector_fields(spec->field, &fields, err);
	if (rc < 0) {
		am_selector_free(labels);
		return rc;
	}
	am_kube_path(&path, &gvr, spec->ns, NULL, NULL);
	am_buf_addf(&version, "%s%s%s", gvr.group, gvr.group[0] != '\0' ? "/" : "", gvr.version);
	informer = am_xcalloc(1, sizeof(*informer));
	informer->set = set;
	informer->key = key;
	informer->kind = am_xstrdup(spec->kind);
	informer->selection = selection_of(spec);
	informer->store = am_store_new(set->io->clock);
	am_store_set_filter(informer->store, spec->ns, labels, fields);
	if (set->options.packed)
		am_store_set_packed(informer->store, PACK_FROM);
	options.path = am_buf_str(&path);
	options.api_version = am_buf_str(&version);
	options.arg = informer;
	options.stream = set->options.stream;
	options.only = spec->only;
	informer->reflector = am_reflector_new(set->io, informer->store, &options);
	*ret = informer;
	return 0;
}

static void
start_here(void *arg)
{
	am_reflector_start(((struct am_informer *)arg)->reflector);
}

static void
stop_here(void *arg)
{
	struct am_informer *informer = arg;

	am_reflector_stop(informer->reflector);
	reap(informer);
}

static char *
key_of(const struct am_informer_spec *spec, const char *only)
{
	return am_xasprintf("%s\n%s\n%s\n%s\n%s", spec->kind, spec->ns != NULL ? spec->ns : "",
			    spec->selector != NULL ? spec->selector : "", spec->field != NULL ? spec->field : "",
			    only != NULL ? only : "");
}

static struct am_informer *
find(struct am_informers *set, const char *key)
{
	struct am_informer *informer = set->first;

	while (informer != NULL && strcmp(informer->key, key) != 0)
		informer = informer->next;
	return informer;
}

int
am_informer_get(struct am_informers *set, const struct am_informer_spec *spec, struct am_informer **ret,
		struct ambient_error *err)
{
	char *key = key_of(spec, spec->only);
	am_auto(am_freep) char *whole = key_of(spec, NULL);
	struct am_informer *informer;
	bool made = false;
	int rc = 0;

	*ret = NULL;
	am_lock(&set->lock);
	informer = find(set, key);
	/* Whoever wants parts is served by one that has all: an object is kept once. */
	if (informer == NULL)
		informer = find(set, whole);
	if (informer == NULL) {
		rc = informer_new(set, spec, key, &informer, err);
		made = rc == 0;
		if (made) {
			informer->next = set->first;
			set->first = informer;
		}
	}
	if (rc == 0) {
		informer->users++;
		*ret = informer;
	}
	am_unlock(&set->lock);
	if (!made)
		free(key);
	else
		am_io_run(set->io, start_here, informer);
	return rc;
}

void
am_informer_put(struct am_informer *informer)
{
	struct am_informers *set;
	struct am_informer **at;
	bool last;

	if (informer == NULL)
		return;
	set = informer->set;
	am_lock(&set->lock);
	last = --informer->users == 0;
	if (last) {
		for (at = &set->first; *at != informer; at = &(*at)->next)
			;
		*at = informer->next;
	}
	am_unlock(&set->lock);
	if (last) {
		remotely(set, stop_here, informer);
		informer_free(informer);
	}
}

struct am_store *
am_informer_store(struct am_informer *informer)
{
	return informer->store;
}

const char *
am_informer_kind(const struct am_informer *informer)
{
	return informer->kind;
}

const char *
am_informer_selection(const struct am_informer *informer)
{
	return informer->selection;
}

bool
am_informer_has_synced(const struct am_informer *informer)
{
	return atomic_load(&informer->synced);
}

struct status_call {
	struct am_informer *informer;
	struct am_reflector_status *ret;
};

static void
status_here(void *arg)
{
	struct status_call *call = arg;

	am_reflector_status(call->informer->reflector, call->ret);
}

void
am_informer_status(struct am_informer *informer, struct am_reflector_status *ret)
{
	struct status_call call = { informer, ret };

	remotely(informer->set, status_here, &call);
}

void
am_informer_object_kind(struct am_informer *informer, char buf[128])
{
	struct am_reflector_status status;

	am_informer_status(informer, &status);
	(void)am_strlcpy(buf, status.kind, 128);
}

/* ---- the set */

struct am_informers *
am_informers_new(struct am_io *io)
{
	struct am_informers *set = am_xcalloc(1, sizeof(*set));

	set->io = io;
	am_lock_init(&set->lock, "informers");
	am_cond_init(&set->changed, io->clock);
	return set;
}

void
am_informers_configure(struct am_informers *set, const struct am_informers_options *options)
{
	am_lock(&set->lock);
	set->options = *options;
	am_unlock(&set->lock);
}

void
am_informers_free(struct am_informers *set)
{
	if (set == NULL)
		return;
	am_assert(set->first == NULL);
	am_cond_fini(&set->changed);
	am_lock_fini(&set->lock);
	free(set);
}

void
am_informers_each(struct am_informers *set, void (*fn)(void *arg, struct am_informer *informer, int users), void *arg)
{
	struct held {
		struct am_informer *informer;
		int users;
	} *held = NULL;
	size_t n = 0, count = 0;

	/* Held while told about, without the lock: fn may ask for the status, which needs the I/O thread. */
	am_lock(&set->lock);
	for (struct am_informer *i = set->first; i != NULL; i = i->next)
		count++;
	held = am_xcalloc(count, sizeof(*held));
	for (struct am_informer *i = set->first; i != NULL; i = i->next)
		held[n++] = (struct held){ i, i->users++ };
	am_unlock(&set->lock);
	for (size_t i = 0; i < n; i++) {
		fn(arg, held[i].informer, held[i].users);
		am_informer_put(held[i].informer);
	}
	free(held);
}

void
am_informers_retry(struct am_informers *set)
{
	am_lock(&set->lock);
	for (struct am_informer *i = set->first; i != NULL; i = i->next) {
		if (i->reflector != NULL)
			am_reflector_retry(i->reflector);
	}
	am_unlock(&set->lock);
}
