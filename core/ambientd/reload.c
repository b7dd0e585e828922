/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP: a whole new generation of the configuration is built and checked; only if all of it can be taken without a
 * restart is it taken.  Otherwise everything stays as it was, and the log says why.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ambientd/daemon_priv.h"
#include "core/base/log.h"

static struct daemon_plugin *
running_of(struct am_daemon *d, const char *name)
{
	for (size_t i = 0; i < d->plugin_count; i++) {
		if (strcmp(d->plugins[i].conf->name, name) == 0)
			return &d->plugins[i];
	}
	return NULL;
}

/* One generation against the other: true when the new one can be taken as it is. */
struct change {
	struct daemon_plugin *plugin;
	const struct am_conf_instance *conf;
	const struct ambient_conf *options;
	bool differs;
};

static bool
same_namespaces(const struct am_conf_instance *a, const struct am_conf_instance *b)
{
	bool same = a->namespace_count == b->namespace_count;

	for (size_t i = 0; same && i < a->namespace_count; i++)
		same = strcmp(a->namespaces[i], b->namespaces[i]) == 0;
	return same;
}

static bool
same_instance(const struct am_conf_instance *a, const struct am_conf_instance *b)
{
	return strcmp(a->plugin, b->plugin) == 0 && strcmp(a->path, b->path) == 0 && strcmp(a->isolation, b->isolation) == 0 &&
	       a->workers == b->workers && a->deadline == b->deadline && a->readonly == b->readonly && same_namespaces(a, b) &&
	       am_streq(a->when != NULL ? a->when : "", b->when != NULL ? b->when : "");
}

static void
compare_core(struct am_daemon *d, struct am_conf_file *fresh)
{
	static const char *const sections[] = { "", "log", "cluster", "lease", "ops", "runner" };
	const char *restart;

	for (size_t i = 0; i < AM_COUNTOF(sections); i++) {
		if (am_conf_diff(section(d, sections[i]), am_conf_section(fresh, sections[i]), &restart) != 0 && restart != NULL)
			am_conf_fail(fresh, am_conf_section(fresh, sections[i]), restart, "\"%s%s%s\" changes only at a restart", sections[i],
				     sections[i][0] != '\0' ? "." : "", restart);
	}
}

static size_t
compare_instances(struct am_daemon *d, struct am_conf_file *fresh, struct change *changes)
{
	size_t n = 0;

	for (size_t i = 0; i < am_conf_instance_count(fresh); i++) {
		const struct am_conf_instance *conf = am_conf_instance(fresh, i);
		struct daemon_plugin *p = running_of(d, conf->name);
		struct ambient_error err = AMBIENT_ERROR_INIT;
		const char *restart = NULL;
		if (!conf->enabled)
			continue;
		if (p == NULL || !same_instance(p->conf, conf)) {
			am_conf_instance_fail(fresh, conf, "the instance \"%s\" is new or loaded otherwise; that needs a restart", conf->name);
			continue;
		}
		struct change *c = &changes[n++];
		*c = (struct change){ p, conf, am_conf_check_instance(fresh, conf, p->plugin->table.options), false };
		if (c->options == NULL)
			continue;
		c->differs = am_conf_diff(p->options, c->options, &restart) != 0;
		if (restart != NULL)
			am_conf_fail(fresh, c->options, restart, "\"%s\" of \"%s\" changes only at a restart", restart, conf->name);
		else if (c->differs && am_instance_check(d->host, p->plugin, conf->name, c->options, &err) < 0)
			am_conf_fail(fresh, c->options, NULL, "plugin \"%s\": %s", conf->name, err.message);
	}
	if (n < d->plugin_count && am_conf_error_count(fresh) == 0)
		am_conf_fail(fresh, NULL, NULL, "an instance that runs is no longer configured; that needs a restart");
	return n;
}

/* All or nothing: who already took the new one gets the old one back. */
static bool
take(struct change *changes, size_t n)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	for (size_t i = 0; i < n; i++) {
		if (!changes[i].differs || am_instance_reload(changes[i].plugin->instance, changes[i].options, &err) == 0)
			continue;
		am_log_error("ambientd", "the configuration stays as it was: %s", err.message);
		while (i-- > 0) {
			if (changes[i].differs)
				(void)am_instance_reload(changes[i].plugin->instance, changes[i].plugin->options, &err);
		}
		return false;
	}
	return true;
}

/* The time is what Type=notify-reload tells this reload from an earlier one by. */
static void
notify_reloading(void)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, am_clock_monotonic() / 1000);
	am_notify(text);
}

void
am_daemon_reload(struct am_daemon *d)
{
	notify_reloading();
	struct am_conf_file *fresh = am_conf_load(d->config, d->sets);
	struct change *changes = am_xcalloc(am_conf_instance_count(fresh), sizeof(*changes));
	size_t n = 0;

	if (am_conf_error_count(fresh) == 0) {
		compare_core(d, fresh);
		n = compare_instances(d, fresh, changes);
	}
	for (size_t i = 0; i < am_conf_error_count(fresh); i++)
		am_log_error("ambientd", "the configuration stays as it was: %s", am_conf_error(fresh, i));
	bool taken = am_conf_error_count(fresh) == 0 && take(changes, n);
	for (size_t i = 0; i < n; i++) {
		changes[i].plugin->conf = taken ? changes[i].conf : changes[i].plugin->conf;
		if (taken && changes[i].differs)
			changes[i].plugin->options = changes[i].options;
	}
	free(changes);
	/* A generation that was seen by a plugin lives until the end; one that was not goes at once. */
	struct am_conf_file *keep = taken ? d->file : NULL;
	if (taken) {
		d->file = fresh;
		am_log_set_level(am_log_level_parse(am_conf_str(section(d, "log"), "level")));
		am_log_info("ambientd", "the configuration was reloaded");
	} else {
		keep = n > 0 ? fresh : NULL;
		if (keep == NULL)
			am_conf_free(fresh);
	}
	if (keep != NULL) {
		d->old = am_xrealloc(d->old, d->old_count + 1, sizeof(*d->old));
		d->old[d->old_count++] = keep;
	}
	am_notify(taken ? "READY=1\nSTATUS=ready" : "READY=1\nSTATUS=ready; the last reload was refused, the log says why");
}
