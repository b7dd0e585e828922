/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in the making, mostly JSON.  A failure sticks and is reported when the text is taken.  Compiled into each plugin that
 * uses it: they link nothing of ours.
 */
#ifndef PLUGINS_SHARED_TEXT_H
#define PLUGINS_SHARED_TEXT_H

#include <ambient/ambient.h>

struct text {
	char *p;
	size_t len, cap;
	int failed;
};
#define TEXT_INIT { NULL, 0, 0, 0 }

void text_put(struct text *t, const char *p, size_t n);
void text_puts(struct text *t, const char *s);
/* As a JSON string, with quotes. */
void text_json(struct text *t, const char *s);
void text_jsonn(struct text *t, const char *s, size_t n);
/* %s string with quotes (NULL: null), %j raw text, %o an object's text, %d int64_t, %b int as bool, %% percent;
 * everything else is copied. */
void text_add(struct text *t, const char *fmt, ...);
void text_fini(struct text *t);
/* Parses the text into an object of the call and frees it. */
int text_object(struct text *t, struct ambient_call *call, const struct ambient_object **ret, struct ambient_error *err);

#endif
