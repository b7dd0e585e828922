/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images: whether one is well formed, what a short one means, and what of the configuration it matches.
 * Programs of this machine (images) win over podman.
 */
#include "node.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#define NAME_MAX_BYTES 255
#define TAG_MAX_BYTES  128
#define MALFORMED      "invalid reference format"

const struct image *
image_find(const struct node *node, const char *name)
{
	for (size_t i = 0; i < node->image_count; i++)
		if (fnmatch(node->images[i]->match, name, 0) == 0)
			return node->images[i];
	return NULL;
}

const struct podman *
image_podman(const struct node *node, const char *name)
{
	for (size_t i = 0; i < node->podman_count; i++)
		if (fnmatch(node->podmen[i]->match, name, 0) == 0)
			return node->podmen[i];
	return NULL;
}

/* The first part is a host when it looks like one; else the name is one of Docker Hub's. */
static size_t
host_length(const char *name, size_t n)
{
	const char *slash = memchr(name, '/', n);
	size_t host = slash != NULL ? (size_t)(slash - name) : 0;
	bool dotted = false;

	for (size_t i = 0; i < host; i++)
		dotted = dotted || name[i] == '.' || name[i] == ':' || isupper((unsigned char)name[i]);
	return dotted || (host == strlen("localhost") && strncmp(name, "localhost", host) == 0) ? host : 0;
}

static bool
host_ok(const char *p, size_t n)
{
	size_t port = 0, end = n;

	while (end > 0 && isdigit((unsigned char)p[end - 1]))
		end--;
	if (end > 0 && p[end - 1] == ':' && end < n)
		port = n - end + 1;
	for (size_t i = 0; i < n - port; i++) {
		bool edge = i == 0 || i + 1 == n - port || p[i - 1] == '.' || p[i + 1] == '.';

		if (!isalnum((unsigned char)p[i]) && (edge || (p[i] != '-' && p[i] != '.')))
			return false;
	}
	return n > port;
}

/* Small letters and digits, with ".", "_", "__" or any number of "-" between them. */
static bool
part_ok(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t word = 0, mark;

		while (i + word < n && (islower((unsigned char)p[i + word]) || isdigit((unsigned char)p[i + word])))
			word++;
		i += word;
		if (word == 0)
			return false;
		if (i == n)
			return true;
		mark = p[i] == '.' ? 1 : p[i] == '_' ? 1 + (i + 1 < n && p[i + 1] == '_') : 0;
		while (mark == 0 && i < n && p[i] == '-')
			i++;
		i += mark;
	}
	return false;
}

static bool
path_ok(const char *p, size_t n)
{
	for (;;) {
		const char *slash = memchr(p, '/', n);
		size_t len = slash != NULL ? (size_t)(slash - p) : n;

		if (!part_ok(p, len))
			return false;
		if (slash == NULL)
			return true;
		p += len + 1;
		n -= len + 1;
	}
}

static bool
tag_ok(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && p[i] != '_' && (i == 0 || (p[i] != '.' && p[i] != '-')))
			return false;
	return n > 0 && n <= TAG_MAX_BYTES;
}

/* algorithm:hex, of the two algorithms that registries have. */
static bool
digest_ok(const char *p)
{
	size_t want = strncmp(p, "sha256:", 7) == 0 ? 64 : strncmp(p, "sha512:", 7) == 0 ? 128 : 0;

	return want > 0 && strlen(p + 7) == want && strspn(p + 7, "0123456789abcdef") == want;
}

/* Where the name ends and the tag or the digest begins. */
static size_t
name_length(const char *image)
{
	const char *at = strchr(image, '@');
	size_t n = at != NULL ? (size_t)(at - image) : strlen(image);

	for (size_t i = n; i > 0 && image[i - 1] != '/'; i--)
		if (image[i - 1] == ':')
			return i - 1;
	return n;
}

const char *
image_problem(const char *image)
{
	size_t n = name_length(image), host = host_length(image, n), skip = host > 0 ? host + 1 : 0;
	const char *at = strchr(image, '@');
	size_t end = at != NULL ? (size_t)(at - image) : strlen(image);

	if ((host > 0 && !host_ok(image, host)) || n > NAME_MAX_BYTES)
		return n > NAME_MAX_BYTES ? "repository name must not be more than 255 characters" : MALFORMED;
	for (size_t i = skip; i < n; i++)
		if (isupper((unsigned char)image[i]))
			return "invalid reference format: repository name must be lowercase";
	if (!path_ok(image + skip, n - skip) || (end > n && !tag_ok(image + n + 1, end - n - 1)) ||
	    (at != NULL && !digest_ok(at + 1)))
		return MALFORMED;
	/* It would be an id, which names no image elsewhere. */
	if (skip == 0 && n == 64 && strspn(image, "0123456789abcdef") == 64)
		return "invalid repository name, cannot specify 64-byte hexadecimal strings";
	return NULL;
}

void
image_normalize(const char *image, struct text *out)
{
	size_t n = name_length(image);
	bool host = host_length(image, n) > 0, path = memchr(image, '/', n) != NULL;

	text_puts(out, host ? "" : path ? "docker.io/" : "docker.io/library/");
	text_puts(out, image);
	if (image[n] == '\0')
		text_puts(out, ":latest");
}

size_t
image_repository(const char *image)
{
	return name_length(image);
}
