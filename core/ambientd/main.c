/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambientd: arguments, signals, exit codes.  Main only waits for signals; the daemon's life runs on the loader thread, so
 * that a signal is answered also while plugins are being created.
 */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/ambientd/daemon.h"
#include "core/base/clock.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"

static const char help[] =
	"Usage: ambientd [OPTION...]\n"
	"Runs AI coding agents as Kubernetes work: loads plugins, watches the API server, reconciles.\n"
	"\n"
	"  -c, --config FILE      configuration; default " AM_SYSCONFDIR "/ambient.conf\n"
	"  -s, --set PATH=VALUE   override one value, e.g. -s log.level=debug; may be repeated\n"
	"      --durability MODE  of a standalone API server: power, a write that was answered survives a power cut, or\n"
	"                         process, the last ones may not; default as configured\n"
	"      --check-config     load configuration and plugins, print every mistake, start nothing\n"
	"      --print-config     print the effective configuration with the origin of each value\n"
	"      --manual [FILE...] print the options of the configuration file, or of these plugins, as rows of a manual page\n"
	"  -h, --help             this text\n"
	"  -V, --version          the version\n"
	"\n"
	"Signals: TERM and INT stop (a second one at once), HUP reloads the configuration.\n"
	"Exit status: 0 stopped as asked, 1 failure, 2 wrong usage or configuration.\n"
	"See ambientd(8), ambient.conf(5).\n";

enum action { RUN, CHECK, PRINT };

struct arguments {
	struct am_daemon_options daemon;
	const char **sets;
	size_t set_count;
	enum action action;
};

static int
usage_error(void)
{
	(void)fputs("Try \"ambientd --help\".\n", stderr);
	return AM_EXIT_CONFIG;
}

/* -1: go on; else the exit code. */
static int
parse_arguments(int argc, char **argv, struct arguments *a)
{
	enum { CHECK_CONFIG = 256, PRINT_CONFIG, MANUAL, DURABILITY };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },	   { "set", required_argument, NULL, 's' },
		{ "check-config", no_argument, NULL, CHECK_CONFIG }, { "print-config", no_argument, NULL, PRINT_CONFIG },
		{ "manual", no_argument, NULL, MANUAL },	   { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },		   { "durability", required_argument, NULL, DURABILITY },
		{ NULL, 0, NULL, 0 },
	};
	static const char standard[] = AM_SYSCONFDIR "/ambient.conf";

	a->daemon.config = access(standard, F_OK) == 0 ? standard : NULL;
	for (int c; (c = getopt_long(argc, argv, "c:s:hV", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			a->daemon.config = optarg;
			break;
		case 's':
			a->sets = am_xrealloc(a->sets, a->set_count + 2, sizeof(*a->sets));
			a->sets[a->set_count++] = optarg;
			a->sets[a->set_count] = NULL;
			break;
		case DURABILITY:
			if (!am_streq(optarg, "power") && !am_streq(optarg, "process")) {
				(void)fprintf(stderr, "ambientd: --durability is \"power\" or \"process\", not \"%s\"\n", optarg);
				return usage_error();
			}
			a->daemon.durability = optarg;
			break;
		case CHECK_CONFIG:
			a->action = CHECK;
			break;
		case PRINT_CONFIG:
			a->action = PRINT;
			break;
		case MANUAL:
			return am_daemon_manual(argv + optind);
		case 'h':
			(void)fputs(help, stdout);
			return AM_EXIT_OK;
		case 'V':
			(void)puts("ambientd " PACKAGE_VERSION);
			return AM_EXIT_OK;
		default:
			return usage_error();
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "ambientd: \"%s\" is not expected here\n", argv[optind]);
		return usage_error();
	}
	a->daemon.sets = a->sets;
	return -1;
}

/* ---- the loader thread */

enum { ASK_NOTHING, ASK_RELOAD, ASK_STOP };

struct loader {
	struct am_daemon *daemon;
	int done;                /* eventfd: the loader has ended */
	struct am_lock lock;     /* guards asked */
	struct am_cond wake;
	int asked, exit_code;
};

static int
next_request(struct loader *l)
{
	am_lock(&l->lock);
	while (l->asked == ASK_NOTHING)
		(void)am_cond_wait(&l->wake, &l->lock, AM_FOREVER);
	int asked = l->asked;
	if (asked != ASK_STOP)
		l->asked = ASK_NOTHING;
	am_unlock(&l->lock);
	return asked;
}

static void
ask(struct loader *l, int what)
{
	am_lock(&l->lock);
	if (l->asked != ASK_STOP)
		l->asked = what;
	am_cond_signal(&l->wake);
	am_unlock(&l->lock);
}

static void
run_daemon(void *arg)
{
	struct loader *l = arg;
	uint64_t one = 1;

	l->exit_code = am_daemon_start(l->daemon);
	if (l->exit_code == AM_EXIT_OK) {
		while (next_request(l) != ASK_STOP)
			am_daemon_reload(l->daemon);
	}
	am_daemon_stop(l->daemon);
	(void)!write(l->done, &one, sizeof(one));
}

static void
on_signal(struct loader *l, int signals)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		ask(l, ASK_RELOAD);
		return;
	}
	static int times;
	if (++times > 1) {
		am_log_warn("ambientd", "asked again to stop: ending at once");
		am_log_fini();
		_exit(AM_EXIT_FAILURE);
	}
	am_daemon_cancel(l->daemon);
	ask(l, ASK_STOP);
}

static int
attend(struct loader *l, int signals)
{
	const int64_t watchdog = am_notify_watchdog();
	int64_t next = am_clock_boot(am_clock_real());

	for (;;) {
		struct pollfd p[2] = { { signals, POLLIN, 0 }, { l->done, POLLIN, 0 } };
		int64_t left = next - am_clock_boot(am_clock_real());
		if (watchdog > 0 && left <= 0) {
			if (am_daemon_alive(l->daemon))
				am_notify("WATCHDOG=1");
			left = watchdog;
			next = am_clock_boot(am_clock_real()) + watchdog;
		}
		if (poll(p, 2, watchdog > 0 ? (int)(left / AM_NS_PER_MS) + 1 : -1) < 0 && errno != EINTR)
			return AM_EXIT_FAILURE;
		if (p[0].revents != 0)
			on_signal(l, signals);
		if (p[1].revents != 0)
			return l->exit_code;
	}
}

static int
run(struct am_daemon *daemon, int signals)
{
	struct loader l = { .daemon = daemon, .done = eventfd(0, EFD_CLOEXEC) };

	am_lock_init(&l.lock, "loader");
	am_cond_init(&l.wake, am_clock_real());
	struct am_thread *thread = am_thread_new("loader", 8 << 20, run_daemon, &l);
	if (thread == NULL || l.done < 0) {
		am_log_error("ambientd", "cannot start a thread: %s", strerror(errno));
		return AM_EXIT_FAILURE;
	}
	int rc = attend(&l, signals);
	am_thread_join(thread);
	am_cond_fini(&l.wake);
	am_lock_fini(&l.lock);
	(void)close(l.done);
	return rc;
}

static int
block_signals(void)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int
main(int argc, char **argv)
{
	struct arguments a = { .action = RUN };
	int rc = parse_arguments(argc, argv, &a);

	if (rc >= 0) {
		free(a.sets);
		return rc;
	}
	/* Workers allocate little and free it at once; an arena for each of them would only keep memory. */
	(void)mallopt(M_ARENA_MAX, 2);
	/* A long list's text goes back to the system; left alone, the limit grows until the heap keeps it. */
	(void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
	int signals = block_signals();
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	struct am_daemon *daemon = am_daemon_new(&a.daemon);
	rc = am_daemon_configure(daemon);
	if (a.action == PRINT)
		am_daemon_print(daemon);
	if (a.action == CHECK && rc == AM_EXIT_OK)
		(void)puts("the configuration is fine");
	if (a.action == RUN && rc == AM_EXIT_OK) {
		am_log_init((enum am_log_format)am_daemon_log_format(daemon), am_log_level());
		rc = run(daemon, signals);
	}
	if (am_daemon_abandoned(daemon)) {
		/* Threads that run plugin code are left: what exit() would tear down is still in use. */
		am_log_fini();
		_exit(rc);
	}
	am_daemon_free(daemon);
	free(a.sets);
	am_log_fini();
	curl_global_cleanup();
	return rc;
}
