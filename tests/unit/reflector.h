/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the reflector share: one reflector on fake I/O, and the words of its API server. */
#ifndef TESTS_UNIT_REFLECTOR_H
#define TESTS_UNIT_REFLECTOR_H

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/cache/cache_priv.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/unit.h"

#define S AM_NS_PER_S

static struct am_clock *test_clock;
static struct am_io *io;
static struct am_store *store;
static struct am_reflector *r;
static struct am_buf told;
static am_unused_ int syncs;

static am_unused_ void
note(void *arg, const struct am_change *change)
{
	am_buf_addf(&told, "%s:%s>%s%s%s ", change->name, change->before != NULL ? change->before->rv : "-",
		    change->after != NULL ? change->after->rv : "-", change->initial ? "i" : "", change->missed ? "m" : "");
}

static am_unused_ void
synced(void *arg)
{
	syncs++;
}

static am_unused_ void
make(const struct am_reflector_options *options)
{
	struct am_reflector_options o = options != NULL ? *options : (struct am_reflector_options){ 0 };

	am_reflector_free(r);
	o.path = "/api/v1/pods";
	o.api_version = "v1";
	o.change = note;
	o.synced = synced;
	r = am_reflector_new(io, store, &o);
}

static am_unused_ void
setup(void)
{
	am_log_set_level(AMBIENT_LOG_ERROR);
	test_clock = am_clock_fake_new();
	io = fake_io_new(test_clock);
	store = am_store_new(test_clock);
	make(NULL);
}

static am_unused_ void
teardown(void)
{
	am_reflector_free(r);
	fake_io_free(io);
	am_store_free(store);
	am_clock_fake_free(test_clock);
	am_buf_fini(&told);
}

static am_unused_ void
check_told(const char *expected)
{
	ck_assert_str_eq(am_buf_str(&told), expected);
	am_buf_reset(&told);
}

/* A PodList; names is a word list, each object has the list's version. */
static am_unused_ char *
list_text(const char *rv, const char *next, const char *names)
{
	struct am_buf b = { 0 };
	bool first = true;

	am_buf_addf(&b, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"%s\"", rv);
	if (next != NULL)
		am_buf_addf(&b, ",\"continue\":\"%s\",\"remainingItemCount\":3", next);
	am_buf_adds(&b, "},\"items\":[");
	for (const char *p = names; *p != '\0'; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		am_buf_addf(&b, "%s{\"metadata\":{\"name\":\"%.*s\",\"uid\":\"u\",\"resourceVersion\":\"%s\"}}", first ? "" : ",",
			    (int)n, p, rv);
		first = false;
		p += n;
	}
	am_buf_adds(&b, "]}\n");
	return am_buf_steal(&b, NULL);
}

static am_unused_ void
answer_list(const char *rv, const char *next, const char *names)
{
	char *text = list_text(rv, next, names);

	fake_io_answer(io, 200, text);
	free(text);
}

static am_unused_ void
event(const char *type, const char *name, const char *rv)
{
	char *text = am_xasprintf("{\"type\":\"%s\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\","
				  "\"uid\":\"u\",\"resourceVersion\":\"%s\"}}}\n", type, name, rv);

	fake_io_data(io, text);
	free(text);
}

static am_unused_ void
error_event(int code, const char *reason)
{
	char *text = am_xasprintf("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
				  "\"status\":\"Failure\",\"message\":\"scripted\",\"reason\":\"%s\",\"code\":%d}}\n", reason, code);

	fake_io_data(io, text);
	free(text);
}

static am_unused_ void
refuse(int code, const char *reason)
{
	char *text = am_xasprintf("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
				  "\"message\":\"scripted\",\"reason\":\"%s\",\"code\":%d}", reason, code);

	fake_io_answer(io, code, text);
	free(text);
}

static am_unused_ void
check_watching(const char *rv)
{
	ck_assert_uint_eq(fake_io_open(io), 1);
	ck_assert(fake_io_last(io)->watch);
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "resourceVersion"), rv);
}

static am_unused_ void
check_listing(const char *rv)
{
	const char *asked;

	ck_assert_uint_eq(fake_io_open(io), 1);
	ck_assert(!fake_io_last(io)->watch);
	asked = fake_query(fake_io_last(io)->path, "resourceVersion");
	ck_assert_str_eq(asked != NULL ? asked : "", rv);
}

/* Waits out a backoff and returns it in milliseconds. */
static am_unused_ int
backoff(void)
{
	ck_assert_uint_eq(fake_io_open(io), 0);
	ck_assert_uint_eq(fake_io_timers(io), 1);
	return (int)(fake_io_next_timer(io) / AM_NS_PER_MS);
}

static am_unused_ void
start_watching(const char *names)
{
	am_reflector_start(r);
	answer_list("10", NULL, names);
	fake_io_head(io, 200);
	check_watching("10");
}

static am_unused_ void
end_after(int64_t ns)
{
	fake_io_advance(io, ns);
	fake_io_end(io);
}

/* ---- the plain way */

#endif
