/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner's report -> status.  The pod writes the report, and what runs in the pod is not trusted: it must be of
 * this run, every field has its type and its limit, what is not known is not copied, and whatever looks like a
 * credential is blanked.
 */
#include "plugins/agenticsession/agenticsession.h"
#include "plugins/kind-shared/giturl.h"

#include <ctype.h>
#include <stdlib.h>

#define BRANCHES_MAX   20
#define ACTIVITY_EVERY (60 * AMBIENT_SECOND)

static bool
token_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

void
as_redact(char *text)
{
	static const char *const prefixes[] = {
		"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-ant-", "sk-lf-", "pk-lf-",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i]);

		for (char *p = text; (p = strstr(p, prefixes[i])) != NULL; p += n) {
			for (char *q = p + n; token_char(*q); q++)
				*q = '*';
		}
	}
	/* user:password@ of a URL */
	for (char *p = text; (p = strstr(p, "://")) != NULL;) {
		char *end, *at = NULL, *colon;

		p += 3;
		end = p + strcspn(p, "/ \t\n\"'");
		for (char *q = p; q < end; q++)
			if (*q == '@')
				at = q;
		colon = at != NULL ? memchr(p, ':', (size_t)(at - p)) : NULL;
		for (char *q = colon != NULL ? colon + 1 : end; q < at; q++)
			*q = '*';
	}
}

/* A copy of a string of the report: at most max bytes, cut between characters, redacted; NULL when absent. */
static char *
clean(const struct ambient_object *o, const char *pointer, size_t max)
{
	const char *s = ambient_type(o, pointer) == AMBIENT_T_STRING ? ambient_str(o, pointer, "") : NULL;
	size_t n = s != NULL ? strlen(s) : 0;
	char *out;

	if (s == NULL)
		return NULL;
	if (n > max) {
		n = max;
		while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	}
	out = malloc(n + 1);
	if (out == NULL)
		return NULL;
	memcpy(out, s, n);
	out[n] = '\0';
	as_redact(out);
	return out;
}

static void
add_string(struct text *t, const struct ambient_object *o, const char *pointer, const char *key, size_t max)
{
	char *s = clean(o, pointer, max);

	if (s != NULL)
		text_add(t, ",%s:%s", key, s);
	free(s);
}

static void
add_number(struct text *t, const struct ambient_object *o, const char *pointer, const char *key, bool integer)
{
	size_t len = 0;
	const char *raw = ambient_type(o, pointer) == AMBIENT_T_NUMBER ? ambient_json(o, pointer, &len) : NULL;

	if (raw == NULL || len > 40 || (integer && ambient_int(o, pointer, -1) < 0) || ambient_real(o, pointer, -1) < 0)
		return;
	if (integer)
		text_add(t, ",%s:%d", key, ambient_int(o, pointer, 0));
	else
		text_add(t, ",%s:%o", key, ambient_at(o, pointer));
}

static void
add_time(struct text *t, const struct ambient_object *o, const char *pointer, const char *key)
{
	int64_t at;

	if (kc_time_parse(ambient_str(o, pointer, ""), &at))
		add_string(t, o, pointer, key, 39);
}

/* What the runner made of one thing that the plan names, or nothing yet.  Only how it went is the runner's to say. */
static void
add_state(struct text *t, const struct ambient_object *said, const char *active, const char *when)
{
	const char *const states[] = { "Cloning", active, "Failed" };
	const char *status = said != NULL ? ambient_str(said, "/status", "") : "", *known = "Cloning";

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(status, states[i]) == 0)
			known = states[i];
	text_add(t, ",\"status\":%s", known);
	if (said != NULL)
		add_time(t, said, "/at", when);
	if (said != NULL && known == states[2])
		add_string(t, said, "/error", "message", 1024);
}

/* A name of a branch of the agent's clone, or of its remote. */
static void
add_branch(struct text *t, const struct ambient_object *o, const char *pointer, const char *key)
{
	if (kg_branch_problem(ambient_str(o, pointer, "")) == NULL)
		add_string(t, o, pointer, key, 200);
}

static void
add_branches(struct text *t, const struct ambient_object *said)
{
	const char *comma = "";
	char *name;

	if (ambient_type(said, "/branches") == AMBIENT_T_ARRAY) {
		text_add(t, ",\"branches\":[");
		for (size_t i = 0; i < ambient_len(said, "/branches") && i < BRANCHES_MAX; i++) {
			const struct ambient_object *one = ambient_item(said, "/branches", i, NULL);

			if (kg_branch_problem(ambient_str(one, "", "")) != NULL || (name = clean(one, "", 200)) == NULL)
				continue;
			text_add(t, "%j%s", comma, name);
			free(name);
			comma = ",";
		}
		text_add(t, "]");
	}
	add_branch(t, said, "/currentBranch", "currentActiveBranch");
	add_branch(t, said, "/defaultBranch", "defaultBranch");
}

static const struct ambient_object *
find_named(const struct ambient_object *o, const char *pointer, const char *name)
{
	for (size_t i = 0; i < ambient_len(o, pointer) && i < 2 * AS_REPOS_MAX; i++) {
		const struct ambient_object *item = ambient_item(o, pointer, i, NULL);

		if (strcmp(ambient_str(item, "/name", ""), name) == 0 && strcmp(ambient_str(item, "/status", ""), "Removed") != 0)
			return item;
	}
	return NULL;
}

/* A directory that is kept aside: nothing but a name and a place below the workspace. */
static bool
is_plain(const char *s, const char *also, size_t max)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!token_char(s[i]) && strchr(also, s[i]) == NULL)
			return false;
	return n > 0 && n <= max;
}

/* What is no longer in the plan, and where its files are. */
static void
add_removed(struct text *t, const struct ambient_object *report, bool any)
{
	size_t n = 0;

	for (size_t i = 0; i < ambient_len(report, "/reconciled/repos") && i < 4 * AS_REPOS_MAX && n < 16; i++) {
		const struct ambient_object *item = ambient_item(report, "/reconciled/repos", i, NULL);
		const char *name = ambient_str(item, "/name", ""), *where = ambient_str(item, "/where", "");
		char text[200];

		if (strcmp(ambient_str(item, "/status", ""), "Removed") != 0 || !is_plain(name, ".", 64) || !is_plain(where, "./", 120))
			continue;
		(void)snprintf(text, sizeof(text), "its files are kept in workspace/%.120s", where);
		text_add(t, "%j{\"name\":%s,\"status\":\"Removed\",\"message\":%s}", any || n > 0 ? "," : "", name, text);
		n++;
	}
}

/* What the workspace holds, of what the plan names. */
static void
add_reconciled(struct text *t, const struct ambient_object *report, const struct as_status *st)
{
	const struct ambient_object *plan = st->effective, *item, *said;

	if (plan == NULL || ambient_type(report, "/reconciled") != AMBIENT_T_OBJECT)
		return;
	text_add(t, ",\"reconciledRepos\":[");
	for (size_t i = 0; i < ambient_len(plan, "/repos"); i++) {
		item = ambient_item(plan, "/repos", i, NULL);
		text_add(t, "%j{\"name\":%s,\"url\":%s,\"branch\":%s", i > 0 ? "," : "", ambient_str(item, "/name", ""),
			 ambient_str(item, "/url", ""), ambient_str(item, "/branch", ""));
		said = find_named(report, "/reconciled/repos", ambient_str(item, "/name", ""));
		add_state(t, said, "Ready", "clonedAt");
		if (said != NULL)
			add_branches(t, said);
		text_add(t, "}");
	}
	add_removed(t, report, ambient_len(plan, "/repos") > 0);
	text_add(t, "]");
	if ((item = ambient_at(plan, "/activeWorkflow")) == NULL)
		return;
	text_add(t, ",\"reconciledWorkflow\":{\"gitUrl\":%s,\"branch\":%s,\"path\":%s", ambient_str(item, "/gitUrl", ""),
		 ambient_str(item, "/branch", ""), ambient_str(item, "/path", ""));
	add_state(t, ambient_at(report, "/reconciled/workflow"), "Active", "appliedAt");
	text_add(t, "}");
}

/* An address that a person may be led to: nothing else than the web's, nothing that could end or hide it. */
static bool
is_web_url(const char *url)
{
	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		return false;
	for (const char *p = url; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\"'<>\\", *p) != NULL)
			return false;
	return strlen(url) <= 2048;
}

/* One of the words for how a push went, or NULL. */
static const char *
known_state(const struct ambient_object *r)
{
	static const char *const states[] = { "pushed", "abandoned", "nochanges", "error" };
	const char *status = ambient_str(r, "/status", "");

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(status, states[i]) == 0)
			return states[i];
	return NULL;
}

static void
add_repo(struct text *t, const struct ambient_object *r, const struct ambient_object *planned, int64_t index)
{
	const char *known = known_state(r);

	/* Name and URL are those that were planned: a report can say how it went, not where. */
	text_add(t, "{\"index\":%d,\"name\":%s,\"url\":%s", index, ambient_str(planned, "/name", ""),
		 ambient_str(planned, "/url", ""));
	if (known != NULL)
		text_add(t, ",\"status\":%s,\"pushed\":%b", known, strcmp(known, "pushed") == 0);
	add_string(t, r, "/branch", "branch", 244);
	add_string(t, r, "/commit", "commit", 64);
	if (is_web_url(ambient_str(r, "/prUrl", "")))
		add_string(t, r, "/prUrl", "prUrl", 2048);
	add_string(t, r, "/error", "error", 1024);
	add_number(t, r, "/added", "total_added", true);
	add_number(t, r, "/removed", "total_removed", true);
	add_time(t, r, "/at", "last_updated");
	text_add(t, "}");
}

/* Its place in the plan, which may have been edited since the runner counted: names stay. */
static int64_t
index_of(const struct ambient_object *plan, const char *name, int64_t fallback)
{
	for (size_t i = 0; i < ambient_len(plan, "/repos"); i++)
		if (strcmp(ambient_str(ambient_item(plan, "/repos", i, NULL), "/name", ""), name) == 0)
			return (int64_t)i;
	return ambient_bool(plan, "/edited", 0) ? -1 : fallback;
}

/* The entry of the report for each repository of the plan; the first that names it counts. */
static void
find_reported(const struct ambient_object *report, const struct as_status *st, const struct ambient_object **said, size_t planned)
{
	for (size_t i = 0; i < ambient_len(report, "/repos") && i < AS_REPOS_MAX; i++) {
		const struct ambient_object *r = ambient_item(report, "/repos", i, NULL);
		int64_t index = index_of(st->effective, ambient_str(r, "/name", ""), ambient_int(r, "/index", -1));

		if (index >= 0 && (size_t)index < planned && said[index] == NULL)
			said[index] = r;
	}
}

/* How it went, as older clients read it. */
static void
add_repos_as_before(struct text *t, const struct ambient_object *plan, const struct ambient_object **said, size_t planned)
{
	const char *comma = "";
	bool changes = false;

	text_add(t, ",\"repoStatuses\":[");
	for (size_t i = 0; i < planned; i++) {
		const char *status = said[i] != NULL ? known_state(said[i]) : NULL;

		if (status == NULL)
			continue;
		text_add(t, "%j{\"repoURL\":%s,\"status\":%s", comma, ambient_str(ambient_item(plan, "/repos", i, NULL), "/url", ""), status);
		add_string(t, said[i], "/error", "message", 1024);
		text_add(t, "}");
		changes = changes || strcmp(status, "pushed") == 0 || ambient_int(said[i], "/added", 0) > 0 ||
			  ambient_int(said[i], "/removed", 0) > 0;
		comma = ",";
	}
	text_add(t, "],\"has_workspace_changes\":%b", changes);
}

static void
add_repos(struct text *t, const struct ambient_object *report, const struct as_status *st)
{
	size_t planned = st->effective != NULL ? ambient_len(st->effective, "/repos") : 0;
	const struct ambient_object *said[AS_REPOS_MAX] = { NULL };
	const char *comma = "";

	if (ambient_type(report, "/repos") != AMBIENT_T_ARRAY || planned == 0)
		return;
	if (planned > AS_REPOS_MAX)
		planned = AS_REPOS_MAX;
	find_reported(report, st, said, planned);
	text_add(t, ",\"repos\":[");
	for (size_t i = 0; i < planned; i++) {
		if (said[i] == NULL)
			continue;
		text_add(t, "%j", comma);
		add_repo(t, said[i], ambient_item(st->effective, "/repos", i, NULL), (int64_t)i);
		comma = ",";
	}
	text_add(t, "]");
	add_repos_as_before(t, st->effective, said, planned);
}

/* usage: numbers by name, nothing else. */
static void
add_usage(struct text *t, const struct ambient_object *report)
{
	const char *comma = "", *key;

	if (ambient_type(report, "/usage") != AMBIENT_T_OBJECT)
		return;
	text_add(t, ",\"usage\":{");
	for (size_t i = 0; i < ambient_len(report, "/usage") && i < 64; i++) {
		const struct ambient_object *v = ambient_item(report, "/usage", i, &key);
		size_t len = 0;

		if (ambient_type(v, "") != AMBIENT_T_NUMBER || strlen(key) > 64 ||
		    ambient_json(v, "", &len) == NULL || len > 40)
			continue;
		text_add(t, "%j%s:%o", comma, key, v);
		comma = ",";
	}
	text_add(t, "}");
}

/* A reason for a condition: CamelCase. */
static void
add_reason(struct text *t, const struct ambient_object *report)
{
	const char *reason = ambient_str(report, "/reason", "");
	size_t n = strlen(reason);

	if (n == 0 || n > 63 || !isupper((unsigned char)reason[0]))
		return;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)reason[i]))
			return;
	text_add(t, ",\"reason\":%s", reason);
}

/* What the agent is doing now, if it is one of the words for that. */
static void
add_agent(struct text *t, const struct ambient_object *report)
{
	static const char *const known[] = { "working", "idle", "waiting_input" };
	const char *agent = ambient_str(report, "/agent", "");

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(agent, known[i]) == 0)
			text_add(t, ",\"agentStatus\":%s", known[i]);
}

/* What grows with each word of the agent is written with what else is, or when a minute has gone by. */
static void
add_activity(struct text *t, const struct ambient_object *report, const struct ambient_object *session, bool last)
{
	bool same = strcmp(ambient_str(report, "/agent", ""), ambient_str(session, "/status/agentStatus", "")) == 0;
	int64_t was, now;

	if (!last && same && kc_time_parse(ambient_str(session, "/status/lastActivityTime", ""), &was) &&
	    kc_time_parse(ambient_str(report, "/heartbeatAt", ""), &now) && now < was + ACTIVITY_EVERY)
		return;
	add_time(t, report, "/activityAt", "lastActivityTime");
	add_number(t, report, "/messages", "messagesCount", true);
	add_number(t, report, "/artifacts", "artifactsCount", true);
}

static int
convert(struct ambient_call *call, const struct ambient_object *session, const struct ambient_object *report,
	const struct as_status *st, bool last, const struct ambient_object **ret, struct ambient_error *err)
{
	struct text t = TEXT_INIT;

	text_add(&t, "{\"fields\":{\"stateDir\":\"/workspace\"");
	add_repos(&t, report, st);
	add_reconciled(&t, report, st);
	add_string(&t, report, "/result", "results", AS_RESULT_MAX);
	add_string(&t, report, "/result", "result", AS_RESULT_MAX);
	add_string(&t, report, "/conversation", "session_id", 256);
	add_string(&t, report, "/conversation", "sdkSessionId", 256);
	if (ambient_type(report, "/isError") == AMBIENT_T_BOOL)
		text_add(&t, ",\"is_error\":%b", ambient_bool(report, "/isError", 0));
	add_number(&t, report, "/turns", "num_turns", true);
	add_number(&t, report, "/costUSD", "total_cost_usd", false);
	add_number(&t, report, "/costUSD", "cost", false);
	add_number(&t, report, "/durationMs", "duration_ms", true);
	add_number(&t, report, "/durationApiMs", "duration_api_ms", true);
	add_number(&t, report, "/restarts", "sdkRestartCount", true);
	if (is_plain(ambient_str(report, "/subtype", ""), "", 64))
		add_string(&t, report, "/subtype", "subtype", 64);
	add_agent(&t, report);
	add_activity(&t, report, session, last);
	add_usage(&t, report);
	text_add(&t, "},\"state\":%s,\"generation\":%d,\"specGeneration\":%d", ambient_str(report, "/state", ""),
		 ambient_int(report, "/reconciled/generation", 0), ambient_int(report, "/specGeneration", 0));
	add_string(&t, report, "/heartbeatAt", "heartbeatAt", 39);
	add_reason(&t, report);
	add_string(&t, report, "/message", "message", 480);
	text_add(&t, "}");
	return text_object(&t, call, ret, err);
}

/* The operator alone says in which phase a session is; who tries to say it gets told, and so does everybody else. */
static void
say_whether_valid(const struct ambient_object *report, struct as_status *st)
{
	static const char *const ours[] = { "/phase", "/status", "/conditions", "/startTime", "/completionTime" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (ambient_type(report, ours[i]) == AMBIENT_T_NONE)
			continue;
		as_set(st, AS_REPORT_VALID, KC_FALSE, "FieldIgnored", "the runner's report says \"%s\", which is not for it to say; "
		       "that field is ignored", ours[i] + 1);
		return;
	}
	if (as_is(st, AS_REPORT_VALID, KC_FALSE))
		as_set(st, AS_REPORT_VALID, KC_TRUE, "Valid", "%s", "");
}

int
as_report_read(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, bool live,
	       const struct ambient_object **ret, struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *text;
	const struct ambient_object *map = NULL, *report = NULL;
	struct ambient_error unreadable = AMBIENT_ERROR_INIT;
	char name[AS_NAME_MAX];
	int rc;

	*ret = NULL;
	as_name(name, "", ambient_str(session, "/metadata/name", ""), "-report");
	rc = live ? ambient_get_live(call, AS_CM, ns, name, &map, err) : ambient_get(call, AS_CM, ns, name, &map, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		return 0;
	if (rc < 0)
		return rc;
	text = ambient_str(map, "/data/report.json", "");
	if (text[0] == '\0' || ambient_owner_at(map, session) < 0)
		return 0;
	if (strlen(text) > AS_REPORT_MAX) {
		as_set(st, AS_REPORT_VALID, KC_FALSE, "ReportTooLarge", "the runner's report has %zu bytes, more than %d; it is ignored",
		       strlen(text), AS_REPORT_MAX);
		return 0;
	}
	if (ambient_parse(call, text, strlen(text), &report, &unreadable) < 0) {
		as_set(st, AS_REPORT_VALID, KC_FALSE, "ReportUnreadable", "the runner's report is no JSON and is ignored: %.300s",
		       unreadable.message);
		return 0;
	}
	if (ambient_int(report, "/contract", 0) != AMBIENT_RUNNER_CONTRACT ||
	    strcmp(ambient_str(report, "/run", ""), st->run_id) != 0)
		return 0;
	say_whether_valid(report, st);
	return convert(call, session, report, st, live || as_terminal(st), ret, err);
}
