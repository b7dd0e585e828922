/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that the node lets podman run: names, pulls and their back-off, policies, secrets, what the shim is told, and what is
 * removed when no shim is left.  tests/lib/podman_fake.sh stands for podman; the real one is tests/e2e/podman.py's.
 */
#include "plugins/standalone/node/node.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/fake_host.h"
#include "tests/lib/unit.h"

#define IMAGE   "{\"id\":\"0123\",\"digests\":[\"other/x@sha256:1\",\"docker.io/team/x@sha256:2\"],\"config\":%s}"
#define BACKOFF "ImagePullBackOff"

static struct fake_host *fake;
static char top[64], program[PATH_MAX];
static char conf[3 * PATH_MAX];

static void
put(const char *name, const char *data)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	ck_assert_int_eq(file_write(path, data, strlen(data), 0600), 0);
}

static bool
exists(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return access(path, F_OK) == 0;
}

static const char *
file(const char *name)
{
	static struct text text;
	char path[128];

	text.len = 0;
	text_put(&text, "", 0);
	snprintf(path, sizeof(path), "%s/%s", top, name);
	(void)file_read(path, 1 << 20, &text);
	return text_str(&text);
}

static void
begin_with(const char *more)
{
	const char *srcdir = getenv("top_srcdir");
	char shim[PATH_MAX], path[PATH_MAX];

	ck_assert_ptr_nonnull(realpath("core/ambient-shim/ambient-shim", shim));
	snprintf(path, sizeof(path), "%s/tests/lib/podman_fake.sh", srcdir != NULL ? srcdir : ".");
	ck_assert_ptr_nonnull(realpath(path, program));
	snprintf(top, sizeof(top), "/tmp/ambient-node-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(conf, sizeof(conf), "{\"shim\":\"%s\",\"cgroups\":\"\",\"podman\":[{\"match\":\"[!o]*\",\"path\":\"%s\",\"options\":[\"--root\","
		 "\"%s\"]%s}]}", shim, program, top, more);
	fake = fake_host_new(&ambient_plugin_v1);
	fake_host_set_state_dir(fake, top);
	fake_host_set_conf(fake, conf);
	(void)fake_host_create(fake);
}

static void
begin(void)
{
	begin_with("");
}

static void
end(void)
{
	fake_host_free(fake);
	(void)remove_tree(top);
}

static void
image(const char *name, const char *config)
{
	char text[2048];

	snprintf(text, sizeof(text), IMAGE, config);
	put(name, text);
}

/* container: members after name and image, each with a comma before; pod: of the spec. */
static void
put_pod(const char *image_name, const char *container, const char *pod)
{
	char json[4096];

	snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"},\"spec\":{\"nodeName\":\"standalone\","
		 "\"restartPolicy\":\"Never\",\"terminationGracePeriodSeconds\":1,\"containers\":[{\"name\":\"c\",\"image\":\"%s\"%s}]%s}}",
		 image_name, container, pod);
	fake_host_put(fake, POD, json);
}

static int64_t
reconcile(void)
{
	struct ambient_result result = { sizeof(result), 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = fake_host_reconcile(fake, "pods", "n", "p", &result, &err);

	ck_assert_msg(rc == 0 || rc == -AMBIENT_E_NOTFOUND, "reconcile: %s", err.message);
	return result.requeue_after;
}

static const char *
at(const char *pointer)
{
	const char *text = fake_host_at(fake, POD, "n", "p", pointer);

	return text != NULL ? text : "";
}

#define WAITS "/status/containerStatuses/0/state/waiting"

static void
until(const char *pointer, const char *value)
{
	for (int i = 0; i < unit_looks(2000); i++) {
		(void)reconcile();
		if (strcmp(at(pointer), value) == 0)
			return;
		(void)usleep(5000);
	}
	ck_abort_msg("%s is \"%s\", not \"%s\"\n%s\n%s", pointer, at(pointer), value, at("/status"), file("calls"));
}

static void
gone(void)
{
	fake_host_remove(fake, POD, "n", "p");
	for (int i = 0; i < unit_looks(1000) && reconcile() > 0; i++)
		(void)usleep(5000);
}

START_TEST(names_of_images)
{
	static const char *const good[] = { "busybox", "busybox:1", "a/b", "docker.io/a/b:1.2-x_Y", "localhost/x", "h:5000/a", "H.example/a/b",
		"a__b/c-d--e.f", "127.0.0.1:80/x:y", "a@sha256:" "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"a:1@sha256:" "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	static const char *const bad[] = { "", "A", "a/B", "a:", "a:-x", "a//b", "/a", "a/", "a b", "-a", "a_-b", "a..b", "a___b", "a@sha256:1",
		"a@md5:0123", "h.:80/x", "h.x:/a", "a:b:c", "h.x/a?",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	static const char *const full[][2] = { { "busybox", "docker.io/library/busybox:latest" }, { "a/b:1", "docker.io/a/b:1" },
		{ "localhost/x", "localhost/x:latest" }, { "h:5000/a", "h:5000/a:latest" }, { "h.example/a:2", "h.example/a:2" },
		{ "a@sha256:1", "docker.io/library/a@sha256:1" } };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(image_problem(good[i]) == NULL, "%s: %s", good[i], image_problem(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(image_problem(bad[i]) != NULL, "%s", bad[i]);
	for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
		struct text out = { 0 };

		image_normalize(full[i][0], &out);
		ck_assert_str_eq(text_str(&out), full[i][1]);
		text_fini(&out);
	}
}
END_TEST

START_TEST(a_pull_and_a_pod)
{
	begin();
	image("image.remote", "{\"User\":\"7:8\",\"Env\":[\"A=b\"],\"Entrypoint\":[\"sh\",\"-c\"],\"Cmd\":[\"echo hi; exit 4\"],\"StopSignal\":"
	      "\"SIGINT\",\"WorkingDir\":\"/tmp\"}");
	put_pod("team/x:1", "", ",\"securityContext\":{\"runAsGroup\":9,\"fsGroup\":10}");
	until("/status/phase", "Failed");
	ck_assert_str_eq(at("/status/containerStatuses/0/state/terminated/exitCode"), "4");
	ck_assert_str_eq(at("/status/containerStatuses/0/image"), "docker.io/team/x:1");
	ck_assert_str_eq(at("/status/containerStatuses/0/imageID"), "docker.io/team/x@sha256:2");
	ck_assert_ptr_nonnull(strstr(file("calls"), "pull --quiet docker.io/team/x:1\n"));
	ck_assert_ptr_nonnull(strstr(file("calls"), " --network=host --user=7:9 --group-add=10 sha256:0123 sh -c echo hi; exit 4\n"));
	ck_assert_ptr_nonnull(fake_host_event(fake, "Pulling"));
	ck_assert_ptr_nonnull(fake_host_event(fake, "Pulled"));
	/* Its object goes: so does what podman keeps, whatever the shim did. */
	gone();
	const char *last = strstr(file("calls"), "container inspect");
	ck_assert_ptr_nonnull(last);
	last = strstr(last, "rm --force --volumes --ignore --time 0 ambient-");
	ck_assert_ptr_nonnull(last);
	ck_assert_ptr_nonnull(strstr(last + 1, "rm --force --volumes --ignore --time 0 ambient-"));
	end();
}
END_TEST

/* 10 s, 20 s, … 5 min between tries, and in the waiting state what kubelet shows. */
START_TEST(pulls_back_off)
{
	static const int64_t delays[] = { 10, 20, 40, 80, 160, 300, 300 };

	begin();
	put("pull", "trying\nError: initializing source: manifest unknown\n");
	put_pod("team/x:1", "", "");
	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		until(WAITS "/reason", "ErrImagePull");
		ck_assert_str_eq(at(WAITS "/message"), "failed to pull image \"team/x:1\": initializing source: manifest unknown");
		fake_host_advance(fake, AMBIENT_SECOND);
		int64_t left = reconcile();
		ck_assert_str_eq(at(WAITS "/reason"), BACKOFF);
		ck_assert_str_eq(at(WAITS "/message"),
				 "Back-off pulling image \"team/x:1\": ErrImagePull: initializing source: manifest unknown");
		ck_assert_int_eq(left, (delays[i] - 1) * AMBIENT_SECOND);
		fake_host_advance(fake, left);
	}
	ck_assert_uint_eq(fake_host_events(fake, "BackOff"), sizeof(delays) / sizeof(delays[0]));
	image("image.remote", "{\"Cmd\":[\"true\"]}");
	put("pull", "");
	until("/status/phase", "Succeeded");
	gone();
	end();
}
END_TEST

START_TEST(policies)
{
	begin();
	put_pod("team/x:1", ",\"imagePullPolicy\":\"Never\"", "");
	ck_assert_int_gt(reconcile(), 0);
	ck_assert_str_eq(at(WAITS "/reason"), "ErrImageNeverPull");
	ck_assert_str_eq(at(WAITS "/message"), "Container image \"team/x:1\" is not present with pull policy of Never");
	ck_assert_ptr_null(strstr(file("calls"), "pull --quiet"));
	image("image", "{\"Cmd\":[\"true\"]}");
	until("/status/phase", "Succeeded");
	ck_assert_ptr_null(strstr(file("calls"), "pull --quiet"));
	gone();
	/* Here already, and pulled all the same. */
	image("image.remote", "{\"Cmd\":[\"true\"]}");
	put_pod("team/x:1", ",\"imagePullPolicy\":\"Always\"", "");
	until("/status/phase", "Succeeded");
	ck_assert_ptr_nonnull(strstr(file("calls"), "pull --quiet"));
	gone();
	end();
	/* What the configuration says stands above the container. */
	begin_with(",\"pull\":\"Never\"");
	put_pod("team/x:1", ",\"imagePullPolicy\":\"Always\"", "");
	(void)reconcile();
	ck_assert_str_eq(at(WAITS "/reason"), "ErrImageNeverPull");
	gone();
	end();
}
END_TEST

START_TEST(names_that_bring_nothing)
{
	begin();
	put_pod("team/X", "", "");
	(void)reconcile();
	ck_assert_str_eq(at(WAITS "/reason"), "InvalidImageName");
	ck_assert_str_eq(at(WAITS "/message"), "Failed to apply default image tag \"team/X\": couldn't parse image name \"team/X\": invalid "
			 "reference format: repository name must be lowercase");
	gone();
	/* Nobody's: as on a node without podman. */
	put_pod("other/x:y:z", "", "");
	(void)reconcile();
	ck_assert_str_eq(at(WAITS "/reason"), "InvalidImageName");
	gone();
	put_pod("other/x", ",\"imagePullPolicy\":\"Never\"", "");
	(void)reconcile();
	ck_assert_str_eq(at(WAITS "/reason"), "ErrImageNeverPull");
	gone();
	put_pod("other/x", "", "");
	(void)reconcile();
	ck_assert_str_eq(at(WAITS "/reason"), "ErrImagePull");
	ck_assert_ptr_nonnull(strstr(at(WAITS "/message"), "\"podman\""));
	gone();
	end();
}
END_TEST

START_TEST(secrets_of_a_pull)
{
	struct stat st;
	char path[256];

	begin();
	/* {"auths":{"a.example":{"auth":"eA=="}}}, {"auths":{"a.example":{"auth":"eQ=="},"b.example":{"auth":"eg=="}}} */
	fake_host_put(fake, SECRET, "{'metadata':{'name':'one','namespace':'n'},'type':'kubernetes.io/dockerconfigjson','data':{"
		      "'.dockerconfigjson':'eyJhdXRocyI6eyJhLmV4YW1wbGUiOnsiYXV0aCI6ImVBPT0ifX19'}}");
	fake_host_put(fake, SECRET, "{'metadata':{'name':'two','namespace':'n'},'type':'kubernetes.io/dockerconfigjson','data':{"
		      "'.dockerconfigjson':'eyJhdXRocyI6eyJhLmV4YW1wbGUiOnsiYXV0aCI6ImVRPT0ifSwiYi5leGFtcGxlIjp7ImF1dGgiOiJlZz09In19fQ=='}}");
	fake_host_put(fake, SECRET, "{'metadata':{'name':'broken','namespace':'n'},'data':{'.dockerconfigjson':'bm9uc2Vuc2U='}}");
	put("pulling", "");
	put_pod("team/x:1", "", ",\"imagePullSecrets\":[{\"name\":\"one\"},{\"name\":\"two\"},{\"name\":\"broken\"},{\"name\":\"none\"}]");
	ck_assert_int_gt(reconcile(), 0);
	snprintf(path, sizeof(path), "pods/%s/pull-auth.json", at("/metadata/uid"));
	/* Of a registry that two name the first counts. */
	ck_assert_str_eq(file(path), "{\"auths\":{\"a.example\":{\"auth\":\"eA==\"},\"b.example\":{\"auth\":\"eg==\"}}}\n");
	snprintf(path, sizeof(path), "%s/pods/%s/pull-auth.json", top, at("/metadata/uid"));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_uint_eq(fake_host_events(fake, "FailedToRetrieveImagePullSecret"), 2);
	for (int i = 0; i < unit_looks(1000) && strstr(file("calls"), "pull --quiet --authfile ") == NULL; i++)
		(void)usleep(5000);
	ck_assert_ptr_nonnull(strstr(file("calls"), "pull --quiet --authfile "));
	/* A pod that goes meanwhile leaves nothing; the daemon that ends breaks the pull off. */
	gone();
	ck_assert_int_ne(stat(path, &st), 0);
	end();
}
END_TEST

START_TEST(who_may_not_be_root)
{
	static const struct { const char *user, *context, *message; } rows[] = {
		{ "", "\"runAsNonRoot\":true", "image will run as root" }, { "0:5", "\"runAsNonRoot\":true", "image will run as root" },
		{ "agent", "\"runAsNonRoot\":true", "non-numeric user (agent)" },
		{ "agent", "\"runAsNonRoot\":true,\"runAsUser\":0", "breaks non-root policy" },
		{ "", "\"privileged\":true", "not supported" }, { "", "\"capabilities\":{\"add\":[\"SYS_ADMIN\"]}", "not supported" },
	};

	begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char config[256], container[256];

		snprintf(config, sizeof(config), "{\"User\":\"%s\",\"Cmd\":[\"true\"]}", rows[i].user);
		image("image", config);
		snprintf(container, sizeof(container), ",\"securityContext\":{%s}", rows[i].context);
		put_pod("team/x:1", container, "");
		(void)reconcile();
		ck_assert_str_eq(at(WAITS "/reason"), "CreateContainerConfigError");
		ck_assert_msg(strstr(at(WAITS "/message"), rows[i].message) != NULL, "%zu: %s", i, at(WAITS "/message"));
		gone();
	}
	image("image", "{\"User\":\"12\",\"Cmd\":[\"true\"]}");
	put_pod("team/x:1", ",\"env\":[{\"name\":\"#A\",\"value\":\"b\"}]", "");
	(void)reconcile();
	ck_assert_str_eq(at(WAITS "/message"), "podman takes no variable of the name \"#A\"");
	gone();
	put_pod("team/x:1", ",\"securityContext\":{\"runAsNonRoot\":true,\"capabilities\":{\"drop\":[\"ALL\"]},\"allowPrivilegeEscalation\":"
		"false,\"seccompProfile\":{\"type\":\"Unconfined\"}}", "");
	until("/status/phase", "Succeeded");
	ck_assert_ptr_nonnull(strstr(file("calls"), "--cap-drop=ALL --security-opt=no-new-privileges "));
	ck_assert_ptr_nonnull(strstr(file("calls"), "--security-opt seccomp=unconfined "));
	gone();
	end();
}
END_TEST

/* podman gets the file as it is; what enters the container later has the filter that is made of it. */
START_TEST(seccomp_profiles_of_files)
{
#ifdef HAVE_SECCOMP
	static const char text[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
	char path[256], more[160];

	begin();
	fake_host_destroy(fake);
	snprintf(more, sizeof(more), ",\"seccompProfiles\":\"%s\"}", top);
	snprintf(conf + strlen(conf) - 1, sizeof(conf) - strlen(conf), "%s", more);
	fake_host_set_conf(fake, conf);
	(void)fake_host_create(fake);
	put("x.json", text);
	image("image", "{\"Cmd\":[\"true\"]}");
	put_pod("team/x:1", ",\"securityContext\":{\"seccompProfile\":{\"type\":\"Localhost\",\"localhostProfile\":\"x.json\"}}", "");
	until("/status/phase", "Succeeded");
	snprintf(path, sizeof(path), "pods/%s/seccomp/c.json", at("/metadata/uid"));
	ck_assert_str_eq(file(path), text);
	snprintf(path, sizeof(path), "--security-opt seccomp=%s/pods/%s/seccomp/c.json ", top, at("/metadata/uid"));
	ck_assert_msg(strstr(file("calls"), path) != NULL, "%s", file("calls"));
	gone();
	end();
#else
	printf("SKIP node_podman: built without libseccomp\n");
	ck_assert(!unit_required("libseccomp"));
#endif
}
END_TEST

/* The shim and its keeper are killed: before the pod has ended in the API, podman was told to remove its container. */
START_TEST(the_node_removes_what_nobody_keeps)
{
	char path[256], name[256];
	pid_t shim = 0, program_pid = 0;

	begin();
	image("image", "{\"Cmd\":[\"sleep\",\"600\"]}");
	put_pod("team/x:1", "", "");
	until("/status/phase", "Running");
	snprintf(path, sizeof(path), "pods/%s/state.jsonl", at("/metadata/uid"));
	ck_assert_int_eq(sscanf(strstr(file(path), "\"pid\":"), "\"pid\":%d", &shim), 1);
	ck_assert_int_eq(sscanf(strstr(strstr(file(path), "\"rec\":\"running\""), "\"pid\":"), "\"pid\":%d", &program_pid), 1);
	snprintf(name, sizeof(name), "there-ambient-%s-c", at("/metadata/uid"));
	ck_assert(exists(name));
	snprintf(name, sizeof(name), "pid-of-ambient-%s-c", at("/metadata/uid"));
	snprintf(path, sizeof(path), "%d\n", (int)program_pid);
	put(name, path);
	snprintf(name, sizeof(name), "secret-ambient-%s-c-0", at("/metadata/uid"));
	put(name, "left");
	(void)kill(shim, SIGKILL);
	until("/status/phase", "Failed");
	ck_assert_str_eq(at("/status/reason"), "NodeLost");
	ck_assert(!exists(name));
	snprintf(name, sizeof(name), "there-ambient-%s-c", at("/metadata/uid"));
	ck_assert(!exists(name));
	gone();
	end();
}
END_TEST

START_TEST(what_podman_cannot_say)
{
	begin();
	put("broken", "");
	put_pod("team/x:1", "", "");
	ck_assert_int_gt(reconcile(), 0);
	ck_assert_str_eq(at(WAITS "/reason"), "CreateContainerError");
	ck_assert_ptr_nonnull(strstr(at(WAITS "/message"), "podman cannot say what image \"docker.io/team/x:1\" is: no storage"));
	gone();
	end();
}
END_TEST

START_TEST(process_ids_are_not_shared)
{
	begin();
	image("image", "{\"Cmd\":[\"true\"]}");
	put_pod("team/x:1", "", ",\"shareProcessNamespace\":true");
	(void)reconcile();
	ck_assert_str_eq(at(WAITS "/reason"), "CreateContainerConfigError");
	ck_assert_ptr_nonnull(strstr(at(WAITS "/message"), "podman cannot join the process id namespace that shareProcessNamespace asks for"));
	gone();
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, names_of_images);
	tcase_add_test(tc, a_pull_and_a_pod);
	tcase_add_test(tc, pulls_back_off);
	tcase_add_test(tc, policies);
	tcase_add_test(tc, names_that_bring_nothing);
	tcase_add_test(tc, secrets_of_a_pull);
	tcase_add_test(tc, who_may_not_be_root);
	tcase_add_test(tc, the_node_removes_what_nobody_keeps);
	tcase_add_test(tc, what_podman_cannot_say);
	tcase_add_test(tc, process_ids_are_not_shared);
	tcase_add_test(tc, seccomp_profiles_of_files);
}

UNIT_MAIN("node_podman", cases)
