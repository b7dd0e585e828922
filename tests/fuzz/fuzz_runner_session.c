/* SPDX-License-Identifier: Apache-2.0 */
/* A session as somebody wrote it, and, when it is no JSON, a bundle's header.  What is usable afterwards is no option,
 * no path and no helper. */
#include "core/ambient-runner/bundle.h"
#include "core/ambient-runner/repos.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_repo(const struct am_repo *repo)
{
	am_assert(repo->name[0] != '\0' && repo->name[0] != '.' && repo->name[0] != '-' &&
		  strchr(repo->name, '/') == NULL);
	if (!repo->usable)
		return;
	for (int i = 0; i < 2; i++) {
		const char *url = i == 0 ? repo->url : repo->push_url;

		am_assert(*url != '-' && *url != '/' && *url != '.' && strncasecmp(url, "file:", 5) != 0 &&
			  strncasecmp(url, "ext:", 4) != 0);
	}
	am_assert(*repo->push_branch != '-' && (repo->branch == NULL || *repo->branch != '-'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct am_repos repos;
	char head[65];
	size_t pack;

	if (am_runner_bundle_header(text, size, &pack, head, NULL) == 0)
		am_assert(pack <= size && strlen(head) == 40);
	if (am_json_check(text, size, NULL) < 0)
		return 0;
	struct am_slice session = am_slice(text, size);
	(void)am_runner_repos_parse(session, "s1", &repos, NULL);
	for (size_t i = 0; i < repos.n; i++)
		check_repo(&repos.v[i]);
	am_runner_repos_fini(&repos);
	free(am_runner_session_prompt(session));
	am_assert(am_runner_session_timeout(session) >= 0);
	return 0;
}
