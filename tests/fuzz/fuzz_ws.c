/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket frames: whatever the bytes behind a handshake are, each message that comes of them is bounded, text is
 * UTF-8, and the connection ends when they do.  Each message is then read as one of exec and attach.  The first byte
 * chooses the protocol and whether messages are sent back.
 */
#include <signal.h>
#include <stdlib.h>

#include "core/base/util.h"
#include "core/http/http.h"
#include "plugins/standalone/node/node.h"
#include "tests/lib/fake_host.h"
#include "tests/lib/fake_mhd.h"

#define HEAD                                                                                                           \
	"GET /ws HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"              \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: "

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ambient_host *host;
static struct am_clock *the_clock;
static uint8_t how;

static void
as_channel_message(const struct am_ws_message *m, bool v5)
{
	struct channel_message c;

	if (!channel_parse(host, v5, m->data, m->len, &c))
		return;
	if (c.kind == CHANNEL_INPUT)
		am_assert(c.len > 0 && c.data == m->data + 1 && c.len == m->len - 1);
	am_assert(c.kind != CHANNEL_END || v5);
}

static void
talk(void *arg am_unused_, struct am_ws *ws)
{
	struct am_ws_message m;

	am_assert(ws != NULL);
	bool v5 = strcmp(am_ws_protocol(ws), "v5.channel.k8s.io") == 0;
	am_assert(v5 == ((how & 1) == 0));
	while (am_ws_wait(ws, NULL, 0, -1, true, &m) == 1) {
		am_assert(m.len <= AM_WS_MESSAGE_MAX && m.data[m.len] == '\0');
		am_assert(!m.text || am_utf8_valid(m.data, m.len));
		as_channel_message(&m, v5);
		if ((how & 2) != 0)
			(void)am_ws_send(ws, m.text, "e", 1, m.data, m.len);
	}
}

static void
handle(void *self am_unused_, struct am_http_request *request)
{
	static const char *const protocols[] = {"v5.channel.k8s.io", "v4.channel.k8s.io", NULL};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_assert(am_ws_accept(request, protocols, talk, NULL, &err) == 0);
}

static void
start(void)
{
	static struct am_httpd *httpd;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	the_clock = am_clock_fake_new();
	host = fake_host_table(fake_host_new(NULL));
	am_assert(am_httpd_start(&(struct am_httpd_options){ .threads = 1, .clock = the_clock, .handler = handle }, &httpd,
				 &err) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fake_mhd_answer answer;
	struct am_buf frames = { 0 };

	if (size < 1)
		return 0;
	if (the_clock == NULL)
		start();
	how = data[0];
	am_buf_add(&frames, data + 1, size - 1);
	const char *head = (how & 1) == 0 ? HEAD "v5.channel.k8s.io\n\n" : HEAD "v4.channel.k8s.io\n\n";
	const struct fake_mhd_request request = { .bytes = head, .n = strlen(head), .early = &frames, .clock = the_clock };

	fake_mhd_serve(&request, &answer);
	am_assert(answer.request && answer.status == 0);
	am_buf_fini(&answer.body);
	am_buf_fini(&frames);
	return 0;
}
