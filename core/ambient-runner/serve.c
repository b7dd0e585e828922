/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner's half of the conversation with the agent's side.  Exactly one connection is taken, before the agent
 * exists, and the socket's name is removed with it, so that nothing the agent starts can come in its place.  What
 * arrives is data: messages for the log, the outcome, which bundles were written.  Nothing of it makes the runner
 * do more than that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>
#include <ambient/runner.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/ambient-runner/runner_priv.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define CONNECT_WAIT   (300 * AM_NS_PER_S)
#define STOP_WAIT      (20 * AM_NS_PER_S)  /* Kubernetes' grace is 30 s */
#define SAVE_WAIT      (900 * AM_NS_PER_S) /* committing and bundling */
#define PROMPT_MAX     (16u << 20)
#define LINES_PER_TURN 256

static int64_t
now_boot(void)
{
	return am_clock_boot(am_clock_real());
}

int
am_runner_listen(struct am_runner *runner)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (am_strlcpy(addr.sun_path, runner->socket, sizeof(addr.sun_path)) >= sizeof(addr.sun_path))
		return am_runner_fail(runner, AM_EXIT_FAILED, "InvalidEnvironment",
				      "AMBIENT_SOCKET is longer than a socket's name may be");
	(void)unlink(runner->socket);
	runner->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t old = umask(0077);
	int rc = runner->listen_fd < 0 ? -1 : bind(runner->listen_fd, (struct sockaddr *)&addr, sizeof(addr));
	(void)umask(old);
	/* The agent's container may run as another user; who may reach the volume is the pod's business. */
	if (rc == 0)
		rc = chmod(runner->socket, 0666);
	if (rc == 0)
		rc = listen(runner->listen_fd, 1);
	if (rc < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "InvalidEnvironment", "cannot listen on \"%s\": %s",
				      runner->socket, strerror(errno));
	return 0;
}

/* Waits for input on fd, a signal, and with live also for what a person says and what changes, at most ms. */
static void
wait_for(const struct am_runner *runner, int fd, bool writing, bool live, int ms)
{
	struct pollfd fds[5] = {{.fd = fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0))},
				{.fd = am_runner_wake_fd, .events = POLLIN},
				{.fd = live ? am_endpoint_input_fd(runner->endpoint) : -1, .events = POLLIN},
				{.fd = live && !runner->exited ? am_runner_live_fd(runner->live) : -1, .events = POLLIN},
				{.fd = live && !runner->exited && runner->watch != NULL ? am_runner_watch_fd(runner->watch) : -1,
				 .events = POLLIN}};

	(void)poll(fds, AM_COUNTOF(fds), ms);
}

static int
lost(struct am_runner *runner, const char *why)
{
	return am_runner_fail(runner, AM_EXIT_FAILED, "AgentLost", "the agent's container was lost: %s", why);
}

static int
take_connection(struct am_runner *runner)
{
	int64_t deadline = now_boot() + CONNECT_WAIT;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_slice line;
	char t[32];
	int rc = 0;

	while (runner->agent.fd < 0) {
		int fd = accept4(runner->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			am_runner_channel_init(&runner->agent, fd);
		else if (am_runner_is_asked() != 0)
			return AM_EXIT_SIGNAL + am_runner_is_asked();
		else if (now_boot() > deadline)
			return lost(runner, "it did not connect within 5 minutes");
		else
			wait_for(runner, runner->listen_fd, false, false, 1000);
		am_runner_beat(runner);
	}
	(void)unlink(runner->socket);
	(void)close(runner->listen_fd);
	runner->listen_fd = -1;
	runner->agent.line_max = 64 * 1024; /* until we know whom we talk to */
	while ((rc = am_runner_channel_next(&runner->agent, &line, t, &err)) == 0) {
		if (am_runner_is_asked() != 0)
			return AM_EXIT_SIGNAL + am_runner_is_asked();
		if (runner->agent.eof || now_boot() > deadline)
			return lost(runner, "it said nothing");
		wait_for(runner, runner->agent.fd, false, false, 1000);
		am_runner_beat(runner);
		if ((rc = am_runner_channel_read(&runner->agent, &err)) < 0)
			break;
	}
	if (rc < 0)
		return lost(runner, err.message);
	if (!am_streq(t, "hello") || am_json_int(line, "/protocol", 0) != AM_RUNNER_PROTOCOL ||
	    am_json_int(line, "/contract", 0) != AMBIENT_RUNNER_CONTRACT)
		return am_runner_fail(
			runner, AM_EXIT_PREREQUISITE, "ProtocolMismatch",
			"the agent's container speaks another version than protocol %d, contract %d; use one image "
			"for both",
			AM_RUNNER_PROTOCOL, AMBIENT_RUNNER_CONTRACT);
	runner->agent.line_max = AM_RUNNER_LINE_MAX;
	return 0;
}

/* A chat that goes on heard this prompt when it began; one that was edited since is said to it.  What is said is noted
 * before the agent may exist: rather never than twice. */
static int
forget_heard(struct am_runner *runner, char **prompt, bool goes_on, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/prompt", runner->private_dir);
	am_auto(am_buf_fini) struct am_buf heard = {0};
	const char *text = *prompt != NULL ? *prompt : "";

	if (goes_on && am_file_read(path, PROMPT_MAX, &heard, NULL) == 0 && am_streq(am_buf_str(&heard), text)) {
		am_freep(prompt);
		return 0;
	}
	return am_file_write(path, text, strlen(text), 0600, err);
}

/* The prompt goes by file beside the socket: it may be larger than any environment or line. */
static int
write_prompt(struct am_runner *runner, bool goes_on, char **path)
{
	am_auto(am_freep) char *prompt = am_runner_session_prompt(am_runner_session(runner));
	const char *slash = strrchr(runner->socket, '/');
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (forget_heard(runner, &prompt, goes_on, &err) < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "WorkspaceFailed", "%s", err.message);
	/* What a person said goes before what a repository says. */
	if (am_empty(prompt) && !goes_on && runner->workflow.startup_prompt != NULL) {
		free(prompt);
		prompt = am_xstrdup(runner->workflow.startup_prompt);
	}
	*path = am_xasprintf("%.*s/prompt-%s", (int)(slash - runner->socket), runner->socket, runner->run);
	runner->said_prompt = !am_empty(prompt);
	if (am_file_put(*path, prompt != NULL ? prompt : "", prompt != NULL ? strlen(prompt) : 0, 0644, &err) < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "WorkspaceFailed", "%s", err.message);
	return 0;
}

/* At most once: the marker is on the disk before the agent may exist. */
static int
set_marker(struct am_runner *runner)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/run-%s.started", runner->private_dir, runner->run);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, errno == EEXIST ? "AlreadyStarted" : "WorkspaceFailed",
				      "cannot mark run \"%s\" as started: %s", runner->run, strerror(errno));
	int rc = fsync(fd);
	(void)close(fd);
	fd = open(runner->private_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		rc = -1;
	if (fd >= 0)
		(void)close(fd);
	return rc == 0 ? 0 : am_runner_fail(runner, AM_EXIT_FAILED, "WorkspaceFailed", "cannot save \"%s\"", path);
}

static void
add_author(struct am_slice session, struct am_buf *out)
{
	static const char *const names[] = {"/spec/gitConfig/user/name", "/spec/botAccount/name"};
	am_auto(am_freep) char *name = NULL;
	am_auto(am_freep) char *email = am_json_dup(session, "/spec/gitConfig/user/email");
	const char *env_name = getenv("GIT_USER_NAME"), *env_email = getenv("GIT_USER_EMAIL");

	for (size_t i = 0; i < AM_COUNTOF(names) && am_empty(name); i++) {
		am_freep(&name);
		name = am_json_dup(session, names[i]);
	}
	am_json_addf(out, ",\"author\":{\"name\":%s,\"email\":%s}",
		     !am_empty(name) ? name : !am_empty(env_name) ? env_name : "Ambient Code Bot",
		     !am_empty(email) ? email : !am_empty(env_email) ? env_email : "bot@ambient-code.local");
}

static int
send_start(struct am_runner *runner)
{
	struct am_slice session = am_runner_session(runner), spec;
	am_auto(am_freep) char *prompt_file = NULL;
	am_auto(am_freep) char *model = am_json_dup(session, "/status/effective/model");
	am_auto(am_freep) char *conversation_file = am_xasprintf("%s/conversation", runner->private_dir);
	am_auto(am_buf_fini) struct am_buf resume = {0};
	am_auto(am_buf_fini) struct am_buf out = {0};
	int rc;

	(void)am_file_read(conversation_file, 200, &resume, NULL);
	bool interactive = am_runner_session_chat(session);
	if ((rc = write_prompt(runner, interactive && resume.len > 0, &prompt_file)) != 0)
		return rc;
	if (am_empty(model)) {
		am_freep(&model);
		model = am_json_dup(session, "/spec/model");
	}
	if (am_empty(model)) {
		am_freep(&model);
		model = am_json_dup(session, "/spec/llmSettings/model");
	}
	if (!am_json_find(session, "/spec", &spec))
		spec = AM_SLICE("{}");
	am_json_addf(&out, "{\"t\":\"start\",\"protocol\":%d,\"run\":%s,\"name\":%s,\"namespace\":%s,\"type\":%s",
		     AM_RUNNER_PROTOCOL, runner->run, runner->name, runner->ns, runner->type);
	am_json_addf(&out, ",\"promptFile\":%s,\"model\":%s,\"resume\":%s,\"interactive\":%b", prompt_file,
		     model != NULL ? model : "", am_buf_str(&resume), (int)interactive);
	am_runner_add_layout(runner, &out);
	add_author(session, &out);
	am_buf_adds(&out, ",\"spec\":");
	am_buf_add(&out, spec.p, spec.n);
	am_buf_addc(&out, '}');
	if (out.failed)
		return am_runner_fail(runner, AM_EXIT_FAILED, "OutOfMemory", "no memory for the session");
	if ((rc = set_marker(runner)) != 0)
		return rc;
	am_runner_channel_send(&runner->agent, am_buf_str(&out), out.len);
	return 0;
}

static void
send_stop(struct am_runner *runner, const char *reason)
{
	am_auto(am_buf_fini) struct am_buf out = {0};

	am_json_addf(&out, "{\"t\":\"stop\",\"reason\":%s}", reason);
	am_runner_channel_send(&runner->agent, am_buf_str(&out), out.len);
}

/* ---- what arrives */

static void
on_message(struct am_runner *runner, struct am_slice line)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_freep) char *type = am_json_dup(line, "/type");
	struct am_slice fields;

	/* After the log has failed the agent is being ended; what it still says is only read.  Nobody speaks for a person
	 * but that person. */
	if (runner->log_error.code != 0 || type == NULL || am_streq(type, AMBIENT_MSG_USER) ||
	    !am_json_find(line, "/fields", &fields))
		return;
	int rc = am_runner_msglog_add(runner->log, type, fields, &err);
	if (rc == 0) {
		am_runner_report_note(&runner->report, type, fields);
		am_runner_input_note(runner, type, fields);
	} else if (rc == -AMBIENT_E_INVALID) {
		am_log_warn("runner", "a message of the agent is dropped: %s", err.message);
	} else {
		runner->log_error = err;
	}
	am_runner_touch(runner);
}

/* How often the agent's program was started is counted beside the conversation, which the runs of a session share. */
static void
count_start(struct am_runner *runner)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/starts", runner->private_dir);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char text[32];
	int n = snprintf(text, sizeof(text), "%lld", (long long)(runner->starts_before + ++runner->starts));

	runner->report.restarts = runner->starts_before + runner->starts - 1;
	if (am_file_put(path, text, (size_t)n, 0600, &err) < 0)
		am_log_warn("runner", "a later pod of this run will not know how often the agent was started: %s", err.message);
}

static void
read_starts(struct am_runner *runner)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/starts", runner->private_dir);
	am_auto(am_buf_fini) struct am_buf text = {0};

	if (am_file_read(path, 30, &text, NULL) < 0 || am_parse_i64(am_buf_str(&text), &runner->starts_before) < 0 ||
	    runner->starts_before < 0)
		runner->starts_before = 0;
	runner->report.restarts = runner->starts_before; /* by the start that is about to be */
}

static void
on_conversation(struct am_runner *runner, struct am_slice line)
{
	am_auto(am_freep) char *id = am_json_dup(line, "/id");
	am_auto(am_freep) char *path = am_xasprintf("%s/conversation", runner->private_dir);
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (id == NULL || strlen(id) >= sizeof(runner->report.conversation) ||
	    strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"
		       "KLMNOPQRSTUVWXYZ0123456789._-") != strlen(id))
		return;
	if (am_streq(id, runner->report.conversation))
		return;
	(void)am_strlcpy(runner->report.conversation, id, sizeof(runner->report.conversation));
	am_endpoint_conversation(runner->endpoint, id);
	if (am_file_write(path, id, strlen(id), 0600, &err) < 0)
		am_log_warn("runner", "a later run cannot go on with conversation \"%s\": %s", id, err.message);
}

static void
on_exited(struct am_runner *runner, struct am_slice line)
{
	am_auto(am_freep) char *reason = am_json_dup(line, "/reason");
	am_auto(am_freep) char *text = am_json_dup(line, "/message");
	int64_t code = am_json_int(line, "/exitCode", 1);

	runner->exited = true;
	runner->success = am_json_bool(line, "/success", 0) == 1;
	runner->agent_code = code >= 0 && code <= 2 ? (int)code : AM_EXIT_FAILED;
	(void)am_strlcpy(runner->report.reason, reason != NULL ? reason : "", sizeof(runner->report.reason));
	for (char *p = runner->report.reason; *p != '\0'; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", *p) == NULL)
			*p = 'X';
	(void)am_strlcpy(runner->report.message, text != NULL ? text : "", sizeof(runner->report.message));
}

static void
on_saved(struct am_runner *runner, struct am_slice line)
{
	am_auto(am_freep) char *name = am_json_dup(line, "/repo");
	am_auto(am_freep) char *error = am_json_dup(line, "/error");

	for (size_t i = 0; i < runner->repos.n; i++) {
		struct am_repo *repo = &runner->repos.v[i];

		if (!am_streq(repo->name, name) || am_empty(error) || repo->status != NULL)
			continue;
		repo->status = "error";
		(void)am_strlcpy(repo->error, error, sizeof(repo->error));
	}
}

/* 1: the agent's side has finished; 0: go on; negative: it broke the protocol. */
static int
dispatch(struct am_runner *runner, struct ambient_error *err)
{
	struct am_slice line;
	char t[32];
	int rc;

	for (int i = 0; i < LINES_PER_TURN; i++) {
		if ((rc = am_runner_channel_next(&runner->agent, &line, t, err)) <= 0)
			return rc;
		if (am_streq(t, "message"))
			on_message(runner, line);
		else if (am_streq(t, "conversation"))
			on_conversation(runner, line);
		else if (am_streq(t, "started"))
			count_start(runner);
		else if (am_streq(t, "exited"))
			on_exited(runner, line);
		else if (am_streq(t, "saved"))
			on_saved(runner, line);
		else if (am_streq(t, "turn"))
			am_runner_input_turn(runner, false);
		else if (am_streq(t, "taken"))
			am_runner_input_taken(runner, line);
		else if (am_streq(t, "held") || am_streq(t, "laidout"))
			am_runner_live_hear(runner->live, t);
		else if (am_streq(t, "bye"))
			return 1;
		/* What a newer side says beside this is not for us. */
	}
	return 0;
}

/* ---- the loop */

struct timers {
	int64_t total, idle_ns, stop_by, save_by;
};

/* Sends a stop once; says by when the end must have come. */
static void
ask_to_end(struct am_runner *runner, struct timers *timers, const char *reason, int64_t wait)
{
	if (timers->stop_by != AM_FOREVER)
		return;
	send_stop(runner, reason);
	timers->stop_by = now_boot() + wait;
}

static void
check_timers(struct am_runner *runner, struct timers *timers)
{
	int64_t now = now_boot();

	am_runner_msglog_tick(runner->log);
	am_runner_beat(runner);
	if (runner->exited && timers->save_by == AM_FOREVER)
		timers->save_by = now + SAVE_WAIT;
	if (runner->exited)
		return;
	if (am_runner_is_asked() != 0)
		ask_to_end(runner, timers, "stopped", STOP_WAIT);
	else if (runner->log_error.code != 0)
		ask_to_end(runner, timers, "failed", STOP_WAIT);
	if (now >= timers->total && !runner->timed_out) {
		runner->timed_out = true;
		ask_to_end(runner, timers, "timeout", 40 * AM_NS_PER_S);
	} else if (timers->idle_ns > 0 && now - runner->last_activity > timers->idle_ns && !runner->idle_out) {
		runner->idle_out = true;
		ask_to_end(runner, timers, "inactivity", 60 * AM_NS_PER_S);
	}
}

/* After a wish to end; the time for a push has to be left. */
static bool
saves_too_long(struct am_runner *runner, const struct timers *timers, int64_t now)
{
	if (am_runner_is_asked() == 0)
		return false;
	if (!runner->rescue)
		return now >= timers->stop_by;
	runner->saving = true;
	return am_runner_out_of_time(runner) || now >= runner->save_by - runner->grace_ns / 4;
}

static void
set_limits(const struct am_runner *runner, struct timers *timers)
{
	int64_t seconds = am_runner_session_timeout(am_runner_session(runner));

	timers->total = seconds > 0 ? runner->started + seconds * AM_NS_PER_S : AM_FOREVER;
	timers->idle_ns = am_runner_session_idle(am_runner_session(runner)) * AM_NS_PER_S;
}

static int
loop(struct am_runner *runner)
{
	struct timers timers = {.stop_by = AM_FOREVER, .save_by = AM_FOREVER};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc;

	set_limits(runner, &timers);
	for (;;) {
		if ((rc = dispatch(runner, &err)) != 0)
			break;
		am_runner_input(runner);
		if (am_runner_live_tick(runner->live))
			set_limits(runner, &timers);
		check_timers(runner, &timers);
		int64_t now = now_boot();
		if (!runner->exited && now >= timers.stop_by)
			return lost(runner, "it did not end when it was asked to");
		if (runner->exited && (now >= timers.save_by || saves_too_long(runner, &timers, now)))
			return lost(runner, "it did not finish saving its work");
		if (runner->agent.eof && runner->agent.taken == runner->agent.in.len)
			return lost(runner, runner->exited ? "it ended before it had saved its work"
							   : "its connection broke while the agent was running");
		if (memchr(am_buf_str(&runner->agent.in) + runner->agent.taken, '\n',
			   runner->agent.in.len - runner->agent.taken) == NULL &&
		    !runner->agent.eof) {
			int64_t soon =
				AM_MIN(AM_MIN(timers.total, runner->beat_at), AM_MIN(timers.stop_by, timers.save_by)) -
				now;
			int ms = soon <= 0 ? 100 : (int)AM_MIN(soon / AM_NS_PER_MS + 1, 1000);

			/* After a signal its descriptor stays readable: do not spin on it. */
			if (am_runner_is_asked() != 0) {
				struct pollfd p = {.fd = runner->agent.fd,
						   .events =
							   (short)(POLLIN | (runner->agent.out.len > 0 ? POLLOUT : 0))};

				(void)poll(&p, 1, ms);
			} else {
				wait_for(runner, runner->agent.fd, runner->agent.out.len > 0, true, ms);
			}
			if (am_runner_channel_read(&runner->agent, &err) < 0 ||
			    am_runner_channel_flush(&runner->agent, &err) < 0)
				runner->agent.eof = true;
		}
		if (runner->agent.eof && runner->agent.taken < runner->agent.in.len &&
		    memchr(am_buf_str(&runner->agent.in) + runner->agent.taken, '\n',
			   runner->agent.in.len - runner->agent.taken) == NULL)
			runner->agent.taken = runner->agent.in.len; /* half a line is none */
	}
	if (rc < 0)
		return am_runner_fail(runner, AM_EXIT_FAILED, "ProtocolError",
				      "the agent's container broke the protocol: %s", err.message);
	if (!runner->exited)
		return lost(runner, "it left without saying how the agent ended");
	return 0;
}

int
am_runner_serve(struct am_runner *runner)
{
	int rc = take_connection(runner);

	if (rc == 0)
		rc = send_start(runner);
	if (rc != 0)
		return rc;
	read_starts(runner);
	am_runner_touch(runner);
	am_runner_input_turn(runner, runner->said_prompt);
	/* In this order: what is said to a run that listens no more, and is not being prepared, is said too late. */
	am_endpoint_listen(runner->endpoint, true);
	am_runner_progress(runner, "running", "the agent is starting");
	runner->live = am_runner_live_new(runner);
	rc = loop(runner);
	am_runner_live_free(runner->live);
	runner->live = NULL;
	am_endpoint_listen(runner->endpoint, false);
	am_runner_input_turn(runner, false);
	return rc;
}
