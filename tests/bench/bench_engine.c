/* SPDX-License-Identifier: Apache-2.0 */
/* The API server's engine without HTTP: creates, updates, lists, gets, fan-out, start.  Prints a table. */
#include <sys/resource.h>

#include "core/base/lock.h"
#include "tests/unit/apiserver.h"

#define OBJECTS 10000

static struct fixture f;
static const struct am_resource *res;
static char padding[1800];
static int generation;

static double
now(void)
{
	return (double)am_clock_boot(am_clock_real()) / 1e9;
}

struct job {
	int from, to;
	enum am_verb verb;
};

static void
work(void *arg)
{
	const struct job *job = arg;
	char body[2400], name[24];

	for (int i = job->from; i < job->to; i++) {
		struct am_failure failure = { 0 };
		struct am_written written;
		snprintf(name, sizeof(name), "object-%06d", i);
		snprintf(body, sizeof(body), "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\",\"labels\":{"
			 "\"app\":\"a%d\"}},\"data\":{\"v\":\"%d\",\"p\":\"%s\"}}", name, i % 10, generation, padding);
		struct am_write write = { .verb = job->verb, .res = res, .ns = "default", .body = am_slice_of(body),
					  .name = job->verb == AM_VERB_CREATE ? NULL : name };
		ck_assert_int_eq(am_engine_write(f.engine, &write, &written, &failure), 0);
		am_written_fini(&written);
	}
}

static void
writes(const char *what, int threads, enum am_verb verb, int from, int count)
{
	struct am_thread *t[64];
	struct job jobs[64];
	double start = now();

	generation++;
	for (int i = 0; i < threads; i++) {
		jobs[i] = (struct job){ from + count / threads * i, from + count / threads * (i + 1), verb };
		t[i] = am_thread_new("bench", 0, work, &jobs[i]);
	}
	for (int i = 0; i < threads; i++)
		am_thread_join(t[i]);
	printf("%-34s %10.0f /s\n", what, count / (now() - start));
}

static void
lists(const char *what, struct am_list_query q, int rounds)
{
	size_t n = 0, bytes = 0;
	double start = now();

	for (int i = 0; i < rounds; i++) {
		struct am_list list;
		ck_assert_int_eq(am_engine_list(f.engine, res, "default", &q, &list, &f.failure), 0);
		n = list.n;
		struct am_buf out = { 0 };
		for (size_t k = 0; k < list.n; k++)
			am_object_print(list.items[k], res, &out);
		bytes = out.len;
		am_buf_fini(&out);
		am_list_fini(&list);
	}
	printf("%-34s %10.2f ms   (%zu objects, %zu bytes)\n", what, (now() - start) * 1e3 / rounds, n, bytes);
}

static void
gets(void)
{
	double start = now();

	for (int i = 0; i < 200000; i++) {
		char name[24];
		snprintf(name, sizeof(name), "object-%06d", i * 7919 % OBJECTS);
		am_object_unref(am_engine_get(f.engine, res, "default", name, NULL, &f.failure));
	}
	printf("%-34s %10.2f us\n", "get", (now() - start) * 1e6 / 200000);
}

static void
fan_out(int watchers)
{
	struct am_watch *w[1000];
	struct am_list_query q = { .send_initial_events = -1, .resource_version = "" };
	char rv[32];
	struct am_event event;
	size_t n = 0;

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)am_engine_rv(f.engine));
	q.resource_version = rv;
	for (int i = 0; i < watchers; i++)
		ck_assert_int_eq(am_engine_watch(f.engine, res, NULL, &q, NULL, NULL, &w[i], &f.failure), 0);
	writes("update with that many watches", 8, AM_VERB_UPDATE, 0, 2000);
	double start = now();
	for (int i = 0; i < watchers; i++) {
		while (am_watch_next(w[i], &event, &f.failure) > 0)
			n++;
		am_watch_close(w[i]);
	}
	printf("%-34s %10.0f /s   (%zu events)\n", "events handed out", (double)n / (now() - start), n);
}

START_TEST(bench)
{
	struct rusage usage;

	memset(padding, 'x', sizeof(padding) - 1);
	f = (struct fixture){ .janitor = true, .ring = 4096 };
	fixture_open(&f);
	res = resource(&f, "v1/configmaps");
	writes("create, 1 client", 1, AM_VERB_CREATE, 0, 2000);
	writes("create, 16 clients", 16, AM_VERB_CREATE, 2000, 8000);
	writes("update, 16 clients", 16, AM_VERB_UPDATE, 0, 8000);
	lists("list all", (struct am_list_query){ .send_initial_events = -1 }, 20);
	lists("list by label", (struct am_list_query){ .send_initial_events = -1, .label_selector = "app=a3" }, 20);
	lists("list a page of 500", (struct am_list_query){ .send_initial_events = -1, .limit = 500 }, 20);
	gets();
	fan_out(1000);
	am_resource_unref(res);
	fixture_clear(&f);
	am_engine_close(f.engine);
	double start = now();
	fixture_reopen(&f);
	printf("%-34s %10.0f ms\n", "start with 10,000 objects", (now() - start) * 1e3);
	getrusage(RUSAGE_SELF, &usage);
	printf("%-34s %10ld MiB\n", "resident at most", usage.ru_maxrss / 1024);
	fixture_close(&f);
}
END_TEST

/* What the group commit is worth: creates by one, 16 and 64 clients, with both durabilities. */
START_TEST(durability)
{
	static const int clients[] = { 1, 16, 64 };
	char what[64];

	memset(padding, 'x', sizeof(padding) - 1);
	for (int relaxed = 0; relaxed < 2; relaxed++) {
		f = (struct fixture){ .ring = 4096, .process_only = relaxed };
		fixture_open(&f);
		res = resource(&f, "v1/configmaps");
		for (int i = 0; i < 3; i++) {
			snprintf(what, sizeof(what), "create, \"%s\", %d client%s", relaxed ? "process" : "power", clients[i], i > 0 ? "s" : "");
			writes(what, clients[i], AM_VERB_CREATE, i * 6400, i == 0 ? 1280 : 6400);
		}
		am_resource_unref(res);
		fixture_close(&f);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, durability);
	tcase_add_test(tc, bench);
}

UNIT_MAIN("bench_engine", cases)
