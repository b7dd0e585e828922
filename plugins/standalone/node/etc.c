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
	if (out->len > 0 && out->p[out->len - 1] != '\n')
		text_puts(out, "\n");
	text_fini(&text);
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

/* A word behind the others, parted by blanks, unless it is there. */
static void
add_unique(struct text *list, const char *word, size_t n)
{
	for (const char *p = text_str(list); *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
		if (strcspn(p, " ") == n && strncmp(p, word, n) == 0)
			return;
	text_puts(list, list->len > 0 ? " " : "");
	text_put(list, word, n);
}

/* An option's name ends at the colon; the pod's own are there before the machine's. */
static bool
has_option(const struct text *list, const char *word, size_t n)
{
	size_t name = strcspn(word, ":");

	name = name < n ? name : n;
	for (const char *p = text_str(list); *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
		if (strcspn(p, ": ") == name && strncmp(p, word, name) == 0)
			return true;
	return false;
}

struct resolver { struct text servers, searches, options; };

/* What the machine's file says.  The last of several "search" holds, as resolvers read it. */
static void
read_resolver(struct resolver *r)
{
	struct text file = { 0 };

	if (file_read("/etc/resolv.conf", 1 << 20, &file) == 0)
		for (char *save = NULL, *line = strtok_r(file.p, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
			char *rest = NULL, *key = strtok_r(line, " \t", &rest);
			bool search = key != NULL && (strcmp(key, "search") == 0 || strcmp(key, "domain") == 0);
			bool server = key != NULL && strcmp(key, "nameserver") == 0;

			if (!search && !server && (key == NULL || strcmp(key, "options") != 0))
				continue;
			if (search)
				text_fini(&r->searches);
			for (char *word = strtok_r(NULL, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest))
				if (search || server)
					add_unique(search ? &r->searches : &r->servers, word, strlen(word));
				else if (!has_option(&r->options, word, strlen(word)))
					add_unique(&r->options, word, strlen(word));
		}
	text_fini(&file);
}

/* The machine's, unless the policy is None, and the pod's as kubelet joins them. */
static void
add_resolver(struct text *out, const struct ambient_object *pod)
{
	const struct ambient_object *config = ambient_at(pod, "/spec/dnsConfig");
	struct resolver r = { 0 };

	for (size_t i = 0; i < ambient_len(config, "/options"); i++) {
		const struct ambient_object *o = ambient_item(config, "/options", i, NULL);
		const char *value = ambient_str(o, "/value", NULL);
		struct text word = { 0 };

		text_printf(&word, "%s%s%s", ambient_str(o, "/name", ""), value != NULL ? ":" : "", value != NULL ? value : "");
		add_unique(&r.options, text_str(&word), word.len);
		text_fini(&word);
	}
	if (strcmp(ambient_str(pod, "/spec/dnsPolicy", ""), "None") != 0)
		read_resolver(&r);
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < ambient_len(config, k == 0 ? "/nameservers" : "/searches"); i++) {
			const char *word = ambient_str(ambient_item(config, k == 0 ? "/nameservers" : "/searches", i, NULL), "", "");

			add_unique(k == 0 ? &r.servers : &r.searches, word, strlen(word));
		}
	for (const char *p = text_str(&r.servers); *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
		text_printf(out, "nameserver %.*s\n", (int)strcspn(p, " "), p);
	if (r.searches.len > 0)
		text_printf(out, "search %s\n", text_str(&r.searches));
	if (r.options.len > 0)
		text_printf(out, "options %s\n", text_str(&r.options));
	out->failed = out->failed || r.servers.failed || r.searches.failed || r.options.failed;
	text_fini(&r.servers);
	text_fini(&r.searches);
	text_fini(&r.options);
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
	text_fini(&text);
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
