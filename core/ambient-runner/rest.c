/* SPDX-License-Identifier: Apache-2.0 */
/* See rest.h. */
#include "core/ambient-runner/rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <curl/curl.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define ANSWER_MAX ((size_t)4 << 20)
#define TRIES      3
#define FIRST_WAIT (AM_NS_PER_S / 2)
#define LONGEST    (60 * AM_NS_PER_S)

/* What came of one attempt. */
struct attempt {
	CURLcode result;
	int64_t wait; /* how long the server asks to stay away; 0: it does not say */
};

void
am_rest_answer_fini(struct am_rest_answer *answer)
{
	am_buf_fini(&answer->body);
}

static bool
is_cancelled(const struct am_rest *rest)
{
	return rest->cancelled != NULL && __atomic_load_n(rest->cancelled, __ATOMIC_ACQUIRE) != 0;
}

static size_t
on_data(char *p, size_t size, size_t n, void *arg)
{
	struct am_buf *body = arg;

	am_buf_add(body, p, size * n);
	return body->failed ? 0 : size * n;
}

static int
on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	const struct am_rest *rest = arg;

	(void)dltotal;
	(void)dlnow;
	(void)ultotal;
	(void)ulnow;
	if (rest->tick != NULL)
		rest->tick(rest->tick_arg);
	return is_cancelled(rest);
}

static struct curl_slist *
make_headers(const struct am_rest *rest)
{
	/* curl would wait a second for a "100 Continue" that some servers never say. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	if (rest->body != NULL)
		list = curl_slist_append(list, "Content-Type: application/json");
	if (rest->authorization != NULL) {
		am_auto(am_freep) char *line = am_xasprintf("Authorization: %s", rest->authorization);

		list = curl_slist_append(list, line);
		explicit_bzero(line, strlen(line));
	}
	for (const char *const *h = rest->headers; h != NULL && *h != NULL; h++)
		list = curl_slist_append(list, *h);
	return list;
}

static curl_mime *
make_form(CURL *easy, const struct am_rest *rest)
{
	curl_mime *form = curl_mime_init(easy);
	curl_mimepart *part = form != NULL ? curl_mime_addpart(form) : NULL;

	if (part == NULL)
		return form;
	(void)curl_mime_name(part, "file");
	(void)curl_mime_filename(part, rest->file_name);
	(void)curl_mime_data(part, rest->file, rest->file_size);
	return form;
}

static void
set_options(CURL *easy, const struct am_rest *rest, struct am_buf *body, char *words)
{
	(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, rest->method);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "ambient-runner/" PACKAGE_VERSION);
	if (rest->body != NULL)
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, rest->body);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 15L);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 60L);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
	(void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, rest);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, words);
	if (rest->direct)
		(void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (rest->ca_file != NULL)
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, rest->ca_file);
}

/* What is to be known of an exchange besides its body. */
static void
note_answer(CURL *easy, struct am_rest_answer *answer, struct attempt *attempt)
{
	curl_off_t seconds = 0;
	char *url = NULL;
	const char *host;
	long code = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
	(void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
	answer->status = (int)code;
	attempt->wait = seconds > 0 ? AM_MIN(seconds, (curl_off_t)3600) * AM_NS_PER_S : 0;
	answer->location[0] = '\0';
	if (curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &url) == CURLE_OK && url != NULL && (host = strstr(url, "://")) != NULL)
		(void)snprintf(answer->location, sizeof(answer->location), "%.*s", (int)strcspn(host + 3, "/?# "), host + 3);
}

static int
once(const struct am_rest *rest, struct am_rest_answer *answer, struct attempt *attempt, struct ambient_error *err)
{
	am_auto(am_freep) char *url = am_xasprintf("%s%s", rest->base, rest->path);
	CURL *easy = curl_easy_init();
	char words[CURL_ERROR_SIZE] = "";
	curl_mime *form = NULL;
	int rc = 0;

	if (easy == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for a request");
	struct curl_slist *headers = make_headers(rest);
	set_options(easy, rest, &answer->body, words);
	(void)curl_easy_setopt(easy, CURLOPT_URL, url);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	if (rest->file != NULL) {
		form = make_form(easy, rest);
		(void)curl_easy_setopt(easy, CURLOPT_MIMEPOST, form);
	}
	attempt->result = curl_easy_perform(easy);
	note_answer(easy, answer, attempt);
	if (attempt->result != CURLE_OK && is_cancelled(rest))
		rc = ambient_err(err, AMBIENT_E_CANCELLED, "asked to end");
	else if (answer->body.failed)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the answer has more than %zu MiB", ANSWER_MAX >> 20);
	else if (attempt->result != CURLE_OK)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "no answer: %.160s",
				 words[0] != '\0' ? words : curl_easy_strerror(attempt->result));
	else if (answer->status < 200) /* announced, and then nothing came */
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "no answer: the connection ended before one");
	curl_easy_cleanup(easy);
	curl_mime_free(form);
	curl_slist_free_all(headers);
	return rc;
}

/* Whether it may be asked again: it was surely not done, or doing it twice does no harm, and it helps. */
static bool
may_repeat(const struct am_rest *rest, int rc, int status, const struct attempt *attempt)
{
	if (rc < 0 && rc != -AMBIENT_E_UNAVAILABLE)
		return false;
	if (rc < 0 && (attempt->result == CURLE_COULDNT_CONNECT || attempt->result == CURLE_COULDNT_RESOLVE_HOST))
		return true;
	if (rc < 0)
		return !rest->once && attempt->result != CURLE_URL_MALFORMAT && attempt->result != CURLE_PEER_FAILED_VERIFICATION;
	if (attempt->wait > LONGEST) /* that is told at once */
		return false;
	return status == 429 || status == 503 || (status == 403 && attempt->wait > 0) || (status >= 500 && !rest->once);
}

static void
pause_for(const struct am_rest *rest, int64_t ns)
{
	int64_t until = am_clock_boot(am_clock_real()) + ns;

	while (am_clock_boot(am_clock_real()) < until && !is_cancelled(rest)) {
		(void)usleep(50 * 1000);
		if (rest->tick != NULL)
			rest->tick(rest->tick_arg);
	}
}

int
am_rest_do(const struct am_rest *rest, struct am_rest_answer *answer, struct ambient_error *err)
{
	int64_t backoff = rest->retry_ns > 0 ? rest->retry_ns : FIRST_WAIT;
	struct am_buf *body = &answer->body;
	int rc;

	for (int left = TRIES;; backoff *= 2) {
		struct attempt attempt = {.result = CURLE_FAILED_INIT};

		answer->status = 0;
		am_buf_reset(body);
		body->max = ANSWER_MAX;
		rc = once(rest, answer, &attempt, err);
		if (--left == 0 || !may_repeat(rest, rc, answer->status, &attempt))
			break;
		pause_for(rest, AM_MAX(attempt.wait, backoff));
	}
	/* An error page is no JSON and has nothing for us; whoever says yes has to say it in JSON. */
	if (rc == 0 && body->len > 0 && am_json_check(am_buf_str(body), body->len, NULL) < 0) {
		am_buf_reset(body);
		if (answer->status >= 200 && answer->status < 300)
			rc = ambient_err(err, AMBIENT_E_INVALID, "the answer (%d) is no JSON", answer->status);
	}
	return rc;
}
