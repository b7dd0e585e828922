/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See jira.h.  Standard input is a JSON object: path, type, summary, label, and where they are known key, parent,
 * implements (the key of an issue), source (where the document is), attachments (names beside it).  Standard output is a JSON
 * object: {"key","url","created","left"} with exit code 0, or {"reason","text"} with 1.  "left" is
 * what could not be done about an issue that is there: a link or an attachment.
 */
#include "core/ambient-runner/jira.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/ambient-runner/rest.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define ORDER_MAX (256 << 10)

struct job {
	struct am_jira jira;
	struct am_buf text;       /* of the order */
	struct am_slice order;    /* checked */
	struct am_buf known;      /* the issue as it is, when it is there */
	char key[AM_JIRA_KEY_MAX];
	bool created;
	char left[300];           /* what could not be done */
	struct am_jira_error error;
};

/* ---- what is read */

/* A regular file below the working directory, reached without any link. */
static int
read_file(const char *path, size_t max, struct am_buf *out)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)), rc = 0;
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		rc = -EINVAL;
	else if (st.st_size > (off_t)max || !am_buf_reserve(out, (size_t)st.st_size + 1))
		rc = -EFBIG;
	while (rc == 0 && out->len < max && (n = read(fd, out->data + out->len, (size_t)st.st_size - out->len)) > 0)
		out->len += (size_t)n;
	if (rc == 0 && n < 0)
		rc = -errno;
	if (rc == 0)
		out->data[out->len] = '\0';
	(void)close(fd);
	return rc;
}

static int
read_order(struct job *job)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char piece[4096];
	ssize_t n;

	job->text.max = ORDER_MAX;
	while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
		am_buf_add(&job->text, piece, (size_t)n);
	job->order = am_slice(am_buf_str(&job->text), job->text.len);
	if (n < 0 || job->text.failed || am_json_check(job->order.p, job->order.n, &err) < 0 ||
	    am_json_type(job->order) != AMBIENT_T_OBJECT)
		return am_jira_fail(&job->error, "JiraOrderInvalid", "the order to publish a document cannot be read: %s",
				    err.message[0] != '\0' ? err.message : "it is too large");
	return 0;
}

static int
read_account(struct job *job)
{
	const char *wait = getenv("AMBIENT_JIRA_RETRY_MS"), *plain = getenv("AMBIENT_JIRA_PLAIN_HTTP");
	uint64_t ms = 1000;

	if (am_jira_account(&job->jira, getenv("JIRA_URL"), getenv("JIRA_PROJECT"), getenv("JIRA_EMAIL"),
			    getenv("JIRA_API_TOKEN"), plain != NULL && am_streq(plain, "1"), &job->error) < 0)
		return -1;
	if (wait != NULL && (am_parse_u64(wait, &ms) < 0 || ms > 60000))
		ms = 1000;
	job->jira.retry_ns = (int64_t)ms * AM_NS_PER_MS;
	return 0;
}

static int
read_document(struct job *job, struct am_buf *out)
{
	am_auto(am_freep) char *path = am_json_dup(job->order, "/path");
	int rc = am_empty(path) ? -EINVAL : read_file(path, AM_JIRA_DOCUMENT_MAX, out);

	if (rc == -ENOENT)
		return am_jira_fail(&job->error, "DocumentMissing", "there is no document \"%.200s\" on the branch; the step that "
				    "writes it has to come first", path);
	if (rc < 0)
		return am_jira_fail(&job->error, "DocumentUnreadable", "the document \"%.200s\" cannot be published: %s",
				    path != NULL ? path : "", rc == -ELOOP ? "it is a link, or behind one" :
				    rc == -EFBIG ? "it is over 1 MiB" : rc == -EINVAL ? "it is no regular file" : strerror(-rc));
	return 0;
}

/* ---- requests */

/* A request whose answer must have one of two statuses; the answer is the caller's.  The token goes to the configured server
 * only, and by no proxy. */
static int
ask(struct job *job, const char *what, struct am_rest *request, int good, int also, struct am_rest_answer *answer)
{
	static const char *const headers[] = {"Accept: application/json", "X-Atlassian-Token: no-check", NULL};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	request->base = job->jira.url;
	request->authorization = job->jira.authorization;
	request->headers = headers;
	request->direct = true;
	request->retry_ns = job->jira.retry_ns;
	int rc = am_rest_do(request, answer, &err);
	if (rc == -AMBIENT_E_INVALID)
		return am_jira_fail(&job->error, "JiraAnswerInvalid", "%s: %s; is JIRA_URL a Jira?", what, err.message);
	if (rc < 0)
		return am_jira_fail(&job->error, "JiraUnreachable", "%.150s cannot be reached: %s", job->jira.url, err.message);
	if (answer->status == good || answer->status == also)
		return 0;
	return am_jira_refused(&job->error, what, answer->status, am_slice(am_buf_str(&answer->body), answer->body.len),
			       answer->location);
}

/* The answer as an object; false, and the error says so. */
static bool
is_object(struct job *job, const char *what, const struct am_rest_answer *answer, struct am_slice *ret)
{
	*ret = am_slice(am_buf_str(&answer->body), answer->body.len);
	if (ret->n > 0 && am_json_type(*ret) == AMBIENT_T_OBJECT)
		return true;
	(void)am_jira_fail(&job->error, "JiraAnswerInvalid", "%s: what Jira answers is no JSON object; is JIRA_URL a Jira?", what);
	return false;
}

static bool
take_key(struct job *job, const char *what, struct am_slice from, const char *pointer)
{
	am_auto(am_freep) char *key = am_json_dup(from, pointer);

	if (key == NULL || !am_jira_is_key(key)) {
		(void)am_jira_fail(&job->error, "JiraAnswerInvalid", "%s: Jira answers without the key of an issue; is JIRA_URL a Jira?",
				   what);
		return false;
	}
	(void)am_strlcpy(job->key, key, sizeof(job->key));
	return true;
}

#define ISSUE_FIELDS "attachment,issuelinks"

/* The issue that a link names. */
static int
read_issue(struct job *job, const char *key)
{
	am_auto(am_freep) char *path = am_xasprintf("/rest/api/2/issue/%s?fields=" ISSUE_FIELDS, key);
	struct am_rest request = {.method = "GET", .path = path};
	struct am_rest_answer answer = {0};
	struct am_slice issue;
	int rc = ask(job, "reading the issue", &request, 200, 200, &answer);

	if (rc < 0 && answer.status == 404)
		(void)am_jira_fail(&job->error, "JiraIssueMissing", "the issue %s that the document is linked with is not there, or the "
				   "account may not see it; name another one in spec.jiraLinks", key);
	if (rc == 0 && !is_object(job, "reading the issue", &answer, &issue))
		rc = -1;
	if (rc == 0) {
		am_buf_add(&job->known, issue.p, issue.n);
		(void)am_strlcpy(job->key, key, sizeof(job->key));
	}
	am_rest_answer_fini(&answer);
	return rc;
}

/* One that has the document's label: of a run that was lost before it could say what it had made. */
static int
find_issue(struct job *job, const char *label)
{
	am_auto(am_buf_fini) struct am_buf jql = {0}, body = {0};
	struct am_rest request = {.method = "POST"};
	struct am_rest_answer answer = {0};
	struct am_slice found, issue;
	int rc;

	am_buf_addf(&jql, "project = \"%s\" AND labels = \"%s\" ORDER BY created ASC", job->jira.project, label);
	am_json_addf(&body, "{\"jql\":%s,\"maxResults\":1,\"fields\":[\"attachment\",\"issuelinks\"]}", am_buf_str(&jql));
	request.path = job->jira.cloud ? "/rest/api/2/search/jql" : "/rest/api/2/search";
	request.body = am_buf_str(&body);
	rc = ask(job, "looking for the issue", &request, 200, 200, &answer);
	if (rc == 0 && !is_object(job, "looking for the issue", &answer, &found))
		rc = -1;
	if (rc == 0 && am_json_find(found, "/issues/0", &issue)) {
		if (!take_key(job, "looking for the issue", issue, "/key"))
			rc = -1;
		else
			am_buf_add(&job->known, issue.p, issue.n);
	}
	am_rest_answer_fini(&answer);
	return rc;
}

static void
add_fields(struct am_buf *body, const struct job *job, const char *description)
{
	am_auto(am_freep) char *summary = am_json_dup(job->order, "/summary"), *parent = am_json_dup(job->order, "/parent");

	am_json_addf(body, "\"summary\":%s,\"description\":%s", summary != NULL ? summary : "Document", description);
	if (!am_empty(parent) && am_jira_is_key(parent))
		am_json_addf(body, ",\"parent\":{\"key\":%s}", parent);
}

static int
create_issue(struct job *job, const char *label, const char *description)
{
	am_auto(am_freep) char *type = am_json_dup(job->order, "/type");
	am_auto(am_buf_fini) struct am_buf body = {0};
	struct am_rest request = {.method = "POST", .path = "/rest/api/2/issue", .once = true};
	struct am_rest_answer answer = {0};
	struct am_slice made;
	int rc;

	am_json_addf(&body, "{\"fields\":{\"project\":{\"key\":%s},\"issuetype\":{\"name\":%s},\"labels\":[%s],", job->jira.project,
		     type != NULL ? type : "Feature", label);
	add_fields(&body, job, description);
	am_buf_adds(&body, "}}");
	request.body = am_buf_str(&body);
	rc = ask(job, "making the issue", &request, 201, 200, &answer);
	if (rc == 0 && (!is_object(job, "making the issue", &answer, &made) || !take_key(job, "making the issue", made, "/key")))
		rc = -1;
	job->created = rc == 0;
	am_rest_answer_fini(&answer);
	return rc;
}

static int
update_issue(struct job *job, const char *label, const char *description)
{
	am_auto(am_freep) char *path = am_xasprintf("/rest/api/2/issue/%s", job->key);
	am_auto(am_buf_fini) struct am_buf body = {0};
	struct am_rest request = {.method = "PUT", .path = path};
	struct am_rest_answer answer = {0};
	int rc;

	am_json_addf(&body, "{\"update\":{\"labels\":[{\"add\":%s}]},\"fields\":{", label);
	add_fields(&body, job, description);
	am_buf_adds(&body, "}}");
	request.body = am_buf_str(&body);
	rc = ask(job, "changing the issue", &request, 204, 200, &answer);
	am_rest_answer_fini(&answer);
	return rc;
}

/* ---- what belongs to the issue; it is published without it */

static void
leave(struct job *job, const char *what)
{
	if (job->left[0] == '\0')
		(void)snprintf(job->left, sizeof(job->left), "%.60s: %.230s", what, job->error.text);
}

static bool
is_linked(const struct job *job, const char *other)
{
	struct am_slice links, link, known = am_slice(am_buf_str(&job->known), job->known.len);
	size_t it = 0;

	if (known.n == 0 || !am_json_find(known, "/fields/issuelinks", &links) || am_json_type(links) != AMBIENT_T_ARRAY)
		return false;
	while (am_json_element(links, &it, &link))
		for (int i = 0; i < 2; i++) {
			am_auto(am_freep) char *key = am_json_dup(link, i == 0 ? "/outwardIssue/key" : "/inwardIssue/key");

			if (key != NULL && am_streq(key, other))
				return true;
		}
	return false;
}

static void
link_issue(struct job *job)
{
	am_auto(am_freep) char *other = am_json_dup(job->order, "/implements");
	am_auto(am_buf_fini) struct am_buf body = {0};
	struct am_rest request = {.method = "POST", .path = "/rest/api/2/issueLink", .once = true};
	struct am_rest_answer answer = {0};

	if (am_empty(other) || !am_jira_is_key(other) || is_linked(job, other))
		return;
	am_json_addf(&body, "{\"type\":{\"name\":\"Implements\"},\"inwardIssue\":{\"key\":%s},\"outwardIssue\":{\"key\":%s}}", job->key,
		     other);
	request.body = am_buf_str(&body);
	if (ask(job, "linking the issue", &request, 201, 200, &answer) < 0)
		leave(job, "the link to the plan's issue");
	am_rest_answer_fini(&answer);
}

static bool
is_attached(const struct job *job, const char *name, size_t size)
{
	struct am_slice list, one, known = am_slice(am_buf_str(&job->known), job->known.len);
	size_t it = 0;

	if (known.n == 0 || !am_json_find(known, "/fields/attachment", &list) || am_json_type(list) != AMBIENT_T_ARRAY)
		return false;
	while (am_json_element(list, &it, &one)) {
		am_auto(am_freep) char *there = am_json_dup(one, "/filename");

		if (there != NULL && am_streq(there, name) && am_json_int(one, "/size", -1) == (int64_t)size)
			return true;
	}
	return false;
}

static void
attach_one(struct job *job, const char *folder, const char *name)
{
	am_auto(am_freep) char *file = am_xasprintf("%s%s", folder, name);
	am_auto(am_freep) char *path = am_xasprintf("/rest/api/2/issue/%s/attachments", job->key);
	am_auto(am_buf_fini) struct am_buf text = {0};
	struct am_rest request = {.method = "POST", .path = path, .file_name = name, .once = true};
	struct am_rest_answer answer = {0};
	int rc = read_file(file, AM_JIRA_ATTACHMENT_MAX, &text);

	if (rc == -ENOENT || (rc == 0 && is_attached(job, name, text.len)))
		return;
	if (rc < 0) {
		(void)am_jira_fail(&job->error, "DocumentUnreadable", "%s", rc == -EFBIG ? "it is over 10 MiB" : "it is no file that can be read");
		leave(job, name);
		return;
	}
	request.file = am_buf_str(&text);
	request.file_size = text.len;
	if (ask(job, "attaching a file", &request, 200, 201, &answer) < 0)
		leave(job, name);
	am_rest_answer_fini(&answer);
}

static void
attach(struct job *job)
{
	am_auto(am_freep) char *path = am_json_dup(job->order, "/path");
	char *slash = strrchr(path, '/');
	struct am_slice list, one;
	size_t it = 0;

	if (slash != NULL)
		slash[1] = '\0';
	if (!am_json_find(job->order, "/attachments", &list) || am_json_type(list) != AMBIENT_T_ARRAY)
		return;
	for (int i = 0; i < 8 && am_json_element(list, &it, &one); i++) {
		am_auto(am_freep) char *name = am_json_dup(one, "");

		if (!am_empty(name) && strchr(name, '/') == NULL)
			attach_one(job, slash != NULL ? path : "", name);
	}
}

/* ---- all of it */

static bool
is_label(const char *label)
{
	return !am_empty(label) && strlen(label) < 200 &&
	       strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(label);
}

static int
publish(struct job *job)
{
	am_auto(am_buf_fini) struct am_buf document = {0}, description = {0};
	am_auto(am_freep) char *label = NULL, *key = NULL, *source = NULL;

	if (read_order(job) < 0 || read_account(job) < 0 || read_document(job, &document) < 0)
		return -1;
	label = am_json_dup(job->order, "/label");
	key = am_json_dup(job->order, "/key");
	source = am_json_dup(job->order, "/source");
	if (!is_label(label))
		return am_jira_fail(&job->error, "JiraOrderInvalid", "the order to publish a document has no label");
	if (!am_empty(key) && !am_jira_is_key(key))
		return am_jira_fail(&job->error, "JiraOrderInvalid", "\"%.60s\" in spec.jiraLinks is no key of an issue, such as ABC-1", key);
	am_jira_description(&description, source, am_buf_str(&document), document.len);
	if ((am_empty(key) ? find_issue(job, label) : read_issue(job, key)) < 0)
		return -1;
	if ((job->key[0] != '\0' ? update_issue(job, label, am_buf_str(&description))
				 : create_issue(job, label, am_buf_str(&description))) < 0)
		return -1;
	link_issue(job);
	attach(job);
	return 0;
}

int
am_runner_jira_main(void)
{
	am_auto(am_buf_fini) struct am_buf out = {0}, url = {0};
	struct job job = {0};
	int rc;

	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = publish(&job);
	if (rc == 0) {
		am_buf_addf(&url, "%s/browse/%s", job.jira.url, job.key);
		am_json_addf(&out, "{\"key\":%s,\"url\":%s,\"created\":%b,\"left\":%s}\n", job.key, am_buf_str(&url), job.created, job.left);
	} else {
		am_json_addf(&out, "{\"reason\":%s,\"text\":%s}\n", job.error.reason, job.error.text);
	}
	if (am_write_all(STDOUT_FILENO, out.data, out.len) < 0)
		rc = -1;
	am_jira_fini(&job.jira);
	am_buf_fini(&job.text);
	am_buf_fini(&job.known);
	curl_global_cleanup();
	return rc == 0 ? 0 : 1;
}
