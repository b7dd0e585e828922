/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of watches over a real socket share: one informer of configmaps, and the words of its API server. */
#ifndef TESTS_FUNC_WATCH_H
#define TESTS_FUNC_WATCH_H

#include "tests/func/client.h"

#include <unistd.h>

#include "core/cache/cache.h"

static struct am_informers *informers;
static struct am_informer *informer;
static struct am_subscription *subscription;
static _Atomic int deleted, missed;
static int64_t step = S / 20; /* of the clock for each real millisecond; bytes in flight must not look like silence */

static am_unused_ void
on_change(void *arg, const struct am_change *change)
{
	(void)arg;
	if (change->after == NULL)
		deleted++;
	if (change->after == NULL && change->missed)
		missed++;
}

#define MAP(name, rv)                                                                                                  \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"" name "\",\"resourceVersion\":\"" rv "\"" \
														  "}}"
#define OBJ(name, rv)                                                                                                  \
	"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name                                 \
	"\",\"namespace\":\"n\",\"uid\":\"" name "\",\"resourceVersion\":\"" rv "\"}}"
#define LIST(rv, items)                                                                                                \
	"{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv                    \
	"\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define GONE                "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"Expired\",\"message\":\"too old\",\"code\":410}"

static am_unused_ void
list(int times, int status, const char *body, unsigned flags)
{
	rule("GET", "/api/v1/configmaps*", times, status, NULL, body, flags);
}

static am_unused_ void
watch(int times, int status, const char *body, unsigned flags)
{
	rule("GET", "/api/v1/configmaps*watch=true*", times, status, NULL, body, flags);
}

static struct am_informers_options streaming;
static const char *only;

static am_unused_ void
begin_watch(void)
{
	struct am_informer_spec spec = {.kind = "v1/configmaps", .only = only};

	open_kube(config_of(fake_api_url(api)), -1, 0);
	informers = am_informers_new(am_kube_io(kube));
	am_informers_configure(informers, &streaming);
	ck_assert_int_eq(am_informer_get(informers, &spec, &informer, NULL), 0);
	subscription = am_informer_subscribe(informer, on_change, NULL);
}

static am_unused_ void
end_watch(void)
{
	am_informer_unsubscribe(subscription);
	am_informer_put(informer);
	am_informers_free(informers);
	end();
}

static am_unused_ const char *
rv_of(const char *name)
{
	static char rv[32];
	struct am_object *object = am_store_get(am_informer_store(informer), "n", name);

	(void)am_strlcpy(rv, object != NULL ? object->rv : "", sizeof(rv));
	am_object_unref(object);
	return rv;
}

/* Until the store holds name at that version ("": does not hold it) and so many requests were made. */
static am_unused_ void
wait_for(const char *name, const char *rv, int requests)
{
	for (int i = 0; i < 20000; i++) {
		if (strcmp(rv_of(name), rv) == 0 && fake_api_count(api) >= requests && am_informer_has_synced(informer))
			return;
		am_clock_fake_advance(fake, step);
		(void)usleep(1000);
	}
	ck_abort_msg("\"%s\" is at \"%s\", not \"%s\"; %d requests", name, rv_of(name), rv, fake_api_count(api));
}

static am_unused_ bool
asks(int i, const char *what)
{
	return strstr(fake_api_request(api, i)->path, what) != NULL;
}

/* A watch that breaks in this way after an event goes on behind that event, and nothing is listed again. */
static am_unused_ void
breaks(const char *tail, unsigned how)
{
	am_auto(am_freep) char *body = am_xasprintf("%s%s", EVENT("ADDED", OBJ("b", "11")), tail);

	begin(FAKE_API_PLAIN);
	watch(1, 200, body, how);
	watch(0, 200, EVENT("MODIFIED", OBJ("b", "12")), FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	begin_watch();
	wait_for("b", "12", 3);
	ck_assert_int_eq(fake_api_count(api), 3);
	ck_assert(asks(2, "watch=true") && asks(2, "resourceVersion=11"));
	ck_assert_str_eq(rv_of("a"), "9");
	end_watch();
	ck_assert_int_eq(deleted, 0);
}

#endif
