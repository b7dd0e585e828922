/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log's file.  Lines are queued in memory and written by one thread, many at once; so a request waits for the
 * disk only when the disk is slower than the requests.  A file that was moved away is begun anew.
 */
#include "plugins/standalone/apiserver/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/counter.h"
#include "core/base/file.h"

#define QUEUE    ((size_t)8 << 20)
#define PATIENCE (2 * AM_NS_PER_S)
#define RETRY    (1 * AM_NS_PER_S)

struct audit_file {
	char *path;
	int64_t max_size, backups;
	size_t queue_max;
	struct am_metric *lines, *lost;
	struct am_lock lock;          /* guards what follows */
	struct am_cond wake, room;
	struct am_buf queue;
	uint64_t dropped;             /* lines */
	size_t queued;                /* bytes that the thread has taken and not written yet */
	bool stop, failing;
	struct am_thread *thread;
	/* The thread's own. */
	int fd;
	int64_t size;
};

/* ---- the file; the writer's thread */

static void
close_fd(struct audit_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
}

/* Opens it, unless the open one is still what the path names. */
static int
ensure_open(struct audit_file *f, struct ambient_error *err)
{
	struct stat here, there;

	if (f->fd >= 0 && (stat(f->path, &there) < 0 || fstat(f->fd, &here) < 0 || here.st_ino != there.st_ino ||
			   here.st_dev != there.st_dev))
		close_fd(f);
	if (f->fd >= 0)
		return 0;
	f->fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd < 0 || fstat(f->fd, &here) < 0 || !S_ISREG(here.st_mode)) {
		int code = f->fd < 0 ? errno : EINVAL;

		close_fd(f);
		return ambient_err(err, AMBIENT_E_INVALID, "the audit log %s cannot be opened: %s", f->path, strerror(code));
	}
	f->size = here.st_size;
	return 0;
}

/* FILE -> FILE.1 -> FILE.2 ...; the last one goes. */
static void
rotate(struct audit_file *f)
{
	close_fd(f);
	for (int64_t i = f->backups; i >= 1; i--) {
		am_auto(am_freep) char *from = i > 1 ? am_xasprintf("%s.%lld", f->path, (long long)(i - 1)) : am_xstrdup(f->path);
		am_auto(am_freep) char *to = am_xasprintf("%s.%lld", f->path, (long long)i);

		(void)rename(from, to);
	}
	if (f->backups == 0)
		(void)unlink(f->path);
}

static int
write_lines(struct audit_file *f, const char *p, size_t n, struct ambient_error *err)
{
	int rc = ensure_open(f, err);

	if (rc == 0 && f->max_size > 0 && f->size > 0 && f->size + (int64_t)n > f->max_size) {
		rotate(f);
		rc = ensure_open(f, err);
	}
	if (rc < 0)
		return rc;
	rc = am_write_all(f->fd, p, n);
	if (rc < 0) {
		/* Half a line is worse than none. */
		(void)!ftruncate(f->fd, f->size);
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the audit log %s cannot be written: %s", f->path, strerror(-rc));
	}
	f->size += (int64_t)n;
	return 0;
}

/* As many whole lines as fit into what is left of the file, at least one. */
static size_t
portion(const struct audit_file *f, const char *p, size_t n)
{
	int64_t left = f->max_size - f->size;
	size_t used = 0;

	if (f->max_size <= 0 || (int64_t)n <= left)
		return n;
	while (used < n) {
		const char *eol = memchr(p + used, '\n', n - used);
		size_t end = eol != NULL ? (size_t)(eol - p) + 1 : n;

		if (used > 0 && (int64_t)end > AM_MAX(left, INT64_C(0)))
			break;
		used = end;
		if ((int64_t)used > left)
			break;
	}
	return used;
}

/* The lock is held; it is let go while writing.  What cannot be written is tried again each second. */
static void
write_queue(struct audit_file *f)
{
	struct am_buf batch = f->queue;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	size_t at = 0;

	f->queue = (struct am_buf){ 0 };
	while (at < batch.len) {
		bool last = f->stop;

		am_unlock(&f->lock);
		size_t n = portion(f, batch.data + at, batch.len - at);
		int rc = write_lines(f, batch.data + at, n, &err);

		am_lock(&f->lock);
		f->queued = batch.len - at;
		if (rc == 0) {
			at += n;
			if (f->failing)
				am_log_info("apiserver", "the audit log is written again");
			f->failing = false;
			am_cond_broadcast(&f->room);
			continue;
		}
		if (!f->failing)
			am_log_error("apiserver", "%s; what does not fit into memory is lost", err.message);
		f->failing = true;
		if (last)
			break;
		(void)am_cond_wait(&f->wake, &f->lock, am_clock_boot(am_clock_real()) + RETRY);
	}
	f->queued = 0;
	am_cond_broadcast(&f->room);
	am_buf_fini(&batch);
}

static void
writer_main(void *arg)
{
	struct audit_file *f = arg;

	am_lock(&f->lock);
	while (!f->stop || f->queue.len > 0) {
		if (f->queue.len > 0)
			write_queue(f);
		else
			(void)am_cond_wait(&f->wake, &f->lock, AM_FOREVER);
	}
	am_unlock(&f->lock);
}

/* ---- everybody */

/* The lock is held. */
static bool
has_room(const struct audit_file *f, size_t n)
{
	return f->queue.len == 0 || f->queue.len + f->queued + n <= f->queue_max;
}

void
audit_file_add(struct audit_file *f, const struct am_buf *line, bool patient)
{
	int64_t deadline = am_clock_boot(am_clock_real()) + PATIENCE;

	am_lock(&f->lock);
	while (!has_room(f, line->len) && patient && !f->failing && am_cond_wait(&f->room, &f->lock, deadline))
		;
	if (has_room(f, line->len) && !line->failed) {
		am_buf_add(&f->queue, line->data, line->len);
		am_metric_add(f->lines, 1);
	} else {
		if (f->dropped++ == 0)
			am_log_error("apiserver", "the audit log cannot keep up: events are lost, and counted in "
				     "apiserver_audit_lost_total");
		am_metric_add(f->lost, 1);
	}
	am_cond_signal(&f->wake);
	am_unlock(&f->lock);
}

uint64_t
audit_file_dropped(struct audit_file *f)
{
	am_lock(&f->lock);
	uint64_t n = f->dropped;

	am_unlock(&f->lock);
	return n;
}

int
audit_file_open(const struct audit_file_options *o, struct audit_file **ret, struct ambient_error *err)
{
	struct audit_file *f = am_xcalloc(1, sizeof(*f));

	f->path = am_xstrdup(o->path);
	f->max_size = o->max_size;
	f->backups = o->backups;
	f->queue_max = o->queue != 0 ? o->queue : QUEUE;
	f->fd = -1;
	f->lines = am_metric(AM_COUNTER, "apiserver_audit_event_total", "Audit events.", NULL, NULL);
	f->lost = am_metric(AM_COUNTER, "apiserver_audit_lost_total", "Audit events that could not be written in time.", NULL,
			    NULL);
	am_lock_init(&f->lock, "audit");
	am_cond_init(&f->wake, am_clock_real());
	am_cond_init(&f->room, am_clock_real());
	int rc = ensure_open(f, err);

	if (rc == 0) {
		f->thread = am_thread_new("api-audit", 0, writer_main, f);
		if (f->thread == NULL)
			rc = ambient_err(err, AMBIENT_E_NOMEM, "cannot start the audit log's thread");
	}
	if (rc < 0) {
		audit_file_close(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void
audit_file_close(struct audit_file *f)
{
	if (f == NULL)
		return;
	am_lock(&f->lock);
	f->stop = true;
	am_cond_broadcast(&f->wake);
	am_unlock(&f->lock);
	am_thread_join(f->thread);
	close_fd(f);
	am_buf_fini(&f->queue);
	am_cond_fini(&f->wake);
	am_cond_fini(&f->room);
	am_lock_fini(&f->lock);
	free(f->path);
	free(f);
}
