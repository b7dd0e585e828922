/* SPDX-License-Identifier: Apache-2.0 */
/* Kubelet's endpoint, for the API server only: who asks is known by its certificate, what is asked by its path. */
#include "node.h"

#include <stdio.h>
#include <string.h>

/* Followers of logs hold one each. */
#define THREADS 32

void
server_refuse(struct node *node, struct ambient_http_request *request, int status, const char *text)
{
	const struct ambient_http_api *http = node->host->http;

	if (http->begin(request, status, "text/plain") == 0)
		(void)http->write(request, text, strlen(text));
}

bool
server_truth(struct node *node, struct ambient_http_request *request, const char *name)
{
	const char *s = node->host->http->query(request, name);

	return s != NULL && (strcmp(s, "true") == 0 || strcmp(s, "1") == 0);
}

bool
server_find(struct node *node, const char *ns, const char *pod, char *dir, size_t size)
{
	bool known = false;

	pthread_mutex_lock(&node->lock);
	for (const struct local *l = node->pods; l != NULL && !known; l = l->next)
		if (strcmp(l->ns, ns) == 0 && strcmp(l->name, pod) == 0) {
			(void)snprintf(dir, size, "%s", l->dir);
			known = true;
		}
	pthread_mutex_unlock(&node->lock);
	return known;
}

static void
handle(void *self, struct ambient_http_request *request)
{
	struct node *node = self;
	const struct ambient_http_api *http = node->host->http;
	const char *peer = http->peer_name(request), *path = http->path(request);

	if (peer == NULL || (strcmp(peer, "system:ambient:apiserver") != 0 &&
			     strcmp(peer, "kube-apiserver-kubelet-client") != 0))
		server_refuse(node, request, 403, "only the API server may ask here\n");
	else if (strncmp(path, "/exec/", 6) == 0 || strncmp(path, "/attach/", 8) == 0)
		exec_handle(node, request);
	else if (strcmp(http->method(request), "GET") == 0 && strncmp(path, "/containerLogs/", 15) == 0)
		logs_handle(node, request);
	else
		server_refuse(node, request, 404, "not found\n");
}

int
server_start(struct node *node, struct ambient_error *err)
{
	const struct ambient_host *host = node->host;
	struct ambient_http_listen options = {
		.size = sizeof(options), .address = "127.0.0.1", .port = node->port, .threads = THREADS, .self_signed = 1,
		.client_ca_pem = host->fact != NULL ? host->fact(host, "cluster-ca") : NULL,
	};
	int rc;

	if (!AMBIENT_HAS(host->http, listen))
		return 0;
	rc = host->http->listen(host, &options, handle, node, &node->server, err);
	if (rc == 0)
		node->port = host->http->port(node->server);
	return rc;
}

void
server_stop(struct node *node)
{
	if (node->server != NULL)
		node->host->http->close(node->server);
	node->server = NULL;
}
