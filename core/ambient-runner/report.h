/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: what the operator learns of a run, one JSON text in the ConfigMap that the operator made for it.  It is
 * sent by a thread of its own, the newest state only, so that a slow API server holds up no agent; the end waits
 * for the last one.  Everything in it is redacted and bounded to 256 KiB.
 */
#ifndef AM_RUNNER_REPORT_H
#define AM_RUNNER_REPORT_H

#include "core/ambient-runner/redact.h"
#include "core/ambient-runner/repos.h"
#include "core/base/err.h"

#define AM_REPORT_MAX    (256 * 1024)
#define AM_REPORT_RESULT 10000

/* Owned by the runner's main thread. */
struct am_report {
	const char *run, *state;          /* state: preparing, running, pushing, done */
	int64_t started_at, heartbeat_at; /* wall time */
	int64_t generation;               /* of the session whose spec the run goes by; 0: not read yet */
	struct am_buf result;             /* the agent's last words */
	bool is_error;
	int64_t turns, duration_ms;
	int64_t api_ms;      /* negative: unknown, like the next two */
	int64_t restarts;    /* how often the agent's program was started again in the session */
	int64_t artifacts;   /* files */
	int64_t messages;    /* of the session, whoever said them */
	int64_t activity_at; /* wall time of the last word of the agent or of a person; 0: none yet */
	const char *agent;   /* working, idle, waiting_input; NULL: there is none at work */
	char subtype[65];    /* as the agent's own result says */
	double cost;         /* negative: unknown */
	struct am_buf usage; /* a JSON object, or empty */
	struct am_buf reconciled; /* the same: what the workspace holds of what the session names */
	char conversation[129];
	char reason[64], message[512];
};

void am_runner_report_fini(struct am_report *report);
/* Looks at a message's fields (checked JSON): result, usage. */
void am_runner_report_note(struct am_report *report, const char *type, struct am_slice fields);
void am_runner_report_json(const struct am_report *report, const struct am_repos *repos,
			   const struct am_redactor *redactor, struct am_buf *out);

struct am_kube;
struct am_reporter;
/* Borrows kube. */
struct am_reporter *am_runner_reporter_new(struct am_kube *kube, const char *ns, const char *configmap);
/* Takes json as the newest state; never blocks. */
void am_runner_reporter_send(struct am_reporter *reporter, const struct am_buf *json);
/* Waits until the newest state is there, at most so long; afterwards the error of the last attempt, or
 * -AMBIENT_E_TIMEOUT when it had none. */
int am_runner_reporter_flush(struct am_reporter *reporter, int64_t timeout_ns, struct ambient_error *err);
void am_runner_reporter_free(struct am_reporter *reporter);

#endif
