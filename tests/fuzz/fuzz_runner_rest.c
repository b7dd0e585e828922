/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody's REST API may answer, from its bytes on: libcurl's reading of it, and what rest.c keeps.  The answers of one
 * input are separated by lines "~~~"; each connection gets the next one, and then the end of the stream.  A body that is kept is
 * JSON and bounded, what a success says that is none is an error, and a request that makes something goes out once where it may
 * have been heard.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/ambient-runner/rest.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define MARK "~~~\n"
#define ANSWER_MAX ((size_t)96 << 10) /* what a socket takes at once */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct am_slice answers;
static int connections, peer = -1;
static int32_t cancelled;

static struct am_slice
next_answer(void)
{
	const char *mark = answers.n > 0 ? memmem(answers.p, answers.n, MARK, sizeof(MARK) - 1) : NULL;
	struct am_slice ret = am_slice(answers.p, mark != NULL ? (size_t)(mark - answers.p) : answers.n);

	answers = mark != NULL ? am_slice(mark + sizeof(MARK) - 1, answers.n - ret.n - (sizeof(MARK) - 1)) : am_slice("", 0);
	return ret;
}

/* A server that has said everything before it is asked. */
int
connect(int fd, const struct sockaddr *address am_unused_, socklen_t len am_unused_)
{
	struct am_slice answer = next_answer();
	int fds[2];

	am_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	am_assert(send(fds[1], answer.p, AM_MIN(answer.n, ANSWER_MAX), MSG_NOSIGNAL) >= 0);
	am_assert(shutdown(fds[1], SHUT_WR) == 0 && dup3(fds[0], fd, O_CLOEXEC) == fd);
	(void)close(fds[0]);
	if (peer >= 0)
		(void)close(peer);
	peer = fds[1];
	connections++;
	return 0;
}

/* Nobody waits for what a server wishes. */
int
usleep(useconds_t us am_unused_)
{
	cancelled = 1;
	return 0;
}

static void
check_answer(const struct am_rest_answer *answer, int rc)
{
	struct am_slice body = am_slice(am_buf_str(&answer->body), answer->body.len);

	am_assert(answer->location[strcspn(answer->location, "/?#\r\n ")] == '\0');
	if (rc < 0)
		return;
	am_assert(answer->status >= 200 && answer->status < 1000);
	am_assert(body.n == 0 || am_json_check(body.p, body.n, NULL) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const headers[] = {"Accept: application/json", NULL};
	bool once = size > 0 && (data[0] & 1) != 0;
	struct am_rest rest = {.method = once ? "POST" : "GET", .base = "http://127.0.0.1:1", .path = "/api", .body = once ? "{}" : NULL,
			       .authorization = "Bearer a-token", .headers = headers, .direct = true, .once = once, .retry_ns = 1,
			       .cancelled = &cancelled};
	struct am_rest_answer answer = {0};

	if (size < 1)
		return 0;
	answers = am_slice((const char *)data + 1, size - 1);
	/* What says that nothing was done. */
	bool again = memmem(answers.p, answers.n, "403", 3) != NULL || memmem(answers.p, answers.n, "429", 3) != NULL ||
		     memmem(answers.p, answers.n, "503", 3) != NULL;
	connections = 0;
	cancelled = 0;
	int rc = am_rest_do(&rest, &answer, NULL);
	check_answer(&answer, rc);
	am_assert(connections <= (once && !again ? 1 : 3));
	am_rest_answer_fini(&answer);
	if (peer >= 0)
		(void)close(peer);
	peer = -1;
	return 0;
}
