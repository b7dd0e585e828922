/* SPDX-License-Identifier: Apache-2.0 */
/* From a pod to the document that ambient-shim reads (core/ambient-shim/spec.c describes it). */
#include "node.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
trouble_set(struct trouble *t, const char *reason, bool wait, const char *fmt, ...)
{
	va_list ap;

	if (t->reason[0] != '\0')
		return; /* the first one is the one to mend */
	(void)snprintf(t->reason, sizeof(t->reason), "%s", reason);
	va_start(ap, fmt);
	(void)vsnprintf(t->message, sizeof(t->message), fmt, ap);
	va_end(ap);
	t->wait = wait;
}

const struct ambient_object *
container_at(const struct ambient_object *pod, const char *list, size_t i)
{
	return ambient_item(pod, list, i, NULL);
}

static void
add_word(struct text *out, const struct text *names, const char *word, bool expand)
{
	struct text expanded = { 0 };

	text_puts(out, text_str(out)[out->len - 1] == '[' ? "" : ",");
	if (expand)
		env_expand(names, word, &expanded);
	text_json(out, expand ? text_str(&expanded) : word);
	text_fini(&expanded);
}

static void
add_words(struct text *out, const struct text *names, const struct ambient_object *container, const char *list)
{
	for (size_t i = 0; i < ambient_len(container, list); i++)
		add_word(out, names, ambient_str(ambient_item(container, list, i, NULL), "", ""), true);
}

/* Of an image of podman's: a list of its configuration. */
static void
add_config(struct text *out, const struct ambient_object *config, const char *list)
{
	for (size_t i = 0; i < ambient_len(config, list); i++)
		add_word(out, NULL, ambient_str(ambient_item(config, list, i, NULL), "", ""), false);
}

/* As a cluster has it: a command of the container's takes the place of the image's entrypoint and arguments. */
static void
add_podman_argv(struct text *out, const struct text *names, const struct ambient_object *container,
		const struct ambient_object *podman_image, struct trouble *t)
{
	text_puts(out, ",\"argv\":[");
	if (ambient_len(container, "/command") > 0)
		add_words(out, names, container, "/command");
	else
		add_config(out, podman_image, "/config/Entrypoint");
	if (ambient_len(container, "/args") > 0)
		add_words(out, names, container, "/args");
	else if (ambient_len(container, "/command") == 0)
		add_config(out, podman_image, "/config/Cmd");
	if (text_str(out)[out->len - 1] == '[')
		trouble_set(t, "CreateContainerError", false, "no command specified: neither the container nor its image says one");
	text_puts(out, "]");
}

/* command and args; the image's entrypoint stands for a missing command. */
static void
add_argv(struct text *out, const struct text *names, const struct ambient_object *container, const struct image *image,
	 struct trouble *t)
{
	text_puts(out, ",\"argv\":[");
	if (ambient_len(container, "/command") > 0) {
		add_words(out, names, container, "/command");
	} else {
		for (size_t i = 0; image->entrypoint != NULL && image->entrypoint[i] != NULL; i++)
			add_word(out, names, image->entrypoint[i], false);
	}
	add_words(out, names, container, "/args");
	if (text_str(out)[out->len - 1] == '[')
		trouble_set(t, "CreateContainerError", false,
			    "no command specified: give the container a command, or its image's entry in the configuration an "
			    "entrypoint");
	text_puts(out, "]");
}

static void
add_mounts(struct text *out, struct node *node, const struct ambient_object *pod, const struct local *local,
	   const struct ambient_object *container, const struct image *image, const struct text *names, struct trouble *t)
{
	struct text mounts = { 0 };

	for (size_t i = 0; image != NULL && image->binds != NULL && image->binds[i] != NULL; i++) {
		const char *bind = image->binds[i], *colon = strchr(bind, ':');
		int n = colon != NULL ? (int)(colon - bind) : (int)strlen(bind);
		char source[1024];

		(void)snprintf(source, sizeof(source), "%.*s", n, bind);
		text_puts(&mounts, mounts.len > 0 ? ",{\"source\":" : "{\"source\":");
		text_json(&mounts, source);
		text_puts(&mounts, ",\"target\":");
		text_json(&mounts, colon != NULL ? colon + 1 : source);
		text_puts(&mounts, ",\"readOnly\":true}");
	}
	etc_mounts(node, pod, local, container, &mounts);
	volumes_mounts(node, pod, local, container, names, &mounts, t);
	text_printf(out, ",\"mounts\":[%s]", text_str(&mounts));
	text_fini(&mounts);
}

static void
add_streams(struct text *out, const struct ambient_object *container)
{
	static const char *const streams[] = { "/stdin", "/stdinOnce", "/tty" };

	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		if (ambient_bool(container, streams[i], 0))
			text_printf(out, ",\"%s\":true", streams[i] + 1);
}

/* What the sandbox cannot give is refused, not ignored. */
static void
add_security(struct text *out, const struct node *node, const struct ambient_object *pod, const struct local *local,
	     const struct ambient_object *container, struct trouble *t)
{
	int64_t own = local->user > 0 ? local->user : (int64_t)geteuid(), own_group = local->user > 0 ? local->user : (int64_t)getegid();
	int64_t uid = ambient_int(container, "/securityContext/runAsUser", ambient_int(pod, "/spec/securityContext/runAsUser", -1));
	int64_t gid = ambient_int(container, "/securityContext/runAsGroup",
				  ambient_int(pod, "/spec/securityContext/runAsGroup", -1));
	/* One group is all that a user namespace of ours has.  fsGroup is it, unless the container has another one: the
	 * volumes' files belong to that group then, and in either case to the container's user. */
	if (gid < 0)
		gid = ambient_int(pod, "/spec/securityContext/fsGroup", -1);
	int non_root = ambient_bool(container, "/securityContext/runAsNonRoot",
				    ambient_bool(pod, "/spec/securityContext/runAsNonRoot", 0));

	if (non_root && (uid == 0 || (uid < 0 && own == 0)))
		trouble_set(t, "CreateContainerConfigError", false,
			    "container has runAsNonRoot and would run as root; set securityContext.runAsUser");
	if (ambient_bool(container, "/securityContext/privileged", 0) ||
	    ambient_len(container, "/securityContext/capabilities/add") > 0)
		trouble_set(t, "CreateContainerConfigError", false,
			    "privileged containers and capabilities.add are not supported on this node");
	if (node->no_sandbox && ((uid >= 0 && uid != own) || (gid >= 0 && gid != own_group)))
		trouble_set(t, "CreateContainerConfigError", false,
			    "runAsUser, runAsGroup and fsGroup need a sandbox, and this node is configured with sandbox = \"none\": all that it "
			    "runs has user %u and group %u", (unsigned)own, (unsigned)own_group);
	if (node->no_sandbox && ambient_bool(container, "/securityContext/readOnlyRootFilesystem", 0))
		trouble_set(t, "CreateContainerConfigError", false,
			    "readOnlyRootFilesystem needs a sandbox, and this node is configured with sandbox = \"none\"");
	if (uid >= 0)
		text_printf(out, ",\"uid\":%lld", (long long)uid);
	if (gid >= 0 || uid >= 0)
		text_printf(out, ",\"gid\":%lld", (long long)(gid >= 0 ? gid : uid));
}

/* There are no programs for it, and nobody who would bring them. */
static void
refuse_image(const struct local *local, const struct ambient_object *container, struct trouble *t)
{
	const char *image = ambient_str(container, "/image", ""), *problem = image_problem(image);
	bool never = strcmp(ambient_str(container, "/imagePullPolicy", ""), "Never") == 0;

	if (problem != NULL)
		trouble_set(t, "InvalidImageName", false,
			    "Failed to apply default image tag \"%.120s\": couldn't parse image name \"%.120s\": %s", image, image, problem);
	else
		trouble_set(t, never ? "ErrImageNeverPull" : local->pulls == 0 ? "ErrImagePull" : "ImagePullBackOff", false,
			    "%simage \"%.120s\" is not mapped to programs of this machine; add { match = \"%.120s\"; "
			    "path = \"/usr/bin:/bin\"; } to \"images\" in the configuration of plugin \"node\", or let \"podman\" run it",
			    never || local->pulls == 0 ? "" : "Back-off pulling: ", image, image);
	(void)snprintf(t->container, sizeof(t->container), "%s", ambient_str(container, "/name", ""));
}

static bool
has_memory(const struct ambient_object *pod)
{
	for (size_t i = 0; i < ambient_len(pod, "/spec/volumes"); i++)
		if (volumes_in_memory(container_at(pod, "/spec/volumes", i)))
			return true;
	return false;
}

int
spec_container(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
	       const struct ambient_object *container, struct text *out, struct trouble *t, struct ambient_error *err)
{
	const char *name = ambient_str(container, "/name", ""), *image_name = ambient_str(container, "/image", "");
	const struct image *image = image_find(node, image_name);
	const struct podman *podman = image == NULL ? image_podman(node, image_name) : NULL;
	const struct ambient_object *podman_info = NULL;
	struct text names = { 0 }, env = { 0 };
	const char *cwd = ambient_str(container, "/workingDir", "");
	int rc;

	if (image == NULL && (podman == NULL || image_problem(image_name) != NULL)) {
		refuse_image(local, container, t);
		return 0;
	}
	if (podman != NULL && geteuid() != 0 && has_memory(pod)) {
		trouble_set(t, "CreateContainerConfigError", false,
			    "podman of a user other than root does not reach volumes of medium Memory, which this pod has: leave out the "
			    "medium, or let the programs of this machine run it");
		(void)snprintf(t->container, sizeof(t->container), "%s", name);
		return 0;
	}
	if (podman != NULL) {
		rc = podman_image(node, call, pod, local, podman, container, &podman_info, t, err);
		if (rc < 0 || podman_info == NULL) {
			(void)snprintf(t->container, sizeof(t->container), "%s", name);
			return rc;
		}
		cwd = cwd[0] != '\0' ? cwd : ambient_str(podman_info, "/config/WorkingDir", "/");
	}
	text_puts(out, "{\"name\":");
	text_json(out, name);
	rc = env_build(node, call, pod, local, container, image, &env, &names, t, err);
	if (rc == 0 && t->reason[0] == '\0') {
		text_printf(out, ",\"env\":%s", text_str(&env));
		if (podman != NULL)
			add_podman_argv(out, &names, container, podman_info, t);
		else
			add_argv(out, &names, container, image, t);
		text_puts(out, ",\"cwd\":");
		text_json(out, cwd[0] != '\0' ? cwd : "/");
		text_puts(out, ",\"terminationPath\":");
		text_json(out, ambient_str(container, "/terminationMessagePath", "/dev/termination-log"));
		if (image != NULL && image->root != NULL) {
			text_puts(out, ",\"root\":");
			text_json(out, image->root);
		}
		life_add(out, &names, local, container, podman_info, t);
		resources_add_limits(out, node, container);
		text_puts(out, ",\"of\":");
		text_json(out, image_name);
		if (podman != NULL) {
			podman_add(out, podman, pod, container, podman_info, local->user, &names, t);
		} else {
			add_security(out, node, pod, local, container, t);
			groups_add(out, pod, t);
		}
		seccomp_add(out, node, pod, local, container, podman != NULL, t);
		if (ambient_bool(container, "/securityContext/readOnlyRootFilesystem", 0))
			text_puts(out, ",\"readOnlyRoot\":true");
		add_streams(out, container);
		add_mounts(out, node, pod, local, container, image, &names, t);
	}
	text_puts(out, "}");
	out->failed = out->failed || env.failed || names.failed;
	text_fini(&env);
	text_fini(&names);
	if (t->reason[0] != '\0' && t->container[0] == '\0')
		(void)snprintf(t->container, sizeof(t->container), "%s", name);
	return rc;
}

/* What podman runs is told when its turn comes: then its image is pulled, as by kubelet. */
static int
add_container(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
	      const struct ambient_object *container, struct text *out, struct trouble *t, struct ambient_error *err)
{
	const char *image = ambient_str(container, "/image", "");

	if (image_find(node, image) != NULL || image_podman(node, image) == NULL)
		return spec_container(node, call, pod, local, container, out, t, err);
	text_puts(out, "{\"name\":");
	text_json(out, ambient_str(container, "/name", ""));
	text_printf(out, ",\"held\":true,\"sidecar\":%s}", life_sidecar(container) ? "true" : "false");
	return 0;
}

/* What all containers of the pod share. */
static void
add_pod(struct text *spec, const struct node *node, const struct ambient_object *pod, const struct local *local, int version)
{
	int64_t waited = (node->host->clock->wall(node->host) - local->accepted) / AMBIENT_MILLISECOND;
	char socket[600];

	(void)snprintf(socket, sizeof(socket), "%s/sock", local->dir);
	text_printf(spec, "{\"version\":%d,\"dir\":", version);
	text_json(spec, local->dir);
	text_puts(spec, ",\"socket\":");
	text_json(spec, socket);
	text_puts(spec, ",\"hostname\":");
	text_json(spec, ambient_str(pod, "/spec/hostname", local->name));
	text_puts(spec, ",\"bwrap\":");
	text_json(spec, node->bwrap);
	text_printf(spec, ",\"sandbox\":\"%s\",\"restartPolicy\":", node->no_sandbox ? "none" : "bwrap");
	text_json(spec, ambient_str(pod, "/spec/restartPolicy", "Always"));
	text_printf(spec, ",\"grace\":%lld,\"deadline\":%lld,\"elapsedMs\":%lld",
		    (long long)ambient_int(pod, "/spec/terminationGracePeriodSeconds", 30),
		    (long long)ambient_int(pod, "/spec/activeDeadlineSeconds", 0), (long long)(waited > 0 ? waited : 0));
	if (node->filter != NULL) {
		text_puts(spec, ",\"seccompFilter\":");
		text_json(spec, node->filter);
	}
	if (ambient_bool(pod, "/spec/shareProcessNamespace", 0))
		text_puts(spec, ",\"shareProcessNamespace\":true");
	if (local->user > 0)
		text_printf(spec, ",\"user\":%lld,\"stage\":\"%s\"", (long long)local->user, USERS_STAGE);
}

int
spec_build(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	   struct text *spec, struct trouble *t, struct ambient_error *err)
{
	static const char *const lists[][2] = { { "/spec/initContainers", "initContainers" },
						{ "/spec/containers", "containers" } };
	bool mapped = false, by_podman = false, share = ambient_bool(pod, "/spec/shareProcessNamespace", 0);
	int rc = 0;

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < ambient_len(pod, lists[k][0]); i++) {
			const char *image = ambient_str(container_at(pod, lists[k][0], i), "/image", "");
			bool own = image_find(node, image) != NULL;

			mapped = mapped || own;
			by_podman = by_podman || (!own && image_podman(node, image) != NULL);
		}
	if (share && by_podman) {
		trouble_set(t, "CreateContainerConfigError", false,
			    "podman cannot join the process id namespace that shareProcessNamespace asks for while the node keeps the control "
			    "groups: leave it out, or let the programs of this machine run the pod's images");
		return 0;
	}
	if (mapped && !node->no_sandbox && access(node->bwrap, X_OK) < 0) {
		trouble_set(t, "CreateContainerError", true,
			    "\"%s\" is missing, and without it containers have no sandbox: install the package bubblewrap, or set "
			    "sandbox = \"none\" in the configuration of plugin \"node\" to run them unprotected", node->bwrap);
		return 0;
	}
	/* An older shim would not know what to do with podman's, and leave out the rest. */
	add_pod(spec, node, pod, local, share || groups_asked(pod) || local->user > 0 ? 4 : by_podman ? 3 : 1);
	resources_add_groups(spec, node);
	resources_add_quotas(spec, pod, local);
	volumes_add_memory(spec, pod, local);
	for (size_t k = 0; k < 2 && rc == 0 && t->reason[0] == '\0'; k++) {
		text_printf(spec, ",\"%s\":[", lists[k][1]);
		for (size_t i = 0; i < ambient_len(pod, lists[k][0]) && rc == 0 && t->reason[0] == '\0'; i++) {
			text_puts(spec, i > 0 ? "," : "");
			rc = add_container(node, call, pod, local, container_at(pod, lists[k][0], i), spec, t, err);
		}
		text_puts(spec, "]");
	}
	text_puts(spec, "}");
	if (rc == 0 && spec->failed)
		rc = ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	return rc;
}
