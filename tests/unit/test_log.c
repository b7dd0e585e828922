/* SPDX-License-Identifier: Apache-2.0 */
/* Records as text, as JSON, and as journald takes them, with hostile bytes in them. */
#define JOURNAL_PATH journal_path
static char journal_path[108];
#include "core/base/log.c" /* sic: the journal's socket is a constant there */

#include "core/data/scan.h"
#include "tests/lib/unit.h"

static char *
record(enum am_log_format format, const char *const *fields, const char *text)
{
	struct am_buf out = { 0 };
	chosen = format;
	encode(&out, AMBIENT_LOG_WARN, "unit", fields, text);
	return am_buf_steal(&out, NULL);
}

static const char *const hostile[] = { "key", "a\nb \"c\"", NULL };

START_TEST(text_is_one_line)
{
	am_log_push("controller", "w");
	char *r = record(AM_LOG_TEXT, hostile, "two\nlines");
	am_log_pop();
	ck_assert_ptr_nonnull(strstr(r, " warn  unit: two\\nlines controller=w key=\"a\\nb \\\"c\\\"\"\n"));
	ck_assert_ptr_eq(strchr(r, '\n'), r + strlen(r) - 1);
	free(r);
}
END_TEST

START_TEST(json_is_an_object_per_line)
{
	char *r = record(AM_LOG_JSON, hostile, "say \"hi\"\x01");
	size_t n = strlen(r);
	ck_assert_int_eq(r[n - 1], '\n');
	ck_assert_int_eq(am_json_check(r, n - 1, NULL), 0);
	char *msg = am_json_dup(am_slice(r, n - 1), "/msg"), *key = am_json_dup(am_slice(r, n - 1), "/key");
	ck_assert_str_eq(msg, "say \"hi\"\x01");
	ck_assert_str_eq(key, "a\nb \"c\"");
	free(msg);
	free(key);
	free(r);
}
END_TEST

START_TEST(journald_gets_its_native_form)
{
	char dir[] = "/tmp/ambient-log-XXXXXX", got[2048];
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(journal_path, sizeof(journal_path), "%s/socket", dir);
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	(void)am_strlcpy(at.sun_path, journal_path, sizeof(at.sun_path));
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	am_log_init(AM_LOG_JOURNALD, AMBIENT_LOG_INFO);
	am_log_fields(AMBIENT_LOG_ERROR, "unit", hostile, "gone %d", 7);
	am_log_fini();
	ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	ck_assert_int_gt(n, 0);
	static const char head[] = "PRIORITY=3\nSYSLOG_IDENTIFIER=ambientd\nMESSAGE=gone 7\nAMBIENT_AREA=unit\nKEY\n\x07\0\0\0\0\0\0\0";
	ck_assert_int_ge(n, (ssize_t)sizeof(head));
	ck_assert_int_eq(memcmp(got, head, sizeof(head) - 1), 0);
	(void)close(fd);
	(void)unlink(journal_path);
	(void)rmdir(dir);
}
END_TEST

START_TEST(words_of_the_configuration)
{
	ck_assert_int_eq(am_log_level_parse("debug"), AMBIENT_LOG_DEBUG);
	ck_assert_int_eq(am_log_level_parse("loud"), 0);
	ck_assert_int_eq(am_log_format_parse("journald"), AM_LOG_JOURNALD);
	ck_assert_int_eq(am_log_format_parse("xml"), -1);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, text_is_one_line);
	tcase_add_test(tc, json_is_an_object_per_line);
	tcase_add_test(tc, journald_gets_its_native_form);
	tcase_add_test(tc, words_of_the_configuration);
}

UNIT_MAIN("log", cases)
