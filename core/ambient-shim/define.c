/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers that are held: their definition comes when their turn does, since only then it is known (an image is
 * pulled), or comes anew, since it has changed.  The record "wanted" asks for it, once.  Invariants: what is held is
 * not started; a definition is taken only while the container is held and nothing of it runs.
 */
#include "core/ambient-shim/shim.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/str.h"

static struct shim_container *
find(struct shim *shim, const char *name, struct ambient_error *err)
{
	for (size_t i = 0; i < shim->count; i++)
		if (am_streq(shim->containers[i].name, name))
			return &shim->containers[i];
	(void)ambient_err(err, AMBIENT_E_NOTFOUND, "there is no container \"%.64s\"", name);
	return NULL;
}

void
shim_define_ask(struct shim *shim, struct shim_container *c)
{
	struct am_buf line = {0};

	if (c->asked)
		return;
	c->asked = true;
	shim_record(&line, "wanted", c);
	shim_record_end(shim, &line, false);
}

int
shim_define_hold(struct shim *shim, const char *name, struct ambient_error *err)
{
	struct shim_container *c = find(shim, name, err);

	if (c == NULL)
		return -AMBIENT_E_NOTFOUND;
	if (shim->closing || c->phase == SHIM_ENDED || (c->init && !c->sidecar))
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%.64s\" is not started again", name);
	if (c->held)
		return 0;
	c->held = true;
	c->asked = false;
	if (c->phase == SHIM_BACKOFF)
		c->phase = SHIM_WAITING;
	if (c->phase != SHIM_WAITING) {
		shim_note(shim, c, "Killing", "Container %s definition changed, will be restarted", c->name);
		shim_life_stop(shim, c, shim_now() + shim->grace);
	}
	return 0;
}

/* What a memory file has. */
static int
read_all(int fd, struct am_buf *ret, struct ambient_error *err)
{
	struct stat st;
	char chunk[8192];
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return ambient_err(err, AMBIENT_E_INVALID, "a definition comes as a file");
	ret->max = SHIM_SPEC_MAX;
	for (off_t at = 0; (n = pread(fd, chunk, sizeof(chunk), at)) > 0; at += n)
		am_buf_add(ret, chunk, (size_t)n);
	return n < 0 || ret->failed
		       ? ambient_err(err, AMBIENT_E_INVALID, "a definition has at most %d bytes", SHIM_SPEC_MAX)
		       : 0;
}

int
shim_define(struct shim *shim, const char *name, const int *fds, size_t n, struct ambient_error *err)
{
	struct shim_container *c = find(shim, name, err), fresh = {.name = NULL};
	am_auto(am_buf_fini) struct am_buf text = {0};
	int rc;

	if (c == NULL)
		return -AMBIENT_E_NOTFOUND;
	if (!c->held || c->phase != SHIM_WAITING)
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%.64s\" does not wait for its definition",
				   name);
	if (n != 1)
		return ambient_err(err, AMBIENT_E_INVALID, "define needs one descriptor");
	rc = read_all(fds[0], &text, err);
	rc = rc < 0 ? rc : shim_spec_container(shim, &fresh, am_buf_str(&text), text.len, c->init, err);
	if (rc < 0)
		return rc;
	if (strcmp(fresh.name, c->name) != 0 || fresh.sidecar != c->sidecar || fresh.held)
		return ambient_err(err, AMBIENT_E_INVALID, "this is no definition of container \"%.64s\"", name);
	rc = shim_filter_read(shim, &fresh, err);
	if (rc < 0)
		return rc;
	fresh.phase = SHIM_WAITING;
	fresh.restart = c->restart;
	fresh.code = c->code;
	fresh.was_up = c->was_up;
	*c = fresh;
	return 0;
}
