/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation.  Steps are counted much as Kubernetes counts cost: one for a name, a member and a call, more for what
 * looks at long texts and lists.  When the limit is passed everything unwinds with exceeded set.  An error is a value:
 * && and || forget it when the other side decides, everything else passes it on.
 */
#include <stdlib.h>

#include "core/base/map.h"
#include "plugins/standalone/apiserver/cel_priv.h"

#define RUN_MEMORY ((size_t)48 << 20)

/* ---- members ---- */

/* Sets *there; an error only for what has no members. */
static struct cel_value
member(struct cel_run *run, const struct cel_expr *e, const struct cel_value *of, bool *there)
{
	struct cel_value key = { .kind = CEL_STRING, .s = am_slice_of(e->name) };

	*there = false;
	if (of->kind == CEL_MAP) {
		const struct cel_entry *entry = cel_map_find(of->map, &key);

		*there = entry != NULL;
		return entry != NULL ? entry->value : cel_null();
	}
	if (of->kind == CEL_OBJECT) {
		const char *field = e->field != NULL ? e->field : e->name;
		const struct am_schema *schema = of->object->schema == NULL ? NULL :
			cel_field(of->object->schema, of->object->root, e->name, &field);
		const struct am_node *node = schema != NULL ? am_node_get(of->object->node, field) : NULL;

		/* A member is found by looking through all; the schema bounds only those that it knows. */
		if (!cel_charge(run, of->object->node->count / 64))
			return cel_exceeded(run);
		*there = node != NULL;
		return node != NULL ? cel_from_node(run, node, schema, schema->embedded) : cel_null();
	}
	return cel_no_overload();
}

static struct cel_value
eval_select(struct cel_run *run, const struct cel_expr *e)
{
	struct cel_value of = cel_eval(run, e->args[0]), ret;
	bool optional = e->optional || of.kind == CEL_OPTIONAL, there;

	if (cel_failed(of))
		return of;
	if (!cel_charge(run, 1))
		return cel_exceeded(run);
	if (of.kind == CEL_OPTIONAL) {
		if (of.optional == NULL)
			return e->op == CEL_HAS ? cel_bool(false) : of;
		of = *of.optional;
	}
	ret = member(run, e, &of, &there);
	if (cel_failed(ret))
		return ret;
	if (e->op == CEL_HAS)
		return cel_bool(there);
	if (optional)
		return there ? cel_some(run, ret) : cel_none();
	return there ? ret : cel_error(run, "no such key: %s", e->name);
}

static struct cel_value
key_error(struct cel_run *run, const struct cel_value *key)
{
	struct am_buf text = { .max = 1024 };

	if (key->kind == CEL_STRING)
		am_buf_add(&text, key->s.p, AM_MIN(key->s.n, (size_t)512));
	else
		cel_print(key, &text);
	struct cel_value ret = cel_error(run, "no such key: %s", am_buf_str(&text));
	am_buf_fini(&text);
	return ret;
}

static bool
whole_index(const struct cel_value *key, int64_t *ret)
{
	*ret = key->i;
	if (key->kind == CEL_UINT)
		return *ret = key->u > INT64_MAX ? INT64_MAX : (int64_t)key->u, true;
	if (key->kind == CEL_DOUBLE && key->d >= -1e15 && key->d <= 1e15 && key->d == (double)(int64_t)key->d)
		return *ret = (int64_t)key->d, true;
	return key->kind == CEL_INT;
}

static struct cel_value
eval_index(struct cel_run *run, const struct cel_expr *e)
{
	struct cel_value of = cel_eval(run, e->args[0]), key = cel_failed(of) ? of : cel_eval(run, e->args[1]);
	bool optional = e->optional || of.kind == CEL_OPTIONAL;
	int64_t at;

	if (cel_failed(key))
		return key;
	if (!cel_charge(run, 1))
		return cel_exceeded(run);
	if (of.kind == CEL_OPTIONAL) {
		if (of.optional == NULL)
			return of;
		of = *of.optional;
	}
	if (of.kind == CEL_LIST) {
		if (!whole_index(&key, &at))
			return cel_no_overload();
		if (at >= 0 && (uint64_t)at < of.list->n)
			return optional ? cel_some(run, of.list->items[at]) : of.list->items[at];
		return optional ? cel_none() : cel_error(run, "index out of bounds: %lld", (long long)at);
	}
	if (of.kind == CEL_OBJECT && key.kind == CEL_STRING) {
		const struct cel_expr as_member = { .name = key.s.p };
		bool there;
		struct cel_value ret = member(run, &as_member, &of, &there);

		if (cel_failed(ret) || there)
			return !cel_failed(ret) && optional ? cel_some(run, ret) : ret;
		return optional ? cel_none() : key_error(run, &key);
	}
	if (of.kind != CEL_MAP)
		return cel_no_overload();
	const struct cel_entry *entry = cel_map_find(of.map, &key);
	if (entry != NULL)
		return optional ? cel_some(run, entry->value) : entry->value;
	return optional ? cel_none() : key_error(run, &key);
}

/* ---- literals ---- */

/* The element itself, or with a question mark what its optional holds; *skip: nothing. */
static struct cel_value
element(struct cel_run *run, const struct cel_expr *e, size_t i, bool optional, bool *skip)
{
	struct cel_value v = cel_eval(run, e->args[i]);

	*skip = false;
	if (!optional || cel_failed(v))
		return v;
	if (v.kind != CEL_OPTIONAL)
		return cel_no_overload();
	*skip = v.optional == NULL;
	return *skip ? v : *v.optional;
}

static struct cel_value
eval_list(struct cel_run *run, const struct cel_expr *e)
{
	struct cel_value *items = cel_items(run, e->n);
	size_t n = 0;

	if (items == NULL || !cel_charge(run, 10))
		return cel_exceeded(run);
	for (size_t i = 0; i < e->n; i++) {
		bool skip;
		struct cel_value v = element(run, e, i, e->optionals != NULL && e->optionals[i], &skip);

		if (cel_failed(v))
			return v;
		if (!skip)
			items[n++] = v;
	}
	return cel_list_of(run, items, n);
}

static bool
can_be_key(const struct cel_value *v)
{
	return v->kind == CEL_STRING || v->kind == CEL_INT || v->kind == CEL_UINT || v->kind == CEL_BOOL ||
	       v->kind == CEL_DOUBLE;
}

static struct cel_value
eval_map(struct cel_run *run, const struct cel_expr *e)
{
	struct cel_entry *entries = am_arena_zalloc(run->arena, (e->n / 2 + 1) * sizeof(*entries));
	size_t n = 0;

	if (entries == NULL || !cel_charge(run, 30))
		return cel_exceeded(run);
	for (size_t i = 0; i < e->n; i += 2) {
		bool skip;
		struct cel_value key = cel_eval(run, e->args[i]);
		struct cel_value v = cel_failed(key) ? key :
			element(run, e, i + 1, e->optionals != NULL && e->optionals[i], &skip);

		if (cel_failed(v))
			return v;
		if (!can_be_key(&key))
			return cel_error(run, "unsupported key type");
		if (skip)
			continue;
		/* The last of equal keys holds. */
		struct cel_map so_far = { .n = n, .entries = entries };
		const struct cel_entry *same = cel_map_find(&so_far, &key);
		entries[same != NULL ? (size_t)(same - entries) : n++] = (struct cel_entry){ key, v };
	}
	return cel_map_of(run, entries, n);
}

/* ---- logic ---- */

static struct cel_value
eval_junction(struct cel_run *run, const struct cel_expr *e)
{
	struct cel_value first = { .kind = CEL_BOOL }, v;
	bool failed = false, deciding = e->op == CEL_OR;

	for (size_t i = 0; i < e->n; i++) {
		v = cel_eval(run, e->args[i]);
		if (run->exceeded)
			return v;
		if (v.kind == CEL_BOOL && v.b == deciding)
			return v;
		if (v.kind != CEL_BOOL && !failed) {
			failed = true;
			first = cel_failed(v) ? v : cel_no_overload();
		}
	}
	return failed ? first : cel_bool(!deciding);
}

static struct cel_value
eval_condition(struct cel_run *run, const struct cel_expr *e)
{
	struct cel_value v = cel_eval(run, e->args[0]);

	if (cel_failed(v))
		return v;
	if (v.kind != CEL_BOOL)
		return cel_no_overload();
	return cel_eval(run, e->args[v.b ? 1 : 2]);
}

/* ---- calls ---- */

static struct cel_value
eval_call(struct cel_run *run, const struct cel_expr *e)
{
	struct cel_value args[CEL_MAX_ARGS];

	for (size_t i = 0; i < e->n; i++) {
		args[i] = cel_eval(run, e->args[i]);
		if (cel_failed(args[i]))
			return args[i];
	}
	if (!cel_charge(run, 1))
		return cel_exceeded(run);
	for (size_t i = 0; e->fns[i] != NULL; i++)
		if (cel_sig_takes(e->fns[i]->sig, args)) {
			struct cel_value ret = e->fns[i]->fn(run, e, args);

			return run->exceeded || !cel_charge(run, 0) ? cel_exceeded(run) : ret;
		}
	return cel_no_overload();
}

/* ---- loops ---- */

struct loop {
	const struct cel_expr *e;
	const struct cel_expr *condition, *body;
	struct cel_value *items;    /* of the list that it makes */
	struct cel_entry *entries;  /* of the map that it makes */
	size_t n, hits;
	struct cel_value failure;   /* all, exists: the first error, while nothing decides */
	bool failed, decided;
};

/* Works on one element, whose variables are set; an error or a decision ends the loop. */
static struct cel_value
loop_step(struct cel_run *run, struct loop *l, const struct cel_value *key, const struct cel_value *item)
{
	struct cel_value v;

	if (l->condition != NULL) {
		v = cel_eval(run, l->condition);
		if (v.kind != CEL_BOOL)
			return cel_failed(v) ? v : cel_no_overload();
		if (!v.b)
			return v;
	}
	v = cel_eval(run, l->body);
	switch (l->e->loop) {
	case CEL_MAP_EACH:
	case CEL_TRANSFORM_LIST:
	case CEL_SORT_BY:
		if (!cel_failed(v))
			l->items[l->n++] = v;
		return v;
	case CEL_TRANSFORM_MAP:
		if (!cel_failed(v))
			l->entries[l->n++] = (struct cel_entry){ *key, v };
		return v;
	default:
		break;
	}
	if (run->exceeded)
		return v;
	if (l->e->loop == CEL_ALL || l->e->loop == CEL_EXISTS) {
		l->decided = v.kind == CEL_BOOL && v.b == (l->e->loop == CEL_EXISTS);
		if (v.kind != CEL_BOOL && !l->failed) {
			l->failed = true;
			l->failure = cel_failed(v) ? v : cel_no_overload();
		}
		return cel_bool(true);
	}
	if (v.kind != CEL_BOOL)
		return cel_failed(v) ? v : cel_no_overload();
	l->hits += v.b;
	if (v.b && l->e->loop == CEL_FILTER)
		l->items[l->n++] = *item;
	return v;
}

static struct cel_value
loop_result(struct cel_run *run, const struct loop *l)
{
	switch (l->e->loop) {
	case CEL_ALL:
	case CEL_EXISTS:
		if (l->decided)
			return cel_bool(l->e->loop == CEL_EXISTS);
		return l->failed ? l->failure : cel_bool(l->e->loop == CEL_ALL);
	case CEL_EXISTS_ONE:
	case CEL_EXISTS_ONE2:
		return cel_bool(l->hits == 1);
	case CEL_TRANSFORM_MAP:
		return cel_map_of(run, l->entries, l->n);
	default:
		return cel_list_of(run, l->items, l->n);
	}
}

static struct cel_value
loop_over(struct cel_run *run, struct loop *l, const struct cel_value *range)
{
	size_t n = range->kind == CEL_LIST ? range->list->n : range->map->n;

	if (l->e->loop >= CEL_MAP_EACH) {
		l->items = cel_items(run, n);
		l->entries = l->e->loop == CEL_TRANSFORM_MAP ? am_arena_alloc(run->arena, (n + 1) * sizeof(*l->entries)) : NULL;
		if (l->items == NULL || (l->e->loop == CEL_TRANSFORM_MAP && l->entries == NULL))
			return cel_exceeded(run);
	}
	for (size_t i = 0; i < n && !l->decided; i++) {
		bool list = range->kind == CEL_LIST;
		struct cel_value key = list ? cel_int((int64_t)i) : range->map->entries[i].key;
		struct cel_value value = list ? range->list->items[i] : range->map->entries[i].value;
		bool two = l->e->name2 != NULL;

		if (!cel_charge(run, 1))
			return cel_exceeded(run);
		run->slots[l->e->slot] = two || !list ? key : value;
		if (two)
			run->slots[l->e->slot + 1] = value;
		struct cel_value v = loop_step(run, l, &key, two || !list ? &key : &value);
		if (cel_failed(v))
			return v;
	}
	return l->e->loop == CEL_SORT_BY ? cel_sort_by(run, range->list, l->items) : loop_result(run, l);
}

static struct cel_value
eval_opt_map(struct cel_run *run, const struct cel_expr *e, const struct cel_value *range)
{
	if (range->kind != CEL_OPTIONAL)
		return cel_no_overload();
	if (range->optional == NULL)
		return *range;
	run->slots[e->slot] = *range->optional;
	struct cel_value v = cel_eval(run, e->args[1]);
	if (cel_failed(v) || e->loop == CEL_OPT_MAP)
		return cel_failed(v) ? v : cel_some(run, v);
	return v.kind == CEL_OPTIONAL ? v : cel_no_overload();
}

static struct cel_value
eval_loop(struct cel_run *run, const struct cel_expr *e)
{
	struct cel_value range = cel_eval(run, e->args[0]);
	struct loop l = { .e = e, .condition = e->n == 3 ? e->args[1] : NULL, .body = e->args[e->n - 1] };

	if (cel_failed(range))
		return range;
	if (e->loop == CEL_OPT_MAP || e->loop == CEL_OPT_FLAT_MAP)
		return eval_opt_map(run, e, &range);
	if (range.kind != CEL_LIST && (range.kind != CEL_MAP || e->loop == CEL_SORT_BY))
		return cel_no_overload();
	return loop_over(run, &l, &range);
}

struct cel_value
cel_eval(struct cel_run *run, const struct cel_expr *e)
{
	if (run->exceeded)
		return cel_exceeded(run);
	switch (e->op) {
	case CEL_CONST:
		return e->value;
	case CEL_VAR:
		return cel_charge(run, 1) ? run->slots[e->slot] : cel_exceeded(run);
	case CEL_SELECT:
	case CEL_HAS:
		return eval_select(run, e);
	case CEL_CALL:
		return eval_call(run, e);
	case CEL_INDEX:
		return eval_index(run, e);
	case CEL_LIST_LITERAL:
		return eval_list(run, e);
	case CEL_MAP_LITERAL:
		return eval_map(run, e);
	case CEL_COND:
		return eval_condition(run, e);
	case CEL_AND:
	case CEL_OR:
		return eval_junction(run, e);
	case CEL_LOOP:
		return eval_loop(run, e);
	default:
		return cel_no_overload(); /* names are variables by now */
	}
}

/* ---- programs and runs ---- */

const struct cel_program *
cel_compile(const struct cel_compile *with, struct am_slice text, struct am_buf *problem)
{
	struct cel_program *program = am_arena_zalloc(with->arena, sizeof(*program));
	/* The literals point into the text. */
	const char *copy = am_arena_strndup(with->arena, text.p, text.n);

	am_assert(program != NULL && copy != NULL);
	program->root = cel_parse(with->arena, am_slice(copy, text.n), problem);
	if (program->root == NULL || !cel_check(with, am_slice(copy, text.n), program->root, &program->uses_old, problem))
		return NULL;
	program->type = program->root->type;
	program->self = with->self;
	program->self_root = with->root;
	program->optional_old = with->optional_old;
	return program;
}

enum cel_kind
cel_program_kind(const struct cel_program *program)
{
	return program->type->kind;
}

bool
cel_program_uses_old(const struct cel_program *program)
{
	return program->uses_old;
}

static void
reset(struct cel_run *run)
{
	for (size_t i = 0; i < run->n_indexes; i++)
		am_map_free(run->indexes[i]);
	run->n_indexes = 0;
	am_map_free(run->memo);
	run->memo = NULL;
}

struct cel_run *
cel_run_new(void)
{
	struct cel_run *run = am_xcalloc(1, sizeof(*run));

	run->arena = am_arena_new_limited(RUN_MEMORY);
	return run;
}

void
cel_run_free(struct cel_run *run)
{
	if (run == NULL)
		return;
	reset(run);
	free((void *)run->indexes);
	am_matcher_fini(&run->matcher);
	am_buf_fini(&run->text);
	am_arena_free(run->arena);
	free(run);
}

static struct cel_value
old_value(struct cel_run *run, const struct am_node *old, const struct cel_program *program)
{
	if (old == NULL)
		return program->optional_old ? cel_none() : cel_null();
	struct cel_value v = cel_from_node(run, old, program->self, program->self_root);
	return program->optional_old ? cel_some(run, v) : v;
}

void
cel_run_eval(struct cel_run *run, const struct cel_program *program, const struct am_node *self,
	     const struct am_node *old, uint64_t limit, struct cel_outcome *outcome)
{
	reset(run);
	am_arena_reset(run->arena);
	run->memo = am_map_new();
	run->cost = 0;
	run->limit = limit;
	run->exceeded = false;
	run->slots[0] = cel_from_node(run, self, program->self, program->self_root);
	run->slots[1] = old_value(run, old, program);
	run->result = cel_eval(run, program->root);
	if (run->exceeded || run->cost > limit)
		run->result = cel_exceeded(run);
	*outcome = (struct cel_outcome){ .kind = run->result.kind, .exceeded = run->exceeded, .cost = run->cost };
	if (run->result.kind == CEL_BOOL)
		outcome->truth = run->result.b;
	else if (run->result.kind == CEL_STRING || run->result.kind == CEL_ERROR)
		outcome->text = run->result.s;
}

void
cel_run_print(const struct cel_run *run, struct am_buf *out)
{
	cel_print(&run->result, out);
}
