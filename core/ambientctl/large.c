/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that were too large for a line: the line has the beginning of their text, their number and how large they
 * are; the runner has the rest in a file of its own, and gives it out by number.
 */
#include "core/ambientctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/data/scan.h"

static bool
is_ours(struct am_slice key)
{
	static const char *const ours[] = { "seq", "time", "run", "type" };
	bool found = false;

	for (size_t i = 0; i < AM_COUNTOF(ours); i++)
		found = found || am_slice_eq(key, ours[i]);
	return found;
}

/* The members that the runner gave a message by its line, or those that it did not. */
static void
add_members(struct am_slice object, bool ours, struct am_buf *out)
{
	struct am_slice key, value;
	size_t it = 0;

	while (am_json_member(object, &it, &key, &value)) {
		if (is_ours(key) != ours)
			continue;
		am_buf_adds(out, out->len > 1 ? ",\"" : "\"");
		am_buf_add(out, key.p, key.n);
		am_buf_adds(out, "\":");
		am_buf_add(out, value.p, value.n);
	}
}

int
ctl_fetch_cut(struct ctl_endpoint *ep, const char *line, size_t n, struct am_buf *whole, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf answer = { 0 };
	struct am_slice message = am_slice(line, n), fields;
	char path[64];
	int rc;

	(void)snprintf(path, sizeof(path), "/v1/large?seq=%" PRId64, am_json_int(message, "/seq", 0));
	if ((rc = ctl_endpoint_do(ep, "GET", path, NULL, &answer, err)) < 0)
		return rc;
	fields = am_slice(am_buf_str(&answer), answer.len);
	if ((rc = am_json_check(fields.p, fields.n, err)) < 0)
		return rc;
	if (am_json_type(fields) != AMBIENT_T_OBJECT)
		return ambient_err(err, AMBIENT_E_INVALID, "what the runner has of the message is no object");
	am_buf_addc(whole, '{');
	add_members(message, true, whole);
	add_members(fields, false, whole);
	am_buf_addc(whole, '}');
	return whole->failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for a message") : 0;
}
