/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk for SQLite that does what disks do: it is full, refuses to be written, or loses its power.  It lies over the
 * system's own VFS as the default one; everything below the given directory's files goes through it.
 */
#ifndef TESTS_LIB_VFS_FAKE_H
#define TESTS_LIB_VFS_FAKE_H

#include <stdbool.h>
#include <stdint.h>

void vfs_fake_install(void); /* then everything is as without it */
/* Bytes that all open files together may have; 0: no limit. */
void vfs_fake_capacity(int64_t bytes);
int64_t vfs_fake_used(void);
/* Each write, sync and truncation fails with this SQLite code from now on; 0: works. */
void vfs_fake_refuse(int code);
/* The power goes when so many more syncs have been asked for: of what was written since a file's last sync, some
 * sectors reach the disk and some do not, in no order; then the process ends with VFS_FAKE_CUT.  seed decides which. */
void vfs_fake_cut_after(unsigned syncs, uint64_t seed);
#define VFS_FAKE_CUT 77

#endif
