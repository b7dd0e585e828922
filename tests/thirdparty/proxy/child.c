/* SPDX-License-Identifier: Apache-2.0 */
/* The child: the plugin's code, and a host of which every function is a question to the parent. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/data/object.h"
#include "tests/thirdparty/proxy/proxy.h"

struct ambient_list {
	size_t count;
	const struct ambient_object **items;
};

static int up;
static struct am_arena *life; /* of strings that live as long as the instance */

/* Asks; the answer lives as long as the arena. */
static struct am_node *
ask(struct am_arena *arena, const struct am_node *question)
{
	wire_send(up, question);
	struct am_node *answer = wire_recv(up, arena);
	if (answer == NULL)
		_exit(0);
	return answer;
}

static struct am_pool *
pool_of(struct ambient_call *call)
{
	return AM_CONTAINER(call, struct am_call_head, pub)->pool;
}

static const struct ambient_object *
object_of(struct ambient_call *call, const struct am_node *node)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	am_node_print(node, &text);
	return am_object_copy(pool_of(call), text.data, text.len);
}

/* ---- log, conf, clock, mem, ... */

static void
log_write(const struct ambient_host *host, int level, const char *text, const char *const *fields)
{
	struct am_node *q = wire_op(life, "log.write");

	wire_put_int(life, q, "level", level);
	wire_put(life, q, "text", text);
	(void)ask(life, q);
}

static const char *
conf_str(const struct ambient_conf *conf, const char *name, const char *fallback)
{
	struct am_node *q = wire_op(life, "conf.str");

	wire_put(life, q, "name", name);
	wire_put(life, q, "fallback", fallback);
	return wire_str(ask(life, q), "value");
}

static int64_t
conf_integer(const struct ambient_conf *conf, const char *name, int64_t fallback)
{
	struct am_node *q = wire_op(life, "conf.integer");

	wire_put(life, q, "name", name);
	wire_put_int(life, q, "fallback", fallback);
	return wire_int(ask(life, q), "value");
}

static int
queue_add(const struct ambient_host *host, const char *reconciler, const char *ns, const char *name, int64_t delay)
{
	struct am_node *q = wire_op(life, "queue.add");

	wire_put(life, q, "reconciler", reconciler);
	wire_put(life, q, "ns", ns);
	wire_put(life, q, "name", name);
	wire_put_int(life, q, "delay", delay);
	return wire_get_error(ask(life, q), NULL);
}

static void
event_emit(struct ambient_call *call, const struct ambient_object *about, const char *type, const char *reason,
	   const char *text)
{
	struct am_arena *arena = am_pool_arena(pool_of(call));
	struct am_slice about_text = am_object_text(about);
	struct am_node *q = wire_op(arena, "event.emit");

	am_node_set(arena, q, "about", am_node_parse(arena, about_text.p, about_text.n, NULL));
	wire_put(arena, q, "type", type);
	wire_put(arena, q, "reason", reason);
	wire_put(arena, q, "text", text);
	(void)ask(arena, q);
}

static int64_t
clock_monotonic(const struct ambient_host *host)
{
	return wire_int(ask(life, wire_op(life, "clock.monotonic")), "value");
}

static int64_t
clock_wall(const struct ambient_host *host)
{
	return wire_int(ask(life, wire_op(life, "clock.wall")), "value");
}

static const char *
fact(const struct ambient_host *host, const char *name)
{
	struct am_node *q = wire_op(life, "fact");

	wire_put(life, q, "name", name);
	return wire_str(ask(life, q), "value");
}

/* Memory is each process's own. */
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

static void *
mem_scratch(struct ambient_call *call, size_t n)
{
	return am_arena_zalloc(am_pool_arena(pool_of(call)), n);
}

/* ---- cache and client */

static struct am_node *
name_op(struct am_arena *arena, const char *op, const char *kind, const char *ns, const char *name)
{
	struct am_node *q = wire_op(arena, op);

	wire_put(arena, q, "kind", kind);
	wire_put(arena, q, "ns", ns);
	wire_put(arena, q, "name", name);
	return q;
}

static int
ask_object(struct ambient_call *call, const struct am_node *q, const struct ambient_object **ret, struct ambient_error *err)
{
	struct am_node *a = ask(am_pool_arena(pool_of(call)), q);
	int rc = wire_get_error(a, err);

	if (ret != NULL)
		*ret = rc == 0 && am_node_get(a, "object") != NULL ? object_of(call, am_node_get(a, "object")) : NULL;
	return rc;
}

static int
cache_get(struct ambient_call *call, const char *kind, const char *ns, const char *name, const struct ambient_object **ret,
	  struct ambient_error *err)
{
	return ask_object(call, name_op(am_pool_arena(pool_of(call)), "cache.get", kind, ns, name), ret, err);
}

static int
client_get(struct ambient_call *call, const char *kind, const char *ns, const char *name, const struct ambient_object **ret,
	   struct ambient_error *err)
{
	return ask_object(call, name_op(am_pool_arena(pool_of(call)), "client.get", kind, ns, name), ret, err);
}

static int
client_remove(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *options,
	      struct ambient_error *err)
{
	struct am_arena *arena = am_pool_arena(pool_of(call));
	struct am_node *q = name_op(arena, "client.remove", kind, ns, name);

	wire_put(arena, q, "options", options);
	return wire_get_error(ask(arena, q), err);
}

static int
client_patch(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *sub, int type,
	     const char *body, size_t len, const struct ambient_object **ret, struct ambient_error *err)
{
	struct am_arena *arena = am_pool_arena(pool_of(call));
	struct am_node *q = name_op(arena, "client.patch", kind, ns, name);

	wire_put(arena, q, "sub", sub);
	wire_put_int(arena, q, "type", type);
	am_node_set(arena, q, "body", am_node_strn(arena, body, len));
	return ask_object(call, q, ret, err);
}

static int
send_draft(struct ambient_call *call, const char *op, struct ambient_draft *draft, const char *sub, uint32_t flags,
	   const struct ambient_object **ret, struct ambient_error *err)
{
	struct am_arena *arena = am_pool_arena(pool_of(call));
	struct am_draft_info d;
	int rc = am_draft_open(draft, &d, err);

	if (rc < 0)
		return rc;
	struct am_node *q = name_op(arena, op, d.kind, d.ns, d.name);
	wire_put(arena, q, "sub", sub);
	wire_put_int(arena, q, "flags", flags);
	am_node_set(arena, q, "draft", am_node_clone(arena, d.root));
	return ask_object(call, q, ret, err);
}

static int
client_create(struct ambient_call *call, struct ambient_draft *d, const char *sub, const struct ambient_object **ret,
	      struct ambient_error *err)
{
	return send_draft(call, "client.create", d, sub, 0, ret, err);
}

static int
client_update(struct ambient_call *call, struct ambient_draft *d, const char *sub, const struct ambient_object **ret,
	      struct ambient_error *err)
{
	return send_draft(call, "client.update", d, sub, 0, ret, err);
}

static int
client_apply(struct ambient_call *call, struct ambient_draft *d, uint32_t flags, const struct ambient_object **ret,
	     struct ambient_error *err)
{
	return send_draft(call, "client.apply", d, NULL, flags, ret, err);
}

static int
client_status(struct ambient_call *call, struct ambient_draft *d, const struct ambient_object **ret,
	      struct ambient_error *err)
{
	return send_draft(call, "client.status", d, NULL, 0, ret, err);
}

static int
cache_list(struct ambient_call *call, const char *kind, const struct ambient_list_options *o,
	   const struct ambient_list **ret, struct ambient_error *err)
{
	struct am_arena *arena = am_pool_arena(pool_of(call));
	struct am_node *q = name_op(arena, "cache.list", kind, o != NULL ? o->ns : NULL, NULL);

	wire_put(arena, q, "selector", o != NULL ? o->selector : NULL);
	wire_put(arena, q, "index", o != NULL ? o->index : NULL);
	wire_put(arena, q, "value", o != NULL ? o->value : NULL);
	struct am_node *a = ask(arena, q), *items = am_node_get(a, "items");
	int rc = wire_get_error(a, err);
	if (rc < 0)
		return rc;
	struct ambient_list *list = am_arena_zalloc(arena, sizeof(*list));
	list->items = am_arena_zalloc(arena, (items->count + 1) * sizeof(*list->items));
	for (const struct am_node *item = items->first; item != NULL; item = item->next)
		list->items[list->count++] = object_of(call, item);
	*ret = list;
	return 0;
}

static size_t
cache_count(const struct ambient_list *list)
{
	return list->count;
}

static const struct ambient_object *
cache_item(const struct ambient_list *list, size_t i)
{
	return i < list->count ? list->items[i] : NULL;
}

/* ---- the host, and what the parent asks for */

static const struct ambient_log_api log_api = { sizeof(log_api), NULL, log_write };
static const struct ambient_conf_api conf_api = { .size = sizeof(conf_api), .str = conf_str, .integer = conf_integer };
static const struct ambient_cache_api cache_api = { sizeof(cache_api), cache_get, cache_list, cache_count, cache_item };
static const struct ambient_client_api client_api = { sizeof(client_api), client_get, client_create, client_update,
						      client_patch, client_remove, client_apply, client_status };
static const struct ambient_queue_api queue_api = { sizeof(queue_api), queue_add };
static const struct ambient_event_api event_api = { sizeof(event_api), event_emit };
static const struct ambient_clock_api clock_api = { sizeof(clock_api), clock_monotonic, clock_wall };
static const struct ambient_mem_api mem_api = { sizeof(mem_api), mem_alloc, mem_free, mem_scratch };

static const struct ambient_host child_host = {
	.size = sizeof(child_host), .abi_major = AMBIENT_ABI_MAJOR, .abi_minor = AMBIENT_ABI_MINOR,
	.plugin = "proxied", .instance = "proxied", .log = &log_api, .conf = &conf_api, .object = &am_object_api,
	.client = &client_api, .cache = &cache_api, .queue = &queue_api, .event = &event_api, .clock = &clock_api,
	.mem = &mem_api, .fact = fact,
};

static void
reconcile(const struct ambient_plugin *plugin, void *self, const struct am_node *q, struct am_arena *arena,
	  struct am_node *done)
{
	struct am_call_head call = { .pub = { .size = sizeof(call.pub), .host = &child_host, .deadline = wire_int(q, "deadline") } };
	struct ambient_request request = { sizeof(request), wire_str(q, "ns"), wire_str(q, "name") };
	struct ambient_result result = { .size = (size_t)wire_int(q, "resultSize") };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	call.pool = am_pool_new();
	int rc = plugin->reconcilers[0]->reconcile(self, &call.pub, &request, &result, &err);
	am_pool_free(call.pool);
	wire_put_error(arena, done, rc, &err);
	wire_put_int(arena, done, "requeueAfter", result.requeue_after);
	wire_put_int(arena, done, "requeue", result.requeue);
	wire_put_int(arena, done, "prioritized", result.prioritized);
	wire_put_int(arena, done, "priority", result.priority);
}

void
proxy_child(int fd, const char *so)
{
	void *handle = dlopen(so, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE), *self = NULL;
	const struct ambient_plugin *plugin = handle != NULL ? dlsym(handle, "ambient_plugin_v1") : NULL;

	up = fd;
	life = am_arena_new();
	if (plugin == NULL) {
		fprintf(stderr, "proxy: %s\n", dlerror());
		_exit(3);
	}
	for (;;) {
		struct am_arena *arena = am_arena_new();
		const struct am_node *q = wire_recv(up, arena);
		struct am_node *done = wire_op(arena, "done");

		if (q == NULL)
			_exit(0);
		if (am_streq(wire_str(q, "op"), "create")) {
			struct ambient_error err = AMBIENT_ERROR_INIT;
			int rc = plugin->create(&child_host, NULL, &self, &err);

			wire_put_error(arena, done, rc, &err);
		} else if (am_streq(wire_str(q, "op"), "reconcile")) {
			reconcile(plugin, self, q, arena, done);
		} else if (plugin->destroy != NULL) {
			plugin->destroy(self);
		}
		wire_send(up, done);
		am_arena_free(arena);
	}
}
