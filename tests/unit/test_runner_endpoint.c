/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint's parts without a network: keys, places in the message log, the watch of the session. */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "core/ambient-runner/endpoint_priv.h"
#include "core/ambient-runner/watch.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/scan.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/unit.h"

#define NOW    (INT64_C(1767225600) * AM_NS_PER_S) /* 2026-01-01T00:00:00Z */
#define SECRET "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char hash[65];

static void
hash_of(const char *secret)
{
	unsigned char digest[32];

	am_sha256(secret, strlen(secret), digest);
	am_hex(hash, digest, sizeof(digest));
}

static struct am_keys
keys_of(const char *client, const char *value)
{
	am_auto(am_buf_fini) struct am_buf json = {0};
	am_auto(am_freep) char *name = am_xasprintf("access.ambient-code.io/%s", client);
	struct am_keys keys;

	am_json_addf(&json, "{\"metadata\":{\"annotations\":{\"other\":\"x\",%s:%s}}}", name, value);
	am_runner_keys_parse(am_slice(am_buf_str(&json), json.len), NOW, &keys);
	return keys;
}

START_TEST(a_key_is_found_by_its_secret)
{
	hash_of(SECRET);
	am_auto(am_freep) char *value = am_xasprintf("%s 2026-01-01T01:00:00Z", hash);
	struct am_keys keys = keys_of("me-1", value);
	const struct am_key *key = am_runner_keys_find(&keys, SECRET, NOW);

	ck_assert_uint_eq(keys.n, 1);
	ck_assert_ptr_nonnull(key);
	ck_assert_str_eq(key->client, "me-1");
	ck_assert(!key->read_only);
	/* Until it expires, and not with the hash itself, another secret or none. */
	ck_assert_ptr_nonnull(am_runner_keys_find(&keys, SECRET, NOW + 3600 * AM_NS_PER_S - 1));
	ck_assert_ptr_null(am_runner_keys_find(&keys, SECRET, NOW + 3600 * AM_NS_PER_S));
	ck_assert_ptr_null(am_runner_keys_find(&keys, hash, NOW));
	ck_assert_ptr_null(am_runner_keys_find(&keys, NULL, NOW));
	ck_assert_ptr_null(am_runner_keys_find(&keys, "", NOW));
	ck_assert_ptr_null(am_runner_keys_find(&keys, SECRET "0", NOW));
	/* It holds as long as client and hash are there. */
	struct am_key before = *key;
	ck_assert(am_runner_keys_hold(&keys, &before));
	struct am_keys renamed = keys_of("me-2", value);
	ck_assert(!am_runner_keys_hold(&renamed, &before));
	am_auto(am_freep) char *read_only = am_xasprintf("%s 2026-01-01T01:00:00+00:00 read", hash);
	keys = keys_of("me", read_only);
	ck_assert(keys.n == 1 && keys.v[0].read_only);
}
END_TEST

START_TEST(what_is_malformed_is_no_key)
{
	static const struct {
		const char *client, *value; /* @ stands for the hash */
	} bad[] = {
		{"me", ""}, {"me", "@"}, {"me", "@ "}, {"me", "@ tomorrow"}, {"me", "@  2026-01-01T01:00:00Z"},
		{"me", "@ 2026-01-01T01:00:00Z "}, {"me", "@ 2026-01-01T01:00:00Z write"},
		{"me", "@ 2026-01-01T01:00:00Z read read"}, {"me", " @ 2026-01-01T01:00:00Z"},
		{"me", "@0 2026-01-01T01:00:00Z"}, {"me", "0 2026-01-01T01:00:00Z"},
		{"me", "@ 2026-01-01T00:00:00Z"}, {"me", "@ 2025-12-31T23:59:59Z"},
		{"me", "@ 2026-01-02T00:05:01Z"}, {"me", "@ 9999-12-31T23:59:59Z"},
		{"me", "@ 2026-01-01T01:00:00.0000000000000000000000000000000000Z"},
		{"", "@ 2026-01-01T01:00:00Z"}, {"Me", "@ 2026-01-01T01:00:00Z"}, {"a/b", "@ 2026-01-01T01:00:00Z"},
		{"a.b", "@ 2026-01-01T01:00:00Z"}, {"01234567890123456789012345678901234567890", "@ 2026-01-01T01:00:00Z"},
	};

	hash_of(SECRET);
	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		const char *at = strchr(bad[i].value, '@');
		am_auto(am_freep) char *value =
			at == NULL ? am_xstrdup(bad[i].value)
				   : am_xasprintf("%.*s%s%s", (int)(at - bad[i].value), bad[i].value, hash, at + 1);
		struct am_keys keys = keys_of(bad[i].client, value);

		ck_assert_msg(keys.n == 0, "%s: %s", bad[i].client, bad[i].value);
	}
	static const char *const texts[] = {
		"{}", "[]", "{\"metadata\":1}", "{\"metadata\":{\"annotations\":[]}}",
		"{\"metadata\":{\"annotations\":{\"access.ambient-code.io/me\":7}}}",
		"{\"metadata\":{\"annotations\":{\"access.ambient-code.io/me\":\"\\u0000\"}}}",
	};
	for (size_t i = 0; i < AM_COUNTOF(texts); i++) {
		struct am_keys keys;

		am_runner_keys_parse(am_slice_of(texts[i]), NOW, &keys);
		ck_assert_uint_eq(keys.n, 0);
	}
}
END_TEST

START_TEST(there_are_at_most_so_many_keys)
{
	am_auto(am_buf_fini) struct am_buf json = {0};
	struct am_keys keys;

	hash_of(SECRET);
	am_buf_adds(&json, "{\"metadata\":{\"annotations\":{");
	/* Those that have expired take nobody's place. */
	for (int i = 0; i < 100; i++)
		am_buf_addf(&json, "%s\"access.ambient-code.io/c-%03d\":\"%s 202%d-01-01T01:00:00Z\"", i > 0 ? "," : "", i, hash,
			    i < 40 ? 5 : 6);
	am_buf_adds(&json, "}}}");
	am_runner_keys_parse(am_slice(am_buf_str(&json), json.len), NOW, &keys);
	ck_assert_uint_eq(keys.n, AM_KEYS_MAX);
	ck_assert_str_eq(keys.v[0].client, "c-040");
}
END_TEST

/* ---- the log */

/* n lines of very different lengths; every third is a piece. */
static int
make_log(char path[64], int n, off_t *at, off_t *size)
{
	(void)snprintf(path, 64, "/tmp/amb-endpoint-XXXXXX");
	int fd = mkstemp(path);
	am_auto(am_buf_fini) struct am_buf text = {0};

	ck_assert_int_ge(fd, 0);
	for (int i = 1; i <= n; i++) {
		at[i] = (off_t)text.len;
		am_buf_addf(&text, "{\"seq\":%d,\"time\":\"2026-01-01T00:00:00.000000Z\",\"run\":\"r\",\"type\":\"%s\",\"text\":\"", i * 2,
			    i % 3 == 0 ? "partial" : "text");
		for (int k = i % 50 == 7 ? 100000 : i * 37 % 500; k > 0; k--)
			am_buf_addc(&text, (char)('a' + k % 26));
		am_buf_adds(&text, "\"}\n");
	}
	ck_assert_int_eq(am_write_all(fd, text.data, text.len), 0);
	*size = (off_t)text.len;
	return fd;
}

START_TEST(every_number_is_found)
{
	enum { N = 400 };
	off_t at[N + 2] = {0}, size;
	char path[64];
	int fd = make_log(path, N, at, &size);

	at[N + 1] = size;
	for (int i = 1; i <= N; i++) {
		ck_assert_int_eq(am_endpoint_log_find(fd, size, i * 2), at[i]);
		ck_assert_int_eq(am_endpoint_log_find(fd, size, i * 2 - 1), at[i]);
		ck_assert_int_eq(am_endpoint_log_find(fd, at[i], i * 2), at[i]); /* not beyond what is known to be whole */
	}
	ck_assert_int_eq(am_endpoint_log_find(fd, size, 0), 0);
	ck_assert_int_eq(am_endpoint_log_find(fd, size, 2 * N + 1), size);
	ck_assert_int_eq(am_endpoint_log_find(fd, size, INT64_MAX), size);
	ck_assert_int_eq(am_endpoint_log_find(fd, 0, 1), 0);
	(void)close(fd);
	(void)unlink(path);
}
END_TEST

static size_t
take_all(int fd, off_t size, bool partial, size_t piece, struct am_buf *out)
{
	struct am_log_cursor cursor = {.fd = fd, .partial = partial};
	char *buf = am_xcalloc(1, piece);
	size_t lines = 0;

	am_buf_reset(out);
	while (cursor.at < size) {
		ssize_t n = am_endpoint_log_take(&cursor, size, buf, piece);

		ck_assert_int_ge(n, 0);
		am_buf_add(out, buf, (size_t)n);
	}
	ck_assert(!cursor.inside);
	free(buf);
	for (size_t i = 0; i < out->len; i++)
		lines += out->data[i] == '\n';
	return lines;
}

START_TEST(pieces_are_left_out)
{
	enum { N = 400 };
	am_auto(am_buf_fini) struct am_buf whole = {0};
	am_auto(am_buf_fini) struct am_buf some = {0};
	off_t at[N + 2] = {0}, size;
	char path[64];
	int fd = make_log(path, N, at, &size);

	for (size_t piece = 1024; piece <= 64 * 1024; piece = piece * 2 + 1) {
		ck_assert_uint_eq(take_all(fd, size, true, piece, &whole), N);
		ck_assert_uint_eq(whole.len, (size_t)size);
		ck_assert_uint_eq(take_all(fd, size, false, piece, &some), N - N / 3);
		ck_assert_ptr_null(strstr(some.data, "\"partial\""));
		/* What is left is what was there, line by line. */
		const char *from = whole.data, *to = some.data;
		while (*from != '\0') {
			size_t n = strcspn(from, "\n") + 1;

			if (memmem(from, AM_MIN(n, (size_t)120), "\"partial\"", 9) == NULL) {
				ck_assert(memcmp(from, to, n) == 0);
				to += n;
			}
			from += n;
		}
		ck_assert_int_eq(*to, '\0');
	}
	(void)close(fd);
	(void)unlink(path);
}
END_TEST

/* ---- the watch */

static struct am_clock *clock_;
static struct am_io *io;
static int changes;
static char last[256];

static void
on_change(void *arg am_unused_, struct am_slice session)
{
	changes++;
	(void)snprintf(last, sizeof(last), "%.*s", (int)session.n, session.p != NULL ? session.p : "");
}

static struct am_watch *
watch_new(const char *first)
{
	clock_ = am_clock_fake_new();
	io = fake_io_new(clock_);
	changes = 0;
	last[0] = '\0';
	const struct am_watch_options options = {.io = io, .ns = "team", .name = "s1", .uid = "u1", .change = on_change};

	return am_runner_watch_new(&options, am_slice_of(first));
}

static void
watch_end(struct am_watch *w)
{
	am_runner_watch_free(w);
	fake_io_free(io);
	am_clock_fake_free(clock_);
}

#define OBJECT(rv) "{\"metadata\":{\"name\":\"s1\",\"uid\":\"u1\",\"resourceVersion\":\"" rv "\"}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

static bool
readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

START_TEST(the_session_is_followed_by_name)
{
	struct am_watch *w = watch_new(OBJECT("5"));
	am_auto(am_buf_fini) struct am_buf session = {0};
	bool gone = true;

	ck_assert_uint_eq(fake_io_open(io), 1);
	ck_assert(am_starts(fake_io_last(io)->path, "/apis/vteam.ambient-code/v1alpha1/namespaces/team/agenticsessions?"));
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "fieldSelector"), "metadata.name=s1");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "resourceVersion"), "5");
	ck_assert(fake_io_last(io)->watch);
	ck_assert(!am_runner_watch_take(w, &session, &gone));
	fake_io_head(io, 200);
	fake_io_data(io, EVENT("MODIFIED", OBJECT("6")) EVENT("BOOKMARK", OBJECT("7")) EVENT("MODIFIED", OBJECT("8")));
	ck_assert_int_eq(changes, 2);
	ck_assert(readable(am_runner_watch_fd(w)));
	ck_assert(am_runner_watch_take(w, &session, &gone)); /* the newest only */
	ck_assert_str_eq(am_buf_str(&session), OBJECT("8"));
	ck_assert(!gone);
	ck_assert(!readable(am_runner_watch_fd(w)));
	ck_assert(!am_runner_watch_take(w, &session, &gone));
	/* Its time is over: it is read and watched again; what is known is not told again. */
	fake_io_end(io);
	ck_assert(!fake_io_last(io)->watch);
	fake_io_answer(io, 200, OBJECT("8"));
	ck_assert_int_eq(changes, 2);
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "resourceVersion"), "8");
	fake_io_head(io, 200);
	fake_io_data(io, EVENT("DELETED", OBJECT("9")));
	ck_assert(am_runner_watch_take(w, &session, &gone) && gone && session.len == 0);
	watch_end(w);
}
END_TEST

START_TEST(whatever_ends_the_watch_it_begins_again)
{
	static const char *const ends[] = {"410", "refused", "broken", "garbage", "403"};
	struct am_watch *w = watch_new(OBJECT("5"));
	int version = 5;

	for (size_t i = 0; i < AM_COUNTOF(ends); i++) {
		am_auto(am_freep) char *object =
			am_xasprintf("{\"metadata\":{\"name\":\"s1\",\"uid\":\"u1\",\"resourceVersion\":\"%d\"}}", ++version);

		ck_assert(fake_io_last(io)->watch);
		if (am_streq(ends[i], "410")) {
			fake_io_head(io, 200);
			fake_io_data(io, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n");
		} else if (am_streq(ends[i], "garbage")) {
			fake_io_head(io, 200);
			fake_io_data(io, "hello\n");
		} else if (am_streq(ends[i], "403")) {
			fake_io_answer_retry(io, 403, "{}", 5000);
		} else {
			fake_io_fail(io, AMBIENT_E_UNAVAILABLE, i == 1 ? 111 : 104);
		}
		/* Not at once: whatever it was would go on. */
		ck_assert_uint_eq(fake_io_open(io), 0);
		int64_t waited = fake_io_next_timer(io);
		ck_assert(waited > 0 && waited <= 30 * AM_NS_PER_S);
		ck_assert(!am_streq(ends[i], "403") || waited >= 5 * AM_NS_PER_S);
		/* The API server is still away. */
		fake_io_fail(io, AMBIENT_E_UNAVAILABLE, 111);
		ck_assert(fake_io_next_timer(io) > 0);
		fake_io_answer(io, 200, object);
		ck_assert_int_eq(changes, (int)i + 1);
		/* One that lasted forgets what was before. */
		fake_io_head(io, 200);
		fake_io_advance(io, 2 * AM_NS_PER_S);
		fake_io_end(io);
		fake_io_answer(io, 200, object);
	}
	/* One made anew by that name is another session, and one that is absent is gone. */
	fake_io_head(io, 200);
	fake_io_data(io, EVENT("ADDED", "{\"metadata\":{\"name\":\"s1\",\"uid\":\"u2\",\"resourceVersion\":\"99\"}}"));
	ck_assert_str_eq(last, "");
	fake_io_end(io);
	fake_io_answer(io, 404, "{}");
	am_auto(am_buf_fini) struct am_buf session = {0};
	bool gone = false;
	ck_assert(am_runner_watch_take(w, &session, &gone) && gone);
	watch_end(w);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, a_key_is_found_by_its_secret);
	tcase_add_test(tc, what_is_malformed_is_no_key);
	tcase_add_test(tc, there_are_at_most_so_many_keys);
	tcase_add_test(tc, every_number_is_found);
	tcase_add_test(tc, pieces_are_left_out);
	tcase_add_test(tc, the_session_is_followed_by_name);
	tcase_add_test(tc, whatever_ends_the_watch_it_begins_again);
}

UNIT_MAIN("runner_endpoint", cases)
