/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's process: started in a session of its own with a constructed environment, watched through its pipes and
 * a pidfd, ended in steps (the runner type's own way, 5 s, SIGTERM, 5 s, SIGKILL), and swept: this process is the
 * subreaper of all that it starts, so that what hid in other sessions is found by descent.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "core/ambient-runner/agent_priv.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/spawn.h"
#include "core/data/scan.h"

#define GRACE       (5 * AM_NS_PER_S)
#define DRAIN       (2 * AM_NS_PER_S)
#define STDERR_TAIL (8 * 1024)
#define PROMPT_MAX  (16u << 20)
#define LOOK_MAX    ((size_t)8 << 20)
#define LATER       1 /* done, but answered by somebody else */

static int64_t
now_boot(void)
{
	return am_clock_boot(am_clock_real());
}

/* ---- sweeping */

static pid_t
parent_of(pid_t pid)
{
	char path[64], text[512];
	int parent = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	const char *p = strrchr(text, ')'); /* the name may hold anything */
	return p != NULL && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool
descends(pid_t pid, pid_t from)
{
	for (int depth = 0; depth < 128 && pid > 1; depth++)
		if ((pid = parent_of(pid)) == from)
			return true;
	return false;
}

void
am_agent_sweep(void)
{
	pid_t self = getpid();

	/* Killed parents hand their children to us; a few rounds reach every depth and every late fork. */
	for (int round = 0; round < 50; round++) {
		DIR *dir = opendir("/proc");
		bool found = false;
		struct dirent *entry;

		while (dir != NULL && (entry = readdir(dir)) != NULL) {
			pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

			if (pid > 1 && pid != self && descends(pid, self)) {
				(void)kill(pid, SIGKILL);
				found = true;
			}
		}
		if (dir != NULL)
			(void)closedir(dir);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!found)
			return;
		(void)poll(NULL, 0, 10);
	}
	am_log_warn("agent", "some processes of the agent could not be ended");
}

/* Orphans that ended; the agent itself is left for its own waitpid. */
static void
reap_orphans(const struct am_agent *agent)
{
	siginfo_t info = {0};

	for (int i = 0; i < 1000; i++) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
		    info.si_pid == agent->pid)
			return;
		(void)waitpid(info.si_pid, NULL, WNOHANG);
	}
}

/* ---- start */

static int
make_pipes(int in[2], int out[2], int err_[2], struct ambient_error *err)
{
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err_, O_CLOEXEC) < 0)
		return am_err_errno(err, errno, "making pipes for the agent");
	(void)fcntl(in[1], F_SETFL, O_NONBLOCK);
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(err_[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(out[0], F_SETPIPE_SZ, 1 << 20);
	return 0;
}

static void
close_pair(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

static int
first_prompt(struct am_agent *agent, const char *prompt, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf text = {0};
	int rc = 0;

	if (prompt != NULL)
		am_buf_adds(&text, prompt);
	else
		rc = am_file_read(agent->prompt_file, PROMPT_MAX, &text, err);
	if (rc < 0)
		return rc;
	if (text.len == 0 && agent->run.pub.interactive)
		return 0;
	if (agent->type->prompt == NULL) {
		agent->end_input = true;
		return 0;
	}
	agent->in_turn = true;
	return agent->type->prompt(agent->self, &agent->run.pub, am_buf_str(&text), text.len, err);
}

int
am_agent_spawn(struct am_agent *agent, bool again, struct ambient_error *err)
{
	static const char started[] = "{\"t\":\"started\"}";
	int in[2] = {-1, -1}, out[2] = {-1, -1}, errs[2] = {-1, -1}, rc;

	am_agent_command_fini(&agent->command);
	am_agent_env_init(agent);
	agent->command.cwd = am_xstrdup(agent->workdir);
	rc = again ? agent->type->restart(agent->self, &agent->run.pub, &agent->command, err)
		   : agent->type->command(agent->self, &agent->run.pub, &agent->command, err);
	if (rc < 0)
		return rc;
	if (agent->command.argc == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the runner type names no command");
	if ((rc = make_pipes(in, out, errs, err)) == 0) {
		struct am_spawn spawn = {.argv = (const char *const *)agent->command.argv,
					 .envp = (const char *const *)agent->command.env,
					 .cwd = agent->command.cwd,
					 .fds = {in[0], out[1], agent->command.merge_stderr ? out[1] : errs[1]},
					 .new_session = true,
					 .die_with_parent = true};

		rc = am_spawn(&spawn, &agent->pid, &agent->pidfd, err);
	}
	if (rc < 0) {
		close_pair(in);
		close_pair(out);
		close_pair(errs);
		return rc;
	}
	(void)close(in[0]);
	(void)close(out[1]);
	(void)close(errs[1]);
	agent->stdin_fd = in[1];
	agent->out = (struct am_stream){.fd = out[0], .which = AMBIENT_STDOUT};
	agent->err = (struct am_stream){.fd = errs[0], .which = AMBIENT_STDERR};
	agent->last_line = now_boot();
	agent->term_at = agent->kill_at = agent->drain_until = AM_FOREVER;
	am_runner_channel_send(&agent->runner, started, sizeof(started) - 1);
	return 0;
}

int
am_agent_start(struct am_agent *agent, const char *prompt, struct ambient_error *err)
{
	const char *idle = getenv("AMBIENT_AGENT_IDLE");
	int64_t seconds = 0;
	int rc;

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!am_empty(idle) && am_parse_i64(idle, &seconds) == 0 && seconds > 0 && seconds < 86400)
		agent->idle_ns = seconds * AM_NS_PER_S;
	rc = am_agent_spawn(agent, false, err);
	return rc < 0 ? rc : first_prompt(agent, prompt, err);
}

/* ---- ending */

void
am_agent_stop(struct am_agent *agent, int asked)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	agent->ending = true;
	if (agent->asked != AMBIENT_ASKED_NONE || (agent->pid == 0 && agent->hold != AM_HOLD_HELD) || agent->exited)
		return;
	agent->asked = asked;
	if (agent->pid == 0)
		return; /* it is ended already */
	agent->term_at = now_boot();
	if (agent->type->stop != NULL && agent->type->stop(agent->self, &agent->run.pub, &err) == 0)
		agent->term_at += GRACE;
	agent->kill_at = agent->term_at + GRACE;
}

static void
check_timers(struct am_agent *agent)
{
	int64_t now = now_boot();

	if (am_agent_asked != 0 || agent->runner_gone)
		am_agent_stop(agent, AMBIENT_ASKED_STOP);
	if (!agent->exited && agent->idle_ns > 0 && agent->asked == AMBIENT_ASKED_NONE && !agent->run.pub.interactive &&
	    now - agent->last_line > agent->idle_ns) {
		am_auto(am_buf_fini) struct am_buf fields = {0};

		am_json_addf(
			&fields,
			"{\"reason\":\"AgentSilent\",\"text\":\"the agent wrote nothing for %l seconds and is ended\"}",
			agent->idle_ns / AM_NS_PER_S);
		am_agent_fields(agent, AMBIENT_MSG_ERROR, am_buf_str(&fields), fields.len);
		am_agent_stop(agent, AMBIENT_ASKED_TIMEOUT);
	}
	if (agent->pid == 0)
		return;
	if (!agent->exited && now >= agent->term_at) {
		(void)kill(-agent->pid, SIGTERM);
		agent->term_at = AM_FOREVER;
	}
	if (!agent->exited && now >= agent->kill_at) {
		(void)kill(-agent->pid, SIGKILL);
		agent->kill_at = AM_FOREVER;
	}
	if (!agent->exited && waitpid(agent->pid, &agent->status, WNOHANG) == agent->pid) {
		agent->exited = true;
		agent->drain_until = now + DRAIN;
	}
	/* A background process that it left holds the pipes: what it may still say is not waited for. */
	if (agent->exited && now >= agent->drain_until) {
		am_agent_sweep();
		agent->drain_until = AM_FOREVER;
	}
}

/* ---- output */

static void
keep_stderr(struct am_agent *agent, const char *line, size_t n)
{
	if (n > 2048)
		n = 2048;
	am_buf_add(&agent->stderr_tail, line, n);
	am_buf_addc(&agent->stderr_tail, '\n');
	if (agent->stderr_tail.len <= STDERR_TAIL)
		return;
	size_t cut = agent->stderr_tail.len - STDERR_TAIL;
	const char *end = memchr(agent->stderr_tail.data + cut, '\n', STDERR_TAIL);
	am_buf_consume(&agent->stderr_tail, end != NULL ? (size_t)(end + 1 - agent->stderr_tail.data) : cut);
}

static void
deliver(struct am_agent *agent, struct am_stream *stream, char *line, size_t n, int cut)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char saved = line[n];

	agent->last_line = now_boot();
	line[n] = '\0';
	if (stream->which == AMBIENT_STDERR)
		keep_stderr(agent, line, n);
	if (agent->type->line(agent->self, &agent->run.pub, stream->which, line, n, cut, &err) < 0)
		am_log_warn("agent", "a line of the agent: %s", err.message);
	line[n] = saved;
}

/* Hands out whole lines; at the end also the last one without a newline. */
static void
split(struct am_agent *agent, struct am_stream *stream, bool end)
{
	size_t from = 0;

	while (from < stream->buf.len) {
		char *p = stream->buf.data + from;
		size_t seen = stream->scanned > from ? stream->scanned - from : 0;
		char *nl = memchr(p + seen, '\n', stream->buf.len - from - seen);
		size_t n = nl != NULL ? (size_t)(nl - p) : stream->buf.len - from;

		if (nl == NULL && n < AM_AGENT_LINE_MAX && !end && !stream->skipping)
			break;
		if (!stream->skipping)
			deliver(agent, stream, p, AM_MIN(n, (size_t)AM_AGENT_LINE_MAX),
				n > AM_AGENT_LINE_MAX || (nl == NULL && !end));
		stream->skipping = nl == NULL;
		from += n + (nl != NULL);
	}
	am_buf_consume(&stream->buf, from);
	stream->scanned = stream->buf.len;
}

static void
read_stream(struct am_agent *agent, struct am_stream *stream)
{
	if (!am_buf_reserve(&stream->buf, 256 * 1024 + 1))
		return;
	ssize_t n = read(stream->fd, stream->buf.data + stream->buf.len, 256 * 1024);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		stream->buf.len += (size_t)n;
		split(agent, stream, false);
		agent->last_read = now_boot(); /* what it said may have taken long to pass on */
		return;
	}
	if (stream->buf.len > 0 && am_buf_reserve(&stream->buf, 1))
		split(agent, stream, true);
	(void)close(stream->fd);
	stream->fd = -1;
}

static void
write_input(struct am_agent *agent)
{
	while (agent->input.len > 0 && agent->stdin_fd >= 0) {
		ssize_t n = write(agent->stdin_fd, agent->input.data, AM_MIN(agent->input.len, (size_t)256 * 1024));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) { /* it reads no more; that is its right */
			am_buf_reset(&agent->input);
			agent->end_input = true;
			break;
		}
		am_buf_consume(&agent->input, (size_t)n);
	}
	if (agent->end_input && agent->input.len == 0 && agent->stdin_fd >= 0) {
		(void)close(agent->stdin_fd);
		agent->stdin_fd = -1;
	}
}

/* ---- what the runner says meanwhile */

int
am_agent_prompt(struct am_agent *agent, const char *text, struct ambient_error *err)
{
	if (agent->type->prompt == NULL || agent->end_input || agent->exited)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "the agent takes no more prompts");
	agent->in_turn = true;
	return agent->type->prompt(agent->self, &agent->run.pub, text, strlen(text), err);
}

/* Each says what is wrong when it cannot be done. */

static int
on_prompt(struct am_agent *agent, struct am_slice line, struct ambient_error *err)
{
	am_auto(am_freep) char *text = am_json_dup(line, "/text");

	if (text != NULL && !agent->ended && am_agent_by_turns(agent))
		return am_agent_enqueue(agent, text, err);
	if (text == NULL || agent->ended)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "the agent takes no more prompts");
	return agent->hold != AM_HOLD_NONE ? am_agent_queue(agent, text, err) : am_agent_prompt(agent, text, err);
}

static int
on_answer(struct am_agent *agent, struct am_slice line, struct ambient_error *err)
{
	am_auto(am_freep) char *id = am_json_dup(line, "/id");
	const struct ambient_object *answer;
	struct am_slice value;
	int rc;

	if (id == NULL || agent->pid == 0 || agent->type->answer == NULL || !am_json_find(line, "/answer", &value))
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "the agent asks nothing that a person could answer");
	if ((rc = am_object_parse(NULL, value.p, value.n, &answer, err)) < 0)
		return rc;
	rc = agent->type->answer(agent->self, &agent->run.pub, id, answer, err);
	am_object_api.unref((struct ambient_object *)(uintptr_t)answer);
	return rc;
}

static int
on_interrupt(struct am_agent *agent, struct am_slice line am_unused_, struct ambient_error *err)
{
	if (agent->pid == 0 || agent->exited)
		return 0; /* the turn has ended by itself, or it is being started again */
	if (agent->type->interrupt != NULL)
		return agent->type->interrupt(agent->self, &agent->run.pub, err);
	(void)kill(-agent->pid, SIGINT);
	if (!am_agent_by_turns(agent) || agent->asked != AMBIENT_ASKED_NONE || agent->interrupted)
		return 0;
	agent->interrupted = true;
	agent->term_at = now_boot() + GRACE;
	agent->kill_at = agent->term_at + GRACE;
	return 0;
}

/* What it is doing it finishes; what it is told from here on it would not hear. */
static int
on_end(struct am_agent *agent, struct am_slice line am_unused_, struct ambient_error *err am_unused_)
{
	agent->ended = true;
	agent->end_input = true;
	return 0;
}

/* Another process does it, so that the agent is heard meanwhile; it is answered when that has ended. */
static int
on_look(struct am_agent *agent, struct am_slice line, struct ambient_error *err)
{
	am_auto(am_freep) char *repo = am_json_dup(line, "/repo");
	am_auto(am_freep) char *base = am_json_dup(line, "/base");
	bool diff = am_json_bool(line, "/diff", 0) == 1;
	const char *argv[] = {"/proc/self/exe", "look", repo, am_empty(base) ? "-" : base, diff ? "diff" : NULL, NULL};
	int fds[2], rc;

	if (repo == NULL || agent->look.fd >= 0 || agent->exited)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, agent->exited ? "the agent has ended" : "a clone is being looked at; ask again");
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return am_err_errno(err, errno, "making a pipe");
	struct am_spawn spawn = {.argv = argv, .fds = {-1, fds[1], -1}, .die_with_parent = true};
	pid_t pid;
	rc = am_spawn(&spawn, &pid, NULL, err);
	(void)close(fds[1]);
	if (rc < 0) {
		(void)close(fds[0]);
		return rc;
	}
	agent->look.fd = fds[0];
	agent->look_ref = am_json_int(line, "/ref", -1);
	return LATER;
}

static const struct {
	const char *t;
	int (*fn)(struct am_agent *agent, struct am_slice line, struct ambient_error *err);
} said[] = {{"prompt", on_prompt}, {"interrupt", on_interrupt}, {"answer", on_answer}, {"end", on_end}, {"look", on_look}};

/* Does it, and says that it was done. */
static void
hear(struct am_agent *agent, const char *t, struct am_slice line)
{
	for (size_t i = 0; i < AM_COUNTOF(said); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		am_auto(am_buf_fini) struct am_buf frame = {0};

		if (!am_streq(t, said[i].t))
			continue;
		int rc = said[i].fn(agent, line, &err);
		if (rc == LATER)
			continue;
		if (rc < 0)
			am_log_warn("agent", "%s: %s", t, err.message);
		am_json_addf(&frame, "{\"t\":\"taken\",\"ref\":%l,\"error\":%s}", am_json_int(line, "/ref", -1), err.message);
		am_runner_channel_send(&agent->runner, am_buf_str(&frame), frame.len);
	}
}

/* error NULL: it was looked at.  answer: JSON. */
static void
end_look(struct am_agent *agent, const char *error, struct am_slice answer)
{
	am_auto(am_buf_fini) struct am_buf frame = {0};

	(void)close(agent->look.fd);
	agent->look.fd = -1;
	am_json_addf(&frame, "{\"t\":\"taken\",\"ref\":%l,\"error\":%s,\"answer\":", agent->look_ref, error != NULL ? error : "");
	am_buf_add(&frame, answer.p, answer.n);
	am_buf_addc(&frame, '}');
	am_buf_reset(&agent->look.buf);
	am_runner_channel_send(&agent->runner, am_buf_str(&frame), frame.len);
}

static void
fail_look(struct am_agent *agent)
{
	end_look(agent, agent->exited ? "the agent ended while the clone was being looked at; ask again" : "the clone could not be looked at",
		 am_slice_of("null"));
}

/* What it has said of the clone; the last line is whole when it ends. */
static void
read_look(struct am_agent *agent)
{
	struct am_buf *answer = &agent->look.buf;

	if (!am_buf_reserve(answer, 64 * 1024))
		return;
	ssize_t n = read(agent->look.fd, answer->data + answer->len, 64 * 1024);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && answer->len + (size_t)n <= LOOK_MAX) {
		answer->len += (size_t)n;
		return;
	}
	while (answer->len > 0 && answer->data[answer->len - 1] == '\n')
		answer->len--;
	struct am_slice json = am_slice(answer->data, answer->len);
	if (n != 0 || memchr(json.p, '\n', json.n) != NULL || am_json_check(json.p, json.n, NULL) < 0) {
		fail_look(agent);
		return;
	}
	am_auto(am_freep) char *error = am_json_dup(json, "/error");
	end_look(agent, error, json);
}

void
am_agent_hear(struct am_agent *agent)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_slice line;
	char t[32];
	int rc;

	while ((rc = am_runner_channel_next(&agent->runner, &line, t, &err)) > 0) {
		if (am_streq(t, "stop")) {
			am_auto(am_freep) char *reason = am_json_dup(line, "/reason");

			am_agent_stop(agent, am_streq(reason, "timeout") ? AMBIENT_ASKED_TIMEOUT : AMBIENT_ASKED_STOP);
		} else if (am_streq(t, "hold")) {
			am_agent_hold(agent);
		} else if (am_streq(t, "layout")) {
			am_agent_lay_out(agent, line);
		} else {
			hear(agent, t, line);
		}
	}
	if (rc < 0 || agent->runner.eof) {
		agent->runner_gone = true;
		am_log_error("agent", "the runner has gone%s%s", rc < 0 ? ": " : "", rc < 0 ? err.message : "");
	}
}

/* ---- the loop */

void
am_agent_wait(struct am_agent *agent)
{
	bool full = am_runner_channel_full(&agent->runner);
	struct pollfd fds[7] = {
		{.fd = agent->runner_gone ? -1 : agent->runner.fd,
		 .events = (short)(POLLIN | (agent->runner.out.len > 0 ? POLLOUT : 0))},
		{.fd = am_agent_asked != 0 ? -1 : am_agent_wake_fd, .events = POLLIN},
		{.fd = agent->input.len > 0 ? agent->stdin_fd : -1, .events = POLLOUT},
		{.fd = full ? -1 : agent->out.fd, .events = POLLIN},
		{.fd = full ? -1 : agent->err.fd, .events = POLLIN},
		{.fd = agent->exited ? -1 : agent->pidfd, .events = POLLIN},
		{.fd = agent->look.fd, .events = POLLIN},
	};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool busy = agent->asked != AMBIENT_ASKED_NONE || agent->interrupted || agent->exited || (agent->pid != 0 && agent->pidfd < 0);

	if (poll(fds, AM_COUNTOF(fds), busy ? 50 : 1000) < 0)
		return;
	if (fds[0].revents != 0 && am_runner_channel_read(&agent->runner, &err) == 0)
		am_agent_hear(agent);
	if (!agent->runner_gone && am_runner_channel_flush(&agent->runner, &err) < 0)
		agent->runner_gone = true;
	if (agent->runner_gone)
		am_buf_reset(&agent->runner.out);
	if (fds[3].revents != 0)
		read_stream(agent, &agent->out);
	if (fds[4].revents != 0)
		read_stream(agent, &agent->err);
	if (fds[6].revents != 0)
		read_look(agent);
	if ((fds[2].revents & (POLLERR | POLLHUP)) != 0 && (fds[2].revents & POLLOUT) == 0)
		am_buf_reset(&agent->input), agent->end_input = true;
	write_input(agent);
}

int
am_agent_loop(struct am_agent *agent, struct ambient_error *err)
{
	struct ambient_exit end = {.size = sizeof(end)};
	int64_t last = AM_FOREVER, read = 0;
	int rc;

	am_agent_hear(agent); /* what came together with the line before the start */
	for (;;) {
		check_timers(agent);
		/* Looked at here, not after the wait: the end of the process may have been the last thing to wait for. */
		am_agent_hold_step(agent);
		if (agent->hold == AM_HOLD_HELD && (agent->asked != AMBIENT_ASKED_NONE || agent->ended))
			break;
		if (agent->live_error.code != 0) {
			ambient_err_copy(err, &agent->live_error);
			return -err->code;
		}
		if (agent->exited && agent->out.fd < 0 && agent->err.fd < 0) {
			if (!am_agent_hold_ended(agent))
				break;
			last = AM_FOREVER;
		}
		/* Swept: end of file must come now, behind what is still in the pipe; while the runner is behind nothing is read. */
		if (agent->exited && agent->drain_until == AM_FOREVER)
			last = last == AM_FOREVER || am_runner_channel_full(&agent->runner) ? now_boot() + DRAIN
											     : AM_MAX(last, agent->last_read + DRAIN);
		if (now_boot() > last && agent->last_read == read)
			break; /* and the last look found nothing: this process may have been the one that was late */
		read = agent->last_read;
		am_agent_wait(agent);
		reap_orphans(agent);
	}
	am_agent_sweep();
	if (agent->look.fd >= 0) /* whoever asked waits, and in a chat of turns the run goes on */
		fail_look(agent);
	am_buf_fini(&agent->look.buf);
	for (int i = 0; i < 2; i++) {
		struct am_stream *stream = i == 0 ? &agent->out : &agent->err;

		if (stream->fd >= 0)
			(void)close(stream->fd);
		stream->fd = -1;
		am_buf_fini(&stream->buf);
	}
	end.signal = WIFSIGNALED(agent->status) ? WTERMSIG(agent->status) : 0;
	end.code = end.signal != 0 ? 128 + end.signal : WEXITSTATUS(agent->status);
	end.asked = agent->asked != AMBIENT_ASKED_NONE ? agent->asked :
		    agent->interrupted		       ? AMBIENT_ASKED_INTERRUPT :
		    agent->ended		       ? AMBIENT_ASKED_END :
							 AMBIENT_ASKED_NONE;
	end.stderr_tail = am_buf_str(&agent->stderr_tail);
	agent->outcome = (struct ambient_outcome){.size = sizeof(agent->outcome)};
	rc = agent->type->exited(agent->self, &agent->run.pub, &end, &agent->outcome, err);
	return rc;
}
