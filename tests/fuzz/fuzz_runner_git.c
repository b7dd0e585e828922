/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What git prints: counts of lines and the state of files, divided by the first line "~~~", the branch that a remote names, and
 * the words of a failure.  What is told of it is JSON, has only names that stand there whole, and no branch that is an option.
 */
#include <stdlib.h>

#include "core/ambient-runner/git_priv.h"
#include "core/ambient-runner/porcelain.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define MARK "~~~\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
nuls_of(struct am_slice text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\0';
	return n;
}

static void
check_files(struct am_slice numstat, struct am_slice status)
{
	am_auto(am_buf_fini) struct am_buf json = {0};
	struct am_map *counts = am_porcelain_numstat(numstat);
	struct am_slice all, file;
	size_t it = 0, n = 0;

	am_assert(am_map_len(counts) <= nuls_of(numstat));
	am_buf_addc(&json, '[');
	bool whole = am_porcelain_status(status, counts, &json);
	am_buf_addc(&json, ']');
	am_assert(!whole || status.n == 0 || status.p[status.n - 1] == '\0');
	all = am_slice(am_buf_str(&json), json.len);
	am_assert(am_json_check(all.p, all.n, NULL) == 0);
	while (am_json_element(all, &it, &file)) {
		am_auto(am_freep) char *path = am_json_dup(file, "/path"), *code = am_json_dup(file, "/code");

		am_assert(path != NULL && *path != '\0' && code != NULL && strlen(code) <= 6);
		am_assert(am_json_int(file, "/added", 0) >= 0 && am_json_int(file, "/removed", 0) >= 0);
		n++;
	}
	am_assert(n <= nuls_of(status) && n <= AM_PORCELAIN_FILES);
	am_map_free(counts);
}

static void
check_texts(const char *text, size_t n)
{
	static const char secret[] = "a-token-of-somebody";
	am_auto(am_buf_fini) struct am_buf said = {0};
	static struct am_git git;
	char line[200];
	char *branch = am_porcelain_default_branch(text);

	am_assert(branch == NULL || (*branch != '\0' && *branch != '-' && branch[strcspn(branch, " \t\n~^:?*[\\")] == '\0'));
	free(branch);
	if (git.redactor == NULL) {
		git.redactor = am_runner_redactor_new();
		am_runner_redactor_add(git.redactor, secret, sizeof(secret) - 1);
	}
	am_buf_add(&said, text, n);
	am_git_explain(&git, &said, line, sizeof(line));
	am_assert(strlen(line) < sizeof(line) && strchr(line, '\n') == NULL && strstr(line, secret) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *mark = memmem(p, size, MARK, sizeof(MARK) - 1);
	am_auto(am_freep) char *text = am_xstrndup(p, size);
	size_t n = mark != NULL ? (size_t)(mark - p) : size;
	size_t behind = mark != NULL ? n + sizeof(MARK) - 1 : size;

	check_files(am_slice(p, n), am_slice(p + behind, size - behind));
	check_files(am_slice(p + behind, size - behind), am_slice(p, n));
	check_texts(text, strlen(text));
	return 0;
}
