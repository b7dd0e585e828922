/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are: what the configuration says; else what systemd says ($STATE_DIRECTORY, $RUNTIME_DIRECTORY); else for
 * root the system's places, for others the XDG directories.
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/ambientd/daemon_priv.h"
#include "core/base/file.h"

static char *
first_of_list(const char *list)
{
	return am_xstrndup(list, strcspn(list, ":"));
}

static char *
in_home(const char *variable, const char *below)
{
	const char *base = getenv(variable), *home = getenv("HOME");

	if (base != NULL && base[0] == '/')
		return am_xasprintf("%s/ambient", base);
	return am_xasprintf("%s/%s/ambient", home != NULL ? home : "/tmp", below);
}

char *
daemon_state_dir(const struct am_conf_file *file)
{
	const char *given = am_conf_str(am_conf_section(file, ""), "state"), *systemd = getenv("STATE_DIRECTORY");

	if (given != NULL)
		return am_xstrdup(given);
	if (!am_empty(systemd))
		return first_of_list(systemd);
	return geteuid() == 0 ? am_xstrdup("/var/lib/ambient") : in_home("XDG_STATE_HOME", ".local/state");
}

char *
daemon_runtime_dir(const struct am_conf_file *file)
{
	const char *given = am_conf_str(am_conf_section(file, ""), "runtime"), *systemd = getenv("RUNTIME_DIRECTORY");

	if (given != NULL)
		return am_xstrdup(given);
	if (!am_empty(systemd))
		return first_of_list(systemd);
	if (geteuid() == 0)
		return am_xstrdup("/run/ambient");
	return getenv("XDG_RUNTIME_DIR") != NULL ? in_home("XDG_RUNTIME_DIR", "") : in_home("XDG_STATE_HOME", ".local/state");
}

int
daemon_make_dirs(struct am_daemon *d, struct ambient_error *err)
{
	int rc = am_mkdirs(d->state, 0700, err);

	if (rc == 0)
		rc = am_mkdirs(d->runtime, 0700, err);
	if (rc < 0)
		return rc;
	char *lock = am_xasprintf("%s/lock", d->state);
	d->lock_fd = am_lock_file(lock, err);
	free(lock);
	if (d->lock_fd == -AMBIENT_E_EXISTS)
		return ambient_err(err, AMBIENT_E_EXISTS, "another ambientd runs on \"%s\"; stop it, or set another \"state\"", d->state);
	return d->lock_fd < 0 ? d->lock_fd : 0;
}
