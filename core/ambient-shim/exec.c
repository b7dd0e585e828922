/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that somebody runs in a running container (kubectl exec).  Each belongs to the connection that asked for
 * it, which hears {"exit":N} at its end; when the connection goes first, the command is killed.  Input and output
 * go through descriptors of the asker's, or a terminal whose master he gets: the shim moves none of their bytes, so
 * nobody who reads slowly holds up the pod.  Invariant: a command is in the list until it is reaped.
 */
#include "core/ambient-shim/shim.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/str.h"
#include "core/data/scan.h"

struct shim_exec {
	struct shim_exec *next;
	const struct shim_container *container;
	pid_t pid;
	int pidfd;
	int client;            /* its socket; -1: it has gone */
};

struct shim_container *
shim_container_running(struct shim *shim, const char *name, struct ambient_error *err)
{
	for (size_t i = 0; i < shim->count; i++) {
		struct shim_container *c = &shim->containers[i];

		if (am_streq(c->name, name) && c->phase == SHIM_RUNNING && !c->reaped)
			return c;
	}
	(void)ambient_err(err, AMBIENT_E_NOTFOUND, "container \"%.64s\" does not run", name);
	return NULL;
}

bool
shim_client_busy(const struct shim *shim, int client)
{
	for (const struct shim_exec *e = shim->execs; e != NULL; e = e->next)
		if (e->client == client)
			return true;
	return shim_attach_has(shim, client);
}

static int
check(const struct shim *shim, const struct shim_op *op, int client, size_t given, struct ambient_error *err)
{
	size_t wanted = op->tty ? 0 : (size_t)op->std[0] + (size_t)op->std[1] + (size_t)op->std[2], n = 0;

	if (shim_client_busy(shim, client))
		return ambient_err(err, AMBIENT_E_INVALID, "this connection has its session already");
	for (const struct shim_exec *e = shim->execs; e != NULL; e = e->next)
		n++;
	if (n >= SHIM_EXECS_MAX)
		return ambient_err(err, AMBIENT_E_THROTTLED, "%d commands run in this pod already", SHIM_EXECS_MAX);
	if (given != wanted)
		return ambient_err(err, AMBIENT_E_INVALID, "%zu descriptors came along, exec needs %zu", given, wanted);
	return 0;
}

int
shim_exec_start(struct shim *shim, const struct shim_op *op, int client, const int *fds, size_t n, int *ret_master,
		struct ambient_error *err)
{
	struct shim_container *c = shim_container_running(shim, op->container, err);
	int std[3] = { -1, -1, -1 }, pidfd = -1, rc;
	pid_t pid = 0;

	if (c == NULL)
		return -AMBIENT_E_NOTFOUND;
	rc = check(shim, op, client, n, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0, k = 0; i < 3 && !op->tty; i++)
		if (op->std[i])
			std[i] = fds[k++];
	rc = shim_enter(shim, c, op->argv, std, op->tty ? ret_master : NULL, &pid, &pidfd, err);
	if (rc < 0)
		return rc;
	struct shim_exec *e = am_xcalloc(1, sizeof(*e));

	*e = (struct shim_exec){ .next = shim->execs, .container = c, .pid = pid, .pidfd = pidfd, .client = client };
	shim->execs = e;
	return 0;
}

/* With its process group: its number is its own until it is reaped. */
static void
kill_exec(const struct shim_exec *e)
{
	(void)kill(-e->pid, SIGKILL);
	if (e->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, e->pidfd, SIGKILL, NULL, 0);
}

bool
shim_exec_reaped(struct shim *shim, pid_t pid, int status)
{
	for (struct shim_exec **p = &shim->execs; *p != NULL; p = &(*p)->next) {
		struct shim_exec *e = *p;
		struct am_buf line = { 0 };

		if (e->pid != pid)
			continue;
		*p = e->next;
		am_json_addf(&line, "{\"exit\":%d}\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
		if (e->client >= 0)
			shim_control_tell_one(shim, e->client, am_buf_str(&line), line.len);
		am_buf_fini(&line);
		if (e->pidfd >= 0)
			(void)close(e->pidfd);
		free(e);
		return true;
	}
	return false;
}

void
shim_exec_abandon(struct shim *shim, int client)
{
	for (struct shim_exec *e = shim->execs; e != NULL; e = e->next) {
		if (e->client != client)
			continue;
		e->client = -1;
		kill_exec(e);
	}
}

void
shim_exec_end(struct shim *shim, const struct shim_container *c)
{
	for (const struct shim_exec *e = shim->execs; e != NULL; e = e->next)
		if (e->container == c)
			kill_exec(e);
}
