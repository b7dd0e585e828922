/* SPDX-License-Identifier: Apache-2.0 */
/* What people see: colours, tables, and texts of others without what would steer a terminal. */
#include "core/ambientctl/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "core/ambientctl/edit.h"

/* Would it steer the terminal, or show a text in another order than it has: embeddings, overrides and isolates? */
static bool
steers(uint32_t c)
{
	return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static void
add_clean(struct am_buf *out, const char *text, size_t n, bool one_line)
{
	size_t len;

	for (size_t at = 0; at < n; at += len) {
		uint32_t c;

		len = ctl_utf8(text + at, n - at, &c);
		if (c == '\n' && one_line)
			am_buf_addc(out, ' ');
		else if (c == '\r' || (c >= 0x80 && c <= 0x9f))
			continue;
		else if (steers(c) || (len == 1 && c > 0x7f))
			am_buf_addc(out, '?');
		else
			am_buf_add(out, text + at, len);
	}
}

void
ctl_add_clean(struct am_buf *out, const char *text, bool one_line)
{
	add_clean(out, text, strlen(text), one_line);
}

void
ctl_add_cut(struct am_buf *out, const char *text, size_t n, size_t max)
{
	size_t end = AM_MIN(n, max);

	while (end < n && end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
		end--;
	add_clean(out, text, end, true);
	am_buf_adds(out, end < n ? "..." : "");
}

void
ctl_put_clean(FILE *out, const char *text, bool one_line)
{
	am_auto(am_buf_fini) struct am_buf clean = { 0 };

	ctl_add_clean(&clean, text, one_line);
	(void)fputs(am_buf_str(&clean), out);
}

static int lost; /* errno of the first failure of standard output; more than one thread prints */

bool
ctl_flush(void)
{
	int none = 0;

	if (fflush(stdout) != 0 || ferror(stdout))
		(void)__atomic_compare_exchange_n(&lost, &none, errno != 0 ? errno : EIO, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return __atomic_load_n(&lost, __ATOMIC_ACQUIRE) == 0;
}

bool
ctl_is_read(void)
{
	struct pollfd fd = { .fd = STDOUT_FILENO };

	return poll(&fd, 1, 0) <= 0 || (fd.revents & POLLERR) == 0;
}

bool
ctl_flush_last(void)
{
	bool good = ctl_flush();

	/* Whoever stops reading knows that there was more. */
	if (!good && lost != EPIPE)
		(void)fprintf(stderr, "ambientctl: standard output cannot be written: %s\n", strerror(lost));
	return good;
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
