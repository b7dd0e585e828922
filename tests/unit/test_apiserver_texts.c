/* SPDX-License-Identifier: Apache-2.0 */
/* What watches send: each event is made once per form, however many watches want it, and what is kept stays bounded. */
#include "plugins/standalone/apiserver/rest.h"
#include "tests/unit/apiserver.h"

struct desk {
	struct fixture f;
	struct rest_server server;
	const struct am_resource *res;
};

static void
open_desk(struct desk *d)
{
	memset(d, 0, sizeof(*d));
	d->f.clock = am_clock_fake_new();
	fixture_open(&d->f);
	d->server = (struct rest_server){ .engine = d->f.engine, .clock = d->f.clock, .texts = rest_texts_new() };
	d->res = resource(&d->f, "v1/configmaps");
}

static void
close_desk(struct desk *d)
{
	rest_texts_free(d->server.texts);
	am_resource_unref(d->res);
	fixture_close(&d->f);
}

static struct rest_text *
text(struct desk *d, enum rest_form form, bool columns, struct am_object *object)
{
	struct rest_text_form f = { form, columns, "Metadata" };
	struct am_event event = { AM_EVENT_ADDED, object->rv, object };
	struct rest_text *t = rest_text_event(&d->server, &f, d->res, &event);

	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->data[t->len - 1], '\n');
	ck_assert(am_json_check(t->data, t->len - 1, NULL) == 0);
	return t;
}

START_TEST(one_text_for_all_watches_of_a_form)
{
	static const enum rest_form forms[] = { REST_PLAIN, REST_PARTIAL, REST_TABLE };
	struct desk d;

	open_desk(&d);
	ck_assert_int_eq(create(&d.f, "v1/configmaps", "default", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}"), 201);
	for (size_t i = 0; i < AM_COUNTOF(forms); i++) {
		struct rest_text *first = text(&d, forms[i], false, d.f.written.object);
		for (int watch = 0; watch < 1000; watch++) {
			struct rest_text *again = text(&d, forms[i], false, d.f.written.object);
			ck_assert_ptr_eq(again, first);
			rest_text_unref(again);
		}
		rest_text_unref(first);
		ck_assert_uint_eq(rest_texts_made(d.server.texts), i + 1);
	}
	/* The first event of a Table's watch has the columns. */
	struct rest_text *bare = text(&d, REST_TABLE, false, d.f.written.object), *whole = text(&d, REST_TABLE, true, d.f.written.object);
	ck_assert_uint_gt(whole->len, bare->len);
	rest_text_unref(bare);
	rest_text_unref(whole);
	close_desk(&d);
}
END_TEST

START_TEST(a_table_grows_old)
{
	struct desk d;

	open_desk(&d);
	ck_assert_int_eq(create(&d.f, "v1/configmaps", "default", "{\"metadata\":{\"name\":\"a\"}}"), 201);
	struct rest_text *young = text(&d, REST_TABLE, false, d.f.written.object), *plain = text(&d, REST_PLAIN, false, d.f.written.object);
	am_clock_fake_advance(d.f.clock, 90 * AM_NS_PER_S);
	struct rest_text *old = text(&d, REST_TABLE, false, d.f.written.object), *same = text(&d, REST_PLAIN, false, d.f.written.object);
	ck_assert_ptr_ne(young, old);
	ck_assert_ptr_eq(plain, same);
	ck_assert(memmem(old->data, old->len, "\"90s\"", 5) != NULL);
	rest_text_unref(young);
	rest_text_unref(old);
	rest_text_unref(plain);
	rest_text_unref(same);
	close_desk(&d);
}
END_TEST

/* Objects of a megabyte: a few are kept, and the ones that went are made anew when they are wanted. */
START_TEST(what_is_kept_is_bounded)
{
	struct desk d;
	struct am_object *objects[8];
	char *big = am_xcalloc(1, 1000001);

	memset(big, 'x', 1000000);
	open_desk(&d);
	for (size_t i = 0; i < AM_COUNTOF(objects); i++) {
		ck_assert_int_eq(create(&d.f, "v1/configmaps", "default", "{\"metadata\":{\"name\":\"big-%zu\"},\"data\":{\"k\":\"%s\"}}",
					i, big), 201);
		objects[i] = am_object_ref(d.f.written.object);
		rest_text_unref(text(&d, REST_PLAIN, false, objects[i]));
	}
	ck_assert_uint_eq(rest_texts_made(d.server.texts), AM_COUNTOF(objects));
	rest_text_unref(text(&d, REST_PLAIN, false, objects[7]));
	ck_assert_uint_eq(rest_texts_made(d.server.texts), AM_COUNTOF(objects));
	rest_text_unref(text(&d, REST_PLAIN, false, objects[0]));
	ck_assert_uint_eq(rest_texts_made(d.server.texts), AM_COUNTOF(objects) + 1);
	for (size_t i = 0; i < AM_COUNTOF(objects); i++)
		am_object_unref(objects[i]);
	free(big);
	close_desk(&d);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, one_text_for_all_watches_of_a_form);
	tcase_add_test(tc, a_table_grows_old);
	tcase_add_test(tc, what_is_kept_is_bounded);
}

UNIT_MAIN("apiserver_texts", cases)
