/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who looks at what a running container writes, from now on, and writes what it reads (kubectl attach).  The
 * container's output is copied to the asker's pipes.  A pipe that is full makes the program wait, as a terminal would,
 * but not for long: who reads nothing for PATIENCE is dropped, so that no viewer can stop a pod.  The log is complete in
 * any case: once the program has ended nobody is waited for before its output is on disk.
 *
 * The input is written by the askers themselves, through a descriptor that they get.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/data/scan.h"

#define PATIENCE     (10 * AM_NS_PER_S)
#define LAST_PATIENCE (2 * AM_NS_PER_S)    /* once the container has ended */
#define PENDING_MAX  (1 << 20)

struct shim_attach {
	struct shim_attach *next;
	const struct shim_container *container; /* NULL: it has ended */
	struct shim_container *input;           /* whose input this one writes; NULL: nobody's */
	int client;                             /* its socket */
	bool failed;
	int out[2];
	struct am_buf pending[2];
	int64_t progress;                       /* boot time of the last one, or of the first byte that had to wait */
	int code;
};

int
shim_attach_start(struct shim *shim, const struct shim_op *op, int client, const int *fds, size_t n, int *ret_input,
		  struct ambient_error *err)
{
	struct shim_container *c = shim_container_running(shim, op->container, err);
	size_t wanted = (size_t)op->std[1] + (size_t)op->std[2], k = 0;

	if (c == NULL)
		return -AMBIENT_E_NOTFOUND;
	if (shim_client_busy(shim, client))
		return ambient_err(err, AMBIENT_E_INVALID, "this connection has its session already");
	if (n != wanted)
		return ambient_err(err, AMBIENT_E_INVALID, "%zu descriptors came along, attach needs %zu", n, wanted);
	struct shim_attach *a = am_xcalloc(1, sizeof(*a));

	a->container = c;
	a->client = client;
	for (int i = 0; i < 2; i++) {
		a->pending[i].max = PENDING_MAX;
		a->out[i] = op->std[1 + i] ? fcntl(fds[k++], F_DUPFD_CLOEXEC, 3) : -1;
		if (a->out[i] >= 0)
			(void)fcntl(a->out[i], F_SETFL, O_NONBLOCK);
	}
	if (c->terminal >= 0)
		*ret_input = fcntl(c->terminal, F_DUPFD_CLOEXEC, 3);
	else if (op->std[0] && c->input_fd >= 0)
		*ret_input = fcntl(c->input_fd, F_DUPFD_CLOEXEC, 3);
	a->input = op->std[0] ? c : NULL;
	a->next = shim->attaches;
	shim->attaches = a;
	return 0;
}

bool
shim_attach_has(const struct shim *shim, int client)
{
	for (const struct shim_attach *a = shim->attaches; a != NULL; a = a->next)
		if (a->client == client)
			return true;
	return false;
}

bool
shim_attach_any(const struct shim *shim, const struct shim_container *c)
{
	for (const struct shim_attach *a = shim->attaches; a != NULL; a = a->next)
		if (a->container == c)
			return true;
	return false;
}

bool
shim_attach_full(const struct shim *shim, const struct shim_container *c)
{
	for (const struct shim_attach *a = shim->attaches; a != NULL; a = a->next)
		if (a->container == c && a->pending[0].len + a->pending[1].len > 0)
			return true;
	return false;
}

int
shim_attach_fd(const struct shim_attach *a, int stream)
{
	return a->pending[stream].len > 0 ? a->out[stream] : -1;
}

struct shim_attach *
shim_attach_next(const struct shim_attach *a)
{
	return a->next;
}

static void
close_out(struct shim_attach *a, int stream)
{
	if (a->out[stream] >= 0)
		(void)close(a->out[stream]);
	a->out[stream] = -1;
	am_buf_reset(&a->pending[stream]);
}

static void
flush(struct shim_attach *a, int stream)
{
	struct am_buf *b = &a->pending[stream];

	while (b->len > 0) {
		ssize_t n = write(a->out[stream], b->data, b->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close_out(a, stream); /* nobody reads it any more */
			return;
		}
		am_buf_consume(b, (size_t)n);
		a->progress = shim_now();
	}
}

void
shim_attach_feed(struct shim *shim, const struct shim_container *c, int stream, const char *p, size_t n)
{
	for (struct shim_attach *a = shim->attaches; a != NULL; a = a->next) {
		if (a->container != c || a->out[stream] < 0)
			continue;
		if (a->pending[0].len + a->pending[1].len == 0)
			a->progress = shim_now();
		am_buf_add(&a->pending[stream], p, n);
		/* Only after the program's end is more read than was taken. */
		if (a->pending[stream].failed)
			a->failed = true;
		else
			flush(a, stream);
	}
}

static void
end_input(struct shim_attach *a)
{
	struct shim_container *c = a->input;

	a->input = NULL;
	if (c == NULL || !c->input_once || c->input_fd < 0)
		return;
	(void)close(c->input_fd);
	c->input_fd = -1;
}

void
shim_attach_input_ended(struct shim *shim, int client)
{
	for (struct shim_attach *a = shim->attaches; a != NULL; a = a->next)
		if (a->client == client)
			end_input(a);
}

static void
release(struct shim *shim, struct shim_attach *a)
{
	for (struct shim_attach **p = &shim->attaches; *p != NULL; p = &(*p)->next)
		if (*p == a) {
			*p = a->next;
			break;
		}
	end_input(a);
	for (int i = 0; i < 2; i++) {
		close_out(a, i);
		am_buf_fini(&a->pending[i]);
	}
	free(a);
}

/* late: its output was not read; else the container has ended and all was taken. */
static void
say_end(struct shim *shim, struct shim_attach *a, bool late)
{
	am_auto(am_buf_fini) struct am_buf line = { 0 };
	int client = a->client;

	if (late)
		am_buf_adds(&line, "{\"error\":\"the container's output was not read for too long\"}\n");
	else
		am_json_addf(&line, "{\"exit\":%d}\n", a->code);
	release(shim, a);
	shim_control_tell_one(shim, client, am_buf_str(&line), line.len);
}

int64_t
shim_attach_tick(struct shim *shim)
{
	int64_t next = AM_FOREVER;

	for (struct shim_attach *a = shim->attaches, *after; a != NULL; a = after) {
		int64_t until;

		after = a->next;
		flush(a, 0);
		flush(a, 1);
		until = a->progress + (a->container == NULL ? LAST_PATIENCE : PATIENCE);
		if (a->pending[0].len + a->pending[1].len == 0)
			until = AM_FOREVER;
		if (a->failed || shim_now() >= until)
			say_end(shim, a, true);
		else if (until == AM_FOREVER && a->container == NULL)
			say_end(shim, a, false);
		else
			next = AM_MIN(next, until);
	}
	return next;
}

void
shim_attach_abandon(struct shim *shim, int client)
{
	for (struct shim_attach *a = shim->attaches, *after; a != NULL; a = after) {
		after = a->next;
		if (a->client == client)
			release(shim, a);
	}
}

void
shim_attach_end(struct shim *shim, const struct shim_container *c)
{
	for (struct shim_attach *a = shim->attaches; a != NULL; a = a->next) {
		if (a->container != c)
			continue;
		a->container = NULL;
		a->input = NULL;
		a->code = c->code;
		a->progress = shim_now();
	}
}
