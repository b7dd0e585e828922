/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to JSON over libyaml's events, with limits on everything that an author can blow up, and the way back.
 * Plain scalars are resolved by the JSON schema of YAML 1.2: null, true, false, numbers; the rest are strings.
 */
#include "core/data/yaml.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/base/map.h"

#define DEPTH_MAX   64
#define ALIASES_MAX 64
#define EVENTS_MAX  1000000
#define OUT_MAX     (64 * 1024 * 1024)
#define IN_MAX      (16 * 1024 * 1024)

struct reader {
	yaml_parser_t parser;
	struct am_map *anchors; /* name -> struct am_buf * with JSON */
	int aliases;
	size_t events;
	struct ambient_error *err;
};

static int
at_line(struct reader *r, const yaml_mark_t *mark, const char *what)
{
	return ambient_err(r->err, AMBIENT_E_INVALID, "invalid YAML at line %zu: %s", mark->line + 1, what);
}

static int
next_event(struct reader *r, yaml_event_t *event)
{
	if (++r->events > EVENTS_MAX)
		return at_line(r, &r->parser.mark, "too many parts");
	if (!yaml_parser_parse(&r->parser, event))
		return ambient_err(r->err, AMBIENT_E_INVALID, "invalid YAML at line %zu: %s", r->parser.problem_mark.line + 1,
				   r->parser.problem != NULL ? r->parser.problem : "unreadable");
	return 0;
}

/* A number in JSON's own grammar, after YAML's leading '+' is gone. */
static bool
is_json_number(const char *s)
{
	return (isdigit((unsigned char)*s) || *s == '-') && am_json_check(s, strlen(s), NULL) == 0;
}

static void
add_scalar(struct am_buf *out, const yaml_event_t *event)
{
	const char *s = (const char *)event->data.scalar.value;
	size_t n = event->data.scalar.length;
	const char *tag = (const char *)event->data.scalar.tag;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (tag == NULL || !am_ends(tag, ":str"));
	static const struct {
		const char *word, *json;
	} words[] = {
		{ "", "null" }, { "~", "null" }, { "null", "null" }, { "Null", "null" }, { "NULL", "null" },
		{ "true", "true" }, { "True", "true" }, { "TRUE", "true" },
		{ "false", "false" }, { "False", "false" }, { "FALSE", "false" },
	};

	for (size_t i = 0; plain && i < AM_COUNTOF(words); i++) {
		if (strcmp(s, words[i].word) == 0) {
			am_buf_adds(out, words[i].json);
			return;
		}
	}
	const char *number = *s == '+' ? s + 1 : s;
	if (plain && strlen(s) == n && is_json_number(number))
		am_buf_adds(out, number);
	else
		am_json_add_strn(out, s, n);
}

static int read_node(struct reader *r, yaml_event_t *event, struct am_buf *out, int depth);

static int
read_sequence(struct reader *r, struct am_buf *out, int depth)
{
	yaml_event_t event;

	am_buf_addc(out, '[');
	for (bool first = true;; first = false) {
		int rc = next_event(r, &event);
		if (rc < 0)
			return rc;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			am_buf_addc(out, ']');
			return 0;
		}
		if (!first)
			am_buf_addc(out, ',');
		rc = read_node(r, &event, out, depth + 1);
		yaml_event_delete(&event);
		if (rc < 0)
			return rc;
	}
}

static int
read_mapping(struct reader *r, struct am_buf *out, int depth)
{
	struct am_map *seen = am_map_new();
	yaml_event_t event;
	int rc = 0;

	am_buf_addc(out, '{');
	for (bool first = true; rc == 0; first = false) {
		rc = next_event(r, &event);
		if (rc < 0)
			break;
		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			am_buf_addc(out, '}');
			break;
		}
		if (event.type != YAML_SCALAR_EVENT) {
			rc = at_line(r, &event.start_mark, "a key must be a plain word");
		} else {
			const char *key = (const char *)event.data.scalar.value;
			size_t n = event.data.scalar.length;
			if (am_map_getn(seen, key, n) != NULL) {
				rc = ambient_err(r->err, AMBIENT_E_INVALID, "invalid YAML at line %zu: the key \"%.64s\" appears twice",
						 event.start_mark.line + 1, key);
			} else {
				am_map_putn(seen, key, n, seen);
				if (!first)
					am_buf_addc(out, ',');
				am_json_add_strn(out, key, n);
				am_buf_addc(out, ':');
			}
		}
		yaml_event_delete(&event);
		if (rc == 0)
			rc = next_event(r, &event);
		if (rc == 0) {
			rc = read_node(r, &event, out, depth + 1);
			yaml_event_delete(&event);
		}
	}
	am_map_free(seen);
	return rc;
}

static const char *
anchor_of(const yaml_event_t *event)
{
	const yaml_char_t *a = event->type == YAML_SCALAR_EVENT		   ? event->data.scalar.anchor
			       : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.anchor
			       : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.anchor
									  : NULL;
	return (const char *)a;
}

static int
read_alias(struct reader *r, const yaml_event_t *event, struct am_buf *out)
{
	/* An anchor is known only once its node is complete, so an alias can never contain itself. */
	const struct am_buf *saved = am_map_get(r->anchors, (const char *)event->data.alias.anchor);

	if (++r->aliases > ALIASES_MAX)
		return at_line(r, &event->start_mark, "too many aliases");
	if (saved == NULL)
		return at_line(r, &event->start_mark, "an alias to nothing complete");
	am_buf_add(out, am_buf_str(saved), saved->len);
	return 0;
}

static int
read_node(struct reader *r, yaml_event_t *event, struct am_buf *out, int depth)
{
	size_t start = out->len;
	int rc = 0;

	if (depth > DEPTH_MAX)
		return at_line(r, &event->start_mark, "nested too deeply");
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		add_scalar(out, event);
		break;
	case YAML_SEQUENCE_START_EVENT:
		rc = read_sequence(r, out, depth);
		break;
	case YAML_MAPPING_START_EVENT:
		rc = read_mapping(r, out, depth);
		break;
	case YAML_ALIAS_EVENT:
		rc = read_alias(r, event, out);
		break;
	default:
		rc = at_line(r, &event->start_mark, "a value was expected");
	}
	if (rc == 0 && out->failed)
		rc = ambient_err(r->err, AMBIENT_E_NOMEM, "the YAML text is too large");
	const char *anchor = rc == 0 ? anchor_of(event) : NULL;
	if (anchor != NULL) {
		struct am_buf *saved = am_xcalloc(1, sizeof(*saved));
		am_buf_add(saved, out->data + start, out->len - start);
		am_map_put(r->anchors, anchor, saved);
	}
	return rc;
}

static void
free_saved(void *p)
{
	am_buf_fini(p);
	free(p);
}

static int
read_stream(struct reader *r, am_yaml_f *document, void *arg)
{
	yaml_event_t event;
	int rc = 0;

	for (bool end = false; !end && rc == 0;) {
		rc = next_event(r, &event);
		if (rc < 0)
			break;
		bool starts = event.type == YAML_DOCUMENT_START_EVENT;
		end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
		if (!starts)
			continue;
		struct am_buf out = { .max = OUT_MAX };
		rc = next_event(r, &event);
		if (rc == 0) {
			rc = read_node(r, &event, &out, 0);
			yaml_event_delete(&event);
		}
		/* "---" with nothing behind it is no document. */
		if (rc == 0 && strcmp(am_buf_str(&out), "null") != 0)
			rc = document(arg, am_buf_str(&out), out.len, r->err);
		am_buf_fini(&out);
	}
	return rc;
}

int
am_yaml_to_json(const char *text, size_t n, am_yaml_f *document, void *arg, struct ambient_error *err)
{
	struct reader r = { .err = err };

	if (n > IN_MAX)
		return ambient_err(err, AMBIENT_E_NOMEM, "the YAML text is larger than %d bytes", IN_MAX);
	/* libyaml's time is quadratic in open brackets; nothing that nests so deep is accepted anyway. */
	size_t run = 0;
	for (size_t i = 0; i < n; i++) {
		run = text[i] == '[' || text[i] == '{' ? run + 1 : 0;
		if (run > DEPTH_MAX)
			return ambient_err(err, AMBIENT_E_INVALID, "invalid YAML at byte %zu: nested too deeply", i);
	}
	if (!yaml_parser_initialize(&r.parser))
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for the YAML reader");
	r.anchors = am_map_new_owning(free_saved);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	int rc = read_stream(&r, document, arg);
	am_map_free(r.anchors);
	yaml_parser_delete(&r.parser);
	return rc;
}

/* ---- writing ---- */

static bool
needs_quotes(const char *s, size_t n)
{
	static const char *const words[] = { "null", "true", "false", "yes", "no", "on", "off", "y", "n", NULL };

	if (n == 0 || strlen(s) != n || isspace((unsigned char)s[0]) || isspace((unsigned char)s[n - 1]) ||
	    strchr("-?:,[]{}#&*!|>'\"%@`~=+.", s[0]) != NULL || isdigit((unsigned char)s[0]))
		return true;
	for (size_t i = 0; words[i] != NULL; i++) {
		if (strcasecmp(s, words[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] >= 0x7f || (s[i] == ':' && (s[i + 1] == ' ' || s[i + 1] == '\0')) ||
		    (s[i] == '#' && i > 0 && s[i - 1] == ' '))
			return true;
	}
	return false;
}

/* The code point at p when YAML 1.1 takes it for the end of a line, drops it or refuses it as it is; 0: none of these. */
static unsigned
not_printable(const char *p, size_t *len)
{
	const unsigned char *u = (const unsigned char *)p;

	*len = 1;
	if (u[0] == 0x7f)
		return 0x7f;
	*len = 2;
	if (u[0] == 0xc2 && u[1] < 0xa0)
		return u[1];
	*len = 3;
	if (u[0] != 0xe2 && u[0] != 0xef)
		return 0;
	unsigned c = (u[0] & 15U) << 12 | (u[1] & 63U) << 6 | (u[2] & 63U);
	return c == 0x2028 || c == 0x2029 || c == 0xfeff || c >= 0xfffe ? c : 0;
}

static void
write_quoted(const char *s, size_t n, struct am_buf *out)
{
	struct am_buf text = { 0 };

	am_json_add_strn(&text, s, n);
	for (const char *p = am_buf_str(&text), *end = p + text.len; p < end;) {
		size_t len;
		unsigned c = not_printable(p, &len);

		if (c != 0) {
			am_buf_addf(out, "\\u%04x", c);
			p += len;
		} else {
			am_buf_addc(out, *p++);
		}
	}
	out->failed |= text.failed;
	am_buf_fini(&text);
}

static void
write_string(const char *s, size_t n, struct am_buf *out)
{
	if (needs_quotes(s, n))
		write_quoted(s, n, out);
	else
		am_buf_add(out, s, n);
}

static void
write_node(const struct am_node *node, struct am_buf *out, int indent, bool in_list)
{
	if (node->first == NULL) {
		if (node->type == AMBIENT_T_STRING)
			write_string(node->text, node->len, out);
		else
			am_node_print(node, out);
		am_buf_addc(out, '\n');
		return;
	}
	for (const struct am_node *c = node->first; c != NULL; c = c->next) {
		if (c != node->first || !in_list)
			am_buf_addf(out, "%*s", indent, "");
		bool nested = c->first != NULL;
		if (node->type == AMBIENT_T_ARRAY) {
			am_buf_adds(out, "- ");
			write_node(c, out, indent + 2, true);
			continue;
		}
		write_string(c->key, c->key_len, out);
		am_buf_adds(out, nested ? ":\n" : ": ");
		/* Lists in objects stand at the object's own indent, as kubectl prints them. */
		write_node(c, out, nested && c->type == AMBIENT_T_OBJECT ? indent + 2 : indent, false);
	}
}

void
am_yaml_from_node(const struct am_node *node, struct am_buf *out)
{
	write_node(node, out, 0, false);
}
