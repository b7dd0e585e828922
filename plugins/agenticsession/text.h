/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text in the making.  A failure sticks and is reported when the text is taken. */
#ifndef AGENTICSESSION_TEXT_H
#define AGENTICSESSION_TEXT_H

#include <ambient/ambient.h>

struct text {
	char *p;
	size_t len, cap;
	int failed;
};
#define TEXT_INIT { NULL, 0, 0, 0 }

/* %s string with quotes (NULL: null), %j raw text, %o an object's text, %d int64_t, %b int as bool, %% percent;
 * everything else is copied. */
void text_add(struct text *t, const char *fmt, ...);
void text_fini(struct text *t);
/* Parses the text into an object of the call and frees it. */
int text_object(struct text *t, struct ambient_call *call, const struct ambient_object **ret, struct ambient_error *err);

#endif
