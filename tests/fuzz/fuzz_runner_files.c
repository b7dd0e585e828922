/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a session that has ended, as anybody with a key may ask for them: the first line of the input is what follows "/v1/" of
 * the target, the second one the header Range.  In the workspace are two files, a folder, and links to what is outside.
 *
 * What is outside is never sent; an answer with bytes has those of the range, or, where it is no range that is understood, all;
 * every refusal is JSON with a reason, and none is the server's failure.
 */
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/endpoint_priv.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/scan.h"
#include "tests/lib/fake_mhd.h"

#define SECRET  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OUTSIDE "what is outside"
#define SIZE    5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct am_endpoint *endpoint;
static struct am_clock *fake;
static char dir[64], text[SIZE + 1];

static void
put(const char *name, const char *p, size_t n)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, name);

	am_assert(am_file_write(path, p, n, 0600, NULL) == 0);
}

static void
put_link(const char *to, const char *name)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/workspace/%s", dir, name);

	am_assert(symlink(to, path) == 0);
}

static void
make_tree(void)
{
	static const char *const dirs[] = {"workspace/src/deep", ".ambient/large"};

	(void)snprintf(dir, sizeof(dir), "%s/ambient-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	am_assert(mkdtemp(dir) != NULL);
	for (size_t i = 0; i < AM_COUNTOF(dirs); i++) {
		am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, dirs[i]);

		am_assert(am_mkdirs(path, 0700, NULL) == 0);
	}
	/* Five bytes say where they are. */
	for (size_t i = 0; i < SIZE; i += 5)
		(void)snprintf(text + i, 6, "%04zu\n", i / 5);
	put("workspace/src/main.c", text, SIZE);
	put("workspace/empty", "", 0);
	put(".ambient/large/7.json", text, SIZE);
	put(".ambient/secret", OUTSIDE, sizeof(OUTSIDE) - 1);
	put_link("../.ambient/secret", "link");
	put_link("../.ambient", "folder");
	put_link("main.c", "src/also");
}

static void
end(void)
{
	am_endpoint_free(endpoint);
	am_clock_fake_free(fake);
	(void)am_remove_tree(dir, NULL);
}

static void
begin(void)
{
	const struct am_endpoint_options options = {.address = "127.0.0.1:0", .dir = dir, .run = "", .content = true};
	am_auto(am_buf_fini) struct am_buf session = {0};
	unsigned char digest[32];
	char hash[65], until[32];

	make_tree();
	fake = am_clock_fake_new();
	am_assert(am_endpoint_start(&options, &endpoint, NULL) == 0);
	am_sha256(SECRET, strlen(SECRET), digest);
	am_hex(hash, digest, sizeof(digest));
	am_time_format(until, am_clock_wall(am_clock_real()) + 23 * 3600 * AM_NS_PER_S, false);
	am_auto(am_freep) char *value = am_xasprintf("%s %s", hash, until);
	am_json_addf(&session, "{\"metadata\":{\"annotations\":{\"access.ambient-code.io/me\":%s}}}", value);
	am_endpoint_session(endpoint, am_slice(am_buf_str(&session), session.len));
	(void)atexit(end);
}

/* What RFC 9110 makes of one range of that many bytes: 206 and where, 416, or 200 and all. */
static unsigned
expect(const char *range, size_t size, size_t *from, size_t *to)
{
	static const char digits[] = "0123456789";
	const char *p = range != NULL && am_starts(range, "bytes=") ? range + 6 : "";
	size_t a = strspn(p, digits), b = p[a] == '-' ? strspn(p + a + 1, digits) : 0;

	*from = 0;
	*to = size;
	if (p[a] != '-' || p[a + 1 + b] != '\0' || a + b == 0 || a > 18 || b > 18)
		return 200;
	size_t first = strtoul(p, NULL, 10), last = strtoul(p + a + 1, NULL, 10);
	if (a > 0 && b > 0 && last < first)
		return 200;
	if (a == 0) {
		*from = last < size ? size - last : 0;
	} else {
		*from = first;
		*to = b > 0 && last < size ? last + 1 : size;
	}
	return *from < *to ? 206 : 416;
}

static void
check_file(const struct fake_mhd_answer *answer, const char *range)
{
	bool empty = answer->status == 200 && answer->body.len == 0;
	size_t from, to;
	unsigned status = expect(range, empty ? 0 : SIZE, &from, &to);

	am_assert(answer->status == status && answer->body.len == to - from);
	am_assert(memcmp(am_buf_str(&answer->body), text + from, to - from) == 0);
}

static void
check(const struct fake_mhd_answer *answer, const char *range)
{
	static const unsigned statuses[] = {200, 206, 400, 403, 404, 405, 416};
	struct am_slice body = am_slice(am_buf_str(&answer->body), answer->body.len);
	bool known = !answer->request;

	for (size_t i = 0; i < AM_COUNTOF(statuses); i++)
		known = known || answer->status == statuses[i];
	am_assert(known && memmem(body.p, body.n, OUTSIDE, sizeof(OUTSIDE) - 1) == NULL);
	if (answer->status >= 400) {
		am_assert(am_json_check(body.p, body.n, NULL) == 0);
		am_auto(am_freep) char *reason = am_json_dup(body, "/reason");
		am_assert(!am_empty(reason));
		return;
	}
	if (answer->status == 200 && am_json_check(body.p, body.n, NULL) == 0 && am_json_type(body) == AMBIENT_T_OBJECT)
		return; /* a folder */
	if (answer->request)
		check_file(answer, range);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	am_auto(am_freep) char *input = am_xstrndup((const char *)data, size);
	am_auto(am_buf_fini) struct am_buf request = {0};
	struct fake_mhd_answer answer;
	char *range = strchr(input, '\n');

	if (endpoint == NULL)
		begin();
	if (!am_starts(input, "files") && !am_starts(input, "large"))
		return 0;
	if (range != NULL) {
		*range++ = '\0';
		range[strcspn(range, "\r\n")] = '\0';
		range += strspn(range, " \t");
	}
	if (input[strcspn(input, " \r")] != '\0')
		return 0;
	am_buf_addf(&request, "GET /v1/%s HTTP/1.1\nHost: x\nX-Ambient-Key: " SECRET "\n", input);
	if (range != NULL)
		am_buf_addf(&request, "Range: %s\n", range);
	am_buf_addc(&request, '\n');
	const struct fake_mhd_request q = {.bytes = am_buf_str(&request), .n = request.len, .clock = fake};
	fake_mhd_serve(&q, &answer);
	check(&answer, range);
	am_buf_fini(&answer.body);
	return 0;
}
