/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/input: what a person says.  A request is checked here and waits, kept, until the run's own thread has
 * handed it to the agent and says what became of it.  What was taken is remembered by the client's id for it, so that a
 * client that lost the answer may ask again; what was refused is not.
 */
#include <stdlib.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "core/ambient-runner/endpoint_priv.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define WAITING_MAX 64

static const struct {
	const char *type;
	enum am_input_kind kind;
	bool text, to; /* needs */
} kinds[] = {
	{"message", AM_INPUT_MESSAGE, true, false},
	{"interrupt", AM_INPUT_INTERRUPT, false, false},
	{"answer", AM_INPUT_ANSWER, false, true},
	{"end", AM_INPUT_END, false, false},
};

static void
free_input(struct am_input *input)
{
	free(input->text);
	free(input->to);
	free(input->answer);
	free(input);
}

/* ---- a request */

/* The member if it is a string that is no longer than max bytes and has no NUL. */
static char *
text_of(struct am_slice body, const char *pointer, size_t max)
{
	am_auto(am_buf_fini) struct am_buf text = {0};
	struct am_slice value;

	if (!am_json_find(body, pointer, &value) || am_json_type(value) != AMBIENT_T_STRING ||
	    !am_json_unescape(value, &text) || text.len == 0 || text.len > max || strlen(am_buf_str(&text)) != text.len)
		return NULL;
	return am_buf_steal(&text, NULL);
}

/* Line breaks of JSON are never within its strings. */
static char *
one_line(struct am_slice json)
{
	char *copy = am_xstrndup(json.p, json.n);

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	return copy;
}

/* NULL: *why is what is wrong with it. */
static struct am_input *
parse(struct am_slice body, const char **why)
{
	struct am_input *input = am_xcalloc(1, sizeof(*input));
	am_auto(am_freep) char *type = NULL;
	am_auto(am_freep) char *id = NULL;
	size_t i = 0;

	*why = NULL;
	if (am_json_check(body.p, body.n, NULL) < 0 || am_json_type(body) != AMBIENT_T_OBJECT) {
		*why = "the body is no JSON object";
		goto bad;
	}
	type = text_of(body, "/type", 32);
	id = text_of(body, "/id", AM_INPUT_ID);
	while (i < AM_COUNTOF(kinds) && !am_streq(kinds[i].type, type))
		i++;
	if (i == AM_COUNTOF(kinds))
		*why = "\"type\" is none of message, interrupt, answer, end";
	else if (id == NULL || strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") != strlen(id))
		*why = "\"id\" must be 1 to 64 of A-Z a-z 0-9 . _ : -";
	if (*why != NULL)
		goto bad;
	input->kind = kinds[i].kind;
	(void)am_strlcpy(input->id, id, sizeof(input->id));
	if (kinds[i].text && (input->text = text_of(body, "/text", AM_HTTP_BODY_MAX)) == NULL)
		*why = "\"text\" must be a string that is not empty, without NUL";
	if (kinds[i].to) {
		struct am_slice answer;

		if ((input->to = text_of(body, "/to", AM_INPUT_TO)) == NULL)
			*why = "\"to\" must be the id of the permission or question that is answered";
		else if (!am_json_find(body, "/answer", &answer) || am_json_type(answer) != AMBIENT_T_OBJECT)
			*why = "\"answer\" must be an object";
		else
			input->answer = one_line(answer);
	}
	if (*why == NULL)
		return input;
bad:
	free_input(input);
	return NULL;
}

/* ---- what was taken before */

static void
answer_taken(struct am_http_request *request, const char *id, int64_t seq)
{
	struct am_buf body = {0};

	am_json_addf(&body, "{\"id\":%s,\"acknowledged\":true,\"seq\":%l}\n", id, seq);
	am_http_answer(request, 200, "application/json", &body);
	am_buf_fini(&body);
}

static const struct am_taken *
find_taken(const struct am_endpoint *e, const struct am_input *input)
{
	for (size_t i = 0; i < AM_COUNTOF(e->taken); i++)
		if (e->taken[i].id[0] != '\0' && am_streq(e->taken[i].id, input->id) &&
		    am_streq(e->taken[i].client, input->client))
			return &e->taken[i];
	return NULL;
}

static bool
is_waiting(const struct am_endpoint *e, const struct am_input *input, int *n)
{
	bool found = false;

	*n = 0;
	for (const struct am_input *i = e->inputs; i != NULL; i = i->next, ++*n)
		found = found || (am_streq(i->id, input->id) && am_streq(i->client, input->client));
	return found;
}

/* With the lock.  200: goes to the run; 0: was taken before, *seq says where. */
static int
admit(struct am_endpoint *e, struct am_input *input, int64_t *seq, const char **reason, const char **message)
{
	const struct am_taken *before = input->kind != AM_INPUT_LOOK ? find_taken(e, input) : NULL;
	int n;

	if (before != NULL) {
		*seq = before->seq;
		return 0;
	}
	*reason = "InProgress";
	*message = "this id is being handed to the agent; ask again";
	if (is_waiting(e, input, &n) && input->kind != AM_INPUT_LOOK)
		return 503;
	*reason = "TooMany";
	*message = "too much waits to be handed to the agent; ask again";
	if (n >= WAITING_MAX)
		return 429;
	*reason = "NotReady";
	*message = "the agent has not started yet";
	if (!e->listening && am_streq(e->state, "preparing"))
		return 409;
	*reason = "Ended";
	*message = "the agent has ended";
	return e->listening ? 200 : 409;
}

/* Takes input: it waits for the run's thread, or is answered. */
static void
queue_input(struct am_endpoint *e, struct am_http_request *request, const struct am_key *key, struct am_input *input)
{
	const char *why = NULL, *reason = NULL;
	int64_t seq = 0;
	uint64_t one = 1;

	(void)am_strlcpy(input->client, key->client, sizeof(input->client));
	input->request = request;
	am_lock(&e->lock);
	int status = admit(e, input, &seq, &reason, &why);
	if (status == 200) {
		struct am_input **end = &e->inputs;

		while (*end != NULL)
			end = &(*end)->next;
		*end = input;
		am_http_keep(request);
	}
	am_unlock(&e->lock);
	if (status == 200) {
		(void)!write(e->input_fd, &one, sizeof(one));
		return;
	}
	if (status == 0) {
		answer_taken(request, input->id, seq);
	} else {
		if (status != 409 || am_streq(reason, "NotReady"))
			am_http_set_header(request, "Retry-After", "1");
		am_endpoint_refuse(request, status, reason, "%s", why);
	}
	free_input(input);
}

void
am_endpoint_input(struct am_endpoint *e, struct am_http_request *request, const struct am_key *key)
{
	const char *why = NULL;

	if (key->read_only || e->options.content) {
		am_endpoint_refuse(request, 403, "ReadOnly", "%s",
				   key->read_only ? "this key is good for reading only" : "the session has ended; start it again");
		return;
	}
	struct am_input *input = parse(am_http_body(request), &why);
	if (input == NULL)
		am_endpoint_refuse(request, 400, "BadRequest", "%s", why);
	else
		queue_input(e, request, key, input);
}

void
am_endpoint_ask_look(struct am_endpoint *e, struct am_http_request *request, const struct am_key *key, const char *repo, bool diff)
{
	struct am_input *input = am_xcalloc(1, sizeof(*input));

	input->kind = AM_INPUT_LOOK;
	input->to = am_xstrdup(repo);
	input->diff = diff;
	queue_input(e, request, key, input);
}

/* ---- the run's thread */

void
am_endpoint_listen(struct am_endpoint *e, bool yes)
{
	struct am_input *left = NULL;

	if (e == NULL)
		return;
	am_lock(&e->lock);
	e->listening = yes;
	if (!yes) {
		left = e->inputs;
		e->inputs = NULL;
	}
	am_unlock(&e->lock);
	while (left != NULL) {
		struct am_input *input = left;

		left = left->next;
		am_endpoint_refuse(input->request, 409, "Ended", "the agent has ended");
		free_input(input);
	}
}

int
am_endpoint_input_fd(const struct am_endpoint *e)
{
	return e != NULL ? e->input_fd : -1;
}

struct am_input *
am_endpoint_input_next(struct am_endpoint *e)
{
	struct am_input *input;
	uint64_t count;

	if (e == NULL)
		return NULL;
	am_lock(&e->lock);
	for (input = e->inputs; input != NULL && input->handed; input = input->next)
		;
	if (input != NULL)
		input->handed = true;
	else
		(void)!read(e->input_fd, &count, sizeof(count));
	am_unlock(&e->lock);
	return input;
}

struct am_input *
am_endpoint_input_find(struct am_endpoint *e, int64_t ref)
{
	struct am_input *input;

	if (e == NULL)
		return NULL;
	am_lock(&e->lock);
	for (input = e->inputs; input != NULL && (!input->handed || input->ref != ref); input = input->next)
		;
	am_unlock(&e->lock);
	return input;
}

static void
unlink_input(struct am_endpoint *e, struct am_input *input)
{
	struct am_input **at = &e->inputs;

	while (*at != input)
		at = &(*at)->next;
	*at = input->next;
}

void
am_endpoint_input_taken(struct am_endpoint *e, struct am_input *input, int64_t seq)
{
	am_lock(&e->lock);
	struct am_taken *slot = &e->taken[e->next_taken++ % AM_COUNTOF(e->taken)];
	(void)am_strlcpy(slot->client, input->client, sizeof(slot->client));
	(void)am_strlcpy(slot->id, input->id, sizeof(slot->id));
	slot->seq = seq;
	unlink_input(e, input);
	am_unlock(&e->lock);
	answer_taken(input->request, input->id, seq);
	free_input(input);
}

void
am_endpoint_input_answered(struct am_endpoint *e, struct am_input *input, struct am_buf *json)
{
	am_lock(&e->lock);
	unlink_input(e, input);
	am_unlock(&e->lock);
	am_http_answer(input->request, 200, "application/json", json);
	free_input(input);
}

void
am_endpoint_input_refused(struct am_endpoint *e, struct am_input *input, const char *reason, const char *message)
{
	am_lock(&e->lock);
	unlink_input(e, input);
	am_unlock(&e->lock);
	am_endpoint_refuse(input->request, 409, reason, "%s", message);
	free_input(input);
}
