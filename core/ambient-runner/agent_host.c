/* SPDX-License-Identifier: Apache-2.0 */
/* The host table of a runner type in the agent's container: log, conf, object, clock, mem, spawn, message. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>

#include "core/ambient-runner/agent_priv.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/spawn.h"
#include "core/data/scan.h"

#define FIELDS_MAX (8u << 20)
#define INPUT_MAX  (64u << 20)

/* ---- log, clock, mem */

static int
log_enabled(const struct ambient_host *host, int level)
{
	return am_log_enabled(level);
}

static void
log_write(const struct ambient_host *host, int level, const char *text, const char *const *fields)
{
	am_log_fields(level, "runner-type", fields, "%s", text);
}

static int64_t
clock_monotonic(const struct ambient_host *host)
{
	return am_clock_boot(am_clock_real());
}

static int64_t
clock_wall(const struct ambient_host *host)
{
	return am_clock_wall(am_clock_real());
}

static void *
mem_alloc(const struct ambient_host *host, size_t n)
{
	return calloc(1, n > 0 ? n : 1);
}

static void
mem_free(const struct ambient_host *host, void *p)
{
	free(p);
}

/* ---- conf: a runner type's options are for its plan; here each has its default. */

struct ambient_conf {
	const struct ambient_option *const *options;
};

static const struct ambient_option *
find_option(const struct ambient_conf *conf, const char *name)
{
	for (size_t i = 0; conf->options != NULL && conf->options[i] != NULL; i++)
		if (am_streq(conf->options[i]->name, name))
			return conf->options[i];
	return NULL;
}

static const char *
conf_str(const struct ambient_conf *conf, const char *name, const char *fallback)
{
	const struct ambient_option *option = find_option(conf, name);

	return option != NULL && option->def != NULL ? option->def : fallback;
}

static int64_t
conf_integer(const struct ambient_conf *conf, const char *name, int64_t fallback)
{
	const struct ambient_option *option = find_option(conf, name);
	int64_t value;

	if (option == NULL || option->def == NULL)
		return fallback;
	switch (option->type) {
	case AMBIENT_OPT_INT:
		return am_parse_i64(option->def, &value) == 0 ? value : fallback;
	case AMBIENT_OPT_BOOL:
		return am_streq(option->def, "true");
	case AMBIENT_OPT_DURATION:
		return am_parse_duration(option->def, &value) == 0 ? value : fallback;
	case AMBIENT_OPT_SIZE:
		return am_parse_size(option->def, &value) == 0 ? value : fallback;
	default:
		return fallback;
	}
}

static double
conf_real(const struct ambient_conf *conf, const char *name, double fallback)
{
	const struct ambient_option *option = find_option(conf, name);

	return option != NULL && option->def != NULL ? strtod(option->def, NULL) : fallback;
}

static size_t
conf_count(const struct ambient_conf *conf, const char *name)
{
	return 0;
}

static int
conf_entry(const struct ambient_conf *conf, const char *name, size_t i, const char **key, const char **value)
{
	return -AMBIENT_E_NOTFOUND;
}

static const struct ambient_conf *
conf_group(const struct ambient_conf *conf, const char *name, size_t i)
{
	return NULL;
}

/* ---- spawn: for questions like "which version are you", before the agent starts. */

/* What the agent gets under that name: of the session's variables, else of the pod's. */
static const char *
variable(const char *name)
{
	am_auto(am_freep) char *own = am_xasprintf("AMBIENT_ENV_%s", name);
	const char *value = getenv(own);

	return value != NULL ? value : getenv(name);
}

static int
spawn_run(const struct ambient_host *host, const struct ambient_spawn_options *options,
	  struct ambient_spawn_result *result, struct ambient_error *err)
{
	const char *home = variable("HOME"), *path = variable("PATH");
	am_auto(am_freep) char *home_env = am_xasprintf("HOME=%s", am_empty(home) ? "/" : home);
	am_auto(am_freep) char *path_env =
		am_xasprintf("PATH=%s", am_empty(path) ? "/usr/local/bin:/usr/bin:/bin" : path);
	const char *envp[] = {home_env, path_env, "LANG=C.UTF-8", NULL};
	struct am_spawn spawn = {.argv = options->argv,
				 .envp = options->envp != NULL ? options->envp : envp,
				 .cwd = options->cwd,
				 .fds = {-1, -1, -1},
				 .new_session = true};
	const int32_t *cancelled = AMBIENT_HAS(options, cancelled) ? options->cancelled : NULL;
	struct am_run_result r = {0};
	int rc = am_run(&spawn, options->input, options->input_len,
			options->output_max > 0 ? options->output_max : 64 * 1024,
			options->timeout_ns > 0 ? options->timeout_ns : 60 * AM_NS_PER_S, cancelled, &r, err);

	if (rc < 0)
		return rc;
	result->exit_code = r.exit_code;
	result->timed_out = r.timed_out;
	am_buf_addc(&r.out, '\0'); /* never NULL */
	am_buf_addc(&r.err, '\0');
	result->out = am_buf_steal(&r.out, &result->out_len);
	result->err = am_buf_steal(&r.err, &result->err_len);
	result->out_len -= result->out_len > 0;
	result->err_len -= result->err_len > 0;
	am_run_result_fini(&r);
	return 0;
}

static void
spawn_release(const struct ambient_host *host, struct ambient_spawn_result *result)
{
	free(result->out);
	free(result->err);
	result->out = result->err = NULL;
}

/* ---- message */

void
am_agent_fields(struct am_agent *agent, const char *type, const char *fields, size_t n)
{
	am_auto(am_buf_fini) struct am_buf frame = {0};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (n > FIELDS_MAX || am_json_check(fields, n, &err) < 0) {
		am_log_warn("agent", "a message of type \"%s\" is dropped: %s", type,
			    n > FIELDS_MAX ? "it is larger than 8 MiB" : err.message);
		return;
	}
	am_json_addf(&frame, "{\"t\":\"message\",\"type\":%s,\"fields\":", type);
	am_runner_redact_json(agent->redactor, am_slice(fields, n), &frame);
	am_buf_addc(&frame, '}');
	if (!frame.failed && frame.len <= AM_RUNNER_LINE_MAX)
		am_runner_channel_send(&agent->runner, am_buf_str(&frame), frame.len);
}

static void
message_emit(struct ambient_run *run, const char *type, const char *fields, size_t len)
{
	am_agent_fields(am_agent_of(run), type, fields, len);
}

static int
message_write(struct ambient_run *run, const char *text, size_t len, struct ambient_error *err)
{
	struct am_agent *agent = am_agent_of(run);

	if (text == NULL) {
		agent->end_input = true;
		return 0;
	}
	if (agent->end_input)
		return ambient_err(err, AMBIENT_E_INVALID, "the agent's input has been ended");
	if (agent->input.len + len > INPUT_MAX)
		return ambient_err(err, AMBIENT_E_NOMEM, "the agent does not read its input");
	am_buf_add(&agent->input, text, len);
	return agent->input.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for the agent's input") : 0;
}

static void
message_conversation(struct ambient_run *run, const char *id)
{
	struct am_agent *agent = am_agent_of(run);
	am_auto(am_buf_fini) struct am_buf frame = {0};

	if (id == NULL || am_streq(agent->conversation, id))
		return;
	free(agent->conversation);
	agent->conversation = am_xstrdup(id);
	am_json_addf(&frame, "{\"t\":\"conversation\",\"id\":%s}", id);
	am_runner_channel_send(&agent->runner, am_buf_str(&frame), frame.len);
}

static void
message_turn_done(struct ambient_run *run)
{
	static const char frame[] = "{\"t\":\"turn\"}";

	if (am_agent_by_turns(am_agent_of(run)))
		return; /* with the end of the process */
	am_runner_channel_send(&am_agent_of(run)->runner, frame, sizeof(frame) - 1);
	am_agent_of(run)->in_turn = false;
	if (!run->interactive)
		am_agent_of(run)->end_input = true;
}

/* ---- the command */

static void
push(char ***list, size_t *n, char *value)
{
	*list = am_xrealloc(*list, *n + 2, sizeof(**list));
	(*list)[(*n)++] = value;
	(*list)[*n] = NULL;
}

static void
command_arg(struct ambient_command *cmd, const char *arg)
{
	push(&cmd->argv, &cmd->argc, am_xstrdup(arg));
}

void
am_agent_env_set(struct ambient_command *cmd, const char *name, const char *value)
{
	size_t n = strlen(name), at = 0;

	for (; at < cmd->envc; at++)
		if (strncmp(cmd->env[at], name, n) == 0 && cmd->env[at][n] == '=')
			break;
	if (at < cmd->envc) {
		free(cmd->env[at]);
		cmd->env[at] = cmd->env[--cmd->envc];
		cmd->env[cmd->envc] = NULL;
	}
	if (value != NULL)
		push(&cmd->env, &cmd->envc, am_xasprintf("%s=%s", name, value));
}

static void
command_cwd(struct ambient_command *cmd, const char *path)
{
	free(cmd->cwd);
	cmd->cwd = am_xstrdup(path);
}

static void
command_merge_stderr(struct ambient_command *cmd, int yes)
{
	cmd->merge_stderr = yes != 0;
}

void
am_agent_command_fini(struct ambient_command *cmd)
{
	for (size_t i = 0; i < cmd->argc; i++)
		free(cmd->argv[i]);
	for (size_t i = 0; i < cmd->envc; i++)
		free(cmd->env[i]);
	free(cmd->argv);
	free(cmd->env);
	free(cmd->cwd);
	memset(cmd, 0, sizeof(*cmd));
}

void
am_agent_env_init(struct am_agent *agent)
{
	struct ambient_command *cmd = &agent->command;
	const char *path = getenv("PATH"), *user = getenv("USER"), *list = getenv("AMBIENT_AGENT_ENV");
	am_auto(am_freep) char *home = am_xasprintf("%s/home", agent->statedir);
	struct am_slice start = am_slice(am_buf_str(&agent->start), agent->start.len);

	am_agent_env_set(cmd, "PATH", am_empty(path) ? "/usr/local/bin:/usr/bin:/bin" : path);
	am_agent_env_set(cmd, "HOME", home);
	am_agent_env_set(cmd, "TMPDIR", agent->tmpdir);
	am_agent_env_set(cmd, "LANG", "C.UTF-8");
	am_agent_env_set(cmd, "TERM", "dumb");
	am_agent_env_set(cmd, "USER", am_empty(user) ? "agent" : user);
	/* The agent's own commits have the same author as ours. */
	for (int i = 0; i < 2; i++) {
		am_auto(am_freep) char *author = am_json_dup(start, i == 0 ? "/author/name" : "/author/email");

		am_agent_env_set(cmd, i == 0 ? "GIT_AUTHOR_NAME" : "GIT_AUTHOR_EMAIL", author);
		am_agent_env_set(cmd, i == 0 ? "GIT_COMMITTER_NAME" : "GIT_COMMITTER_EMAIL", author);
	}
	for (char **e = environ; e != NULL && *e != NULL; e++) {
		const char *eq = strchr(*e, '=');

		if (eq == NULL || !am_starts(*e, "AMBIENT_") || am_starts(*e, "AMBIENT_AGENT_ENV=") || am_starts(*e, "AMBIENT_ENV_"))
			continue;
		am_auto(am_freep) char *name = am_xstrndup(*e, (size_t)(eq - *e));
		am_agent_env_set(cmd, name, eq + 1);
	}
	while (list != NULL && *list != '\0') {
		size_t n = strcspn(list, ",");
		am_auto(am_freep) char *name = am_xstrndup(list, n);
		const char *value = n > 0 ? variable(name) : NULL;

		if (value != NULL)
			am_agent_env_set(cmd, name, value);
		list += n + (list[n] == ',');
	}
}

/* ---- the tables */

static const struct ambient_log_api log_api = {sizeof(log_api), log_enabled, log_write};
static const struct ambient_conf_api conf_api = {sizeof(conf_api), conf_str,   conf_integer, conf_real,
						 conf_count,       conf_entry, conf_group};
static const struct ambient_clock_api clock_api = {sizeof(clock_api), clock_monotonic, clock_wall};
static const struct ambient_mem_api mem_api = {sizeof(mem_api), mem_alloc, mem_free, NULL};
static const struct ambient_spawn_api spawn_api = {sizeof(spawn_api), spawn_run, spawn_release};
static const struct ambient_command_api command_api = {sizeof(command_api), command_arg, am_agent_env_set, command_cwd,
						       command_merge_stderr};
static const struct ambient_message_api message_api = {sizeof(message_api),  message_emit,      message_write,
						       message_conversation, message_turn_done, &command_api};

void
am_agent_host_init(struct am_agent *agent)
{
	agent->host.agent = agent;
	agent->host.pub = (struct ambient_host){
		.size = sizeof(agent->host.pub),
		.abi_major = AMBIENT_ABI_MAJOR,
		.abi_minor = AMBIENT_ABI_MINOR,
		.plugin = "runner",
		.instance = "runner",
		.log = &log_api,
		.conf = &conf_api,
		.object = &am_object_api,
		.clock = &clock_api,
		.mem = &mem_api,
		.spawn = &spawn_api,
		.message = &message_api,
	};
}

const struct ambient_conf *
am_agent_conf(const struct ambient_option *const *options)
{
	static struct ambient_conf the_conf; /* one plugin a process */

	the_conf.options = options;
	return &the_conf;
}
