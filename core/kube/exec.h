/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential plugins: programs that a kubeconfig names and that print a token or a client certificate.  exec_spec.c is
 * what is said to them and by them, exec.c runs them.
 */
#ifndef AM_KUBE_EXEC_H
#define AM_KUBE_EXEC_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/data/node.h"
#include "core/kube/io.h"

enum am_exec_mode { AM_EXEC_IF_AVAILABLE, AM_EXEC_NEVER, AM_EXEC_ALWAYS };

struct am_exec_spec {
	char **argv;           /* the command first, ended by NULL */
	char **env;            /* "NAME=value" besides this process's, ended by NULL */
	char *api_version;     /* "client.authentication.k8s.io/v1" */
	char *install_hint;    /* or NULL */
	char *cluster;         /* JSON of spec.cluster in what it is told, or NULL */
	enum am_exec_mode mode;
	bool provide_cluster;
};

/* The value of "exec" of a user; dir is what a relative command is relative to. */
int am_exec_spec_parse(const struct am_node *exec, const char *dir, struct am_exec_spec **ret, struct ambient_error *err);
void am_exec_spec_free(struct am_exec_spec *spec);
/* The value of KUBERNETES_EXEC_INFO. */
void am_exec_spec_info(const struct am_exec_spec *spec, bool interactive, struct am_buf *out);

struct am_credential {
	char *token;           /* or NULL */
	char *cert, *key;      /* PEM; both or none */
	int64_t expires;       /* wall time; AM_FOREVER: not before the API server refuses it */
};
void am_credential_fini(struct am_credential *credential);
int am_exec_answer(const struct am_exec_spec *spec, const char *text, size_t n, struct am_credential *ret,
		   struct ambient_error *err);

struct am_exec;
/* told is called on the I/O thread whenever a run that somebody waits for has ended. */
struct am_exec *am_exec_new(struct am_io *io, const struct am_exec_spec *spec, bool interactive, void (*told)(void *arg),
			    void *arg);
void am_exec_free(struct am_exec *exec); /* ends a program that runs; after the I/O thread */
/* Runs it on the caller's thread, before the I/O thread begins: with a person at the terminal it may take its time. */
int am_exec_first(struct am_exec *exec, struct ambient_error *err);
/* The rest on the I/O thread.  1: there is a credential, borrowed until the next call; 0: told will be called; else why
 * there is none. */
int am_exec_get(struct am_exec *exec, const struct am_credential **ret, uint64_t *ret_generation, struct ambient_error *err);
/* The API server answered 401 to the credential of that generation. */
void am_exec_drop(struct am_exec *exec, uint64_t generation);

#endif
