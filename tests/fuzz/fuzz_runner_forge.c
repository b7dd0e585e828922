/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What GitHub, GitLab and Jira may answer.  The first byte says which of them is asked and for what; the answers are separated by
 * lines "~~~", the first line of each is its status.  rest.c's place is taken by what it promises: checked JSON or nothing, a
 * success that is none an error (fuzz_runner_rest has what is below).
 *
 * Every request is well formed and goes to the configured server; an address for people is one; what is told of a failure has
 * nothing of the token; Jira's result is JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/ambient-runner/forge.h"
#include "core/ambient-runner/jira.h"
#include "core/ambient-runner/rest.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define MARK     "~~~\n"
#define PREFIX   "ghp_0123"
#define TOKEN    PREFIX "456789abcdef"
#define JIRA     "https://jira.example"
#define REQUESTS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct am_slice answers;
static int requests;
static char dir[64];
static int order_fd, result_fd, real_stdin, real_stdout;

/* ---- in rest.c's place */

void
am_rest_answer_fini(struct am_rest_answer *answer)
{
	am_buf_fini(&answer->body);
}

static struct am_slice
next_answer(void)
{
	const char *mark = answers.n > 0 ? memmem(answers.p, answers.n, MARK, sizeof(MARK) - 1) : NULL;
	struct am_slice ret = am_slice(answers.p, mark != NULL ? (size_t)(mark - answers.p) : answers.n);

	answers = mark != NULL ? am_slice(mark + sizeof(MARK) - 1, answers.n - ret.n - (sizeof(MARK) - 1)) : am_slice("", 0);
	return ret;
}

static void
check_request(const struct am_rest *rest)
{
	am_assert(am_streq(rest->base, "https://api.github.com") || am_streq(rest->base, "https://gitlab.com/api/v4") ||
		  am_streq(rest->base, JIRA));
	am_assert(rest->path[0] == '/' && rest->authorization != NULL && ++requests <= REQUESTS);
	for (const char *p = rest->path; *p != '\0'; p++)
		am_assert(*p > ' ' && *p < 0x7f && *p != '#');
	am_assert(strstr(rest->path, "/../") == NULL && strstr(rest->path, "/./") == NULL);
	am_assert(rest->body == NULL || am_json_check(rest->body, strlen(rest->body), NULL) == 0);
}

int
am_rest_do(const struct am_rest *rest, struct am_rest_answer *answer, struct ambient_error *err)
{
	struct am_slice text = next_answer();
	int status = 0;

	check_request(rest);
	am_buf_reset(&answer->body);
	(void)am_strlcpy(answer->location, "elsewhere.example", sizeof(answer->location));
	for (; text.n > 0 && *text.p >= '0' && *text.p <= '9' && status < 100; text.p++, text.n--)
		status = status * 10 + (*text.p - '0');
	if (status < 100 || text.n == 0 || *text.p != '\n')
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "no answer");
	answer->status = status;
	if (text.n == 1)
		return 0;
	if (am_json_check(text.p + 1, text.n - 1, NULL) == 0)
		am_buf_add(&answer->body, text.p + 1, text.n - 1);
	else if (status < 300)
		return ambient_err(err, AMBIENT_E_INVALID, "the answer (%d) is no JSON", status);
	return 0;
}

/* ---- GitHub and GitLab */

/* Whether the input has the token's beginning only where it has all of it, and writes no letter in another way. */
static bool
is_plain(struct am_slice text)
{
	if (text.n == 0 || memchr(text.p, '\\', text.n) != NULL)
		return false;
	for (const char *p; (p = memmem(text.p, text.n, PREFIX, sizeof(PREFIX) - 1)) != NULL;) {
		size_t left = text.n - (size_t)(p - text.p);

		if (left < sizeof(TOKEN) - 1 || memcmp(p, TOKEN, sizeof(TOKEN) - 1) != 0)
			return false;
		text = am_slice(p + sizeof(TOKEN) - 1, left - (sizeof(TOKEN) - 1));
	}
	return true;
}

static void
open_request(bool gitlab, bool fork, bool base)
{
	static char urls[][40] = {"https://github.com/o/r.git", "https://github.com/me/r", "https://gitlab.com/g/s/r", "https://gitlab.com/me/r"};
	static char branch[] = "ambient/s1", into[] = "main";
	bool plain = is_plain(answers);
	struct am_git git = {.cred_dir = "/nonexistent", .redactor = am_runner_redactor_new()};
	struct am_repo repo = {.url = urls[gitlab ? 2 : 0], .push_url = urls[(gitlab ? 2 : 0) + (fork ? 1 : 0)], .push_branch = branch,
			       .pr_base = base ? into : NULL};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_runner_redactor_add(git.redactor, TOKEN, sizeof(TOKEN) - 1);
	am_assert(am_runner_giturl_check(repo.url, &repo.where, NULL) == 0);
	am_assert(am_runner_giturl_check(repo.push_url, &repo.push_where, NULL) == 0);
	int rc = am_forge_open(&git, &repo, "A title", "What was done.", &err);
	am_assert(rc < 0 ? err.message[0] != '\0' : am_forge_url_fits(repo.pr_url));
	am_assert(strstr(err.message, TOKEN) == NULL && (!plain || strstr(err.message, PREFIX) == NULL));
	for (const char *p = err.message; *p != '\0'; p++)
		am_assert((unsigned char)*p >= ' ');
	am_runner_redactor_free(git.redactor);
}

/* ---- Jira */

static void
publish(const char *order)
{
	char text[8192];

	am_assert(ftruncate(order_fd, 0) == 0 && pwrite(order_fd, order, strlen(order), 0) == (ssize_t)strlen(order));
	am_assert(ftruncate(result_fd, 0) == 0);
	am_assert(lseek(order_fd, 0, SEEK_SET) == 0 && lseek(result_fd, 0, SEEK_SET) == 0);
	(void)fflush(stdout);
	am_assert(dup2(order_fd, STDIN_FILENO) == STDIN_FILENO && dup2(result_fd, STDOUT_FILENO) == STDOUT_FILENO);
	int rc = am_runner_jira_main();
	am_assert(dup2(real_stdin, STDIN_FILENO) == STDIN_FILENO && dup2(real_stdout, STDOUT_FILENO) == STDOUT_FILENO);
	ssize_t n = pread(result_fd, text, sizeof(text), 0);
	am_assert(n > 0 && n < (ssize_t)sizeof(text));
	struct am_slice result = am_slice(text, (size_t)n);
	am_assert(am_json_check(result.p, result.n, NULL) == 0);
	am_auto(am_freep) char *key = am_json_dup(result, "/key"), *url = am_json_dup(result, "/url");
	am_auto(am_freep) char *reason = am_json_dup(result, "/reason");
	am_assert(rc == 0 ? am_jira_is_key(key) && am_starts(url, JIRA "/browse/") : !am_empty(reason) && key == NULL);
}

/* What of Jira is text: no exchange. */
static void
read_texts(const char *text, size_t n)
{
	am_auto(am_freep) char *z = am_xstrndup(text, n);
	am_auto(am_buf_fini) struct am_buf description = {0};
	struct am_jira_error error = {0};
	struct am_jira jira;
	char said[240];

	am_jira_description(&description, "https://git.example/r", text, n);
	am_assert(description.len <= AM_JIRA_DESCRIPTION_MAX + 64);
	am_jira_complaint(said, am_slice(text, n));
	am_assert(strlen(said) < sizeof(said) && said[strcspn(said, "\r\n\t\x7f")] == '\0');
	(void)am_jira_is_key(z);
	if (am_jira_account(&jira, z, "ABC", "me@example.com", "token:x", false, &error) == 0)
		am_assert(strncasecmp(jira.url, "https://", 8) == 0 || strncasecmp(jira.url, "http://", 7) == 0);
	am_jira_fini(&jira);
}

static void
end(void)
{
	(void)am_remove_tree(dir, NULL);
}

static void
begin(void)
{
	(void)snprintf(dir, sizeof(dir), "%s/ambient-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	am_assert(mkdtemp(dir) != NULL && chdir(dir) == 0);
	am_assert(am_file_write("spec.md", "# Spec\n\ntext\n", 13, 0600, NULL) == 0);
	am_assert(am_file_write("plan.md", "plan\n", 5, 0600, NULL) == 0);
	order_fd = memfd_create("order", MFD_CLOEXEC);
	result_fd = memfd_create("result", MFD_CLOEXEC);
	real_stdin = dup(STDIN_FILENO);
	real_stdout = dup(STDOUT_FILENO);
	(void)setenv("GITHUB_TOKEN", TOKEN, 1);
	(void)setenv("GITLAB_TOKEN", TOKEN, 1);
	(void)setenv("JIRA_URL", JIRA, 1);
	(void)setenv("JIRA_PROJECT", "ABC", 1);
	(void)setenv("JIRA_EMAIL", "me@example.com", 1);
	(void)setenv("JIRA_API_TOKEN", TOKEN, 1);
	(void)atexit(end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;

	if (size < 1)
		return 0;
	if (!begun)
		begin();
	begun = true;
	answers = am_slice((const char *)data + 1, size - 1);
	requests = 0;
	switch (data[0] % 16) {
	case 8:
		publish("{\"path\":\"spec.md\",\"type\":\"Feature\",\"summary\":\"S\",\"label\":\"spec-1\",\"implements\":\"ABC-7\","
			"\"attachments\":[\"plan.md\"]}");
		break;
	case 9:
		publish("{\"path\":\"spec.md\",\"summary\":\"S\",\"label\":\"spec-1\",\"key\":\"ABC-2\",\"parent\":\"ABC-1\","
			"\"implements\":\"ABC-7\",\"attachments\":[\"plan.md\"]}");
		break;
	case 10:
		read_texts(answers.p, answers.n);
		break;
	default:
		open_request((data[0] & 1) != 0, (data[0] & 2) != 0, (data[0] & 4) != 0);
	}
	return 0;
}
