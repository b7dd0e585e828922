/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the expression language share: tree, types, values, functions.  Trees and types belong to the
 * arena of the program; values to the arena of the run, which has a limit: whoever allocates there may get NULL and
 * then returns cel_exceeded().
 */
#ifndef AM_APISERVER_CEL_PRIV_H
#define AM_APISERVER_CEL_PRIV_H

#include "core/base/clock.h"
#include "core/base/str.h"
#include "plugins/standalone/apiserver/cel.h"
#include "plugins/standalone/apiserver/schema_priv.h"

#define CEL_MAX_TEXT  65536 /* of an expression */
#define CEL_MAX_DEPTH 200   /* of its tree */
#define CEL_MAX_NEST  64    /* of its brackets: what the parser's stack holds */
#define CEL_MAX_NODES 20000
#define CEL_MAX_SLOTS 64    /* variables in sight at one place */
#define CEL_MAX_ARGS  8     /* of a function; literals may have more */

#define CEL_REQUEST_MAX 3145728 /* bytes that estimates take an object to have at most, whatever this server's limit is */

#define CEL_TIME_MIN     INT64_C(-62135596800) /* year 1 */
#define CEL_TIME_MAX     INT64_C(253402300799) /* year 9999 */

/* ---- types ---- */

struct cel_type {
	enum cel_kind kind;
	const struct cel_type *a, *b;   /* LIST, OPTIONAL, TYPE: a; MAP: key a, value b */
	const struct am_schema *schema; /* OBJECT, and where a LIST or MAP comes from one */
	bool root;                      /* OBJECT: has the metadata of a resource */
	int param;                      /* PARAM: 0 or 1 */
};

extern const struct cel_type cel_simple[CEL_KINDS]; /* those that need no more than their kind */

/* ---- values ---- */

struct cel_value;

struct cel_list {
	size_t n;
	const struct cel_value *items;
	const struct am_schema *schema; /* of the array, or NULL; says how it compares */
};

struct cel_entry;

struct cel_map {
	size_t n;
	const struct cel_entry *entries;
	struct am_map *index; /* key's text -> entry, for large ones; owned by the run */
};

struct cel_object {
	const struct am_node *node;
	const struct am_schema *schema; /* NULL: nothing is known of its members */
	bool root;
};

struct cel_net {
	unsigned char address[16]; /* IPv4 in the first four */
	int family;                /* 4, 6 */
	int prefix;                /* -1: an address */
};

struct cel_url {
	struct am_slice text, scheme, host, path, query;
};

__extension__ typedef __int128 cel_nano;

struct cel_value {
	enum cel_kind kind;
	union {
		bool b;
		int64_t i;        /* INT; DURATION in ns; TIMESTAMP: seconds */
		uint64_t u;
		double d;
		struct am_slice s; /* STRING, BYTES, ERROR */
		const struct cel_list *list;
		const struct cel_map *map;
		const struct cel_object *object;
		const struct cel_type *type;
		const struct cel_value *optional; /* NULL: none */
		const cel_nano *quantity;
		const struct cel_net *net;
		const struct cel_url *url;
		const struct cel_format *format;
		const struct cel_semver *semver;
	};
	int32_t nsec; /* TIMESTAMP */
};

struct cel_entry {
	struct cel_value key, value;
};

/* ---- the tree ---- */

enum cel_op { CEL_CONST, CEL_IDENT, CEL_VAR, CEL_SELECT, CEL_HAS, CEL_CALL, CEL_INDEX, CEL_LIST_LITERAL,
	      CEL_MAP_LITERAL, CEL_COND, CEL_AND, CEL_OR, CEL_LOOP };
enum cel_loop { CEL_ALL, CEL_EXISTS, CEL_EXISTS_ONE, CEL_EXISTS_ONE2, CEL_MAP_EACH, CEL_FILTER, CEL_OPT_MAP,
		CEL_OPT_FLAT_MAP, CEL_TRANSFORM_LIST, CEL_TRANSFORM_MAP, CEL_SORT_BY };

struct cel_expr {
	enum cel_op op;
	uint32_t at;               /* byte in the text, for messages */
	bool optional;             /* SELECT, INDEX: .? and [?] */
	bool method;               /* CALL: args[0] is the receiver */
	enum cel_loop loop;
	const char *name;          /* IDENT, SELECT, HAS, CALL; LOOP: the variable */
	const char *name2;         /* LOOP: the second variable or NULL */
	const char *field;         /* SELECT, HAS on an object: the property as the schema names it */
	const bool *optionals;     /* literals: which elements or keys have a question mark; NULL: none */
	const struct cel_type *type;
	const struct cel_fn *const *fns; /* CALL: overloads that may apply, ended by NULL */
	pcre2_code *code;          /* CALL of matches and friends with a constant pattern */
	struct cel_value value;    /* CONST */
	uint32_t slot;             /* VAR; LOOP: of its first variable */
	uint32_t depth;
	uint32_t n;
	struct cel_expr **args;    /* MAP_LITERAL: keys and values in turn; LOOP: range, [condition,] body */
};

/* ---- functions ---- */

typedef struct cel_value cel_fn_f(struct cel_run *run, const struct cel_expr *e, const struct cel_value *args);

/* sig: argument types, '>' and the result, one letter each (see cel_type.c); a receiver stands before a '.'. */
struct cel_fn {
	const char *name, *sig;
	cel_fn_f *fn;
};

extern const struct cel_fn cel_core_fns[], cel_convert_fns[], cel_text_fns[], cel_list_fns[], cel_time_fns[],
	cel_net_fns[], cel_quantity_fns[], cel_format_fns[], cel_printf_fns[], cel_semver_fns[];

struct cel_program {
	struct cel_expr *root;
	bool uses_old, optional_old;
	const struct am_schema *self;
	bool self_root;
	const struct cel_type *type;
};

/* cel_lex.c */
enum cel_token { CEL_T_END, CEL_T_NAME, CEL_T_VALUE, CEL_T_OP, CEL_T_BAD };
struct cel_lexer {
	struct am_arena *arena;
	struct am_slice text;
	size_t at;              /* where the next token begins */
	enum cel_token token;   /* the present one */
	size_t token_at;
	char op[3];             /* OP */
	const char *name;       /* NAME */
	struct cel_value value; /* VALUE */
	const char *problem;    /* BAD */
};
void cel_lex(struct cel_lexer *lexer);
size_t cel_utf8_put(char out[4], uint32_t rune);

/* cel_parse.c: NULL with problem. */
struct cel_expr *cel_parse(struct am_arena *arena, struct am_slice text, struct am_buf *problem);
/* "ERROR: <input>:1:5: text", the line, and a mark below the place. */
void cel_complain(struct am_buf *problem, struct am_slice text, size_t at, const char *fmt, ...) am_printf_(4, 5);

/* cel_type.c */
const struct cel_type *cel_type_new(struct am_arena *arena, enum cel_kind kind, const struct cel_type *a,
				    const struct cel_type *b);
const struct cel_type *cel_type_of_schema(struct am_arena *arena, const struct am_schema *schema, bool root);
void cel_type_print(const struct cel_type *type, struct am_buf *out);
/* By the name that expressions use, e.g. "int"; NULL. */
const struct cel_type *cel_type_named(const char *name);
const char *cel_kind_name(enum cel_kind kind);
bool cel_type_equal(const struct cel_type *a, const struct cel_type *b);
/* Whether a value of type from can stand where to is wanted; bound are the two type parameters. */
bool cel_assign(const struct cel_type *to, const struct cel_type *from, const struct cel_type *bound[2]);
const struct cel_type *cel_substitute(struct am_arena *arena, const struct cel_type *type,
				      const struct cel_type *const bound[2]);
/* Takes the next type off a signature. */
const struct cel_type *cel_sig_type(struct am_arena *arena, const char **sig);
size_t cel_sig_args(const char *sig, bool *method);
bool cel_sig_letter(char letter, enum cel_kind kind);
/* Whether a value may be this argument, by kinds only. */
bool cel_sig_takes(const char *sig, const struct cel_value *args);
/* Makes the properties findable by the names that expressions have for them. */
void cel_index(struct am_arena *arena, struct am_schema *schema);
/* apiVersion, kind and metadata, which every resource has; NULL. */
const struct am_schema *cel_of_resource(const char *name);
/* Whether a property of that name has an escaped name besides. */
bool cel_reserved(const char *name);
const struct am_schema *cel_field(const struct am_schema *schema, bool root, const char *name, const char **ret_field);

/* cel_check.c */
bool cel_check(const struct cel_compile *with, struct am_slice text, struct cel_expr *root, bool *uses_old,
	       struct am_buf *problem);

/* ---- evaluating ---- */

struct cel_run {
	struct am_arena *arena;
	uint64_t cost, limit;
	bool exceeded;
	struct cel_value slots[CEL_MAX_SLOTS];
	struct cel_value result;
	struct am_map *memo;    /* node -> what it was turned into */
	struct am_map **indexes;
	size_t n_indexes, cap_indexes;
	struct am_matcher matcher;
	struct am_buf text;
};

/* cel_eval.c */
struct cel_value cel_eval(struct cel_run *run, const struct cel_expr *e);
struct cel_value cel_exceeded(struct cel_run *run);
static inline bool
cel_charge(struct cel_run *run, uint64_t cost)
{
	run->cost += cost;
	return run->cost <= run->limit;
}
/* What looking once at n bytes costs. */
static inline uint64_t
cel_scan_cost(size_t n)
{
	return n / 10 + (n % 10 != 0);
}

/* cel_value.c */
struct cel_value cel_error(struct cel_run *run, const char *fmt, ...) am_printf_(2, 3);
struct cel_value cel_no_overload(void);
struct cel_value cel_string(struct cel_run *run, const char *p, size_t n); /* copies */
struct cel_value cel_buf_string(struct cel_run *run, struct am_buf *buf);  /* takes what is in buf */
struct cel_value cel_some(struct cel_run *run, struct cel_value value);
struct cel_value cel_list_of(struct cel_run *run, const struct cel_value *items, size_t n);
struct cel_value *cel_items(struct cel_run *run, size_t n);                /* NULL: exceeded */
struct cel_value cel_map_of(struct cel_run *run, const struct cel_entry *entries, size_t n);
struct cel_value cel_from_node(struct cel_run *run, const struct am_node *node, const struct am_schema *schema, bool root);
const struct cel_entry *cel_map_find(const struct cel_map *map, const struct cel_value *key);
/* 1, 0, or -1 when the costs are exceeded. */
int cel_equal(struct cel_run *run, const struct cel_value *a, const struct cel_value *b);
/* -2: they have no order; NaN gives 2. */
int cel_compare(const struct cel_value *a, const struct cel_value *b);
bool cel_same_elements(const struct cel_list *list); /* all of one kind */
void cel_print(const struct cel_value *value, struct am_buf *out);
static inline struct cel_value
cel_bool(bool b) { return (struct cel_value){ .kind = CEL_BOOL, .b = b }; }
static inline struct cel_value
cel_int(int64_t i) { return (struct cel_value){ .kind = CEL_INT, .i = i }; }
static inline struct cel_value
cel_uint(uint64_t u) { return (struct cel_value){ .kind = CEL_UINT, .u = u }; }
static inline struct cel_value
cel_double(double d) { return (struct cel_value){ .kind = CEL_DOUBLE, .d = d }; }
static inline struct cel_value
cel_null(void) { return (struct cel_value){ .kind = CEL_NULL }; }
static inline struct cel_value
cel_none(void) { return (struct cel_value){ .kind = CEL_OPTIONAL, .optional = NULL }; }
static inline bool
cel_failed(struct cel_value v) { return v.kind == CEL_ERROR; }

/* cel_time.c */
int cel_time_parse(struct am_slice text, struct cel_value *ret);     /* RFC 3339; 0 or -1 */
int cel_duration_parse(struct am_slice text, int64_t *ret);          /* "1h30m", "-1.5s" */
void cel_time_print(const struct cel_value *value, struct am_buf *out);
void cel_duration_print(int64_t ns, struct am_buf *out);

/* cel_text.c */
size_t cel_runes(struct am_slice text);
void cel_double_print(double d, struct am_buf *out);                 /* shortest that reads back equal */

/* cel_net.c */
bool cel_url_ok(struct am_slice text);

/* cel_semver.c: -1, 0, 1 */
int cel_semver_order(const struct cel_semver *a, const struct cel_semver *b);

/* cel_list.c: items in the order of their keys; an error when these have none. */
struct cel_value cel_sort_by(struct cel_run *run, const struct cel_list *list, const struct cel_value *keys);

/* cel_printf.c: whether a literal list literally fits a literal text. */
bool cel_printf_check(const struct cel_expr *text, const struct cel_expr *list, struct am_buf *problem);

#endif
