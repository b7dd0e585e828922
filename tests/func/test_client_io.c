/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O thread against a scripted server on a real socket: transfers driven directly, timers and posts, the rate,
 * streams, events.  Time is a fake clock, as in test_client.c.
 */
#include "tests/func/client.h"

/* ---- the I/O thread directly */

struct sink {
	struct am_transfer *transfer;
	int status;
	char type[64];
	int64_t retry_after;
	struct am_buf data;
	struct ambient_error err;
	int data_answer;          /* what on_data returns */
	bool cancel_in_data;
	int dones;
	struct sink *chain;       /* started from done */
	struct am_http_req req;
};

static pthread_mutex_t sink_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sink_cond = PTHREAD_COND_INITIALIZER;

static void
sink_head(void *arg, int status, const char *type, int64_t retry_after_ms)
{
	struct sink *s = arg;

	s->status = status;
	s->retry_after = retry_after_ms;
	(void)am_strlcpy(s->type, type, sizeof(s->type));
}

static int
sink_data(void *arg, const char *p, size_t n, struct ambient_error *err)
{
	struct sink *s = arg;

	(void)pthread_mutex_lock(&sink_mutex);
	am_buf_add(&s->data, p, n);
	(void)pthread_cond_broadcast(&sink_cond);
	(void)pthread_mutex_unlock(&sink_mutex);
	if (s->cancel_in_data)
		am_io_cancel(am_kube_io(kube), s->transfer);
	if (s->data_answer < 0)
		return ambient_err(err, -s->data_answer, "enough");
	return s->data_answer;
}

static void sink_start(void *arg);

static void
sink_done(void *arg, const struct ambient_error *err)
{
	struct sink *s = arg;

	(void)pthread_mutex_lock(&sink_mutex);
	if (err != NULL)
		s->err = *err;
	s->dones++;
	(void)pthread_cond_broadcast(&sink_cond);
	(void)pthread_mutex_unlock(&sink_mutex);
	if (s->chain != NULL)
		sink_start(s->chain);
}

static void
sink_start(void *arg)
{
	struct sink *s = arg;
	struct am_http_sink sink = { sink_head, sink_data, sink_done, s };

	s->transfer = am_io_start(am_kube_io(kube), &s->req, &sink);
	ck_assert_int_eq(s->dones, 0); /* never from within start */
}

static void
sink_cancel(void *arg)
{
	struct sink *s = arg;

	am_io_cancel(am_kube_io(kube), s->transfer);
	ck_assert_int_eq(s->dones, 1); /* before cancel returns */
}

static void
sink_wait(struct sink *s, size_t bytes, int dones)
{
	(void)pthread_mutex_lock(&sink_mutex);
	while (s->data.len < bytes || s->dones < dones)
		(void)pthread_cond_wait(&sink_cond, &sink_mutex);
	(void)pthread_mutex_unlock(&sink_mutex);
}

#define SINK(path_, ...) { .req = { .method = "GET", .path = (path_), ##__VA_ARGS__ } }

START_TEST(io_pieces_arrive_one_by_one)
{
	static const char *const pieces[] = { "{\"n\":1}\n", "{\"n\":2}\n", "{\"n\":3}\n", NULL };
	struct fake_api_rule r = { .status = 200, .pieces = pieces, .flags = FAKE_API_WAIT,
				   .headers = "Content-Type: application/json;stream=watch\r\nRetry-After: 2\r\n" };
	struct sink s = SINK("/watch", .watch = true);

	begin_plain();
	fake_api_add(api, &r);
	am_io_post(am_kube_io(kube), sink_start, &s);
	for (size_t i = 1; i <= 3; i++) {
		sink_wait(&s, i * strlen(pieces[0]), 0);
		ck_assert_uint_eq(s.data.len, i * strlen(pieces[0]));
		if (i < 3) {
			ck_assert_int_eq(s.dones, 0);
			fake_api_go(api);
		}
	}
	sink_wait(&s, 0, 1);
	ck_assert_int_eq(s.err.code, 0);
	ck_assert_int_eq(s.status, 200);
	ck_assert_str_eq(s.type, "application/json;stream=watch");
	ck_assert_int_eq(s.retry_after, 2000);
	am_buf_fini(&s.data);
	end();
}
END_TEST

START_TEST(io_silence_is_a_failure)
{
	struct sink s = SINK("/watch", .watch = true, .idle_ns = 10 * S);

	begin_plain();
	rule(NULL, NULL, 0, 200, NULL, "{}\n", FAKE_API_STALL);
	am_io_post(am_kube_io(kube), sink_start, &s);
	sink_wait(&s, 3, 0);
	/* The silence counts from the last byte, not from the start. */
	am_clock_fake_advance(fake, 10 * S - 1);
	ck_assert_int_eq(s.dones, 0);
	am_clock_fake_advance(fake, 1);
	sink_wait(&s, 3, 1);
	ck_assert_int_eq(s.err.code, AMBIENT_E_TIMEOUT);
	ck_assert(fake_api_wait_closed(api, 1));
	am_buf_fini(&s.data);
	end();
}
END_TEST

START_TEST(io_whole_timeout)
{
	struct sink s = SINK("/a", .timeout_ns = 5 * S);

	begin_plain();
	rule(NULL, NULL, 0, 0, NULL, NULL, FAKE_API_STALL);
	am_io_post(am_kube_io(kube), sink_start, &s);
	ck_assert(fake_api_wait(api, 1));
	am_clock_fake_advance(fake, 5 * S);
	sink_wait(&s, 0, 1);
	ck_assert_int_eq(s.err.code, AMBIENT_E_TIMEOUT);
	ck_assert_int_eq(s.status, 0);
	end();
}
END_TEST

START_TEST(io_ends_by_the_sink)
{
	struct sink by_error = SINK("/a"), by_cancel = SINK("/a");
	struct sink after = SINK("/b");

	begin_plain();
	rule(NULL, "/a", 0, 200, NULL, "{}\n", FAKE_API_STALL);
	rule(NULL, "/b", 0, 200, NULL, "{}\n", 0);
	by_error.data_answer = -AMBIENT_E_GONE;
	by_cancel.cancel_in_data = true;
	by_cancel.chain = &after;
	am_io_post(am_kube_io(kube), sink_start, &by_error);
	am_io_post(am_kube_io(kube), sink_start, &by_cancel);
	sink_wait(&by_error, 0, 1);
	ck_assert_int_eq(by_error.err.code, AMBIENT_E_GONE);
	ck_assert_str_eq(by_error.err.message, "enough");
	sink_wait(&by_cancel, 0, 1);
	ck_assert_int_eq(by_cancel.err.code, AMBIENT_E_CANCELLED);
	sink_wait(&after, 3, 1);
	ck_assert_int_eq(after.err.code, 0);
	ck_assert(fake_api_wait_closed(api, 2));
	ck_assert_int_eq(by_error.dones + by_cancel.dones + after.dones, 3);
	am_buf_fini(&by_error.data);
	am_buf_fini(&by_cancel.data);
	am_buf_fini(&after.data);
	end();
}
END_TEST

START_TEST(io_cancel_and_free)
{
	struct sink one = SINK("/a"), open = SINK("/a", .watch = true), unborn = SINK("/a");

	begin_plain();
	rule(NULL, NULL, 0, 200, NULL, "{}\n", FAKE_API_STALL);
	am_io_post(am_kube_io(kube), sink_start, &one);
	am_io_post(am_kube_io(kube), sink_start, &open);
	sink_wait(&one, 3, 0);
	sink_wait(&open, 3, 0);
	am_io_post(am_kube_io(kube), sink_cancel, &one);
	sink_wait(&one, 3, 1);
	ck_assert_int_eq(one.err.code, AMBIENT_E_CANCELLED);
	ck_assert_int_eq(open.dones, 0);
	/* What is open, and what has only been posted, gets its end too. */
	am_io_post(am_kube_io(kube), sink_start, &unborn);
	end();
	ck_assert_int_eq(one.dones, 1);
	ck_assert_int_eq(open.dones, 1);
	ck_assert_int_eq(open.err.code, AMBIENT_E_CANCELLED);
	ck_assert_int_eq(unborn.dones, 1);
	ck_assert_int_eq(unborn.err.code, AMBIENT_E_CANCELLED);
	am_buf_fini(&one.data);
	am_buf_fini(&open.data);
	am_buf_fini(&unborn.data); /* the server may have been quick */
}
END_TEST

/* ---- timers and posts */

#define TIMERS 200
static struct am_timer *timers[TIMERS];
static int fired[TIMERS + 1], fired_count;
static _Atomic int posted;

static void
fire(void *arg)
{
	fired[fired_count++] = (int)(intptr_t)arg;
}

static void
fire_last(void *arg)
{
	fire(arg);
	(void)pthread_mutex_lock(&sink_mutex);
	posted = 1;
	(void)pthread_cond_broadcast(&sink_cond);
	(void)pthread_mutex_unlock(&sink_mutex);
}

static void
arm(void *arg)
{
	struct am_io *io = am_kube_io(kube);
	int64_t now = am_clock_boot(io->clock);

	(void)arg;
	/* Out of order, in pairs of the same time; every third is taken back. */
	for (int i = 0; i < TIMERS; i++) {
		int k = i * 77 % TIMERS;
		timers[k] = am_io_timer(io, now + (1 + k / 2) * S, fire, (void *)(intptr_t)k);
	}
	for (int i = 0; i < TIMERS; i += 3)
		am_io_timer_cancel(io, timers[i]);
	am_io_timer_cancel(io, NULL);
	(void)am_io_timer(io, now + TIMERS * S, fire_last, (void *)(intptr_t)TIMERS);
	posted = 1;
}

START_TEST(io_timers)
{
	begin_plain();
	am_io_post(am_kube_io(kube), arm, NULL);
	while (posted == 0)
		(void)usleep(100);
	posted = 0;
	am_clock_fake_advance(fake, TIMERS * S);
	(void)pthread_mutex_lock(&sink_mutex);
	while (posted == 0)
		(void)pthread_cond_wait(&sink_cond, &sink_mutex);
	(void)pthread_mutex_unlock(&sink_mutex);
	int expect = TIMERS + 1 - (TIMERS + 2) / 3;
	ck_assert_int_eq(fired_count, expect);
	for (int i = 1; i < fired_count; i++)
		ck_assert_int_le(fired[i - 1] / 2, fired[i] / 2);
	for (int i = 0; i + 1 < fired_count; i++)
		ck_assert_int_ne(fired[i] % 3, 0);
	end();
}
END_TEST

static void
count_post(void *arg)
{
	(void)arg;
	posted++;
	ck_assert(am_kube_io(kube)->ops->on_thread(am_kube_io(kube)));
}

static void *
post_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++)
		am_io_post(am_kube_io(kube), count_post, NULL);
	return NULL;
}

START_TEST(io_posts_from_threads)
{
	pthread_t threads[4];

	begin_plain();
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert(!am_kube_io(kube)->ops->on_thread(am_kube_io(kube)));
	end();
	ck_assert_int_eq(posted, 4000);
}
END_TEST

START_TEST(rate_holds_back)
{
	struct sink s[4] = { SINK("/a"), SINK("/a"), SINK("/a"), SINK("/w", .watch = true) };

	begin(FAKE_API_PLAIN);
	open_kube(config_of(fake_api_url(api)), 1, 2);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	for (int i = 0; i < 4; i++)
		am_io_post(am_kube_io(kube), sink_start, &s[i]);
	sink_wait(&s[0], 2, 1);
	sink_wait(&s[1], 2, 1);
	sink_wait(&s[3], 2, 1); /* a watch is not counted */
	ck_assert_int_eq(fake_api_count(api), 3);
	ck_assert_int_eq(s[2].dones, 0);
	am_clock_fake_advance(fake, S);
	sink_wait(&s[2], 2, 1);
	for (int i = 0; i < 4; i++)
		am_buf_fini(&s[i].data);
	end();
}
END_TEST

/* A replica that was suspended while its write waited wakes up after its lease has run out: both are due, the end is first. */
START_TEST(deadline_keeps_what_waits_from_being_sent)
{
	struct sink taken = SINK("/a"), waits = SINK("/late"), past = SINK("/past");

	begin(FAKE_API_PLAIN);
	waits.req.deadline = am_clock_boot(fake) + 2 * S;
	past.req.deadline = am_clock_boot(fake) + 10 * S;
	open_kube(config_of(fake_api_url(api)), 1, 1);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	am_io_post(am_kube_io(kube), sink_start, &taken);
	am_io_post(am_kube_io(kube), sink_start, &waits); /* for a second */
	sink_wait(&taken, 2, 1);
	am_clock_fake_advance(fake, 60 * S);
	am_io_post(am_kube_io(kube), sink_start, &past);
	sink_wait(&waits, 0, 1);
	sink_wait(&past, 0, 1);
	ck_assert_int_eq(waits.err.code, AMBIENT_E_TIMEOUT);
	ck_assert_int_eq(past.err.code, AMBIENT_E_TIMEOUT);
	ck_assert_int_eq(fake_api_count(api), 1);
	am_buf_fini(&taken.data);
	end();
}
END_TEST

/* ---- streams */

struct reader {
	size_t bytes;
	int pieces;
	int end_after;        /* pieces */
	bool slow;
};

static int
read_stream(void *arg, const char *p, size_t n)
{
	struct reader *r = arg;

	ck_assert_ptr_nonnull(p);
	ck_assert(!am_kube_io(kube)->ops->on_thread(am_kube_io(kube)));
	r->bytes += n;
	r->pieces++;
	if (r->slow)
		(void)usleep(1000);
	if (r->end_after == 0)
		fake_api_go(api);
	return r->end_after != 0 && r->pieces >= r->end_after ? -AMBIENT_E_CANCELLED : 0;
}

START_TEST(stream_follows)
{
	static const char *const pieces[] = { "line 1\n", "line 2\n", "line 3\n", NULL };
	struct fake_api_rule r = { .status = 200, .pieces = pieces, .flags = FAKE_API_WAIT };
	struct am_kube_request request = { .method = "GET", .path = "/log?follow=true" };
	struct reader reader = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin_plain();
	fake_api_add(api, &r);
	/* Each piece is let go by the reader of the one before it. */
	ck_assert_msg(am_kube_stream(kube, &request, read_stream, &reader, &err) == 0, "%s", err.message);
	ck_assert_int_eq((int)reader.bytes, 21);
	ck_assert_int_eq(reader.pieces, 3);
	end();
}
END_TEST

START_TEST(stream_slow_reader)
{
	size_t n = 8 << 20;
	char *big = am_xcalloc(1, n + 1);
	struct am_kube_request request = { .method = "GET", .path = "/log" };
	struct reader reader = { .slow = true };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin_plain();
	memset(big, 'x', n);
	rule(NULL, NULL, 0, 200, NULL, big, 0);
	ck_assert_msg(am_kube_stream(kube, &request, read_stream, &reader, &err) == 0, "%s", err.message);
	ck_assert_uint_eq(reader.bytes, n);
	free(big);
	end();
}
END_TEST

START_TEST(stream_ends)
{
	struct am_kube_request request = { .method = "GET", .path = "/log" };
	struct reader reader = { .end_after = 1 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin_plain();
	rule(NULL, "/log", 0, 200, NULL, "line\n", FAKE_API_STALL);
	rule(NULL, "/broken", 0, 200, NULL, "line\n", FAKE_API_CUT);
	rule(NULL, "/no", 0, 400, NULL, "{\"kind\":\"Status\",\"message\":\"no such container\"}", 0);
	ck_assert_int_eq(am_kube_stream(kube, &request, read_stream, &reader, &err), -AMBIENT_E_CANCELLED);
	/* Broken after something was delivered: told, not begun anew. */
	reader = (struct reader){ .end_after = 100 };
	request.path = "/broken";
	ck_assert_int_eq(am_kube_stream(kube, &request, read_stream, &reader, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_int_eq((int)reader.bytes, 5);
	request.path = "/no";
	ck_assert_int_eq(am_kube_stream(kube, &request, read_stream, &reader, &err), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "no such container");
	ck_assert_int_eq((int)reader.bytes, 5);
	ck_assert_int_eq(fake_api_count(api), 3);
	end();
}
END_TEST

/* ---- events */

#define POD "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"namespace\":\"n\",\"name\":\"p\",\"uid\":\"u\"}"

START_TEST(events_are_sent)
{
	begin_plain();
	struct am_recorder *recorder = am_recorder_new(kube, "ambient", "host");
	rule("POST", "/api/v1/namespaces/n/events", 0, 201, NULL, "{}", 0);
	rule("PATCH", "/api/v1/namespaces/n/events/p.*", 1, 200, NULL, "{}", 0);
	am_recorder_emit(recorder, POD, "n", "p", "Normal", "Started", "it \"runs\"");
	am_recorder_emit(recorder, POD, "n", "p", "Normal", "Started", "it \"runs\"");
	/* The second patch finds nothing: the event has expired there. */
	am_recorder_emit(recorder, POD, "n", "p", "Normal", "Started", "it \"runs\"");
	am_recorder_emit(recorder, "{\"kind\":", "n", "p", "Normal", "Bad", "dropped");
	am_recorder_emit(recorder, POD, "n", "p", "Fatal", "Bad", "dropped");
	ck_assert(fake_api_wait(api, 4));
	am_recorder_free(recorder);
	ck_assert_int_eq(fake_api_count(api), 4);
	const struct fake_api_request *r = fake_api_request(api, 0);
	ck_assert_ptr_nonnull(strstr(r->body, "\"involvedObject\":" POD));
	ck_assert_ptr_nonnull(strstr(r->body, "\"message\":\"it \\\"runs\\\"\""));
	ck_assert_ptr_nonnull(strstr(r->body, "\"firstTimestamp\":\"2026-01-01T00:00:00Z\""));
	ck_assert_ptr_nonnull(strstr(r->body, "\"source\":{\"component\":\"ambient\",\"host\":\"host\"}"));
	ck_assert_ptr_nonnull(strstr(r->body, "\"count\":1"));
	r = fake_api_request(api, 1);
	ck_assert_str_eq(r->method, "PATCH");
	ck_assert_ptr_nonnull(strstr(r->body, "\"count\":2"));
	ck_assert_str_eq(fake_api_request(api, 2)->method, "PATCH");
	r = fake_api_request(api, 3);
	ck_assert_str_eq(r->method, "POST");
	ck_assert_ptr_nonnull(strstr(r->body, "\"count\":3"));
	end();
}
END_TEST

START_TEST(events_are_tried_again)
{
	begin_plain();
	struct am_recorder *recorder = am_recorder_new(kube, "ambient", NULL);
	rule("POST", NULL, 1, 0, NULL, NULL, FAKE_API_DROP);
	rule("POST", NULL, 1, 503, NULL, "{}", 0);
	rule("POST", NULL, 1, 403, NULL, "{}", 0);
	rule("POST", NULL, 0, 201, NULL, "{}", 0);
	am_recorder_emit(recorder, POD, "", "p", "Normal", "A", "first");
	am_recorder_emit(recorder, POD, "", "p", "Normal", "B", "second");
	for (int i = 1; i <= 2; i++) {
		ck_assert(fake_api_wait(api, i));
		for (int k = 0; k < 1000 && fake_api_count(api) <= i; k++) {
			am_clock_fake_advance(fake, S);
			(void)usleep(1000);
		}
	}
	/* Broken, refused for now, refused for good; then the next one, at once.  The clock stands still meanwhile: an answer that a busy
	 * machine delivers late would be one that did not come in its time, and what was refused for good would be tried again. */
	ck_assert(fake_api_wait(api, 4));
	ck_assert_ptr_nonnull(strstr(fake_api_request(api, 2)->body, "first"));
	ck_assert_ptr_nonnull(strstr(fake_api_request(api, 3)->body, "second"));
	ck_assert_str_eq(fake_api_request(api, 3)->path, "/api/v1/namespaces/default/events");
	am_recorder_free(recorder);
	end();
}
END_TEST

static void *
free_recorder(void *arg)
{
	am_recorder_free(arg);
	posted = 1;
	return NULL;
}

START_TEST(rule_43_events_never_block)
{
	pthread_t thread;
	char involved[128];

	begin_plain();
	struct am_recorder *recorder = am_recorder_new(kube, "ambient", NULL);
	rule("POST", NULL, 0, 0, NULL, NULL, FAKE_API_STALL);
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(involved, sizeof(involved), "{\"kind\":\"Pod\",\"uid\":\"%d\"}", i);
		am_recorder_emit(recorder, involved, "n", "p", "Warning", "Many", "m");
	}
	ck_assert(fake_api_wait(api, 1));
	/* Two seconds for what is queued, then it goes. */
	ck_assert_int_eq(pthread_create(&thread, NULL, free_recorder, recorder), 0);
	ck_assert(am_clock_fake_wait_waiters(fake, 1));
	ck_assert_int_eq(posted, 0);
	am_clock_fake_advance(fake, 2 * S);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(fake_api_count(api), 1);
	end();
}
END_TEST

/* With the real clock the thread sleeps for seconds where nothing is to be done. */
static struct am_io *
begin_real(void)
{
	const struct am_kube_options options = { .user_agent = "test/1", .clock = am_clock_real(), .qps = -1 };

	begin(FAKE_API_PLAIN);
	ck_assert_int_eq(am_kube_new(config_of(fake_api_url(api)), &options, &kube, NULL), 0);
	(void)usleep(50000); /* so that it sleeps */
	return am_kube_io(kube);
}

static void
say_when(void *arg)
{
	atomic_store((_Atomic(int64_t) *)arg, am_clock_boot(am_clock_real()));
}

START_TEST(io_posts_wake_it)
{
	struct am_io *io = begin_real();

	for (int i = 0; i < 3; i++) {
		_Atomic(int64_t) ran = 0;

		(void)usleep(50000);
		int64_t asked = am_clock_boot(am_clock_real());
		am_io_post(io, say_when, &ran);
		while (atomic_load(&ran) == 0)
			(void)usleep(1000);
		ck_assert_int_lt(atomic_load(&ran) - asked, 5 * S);
	}
	end();
}
END_TEST

START_TEST(io_sleeps_again)
{
	struct sink s = SINK("/a");
	struct timespec cpu;

	/* A post has woken it, and a connection has come and gone. */
	struct am_io *io = begin_real();
	rule(NULL, NULL, 0, 200, NULL, "{}\n", FAKE_API_CLOSE);
	am_io_post(io, sink_start, &s);
	sink_wait(&s, 0, 1);
	(void)usleep(50000);
	ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu), 0);
	int64_t before = cpu.tv_sec * S + cpu.tv_nsec;
	(void)usleep(1000000);
	ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu), 0);
	ck_assert_int_lt(cpu.tv_sec * S + cpu.tv_nsec - before, S / 20);
	am_buf_fini(&s.data);
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, io_posts_wake_it);
	tcase_add_test(tc, io_sleeps_again);
	tcase_add_test(tc, io_pieces_arrive_one_by_one);
	tcase_add_test(tc, io_silence_is_a_failure);
	tcase_add_test(tc, io_whole_timeout);
	tcase_add_test(tc, io_ends_by_the_sink);
	tcase_add_test(tc, io_cancel_and_free);
	tcase_add_test(tc, io_timers);
	tcase_add_test(tc, io_posts_from_threads);
	tcase_add_test(tc, rate_holds_back);
	tcase_add_test(tc, deadline_keeps_what_waits_from_being_sent);
	tcase_add_test(tc, stream_follows);
	tcase_add_test(tc, stream_slow_reader);
	tcase_add_test(tc, stream_ends);
	tcase_add_test(tc, events_are_sent);
	tcase_add_test(tc, events_are_tried_again);
	tcase_add_test(tc, rule_43_events_never_block);
}

UNIT_MAIN("client-io", cases)
