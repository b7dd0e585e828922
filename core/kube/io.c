/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O thread: one loop over what was posted, which timers are due, what is to be done with curl's handles,
 * and curl itself.  curl says which sockets it waits for and until when; the loop polls them all, and shows curl only those
 * that are ready: asking each transfer whether it has something would cost a system call for each.
 *
 * Whoever posts wakes the thread through an eventfd, and only while it sleeps: `sleeping` changes under the same lock as
 * the posts.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/kube/io_priv.h"

#ifdef AM_TEST_HOOKS
#define POLL_MAX_MS  20 /* so that timers notice when the clock is moved */
#else
#define POLL_MAX_MS  10000
#endif
/* A clock that a test moves says nothing when it moves, so it is looked at. */
#define POLL_FAKE_MS 10
#define IDLE_CONNECTIONS 64
#define FDS 16 /* at first */

static __thread struct am_io *current;

static struct am_curl_io *
self(struct am_io *io)
{
	return AM_CONTAINER(io, struct am_curl_io, head);
}

static bool
on_thread(struct am_io *io)
{
	return current == io;
}

/* ---- timers */

static bool
earlier(const struct am_timer *a, const struct am_timer *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void
place(struct am_curl_io *io, size_t index, struct am_timer *timer)
{
	io->timers[index] = timer;
	timer->index = index;
}

static void
sift_up(struct am_curl_io *io, size_t i)
{
	struct am_timer *timer = io->timers[i];

	for (; i > 0 && earlier(timer, io->timers[(i - 1) / 2]); i = (i - 1) / 2)
		place(io, i, io->timers[(i - 1) / 2]);
	place(io, i, timer);
}

static void
sift_down(struct am_curl_io *io, size_t i)
{
	struct am_timer *timer = io->timers[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= io->timer_count)
			break;
		if (child + 1 < io->timer_count && earlier(io->timers[child + 1], io->timers[child]))
			child++;
		if (!earlier(io->timers[child], timer))
			break;
		place(io, i, io->timers[child]);
		i = child;
	}
	place(io, i, timer);
}

static void
heap_remove(struct am_curl_io *io, size_t i)
{
	struct am_timer *last = io->timers[--io->timer_count];

	if (i == io->timer_count)
		return;
	place(io, i, last);
	sift_up(io, i);
	sift_down(io, last->index);
}

static struct am_timer *
timer_new(struct am_io *head, int64_t at_boot, void (*fn)(void *), void *arg)
{
	struct am_curl_io *io = self(head);
	struct am_timer *timer = am_xcalloc(1, sizeof(*timer));

	am_assert(on_thread(head));
	if (io->timer_count == io->timer_cap) {
		io->timer_cap = AM_MAX(2 * io->timer_cap, (size_t)64);
		io->timers = am_xrealloc(io->timers, io->timer_cap, sizeof(struct am_timer *));
	}
	*timer = (struct am_timer){ .at = at_boot, .seq = io->timer_seq++, .fn = fn, .arg = arg };
	place(io, io->timer_count++, timer);
	sift_up(io, timer->index);
	return timer;
}

static void
timer_cancel(struct am_io *head, struct am_timer *timer)
{
	if (timer == NULL)
		return;
	am_assert(on_thread(head));
	heap_remove(self(head), timer->index);
	free(timer);
}

/* Those that are due now; what they add waits for the next round, so that a round ends. */
static void
run_timers(struct am_curl_io *io)
{
	int64_t now = am_clock_boot(io->head.clock);
	uint64_t until = io->timer_seq;

	while (io->timer_count > 0 && io->timers[0]->at <= now && io->timers[0]->seq < until) {
		struct am_timer timer = *io->timers[0];

		free(io->timers[0]);
		heap_remove(io, 0);
		timer.fn(timer.arg);
	}
}

/* ---- posts */

static void
wake(struct am_curl_io *io)
{
	(void)eventfd_write(io->fds[0].fd, 1);
}

static void
post(struct am_io *head, void (*fn)(void *), void *arg)
{
	struct am_curl_io *io = self(head);

	am_lock(&io->lock);
	if (io->post_count == io->post_cap) {
		io->post_cap = AM_MAX(2 * io->post_cap, (size_t)64);
		io->posts = am_xrealloc(io->posts, io->post_cap, sizeof(*io->posts));
	}
	io->posts[io->post_count++] = (struct am_post){ fn, arg };
	bool asleep = io->sleeping;
	io->sleeping = false;
	am_unlock(&io->lock);
	if (asleep)
		wake(io);
}

/* Returns whether the thread is to stop. */
static bool
run_posts(struct am_curl_io *io)
{
	am_lock(&io->lock);
	struct am_post *posts = io->posts;
	size_t n = io->post_count;
	bool stop = io->stop;
	io->posts = NULL;
	io->post_count = io->post_cap = 0;
	am_unlock(&io->lock);

	for (size_t i = 0; i < n; i++)
		posts[i].fn(posts[i].arg);
	free(posts);
	return stop;
}

static bool
has_posts(struct am_curl_io *io)
{
	am_lock(&io->lock);
	bool has = io->post_count > 0;
	am_unlock(&io->lock);
	return has;
}

/* ---- the loop */

void
am_io_add_work(struct am_transfer *t)
{
	struct am_curl_io *io = t->io;

	if (t->in_work)
		return;
	t->in_work = true;
	t->next_work = NULL;
	if (io->work_last != NULL)
		io->work_last->next_work = t;
	else
		io->work_first = t;
	io->work_last = t;
}

/* What the work itself adds waits for the next round. */
static void
run_work(struct am_curl_io *io)
{
	struct am_transfer *t = io->work_first;

	io->work_first = io->work_last = NULL;
	while (t != NULL) {
		struct am_transfer *next = t->next_work;

		t->in_work = false;
		am_transfer_work(t);
		t = next;
	}
}

/* ---- curl */

/* What curl waits for at a socket.  At any time, also from within curl_multi_socket_action. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct am_curl_io *io = arg;
	size_t i = 1;

	(void)easy;
	(void)socket_arg;
	while (i < io->fd_count && io->fds[i].fd != fd)
		i++;
	if (what == CURL_POLL_REMOVE) {
		if (i < io->fd_count)
			io->fds[i] = io->fds[--io->fd_count];
		return 0;
	}
	if (i == io->fd_count) {
		if (io->fd_count == io->fd_cap) {
			io->fd_cap *= 2;
			io->fds = am_xrealloc(io->fds, io->fd_cap, sizeof(*io->fds));
			io->ready = am_xrealloc(io->ready, io->fd_cap, sizeof(*io->ready));
		}
		io->fd_count++;
	}
	io->fds[i] = (struct pollfd){ .fd = fd, .events = (short)((what & CURL_POLL_IN ? POLLIN : 0) |
								   (what & CURL_POLL_OUT ? POLLOUT : 0)) };
	return 0;
}

/* Until when curl waits, by the real clock, whatever the loop's is. */
static int
on_timer(CURLM *multi, long ms, void *arg)
{
	struct am_curl_io *io = arg;

	(void)multi;
	io->curl_at = ms < 0 ? AM_FOREVER : am_clock_boot(am_clock_real()) + ms * AM_NS_PER_MS;
	return 0;
}

static bool
curl_due(const struct am_curl_io *io)
{
	return io->curl_at != AM_FOREVER && io->curl_at <= am_clock_boot(am_clock_real());
}

/* Shows curl what is ready.  A socket that it has let go of meanwhile it does not mind; trouble is told as what was waited
 * for, so that curl meets it and knows what it is. */
static void
run_sockets(struct am_curl_io *io, size_t ready)
{
	int running;

	for (size_t i = 0; i < ready; i++) {
		short got = io->ready[i].revents;

		if ((got & ~(POLLIN | POLLOUT)) != 0)
			got |= io->ready[i].events;
		(void)curl_multi_socket_action(io->multi, io->ready[i].fd, (got & POLLIN ? CURL_CSELECT_IN : 0) |
					       (got & POLLOUT ? CURL_CSELECT_OUT : 0), &running);
	}
}

/* What is due, and what has ended. */
static void
run_curl(struct am_curl_io *io)
{
	int running;
	int left;
	const CURLMsg *msg;

	if (curl_due(io)) {
		io->curl_at = AM_FOREVER;
		(void)curl_multi_socket_action(io->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	while ((msg = curl_multi_info_read(io->multi, &left)) != NULL) {
		struct am_transfer *t = NULL;
		CURLcode result = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		am_transfer_result(t, result);
	}
}

static int
poll_ms(struct am_curl_io *io)
{
	bool fake = io->head.clock != am_clock_real();
	int64_t ms = fake ? POLL_FAKE_MS : POLL_MAX_MS;

	if (io->work_first != NULL)
		return 0;
	if (io->curl_at != AM_FOREVER) {
		int64_t wait = io->curl_at - am_clock_boot(am_clock_real());

		ms = wait <= 0 ? 0 : AM_MIN(ms, wait / AM_NS_PER_MS + 1);
	}
	if (io->timer_count > 0) {
		int64_t wait = io->timers[0]->at - am_clock_boot(io->head.clock);

		ms = wait <= 0 ? 0 : fake ? ms : AM_MIN(ms, wait / AM_NS_PER_MS + 1);
	}
	return (int)ms;
}

/* Sleeps until there is something to do.  Returns how many sockets are ready, which are copied: while curl deals with one
 * it says anew what it waits for. */
static size_t
wait_for_work(struct am_curl_io *io)
{
	size_t ready = 0;
	int ms = poll_ms(io);

	am_lock(&io->lock);
	io->sleeping = ms > 0 && io->post_count == 0 && !io->stop;
	ms = io->sleeping ? ms : 0;
	am_unlock(&io->lock);
	int n = poll(io->fds, (nfds_t)io->fd_count, ms);
	if (ms > 0) {
		am_lock(&io->lock);
		io->sleeping = false;
		am_unlock(&io->lock);
	}
	if (n > 0 && io->fds[0].revents != 0)
		(void)eventfd_read(io->fds[0].fd, &(eventfd_t){ 0 });
	for (size_t i = 1; n > 0 && i < io->fd_count; i++) {
		if (io->fds[i].revents != 0)
			io->ready[ready++] = io->fds[i];
	}
	return ready;
}

/* Everything that waits for an end gets one: posts may start transfers, whose end may post.  Who starts again
 * because of CANCELLED has not understood it. */
static void
drain(struct am_curl_io *io)
{
	for (int round = 0; has_posts(io) || io->transfers != NULL; round++) {
		am_assert(round < 1000);
		(void)run_posts(io);
		for (struct am_transfer *t = io->transfers; t != NULL; t = t->next)
			if (!t->over)
				am_transfer_cancel(&io->head, t); /* frees nothing; new ones come in front */
		run_work(io);
	}
	while (io->timer_count > 0)
		free(io->timers[--io->timer_count]);
}

static void
loop(void *arg)
{
	struct am_curl_io *io = arg;

	current = &io->head;
	for (size_t ready = 0; !run_posts(io); ready = wait_for_work(io)) {
		run_timers(io);
		run_sockets(io, ready);
		run_work(io);
		run_curl(io);
		run_work(io); /* what has ended goes before the thread sleeps */
	}
	drain(io);
	current = NULL;
}

static const struct am_io_ops ops = {
	.start = am_transfer_start,
	.cancel = am_transfer_cancel,
	.timer = timer_new,
	.timer_cancel = timer_cancel,
	.post = post,
	.on_thread = on_thread,
	.resume = am_transfer_resume,
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void
init_curl(void)
{
	curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void
release(struct am_curl_io *io)
{
	am_exec_free(io->exec); /* its last act may be to post */
	while (io->spare_count > 0)
		curl_easy_cleanup(io->spares[--io->spare_count]);
	if (io->multi != NULL)
		(void)curl_multi_cleanup(io->multi);
	(void)curl_share_cleanup(io->alone);
	am_token_fini(&io->token);
	am_ca_fini(&io->ca);
	am_map_free(io->warnings);
	am_lock_fini(&io->lock);
	if (io->fds[0].fd >= 0)
		(void)close(io->fds[0].fd);
	free(io->fds);
	free(io->ready);
	free(io->timers);
	free(io->posts);
	free(io->user_agent);
	free(io);
}

struct am_io *
am_curl_io_new(const struct am_kube_config *config, const struct am_kube_options *options, struct ambient_error *err)
{
	struct am_curl_io *io = am_xcalloc(1, sizeof(*io));
	double qps = options->qps == 0 ? 50 : options->qps;

	(void)pthread_once(&curl_once, init_curl);
	io->head.ops = &ops;
	io->head.clock = options->clock != NULL ? options->clock : am_clock_real();
	io->config = config;
	io->user_agent = am_xasprintf("User-Agent: %s", options->user_agent != NULL ? options->user_agent : "ambient");
	io->token.path = config->token_file;
	io->ca.path = config->ca_file;
	am_rate_init(&io->rate, qps, options->burst > 0 ? options->burst : 100, am_clock_boot(io->head.clock));
	am_lock_init(&io->lock, "kube-io");
	io->fd_cap = FDS;
	io->fds = am_xcalloc(io->fd_cap, sizeof(*io->fds));
	io->ready = am_xcalloc(io->fd_cap, sizeof(*io->ready));
	io->fds[io->fd_count++] = (struct pollfd){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = POLLIN };
	io->curl_at = AM_FOREVER;
	io->multi = curl_ready == CURLE_OK ? curl_multi_init() : NULL;
	if (io->multi == NULL || io->fds[0].fd < 0) {
		release(io);
		(void)ambient_err(err, AMBIENT_E_NOMEM, "libcurl does not start");
		return NULL;
	}
	(void)curl_multi_setopt(io->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(io->multi, CURLMOPT_SOCKETDATA, io);
	(void)curl_multi_setopt(io->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	(void)curl_multi_setopt(io->multi, CURLMOPT_TIMERDATA, io);
	if (config->exec != NULL)
		io->exec = am_exec_new(&io->head, config->exec, options->interactive, am_transfers_credential, io);
	/* With a person at the terminal now is the time: a request would not wait for them. */
	if (io->exec != NULL && options->interactive && am_exec_first(io->exec, err) < 0) {
		release(io);
		return NULL;
	}
	io->http2 = options->http2;
	/* An answer of HTTP/1.1 makes curl forget that others of the same pool can share a connection. */
	io->alone = io->http2 ? curl_share_init() : NULL;
	if (io->alone != NULL)
		(void)curl_share_setopt(io->alone, CURLSHOPT_SHARE, (long)CURL_LOCK_DATA_CONNECT);
	(void)curl_multi_setopt(io->multi, CURLMOPT_PIPELINING, (long)(io->http2 ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING));
	(void)curl_multi_setopt(io->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	io->thread = am_thread_new("kube-io", 0, loop, io);
	if (io->thread == NULL) {
		release(io);
		(void)ambient_err(err, AMBIENT_E_NOMEM, "cannot start the I/O thread");
		return NULL;
	}
	return &io->head;
}

void
am_curl_io_free(struct am_io *head)
{
	struct am_curl_io *io = self(head);

	am_lock(&io->lock);
	io->stop = true;
	am_unlock(&io->lock);
	/* Its poll may not have begun: the wakeup is remembered until it does. */
	wake(io);
	am_thread_join(io->thread);
	release(io);
}
