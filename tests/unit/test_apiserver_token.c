/* SPDX-License-Identifier: Apache-2.0 */
/* When a ServiceAccount token holds, on a real engine and a clock that the tests move. */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"
#include "tests/unit/apiserver.h"

static struct fixture f;
static struct rest_server server;
static struct am_arena *arena;
static char uid[48], pod_uid[48];

static void
open_all(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	f = (struct fixture){ .clock = am_clock_fake_new() };
	fixture_open(&f);
	arena = am_arena_new();
	server = (struct rest_server){ .engine = f.engine, .clock = f.clock };
	const struct rest_keys_options ko = { .dir = f.dir, .clock = f.clock, .keep_ns = 365 * INT64_C(86400) * AM_NS_PER_S };

	ck_assert_int_eq(rest_keys_open(&ko, &server.keys, &err), 0);
	ck_assert_int_eq(rest_static_open(f.dir, NULL, &server.users, &err), 0);
	ck_assert_int_eq(create(&f, "v1/serviceaccounts", "default", "{\"metadata\":{\"name\":\"a\"}}"), 201);
	am_strlcpy(uid, f.written.object->uid, sizeof(uid));
	ck_assert_int_eq(create(&f, "v1/pods", "default", "{\"metadata\":{\"name\":\"p\",\"finalizers\":[\"x/y\"]},\"spec\":{"
		"\"serviceAccountName\":\"a\",\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}"), 201);
	am_strlcpy(pod_uid, f.written.object->uid, sizeof(pod_uid));
}

static void
done(void)
{
	rest_keys_free(server.keys);
	rest_static_free(server.users);
	am_arena_free(arena);
	fixture_close(&f);
}

static struct rest_token_claims
claims(void)
{
	static const char *const audiences[] = { REST_AUDIENCE, "other", NULL };
	int64_t now = am_clock_wall(f.clock) / AM_NS_PER_S;

	return (struct rest_token_claims){ .ns = "default", .account = { "a", uid }, .audiences = audiences, .issued = now,
					   .expires = now + 3600 };
}

static const char *
mint(const struct rest_token_claims *c)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf out = { 0 };

	ck_assert_msg(rest_token_mint(&server, c, &out, &err) == 0, "%s", err.message);
	const char *copy = am_arena_strdup(arena, am_buf_str(&out));

	am_buf_fini(&out);
	return copy;
}

static struct rest_user user;

/* NULL: it holds; else why not. */
static const char *
why_not(const char *token)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	return rest_user_of_token(&server, arena, token, NULL, &user, &err) == 0 ? NULL : am_arena_strdup(arena, err.message);
}

static void
advance(int64_t seconds)
{
	am_clock_fake_advance(f.clock, seconds * AM_NS_PER_S);
}

#define HOLDS(token) ck_assert_msg(why_not(token) == NULL, "%s", why_not(token))
#define FAILS(token, sentence) ck_assert_str_eq(why_not(token), sentence)

START_TEST(from_and_until)
{
	struct rest_token_claims c = claims();
	const char *token = mint(&c);

	HOLDS(token);
	ck_assert_str_eq(user.name, "system:serviceaccount:default:a");
	ck_assert_str_eq(user.uid, uid);
	ck_assert(rest_user_in(&user, "system:serviceaccounts") && rest_user_in(&user, "system:serviceaccounts:default"));
	ck_assert(rest_user_in(&user, "system:authenticated"));
	advance(3600);
	HOLDS(token);
	advance(20);
	FAILS(token, "the token has expired");
	/* A clock that was set back sees tokens of the future. */
	c = claims();
	token = mint(&c);
	am_clock_fake_set_wall(f.clock, am_clock_wall(f.clock) - 60 * AM_NS_PER_S);
	FAILS(token, "the token is not valid yet");
}
END_TEST

START_TEST(without_an_end)
{
	struct rest_token_claims c = claims();

	c.expires = 0;
	FAILS(mint(&c), "the token has no end");
	c.secret = (struct rest_token_ref){ "none", "u" };
	FAILS(mint(&c), "the secret of the token has been deleted");
}
END_TEST

START_TEST(other_accounts_and_audiences)
{
	static const char *const others[] = { "other", NULL }, *const wanted[] = { "x", "other", NULL };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct rest_token_claims c = claims();

	c.account.uid = "another-uid";
	FAILS(mint(&c), "the service account has been deleted");
	c = claims();
	c.ns = "kube-system";
	FAILS(mint(&c), "the service account has been deleted");
	c = claims();
	c.audiences = others;
	const char *token = mint(&c);

	FAILS(token, "the token is for another audience");
	ck_assert_int_eq(rest_user_of_token(&server, arena, token, wanted, &user, &err), 0);
}
END_TEST

START_TEST(a_pod_that_ends)
{
	struct rest_token_claims c = claims();

	c.pod = (struct rest_token_ref){ "p", pod_uid };
	c.node = (struct rest_token_ref){ "n", "only told" };
	c.expires += 100000;
	const char *token = mint(&c);

	HOLDS(token);
	ck_assert_int_eq(delete(&f, "v1/pods", "default", "p", (struct am_delete_options){ .grace = 30 }), 200);
	advance(80);
	HOLDS(token);
	advance(20);
	FAILS(token, "the pod of the token has been deleted");
	c.pod.uid = "another-uid";
	FAILS(mint(&c), "the pod of the token has been deleted");
}
END_TEST

START_TEST(an_account_that_ends)
{
	struct rest_token_claims c = claims();
	const char *token = mint(&c);

	ck_assert_int_eq(delete(&f, "v1/serviceaccounts", "default", "a", (struct am_delete_options){ .grace = -1 }), 200);
	FAILS(token, "the service account has been deleted");
	ck_assert_int_eq(create(&f, "v1/serviceaccounts", "default", "{\"metadata\":{\"name\":\"a\"}}"), 201);
	FAILS(token, "the service account has been deleted");
}
END_TEST

START_TEST(read_too_late)
{
	struct rest_token_claims c = claims();

	c.warn_after = c.issued + 60;
	const char *token = mint(&c);

	HOLDS(token);
	ck_assert(!user.stale);
	advance(61);
	HOLDS(token);
	ck_assert(user.stale);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, from_and_until);
	tcase_add_test(tc, without_an_end);
	tcase_add_test(tc, other_accounts_and_audiences);
	tcase_add_test(tc, a_pod_that_ends);
	tcase_add_test(tc, an_account_that_ends);
	tcase_add_test(tc, read_too_late);
}

UNIT_MAIN("apiserver_token", cases)
