/* SPDX-License-Identifier: Apache-2.0 */
/* What the health pages and the admin socket say. */
#include "core/ambientd/daemon_priv.h"

int
daemon_ready(void *arg, struct ambient_error *err)
{
	struct am_daemon *d = arg;

	if (atomic_load(&d->stopping))
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "stopping");
	if (!atomic_load(&d->serving))
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "starting");
	for (size_t i = 0; i < d->plugin_count; i++) {
		int rc = am_instance_ready(d->plugins[i].instance, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void
daemon_refresh(void *arg)
{
	struct am_daemon *d = arg;

	for (size_t i = 0; atomic_load(&d->serving) && i < d->plugin_count; i++)
		am_instance_refresh_metrics(d->plugins[i].instance);
}

void
daemon_status(void *arg, struct am_buf *out)
{
	struct am_daemon *d = arg;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_buf_addf(out, "ambientd %s mode=%s ready=%s", PACKAGE_VERSION, d->standalone ? "standalone" : "cluster",
		    daemon_ready(d, &err) == 0 ? "yes" : "no");
	if (atomic_load(&d->serving) && d->lead != NULL)
		am_buf_addf(out, " leading=%s", am_lead_leading(d->lead) ? "yes" : "no");
	am_buf_addf(out, "%s%s\n", err.message[0] != '\0' ? " because: " : "", err.message);
	for (size_t i = 0; atomic_load(&d->serving) && i < d->plugin_count; i++)
		am_instance_describe(d->plugins[i].instance, out);
}
