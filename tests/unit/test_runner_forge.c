/* SPDX-License-Identifier: Apache-2.0 */
/* Where a pull request goes, and which addresses a person may be given. */
#include <stdlib.h>

#include "core/ambient-runner/forge.h"
#include "tests/lib/unit.h"

static const struct place {
	const char *url, *push_url;
	enum am_provider provider;
	const char *api, *project, *fork; /* api NULL: refused, and project is a part of the sentence */
} places[] = {
	{"https://github.com/o/r.git", NULL, 0, "https://api.github.com", "o/r", NULL},
	{"https://github.com/o/r/", "https://github.com/O/R", 0, "https://api.github.com", "o/r", NULL},
	{"git@github.com:o/r.git", "git@github.com:me/r", 0, "https://api.github.com", "o/r", "me/r"},
	{"https://corp.ghe.com/o/r", NULL, 0, "https://api.corp.ghe.com", "o/r", NULL},
	{"https://github.corp.example/o/r", NULL, 0, "https://github.corp.example/api/v3", "o/r", NULL},
	{"https://gitlab.com/g/s/r.git", "git@gitlab.com:me/r.git", 0, "https://gitlab.com/api/v4", "g/s/r", "me/r"},
	{"https://gitlab.corp.example:8443/g/r", NULL, 0, "https://gitlab.corp.example:8443/api/v4", "g/r", NULL},
	{"ssh://git@code.example:2222/g/r", NULL, AM_PROVIDER_GITLAB, "https://code.example/api/v4", "g/r", NULL},
	{"http://code.example:8080/g/r", NULL, AM_PROVIDER_GITHUB, "http://code.example:8080/api/v3", "g/r", NULL},
	{"https://code.example/g/r", NULL, 0, NULL, "is not known", NULL},
	{"https://github.com.evil.example/o/r", NULL, 0, "https://github.com.evil.example/api/v3", "o/r", NULL},
	{"https://xgithub.com/o/r", NULL, 0, NULL, "is not known", NULL},
	{"https://github.com/r", NULL, 0, NULL, "names no project", NULL},
	{"https://github.com/a/b/c", NULL, 0, NULL, "names no project", NULL},
	{"https://github.com/../c", NULL, 0, NULL, "names no project", NULL},
	{"https://gitlab.com/a/./c", NULL, 0, NULL, "names no project", NULL},
	{"https://gitlab.com/a%2fb/c", NULL, 0, NULL, "names no project", NULL},
	{"https://github.com/o/r", "https://gitlab.com/o/r", 0, NULL, "needs it on \"github.com\"", NULL},
};

START_TEST(where_a_request_goes)
{
	const struct place *p = &places[_i];
	const char *push = p->push_url != NULL ? p->push_url : p->url;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char url[200], push_url[200];
	struct am_repo repo = {.url = url, .push_url = push_url, .provider = p->provider};
	struct am_forge forge;

	(void)am_strlcpy(url, p->url, sizeof(url));
	(void)am_strlcpy(push_url, push, sizeof(push_url));
	ck_assert_int_eq(am_runner_giturl_check(url, &repo.where, &err), 0);
	ck_assert_int_eq(am_runner_giturl_check(push_url, &repo.push_where, &err), 0);
	int rc = am_forge_locate(&repo, &forge, &err);
	if (p->api == NULL) {
		ck_assert_int_lt(rc, 0);
		ck_assert_msg(strstr(err.message, p->project) != NULL, "%s: %s", p->url, err.message);
		return;
	}
	ck_assert_msg(rc == 0, "%s: %s", p->url, err.message);
	ck_assert_str_eq(forge.api, p->api);
	ck_assert_str_eq(forge.project, p->project);
	if (p->fork == NULL)
		ck_assert_ptr_null(forge.fork);
	else
		ck_assert_str_eq(forge.fork, p->fork);
	am_forge_fini(&forge);
}
END_TEST

START_TEST(another_api_is_configured)
{
	char url[] = "https://github.com/o/r";
	struct am_repo repo = {.url = url, .push_url = url};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_forge forge;

	ck_assert_int_eq(am_runner_giturl_check(url, &repo.where, &err), 0);
	repo.push_where = repo.where;
	(void)setenv("AMBIENT_GITHUB_API", "https://proxy.example/hub//", 1);
	ck_assert_int_eq(am_forge_locate(&repo, &forge, &err), 0);
	ck_assert_str_eq(forge.api, "https://proxy.example/hub");
	am_forge_fini(&forge);
	(void)setenv("AMBIENT_GITHUB_API", "ftp://proxy.example", 1);
	ck_assert_int_lt(am_forge_locate(&repo, &forge, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.message, "AMBIENT_GITHUB_API"));
	(void)unsetenv("AMBIENT_GITHUB_API");
}
END_TEST

START_TEST(addresses_for_people)
{
	static const char *const good[] = {"https://github.com/o/r/pull/1", "http://127.0.0.1:8080/g/r/-/merge_requests/2?x=1#n"};
	static const char *const bad[] = {"", "javascript:alert(1)", "ftp://h/x", "https://", "https:///x", "https://u@h/x", "https://h/a b",
					  "https://h/\"x", "https://h/<x>", "https://h/\n", "https://h/\xc3\xa9", "HTTPS:/h"};
	char large[AM_FORGE_URL_MAX + 20];

	for (size_t i = 0; i < AM_COUNTOF(good); i++)
		ck_assert_msg(am_forge_url_fits(good[i]), "%s", good[i]);
	for (size_t i = 0; i < AM_COUNTOF(bad); i++)
		ck_assert_msg(!am_forge_url_fits(bad[i]), "%s", bad[i]);
	ck_assert(!am_forge_url_fits(NULL));
	memset(large, 'x', sizeof(large));
	memcpy(large, "https://", 8);
	large[sizeof(large) - 1] = '\0';
	ck_assert(!am_forge_url_fits(large));
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, where_a_request_goes, 0, (int)AM_COUNTOF(places));
	tcase_add_test(tc, another_api_is_configured);
	tcase_add_test(tc, addresses_for_people);
}

UNIT_MAIN("runner_forge", cases)
