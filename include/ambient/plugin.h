/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin exports: one data symbol, ambient_plugin_v1, and its declarations as text in the ELF section
 * "ambient_plugin", which the descriptor points at.  Tables start with their size and only ever grow at
 * their end; a member that is NULL is not implemented; arrays are arrays of pointers ended by NULL.
 *
 * Declarations, one "key=value" per NUL-terminated string (doc/plugin.md has the whole grammar):
 *
 *   name=widget                  [a-z0-9-]{1,40}; also the default instance name        (required, first)
 *   version=1.0.0                of the plugin                                            (required)
 *   provides=cluster             this plugin's server is the API server that the daemon then uses
 *   reconciler=NAME              opens a section: the for/owns/watch/index lines after it belong to NAME;
 *                                without one they belong to the only reconciler of the plugin
 *   for=group/version/plural [when=W]
 *                                the kind reconciled ("v1/pods" for the core group)
 *   owns=KIND [when=W]           children by controller owner reference wake their owner
 *   watch=KIND [selector=L=V] [field=P=V] [only=metadata|POINTER,...] [map=self|namespace|label:KEY|annotation:KEY|all]
 *              [index=NAME] [when=W]
 *                                W: generation, labels, annotations, POINTER, with commas between: an update counts only
 *                                when one of them has changed
 *                                changes of these wake the object that map names; namespace: every for-object in the
 *                                namespace of the changed object, and of a changed Namespace in that namespace; only: what
 *                                is kept of each object besides its metadata
 *   index=NAME:POINTER           a lookup over the for-kind
 *   may=KIND[/SUB]:verb[,verb]   what it may ask of the API beyond reading what it watches
 *   may=KIND[NAME,...]:bind      the same for certain objects: bind, escalate and impersonate only
 *   runner=TYPE                  a runner type that it provides
 *   server=NAME                  a server that it provides
 *   needs=network|jansson        what its host must grant
 */
#ifndef AMBIENT_PLUGIN_H
#define AMBIENT_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include <ambient/conf.h>
#include <ambient/error.h>
#include <ambient/host.h>
#include <ambient/object.h>
#include <ambient/reconciler.h>
#include <ambient/runner.h>
#include <ambient/server.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AMBIENT_PLUGIN_MAGIC 0x416d6250u /* "AmbP" */
#define AMBIENT_ABI_MAJOR    1
#define AMBIENT_ABI_MINOR    0

struct ambient_plugin {
	/* These four never move, whatever the version. */
	uint32_t magic;
	uint16_t abi_major, abi_minor; /* what it was built against */
	uint32_t size;                 /* sizeof(struct ambient_plugin) there */
	uint32_t flags;                /* 0 */

	const char *decl; /* the strings in section "ambient_plugin" */
	size_t decl_len;
	const struct ambient_option *const *options; /* NULL: takes no configuration */

	/* Life cycle, on a loader thread; each may block for 30 s.  All but create may be NULL.
	 * check:   is this configuration sensible?  Creates nothing, talks to nobody.
	 * create:  makes an instance; host and conf stay valid until destroy returns.
	 * reload:  takes a new configuration or refuses it and keeps the old one.  Reconciles go on meanwhile, on their
	 *          own threads; when a later instance refuses, the old configuration is handed in again.
	 * stop:    no callback runs or will run (a plugin with a reconcile that does not end is not asked); end threads and children that must not outlive the daemon.
	 * destroy: releases everything. */
	int (*check)(const struct ambient_host *host, const struct ambient_conf *conf, struct ambient_error *err);
	int (*create)(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self,
		      struct ambient_error *err);
	int (*reload)(void *self, const struct ambient_conf *conf, struct ambient_error *err);
	void (*stop)(void *self);
	void (*destroy)(void *self);

	/* What it provides; each NULL or ended by NULL. */
	const struct ambient_reconciler *const *reconcilers;
	const struct ambient_runner *const *runners;
	const struct ambient_server *const *servers;
};

#if defined(__cplusplus)
#define AMBIENT_PLUGIN_LINKAGE_ extern "C"
#else
#define AMBIENT_PLUGIN_LINKAGE_ extern
#endif

/* Declarations: AMBIENT_DECLARE("name=widget\0" "version=1.0.0\0" ...); */
#define AMBIENT_DECLARE(text)                                                                       \
	static const char ambient_declarations_[]                                                   \
		__attribute__((section("ambient_plugin"), used, retain, aligned(1))) = text

/* Head of the descriptor: const struct ambient_plugin ambient_plugin_v1 = { AMBIENT_PLUGIN_HEAD, ... }; */
#define AMBIENT_PLUGIN_HEAD                                                                         \
	.magic = AMBIENT_PLUGIN_MAGIC, .abi_major = AMBIENT_ABI_MAJOR, .abi_minor = AMBIENT_ABI_MINOR, \
	.size = sizeof(struct ambient_plugin), .flags = 0, .decl = ambient_declarations_,           \
	.decl_len = sizeof(ambient_declarations_)

AMBIENT_PLUGIN_LINKAGE_ __attribute__((visibility("default"))) const struct ambient_plugin ambient_plugin_v1;

#ifdef __cplusplus
}
#endif
#endif
