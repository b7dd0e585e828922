/* SPDX-License-Identifier: Apache-2.0 */
/* URLs, branches, names, and every shape in which a session names its repositories. */
#include "core/ambient-runner/bundle.h"
#include "core/ambient-runner/repos.h"
#include "tests/lib/git_words.h"
#include "tests/lib/unit.h"

START_TEST(urls_that_are_allowed)
{
	static const struct {
		const char *url, *host;
		enum am_runner_scheme scheme;
	} good[] = {
		{"https://github.com/a/b.git", "github.com", AM_SCHEME_HTTPS},
		{"HTTPS://GitHub.com:443/a/b", "github.com", AM_SCHEME_HTTPS},
		{"http://10.0.0.1:3000/a", "10.0.0.1", AM_SCHEME_HTTP},
		{"https://user@host/a", "host", AM_SCHEME_HTTPS},
		{"ssh://git@host:22/a/b", "host", AM_SCHEME_SSH},
		{"git@github.com:a/b.git", "github.com", AM_SCHEME_SSH},
		{"git://127.0.0.1:9418/a", "127.0.0.1", AM_SCHEME_GIT},
		{"git://localhost/a", "localhost", AM_SCHEME_GIT},
		{"git://127.64.0.3/a", "127.64.0.3", AM_SCHEME_GIT},
		{"git://[::1]:99/a", "::1", AM_SCHEME_GIT},
	};

	for (size_t i = 0; i < AM_COUNTOF(good); i++) {
		struct am_giturl ret;
		struct ambient_error err = AMBIENT_ERROR_INIT;

		ck_assert_msg(am_runner_giturl_check(good[i].url, &ret, &err) == 0, "%s: %s", good[i].url, err.message);
		ck_assert_str_eq(ret.host, good[i].host);
		ck_assert_int_eq(ret.scheme, good[i].scheme);
	}
}
END_TEST

START_TEST(urls_that_are_refused)
{
	static const char *const bad[] = {
		"",
		"-u",
		"--upload-pack=x",
		"file:///etc",
		"FILE:///etc",
		"ext::sh -c x",
		"fd::3",
		"/etc",
		"../x",
		"./a:b",
		"a",
		"a:b",
		"ftp://h/x",
		"git://example.com/x",
		"git://127.0.0.1.evil.com/x",
		"https://",
		"https:///x",
		"https://h",
		"https://h/",
		"https://u:p@h/x",
		"https://:p@h/x",
		"https://h:port/x",
		"https://h:1234567/x",
		"ssh://-oProxyCommand=x/y",
		"ssh://u@-h/y",
		"-a@h:x",
		"u@-h:x",
		"u@h:",
		"u@h:-x",
		"https://h/-x",
		"https://h/a b",
		"https://h/a\nb",
		"https://h\\@x/y",
		"https://h/\x80",
		"transport::https://h/x",
		"https://[zz]/x",
		"https://[::1/x",
		"u@h::x",
	};

	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;

		ck_assert_msg(am_runner_giturl_check(bad[i], NULL, &err) == -AMBIENT_E_INVALID, "%s", bad[i]);
		ck_assert_msg(strstr(err.message, ":p@") == NULL && err.message[0] != '\0', "%s", err.message);
	}
	ck_assert_int_eq(am_runner_giturl_check(NULL, NULL, NULL), -AMBIENT_E_INVALID);
}
END_TEST

/* The words that the reconciler and the API server's rules are held to, too: nothing that they take is refused here. */
static bool
takes_url(const char *text)
{
	return am_runner_giturl_check(text, NULL, NULL) == 0;
}

static bool
takes_branch(const char *text)
{
	return am_runner_branch_check(text, NULL) == 0;
}

START_TEST(urls_and_branches_as_agreed)
{
	git_words(takes_url, takes_branch);
}
END_TEST

START_TEST(relative_urls_of_submodules)
{
	static const struct {
		const char *base, *url, *want;
	} cases_[] = {
		{"https://h/o/r.git", "../s.git", "https://h/o/s.git"},
		{"https://h/o/r.git/", "./s/", "https://h/o/r.git/s"},
		{"https://h/o/r", "../../x/y", "https://h/x/y"},
		{"git@h:o/r.git", "../s.git", "git@h:o/s.git"},
		{"git@h:o/r.git", "../../s.git", "git@h:s.git"},
		{"https://h/r", "https://other/s", "https://other/s"},
		{"https://h/r", "/etc", "/etc"},
	};
	static const char *const escapes[] = {"../../../x", "../../../../x", "../../../../../../etc"};

	for (size_t i = 0; i < AM_COUNTOF(cases_); i++) {
		char *got = am_runner_giturl_resolve(cases_[i].base, cases_[i].url);

		ck_assert_str_eq(got, cases_[i].want);
		free(got);
	}
	for (size_t i = 0; i < AM_COUNTOF(escapes); i++) {
		char *got = am_runner_giturl_resolve("https://h/o/r", escapes[i]);
		struct am_giturl where;

		ck_assert_msg(am_runner_giturl_check(got, &where, NULL) < 0, "%s", got);
		free(got);
	}
}
END_TEST

START_TEST(branches)
{
	static const char *const good[] = {"main", "sessions/s1", "feature/x-1.2", "a@b", "v1.0"};
	static const char *const bad[] = {"",     "-x",     "--upload-pack=x",
					  "a..b", "/a",     "a/",
					  "a//b", "a.",     ".a",
					  "a/.b", "a.lock", "a.lock/b",
					  "a b",  "a~b",    "a^b",
					  "a:b",  "a?b",    "a*b",
					  "a[b",  "a\\b",   "a\nb",
					  "@",    "a@{b",   "HEAD",
					  "\xff"};

	for (size_t i = 0; i < AM_COUNTOF(good); i++)
		ck_assert_msg(am_runner_branch_check(good[i], NULL) == 0, "%s", good[i]);
	for (size_t i = 0; i < AM_COUNTOF(bad); i++)
		ck_assert_msg(am_runner_branch_check(bad[i], NULL) < 0, "%s", bad[i]);
}
END_TEST

#define LONG_URL  "a23456789_b23456789_c23456789_d23456789_e23456789_f23456789_"
#define LONG_NAME LONG_URL "g234"

static const struct {
	const char *name, *url, *want;
} folders[] = {
	{NULL, "https://h/a/proj.git", "proj"},
	{NULL, "git@h:proj", "proj"},
	{"mine", "https://h/x", "mine"},
	{NULL, "https://h/a/b.git/", "b"},
	{"../../etc", "https://h/x", "etc"},
	{"a/b", "https://h/x", "a-b"},
	{"artifacts", "https://h/x", "repo-artifacts"},
	/* As the plan names them, so are they. */
	{"_mine", "https://h/x", "_mine"},
	{LONG_NAME "Z", "https://h/x", LONG_NAME},
	{NULL, "https://h/" LONG_NAME, LONG_URL},
	{NULL, "https://h/..", "repo"},
	{".git", "https://h/x", "git"},
};

START_TEST(names_of_folders)
{
	char ret[65];

	am_runner_repo_name(folders[_i].name, folders[_i].url, ret);
	ck_assert_str_eq(ret, folders[_i].want);
}
END_TEST

static void
parse(const char *json, struct am_repos *repos)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(am_runner_repos_parse(am_slice_of(json), "s1", repos, &err) == 0, "%s", err.message);
}

START_TEST(documented_shape)
{
	struct am_repos repos;

	parse("{\"spec\":{\"mainRepoIndex\":1,\"repos\":[{\"input\":{\"url\":\"https://h/"
	      "a.git\",\"branch\":\"dev\"}},{\"input\":{\"url\":"
	      "\"https://h/b.git\",\"branch\":\"main\"},\"output\":{\"forkRepo\":\"https://h/"
	      "fork.git\",\"targetBranch\":\"out\"}}]}}",
	      &repos);
	ck_assert_uint_eq(repos.n, 2);
	ck_assert_uint_eq(repos.main, 1);
	ck_assert(repos.v[1].main && !repos.v[0].main);
	ck_assert_str_eq(repos.v[0].branch, "dev");
	ck_assert(!repos.v[0].push && repos.v[1].push);
	ck_assert_str_eq(repos.v[0].push_branch, "sessions/s1");
	ck_assert_str_eq(repos.v[1].push_url, "https://h/fork.git");
	ck_assert_str_eq(repos.v[1].push_branch, "out");
	am_runner_repos_fini(&repos);
}
END_TEST

START_TEST(flat_and_legacy_shapes)
{
	struct am_repos repos;

	parse("{\"spec\":{\"autoPushOnComplete\":true,\"repos\":[{\"url\":\"https://h/a\"},{\"url\":\"https://h/x/"
	      "a\",\"branch\":\"b\","
	      "\"autoPush\":false}]}}",
	      &repos);
	ck_assert(repos.v[0].push && !repos.v[1].push && repos.v[0].branch == NULL);
	ck_assert_str_eq(repos.v[0].name, "a");
	ck_assert_str_eq(repos.v[1].name, "a-2");
	am_runner_repos_fini(&repos);
	parse("{\"spec\":{\"input\":{\"repo\":\"https://h/n\",\"branch\":\"m\"},\"output\":{\"repo\":\"https://h/"
	      "o\"}}}",
	      &repos);
	ck_assert(repos.n == 1 && repos.v[0].push);
	ck_assert_str_eq(repos.v[0].push_url, "https://h/o");
	am_runner_repos_fini(&repos);
	/* Said outright, "no" wins over an output. */
	parse("{\"spec\":{\"autoPushOnComplete\":false,\"inputRepo\":\"https://h/n\",\"outputBranch\":\"o\"}}", &repos);
	ck_assert(!repos.v[0].push);
	am_runner_repos_fini(&repos);
	parse("{\"spec\":{\"prompt\":\"x\"}}", &repos);
	ck_assert_uint_eq(repos.n, 0);
	am_runner_repos_fini(&repos);
}
END_TEST

START_TEST(a_branch_is_ensured_only_where_it_is_named)
{
	struct am_repos repos;

	parse("{\"spec\":{\"repos\":[{\"input\":{\"url\":\"https://h/a\"},\"output\":{\"targetBranch\":\"t\",\"ensureBranch\":"
	      "true}},{\"input\":{\"url\":\"https://h/b\"},\"output\":{\"ensureBranch\":true}}]}}",
	      &repos);
	ck_assert(repos.v[0].ensure && !repos.v[1].ensure);
	am_runner_repos_fini(&repos);
	parse("{\"status\":{\"effective\":{\"repos\":[{\"url\":\"https://h/a\",\"pushBranch\":\"t\",\"ensureBranch\":true}]}}}",
	      &repos);
	ck_assert(repos.v[0].ensure && repos.v[0].proceed);
	am_runner_repos_fini(&repos);
	/* To go on with one makes none. */
	parse("{\"spec\":{\"repos\":[{\"input\":{\"url\":\"https://h/a\"},\"output\":{\"targetBranch\":\"t\",\"continueBranch\":"
	      "true}}]}}",
	      &repos);
	ck_assert(repos.v[0].proceed && !repos.v[0].ensure);
	am_runner_repos_fini(&repos);
	parse("{\"status\":{\"effective\":{\"repos\":[{\"url\":\"https://h/a\",\"pushBranch\":\"t\",\"continueBranch\":true}]}}}",
	      &repos);
	ck_assert(repos.v[0].proceed && !repos.v[0].ensure);
	am_runner_repos_fini(&repos);
}
END_TEST

START_TEST(only_the_main_repository_must_be_usable)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_repos repos;

	parse("{\"spec\":{\"repos\":[{\"url\":\"https://h/a\"},{\"url\":\"file:///x\"},{},{\"url\":\"https://h/"
	      "c\",\"output\":{\"branch\":"
	      "\"-x\"}}]}}",
	      &repos);
	ck_assert(repos.v[0].usable && !repos.v[1].usable && !repos.v[2].usable && !repos.v[3].usable);
	ck_assert_str_eq(repos.v[1].status, "error");
	ck_assert(strstr(repos.v[3].error, "branch") != NULL);
	am_runner_repos_fini(&repos);
	ck_assert_int_lt(
		am_runner_repos_parse(AM_SLICE("{\"spec\":{\"repos\":[{\"url\":\"ext::sh\"}]}}"), "s1", &repos, &err),
		0);
	am_runner_repos_fini(&repos);
}
END_TEST

START_TEST(defaults_by_shape)
{
	ck_assert(!am_runner_session_interactive(AM_SLICE("{\"spec\":{\"prompt\":\"x\"}}")));
	ck_assert(am_runner_session_interactive(AM_SLICE("{\"spec\":{\"initialPrompt\":\"x\"}}")));
	ck_assert(am_runner_session_interactive(AM_SLICE("{\"spec\":{\"repos\":[{\"url\":\"https://h/a\"}]}}")));
	ck_assert(
		!am_runner_session_interactive(AM_SLICE("{\"spec\":{\"initialPrompt\":\"x\",\"interactive\":false}}")));
	ck_assert(!am_runner_session_interactive(
		AM_SLICE("{\"spec\":{\"interactive\":true},\"status\":{\"effective\":{\"interactive\":false}}}")));
	ck_assert_int_eq(am_runner_session_timeout(AM_SLICE("{\"spec\":{\"timeout\":30}}")), 30);
	ck_assert_int_eq(am_runner_session_timeout(AM_SLICE("{\"spec\":{\"timeout\":30,\"interactive\":true}}")), 0);
	ck_assert_int_eq(am_runner_session_timeout(
				 AM_SLICE("{\"spec\":{\"timeout\":30},\"status\":{\"effective\":{\"timeout\":60}}}")),
			 60);
	ck_assert_int_eq(am_runner_session_timeout(AM_SLICE("{\"spec\":{\"timeout\":-5}}")), 0);
}
END_TEST

#define ID "0123456789012345678901234567890123456789"

START_TEST(headers_of_bundles)
{
	static const char good[] = "# v2 git bundle\n-" ID " base\n" ID " refs/heads/x\n" ID " HEAD\n\nPACKx";
	static const char *const bad[] = {
		"",
		"# v3 git bundle\n",
		"# v2 git bundle\n",
		"# v2 git bundle\n\nPACK",
		"# v2 git bundle\n" ID " refs/heads/x\n\nPACK",
		"# v2 git bundle\nzzzz HEAD\n\nPACK",
		"# v2 git bundle\n-short\n\n",
		"# v2 git bundle\n" ID " HEAD\n",
		"# v2 git bundle\n" ID "HEAD\n\n",
	};
	size_t pack;
	char head[65];

	ck_assert_int_eq(am_runner_bundle_header(good, sizeof(good) - 1, &pack, head, NULL), 0);
	ck_assert_str_eq(head, ID);
	ck_assert_str_eq(good + pack, "PACKx");
	for (size_t i = 0; i < AM_COUNTOF(bad); i++)
		ck_assert_msg(am_runner_bundle_header(bad[i], strlen(bad[i]), &pack, head, NULL) < 0, "%zu", i);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, urls_that_are_allowed);
	tcase_add_test(tc, urls_that_are_refused);
	tcase_add_test(tc, urls_and_branches_as_agreed);
	tcase_add_test(tc, relative_urls_of_submodules);
	tcase_add_test(tc, branches);
	tcase_add_loop_test(tc, names_of_folders, 0, (int)AM_COUNTOF(folders));
	tcase_add_test(tc, documented_shape);
	tcase_add_test(tc, flat_and_legacy_shapes);
	tcase_add_test(tc, a_branch_is_ensured_only_where_it_is_named);
	tcase_add_test(tc, only_the_main_repository_must_be_usable);
	tcase_add_test(tc, defaults_by_shape);
	tcase_add_test(tc, headers_of_bundles);
}

UNIT_MAIN("runner_repos", cases)
