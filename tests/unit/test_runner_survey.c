/* SPDX-License-Identifier: Apache-2.0 */
/* What a report says of the workspace's files: branches and artifacts, as an agent may have left them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/ambient-runner/survey.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "tests/lib/unit.h"

static char dir[64];

static void
setup(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/survey-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
teardown(void)
{
	(void)am_remove_tree(dir, NULL);
}

static void
shell(const char *script)
{
	am_auto(am_freep) char *line = am_xasprintf("set -e; cd %s; mkdir -p workspace/artifacts workspace/r/.git/refs/heads; %s", dir, script);

	ck_assert_int_eq(system(line), 0);
}

#define ID "0123456789012345678901234567890123456789"

static const struct {
	const char *script, *members;
} clones[] = {
	{ "git init -q -b main workspace/r; cd workspace/r; git -c user.name=a -c user.email=b commit -q --allow-empty -m x; "
	  "git branch fix/a; git branch b; git pack-refs --all; git branch c; git checkout -q b",
	  ",\"branches\":[\"b\",\"c\",\"fix/a\",\"main\"],\"currentBranch\":\"b\"" },
	/* Both loose and packed. */
	{ "cd workspace/r/.git; echo " ID " >refs/heads/main; echo '" ID " refs/heads/main' >packed-refs; "
	  "echo '# pack-refs with: peeled' >>packed-refs; echo '^" ID "' >>packed-refs; echo '" ID " refs/tags/t' >>packed-refs; "
	  "printf '" ID " refs/heads/last' >>packed-refs",
	  ",\"branches\":[\"last\",\"main\"]" },
	{ "echo " ID " >workspace/r/.git/HEAD", ",\"branches\":[]" },
	/* Names that git would not take, and what is no name of a branch. */
	{ "cd workspace/r/.git; touch 'refs/heads/a b' refs/heads/-x refs/heads/y.lock refs/heads/ok; mkfifo refs/heads/pipe; "
	  "echo 'ref: refs/heads/-x' >HEAD",
	  ",\"branches\":[\"ok\"]" },
	/* Links lead nowhere. */
	{ "cd workspace/r/.git; touch ../../../outside; ln -s ../../../../../outside refs/heads/link; ln -s .. refs/heads/up; "
	  "ln -s ../../../outside packed-refs; echo 'ref: refs/heads/x' >../../../head; ln -s ../../../head HEAD",
	  ",\"branches\":[]" },
	{ "rm -r workspace/r/.git; mkdir other; cd other; git init -q .; ln -s ../../other/.git ../workspace/r/.git", "" },
	{ "rm -r workspace/r/.git; echo 'gitdir: /elsewhere' >workspace/r/.git", "" },
	{ "rm -r workspace/r", "" },
};

START_TEST(branches)
{
	am_auto(am_buf_fini) struct am_buf out = {0};

	shell(clones[_i].script);
	am_survey_branches(dir, "r", &out);
	ck_assert_str_eq(am_buf_str(&out), clones[_i].members);
}
END_TEST

START_TEST(there_are_at_most_so_many)
{
	am_auto(am_buf_fini) struct am_buf out = {0};
	size_t n = 0;

	shell("cd workspace/r/.git/refs/heads; for i in $(seq 100 400); do echo >b$i; done");
	am_survey_branches(dir, "r", &out);
	for (const char *p = am_buf_str(&out); (p = strstr(p, "\"b")) != NULL; p++)
		n++;
	ck_assert_uint_eq(n, AM_SURVEY_BRANCHES + 1); /* and the name of the member */
	ck_assert_ptr_nonnull(strstr(am_buf_str(&out), "[\"b100\",\"b101\","));
	am_buf_reset(&out);
	shell("cd workspace/r/.git/refs/heads; rm b*; for i in $(seq 100 150); do echo >$(printf %0180d $i); done");
	am_survey_branches(dir, "r", &out);
	ck_assert_uint_gt(out.len, 1500);
	ck_assert_uint_lt(out.len, AM_SURVEY_BYTES + 100);
}
END_TEST

static const struct {
	const char *script;
	int64_t files;
} artifacts[] = {
	{ "true", 0 },
	{ "cd workspace/artifacts; mkdir -p a/b; touch x .hidden a/y a/b/z", 4 },
	{ "cd workspace/artifacts; touch x; ln -s x link; ln -s . loop; ln -s / root; mkfifo pipe", 1 },
	{ "rmdir workspace/artifacts", -1 },
	{ "rmdir workspace/artifacts; ln -s r workspace/artifacts", -1 },
	{ "rmdir workspace/artifacts; touch workspace/artifacts", -1 },
	{ "cd workspace/artifacts; p=.; for i in $(seq 30); do p=$p/d; mkdir $p; touch $p/f; done", 15 },
	{ "cd workspace/artifacts; seq 10020 | xargs touch", 10000 },
};

START_TEST(files_in_artifacts)
{
	shell(artifacts[_i].script);
	ck_assert_int_eq(am_survey_artifacts(dir), artifacts[_i].files);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, branches, 0, (int)AM_COUNTOF(clones));
	tcase_add_test(tc, there_are_at_most_so_many);
	tcase_add_loop_test(tc, files_in_artifacts, 0, (int)AM_COUNTOF(artifacts));
}

UNIT_MAIN("runner_survey", cases)
