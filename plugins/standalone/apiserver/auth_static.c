/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users with tokens of their own: from users.csv in the state directory, which `ambientctl user` writes, and from the
 * configured token file.  A file that has changed is read again before the next token is looked up, so that who was
 * removed is out at once; one that is broken is told once and leaves the list as it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/kube/users.h"
#include "plugins/standalone/apiserver/rest.h"

#define FILES 2
#define GLANCE (20 * AM_NS_PER_MS)

struct file {
	char *path;               /* NULL: none */
	bool must;                /* it is an error when it is not there */
	struct am_users users;
	struct timespec changed;  /* of what was read, or looked at in vain */
	off_t size;
	ino_t inode;
	bool there;
};

struct rest_static {
	struct am_lock lock;      /* guards what follows */
	struct file files[FILES];
	struct am_map *by_hash;   /* -> struct am_user, of the files' lists */
	int64_t looked;           /* boot time of the last look at the files */
};

static bool
is_new(struct file *f)
{
	struct stat st = { 0 };
	bool there = f->path != NULL && stat(f->path, &st) == 0;
	bool same = there == f->there && (!there || (st.st_ino == f->inode && st.st_size == f->size &&
						     st.st_ctim.tv_sec == f->changed.tv_sec &&
						     st.st_ctim.tv_nsec == f->changed.tv_nsec));

	f->there = there;
	f->inode = st.st_ino;
	f->size = st.st_size;
	f->changed = st.st_ctim;
	return !same;
}

static int
read_file(struct file *f, struct ambient_error *err)
{
	struct am_users users = { 0 };
	struct am_buf text = { 0 };
	struct stat st;
	int rc = 0;

	if (f->path == NULL || (!f->must && stat(f->path, &st) < 0 && errno == ENOENT)) {
		am_users_fini(&f->users);
		return 0;
	}
	rc = am_file_read(f->path, AM_USERS_FILE_MAX, &text, err);
	if (rc == 0)
		rc = am_users_parse(f->path, am_buf_str(&text), text.len, &users, err);
	if (rc == 0) {
		am_users_fini(&f->users);
		f->users = users;
	}
	am_buf_fini(&text);
	return rc;
}

/* The lock is held, or nobody else is there. */
static int
refresh(struct rest_static *s, bool first, struct ambient_error *err)
{
	bool changed = false;

	for (size_t i = 0; i < FILES; i++) {
		if (!is_new(&s->files[i]) && !first)
			continue;
		changed = true;
		if (read_file(&s->files[i], err) < 0 && first)
			return -AM_MAX(err->code, 1);
		if (err->code != 0)
			am_log_error("apiserver", "%s; the users that were known stay", err->message);
		ambient_err_clear(err);
	}
	if (!changed)
		return 0;
	am_map_free(s->by_hash);
	s->by_hash = am_map_new();
	for (size_t i = 0; i < FILES; i++)
		for (size_t k = 0; k < s->files[i].users.n; k++)
			am_map_put(s->by_hash, s->files[i].users.items[k].hash, &s->files[i].users.items[k]);
	return 0;
}

int
rest_static_open(const char *dir, const char *token_file, struct rest_static **ret, struct ambient_error *err)
{
	struct rest_static *s = am_xcalloc(1, sizeof(*s));

	am_lock_init(&s->lock, "users");
	s->files[0].path = am_xasprintf("%s/" AM_USERS_FILE, dir);
	s->files[1].path = am_xstrdup(token_file);
	s->files[1].must = true;
	int rc = refresh(s, true, err);

	if (rc < 0) {
		rest_static_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void
rest_static_free(struct rest_static *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < FILES; i++) {
		free(s->files[i].path);
		am_users_fini(&s->files[i].users);
	}
	am_map_free(s->by_hash);
	am_lock_fini(&s->lock);
	free(s);
}

bool
rest_static_alive(struct rest_static *s, const char *hash)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int64_t now = am_clock_boot(am_clock_real());

	am_lock(&s->lock);
	if (now - s->looked >= GLANCE) {
		s->looked = now;
		(void)refresh(s, false, &err);
	}
	bool alive = am_map_has(s->by_hash, hash);

	am_unlock(&s->lock);
	return alive;
}

bool
rest_static_find(struct rest_static *s, struct am_arena *arena, const char *token, struct rest_user *user)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	unsigned char digest[32];
	char hash[65];

	am_sha256(token, strlen(token), digest);
	am_hex(hash, digest, sizeof(digest));
	am_lock(&s->lock);
	(void)refresh(s, false, &err);
	const struct am_user *found = am_map_get(s->by_hash, hash);

	if (found != NULL) {
		memset(user, 0, sizeof(*user));
		user->name = am_arena_strdup(arena, found->name);
		user->token_hash = am_arena_strdup(arena, hash);
		user->uid = *found->uid != '\0' ? am_arena_strdup(arena, found->uid) : NULL;
		for (size_t i = 0; i < found->n_groups; i++)
			(void)rest_user_add_group(arena, user, am_arena_strdup(arena, found->groups[i]));
		if (!rest_user_in(user, "system:authenticated"))
			(void)rest_user_add_group(arena, user, "system:authenticated");
	}
	am_unlock(&s->lock);
	return found != NULL && !am_arena_failed(arena);
}
