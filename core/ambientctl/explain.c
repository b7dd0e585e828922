/* SPDX-License-Identifier: Apache-2.0 */
/* explain: why an object was reconciled, or why it is not: its state in the queues of the daemon, and the last causes.
 */
#include "core/ambientctl/ctl.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/str.h"

static int64_t
number(const struct am_node *node, const char *key)
{
	int64_t n = 0;

	(void)am_node_get_int(node, key, &n);
	return n;
}

/* "750 ms", "12s", "3m20s" */
static const char *
duration(char buf[24], int64_t ms)
{
	if (ms < 1000)
		(void)snprintf(buf, 24, "%d ms", (int)ms);
	else
		am_duration_format(buf, ms * AM_NS_PER_MS);
	return buf;
}

static void
put(const char *text)
{
	ctl_put_clean(stdout, text, true);
}

static void
print_state(const struct am_node *o)
{
	const char *state = ctl_text(o, "/state");
	char buf[24];

	(void)printf("  state     %s", state);
	(void)printf(am_streq(state, "delayed") ? ", ready in %s" : ", for %s", duration(buf, number(o, "for")));
	if (am_node_at(o, "/paused") != NULL && am_node_at(o, "/paused")->boolean)
		(void)printf("; nothing starts at the moment");
	if (am_node_at(o, "/elsewhere") != NULL) {
		(void)printf("\n  elsewhere ");
		put(ctl_text(o, "/elsewhere"));
	}
	(void)printf("\n  priority  %lld\n", (long long)number(o, "priority"));
	(void)printf("  runs      %lld", (long long)number(o, "runs"));
	if (number(o, "runs") != 0) {
		(void)printf(", the last one %s ago", duration(buf, number(o, "started")));
		(void)printf(am_starts(state, "processing") ? ", it runs\n" : ", it took %s\n",
			     duration(buf, number(o, "took")));
	} else {
		(void)putchar('\n');
	}
	if (number(o, "failures") != 0)
		(void)printf("  failures  %lld, backoff %s\n", (long long)number(o, "failures"),
			     duration(buf, number(o, "backoff")));
	if (am_node_at(o, "/error") != NULL) {
		(void)printf("  error     ");
		put(ctl_text(o, "/error"));
		(void)putchar('\n');
	}
}

/* Which run a cause asked for, seen from the last one. */
static const char *
run_word(char buf[24], const struct am_node *o, const struct am_node *cause)
{
	int64_t before = number(o, "runs") - number(cause, "run");

	if (before < 0)
		return "next";
	if (before == 0)
		return am_starts(ctl_text(o, "/state"), "processing") ? "this" : "last";
	(void)snprintf(buf, 24, "-%lld", (long long)before);
	return buf;
}

static void
print_cause(const struct am_node *o, const struct am_node *c)
{
	const char *old_rv = ctl_text(c, "/oldResourceVersion"), *new_rv = ctl_text(c, "/newResourceVersion");
	char age[24], run[24], buf[24];

	(void)printf("  %-8s  %-4s  %s", duration(age, number(c, "age")), run_word(run, o, c), ctl_text(c, "/cause"));
	if (number(c, "delay") != 0)
		(void)printf(" %s", duration(buf, number(c, "delay")));
	if (am_node_at(c, "/kind") != NULL) {
		(void)printf(": %s ", ctl_text(c, "/kind"));
		put(am_node_at(c, "/object") != NULL ? ctl_text(c, "/object") : "itself");
	}
	if (*old_rv != '\0' && *new_rv != '\0')
		(void)printf(", version %s to %s", old_rv, new_rv);
	else if (*old_rv != '\0' || *new_rv != '\0')
		(void)printf(", version %s%s", old_rv, new_rv);
	if (number(c, "count") > 1)
		(void)printf(" (%lld times)", (long long)number(c, "count"));
	(void)putchar('\n');
}

static void
print(const struct am_node *o)
{
	const char *ns = ctl_text(o, "/namespace");

	put(ns);
	(void)printf("%s", *ns != '\0' ? "/" : "");
	put(ctl_text(o, "/name"));
	(void)printf(" in %s\n", ctl_text(o, "/controller"));
	print_state(o);
	(void)printf("  AGE       RUN   CAUSE\n");
	for (const struct am_node *c = am_node_at(o, "/causes")->first; c != NULL; c = c->next)
		print_cause(o, c);
}

static int
run(struct ctl *ctl)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf out = {0};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const char *key = ctl->words[0], *ns = ctl_value(ctl, "namespace");
	const char *controller = ctl->word_count > 1 ? ctl->words[1] : NULL;
	const struct am_node *found;

	if (key[0] == '\0' || strchr(key, ' ') != NULL || strlen(key) > 512)
		return ctl_usage("\"%.80s\" is no name of an object", key);
	bool qualify = ns != NULL && strchr(key, '/') == NULL;
	am_auto(am_freep) char *command =
		am_xasprintf("explain %s%s%s%s%s", qualify ? ns : "", qualify ? "/" : "", key,
			     controller != NULL ? " " : "", controller != NULL ? controller : "");

	if (ctl_admin(ctl, command, &out, &err) < 0)
		return ctl_fail(&err, "cannot explain \"%s\"", key);
	found = am_node_parse(arena, am_buf_str(&out), out.len, &err);
	if (found == NULL || found->type != AMBIENT_T_ARRAY)
		return ctl_fail(&err, "the daemon's answer");
	if (ctl->json) {
		ctl_print_json(found);
		return CTL_OK;
	}
	for (const struct am_node *o = found->first; o != NULL; o = o->next)
		print(o);
	if (found->first != NULL)
		return CTL_OK;
	(void)ambient_err(&err, AMBIENT_E_NOTFOUND,
			  "it is in no queue, and none has seen it among its last 4,096 names");
	return ctl_fail(&err, "nothing is known of \"%s\"", key);
}

const struct ctl_command ctl_explain = {
	.name = "explain",
	.synopsis = "explain [NAMESPACE/]NAME [CONTROLLER] [OPTIONS]",
	.text = "Say why an object was reconciled, or why it waits.",
	.options = ctl_admin_options,
	.min = 1,
	.max = 2,
	.offline = true,
	.run = run,
};
