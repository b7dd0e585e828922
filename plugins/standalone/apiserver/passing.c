/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for requests that are passed on and last: one each, joined when others come after them or when the server
 * stops.  A thread that has answered its request touches nothing of the server any more.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/pass.h"

struct passing {
	struct rest_server *server;
	void (*run)(void *arg);
	void (*release)(void *arg);
	void *arg;
	struct am_thread *thread;
	_Atomic(int) done;
	struct passing *next;
};

static struct am_lock passing_lock = { .mutex = PTHREAD_MUTEX_INITIALIZER, .name = "passing" };
static struct passing *passing_list; /* passing_lock */

static void
passing_main(void *arg)
{
	struct passing *p = arg;

	p->run(p->arg);
	atomic_store(&p->done, 1);
}

void
rest_pass_reap(struct rest_server *server, bool all)
{
	struct passing *list = NULL;

	am_lock(&passing_lock);
	for (struct passing **link = &passing_list; *link != NULL;) {
		struct passing *p = *link;

		if (p->server == server && (all || atomic_load(&p->done) != 0)) {
			*link = p->next;
			p->next = list;
			list = p;
		} else {
			link = &p->next;
		}
	}
	am_unlock(&passing_lock);
	while (list != NULL) {
		struct passing *p = list;

		list = p->next;
		am_thread_join(p->thread);
		p->release(p->arg);
		free(p);
	}
}

bool
rest_pass(struct rest_server *server, struct am_http_request *http, int max, void (*run)(void *arg),
	  void (*release)(void *arg), void *arg)
{
	struct passing *p = am_xcalloc(1, sizeof(*p));
	int n = 0;

	rest_pass_reap(server, false);
	*p = (struct passing){ .server = server, .run = run, .release = release, .arg = arg };
	am_lock(&passing_lock);
	for (const struct passing *other = passing_list; other != NULL; other = other->next)
		n += other->server == server && other->run == run;
	if (n < max) {
		am_http_keep(http);
		p->thread = am_thread_new("pod-pass", 0, passing_main, p);
	}
	bool started = p->thread != NULL;

	if (started) {
		p->next = passing_list;
		passing_list = p;
	}
	am_unlock(&passing_lock);
	if (!started)
		free(p);
	return started;
}

void
rest_pass_too_many(struct rest_call *call, const char *what)
{
	am_fail(&call->failure, 429, "TooManyRequests", "too many %s at once; try again later", what);
	call->failure.retry_after = 1;
	rest_answer_failure(call);
}

void
rest_pass_answer(struct am_http_request *http, const struct am_failure *failure)
{
	struct am_buf body = { 0 };

	am_failure_status(failure, &body);
	if (failure->code == 429)
		am_http_set_header(http, "Retry-After", "1");
	am_http_set_header(http, "X-Content-Type-Options", "nosniff");
	am_http_answer(http, failure->code, "application/json", &body);
	am_buf_fini(&body);
}
