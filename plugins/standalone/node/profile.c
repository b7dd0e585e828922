/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seccomp profile of a file, as runtimes read them (the OCI's "linux.seccomp", and docker's form of it), made into a
 * filter.  Invariants: what is not understood is refused with a sentence and never left out, but for the names of
 * system calls that this machine does not have, which need no rule; rules for who has a capability are left out, since
 * no container has one.
 */
#include "node.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_SECCOMP
#include <ctype.h>
#include <seccomp.h>
#include <sys/utsname.h>

#define RULES_MAX 4096
#define ERRNO_MAX 4095
#define ARGS_MAX  6

struct compiler {
	scmp_filter_ctx ctx;
	uint32_t fallback;       /* what happens to calls that no rule names */
	struct utsname machine;
	int rules;
	char *problem;
	size_t size;
};

static int __attribute__((format(printf, 2, 3)))
fail(struct compiler *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->problem, c->size, fmt, ap);
	va_end(ap);
	return -1;
}

static bool
has_word(const struct ambient_object *o, const char *list, const char *word)
{
	for (size_t i = 0; i < ambient_len(o, list); i++)
		if (strcmp(ambient_str(ambient_item(o, list, i, NULL), "", ""), word) == 0)
			return true;
	return false;
}

/* ---- values ---- */

/* at: of the errno that goes with the action; absent: EPERM. */
static int
action_of(struct compiler *c, const char *name, const struct ambient_object *o, const char *at, uint32_t *ret)
{
	static const struct { const char *name; uint32_t action; } all[] = {
		{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW }, { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) }, { "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
		{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD }, { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
		{ "SCMP_ACT_LOG", SCMP_ACT_LOG }, { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) }, { "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	};
	int64_t error = ambient_type(o, at) <= AMBIENT_T_NULL ? EPERM : ambient_int(o, at, -1);

	if (error < 0 || error > ERRNO_MAX)
		return fail(c, "%s is no number from 0 to %d", at + 1, ERRNO_MAX);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(all[i].name, name) != 0)
			continue;
		*ret = all[i].action;
		if (*ret == SCMP_ACT_ERRNO(0) || *ret == SCMP_ACT_TRACE(0))
			*ret |= (uint32_t)error;
		return 0;
	}
	if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
		return fail(c, "SCMP_ACT_NOTIFY needs a program that answers, which this node does not have");
	return fail(c, "unknown action \"%.60s\"", name);
}

/* Beyond what int64_t holds, too. */
static bool
number(const struct ambient_object *o, const char *at, uint64_t *ret)
{
	char text[32], *end;
	size_t n = 0;
	const char *json = ambient_json(o, at, &n);

	*ret = 0;
	if (json == NULL)
		return true;
	if (n == 0 || n >= sizeof(text) || !isdigit((unsigned char)json[0]))
		return false;
	memcpy(text, json, n);
	text[n] = '\0';
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

static int
argument(struct compiler *c, const struct ambient_object *o, struct scmp_arg_cmp *ret)
{
	static const struct { const char *name; enum scmp_compare op; } all[] = {
		{ "SCMP_CMP_NE", SCMP_CMP_NE }, { "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_LE", SCMP_CMP_LE },
		{ "SCMP_CMP_EQ", SCMP_CMP_EQ }, { "SCMP_CMP_GE", SCMP_CMP_GE }, { "SCMP_CMP_GT", SCMP_CMP_GT },
		{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	};
	const char *op = ambient_str(o, "/op", "");
	int64_t index = ambient_int(o, "/index", -1);
	uint64_t a, b;

	if (index < 0 || index >= ARGS_MAX || !number(o, "/value", &a) || !number(o, "/valueTwo", &b))
		return fail(c, "an argument has an index from 0 to %d, and values that are numbers", ARGS_MAX - 1);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].name, op) == 0) {
			*ret = (struct scmp_arg_cmp){ (unsigned)index, all[i].op, a, b };
			return 0;
		}
	return fail(c, "unknown operator \"%.60s\"", op);
}

/* ---- rules ---- */

static int
rule(struct compiler *c, uint32_t action, const char *name, const struct scmp_arg_cmp *args, unsigned n)
{
	int call = seccomp_syscall_resolve_name(name), rc;

	if (call == __NR_SCMP_ERROR)
		return 0;
	if (++c->rules > RULES_MAX)
		return fail(c, "it has more than %d rules", RULES_MAX);
	rc = seccomp_rule_add_array(c->ctx, action, call, n, args);
	return rc == 0 || rc == -EEXIST ? 0 : fail(c, "no rule can be made for \"%.60s\": %s", name, strerror(-rc));
}

/* Conditions on several arguments hold together; several on one argument are alternatives, as every runtime reads them. */
static int
rules(struct compiler *c, uint32_t action, const char *name, const struct scmp_arg_cmp *args, unsigned n)
{
	bool twice = false;
	int rc = 0;

	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < i; k++)
			twice = twice || args[i].arg == args[k].arg;
	if (!twice)
		return rule(c, action, name, args, n);
	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = rule(c, action, name, &args[i], 1);
	return rc;
}

/* "4.8": is this kernel that new? */
static bool
kernel_has(const struct compiler *c, const char *version)
{
	int want[2] = { 0, 0 }, have[2] = { 0, 0 };

	(void)sscanf(version, "%d.%d", &want[0], &want[1]);
	(void)sscanf(c->machine.release, "%d.%d", &have[0], &have[1]);
	return have[0] > want[0] || (have[0] == want[0] && have[1] >= want[1]);
}

/* docker's conditions for whole entries. */
static bool
applies(const struct compiler *c, const struct ambient_object *entry)
{
	const char *arch = machine_arch(&c->machine), *since = ambient_str(entry, "/includes/minKernel", NULL),
		   *until = ambient_str(entry, "/excludes/minKernel", NULL);

	if (ambient_len(entry, "/includes/caps") > 0 || has_word(entry, "/excludes/arches", arch))
		return false;
	if (ambient_len(entry, "/includes/arches") > 0 && !has_word(entry, "/includes/arches", arch))
		return false;
	return (since == NULL || kernel_has(c, since)) && (until == NULL || !kernel_has(c, until));
}

static int
entry_add(struct compiler *c, const struct ambient_object *entry)
{
	const char *one = ambient_str(entry, "/name", NULL);
	struct scmp_arg_cmp args[ARGS_MAX * 4];
	size_t n = ambient_len(entry, "/args");
	uint32_t action;
	int rc = action_of(c, ambient_str(entry, "/action", ""), entry, "/errnoRet", &action);

	if (rc == 0 && n > sizeof(args) / sizeof(args[0]))
		rc = fail(c, "it has an entry with more than %zu arguments", sizeof(args) / sizeof(args[0]));
	if (rc == 0 && one == NULL && ambient_len(entry, "/names") == 0)
		rc = fail(c, "it has an entry without names");
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = argument(c, ambient_item(entry, "/args", i, NULL), &args[i]);
	/* libseccomp takes no rule that says what holds anyway. */
	if (rc < 0 || action == c->fallback || !applies(c, entry))
		return rc;
	if (one != NULL)
		rc = rules(c, action, one, args, (unsigned)n);
	for (size_t i = 0; i < ambient_len(entry, "/names") && rc == 0; i++)
		rc = rules(c, action, ambient_str(ambient_item(entry, "/names", i, NULL), "", ""), args, (unsigned)n);
	return rc;
}

/* ---- the whole ---- */

/* "SCMP_ARCH_X86_64", which libseccomp calls "x86_64". */
static int
arch_of(struct compiler *c, const char *name, uint32_t *ret)
{
	char lower[32] = "";

	if (strncmp(name, "SCMP_ARCH_", 10) == 0)
		(void)snprintf(lower, sizeof(lower), "%s", name + 10);
	for (char *p = lower; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	*ret = strcmp(lower, "native") == 0 ? seccomp_arch_native() : seccomp_arch_resolve_name(lower);
	return *ret != 0 ? 0 : fail(c, "unknown architecture \"%.60s\"", name);
}

static int
arch_add(struct compiler *c, const char *name)
{
	uint32_t arch;
	int rc;

	if (arch_of(c, name, &arch) < 0)
		return -1;
	rc = seccomp_arch_add(c->ctx, arch);
	return rc == 0 || rc == -EEXIST ? 0 : fail(c, "architecture \"%.60s\" cannot be added: %s", name, strerror(-rc));
}

static int
arches_add(struct compiler *c, const struct ambient_object *profile)
{
	int rc = 0;

	for (size_t i = 0; i < ambient_len(profile, "/architectures") && rc == 0; i++)
		rc = arch_add(c, ambient_str(ambient_item(profile, "/architectures", i, NULL), "", ""));
	for (size_t i = 0; i < ambient_len(profile, "/archMap") && rc == 0; i++) {
		const struct ambient_object *map = ambient_item(profile, "/archMap", i, NULL);
		uint32_t arch;

		rc = arch_of(c, ambient_str(map, "/architecture", ""), &arch);
		/* Its siblings count for the machine's own architecture only. */
		for (size_t k = 0; k < ambient_len(map, "/subArchitectures") && rc == 0 && arch == seccomp_arch_native(); k++)
			rc = arch_add(c, ambient_str(ambient_item(map, "/subArchitectures", k, NULL), "", ""));
	}
	return rc;
}

static int
compile(struct compiler *c, const struct ambient_object *profile, const char *to)
{
	int rc = action_of(c, ambient_str(profile, "/defaultAction", ""), profile, "/defaultErrnoRet", &c->fallback);

	if (rc < 0)
		return rc;
	c->ctx = seccomp_init(c->fallback);
	if (c->ctx == NULL)
		return fail(c, "out of memory");
	rc = arches_add(c, profile);
	if (rc == 0)
		(void)seccomp_attr_set(c->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < ambient_len(profile, "/syscalls") && rc == 0; i++)
		rc = entry_add(c, ambient_item(profile, "/syscalls", i, NULL));
	if (rc == 0) {
		rc = seccomp_write(c->ctx, to);
		if (rc < 0)
			rc = fail(c, "cannot write its filter: %s",
				  rc == -E2BIG ? "it has more instructions than the kernel takes" : strerror(-rc));
	}
	seccomp_release(c->ctx);
	return rc;
}

int
profile_compile(const struct node *node, const struct text *json, const char *to, char *problem, size_t size)
{
	struct compiler c = { .problem = problem, .size = size };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct ambient_object *profile;
	int rc;

	problem[0] = '\0';
	(void)uname(&c.machine);
	if (node->host->object->parse(NULL, text_str(json), json->len, &profile, &err) < 0)
		return fail(&c, "it is no JSON: %.150s", err.message);
	rc = ambient_type(profile, "") == AMBIENT_T_OBJECT ? compile(&c, profile, to) : fail(&c, "it is no JSON object");
	ambient_unref((struct ambient_object *)(uintptr_t)profile);
	return rc;
}
#else
int
profile_compile(const struct node *node, const struct text *json, const char *to, char *problem, size_t size)
{
	(void)snprintf(problem, size, "this node is built without libseccomp");
	return -1;
}
#endif
