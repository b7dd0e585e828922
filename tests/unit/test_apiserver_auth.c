/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of identity without a server: signed tokens and their keys, rules of RBAC, rules and file of the audit log. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/util.h"
#include "core/kube/users.h"
#include "plugins/standalone/apiserver/audit.h"
#include "plugins/standalone/apiserver/rbac.h"
#include "tests/lib/unit.h"

#define DAY (INT64_C(86400) * AM_NS_PER_S)

static char dir[64];
static struct am_clock *clock_of;
static struct rest_keys *keys;
static struct am_arena *arena;

static void
open_keys(void)
{
	const struct rest_keys_options o = { .dir = dir, .clock = clock_of, .life_ns = 90 * DAY, .keep_ns = 365 * DAY };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(rest_keys_open(&o, &keys, &err) == 0, "%s", err.message);
}

static void
setup(void)
{
	strcpy(dir, "/tmp/ambient-auth-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	clock_of = am_clock_fake_new();
	/* Files have the machine's time; so has the fake clock at first. */
	am_clock_fake_set_wall(clock_of, am_clock_wall(am_clock_real()));
	arena = am_arena_new();
	open_keys();
}

static void
teardown(void)
{
	rest_keys_free(keys);
	am_arena_free(arena);
	am_clock_fake_free(clock_of);
	am_remove_tree(dir, NULL);
}

/* ---- tokens */

static char *
token(const char *claims)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf text = { 0 }, out = { 0 };

	am_buf_adds(&text, claims);
	ck_assert_msg(rest_jwt_sign(keys, &text, &out, &err) == 0, "%s", err.message);
	char *copy = am_arena_strdup(arena, am_buf_str(&out));

	am_buf_fini(&text);
	am_buf_fini(&out);
	return copy;
}

static bool
good(const char *text)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	return rest_jwt_verify(keys, arena, text, &err) != NULL;
}

static const char *
part(const char *text)
{
	struct am_buf out = { 0 };

	am_base64_encode(&out, text, strlen(text), true);
	const char *copy = am_arena_strdup(arena, am_buf_str(&out));

	am_buf_fini(&out);
	return copy;
}

/* The id of the key that signs. */
static const char *
kid(void)
{
	struct am_buf set = { 0 };
	struct am_slice text;

	rest_keys_jwks(keys, &set);
	text = am_slice(am_buf_str(&set), set.len);
	char *id = am_json_dup(text, "/keys/0/kid");
	const char *copy = am_arena_strdup(arena, id);

	free(id);
	am_buf_fini(&set);
	return copy;
}

static size_t
count_keys(void)
{
	struct am_buf set = { 0 };
	struct am_slice list;

	rest_keys_jwks(keys, &set);
	ck_assert(am_json_find(am_slice(am_buf_str(&set), set.len), "/keys", &list));
	size_t n = am_json_count(list);

	am_buf_fini(&set);
	return n;
}

START_TEST(tokens_round_trip)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *claims = rest_jwt_verify(keys, arena, token("{\"sub\":\"me\",\"n\":7}"), &err);

	ck_assert_str_eq(am_node_get_str(claims, "sub", ""), "me");
	ck_assert(!good(token("[1]")) && !good(token("no json")));
}
END_TEST

START_TEST(forged_tokens)
{
	char *fine = token("{\"sub\":\"me\"}");
	const char *body = part("{\"sub\":\"root\"}"), *sig = strrchr(fine, '.') + 1, *own = strchr(fine, '.') + 1;
	const char *head = am_arena_strndup(arena, fine, (size_t)(strchr(fine, '.') - fine));
	const char *heads[] = {
		"{\"alg\":\"none\"}", "{\"alg\":\"none\",\"kid\":\"%s\"}", "{\"alg\":\"HS256\",\"kid\":\"%s\"}",
		"{\"alg\":\"ES384\",\"kid\":\"%s\"}", "{\"alg\":\"es256\",\"kid\":\"%s\"}", "{\"alg\":\"ES256\",\"kid\":\"other\"}",
		"{\"alg\":\"ES256\"}", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"crit\":[\"b64\"],\"b64\":false}", "{}", "[]", "",
	};

	/* Twice, as what was seen is remembered. */
	ck_assert(good(fine) && good(fine));
	ck_assert(!good(am_arena_printf(arena, "%s.%s.%s", head, body, sig)));
	for (size_t i = 0; i < AM_COUNTOF(heads); i++) {
		const char *p = strstr(heads[i], "%s");
		const char *text = p == NULL ? heads[i]
				   : am_arena_printf(arena, "%.*s%s%s", (int)(p - heads[i]), heads[i], kid(), p + 2);

		ck_assert_msg(!good(am_arena_printf(arena, "%s.%s", part(text), own)), "%s", heads[i]);
		ck_assert_msg(!good(am_arena_printf(arena, "%s.%s.", part(text), body)), "%s", heads[i]);
	}
	static const char *const shapes[] = { "", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "\xff.\xff.\xff" };

	for (size_t i = 0; i < AM_COUNTOF(shapes); i++)
		ck_assert_msg(!good(shapes[i]), "%s", shapes[i]);
	ck_assert(!good(am_arena_printf(arena, "%s.", fine)) && !good(am_arena_printf(arena, "%s=", fine)));
	ck_assert(!good(am_arena_printf(arena, "%sAA", fine)));
	/* Both numbers zero, and a signature of half the length. */
	char zeros[87];

	memset(zeros, 'A', 86);
	zeros[86] = '\0';
	ck_assert(!good(am_arena_printf(arena, "%.*s.%s", (int)(sig - 1 - fine), fine, zeros)));
	zeros[43] = '\0';
	ck_assert(!good(am_arena_printf(arena, "%.*s.%s", (int)(sig - 1 - fine), fine, zeros)));
	char *huge = am_arena_alloc(arena, 100000);

	memset(huge, 'a', 99999);
	huge[99999] = '\0';
	ck_assert(!good(huge));
}
END_TEST

/* HS256 with our public key, which everybody can read, as the secret. */
START_TEST(symmetric_with_the_public_key)
{
	struct am_buf set = { 0 };
	unsigned char mac[32];
	unsigned n = 0;
	const char *text = am_arena_printf(arena, "%s.%s", part(am_arena_printf(arena, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid())),
					   part("{\"sub\":\"root\"}"));

	rest_keys_jwks(keys, &set);
	ck_assert_ptr_nonnull(HMAC(EVP_sha256(), set.data, (int)set.len, (const unsigned char *)text, strlen(text), mac, &n));
	am_buf_reset(&set);
	am_base64_encode(&set, mac, n, true);
	ck_assert(!good(am_arena_printf(arena, "%s.%s", text, am_buf_str(&set))));
	am_buf_fini(&set);
}
END_TEST

START_TEST(keys_take_turns)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char *first = token("{\"a\":1}"), *second;
	const char *first_kid = kid();

	am_clock_fake_advance(clock_of, 89 * DAY);
	second = token("{\"a\":2}");
	ck_assert_str_eq(kid(), first_kid);
	am_clock_fake_advance(clock_of, 2 * DAY);
	char *third = token("{\"a\":3}");

	ck_assert_str_ne(kid(), first_kid);
	ck_assert(good(first) && good(second) && good(third));
	ck_assert_uint_eq(count_keys(), 2);
	ck_assert_int_eq(rest_keys_rotate(keys, &err), 0);
	ck_assert(good(first) && good(third));
	ck_assert_uint_eq(count_keys(), 3);
	/* Read from the files again. */
	rest_keys_free(keys);
	open_keys();
	ck_assert(good(first) && good(third));
	ck_assert_uint_eq(count_keys(), 3);
	am_clock_fake_advance(clock_of, 366 * DAY);
	ck_assert(!good(first) && !good(third));
}
END_TEST

START_TEST(too_long_to_be_a_token)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf claims = { 0 }, out = { 0 };

	am_buf_adds(&claims, "{\"a\":\"");
	for (int i = 0; i < 9000; i++)
		am_buf_addc(&claims, 'x');
	am_buf_adds(&claims, "\"}");
	ck_assert_int_lt(rest_jwt_sign(keys, &claims, &out, &err), 0);
	ck_assert_int_eq(err.code, AMBIENT_E_INVALID);
	am_buf_fini(&claims);
	am_buf_fini(&out);
}
END_TEST

/* ---- RBAC */

START_TEST(rules_fit)
{
	static const struct {
		const char *rule;
		struct rest_access access;
		bool want;
	} rows[] = {
#define POD(v) { .verb = v, .group = "", .plural = "pods" }
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}", POD("get"), true },
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}", POD("list"), false },
		{ "{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]}", POD("list"), true },
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods/*\"]}",
		  { .verb = "get", .group = "", .plural = "pods", .sub = "log" }, false },
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"*/log\"]}",
		  { .verb = "get", .group = "", .plural = "pods", .sub = "log" }, true },
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"*\"]}",
		  { .verb = "get", .group = "", .plural = "pods", .sub = "log" }, true },
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pod\"]}",
		  { .verb = "get", .group = "", .plural = "pods", .sub = "log" }, false },
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"resourceNames\":[\"a\"]}",
		  { .verb = "get", .group = "", .plural = "pods", .name = "a" }, true },
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"resourceNames\":[\"*\"]}",
		  { .verb = "get", .group = "", .plural = "pods", .name = "a" }, false },
		{ "{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"resourceNames\":[\"a\"]}", POD("get"), false },
		{ "{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/a*\"]}", { .verb = "get", .path = "/ab/c" }, true },
		{ "{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/a\"]}", { .verb = "get", .path = "/a/" }, false },
		{ "{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"*\"]}", { .verb = "get", .path = "/x" }, true },
		{ "{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"*\"]}", POD("get"), false },
		/* What is malformed fits nothing. */
		{ "{\"verbs\":\"get\",\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}", POD("get"), false },
		{ "{\"verbs\":[\"get\\u0000*\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}", POD("get"), false },
		{ "{\"verbs\":[7,null,\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}", POD("get"), true },
		{ "[]", POD("get"), false },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		const char *text = am_arena_printf(arena, "{\"rules\":[%s]}", rows[i].rule);
		struct rbac_role role;
		char *block;
		bool fits = false;

		rbac_role_compile(am_slice_of(text), &role, &block);
		for (size_t k = 0; k < role.n; k++)
			fits = fits || rbac_rule_fits(&role.rules[k], &rows[i].access);
		ck_assert_msg(fits == rows[i].want, "row %zu: %s", i, rows[i].rule);
		free((void *)(uintptr_t)role.rules);
		free(block);
	}
}
END_TEST

/* ---- audit */

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

START_TEST(audit_levels)
{
	const struct audit_rule rules[] = {
		{ .level = AUDIT_NONE, .paths = LIST("/health*") },
		{ .level = AUDIT_REQUEST, .resources = LIST("jobs.batch", "pods/log"), .verbs = LIST("create", "get") },
		{ .level = AUDIT_NONE, .users = LIST("system:ambient:*"), .groups = LIST("g") },
		{ .level = AUDIT_REQUEST_RESPONSE, .namespaces = LIST("prod") },
	};
	const char *g[] = { "x", "g", NULL };
	struct rest_call call = { .path = "/healthz", .verb = "get", .user = { .name = "u" } };

#define LEVEL() ((int)audit_level_of(rules, AM_COUNTOF(rules), AUDIT_METADATA, &call))
	ck_assert_int_eq(LEVEL(), AUDIT_NONE);
	call.path = "/version";
	ck_assert_int_eq(LEVEL(), AUDIT_METADATA);
	call.is_resource = true;
	call.group = "batch";
	call.plural = "jobs";
	ck_assert_int_eq(LEVEL(), AUDIT_REQUEST);
	call.verb = "delete";
	ck_assert_int_eq(LEVEL(), AUDIT_METADATA);
	call.ns = "prod";
	ck_assert_int_eq(LEVEL(), AUDIT_REQUEST_RESPONSE);
	call.user = (struct rest_user){ .name = "system:ambient:host", .groups = g, .n_groups = 2 };
	ck_assert_int_eq(LEVEL(), AUDIT_NONE);
	call.user.n_groups = 1;
	ck_assert_int_eq(LEVEL(), AUDIT_REQUEST_RESPONSE);
	ck_assert_int_eq(audit_level_parse("Request"), AUDIT_REQUEST);
	ck_assert_int_eq(audit_level_parse("request"), -1);
}
END_TEST

/* A disk that is gone costs events, never requests; when it is back, the log goes on. */
START_TEST(audit_file_without_a_disk)
{
	char *sub = am_arena_printf(arena, "%s/log", dir), *path = am_arena_printf(arena, "%s/log/audit", dir);
	const struct audit_file_options o = { .path = path, .queue = 4096 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct audit_file *file = NULL;
	struct am_buf line = { 0 }, text = { 0 };

	ck_assert_int_eq(mkdir(sub, 0700), 0);
	ck_assert_int_eq(audit_file_open(&o, &file, &err), 0);
	ck_assert_int_eq(am_remove_tree(sub, NULL), 0);
	for (int i = 0; i < 1000; i++) {
		am_buf_reset(&line);
		am_buf_addf(&line, "event %d\n", i);
		audit_file_add(file, &line, false);
	}
	uint64_t lost = audit_file_dropped(file);

	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_lt(lost, 1000);
	ck_assert_int_eq(mkdir(sub, 0700), 0);
	/* An event wakes the writer; the close waits for what is queued. */
	am_buf_reset(&line);
	am_buf_adds(&line, "last\n");
	audit_file_add(file, &line, false);
	lost = audit_file_dropped(file);
	audit_file_close(file);
	ck_assert_int_eq(am_file_read(path, 1 << 20, &text, &err), 0);
	size_t lines = 0;

	for (size_t i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	ck_assert_uint_eq(lines, 1001 - lost);
	am_buf_fini(&line);
	am_buf_fini(&text);
}
END_TEST

/* ---- the file of users */

START_TEST(users_round_trip)
{
	static const char *const groups[] = { "a", "b:c" };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_users users = { 0 }, again = { 0 };
	struct am_buf text = { 0 };
	char hash[65];

	memset(hash, 'a', 64);
	hash[64] = '\0';
	am_users_add(&users, hash, "mia", "u-1", "2026-01-01T00:00:00Z", groups, 2);
	hash[0] = 'b';
	am_users_add(&users, hash, "bob@example.com", "", "", NULL, 0);
	am_users_print(&users, &text);
	ck_assert_msg(am_users_parse("u", am_buf_str(&text), text.len, &again, &err) == 0, "%s", err.message);
	ck_assert_uint_eq(again.n, 2);
	const struct am_user *mia = am_users_find(&again, "mia");

	ck_assert_uint_eq(mia->n_groups, 2);
	ck_assert_str_eq(mia->groups[1], "b:c");
	ck_assert_str_eq(mia->uid, "u-1");
	ck_assert_str_eq(mia->made, "2026-01-01T00:00:00Z");
	ck_assert(am_users_remove(&again, "mia") && !am_users_remove(&again, "mia"));
	ck_assert_ptr_nonnull(am_users_find(&again, "bob@example.com"));
	am_users_fini(&users);
	am_users_fini(&again);
	am_buf_fini(&text);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, tokens_round_trip);
	tcase_add_test(tc, forged_tokens);
	tcase_add_test(tc, symmetric_with_the_public_key);
	tcase_add_test(tc, keys_take_turns);
	tcase_add_test(tc, too_long_to_be_a_token);
	tcase_add_test(tc, rules_fit);
	tcase_add_test(tc, audit_levels);
	tcase_add_test(tc, audit_file_without_a_disk);
	tcase_add_test(tc, users_round_trip);
}

UNIT_MAIN("apiserver_auth", cases)
