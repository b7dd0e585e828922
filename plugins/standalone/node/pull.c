/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pulls of images: each on a thread of its own, at most PULLS_MAX at a time, one for a pod and image.  What became of it
 * is kept until the pod goes; the reconciler is told when there is something new.  One that failed is tried again after
 * 10 s, then after twice that, up to 5 min, as kubelet does it.  Invariant: an entry is in the list as long as its
 * thread runs; when its pod goes first it is an orphan, which the thread takes away.
 */
#include "node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PULLS_MAX   4
#define PULL_TIME   (1800 * AMBIENT_SECOND)
#define BACKOFF     (10 * AMBIENT_SECOND)
#define BACKOFF_MAX (300 * AMBIENT_SECOND)

struct pull {
	struct pull *next;
	struct node *node;
	const struct podman *podman;
	char uid[64], ns[64], name[256];
	char *image, *auth;       /* auth: a file, or NULL */
	struct pull_report report;
	bool orphan;
	int64_t began;
};

static void
free_pull(struct pull *p)
{
	free(p->image);
	free(p->auth);
	free(p);
}

/* Both with the lock held. */
static struct pull *
find(struct node *node, const char *uid, const char *image)
{
	struct pull *p = node->pulls;

	while (p != NULL && (p->orphan || strcmp(p->uid, uid) != 0 || strcmp(p->image, image) != 0))
		p = p->next;
	return p;
}

static void
take_out(struct node *node, struct pull *gone)
{
	for (struct pull **at = &node->pulls; *at != NULL; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			return;
		}
}

static void
failed(struct pull *p, const char *why)
{
	int64_t delay = BACKOFF << (p->report.tries < 5 ? p->report.tries : 5);

	p->report.state = PULL_FAILED;
	p->report.tries++;
	p->report.failed_at = p->node->host->clock->monotonic(p->node->host);
	p->report.retry_at = p->report.failed_at + (delay < BACKOFF_MAX ? delay : BACKOFF_MAX);
	(void)snprintf(p->report.message, sizeof(p->report.message), "%s", why);
}

static void *
work(void *arg)
{
	struct pull *p = arg;
	struct node *node = p->node;
	const char *const args[] = { "pull", "--quiet", p->auth != NULL ? "--authfile" : p->image, p->auth != NULL ? p->auth : NULL,
				     p->image, NULL };
	struct podman_answer answer;
	bool orphan;

	podman_run(node, p->podman, args, PULL_TIME, &node->pulls_end, &answer);
	pthread_mutex_lock(&node->lock);
	p->report.took = node->host->clock->monotonic(node->host) - p->began;
	if (answer.ok)
		p->report.state = PULL_DONE;
	else
		failed(p, answer.problem);
	orphan = p->orphan;
	if (!orphan)
		(void)ambient_enqueue(node->host, "pods", p->ns, p->name, 0);
	else
		take_out(node, p);
	node->pulling--;
	(void)pthread_cond_broadcast(&node->pull_ended);
	pthread_mutex_unlock(&node->lock);
	podman_answer_free(&answer);
	if (orphan)
		free_pull(p);
	return NULL;
}

/* With the lock held. */
static int
launch(struct pull *p)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int rc;

	p->report.state = PULL_RUNS;
	p->report.told = false;
	p->began = p->node->host->clock->monotonic(p->node->host);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* The daemon's signals are not ours. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, work, p);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	if (rc == 0)
		p->node->pulling++;
	else
		failed(p, strerror(rc));
	return rc;
}

bool
pull_start(struct node *node, const struct podman *podman, const struct local *local, const char *image, const char *auth)
{
	struct pull *p;
	bool room;

	pthread_mutex_lock(&node->lock);
	room = node->pulling < PULLS_MAX && !node->pulls_end;
	p = room ? find(node, local->uid, image) : NULL;
	if (room && p == NULL && (p = calloc(1, sizeof(*p))) != NULL) {
		p->node = node;
		(void)snprintf(p->uid, sizeof(p->uid), "%s", local->uid);
		(void)snprintf(p->ns, sizeof(p->ns), "%s", local->ns);
		(void)snprintf(p->name, sizeof(p->name), "%s", local->name);
		p->image = strdup(image);
		p->next = node->pulls;
		node->pulls = p;
	}
	if (p != NULL && p->image != NULL && p->report.state != PULL_RUNS) {
		p->podman = podman;
		free(p->auth);
		p->auth = auth != NULL ? strdup(auth) : NULL;
		(void)launch(p);
	}
	pthread_mutex_unlock(&node->lock);
	return p != NULL;
}

struct pull_report
pull_look(struct node *node, const struct local *local, const char *image)
{
	struct pull_report report = { .state = PULL_NONE };
	struct pull *p;

	pthread_mutex_lock(&node->lock);
	p = find(node, local->uid, image);
	if (p != NULL) {
		report = p->report;
		p->report.told = p->report.state != PULL_RUNS;
	}
	pthread_mutex_unlock(&node->lock);
	return report;
}

void
pull_forget(struct node *node, const struct local *local)
{
	pthread_mutex_lock(&node->lock);
	for (struct pull *p = node->pulls, *next; p != NULL; p = next) {
		next = p->next;
		if (strcmp(p->uid, local->uid) != 0)
			continue;
		if (p->report.state == PULL_RUNS) {
			p->orphan = true;
		} else {
			take_out(node, p);
			free_pull(p);
		}
	}
	pthread_mutex_unlock(&node->lock);
}

void
pull_stop(struct node *node)
{
	pthread_mutex_lock(&node->lock);
	__atomic_store_n(&node->pulls_end, 1, __ATOMIC_RELEASE);
	while (node->pulling > 0)
		(void)pthread_cond_wait(&node->pull_ended, &node->lock);
	while (node->pulls != NULL) {
		struct pull *p = node->pulls;

		node->pulls = p->next;
		free_pull(p);
	}
	pthread_mutex_unlock(&node->lock);
}
