/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One broken plugin per value of FIXTURE, which tests/plugins/Makefile.inc gives; each differs from good_min.c in
 * the one thing that its name says.
 */
#include <ambient/plugin.h>

#define NO_SYMBOL 1
#define OTHER_ABI 2
#define NEWER_MINOR 3
#define SHORT_TABLE 4
#define NULL_RECONCILE 5
#define OWN_JANSSON 6
#define CREATE_FAILS 7
#define BAD_MAGIC 8
#define DECL_NO_NAME 9
#define UNDECLARED 10
#define NO_SECTION 11
#define BAD_OPTION 12
#define SHORT_RECONCILER 13
#define OTHER_DECL 14
#define NO_CREATE 15
#define MISSING 16
#define PROVIDES_NOTHING 17
#define NO_KUBECONFIG 18
#define SAME_NAME 19
#define RELATIVE_RUNPATH 20
#define UNKNOWN_FLAGS 21

#if FIXTURE == NO_SECTION
static const char ambient_declarations_[] = "name=broken\0version=1.0.0\0for=example.com/v1/widgets\0";
#elif FIXTURE == DECL_NO_NAME
AMBIENT_DECLARE("version=1.0.0\0for=example.com/v1/widgets\0");
#elif FIXTURE == MISSING
AMBIENT_DECLARE("name=broken\0version=1.0.0\0for=example.com/v1/widgets\0runner=echo\0");
#elif FIXTURE == PROVIDES_NOTHING
AMBIENT_DECLARE("name=broken\0version=1.0.0\0may=v1/secrets:get\0");
#elif FIXTURE == NO_KUBECONFIG
AMBIENT_DECLARE("name=broken\0version=1.0.0\0provides=cluster\0server=api\0");
#elif FIXTURE == SAME_NAME
AMBIENT_DECLARE("name=good-min\0version=1.0.1\0for=example.com/v1/widgets\0");
#else
AMBIENT_DECLARE("name=broken\0version=1.0.0\0for=example.com/v1/widgets\0");
#endif

#if FIXTURE == OWN_JANSSON
/* As a statically linked copy would. */
void *json_object_get(const void *object, const char *key);
__attribute__((noinline, used)) void *
json_object_get(const void *object, const char *key)
{
	(void)object;
	(void)key;
	return NULL;
}
#endif

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	(void)host;
	(void)conf;
	*ret_self = NULL;
	return FIXTURE == CREATE_FAILS ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "the widget works are closed") : 0;
}

static int
reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	  struct ambient_error *err)
{
	(void)self;
	(void)call;
	(void)req;
	(void)result;
	(void)err;
	return 0;
}

static int
start(void *self, struct ambient_error *err)
{
	(void)self;
	(void)err;
	return 0;
}

static void
stop(void *self)
{
	(void)self;
}

static const struct ambient_option odd = { sizeof(odd), "odd", 77, 0, NULL, 0, 0, NULL, NULL };
static const struct ambient_option *const options[] = { FIXTURE == BAD_OPTION ? &odd : NULL, NULL };

static const struct ambient_reconciler only = {
	.size = FIXTURE == SHORT_RECONCILER ? sizeof(size_t) : sizeof(only),
	.name = FIXTURE == UNDECLARED ? "gadgets" : NULL,
	.reconcile = FIXTURE == NULL_RECONCILE ? NULL : reconcile,
};
static const struct ambient_reconciler *const reconcilers[] = {
	FIXTURE == PROVIDES_NOTHING || FIXTURE == NO_KUBECONFIG ? NULL : &only, NULL
};
static const struct ambient_server api = { .size = sizeof(api), .name = "api", .start = start, .stop = stop };
static const struct ambient_server *const servers[] = { FIXTURE == NO_KUBECONFIG ? &api : NULL, NULL };

#if FIXTURE == OTHER_DECL
static const char others[] = "name=good-min\0version=1.0.0\0";
#endif

#if FIXTURE == OTHER_ABI
#define SYMBOL ambient_plugin_v7
__attribute__((visibility("default"))) extern const struct ambient_plugin SYMBOL;
#elif FIXTURE == NO_SYMBOL
#define SYMBOL ambient_plugins
extern const struct ambient_plugin SYMBOL;
#else
#define SYMBOL ambient_plugin_v1
#endif

const struct ambient_plugin SYMBOL = {
	.magic = FIXTURE == BAD_MAGIC ? 0xdeadbeef : AMBIENT_PLUGIN_MAGIC,
	.abi_major = AMBIENT_ABI_MAJOR,
	.abi_minor = FIXTURE == NEWER_MINOR ? AMBIENT_ABI_MINOR + 1 : AMBIENT_ABI_MINOR,
	.size = FIXTURE == SHORT_TABLE ? 24 : sizeof(struct ambient_plugin),
	.flags = FIXTURE == UNKNOWN_FLAGS ? 0x80 : 0,
#if FIXTURE == OTHER_DECL
	.decl = others,
	.decl_len = sizeof(others),
#else
	.decl = ambient_declarations_,
	.decl_len = sizeof(ambient_declarations_),
#endif
	.options = options,
	.create = FIXTURE == NO_CREATE ? NULL : create,
	.reconcilers = reconcilers,
	.servers = servers,
};
