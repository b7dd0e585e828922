/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod finds in /etc/hosts and /etc/resolv.conf: the machine's, and what the pod says of itself. */
#include "node.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void
add_file(struct text *out, const char *path)
{
	struct text text = { 0 };

	if (file_read(path, 1 << 20, &text) == 0)
		text_puts(out, text_str(&text));
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		text_puts(out, "\n");
	text_free(&text);
}

static void
add_hosts(struct text *out, const struct ambient_object *pod, const struct local *local)
{
	const char *host = ambient_str(pod, "/spec/hostname", local->name), *sub = ambient_str(pod, "/spec/subdomain", "");

	add_file(out, "/etc/hosts");
	text_printf(out, "# The pod\n%s\t", local->ip);
	if (sub[0] != '\0')
		text_printf(out, "%s.%s.%s.svc.cluster.local\t", host, sub, local->ns);
	text_printf(out, "%s\n", host);
	for (size_t i = 0; i < ambient_len(pod, "/spec/hostAliases"); i++) {
		const struct ambient_object *alias = container_at(pod, "/spec/hostAliases", i);

		text_puts(out, ambient_str(alias, "/ip", ""));
		for (size_t k = 0; k < ambient_len(alias, "/hostnames"); k++)
			text_printf(out, "\t%s", ambient_str(ambient_item(alias, "/hostnames", k, NULL), "", ""));
		text_puts(out, "\n");
	}
}

static void
add_resolver(struct text *out, const struct ambient_object *pod)
{
	if (strcmp(ambient_str(pod, "/spec/dnsPolicy", ""), "None") != 0)
		add_file(out, "/etc/resolv.conf");
	for (size_t i = 0; i < ambient_len(pod, "/spec/dnsConfig/nameservers"); i++)
		text_printf(out, "nameserver %s\n", ambient_str(container_at(pod, "/spec/dnsConfig/nameservers", i), "", ""));
	for (size_t i = 0; i < ambient_len(pod, "/spec/dnsConfig/searches"); i++)
		text_printf(out, "%s%s%s", i == 0 ? "search " : " ",
			    ambient_str(container_at(pod, "/spec/dnsConfig/searches", i), "", ""),
			    i + 1 == ambient_len(pod, "/spec/dnsConfig/searches") ? "\n" : "");
	for (size_t i = 0; i < ambient_len(pod, "/spec/dnsConfig/options"); i++) {
		const struct ambient_object *o = container_at(pod, "/spec/dnsConfig/options", i);
		const char *value = ambient_str(o, "/value", NULL);

		text_printf(out, "options %s%s%s\n", ambient_str(o, "/name", ""), value != NULL ? ":" : "", value != NULL ? value : "");
	}
}

int
etc_prepare(const struct node *node, const struct ambient_object *pod, const struct local *local)
{
	struct text text = { 0 };
	char path[PATH_MAX];
	int rc;

	if (node->no_sandbox)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/etc", local->dir);
	rc = make_dirs(path);
	(void)snprintf(path, sizeof(path), "%s/etc/hosts", local->dir);
	add_hosts(&text, pod, local);
	if (rc == 0)
		rc = text.failed ? -ENOMEM : file_write(path, text_str(&text), text.len, 0644);
	text.len = 0;
	if (rc == 0 && ambient_len(pod, "/spec/dnsConfig") > 0) {
		(void)snprintf(path, sizeof(path), "%s/etc/resolv.conf", local->dir);
		add_resolver(&text, pod);
		rc = text.failed ? -ENOMEM : file_write(path, text_str(&text), text.len, 0644);
	}
	text_free(&text);
	return rc;
}

/* Where the container mounts something of its own, that holds. */
void
etc_mounts(const struct node *node, const struct ambient_object *pod, const struct local *local,
	   const struct ambient_object *container, struct text *out)
{
	static const char *const files[] = { "hosts", "resolv.conf" };

	for (size_t i = 0; i < 2 && !node->no_sandbox; i++) {
		char path[PATH_MAX], target[32];
		bool own = i == 1 && ambient_len(pod, "/spec/dnsConfig") == 0;

		(void)snprintf(target, sizeof(target), "/etc/%s", files[i]);
		for (size_t k = 0; k < ambient_len(container, "/volumeMounts"); k++) {
			const char *at = ambient_str(ambient_item(container, "/volumeMounts", k, NULL), "/mountPath", "");

			own = own || strcmp(at, target) == 0 || strcmp(at, "/etc") == 0;
		}
		if (own)
			continue;
		(void)snprintf(path, sizeof(path), "%s/etc/%s", local->dir, files[i]);
		text_puts(out, out->len > 0 ? ",{\"source\":" : "{\"source\":");
		text_json(out, path);
		text_printf(out, ",\"target\":\"%s\",\"readOnly\":true}", target);
	}
}
