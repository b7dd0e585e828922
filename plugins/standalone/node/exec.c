/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands in a container: GET /exec/NAMESPACE/POD/CONTAINER?command=…&input=1&output=1&error=1&tty=1, which becomes a
 * WebSocket.  The session's thread stands between the client and the command: its pipes (or its terminal's master) are
 * ours, the shim only starts the command, tells its exit code, and kills it when our connection to it ends.
 * GET /attach/… is the same with the container's own program, whose output the shim copies into our pipes.
 *
 * Nothing is kept but one message towards the command and QUEUE_MAX bytes towards the client; who is slow makes the
 * other wait.  Both sides are driven by one poll, so that a command which neither reads nor writes cannot hold us.
 */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SESSIONS_MAX 64
#define QUEUE_MAX    (256 << 10)
#define CHUNK        (32 << 10)
#define ANSWER_TIME  30000                   /* ms, for the shim on a busy machine */
#define DRAIN_TIME   (2 * AMBIENT_SECOND)    /* in silence, for output after the end */
#define PROTOCOL     2                       /* of the shim's, the first with exec */

struct session {
	struct node *node;
	char container[64];
	bool attach, tty, wanted[3], v5;
	struct text request;                 /* the line for the shim */
	int shim;                            /* connection; -1: it has ended */
	int in, out[2];                      /* our ends; -1: closed */
	int terminal;                        /* master, for its size; -1: none */
	char *input;                         /* what the command has not taken yet */
	size_t input_len, input_sent;
	bool input_ended;
	char line[2048];                     /* of the shim's, as far as it has come */
	size_t line_len;
	int code;                            /* -1: not known yet */
	int64_t quiet_since;
	char problem[400];
	char chunk[CHUNK];
};

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* ---- the shim ---- */

static bool
send_line(int fd, const char *line, size_t n, const int *fds, size_t count)
{
	union { struct cmsghdr head; char space[CMSG_SPACE(3 * sizeof(int))]; } control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)line, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (count > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
	}
	sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
	for (; sent > 0 && (size_t)sent < n; n -= (size_t)sent, sent = send(fd, line, n, MSG_NOSIGNAL))
		line += sent;
	return sent > 0;
}

/* Adds to s->line what has come; *fd: a descriptor that came along, else it stays.  False: no more will come. */
static bool
receive(struct session *s, int *fd)
{
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control;
	struct iovec iov = { s->line + s->line_len, sizeof(s->line) - 1 - s->line_len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	n = recvmsg(s->shim, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	s->line_len += (size_t)n;
	s->line[s->line_len] = '\0';
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (c != NULL && c->cmsg_type == SCM_RIGHTS && *fd < 0)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return true;
}

/* The first whole line as an object of the host's; NULL: not yet, or it is none. */
static const struct ambient_object *
next_line(struct session *s)
{
	const struct ambient_object *o = NULL;
	char *nl = memchr(s->line, '\n', s->line_len);

	if (nl == NULL)
		return NULL;
	if (s->node->host->object->parse(NULL, s->line, (size_t)(nl - s->line), &o, NULL) != 0)
		o = NULL;
	s->line_len -= (size_t)(nl + 1 - s->line);
	memmove(s->line, nl + 1, s->line_len);
	return o;
}

static void
drop(const struct ambient_object *o)
{
	if (o != NULL)
		ambient_unref((struct ambient_object *)(uintptr_t)o);
}

static const struct ambient_object *
await(struct session *s, int *fd)
{
	for (;;) {
		struct pollfd p = { .fd = s->shim, .events = POLLIN };

		if (memchr(s->line, '\n', s->line_len) != NULL)
			return next_line(s);
		if (poll(&p, 1, ANSWER_TIME) <= 0 || !receive(s, fd))
			return NULL;
	}
}

/* The version of the shim that greets; 0: none does. */
static int64_t
greet(struct session *s)
{
	int none = -1;
	const struct ambient_object *hello = await(s, &none);
	int64_t version = hello != NULL ? ambient_int(hello, "/shim", 0) : 0;

	close_fd(&none);
	drop(hello);
	return version;
}

/* What comes after the answer: {"exit":N}. */
static void
hear(struct session *s)
{
	const struct ambient_object *o;
	int none = -1;
	bool open = receive(s, &none);

	close_fd(&none);
	while ((o = next_line(s)) != NULL) {
		if (s->code < 0)
			s->code = (int)ambient_int(o, "/exit", -1);
		if (ambient_at(o, "/error") != NULL) {
			(void)snprintf(s->problem, sizeof(s->problem), "%s", ambient_str(o, "/error", ""));
			open = false;
		}
		drop(o);
	}
	if (open && s->code < 0 && s->line_len < sizeof(s->line) - 1)
		return;
	close_fd(&s->shim);
	s->quiet_since = s->node->host->clock->monotonic(s->node->host);
	if (s->code < 0 && s->problem[0] == '\0')
		(void)snprintf(s->problem, sizeof(s->problem), "container \"%s\" ended before the command did", s->container);
}

/* ---- start ---- */

static bool
make_pipes(struct session *s, int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		int fds[2], mine = i == 0 ? 1 : 0;

		/* What a container reads is made by its shim. */
		if (!s->wanted[i] || (i == 0 && s->attach))
			continue;
		if (pipe2(fds, O_CLOEXEC) < 0)
			return false;
		(void)fcntl(fds[mine], F_SETFL, O_NONBLOCK);
		theirs[i] = fds[1 - mine];
		*(i == 0 ? &s->in : &s->out[i - 1]) = fds[mine];
	}
	return true;
}

/* What came with the answer: a terminal's master, or where the input of a container is written. */
static bool
take_fd(struct session *s, int fd)
{
	if (fd < 0)
		return s->attach || !s->tty;
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	if (s->wanted[0])
		s->in = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (s->tty && !s->attach)
		s->out[0] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (s->tty && isatty(fd))
		s->terminal = fd;
	else
		(void)close(fd);
	return s->attach || s->out[0] >= 0;
}

/* Asks the shim; on failure s->problem says why. */
static bool
start(struct session *s)
{
	int theirs[3] = { -1, -1, -1 }, given[3], fd = -1;
	const struct ambient_object *answer = NULL;
	size_t n = 0;
	bool ok = (s->tty && !s->attach) || make_pipes(s, theirs);

	for (int i = 0; i < 3; i++)
		if (theirs[i] >= 0)
			given[n++] = theirs[i];
	(void)snprintf(s->problem, sizeof(s->problem), "%s", ok ? "the pod does not answer" : "there are too many open files");
	if (ok && send_line(s->shim, text_str(&s->request), s->request.len, given, n))
		answer = await(s, &fd);
	for (size_t i = 0; i < n; i++)
		(void)close(given[i]);
	ok = answer != NULL && ambient_bool(answer, "/ok", 0);
	if (answer != NULL && !ok)
		(void)snprintf(s->problem, sizeof(s->problem), "%s", ambient_str(answer, "/error", "the pod refused"));
	drop(answer);
	if (!ok) {
		close_fd(&fd);
		return false;
	}
	ok = take_fd(s, fd);
	if (ok)
		s->problem[0] = '\0';
	return ok;
}

/* ---- between client and command ---- */

static void
end_input(struct session *s)
{
	static const char line[] = "{\"op\":\"input-ended\"}\n";

	free(s->input);
	s->input = NULL;
	if (s->attach && s->in >= 0 && s->shim >= 0)
		(void)send_line(s->shim, line, sizeof(line) - 1, NULL, 0);
	close_fd(&s->in);
}

static void
write_input(struct session *s)
{
	while (s->input != NULL) {
		ssize_t n = s->in >= 0 ? write(s->in, s->input + s->input_sent, s->input_len - s->input_sent) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		s->input_sent += n > 0 ? (size_t)n : 0;
		if (n <= 0) {
			end_input(s); /* nobody reads any more */
		} else if (s->input_sent == s->input_len) {
			free(s->input);
			s->input = NULL;
		}
	}
	/* A terminal has no end of input but the one that is typed. */
	if (s->input_ended && !s->tty)
		end_input(s);
}

static bool
take_message(struct session *s, const struct ambient_websocket_message *message)
{
	struct channel_message m;

	if (!channel_parse(s->node->host, s->v5, message->data, message->len, &m))
		return false;
	if (m.kind == CHANNEL_END)
		s->input_ended = true;
	if (m.kind == CHANNEL_SIZE && s->terminal >= 0) {
		struct winsize size = { .ws_row = m.height, .ws_col = m.width };

		(void)ioctl(s->terminal, TIOCSWINSZ, &size);
	}
	if (m.kind != CHANNEL_INPUT || s->in < 0 || s->input_ended)
		return true;
	s->input = malloc(m.len);
	if (s->input == NULL)
		return false;
	memcpy(s->input, m.data, m.len);
	s->input_len = m.len;
	s->input_sent = 0;
	return true;
}

static void
move_output(struct session *s, struct ambient_websocket *ws, int i)
{
	ssize_t n = read(s->out[i], s->chunk, sizeof(s->chunk));
	char channel = (char)(CHANNEL_STDOUT + i);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A terminal whose last user has gone reads as EIO. */
	if (n <= 0) {
		close_fd(&s->out[i]);
		return;
	}
	s->quiet_since = s->node->host->clock->monotonic(s->node->host);
	(void)s->node->host->http->ws_send(ws, &channel, 1, s->chunk, (size_t)n);
}

static bool
finished(const struct session *s)
{
	if (s->shim >= 0)
		return false;
	return (s->out[0] < 0 && s->out[1] < 0) ||
	       s->node->host->clock->monotonic(s->node->host) - s->quiet_since >= DRAIN_TIME;
}

/* One round; false when the client has gone or breaks the rules. */
static bool
turn(struct session *s, struct ambient_websocket *ws)
{
	const struct ambient_http_api *http = s->node->host->http;
	struct ambient_websocket_message message = { .size = sizeof(message) };
	bool room = http->ws_queued(ws) < QUEUE_MAX;
	struct pollfd p[4] = {
		{ .fd = s->shim, .events = POLLIN },
		{ .fd = s->input != NULL ? s->in : -1, .events = POLLOUT },
		{ .fd = room ? s->out[0] : -1, .events = POLLIN },
		{ .fd = room ? s->out[1] : -1, .events = POLLIN },
	};
	int rc = http->ws_wait(ws, p, 4, s->shim < 0 ? 200 : -1, s->input == NULL, &message);

	if (rc < 0)
		return false;
	if (rc == 1 && !take_message(s, &message)) {
		http->ws_close(ws, 1008, "no message that is understood here");
		return false;
	}
	write_input(s);
	for (int i = 0; i < 2; i++)
		if (p[2 + i].fd >= 0 && p[2 + i].revents != 0)
			move_output(s, ws, i);
	if (!room)
		s->quiet_since = s->node->host->clock->monotonic(s->node->host);
	if (p[0].revents != 0)
		hear(s);
	return true;
}

static void
say_end(struct session *s, struct ambient_websocket *ws, bool there)
{
	static const char channel = CHANNEL_ERROR;
	const struct ambient_http_api *http = s->node->host->http;
	struct ambient_websocket_message ignored = { .size = sizeof(ignored) };
	struct text status = { 0 };

	if (s->code >= 0)
		channel_exited(&status, s->attach ? 0 : s->code);
	else
		channel_failure(&status, there ? s->problem : "the node ends the session");
	(void)http->ws_send(ws, &channel, 1, text_str(&status), status.len);
	text_fini(&status);
	while (there && http->ws_queued(ws) > 0)
		there = http->ws_wait(ws, NULL, 0, -1, 0, &ignored) >= 0;
}

static void
free_session(struct session *s)
{
	pthread_mutex_lock(&s->node->lock);
	s->node->sessions--;
	pthread_mutex_unlock(&s->node->lock);
	end_input(s);
	close_fd(&s->shim);
	close_fd(&s->out[0]);
	close_fd(&s->out[1]);
	close_fd(&s->terminal);
	text_fini(&s->request);
	free(s);
}

static void
run(void *arg, struct ambient_websocket *ws)
{
	struct session *s = arg;
	bool there = true;

	if (ws != NULL) {
		const struct ambient_http_api *http = s->node->host->http;
		char first = s->wanted[1] || s->tty ? CHANNEL_STDOUT : s->wanted[2] ? CHANNEL_STDERR : CHANNEL_ERROR;

		s->v5 = strcmp(http->ws_protocol(ws), "v5.channel.k8s.io") == 0;
		if (start(s)) {
			/* An empty message tells that it begins. */
			(void)http->ws_send(ws, &first, 1, NULL, 0);
			hear(s); /* its end may have come with the answer */
			while (there && !finished(s))
				there = turn(s, ws);
		}
		say_end(s, ws, there);
	}
	free_session(s);
}

/* ---- the request ---- */

static int
build_request(struct session *s, struct ambient_http_request *request)
{
	static const char *const std[3][2] = { { "input", "stdin" }, { "output", "stdout" }, { "error", "stderr" } };
	const struct ambient_http_api *http = s->node->host->http;
	const char *name, *value;
	size_t words = 0;

	s->tty = server_truth(s->node, request, "tty");
	text_printf(&s->request, "{\"op\":\"%s\",\"container\":", s->attach ? "attach" : "exec");
	text_json(&s->request, s->container);
	for (size_t i = 0; i < 3; i++) {
		s->wanted[i] = server_truth(s->node, request, std[i][0]) && !(s->tty && i == 2);
		text_printf(&s->request, ",\"%s\":%s", std[i][1], s->wanted[i] ? "true" : "false");
	}
	text_printf(&s->request, ",\"tty\":%s", s->tty ? "true" : "false");
	text_puts(&s->request, s->attach ? "" : ",\"argv\":[");
	for (size_t i = 0; http->query_at(request, i, &name, &value) && !s->attach; i++)
		if (strcmp(name, "command") == 0) {
			text_puts(&s->request, words++ > 0 ? "," : "");
			text_json(&s->request, value);
		}
	text_puts(&s->request, s->attach ? "}\n" : "]}\n");
	return words > 0 || s->attach ? 0 : -1;
}

/* 0, or a status with the answer's text. */
static int
prepare(struct session *s, struct ambient_http_request *request, char *text, size_t size)
{
	const char *path = s->node->host->http->path(request);
	struct local local;
	char ns[64], pod[256];
	int64_t version;

	s->attach = strncmp(path, "/attach/", 8) == 0;
	if (sscanf(strchr(path + 1, '/'), "/%63[^/]/%255[^/]/%63[^/]", ns, pod, s->container) != 3 ||
	    !server_find(s->node, ns, pod, local.dir, sizeof(local.dir))) {
		(void)snprintf(text, size, "pod does not exist\n");
		return 404;
	}
	if (build_request(s, request) < 0) {
		(void)snprintf(text, size, "you must specify at least 1 command word\n");
		return 400;
	}
	if (!s->wanted[0] && !s->wanted[1] && !s->wanted[2]) {
		(void)snprintf(text, size, "you must specify at least 1 of stdin, stdout, stderr\n");
		return 400;
	}
	s->shim = shim_connect(&local);
	version = s->shim >= 0 ? greet(s) : 0;
	if (version == 0) {
		(void)snprintf(text, size, "container \"%s\" in pod \"%s\" does not run\n", s->container, pod);
		return 400;
	}
	if (version < PROTOCOL) {
		(void)snprintf(text, size, "pod \"%s\" was started by an earlier release, whose shim knows no exec and attach; start the pod anew\n",
			       pod);
		return 501;
	}
	return 0;
}

static bool
take_place(struct node *node)
{
	bool free_place;

	pthread_mutex_lock(&node->lock);
	free_place = node->sessions < SESSIONS_MAX;
	node->sessions += free_place;
	pthread_mutex_unlock(&node->lock);
	return free_place;
}

void
exec_handle(struct node *node, struct ambient_http_request *request)
{
	static const char *const protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", NULL };
	const struct ambient_http_api *http = node->host->http;
	const char *upgrade = http->header(request, "Upgrade");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct session *s;
	char text[600];
	int status, rc;

	if (!AMBIENT_HAS(http, ws_accept)) {
		server_refuse(node, request, 501, "this node's HTTP server has no WebSockets\n");
		return;
	}
	if (!take_place(node)) {
		(void)snprintf(text, sizeof(text), "%d sessions of exec and attach are open on this node already; try again later\n", SESSIONS_MAX);
		server_refuse(node, request, 429, text);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		pthread_mutex_lock(&node->lock);
		node->sessions--;
		pthread_mutex_unlock(&node->lock);
		server_refuse(node, request, 500, "out of memory\n");
		return;
	}
	s->node = node;
	s->code = s->shim = s->in = s->out[0] = s->out[1] = s->terminal = -1;
	status = prepare(s, request, text, sizeof(text));
	/* Last, so that who cannot have a session in any case hears why. */
	if (status == 0 && (upgrade == NULL || strcasecmp(upgrade, "websocket") != 0)) {
		status = 426;
		(void)snprintf(text, sizeof(text), "this node speaks WebSocket (v5.channel.k8s.io, v4.channel.k8s.io), not SPDY\n");
	}
	rc = status == 0 ? http->ws_accept(request, protocols, run, s, &err) : 0;
	if (rc < 0) {
		status = rc == -AMBIENT_E_INVALID ? 400 : rc == -AMBIENT_E_THROTTLED ? 429 : 503;
		(void)snprintf(text, sizeof(text), "%s\n", err.message);
	}
	if (status != 0) {
		free_session(s);
		server_refuse(node, request, status, text);
	}
}
