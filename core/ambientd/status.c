/* SPDX-License-Identifier: Apache-2.0 */
/* What the health pages and the admin socket say. */
#include "core/ambientd/daemon_priv.h"
#include "core/data/scan.h"

void
daemon_checks(void *arg, am_check_f *each, void *each_arg)
{
	struct am_daemon *d = arg;
	bool serving = atomic_load(&d->serving), stopping = atomic_load(&d->stopping);

	each(each_arg, "daemon", stopping ? "stopping" : !serving ? "starting" : NULL);
	for (size_t i = 0; serving && !stopping && i < d->plugin_count; i++)
		am_instance_checks(d->plugins[i].instance, each, each_arg);
	if (serving && !stopping)
		daemon_lease_check(d, each, each_arg);
}

static void
first_problem(void *arg, const char *name am_unused_, const char *problem)
{
	struct am_buf *first = arg;

	if (problem != NULL && first->len == 0)
		am_buf_adds(first, problem);
}

/* Is it the name of a controller, "INSTANCE" or "INSTANCE.RECONCILER"? */
static bool
has_controller(const struct am_daemon *d, const char *name)
{
	for (size_t i = 0; i < d->plugin_count; i++) {
		if (am_instance_has_controller(d->plugins[i].instance, name))
			return true;
	}
	return false;
}

static int
in_service(const struct am_daemon *d, struct ambient_error *err)
{
	if (atomic_load(&d->serving) && !atomic_load(&d->stopping))
		return 0;
	return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the daemon is not serving yet, or no longer");
}

int
daemon_explain(void *arg, const char *controller, const char *key, struct am_buf *out, struct ambient_error *err)
{
	struct am_daemon *d = arg;
	const char *slash = strchr(key, '/');
	am_auto(am_freep) char *ns = slash != NULL ? am_xstrndup(key, (size_t)(slash - key)) : am_xstrdup("");
	const char *name = slash != NULL ? slash + 1 : key;
	am_auto(am_buf_fini) struct am_buf found = { 0 }, elsewhere = { 0 };
	int rc = in_service(d, err);

	if (rc < 0)
		return rc;
	if (controller != NULL && !has_controller(d, controller))
		return ambient_err(err, AMBIENT_E_NOTFOUND, "there is no controller \"%.80s\"; \"status\" lists them", controller);
	daemon_lease_elsewhere(d, ns, name, &elsewhere);
	for (size_t i = 0; i < d->plugin_count; i++)
		am_instance_explain(d->plugins[i].instance, controller, ns, name,
				    elsewhere.len != 0 ? am_buf_str(&elsewhere) : NULL, &found);
	if (found.len == 0 && elsewhere.len != 0)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "nothing is known of it here: %s", am_buf_str(&elsewhere));
	am_buf_addf(out, "[%s]\n", am_buf_str(&found));
	return 0;
}

int
daemon_top(void *arg, struct am_buf *out, struct ambient_error *err)
{
	struct am_daemon *d = arg;
	int rc = in_service(d, err);

	if (rc < 0)
		return rc;
	am_json_addf(out, "{\"micros\":%l,\"leading\":%b,\"plugins\":[", am_clock_boot(d->clock) / 1000,
		     daemon_lease_works(d));
	for (size_t i = 0; i < d->plugin_count; i++) {
		if (i != 0)
			am_buf_addc(out, ',');
		am_instance_report(d->plugins[i].instance, out);
	}
	am_buf_adds(out, "]}\n");
	return 0;
}

int
daemon_cache(void *arg, struct am_buf *out, struct ambient_error *err)
{
	struct am_daemon *d = arg;
	int rc = in_service(d, err);

	if (rc < 0)
		return rc;
	am_host_report_cache(d->host, out);
	am_buf_addc(out, '\n');
	return 0;
}

/* Waiting for the lease is no trouble; to go on without it is, because then nothing runs here that could notice. */
int
daemon_live(void *arg, struct ambient_error *err)
{
	struct am_daemon *d = arg;

	return atomic_load(&d->serving) ? daemon_lease_healthy(d, err) : 0;
}

void
daemon_refresh(void *arg)
{
	struct am_daemon *d = arg;

	if (!atomic_load(&d->serving))
		return;
	for (size_t i = 0; i < d->plugin_count; i++)
		am_instance_refresh_metrics(d->plugins[i].instance);
	am_host_refresh_metrics(d->host);
}

void
daemon_status(void *arg, struct am_buf *out)
{
	struct am_daemon *d = arg;
	am_auto(am_buf_fini) struct am_buf problem = { 0 };

	daemon_checks(d, first_problem, &problem);
	am_buf_addf(out, "ambientd %s mode=%s ready=%s", PACKAGE_VERSION, d->standalone ? "standalone" : "cluster",
		    problem.len == 0 ? "yes" : "no");
	if (atomic_load(&d->serving))
		daemon_lease_describe(d, out);
	am_buf_addf(out, "%s%s\n", problem.len > 0 ? " because: " : "", am_buf_str(&problem));
	for (size_t i = 0; atomic_load(&d->serving) && i < d->plugin_count; i++)
		am_instance_describe(d->plugins[i].instance, out);
}
