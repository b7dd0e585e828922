/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host of the API server plugin and nothing else: loads it, gives it a state directory and the options of the
 * command line, starts its server, prints "ready <kubeconfig>" and runs until a signal or the end of its input.
 *
 *   apiserver_host PLUGIN.so STATE_DIR [listen=127.0.0.1:0] [crds=PATH]... [name=value]...
 */
#include <ambient/ambient.h>

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ambient_conf {
	char **args;
	int n;
	char prefix[64]; /* of a group: "rules.0." */
};

/* The i-th value of that name. */
static const char *
find(const struct ambient_conf *conf, const char *name, size_t i)
{
	size_t len = strlen(name), before = strlen(conf->prefix);

	for (int k = 0; k < conf->n; k++) {
		const char *arg = conf->args[k];

		if (strncmp(arg, conf->prefix, before) == 0 && strncmp(arg + before, name, len) == 0 && arg[before + len] == '=' &&
		    i-- == 0)
			return arg + before + len + 1;
	}
	return NULL;
}

static const char *
conf_str(const struct ambient_conf *conf, const char *name, const char *fallback)
{
	const char *v = find(conf, name, 0);

	return v != NULL ? v : fallback;
}

/* Numbers only; a duration is given in nanoseconds. */
static int64_t
conf_integer(const struct ambient_conf *conf, const char *name, int64_t fallback)
{
	const char *v = find(conf, name, 0);

	return v != NULL ? strtoll(v, NULL, 10) : fallback;
}

static size_t
conf_count(const struct ambient_conf *conf, const char *name)
{
	size_t n = 0;

	while (find(conf, name, n) != NULL)
		n++;
	return n;
}

static int
conf_entry(const struct ambient_conf *conf, const char *name, size_t i, const char **key, const char **value)
{
	*key = NULL;
	*value = find(conf, name, i);
	return *value != NULL ? 0 : -AMBIENT_E_NOTFOUND;
}

/* Groups are written "name.0.member=value" and counted by "name=" as often as there are groups. */
static const struct ambient_conf *
conf_group(const struct ambient_conf *conf, const char *name, size_t i)
{
	static struct ambient_conf groups[16];

	if (i >= sizeof(groups) / sizeof(groups[0]))
		return NULL;
	groups[i] = (struct ambient_conf){ .args = conf->args, .n = conf->n };
	(void)snprintf(groups[i].prefix, sizeof(groups[i].prefix), "%s.%zu.", name, i);
	return &groups[i];
}

static void
log_write(const struct ambient_host *host, int level, const char *text, const char *const *fields)
{
	(void)host;
	(void)level;
	(void)fields;
	fprintf(stderr, "apiserver: %s\n", text);
}

static int stop_pipe[2];

static void
on_signal(int signo)
{
	char c = (char)signo;

	(void)!write(stop_pipe[1], &c, 1);
}

static void
wait_for_end(void)
{
	struct pollfd p[2] = { { stop_pipe[0], POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
	char buf[256];

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents != 0)
			return;
		if (p[1].revents != 0 && read(STDIN_FILENO, buf, sizeof(buf)) <= 0)
			return;
	}
}

/* A thread that was joined may still be on its way out of the kernel, where the leak checker, which stops every
 * thread, falls over it. */
static void
wait_for_threads(void)
{
	for (int i = 0; i < 2000; i++) {
		DIR *dir = opendir("/proc/self/task");
		int n = 0;

		while (dir != NULL && readdir(dir) != NULL)
			n++;
		if (dir != NULL)
			(void)closedir(dir);
		if (n <= 3) /* ".", ".." and this one */
			return;
		(void)usleep(1000);
	}
	fprintf(stderr, "threads are left that nobody ended\n");
}

int
main(int argc, char **argv)
{
	static const struct ambient_conf_api conf_api = {
		.size = sizeof(conf_api), .str = conf_str, .integer = conf_integer, .count = conf_count,
		.entry = conf_entry, .group = conf_group,
	};
	static const struct ambient_log_api log_api = { .size = sizeof(log_api), .write = log_write };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ambient_host host = { .size = sizeof(host), .plugin = "apiserver", .instance = "apiserver",
				     .log = &log_api, .conf = &conf_api };
	struct sigaction sa = { .sa_handler = on_signal };
	void *self;

	if (argc < 3) {
		fprintf(stderr, "usage: apiserver_host PLUGIN.so STATE_DIR [name=value]...\n");
		return 2;
	}
	/* As ambientd: what is measured here is to be true there. */
	(void)mallopt(M_ARENA_MAX, 2);
	(void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
	struct ambient_conf conf = { .args = argv + 3, .n = argc - 3 };

	host.state_dir = argv[2];
	void *lib = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	const struct ambient_plugin *plugin = lib != NULL ? dlsym(lib, "ambient_plugin_v1") : NULL;

	if (plugin == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	if (pipe(stop_pipe) < 0)
		return 1;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (plugin->create(&host, &conf, &self, &err) < 0) {
		fprintf(stderr, "create: %s\n", err.message);
		return 1;
	}
	const struct ambient_server *server = plugin->servers[0];
	int rc = server->start(self, &err);

	if (rc < 0) {
		fprintf(stderr, "start: %s\n", err.message);
	} else {
		printf("ready %s\n", server->kubeconfig(self));
		fflush(stdout);
		wait_for_end();
		server->stop(self);
	}
	plugin->destroy(self);
	wait_for_threads();
	return rc < 0;
}
