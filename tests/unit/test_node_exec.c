/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's side of exec and attach: the messages of a session, byte by byte, and what is refused before there is one.
 * The shim is a socket that greets as one of any release.
 */
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/node.h"

/* ---- channel.c */

struct said { const char *bytes; size_t len; };
#define SAID(s) { s, sizeof(s) - 1 }

START_TEST(messages_that_a_client_sends)
{
	static const struct {
		struct said in;
		bool v5, good;
		int kind;
		const char *data;
		int width, height;
	} rows[] = {
		{ SAID(""), true, true, CHANNEL_NOTHING, NULL, 0, 0 },
		{ SAID("\0"), true, true, CHANNEL_NOTHING, NULL, 0, 0 },
		{ SAID("\0abc"), true, true, CHANNEL_INPUT, "abc", 0, 0 },
		{ SAID("\0\0\xff\n"), false, true, CHANNEL_INPUT, "\0\xff\n", 0, 0 },
		{ SAID("\x04"), true, true, CHANNEL_NOTHING, NULL, 0, 0 },
		{ SAID("\x04{\"Width\":80,\"Height\":24}"), true, true, CHANNEL_SIZE, NULL, 80, 24 },
		{ SAID("\x04{\"Height\":65535,\"Width\":0,\"other\":[1]}"), false, true, CHANNEL_SIZE, NULL, 0, 65535 },
		{ SAID("\x04{}"), true, true, CHANNEL_SIZE, NULL, 0, 0 },
		{ SAID("\x04{\"Width\":65536,\"Height\":24}"), true, false, 0, NULL, 0, 0 },
		{ SAID("\x04{\"Width\":-1,\"Height\":24}"), true, false, 0, NULL, 0, 0 },
		{ SAID("\x04 80x24"), true, false, 0, NULL, 0, 0 },
		{ SAID("\xff\x00"), true, true, CHANNEL_END, NULL, 0, 0 },
		{ SAID("\xff\x04"), true, true, CHANNEL_NOTHING, NULL, 0, 0 },
		{ SAID("\xff\x05"), true, false, 0, NULL, 0, 0 },
		{ SAID("\xff"), true, false, 0, NULL, 0, 0 },
		{ SAID("\xff\0\0"), true, false, 0, NULL, 0, 0 },
		{ SAID("\xff\x00"), false, false, 0, NULL, 0, 0 }, /* v4 closes no channel */
		{ SAID("\x01x"), true, false, 0, NULL, 0, 0 },
		{ SAID("\x02x"), true, false, 0, NULL, 0, 0 },
		{ SAID("\x03{}"), true, false, 0, NULL, 0, 0 },
		{ SAID("\x05x"), true, false, 0, NULL, 0, 0 },
	};
	struct channel_message m;
	char large[600] = "\x04{\"Width\":1,\"Height\":1,\"x\":\"";

	begin("");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(channel_parse(fake_host_table(fake), rows[i].v5, rows[i].in.bytes, rows[i].in.len, &m) == rows[i].good, "%zu", i);
		if (!rows[i].good)
			continue;
		ck_assert_msg((int)m.kind == rows[i].kind, "%zu: %d", i, (int)m.kind);
		ck_assert_msg(m.width == rows[i].width && m.height == rows[i].height, "%zu: %u x %u", i, m.width, m.height);
		if (rows[i].data != NULL)
			ck_assert_msg(m.len == rows[i].in.len - 1 && memcmp(m.data, rows[i].data, m.len) == 0, "%zu", i);
	}
	/* A size is short, whatever else it says. */
	memset(large + strlen(large), 'x', 540);
	memcpy(large + 570, "\"}", 3);
	ck_assert(!channel_parse(fake_host_table(fake), true, large, strlen(large), &m));
	end();
}
END_TEST

static const char *
status_at(const struct text *text, const char *pointer)
{
	static char value[512];
	const struct ambient_object *o = NULL;

	ck_assert_msg(fake_host_table(fake)->object->parse(NULL, text_str(text), text->len, &o, NULL) == 0, "%s", text_str(text));
	snprintf(value, sizeof(value), "%s", ambient_str(o, pointer, "(none)"));
	ambient_unref((struct ambient_object *)(uintptr_t)o);
	return value;
}

START_TEST(statuses_that_end_a_session)
{
	struct text out = { 0 };

	begin("");
	channel_exited(&out, 0);
	ck_assert_str_eq(text_str(&out), "{\"metadata\":{},\"status\":\"Success\"}");
	text_fini(&out);
	channel_exited(&out, 137);
	ck_assert_str_eq(status_at(&out, "/status"), "Failure");
	ck_assert_str_eq(status_at(&out, "/reason"), "NonZeroExitCode");
	ck_assert_str_eq(status_at(&out, "/details/causes/0/reason"), "ExitCode");
	ck_assert_str_eq(status_at(&out, "/details/causes/0/message"), "137");
	ck_assert_str_eq(status_at(&out, "/message"), "command terminated with non-zero exit code: exit status 137");
	text_fini(&out);
	channel_failure(&out, "cannot start \"x\"\n\\\x01");
	ck_assert_str_eq(status_at(&out, "/reason"), "InternalError");
	ck_assert_str_eq(status_at(&out, "/message"), "cannot start \"x\"\n\\\x01");
	ck_assert_str_eq(status_at(&out, "/details/causes/0/message"), "cannot start \"x\"\n\\\x01");
	text_fini(&out);
	end();
}
END_TEST

/* ---- before there is a session */

struct ambient_http_request {
	const char *path, *upgrade, *query[12];
	int status, accepted;
	struct text body;
};

#include "tests/unit/node_http.h"

static ambient_websocket_f *session;
static void *session_self;

static int
http_listen(const struct ambient_host *host, const struct ambient_http_listen *options, ambient_http_handler_f *fn, void *self,
	    struct ambient_http_listener **ret, struct ambient_error *err)
{
	http_take(fn, self, ret);
	return 0;
}

static int
http_query_at(const struct ambient_http_request *r, size_t i, const char **name, const char **value)
{
	if (i >= 6 || r->query[2 * i] == NULL)
		return 0;
	*name = r->query[2 * i];
	*value = r->query[2 * i + 1];
	return 1;
}

static const char *
http_header(const struct ambient_http_request *r, const char *name)
{
	return strcasecmp(name, "Upgrade") == 0 ? r->upgrade : NULL;
}

static const char *
http_peer(const struct ambient_http_request *r)
{
	return "system:ambient:apiserver";
}

static int
http_begin(struct ambient_http_request *r, int status, const char *type)
{
	r->status = status;
	return 0;
}

static int
http_write(struct ambient_http_request *r, const char *data, size_t len)
{
	text_put(&r->body, data, len);
	return 0;
}

/* The session's thread has not come yet: it has its place. */
static int
http_accept(struct ambient_http_request *r, const char *const *protocols, ambient_websocket_f *fn, void *arg,
	    struct ambient_error *err)
{
	r->accepted = 1;
	session = fn;
	session_self = arg;
	return 0;
}

static const struct ambient_http_api http = {
	.size = sizeof(http), .listen = http_listen, .port = http_port, .close = http_close, .method = http_method, .path = http_path,
	.query = http_query, .query_at = http_query_at, .header = http_header, .peer_name = http_peer, .begin = http_begin,
	.write = http_write, .ws_accept = http_accept,
};

static int shim_fd, shim_lock;

/* A pod whose shim is of that protocol: its lock is held, its socket takes connections, which find the greeting there. */
static void
fake_shim(int protocol, int connections)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char path[512], dir[256], json[256];

	snprintf(dir, sizeof(dir), "%s/pods/0a0a0a0a-0000-4000-8000-000000000001", state_dir);
	ck_assert_int_eq(make_dirs(dir), 0);
	snprintf(json, sizeof(json), "{\"version\":1,\"namespace\":\"n\",\"name\":\"p\",\"uid\":\"0a0a0a0a-0000-4000-8000-000000000001\","
		 "\"accepted\":1,\"ip\":\"127.64.0.1\"}");
	snprintf(path, sizeof(path), "%s/pod.json", dir);
	ck_assert_int_eq(file_write(path, json, strlen(json), 0600), 0);
	snprintf(path, sizeof(path), "%s/shim.lock", dir);
	shim_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(flock(shim_lock, LOCK_EX), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.96s/sock", dir);
	shim_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(shim_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(shim_fd, 128), 0);
	if (fork() != 0)
		return;
	for (int i = 0; i < connections; i++) {
		int fd = accept(shim_fd, NULL, NULL);
		int n = snprintf(json, sizeof(json), "{\"shim\":%d,\"pid\":1}\n", protocol);

		(void)!write(fd, json, (size_t)n);
		n = (int)recv(fd, json, sizeof(json) - 1, protocol == 2 ? 0 : MSG_DONTWAIT);
		/* What one of protocol 2 says to a line of protocol 3. */
		if (n > 0 && protocol == 2)
			(void)!write(fd, "{\"ok\":false,\"error\":\"unknown op\"}\n", 34);
	}
	(void)pause();
	_exit(0);
}

static void
begin_with_http(void)
{
	/* The shim is there before the node. */
	begin("");
	fake_host_destroy(fake);
	fake_host_table(fake)->http = &http;
}

static struct ambient_http_request
ask(const char *path, const char *upgrade, const char *const *query)
{
	struct ambient_http_request r = { .path = path, .upgrade = upgrade };

	for (int i = 0; i < 11 && query[i] != NULL; i++)
		r.query[i] = query[i];
	handler(handler_self, &r);
	return r;
}
#define Q(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define EXEC   "/exec/n/p/c"
#define TRUE   Q("command", "true", "output", "1")

static void
refused(const char *path, const char *upgrade, const char *const *query, int status, const char *text)
{
	struct ambient_http_request r = ask(path, upgrade, query);

	ck_assert_msg(r.status == status && strstr(text_str(&r.body), text) != NULL, "%s: %d %s", path, r.status, text_str(&r.body));
	ck_assert_int_eq(r.accepted, 0);
	text_fini(&r.body);
}

/* A pod of an earlier release goes on, and says what it cannot do; a client of SPDY hears that as well. */
START_TEST(a_shim_of_protocol_1_has_no_exec)
{
	static const char said[] = "pod \"p\" was started by an earlier release, whose shim knows no exec and attach; start the pod anew";

	begin_with_http();
	fake_shim(1, 10);
	(void)fake_host_create(fake);
	refused(EXEC, "websocket", TRUE, 501, said);
	refused("/attach/n/p/c", "websocket", Q("output", "1"), 501, said);
	refused(EXEC, NULL, TRUE, 501, said);
	end();
}
END_TEST

START_TEST(what_is_refused_before_a_session)
{
	begin_with_http();
	fake_shim(3, 100);
	(void)fake_host_create(fake);
	refused("/exec/n/other/c", "websocket", TRUE, 404, "pod does not exist");
	refused(EXEC, "websocket", Q("output", "1"), 400, "at least 1 command word");
	refused(EXEC, "websocket", Q("command", "true"), 400, "at least 1 of stdin, stdout, stderr");
	/* SPDY, and no upgrade at all, by which the API server asks for who speaks SPDY: the checks, and nothing is started. */
	refused(EXEC, "SPDY/3.1", TRUE, 426, "this node speaks WebSocket (v5.channel.k8s.io, v4.channel.k8s.io), not SPDY");
	refused(EXEC, NULL, TRUE, 426, "not SPDY");
	refused("/exec/n/other/c", NULL, TRUE, 404, "pod does not exist");
	end();
}
END_TEST

START_TEST(sixty_four_sessions)
{
	void *all[65];

	begin_with_http();
	fake_shim(3, 200);
	(void)fake_host_create(fake);
	for (int i = 0; i < 64; i++) {
		struct ambient_http_request r = ask(EXEC, "websocket", TRUE);

		ck_assert_msg(r.accepted == 1, "%d: %d %s", i, r.status, text_str(&r.body));
		all[i] = session_self;
	}
	refused(EXEC, "websocket", TRUE, 429, "64 sessions of exec and attach are open on this node already; try again later");
	refused(EXEC, NULL, TRUE, 429, "64 sessions of exec and attach");
	/* One whose client went before its thread came gives its place back. */
	session(all[0], NULL);
	struct ambient_http_request r = ask(EXEC, "websocket", TRUE);
	ck_assert_int_eq(r.accepted, 1);
	all[64] = session_self;
	for (int i = 1; i < 65; i++)
		session(all[i], NULL);
	end();
}
END_TEST

/* A deadline that a shim of protocol 2 cannot take: said once, as an Event. */
START_TEST(a_shim_of_protocol_2_keeps_its_deadline)
{
	char path[256];

	begin_with_http();
	fake_shim(2, 10);
	snprintf(path, sizeof(path), "%s/pods/0a0a0a0a-0000-4000-8000-000000000001/state.jsonl", state_dir);
	static const char state[] = "{\"t\":\"2026-01-01T00:00:00Z\",\"rec\":\"shim\",\"version\":1,\"pid\":1}\n"
				    "{\"t\":\"2026-01-01T00:00:00Z\",\"rec\":\"running\",\"container\":\"c\",\"n\":0,\"pid\":1}\n";
	ck_assert_int_eq(file_write(path, state, sizeof(state) - 1, 0600), 0);
	(void)fake_host_create(fake);
	fake_host_put(fake, POD, "{'metadata':{'name':'p','namespace':'n','uid':'0a0a0a0a-0000-4000-8000-000000000001'},'spec':{"
		      "'nodeName':'standalone','restartPolicy':'Never','activeDeadlineSeconds':5,'containers':[{'name':'c','image':'test:1'}]}}");
	(void)reconcile("p");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/phase"), "Running");
	ck_assert_uint_eq(fake_host_events(fake, "DeadlineIgnored"), 1);
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "DeadlineIgnored"), "start the pod anew"));
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, messages_that_a_client_sends);
	tcase_add_test(tc, statuses_that_end_a_session);
	tcase_add_test(tc, a_shim_of_protocol_1_has_no_exec);
	tcase_add_test(tc, what_is_refused_before_a_session);
	tcase_add_test(tc, sixty_four_sessions);
	tcase_add_test(tc, a_shim_of_protocol_2_keeps_its_deadline);
}

UNIT_MAIN("node_exec", cases)
