/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent's side may send: bytes on the socket, then each line's fields as a message.  What reaches the log is
 * one whole line of JSON within the limit, numbered by us. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>
#include <sys/socket.h>

#include "core/ambient-runner/channel.h"
#include "core/ambient-runner/msglog.h"
#include "core/ambient-runner/report.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct am_msglog *msglog;
static struct am_redactor *redactor;
static char dir[] = "/tmp/amb-fuzz-XXXXXX";
static int out[2];

static void
remove_dir(void)
{
	am_runner_msglog_close(msglog);
	am_runner_redactor_free(redactor);
	(void)am_remove_tree(dir, NULL);
}

static void
set_up(void)
{
	am_assert(mkdtemp(dir) != NULL && pipe2(out, O_CLOEXEC | O_NONBLOCK) == 0);
	redactor = am_runner_redactor_new();
	am_runner_redactor_add(redactor, "the-canary-value", 16);
	struct am_msglog_options options = {.dir = dir,
					    .run = "r",
					    .redactor = redactor,
					    .clock = am_clock_real(),
					    .stdout_fd = out[1],
					    .max = INT64_C(1) << 40};
	am_assert(am_runner_msglog_open(&options, &msglog, NULL) == 0);
	(void)atexit(remove_dir);
}

static void
check_written(int64_t seq)
{
	static char text[AMBIENT_MESSAGE_MAX + 1];
	ssize_t n = read(out[0], text, sizeof(text));

	if (n <= 0)
		return;
	am_assert(n <= AMBIENT_MESSAGE_MAX && (text[n - 1] == '\n' || n == 65536));
	if (text[n - 1] != '\n')
		return; /* the pipe was full; the file has it */
	am_assert(memchr(text, '\n', (size_t)n) == text + n - 1);
	am_assert(am_json_int(am_slice(text, (size_t)n - 1), "/seq", 0) == seq);
	am_assert(memmem(text, (size_t)n, "the-canary-value", 16) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct am_report report = {.run = "r", .state = "running", .cost = -1};
	struct am_channel channel;
	struct am_slice line, fields;
	char t[32];
	int pair[2], rc = 0;

	if (msglog == NULL)
		set_up();
	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	am_assert(am_write_all(pair[1], data, size) == 0);
	(void)close(pair[1]);
	am_runner_channel_init(&channel, pair[0]);
	while (rc >= 0 && !channel.eof) {
		am_assert(am_runner_channel_read(&channel, NULL) == 0);
		while ((rc = am_runner_channel_next(&channel, &line, t, NULL)) > 0) {
			am_auto(am_freep) char *type = am_json_dup(line, "/type");

			am_assert(strlen(t) > 0);
			if (type == NULL || !am_json_find(line, "/fields", &fields))
				continue;
			int added = am_runner_msglog_add(msglog, type, fields, NULL);
			am_assert(added == 0 || added == -AMBIENT_E_INVALID);
			check_written(am_runner_msglog_seq(msglog));
			if (added == 0)
				am_runner_report_note(&report, type, fields);
		}
	}
	am_auto(am_buf_fini) struct am_buf json = {0};
	am_runner_report_json(&report, NULL, redactor, &json);
	am_assert(am_json_check(am_buf_str(&json), json.len, NULL) == 0 && json.len < AM_REPORT_MAX);
	am_runner_report_fini(&report);
	am_runner_channel_fini(&channel);
	return 0;
}
