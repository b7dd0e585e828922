/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Why did this run?": what a controller and its queue know of one name, as JSON.  Times are milliseconds, counted from
 * now; a run's causes carry its number, so that a reader can tell those of the last run from those of the next.
 */
#include "core/control/control.h"
#include "core/data/scan.h"

struct telling {
	struct am_buf *out;
	const char *controller;
	bool paused;
	const char *elsewhere;
};

static int64_t
ms(int64_t ns)
{
	return ns / AM_NS_PER_MS;
}

static void
tell_version(struct am_buf *out, const char *name, uint64_t rv)
{
	if (rv != 0)
		am_buf_addf(out, ",\"%s\":\"%llu\"", name, (unsigned long long)rv);
}

static void
tell_cause(struct am_buf *out, const struct am_cause_view *c)
{
	am_json_addf(out, "{\"run\":%l,\"cause\":%s,\"age\":%l,\"count\":%l", (int64_t)c->run, am_cause_word(c->type),
		     ms(c->age_ns), (int64_t)c->count);
	if (c->kind[0] != '\0')
		am_json_addf(out, ",\"kind\":%s", c->kind);
	if (c->object != NULL)
		am_json_addf(out, ",\"object\":%s", c->object[0] == '/' ? c->object + 1 : c->object);
	tell_version(out, "oldResourceVersion", c->old_rv);
	tell_version(out, "newResourceVersion", c->new_rv);
	if (c->delay_ns != 0)
		am_json_addf(out, ",\"delay\":%l", ms(c->delay_ns));
	am_buf_addc(out, '}');
}

static void
tell(void *arg, const struct am_queue_view *view)
{
	const struct telling *t = arg;
	struct am_buf *out = t->out;

	am_json_addf(out,
		     "{\"controller\":%s,\"namespace\":%s,\"name\":%s,\"state\":%s,\"for\":%l,\"paused\":%b,"
		     "\"priority\":%d,\"failures\":%l,\"runs\":%l",
		     t->controller, view->ns, view->name, view->state, ms(view->in_ns), t->paused, view->priority,
		     (int64_t)view->failures, (int64_t)view->runs);
	if (view->failures != 0)
		am_json_addf(out, ",\"backoff\":%l", ms(view->backoff_ns));
	if (view->runs != 0)
		am_json_addf(out, ",\"started\":%l,\"took\":%l", ms(view->started_ns), ms(view->worked_ns));
	if (view->error != NULL)
		am_json_addf(out, ",\"error\":%s", view->error);
	if (t->elsewhere != NULL)
		am_json_addf(out, ",\"elsewhere\":%s", t->elsewhere);
	am_buf_adds(out, ",\"causes\":[");
	for (size_t i = 0; i < view->cause_count; i++) {
		if (i != 0)
			am_buf_addc(out, ',');
		tell_cause(out, &view->causes[i]);
	}
	am_buf_adds(out, "]}");
}

bool
am_controller_explain(struct am_controller *c, const char *ns, const char *name, const char *elsewhere, struct am_buf *out)
{
	struct am_controller_status status;
	struct telling telling = {.out = out, .controller = am_controller_name(c), .elsewhere = elsewhere};

	am_controller_status(c, &status);
	telling.paused = status.paused;
	return am_queue_look(am_controller_queue(c), ns, name, tell, &telling);
}
