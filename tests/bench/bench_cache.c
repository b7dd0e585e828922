/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_cache: what a cached object costs.  20,000 objects of 1.8 KB go into a store as a list does it, plain and packed, and
 * the same with only=metadata, as an API server sends it then: memory that is allocated for each, everything counted, and the processor time to store and to read one.  Prints a table; asserts
 * nothing.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/cache/cache_priv.h"

#define OBJECTS 20000

static size_t
allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* A session as the platform has them, with a text of its own in the prompt, as people's are. */
static void
session(struct am_buf *out, int i, int rv)
{
	char uid[37];
	unsigned char noise[96];

	am_uuid4(uid);
	am_random(noise, sizeof(noise));
	am_buf_reset(out);
	am_buf_addf(out, "{\"apiVersion\":\"vteam.ambient-code/v1alpha1\",\"kind\":\"AgenticSession\",\"metadata\":{\"name\":\"session-%06d\","
			 "\"namespace\":\"team-%d\",\"uid\":\"%s\",\"resourceVersion\":\"%d\",\"generation\":2,\"creationTimestamp\":"
			 "\"2026-01-01T%02d:%02d:%02dZ\",\"labels\":{\"app.kubernetes.io/name\":\"session\",\"team\":\"team-%d\"}},"
			 "\"spec\":{\"initialPrompt\":\"Look at issue %d, find out why it fails and mend it. ", i, i % 50, uid, rv,
			 i / 3600 % 24, i / 60 % 60, i % 60, i % 50, i * 7);
	am_base64_encode(out, noise, sizeof(noise), true);
	am_buf_addf(out, "\",\"repos\":[{\"url\":\"https://git.example.com/team-%d/repo-%d.git\",\"branch\":\"main\"}],\"interactive\":false,"
			 "\"timeout\":300,\"llmSettings\":{\"model\":\"sonnet\",\"temperature\":0.7,\"maxTokens\":4000},\"userContext\":{"
			 "\"userId\":\"user-%d\",\"displayName\":\"User Number %d\",\"groups\":[\"devs\",\"team-%d\"]}},\"status\":{\"phase\":\"Completed\","
			 "\"startTime\":\"2026-01-01T%02d:%02d:%02dZ\",\"jobName\":\"session-%06d-job\",\"conditions\":[", i % 50, i % 300,
		    i % 900, i % 900, i % 50, i / 3600 % 24, i / 60 % 60, i % 60, i);
	for (int c = 0; c < 4; c++)
		am_buf_addf(out, "%s{\"type\":\"%s\",\"status\":\"True\",\"reason\":\"AsExpected\",\"message\":\"step %d of the run is through\","
				 "\"observedGeneration\":2,\"lastTransitionTime\":\"2026-01-01T%02d:%02d:%02dZ\"}", c > 0 ? "," : "",
			    (const char *[]){ "Prepared", "Started", "Finished", "Reported" }[c], c, i / 3600 % 24, i / 60 % 60, (i + c) % 60);
	am_buf_adds(out, "],\"result\":{\"summary\":\"");
	while (out->len < 1780)
		am_buf_adds(out, "the tests pass; ");
	am_buf_adds(out, "\"}}}");
}

/* The object as it is sent. */
static void
make(struct am_buf *out, int i, int rv, const struct am_projection *projection)
{
	struct am_buf all = { 0 };

	session(projection != NULL ? &all : out, i, rv);
	if (projection == NULL)
		return;
	am_buf_reset(out);
	am_projection_apply(projection, am_slice(all.data, all.len), out);
	am_buf_fini(&all);
}

static void
measure(const char *how, bool packed, const struct am_projection *projection)
{
	struct am_store *store = am_store_new(am_clock_real());
	struct am_buf text = { 0 };
	struct am_object *object;
	size_t before = allocated(), bytes = 0;
	clock_t spent = 0;

	if (packed)
		am_store_set_packed(store, 256);
	am_store_replace_begin(store);
	for (int i = 0; i < OBJECTS; i++) {
		make(&text, i, 1000 + i, projection);
		bytes += text.len;
		clock_t t = clock();
		am_assert(am_object_new(text.data, text.len, &object, NULL) == 0);
		am_store_upsert(store, object, true, NULL, NULL);
		am_object_unref(object);
		spent += clock() - t;
	}
	am_store_replace_end(store, "99999999", NULL, NULL);
	am_buf_fini(&text);
	size_t held = allocated() - before;
	clock_t t = clock();
	for (int i = 0; i < OBJECTS; i++) {
		char ns[16], name[32];

		(void)snprintf(ns, sizeof(ns), "team-%d", i % 50);
		(void)snprintf(name, sizeof(name), "session-%06d", i);
		object = am_store_get(store, ns, name);
		am_assert(object != NULL);
		am_object_unref(object);
	}
	t = clock() - t;
	/* The same list again, each object at a new version: the most that is allocated on the way. */
	size_t peak = 0;
	struct am_buf again = { 0 };
	am_store_replace_begin(store);
	for (int i = 0; i < OBJECTS; i++) {
		make(&again, i, 2000000 + i, projection);
		am_assert(am_object_new(again.data, again.len, &object, NULL) == 0);
		am_store_upsert(store, object, false, NULL, NULL);
		am_object_unref(object);
		if (i % 100 == 0)
			peak = AM_MAX(peak, allocated() - before);
	}
	am_store_replace_end(store, "999999999", NULL, NULL);
	am_buf_fini(&again);
	(void)printf("%-15s %5zu B text, %6zu B of it held, %6zu B allocated for each; store %6.1f us, read %6.1f us; peak of a relist %.3f\n",
		     how, bytes / OBJECTS, am_store_bytes(store) / OBJECTS, held / OBJECTS,
		     (double)spent * 1e6 / CLOCKS_PER_SEC / OBJECTS, (double)t * 1e6 / CLOCKS_PER_SEC / OBJECTS,
		     (double)peak / (double)held);
	am_store_free(store);
}

int
main(void)
{
	struct am_projection *metadata;

	am_assert(am_projection_parse(AM_ONLY_METADATA, &metadata, NULL) == 0);
	for (int i = 0; i < 3; i++) {
		measure("plain", false, NULL);
		measure("packed", true, NULL);
		measure("metadata", false, metadata);
		measure("metadata packed", true, metadata);
	}
	am_projection_free(metadata);
	return 0;
}
