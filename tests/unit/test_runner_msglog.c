/* SPDX-License-Identifier: Apache-2.0 */
/* The message log's numbers, bounds and repairs; the socket's framing; what of it gets into the report. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <ambient/message.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "core/ambient-runner/channel.h"
#include "core/ambient-runner/msglog.h"
#include "core/ambient-runner/report.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "tests/lib/unit.h"

static char dir[64];
static struct am_clock *clock_;
static struct am_redactor *redactor;

static void
setup(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/amb-msglog-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	clock_ = am_clock_fake_new();
	redactor = am_runner_redactor_new();
}

static void
teardown(void)
{
	(void)am_remove_tree(dir, NULL);
	am_clock_fake_free(clock_);
	am_runner_redactor_free(redactor);
}

static struct am_msglog *
open_log(int64_t max)
{
	struct am_msglog_options options = {
		.dir = dir, .run = "r1", .redactor = redactor, .clock = clock_, .stdout_fd = -1, .max = max};
	struct am_msglog *log = NULL;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(am_runner_msglog_open(&options, &log, &err) == 0, "%s", err.message);
	return log;
}

static char *
content(void)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/messages.jsonl", dir);
	struct am_buf buf = {0};

	ck_assert_int_eq(am_file_read(path, 64 << 20, &buf, NULL), 0);
	am_buf_addc(&buf, '\0');
	return am_buf_steal(&buf, NULL);
}

static void
add(struct am_msglog *log, const char *type, const char *fields)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(am_runner_msglog_add(log, type, am_slice_of(fields), &err) == 0, "%s", err.message);
}

START_TEST(a_line)
{
	struct am_msglog *log = open_log(0);

	add(log, "text",
	    "{\"seq\":9,\"type\":\"result\",\"time\":1,\"run\":\"x\",\"text\":\"a\\u0007 "
	    "sk-ant-abcdefgh\",\"n\":1.50}");
	am_runner_msglog_close(log);
	am_auto(am_freep) char *text = content();
	ck_assert_str_eq(text, "{\"seq\":1,\"time\":\"2026-01-01T00:00:00.000000Z\",\"run\":\"r1\",\"type\":\"text\","
			       "\"text\":\"a\\u0007 [redacted]\",\"n\":1.50}\n");
}
END_TEST

START_TEST(numbers_go_on_after_a_restart_and_a_torn_line)
{
	struct am_msglog *log = open_log(0);
	am_auto(am_freep) char *path = am_xasprintf("%s/messages.jsonl", dir);

	for (int i = 0; i < 5; i++)
		add(log, "text", "{\"text\":\"x\"}");
	am_runner_msglog_close(log);
	int fd = open(path, O_WRONLY | O_APPEND);
	ck_assert_int_eq(am_write_all(fd, "{\"seq\":6,\"ti", 12), 0);
	(void)close(fd);
	log = open_log(0);
	ck_assert_int_eq(am_runner_msglog_seq(log), 5);
	add(log, "text", "{\"text\":\"y\"}");
	am_runner_msglog_close(log);
	am_auto(am_freep) char *text = content();
	ck_assert_ptr_nonnull(strstr(text, "{\"seq\":6,"));
	ck_assert_ptr_null(strstr(text, "\"ti{"));
	log = open_log(0);
	ck_assert_int_eq(am_runner_msglog_seq(log), 6);
	am_runner_msglog_close(log);
}
END_TEST

START_TEST(what_is_no_message_is_refused)
{
	struct am_msglog *log = open_log(0);

	ck_assert_int_eq(am_runner_msglog_add(log, "shutdown", AM_SLICE("{}"), NULL), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_runner_msglog_add(log, "", AM_SLICE("{}"), NULL), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_runner_msglog_add(log, "text", AM_SLICE("[]"), NULL), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_runner_msglog_add(log, "text", AM_SLICE("\"x\""), NULL), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_runner_msglog_seq(log), 0);
	am_runner_msglog_close(log);
}
END_TEST

START_TEST(a_large_message_refers_to_a_file)
{
	struct am_msglog *log = open_log(0);
	am_auto(am_buf_fini) struct am_buf fields = {0};

	am_buf_adds(&fields, "{\"id\":\"t1\",\"text\":\"");
	for (int i = 0; i < 200000; i++)
		am_buf_adds(&fields, "\xc3\xa9");
	am_buf_adds(&fields, "\",\"list\":[");
	for (int i = 0; i < 2000; i++)
		am_buf_adds(&fields, "1,");
	am_buf_adds(&fields, "1]}");
	add(log, "tool_result", am_buf_str(&fields));
	am_runner_msglog_close(log);
	am_auto(am_freep) char *text = content();
	ck_assert_uint_lt(strlen(text), AMBIENT_MESSAGE_MAX);
	struct am_slice line = am_slice(text, strlen(text) - 1);
	ck_assert_int_eq(am_json_check(line.p, line.n, NULL), 0);
	am_auto(am_freep) char *file = am_json_dup(line, "/file");
	ck_assert_str_eq(file, "large/1.json");
	ck_assert_int_eq(am_json_int(line, "/bytes", 0), (int64_t)fields.len);
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, file);
	am_auto(am_buf_fini) struct am_buf whole = {0};
	ck_assert_int_eq(am_file_read(path, 1 << 20, &whole, NULL), 0);
	ck_assert_str_eq(am_buf_str(&whole), am_buf_str(&fields));
}
END_TEST

START_TEST(output_is_bounded_but_the_end_is_kept)
{
	struct am_msglog *log = open_log(2000);

	for (int i = 0; i < 1000; i++)
		add(log, "text", "{\"text\":\"0123456789\"}");
	add(log, "result", "{\"text\":\"end\"}");
	am_runner_msglog_close(log);
	am_auto(am_freep) char *text = content();
	ck_assert_uint_lt(strlen(text), 4000);
	ck_assert_ptr_nonnull(strstr(text, "\"state\":\"truncated\""));
	ck_assert_ptr_eq(strstr(strstr(text, "truncated") + 1, "\"state\":\"truncated\""), NULL);
	ck_assert_ptr_nonnull(strstr(text, "\"type\":\"result\",\"text\":\"end\""));
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_leaves_whole_lines)
{
	struct am_msglog *log = open_log(0);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct rlimit old, limit;
	int rc = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	limit = (struct rlimit){.rlim_cur = 1000, .rlim_max = old.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; i < 100 && rc == 0; i++)
		rc = am_runner_msglog_add(log, "text", AM_SLICE("{\"text\":\"0123456789\"}"), &err);
	ck_assert_int_lt(rc, 0);
	ck_assert_int_ne(rc, -AMBIENT_E_INVALID);
	ck_assert_int_eq(err.sys_errno, EFBIG);
	int64_t seq = am_runner_msglog_seq(log);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	am_runner_msglog_close(log);
	am_auto(am_freep) char *text = content();
	ck_assert_int_eq(text[strlen(text) - 1], '\n');
	log = open_log(0);
	ck_assert_int_eq(am_runner_msglog_seq(log), seq);
	am_runner_msglog_close(log);
}
END_TEST

START_TEST(no_link_is_followed)
{
	struct am_msglog_options options = {
		.dir = dir, .run = "r1", .redactor = redactor, .clock = clock_, .stdout_fd = -1};
	am_auto(am_freep) char *path = am_xasprintf("%s/messages.jsonl", dir);
	struct am_msglog *log = NULL;

	ck_assert_int_eq(symlink("/dev/null", path), 0);
	ck_assert_int_lt(am_runner_msglog_open(&options, &log, NULL), 0);
}
END_TEST

/* ---- the channel */

static int pair[2];
static struct am_channel channel;

static void
feed(const char *p, size_t n)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	am_runner_channel_init(&channel, pair[0]);
	channel.line_max = 1000;
	ck_assert_int_eq(am_write_all(pair[1], p, n), 0);
	(void)close(pair[1]);
}

/* Reads to the end: the number of lines, or the error. */
static int
count_lines(void)
{
	struct am_slice line;
	char t[32];
	int rc = 0, n = 0;

	for (int i = 0; i < 1000 && !channel.eof; i++) {
		ck_assert_int_eq(am_runner_channel_read(&channel, NULL), 0);
		while ((rc = am_runner_channel_next(&channel, &line, t, NULL)) > 0)
			n++;
		if (rc < 0)
			break;
	}
	am_runner_channel_fini(&channel);
	return rc < 0 ? rc : n;
}

static const struct {
	const char *bytes;
	int want;
} streams[] = {
	{"", 0},
	{"{\"t\":\"a\"}\n{\"t\":\"b\",\"x\":[1]}\n", 2},
	{"{\"t\":\"a\"}\n{\"t\":\"half", 1},
	{"\n", -AMBIENT_E_INVALID},
	{"x\n", -AMBIENT_E_INVALID},
	{"{}\n", -AMBIENT_E_INVALID},
	{"[\"t\"]\n", -AMBIENT_E_INVALID},
	{"{\"t\":1}\n", -AMBIENT_E_INVALID},
	{"{\"t\":\"\"}\n", -AMBIENT_E_INVALID},
	{"{\"t\":\"a\\u0000\"}\n", -AMBIENT_E_INVALID},
	{"{\"t\":\"a\",\"t\":\"b\"}\n", -AMBIENT_E_INVALID},
	{"{\"t\":\"0123456789012345678901234567890123456789\"}\n", -AMBIENT_E_INVALID},
	{"{\"t\":\"a\",\"x\":\"\xc0\xaf\"}\n", -AMBIENT_E_INVALID},
};

START_TEST(lines_of_the_peer)
{
	feed(streams[_i].bytes, strlen(streams[_i].bytes));
	ck_assert_int_eq(count_lines(), streams[_i].want);
}
END_TEST

START_TEST(a_line_too_long_ends_the_connection)
{
	am_auto(am_buf_fini) struct am_buf text = {0};

	am_buf_adds(&text, "{\"t\":\"a\",\"x\":\"");
	for (int i = 0; i < 2000; i++)
		am_buf_addc(&text, 'y');
	feed(am_buf_str(&text), text.len); /* no newline ever */
	ck_assert_int_eq(count_lines(), -AMBIENT_E_INVALID);
	am_buf_adds(&text, "\"}\n");
	feed(am_buf_str(&text), text.len);
	ck_assert_int_eq(count_lines(), -AMBIENT_E_INVALID);
}
END_TEST

START_TEST(sending_never_blocks)
{
	am_auto(am_buf_fini) struct am_buf big = {0};

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	am_runner_channel_init(&channel, pair[0]);
	for (int i = 0; i < 100000; i++)
		am_buf_adds(&big, "0123456789");
	for (int i = 0; i < 6; i++)
		am_runner_channel_send(&channel, am_buf_str(&big), big.len);
	ck_assert(am_runner_channel_full(&channel));
	(void)close(pair[1]);
	ck_assert_int_lt(am_runner_channel_flush(&channel, NULL), 0);
	am_runner_channel_fini(&channel);
}
END_TEST

/* ---- the report */

START_TEST(report_takes_results_and_bounds_them)
{
	struct am_report report = {.run = "r1", .state = "done", .cost = -1};
	am_auto(am_buf_fini) struct am_buf fields = {0};
	am_auto(am_buf_fini) struct am_buf json = {0};

	am_buf_adds(&fields, "{\"isError\":false,\"turns\":3,\"durationMs\":12,\"costUSD\":0.1,\"text\":\"");
	for (int i = 0; i < 9919; i++)
		am_buf_addc(&fields, 'x');
	for (int i = 0; i < 41; i++) /* what is kept ends in the middle of the first of them */
		am_buf_adds(&fields, "\xc3\xa9");
	am_buf_adds(&fields, "\"}");
	am_runner_report_note(&report, "result", am_slice(am_buf_str(&fields), fields.len));
	am_runner_report_note(&report, "usage", AM_SLICE("{\"inputTokens\":1,\"costUSD\":0.3}"));
	am_runner_report_note(&report, "text", AM_SLICE("{\"text\":\"not this\"}"));
	ck_assert_str_eq(am_buf_str(&report.result) + 9918, "x\n[cut here: 9919 of 10001 bytes]");
	(void)am_strlcpy(report.message, "token ghp_0123456789abcdefABCDEF", sizeof(report.message));
	am_runner_report_json(&report, NULL, redactor, &json);
	struct am_slice s = am_slice(am_buf_str(&json), json.len);
	ck_assert_int_eq(am_json_check(s.p, s.n, NULL), 0);
	ck_assert_int_eq(am_json_int(s, "/turns", 0), 3);
	ck_assert_ptr_nonnull(strstr(s.p, "\"costUSD\":0.3"));
	ck_assert_ptr_nonnull(strstr(s.p, "\"message\":\"token [redacted]\""));
	ck_assert_ptr_nonnull(strstr(s.p, "\"usage\":{\"inputTokens\":1,"));
	am_runner_report_note(&report, "result",
			      AM_SLICE("{\"turns\":-5,\"durationMs\":1e99,\"costUSD\":-1,\"text\":7}"));
	ck_assert_int_eq(report.turns, 0);
	ck_assert(report.cost > 0.29 && report.cost < 0.31);
	am_runner_report_fini(&report);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_line);
	tcase_add_test(tc, numbers_go_on_after_a_restart_and_a_torn_line);
	tcase_add_test(tc, what_is_no_message_is_refused);
	tcase_add_test(tc, a_large_message_refers_to_a_file);
	tcase_add_test(tc, output_is_bounded_but_the_end_is_kept);
	tcase_add_test(tc, a_full_disk_is_an_error_and_leaves_whole_lines);
	tcase_add_test(tc, no_link_is_followed);
	tcase_add_loop_test(tc, lines_of_the_peer, 0, (int)AM_COUNTOF(streams));
	tcase_add_test(tc, a_line_too_long_ends_the_connection);
	tcase_add_test(tc, sending_never_blocks);
	tcase_add_test(tc, report_takes_results_and_bounds_them);
}

UNIT_MAIN("runner_msglog", cases)
