/* SPDX-License-Identifier: Apache-2.0 */
/* See channel.h. */
#include "core/ambient-runner/channel.h"

#include <errno.h>
#include <unistd.h>

#include <sys/socket.h>

#include "core/data/scan.h"

void
am_runner_channel_init(struct am_channel *channel, int fd)
{
	memset(channel, 0, sizeof(*channel));
	channel->fd = fd;
	channel->line_max = AM_RUNNER_LINE_MAX;
}

void
am_runner_channel_fini(struct am_channel *channel)
{
	if (channel->fd >= 0)
		(void)close(channel->fd);
	channel->fd = -1;
	am_buf_fini(&channel->in);
	am_buf_fini(&channel->out);
}

int
am_runner_channel_read(struct am_channel *channel, struct ambient_error *err)
{
	if (channel->taken > 0) {
		am_buf_consume(&channel->in, channel->taken);
		channel->scanned -= AM_MIN(channel->taken, channel->scanned);
		channel->taken = 0;
	}
	if (channel->eof || channel->in.len > channel->line_max)
		return 0;
	if (!am_buf_reserve(&channel->in, 64 * 1024))
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for what the peer sent");
	ssize_t n = recv(channel->fd, channel->in.data + channel->in.len, 64 * 1024, MSG_DONTWAIT);
	if (n > 0)
		channel->in.len += (size_t)n, channel->in.data[channel->in.len] = '\0';
	else if (n == 0 || errno == ECONNRESET)
		channel->eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		return am_err_errno(err, errno, "reading from the peer");
	return 0;
}

int
am_runner_channel_next(struct am_channel *channel, struct am_slice *line, char t[32], struct ambient_error *err)
{
	const char *from, *end;
	struct am_slice type;
	int rc;

	if (channel->in.len == 0)
		return 0;
	if (channel->scanned < channel->taken)
		channel->scanned = channel->taken;
	from = channel->in.data + channel->taken;
	end = memchr(channel->in.data + channel->scanned, '\n', channel->in.len - channel->scanned);
	if (end == NULL) {
		channel->scanned = channel->in.len;
		if (channel->in.len - channel->taken > channel->line_max)
			return ambient_err(err, AMBIENT_E_INVALID, "a line of the peer is longer than %zu bytes",
					   channel->line_max);
		return 0;
	}
	*line = am_slice(from, (size_t)(end - from));
	channel->taken = channel->scanned = (size_t)(end + 1 - channel->in.data);
	if (line->n > channel->line_max)
		return ambient_err(err, AMBIENT_E_INVALID, "a line of the peer is longer than %zu bytes",
				   channel->line_max);
	if ((rc = am_json_check(line->p, line->n, err)) < 0) {
		(void)am_err_prefix(err, "a line of the peer");
		return rc;
	}
	if (am_json_type(*line) != AMBIENT_T_OBJECT || !am_json_find(*line, "/t", &type) ||
	    am_json_type(type) != AMBIENT_T_STRING || type.n < 3 || type.n - 2 >= 32 ||
	    memchr(type.p, '\\', type.n) != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "a line of the peer is no object with a \"t\"");
	memcpy(t, type.p + 1, type.n - 2);
	t[type.n - 2] = '\0';
	return 1;
}

void
am_runner_channel_send(struct am_channel *channel, const char *json, size_t n)
{
	if (channel->fd < 0)
		return;
	am_buf_add(&channel->out, json, n);
	am_buf_addc(&channel->out, '\n');
	(void)am_runner_channel_flush(channel, NULL);
}

int
am_runner_channel_flush(struct am_channel *channel, struct ambient_error *err)
{
	if (channel->out.failed)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for what the peer is to get");
	while (channel->out.len > 0) {
		ssize_t n = send(channel->fd, channel->out.data, channel->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return am_err_errno(err, errno, "writing to the peer");
		am_buf_consume(&channel->out, (size_t)n);
	}
	return 0;
}
