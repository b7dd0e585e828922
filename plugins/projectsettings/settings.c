/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reconcile of a ProjectSettings: what it asks for is made, what it no longer asks for is deleted, what stands in
 * the way is said.  Steps do not wait for one another: each says what it found, the status is written, and then the first
 * failure is reported, so that it is tried again.
 */
#include "plugins/projectsettings/projectsettings.h"

struct pass {
	struct ambient_call *call;
	const struct ambient_object *settings;
	const char *ns;
	struct ps_status st;
};

/* Is the word in a list with commas and blanks between? */
static bool
listed(const char *list, const char *word)
{
	size_t n = strlen(word), m;

	for (; *list != '\0'; list += m) {
		list += strspn(list, ", ");
		m = strcspn(list, ", ");
		if (m == n && memcmp(list, word, n) == 0)
			return true;
	}
	return false;
}

/* What the definition cannot say, or an older one did not. */
static void
check_spec(struct pass *p)
{
	const struct ambient_host *host = p->call->host;
	const char *secret = ambient_str(p->settings, "/spec/runnerSecretsName", "");
	const char *alias = ambient_str(p->settings, "/spec/anthropicApiKeySecret", "");
	const char *type = ambient_str(p->settings, "/spec/runnerType", "");
	const char *loaded = AMBIENT_HAS(host, runner_types) ? host->runner_types(host) : NULL;

	if (secret[0] != '\0' && alias[0] != '\0' && strcmp(secret, alias) != 0)
		ps_bad(&p->st, PS_SPEC_VALID, "SpecInvalid", "spec.anthropicApiKeySecret differs from its alias "
		       "spec.runnerSecretsName; set one of the two");
	if (type[0] != '\0' && loaded != NULL && !listed(loaded, type))
		ps_bad(&p->st, PS_SPEC_VALID, "RunnerTypeUnknown", "spec.runnerType: runner type \"%.63s\" is not loaded; those "
		       "that are: %.200s", type, loaded[0] != '\0' ? loaded : "none");
	ps_good(&p->st, PS_SPEC_VALID, "Valid");
}

/* A Secret that appears later wakes us. */
static int
check_secrets(struct pass *p, struct ambient_error *err)
{
	static const char *const fields[] = { "runnerSecretsName", "anthropicApiKeySecret", "gitCredentialsSecret" };
	const struct ambient_object *secret = NULL;
	const char *last = "";
	char pointer[64];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		(void)snprintf(pointer, sizeof(pointer), "/spec/%s", fields[i]);

		const char *name = ambient_str(p->settings, pointer, "");

		if (name[0] == '\0' || strcmp(name, last) == 0)
			continue;
		last = name;

		int rc = ambient_get(p->call, PS_SECRET, p->ns, name, &secret, err);

		if (rc == -AMBIENT_E_NOTFOUND)
			ps_bad(&p->st, PS_SECRETS, "SecretMissing", "spec.%s: there is no Secret \"%.100s\"; sessions wait for it",
			       fields[i], name);
		else if (rc < 0)
			return rc;
	}
	ps_good(&p->st, PS_SECRETS, last[0] != '\0' ? "Found" : "NoneNamed");
	return 0;
}

static int
bring(struct pass *p, struct ambient_error *err)
{
	int (*const steps[])(struct ambient_call *, const struct ambient_object *, bool, struct ps_status *,
			     struct ambient_error *) = { ps_access, ps_limits };
	struct ambient_error own = AMBIENT_ERROR_INIT;
	int managed = ps_managed(p->call, p->ns, err), first = 0, rc;

	if (managed < 0)
		return managed;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if ((rc = steps[i](p->call, p->settings, managed, &p->st, &own)) < 0 && first == 0) {
			first = rc;
			ambient_err_copy(err, &own);
		}
	if (managed) {
		check_spec(p);
		if ((rc = check_secrets(p, &own)) < 0 && first == 0) {
			first = rc;
			ambient_err_copy(err, &own);
		}
		return first;
	}
	memset(p->st.cond, 0, sizeof(p->st.cond));
	ps_bad(&p->st, PS_READY, "NamespaceNotManaged", "namespace \"%s\" is not labelled ambient-code.io/managed=true", p->ns);
	return first;
}

int
ps_settings_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		      struct ambient_result *result, struct ambient_error *err)
{
	struct pass p = { .call = call, .ns = req->ns };
	struct ambient_error unsaid = AMBIENT_ERROR_INIT;
	int rc = ambient_get(call, PS_SETTINGS, req->ns, req->name, &p.settings, err), said;

	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc; /* what it owned goes with it */
	if (ambient_deleting(p.settings))
		return 0;
	if (strcmp(req->name, PS_NAME) != 0)
		ps_bad(&p.st, PS_READY, "NotTheSingleton", "metadata.name: a namespace has one ProjectSettings, which is named "
		       "\"" PS_NAME "\"; this one has no effect");
	else
		rc = bring(&p, err);
	said = ps_status_write(call, p.settings, &p.st, rc < 0 ? &unsaid : err);
	if (said == -AMBIENT_E_NOTFOUND)
		return 0; /* gone meanwhile: its removal is about to be told */
	return rc < 0 ? rc : said;
}
