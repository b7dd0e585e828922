/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.jsonl, the only memory of a pod, version 1:
 *
 *   {"t":TIME,"rec":"shim","version":1,"pid":N}
 *   {"t","rec":"wanted","container":C,"n":N}                                its definition, define.c
 *   {"t","rec":"starting","container":C,"n":N,"of":IMAGE,"image":…,"imageID":…}  durable before anything is started
 *   {"t","rec":"running","container":C,"n":N,"pid":P,"started":TIME,"up":B,"ready":B}
 *   {"t","rec":"ready","container":C,"n":N,"up":B,"ready":B}                what probes made of a running one
 *   {"t","rec":"exit","container":C,"n":N,"code":K,"reason":R,"message":M,"started":TIME|null,"finished":TIME}   durable
 *   {"t","rec":"waiting","container":C,"n":N,"reason":R,"message":M}
 *   {"t","rec":"note","i":I,"container":C,"n":N,"reason":R,"message":M}     I counts from 1
 *   {"t","rec":"stop","graceMs":N} | {"t","rec":"deadline"} | {"t","rec":"evict","message":M}
 *   {"t","rec":"end"}                                                       durable, the last
 *
 * Records are appended.  A probe that flutters for weeks must not fill the disk, so every 32 KiB the file is
 * replaced, in one step, by the lines that still say something: reading it gives what reading all of them gave.
 *
 * An instance is started at most once: a file that is there already belongs to a pod that was started before,
 * and the shim refuses it, whatever became of that one.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/str.h"
#include "core/data/scan.h"

#define STATE_GROWS (32 << 10)

int
shim_state_open(struct shim *shim, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/state.jsonl", shim->dir);

	shim->state_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (shim->state_fd < 0 && errno == EEXIST)
		return ambient_err(err, AMBIENT_E_EXISTS, "this pod was started before: \"%s\" exists", path);
	if (shim->state_fd < 0)
		return am_err_errno(err, errno, "cannot make \"%s\"", path);
	/* The name must survive a crash as well. */
	int dir = open(shim->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		(void)fsync(dir);
		(void)close(dir);
	}
	return 0;
}

int64_t
shim_now(void)
{
	return am_clock_boot(am_clock_real());
}

void
shim_stamp(char buf[32], int64_t wall)
{
	am_time_format(buf, wall, true);
}

/* ---- keeping the file small ---- */

/* The lines that the file would be the same without the others for: of each container the last of each kind, and
 * the last two ends, one of which may be that of the instance before; of the pod the last of each kind. */
static struct kept {
	char key[112];
	char *line;
	size_t n;
	int64_t order;
} *kept;
static size_t kept_count;
static int64_t order, grown;

static struct kept *
find(const char *key)
{
	for (size_t i = 0; i < kept_count; i++)
		if (strcmp(kept[i].key, key) == 0)
			return &kept[i];
	return NULL;
}

static struct kept *
slot(const char *key)
{
	struct kept *k = find(key);

	if (k == NULL) {
		kept = am_xrealloc(kept, kept_count + 1, sizeof(*kept));
		k = &kept[kept_count++];
		*k = (struct kept){ .order = 0 };
		am_strlcpy(k->key, key, sizeof(k->key));
	}
	return k;
}

static void
keep(const char *rec, const char *container, const char *line, size_t n)
{
	char key[112], older[sizeof(key)];
	struct kept *k;

	(void)snprintf(key, sizeof(key), "%.30s/%.63s", rec, container);
	if (strcmp(rec, "exit") == 0 && find(key) != NULL) {
		struct kept *before;

		(void)snprintf(older, sizeof(older), "%.30s/%.63s/", rec, container);
		before = slot(older);
		k = find(key);
		free(before->line);
		before->line = k->line;
		before->n = k->n;
		before->order = k->order;
		k->line = NULL;
	}
	k = slot(key);
	free(k->line);
	k->line = am_xstrndup(line, n);
	k->n = n;
	k->order = ++order;
}

static int
by_order(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return (x->order > y->order) - (x->order < y->order);
}

/* Readers see the old file or the new one.  When it cannot be written, the old one goes on growing. */
static void
compact(struct shim *shim)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/state.jsonl", shim->dir);
	am_auto(am_buf_fini) struct am_buf all = { 0 };
	int fd;

	qsort(kept, kept_count, sizeof(*kept), by_order);
	for (size_t i = 0; i < kept_count; i++)
		am_buf_add(&all, kept[i].line, kept[i].n);
	grown = 0;
	if (all.failed || am_file_write(path, all.data, all.len, 0600, NULL) < 0)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	(void)close(shim->state_fd);
	shim->state_fd = fd;
}

/* ---- records ---- */

static char last_rec[32], last_container[64];

void
shim_record(struct am_buf *line, const char *rec, const struct shim_container *c)
{
	char t[32];

	shim_stamp(t, am_clock_wall(am_clock_real()));
	am_json_addf(line, "{\"t\":%s,\"rec\":%s", t, rec);
	if (c != NULL)
		am_json_addf(line, ",\"container\":%s,\"n\":%d", c->name, c->restart);
	am_strlcpy(last_rec, rec, sizeof(last_rec));
	am_strlcpy(last_container, c != NULL ? c->name : "", sizeof(last_container));
}

void
shim_record_end(struct shim *shim, struct am_buf *line, bool sync)
{
	am_buf_adds(line, "}\n");
	if (line->failed || am_write_all(shim->state_fd, line->data, line->len) < 0) {
		/* A full disk: the socket still tells; the daemon will find the pod without its end and fail it. */
		fprintf(stderr, "cannot write state.jsonl\n");
	}
	if (sync)
		(void)fdatasync(shim->state_fd);
	if (!line->failed) {
		keep(last_rec, last_container, line->data, line->len);
		grown += (int64_t)line->len;
	}
	shim_control_tell(shim, am_buf_str(line), line->len);
	am_buf_fini(line);
	if (grown > STATE_GROWS)
		compact(shim);
}

void
shim_note(struct shim *shim, const struct shim_container *c, const char *reason, const char *fmt, ...)
{
	struct am_buf line = { 0 };
	char text[1400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	shim_record(&line, "note", c);
	am_json_addf(&line, ",\"i\":%l,\"reason\":%s,\"message\":%s", ++shim->notes, reason, text);
	shim_record_end(shim, &line, false);
}
