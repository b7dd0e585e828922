/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging.  A record is encoded by the thread that logs and handed to a writer thread through a bounded queue, so that
 * a stuck pipe stops nobody: when the queue is full the record is dropped and counted, and the count is logged later.
 * Before am_log_init and after am_log_fini records are written at once.
 */
#include "core/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/str.h"

#define RING         1024
#define CONTEXT_MAX  8
#ifndef JOURNAL_PATH
#define JOURNAL_PATH "/run/systemd/journal/socket"
#endif

static const struct {
	const char *name;
	int priority; /* syslog's */
} levels[] = {
	[AMBIENT_LOG_ERROR] = { "error", 3 },
	[AMBIENT_LOG_WARN] = { "warn", 4 },
	[AMBIENT_LOG_INFO] = { "info", 6 },
	[AMBIENT_LOG_DEBUG] = { "debug", 7 },
};

static atomic_int threshold = AMBIENT_LOG_INFO;
static enum am_log_format chosen = AM_LOG_TEXT;
static int journal_fd = -1;

/* lock guards the ring and running. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct am_buf ring[RING];
static size_t ring_first, ring_count, dropped;
static bool running;
static pthread_t writer;

static _Thread_local struct {
	const char *name, *value;
} context[CONTEXT_MAX];
static _Thread_local int context_depth;

static void (*capture)(void *, int, const char *, const char *);
static void *capture_arg;

int
am_log_level_parse(const char *s)
{
	for (int i = AMBIENT_LOG_ERROR; i <= AMBIENT_LOG_DEBUG; i++) {
		if (am_streq(s, levels[i].name))
			return i;
	}
	return 0;
}

int
am_log_format_parse(const char *s)
{
	static const char *const names[] = { "auto", "text", "json", "journald" };

	for (size_t i = 0; i < AM_COUNTOF(names); i++) {
		if (am_streq(s, names[i]))
			return (int)i;
	}
	return -1;
}

void
am_log_set_level(int level)
{
	atomic_store(&threshold, level);
}

int
am_log_level(void)
{
	return atomic_load(&threshold);
}

bool
am_log_enabled(int level)
{
	return level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void
am_log_push(const char *name, const char *value)
{
	if (context_depth < CONTEXT_MAX) {
		context[context_depth].name = name;
		context[context_depth].value = value;
	}
	context_depth++;
}

void
am_log_pop(void)
{
	context_depth--;
}

void
am_log_capture(void (*fn)(void *, int, const char *, const char *), void *arg)
{
	capture = fn;
	capture_arg = arg;
}

/* Control characters would let one record look like two. */
static void
add_clean(struct am_buf *out, const char *s, const char *also_escaped)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '\n')
			am_buf_adds(out, "\\n");
		else if (c < 0x20 || c == 0x7f)
			am_buf_addf(out, "\\u%04x", c);
		else {
			if (strchr(also_escaped, *s) != NULL)
				am_buf_addc(out, '\\');
			am_buf_addc(out, *s);
		}
	}
}

static void
add_text_field(struct am_buf *out, const char *name, const char *value)
{
	bool quote = value[0] == '\0' || strpbrk(value, " \"=\t\n") != NULL;

	am_buf_addf(out, " %s=%s", name, quote ? "\"" : "");
	add_clean(out, value, "\"\\");
	if (quote)
		am_buf_addc(out, '"');
}

static void
add_json_field(struct am_buf *out, const char *name, const char *value)
{
	am_buf_addf(out, ",\"%s\":\"", name);
	if (am_utf8_valid(value, strlen(value)))
		add_clean(out, value, "\"\\");
	else
		am_buf_adds(out, "(not UTF-8)");
	am_buf_addc(out, '"');
}

/* journald's native form: NAME=value lines; a value with a newline has its length in front. */
static void
add_journal_field(struct am_buf *out, const char *name, const char *value)
{
	for (const char *p = name; *p != '\0'; p++) {
		char c = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
		am_buf_addc(out, (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_');
	}
	if (strchr(value, '\n') != NULL) {
		uint64_t n = strlen(value);
		unsigned char le[8];
		for (int i = 0; i < 8; i++)
			le[i] = (unsigned char)(n >> (8 * i));
		am_buf_addc(out, '\n');
		am_buf_add(out, le, sizeof(le));
		am_buf_adds(out, value);
	} else {
		am_buf_addf(out, "=%s", value);
	}
	am_buf_addc(out, '\n');
}

static void
encode(struct am_buf *out, int level, const char *area, const char *const *fields, const char *text)
{
	static void (*const adders[])(struct am_buf *, const char *, const char *) = {
		[AM_LOG_AUTO] = add_text_field, [AM_LOG_TEXT] = add_text_field,
		[AM_LOG_JSON] = add_json_field, [AM_LOG_JOURNALD] = add_journal_field,
	};
	void (*add)(struct am_buf *, const char *, const char *) = adders[chosen];
	char when[32];

	am_time_format(when, am_clock_wall(am_clock_real()), true);
	if (chosen == AM_LOG_JSON) {
		am_buf_addf(out, "{\"time\":\"%s\",\"level\":\"%s\"", when, levels[level].name);
		add(out, "area", area);
		add(out, "msg", text);
	} else if (chosen == AM_LOG_JOURNALD) {
		am_buf_addf(out, "PRIORITY=%d\nSYSLOG_IDENTIFIER=ambientd\n", levels[level].priority);
		add(out, "MESSAGE", text);
		add(out, "AMBIENT_AREA", area);
	} else {
		am_buf_addf(out, "%s %-5s %s: ", when, levels[level].name, area);
		add_clean(out, text, "");
	}
	for (int i = 0; i < context_depth && i < CONTEXT_MAX; i++)
		add(out, context[i].name, context[i].value);
	for (; fields != NULL && fields[0] != NULL && fields[1] != NULL; fields += 2)
		add(out, fields[0], fields[1]);
	if (chosen == AM_LOG_JSON)
		am_buf_addc(out, '}');
	if (chosen != AM_LOG_JOURNALD)
		am_buf_addc(out, '\n');
}

static void
put_out(const struct am_buf *record)
{
	const char *p = am_buf_str(record);
	size_t left = record->len;

	if (journal_fd >= 0) {
		(void)!send(journal_fd, p, left, MSG_NOSIGNAL);
		return;
	}
	while (left > 0) {
		ssize_t n = write(STDERR_FILENO, p, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		left -= (size_t)n;
	}
}

static void *
write_records(void *unused am_unused_)
{
	(void)pthread_setname_np(pthread_self(), "log");
	(void)pthread_mutex_lock(&lock);
	for (;;) {
		while (ring_count == 0 && running)
			(void)pthread_cond_wait(&filled, &lock);
		if (ring_count == 0)
			break;
		struct am_buf record = ring[ring_first];
		size_t lost = dropped;
		ring[ring_first] = (struct am_buf){ 0 };
		ring_first = (ring_first + 1) % RING;
		ring_count--;
		dropped = 0;
		(void)pthread_mutex_unlock(&lock);
		put_out(&record);
		am_buf_fini(&record);
		if (lost != 0)
			am_log_warn("base", "%zu log records were dropped because nobody read them in time", lost);
		(void)pthread_mutex_lock(&lock);
	}
	(void)pthread_mutex_unlock(&lock);
	return NULL;
}

void
am_log_fields(int level, const char *area, const char *const *fields, const char *fmt, ...)
{
	char text[2048];
	struct am_buf record = { 0 };
	va_list ap;

	if (!am_log_enabled(level) && capture == NULL)
		return;
	int saved = errno;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (capture != NULL) {
		am_buf_adds(&record, text);
		for (const char *const *f = fields; f != NULL && f[0] != NULL; f += 2)
			am_buf_addf(&record, " %s=%s", f[0], f[1]);
		capture(capture_arg, level, area, am_buf_str(&record));
		am_buf_fini(&record);
		errno = saved;
		return;
	}
	encode(&record, level, area, fields, text);
	(void)pthread_mutex_lock(&lock);
	if (running && ring_count < RING) {
		ring[(ring_first + ring_count++) % RING] = record;
		record = (struct am_buf){ 0 };
		(void)pthread_cond_signal(&filled);
	} else if (running) {
		dropped++;
	} else {
		put_out(&record);
	}
	(void)pthread_mutex_unlock(&lock);
	am_buf_fini(&record);
	errno = saved;
}

static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

static void
open_journal(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	(void)am_strlcpy(to.sun_path, JOURNAL_PATH, sizeof(to.sun_path));
	journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (journal_fd >= 0 && connect(journal_fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		(void)close(journal_fd);
		journal_fd = -1;
	}
	if (journal_fd < 0)
		chosen = AM_LOG_TEXT;
}

void
am_log_init(enum am_log_format format, int level)
{
	am_log_set_level(level);
	if (format == AM_LOG_AUTO)
		format = stderr_is_journal() ? AM_LOG_JOURNALD : AM_LOG_TEXT;
	chosen = format;
	if (format == AM_LOG_JOURNALD && journal_fd < 0)
		open_journal();
	(void)pthread_mutex_lock(&lock);
	if (!running)
		running = pthread_create(&writer, NULL, write_records, NULL) == 0;
	(void)pthread_mutex_unlock(&lock);
}

void
am_log_fini(void)
{
	(void)pthread_mutex_lock(&lock);
	bool was = running;
	running = false;
	(void)pthread_cond_signal(&filled);
	(void)pthread_mutex_unlock(&lock);
	if (was && !pthread_equal(writer, pthread_self()))
		(void)pthread_join(writer, NULL);
}
