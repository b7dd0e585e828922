/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document of a request becomes an issue of Jira when a person asks for it.  Which documents are issues stands in
 * status.jiraLinks, and in spec.jiraLinks where people or older clients wrote it, which counts more; a document with a link
 * changes its issue, one without makes one.  The session that does it reads the document from its branch; nothing here has
 * an account, nor waits for Jira.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "plugins/kind-shared/hash.h"

#define TIMEOUT_S 600

static const char *const none[] = { NULL };
static const char *const of_spec[] = { "rfe.md", NULL };
static const char *const of_plan[] = { "data-model.md", "quickstart.md", "research.md", NULL };

/* The last row is any other document. */
static const struct document {
	const char *phase, *file, *type;
	const char *const *attachments;
	bool has_parent;
} documents[] = {
	{ "specify", "spec.md", "Feature Request", of_spec, true },
	{ "plan", "plan.md", "Feature", of_plan, true },
	{ "tasks", "tasks.md", "Epic", none, false },
	{ "ideate", "rfe.md", "Feature Request", none, true },
	{ "", "", "Feature", none, true },
};
#define DOCUMENTS (sizeof(documents) / sizeof(documents[0]))

static const struct document *
document_of(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name != NULL ? name + 1 : path;
	for (size_t i = 0; i < DOCUMENTS - 1; i++)
		if (strcmp(documents[i].file, name) == 0)
			return &documents[i];
	return &documents[DOCUMENTS - 1];
}

/* ---- what is asked for */

/* Is there a request that was not followed yet?  text gets what it will be remembered by. */
static bool
asked(const struct rfe_pass *p, char text[300])
{
	const char *wish = ambient_str(p->workflow, RFE_JIRA_WISH, "");

	(void)snprintf(text, 300, "%.220s@%.64s", wish, ambient_str(p->workflow, RFE_JIRA_AT, ""));
	return wish[0] != '\0' && strcmp(text, p->st.jira_wish) != 0;
}

void
rfe_jira_waits(struct rfe_pass *p)
{
	char text[300];

	if (asked(p, text))
		rfe_set(&p->st, RFE_JIRA_DONE, KC_FALSE, "Waiting", "published as soon as what runs now has ended");
}

/* Where the documents are: those that are committed at the end, else those that the agents write. */
static bool
place(const struct rfe_pass *p, struct rfe_order *o, char folder[RFE_PATH_MAX])
{
	const struct rfe_plan *plan = &p->plan;

	if (plan->documents.url != NULL) {
		o->url = plan->documents.url;
		o->branch = plan->documents.branch;
		o->secret = plan->documents.secret;
		(void)snprintf(folder, RFE_PATH_MAX, "%.390s", plan->documents.path);
		return true;
	}
	if (plan->repos == 0 || plan->branch[0] == '\0')
		return false;
	o->url = plan->repo[0].url;
	o->branch = plan->branch;
	o->secret = plan->repo[0].as_is != NULL ? ambient_str(plan->repo[0].as_is, "/input/authSecret", "") : "";
	(void)snprintf(folder, RFE_PATH_MAX, "specs/%.250s", plan->branch);
	return true;
}

/* A phase, or a path inside the repository. */
static bool
resolve(const char *wish, const char *folder, char path[RFE_PATH_MAX])
{
	size_t n = strlen(wish);

	for (size_t i = 0; i < DOCUMENTS - 1; i++)
		if (strcmp(documents[i].phase, wish) == 0)
			return snprintf(path, RFE_PATH_MAX, "%s/%s", folder, documents[i].file) < RFE_PATH_MAX;
	(void)snprintf(path, RFE_PATH_MAX, "%.400s", wish);
	if (n <= 3 || n >= RFE_PATH_MAX || strcmp(wish + n - 3, ".md") != 0 || wish[0] == '/' || wish[0] == '-')
		return false;
	for (const char *q = wish; *q != '\0'; q += strcspn(q, "/"), q += *q == '/')
		if (q[0] == '.' || q[0] == '/')
			return false;
	for (const char *q = wish; *q != '\0'; q++)
		if ((unsigned char)*q < ' ' || *q == 0x7f)
			return false;
	return true;
}

/* ---- the order */

/* The key of the issue that a document is, "": none. */
static const char *
key_of(const struct rfe_pass *p, const char *path)
{
	for (size_t i = 0; i < ambient_len(p->workflow, "/spec/jiraLinks"); i++) {
		const struct ambient_object *link = ambient_item(p->workflow, "/spec/jiraLinks", i, NULL);

		if (strcmp(ambient_str(link, "/path", ""), path) == 0)
			return ambient_str(link, "/jiraKey", "");
	}
	for (size_t i = 0; i < p->st.links; i++)
		if (strcmp(p->st.link[i].path, path) == 0)
			return p->st.link[i].key;
	return "";
}

/* Where a person finds the document. */
static void
put_source(struct text *b, const struct rfe_order *o)
{
	static const char *const hosts[] = { "https://github.com/", "https://gitlab.com/" };
	size_t n = strlen(o->url);

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (strncasecmp(o->url, hosts[i], strlen(hosts[i])) == 0) {
			if (n > 4 && strcmp(o->url + n - 4, ".git") == 0)
				n -= 4;
			text_put(b, o->url, n);
			text_puts(b, i == 0 ? "/blob/" : "/-/blob/");
			text_puts(b, o->branch);
			text_puts(b, "/");
			text_puts(b, o->path);
			return;
		}
	text_puts(b, o->path);
	text_puts(b, " on the branch ");
	text_puts(b, o->branch);
	text_puts(b, " of ");
	text_puts(b, o->url);
}

static void
put_summary(struct text *b, const struct rfe_pass *p, const struct document *d)
{
	const char *title = p->plan.title[0] != '\0' ? p->plan.title : p->plan.request;

	for (size_t i = 0; i < 200 && title[i] != '\0' && title[i] != '\n'; i++)
		if ((unsigned char)title[i] >= ' ')
			text_put(b, title + i, 1);
	/* No half a character at the end. */
	while (b->len > 0 && ((unsigned char)b->p[b->len - 1] & 0xc0) == 0x80 && b->len >= 197)
		b->len--;
	if (b->len > 0 && (unsigned char)b->p[b->len - 1] >= 0xc0)
		b->len--;
	if (d->phase[0] != '\0')
		rfe_putf(b, " - %s", d->phase);
}

/* Everything of the order but where the document is. */
static int
make_order(struct rfe_pass *p, const char *folder)
{
	struct rfe_order *o = &p->plan.order;
	struct text summary = { 0 }, label = { 0 }, source = { 0 };
	const struct document *d = document_of(p->st.jira_path);
	char plan_path[RFE_PATH_MAX];

	o->path = p->st.jira_path;
	o->type = d->type;
	o->attachments = d->attachments;
	o->key = key_of(p, o->path);
	o->parent = d->has_parent ? ambient_str(p->workflow, "/spec/parentOutcome", "") : "";
	o->implements = "";
	if (strcmp(d->phase, "tasks") == 0 && snprintf(plan_path, sizeof(plan_path), "%.390s/plan.md", folder) > 0)
		o->implements = key_of(p, plan_path);
	put_summary(&summary, p, d);
	put_source(&source, o);
	rfe_putf(&label, "ambient-%016" PRIx64, kh_adds(kh_adds(kh_adds(KH_FIRST, ambient_str(p->workflow, "/metadata/uid", "")), "#"),
		 o->path));
	o->summary = rfe_take(&summary, p->call);
	o->source = rfe_take(&source, p->call);
	o->label = rfe_take(&label, p->call);
	if (o->summary == NULL || o->source == NULL || o->label == NULL)
		return ambient_err(p->err, AMBIENT_E_NOMEM, "out of memory");
	return 0;
}

/* ---- what became of it */

static void
refuse(struct rfe_pass *p, const char *reason, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
refuse(struct rfe_pass *p, const char *reason, const char *fmt, ...)
{
	char text[500];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rfe_set(&p->st, RFE_JIRA_DONE, KC_FALSE, reason, "%s", text);
	ambient_event(p->call, p->workflow, "Warning", "JiraNotPublished", "%s", text);
}

static bool
is_key(const char *key)
{
	const char *dash = strrchr(key, '-');

	return dash != NULL && dash > key && strlen(key) < RFE_NAME_MAX && isupper((unsigned char)key[0]) &&
	       strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == (size_t)(dash - key) && dash[1] != '\0' &&
	       strspn(dash + 1, "0123456789") == strlen(dash + 1);
}

static void
keep_link(struct rfe_status *st, const char *key, const char *url)
{
	size_t i = 0;

	while (i < st->links && strcmp(st->link[i].path, st->jira_path) != 0)
		i++;
	if (i == RFE_LINKS_MAX)
		return; /* was refused before */
	st->links += i == st->links;
	kc_copy(st->link[i].path, sizeof(st->link[i].path), st->jira_path);
	kc_copy(st->link[i].key, sizeof(st->link[i].key), key);
	kc_copy(st->link[i].url, sizeof(st->link[i].url), url);
}

static void
published(struct rfe_pass *p, const struct ambient_object *said)
{
	const char *key = ambient_str(said, "/key", ""), *url = ambient_str(said, "/url", "");
	const char *left = ambient_str(said, "/left", "");
	bool created = ambient_bool(said, "/created", 0);

	if (!is_key(key) || strncmp(url, "http", 4) != 0 || strlen(url) >= sizeof(p->st.link[0].url)) {
		refuse(p, "JiraAnswerInvalid", "publishing %.200s: the session does not say which issue it is", p->st.jira_path);
		return;
	}
	keep_link(&p->st, key, url);
	rfe_set(&p->st, RFE_JIRA_DONE, KC_TRUE, left[0] != '\0' ? "PublishedInPart" : created ? "Published" : "Updated",
		"%.150s is %s, %.150s%s%.150s", p->st.jira_path, key, url, left[0] != '\0' ? "; not done: " : "", left);
	ambient_event(p->call, p->workflow, left[0] != '\0' ? "Warning" : "Normal", "JiraPublished", "%s",
		      p->st.cond[RFE_JIRA_DONE].message);
}

void
rfe_jira_told(struct rfe_pass *p, const struct ambient_object *session)
{
	const struct rfe_step *step = &p->st.jira;
	const struct ambient_object *said = NULL;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char why[400] = "";

	if (session != NULL)
		rfe_session_told(why, sizeof(why), session, step);
	if (step->state != RFE_S_COMPLETED) {
		refuse(p, step->reason[0] != '\0' ? step->reason : "JiraFailed", "publishing %.150s: %.300s", p->st.jira_path,
		       why[0] != '\0' ? why : step->message);
		return;
	}
	if (ambient_parse(p->call, step->output, strlen(step->output), &said, &err) < 0)
		said = NULL;
	if (said != NULL)
		published(p, said);
	else
		refuse(p, "JiraAnswerInvalid", "publishing %.200s: the session does not say what it has done", p->st.jira_path);
}

/* ---- begin */

/* Follows the request as far as to a path; false: it was refused, which is said. */
static bool
follow(struct rfe_pass *p, const char *text, bool placed, const char *folder)
{
	const char *wish = ambient_str(p->workflow, RFE_JIRA_WISH, "");
	char path[RFE_PATH_MAX];

	(void)snprintf(p->st.jira_wish, sizeof(p->st.jira_wish), "%s", text);
	if (!placed) {
		refuse(p, "DocumentUnknown", "this request has no branch that its documents lie on; set spec.documents or spec.branchName");
		return false;
	}
	if (!resolve(wish, folder, path)) {
		refuse(p, "DocumentUnknown", "\"%.200s\" is neither a phase (specify, plan, tasks, ideate) nor the path of a document in "
		       "the repository, such as specs/x/spec.md", wish);
		return false;
	}
	if (key_of(p, path)[0] == '\0' && p->st.links == RFE_LINKS_MAX) {
		refuse(p, "TooManyDocuments", "%d documents of this request are issues, which is as many as can be", RFE_LINKS_MAX);
		return false;
	}
	kc_copy(p->st.jira_path, sizeof(p->st.jira_path), path);
	p->st.jira.state = RFE_S_PENDING;
	p->st.jira.session[0] = p->st.jira.reason[0] = p->st.jira.message[0] = '\0';
	p->st.jira.output = "";
	p->st.jira.attempts = 0;
	return true;
}

int
rfe_jira(struct rfe_pass *p)
{
	struct rfe_step_plan what = { .kind = RFE_JIRA, .timeout = TIMEOUT_S, .name = "jira", .agent = "jira" };
	struct rfe_step *step = &p->st.jira;
	struct text prompt = { 0 };
	char text[300], folder[RFE_PATH_MAX] = "", *words;
	bool begun = step->session[0] != '\0' && step->state == RFE_S_PENDING, placed = place(p, &p->plan.order, folder);
	int rc;

	if (!begun && !asked(p, text))
		return 0;
	if (!begun && !follow(p, text, placed, folder))
		return (rc = rfe_save(p)) < 0 ? rc : 0;
	if (!placed)
		return 0; /* named, and then the spec lost the place */
	if ((rc = make_order(p, folder)) < 0)
		return rc;
	rfe_putf(&prompt, "Publish %.400s.", p->st.jira_path);
	if ((words = rfe_take(&prompt, p->call)) == NULL)
		return ambient_err(p->err, AMBIENT_E_NOMEM, "out of memory");
	step->agent = "jira";
	rfe_set(&p->st, RFE_JIRA_DONE, KC_FALSE, "Publishing", "%.400s is being published", p->st.jira_path);
	if ((rc = rfe_begin(p, &what, step, words)) < 0)
		return rc;
	return rfe_side_goes_on(p, step, NULL);
}
