/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of watches as they go over the wire, each made once for all the watches that want it in the same form.  The last
 * few are kept: watches that are awake follow the same events at the same time.  What is kept pins its object and its
 * resource, so that comparing pointers is enough to know them again.
 *
 * Invariants: at most KEPT texts and KEPT_BYTES are kept; a text lives as long as somebody holds it, and never changes.
 * Threads: rest_text_event is for the HTTP thread alone; a text may be released anywhere.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

#define KEPT       32
#define KEPT_BYTES ((size_t)4 * 1024 * 1024)

struct kept {
	struct am_object *object;
	const struct am_resource *res;
	struct rest_text_form form;
	enum am_event_type type;
	int64_t second;         /* a Table says how old things are */
	struct rest_text *text; /* NULL: the place is free */
};

struct rest_texts {
	struct kept kept[KEPT];
	size_t newest, bytes;
	uint64_t made;
};

struct rest_texts *
rest_texts_new(void)
{
	return am_xcalloc(1, sizeof(struct rest_texts));
}

static void
drop(struct rest_texts *texts, size_t at)
{
	struct kept *k = &texts->kept[at];

	if (k->text == NULL)
		return;
	texts->bytes -= k->text->len;
	am_object_unref(k->object);
	am_resource_unref(k->res);
	rest_text_unref(k->text);
	k->text = NULL;
}

void
rest_texts_free(struct rest_texts *texts)
{
	for (size_t i = 0; texts != NULL && i < KEPT; i++)
		drop(texts, i);
	free(texts);
}

uint64_t
rest_texts_made(const struct rest_texts *texts)
{
	return texts->made;
}

struct rest_text *
rest_text_of(struct am_buf *buf)
{
	struct rest_text *text = buf->failed ? NULL : malloc(sizeof(*text) + buf->len);

	if (text != NULL) {
		atomic_init(&text->refs, 1);
		text->len = buf->len;
		memcpy(text->data, buf->data, buf->len);
	}
	am_buf_fini(buf);
	return text;
}

void
rest_text_unref(struct rest_text *text)
{
	if (text != NULL && atomic_fetch_sub(&text->refs, 1) == 1)
		free(text);
}

static bool
is_it(const struct kept *k, const struct rest_text_form *form, const struct am_resource *res, const struct am_event *event,
      int64_t second)
{
	return k->text != NULL && k->object == event->object && k->type == event->type && k->res == res &&
	       k->form.form == form->form && k->form.columns == form->columns && k->second == second &&
	       strcmp(k->form.include_object, form->include_object) == 0;
}

static struct rest_text *
render(struct rest_server *server, const struct rest_text_form *form, const struct am_resource *res,
       const struct am_event *event)
{
	static const char *const types[] = { "ADDED", "MODIFIED", "DELETED" };
	struct am_buf out = { 0 };

	am_buf_addf(&out, "{\"type\":\"%s\",\"object\":", types[event->type]);
	rest_render(server, form->form, form->include_object, res, event->object, form->columns, &out);
	am_buf_adds(&out, "}\n");
	return rest_text_of(&out);
}

static void
keep(struct rest_texts *texts, const struct kept *k)
{
	texts->newest = (texts->newest + 1) % KEPT;
	drop(texts, texts->newest);
	texts->bytes += k->text->len;
	for (size_t i = 1; i < KEPT && texts->bytes > KEPT_BYTES; i++)
		drop(texts, (texts->newest + i) % KEPT);
	am_object_ref(k->object);
	am_resource_ref(k->res);
	atomic_fetch_add(&k->text->refs, 1);
	texts->kept[texts->newest] = *k;
}

struct rest_text *
rest_text_event(struct rest_server *server, const struct rest_text_form *form, const struct am_resource *res,
		const struct am_event *event)
{
	struct rest_texts *texts = server->texts;
	int64_t second = form->form == REST_TABLE ? am_clock_wall(server->clock) / AM_NS_PER_S : 0;

	for (size_t i = 0; i < KEPT; i++) {
		const struct kept *k = &texts->kept[(texts->newest + KEPT - i) % KEPT];
		if (!is_it(k, form, res, event, second))
			continue;
		atomic_fetch_add(&k->text->refs, 1);
		return k->text;
	}
	struct kept k = { event->object, res, *form, event->type, second, render(server, form, res, event) };
	texts->made++;
	if (k.text != NULL && k.text->len <= KEPT_BYTES)
		keep(texts, &k);
	return k.text;
}
