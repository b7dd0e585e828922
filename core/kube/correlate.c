/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of an event, by client-go's rules:
 *
 * - said again word for word: the count of the one that is there goes up;
 * - ten different texts for the same object, type and reason, each within 10 minutes of the one before: from then
 *   on one combined event counts them;
 * - an object may say 25 things at once and one more each 5 minutes; the rest is dropped.
 *
 * Three caches of at most 4096 entries, forgotten in the order of their last use.  Keys are keyed hashes of what
 * identifies the entry: names come from outside and may be long.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/base/map.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/kube/kube_priv.h"

#define CACHE_MAX     4096
#define SIMILAR_MAX   10
#define SIMILAR_NS    (600 * AM_NS_PER_S)
#define SPAM_BURST    25
#define SPAM_QPS      (1.0 / 300.0)
#define NAME_MAX_LEN  253
#define MESSAGE_MAX   1024
#define COMBINED      "(combined from similar events): "

struct am_correlator {
	struct am_map *similar;     /* struct similar by object, type, reason */
	struct am_map *seen;        /* struct seen by that and the message; or by that alone when combined */
	struct am_map *spam;        /* struct am_rate by object */
};

struct similar {
	uint64_t messages[SIMILAR_MAX];
	int count;
	int64_t last;
};

struct seen {
	char *name;
	int64_t first_wall;
	int64_t count;
};

struct key {
	char text[17];
};

static void
free_seen(void *value)
{
	struct seen *seen = value;

	free(seen->name);
	free(seen);
}

struct am_correlator *
am_correlator_new(void)
{
	struct am_correlator *correlator = am_xcalloc(1, sizeof(*correlator));

	correlator->similar = am_map_new_owning(free);
	correlator->seen = am_map_new_owning(free_seen);
	correlator->spam = am_map_new_owning(free);
	return correlator;
}

void
am_correlator_free(struct am_correlator *correlator)
{
	if (correlator == NULL)
		return;
	am_map_free(correlator->similar);
	am_map_free(correlator->seen);
	am_map_free(correlator->spam);
	free(correlator);
}

/* The entry, made the most recently used; a zeroed one when there is none.  When there are too many, the oldest
 * eighth goes at once: one by one, each would be looked for over the holes that the others left. */
static void *
use(struct am_map *map, const struct key *key, size_t size, bool *fresh)
{
	void *value = am_map_take(map, key->text);

	*fresh = value == NULL;
	if (value == NULL)
		value = am_xcalloc(1, size);
	if (am_map_len(map) >= CACHE_MAX) {
		const char *oldest = NULL;
		size_t it = 0;

		for (int i = 0; i < CACHE_MAX / 8 && am_map_next(map, &it, &oldest, NULL); i++)
			(void)am_map_del(map, oldest);
	}
	am_map_put(map, key->text, value);
	return value;
}

static struct key
make_key(const struct am_buf *buf)
{
	struct key key;

	(void)snprintf(key.text, sizeof(key.text), "%016" PRIx64, am_hash(am_buf_str(buf), buf->len));
	return key;
}

/* Each part with its length, so that two different rows of parts are two different texts. */
static void
add_part(struct am_buf *buf, struct am_slice part)
{
	am_buf_addf(buf, "%zu:", part.n);
	am_buf_add(buf, part.p, part.n);
}

/* Who it is about.  The resource version is left out: it changes with every write. */
static void
add_object(struct am_buf *buf, struct am_slice involved)
{
	static const char *const parts[] = { "/apiVersion", "/kind", "/namespace", "/name", "/uid", "/fieldPath" };

	for (size_t i = 0; i < AM_COUNTOF(parts); i++) {
		struct am_slice value = { 0 };

		(void)am_json_find(involved, parts[i], &value);
		add_part(buf, value);
	}
}

/* Whether this message makes it (at least) ten different ones lately. */
static bool
is_combined(struct am_correlator *correlator, const struct key *key, const struct am_sighting *seen)
{
	bool fresh;
	struct similar *similar = use(correlator->similar, key, sizeof(*similar), &fresh);
	uint64_t message = am_hash(seen->message, strlen(seen->message));
	int at = 0;

	if (seen->boot - similar->last > SIMILAR_NS)
		similar->count = 0;
	similar->last = seen->boot;
	while (at < similar->count && similar->messages[at] != message)
		at++;
	if (at == similar->count)
		similar->messages[similar->count++] = message;
	if (similar->count < SIMILAR_MAX)
		return false;
	similar->count--; /* stays at the limit: the next new one combines too */
	return true;
}

static bool
is_spam(struct am_correlator *correlator, const struct key *key, int64_t now)
{
	bool fresh;
	struct am_rate *rate = use(correlator->spam, key, sizeof(*rate), &fresh);

	if (fresh)
		am_rate_init(rate, SPAM_QPS, SPAM_BURST, now);
	if (am_rate_reserve(rate, now) == 0)
		return false;
	am_rate_return(rate);
	return true;
}

/* Cuts at a boundary of UTF-8. */
static char *
shorten(const char *prefix, const char *text)
{
	char *out = am_xasprintf("%s%s", prefix, text);
	size_t n = strlen(out);

	if (n > MESSAGE_MAX) {
		n = MESSAGE_MAX;
		while (n > 0 && ((unsigned char)out[n] & 0xC0) == 0x80)
			n--;
		out[n] = '\0';
	}
	return out;
}

bool
am_correlator_see(struct am_correlator *correlator, const struct am_sighting *in, struct am_verdict *ret)
{
	am_auto(am_buf_fini) struct am_buf buf = { 0 };
	bool fresh;

	add_object(&buf, in->involved);
	struct key object = make_key(&buf);
	add_part(&buf, am_slice_of(in->type));
	add_part(&buf, am_slice_of(in->reason));
	struct key group = make_key(&buf);
	add_part(&buf, am_slice_of(in->message));
	struct key single = make_key(&buf);

	bool combined = is_combined(correlator, &group, in);
	struct seen *seen = use(correlator->seen, combined ? &group : &single, sizeof(*seen), &fresh);
	if (fresh) {
		char suffix[20];
		int n = snprintf(suffix, sizeof(suffix), ".%" PRIx64, (uint64_t)in->wall);

		seen->name = am_xasprintf("%.*s%s", NAME_MAX_LEN - n, in->name, suffix);
		seen->first_wall = in->wall;
	}
	seen->count++;
	if (is_spam(correlator, &object, in->boot))
		return false;
	*ret = (struct am_verdict){
		.name = am_xstrdup(seen->name), .message = shorten(combined ? COMBINED : "", in->message),
		.first_wall = seen->first_wall, .count = seen->count,
	};
	return true;
}

void
am_verdict_fini(struct am_verdict *verdict)
{
	free(verdict->name);
	free(verdict->message);
}
