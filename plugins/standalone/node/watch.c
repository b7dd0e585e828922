/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread hears from all shims: each record that one writes, and its end, asks for a reconcile of its pod,
 * which reads the state anew.  Nothing is decided here.  At the start it asks for what no event will: the Node,
 * the pods and the claims that are on disk.
 */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SUBSCRIBE "{\"op\":\"subscribe\"}\n"

static void
tell(struct node *node, const struct local *local, int64_t delay)
{
	(void)ambient_enqueue(node->host, "pods", local->ns, local->name, delay);
}

/* Connects to those that shall be watched; the lock is held. */
static void
connect_all(struct node *node)
{
	for (struct local *l = node->pods; l != NULL; l = l->next) {
		if (!l->watched || l->watch_fd >= 0)
			continue;
		l->watch_fd = shim_connect(l);
		if (l->watch_fd >= 0 &&
		    send(l->watch_fd, SUBSCRIBE, strlen(SUBSCRIBE), MSG_NOSIGNAL) != (ssize_t)strlen(SUBSCRIBE)) {
			(void)close(l->watch_fd);
			l->watch_fd = -1;
		}
		if (l->watch_fd < 0) {
			/* It ended, or has not come so far; the reconciler finds out which. */
			l->watch_fd = -1;
			l->watched = false;
			tell(node, l, 100 * AMBIENT_MILLISECOND);
		} else {
			/* What it wrote before we listened. */
			tell(node, l, 0);
		}
	}
}

static void
hear(struct node *node, int fd)
{
	char chunk[4096];
	ssize_t n;

	for (struct local *l = node->pods; l != NULL; l = l->next) {
		if (l->watch_fd != fd)
			continue;
		n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			(void)close(fd);
			l->watch_fd = -1;
			l->watched = false;
		}
		tell(node, l, 0);
		return;
	}
}

static bool
ask_claims(struct node *node)
{
	char path[600], sub[900];
	DIR *all, *one;
	bool ok = true;

	(void)snprintf(path, sizeof(path), "%s/pvc", node->root);
	all = opendir(path);
	if (all == NULL)
		return true;
	for (struct dirent *ns; (ns = readdir(all)) != NULL;) {
		if (ns->d_name[0] == '.')
			continue;
		(void)snprintf(sub, sizeof(sub), "%s/%s", path, ns->d_name);
		one = opendir(sub);
		for (struct dirent *c; one != NULL && (c = readdir(one)) != NULL;)
			if (c->d_name[0] != '.')
				ok = ambient_enqueue(node->host, "claims", ns->d_name, c->d_name, 0) == 0 && ok;
		if (one != NULL)
			(void)closedir(one);
	}
	(void)closedir(all);
	return ok;
}

/* False while the queues do not take anything yet. */
static bool
ask(struct node *node)
{
	bool ok = ambient_enqueue(node->host, "node", "", node->name, 0) == 0;

	for (struct local *l = node->pods; l != NULL && ok; l = l->next)
		ok = ambient_enqueue(node->host, "pods", l->ns, l->name, 0) == 0;
	return ok && ask_claims(node);
}

static void *
watcher(void *arg)
{
	struct node *node = arg;
	struct pollfd *fds = NULL;
	bool asked = false;

	for (;;) {
		size_t n = 1;
		char chunk[64];

		pthread_mutex_lock(&node->lock);
		if (node->stopping) {
			pthread_mutex_unlock(&node->lock);
			break;
		}
		asked = asked || ask(node);
		connect_all(node);
		for (struct local *l = node->pods; l != NULL; l = l->next)
			n += l->watch_fd >= 0;
		struct pollfd *grown = realloc(fds, n * sizeof(*fds));
		if (grown != NULL) {
			fds = grown;
			fds[0] = (struct pollfd){ .fd = node->wake[0], .events = POLLIN };
			n = 1;
			for (struct local *l = node->pods; l != NULL; l = l->next)
				if (l->watch_fd >= 0)
					fds[n++] = (struct pollfd){ .fd = l->watch_fd, .events = POLLIN };
		}
		pthread_mutex_unlock(&node->lock);
		if (grown == NULL || poll(fds, n, asked ? -1 : 200) <= 0)
			continue;
		if (fds[0].revents != 0)
			(void)!read(node->wake[0], chunk, sizeof(chunk));
		pthread_mutex_lock(&node->lock);
		for (size_t i = 1; i < n; i++)
			if (fds[i].revents != 0)
				hear(node, fds[i].fd);
		pthread_mutex_unlock(&node->lock);
	}
	free(fds);
	return NULL;
}

void
watch_wake(struct node *node)
{
	(void)!write(node->wake[1], "w", 1);
}

int
watch_start(struct node *node, struct ambient_error *err)
{
	sigset_t all, before;
	int rc;

	if (pipe2(node->wake, O_CLOEXEC | O_NONBLOCK) < 0)
		return ambient_err(err, AMBIENT_E_NOMEM, "cannot make a pipe: %s", strerror(errno));
	/* The daemon's signals are not ours. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&node->watcher, NULL, watcher, node);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return ambient_err(err, AMBIENT_E_NOMEM, "cannot start a thread: %s", strerror(rc));
	node->has_watcher = true;
	return 0;
}

void
watch_stop(struct node *node)
{
	pthread_mutex_lock(&node->lock);
	node->stopping = true;
	pthread_mutex_unlock(&node->lock);
	if (node->has_watcher) {
		watch_wake(node);
		pthread_join(node->watcher, NULL);
		node->has_watcher = false;
	}
	for (int i = 0; i < 2; i++) {
		if (node->wake[i] >= 0)
			(void)close(node->wake[i]);
		node->wake[i] = -1;
	}
}
