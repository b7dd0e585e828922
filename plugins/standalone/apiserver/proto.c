/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf bodies of builtin kinds to JSON.  Clients in Go send them without being able to fall back; answers are
 * always JSON.  The wire is checked before it is read: lengths lie inside their message, numbers are complete, depth
 * is bounded.  Unknown fields are dropped, as a server that is older than its client does.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/proto.h"
#include "plugins/standalone/apiserver/rest.h"

#define DEPTH_MAX 48

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* ---- the wire */

struct wire {
	const unsigned char *p, *end;
};

struct item {
	unsigned number, type;
	uint64_t value;          /* varint and fixed */
	struct wire bytes;
};

static bool
varint(struct wire *w, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && w->p < w->end; shift += 7) {
		unsigned char c = *w->p++;

		v |= (uint64_t)(c & 0x7f) << shift;
		if ((c & 0x80) == 0) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* 1: an item; 0: the end; -1: broken. */
static int
next_item(struct wire *w, struct item *item)
{
	uint64_t tag, n;

	if (w->p == w->end)
		return 0;
	if (!varint(w, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911)
		return -1;
	item->number = (unsigned)(tag >> 3);
	item->type = tag & 7;
	switch (item->type) {
	case WIRE_VARINT:
		return varint(w, &item->value) ? 1 : -1;
	case WIRE_64:
	case WIRE_32:
		n = item->type == WIRE_64 ? 8 : 4;
		if ((size_t)(w->end - w->p) < n)
			return -1;
		item->value = 0;
		memcpy(&item->value, w->p, n); /* little endian on the wire and here */
		w->p += n;
		return 1;
	case WIRE_BYTES:
		if (!varint(w, &n) || n > (size_t)(w->end - w->p))
			return -1;
		item->bytes = (struct wire){ w->p, w->p + n };
		w->p += n;
		return 1;
	default:
		return -1;
	}
}

/* The last item of that number, as protobuf wants it; 1, 0, -1. */
static int
find_item(struct wire w, unsigned number, struct item *ret)
{
	struct item item;
	int found = 0, rc;

	while ((rc = next_item(&w, &item)) == 1)
		if (item.number == number) {
			*ret = item;
			found = 1;
		}
	return rc < 0 ? -1 : found;
}

/* ---- values */

struct decoder {
	struct am_buf *out;
	int depth;
};

static int decode_members(struct decoder *d, const struct rest_proto_message *m, struct wire w, bool *first);

static void
add_text(struct am_buf *out, struct wire w)
{
	am_json_add_strn(out, (const char *)w.p, (size_t)(w.end - w.p));
}

/* sec and nanos; false when it is no time at all. */
static int
decode_time(struct am_buf *out, struct wire w, bool micro, bool *zero)
{
	struct item sec = { 0 }, nanos = { 0 };
	char text[32];

	if (find_item(w, 1, &sec) < 0 || find_item(w, 2, &nanos) < 0)
		return -1;
	int64_t s = (int64_t)sec.value, n = (int64_t)(int32_t)nanos.value;

	*zero = (s == 0 && n == 0) || s <= INT64_C(-62135596800);
	if (*zero)
		return 0;
	if (s > INT64_C(9000000000) || s < INT64_C(-9000000000) || n < 0 || n > 999999999)
		return -1;
	am_time_format(text, s * AM_NS_PER_S + n, micro);
	am_json_add_str(out, text);
	return 0;
}

/* Types with a JSON form of their own.  1: done, 0: not one of them, -1: broken. */
static int
decode_special(struct am_buf *out, const char *type, struct wire w, bool *zero)
{
	struct item a = { 0 }, b = { 0 };

	if (strcmp(type, "m.Time") == 0 || strcmp(type, "m.MicroTime") == 0)
		return decode_time(out, w, type[2] == 'M', zero) < 0 ? -1 : 1;
	if (strcmp(type, "q.Quantity") == 0) {
		if (find_item(w, 1, &a) < 0 || (a.number != 0 && a.type != WIRE_BYTES))
			return -1;
		if (a.number == 0)
			am_buf_adds(out, "\"0\"");
		else
			add_text(out, a.bytes);
		return 1;
	}
	if (strcmp(type, "q.IntOrString") == 0) {
		if (find_item(w, 1, &a) < 0)
			return -1;
		if (a.value == 1) {
			if (find_item(w, 3, &b) < 0 || (b.number != 0 && b.type != WIRE_BYTES))
				return -1;
			if (b.number == 0)
				am_buf_adds(out, "\"\"");
			else
				add_text(out, b.bytes);
		} else {
			if (find_item(w, 2, &b) < 0)
				return -1;
			am_buf_addf(out, "%d", (int32_t)b.value);
		}
		return 1;
	}
	if (strcmp(type, "m.FieldsV1") == 0 || strcmp(type, "q.RawExtension") == 0 || strcmp(type, "x.JSON") == 0) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		int found = find_item(w, 1, &a);

		if (found < 0 || (found == 1 && (a.type != WIRE_BYTES ||
						 am_json_check((const char *)a.bytes.p, (size_t)(a.bytes.end - a.bytes.p), &err) < 0)))
			return -1;
		*zero = found == 0;
		if (found == 1)
			am_buf_add(out, a.bytes.p, (size_t)(a.bytes.end - a.bytes.p));
		return 1;
	}
	if (strcmp(type, "m.Duration") == 0) {
		if (find_item(w, 1, &a) < 0)
			return -1;
		am_buf_addf(out, "\"%lldns\"", (long long)a.value);
		return 1;
	}
	return 0;
}

static int decode_value(struct decoder *d, const char *type, const struct item *item, bool *zero);

/* Where a schema may stand for something simpler: {1: bool, 2: schema}, {1: schema, 2: schemas}, {1: schema, 2:
 * strings}.  1: done, 0: not one of them, -1: broken. */
static int
decode_choice(struct decoder *d, const char *type, struct wire w)
{
	static const struct {
		const char *type, *list; /* list NULL: a bool */
	} choices[] = {
		{ "x.JSONSchemaPropsOrBool", NULL },
		{ "x.JSONSchemaPropsOrArray", "x.JSONSchemaProps" },
		{ "x.JSONSchemaPropsOrStringArray", "s" },
	};
	struct item item = { 0 };
	bool zero, first = true;
	int rc;

	for (size_t i = 0; i < AM_COUNTOF(choices); i++) {
		if (strcmp(type, choices[i].type) != 0)
			continue;
		rc = find_item(w, choices[i].list == NULL ? 2 : 1, &item);
		if (rc < 0)
			return -1;
		if (rc == 1)
			return decode_value(d, "x.JSONSchemaProps", &item, &zero) < 0 ? -1 : 1;
		if (choices[i].list == NULL) {
			rc = find_item(w, 1, &item);
			am_buf_adds(d->out, rc == 1 && item.value != 0 ? "true" : "false");
			return rc < 0 ? -1 : 1;
		}
		am_buf_addc(d->out, '[');
		while ((rc = next_item(&w, &item)) == 1) {
			if (item.number != 2)
				continue;
			am_buf_adds(d->out, first ? "" : ",");
			first = false;
			if (decode_value(d, choices[i].list, &item, &zero) < 0)
				return -1;
		}
		am_buf_addc(d->out, ']');
		return rc < 0 ? -1 : 1;
	}
	return 0;
}

/* One value of the type.  *zero: it is what an absent one would be. */
static int
decode_value(struct decoder *d, const char *type, const struct item *item, bool *zero)
{
	bool scalar = type[1] == '\0' && strchr("BiId", type[0]) != NULL;

	*zero = false;
	if (scalar) {
		double real;

		if (item->type == WIRE_BYTES)
			return -1;
		*zero = item->value == 0;
		switch (type[0]) {
		case 'B':
			am_buf_adds(d->out, item->value != 0 ? "true" : "false");
			break;
		case 'i':
			am_buf_addf(d->out, "%d", (int32_t)item->value);
			break;
		case 'I':
			am_buf_addf(d->out, "%lld", (long long)item->value);
			break;
		default:
			memcpy(&real, &item->value, sizeof(real));
			am_json_add_double(d->out, real);
		}
		return 0;
	}
	if (item->type != WIRE_BYTES)
		return -1;
	if (strcmp(type, "s") == 0) {
		*zero = item->bytes.p == item->bytes.end;
		add_text(d->out, item->bytes);
		return 0;
	}
	if (strcmp(type, "bytes") == 0) {
		*zero = item->bytes.p == item->bytes.end;
		am_buf_addc(d->out, '"');
		am_base64_encode(d->out, item->bytes.p, (size_t)(item->bytes.end - item->bytes.p), false);
		am_buf_addc(d->out, '"');
		return 0;
	}
	int rc = decode_special(d->out, type, item->bytes, zero);

	if (rc == 0)
		rc = decode_choice(d, type, item->bytes);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	const struct rest_proto_message *m = rest_proto_find(type);
	size_t start = d->out->len;
	bool first = true;

	if (m == NULL || ++d->depth > DEPTH_MAX)
		return -1;
	am_buf_addc(d->out, '{');
	rc = decode_members(d, m, item->bytes, &first);
	am_buf_addc(d->out, '}');
	d->depth--;
	*zero = d->out->len == start + 2;
	return rc;
}

/* ---- fields */

static void
add_key(struct decoder *d, const char *key, bool *first)
{
	if (!*first)
		am_buf_addc(d->out, ',');
	*first = false;
	am_json_add_str(d->out, key);
	am_buf_addc(d->out, ':');
}

static int
decode_repeated(struct decoder *d, const struct rest_proto_field *f, struct wire w, bool *first)
{
	struct item item;
	bool any = false, zero;
	int rc;

	while ((rc = next_item(&w, &item)) == 1) {
		if (item.number != f->number)
			continue;
		if (!any) {
			add_key(d, f->json, first);
			am_buf_addc(d->out, '[');
		} else {
			am_buf_addc(d->out, ',');
		}
		any = true;
		if (decode_value(d, f->type, &item, &zero) < 0)
			return -1;
	}
	if (any)
		am_buf_addc(d->out, ']');
	return rc;
}

static int
decode_map(struct decoder *d, const struct rest_proto_field *f, struct wire w, bool *first)
{
	struct item entry;
	bool any = false, zero;
	int rc;

	while ((rc = next_item(&w, &entry)) == 1) {
		struct item key = { .type = WIRE_BYTES }, value = { .type = WIRE_BYTES };

		if (entry.number != f->number)
			continue;
		if (entry.type != WIRE_BYTES || find_item(entry.bytes, 1, &key) < 0 || key.type != WIRE_BYTES ||
		    find_item(entry.bytes, 2, &value) < 0)
			return -1;
		if (!any) {
			add_key(d, f->json, first);
			am_buf_addc(d->out, '{');
		} else {
			am_buf_addc(d->out, ',');
		}
		any = true;
		add_text(d->out, key.bytes);
		am_buf_addc(d->out, ':');
		if (f->wrapped_list) {
			struct wire values = value.bytes;
			struct item one;
			bool none = true;

			am_buf_addc(d->out, '[');
			while ((rc = next_item(&values, &one)) == 1) {
				if (one.number != 1)
					continue;
				am_buf_adds(d->out, none ? "" : ",");
				none = false;
				if (decode_value(d, f->type, &one, &zero) < 0)
					return -1;
			}
			am_buf_addc(d->out, ']');
			if (rc < 0)
				return -1;
		} else if (decode_value(d, f->type, &value, &zero) < 0) {
			return -1;
		}
	}
	if (any)
		am_buf_addc(d->out, '}');
	return rc;
}

static int
decode_single(struct decoder *d, const struct rest_proto_field *f, struct wire w, bool *first)
{
	struct item item;
	size_t start = d->out->len;
	bool was_first = *first, zero;
	int rc = find_item(w, f->number, &item);

	if (rc <= 0)
		return rc;
	if (f->in_line) {
		const struct rest_proto_message *m = rest_proto_find(f->type);

		if (item.type != WIRE_BYTES || m == NULL || ++d->depth > DEPTH_MAX)
			return -1;
		rc = decode_members(d, m, item.bytes, first);
		d->depth--;
		return rc;
	}
	add_key(d, f->json, first);
	size_t value_at = d->out->len;

	if (decode_value(d, f->type, &item, &zero) < 0)
		return -1;
	/* Nothing was written (an empty time), or a zero that JSON leaves out. */
	if (d->out->len == value_at || (zero && !f->pointer && !f->always)) {
		am_buf_cut(d->out, start);
		*first = was_first;
	}
	return 0;
}

static int
decode_members(struct decoder *d, const struct rest_proto_message *m, struct wire w, bool *first)
{
	const char *at = m->fields;
	struct rest_proto_field f;

	while (rest_proto_next(&at, &f)) {
		int rc;

		if (f.map)
			rc = decode_map(d, &f, w, first);
		else if (f.repeated)
			rc = decode_repeated(d, &f, w, first);
		else
			rc = decode_single(d, &f, w, first);
		if (rc < 0 || d->out->failed)
			return -1;
	}
	return 0;
}

/* ---- the envelope */

static char *
text_of(struct wire w, unsigned number)
{
	struct item item;

	if (find_item(w, number, &item) != 1 || item.type != WIRE_BYTES)
		return am_xstrdup("");
	return am_xstrndup((const char *)item.bytes.p, (size_t)(item.bytes.end - item.bytes.p));
}

int
rest_proto_to_json(const char *data, size_t n, struct am_buf *out, struct ambient_error *err)
{
	static const unsigned char magic[4] = { 'k', '8', 's', 0 };
	struct wire w = { (const unsigned char *)data, (const unsigned char *)data + n };
	struct item meta = { .type = WIRE_BYTES }, raw = { .type = WIRE_BYTES };
	struct decoder d = { out, 0 };
	bool first = false;

	if (n < sizeof(magic) || memcmp(data, magic, sizeof(magic)) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "it does not start as a protobuf object does");
	w.p += sizeof(magic);
	if (find_item(w, 1, &meta) < 0 || find_item(w, 2, &raw) < 0 || meta.type != WIRE_BYTES || raw.type != WIRE_BYTES)
		return ambient_err(err, AMBIENT_E_INVALID, "its envelope is broken");
	char *version = text_of(meta.bytes, 1), *kind = text_of(meta.bytes, 2);
	const struct rest_proto_message *m = rest_proto_of_kind(version, kind);
	int rc;

	if (m == NULL) {
		rc = ambient_err(err, AMBIENT_E_UNSUPPORTED, "protobuf is not understood for %s %s", version, kind);
	} else {
		am_json_addf(out, "{\"kind\":%s,\"apiVersion\":%s", kind, version);
		rc = decode_members(&d, m, raw.bytes, &first);
		am_buf_addc(out, '}');
		if (rc < 0)
			rc = ambient_err(err, AMBIENT_E_INVALID, "the %s in it is broken or too large", kind);
	}
	free(version);
	free(kind);
	return rc;
}
