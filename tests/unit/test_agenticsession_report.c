/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a status that older and newer clients read, from the runner's report: what goes into each, what is not believed,
 * and how seldom those are written that grow with each word of the agent. */
#include "tests/unit/agenticsession.h"

static void
start(void)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
}

static void
hear(const char *members)
{
	report(members);
	(void)settle();
}

START_TEST(report_is_copied)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	report("\"state\":\"done\",\"result\":\"token ghp_abcdef here\",\"turns\":3,\"costUSD\":0.7,\"isError\":false,"
	       "\"usage\":{\"inputTokens\":18446744073709551615,\"note\":\"no\"},\"conversation\":\"c-1\",\"repos\":["
	       "{\"index\":0,\"name\":\"../../etc\",\"url\":\"https://u:p@evil/\",\"status\":\"pushed\",\"branch\":\"fix\","
	       "\"commit\":\"abc\",\"added\":4,\"removed\":1,\"prUrl\":\"https://git.example/a/pull/7\"},{\"index\":7,\"status\":\"pushed\"},{\"index\":0}]");
	pod(ENDED(0));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_str_eq(at("/status/results"), "token ghp_****** here");
	ck_assert_str_eq(at("/status/total_cost_usd"), "0.7");
	ck_assert_str_eq(at("/status/usage/inputTokens"), "18446744073709551615");
	ck_assert_str_eq(at("/status/usage/note"), "(none)");
	ck_assert_str_eq(at("/status/repos/0/name"), "a");
	ck_assert_str_eq(at("/status/repos/0/url"), "https://git.example/a.git");
	ck_assert_str_eq(at("/status/repos/0/pushed"), "true");
	ck_assert_str_eq(at("/status/repos/0/total_added"), "4");
	ck_assert_str_eq(at("/status/repos/0/total_removed"), "1");
	ck_assert_str_eq(at("/status/repos/0/branch"), "fix");
	ck_assert_str_eq(at("/status/repos/0/commit"), "abc");
	ck_assert_str_eq(at("/status/repos/0/prUrl"), "https://git.example/a/pull/7");
	ck_assert_str_eq(at("/status/repos/1"), "(none)");
	ck_assert_str_eq(at("/status/num_turns"), "3");
	ck_assert_str_eq(at("/status/is_error"), "false");
	/* The same, under the names that older clients read. */
	ck_assert_str_eq(at("/status/cost"), "0.7");
	ck_assert_str_eq(at("/status/sdkSessionId"), "c-1");
	ck_assert_str_eq(at("/status/has_workspace_changes"), "true");
	ck_assert_str_eq(at("/status/repoStatuses/0/repoURL"), "https://git.example/a.git");
	ck_assert_str_eq(at("/status/repoStatuses/0/status"), "pushed");
	ck_assert_str_eq(at("/status/repoStatuses/1"), "(none)");
	end();
}
END_TEST

static const struct {
	const char *repo, *changes;
} workspaces[] = {
	{ "\"status\":\"nochanges\",\"added\":0,\"removed\":0", "false" },
	{ "\"status\":\"abandoned\",\"added\":0,\"removed\":2", "true" },
	{ "\"status\":\"error\",\"error\":\"refused\"", "false" },
};

START_TEST(changes_of_the_workspace)
{
	char text[200];

	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)snprintf(text, sizeof(text), "\"state\":\"done\",\"repos\":[{\"index\":0,%s}]", workspaces[_i].repo);
	report(text);
	pod(ENDED(0));
	(void)settle();
	ck_assert_str_eq(at("/status/has_workspace_changes"), workspaces[_i].changes);
	ck_assert_str_eq(at("/status/repoStatuses/0/message"), _i == 2 ? "refused" : "(none)");
	end();
}
END_TEST

/* At the end the server is asked for the report; a cache that has not heard of it yet must not take it back. */
START_TEST(a_last_report_is_not_taken_back_by_an_older_one)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	report("\"state\":\"done\",\"result\":\"all of it\",\"repos\":[{\"index\":0,\"status\":\"pushed\"}]");
	pod(ENDED(0));
	(void)settle();
	ck_assert_str_eq(at("/status/repos/0/status"), "pushed");
	report("\"state\":\"running\",\"result\":\"some of it\",\"repos\":[{\"index\":0}]");
	(void)settle();
	ck_assert_str_eq(at("/status/repos/0/status"), "pushed");
	ck_assert_str_eq(at("/status/results"), "all of it");
	report("\"state\":\"done\",\"result\":\"late\",\"repos\":[{\"index\":0,\"status\":\"pushed\"}]");
	(void)settle();
	ck_assert_str_eq(at("/status/results"), "late");
	end();
}
END_TEST

static const struct hostile_case {
	const char *members;
	const char *why;
} hostile_cases[] = {
	{ "\"run\":\"another\",\"result\":\"x\"", "a second run id" },
	{ "\"result\":7,\"turns\":\"many\",\"costUSD\":-1,\"repos\":{},\"usage\":[],\"conversation\":[]", "wrong types" },
	{ "\"turns\":-5,\"reason\":\"not camel\",\"repos\":[3,null,{\"index\":\"0\"}]", "wrong values" },
};

START_TEST(hostile_reports)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	report(hostile_cases[_i].members);
	pod(ENDED(1));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_str_eq(cond("Failed", "reason"), "RunnerExit");
	ck_assert_str_eq(at("/status/results"), "(none)");
	ck_assert_str_eq(at("/status/num_turns"), "(none)");
	ck_assert_str_eq(at("/status/total_cost_usd"), "(none)");
	ck_assert_str_eq(at("/status/repos/0"), "(none)");
	end();
}
END_TEST

START_TEST(figures_of_a_run)
{
	start();
	hear("\"state\":\"running\",\"agent\":\"working\",\"activityAt\":\"2026-01-01T00:00:10Z\",\"messages\":3,\"artifacts\":0,\"restarts\":0");
	ck_assert_str_eq(at("/status/agentStatus"), "working");
	ck_assert_str_eq(at("/status/lastActivityTime"), "2026-01-01T00:00:10Z");
	ck_assert_str_eq(at("/status/messagesCount"), "3");
	ck_assert_str_eq(at("/status/artifactsCount"), "0");
	ck_assert_str_eq(at("/status/sdkRestartCount"), "0");
	ck_assert_str_eq(at("/status/subtype"), "(none)");
	report("\"state\":\"done\",\"activityAt\":\"2026-01-01T00:00:20Z\",\"messages\":9,\"artifacts\":2,\"restarts\":1,\"subtype\":\"success\","
	       "\"durationMs\":90,\"durationApiMs\":29,\"repos\":[{\"index\":0,\"status\":\"pushed\",\"at\":\"2026-01-01T00:00:21Z\"}]");
	pod(ENDED(0));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_str_eq(at("/status/agentStatus"), "(none)");
	ck_assert_str_eq(at("/status/lastActivityTime"), "2026-01-01T00:00:20Z");
	ck_assert_str_eq(at("/status/messagesCount"), "9");
	ck_assert_str_eq(at("/status/artifactsCount"), "2");
	ck_assert_str_eq(at("/status/sdkRestartCount"), "1");
	ck_assert_str_eq(at("/status/subtype"), "success");
	ck_assert_str_eq(at("/status/duration_api_ms"), "29");
	ck_assert_str_eq(at("/status/repos/0/last_updated"), "2026-01-01T00:00:21Z");
	end();
}
END_TEST

#define BEAT(at, activity, agent, figures) "\"state\":\"running\",\"heartbeatAt\":\"2026-01-01T00:" at "Z\",\"activityAt\":\"2026-01-01T00:" \
					   activity "Z\",\"agent\":\"" agent "\"," figures

START_TEST(what_grows_is_written_once_a_minute)
{
	size_t before;

	start();
	hear(BEAT("00:10", "00:10", "working", "\"messages\":3"));
	before = writes();
	hear(BEAT("00:35", "00:35", "working", "\"messages\":40,\"artifacts\":4"));
	hear(BEAT("01:09", "01:05", "working", "\"messages\":90,\"artifacts\":5"));
	ck_assert_uint_eq(writes(), before);
	ck_assert_str_eq(at("/status/messagesCount"), "3");
	/* Whether or not something was said since. */
	hear(BEAT("01:10", "01:05", "working", "\"messages\":90,\"artifacts\":5"));
	ck_assert_uint_eq(writes(), before + 1);
	ck_assert_str_eq(at("/status/messagesCount"), "90");
	ck_assert_str_eq(at("/status/artifactsCount"), "5");
	ck_assert_str_eq(at("/status/lastActivityTime"), "2026-01-01T00:01:05Z");
	/* With what is written anyway. */
	hear(BEAT("01:12", "01:12", "waiting_input", "\"messages\":92,\"artifacts\":5"));
	ck_assert_uint_eq(writes(), before + 2);
	ck_assert_str_eq(at("/status/agentStatus"), "waiting_input");
	ck_assert_str_eq(at("/status/messagesCount"), "92");
	hear(BEAT("01:13", "01:13", "waiting_input", "\"messages\":93,\"artifacts\":6"));
	ck_assert_uint_eq(writes(), before + 2);
	/* The end counts, however near. */
	report("\"state\":\"done\",\"activityAt\":\"2026-01-01T00:01:14Z\",\"messages\":94,\"artifacts\":6");
	pod(ENDED(0));
	(void)settle();
	ck_assert_str_eq(at("/status/agentStatus"), "(none)");
	ck_assert_str_eq(at("/status/messagesCount"), "94");
	ck_assert_str_eq(at("/status/artifactsCount"), "6");
	end();
}
END_TEST

/* Nobody is at work where a run ended without a last word. */
START_TEST(an_agent_that_is_gone_does_nothing)
{
	start();
	hear("\"state\":\"running\",\"agent\":\"idle\"");
	ck_assert_str_eq(at("/status/agentStatus"), "idle");
	pod(ENDED(137));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_str_eq(at("/status/agentStatus"), "(none)");
	end();
}
END_TEST

static const struct {
	const char *members, *pointer;
} hostile[] = {
	{ "\"agent\":\"busy\"", "/status/agentStatus" },
	{ "\"agent\":7", "/status/agentStatus" },
	{ "\"subtype\":\"not plain\"", "/status/subtype" },
	{ "\"subtype\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "/status/subtype" },
	{ "\"activityAt\":\"yesterday\"", "/status/lastActivityTime" },
	{ "\"activityAt\":7", "/status/lastActivityTime" },
	{ "\"messages\":-1", "/status/messagesCount" },
	{ "\"artifacts\":\"many\"", "/status/artifactsCount" },
	{ "\"restarts\":-7", "/status/sdkRestartCount" },
	{ "\"durationApiMs\":true", "/status/duration_api_ms" },
	{ "\"repos\":[{\"index\":0,\"status\":\"error\",\"at\":\"now\"}]", "/status/repos/0/last_updated" },
	{ "\"reconciled\":{\"repos\":[{\"name\":\"a\",\"status\":\"Ready\",\"branches\":\"main\"}]}", "/status/reconciledRepos/0/branches" },
	{ "\"reconciled\":{\"repos\":[{\"name\":\"a\",\"status\":\"Ready\",\"branches\":[\"-x\",\"a b\",7,\"\"]}]}",
	  "/status/reconciledRepos/0/branches/0" },
	{ "\"reconciled\":{\"repos\":[{\"name\":\"a\",\"status\":\"Ready\",\"currentBranch\":\"../x\"}]}",
	  "/status/reconciledRepos/0/currentActiveBranch" },
	{ "\"reconciled\":{\"repos\":[{\"name\":\"a\",\"status\":\"Ready\",\"defaultBranch\":[]}]}", "/status/reconciledRepos/0/defaultBranch" },
};

START_TEST(what_is_no_such_value_is_left_out)
{
	char text[500];

	start();
	(void)snprintf(text, sizeof(text), "\"state\":\"running\",%s", hostile[_i].members);
	hear(text);
	ck_assert_str_eq(at(hostile[_i].pointer), "(none)");
	ck_assert_str_eq(at("/status/phase"), "Running");
	end();
}
END_TEST

START_TEST(branches_of_a_clone)
{
	start();
	hear("\"state\":\"running\",\"reconciled\":{\"repos\":[{\"name\":\"a\",\"status\":\"Ready\",\"branches\":[\"fix/it\",\"main\",\"ghp_0123\"],"
	     "\"currentBranch\":\"fix/it\",\"defaultBranch\":\"trunk\"}]}");
	ck_assert_str_eq(at("/status/reconciledRepos/0/branches/0"), "fix/it");
	ck_assert_str_eq(at("/status/reconciledRepos/0/branches/1"), "main");
	ck_assert_str_eq(at("/status/reconciledRepos/0/branches/2"), "ghp_****");
	ck_assert_str_eq(at("/status/reconciledRepos/0/branches/3"), "(none)");
	ck_assert_str_eq(at("/status/reconciledRepos/0/currentActiveBranch"), "fix/it");
	ck_assert_str_eq(at("/status/reconciledRepos/0/defaultBranch"), "trunk");
	end();
}
END_TEST

START_TEST(there_are_at_most_so_many_branches)
{
	char text[900] = "\"state\":\"running\",\"reconciled\":{\"repos\":[{\"name\":\"a\",\"status\":\"Ready\",\"branches\":[\"b\"";

	for (int i = 0; i < 40; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ",\"b%d\"", i);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "]}]}");
	start();
	hear(text);
	ck_assert_str_eq(at("/status/reconciledRepos/0/branches/19"), "b18");
	ck_assert_str_eq(at("/status/reconciledRepos/0/branches/20"), "(none)");
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, report_is_copied);
	tcase_add_loop_test(tc, changes_of_the_workspace, 0, (int)(sizeof(workspaces) / sizeof(workspaces[0])));
	tcase_add_test(tc, a_last_report_is_not_taken_back_by_an_older_one);
	tcase_add_loop_test(tc, hostile_reports, 0, sizeof(hostile_cases) / sizeof(hostile_cases[0]));
	tcase_add_test(tc, figures_of_a_run);
	tcase_add_test(tc, what_grows_is_written_once_a_minute);
	tcase_add_test(tc, an_agent_that_is_gone_does_nothing);
	tcase_add_loop_test(tc, what_is_no_such_value_is_left_out, 0, (int)(sizeof(hostile) / sizeof(hostile[0])));
	tcase_add_test(tc, branches_of_a_clone);
	tcase_add_test(tc, there_are_at_most_so_many_branches);
}

UNIT_MAIN("agenticsession_report", cases)
