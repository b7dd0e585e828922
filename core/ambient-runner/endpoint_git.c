/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/git: the state of an agent's clone (look.c).  While there is an agent its side is asked, as git must not read a
 * hostile clone where the credentials are; afterwards there are none, and it is looked at here.
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/ambient-runner/beneath.h"
#include "core/ambient-runner/endpoint_priv.h"
#include "core/base/mem.h"
#include "core/base/spawn.h"
#include "core/data/scan.h"

#define ANSWER_MAX ((size_t)8 << 20)
#define LOOK_NS    (70 * AM_NS_PER_S)

static void
look_here(struct am_http_request *request, const char *repo, bool diff)
{
	const char *argv[] = {"/proc/self/exe", "look", repo, "-", diff ? "diff" : NULL, NULL};
	struct am_spawn spawn = {.argv = argv, .fds = {-1, -1, -1}};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_run_result result = {0};
	int rc = am_run(&spawn, NULL, 0, ANSWER_MAX, LOOK_NS, NULL, &result, &err);
	struct am_slice answer = am_slice(am_buf_str(&result.out), result.out.len);
	bool good = rc == 0 && am_json_check(answer.p, answer.n, NULL) == 0;
	am_auto(am_freep) char *error = good ? am_json_dup(answer, "/error")
					     : am_xstrdup(rc < 0 ? err.message : "the clone could not be looked at");

	if (error == NULL)
		am_http_answer(request, 200, "application/json", &result.out);
	else
		am_endpoint_refuse(request, 409, "Refused", "%.300s", error);
	am_run_result_fini(&result);
}

void
am_endpoint_git(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key)
{
	const char *repo = am_http_query(request, "repo");
	int diff = am_endpoint_flag(request, "diff", 0);

	if (diff < 0)
		return;
	if (repo == NULL || !am_runner_repo_name_ok(repo)) {
		am_endpoint_refuse(request, 400, "BadRequest", "repo must be the name of a repository's folder in the workspace");
		return;
	}
	if (!endpoint->options.content) {
		am_endpoint_ask_look(endpoint, request, key, repo, diff);
		return;
	}
	am_lock(&endpoint->lock);
	bool busy = endpoint->looking;
	endpoint->looking = true;
	am_unlock(&endpoint->lock);
	if (busy) {
		am_http_set_header(request, "Retry-After", "1");
		am_endpoint_refuse(request, 429, "TooMany", "a clone is being looked at; ask again");
		return;
	}
	look_here(request, repo, diff);
	am_lock(&endpoint->lock);
	endpoint->looking = false;
	am_unlock(&endpoint->lock);
}
