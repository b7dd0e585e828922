/* SPDX-License-Identifier: Apache-2.0 */
/* See runner_host.h.  A fuzz target uses it too, where Check's assertions do not work. */
#include "tests/lib/runner_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/data/object.h"

struct ambient_run runner_run;
struct am_buf runner_messages, runner_input, runner_command;
char runner_conversation[128];
int runner_turns;
const char *runner_spawn_out;
int runner_spawn_late;
const char *runner_plan_settings;
const char *runner_base_url;
void *runner_self;
const struct ambient_runner *runner_type;

static const struct ambient_object *objects[64];
static size_t object_count;
static struct am_buf plan_text;

struct ambient_command {
	int unused;
};
static struct ambient_command the_command;
struct ambient_conf {
	int unused;
};
static struct ambient_conf the_conf;

static void
log_write(const struct ambient_host *host, int level, const char *text, const char *const *fields)
{
}

static const char *
conf_str(const struct ambient_conf *conf, const char *name, const char *fallback)
{
	return runner_base_url != NULL && strcmp(name, "baseURL") == 0 ? runner_base_url : fallback;
}

static int64_t
conf_integer(const struct ambient_conf *conf, const char *name, int64_t fallback)
{
	return fallback;
}

static int64_t
monotonic(const struct ambient_host *host)
{
	static int64_t now = INT64_C(1000000000);

	return now += INT64_C(5000000);
}

static void *
mem_alloc(const struct ambient_host *host, size_t n)
{
	return calloc(1, n);
}

static void
mem_free(const struct ambient_host *host, void *p)
{
	free(p);
}

static int
spawn_run(const struct ambient_host *host, const struct ambient_spawn_options *options,
	  struct ambient_spawn_result *result, struct ambient_error *err)
{
	if (runner_spawn_out == NULL)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "no such program");
	result->timed_out = runner_spawn_late;
	result->out = strdup(runner_spawn_out);
	result->err = strdup("");
	result->out_len = strlen(runner_spawn_out);
	return 0;
}

static void
spawn_release(const struct ambient_host *host, struct ambient_spawn_result *result)
{
	free(result->out);
	free(result->err);
}

static void
emit(struct ambient_run *run, const char *type, const char *fields, size_t len)
{
	/* The host drops what is no JSON; here it is a failure. */
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (am_json_check(fields, len, &err) < 0) {
		(void)fprintf(stderr, "%s: %.*s\n", err.message, (int)len, fields);
		abort();
	}
	am_buf_addf(&runner_messages, "%s %.*s\n", type, (int)len, fields);
}

static int
write_(struct ambient_run *run, const char *text, size_t len, struct ambient_error *err)
{
	if (text == NULL)
		am_buf_adds(&runner_input, "<end>");
	else
		am_buf_add(&runner_input, text, len);
	return 0;
}

static void
conversation(struct ambient_run *run, const char *id)
{
	(void)am_strlcpy(runner_conversation, id, sizeof(runner_conversation));
}

static void
turn_done(struct ambient_run *run)
{
	runner_turns++;
}

static void
command_arg(struct ambient_command *cmd, const char *arg)
{
	am_buf_addf(&runner_command, "arg %s\n", arg);
}

static void
command_env(struct ambient_command *cmd, const char *name, const char *value)
{
	if (value != NULL)
		am_buf_addf(&runner_command, "env %s=%s\n", name, value);
	else
		am_buf_addf(&runner_command, "unset %s\n", name);
}

static const struct ambient_log_api log_api = {.size = sizeof(log_api), .write = log_write};
static const struct ambient_conf_api conf_api = {.size = sizeof(conf_api), .str = conf_str, .integer = conf_integer};
static const struct ambient_clock_api clock_api = {.size = sizeof(clock_api), .monotonic = monotonic};
static const struct ambient_mem_api mem_api = {.size = sizeof(mem_api), .alloc = mem_alloc, .free = mem_free};
static const struct ambient_spawn_api spawn_api = {sizeof(spawn_api), spawn_run, spawn_release};
static const struct ambient_command_api command_api = {
	.size = sizeof(command_api), .arg = command_arg, .env = command_env};
static const struct ambient_message_api message_api = {sizeof(message_api), emit,      write_,
						       conversation,        turn_done, &command_api};
static const struct ambient_host host = {
	.size = sizeof(host),
	.abi_major = AMBIENT_ABI_MAJOR,
	.abi_minor = AMBIENT_ABI_MINOR,
	.plugin = "t",
	.instance = "t",
	.log = &log_api,
	.conf = &conf_api,
	.object = &am_object_api,
	.clock = &clock_api,
	.mem = &mem_api,
	.spawn = &spawn_api,
	.message = &message_api,
};

const struct ambient_object *
runner_object(const char *json)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct ambient_object *obj = NULL;

	am_assert(am_object_parse(NULL, json, strlen(json), &obj, &err) == 0);
	am_assert(object_count < AM_COUNTOF(objects));
	objects[object_count++] = obj;
	return obj;
}

void
runner_host_reset(const struct ambient_plugin *plugin)
{
	static const char *const dirs[] = {"/w/workspace/other", "/w/workspace/artifacts", NULL};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (runner_self != NULL && plugin->destroy != NULL)
		plugin->destroy(runner_self);
	runner_self = NULL;
	for (size_t i = 0; i < object_count; i++)
		am_object_api.unref((struct ambient_object *)(uintptr_t)objects[i]);
	object_count = 0;
	am_buf_fini(&runner_messages);
	am_buf_fini(&runner_input);
	am_buf_fini(&runner_command);
	am_buf_fini(&plan_text);
	runner_conversation[0] = '\0';
	runner_turns = 0;
	runner_spawn_out = NULL;
	runner_spawn_late = 0;
	if (plugin->runners == NULL)
		return;
	runner_type = plugin->runners[0];
	am_assert(plugin->create(&host, &the_conf, &runner_self, &err) == 0);
	runner_run = (struct ambient_run){
		.size = sizeof(runner_run),
		.host = &host,
		.session = runner_object("{\"spec\":{}}"),
		.config = runner_object("{}"),
		.run_id = "r1",
		.workdir = "/w/workspace/repo",
		.dirs = dirs,
		.instructions = "",
		.statedir = "/nonexistent",
		.tmpdir = "/tmp",
		.prompt_file = "/dev/null",
		.model = "",
		.resume = "",
	};
}

struct ambient_command *
runner_host_command(void)
{
	return &the_command;
}

int
runner_line(const char *text)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	return runner_type->line(runner_self, &runner_run, AMBIENT_STDOUT, text, strlen(text), 0, &err);
}

struct sink {
	struct ambient_sink pub;
	const char *prefix;
};

static void
sink_put(struct ambient_sink *sink, const char *text, size_t len)
{
	am_buf_adds(&plan_text, ((struct sink *)(void *)sink)->prefix);
	am_buf_add(&plan_text, text, len);
}

const char *
runner_plan_text(const char *session, const char *effective)
{
	struct sink fragment = {{sizeof(fragment.pub), sink_put}, ""},
		    problems = {{sizeof(problems.pub), sink_put}, "problems: "};
	struct ambient_plan plan = {
		.size = sizeof(plan), .session = runner_object(session), .effective = runner_object(effective)};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (runner_plan_settings != NULL)
		plan.settings = runner_object(runner_plan_settings);
	am_buf_reset(&plan_text);
	am_assert(runner_type->plan(runner_self, &plan, &fragment.pub, &problems.pub, &err) == 0);
	return am_buf_str(&plan_text);
}
