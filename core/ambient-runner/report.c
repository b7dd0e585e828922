/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "core/ambient-runner/report.h"

#include <stdlib.h>

#include <ambient/message.h>

#include "core/base/clock.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/kube/kube.h"

#define USAGE_MAX   4096
#define RESULT_MARK 80 /* bytes kept for the mark of a cut */

void
am_runner_report_fini(struct am_report *report)
{
	am_buf_fini(&report->result);
	am_buf_fini(&report->usage);
	am_buf_fini(&report->reconciled);
}

static double
number(struct am_slice fields, const char *pointer, double fallback)
{
	struct am_slice value;
	char text[64];

	if (!am_json_find(fields, pointer, &value) || am_json_type(value) != AMBIENT_T_NUMBER ||
	    value.n >= sizeof(text))
		return fallback;
	memcpy(text, value.p, value.n);
	text[value.n] = '\0';
	double d = strtod(text, NULL);
	return d >= 0 && d < 1e9 ? d : fallback;
}

/* At most max bytes, not through the middle of a character. */
static void
set_cut(struct am_buf *out, const char *p, size_t n, size_t max)
{
	am_buf_reset(out);
	if (n > max) {
		for (n = max; n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80; n--)
			;
	}
	am_buf_add(out, p, n);
}

/* A result that is too long ends with a mark that says so, within the limit. */
static void
set_result(struct am_buf *out, const char *text)
{
	size_t all = strlen(text);

	set_cut(out, text, all, all > AM_REPORT_RESULT ? AM_REPORT_RESULT - RESULT_MARK : AM_REPORT_RESULT);
	if (out->len < all)
		am_buf_addf(out, "\n[cut here: %zu of %zu bytes]", out->len, all);
}

void
am_runner_report_note(struct am_report *report, const char *type, struct am_slice fields)
{
	am_auto(am_freep) char *text = NULL;

	if (am_streq(type, AMBIENT_MSG_RESULT)) {
		if ((text = am_json_dup(fields, "/text")) != NULL)
			set_result(&report->result, text);
		report->is_error = am_json_bool(fields, "/isError", 0) != 0;
		report->turns = AM_MAX(am_json_int(fields, "/turns", report->turns), 0);
		report->duration_ms = AM_MAX(am_json_int(fields, "/durationMs", report->duration_ms), 0);
		report->cost = number(fields, "/costUSD", report->cost);
		report->api_ms = am_json_int(fields, "/durationApiMs", report->api_ms);
		am_freep(&text);
		text = am_json_dup(fields, "/subtype");
		(void)am_strlcpy(report->subtype, text != NULL ? text : "", sizeof(report->subtype));
	} else if (am_streq(type, AMBIENT_MSG_USAGE)) {
		report->cost = number(fields, "/costUSD", report->cost);
		if (am_json_type(fields) == AMBIENT_T_OBJECT && fields.n <= USAGE_MAX) {
			am_buf_reset(&report->usage);
			am_buf_add(&report->usage, fields.p, fields.n);
		}
	}
}

static void
add_repo(const struct am_repo *repo, struct am_buf *out)
{
	char url[1024]; /* a refused one may be of any length */
	char when[32];

	(void)am_strlcpy(url, repo->url != NULL ? repo->url : "", sizeof(url));
	am_json_addf(out, "{\"index\":%d,\"name\":%s,\"url\":%s", repo->index, repo->name, url);
	if (repo->status != NULL)
		am_json_addf(out, ",\"status\":%s", repo->status);
	if (repo->push && am_streq(repo->status, "pushed"))
		am_json_addf(out, ",\"branch\":%s", repo->push_branch);
	if (repo->commit[0] != '\0')
		am_json_addf(out, ",\"commit\":%s,\"commits\":%l,\"added\":%l,\"removed\":%l", repo->commit, repo->commits, repo->added,
			     repo->removed);
	if (repo->updated_at > 0) {
		am_time_format(when, repo->updated_at, false);
		am_json_addf(out, ",\"at\":%s", when);
	}
	if (repo->pr_url[0] != '\0')
		am_json_addf(out, ",\"prUrl\":%s", repo->pr_url);
	if (repo->error[0] != '\0')
		am_json_addf(out, ",\"error\":%s", repo->error);
	am_buf_addc(out, '}');
}

/* What an agent's type may not know. */
static void
add_figures(const struct am_report *report, struct am_buf *out)
{
	const struct {
		const char *name;
		int64_t value;
	} figures[] = {{"durationApiMs", report->api_ms}, {"restarts", report->restarts}, {"artifacts", report->artifacts},
		       {"messages", report->messages}};
	char when[32];

	for (size_t i = 0; i < AM_COUNTOF(figures); i++)
		if (figures[i].value >= 0)
			am_json_addf(out, ",%s:%l", figures[i].name, figures[i].value);
	if (report->activity_at > 0) {
		am_time_format(when, report->activity_at, false);
		am_json_addf(out, ",\"activityAt\":%s", when);
	}
	if (report->agent != NULL)
		am_json_addf(out, ",\"agent\":%s", report->agent);
	if (report->subtype[0] != '\0')
		am_json_addf(out, ",\"subtype\":%s", report->subtype);
}

void
am_runner_report_json(const struct am_report *report, const struct am_repos *repos, const struct am_redactor *redactor,
		      struct am_buf *out)
{
	am_auto(am_buf_fini) struct am_buf json = {0};
	char started[32], beat[32];

	am_time_format(started, report->started_at, false);
	am_time_format(beat, report->heartbeat_at, false);
	am_json_addf(&json, "{\"contract\":1,\"run\":%s,\"state\":%s,\"startedAt\":%s,\"heartbeatAt\":%s,\"repos\":[",
		     report->run, report->state, started, beat);
	for (size_t i = 0; repos != NULL && i < repos->n; i++) {
		if (i > 0)
			am_buf_addc(&json, ',');
		add_repo(&repos->v[i], &json);
	}
	am_json_addf(&json, "],\"isError\":%b,\"turns\":%l,\"durationMs\":%l", (int)report->is_error, report->turns,
		     report->duration_ms);
	add_figures(report, &json);
	if (report->generation > 0)
		am_json_addf(&json, ",\"specGeneration\":%l", report->generation);
	if (report->result.len > 0)
		am_json_addf(&json, ",\"result\":%s", am_buf_str(&report->result));
	if (report->cost >= 0) {
		am_buf_adds(&json, ",\"costUSD\":");
		am_json_add_double(&json, report->cost);
	}
	am_json_addf(&json, ",\"usage\":%j", report->usage.len > 0 ? am_buf_str(&report->usage) : "{}");
	if (report->reconciled.len > 0)
		am_json_addf(&json, ",\"reconciled\":%j", am_buf_str(&report->reconciled));
	if (report->conversation[0] != '\0')
		am_json_addf(&json, ",\"conversation\":%s", report->conversation);
	if (report->reason[0] != '\0')
		am_json_addf(&json, ",\"reason\":%s", report->reason);
	if (report->message[0] != '\0')
		am_json_addf(&json, ",\"message\":%s", report->message);
	am_buf_addc(&json, '}');
	am_runner_redact_json(redactor, am_slice(am_buf_str(&json), json.len), out);
	if (out->len > AM_REPORT_MAX)
		am_log_warn("runner", "the report has %zu bytes, more than %d", out->len, AM_REPORT_MAX);
}

/* ---- sending */

struct am_reporter {
	struct am_kube *kube;
	char *ns, *configmap;
	struct am_thread *thread;
	struct am_lock lock; /* guards what follows */
	struct am_cond cond;
	struct am_buf next;
	uint64_t wanted, sent; /* counts of states */
	bool stop;
	int32_t cancelled;
	struct ambient_error last;
};

static int
send_one(struct am_reporter *reporter, const char *json, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf patch = {0};
	am_auto(am_buf_fini) struct am_buf path = {0};
	struct am_gvr gvr;

	am_json_addf(&patch, "{\"data\":{\"report.json\":%s}}", json);
	(void)am_gvr_parse("v1/configmaps", &gvr, NULL);
	am_kube_path(&path, &gvr, reporter->ns, reporter->configmap, NULL);
	struct am_kube_request request = {.method = "PATCH",
					  .path = am_buf_str(&path),
					  .content_type = "application/merge-patch+json",
					  .body = am_buf_str(&patch),
					  .body_len = patch.len,
					  .cancelled = &reporter->cancelled,
					  .deadline = am_clock_boot(am_clock_real()) + 15 * AM_NS_PER_S};
	am_auto(am_buf_fini) struct am_buf answer = {0};
	return am_kube_do(reporter->kube, &request, &answer, err);
}

static void
reporter_main(void *arg)
{
	struct am_reporter *reporter = arg;
	struct am_clock *clock = am_clock_real();

	am_lock(&reporter->lock);
	for (;;) {
		while (!reporter->stop && reporter->sent == reporter->wanted)
			(void)am_cond_wait(&reporter->cond, &reporter->lock, AM_FOREVER);
		if (reporter->stop)
			break;
		uint64_t number_ = reporter->wanted;
		am_auto(am_buf_fini) struct am_buf json = {0};
		struct ambient_error err = AMBIENT_ERROR_INIT;

		am_buf_add(&json, am_buf_str(&reporter->next), reporter->next.len);
		am_unlock(&reporter->lock);
		int rc = send_one(reporter, am_buf_str(&json), &err);
		if (rc < 0 && rc != -AMBIENT_E_CANCELLED)
			am_log_warn("runner", "cannot report: %s", err.message);
		am_lock(&reporter->lock);
		reporter->last = err;
		if (rc == 0) {
			reporter->sent = number_;
			am_cond_broadcast(&reporter->cond);
		} else if (!reporter->stop) {
			(void)am_cond_wait(&reporter->cond, &reporter->lock, am_clock_boot(clock) + AM_NS_PER_S);
		}
	}
	am_unlock(&reporter->lock);
}

struct am_reporter *
am_runner_reporter_new(struct am_kube *kube, const char *ns, const char *configmap)
{
	struct am_reporter *reporter = am_xcalloc(1, sizeof(*reporter));

	reporter->kube = kube;
	reporter->ns = am_xstrdup(ns);
	reporter->configmap = am_xstrdup(configmap);
	am_lock_init(&reporter->lock, "report");
	am_cond_init(&reporter->cond, am_clock_real());
	reporter->thread = am_thread_new("report", 0, reporter_main, reporter);
	return reporter;
}

void
am_runner_reporter_send(struct am_reporter *reporter, const struct am_buf *json)
{
	if (reporter == NULL)
		return;
	am_lock(&reporter->lock);
	am_buf_reset(&reporter->next);
	am_buf_add(&reporter->next, am_buf_str(json), json->len);
	reporter->wanted++;
	am_cond_broadcast(&reporter->cond);
	am_unlock(&reporter->lock);
}

int
am_runner_reporter_flush(struct am_reporter *reporter, int64_t timeout_ns, struct ambient_error *err)
{
	int64_t deadline = am_clock_boot(am_clock_real()) + timeout_ns;
	int rc = 0;

	am_lock(&reporter->lock);
	while (reporter->sent != reporter->wanted && rc == 0)
		if (!am_cond_wait(&reporter->cond, &reporter->lock, deadline) && reporter->sent != reporter->wanted)
			rc = ambient_err(err, reporter->last.code != 0 ? reporter->last.code : AMBIENT_E_TIMEOUT,
					 "the report could not be saved: %s",
					 reporter->last.code != 0 ? reporter->last.message : "no answer");
	am_unlock(&reporter->lock);
	return rc;
}

void
am_runner_reporter_free(struct am_reporter *reporter)
{
	if (reporter == NULL)
		return;
	am_lock(&reporter->lock);
	reporter->stop = true;
	__atomic_store_n(&reporter->cancelled, 1, __ATOMIC_RELEASE);
	am_cond_broadcast(&reporter->cond);
	am_unlock(&reporter->lock);
	am_thread_join(reporter->thread);
	am_cond_fini(&reporter->cond);
	am_lock_fini(&reporter->lock);
	am_buf_fini(&reporter->next);
	free(reporter->ns);
	free(reporter->configmap);
	free(reporter);
}
