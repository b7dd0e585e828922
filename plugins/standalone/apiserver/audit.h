/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: for each request that a policy chooses, one line, an Event of audit.k8s.io/v1.
 *
 *   audit.c         which rule holds for a request, and what the event says
 *   audit_file.c    the file: a bounded queue, one thread that writes, rotation
 */
#ifndef AM_APISERVER_AUDIT_H
#define AM_APISERVER_AUDIT_H

#include "plugins/standalone/apiserver/rest.h"

enum audit_level { AUDIT_NONE, AUDIT_METADATA, AUDIT_REQUEST, AUDIT_REQUEST_RESPONSE };

/* A rule holds for a request when each list that is not empty holds. */
struct audit_rule {
	enum audit_level level;
	const char *const *users, *const *groups, *const *verbs, *const *resources, *const *namespaces, *const *paths;
};

/* "None", "Metadata", "Request", "RequestResponse"; -1. */
int audit_level_parse(const char *text);
/* The level of the first rule that holds, else fallback. */
enum audit_level audit_level_of(const struct audit_rule *rules, size_t n, enum audit_level fallback,
				const struct rest_call *call);

struct audit_file_options {
	const char *path;
	int64_t max_size;  /* bytes, after which another file is begun; 0: never */
	int64_t backups;   /* FILE.1 ... FILE.N are kept */
	size_t queue;      /* bytes that may wait for the disk; 0: 8 MiB */
};

struct audit_file;

int audit_file_open(const struct audit_file_options *options, struct audit_file **ret, struct ambient_error *err);
/* Writes what is queued. */
void audit_file_close(struct audit_file *file);
/* A line with its line feed.  When the queue is full, waits for at most two seconds (patient), then drops it, which is
 * counted and logged. */
void audit_file_add(struct audit_file *file, const struct am_buf *line, bool patient);
uint64_t audit_file_dropped(struct audit_file *file);

#endif
