/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that podman runs: whether one is here, what it says of itself, whose words pull it, what the shim is told of the
 * container, and the removal of what a shim left behind that did not come to its end.  The shim names a container
 * ambient-<uid>-<container> (core/ambient-shim/podman.c); podman.json in the pod's directory says who made it, since the
 * configuration may have changed since.
 */
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHORT_TIME (60 * AMBIENT_SECOND)
#define AGAIN      AMBIENT_SECOND         /* for a place among the pulls, and from ErrImagePull to ImagePullBackOff */
#define WORDS_MAX  64

/* What podman needs of the daemon's environment to find its storage, its registries and its helpers. */
static char **
environment(void)
{
	static const char *const names[] = { "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",
		"XDG_DATA_HOME", "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF",
		"CONTAINERS_REGISTRIES_CONF", "REGISTRY_AUTH_FILE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
		"NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR" };
	size_t count = sizeof(names) / sizeof(names[0]), n = 0;
	char **list = calloc(count + 2, sizeof(*list));

	for (size_t i = 0; list != NULL && i < count; i++) {
		const char *value = getenv(names[i]);

		if (value != NULL && asprintf(&list[n], "%s=%s", names[i], value) > 0)
			n++;
	}
	if (list != NULL)
		list[n] = strdup("LANG=C.UTF-8");
	return list;
}

char **
podman_environment(void)
{
	return environment();
}

void
podman_answer_free(struct podman_answer *answer)
{
	free(answer->out);
	answer->out = NULL;
}

/* Its last line that says something. */
static void
take_problem(struct podman_answer *answer, const char *said)
{
	const char *end = said + strlen(said), *begin;

	while (end > said && (end[-1] == '\n' || end[-1] == ' '))
		end--;
	for (begin = end; begin > said && begin[-1] != '\n'; begin--)
		;
	if (strncmp(begin, "Error: ", 7) == 0)
		begin += 7;
	if (end > begin)
		(void)snprintf(answer->problem, sizeof(answer->problem), "%.*s", (int)(end - begin), begin);
	else
		(void)snprintf(answer->problem, sizeof(answer->problem), "podman failed without a word");
}

void
podman_run(const struct node *node, const struct podman *podman, const char *const *args, int64_t timeout,
	   const int32_t *cancelled, struct podman_answer *answer)
{
	const char *argv[WORDS_MAX + 2] = { podman->path };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char **env = environment();
	size_t n = 1;

	for (size_t i = 0; podman->options[i] != NULL && n < WORDS_MAX; i++)
		argv[n++] = podman->options[i];
	for (size_t i = 0; args[i] != NULL && n < WORDS_MAX; i++)
		argv[n++] = args[i];
	union { char **in; const char *const *out; } envp = { .in = env };
	struct ambient_spawn_options options = { .size = sizeof(options), .argv = argv, .envp = envp.out, .cwd = "/",
						 .timeout_ns = timeout, .output_max = 1 << 20, .cancelled = cancelled };
	struct ambient_spawn_result result = { .size = sizeof(result) };

	memset(answer, 0, sizeof(*answer));
	if (node->host->spawn->run(node->host, &options, &result, &err) < 0) {
		(void)snprintf(answer->problem, sizeof(answer->problem), "%s", err.message);
	} else {
		answer->ok = result.exit_code == 0;
		answer->out = strdup(result.out != NULL ? result.out : "");
		if (result.timed_out)
			(void)snprintf(answer->problem, sizeof(answer->problem), "podman %s took too long", args[0]);
		else if (!answer->ok)
			take_problem(answer, result.err != NULL ? result.err : "");
		node->host->spawn->release(node->host, &result);
	}
	for (size_t i = 0; env != NULL && env[i] != NULL; i++)
		free(env[i]);
	free(env);
}

/* ---- who may pull ---- */

/* The members of a docker configuration's "auths"; of one registry the first that is said holds. */
static void
add_auths(struct text *out, struct text *seen, const struct ambient_object *auths)
{
	for (size_t i = 0; i < ambient_len(auths, ""); i++) {
		const char *registry = "", *json;
		const struct ambient_object *entry = ambient_item(auths, "", i, &registry);
		struct text key = { 0 };
		size_t len = 0;

		text_printf(&key, "\n%s\n", registry);
		json = ambient_json(entry, "", &len);
		if (json != NULL && strstr(text_str(seen), text_str(&key)) == NULL) {
			text_puts(seen, text_str(&key));
			text_puts(out, text_str(out)[out->len - 1] == '{' ? "" : ",");
			text_json(out, registry);
			text_puts(out, ":");
			text_put(out, json, len);
		}
		text_fini(&key);
	}
}

static int
add_secret(struct ambient_call *call, const struct ambient_object *pod, const char *name, struct text *out, struct text *seen,
	   struct trouble *t, struct ambient_error *err)
{
	const struct ambient_object *secret, *conf = NULL;
	const char *data;
	struct text plain = { 0 };
	int rc = find_object(call, SECRET, ambient_str(pod, "/metadata/namespace", ""), name, t, &secret, err);

	if (rc < 0)
		return rc;
	data = secret != NULL ? ambient_str(secret, "/data/.dockerconfigjson", ambient_str(secret, "/data/.dockercfg", NULL)) : NULL;
	if (data == NULL || base64_decode(data, &plain) < 0 || ambient_parse(call, text_str(&plain), plain.len, &conf, err) < 0) {
		/* As kubelet has it: the pull may do without. */
		ambient_event(call, pod, "Warning", "FailedToRetrieveImagePullSecret",
			      "Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", name);
	} else {
		add_auths(out, seen, ambient_at(conf, "/auths") != NULL ? ambient_at(conf, "/auths") : conf);
	}
	text_fini(&plain);
	return 0;
}

/* The file for --authfile in the pod's directory; path "": the pod has no secrets for it. */
static int
write_auth(struct ambient_call *call, const struct ambient_object *pod, const struct local *local, char *path, size_t size,
	   struct trouble *t, struct ambient_error *err)
{
	size_t n = ambient_len(pod, "/spec/imagePullSecrets");
	struct text out = { 0 }, seen = { 0 };
	int rc = 0;

	path[0] = '\0';
	if (n == 0)
		return 0;
	text_puts(&out, "{\"auths\":{");
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add_secret(call, pod, ambient_str(container_at(pod, "/spec/imagePullSecrets", i), "/name", ""), &out, &seen, t, err);
	text_puts(&out, "}}\n");
	(void)snprintf(path, size, "%s/pull-auth.json", local->dir);
	if (rc == 0 && (rc = out.failed ? -ENOMEM : file_write(path, text_str(&out), out.len, 0600)) < 0)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot write \"%s\": %s", path, strerror(-rc));
	text_fini(&out);
	text_fini(&seen);
	return rc;
}

/* ---- is it here ---- */

/* What the next look may change, and what Events were made of where it happened. */
static void
quietly(struct trouble *t, const char *container, int64_t again, const char *reason, const char *message)
{
	if (t->reason[0] != '\0')
		return;
	trouble_set(t, reason, true, "%s", message);
	(void)snprintf(t->container, sizeof(t->container), "%s", container);
	t->quiet = true;
	t->again = again > 0 ? again : 1;
}

/* NULL with t->reason: podman cannot say; NULL without: it is not here. */
static const struct ambient_object *
inspect(const struct node *node, struct ambient_call *call, const struct podman *podman, const char *image, struct trouble *t)
{
	static const char format[] = "{\"id\":{{json .ID}},\"digests\":{{json .RepoDigests}},\"config\":{{json .Config}}}";
	const struct ambient_object *found = NULL;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct podman_answer answer;

	podman_run(node, podman, (const char *const[]){ "image", "inspect", "--format", format, image, NULL }, SHORT_TIME,
		   call->cancelled, &answer);
	if (answer.ok && ambient_parse(call, answer.out, strlen(answer.out), &found, &err) < 0)
		found = NULL;
	if (answer.ok ? found == NULL : strstr(answer.problem, "not known") == NULL)
		trouble_set(t, "CreateContainerError", true, "podman cannot say what image \"%.120s\" is: %s", image,
			    answer.ok ? "its answer is no JSON" : answer.problem);
	podman_answer_free(&answer);
	return found;
}

/* What a pull that ended came to, once for each. */
static void
tell(struct ambient_call *call, const struct ambient_object *pod, const char *name, const struct pull_report *r)
{
	if (r->told)
		return;
	if (r->state == PULL_DONE) {
		ambient_event(call, pod, "Normal", "Pulled", "Successfully pulled image \"%s\" in %lldms", name,
			      (long long)(r->took / AMBIENT_MILLISECOND));
	} else if (r->state == PULL_FAILED) {
		ambient_event(call, pod, "Warning", "Failed", "Failed to pull image \"%s\": %s", name, r->message);
		ambient_event(call, pod, "Warning", "Failed", "Error: ErrImagePull");
		ambient_event(call, pod, "Normal", "BackOff", "Back-off pulling image \"%s\"", name);
	}
}

/* A pull is needed: begins one, or says how it stands. */
static int
pull(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
     const struct podman *podman, const char *container, const char *name, const char *image, struct pull_report r,
     struct trouble *t, struct ambient_error *err)
{
	int64_t now = node->host->clock->monotonic(node->host);
	char auth[600], text[1000];
	bool fresh;
	int rc;

	if (r.state == PULL_FAILED && now < r.retry_at) {
		fresh = now < r.failed_at + AGAIN;
		(void)snprintf(text, sizeof(text), fresh ? "failed to pull image \"%.120s\": %s"
			       : "Back-off pulling image \"%.120s\": ErrImagePull: %s", name, r.message);
		quietly(t, container, (fresh ? r.failed_at + AGAIN : r.retry_at) - now, fresh ? "ErrImagePull" : "ImagePullBackOff", text);
		return 0;
	}
	if (r.state != PULL_RUNS) {
		rc = write_auth(call, pod, local, auth, sizeof(auth), t, err);
		if (rc < 0)
			return rc;
		if (pull_start(node, podman, local, image, auth[0] != '\0' ? auth : NULL))
			ambient_event(call, pod, "Normal", "Pulling", "Pulling image \"%s\"", name);
	}
	/* The pull's end wakes the pod; until there is a place for it, time does. */
	quietly(t, container, AGAIN, "ContainerCreating", "");
	return 0;
}

int
podman_image(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
	     const struct podman *podman, const struct ambient_object *container, const struct ambient_object **ret,
	     struct trouble *t, struct ambient_error *err)
{
	const char *name = ambient_str(container, "/image", ""), *own = ambient_str(container, "/name", "");
	const char *policy = podman->pull != NULL ? podman->pull : ambient_str(container, "/imagePullPolicy", "IfNotPresent");
	struct text image = { 0 };
	struct pull_report r;
	int rc = 0;

	*ret = NULL;
	image_normalize(name, &image);
	r = pull_look(node, local, text_str(&image));
	tell(call, pod, name, &r);
	if (r.state == PULL_DONE || (strcmp(policy, "Always") != 0 && r.state != PULL_RUNS))
		*ret = inspect(node, call, podman, text_str(&image), t);
	if (*ret == NULL && t->reason[0] == '\0') {
		if (strcmp(policy, "Never") == 0)
			trouble_set(t, "ErrImageNeverPull", true, "Container image \"%.120s\" is not present with pull policy of Never", name);
		else
			rc = pull(node, call, pod, local, podman, own, name, text_str(&image), r, t, err);
	} else if (*ret != NULL && r.state == PULL_NONE) {
		ambient_event(call, pod, "Normal", "Pulled", "Container image \"%s\" already present on machine", name);
	}
	text_fini(&image);
	return rc;
}

/* ---- what the shim is told ---- */

static void
add_word(struct text *out, const char *option, const char *value)
{
	struct text word = { 0 };

	text_printf(&word, "%s%s", option, value);
	text_puts(out, out->len == 0 || text_str(out)[out->len - 1] == '[' ? "" : ",");
	text_json(out, text_str(&word));
	text_fini(&word);
}

static void
add_number(struct text *out, const char *option, int64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lld", (long long)number);
	add_word(out, option, text);
}

/* A setting of the container's, else the pod's. */
static const struct ambient_object *
setting(const struct ambient_object *pod, const struct ambient_object *container, const char *at, char path[128])
{
	(void)snprintf(path, 128, "/securityContext%s", at);
	if (ambient_type(container, path) != AMBIENT_T_NONE)
		return container;
	(void)snprintf(path, 128, "/spec/securityContext%s", at);
	return pod;
}

static int64_t
setting_int(const struct ambient_object *pod, const struct ambient_object *container, const char *at)
{
	char path[128];
	const struct ambient_object *o = setting(pod, container, at, path);

	return ambient_int(o, path, -1);
}

/* kubelet's words: only a number shows that it is not root. */
static void
check_non_root(const struct ambient_object *pod, const struct ambient_object *container, const char *user, int64_t uid,
	       struct trouble *t)
{
	char path[128];
	const struct ambient_object *o = setting(pod, container, "/runAsNonRoot", path);

	if (!ambient_bool(o, path, 0) || uid > 0)
		return;
	if (uid == 0)
		trouble_set(t, "CreateContainerConfigError", false, "container's runAsUser breaks non-root policy");
	else if (user[0] == '\0' || strtoll(user, NULL, 10) == 0) {
		if (user[0] != '\0' && strspn(user, "0123456789") != strcspn(user, ":"))
			trouble_set(t, "CreateContainerConfigError", false,
				    "container has runAsNonRoot and image has non-numeric user (%.60s), cannot verify user is non-root", user);
		else
			trouble_set(t, "CreateContainerConfigError", false, "container has runAsNonRoot and image will run as root");
	}
}

static void
add_user(struct text *out, const struct ambient_object *pod, const struct ambient_object *container,
	 const struct ambient_object *image, int64_t own, struct trouble *t)
{
	const char *user = ambient_str(image, "/config/User", "");
	int64_t uid = setting_int(pod, container, "/runAsUser"), gid = setting_int(pod, container, "/runAsGroup");
	int64_t fs = ambient_int(pod, "/spec/securityContext/fsGroup", -1);
	struct text who = { 0 };

	if (uid < 0 && own > 0) {
		uid = own;
		gid = gid < 0 ? own : gid;
	}
	check_non_root(pod, container, user, uid, t);
	if (uid >= 0)
		text_printf(&who, "%lld", (long long)uid);
	else if (user[0] != '\0' || gid >= 0)
		text_printf(&who, "%.*s", gid >= 0 ? (int)strcspn(user, ":") : (int)strlen(user), user);
	if (uid < 0 && user[0] == '\0' && gid >= 0)
		text_puts(&who, "0");
	if (gid >= 0)
		text_printf(&who, ":%lld", (long long)gid);
	if (who.len > 0)
		add_word(out, "--user=", text_str(&who));
	if (fs >= 0)
		add_number(out, "--group-add=", fs);
	for (size_t i = 0; i < ambient_len(pod, "/spec/securityContext/supplementalGroups"); i++)
		add_number(out, "--group-add=",
			   ambient_int(ambient_item(pod, "/spec/securityContext/supplementalGroups", i, NULL), "", 0));
	text_fini(&who);
}

static void
add_security(struct text *out, const struct ambient_object *pod, const struct ambient_object *container, struct trouble *t)
{
	if (ambient_bool(container, "/securityContext/privileged", 0) ||
	    ambient_len(container, "/securityContext/capabilities/add") > 0)
		trouble_set(t, "CreateContainerConfigError", false,
			    "privileged containers and capabilities.add are not supported on this node");
	for (size_t i = 0; i < ambient_len(container, "/securityContext/capabilities/drop"); i++)
		add_word(out, "--cap-drop=",
			 ambient_str(ambient_item(container, "/securityContext/capabilities/drop", i, NULL), "", ""));
	if (!ambient_bool(container, "/securityContext/allowPrivilegeEscalation", 1))
		add_word(out, "--security-opt=", "no-new-privileges");
}

/* It reads them from a file of lines, or as words between commas. */
static void
check_names(const struct text *names, struct trouble *t)
{
	for (const char *p = text_str(names), *end = p + names->len; p < end; p += strlen(p) + 1) {
		size_t n = strcspn(p, "=");

		if (p[0] == '#' || strcspn(p, " ,*\"") < n)
			trouble_set(t, "CreateContainerConfigError", false, "podman takes no variable of the name \"%.*s\"",
				    n < 100 ? (int)n : 100, p);
	}
}

/* The repository's digest, else the id: what a cluster shows. */
void
podman_image_id(const char *name, const struct ambient_object *image, struct text *out)
{
	struct text full = { 0 };
	const char *chosen = NULL;
	size_t n;

	image_normalize(name, &full);
	n = image_repository(text_str(&full));
	for (size_t i = 0; i < ambient_len(image, "/digests"); i++) {
		const char *digest = ambient_str(ambient_item(image, "/digests", i, NULL), "", "");

		if (chosen == NULL || (strncmp(digest, text_str(&full), n) == 0 && digest[n] == '@'))
			chosen = digest;
	}
	if (chosen != NULL)
		text_puts(out, chosen);
	else
		text_printf(out, "sha256:%s", ambient_str(image, "/id", ""));
	text_fini(&full);
}

void
podman_add(struct text *out, const struct podman *podman, const struct ambient_object *pod, const struct ambient_object *container,
	   const struct ambient_object *image, int64_t user, const struct text *names, struct trouble *t)
{
	const char *name = ambient_str(container, "/image", "");
	struct text options = { 0 }, args = { 0 }, id = { 0 }, full = { 0 };

	for (size_t i = 0; podman->options[i] != NULL; i++)
		add_word(&options, "", podman->options[i]);
	add_word(&args, "--network=", podman->network);
	add_user(&args, pod, container, image, user, t);
	add_security(&args, pod, container, t);
	check_names(names, t);
	podman_image_id(name, image, &id);
	image_normalize(name, &full);
	text_puts(out, ",\"image\":");
	text_json(out, text_str(&full));
	text_puts(out, ",\"imageID\":");
	text_json(out, text_str(&id));
	text_puts(out, ",\"podman\":{\"path\":");
	text_json(out, podman->path);
	text_printf(out, ",\"options\":[%s],\"args\":[%s],\"image\":\"sha256:%s\"}", text_str(&options), text_str(&args),
		    ambient_str(image, "/id", ""));
	out->failed = out->failed || options.failed || args.failed || id.failed || full.failed;
	text_fini(&options);
	text_fini(&args);
	text_fini(&id);
	text_fini(&full);
}

/* ---- what is left behind ---- */

int
podman_remember(const struct node *node, const struct ambient_object *pod, const struct local *local)
{
	static const char *const lists[] = { "/spec/initContainers", "/spec/containers" };
	struct text out = { 0 };
	bool any = false;
	char path[600];
	int rc = 0;

	text_puts(&out, "{\"version\":1,\"containers\":[");
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < ambient_len(pod, lists[k]); i++) {
			const struct ambient_object *c = container_at(pod, lists[k], i);
			const char *image = ambient_str(c, "/image", "");
			const struct podman *podman = image_find(node, image) == NULL ? image_podman(node, image) : NULL;
			struct text options = { 0 };

			if (podman == NULL)
				continue;
			for (size_t w = 0; podman->options[w] != NULL; w++)
				add_word(&options, "", podman->options[w]);
			text_printf(&out, "%s{\"name\":\"ambient-%s-%s\",\"path\":", any ? "," : "", local->uid, ambient_str(c, "/name", ""));
			text_json(&out, podman->path);
			text_printf(&out, ",\"options\":[%s]}", text_str(&options));
			text_fini(&options);
			any = true;
		}
	text_puts(&out, "]}\n");
	(void)snprintf(path, sizeof(path), "%s/podman.json", local->dir);
	if (any)
		rc = out.failed ? -ENOMEM : file_write(path, text_str(&out), out.len, 0600);
	text_fini(&out);
	return rc;
}

/* Values of variables on their way into a container, core/ambient-shim/podman.c. */
static void
remove_secrets(const struct node *node, const struct podman *podman, const char *name)
{
	struct podman_answer list, gone;
	size_t n = strlen(name);

	podman_run(node, podman, (const char *const[]){ "secret", "ls", "--format", "{{.Name}}", NULL }, SHORT_TIME, NULL, &list);
	for (char *line = list.out, *end; list.ok && line != NULL && *line != '\0'; line = end) {
		end = line + strcspn(line, "\n");
		if (*end == '\n')
			*end++ = '\0';
		line[strcspn(line, " ")] = '\0';
		if (strncmp(line, name, n) != 0 || line[n] != '-' || strspn(line + n + 1, "0123456789") != strlen(line + n + 1))
			continue;
		podman_run(node, podman, (const char *const[]){ "secret", "rm", line, NULL }, SHORT_TIME, NULL, &gone);
		podman_answer_free(&gone);
	}
	podman_answer_free(&list);
}

static bool
remove_one(const struct node *node, const struct ambient_object *c, struct podman_answer *answer)
{
	const char *name = ambient_str(c, "/name", ""), *words[WORDS_MAX];
	union { const char **in; char **out; } options = { .in = words };
	struct podman podman = { .path = (char *)(uintptr_t)ambient_str(c, "/path", ""), .options = options.out };
	size_t n = ambient_len(c, "/options");

	for (size_t i = 0; i < n && i + 1 < WORDS_MAX; i++)
		words[i] = ambient_str(ambient_item(c, "/options", i, NULL), "", "");
	words[n < WORDS_MAX ? n : WORDS_MAX - 1] = NULL;
	podman_run(node, &podman, (const char *const[]){ "rm", "--force", "--volumes", "--ignore", "--time", "0", name, NULL },
		   SHORT_TIME, NULL, answer);
	if (answer->ok)
		remove_secrets(node, &podman, name);
	return answer->ok;
}

int
podman_clean(const struct node *node, const struct local *local, struct ambient_error *err)
{
	const struct ambient_object *o = NULL;
	struct podman_answer answer = { .ok = true };
	struct text text = { 0 };
	char path[600];
	int rc = 0;

	(void)snprintf(path, sizeof(path), "%s/podman.json", local->dir);
	if (file_read(path, 1 << 20, &text) < 0 || node->host->object->parse(NULL, text_str(&text), text.len, &o, NULL) < 0) {
		text_fini(&text);
		return 0; /* none of its containers was podman's */
	}
	for (size_t i = 0; i < ambient_len(o, "/containers") && rc == 0; i++) {
		if (!remove_one(node, ambient_item(o, "/containers", i, NULL), &answer))
			rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "podman cannot remove container \"%s\": %s",
					 ambient_str(ambient_item(o, "/containers", i, NULL), "/name", ""), answer.problem);
		podman_answer_free(&answer);
	}
	ambient_unref((struct ambient_object *)(uintptr_t)o);
	text_fini(&text);
	return rc;
}
