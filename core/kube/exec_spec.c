/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential plugins, the words: what a kubeconfig says of one, what one is told, and what it answers.  Nothing runs
 * here.  Versions v1 and v1beta1 of client.authentication.k8s.io differ in one point: v1 has to say its interactiveMode.
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/scan.h"
#include "core/kube/exec.h"

#define GROUP    "client.authentication.k8s.io/"
#define ARGS_MAX 256

void
am_exec_spec_free(struct am_exec_spec *spec)
{
	if (spec == NULL)
		return;
	for (size_t i = 0; spec->argv != NULL && spec->argv[i] != NULL; i++)
		free(spec->argv[i]);
	for (size_t i = 0; spec->env != NULL && spec->env[i] != NULL; i++)
		free(spec->env[i]);
	free(spec->argv);
	free(spec->env);
	free(spec->api_version);
	free(spec->install_hint);
	free(spec->cluster);
	free(spec);
}

/* A command with a slash that is relative is the kubeconfig's, as its other paths are. */
static char *
resolve_command(const char *dir, const char *command)
{
	if (command[0] == '/' || strchr(command, '/') == NULL)
		return am_xstrdup(command);
	return am_xasprintf("%s/%s", dir, command);
}

static size_t
count(const struct am_node *list)
{
	size_t n = 0;

	for (const struct am_node *e = list != NULL && list->type == AMBIENT_T_ARRAY ? list->first : NULL; e != NULL; e = e->next)
		n++;
	return n;
}

static int
take_args(struct am_exec_spec *spec, const struct am_node *exec, const char *dir, struct ambient_error *err)
{
	const struct am_node *args = am_node_get(exec, "args");
	const char *command = am_node_get_str(exec, "command", "");
	size_t n = count(args), at = 0;

	if (command[0] == '\0')
		return ambient_err(err, AMBIENT_E_INVALID, "\"exec\" has no command");
	if (n > ARGS_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "\"exec\" has more than %d args", ARGS_MAX);
	spec->argv = am_xcalloc(n + 2, sizeof(char *));
	spec->argv[at++] = resolve_command(dir, command);
	for (const struct am_node *e = n > 0 ? args->first : NULL; e != NULL; e = e->next) {
		if (e->type != AMBIENT_T_STRING)
			return ambient_err(err, AMBIENT_E_INVALID, "an element of \"exec.args\" is no string; put it in quotes");
		spec->argv[at++] = am_xstrdup(e->text);
	}
	return 0;
}

static int
take_env(struct am_exec_spec *spec, const struct am_node *exec, struct ambient_error *err)
{
	const struct am_node *env = am_node_get(exec, "env");
	size_t n = count(env), at = 0;

	if (n > ARGS_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "\"exec\" has more than %d variables in env", ARGS_MAX);
	spec->env = am_xcalloc(n + 1, sizeof(char *));
	for (const struct am_node *e = n > 0 ? env->first : NULL; e != NULL; e = e->next) {
		const char *name = am_node_get_str(e, "name", "");

		if (name[0] == '\0' || strchr(name, '=') != NULL)
			return ambient_err(err, AMBIENT_E_INVALID, "a variable of \"exec.env\" has no usable name");
		spec->env[at++] = am_xasprintf("%s=%s", name, am_node_get_str(e, "value", ""));
	}
	return 0;
}

static int
take_mode(struct am_exec_spec *spec, const struct am_node *exec, struct ambient_error *err)
{
	static const char *const names[] = { [AM_EXEC_IF_AVAILABLE] = "IfAvailable", [AM_EXEC_NEVER] = "Never",
					     [AM_EXEC_ALWAYS] = "Always" };
	const char *mode = am_node_get_str(exec, "interactiveMode", "");

	if (mode[0] == '\0') {
		if (strcmp(spec->api_version, GROUP "v1") == 0)
			return ambient_err(err, AMBIENT_E_INVALID,
					   "\"exec\" of version v1 needs interactiveMode: Never, IfAvailable or Always");
		return 0;
	}
	for (size_t i = 0; i < AM_COUNTOF(names); i++) {
		if (strcmp(names[i], mode) == 0) {
			spec->mode = (enum am_exec_mode)i;
			return 0;
		}
	}
	return ambient_err(err, AMBIENT_E_INVALID, "interactiveMode \"%.40s\" is not known; use Never, IfAvailable or Always", mode);
}

int
am_exec_spec_parse(const struct am_node *exec, const char *dir, struct am_exec_spec **ret, struct ambient_error *err)
{
	struct am_exec_spec *spec;
	const char *version = am_node_get_str(exec, "apiVersion", "");
	const char *hint = am_node_get_str(exec, "installHint", "");
	const struct am_node *provide = am_node_get(exec, "provideClusterInfo");
	int rc;

	if (strcmp(version, GROUP "v1") != 0 && strcmp(version, GROUP "v1beta1") != 0)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "\"exec\" has apiVersion \"%.80s\"; " GROUP "v1 and v1beta1 are known, "
				   "update the plugin and its kubeconfig", version);
	spec = am_xcalloc(1, sizeof(*spec));
	spec->api_version = am_xstrdup(version);
	spec->install_hint = hint[0] != '\0' ? am_xstrdup(hint) : NULL;
	spec->provide_cluster = provide != NULL && provide->type == AMBIENT_T_BOOL && provide->boolean;
	rc = take_args(spec, exec, dir, err);
	if (rc == 0)
		rc = take_env(spec, exec, err);
	if (rc == 0)
		rc = take_mode(spec, exec, err);
	if (rc < 0) {
		am_exec_spec_free(spec);
		return rc;
	}
	*ret = spec;
	return 0;
}

/* ---- what it is told */

void
am_exec_spec_info(const struct am_exec_spec *spec, bool interactive, struct am_buf *out)
{
	am_json_addf(out, "{\"kind\":\"ExecCredential\",\"apiVersion\":%s,\"spec\":{\"interactive\":%b", spec->api_version,
		     interactive);
	if (spec->provide_cluster && spec->cluster != NULL)
		am_json_addf(out, ",\"cluster\":%j", spec->cluster);
	am_buf_adds(out, "}}");
}

/* ---- what it answers */

static char *
non_empty(char *s)
{
	if (s != NULL && s[0] == '\0') {
		free(s);
		return NULL;
	}
	return s;
}

static bool
header_safe(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

void
am_credential_fini(struct am_credential *credential)
{
	char *secrets[] = { credential->token, credential->cert, credential->key };

	for (size_t i = 0; i < AM_COUNTOF(secrets); i++) {
		if (secrets[i] != NULL)
			explicit_bzero(secrets[i], strlen(secrets[i]));
		free(secrets[i]);
	}
	*credential = (struct am_credential){ .expires = AM_FOREVER };
}

static int
check(const struct am_credential *c, const char *expires, struct ambient_error *err)
{
	if (c->token == NULL && c->cert == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "its answer has neither status.token nor status.clientCertificateData");
	if ((c->cert == NULL) != (c->key == NULL))
		return ambient_err(err, AMBIENT_E_INVALID, "its answer has a client certificate or a key, but not both");
	if (c->token != NULL && !header_safe(c->token))
		return ambient_err(err, AMBIENT_E_INVALID, "the token of its answer holds white space or control characters");
	if (expires != NULL && c->expires == AM_FOREVER)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%.40s\" in status.expirationTimestamp is no time", expires);
	return 0;
}

int
am_exec_answer(const struct am_exec_spec *spec, const char *text, size_t n, struct am_credential *ret, struct ambient_error *err)
{
	struct am_slice json = am_slice(text, n), found;
	am_auto(am_freep) char *expires = NULL;
	int rc = am_json_check(text, n, err);

	*ret = (struct am_credential){ .expires = AM_FOREVER };
	if (rc < 0)
		return am_err_prefix(err, "its answer is no JSON");
	if (!am_json_find(json, "/kind", &found) || !am_json_str_eq(found, "ExecCredential"))
		return ambient_err(err, AMBIENT_E_INVALID, "its answer is no ExecCredential");
	if (!am_json_find(json, "/apiVersion", &found) || !am_json_str_eq(found, spec->api_version))
		return ambient_err(err, AMBIENT_E_INVALID, "its answer is not of apiVersion %s, as the kubeconfig says", spec->api_version);
	ret->token = non_empty(am_json_dup(json, "/status/token"));
	ret->cert = non_empty(am_json_dup(json, "/status/clientCertificateData"));
	ret->key = non_empty(am_json_dup(json, "/status/clientKeyData"));
	expires = non_empty(am_json_dup(json, "/status/expirationTimestamp"));
	if (expires != NULL && am_time_parse(expires, &ret->expires) < 0)
		ret->expires = AM_FOREVER;
	rc = check(ret, expires, err);
	if (rc < 0)
		am_credential_fini(ret);
	return rc;
}
