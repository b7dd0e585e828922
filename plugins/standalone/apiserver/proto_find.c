/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the table of proto_table.c: a message by its name or kind, its fields one by one or by name. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/str.h"
#include "core/base/util.h"
#include "plugins/standalone/apiserver/proto.h"

static int
by_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct rest_proto_message *)row)->name);
}

const struct rest_proto_message *
rest_proto_find(const char *name)
{
	return bsearch(name, rest_proto_messages, rest_proto_message_count, sizeof(*rest_proto_messages), by_name);
}

const struct rest_proto_message *
rest_proto_of_kind(const char *api_version, const char *kind)
{
	static const struct {
		const char *version, *package;
	} packages[] = {
		{ "v1", "c" },
		{ "batch/v1", "b" },
		{ "coordination.k8s.io/v1", "co" },
		{ "events.k8s.io/v1", "e" },
		{ "rbac.authorization.k8s.io/v1", "r" },
		{ "authentication.k8s.io/v1", "an" },
		{ "authorization.k8s.io/v1", "az" },
		{ "networking.k8s.io/v1", "n" },
		{ "autoscaling/v1", "as" },
		{ "apiextensions.k8s.io/v1", "x" },
	};
	char name[96];

	if (strcmp(kind, "DeleteOptions") == 0)
		return rest_proto_find("m.DeleteOptions");
	for (size_t i = 0; i < AM_COUNTOF(packages); i++)
		if (strcmp(packages[i].version, api_version) == 0 && strlen(kind) < 80) {
			(void)snprintf(name, sizeof(name), "%s.%s", packages[i].package, kind);
			return rest_proto_find(name);
		}
	return NULL;
}

bool
rest_proto_next(const char **at, struct rest_proto_field *f)
{
	const char *p = *at;
	size_t n;

	while (*p == ' ')
		p++;
	if (*p == '\0')
		return false;
	memset(f, 0, sizeof(*f));
	f->number = (unsigned)strtoul(p, NULL, 10);
	p = strchr(p, '=') + 1;
	n = strcspn(p, ":!");
	am_strlcpy(f->json, p, AM_MIN(n + 1, sizeof(f->json)));
	f->in_line = strcmp(f->json, "<inline>") == 0;
	p += n;
	if (*p == '!') {
		f->always = true;
		p++;
	}
	p++;
	n = strcspn(p, " ");
	*at = p + n;
	for (; n > 0 && strchr("*[({", *p) != NULL; p++, n--) {
		f->pointer |= *p == '*';
		f->map |= *p == '{';
		f->wrapped_list |= *p == '(';
		f->repeated |= *p == '[' && !f->wrapped_list;
	}
	while (n > 0 && strchr("])}", p[n - 1]) != NULL)
		n--;
	am_strlcpy(f->type, p, AM_MIN(n + 1, sizeof(f->type)));
	return true;
}

static bool
is_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-$");

	return n > 0 && n < 64 && name[n] == '\0';
}

static bool
find_here(const char *fields, const char *name, size_t n, struct rest_proto_field *field)
{
	for (const char *p = fields; (p = strstr(p, name)) != NULL; p += n) {
		const char *start = p - 1;
		if (p == fields || *start != '=' || strchr(":!", p[n]) == NULL)
			continue;
		while (start > fields && start[-1] != ' ')
			start--;
		return rest_proto_next(&start, field);
	}
	return false;
}

bool
rest_proto_field_of(const struct rest_proto_message *message, const char *name, const struct rest_proto_message **owner,
		    struct rest_proto_field *field)
{
	size_t n = strlen(name);

	*owner = message;
	if (message == NULL || !is_name(name))
		return false;
	if (find_here(message->fields, name, n, field))
		return true;
	if (strstr(message->fields, "<inline>") == NULL)
		return false;
	for (const char *at = message->fields; rest_proto_next(&at, field);)
		if (field->in_line && rest_proto_field_of(rest_proto_find(field->type), name, owner, field))
			return true;
	return false;
}
