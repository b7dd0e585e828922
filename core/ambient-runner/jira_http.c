/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to Jira.  The token goes to the configured server only: no redirect is followed and no proxy is used.  A
 * request that may have made something is not repeated, but for answers that say that nothing was done.
 */
#include "core/ambient-runner/jira.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "core/base/mem.h"

#define ATTEMPTS   3
#define ANSWER_MAX (4 << 20)
#define WAIT_MAX   30 /* seconds that Jira may make us wait */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct am_jira_answer *answer = arg;

	if (answer->body.len + size * n > ANSWER_MAX)
		return 0;
	am_buf_add(&answer->body, p, size * n);
	return size * n;
}

static struct curl_slist *
headers_of(const struct am_jira *jira, const struct am_jira_request *request)
{
	struct curl_slist *list = curl_slist_append(NULL, jira->authorization);

	list = curl_slist_append(list, "Accept: application/json");
	list = curl_slist_append(list, "Expect:");
	if (request->file != NULL)
		list = curl_slist_append(list, "X-Atlassian-Token: no-check");
	else if (request->body != NULL)
		list = curl_slist_append(list, "Content-Type: application/json; charset=utf-8");
	return list;
}

static curl_mime *
mime_of(CURL *curl, const struct am_jira_request *request)
{
	curl_mime *mime = curl_mime_init(curl);
	curl_mimepart *part = mime != NULL ? curl_mime_addpart(mime) : NULL;

	if (part == NULL)
		return mime;
	curl_mime_name(part, "file");
	curl_mime_filename(part, request->file_name);
	curl_mime_data(part, request->file, request->file_size);
	return mime;
}

/* The host that a redirect leads to. */
static void
note_location(CURL *curl, struct am_jira_answer *answer)
{
	char *url = NULL;
	const char *p;

	answer->location[0] = '\0';
	if (curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &url) != CURLE_OK || url == NULL || (p = strstr(url, "://")) == NULL)
		return;
	(void)snprintf(answer->location, sizeof(answer->location), "%.*s", (int)strcspn(p + 3, "/?# "), p + 3);
}

static CURLcode
perform(CURL *curl, const struct am_jira *jira, const struct am_jira_request *request, struct am_jira_answer *answer)
{
	am_auto(am_freep) char *url = am_xasprintf("%s%s", jira->url, request->path);
	struct curl_slist *headers = headers_of(jira, request);
	curl_mime *mime = NULL;
	CURLcode rc;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "ambient/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (request->file != NULL) {
		mime = mime_of(curl, request);
		curl_easy_setopt(curl, CURLOPT_MIMEPOST, mime);
	} else if (request->body != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	rc = curl_easy_perform(curl);
	if (rc == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
	note_location(curl, answer);
	curl_mime_free(mime);
	curl_slist_free_all(headers);
	return rc;
}

/* Was it surely not done, or does doing it twice no harm? */
static bool
may_repeat(const struct am_jira_request *request, CURLcode rc, long status)
{
	if (rc == CURLE_WRITE_ERROR || rc == CURLE_URL_MALFORMAT || rc == CURLE_PEER_FAILED_VERIFICATION)
		return false;
	if (rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST || status == 429 || status == 503)
		return true;
	return !request->once && (rc != CURLE_OK || status == 500 || status == 502 || status == 504);
}

static void
wait_ms(int64_t ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

int
am_jira_request(const struct am_jira *jira, const struct am_jira_request *request, struct am_jira_answer *answer,
		struct am_jira_error *error)
{
	CURLcode rc = CURLE_FAILED_INIT;
	int64_t wait = jira->retry_ms;

	memset(answer, 0, sizeof(*answer));
	for (int attempt = 1;; attempt++, wait *= 2) {
		CURL *curl = curl_easy_init();
		curl_off_t after = 0;

		answer->status = 0;
		am_buf_reset(&answer->body);
		if (curl != NULL) {
			rc = perform(curl, jira, request, answer);
			if (rc == CURLE_OK)
				(void)curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after);
			curl_easy_cleanup(curl);
		}
		if (attempt == ATTEMPTS || !may_repeat(request, rc, answer->status))
			break;
		/* One that wants us to wait long is told about at once. */
		if (after > WAIT_MAX)
			break;
		wait_ms(after > 0 ? (int64_t)after * 1000 : wait);
	}
	if (rc == CURLE_WRITE_ERROR || answer->body.failed)
		return am_jira_fail(error, "JiraAnswerInvalid", "%s answers with more than %d MiB; is JIRA_URL a Jira?", jira->url,
				    ANSWER_MAX >> 20);
	if (rc != CURLE_OK)
		return am_jira_fail(error, "JiraUnreachable", "%.150s cannot be reached: %s", jira->url, curl_easy_strerror(rc));
	return 0;
}
