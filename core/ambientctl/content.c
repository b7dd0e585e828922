/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files, and what it shares with messages: reaching the endpoint of a session, whether it runs or has ended.  Of one that
 * has ended a short-lived pod serves the workspace: it is asked for by an annotation, comes by the operator's doing, and
 * goes by itself when nobody asks it any more, or when the session starts again.
 *
 * Names that the server tells are shown, never used: what is written is the file that the person named, and only when
 * all of it has come.
 */
#include "core/ambientctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"

#define WAIT_NS    (180 * AM_NS_PER_S)
#define SAY_NS     (2 * AM_NS_PER_S)
#define ROUND_NS   (3 * AM_NS_PER_S)
#define PATH_BYTES 4096
#define NAME_MAX_BYTES 63 /* of what the operator makes */

/* ---- reaching it */

struct waiting {
	const char *session;
	int64_t since;
	bool said;
	char why[300];
};

static bool
is_ready(const struct am_node *pod)
{
	const struct am_node *list = am_node_at(pod, "/status/conditions");

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
		if (am_streq(am_node_get_str(c, "type", ""), "Ready"))
			return am_streq(am_node_get_str(c, "status", ""), "True") && am_node_at(pod, "/metadata/deletionTimestamp") == NULL;
	return false;
}

static bool
look(void *arg, const struct am_node *pod)
{
	struct waiting *w = arg;

	if (pod != NULL && is_ready(pod))
		return true;
	if (pod != NULL)
		(void)am_strlcpy(w->why, ctl_text(pod, "/status/containerStatuses/0/state/waiting/message"), sizeof(w->why));
	if (!w->said && am_clock_boot(am_clock_real()) - w->since > SAY_NS) {
		(void)fprintf(stderr, "waiting for the pod that serves the files of session \"%s\"\n", w->session);
		w->said = true;
	}
	return false;
}

/* The pod's name is the session's and a word, unless that were too long: then it is the one that names the session. */
static void
find_name(struct ctl_endpoint *ep)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *list;
	const struct am_node *items;

	if (strlen(ep->session) + sizeof("-content") <= NAME_MAX_BYTES + 1) {
		(void)snprintf(ep->pod, sizeof(ep->pod), "%s-content", ep->session);
		return;
	}
	ctl_path(ep->ctl, &path, "v1/pods", NULL, NULL);
	am_buf_adds(&path, "?labelSelector=app%3Dambient-content");
	items = ctl_read(ep->ctl, arena, am_buf_str(&path), &list, &err) == 0 ? am_node_get(list, "items") : NULL;
	for (const struct am_node *pod = items != NULL ? items->first : NULL; pod != NULL; pod = pod->next)
		if (am_streq(ctl_text(pod, "/metadata/annotations/ambient-code.io~1session"), ep->session))
			(void)am_strlcpy(ep->pod, ctl_text(pod, "/metadata/name"), sizeof(ep->pod));
}

/* Has the operator said that there can be none?  Then why has its sentence. */
static bool
is_refused(struct ctl_endpoint *ep, int64_t since, char why[300])
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *list;
	const struct am_node *items;
	int64_t then;
	bool refused = false;

	ctl_path(ep->ctl, &path, "v1/events", NULL, NULL);
	am_buf_adds(&path, "?fieldSelector=involvedObject.name%3D");
	am_url_escape(&path, ep->session);
	items = ctl_read(ep->ctl, arena, am_buf_str(&path), &list, &err) == 0 ? am_node_get(list, "items") : NULL;
	for (const struct am_node *e = items != NULL ? items->first : NULL; e != NULL; e = e->next)
		if (am_streq(ctl_text(e, "/reason"), "ContentUnavailable") && am_time_parse(ctl_text(e, "/lastTimestamp"), &then) == 0 &&
		    then >= since) {
			(void)am_strlcpy(why, ctl_text(e, "/message"), 300);
			refused = true;
		}
	return refused;
}

/* Until it is there and serves.  In rounds: what would end the waiting may be an event of the session. */
static int
wait_for_content(struct ctl_endpoint *ep, int64_t asked, struct ambient_error *err)
{
	struct am_clock *clock = am_clock_real();
	struct waiting w = { .session = ep->session, .since = am_clock_boot(clock) };
	int64_t end = w.since + WAIT_NS;
	int rc = -AMBIENT_E_TIMEOUT;

	while (rc == -AMBIENT_E_TIMEOUT && am_clock_boot(clock) < end) {
		find_name(ep);
		if (ep->pod[0] != '\0')
			rc = ctl_await(ep->ctl, "v1/pods", ep->pod, &ctl_interrupted, am_clock_boot(clock) + ROUND_NS, look, &w, err);
		else if (__atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE) != 0)
			return ambient_err(err, AMBIENT_E_CANCELLED, "interrupted");
		else
			(void)usleep(500 * 1000);
		if (rc == -AMBIENT_E_TIMEOUT && is_refused(ep, asked / AM_NS_PER_S * AM_NS_PER_S, w.why))
			return ambient_err(err, AMBIENT_E_INTERNAL, "%s", w.why);
	}
	return rc != -AMBIENT_E_TIMEOUT ? rc
	       : ambient_err(err, AMBIENT_E_TIMEOUT, "the pod that is to serve its files has not come%s%s",
			     w.why[0] != '\0' ? ": " : "; does the daemon run, and does this machine's clock agree with its?", w.why);
}

static int
ask_for_content(struct ctl_endpoint *ep)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int64_t asked = am_clock_wall(am_clock_real());
	char now[32];
	int rc;

	am_time_format(now, asked, true);
	am_json_addf(&body, "{\"metadata\":{\"annotations\":{\"ambient-code.io/content-requested\":%s}}}", now);
	rc = ctl_write(ep->ctl, arena, "PATCH", "application/merge-patch+json", ep->session, &body, NULL, &err);
	if (rc == 0)
		rc = wait_for_content(ep, asked, &err);
	return rc < 0 ? ctl_fail(&err, "session \"%s\"", ep->session) : CTL_OK;
}

int
ctl_reach(struct ctl_endpoint *ep, struct ctl *ctl, const char *name)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *session;
	const char *phase;
	int rc;

	*ep = (struct ctl_endpoint){ 0 };
	if (ctl_get(ctl, arena, name, &session, &err) < 0)
		return ctl_fail(&err, "session \"%s\"", name);
	phase = ctl_text(session, "/status/phase");
	if (!ctl_terminal(phase) && !am_streq(phase, "Running")) {
		(void)fprintf(stderr, "ambientctl: session \"%s\" has no pod that runs; it is %s\n", name, phase[0] != '\0' ? phase : "Pending");
		return CTL_FAILED;
	}
	if (ctl_endpoint_open(ep, ctl, name, true, &ctl_interrupted, &err) < 0)
		return ctl_fail(&err, "session \"%s\"", name);
	if (!ctl_terminal(phase)) {
		(void)am_strlcpy(ep->pod, ctl_text(session, "/status/runnerPodName"), sizeof(ep->pod));
		return CTL_OK;
	}
	rc = ask_for_content(ep);
	if (rc != CTL_OK)
		ctl_endpoint_close(ep);
	return rc;
}

/* ---- directories */

static void
list_json(const struct am_node *entries)
{
	for (const struct am_node *e = entries->first; e != NULL; e = e->next)
		ctl_print_json(e);
}

static void
list_table(const struct am_node *entries)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	const char **cells = am_xcalloc(((size_t)entries->count + 1) * 4, sizeof(*cells));
	size_t n = 0;

	cells[n++] = "MODE";
	cells[n++] = "SIZE";
	cells[n++] = "CHANGED";
	cells[n++] = "NAME";
	for (const struct am_node *e = entries->first; e != NULL; e = e->next) {
		const struct am_node *size = am_node_get(e, "size");

		cells[n++] = am_node_get_str(e, "mode", "-");
		cells[n++] = size != NULL && size->type == AMBIENT_T_NUMBER ? size->text : "-";
		cells[n++] = am_node_get_str(e, "mtime", "-");
		cells[n++] = am_streq(am_node_get_str(e, "type", ""), "directory")
			     ? am_arena_printf(arena, "%s/", am_node_get_str(e, "name", "")) : am_node_get_str(e, "name", "");
	}
	ctl_table(cells, 4, n / 4);
	free(cells);
}

int
ctl_read_directory(struct ctl_endpoint *ep, const char *path, struct am_arena *arena, struct am_node **ret,
		   struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf request = { 0 };
	am_auto(am_buf_fini) struct am_buf answer = { 0 };
	struct am_node *all;
	int rc;

	am_buf_adds(&request, "/v1/files?path=");
	am_url_escape(&request, path);
	rc = ctl_endpoint_do(ep, "GET", am_buf_str(&request), NULL, &answer, err);
	if (rc < 0)
		return rc;
	all = am_node_parse(arena, am_buf_str(&answer), answer.len, err);
	*ret = all != NULL && all->type == AMBIENT_T_OBJECT ? am_node_get(all, "entries") : NULL;
	if (*ret == NULL || (*ret)->type != AMBIENT_T_ARRAY)
		return ambient_err(err, AMBIENT_E_INVALID, "the answer is no list of files");
	return am_node_get(all, "truncated") != NULL && am_node_get(all, "truncated")->boolean;
}

/* ---- files */

struct sink {
	int fd;
	bool clean;    /* a terminal is to show it */
	struct am_buf rest; /* of that, what may be half a character */
	int problem;   /* errno */
};

/* Bytes that end with a whole character. */
static size_t
whole(const struct am_buf *text)
{
	size_t n = text->len;

	while (n > 0 && text->len - n < 3 && ((unsigned char)text->data[n - 1] & 0xc0) == 0x80)
		n--;
	/* Behind n are continuations only: do they fill what the byte before them begins? */
	unsigned char lead = n > 0 ? (unsigned char)text->data[n - 1] : 0;
	size_t needs = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;

	return needs > text->len - n ? n - 1 : text->len;
}

static int
on_bytes(void *arg, const char *p, size_t n)
{
	struct sink *sink = arg;

	if (sink->clean) {
		am_buf_add(&sink->rest, p, n);
		for (size_t i = sink->rest.len - n; i < sink->rest.len; i++)
			sink->rest.data[i] = sink->rest.data[i] == '\0' ? '?' : sink->rest.data[i];
		n = whole(&sink->rest);
		am_auto(am_freep) char *text = am_xstrndup(am_buf_str(&sink->rest), n);

		ctl_put_clean(stdout, text, false);
		am_buf_consume(&sink->rest, n);
		return ctl_flush() ? 0 : -AMBIENT_E_CANCELLED;
	}
	sink->problem = -am_write_all(sink->fd, p, n);
	return sink->problem != 0 ? -AMBIENT_E_UNAVAILABLE : 0;
}

static int
fetch(struct ctl_endpoint *ep, const char *path, struct sink *sink, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf request = { 0 };
	int rc;

	am_buf_adds(&request, "/v1/files?path=");
	am_url_escape(&request, path);
	rc = ctl_endpoint_stream(ep, am_buf_str(&request), on_bytes, sink, err);
	ctl_put_clean(stdout, am_buf_str(&sink->rest), false);
	am_buf_fini(&sink->rest);
	if (sink->problem != 0)
		return ambient_err(err, AMBIENT_E_INTERNAL, "what came cannot be written: %s", strerror(sink->problem));
	return rc;
}

/* Beside it first, and in its place when it is whole. */
static int
fetch_to(struct ctl_endpoint *ep, const char *path, const char *file, struct ambient_error *err)
{
	am_auto(am_freep) char *part = am_xasprintf("%s.XXXXXX", file);
	struct sink sink = { .fd = mkstemp(part) };
	mode_t mask = umask(0);
	int rc;

	(void)umask(mask);
	if (sink.fd < 0)
		return ambient_err(err, AMBIENT_E_INTERNAL, "%s cannot be written: %s", file, strerror(errno));
	rc = fetch(ep, path, &sink, err);
	if (rc == 0 && (fchmod(sink.fd, 0666 & ~mask) < 0 || rename(part, file) < 0))
		rc = ambient_err(err, AMBIENT_E_INTERNAL, "%s cannot be put in place: %s", file, strerror(errno));
	(void)close(sink.fd);
	if (rc < 0)
		(void)unlink(part);
	return rc;
}

static int
fetch_file(struct ctl_endpoint *ep, const char *path, struct ambient_error *err)
{
	const char *file = ctl_value(ep->ctl, "out");
	struct sink sink = { .fd = STDOUT_FILENO, .clean = file == NULL && ep->ctl->terminal };

	if (file != NULL && !am_streq(file, "-"))
		return fetch_to(ep, path, file, err);
	(void)fflush(stdout);
	return fetch(ep, path, &sink, err);
}

/* The entry of a path in the directory above it; NULL: there is none that is told of. */
static int
find_entry(struct ctl_endpoint *ep, const char *path, struct am_arena *arena, const struct am_node **ret, struct ambient_error *err)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	am_auto(am_freep) char *above = am_xstrndup(path, slash != NULL ? (size_t)(slash - path) : 0);
	struct am_node *entries;
	int rc = ctl_read_directory(ep, above, arena, &entries, err);

	*ret = NULL;
	if (rc < 0)
		return rc;
	for (const struct am_node *e = entries->first; e != NULL; e = e->next)
		if (am_streq(am_node_get_str(e, "name", ""), name))
			*ret = e;
	if (*ret == NULL && rc == 0)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "there is no \"%s\" in the workspace", path);
	return 0;
}

static int
show_path(struct ctl_endpoint *ep, const char *path, struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	const struct am_node *entry = NULL;
	struct am_node *entries;
	int rc = path[0] != '\0' ? find_entry(ep, path, arena, &entry, err) : 0;
	const char *type = entry != NULL ? am_node_get_str(entry, "type", "file") : path[0] != '\0' ? "file" : "directory";

	if (rc < 0)
		return rc;
	if (am_streq(type, "file"))
		return fetch_file(ep, path, err);
	if (!am_streq(type, "directory"))
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is %s; only files and directories can be read", path,
				   am_streq(type, "symlink") ? "a link" : "neither file nor directory");
	if (ctl_value(ep->ctl, "out") != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is a directory; --out is for a file", path[0] != '\0' ? path : ".");
	rc = ctl_read_directory(ep, path, arena, &entries, err);
	if (rc < 0)
		return rc;
	if (ep->ctl->json)
		list_json(entries);
	else
		list_table(entries);
	if (rc > 0)
		(void)fputs("ambientctl: there are more files than are listed\n", stderr);
	return 0;
}

/* Without what means nothing: "./a//b/" is a/b. */
static int
tidy(const char *path, char out[PATH_BYTES])
{
	size_t n = 0;

	for (const char *p = path; *p != '\0';) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			return ctl_usage("\"%s\" leaves the workspace", path);
		if (len > 0 && !(len == 1 && p[0] == '.')) {
			if (n + len + 2 > PATH_BYTES)
				return ctl_usage("the path is longer than %d bytes", PATH_BYTES);
			if (n > 0)
				out[n++] = '/';
			(void)memcpy(out + n, p, len);
			n += len;
		}
		p += len + (p[len] == '/');
	}
	out[n] = '\0';
	return 0;
}

static int
run_files(struct ctl *ctl)
{
	const char *name = ctl->words[0], *word = ctl->word_count > 1 ? ctl->words[1] : "";
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ctl_endpoint endpoint;
	char path[PATH_BYTES];
	int rc;

	if (word[0] == '/')
		return ctl_usage("\"%s\" is no path within the workspace, such as src/main.c", word);
	if ((rc = tidy(word, path)) != 0)
		return rc;
	if ((rc = ctl_reach(&endpoint, ctl, name)) != CTL_OK)
		return rc;
	rc = show_path(&endpoint, path, &err);
	ctl_endpoint_close(&endpoint);
	return rc < 0 ? ctl_fail(&err, "files of session \"%s\"", name) : CTL_OK;
}

static const struct ctl_option options[] = {
	{ "out", 'o', "FILE", "write a file's bytes there, or - for standard output" },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command ctl_files = {
	.name = "files", .synopsis = "files NAME [PATH] [-o FILE]",
	.text = "List a directory of a session's workspace, or fetch a file.", .options = options, .min = 1, .max = 2,
	.on_sessions = true, .run = run_files,
};
