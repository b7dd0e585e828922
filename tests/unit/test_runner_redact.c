/* SPDX-License-Identifier: Apache-2.0 */
/* Redaction (platform.md 7.10): what must go, and what must stay. */
#include "core/ambient-runner/redact.h"
#include "core/base/buf.h"
#include "core/data/scan.h"
#include "tests/lib/unit.h"

static struct am_redactor *redactor;

static void
setup(void)
{
	redactor = am_runner_redactor_new();
}

static void
teardown(void)
{
	am_runner_redactor_free(redactor);
}

static void
check(const char *in, const char *want)
{
	am_auto(am_buf_fini) struct am_buf out = {0};
	bool changed = am_runner_redact(redactor, in, strlen(in), &out);

	ck_assert_str_eq(am_buf_str(&out), want);
	ck_assert_int_eq(changed, strcmp(in, want) != 0);
}

START_TEST(tokens_that_announce_themselves)
{
	check("x ghp_0123456789abcdefABCDEF y", "x [redacted] y");
	check("gho_0123456789abcdefABCDEF", "[redacted]");
	check("(ghs_0123456789abcdefABCDEF)", "([redacted])");
	check("github_pat_11ABCDEFG0123456789", "[redacted]");
	check("sk-ant-api03-abc_DEF-123.", "[redacted]");
	check("pk-lf-0123456789abcdef0 sk-lf-0123456789abcdef0", "[redacted] [redacted]");
	check("glpat-abcdefghijklmnop", "[redacted]");
	check("\"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.sig_nature-x\"", "\"[redacted]\"");
}
END_TEST

START_TEST(credentials_in_urls)
{
	check("https://user:pa-ss@host/x", "https://[redacted]@host/x");
	check("git clone https://x-access-token:abc@github.com/a", "git clone https://[redacted]@github.com/a");
	check("x-access-token:abc@github.com", "x-access-token:[redacted]@github.com");
	check("oauth2:abc@gitlab.com", "oauth2:[redacted]@gitlab.com");
	check("see http://a.b/c:d and me@x", "see http://a.b/c:d and me@x");
	check("git@github.com:a/b.git", "git@github.com:a/b.git");
	check("http://localhost:8080/a@b", "http://localhost:8080/a@b");
}
END_TEST

START_TEST(assignments)
{
	check("ANTHROPIC_API_KEY=abcdef12", "ANTHROPIC_API_KEY=[redacted]");
	check("export BOT_TOKEN='abcdef12' x", "export BOT_TOKEN='[redacted]' x");
	check("\"GIT_TOKEN\": \"abcdef12\",", "\"GIT_TOKEN\": \"[redacted]\",");
	check("LANGFUSE_SECRET_KEY: abcdef12", "LANGFUSE_SECRET_KEY: [redacted]");
	check("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer [redacted]");
	/* What people write about secrets stays. */
	check("set ANTHROPIC_API_KEY=$KEY or ANTHROPIC_API_KEY=<your key>",
	      "set ANTHROPIC_API_KEY=$KEY or ANTHROPIC_API_KEY=<your key>");
	check("MY_BOT_TOKEN_COUNT=1234567", "MY_BOT_TOKEN_COUNT=1234567");
	check("the BOT_TOKEN is missing", "the BOT_TOKEN is missing");
}
END_TEST

START_TEST(values_that_are_held)
{
	static const char key[] =
		"-----BEGIN KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAA\nBBBBBBBBBBBBBBBBBBBBBBBB\n-----END KEY-----\n";
	const char *env[] = {"SOME_TOKEN=swordfish", "PLAIN=not-hidden", "TINY_KEY=abc", NULL};

	am_runner_redactor_add(redactor, "hunter2!\n", 9);
	am_runner_redactor_add(redactor, "hunter2!more", 12);
	am_runner_redactor_add(redactor, key, sizeof(key) - 1);
	am_runner_redactor_add_env(redactor, env);
	check("ahunter2!b hunter2!more", "a[redacted]b [redacted]");
	check("line AAAAAAAAAAAAAAAAAAAAAAAA alone", "line [redacted] alone");
	check("swordfish not-hidden abc", "[redacted] not-hidden abc");
}
END_TEST

/* Two private keys have more lines than one might think of; the token that comes after them is a secret as well. */
START_TEST(any_number_of_values_is_held)
{
	struct am_redactor *merged = am_runner_redactor_new();
	am_auto(am_buf_fini) struct am_buf out = {0};
	char line[32];

	for (int i = 0; i < 500; i++) {
		(void)snprintf(line, sizeof(line), "line of a key no. %d", i);
		am_runner_redactor_add(redactor, line, strlen(line));
	}
	am_runner_redactor_add(redactor, "swordfish", 9);
	check("a line of a key no. 499 and swordfish", "a [redacted] and [redacted]");
	am_runner_redactor_merge(merged, redactor);
	ck_assert(am_runner_redact(merged, "swordfish", 9, &out));
	ck_assert_str_eq(am_buf_str(&out), "[redacted]");
	am_runner_redactor_free(merged);
}
END_TEST

/* Wherever the cut is, nothing of the secret stays. */
START_TEST(what_is_cut_has_no_half_of_a_secret)
{
	static const char said[] = "refused: Tr0ub4dor&3xyzzy was shown";
	char line[64];

	am_runner_redactor_add(redactor, "Tr0ub4dor&3xyzzy", 16);
	for (size_t size = 1; size <= sizeof(line); size++) {
		am_runner_redact_cut(redactor, said, sizeof(said) - 1, line, size);
		ck_assert_uint_lt(strlen(line), size);
		ck_assert_uint_eq(strncmp(line, "refused: [redacted] was shown", strlen(line)), 0);
	}
	ck_assert_str_eq(line, "refused: [redacted] was shown");
	am_runner_redact_cut(NULL, said, 7, line, sizeof(line));
	ck_assert_str_eq(line, "refused");
}
END_TEST

START_TEST(json_is_redacted_behind_its_escapes)
{
	static const char in[] =
		"{\"a\":\"x \\u0067hp_0123456789abcdefABCDEF\",\"n\":1.10,\"ghp_0123456789abcdefABCDEF\":[null,"
		"\"s\\u00e9\",{\"b\":\"sk-ant-abcdefgh\"}]}";
	am_auto(am_buf_fini) struct am_buf out = {0};

	am_runner_redact_json(redactor, am_slice_of(in), &out);
	ck_assert_str_eq(
		am_buf_str(&out),
		"{\"a\":\"x [redacted]\",\"n\":1.10,\"[redacted]\":[null,\"s\\u00e9\",{\"b\":\"[redacted]\"}]}");
	ck_assert_int_eq(am_json_check(am_buf_str(&out), out.len, NULL), 0);
}
END_TEST

START_TEST(long_hostile_text_is_linear)
{
	am_auto(am_buf_fini) struct am_buf in = {0};
	am_auto(am_buf_fini) struct am_buf out = {0};

	for (int i = 0; i < 200000; i++)
		am_buf_adds(&in, "://a:x-access-token:BOT_TOKEN=");
	(void)am_runner_redact(redactor, in.data, in.len, &out);
	ck_assert(!out.failed);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, tokens_that_announce_themselves);
	tcase_add_test(tc, credentials_in_urls);
	tcase_add_test(tc, assignments);
	tcase_add_test(tc, values_that_are_held);
	tcase_add_test(tc, any_number_of_values_is_held);
	tcase_add_test(tc, what_is_cut_has_no_half_of_a_secret);
	tcase_add_test(tc, json_is_redacted_behind_its_escapes);
	tcase_add_test(tc, long_hostile_text_is_linear);
}

UNIT_MAIN("runner_redact", cases)
