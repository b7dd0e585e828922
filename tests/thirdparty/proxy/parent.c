/* SPDX-License-Identifier: Apache-2.0 */
/* The parent: a descriptor whose callbacks happen in the child, and answers to what they ask for. */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/data/object.h"
#include "core/plugin/plugin.h"
#include "tests/thirdparty/proxy/proxy.h"

static int down = -1;
static pid_t child;
static size_t messages;
static struct am_plugin_info info;
static const struct ambient_host *host;
static const struct ambient_conf *conf;

/* Answers live in the arena, objects in the call. */
static void
put_object(struct am_arena *arena, struct am_node *answer, const struct ambient_object *obj)
{
	size_t n;
	const char *text = obj != NULL ? ambient_json(obj, "", &n) : NULL;

	if (text != NULL)
		am_node_set(arena, answer, "object", am_node_parse(arena, text, n, NULL));
}

/* A draft of the host's with the members that the child's has. */
static struct ambient_draft *
draft_of(struct ambient_call *call, const struct am_node *q)
{
	struct ambient_draft *draft = ambient_draft_new(call, wire_str(q, "kind"), wire_str(q, "ns"), wire_str(q, "name"));
	const struct am_node *from = am_node_get(q, "draft");

	for (const struct am_node *m = from->first; m != NULL; m = m->next) {
		am_auto(am_buf_fini) struct am_buf text = { 0 }, pointer = { 0 };

		am_buf_addf(&pointer, "/%s", m->key);
		am_node_print(m, &text);
		ambient_draft_set_json(draft, am_buf_str(&pointer), am_buf_str(&text));
	}
	return draft;
}

static int
answer_client(struct ambient_call *call, const char *verb, const struct am_node *q, const struct ambient_object **obj,
	      struct ambient_error *err)
{
	const char *kind = wire_str(q, "kind"), *ns = wire_str(q, "ns"), *name = wire_str(q, "name"), *sub = wire_str(q, "sub");
	const struct ambient_client_api *client = host->client;

	if (am_streq(verb, "get"))
		return client->get(call, kind, ns, name, obj, err);
	if (am_streq(verb, "remove"))
		return client->remove(call, kind, ns, name, wire_str(q, "options"), err);
	if (am_streq(verb, "patch")) {
		const struct am_node *body = am_node_get(q, "body");

		return client->patch(call, kind, ns, name, sub, (int)wire_int(q, "type"), body->text, body->len, obj, err);
	}
	struct ambient_draft *draft = draft_of(call, q);
	if (am_streq(verb, "create"))
		return client->create(call, draft, sub, obj, err);
	if (am_streq(verb, "update"))
		return client->update(call, draft, sub, obj, err);
	if (am_streq(verb, "apply"))
		return client->apply(call, draft, (uint32_t)wire_int(q, "flags"), obj, err);
	return client->status(call, draft, obj, err);
}

static int
answer_list(struct ambient_call *call, struct am_arena *arena, const struct am_node *q, struct am_node *a,
	    struct ambient_error *err)
{
	struct ambient_list_options o = { sizeof(o), wire_str(q, "ns"), wire_str(q, "selector"), wire_str(q, "index"),
					  wire_str(q, "value") };
	struct am_node *items = am_node_array(arena);
	const struct ambient_list *list;
	int rc = ambient_list(call, wire_str(q, "kind"), &o, &list, err);

	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++) {
		size_t n;
		const char *text = ambient_json(ambient_list_item(call, list, i), "", &n);

		am_node_append(items, am_node_parse(arena, text, n, NULL));
	}
	am_node_set(arena, a, "items", items);
	return rc;
}

static void
answer_event(struct ambient_call *call, const struct am_node *q)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	const struct ambient_object *about;

	am_node_print(am_node_get(q, "about"), &text);
	if (ambient_parse(call, am_buf_str(&text), text.len, &about, NULL) == 0)
		host->event->emit(call, about, wire_str(q, "type"), wire_str(q, "reason"), wire_str(q, "text"));
}

static struct am_node *
answer(struct ambient_call *call, struct am_arena *arena, const struct am_node *q)
{
	struct am_node *a = wire_op(arena, "answer");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct ambient_object *obj = NULL;
	const char *op = wire_str(q, "op"), *name = wire_str(q, "name");
	int rc = 0;

	if (am_streq(op, "log.write"))
		host->log->write(host, (int)wire_int(q, "level"), wire_str(q, "text"), NULL);
	else if (am_streq(op, "conf.str"))
		wire_put(arena, a, "value", host->conf->str(conf, name, wire_str(q, "fallback")));
	else if (am_streq(op, "conf.integer"))
		wire_put_int(arena, a, "value", host->conf->integer(conf, name, wire_int(q, "fallback")));
	else if (am_streq(op, "queue.add"))
		rc = host->queue->add(host, wire_str(q, "reconciler"), wire_str(q, "ns"), name, wire_int(q, "delay"));
	else if (am_streq(op, "clock.monotonic"))
		wire_put_int(arena, a, "value", host->clock->monotonic(host));
	else if (am_streq(op, "clock.wall"))
		wire_put_int(arena, a, "value", host->clock->wall(host));
	else if (am_streq(op, "fact"))
		wire_put(arena, a, "value", host->fact(host, name));
	else if (call == NULL)
		rc = ambient_err(&err, AMBIENT_E_INTERNAL, "%s outside of a call", op);
	else if (am_streq(op, "event.emit"))
		answer_event(call, q);
	else if (am_streq(op, "cache.get"))
		rc = ambient_get(call, wire_str(q, "kind"), wire_str(q, "ns"), name, &obj, &err);
	else if (am_streq(op, "cache.list"))
		rc = answer_list(call, arena, q, a, &err);
	else if (am_starts(op, "client."))
		rc = answer_client(call, op + strlen("client."), q, &obj, &err);
	else
		rc = ambient_err(&err, AMBIENT_E_UNSUPPORTED, "no %s over a proxy", op);
	wire_put_error(arena, a, rc, &err);
	if (rc == 0)
		put_object(arena, a, obj);
	return a;
}

/* Asks the child for a callback; answers until it is done. */
static struct am_node *
converse(struct ambient_call *call, struct am_arena *arena, const struct am_node *q)
{
	for (wire_send(down, q);; messages++) {
		struct am_node *m = wire_recv(down, arena);

		am_assert(m != NULL);
		messages++;
		if (am_streq(wire_str(m, "op"), "done"))
			return m;
		wire_send(down, answer(call, arena, m));
	}
}

/* ---- the descriptor */

static int
proxy_create(const struct ambient_host *h, const struct ambient_conf *c, void **ret_self, struct ambient_error *err)
{
	struct am_arena *arena = am_arena_new();

	host = h;
	conf = c;
	*ret_self = NULL;
	int rc = wire_get_error(converse(NULL, arena, wire_op(arena, "create")), err);
	am_arena_free(arena);
	return rc;
}

static void
proxy_destroy(void *self)
{
	struct am_arena *arena = am_arena_new();

	(void)converse(NULL, arena, wire_op(arena, "destroy"));
	am_arena_free(arena);
}

static int
proxy_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
		struct ambient_error *err)
{
	struct am_arena *arena = am_arena_new();
	struct am_node *q = wire_op(arena, "reconcile");

	wire_put(arena, q, "ns", req->ns);
	wire_put(arena, q, "name", req->name);
	wire_put_int(arena, q, "deadline", call->deadline);
	wire_put_int(arena, q, "resultSize", (int64_t)AM_MIN(result->size, sizeof(*result)));
	struct am_node *done = converse(call, arena, q);
	int rc = wire_get_error(done, err);
	result->requeue_after = wire_int(done, "requeueAfter");
	if (wire_int(done, "requeue") != 0)
		(void)ambient_requeue(result);
	if (wire_int(done, "prioritized") != 0)
		ambient_prioritize(result, (int32_t)wire_int(done, "priority"));
	am_arena_free(arena);
	return rc;
}

static const struct ambient_reconciler proxied = { .size = sizeof(proxied), .reconcile = proxy_reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &proxied, NULL };
static const struct ambient_option region = { sizeof(region), "region", AMBIENT_OPT_STRING, 0, "eu", 0, 0, NULL, NULL };
static const struct ambient_option *const options[] = { &region, NULL };
static struct ambient_plugin descriptor = {
	.magic = AMBIENT_PLUGIN_MAGIC, .abi_major = AMBIENT_ABI_MAJOR, .abi_minor = AMBIENT_ABI_MINOR,
	.size = sizeof(descriptor), .options = options,
	.create = proxy_create, .destroy = proxy_destroy, .reconcilers = reconcilers,
};

const struct ambient_plugin *
proxy_start(const char *so)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char number[12];
	int pair[2];

	/* What may it do?  Its file says so; its code is never in this process. */
	if (am_plugin_inspect(so, &info, &err) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		fprintf(stderr, "proxy: %s\n", err.message);
		exit(1);
	}
	descriptor.decl = info.decl->text;
	descriptor.decl_len = info.decl->text_len;
	child = fork();
	if (child == 0) {
		int fd = dup(pair[1]);

		(void)snprintf(number, sizeof(number), "%d", fd);
		(void)execl("/proc/self/exe", "proxy", "--child", number, so, (char *)NULL);
		_exit(127);
	}
	(void)close(pair[1]);
	down = pair[0];
	return &descriptor;
}

void
proxy_stop(void)
{
	(void)close(down);
	(void)waitpid(child, NULL, 0);
	am_plugin_info_fini(&info);
}

size_t
proxy_messages(void)
{
	return messages;
}
