/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's HTTP table as far as the tests of the node's server share it.  The test defines struct ambient_http_request
 * first, with path and query: names and values in turn, ended by NULL.
 */
#ifndef TESTS_UNIT_NODE_HTTP_H
#define TESTS_UNIT_NODE_HTTP_H

static ambient_http_handler_f *handler;
static void *handler_self;

static void
http_take(ambient_http_handler_f *fn, void *self, struct ambient_http_listener **ret)
{
	handler = fn;
	handler_self = self;
	*ret = (struct ambient_http_listener *)(void *)&handler;
}

static uint16_t
http_port(const struct ambient_http_listener *listener)
{
	return 10250;
}

static void
http_close(struct ambient_http_listener *listener)
{
	handler = NULL;
}

static const char *
http_method(const struct ambient_http_request *r)
{
	return "GET";
}

static const char *
http_path(const struct ambient_http_request *r)
{
	return r->path;
}

static const char *
http_query(const struct ambient_http_request *r, const char *name)
{
	for (int i = 0; r->query[i] != NULL; i += 2)
		if (strcmp(r->query[i], name) == 0)
			return r->query[i + 1];
	return NULL;
}

#endif
