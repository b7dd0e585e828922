/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kinds and the paths that they live under.  A path is built only here, so that a name with a slash, a
 * question mark or dots in it can never reach another resource.
 */
#include "core/kube/kube.h"

/* A DNS-like word: lower case, digits, and in between dots (when allowed) and dashes. */
static bool
word_ok(const char *s, size_t n, size_t size, bool dots)
{
	if (n == 0 || n >= size || s[0] == '-' || s[0] == '.' || s[n - 1] == '-' || s[n - 1] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-')
			continue;
		if (!dots || s[i] != '.' || s[i + 1] == '.')
			return false;
	}
	return true;
}

int
am_gvr_parse(const char *kind, struct am_gvr *ret, struct ambient_error *err)
{
	const char *first = kind != NULL ? strchr(kind, '/') : NULL;
	const char *second = first != NULL ? strchr(first + 1, '/') : NULL;

	memset(ret, 0, sizeof(*ret));
	if (first != NULL) {
		const char *version = second != NULL ? first + 1 : kind;
		const char *plural = second != NULL ? second + 1 : first + 1;
		size_t group_len = second != NULL ? (size_t)(first - kind) : 0;
		size_t version_len = (size_t)(plural - 1 - version);
		size_t plural_len = strlen(plural);

		if ((second == NULL || word_ok(kind, group_len, sizeof(ret->group), true)) &&
		    word_ok(version, version_len, sizeof(ret->version), false) &&
		    word_ok(plural, plural_len, sizeof(ret->plural), false)) {
			memcpy(ret->group, kind, group_len);
			memcpy(ret->version, version, version_len);
			memcpy(ret->plural, plural, plural_len);
			return 0;
		}
	}
	return ambient_err(err, AMBIENT_E_INVALID, "\"%.160s\" is no kind; write \"v1/pods\" or \"group/version/plural\"",
			   kind != NULL ? kind : "");
}

void
am_url_escape(struct am_buf *out, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		    c == '_' || c == '~') {
			am_buf_addc(out, (char)c);
			continue;
		}
		am_buf_addc(out, '%');
		am_buf_addc(out, hex[c >> 4]);
		am_buf_addc(out, hex[c & 15]);
	}
}

/* One segment.  "." and ".." would be taken as directions by whoever cleans the path on its way. */
static void
add_segment(struct am_buf *out, const char *s)
{
	am_buf_addc(out, '/');
	if (strcmp(s, ".") == 0)
		am_buf_adds(out, "%2E");
	else if (strcmp(s, "..") == 0)
		am_buf_adds(out, "%2E%2E");
	else
		am_url_escape(out, s);
}

void
am_kube_path(struct am_buf *out, const struct am_gvr *gvr, const char *ns, const char *name, const char *sub)
{
	if (gvr->group[0] == '\0') {
		am_buf_adds(out, "/api");
	} else {
		am_buf_adds(out, "/apis");
		add_segment(out, gvr->group);
	}
	add_segment(out, gvr->version);
	if (!am_empty(ns)) {
		am_buf_adds(out, "/namespaces");
		add_segment(out, ns);
	}
	add_segment(out, gvr->plural);
	if (!am_empty(name))
		add_segment(out, name);
	if (!am_empty(name) && !am_empty(sub))
		add_segment(out, sub);
}
