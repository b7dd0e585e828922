/* SPDX-License-Identifier: Apache-2.0 */
/* The node's log endpoint over files as ambient-shim writes them: who may ask, what each parameter does, following. */
#include "plugins/standalone/node/node.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/fake_host.h"
#include "tests/lib/unit.h"

#define UID "0a0a0a0a-0000-4000-8000-000000000001"

struct ambient_http_request {
	const char *peer, *path;
	const char *query[8]; /* name, value, ... */
	int status, gone;
	pthread_mutex_t lock; /* of body, which a following handler writes in a thread */
	struct text body;
};

static struct fake_host *fake;
static char state_dir[64];

#include "tests/unit/node_http.h"

static int
http_listen(const struct ambient_host *host, const struct ambient_http_listen *options, ambient_http_handler_f *fn,
	    void *self, struct ambient_http_listener **ret, struct ambient_error *err)
{
	ck_assert_int_eq(options->self_signed, 1);
	ck_assert_str_eq(options->client_ca_pem, "CA");
	ck_assert_str_eq(options->address, "127.0.0.1");
	http_take(fn, self, ret);
	return 0;
}

static const char *
http_peer(const struct ambient_http_request *r)
{
	return r->peer;
}

static int
http_begin(struct ambient_http_request *r, int status, const char *type)
{
	r->status = status;
	return 0;
}

static int
http_write(struct ambient_http_request *r, const char *data, size_t len)
{
	pthread_mutex_lock(&r->lock);
	text_put(&r->body, data, len);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static int
http_gone(const struct ambient_http_request *r)
{
	return __atomic_load_n(&r->gone, __ATOMIC_ACQUIRE);
}

static const struct ambient_http_api http = {
	.size = sizeof(http), .listen = http_listen, .port = http_port, .close = http_close, .method = http_method,
	.path = http_path, .query = http_query, .peer_name = http_peer, .begin = http_begin, .write = http_write,
	.gone = http_gone,
};

static void
write_file(const char *name, const char *mode, const char *content)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/pods/" UID "/%s", state_dir, name);
	f = fopen(path, mode);
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(content, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void
begin(const char *log)
{
	char path[256], conf[PATH_MAX + 64];

	snprintf(state_dir, sizeof(state_dir), "/tmp/ambient-logs-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(state_dir));
	snprintf(path, sizeof(path), "%s/pods/" UID "/containers/c", state_dir);
	ck_assert_int_eq(make_dirs(path), 0);
	write_file("pod.json", "w", "{\"version\":1,\"namespace\":\"n\",\"name\":\"p\",\"uid\":\"" UID "\",\"accepted\":1,\"ip\":\"127.64.0.1\"}");
	write_file("state.jsonl", "w", "{\"t\":\"2026-01-01T00:00:00Z\",\"rec\":\"starting\",\"container\":\"c\",\"n\":0}\n");
	write_file("containers/c/0.log", "w", log);
	snprintf(conf, sizeof(conf), "{\"shim\":\"/bin/true\"}");
	fake = fake_host_new(&ambient_plugin_v1);
	fake_host_set_state_dir(fake, state_dir);
	fake_host_set_conf(fake, conf);
	fake_host_set_fact(fake, "cluster-ca", "CA");
	fake_host_table(fake)->http = &http;
	(void)fake_host_create(fake);
}

static void
end(void)
{
	fake_host_free(fake);
	(void)remove_tree(state_dir);
}

#define LOG "2025-12-31T23:59:00.000000000Z stdout F one\n" \
	    "2025-12-31T23:59:50.000000000Z stderr F two\n" \
	    "2025-12-31T23:59:55.500000000Z stdout P long-\n" \
	    "2025-12-31T23:59:55.600000000Z stdout F line\n"

/* query: up to four pairs. */
static const char *
get(const char *path, const char *const *query, int status)
{
	static struct ambient_http_request r;

	text_fini(&r.body);
	memset(&r, 0, sizeof(r));
	pthread_mutex_init(&r.lock, NULL);
	r.peer = "system:ambient:apiserver";
	r.path = path;
	for (int i = 0; i < 7 && query != NULL && query[i] != NULL; i++)
		r.query[i] = query[i];
	handler(handler_self, &r);
	ck_assert_int_eq(r.status, status);
	return text_str(&r.body);
}
#define Q(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define C "/containerLogs/n/p/c"

START_TEST(plain_and_each_parameter)
{
	begin(LOG);
	ck_assert_str_eq(get(C, NULL, 200), "one\ntwo\nlong-line\n");
	ck_assert_str_eq(get(C, Q("timestamps", "true"), 200),
			 "2025-12-31T23:59:00.000000000Z one\n2025-12-31T23:59:50.000000000Z two\n"
			 "2025-12-31T23:59:55.500000000Z long-line\n");
	ck_assert_str_eq(get(C, Q("tailLines", "2"), 200), "two\nlong-line\n");
	ck_assert_str_eq(get(C, Q("tailLines", "0"), 200), "");
	ck_assert_str_eq(get(C, Q("tailLines", "100"), 200), "one\ntwo\nlong-line\n");
	ck_assert_str_eq(get(C, Q("limitBytes", "6"), 200), "one\ntw");
	ck_assert_str_eq(get(C, Q("sinceSeconds", "10"), 200), "two\nlong-line\n");
	ck_assert_str_eq(get(C, Q("sinceTime", "2025-12-31T23:59:51Z"), 200), "long-line\n");
	ck_assert_str_eq(get(C, Q("sinceTime", "2026-01-01T01:59:51+02:00"), 200), "long-line\n");
	ck_assert_str_eq(get(C, Q("sinceSeconds", "10", "tailLines", "1", "limitBytes", "4"), 200), "long");
	ck_assert_str_eq(get(C, Q("stream", "All"), 200), "one\ntwo\nlong-line\n");
	ck_assert_str_eq(get(C, Q("stream", "Stdout"), 200), "one\nlong-line\n");
	ck_assert_str_eq(get(C, Q("stream", "Stderr", "timestamps", "true"), 200), "2025-12-31T23:59:50.000000000Z two\n");
	ck_assert_str_eq(get(C, Q("stream", "Stdout", "sinceSeconds", "5", "limitBytes", "6"), 200), "long-l");
	ck_assert_str_eq(get(C, Q("sinceTime", "2030-01-01T00:00:00Z"), 200), "");
	end();
}
END_TEST

START_TEST(bad_parameters)
{
	begin(LOG);
	(void)get(C, Q("tailLines", "-1"), 400);
	(void)get(C, Q("tailLines", "x"), 400);
	(void)get(C, Q("limitBytes", "0"), 400);
	(void)get(C, Q("sinceSeconds", "0"), 400);
	(void)get(C, Q("sinceTime", "yesterday"), 400);
	(void)get(C, Q("stream", "stdout"), 400);
	end();
}
END_TEST

START_TEST(who_may_ask)
{
	static struct ambient_http_request r = { .peer = "system:serviceaccount:n:default", .path = C };

	begin(LOG);
	handler(handler_self, &r);
	ck_assert_int_eq(r.status, 403);
	r.peer = NULL;
	handler(handler_self, &r);
	ck_assert_int_eq(r.status, 403);
	text_fini(&r.body);
	end();
}
END_TEST

START_TEST(what_is_not_there)
{
	begin(LOG);
	ck_assert_str_eq(get("/containerLogs/n/p/other", NULL, 400),
			 "container \"other\" in pod \"p\" is waiting to start: ContainerCreating");
	ck_assert_str_eq(get(C, Q("previous", "true"), 400), "previous terminated container \"c\" in pod \"p\" not found");
	(void)get("/containerLogs/n/p/..", NULL, 404);
	(void)get("/pods", NULL, 404);
	end();
}
END_TEST

START_TEST(previous_and_rotated_files)
{
	begin("2026-01-01T00:00:02.0Z stdout F three\n");
	write_file("containers/c/0.log.1", "w", "2026-01-01T00:00:01.0Z stdout F two\n");
	write_file("containers/c/0.log.2", "w", "2026-01-01T00:00:00.0Z stdout F one\n");
	ck_assert_str_eq(get(C, NULL, 200), "one\ntwo\nthree\n");
	ck_assert_str_eq(get(C, Q("tailLines", "2"), 200), "two\nthree\n");
	/* As kubelet: while the next instance is waited for, the one before it is the newest there is. */
	write_file("state.jsonl", "a", "{\"rec\":\"exit\",\"container\":\"c\",\"n\":0,\"code\":1}\n");
	(void)get(C, Q("previous", "true"), 400);
	write_file("state.jsonl", "a", "{\"rec\":\"waiting\",\"container\":\"c\",\"n\":1}\n{\"rec\":\"waiting\",\"container\":\"d\"}\n");
	ck_assert_str_eq(get(C, Q("previous", "true"), 200), "one\ntwo\nthree\n");
	ck_assert_str_eq(get(C, NULL, 200), "one\ntwo\nthree\n");
	write_file("state.jsonl", "a", "{\"rec\":\"starting\",\"container\":\"c\",\"n\":1}\n");
	write_file("containers/c/1.log", "w", "2026-01-01T00:00:03.0Z stdout F again\n");
	ck_assert_str_eq(get(C, NULL, 200), "again\n");
	ck_assert_str_eq(get(C, Q("previous", "true"), 200), "one\ntwo\nthree\n");
	end();
}
END_TEST

/* ---- where reading begins ---- */

#define LINES 3000
#define FILES 3

/* A log in three files, of lines of all lengths, parts of lines and two streams. */
static struct made_line {
	char stamp[40], stream, *text;
	bool whole;
} made[LINES];

static unsigned
random_below(unsigned below)
{
	static uint32_t state = 12345;

	state = state * 1664525 + 1013904223;
	return (state >> 8) % below;
}

static void
make_lines(void)
{
	for (size_t i = 0; i < LINES; i++) {
		unsigned len = random_below(50) == 0 ? random_below(16 << 10) : random_below(80);
		struct made_line *l = &made[i];

		/* Several have the same time. */
		snprintf(l->stamp, sizeof(l->stamp), "2026-01-01T00:%02zu:%02zu.%03zu000000Z", i / 3 / 600, i / 3 / 10 % 60, i / 3 % 10 * 100);
		l->stream = random_below(40) == 0 ? 'e' : 'o';
		l->whole = random_below(4) != 0 || i == LINES - 1;
		l->text = malloc(len + 1);
		ck_assert_ptr_nonnull(l->text);
		memset(l->text, 'a' + (int)(i % 26), len);
		l->text[len] = '\0';
	}
}

static void
write_lines(void)
{
	for (size_t f = 0; f < FILES; f++) {
		struct text all = { 0 };
		char name[64];

		for (size_t i = LINES * f / FILES; i < LINES * (f + 1) / FILES; i++)
			text_printf(&all, "%s %s %c %s\n", made[i].stamp, made[i].stream == 'o' ? "stdout" : "stderr", made[i].whole ? 'F' : 'P',
				    made[i].text);
		snprintf(name, sizeof(name), f == FILES - 1 ? "containers/c/0.log" : "containers/c/0.log.%zu", FILES - 1 - f);
		write_file(name, "w", text_str(&all));
		text_fini(&all);
	}
	/* The next line is on its way to the disk. */
	write_file("containers/c/0.log", "a", "2026-01-01T01:00:00.0Z stdout F unfini");
}

/* What is to come, by looking at every line. */
static void
expect(struct text *out, char only, const char *since, int64_t tail)
{
	int64_t skip = 0;

	out->len = 0;
	text_put(out, "", 0);
	for (int pass = 0; pass < 2; pass++) {
		if (pass == 1)
			skip = tail >= 0 && skip > tail ? skip - tail : 0;
		for (size_t i = 0; i < LINES; i++) {
			if ((only != 0 && made[i].stream != only) || (since != NULL && strcmp(made[i].stamp, since) < 0))
				continue;
			if (pass == 0)
				skip += made[i].whole;
			else if (skip > 0)
				skip -= made[i].whole;
			else
				text_printf(out, "%s%s", made[i].text, made[i].whole ? "\n" : "");
		}
	}
}

/* The places that are found are those that a look at every line finds. */
START_TEST(tail_and_since_agree_with_reading_it_all)
{
	static const int64_t tails[] = { -1, 0, 1, 2, 9, 100, 700, 1100, 2200, 100000 };
	static const char *const streams[] = { "All", "Stdout", "Stderr" };
	static const size_t sinces[] = { LINES, 0, 1, 2, 500, 999, 1000, 1001, 1777, 2000, 2990, LINES - 1 };
	struct text wanted = { 0 };
	char tail[24];

	make_lines();
	begin("");
	write_lines();
	for (size_t t = 0; t < sizeof(tails) / sizeof(tails[0]); t++)
		for (size_t s = 0; s < 3; s++)
			for (size_t k = 0; k < sizeof(sinces) / sizeof(sinces[0]); k++) {
				const char *since = sinces[k] < LINES ? made[sinces[k]].stamp : NULL;

				snprintf(tail, sizeof(tail), "%lld", (long long)tails[t]);
				expect(&wanted, "\0oe"[s], since, tails[t]);
				ck_assert_msg(strcmp(get(C, Q("stream", streams[s], "tailLines", tails[t] < 0 ? "" : tail, "sinceTime",
							 since != NULL ? since : ""), 200), text_str(&wanted)) == 0,
					      "stream %s, tail %s, since %s", streams[s], tail, since != NULL ? since : "-");
			}
	text_fini(&wanted);
	for (size_t i = 0; i < LINES; i++)
		free(made[i].text);
	end();
}
END_TEST

/* Bytes that this thread has read; -1: the kernel does not count them. */
static int64_t
bytes_read(void)
{
	struct text text = { 0 };
	const char *p;
	int64_t n = -1;

	if (file_read("/proc/thread-self/io", 4096, &text) == 0 && (p = strstr(text_str(&text), "rchar: ")) != NULL)
		n = strtoll(p + 7, NULL, 10);
	text_fini(&text);
	return n;
}

#define BIG   (10 << 20)
#define SMALL (512 << 10)

/* 6.4: 50 MiB in five files; the last lines and the last second are found without reading them. */
START_TEST(tail_and_since_of_a_big_log_read_little)
{
	char name[64], last[40] = "", middle[40] = "";
	const struct { const char *name, *value; int64_t most; size_t lines; } rows[] = {
		{ "tailLines", "10", SMALL, 10 }, { "tailLines", "0", SMALL, 0 }, { "sinceTime", last, SMALL, 1 },
		{ "sinceTime", "2027-01-01T00:00:00Z", SMALL, 0 }, { "sinceTime", middle, BIG + SMALL, BIG / 241 + 2 },
	};
	struct text all = { 0 };

	if (bytes_read() < 0) {
		printf("SKIP node_logs: the kernel does not count what a thread reads\n");
		return;
	}
	begin("");
	for (size_t f = 0; f < 5; f++) {
		all.len = 0;
		for (unsigned i = 0; all.len < BIG; i++) {
			snprintf(last, sizeof(last), "2026-01-01T%02zu:%02u:%02u.%03u000000Z", f, i * 80 / 60000, i * 80 / 1000 % 60, i * 80 % 1000);
			text_printf(&all, "%s stdout F %0200d\n", last, 1);
		}
		if (f == 3)
			snprintf(middle, sizeof(middle), "%s", last);
		snprintf(name, sizeof(name), f == 4 ? "containers/c/0.log" : "containers/c/0.log.%zu", 4 - f);
		write_file(name, "w", text_str(&all));
	}
	text_fini(&all);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t before = bytes_read(), n;
		const char *body = get(C, Q(rows[i].name, rows[i].value), 200);
		size_t lines = 0;

		n = bytes_read() - before;
		for (const char *p = body; (p = strchr(p, '\n')) != NULL; p++)
			lines++;
		ck_assert_msg(n <= rows[i].most, "%s %s: %lld bytes read", rows[i].name, rows[i].value, (long long)n);
		ck_assert_msg(lines == rows[i].lines, "%s %s: %zu lines", rows[i].name, rows[i].value, lines);
	}
	end();
}
END_TEST

static void *
serve(void *arg)
{
	handler(handler_self, arg);
	return NULL;
}

static bool
heard(struct ambient_http_request *r, const char *what)
{
	bool found = false;

	for (int i = 0; i < unit_looks(2000) && !found; i++) {
		pthread_mutex_lock(&r->lock);
		found = strcmp(text_str(&r->body), what) == 0;
		pthread_mutex_unlock(&r->lock);
		(void)usleep(2000);
	}
	return found;
}

START_TEST(follow_across_rotation_until_the_end)
{
	struct ambient_http_request r = { .peer = "system:ambient:apiserver", .path = C,
					  .query = { "follow", "true", "tailLines", "1" }, .lock = PTHREAD_MUTEX_INITIALIZER };
	char from[256], to[300];
	pthread_t thread;

	begin(LOG);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, &r), 0);
	ck_assert(heard(&r, "long-line\n"));
	write_file("containers/c/0.log", "a", "2026-01-01T00:00:01.0Z stdout F more\n");
	ck_assert(heard(&r, "long-line\nmore\n"));
	write_file("containers/c/0.log", "a", "2026-01-01T00:00:01.0Z stdout F last of the old\n");
	snprintf(from, sizeof(from), "%s/pods/" UID "/containers/c/0.log", state_dir);
	snprintf(to, sizeof(to), "%s.1", from);
	ck_assert_int_eq(rename(from, to), 0);
	write_file("containers/c/0.log", "w", "2026-01-01T00:00:02.0Z stdout F first of the new\n");
	ck_assert(heard(&r, "long-line\nmore\nlast of the old\nfirst of the new\n"));
	write_file("containers/c/0.log", "a", "2026-01-01T00:00:03.0Z stdout F bye\n");
	write_file("state.jsonl", "a", "{\"t\":\"2026-01-01T00:00:03Z\",\"rec\":\"exit\",\"container\":\"c\",\"n\":0,\"code\":0}\n");
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_str_eq(text_str(&r.body), "long-line\nmore\nlast of the old\nfirst of the new\nbye\n");
	text_fini(&r.body);
	end();
}
END_TEST

START_TEST(follow_ends_when_nobody_listens)
{
	struct ambient_http_request r = { .peer = "system:ambient:apiserver", .path = C, .query = { "follow", "true" },
					  .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t thread;

	begin(LOG);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, &r), 0);
	ck_assert(heard(&r, "one\ntwo\nlong-line\n"));
	__atomic_store_n(&r.gone, 1, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	text_fini(&r.body);
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, plain_and_each_parameter);
	tcase_add_test(tc, bad_parameters);
	tcase_add_test(tc, who_may_ask);
	tcase_add_test(tc, what_is_not_there);
	tcase_add_test(tc, previous_and_rotated_files);
	tcase_add_test(tc, tail_and_since_agree_with_reading_it_all);
	tcase_add_test(tc, tail_and_since_of_a_big_log_read_little);
	tcase_add_test(tc, follow_across_rotation_until_the_end);
	tcase_add_test(tc, follow_ends_when_nobody_listens);
}

UNIT_MAIN("node_logs", cases)
