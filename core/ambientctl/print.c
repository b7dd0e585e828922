/* SPDX-License-Identifier: Apache-2.0 */
/* What people see: colours, tables, and texts of others without what would steer a terminal. */
#include "core/ambientctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>

void
ctl_add_clean(struct am_buf *out, const char *text, bool one_line)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '\n' && one_line)
			am_buf_addc(out, ' ');
		else if ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')
			/* C1 controls are two bytes in UTF-8: 0xc2 0x80 to 0xc2 0x9f */
			if (c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] <= 0x9f)
				text++;
			else
				am_buf_addc(out, (char)c);
		else if (c != '\r')
			am_buf_addc(out, '?');
	}
}

void
ctl_put_clean(FILE *out, const char *text, bool one_line)
{
	am_auto(am_buf_fini) struct am_buf clean = { 0 };

	ctl_add_clean(&clean, text, one_line);
	(void)fputs(am_buf_str(&clean), out);
}

const char *
ctl_color(const struct ctl *ctl, const char *name)
{
	static const char *const colors[][2] = {
		{ "reset", "\033[0m" }, { "bold", "\033[1m" }, { "dim", "\033[2m" }, { "red", "\033[31m" },
		{ "green", "\033[32m" }, { "yellow", "\033[33m" }, { "cyan", "\033[36m" },
	};

	for (size_t i = 0; ctl->color && i < AM_COUNTOF(colors); i++)
		if (am_streq(name, colors[i][0]))
			return colors[i][1];
	return "";
}

const char *
ctl_phase_color(const struct ctl *ctl, const char *phase)
{
	if (am_streq(phase, "Completed"))
		return ctl_color(ctl, "green");
	if (am_streq(phase, "Failed") || am_streq(phase, "Timeout") || am_streq(phase, "Error"))
		return ctl_color(ctl, "red");
	return ctl_color(ctl, am_streq(phase, "Running") ? "cyan" : "yellow");
}

void
ctl_table(const char *const *cells, size_t columns, size_t rows)
{
	size_t width[16] = { 0 };

	for (size_t i = 0; i < columns * rows; i++)
		width[i % columns] = AM_MAX(width[i % columns], strlen(cells[i]));
	for (size_t i = 0; i < columns * rows; i++) {
		size_t last = i % columns == columns - 1;

		ctl_put_clean(stdout, cells[i], true);
		if (last)
			(void)putchar('\n');
		else
			(void)printf("%*s", (int)(width[i % columns] - strlen(cells[i]) + 3), "");
	}
}

void
ctl_print_json(const struct am_node *node)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };

	am_node_print(node, &out);
	(void)printf("%s\n", am_buf_str(&out));
}

void
ctl_print_repos(const struct ctl *ctl, const struct am_node *session)
{
	const struct am_node *repos = am_node_at(session, "/status/repos");

	for (const struct am_node *r = repos != NULL ? repos->first : NULL; r != NULL; r = r->next) {
		const char *status = ctl_text(r, "/status"), *error = ctl_text(r, "/error");
		bool pushed = am_streq(status, "pushed"), bad = am_streq(status, "error");
		int64_t added = 0, removed = 0;

		(void)am_node_get_int(r, "total_added", &added);
		(void)am_node_get_int(r, "total_removed", &removed);
		(void)printf("  %s%-10s%s ", ctl_color(ctl, pushed ? "green" : bad ? "red" : "yellow"),
			     status[0] != '\0' ? status : "unknown", ctl_color(ctl, "reset"));
		ctl_put_clean(stdout, ctl_text(r, "/name"), true);
		if (ctl_text(r, "/branch")[0] != '\0') {
			(void)fputs(" -> ", stdout);
			ctl_put_clean(stdout, ctl_text(r, "/branch"), true);
		}
		if (pushed)
			(void)printf(" (%.10s, +%" PRId64 " -%" PRId64 ")", ctl_text(r, "/commit"), added, removed);
		if (ctl_text(r, "/prUrl")[0] != '\0') {
			(void)putchar(' ');
			ctl_put_clean(stdout, ctl_text(r, "/prUrl"), true);
		}
		if (error[0] != '\0') {
			(void)fputs(": ", stdout);
			ctl_put_clean(stdout, error, true);
		}
		(void)putchar('\n');
	}
}
