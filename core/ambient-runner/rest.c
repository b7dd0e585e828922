/* SPDX-License-Identifier: Apache-2.0 */
/* See rest.h. */
#include "core/ambient-runner/rest.h"

#include <stdlib.h>
#include <unistd.h>

#include <curl/curl.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define ANSWER_MAX (1u << 20)
#define TRIES      4
#define FIRST_WAIT (AM_NS_PER_S / 2)
#define LONGEST    (60 * AM_NS_PER_S)

static bool
is_cancelled(const struct am_rest *rest)
{
	return rest->cancelled != NULL && __atomic_load_n(rest->cancelled, __ATOMIC_ACQUIRE) != 0;
}

static size_t
on_data(char *p, size_t size, size_t n, void *arg)
{
	struct am_buf *answer = arg;

	am_buf_add(answer, p, size * n);
	return answer->failed ? 0 : n;
}

static int
on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	const struct am_rest *rest = arg;

	if (rest->tick != NULL)
		rest->tick(rest->tick_arg);
	return is_cancelled(rest);
}

static struct curl_slist *
make_headers(const struct am_rest *rest)
{
	am_auto(am_freep) char *bearer = am_xasprintf("Authorization: Bearer %s", rest->token != NULL ? rest->token : "");
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");

	/* curl would wait a second for a "100 Continue" that some servers never say. */
	list = curl_slist_append(list, "Expect:");
	if (rest->token != NULL)
		list = curl_slist_append(list, bearer);
	explicit_bzero(bearer, strlen(bearer));
	for (const char *const *h = rest->headers; h != NULL && *h != NULL; h++)
		list = curl_slist_append(list, *h);
	return list;
}

static void
set_options(CURL *easy, const struct am_rest *rest, struct curl_slist *headers, struct am_buf *answer, char *words)
{
	(void)curl_easy_setopt(easy, CURLOPT_URL, rest->url);
	(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, rest->method);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
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
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	(void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, rest);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, words);
	if (rest->ca_file != NULL)
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, rest->ca_file);
}

/* One attempt.  *wait gets how long the server asks to stay away, 0: it does not say. */
static int
once(const struct am_rest *rest, int *status, int64_t *wait, struct am_buf *answer, struct ambient_error *err)
{
	CURL *easy = curl_easy_init();
	char words[CURL_ERROR_SIZE] = "";
	curl_off_t seconds = 0;
	long code = 0;
	int rc = 0;

	if (easy == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for a request");
	struct curl_slist *headers = make_headers(rest);
	set_options(easy, rest, headers, answer, words);
	CURLcode cc = curl_easy_perform(easy);
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
	(void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
	if (is_cancelled(rest))
		rc = ambient_err(err, AMBIENT_E_CANCELLED, "asked to end");
	else if (answer->failed)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the answer has more than %u bytes", ANSWER_MAX);
	else if (cc != CURLE_OK)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "no answer: %.160s", words[0] != '\0' ? words : curl_easy_strerror(cc));
	*status = (int)code;
	*wait = seconds > 0 ? AM_MIN(seconds, (curl_off_t)3600) * AM_NS_PER_S : 0;
	curl_easy_cleanup(easy);
	curl_slist_free_all(headers);
	return rc;
}

/* Whether it may be asked again: it is busy, and says no longer than is worth waiting for. */
static bool
is_busy(int rc, int status, int64_t wait)
{
	if (rc < 0)
		return rc == -AMBIENT_E_UNAVAILABLE;
	return wait <= LONGEST && (status == 429 || status >= 500 || (status == 403 && wait > 0));
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
am_rest_do(const struct am_rest *rest, int *status, struct am_buf *answer, struct ambient_error *err)
{
	int64_t backoff = FIRST_WAIT, wait;
	int rc;

	for (int left = TRIES;; backoff *= 2) {
		am_buf_reset(answer);
		answer->max = ANSWER_MAX;
		rc = once(rest, status, &wait, answer, err);
		if (--left == 0 || !is_busy(rc, *status, wait))
			break;
		pause_for(rest, AM_MAX(wait, backoff));
	}
	/* An error page is no JSON and has nothing for us; whoever says yes has to say it in JSON. */
	if (rc == 0 && am_json_check(am_buf_str(answer), answer->len, NULL) < 0) {
		am_buf_reset(answer);
		if (*status >= 200 && *status < 300)
			rc = ambient_err(err, AMBIENT_E_INVALID, "the answer (%d) is no JSON", *status);
	}
	return rc;
}
