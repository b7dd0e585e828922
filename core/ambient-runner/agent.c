/* SPDX-License-Identifier: Apache-2.0 */
/* `ambient-runner agent`: connect, be told what to do, do it, save it, say how it went.  See agent_priv.h. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/ambient-runner/agent_priv.h"
#include "core/ambient-runner/run.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define CONNECT_WAIT 300 /* s */
#define FLUSH_WAIT   (30 * AM_NS_PER_S)

int32_t am_agent_asked;
int am_agent_wake_fd = -1;

static void
on_signal(int sig)
{
	uint64_t one = 1;
	int saved = errno;

	__atomic_store_n(&am_agent_asked, sig, __ATOMIC_RELEASE);
	(void)!write(am_agent_wake_fd, &one, sizeof(one));
	errno = saved;
}

static void
catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigset_t none;

	am_agent_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &sa, NULL);
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* Tells when something appears beside path; -1: then one has to look. */
static int
watch_beside(const char *path)
{
	const char *slash = strrchr(path, '/');
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return -1;
	am_auto(am_freep) char *dir = am_xasprintf("%.*s/", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
	if (inotify_add_watch(fd, dir, IN_CREATE | IN_MOVED_TO) >= 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* Until the directory changes, a signal comes, or it is time to look all the same: a socket is there before somebody
 * listens on it, and that no watch tells. */
static void
wait_beside(int watch, bool there, int64_t waited)
{
	struct pollfd fds[2] = {{.fd = watch, .events = POLLIN}, {.fd = am_agent_wake_fd, .events = POLLIN}};
	bool soon = waited < 5 * AM_NS_PER_S;
	char events[1024];

	(void)poll(fds, 2, watch >= 0 && !there ? 1000 : soon ? 10 : 250);
	while (watch >= 0 && read(watch, events, sizeof(events)) > 0)
		;
}

static int
connect_watching(const char *path, int watch, struct ambient_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *limit = getenv("AMBIENT_CONNECT_SECONDS");
	int64_t seconds = CONNECT_WAIT, start = am_clock_boot(am_clock_real());

	if (!am_empty(limit) && (am_parse_i64(limit, &seconds) < 0 || seconds < 1))
		seconds = CONNECT_WAIT;
	if (am_strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path))
		return ambient_err(err, AMBIENT_E_INVALID, "AMBIENT_SOCKET is longer than a socket's name may be");
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return am_err_errno(err, errno, "making a socket");
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			return fd;
		int saved = errno;
		(void)close(fd);
		int64_t waited = am_clock_boot(am_clock_real()) - start;
		if (am_agent_asked != 0)
			return ambient_err(err, AMBIENT_E_CANCELLED, "asked to end");
		am_auto(am_freep) char *done = am_xasprintf("%s.done", path);
		if (access(done, F_OK) == 0)
			return ambient_err(err, AMBIENT_E_GONE, "the runner has ended");
		if (waited > seconds * AM_NS_PER_S)
			return am_err_errno(err, saved, "the runner did not open \"%s\" within %lld seconds", path,
					    (long long)seconds);
		wait_beside(watch, saved != ENOENT, waited);
	}
}

/* The runner's socket may not be there yet: its container starts when it likes.  Bounded.  -AMBIENT_E_GONE: the runner
 * has ended already. */
static int
connect_runner(const char *path, struct ambient_error *err)
{
	int watch = watch_beside(path), rc = connect_watching(path, watch, err);

	if (watch >= 0)
		(void)close(watch);
	return rc;
}

static void
send_hello(struct am_agent *agent, const char *type)
{
	am_auto(am_buf_fini) struct am_buf frame = {0};

	am_json_addf(&frame, "{\"t\":\"hello\",\"protocol\":%d,\"contract\":%d,\"type\":%s}", AM_RUNNER_PROTOCOL,
		     AMBIENT_RUNNER_CONTRACT, type);
	am_runner_channel_send(&agent->runner, am_buf_str(&frame), frame.len);
}

/* 0: the start frame is there; 1: the runner ended without one, in order. */
static int
await_start(struct am_agent *agent, struct ambient_error *err)
{
	struct am_slice line;
	char t[32];
	int rc;

	for (;;) {
		while ((rc = am_runner_channel_next(&agent->runner, &line, t, err)) > 0) {
			if (am_streq(t, "bye") || am_streq(t, "stop"))
				return 1;
			if (!am_streq(t, "start"))
				continue;
			if (am_json_int(line, "/protocol", 0) != AM_RUNNER_PROTOCOL)
				return ambient_err(err, AMBIENT_E_UNSUPPORTED,
						   "the runner speaks another protocol than %d", AM_RUNNER_PROTOCOL);
			am_buf_add(&agent->start, line.p, line.n);
			return agent->start.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for the session") : 0;
		}
		if (rc < 0)
			return rc;
		if (agent->runner.eof || am_agent_asked != 0)
			return 1;
		struct pollfd fds[2] = {{.fd = agent->runner.fd, .events = POLLIN},
					{.fd = am_agent_wake_fd, .events = POLLIN}};
		(void)poll(fds, 2, 1000);
		if (fds[0].revents != 0 && (rc = am_runner_channel_read(&agent->runner, err)) < 0)
			return rc;
	}
}

static char *
needed(struct am_slice start, const char *pointer)
{
	char *s = am_json_dup(start, pointer);

	return s != NULL ? s : am_xstrdup("");
}

void
am_agent_layout(struct am_agent *agent, struct am_slice frame)
{
	struct am_slice list, item;
	size_t it = 0, n = 0;

	am_agent_layout_fini(agent);
	agent->workdir = needed(frame, "/workdir");
	agent->instructions = needed(frame, "/instructions");
	agent->dirs = am_xcalloc(AM_AGENT_DIRS_MAX + 1, sizeof(*agent->dirs));
	if (am_json_find(frame, "/dirs", &list) && am_json_type(list) == AMBIENT_T_ARRAY)
		while (n < AM_AGENT_DIRS_MAX && am_json_element(list, &it, &item)) {
			char *dir = am_json_dup(item, "");

			if (dir != NULL)
				agent->dirs[n++] = dir;
		}
	agent->run.pub.workdir = agent->workdir;
	agent->run.pub.instructions = agent->instructions;
	agent->run.pub.dirs = (const char *const *)agent->dirs;
}

void
am_agent_layout_fini(struct am_agent *agent)
{
	for (char **dir = agent->dirs; dir != NULL && *dir != NULL; dir++)
		free(*dir);
	free(agent->dirs);
	free(agent->workdir);
	free(agent->instructions);
	agent->dirs = NULL;
	agent->workdir = agent->instructions = NULL;
}

static int
set_up_run(struct am_agent *agent, struct ambient_error *err)
{
	struct am_slice start = am_slice(am_buf_str(&agent->start), agent->start.len), spec, config;
	const char *state = getenv("AMBIENT_AGENT_STATE"), *tmp = getenv("TMPDIR");
	am_auto(am_buf_fini) struct am_buf session = {0};
	am_auto(am_freep) char *name = needed(start, "/name");
	am_auto(am_freep) char *ns = needed(start, "/namespace");
	int rc;

	agent->run_id = needed(start, "/run");
	agent->prompt_file = needed(start, "/promptFile");
	agent->model = needed(start, "/model");
	agent->resume = needed(start, "/resume");
	agent->statedir = am_xstrdup(am_empty(state) ? "/app/.claude" : state);
	agent->tmpdir = am_xasprintf("%s/ambient-agent-XXXXXX", am_empty(tmp) ? "/tmp" : tmp);
	if (mkdtemp(agent->tmpdir) == NULL) {
		rc = am_err_errno(err, errno, "making \"%s\"", agent->tmpdir);
		am_freep(&agent->tmpdir);
		return rc;
	}
	am_auto(am_freep) char *home = am_xasprintf("%s/home", agent->statedir);
	if ((rc = am_mkdirs(home, 0755, err)) < 0)
		return rc;
	if (!am_json_find(start, "/spec", &spec))
		spec = AM_SLICE("{}");
	if (!am_json_find(spec, "/runnerConfig", &config) || am_json_type(config) != AMBIENT_T_OBJECT)
		config = AM_SLICE("{}");
	am_json_addf(
		&session,
		"{\"apiVersion\":\"vteam.ambient-code/v1alpha1\",\"kind\":\"AgenticSession\",\"metadata\":{\"name\":%s,"
		"\"namespace\":%s},\"spec\":",
		name, ns);
	am_buf_add(&session, spec.p, spec.n);
	am_buf_addc(&session, '}');
	if ((rc = am_object_parse(NULL, am_buf_str(&session), session.len, &agent->session, err)) < 0 ||
	    (rc = am_object_parse(NULL, config.p, config.n, &agent->config, err)) < 0)
		return rc;
	agent->run.agent = agent;
	agent->run.pub = (struct ambient_run){
		.size = sizeof(agent->run.pub),
		.host = &agent->host.pub,
		.session = agent->session,
		.config = agent->config,
		.run_id = agent->run_id,
		.statedir = agent->statedir,
		.tmpdir = agent->tmpdir,
		.prompt_file = agent->prompt_file,
		.model = agent->model,
		.resume = agent->resume,
		.interactive = am_json_bool(start, "/interactive", 0) == 1,
	};
	am_agent_layout(agent, start);
	return 0;
}

static void
send_exited(struct am_agent *agent)
{
	am_auto(am_buf_fini) struct am_buf frame = {0};
	struct ambient_outcome *o = &agent->outcome;

	o->reason[sizeof(o->reason) - 1] = o->message[sizeof(o->message) - 1] = '\0';
	am_runner_redact_string(agent->redactor, o->message, sizeof(o->message));
	am_json_addf(&frame, "{\"t\":\"exited\",\"success\":%b,\"exitCode\":%d,\"reason\":%s,\"message\":%s}",
		     o->success, o->exit_code, o->reason, o->message);
	am_runner_channel_send(&agent->runner, am_buf_str(&frame), frame.len);
}

static void
set_failure(struct am_agent *agent, const struct ambient_error *err)
{
	bool prerequisite = err->code == AMBIENT_E_NOTFOUND || err->code == AMBIENT_E_UNSUPPORTED;

	agent->outcome = (struct ambient_outcome){.size = sizeof(agent->outcome), .exit_code = prerequisite ? 2 : 1};
	(void)am_strlcpy(agent->outcome.reason, prerequisite ? "PrerequisiteMissing" : "AgentNotStarted",
			 sizeof(agent->outcome.reason));
	(void)am_strlcpy(agent->outcome.message, err->message, sizeof(agent->outcome.message));
}

int
am_agent_once(struct am_agent *agent, const char *prompt, struct ambient_error *err)
{
	struct ambient_error ignored = AMBIENT_ERROR_INIT;
	int rc = am_agent_start(agent, prompt, err);

	if (rc == 0)
		return am_agent_loop(agent, err);
	if (agent->pid > 0) { /* it runs, but its prompt failed */
		am_agent_stop(agent, AMBIENT_ASKED_STOP);
		(void)am_agent_loop(agent, &ignored);
	}
	return rc;
}

static void
run_agent(struct am_agent *agent, bool loaded, struct ambient_error *err)
{
	int rc = loaded ? set_up_run(agent, err) : -err->code;

	if (rc == 0)
		rc = am_agent_by_turns(agent) ? am_agent_turns(agent, err) : am_agent_once(agent, NULL, err);
	if (rc < 0)
		set_failure(agent, err);
}

/* The last words must reach the runner. */
static int
drain(struct am_agent *agent)
{
	int64_t deadline = am_clock_boot(am_clock_real()) + FLUSH_WAIT;

	while (agent->runner.out.len > 0 && !agent->runner_gone && am_clock_boot(am_clock_real()) < deadline) {
		struct pollfd p = {.fd = agent->runner.fd, .events = POLLOUT};

		(void)poll(&p, 1, 1000);
		if (am_runner_channel_flush(&agent->runner, NULL) < 0)
			break;
	}
	return agent->runner.out.len == 0 && !agent->runner_gone ? 0 : 1;
}

static void
clean_up(struct am_agent *agent)
{
	if (agent->plugin != NULL && agent->self != NULL) {
		if (agent->plugin->stop != NULL)
			agent->plugin->stop(agent->self);
		if (agent->plugin->destroy != NULL)
			agent->plugin->destroy(agent->self);
	}
	if (agent->tmpdir != NULL)
		(void)am_remove_tree(agent->tmpdir, NULL);
	am_runner_channel_fini(&agent->runner);
	am_runner_redactor_free(agent->redactor);
	am_agent_command_fini(&agent->command);
	am_agent_live_fini(agent);
	am_buf_fini(&agent->start);
	am_buf_fini(&agent->input);
	am_buf_fini(&agent->stderr_tail);
	am_buf_fini(&agent->waiting);
	if (agent->session != NULL)
		am_object_api.unref((struct ambient_object *)(uintptr_t)agent->session);
	if (agent->config != NULL)
		am_object_api.unref((struct ambient_object *)(uintptr_t)agent->config);
	am_agent_layout_fini(agent);
	char *strings[] = {agent->statedir, agent->tmpdir, agent->prompt_file,
			   agent->model,   agent->resume,   agent->run_id, agent->conversation};
	for (size_t i = 0; i < AM_COUNTOF(strings); i++)
		free(strings[i]);
}

int
am_runner_agent_main(void)
{
	const char *type = getenv("AMBIENT_RUNNER_TYPE"), *socket_path = getenv("AMBIENT_SOCKET"),
		   *dir = getenv("AMBIENT_SESSION_DIR");
	struct am_agent agent = {
		.runner = {.fd = -1}, .pidfd = -1, .stdin_fd = -1, .out = {.fd = -1}, .err = {.fd = -1}, .look = {.fd = -1}};
	struct ambient_error err = AMBIENT_ERROR_INIT, load_err = AMBIENT_ERROR_INIT;
	int rc;

	if (am_empty(type) || am_empty(socket_path) || am_empty(dir)) {
		(void)fprintf(stderr, "ambient-runner: the environment needs AMBIENT_RUNNER_TYPE, AMBIENT_SOCKET and "
				      "AMBIENT_SESSION_DIR; "
				      "\"agent\" is started by the operator's Job\n");
		return 2;
	}
	catch_signals();
	agent.redactor = am_runner_redactor_new();
	am_runner_redactor_add_env(agent.redactor, NULL);
	am_agent_host_init(&agent);
	bool loaded = am_agent_load(&agent, type, &load_err) == 0;
	rc = connect_runner(socket_path, &err);
	if (rc < 0) {
		if (rc != -AMBIENT_E_GONE)
			am_log_error("agent", "%s", err.message);
		clean_up(&agent);
		return rc == -AMBIENT_E_GONE ? 0 : 1;
	}
	am_runner_channel_init(&agent.runner, rc);
	send_hello(&agent, type);
	rc = await_start(&agent, &err);
	if (rc == 0) {
		run_agent(&agent, loaded, loaded ? &err : &load_err);
		send_exited(&agent);
		if (!agent.runner_gone)
			am_agent_save(&agent);
		static const char bye[] = "{\"t\":\"bye\"}";
		am_runner_channel_send(&agent.runner, bye, sizeof(bye) - 1);
		rc = drain(&agent);
	} else if (rc < 0) {
		am_log_error("agent", "%s", err.message);
		rc = 1;
	} else {
		rc = 0; /* nothing was to be done */
	}
	clean_up(&agent);
	return rc;
}
