/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chaos suite's counter: while a ConfigMap's "count" is less than its "want", a reconcile adds one, by read, pause
 * and conditional write, and appends to "trail" who did it in which term.  The term is read first, so that only the
 * fence of the daemon keeps a term that has ended from being written over a later one: the plugin takes no care of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ambient/plugin.h>

#define MAPS   "v1/configmaps"
#define LEASES "coordination.k8s.io/v1/leases"

AMBIENT_DECLARE("name=tally\0"
		"version=1.0.0\0"
		"for=" MAPS "\0"
		"may=" MAPS ":update " LEASES ":get\0");

#define OPTION(name, type, flags, def, text)                                                                           \
	static const struct ambient_option name##_row = {                                                              \
		sizeof(struct ambient_option), #name, type, flags, def, 0, 0, text, NULL}
OPTION(who, AMBIENT_OPT_STRING, AMBIENT_OPT_REQUIRED, NULL, "What is appended.");
OPTION(lease, AMBIENT_OPT_STRING, 0, NULL,
       "NAMESPACE/NAME of the Lease whose leaseTransitions are the term; unset: 0.");
OPTION(pause, AMBIENT_OPT_DURATION, 0, "10ms", "Between the steps.");
static const struct ambient_option *const options[] = {&who_row, &lease_row, &pause_row, NULL};

struct self {
	const char *who;
	char *lease_ns, *lease_name; /* NULL: none */
	int64_t pause;
};

static void
destroy(void *arg)
{
	struct self *self = arg;

	free(self->lease_ns);
	free(self);
}

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	const char *lease = host->conf->str(conf, "lease", NULL);
	struct self *self = calloc(1, sizeof(*self));

	if (self == NULL || (lease != NULL && (self->lease_ns = strdup(lease)) == NULL)) {
		free(self);
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory");
	}
	if (lease != NULL && (self->lease_name = strchr(self->lease_ns, '/')) == NULL) {
		destroy(self);
		return ambient_err(err, AMBIENT_E_INVALID, "lease \"%s\" is not NAMESPACE/NAME", lease);
	}
	if (lease != NULL)
		*self->lease_name++ = '\0';
	self->who = host->conf->str(conf, "who", "");
	self->pause = host->conf->integer(conf, "pause", 0);
	*ret_self = self;
	return 0;
}

static void
wait_a_little(const struct self *self, const struct ambient_call *call)
{
	for (int64_t left = self->pause; left > 0 && !ambient_cancelled(call); left -= AMBIENT_MILLISECOND)
		(void)usleep(1000);
}

static int
add_one(const struct self *self, struct ambient_call *call, const struct ambient_object *map, long n, long term,
	struct ambient_error *err)
{
	const char *trail = ambient_str(map, "/data/trail", "");
	size_t size = strlen(trail) + strlen(self->who) + 32;
	struct ambient_draft *draft = ambient_draft_from(call, MAPS, map);
	char count[24], *longer = malloc(size);

	if (longer == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory");
	(void)snprintf(count, sizeof(count), "%ld", n);
	(void)snprintf(longer, size, "%s%s%s@%ld", trail, *trail != '\0' ? " " : "", self->who, term);
	ambient_draft_set_str(draft, "/data/count", count);
	ambient_draft_set_str(draft, "/data/trail", longer);
	free(longer);
	return ambient_update(call, draft, NULL, err);
}

static int
reconcile(void *arg, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	  struct ambient_error *err)
{
	const struct self *self = arg;
	const struct ambient_object *map, *lease;
	long term = 0;
	int rc;

	(void)result;
	if (self->lease_ns != NULL) {
		rc = ambient_get_live(call, LEASES, self->lease_ns, self->lease_name, &lease, err);
		if (rc < 0)
			return rc;
		term = (long)ambient_int(lease, "/spec/leaseTransitions", 0);
		wait_a_little(self, call);
	}
	rc = ambient_get(call, MAPS, req->ns, req->name, &map, err);
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	long want = strtol(ambient_str(map, "/data/want", "0"), NULL, 10),
	     n = strtol(ambient_str(map, "/data/count", "0"), NULL, 10) + 1;
	if (n > want)
		return 0;
	wait_a_little(self, call);
	rc = add_one(self, call, map, n, term, err);
	if (rc == 0)
		ambient_log(call->host, AMBIENT_LOG_INFO, "tally did %s/%s %ld", req->ns, req->name, n);
	return rc;
}

static const struct ambient_reconciler only = {.size = sizeof(only), .reconcile = reconcile};
static const struct ambient_reconciler *const reconcilers[] = {&only, NULL};

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD, .options = options, .create = create, .destroy = destroy, .reconcilers = reconcilers,
};
