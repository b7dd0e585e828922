/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See msglog.h.  A line is written by one write(2) at the file's end; what a failed or torn write left is cut off
 * again, so that the file holds whole lines only.
 */
#include "core/ambient-runner/msglog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define RUN_MAX    (64 << 20)
#define HEAD_BYTES (16 * 1024)

struct am_msglog {
	struct am_msglog_options options;
	char *dir, *run;
	int fd;
	off_t size;
	int64_t seq, written, dropped;
	int64_t synced_at;
	bool dirty;
	void (*written_fn)(void *arg, off_t size, int64_t seq);
	void *written_arg;
};

/* What an agent may say, and whether it is output, of which there may be too much. */
static const struct {
	const char *type;
	bool output;
} types[] = {
	{AMBIENT_MSG_SESSION, false},   {AMBIENT_MSG_TEXT, true},      {AMBIENT_MSG_PARTIAL, true},
	{AMBIENT_MSG_THINKING, true},   {AMBIENT_MSG_TOOL_CALL, true}, {AMBIENT_MSG_TOOL_RESULT, true},
	{AMBIENT_MSG_PERMISSION, true}, {AMBIENT_MSG_QUESTION, true},  {AMBIENT_MSG_STATUS, true},
	{AMBIENT_MSG_USAGE, true},      {AMBIENT_MSG_RESULT, false},   {AMBIENT_MSG_ERROR, true},
	{AMBIENT_MSG_USER, false},
};

static int
type_index(const char *type)
{
	for (size_t i = 0; i < AM_COUNTOF(types); i++)
		if (am_streq(types[i].type, type))
			return (int)i;
	return -1;
}

bool
am_runner_message_type_known(const char *type)
{
	return type_index(type) >= 0;
}

/* The last whole line's seq; cuts off what follows it. */
static int
find_end(struct am_msglog *log, struct ambient_error *err)
{
	struct stat st;
	am_auto(am_buf_fini) struct am_buf tail = {0};

	if (fstat(log->fd, &st) < 0)
		return am_err_errno(err, errno, "the message log");
	if (!S_ISREG(st.st_mode))
		return ambient_err(err, AMBIENT_E_INVALID, "the message log is no regular file");
	off_t from = st.st_size > 3 * AMBIENT_MESSAGE_MAX ? st.st_size - 3 * AMBIENT_MESSAGE_MAX : 0;
	size_t n = (size_t)(st.st_size - from);
	log->size = 0;
	if (n == 0)
		return 0;
	if (!am_buf_reserve(&tail, n))
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory to read the message log's end");
	ssize_t got = pread(log->fd, tail.data, n, from);
	if (got != (ssize_t)n)
		return am_err_errno(err, got < 0 ? errno : EIO, "reading the message log");
	while (n > 0) {
		while (n > 0 && tail.data[n - 1] != '\n')
			n--;
		if (n == 0)
			break;
		size_t start = n - 1;
		while (start > 0 && tail.data[start - 1] != '\n')
			start--;
		struct am_slice line = am_slice(tail.data + start, n - 1 - start);
		if (am_json_check(line.p, line.n, NULL) == 0 && (log->seq = am_json_int(line, "/seq", -1)) >= 0) {
			log->size = from + (off_t)n;
			break;
		}
		n = start;
	}
	if (log->size == 0 && from > 0)
		return ambient_err(err, AMBIENT_E_INVALID,
				   "the message log's end holds no message; it was changed by others");
	if (log->seq < 0)
		log->seq = 0;
	if (log->size < st.st_size && ftruncate(log->fd, log->size) < 0)
		return am_err_errno(err, errno, "cutting a torn line off the message log");
	return 0;
}

int
am_runner_msglog_open(const struct am_msglog_options *options, struct am_msglog **ret, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/messages.jsonl", options->dir);
	int rc = am_mkdirs(options->dir, 0700, err);

	if (rc < 0)
		return rc;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return am_err_errno(err, errno, "opening the message log \"%s\"", path);
	struct am_msglog *log = am_xcalloc(1, sizeof(*log));
	log->options = *options;
	log->dir = am_xstrdup(options->dir);
	log->run = am_xstrdup(options->run);
	if (log->options.max == 0)
		log->options.max = RUN_MAX;
	log->fd = fd;
	if ((rc = find_end(log, err)) < 0) {
		am_runner_msglog_close(log);
		return rc;
	}
	*ret = log;
	return 0;
}

void
am_runner_msglog_listen(struct am_msglog *log, void (*written)(void *arg, off_t size, int64_t seq), void *arg)
{
	log->written_fn = written;
	log->written_arg = arg;
	written(arg, log->size, log->seq);
}

void
am_runner_msglog_close(struct am_msglog *log)
{
	if (log == NULL)
		return;
	if (log->dirty)
		(void)fdatasync(log->fd);
	(void)close(log->fd);
	free(log->dir);
	free(log->run);
	free(log);
}

int64_t
am_runner_msglog_seq(const struct am_msglog *log)
{
	return log->seq;
}

static int
write_line(struct am_msglog *log, const struct am_buf *line, struct ambient_error *err)
{
	size_t done = 0;

	while (done < line->len) {
		ssize_t n = pwrite(log->fd, line->data + done, line->len - done, log->size + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int saved = n < 0 ? errno : ENOSPC;

			if (ftruncate(log->fd, log->size) < 0)
				am_log_error("runner", "the message log keeps a torn line: %s", strerror(errno));
			return am_err_errno(err, saved, "writing the message log");
		}
		done += (size_t)n;
	}
	log->size += (off_t)line->len;
	log->written += (int64_t)line->len;
	log->seq++;
	log->dirty = true;
	if (log->written_fn != NULL)
		log->written_fn(log->written_arg, log->size, log->seq);
	/* Whoever reads standard output may have gone; the file is what counts. */
	if (log->options.stdout_fd >= 0)
		(void)am_write_all(log->options.stdout_fd, line->data, line->len);
	return 0;
}

static void
begin_line(struct am_msglog *log, const char *type, struct am_buf *line)
{
	char now[32];

	am_time_format(now, am_clock_wall(log->options.clock), true);
	am_json_addf(line, "{\"seq\":%l,\"time\":%s,\"run\":%s,\"type\":%s", log->seq + 1, now, log->run, type);
}

/* Members of fields, without those that are ours, each with a comma before it. */
static void
add_fields(struct am_buf *line, struct am_slice fields)
{
	static const char *const ours[] = {"seq", "time", "run", "type"};
	struct am_slice key, value;
	size_t it = 0;

	while (am_json_member(fields, &it, &key, &value)) {
		bool skip = false;

		for (size_t i = 0; i < AM_COUNTOF(ours); i++)
			skip = skip || am_slice_eq(key, ours[i]);
		if (skip)
			continue;
		am_buf_adds(line, ",\"");
		am_buf_add(line, key.p, key.n);
		am_buf_adds(line, "\":");
		am_buf_add(line, value.p, value.n);
	}
}

/* Too large for a line: the whole goes into a file, the line keeps the short fields, the text's head and the name. */
static int
refer_to_file(struct am_msglog *log, const char *type, struct am_slice fields, struct am_buf *line,
	      struct ambient_error *err)
{
	am_auto(am_freep) char *dir = am_xasprintf("%s/large", log->dir);
	am_auto(am_freep) char *path = am_xasprintf("%s/%lld.json", dir, (long long)(log->seq + 1));
	am_auto(am_freep) char *name = am_xasprintf("large/%lld.json", (long long)(log->seq + 1));
	struct am_slice key, value;
	size_t it = 0;
	int rc;

	if ((rc = am_mkdirs(dir, 0755, err)) < 0 || (rc = am_file_write(path, fields.p, fields.n, 0644, err)) < 0)
		return rc;
	log->written += (int64_t)fields.n;
	am_buf_reset(line);
	begin_line(log, type, line);
	while (am_json_member(fields, &it, &key, &value)) {
		am_auto(am_buf_fini) struct am_buf text = {0};

		if (am_slice_eq(key, "seq") || am_slice_eq(key, "time") || am_slice_eq(key, "run") ||
		    am_slice_eq(key, "type") || am_slice_eq(key, "file") || am_slice_eq(key, "bytes") || key.n > 256 ||
		    line->len > AMBIENT_MESSAGE_MAX / 2)
			continue;
		if (value.n > 1024 && am_json_type(value) != AMBIENT_T_STRING)
			continue;
		am_buf_adds(line, ",\"");
		am_buf_add(line, key.p, key.n);
		am_buf_adds(line, "\":");
		if (value.n <= 1024) {
			am_buf_add(line, value.p, value.n);
			continue;
		}
		(void)am_json_unescape(value, &text);
		size_t n = AM_MIN(text.len, (size_t)HEAD_BYTES);
		while (n > 0 && n < text.len && ((unsigned char)text.data[n] & 0xc0) == 0x80)
			n--;
		am_json_add_strn(line, am_buf_str(&text), n);
	}
	am_json_addf(line, ",\"file\":%s,\"bytes\":%l}\n", name, (int64_t)fields.n);
	return 0;
}

int
am_runner_msglog_add(struct am_msglog *log, const char *type, struct am_slice fields, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf clean = {0};
	am_auto(am_buf_fini) struct am_buf line = {0};
	int i = type_index(type), rc;

	if (i < 0)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%.40s\" is no type of message", type);
	if (am_json_type(fields) != AMBIENT_T_OBJECT)
		return ambient_err(err, AMBIENT_E_INVALID, "the fields of a message are no object");
	if (log->written + (int64_t)fields.n > log->options.max && types[i].output) {
		if (log->dropped++ == 0)
			return am_runner_msglog_say(log, AMBIENT_MSG_SESSION, "state", "truncated",
						    "the agent wrote more than is kept; further output is dropped",
						    err);
		return 0;
	}
	am_runner_redact_json(log->options.redactor, fields, &clean);
	begin_line(log, type, &line);
	add_fields(&line, am_slice(am_buf_str(&clean), clean.len));
	am_buf_adds(&line, "}\n");
	if (clean.failed || line.failed)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for a message");
	if (line.len > AMBIENT_MESSAGE_MAX &&
	    (rc = refer_to_file(log, type, am_slice(am_buf_str(&clean), clean.len), &line, err)) < 0)
		return rc;
	if ((rc = write_line(log, &line, err)) < 0)
		return rc;
	if (!types[i].output) {
		(void)fdatasync(log->fd);
		log->dirty = false;
	}
	return 0;
}

int
am_runner_msglog_say(struct am_msglog *log, const char *type, const char *key, const char *value, const char *text,
		     struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf fields = {0};

	if (log == NULL)
		return 0;
	am_buf_addc(&fields, '{');
	if (key != NULL)
		am_json_addf(&fields, "%s:%s,", key, value);
	am_json_addf(&fields, "\"text\":%s}", text);
	return am_runner_msglog_add(log, type, am_slice(am_buf_str(&fields), fields.len), err);
}

void
am_runner_msglog_tick(struct am_msglog *log)
{
	int64_t now = am_clock_boot(log->options.clock);

	if (!log->dirty || now - log->synced_at < AM_NS_PER_S)
		return;
	(void)fdatasync(log->fd);
	log->dirty = false;
	log->synced_at = now;
}
