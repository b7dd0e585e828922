/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this folder: what a shared object holds, read from its bytes. */
#ifndef AM_PLUGIN_PRIV_H
#define AM_PLUGIN_PRIV_H

#include "core/plugin/plugin.h"

enum {
	PLUGIN_FILE_MAX = 256 << 20,
	PLUGIN_DECL_MAX = 64 << 10,
	PLUGIN_ABI_MAX = 9,      /* symbols ambient_plugin_v1 to v9 are known to be ours */
	PLUGIN_ENTRIES_MAX = 64  /* reconcilers, runner types, servers of one plugin */
};

/* Everything points into the bytes that were given. */
struct plugin_elf {
	const char *decl; /* the section "ambient_plugin"; NULL: there is none */
	size_t decl_len;
	int abi;                    /* N of a defined dynamic symbol ambient_plugin_vN, ours first; -1: none */
	bool has_jansson;           /* defines json_object_get, in its dynamic or its static symbols */
	const char *runpath, *rpath;/* NULL: none */
};

/* The message of err fits behind `plugin "path" `.  Never reads outside of data, whatever is in it. */
int am_plugin_elf_parse(const char *data, size_t n, struct plugin_elf *ret, struct ambient_error *err);
/* Parsed and judged: declarations there and right, symbol of this ABI, no jansson. */
int am_plugin_inspect_bytes(const char *path, const char *data, size_t n, struct am_plugin_info *ret,
			    struct plugin_elf *ret_elf, struct ambient_error *err);
int am_plugin_read_fd(int fd, const char *path, struct am_buf *out, struct ambient_error *err);
/* Its RUNPATH and RPATH may only name directories that nobody else can write to. */
int am_plugin_verify_runpath(const char *path, const struct plugin_elf *elf, struct ambient_error *err);

#endif
