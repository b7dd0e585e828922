/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The effective configuration, in a form that can be read back, and the rows of the manual.  Where a value came
 * from stands behind it as a comment; of a secret only the reference to it is there to be printed, and not even
 * that is.
 */
#include <inttypes.h>

#include "core/base/str.h"
#include "core/conf/conf_priv.h"
#include "core/data/scan.h"

static void
print_indent(struct am_buf *out, int depth)
{
	while (depth-- > 0)
		am_buf_addc(out, '\t');
}

static void
print_string(struct am_buf *out, const char *s)
{
	am_buf_addc(out, '"');
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			am_buf_addf(out, "\\%c", c);
		else if (c == '\n')
			am_buf_adds(out, "\\n");
		else if (c < 0x20 || c == 0x7f)
			am_buf_addf(out, "\\x%02X", c);
		else
			am_buf_addc(out, (char)c);
	}
	am_buf_addc(out, '"');
}

static void
print_origin(struct am_buf *out, const struct conf_origin *origin)
{
	/* A file's name may hold anything; a comment ends with its line. */
	am_buf_adds(out, " # ");
	for (const char *p = origin->file; *p != '\0'; p++)
		am_buf_addc(out, (unsigned char)*p < 0x20 ? '?' : *p);
	if (origin->line > 0)
		am_buf_addf(out, ":%d", origin->line);
	am_buf_addc(out, '\n');
}

static void print_conf(struct am_buf *out, const struct ambient_conf *conf, int depth);

static void
print_list(struct am_buf *out, const struct conf_slot *slot, int depth)
{
	switch (slot->row->type) {
	case AMBIENT_OPT_STRINGS:
		am_buf_adds(out, "[");
		for (size_t i = 0; i < slot->count; i++) {
			am_buf_adds(out, i > 0 ? ", " : " ");
			print_string(out, slot->values[i]);
		}
		am_buf_adds(out, " ]");
		break;
	case AMBIENT_OPT_MAP:
		am_buf_adds(out, "{ ");
		for (size_t i = 0; i < slot->count; i++) {
			am_buf_addf(out, "%s = ", slot->keys[i]);
			print_string(out, slot->values[i]);
			am_buf_adds(out, "; ");
		}
		am_buf_adds(out, "}");
		break;
	default:
		am_buf_adds(out, "(");
		for (size_t i = 0; i < slot->count; i++) {
			am_buf_adds(out, i > 0 ? ",\n" : "\n");
			print_indent(out, depth + 1);
			am_buf_adds(out, "{\n");
			print_conf(out, slot->groups[i], depth + 2);
			print_indent(out, depth + 1);
			am_buf_adds(out, "}");
		}
		am_buf_adds(out, " )");
		break;
	}
}

static void
print_slot(struct am_buf *out, const struct conf_slot *slot, int depth)
{
	print_indent(out, depth);
	if (slot->value == NULL) {
		am_buf_addf(out, "# %s is not set\n", slot->row->name);
		return;
	}
	if (slot->row->flags & AMBIENT_OPT_SECRET) {
		am_buf_addf(out, "# %s is set, a secret;", slot->row->name);
		print_origin(out, &slot->value->origin);
		return;
	}
	am_buf_addf(out, "%s = ", slot->row->name);
	switch (slot->row->type) {
	case AMBIENT_OPT_INT:
		am_buf_addf(out, "%" PRId64, slot->i);
		if (slot->i > INT32_MAX || slot->i < INT32_MIN)
			am_buf_addc(out, 'L');
		break;
	case AMBIENT_OPT_BOOL:
		am_buf_adds(out, slot->i ? "true" : "false");
		break;
	case AMBIENT_OPT_FLOAT: {
		size_t at = out->len;

		am_json_add_double(out, slot->d);
		/* libconfig wants a point in a number with an exponent, and takes an integer where a float may be. */
		if (strpbrk(am_buf_str(out) + at, ".") == NULL && strpbrk(am_buf_str(out) + at, "eE") != NULL) {
			out->len = at;
			am_buf_addf(out, "%.17e", slot->d);
		}
		break;
	}
	case AMBIENT_OPT_PATH:
		print_string(out, slot->s);
		break;
	case AMBIENT_OPT_STRINGS:
	case AMBIENT_OPT_MAP:
	case AMBIENT_OPT_GROUPS:
		print_list(out, slot, depth);
		break;
	default:
		print_string(out, slot->value->s);
		break;
	}
	am_buf_adds(out, ";");
	print_origin(out, &slot->value->origin);
}

static void
print_conf(struct am_buf *out, const struct ambient_conf *conf, int depth)
{
	for (size_t i = 0; i < conf->count; i++)
		print_slot(out, &conf->slots[i], depth);
}

static void
print_instance(struct am_buf *out, const struct conf_instance *in)
{
	am_buf_addf(out, "\t%s:\n\t{\n", in->pub.name);
	for (size_t i = 0; i < in->own->count; i++) {
		const struct conf_slot *slot = &in->own->slots[i];
		/* These two have defaults that depend on others. */
		const char *derived = am_streq(slot->row->name, "plugin") ? in->pub.plugin
				      : am_streq(slot->row->name, "path") ? in->pub.path
									  : NULL;

		if (derived == NULL || slot->value != NULL) {
			print_slot(out, slot, 2);
			continue;
		}
		am_buf_addf(out, "\t\t%s = ", slot->row->name);
		print_string(out, derived);
		am_buf_adds(out, "; # default\n");
	}
	if (in->checked != NULL && in->checked->count > 0) {
		am_buf_adds(out, "\t\tconfig:\n\t\t{\n");
		print_conf(out, in->checked, 3);
		am_buf_adds(out, "\t\t};\n");
	} else if (in->checked == NULL && in->config != NULL) {
		am_buf_adds(out, "\t\t# config was not checked;");
		print_origin(out, &in->config->origin);
	}
	am_buf_adds(out, "\t};\n");
}

void
am_conf_print(const struct am_conf_file *file, struct am_buf *out)
{
	for (size_t i = 0; conf_sections[i].name != NULL; i++) {
		bool root = conf_sections[i].name[0] == '\0';

		if (!root)
			am_buf_addf(out, "%s:\n{\n", conf_sections[i].name);
		print_conf(out, file->sections[i], root ? 0 : 1);
		if (!root)
			am_buf_adds(out, "};\n");
	}
	am_buf_adds(out, "plugins:\n{\n");
	for (size_t i = 0; i < file->instance_count; i++)
		print_instance(out, &file->instances[i]);
	am_buf_adds(out, "};\n");
}

/* ---- the manual */

static void
print_roff(struct am_buf *out, const char *s)
{
	if (*s == '.' || *s == '\'')
		am_buf_adds(out, "\\&");
	for (; *s != '\0'; s++) {
		if (*s == '\\')
			am_buf_adds(out, "\\e");
		else if (*s == '-')
			am_buf_adds(out, "\\-");
		else
			am_buf_addc(out, *s == '\n' ? ' ' : *s);
	}
}

/* The page is the same wherever it is built. */
static void
print_default(struct am_buf *out, const char *def)
{
	static const struct {
		const char *dir, *name;
	} dirs[] = { { AM_PKGLIBDIR, "<libdir>/ambient" }, { AM_LIBEXECDIR, "<libexecdir>/ambient" } };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		size_t len = strlen(dirs[i].dir);
		if (strncmp(def, dirs[i].dir, len) == 0 && def[len] == '/') {
			am_buf_adds(out, dirs[i].name);
			def += len;
			break;
		}
	}
	print_roff(out, *def != '\0' ? def : "\"\"");
}

static void
print_manual(const struct ambient_option *const *rows, struct am_buf *out, int depth)
{
	static const char *const names[] = {
		[AMBIENT_OPT_STRING] = "string", [AMBIENT_OPT_INT] = "integer", [AMBIENT_OPT_BOOL] = "boolean",
		[AMBIENT_OPT_FLOAT] = "number", [AMBIENT_OPT_DURATION] = "duration", [AMBIENT_OPT_SIZE] = "size",
		[AMBIENT_OPT_STRINGS] = "list of strings", [AMBIENT_OPT_MAP] = "group of strings",
		[AMBIENT_OPT_GROUPS] = "list of groups", [AMBIENT_OPT_PATH] = "path",
	};

	for (size_t i = 0; rows != NULL && rows[i] != NULL; i++) {
		const struct ambient_option *row = rows[i];

		am_buf_adds(out, ".TP\n\\fB");
		print_roff(out, row->name);
		am_buf_addf(out, "\\fR (%s", conf_type_wanted(row->type) != NULL ? names[row->type] : "unknown");
		if (row->flags & AMBIENT_OPT_REQUIRED)
			am_buf_adds(out, ", required");
		if (row->flags & AMBIENT_OPT_SECRET)
			am_buf_adds(out, ", as \"file:PATH\" or \"env:NAME\"");
		if (row->flags & AMBIENT_OPT_RELOAD)
			am_buf_adds(out, ", reloadable");
		if (row->def != NULL) {
			am_buf_adds(out, ", default ");
			print_default(out, row->def);
		}
		am_buf_adds(out, ")\n");
		print_roff(out, row->text != NULL ? row->text : "");
		am_buf_addc(out, '\n');
		if (row->type == AMBIENT_OPT_GROUPS && row->sub != NULL && depth < CONF_SUB_MAX) {
			am_buf_adds(out, ".RS\n");
			print_manual(row->sub, out, depth + 1);
			am_buf_adds(out, ".RE\n");
		}
	}
}

void
am_conf_print_manual(const struct ambient_option *const *options, struct am_buf *out)
{
	print_manual(options, out, 0);
}

void
am_conf_print_core_manual(struct am_buf *out)
{
	for (size_t i = 0; conf_sections[i].name != NULL; i++) {
		am_buf_addf(out, ".SS %s\n%s\n", conf_sections[i].name[0] != '\0' ? conf_sections[i].name : "General",
			    conf_sections[i].text);
		print_manual(conf_sections[i].rows, out, 0);
	}
	am_buf_adds(out, ".SS plugins\nEach member is an instance of a plugin; its key is the instance's name, its group\n"
			 "\\fBconfig\\fR holds what the plugin's own manual lists.\n");
	print_manual(conf_instance_rows, out, 0);
}
