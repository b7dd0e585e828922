/* SPDX-License-Identifier: Apache-2.0 */
/* What git prints, read: whole, cut, and as nobody would print it. */
#include <stdlib.h>

#include "core/ambient-runner/porcelain.h"
#include "tests/lib/unit.h"

/* With a NUL in the place of each "@". */
static struct am_slice
records(const char *text, struct am_buf *out)
{
	am_buf_reset(out);
	am_buf_adds(out, text);
	for (size_t i = 0; i < out->len; i++)
		if (out->data[i] == '@')
			out->data[i] = '\0';
	return am_slice(am_buf_str(out), out->len);
}

#define MODES "N... 100644 100644 100644 1111 2222 "
#define SIDES "N... 100644 100644 100644 100644 1111 2222 3333 "

static const struct {
	const char *numstat, *status, *json;
	bool whole;
} outputs[] = {
	{"", "", "", true},
	{"1\t20\ta b@-\t-\timage@", "1 .M " MODES "a b@1 .M " MODES "image@? new@",
	 "{\"path\":\"a b\",\"code\":\".M\",\"added\":1,\"removed\":20},{\"path\":\"image\",\"code\":\".M\"},"
	 "{\"path\":\"new\",\"code\":\"??\"}", true},
	{"", "# branch.oid 1111@u UU " SIDES "both@! ignored@", "{\"path\":\"both\",\"code\":\"UU\"}", true},
	/* What is cut has no name that could be told. */
	{"1\t2\twhole@3\t4\tcu", "? whole@? cu", "{\"path\":\"whole\",\"code\":\"??\",\"added\":1,\"removed\":2}", false},
	{"1\t2\tcu", "? cu@", "{\"path\":\"cu\",\"code\":\"??\"}", true},
	{"1@1\t@1\t2@1\t2\t@x\t2\ta@1\t-2\ta@\t\ta@99999999999999999999999\t1\ta@1\t-\ta@", "? a@", "{\"path\":\"a\",\"code\":\"??\"}", true},
	{"", "@1@u@?@? @1 @1 .M@1 .M N...@1 .MM " MODES "a@?x@1  M " MODES "a@", "", true},
	{"", "? \xff\"\n@", "{\"path\":\"\xef\xbf\xbd\\\"\\n\",\"code\":\"??\"}", true},
};

START_TEST(files_and_their_lines)
{
	am_auto(am_buf_fini) struct am_buf text = {0};
	am_auto(am_buf_fini) struct am_buf json = {0};
	struct am_map *counts = am_porcelain_numstat(records(outputs[_i].numstat, &text));

	ck_assert_int_eq(am_porcelain_status(records(outputs[_i].status, &text), counts, &json), outputs[_i].whole);
	ck_assert_str_eq(am_buf_str(&json), outputs[_i].json);
	am_map_free(counts);
}
END_TEST

START_TEST(there_are_at_most_so_many_files)
{
	am_auto(am_buf_fini) struct am_buf text = {0};
	am_auto(am_buf_fini) struct am_buf json = {0};
	struct am_map *none = am_map_new();
	size_t files = 0;

	for (int i = 0; i < AM_PORCELAIN_FILES; i++) {
		am_buf_addf(&text, "? %d", i);
		am_buf_addc(&text, '\0');
	}
	ck_assert(am_porcelain_status(am_slice(am_buf_str(&text), text.len), none, &json));
	am_buf_reset(&json);
	am_buf_add(&text, "? more", 7);
	ck_assert(!am_porcelain_status(am_slice(am_buf_str(&text), text.len), none, &json));
	for (const char *p = am_buf_str(&json); (p = strstr(p, "\"path\"")) != NULL; p++)
		files++;
	ck_assert_uint_eq(files, AM_PORCELAIN_FILES);
	am_map_free(none);
}
END_TEST

static const struct {
	const char *text, *branch;
} remotes[] = {
	{"ref: refs/heads/main\tHEAD\n1111\tHEAD\n", "main"}, {"ref: refs/heads/a/b\tHEAD\n", "a/b"}, {"ref: refs/heads/cut", "cut"},
	{"", NULL}, {"1111\tHEAD\n", NULL}, {"ref: refs/heads/", NULL}, {"ref: refs/heads/\tHEAD\n", NULL},
	{"ref: refs/heads/-x\tHEAD\n", NULL}, {"ref: refs/heads/a..b\tHEAD\n", NULL}, {"ref: refs/heads/a b\tHEAD\n", NULL},
	{"ref: refs/tags/main\tHEAD\n", NULL},
};

START_TEST(the_branch_that_a_remote_begins_from)
{
	char *branch = am_porcelain_default_branch(remotes[_i].text);

	if (remotes[_i].branch == NULL)
		ck_assert_ptr_null(branch);
	else
		ck_assert_str_eq(branch, remotes[_i].branch);
	free(branch);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, files_and_their_lines, 0, (int)AM_COUNTOF(outputs));
	tcase_add_test(tc, there_are_at_most_so_many_files);
	tcase_add_loop_test(tc, the_branch_that_a_remote_begins_from, 0, (int)AM_COUNTOF(remotes));
}

UNIT_MAIN("runner_porcelain", cases)
