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
	text_add(&r->body, data, len);
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
	fake = fake_host_new(&ambient_plugin_v0);
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

	text_free(&r.body);
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
	text_free(&r.body);
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

	for (int i = 0; i < 2000 && !found; i++) {
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
	text_free(&r.body);
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
	text_free(&r.body);
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
	tcase_add_test(tc, follow_across_rotation_until_the_end);
	tcase_add_test(tc, follow_ends_when_nobody_listens);
}

UNIT_MAIN("node_logs", cases)
