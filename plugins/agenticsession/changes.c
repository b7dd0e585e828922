/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An edit of the spec while a run goes on.  What the run uses is status.effective; which fields of the spec went into it is
 * known by a fingerprint of each.  What was edited belongs to one of three classes: it waits for the next run, it takes effect at
 * once, or it does so in a chat only.  What takes effect is written to status.effective with the generation that it is of; the
 * runner sees it there, does what it has to, and reports that generation.  Until then the condition Reconciled is False.
 *
 * Only fields that were edited are looked at: another default of the project is no edit.  Nor is what was edited before it was
 * read: some fields go from the spec into the Job, and some are read by the runner when it begins, which says of which
 * generation it read them.
 */
#include "plugins/agenticsession/agenticsession.h"

#include <inttypes.h>
#include <stdlib.h>

#include "plugins/kind-shared/hash.h"

enum when { NEXT_RUN, AT_ONCE, IN_A_CHAT };
enum row { MODEL, TEMPERATURE, MAX_TOKENS, RUNNER_TYPE, INTERACTIVE, TIMEOUT, IDLE, SECRET, MAIN, REPOS, WORKFLOW, ROWS };

/* Fields that become something of status.effective.  Any other one counts as it is written, and waits for the next run. */
static const struct field {
	const char *path, *effective;
	enum when when;
	const char *keys[10]; /* members of spec that have a say in it */
} fields[ROWS] = {
	[MODEL] = { "spec.model", "/model", NEXT_RUN, { "model", "llmSettings" } },
	[TEMPERATURE] = { "spec.llmSettings.temperature", "/temperature", NEXT_RUN, { "llmSettings" } },
	[MAX_TOKENS] = { "spec.llmSettings.maxTokens", "/maxTokens", NEXT_RUN, { "llmSettings" } },
	[RUNNER_TYPE] = { "spec.runnerType", "/runnerType", NEXT_RUN, { "runnerType" } },
	[INTERACTIVE] = { "spec.interactive", "/interactive", NEXT_RUN, { "interactive" } },
	[TIMEOUT] = { "spec.timeout", "/timeout", AT_ONCE, { "timeout" } },
	[IDLE] = { "spec.inactivityTimeout", "/inactivityTimeout", AT_ONCE, { "inactivityTimeout" } },
	[SECRET] = { "spec.anthropicApiKeySecret", "/secretName", NEXT_RUN, { "anthropicApiKeySecret" } },
	[MAIN] = { "spec.mainRepoIndex", "/mainRepoIndex", IN_A_CHAT, { "mainRepoIndex" } },
	[REPOS] = { "spec.repos", "/repos", IN_A_CHAT, { "repos", "input", "inputRepo", "inputBranch", "output", "outputRepo",
		    "outputBranch", "autoPushOnComplete" } },
	[WORKFLOW] = { "spec.activeWorkflow", "/activeWorkflow", IN_A_CHAT, { "activeWorkflow" } },
};

/* Wishes about the session, and what only informs people. */
static const char *const no_matter[] = {
	"desiredState", "ttlSecondsAfterFinished", "displayName", "userContext", "project", "websiteURL", "initialPrompt",
};

/* What goes from the spec into the Job, and what the runner reads when it begins. */
static const char *const by_job[] = { "environmentVariables", "resourceOverrides", "mcpServers", "runnerConfig", NULL };
static const char *const by_runner[] = { "prompt", "runnerConfig", "stopOnRunFinished", NULL };

/* Of one repository: as in status.effective, and in the spec of each shape. */
static const struct {
	const char *effective, *documented, *newer;
} repo_fields[] = {
	{ "/url", "input.url", "url" },
	{ "/branch", "input.branch", "branch" },
	{ "/authSecret", "input.authSecret", "input.authSecret" },
	{ "/push", "autoPush", "autoPush" },
	{ "/pushUrl", "output.forkRepo", "output.url" },
	{ "/pushBranch", "output.targetBranch", "output.branch" },
	{ "/ensureBranch", "output.ensureBranch", "output.ensureBranch" },
	{ "/continueBranch", "output.continueBranch", "output.continueBranch" },
	{ "/createPR", "output.createPR", "output.createPR" },
};

struct changes {
	struct ambient_call *call;
	struct ambient_error *err;
	const struct ambient_object *spec, *now, *next; /* now: status.effective; next: what it would be today */
	bool chat;
	bool unread, to_be_read; /* the runner has not begun; and will find an edit when it does */
	bool edited[ROWS], said[ROWS], taken[ROWS];
	char text[400]; /* what waits for the next run */
	unsigned more;
	const struct ambient_object *repos; /* the list to take, with numbers for the mounts that there are */
	int64_t main;
};

static void
say(struct changes *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct changes *c, const char *fmt, ...)
{
	size_t n = strlen(c->text);
	char one[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(one, sizeof(one), fmt, ap);
	va_end(ap);
	if (n + strlen(one) + 24 < sizeof(c->text))
		(void)snprintf(c->text + n, sizeof(c->text) - n, "%s%s", n > 0 ? ", " : "", one);
	else
		c->more++;
}

static const struct ambient_object *
member(const struct ambient_object *o, const char *name)
{
	const char *key;

	for (size_t i = 0; i < ambient_len(o, ""); i++) {
		const struct ambient_object *value = ambient_item(o, "", i, &key);

		if (strcmp(key, name) == 0)
			return value;
	}
	return NULL;
}

/* Whether two values of ours are the same; a server may write them in another order. */
static bool
same(const struct ambient_object *a, const struct ambient_object *b)
{
	int type = a != NULL ? ambient_type(a, "") : AMBIENT_T_NONE;
	const char *key, *x, *y;
	size_t n, m;

	if (type != (b != NULL ? ambient_type(b, "") : AMBIENT_T_NONE))
		return false;
	if (type == AMBIENT_T_NONE)
		return true;
	if (type == AMBIENT_T_STRING)
		return strcmp(ambient_str(a, "", ""), ambient_str(b, "", "")) == 0;
	if (type != AMBIENT_T_ARRAY && type != AMBIENT_T_OBJECT) {
		x = ambient_json(a, "", &n);
		y = ambient_json(b, "", &m);
		return x != NULL && y != NULL && n == m && memcmp(x, y, n) == 0;
	}
	if (ambient_len(a, "") != ambient_len(b, ""))
		return false;
	for (size_t i = 0; i < ambient_len(a, ""); i++) {
		const struct ambient_object *value = ambient_item(a, "", i, &key);

		if (!same(value, type == AMBIENT_T_ARRAY ? ambient_item(b, "", i, NULL) : member(b, key)))
			return false;
	}
	return true;
}

/* ---- fingerprints */

static bool
matters(const char *key)
{
	for (size_t i = 0; i < sizeof(no_matter) / sizeof(no_matter[0]); i++)
		if (strcmp(key, no_matter[i]) == 0)
			return false;
	return true;
}

static void
fingerprint(const struct ambient_object *spec, const char *key, char out[20])
{
	const struct ambient_object *value = member(spec, key);
	const char *text = "";
	size_t n = 0;

	if (strcmp(key, "prompt") == 0) {
		text = ambient_str(spec, "/prompt", "");
		text = text[0] != '\0' ? text : ambient_str(spec, "/initialPrompt", "");
		n = strlen(text);
	} else if (value != NULL) {
		text = ambient_json(value, "", &n);
	}
	(void)snprintf(out, 20, "%016" PRIx64, kh_add(KH_FIRST, text, n));
}

void
as_fields(const struct ambient_object *session, struct text *t)
{
	const struct ambient_object *spec = ambient_at(session, "/spec");
	char print[20];
	const char *key;

	fingerprint(spec, "prompt", print);
	text_add(t, "{\"prompt\":%s", print);
	for (size_t i = 0; i < ambient_len(spec, ""); i++) {
		(void)ambient_item(spec, "", i, &key);
		if (!matters(key) || strcmp(key, "prompt") == 0)
			continue;
		fingerprint(spec, key, print);
		text_add(t, ",%s:%s", key, print);
	}
	text_add(t, "}");
}

static bool
is_edited(const struct changes *c, const char *key)
{
	const struct ambient_object *was = member(ambient_at(c->now, "/fields"), key);
	char print[20];

	if (was == NULL)
		return strcmp(key, "prompt") != 0 && member(c->spec, key) != NULL;
	if (member(c->spec, key) == NULL && strcmp(key, "prompt") != 0)
		return true;
	fingerprint(c->spec, key, print);
	return strcmp(ambient_str(was, "", ""), print) != 0;
}

static bool
is_one_of(const char *key, const char *const *keys)
{
	for (size_t k = 0; keys[k] != NULL; k++)
		if (strcmp(keys[k], key) == 0)
			return true;
	return false;
}

/* Returns whether the key has a say in a row. */
static bool
mark(struct changes *c, const char *key)
{
	bool found = false;

	for (int r = 0; r < ROWS; r++)
		if (is_one_of(key, fields[r].keys))
			found = c->edited[r] = true;
	return found;
}

/* What was edited; names the fields that are compared as they are written. */
static bool
find_edits(struct changes *c)
{
	const struct ambient_object *planned = ambient_at(c->now, "/fields");
	bool any = false;
	const char *key;

	for (int pass = 0; pass < 2; pass++) {
		const struct ambient_object *of = pass == 0 ? c->spec : planned;

		for (size_t i = 0; i < ambient_len(of, ""); i++) {
			(void)ambient_item(of, "", i, &key);
			if (!matters(key) || !is_edited(c, key) || (pass == 1 && member(c->spec, key) != NULL))
				continue;
			if (c->unread && is_one_of(key, by_runner)) {
				c->to_be_read = true;
				continue;
			}
			any = true;
			if (!mark(c, key)) /* of the prompt, the alias alone may be there */
				say(c, "spec.%.60s", pass == 1 && strcmp(key, "prompt") == 0 && member(c->spec, "initialPrompt") != NULL ?
				    "initialPrompt" : key);
		}
	}
	return any;
}

/* These were read as the spec is now: an edit of them is in effect. */
static int
note_read(struct changes *c, struct as_status *st, const char *const *keys)
{
	const struct ambient_object *planned = ambient_at(c->now, "/fields");
	const char *key, *comma = "";
	struct text t = TEXT_INIT;
	char print[20];
	bool any = false;

	for (size_t k = 0; keys[k] != NULL; k++)
		any = any || is_edited(c, keys[k]);
	if (!any)
		return 0;
	text_add(&t, "{");
	for (size_t i = 0; i < ambient_len(c->now, ""); i++) {
		const struct ambient_object *value = ambient_item(c->now, "", i, &key);

		if (strcmp(key, "fields") != 0)
			text_add(&t, "%s:%o,", key, value);
	}
	text_add(&t, "\"fields\":{");
	for (size_t k = 0; keys[k] != NULL; k++) {
		if (member(c->spec, keys[k]) == NULL && strcmp(keys[k], "prompt") != 0)
			continue;
		fingerprint(c->spec, keys[k], print);
		text_add(&t, "%j%s:%s", comma, keys[k], print);
		comma = ",";
	}
	for (size_t i = 0; i < ambient_len(planned, ""); i++) {
		const struct ambient_object *value = ambient_item(planned, "", i, &key);

		if (is_one_of(key, keys))
			continue;
		text_add(&t, "%j%s:%o", comma, key, value);
		comma = ",";
	}
	text_add(&t, "}}");
	int rc = text_object(&t, c->call, &st->effective, c->err);

	c->now = st->effective;
	return rc;
}

/* ---- repositories */

static const struct ambient_object *
named(const struct ambient_object *list, const char *name)
{
	for (size_t i = 0; i < ambient_len(list, ""); i++) {
		const struct ambient_object *item = ambient_item(list, "", i, NULL);

		if (strcmp(ambient_str(item, "/name", ""), name) == 0)
			return item;
	}
	return NULL;
}

static void
say_repo(struct changes *c, size_t i, const char *field)
{
	c->said[REPOS] = true;
	say(c, "spec.repos[%zu]%s%s", i, field[0] != '\0' ? "." : "", field);
}

/* Nothing of it can be taken: says what differs. */
static void
say_repos(struct changes *c)
{
	const struct ambient_object *now = ambient_at(c->now, "/repos"), *next = ambient_at(c->next, "/repos");
	bool newer = strcmp(ambient_str(c->next, "/shape", ""), "new") == 0;
	size_t n = ambient_len(now, ""), m = ambient_len(next, "");

	for (size_t i = 0; i < n || i < m; i++) {
		const struct ambient_object *a = i < n ? ambient_item(now, "", i, NULL) : NULL;
		const struct ambient_object *b = i < m ? ambient_item(next, "", i, NULL) : NULL;
		size_t before = strlen(c->text);

		for (size_t k = 0; a != NULL && b != NULL && k < sizeof(repo_fields) / sizeof(repo_fields[0]); k++) {
			/* One that follows from the URL was not edited by itself. */
			bool follows = strcmp(repo_fields[k].effective, "/pushUrl") == 0 &&
				       strcmp(ambient_str(b, "/pushUrl", ""), ambient_str(b, "/url", "")) == 0 &&
				       strcmp(ambient_str(a, "/pushUrl", ""), ambient_str(a, "/url", "")) == 0;

			if (!follows && !same(ambient_at(a, repo_fields[k].effective), ambient_at(b, repo_fields[k].effective)))
				say_repo(c, i, newer ? repo_fields[k].newer : repo_fields[k].documented);
		}
		if (a == NULL || b == NULL || (before == strlen(c->text) && !same(ambient_at(a, "/name"), ambient_at(b, "/name"))))
			say_repo(c, i, "");
	}
}

/* The number of the mount that holds a Secret; -1 for none, -2 when no mount of this run does. */
static int64_t
mount_of(const struct changes *c, const char *secret)
{
	if (secret[0] == '\0')
		return -1;
	for (size_t i = 0; i < ambient_len(c->now, "/gitSecrets"); i++)
		if (strcmp(ambient_str(ambient_item(c->now, "/gitSecrets", i, NULL), "", ""), secret) == 0)
			return (int64_t)i;
	return -2;
}

static void
put_repo(struct text *t, const struct ambient_object *item, int64_t index, int64_t credentials)
{
	const char *key;

	text_add(t, "%j{\"index\":%d,\"credentials\":%d", index > 0 ? "," : "", index, credentials);
	for (size_t i = 0; i < ambient_len(item, ""); i++) {
		const struct ambient_object *value = ambient_item(item, "", i, &key);

		if (strcmp(key, "index") != 0 && strcmp(key, "credentials") != 0)
			text_add(t, ",%s:%o", key, value);
	}
	text_add(t, "}");
}

/* The list as far as it can be had in the pod that there is: a Secret that is not mounted waits for another one. */
static int
merge_repos(struct changes *c)
{
	const struct ambient_object *next = ambient_at(c->next, "/repos"), *now = ambient_at(c->now, "/repos");
	int64_t n = 0, main = ambient_int(c->next, "/mainRepoIndex", 0);
	struct text t = TEXT_INIT;

	c->main = 0;
	text_add(&t, "[");
	for (size_t i = 0; i < ambient_len(next, ""); i++) {
		const struct ambient_object *item = ambient_item(next, "", i, NULL);
		const struct ambient_object *old = named(now, ambient_str(item, "/name", ""));
		int64_t mount = mount_of(c, ambient_str(item, "/authSecret", ""));

		if (old != NULL && same(ambient_at(old, "/authSecret"), ambient_at(item, "/authSecret")))
			mount = ambient_int(old, "/credentials", -1);
		if (mount == -2) {
			say_repo(c, i, "input.authSecret");
			if (old == NULL)
				continue;
			item = old;
			mount = ambient_int(old, "/credentials", -1);
		}
		if ((int64_t)i == main)
			c->main = n;
		put_repo(&t, item, n++, mount);
	}
	text_add(&t, "]");
	return text_object(&t, c->call, &c->repos, c->err);
}

/* ---- what to do with each edit */

static int
judge_repos(struct changes *c)
{
	int rc;

	if (!c->edited[REPOS] && !c->edited[MAIN])
		return 0;
	if (!c->chat) {
		if (c->edited[REPOS])
			say_repos(c);
		if (c->edited[MAIN] && !same(ambient_at(c->now, "/mainRepoIndex"), ambient_at(c->next, "/mainRepoIndex"))) {
			c->said[MAIN] = true;
			say(c, "%s", fields[MAIN].path);
		}
		return 0;
	}
	if ((rc = merge_repos(c)) < 0)
		return rc;
	c->taken[REPOS] = !same(ambient_at(c->now, "/repos"), c->repos);
	c->taken[MAIN] = ambient_int(c->now, "/mainRepoIndex", 0) != c->main;
	return 0;
}

static void
judge_workflow(struct changes *c)
{
	const struct ambient_object *now = ambient_at(c->now, "/activeWorkflow"), *next = ambient_at(c->next, "/activeWorkflow");
	const char *const parts[] = { "/gitUrl", "/branch", "/path" };
	bool differs = (now == NULL) != (next == NULL);

	for (size_t i = 0; now != NULL && next != NULL && i < sizeof(parts) / sizeof(parts[0]); i++)
		differs = differs || !same(ambient_at(now, parts[i]), ambient_at(next, parts[i]));
	if (!c->edited[WORKFLOW] || !differs)
		return;
	if (c->chat && (next == NULL || mount_of(c, ambient_str(next, "/authSecret", "")) != -2)) {
		c->taken[WORKFLOW] = true;
		return;
	}
	c->said[WORKFLOW] = true;
	say(c, "%s", fields[WORKFLOW].path);
}

static int
judge(struct changes *c)
{
	bool other_kind = !same(ambient_at(c->now, "/interactive"), ambient_at(c->next, "/interactive"));

	for (int r = 0; r < MAIN; r++) {
		if (!c->edited[r] || same(ambient_at(c->now, fields[r].effective), ambient_at(c->next, fields[r].effective)))
			continue;
		if (fields[r].when == AT_ONCE && !other_kind) {
			c->taken[r] = true;
		} else {
			c->said[r] = true;
			say(c, "%s", fields[r].path);
		}
	}
	judge_workflow(c);
	return judge_repos(c);
}

/* ---- what the run uses from now on */

/* A key is done with when nothing of it waits; one that was taken in part is looked at until it is. */
static void
put_fields(const struct changes *c, struct text *t)
{
	const struct ambient_object *planned = ambient_at(c->now, "/fields");
	const char *key, *comma = "";
	char print[20];

	text_add(t, ",\"fields\":{");
	for (int pass = 0; pass < 2; pass++) {
		const struct ambient_object *of = pass == 0 ? planned : c->spec;

		for (size_t i = 0; i < ambient_len(of, ""); i++) {
			bool row = false, said = false, taken = false;
			const char *value;

			(void)ambient_item(of, "", i, &key);
			if (!matters(key) || (pass == 1 && member(planned, key) != NULL))
				continue;
			for (int r = 0; r < ROWS; r++)
				if (is_one_of(key, fields[r].keys)) {
					row = true;
					said |= c->said[r];
					taken |= c->taken[r];
				}
			fingerprint(c->spec, key, print);
			value = ambient_str(member(planned, key) != NULL ? member(planned, key) : c->spec, "", "");
			if (row && !said && member(c->spec, key) == NULL)
				continue;
			if (row && !said)
				value = print;
			else if (said && taken)
				value = "partly";
			else if (pass == 1)
				continue;
			text_add(t, "%j%s:%s", comma, key, value);
			comma = ",";
		}
	}
	text_add(t, "}");
}

static int
take(struct changes *c, struct as_status *st)
{
	struct text t = TEXT_INIT;
	const char *key, *comma = "";

	text_add(&t, "{");
	for (size_t i = 0; i < ambient_len(c->now, ""); i++) {
		const struct ambient_object *value = ambient_item(c->now, "", i, &key);
		bool replaced = strcmp(key, "fields") == 0 || strcmp(key, "generation") == 0 || strcmp(key, "edited") == 0;

		for (int r = 0; r < ROWS; r++)
			replaced |= c->taken[r] && strcmp(fields[r].effective + 1, key) == 0;
		if (replaced)
			continue;
		text_add(&t, "%j%s:%o", comma, key, value);
		comma = ",";
	}
	for (int r = 0; r < ROWS; r++) {
		const struct ambient_object *value = r == REPOS ? c->repos : ambient_at(c->next, fields[r].effective);

		if (c->taken[r] && r == MAIN)
			text_add(&t, ",\"mainRepoIndex\":%d", c->main);
		else if (c->taken[r] && value != NULL && r == WORKFLOW)
			text_add(&t, ",\"activeWorkflow\":{\"gitUrl\":%s,\"branch\":%s,\"path\":%s,\"name\":%s,\"authSecret\":%s,\"credentials\":%d}",
				 ambient_str(value, "/gitUrl", ""), ambient_str(value, "/branch", ""), ambient_str(value, "/path", ""),
				 ambient_str(value, "/name", ""), ambient_str(value, "/authSecret", ""),
				 mount_of(c, ambient_str(value, "/authSecret", "")));
		else if (c->taken[r] && value != NULL)
			text_add(&t, ",%s:%o", fields[r].effective + 1, value);
	}
	put_fields(c, &t);
	text_add(&t, ",\"edited\":true,\"generation\":%d}", st->generation);
	return text_object(&t, c->call, &st->effective, c->err);
}

/* ---- what is said of it */

/* The first thing of the workspace that could not be had; NULL: none. */
static const struct ambient_object *
broken(const struct as_status *st, const char **name)
{
	const struct ambient_object *o = st->report != NULL ? ambient_at(st->report, "/fields") : NULL;

	for (size_t i = 0; o != NULL && i < ambient_len(o, "/reconciledRepos"); i++) {
		const struct ambient_object *item = ambient_item(o, "/reconciledRepos", i, NULL);

		*name = ambient_str(item, "/name", "");
		if (strcmp(ambient_str(item, "/status", ""), "Failed") == 0)
			return item;
	}
	*name = "activeWorkflow";
	if (o != NULL && strcmp(ambient_str(o, "/reconciledWorkflow/status", ""), "Failed") == 0)
		return ambient_at(o, "/reconciledWorkflow");
	return NULL;
}

static void
conclude(const struct changes *c, struct as_status *st, const char *session)
{
	int64_t wanted = ambient_int(st->effective, "/generation", 0);
	int64_t there = st->report != NULL ? ambient_int(st->report, "/generation", 0) : 0;
	const struct ambient_object *item;
	char more[32] = "";
	const char *name;

	if (c->more > 0)
		(void)snprintf(more, sizeof(more), " and %u more", c->more);
	if (c->text[0] != '\0' || c->more > 0)
		as_set(st, AS_RECONCILED, KC_FALSE, "SpecChanged",
		       "%s%s: changed while run \"%s\" goes on; takes effect when the session is started again (ambientctl start %.100s)",
		       c->text, more, st->run_id, session);
	else if (c->to_be_read)
		as_set(st, AS_RECONCILED, KC_FALSE, "Applying", "%s", "waiting for the runner to begin, which reads it then");
	else if (ambient_bool(st->effective, "/edited", 0) && there < wanted)
		as_set(st, AS_RECONCILED, KC_FALSE, "Applying", "%s", "waiting for the runner to say that the edit is in effect");
	else if ((item = broken(st, &name)) != NULL)
		as_set(st, AS_RECONCILED, KC_FALSE, "CloneFailed", "%.100s: %.300s%s", name, ambient_str(item, "/message", ""),
		       ambient_bool(st->effective, "/interactive", 0) ? "; it is tried again" : "");
	else
		as_set(st, AS_RECONCILED, KC_TRUE, "SpecApplied", "%s", "");
}

int
as_changes_made(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, struct ambient_error *err)
{
	struct changes c = { .call = call, .err = err, .spec = ambient_at(session, "/spec"), .now = st->effective,
			     .unread = true };
	int rc;

	if (c.now == NULL || c.spec == NULL || ambient_type(c.now, "/fields") != AMBIENT_T_OBJECT)
		return 0;
	rc = note_read(&c, st, by_job);
	if (rc == 0 && !find_edits(&c))
		conclude(&c, st, ambient_str(session, "/metadata/name", ""));
	return rc;
}

int
as_changes(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session, struct as_status *st,
	   struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *name = ambient_str(session, "/metadata/name", "");
	struct changes c = { .call = call, .err = err, .spec = ambient_at(session, "/spec"), .now = st->effective };
	const struct ambient_object *settings = NULL;
	bool any = false;
	int rc;

	if (c.now == NULL || c.spec == NULL || ambient_type(c.now, "/fields") != AMBIENT_T_OBJECT)
		return 0; /* planned by an older release */
	c.chat = ambient_bool(c.now, "/interactive", 0);
	c.unread = st->report == NULL;
	if (st->report != NULL && ambient_int(st->report, "/specGeneration", 0) == st->generation &&
	    (rc = note_read(&c, st, by_runner)) < 0)
		return rc;
	if (!find_edits(&c)) {
		conclude(&c, st, name);
		return 0;
	}
	rc = ambient_get(call, AS_SETTINGS, ns, "projectsettings", &settings, err);
	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	rc = as_effective(plugin, call, session, settings, &c.next, err);
	if (rc == -AMBIENT_E_INVALID || rc == -AMBIENT_E_NOTFOUND) {
		as_set(st, AS_RECONCILED, KC_FALSE, "SpecInvalid", "the spec was changed to what cannot be run, the run goes on without: %.400s",
		       err->message);
		ambient_err_clear(err);
		return 0;
	}
	if (rc < 0 || (rc = judge(&c)) < 0)
		return rc;
	for (int r = 0; r < ROWS; r++)
		any |= c.taken[r];
	if (any && (rc = take(&c, st)) < 0)
		return rc;
	conclude(&c, st, name);
	return 0;
}
