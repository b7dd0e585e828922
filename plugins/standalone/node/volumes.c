/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: directories under the pod's own, or the claim's, and where they are mounted.  Everything that is made
 * of API objects is written by files.c and may be written again while the pod runs.
 */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
mode_of(const struct ambient_object *item, int fallback)
{
	int64_t mode = ambient_int(item, "/mode", fallback);

	return mode >= 0 && mode <= 0777 ? (int)mode : fallback;
}

static void
add_value(struct payload *p, const char *path, const char *value, bool base64, int mode, struct trouble *t)
{
	struct text plain = { 0 };

	if (!payload_path_ok(path)) {
		trouble_set(t, "CreateContainerConfigError", false, "\"%.100s\" is no path of a file in a volume", path);
		return;
	}
	if (!base64)
		payload_add(p, path, value, strlen(value), mode);
	else if (base64_decode(value, &plain) == 0)
		payload_add(p, path, text_str(&plain), plain.len, mode);
	text_fini(&plain);
}

static const struct ambient_object *
value_of(const struct ambient_object *obj, const char *key, bool secret, bool *base64)
{
	static const char *const parts[] = { "/data", "/binaryData" };

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < ambient_len(obj, parts[k]); i++) {
			const char *have = "";
			const struct ambient_object *value = ambient_item(obj, parts[k], i, &have);

			if (strcmp(have, key) == 0) {
				*base64 = secret || k == 1;
				return value;
			}
		}
	return NULL;
}

/* A secret or config map: all keys, or the listed items. */
static int
add_object(struct ambient_call *call, const struct ambient_object *pod, const struct ambient_object *source,
	   const char *name, bool secret, int mode, struct payload *p, struct trouble *t, struct ambient_error *err)
{
	const char *ns = ambient_str(pod, "/metadata/namespace", ""), *what = secret ? "secret" : "configmap";
	bool optional = ambient_bool(source, "/optional", 0), base64 = secret;
	size_t items = ambient_len(source, "/items");
	const struct ambient_object *obj;
	int rc = find_object(call, secret ? SECRET : CONFMAP, ns, name, t, &obj, err);

	if (rc < 0)
		return rc;
	if (obj == NULL) {
		if (!optional)
			trouble_set(t, "ContainerCreating", true, "%s \"%s\" not found", what, name);
		return 0;
	}
	for (size_t i = 0; i < items; i++) {
		const struct ambient_object *item = ambient_item(source, "/items", i, NULL);
		const struct ambient_object *value = value_of(obj, ambient_str(item, "/key", ""), secret, &base64);

		if (value != NULL)
			add_value(p, ambient_str(item, "/path", ""), ambient_str(value, "", ""), base64,
				  mode_of(item, mode), t);
		else if (!optional)
			trouble_set(t, "ContainerCreating", true, "%s \"%s\" has no key \"%.100s\"", what, name,
				    ambient_str(item, "/key", ""));
	}
	for (int k = 0; items == 0 && k < 2; k++)
		for (size_t i = 0; i < ambient_len(obj, k == 0 ? "/data" : "/binaryData"); i++) {
			const char *key = "";
			const struct ambient_object *value = ambient_item(obj, k == 0 ? "/data" : "/binaryData", i, &key);

			add_value(p, key, ambient_str(value, "", ""), secret || k == 1, mode, t);
		}
	return 0;
}

static void
add_map(const struct ambient_object *pod, const char *at, struct text *out)
{
	for (size_t i = 0; i < ambient_len(pod, at); i++) {
		const char *key = "";
		const struct ambient_object *value = ambient_item(pod, at, i, &key);

		text_printf(out, "%s%s=", i > 0 ? "\n" : "", key);
		text_json(out, ambient_str(value, "", ""));
	}
	text_put(out, "", 0);
}

static void
add_downward(const struct ambient_object *pod, const struct local *local, const struct ambient_object *source, int mode,
	     struct payload *p, struct trouble *t)
{
	for (size_t i = 0; i < ambient_len(source, "/items"); i++) {
		const struct ambient_object *item = ambient_item(source, "/items", i, NULL);
		const char *field = ambient_str(item, "/fieldRef/fieldPath", ""), *value;
		struct text all = { 0 };
		char number[32];

		if (ambient_at(item, "/resourceFieldRef") != NULL) {
			env_resource(pod, NULL, ambient_at(item, "/resourceFieldRef"), number, sizeof(number));
			value = number;
		} else if (strcmp(field, "metadata.labels") == 0 || strcmp(field, "metadata.annotations") == 0) {
			add_map(pod, strcmp(field, "metadata.labels") == 0 ? "/metadata/labels" : "/metadata/annotations", &all);
			value = text_str(&all);
		} else {
			value = env_field(pod, local, field);
		}
		if (value == NULL)
			trouble_set(t, "CreateContainerConfigError", false, "fieldPath \"%.100s\" is not supported", field);
		else
			add_value(p, ambient_str(item, "/path", ""), value, false, mode_of(item, mode), t);
		text_fini(&all);
	}
}

static int
add_token(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	  const char *dir, const struct ambient_object *source, int mode, struct payload *p, struct trouble *t,
	  struct ambient_error *err)
{
	struct text token = { 0 };
	int rc = token_get(node, call, pod, local, dir, source, &token, t, err);

	if (rc == 0 && token.len > 0)
		add_value(p, ambient_str(source, "/path", "token"), text_str(&token), false, mode, t);
	text_fini(&token);
	return rc;
}

static int
add_projected(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	      const char *dir, const struct ambient_object *volume, struct payload *p, struct trouble *t,
	      struct ambient_error *err)
{
	int mode = (int)ambient_int(volume, "/projected/defaultMode", 0644), rc = 0;

	for (size_t i = 0; i < ambient_len(volume, "/projected/sources") && rc == 0; i++) {
		const struct ambient_object *s = ambient_item(volume, "/projected/sources", i, NULL), *part;

		if ((part = ambient_at(s, "/secret")) != NULL)
			rc = add_object(call, pod, part, ambient_str(part, "/name", ""), true, mode, p, t, err);
		else if ((part = ambient_at(s, "/configMap")) != NULL)
			rc = add_object(call, pod, part, ambient_str(part, "/name", ""), false, mode, p, t, err);
		else if ((part = ambient_at(s, "/downwardAPI")) != NULL)
			add_downward(pod, local, part, mode, p, t);
		else if ((part = ambient_at(s, "/serviceAccountToken")) != NULL)
			rc = add_token(node, call, pod, local, dir, part, mode, p, t, err);
		else
			trouble_set(t, "CreateContainerConfigError", false, "projected source %zu is not supported", i);
	}
	return rc;
}

/* Which of the API-made kinds it is; NULL: another kind. */
static const char *
made_of(const struct ambient_object *volume)
{
	static const char *const kinds[] = { "/secret", "/configMap", "/downwardAPI", "/projected" };

	for (size_t i = 0; i < 4; i++)
		if (ambient_type(volume, kinds[i]) == AMBIENT_T_OBJECT)
			return kinds[i];
	return NULL;
}

static int
prepare_made(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	     const struct ambient_object *volume, const char *kind, const char *dir, struct trouble *t,
	     struct ambient_error *err)
{
	const struct ambient_object *part = ambient_at(volume, kind);
	int mode = (int)ambient_int(part, "/defaultMode", 0644), rc = 0;
	struct payload p = { .owner = local->user };

	if (strcmp(kind, "/secret") == 0)
		rc = add_object(call, pod, part, ambient_str(part, "/secretName", ""), true, mode, &p, t, err);
	else if (strcmp(kind, "/configMap") == 0)
		rc = add_object(call, pod, part, ambient_str(part, "/name", ""), false, mode, &p, t, err);
	else if (strcmp(kind, "/downwardAPI") == 0)
		add_downward(pod, local, part, mode, &p, t);
	else
		rc = add_projected(node, call, pod, local, dir, volume, &p, t, err);
	if (rc == 0 && t->reason[0] == '\0') {
		int wrote = payload_write(dir, &p);

		if (wrote < 0)
			rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot write volume \"%s\": %s",
					 ambient_str(volume, "/name", ""), strerror(-wrote));
	}
	payload_free(&p);
	return rc;
}

/* dir + sub, with no way out of dir; the real path.  make: directories that are missing. */
static int
resolve(const char *dir, const char *sub, bool make, char *out, size_t size)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	char prefix[PATH_MAX], link[64];
	int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1, rc = 0;
	ssize_t n;

	if (root < 0)
		return -errno;
	for (size_t end = 0; rc == 0;) {
		end += strspn(sub + end, "/");
		end += strcspn(sub + end, "/");
		(void)snprintf(prefix, sizeof(prefix), "%.*s", (int)end, sub);
		fd = (int)syscall(SYS_openat2, root, end > 0 ? prefix : ".", &how, sizeof(how));
		if (fd < 0 && errno == ENOENT && make) {
			char *slash = strrchr(prefix, '/');
			const char *name = slash != NULL ? slash + 1 : prefix;
			int parent;

			if (slash != NULL)
				*slash = '\0';
			parent = slash != NULL ? (int)syscall(SYS_openat2, root, prefix, &how, sizeof(how)) : dup(root);
			if (parent < 0 || (mkdirat(parent, name, 0777) < 0 && errno != EEXIST))
				rc = -errno;
			else
				(void)!fchmodat(parent, name, 0777, 0);
			if (parent >= 0)
				(void)close(parent);
			(void)snprintf(prefix, sizeof(prefix), "%.*s", (int)end, sub);
			if (rc == 0)
				fd = (int)syscall(SYS_openat2, root, prefix, &how, sizeof(how));
		}
		if (rc == 0 && fd < 0)
			rc = -errno;
		if (sub[end] == '\0')
			break;
		if (fd >= 0)
			(void)close(fd);
		fd = -1;
	}
	if (rc == 0) {
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, out, size - 1);
		if (n < 0 || (size_t)n >= size - 1)
			rc = -ENAMETOOLONG;
		else
			out[n] = '\0';
	}
	if (fd >= 0)
		(void)close(fd);
	(void)close(root);
	return rc;
}

/* ---- hostPath ---- */

static const struct host_type {
	const char *name;
	mode_t mode;
	bool make;
} host_types[] = {
	{ "", 0, false }, { "DirectoryOrCreate", S_IFDIR, true }, { "Directory", S_IFDIR, false }, { "FileOrCreate", S_IFREG, true },
	{ "File", S_IFREG, false }, { "Socket", S_IFSOCK, false }, { "CharDevice", S_IFCHR, false }, { "BlockDevice", S_IFBLK, false },
};

static const char *
allowed_root(const struct node *node, const char *path)
{
	for (size_t i = 0; node->host_paths != NULL && node->host_paths[i] != NULL; i++) {
		size_t n = strlen(node->host_paths[i]);

		while (n > 1 && node->host_paths[i][n - 1] == '/')
			n--;
		if (strncmp(path, node->host_paths[i], n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1))
			return node->host_paths[i];
	}
	return NULL;
}

/* An empty file in a directory that is there. */
static void
make_file(const char *root, const char *sub)
{
	char parent[PATH_MAX], real[PATH_MAX], path[PATH_MAX];
	const char *slash = strrchr(sub, '/');
	int fd;

	(void)snprintf(parent, sizeof(parent), "%.*s", slash != NULL ? (int)(slash - sub) : 0, sub);
	if (resolve(root, parent, false, real, sizeof(real)) < 0 || strlen(real) > PATH_MAX - 300)
		return;
	(void)snprintf(path, sizeof(path), "%.3700s/%.255s", real, slash != NULL ? slash + 1 : sub);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd >= 0)
		(void)close(fd);
}

/* Links below an allowed directory do not lead out of it. */
static int
host_path(const struct node *node, const struct ambient_object *volume, char *out, size_t size, struct trouble *t)
{
	const char *path = ambient_str(volume, "/hostPath/path", ""), *type = ambient_str(volume, "/hostPath/type", "");
	const char *root = allowed_root(node, path), *sub;
	const struct host_type *known = NULL;
	struct stat st;
	int rc;

	if (root == NULL || strstr(path, "..") != NULL) {
		trouble_set(t, "CreateContainerError", false, "volume \"%s\": hostPath \"%.200s\" is not below a directory of \"hostPaths\" in "
			    "the configuration of plugin \"node\"", ambient_str(volume, "/name", ""), path);
		return -EPERM;
	}
	sub = path + strlen(root);
	sub += strspn(sub, "/");
	for (size_t i = 0; i < sizeof(host_types) / sizeof(host_types[0]); i++)
		if (strcmp(type, host_types[i].name) == 0)
			known = &host_types[i];
	if (known != NULL && known->make && known->mode == S_IFREG && sub[0] != '\0')
		make_file(root, sub);
	rc = known == NULL ? -EINVAL : resolve(root, sub, known->make && known->mode == S_IFDIR, out, size);
	if (rc == 0 && known->mode != 0 && (stat(out, &st) < 0 || (st.st_mode & S_IFMT) != known->mode))
		rc = -ENOTDIR;
	if (rc < 0)
		trouble_set(t, "ContainerCreating", true, "hostPath type check failed: %.200s is not a %s: %s", path,
			    type[0] != '\0' ? type : "file or directory", strerror(-rc));
	return rc;
}

bool
volumes_in_memory(const struct ambient_object *volume)
{
	return strcmp(ambient_str(volume, "/emptyDir/medium", ""), "Memory") == 0;
}

void
volumes_add_memory(struct text *out, const struct ambient_object *pod, const struct local *local)
{
	bool first = true;

	text_puts(out, ",\"tmpfs\":[");
	for (size_t i = 0; i < ambient_len(pod, "/spec/volumes"); i++) {
		const struct ambient_object *v = container_at(pod, "/spec/volumes", i);
		char dir[PATH_MAX];

		if (!volumes_in_memory(v))
			continue;
		(void)snprintf(dir, sizeof(dir), "%s/volumes/%s", local->dir, ambient_str(v, "/name", ""));
		text_puts(out, first ? "{\"path\":" : ",{\"path\":");
		text_json(out, dir);
		text_printf(out, ",\"size\":%lld}", (long long)quantity_at(v, "/emptyDir/sizeLimit"));
		first = false;
	}
	text_puts(out, "]");
}

static int
prepare_claim(struct node *node, struct ambient_call *call, const struct local *local, const char *claim, struct trouble *t,
	      struct ambient_error *err)
{
	const struct ambient_object *obj;
	char dir[PATH_MAX];
	int rc = find_object(call, CLAIM, local->ns, claim, t, &obj, err);

	if (rc < 0)
		return rc;
	if (obj == NULL || ambient_deleting(obj))
		trouble_set(t, "ContainerCreating", true, "persistentvolumeclaim \"%s\" not found", claim);
	else if (claim_dir(node, local->ns, claim, dir, sizeof(dir)) < 0)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot make the directory of claim \"%s\"", claim);
	return rc;
}

static int
prepare_empty(const struct local *local, const struct ambient_object *volume, struct ambient_error *err)
{
	char dir[PATH_MAX];
	int rc;

	(void)snprintf(dir, sizeof(dir), "%s/volumes/%s", local->dir, ambient_str(volume, "/name", ""));
	rc = make_dirs(dir);
	rc = rc == 0 ? users_own(dir, local->user, 0777) : rc;
	return rc < 0 ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot make \"%s\": %s", dir, strerror(-rc)) : 0;
}

int
volumes_prepare(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
		struct trouble *t, struct ambient_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	int rc = 0;

	for (size_t i = 0; i < ambient_len(pod, "/spec/volumes") && rc == 0 && t->reason[0] == '\0'; i++) {
		const struct ambient_object *v = container_at(pod, "/spec/volumes", i);
		const char *kind = made_of(v), *claim;

		(void)snprintf(dir, sizeof(dir), "%s/volumes/%s", local->dir, ambient_str(v, "/name", ""));
		if (kind != NULL)
			rc = prepare_made(node, call, pod, local, v, kind, dir, t, err);
		else if ((claim = ambient_str(v, "/persistentVolumeClaim/claimName", NULL)) != NULL)
			rc = prepare_claim(node, call, local, claim, t, err);
		else if (ambient_at(v, "/hostPath") != NULL)
			(void)host_path(node, v, path, sizeof(path), t);
		else if (ambient_type(v, "/emptyDir") != AMBIENT_T_NONE)
			rc = prepare_empty(local, v, err);
		else
			trouble_set(t, "CreateContainerError", false,
				    "volume \"%s\": its type is not supported on this node (there are emptyDir, configMap, secret, "
				    "downwardAPI, projected, persistentVolumeClaim, hostPath)", ambient_str(v, "/name", ""));
	}
	return rc;
}

static const struct ambient_object *
volume_named(const struct ambient_object *pod, const char *name)
{
	for (size_t i = 0; i < ambient_len(pod, "/spec/volumes"); i++) {
		const struct ambient_object *v = container_at(pod, "/spec/volumes", i);

		if (strcmp(ambient_str(v, "/name", ""), name) == 0)
			return v;
	}
	return NULL;
}

static bool
sub_path_ok(const char *sub)
{
	for (const char *p = sub; *p != '\0'; p += strcspn(p, "/"), p += *p == '/')
		if (strcspn(p, "/") == 2 && strncmp(p, "..", 2) == 0)
			return false;
	return sub[0] != '/' && strlen(sub) < 1024;
}

/* Where the volume lies on this machine. */
static int
source_of(struct node *node, const struct local *local, const struct ambient_object *v, char *dir, size_t size,
	  struct trouble *t)
{
	const char *claim = ambient_str(v, "/persistentVolumeClaim/claimName", NULL);

	if (claim != NULL)
		return claim_dir(node, local->ns, claim, dir, size);
	if (ambient_at(v, "/hostPath") != NULL)
		return host_path(node, v, dir, size, t);
	(void)snprintf(dir, size, "%s/volumes/%s", local->dir, ambient_str(v, "/name", ""));
	return 0;
}

/* subPath, or subPathExpr with the container's variables in it; false: it says no path. */
static bool
sub_path(const struct ambient_object *mount, const struct text *names, struct text *out)
{
	const char *expr = ambient_str(mount, "/subPathExpr", NULL);

	if (expr != NULL)
		env_expand(names, expr, out);
	else
		text_puts(out, ambient_str(mount, "/subPath", ""));
	return !out->failed && sub_path_ok(text_str(out)) && (expr == NULL || strstr(text_str(out), "$(") == NULL);
}

static void
add_mount(struct node *node, const struct ambient_object *pod, const struct local *local, const struct ambient_object *m,
	  const struct text *names, struct text *out, struct trouble *t)
{
	const char *name = ambient_str(m, "/name", "");
	const struct ambient_object *v = volume_named(pod, name);
	char dir[PATH_MAX], real[PATH_MAX];
	struct text sub = { 0 };
	bool ro;
	int rc;

	if (v == NULL || !sub_path(m, names, &sub)) {
		trouble_set(t, "CreateContainerConfigError", false, v == NULL ? "there is no volume \"%s\""
			    : "mount of volume \"%s\": subPath is no path inside it, or subPathExpr names a variable that is not there", name);
		text_fini(&sub);
		return;
	}
	rc = source_of(node, local, v, dir, sizeof(dir), t);
	/* What comes from the API is the cluster's: a container does not write there. */
	ro = ambient_bool(m, "/readOnly", 0) || made_of(v) != NULL || ambient_bool(v, "/persistentVolumeClaim/readOnly", 0);
	if (rc == 0)
		rc = resolve(dir, text_str(&sub), ambient_at(v, "/hostPath") == NULL, real, sizeof(real));
	if (rc < 0) {
		trouble_set(t, "CreateContainerConfigError", true, "volume \"%s\", subPath \"%.100s\": %s", name, text_str(&sub),
			    strerror(-rc));
	} else {
		text_puts(out, out->len > 0 ? ",{\"source\":" : "{\"source\":");
		text_json(out, real);
		text_puts(out, ",\"target\":");
		text_json(out, ambient_str(m, "/mountPath", ""));
		text_printf(out, ",\"readOnly\":%s}", ro ? "true" : "false");
	}
	text_fini(&sub);
}

void
volumes_mounts(struct node *node, const struct ambient_object *pod, const struct local *local,
	       const struct ambient_object *container, const struct text *names, struct text *out, struct trouble *t)
{
	for (size_t i = 0; i < ambient_len(container, "/volumeMounts") && t->reason[0] == '\0'; i++)
		add_mount(node, pod, local, ambient_item(container, "/volumeMounts", i, NULL), names, out, t);
}
