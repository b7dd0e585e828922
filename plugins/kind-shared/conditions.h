/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conditions of a kind whose reconciler keeps its status in a struct: read once, changed by many hands, written as a
 * whole.  (One that sets a condition now and then has <ambient/helpers.h>.)  Compiled into each plugin that uses it: they
 * link nothing of ours.
 */
#ifndef KIND_SHARED_CONDITIONS_H
#define KIND_SHARED_CONDITIONS_H

#include <stdarg.h>
#include <stdbool.h>

#include <ambient/ambient.h>

enum kc_truth { KC_UNSET, KC_FALSE, KC_TRUE, KC_UNKNOWN };

struct kc_cond {
	enum kc_truth status;
	char reason[64];
	char message[512];
	char since[40];        /* lastTransitionTime */
	int64_t generation;
};

/* src as far as it fits, without half a character at its end. */
void kc_copy(char *dst, size_t size, const char *src);
bool kc_time_parse(const char *text, int64_t *ret_ns);
/* all[i] becomes the condition of types[i]; those of other types are left out. */
void kc_load(struct kc_cond *all, const char *const *types, size_t n, const struct ambient_object *object);
/* `since` becomes now_ns only when the status is another. */
void kc_set(struct kc_cond *cond, enum kc_truth status, int64_t now_ns, int64_t generation, const char *reason, const char *fmt,
	    va_list ap) __attribute__((format(printf, 6, 0)));
void kc_put(struct ambient_draft *draft, const struct kc_cond *all, const char *const *types, size_t n);

#endif
