/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's life: configuration, plugins, the API server that one of them may be, the client, servers, caches, lease,
 * workers; and the exact reverse.  Everything here runs on the loader thread; main only waits for signals.
 */
#ifndef AM_AMBIENTD_DAEMON_H
#define AM_AMBIENTD_DAEMON_H

#include "core/conf/conf.h"
#include "core/host/host.h"
#include "core/ops/ops.h"

struct am_daemon;

enum { AM_EXIT_OK = 0, AM_EXIT_FAILURE = 1, AM_EXIT_CONFIG = 2 };

struct am_daemon_options {
	const char *config;           /* path; NULL: defaults only */
	const char *const *sets;      /* ended by NULL; or NULL */
	const char *durability;       /* of the standalone API server; NULL: as configured */
};

struct am_daemon *am_daemon_new(const struct am_daemon_options *options);
void am_daemon_free(struct am_daemon *daemon);
/* Reads and checks the configuration, plugins included.  Prints every mistake to stderr.  An exit code. */
int am_daemon_configure(struct am_daemon *daemon);
/* Of the configuration: an enum am_log_format. */
int am_daemon_log_format(const struct am_daemon *daemon);
/* Prints the effective configuration with origins. */
void am_daemon_print(struct am_daemon *daemon);
/*
 * Prints rows of a manual page: the core's options, or those of the plugins in these files (ended by NULL), which are
 * loaded for it, not created.  An exit code; complaints go to stderr.
 */
int am_daemon_manual(char *const *paths);
/* Starts everything; returns when the workers run (or wait for the lease).  An exit code; 0 also when cancelled. */
int am_daemon_start(struct am_daemon *daemon);
/* A new generation of the configuration, or the old one and the reason in the log. */
void am_daemon_reload(struct am_daemon *daemon);
void am_daemon_stop(struct am_daemon *daemon);
/* After the stop: calls of plugins would not end and still use the process; it has to end by _exit. */
bool am_daemon_abandoned(const struct am_daemon *daemon);
/* The main thread's, before it tells systemd so: is the I/O thread alive?  True before it begins and while it stops. */
bool am_daemon_alive(struct am_daemon *daemon);
/* Any thread: start gives up as soon as it can. */
void am_daemon_cancel(struct am_daemon *daemon);

#endif
