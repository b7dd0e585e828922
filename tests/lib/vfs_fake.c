/* SPDX-License-Identifier: Apache-2.0 */
/* The VFS of vfs_fake.h: sizes are counted, and what was not synced is remembered as what was there before. */
#include "tests/lib/vfs_fake.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

/* A write that was not synced: what was there before. */
struct undo {
	struct fake_file *file;
	sqlite3_int64 at, size; /* size: of the file before it */
	int n;
	char *old;              /* n bytes; shorter files are filled with zeros */
	struct undo *next;      /* the one before */
};

struct fake_file {
	sqlite3_file base;
	char path[256];
	sqlite3_int64 size;
	struct fake_file *next;
	sqlite3_file *real;
};

static struct {
	pthread_mutex_t lock;
	sqlite3_vfs *real;
	struct fake_file *files;
	struct undo *undo; /* the last one first */
	int64_t capacity;
	int refuse;
	bool cutting;
	unsigned syncs;
	uint64_t seed;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int64_t
used(void)
{
	int64_t sum = 0;

	for (const struct fake_file *f = disk.files; f != NULL; f = f->next)
		sum += f->size;
	return sum;
}

static bool
fits(const struct fake_file *f, sqlite3_int64 size)
{
	return disk.capacity == 0 || size <= f->size || used() - f->size + size <= disk.capacity;
}

/* ---- the power ---- */

static void
remember(struct fake_file *f, sqlite3_int64 at, int n)
{
	struct undo *u = calloc(1, sizeof(*u));

	*u = (struct undo){ .file = f, .at = at, .size = f->size, .n = n, .old = calloc(1, (size_t)n + 1), .next = disk.undo };
	(void)f->real->pMethods->xRead(f->real, u->old, n, at);
	disk.undo = u;
}

/* NULL: of all files. */
static void
forget(const struct fake_file *f)
{
	for (struct undo **at = &disk.undo; *at != NULL;) {
		struct undo *u = *at;
		if (f != NULL && u->file != f) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		free(u->old);
		free(u);
	}
}

static uint64_t
roll(void)
{
	disk.seed ^= disk.seed << 13;
	disk.seed ^= disk.seed >> 7;
	disk.seed ^= disk.seed << 17;
	return disk.seed;
}

static void
cut(void)
{
	unsigned style = (unsigned)(roll() % 3); /* all is lost, half of it, only the last write's tail */

	for (const struct undo *u = disk.undo; u != NULL; u = u->next) {
		int fd = open(u->file->path, O_RDWR | O_CLOEXEC);
		for (int at = 0; at < u->n; at += SECTOR) {
			int n = u->n - at < SECTOR ? u->n - at : SECTOR;
			bool lost = style == 0 || (style == 1 && roll() % 2 == 0) || (style == 2 && u == disk.undo && at >= u->n / 2);
			if (lost && pwrite(fd, u->old + at, (size_t)n, u->at + at) != n)
				_exit(VFS_FAKE_CUT + 1);
		}
		if (style == 0 && ftruncate(fd, u->size) < 0)
			_exit(VFS_FAKE_CUT + 1);
		close(fd);
	}
	_exit(VFS_FAKE_CUT);
}

/* ---- the file's methods ---- */

#define REAL(f) ((struct fake_file *)(void *)(f))->real
#define DOWN(f, method, ...) REAL(f)->pMethods->method(REAL(f), ##__VA_ARGS__)

static int
fake_close(sqlite3_file *base)
{
	struct fake_file *f = (struct fake_file *)(void *)base;

	pthread_mutex_lock(&disk.lock);
	forget(f);
	for (struct fake_file **at = &disk.files; *at != NULL; at = &(*at)->next)
		if (*at == f) {
			*at = f->next;
			break;
		}
	pthread_mutex_unlock(&disk.lock);
	return DOWN(base, xClose);
}

static int
fake_read(sqlite3_file *f, void *data, int n, sqlite3_int64 at)
{
	return DOWN(f, xRead, data, n, at);
}

static int
fake_write(sqlite3_file *base, const void *data, int n, sqlite3_int64 at)
{
	struct fake_file *f = (struct fake_file *)(void *)base;
	int rc;

	pthread_mutex_lock(&disk.lock);
	if (disk.refuse != 0) {
		rc = disk.refuse;
	} else if (!fits(f, at + n)) {
		rc = SQLITE_FULL;
	} else {
		if (disk.cutting)
			remember(f, at, n);
		rc = DOWN(base, xWrite, data, n, at);
		if (rc == SQLITE_OK && f->size < at + n)
			f->size = at + n;
	}
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static int
fake_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct fake_file *f = (struct fake_file *)(void *)base;

	pthread_mutex_lock(&disk.lock);
	/* A journaling file system keeps the order of sizes and of what was synced before. */
	int rc = disk.refuse != 0 ? disk.refuse : DOWN(base, xTruncate, size);
	(void)DOWN(base, xFileSize, &f->size);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static int
fake_sync(sqlite3_file *base, int flags)
{
	struct fake_file *f = (struct fake_file *)(void *)base;

	pthread_mutex_lock(&disk.lock);
	int rc = disk.refuse;
	if (rc == 0 && disk.cutting && disk.syncs-- == 0)
		cut();
	if (rc == 0)
		rc = DOWN(base, xSync, flags);
	if (rc == 0)
		forget(f);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static int
fake_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return DOWN(f, xFileSize, size);
}

static int
fake_lock(sqlite3_file *f, int how)
{
	return DOWN(f, xLock, how);
}

static int
fake_unlock(sqlite3_file *f, int how)
{
	return DOWN(f, xUnlock, how);
}

static int
fake_reserved(sqlite3_file *f, int *ret)
{
	return DOWN(f, xCheckReservedLock, ret);
}

static int
fake_control(sqlite3_file *base, int op, void *arg)
{
	struct fake_file *f = (struct fake_file *)(void *)base;
	int rc;

	if (op != SQLITE_FCNTL_SIZE_HINT)
		return DOWN(base, xFileControl, op, arg);
	pthread_mutex_lock(&disk.lock);
	rc = disk.refuse != 0 ? disk.refuse : fits(f, *(sqlite3_int64 *)arg) ? DOWN(base, xFileControl, op, arg) : SQLITE_FULL;
	(void)DOWN(base, xFileSize, &f->size);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static int
fake_sector(sqlite3_file *f)
{
	(void)f;
	return SECTOR;
}

static int
fake_character(sqlite3_file *f)
{
	return DOWN(f, xDeviceCharacteristics);
}

static int
fake_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
	return DOWN(f, xShmMap, page, size, extend, ret);
}

static int
fake_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return DOWN(f, xShmLock, offset, n, flags);
}

static void
fake_shm_barrier(sqlite3_file *f)
{
	DOWN(f, xShmBarrier);
}

static int
fake_shm_unmap(sqlite3_file *f, int del)
{
	return DOWN(f, xShmUnmap, del);
}

static const sqlite3_io_methods methods = {
	2, fake_close, fake_read, fake_write, fake_truncate, fake_sync, fake_size, fake_lock, fake_unlock, fake_reserved,
	fake_control, fake_sector, fake_character, fake_shm_map, fake_shm_lock, fake_shm_barrier, fake_shm_unmap,
	NULL, NULL,
};

static int
fake_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *base, int flags, int *out)
{
	struct fake_file *f = (struct fake_file *)(void *)base;

	(void)vfs;
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(void *)(f + 1);
	int rc = disk.real->xOpen(disk.real, name, f->real, flags, out);
	if (rc != SQLITE_OK)
		return rc;
	f->base.pMethods = &methods;
	if (name != NULL)
		strncpy(f->path, name, sizeof(f->path) - 1);
	(void)f->real->pMethods->xFileSize(f->real, &f->size);
	pthread_mutex_lock(&disk.lock);
	f->next = disk.files;
	disk.files = f;
	pthread_mutex_unlock(&disk.lock);
	return SQLITE_OK;
}

void
vfs_fake_install(void)
{
	static sqlite3_vfs vfs;

	if (disk.real != NULL)
		return;
	disk.real = sqlite3_vfs_find(NULL);
	vfs = *disk.real;
	vfs.zName = "fake";
	vfs.szOsFile = (int)sizeof(struct fake_file) + disk.real->szOsFile;
	vfs.xOpen = fake_open;
	sqlite3_vfs_register(&vfs, 1);
}

void
vfs_fake_capacity(int64_t bytes)
{
	pthread_mutex_lock(&disk.lock);
	disk.capacity = bytes;
	pthread_mutex_unlock(&disk.lock);
}

int64_t
vfs_fake_used(void)
{
	pthread_mutex_lock(&disk.lock);
	int64_t n = used();
	pthread_mutex_unlock(&disk.lock);
	return n;
}

void
vfs_fake_refuse(int code)
{
	pthread_mutex_lock(&disk.lock);
	disk.refuse = code;
	pthread_mutex_unlock(&disk.lock);
}

void
vfs_fake_cut_after(unsigned syncs, uint64_t seed)
{
	pthread_mutex_lock(&disk.lock);
	disk.cutting = true;
	disk.syncs = syncs;
	disk.seed = seed | 1;
	pthread_mutex_unlock(&disk.lock);
}
