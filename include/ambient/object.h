/* SPDX-License-Identifier: Apache-2.0 */
/*
 * API objects.  An object is immutable and is read by JSON Pointer (RFC 6901); a draft is one object in the
 * making.  Numbers that nobody changed are carried as the text that was received.
 *
 * An object or a draft that came from a call lives until the call ends.  ambient_ref keeps an object beyond
 * it (any thread may then read it) until ambient_unref.  Drafts belong to the thread of their call.
 */
#ifndef AMBIENT_OBJECT_H
#define AMBIENT_OBJECT_H

#include <stddef.h>
#include <stdint.h>

#include <ambient/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	AMBIENT_T_NONE = 0, /* there is no such field */
	AMBIENT_T_NULL,
	AMBIENT_T_BOOL,
	AMBIENT_T_NUMBER,
	AMBIENT_T_STRING,
	AMBIENT_T_ARRAY,
	AMBIENT_T_OBJECT
};

struct ambient_call;
struct ambient_object_api;

/* The open heads let the inline wrappers find the table; what follows them is the daemon's. */
struct ambient_object {
	size_t size;
	const struct ambient_object_api *api;
};
struct ambient_draft {
	size_t size;
	const struct ambient_object_api *api;
};

/* Strings returned are NUL-terminated, unescaped, and live as long as the object they came from. */
struct ambient_object_api {
	size_t size;
	struct ambient_object *(*ref)(const struct ambient_object *obj);
	void (*unref)(struct ambient_object *obj);
	int (*type)(const struct ambient_object *obj, const char *pointer);
	const char *(*str)(const struct ambient_object *obj, const char *pointer, const char *fallback);
	int64_t (*integer)(const struct ambient_object *obj, const char *pointer, int64_t fallback);
	double (*real)(const struct ambient_object *obj, const char *pointer, double fallback);
	int (*boolean)(const struct ambient_object *obj, const char *pointer, int fallback);
	/* Members of an object, elements of an array, bytes of a string; 0 for anything else. */
	size_t (*len)(const struct ambient_object *obj, const char *pointer);
	/* The part at pointer as an object of its own, NULL when absent. */
	const struct ambient_object *(*at)(const struct ambient_object *obj, const char *pointer);
	/* The i-th element of the array, or value of the object, at pointer; *key (may be NULL) gets its name. */
	const struct ambient_object *(*item)(const struct ambient_object *obj, const char *pointer, size_t i,
					     const char **key);
	/* The JSON text of the part at pointer (whole object: ""); *len may be NULL.  NULL when absent. */
	const char *(*json)(const struct ambient_object *obj, const char *pointer, size_t *len);
	/* Parses text (copied).  call may be NULL: then the object is the caller's, ambient_unref frees it. */
	int (*parse)(struct ambient_call *call, const char *text, size_t len,
		     const struct ambient_object **ret, struct ambient_error *err);

	/* Drafts.  kind is "v1/configmaps" or "group/version/plural"; ns is NULL or "" for cluster scope. */
	struct ambient_draft *(*draft_new)(struct ambient_call *call, const char *kind, const char *ns,
					   const char *name);
	struct ambient_draft *(*draft_from)(struct ambient_call *call, const char *kind,
					    const struct ambient_object *obj);
	/* Setters make missing parents as objects; "/a/-" appends.  A failure sticks to the draft and is
	 * reported by the verb that sends it, so that setters need no check of their own. */
	void (*set_str)(struct ambient_draft *draft, const char *pointer, const char *value);
	void (*set_int)(struct ambient_draft *draft, const char *pointer, int64_t value);
	void (*set_bool)(struct ambient_draft *draft, const char *pointer, int value);
	void (*set_json)(struct ambient_draft *draft, const char *pointer, const char *text, size_t len);
	void (*set_object)(struct ambient_draft *draft, const char *pointer, const struct ambient_object *value);
	void (*unset)(struct ambient_draft *draft, const char *pointer);
	/* What the draft looks like now. */
	const struct ambient_object *(*draft_view)(struct ambient_draft *draft);
};

static inline struct ambient_object *
ambient_ref(const struct ambient_object *o) { return o->api->ref(o); }
static inline void
ambient_unref(struct ambient_object *o) { if (o != NULL) o->api->unref(o); }
static inline int
ambient_type(const struct ambient_object *o, const char *p) { return o->api->type(o, p); }
static inline const char *
ambient_str(const struct ambient_object *o, const char *p, const char *fallback) { return o->api->str(o, p, fallback); }
static inline int64_t
ambient_int(const struct ambient_object *o, const char *p, int64_t fallback) { return o->api->integer(o, p, fallback); }
static inline double
ambient_real(const struct ambient_object *o, const char *p, double fallback) { return o->api->real(o, p, fallback); }
static inline int
ambient_bool(const struct ambient_object *o, const char *p, int fallback) { return o->api->boolean(o, p, fallback); }
static inline size_t
ambient_len(const struct ambient_object *o, const char *p) { return o->api->len(o, p); }
static inline const struct ambient_object *
ambient_at(const struct ambient_object *o, const char *p) { return o->api->at(o, p); }
static inline const struct ambient_object *
ambient_item(const struct ambient_object *o, const char *p, size_t i, const char **key) { return o->api->item(o, p, i, key); }
static inline const char *
ambient_json(const struct ambient_object *o, const char *p, size_t *len) { return o->api->json(o, p, len); }

static inline void
ambient_draft_set_str(struct ambient_draft *d, const char *p, const char *v) { if (d != NULL) d->api->set_str(d, p, v); }
static inline void
ambient_draft_set_int(struct ambient_draft *d, const char *p, int64_t v) { if (d != NULL) d->api->set_int(d, p, v); }
static inline void
ambient_draft_set_bool(struct ambient_draft *d, const char *p, int v) { if (d != NULL) d->api->set_bool(d, p, v); }
static inline void
ambient_draft_set_json(struct ambient_draft *d, const char *p, const char *text) { if (d != NULL) d->api->set_json(d, p, text, strlen(text)); }
static inline void
ambient_draft_set_object(struct ambient_draft *d, const char *p, const struct ambient_object *v) { if (d != NULL) d->api->set_object(d, p, v); }
static inline void
ambient_draft_unset(struct ambient_draft *d, const char *p) { if (d != NULL) d->api->unset(d, p); }
static inline const struct ambient_object *
ambient_draft_view(struct ambient_draft *d) { return d != NULL ? d->api->draft_view(d) : NULL; }

#ifdef __cplusplus
}
#endif
#endif
