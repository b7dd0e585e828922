/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API server may answer to a list or a watch: framing, events, objects, the store.  The first byte says which of
 * the two the rest is, the second in pieces of what size it arrives.  Afterwards the store must be whole: every object is
 * JSON and has a name, and what an index finds is what the store has.
 */
#include <string.h>

#include "core/base/log.h"
#include "core/cache/cache_priv.h"
#include "core/data/scan.h"
#include "tests/lib/fake_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
feed(struct am_io *io, const char *p, size_t n, size_t piece)
{
	const struct fake_request *request = fake_io_last(io);

	fake_io_head(io, 200);
	while (n > 0 && request->open) {
		size_t take = AM_MIN(n, piece);

		fake_io_data_n(io, p, take);
		p += take;
		n -= take;
	}
	if (request->open)
		fake_io_end(io);
}

static void
check_object(const struct am_object *object)
{
	am_assert(am_json_check(object->json.p, object->json.n, NULL) == 0);
	am_assert(object->name[0] != '\0' && strchr(object->name, '/') == NULL);
}

static void
check_store(struct am_store *store)
{
	struct am_objects all, found;
	size_t indexed = 0;

	am_assert(am_store_list(store, &(struct am_store_query){ 0 }, &all, NULL) == 0);
	am_assert(all.count == am_store_count(store));
	for (size_t i = 0; i < all.count; i++) {
		check_object(all.items[i]);
		am_assert(am_store_list(store, &(struct am_store_query){ .index = "name", .value = all.items[i]->name,
			  .ns = all.items[i]->ns }, &found, NULL) == 0);
		indexed += found.count;
		am_objects_fini(&found);
	}
	am_assert(indexed >= all.count);
	am_objects_fini(&all);
}

static void
on_change(void *arg, const struct am_change *change)
{
	am_assert(change->before != NULL || change->after != NULL);
	if (change->before != NULL)
		check_object(change->before);
	if (change->after != NULL)
		check_object(change->after);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char list[] = "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"5\"},\"items\":["
				   "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"5\"}}]}";
	struct am_clock *clock = am_clock_fake_new();
	struct am_io *io = fake_io_new(clock);
	struct am_store *store = am_store_new(clock);
	struct am_reflector_options options = { .path = "/api/v1/pods", .api_version = "v1", .change = on_change,
						.stream = size > 0 && (data[0] & 2) != 0 };
	struct am_reflector *reflector = am_reflector_new(io, store, &options);

	am_log_set_level(0);
	(void)am_store_add_index(store, "name", "/metadata/name", NULL);
	am_reflector_start(reflector);
	if (size >= 2) {
		if (data[0] % 2 == 0 && !options.stream)
			fake_io_answer(io, 200, list);
		feed(io, (const char *)data + 2, size - 2, 1 + data[1] % 100);
		check_store(store);
		/* It has to come back from whatever it was told. */
		for (int i = 0; i < 5; i++) {
			if (fake_io_open(io) == 0)
				(void)fake_io_next_timer(io);
			if (!fake_io_last(io)->watch && fake_query(fake_io_last(io)->path, "continue") == NULL) {
				fake_io_answer(io, 200, list);
				am_assert(am_store_count(store) == 1);
				break;
			}
			fake_io_answer(io, fake_query(fake_io_last(io)->path, "sendInitialEvents") != NULL ? 422 : 410, "");
		}
	}
	am_reflector_free(reflector);
	fake_io_free(io);
	am_store_free(store);
	am_clock_fake_free(clock);
	return 0;
}
