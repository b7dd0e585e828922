/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, pages, selectors and watches: the rows of kube-api.md section 4 that do not need HTTP. */
#include "plugins/standalone/apiserver/engine_priv.h"
#include "tests/unit/apiserver.h"

#define CM "v1/configmaps"

static struct fixture f;
static const struct am_resource *res;

static void
open_all(void)
{
	f = (struct fixture){ .clock = am_clock_fake_new(), .ring = 64 };
	fixture_open(&f);
	make_widgets(&f);
	res = resource(&f, CM);
}

static void
done(void)
{
	am_resource_unref(res);
	fixture_close(&f);
}

static void
make(const char *name, const char *labels)
{
	ck_assert_int_eq(create(&f, CM, "default", "{\"metadata\":{\"name\":\"%s\",\"labels\":{%s}}}", name, labels), 201);
}

static int
list(struct am_list *l, struct am_list_query q)
{
	am_failure_fini(&f.failure);
	return am_engine_list(f.engine, res, "default", &q, l, &f.failure) < 0 ? f.failure.code : 200;
}

#define LIST(...) ((struct am_list_query){ .send_initial_events = -1, __VA_ARGS__ })

/* The names of the selected objects, joined by spaces. */
static const char *
names(const char *labels, const char *fields)
{
	static char text[512];
	struct am_list l;

	text[0] = '\0';
	if (list(&l, LIST(.label_selector = labels, .field_selector = fields)) != 200)
		return f.failure.message;
	for (size_t i = 0; i < l.n; i++) {
		strcat(text, i > 0 ? " " : "");
		strcat(text, l.items[i]->name);
	}
	am_list_fini(&l);
	return text;
}

START_TEST(row_053_054_055_057)
{
	struct am_list l;

	make("x", "\"a\":\"b\"");
	make("y", "\"a\":\"c\"");
	make("z", "\"q\":\"1\"");
	ck_assert_str_eq(names("a=b", NULL), "x");
	ck_assert_str_eq(names("a==b", NULL), "x");
	ck_assert_str_eq(names("a!=b", NULL), "y z");
	ck_assert_str_eq(names("a in (b, c)", NULL), "x y");
	ck_assert_str_eq(names("a notin (b)", NULL), "y z");
	ck_assert_str_eq(names("!a", NULL), "z");
	ck_assert_str_eq(names("a", NULL), "x y");
	ck_assert_str_eq(names("a,a!=c", NULL), "x");
	ck_assert_str_eq(names("q>0", NULL), "z");
	ck_assert_str_eq(names(NULL, "metadata.name=y"), "y");
	ck_assert_str_eq(names(NULL, "metadata.name!=y"), "x z");
	ck_assert_str_eq(names("a", "metadata.namespace=default,metadata.name==x"), "x");
	static const char *const bad[] = { "a==b==", ",,", "a in", "a in (", "a in b", "=x", "a=$", "a b", "a=b,", "!a=b", "(" };
	for (size_t i = 0; i < AM_COUNTOF(bad); i++)
		ck_assert_msg(list(&l, LIST(.label_selector = bad[i])) == 400, "%s", bad[i]);
	ck_assert_int_eq(list(&l, LIST(.field_selector = "spec.size=3")), 400);
	ck_assert_str_eq(f.failure.message, "field label not supported: spec.size");
	ck_assert_int_eq(list(&l, LIST(.field_selector = "nonsense")), 400);
}
END_TEST

START_TEST(row_056)
{
	struct am_list l;

	am_resource_unref(res);
	res = resource(&f, WIDGET_KIND);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":"
				"{\"name\":\"m\"},\"spec\":{\"mode\":\"a\"}}"), 201);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":"
				"{\"name\":\"n\"},\"spec\":{}}"), 201);
	ck_assert_str_eq(names(NULL, "spec.mode=a"), "m");
	ck_assert_str_eq(names(NULL, "spec.mode!=a"), "n");
	ck_assert_int_eq(list(&l, LIST(.field_selector = "spec.size=3")), 400);
}
END_TEST

START_TEST(row_048_051_058_059_060_061)
{
	struct am_list l;
	char big[32];

	ck_assert_int_eq(list(&l, LIST()), 200);
	ck_assert_uint_eq(l.n, 0);
	ck_assert_uint_eq(l.rv, am_engine_rv(f.engine));
	am_list_fini(&l);
	ck_assert_int_eq(list(&l, LIST(.resource_version_match = "Exact")), 422);
	ck_assert_int_eq(list(&l, LIST(.resource_version_match = "Exact", .resource_version = "0")), 422);
	ck_assert_int_eq(list(&l, LIST(.resource_version_match = "Foo", .resource_version = "1")), 422);
	ck_assert_int_eq(list(&l, (struct am_list_query){ .send_initial_events = 1 }), 422);
	ck_assert_int_eq(list(&l, LIST(.resource_version = "abc")), 400);
	ck_assert_int_eq(list(&l, LIST(.resource_version = "1", .resource_version_match = "Exact")), 410);
	snprintf(big, sizeof(big), "%llu", (unsigned long long)am_engine_rv(f.engine) + 1000000);
	ck_assert_int_eq(list(&l, LIST(.resource_version = big)), 504);
	ck_assert_str_eq(f.failure.causes[0].reason, "ResourceVersionTooLarge");
	ck_assert_int_eq(f.failure.retry_after, 1);
}
END_TEST

static void
make_forty(void)
{
	char name[16];

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%02d", i);
		make(name, "");
	}
}

START_TEST(row_065_066_067_068_069_070)
{
	struct am_list l, page;

	make_forty();
	ck_assert_int_eq(list(&l, LIST(.limit = 10)), 200);
	ck_assert_uint_eq(l.n, 10);
	ck_assert_int_eq(l.remaining, 30);
	ck_assert_int_eq(list(&page, LIST(.cont = l.cont, .resource_version = "5")), 400);
	ck_assert_int_eq(list(&page, LIST(.cont = "Z2FyYmFnZQ")), 400);
	make("zzz", "");
	ck_assert_int_eq(delete(&f, CM, "default", "n20", (struct am_delete_options){ .grace = -1 }), 200);
	uint64_t rv = l.rv;
	char *cont = am_xstrdup(l.cont);
	int seen = 10, next = 10;
	am_list_fini(&l);
	while (cont != NULL) {
		ck_assert_int_eq(list(&page, LIST(.cont = cont, .limit = 10)), 200);
		ck_assert_uint_eq(page.rv, rv);
		for (size_t i = 0; i < page.n; i++) {
			char want[16];
			snprintf(want, sizeof(want), "n%02d", next++);
			ck_assert_str_eq(page.items[i]->name, want);
		}
		seen += (int)page.n;
		free(cont);
		cont = page.cont;
		page.cont = NULL;
		am_list_fini(&page);
	}
	ck_assert_int_eq(seen, 40);
	ck_assert_int_eq(list(&l, LIST(.limit = 5, .label_selector = "!x")), 200);
	ck_assert_int_eq(l.remaining, -1);
	ck_assert(l.cont != NULL);
	am_list_fini(&l);
}
END_TEST

START_TEST(row_071)
{
	struct am_list l, rest;

	make_forty();
	ck_assert_int_eq(list(&l, LIST(.limit = 10)), 200);
	make("zzz", "");
	ck_assert_int_eq(am_engine_compact(f.engine, 0, NULL), 0);
	ck_assert_int_eq(list(&rest, LIST(.cont = l.cont)), 410);
	ck_assert_str_eq(f.failure.reason, "Expired");
	char *cont = am_xstrdup(f.failure.cont);
	ck_assert(cont != NULL);
	ck_assert_int_eq(list(&rest, LIST(.cont = cont)), 200);
	ck_assert_uint_eq(rest.n, 31);
	ck_assert_uint_gt(rest.rv, l.rv);
	free(cont);
	am_list_fini(&rest);
	am_list_fini(&l);
}
END_TEST

/* ---- watches ---- */

static int woken;

static void
wake(void *arg)
{
	woken++;
}

static struct am_watch *
watch(struct am_list_query q)
{
	struct am_watch *w = NULL;

	am_failure_fini(&f.failure);
	am_engine_watch(f.engine, res, "default", &q, wake, NULL, &w, &f.failure);
	return w;
}

static struct am_watch *
watch_from(uint64_t rv, const char *labels)
{
	static char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)rv);
	return watch(LIST(.resource_version = text, .label_selector = labels));
}

/* "ADDED x", or "" when nothing is there, "GONE". */
static const char *
next(struct am_watch *w)
{
	static char text[4][128];
	static int turn;
	static const char *const types[] = { "ADDED", "MODIFIED", "DELETED", "END" };
	struct am_event event;
	char *ret = text[turn++ % 4];

	am_failure_fini(&f.failure);
	int rc = am_watch_next(w, &event, &f.failure);
	if (rc <= 0)
		return rc == 0 ? "" : "GONE";
	snprintf(ret, sizeof(text[0]), "%s %s", types[event.type], event.object != NULL ? event.object->name : "");
	return ret;
}

START_TEST(row_126_127_131_139)
{
	uint64_t rv = am_engine_rv(f.engine);
	struct am_watch *w = watch_from(rv, NULL);

	ck_assert_str_eq(next(w), "");
	woken = 0;
	make("x", "");
	ck_assert_int_eq(woken, 1);
	uint64_t first = am_engine_rv(f.engine);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "x", NULL, "{\"data\":{\"k\":\"v\"}}"), 200);
	ck_assert_int_eq(woken, 1);
	ck_assert_int_eq(delete(&f, CM, "default", "x", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert_str_eq(next(w), "ADDED x");
	ck_assert_str_eq(next(w), "MODIFIED x");
	ck_assert_str_eq(next(w), "DELETED x");
	ck_assert_str_eq(next(w), "");
	ck_assert_uint_eq(am_watch_rv(w), am_engine_rv(f.engine));
	am_watch_close(w);
	w = watch_from(first, NULL);
	ck_assert_str_eq(next(w), "MODIFIED x");
	am_watch_close(w);
	make("y", "");
	make("z", "");
	w = watch(LIST());
	ck_assert_str_eq(next(w), "ADDED y");
	ck_assert_str_eq(next(w), "ADDED z");
	ck_assert_str_eq(next(w), "");
	am_watch_close(w);
	w = watch(LIST(.field_selector = "metadata.name=z"));
	ck_assert_str_eq(next(w), "ADDED z");
	ck_assert_str_eq(next(w), "");
	am_watch_close(w);
}
END_TEST

START_TEST(row_129)
{
	struct am_watch *w = watch_from(am_engine_rv(f.engine), "l=1");
	struct am_event event;

	make("x", "\"l\":\"1\"");
	make("other", "");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "x", NULL, "{\"metadata\":{\"labels\":{\"l\":\"2\"}}}"), 200);
	uint64_t rv = f.written.object->rv;
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "x", NULL, "{\"data\":{\"k\":\"v\"}}"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "x", NULL, "{\"metadata\":{\"labels\":{\"l\":\"1\"}}}"), 200);
	ck_assert_str_eq(next(w), "ADDED x");
	ck_assert_int_eq(am_watch_next(w, &event, &f.failure), 1);
	ck_assert_int_eq(event.type, AM_EVENT_DELETED);
	ck_assert_uint_eq(event.object->rv, rv);
	ck_assert_str_eq(at(event.object, "/metadata/labels/l"), "\"1\"");
	ck_assert_str_eq(next(w), "ADDED x");
	ck_assert_str_eq(next(w), "");
	am_watch_close(w);
}
END_TEST

START_TEST(row_132_136_137_138_and_a_slow_one)
{
	struct am_watch *w = watch_from(1, NULL), *slow;

	ck_assert_str_eq(next(w), "GONE");
	ck_assert_int_eq(f.failure.code, 410);
	ck_assert_str_eq(f.failure.reason, "Expired");
	am_watch_close(w);
	make("x", "");
	w = watch((struct am_list_query){ .send_initial_events = 1, .resource_version_match = "NotOlderThan" });
	ck_assert_str_eq(next(w), "ADDED x");
	ck_assert_str_eq(next(w), "END ");
	ck_assert_str_eq(next(w), "");
	ck_assert(watch((struct am_list_query){ .send_initial_events = 1 }) == NULL);
	ck_assert_int_eq(f.failure.code, 422);
	ck_assert(watch(LIST(.resource_version_match = "NotOlderThan")) == NULL);
	ck_assert_int_eq(f.failure.code, 422);
	slow = watch_from(am_engine_rv(f.engine), NULL);
	make_forty();
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(delete(&f, CM, "default", names(NULL, "metadata.name!=x")[0] != '\0' ? strtok((char *)(uintptr_t)
			names(NULL, "metadata.name!=x"), " ") : "", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert_str_eq(next(slow), "GONE");
	am_watch_close(slow);
	am_watch_close(w);
}
END_TEST

START_TEST(row_128_208_resume_after_restart)
{
	uint64_t rv = am_engine_rv(f.engine);

	make("x", "\"l\":\"1\"");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "x", NULL, "{\"metadata\":{\"labels\":{\"l\":\"2\"}}}"), 200);
	ck_assert_int_eq(delete(&f, CM, "default", "x", (struct am_delete_options){ .grace = -1 }), 200);
	uint64_t last = am_engine_rv(f.engine);
	fixture_clear(&f);
	am_resource_unref(res);
	am_engine_close(f.engine);
	fixture_reopen(&f);
	res = resource(&f, CM);
	ck_assert_uint_ge(am_engine_rv(f.engine), last);
	struct am_watch *w = watch_from(rv, NULL);
	ck_assert_str_eq(next(w), "ADDED x");
	ck_assert_str_eq(next(w), "MODIFIED x");
	ck_assert_str_eq(next(w), "DELETED x");
	ck_assert_str_eq(next(w), "");
	am_watch_close(w);
	w = watch_from(rv, "l=1");
	ck_assert_str_eq(next(w), "ADDED x");
	ck_assert_str_eq(next(w), "DELETED x");
	ck_assert_str_eq(next(w), "");
	am_watch_close(w);
}
END_TEST

/* The ring of 64 is long over it: what it has no more comes from the log, selectors and all, until that is trimmed. */
START_TEST(a_watch_begins_in_the_log)
{
	char name[16], rv[32];
	struct ambient_error err = AMBIENT_ERROR_INIT;

	make("first", "");
	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)am_engine_rv(f.engine));
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		make(name, "\"pick\":\"yes\"");
		ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", name, NULL, "{\"metadata\":{\"labels\":{\"pick\":\"no\"}}}"), 200);
		ck_assert_int_eq(delete(&f, CM, "default", name, (struct am_delete_options){ .grace = -1 }), 200);
	}
	for (int turn = 0; turn < 2; turn++) {
		struct am_watch *w = NULL;
		struct am_event event;
		uint64_t last = 0;
		int seen[3] = { 0 }, n;
		ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &LIST(.resource_version = rv, .label_selector = "pick=yes"), NULL,
						 NULL, &w, &f.failure), 0);
		while ((n = am_watch_next(w, &event, &f.failure)) == 1) {
			ck_assert_uint_gt(event.rv, last);
			last = event.rv;
			seen[event.type]++;
		}
		ck_assert_int_eq(n, 0);
		/* The second turn sees what the first one made and deleted. */
		ck_assert_int_eq(seen[AM_EVENT_ADDED], 100 + turn);
		ck_assert_int_eq(seen[AM_EVENT_MODIFIED], 0);
		ck_assert_int_eq(seen[AM_EVENT_DELETED], 100 + turn);
		make("live", "\"pick\":\"yes\"");
		ck_assert_int_eq(am_watch_next(w, &event, &f.failure), 1);
		ck_assert_str_eq(event.object->name, "live");
		ck_assert_int_eq(am_watch_next(w, &event, &f.failure), 0);
		ck_assert_int_eq(delete(&f, CM, "default", "live", (struct am_delete_options){ .grace = -1 }), 200);
		am_watch_close(w);
		fixture_clear(&f);
		am_resource_unref(res);
		am_engine_close(f.engine);
		fixture_reopen(&f);
		res = resource(&f, CM);
	}
	ck_assert_int_eq(am_engine_compact(f.engine, 0, &err), 0);
	struct am_watch *w = NULL;
	struct am_event event;
	ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &LIST(.resource_version = rv), NULL, NULL, &w, &f.failure), 0);
	ck_assert_int_eq(am_watch_next(w, &event, &f.failure), -AMBIENT_E_GONE);
	ck_assert_int_eq(f.failure.code, 410);
	am_watch_close(w);
}
END_TEST

/* The work of 1,000 watchers is theirs: each sees every write in order, whatever one does that never looks. */
START_TEST(row_207)
{
	static struct am_watch *watches[1000], *slow;
	static uint64_t seen[AM_COUNTOF(watches)];
	struct am_list_query q = LIST(.resource_version = NULL);
	char rv[24], name[32];
	struct am_event event;

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)am_engine_rv(f.engine));
	q.resource_version = rv;
	ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &q, NULL, NULL, &slow, &f.failure), 0);
	for (size_t i = 0; i < AM_COUNTOF(watches); i++)
		ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &q, NULL, NULL, &watches[i], &f.failure), 0);
	for (int round = 0; round < 8; round++) {
		for (int k = 0; k < 50; k++) {
			snprintf(name, sizeof(name), "w-%d-%d", round, k);
			make(name, "");
		}
		for (size_t i = 0; i < AM_COUNTOF(watches); i++)
			for (int k = 0; k < 50; k++) {
				ck_assert_int_eq(am_watch_next(watches[i], &event, &f.failure), 1);
				snprintf(name, sizeof(name), "w-%d-%d", round, k);
				ck_assert_str_eq(event.object->name, name);
				ck_assert(event.rv > seen[i]);
				seen[i] = event.rv;
			}
	}
	for (size_t i = 0; i < AM_COUNTOF(watches); i++) {
		ck_assert_int_eq(am_watch_next(watches[i], &event, &f.failure), 0);
		am_watch_close(watches[i]);
	}
	int n = 0, rc;
	while ((rc = am_watch_next(slow, &event, &f.failure)) == 1)
		n++;
	/* Told that it fell behind, or given all of it from the log: never a gap. */
	ck_assert(rc == -AMBIENT_E_GONE || (rc == 0 && n == 400));
	am_watch_close(slow);
}
END_TEST

static struct am_watch *
watch_all(uint64_t rv)
{
	struct am_watch *w = NULL;
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)rv);
	ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &LIST(.resource_version = text), NULL, NULL, &w, &f.failure), 0);
	return w;
}

static int
count(struct am_watch *w)
{
	struct am_event event;
	int n = 0, rc;

	while ((rc = am_watch_next(w, &event, &f.failure)) == 1)
		n++;
	return rc == 0 ? n : rc;
}

/* Writes another 16 KiB into the same object, n times; who watches along has seen each before the next. */
static void
rewrite(const char *name, int n, struct am_watch *along)
{
	static char big[16384];

	memset(big, 'x', sizeof(big) - 1);
	for (int i = 0; i < n; i++) {
		ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", name, NULL, "{\"data\":{\"k\":\"%d%s\"}}", i, big), 200);
		if (along != NULL)
			ck_assert_int_eq(count(along), 1);
	}
}

/* Versions of large objects that every watch has read are not kept in memory; those that one has not, are. */
START_TEST(history_is_bounded_by_its_size_too)
{
	const struct am_ring *ring = NULL;

	done();
	f = (struct fixture){ .clock = am_clock_fake_new(), .ring = 4096 };
	fixture_open(&f);
	res = resource(&f, CM);
	make("large", "");
	for (const struct am_store *s = f.engine->stores; s != NULL; s = s->next)
		ring = strcmp(s->plural, "configmaps") == 0 ? &s->ring : ring;
	ck_assert_ptr_nonnull(ring);
	uint64_t first = am_engine_rv(f.engine);
	struct am_watch *along = watch_all(first);
	rewrite("large", 200, along);
	ck_assert_uint_le(ring->bytes, AM_RING_BYTES + AM_RING_BYTES / 4);
	ck_assert_uint_ge(ring->head - ring->tail, AM_RING_KEEP / 2);
	/* Nobody is told that it is gone: the log has it. */
	struct am_watch *late = watch_all(first);
	ck_assert_int_eq(count(late), 200);
	am_watch_close(late);
	struct am_watch *slow = watch_all(am_engine_rv(f.engine));
	rewrite("large", 400, along);
	ck_assert_uint_gt(ring->bytes, 2 * AM_RING_BYTES);
	ck_assert_int_eq(count(slow), 400);
	rewrite("large", 20, along);
	ck_assert_int_eq(count(slow), 20);
	rewrite("large", 20, NULL);
	am_watch_close(slow);
	am_watch_close(along);
	rewrite("large", 20, NULL);
	ck_assert_uint_le(ring->bytes, AM_RING_BYTES + AM_RING_BYTES / 4);
}
END_TEST

static const char *
uid_of(const char *name)
{
	return stored(&f, "", "configmaps", "default", name, "/metadata/uid");
}

START_TEST(row_209)
{
	struct am_list l;

	make("a", "");
	uint64_t before = am_engine_rv(f.engine);
	am_clock_fake_set_wall(f.clock, am_clock_wall(f.clock) - 3600 * AM_NS_PER_S);
	char now[32], wanted[64];
	am_time_format(now, am_clock_wall(f.clock), false);
	make("b", "");
	ck_assert(am_engine_rv(f.engine) > before);
	ck_assert_str_ne(uid_of("a"), uid_of("b"));
	snprintf(wanted, sizeof(wanted), "\"%s\"", now);
	ck_assert_str_eq(stored(&f, "", "configmaps", "default", "b", "/metadata/creationTimestamp"), wanted);
	ck_assert_int_eq(list(&l, LIST(.limit = 0)), 200);
	ck_assert_uint_eq(l.n, 2);
	ck_assert(l.rv == am_engine_rv(f.engine));
	am_list_fini(&l);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, row_207);
	tcase_add_test(tc, row_209);
	tcase_add_test(tc, history_is_bounded_by_its_size_too);
	tcase_add_test(tc, a_watch_begins_in_the_log);
	tcase_add_test(tc, row_053_054_055_057);
	tcase_add_test(tc, row_056);
	tcase_add_test(tc, row_048_051_058_059_060_061);
	tcase_add_test(tc, row_065_066_067_068_069_070);
	tcase_add_test(tc, row_071);
	tcase_add_test(tc, row_126_127_131_139);
	tcase_add_test(tc, row_129);
	tcase_add_test(tc, row_132_136_137_138_and_a_slow_one);
	tcase_add_test(tc, row_128_208_resume_after_restart);
}

UNIT_MAIN("apiserver_watch", cases)
