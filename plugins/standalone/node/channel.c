/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of exec and attach, v5.channel.k8s.io and v4: the first byte names a channel, the rest is its data.
 * A client sends input, terminal sizes and, in v5, the end of a channel; it gets output and, on the error channel,
 * one Status that says how it ended.
 */
#include "node.h"

#define SIZE_MAX_BYTES 512 /* of a size's text */

static bool
parse_size(const struct ambient_host *host, const char *data, size_t len, struct channel_message *ret)
{
	const struct ambient_object *o = NULL;
	int64_t width, height;

	if (len > SIZE_MAX_BYTES || host->object->parse(NULL, data, len, &o, NULL) != 0)
		return false;
	width = ambient_int(o, "/Width", 0);
	height = ambient_int(o, "/Height", 0);
	ambient_unref((struct ambient_object *)(uintptr_t)o);
	if (width < 0 || width > UINT16_MAX || height < 0 || height > UINT16_MAX)
		return false;
	*ret = (struct channel_message){ .kind = CHANNEL_SIZE, .width = (unsigned short)width, .height = (unsigned short)height };
	return true;
}

bool
channel_parse(const struct ambient_host *host, bool v5, const char *data, size_t len, struct channel_message *ret)
{
	*ret = (struct channel_message){ .kind = CHANNEL_NOTHING };
	if (len == 0)
		return true;
	switch ((unsigned char)data[0]) {
	case CHANNEL_STDIN:
		ret->kind = len > 1 ? CHANNEL_INPUT : CHANNEL_NOTHING;
		ret->data = data + 1;
		ret->len = len - 1;
		return true;
	case CHANNEL_RESIZE:
		return len == 1 || parse_size(host, data + 1, len - 1, ret);
	case CHANNEL_CLOSE:
		if (!v5 || len != 2 || (unsigned char)data[1] > CHANNEL_RESIZE)
			return false;
		ret->kind = data[1] == CHANNEL_STDIN ? CHANNEL_END : CHANNEL_NOTHING;
		return true;
	default:
		return false;
	}
}

void
channel_success(struct text *out)
{
	text_puts(out, "{\"metadata\":{},\"status\":\"Success\"}");
}

void
channel_exited(struct text *out, int code)
{
	if (code == 0)
		channel_success(out);
	else
		text_printf(out, "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: exit "
			    "status %d\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"%d\"}]}}",
			    code, code);
}

void
channel_failure(struct text *out, const char *message)
{
	text_puts(out, "{\"metadata\":{},\"status\":\"Failure\",\"reason\":\"InternalError\",\"code\":500,\"message\":");
	text_json(out, message);
	text_puts(out, ",\"details\":{\"causes\":[{\"message\":");
	text_json(out, message);
	text_puts(out, "}]}}");
}
