/* SPDX-License-Identifier: Apache-2.0 */
/* See survey.h. */
#include "core/ambient-runner/survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/beneath.h"
#include "core/ambient-runner/giturl.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/data/scan.h"

#define LAYERS     16
#define NAMES_MAX  1000
#define PACKED_MAX ((size_t)1 << 20)
#define HEADS      "refs/heads/"

/* A walk through directories, and whom it tells of each file. */
struct walk {
	size_t seen;
	void (*file)(struct walk *walk, const char *path);
};

static int
type_of(int dir, const struct dirent *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type;
	if (fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
}

/* Takes fd.  path: of the directory, with a slash behind it, or "". */
static void
walk_dir(struct walk *walk, int fd, const char *path, int layer)
{
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;

	if (dir == NULL && fd >= 0)
		(void)close(fd);
	while (dir != NULL && (d = readdir(dir)) != NULL && walk->seen < AM_SURVEY_FILES) {
		if (am_streq(d->d_name, ".") || am_streq(d->d_name, ".."))
			continue;
		walk->seen++;
		int type = type_of(dirfd(dir), d);
		am_auto(am_freep) char *below = am_xasprintf("%s%s%s", path, d->d_name, type == DT_DIR ? "/" : "");
		if (type == DT_REG)
			walk->file(walk, below);
		else if (type == DT_DIR && layer < LAYERS)
			walk_dir(walk, openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), below, layer + 1);
	}
	if (dir != NULL)
		(void)closedir(dir);
}

/* Below the session's directory; negative when it is none. */
static int
open_dir(const char *root, const char *path)
{
	int top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int fd = top >= 0 ? am_open_beneath(top, path, &st) : -1;

	if (fd >= 0 && !S_ISDIR(st.st_mode)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* ---- artifacts */

struct count {
	struct walk walk;
	int64_t files;
};

static void
count_file(struct walk *walk, const char *path am_unused_)
{
	((struct count *)walk)->files++;
}

int64_t
am_survey_artifacts(const char *root)
{
	struct count count = {.walk.file = count_file};
	int fd = open_dir(root, "workspace/artifacts");

	if (fd < 0)
		return -1;
	walk_dir(&count.walk, fd, "", 1);
	return count.files;
}

/* ---- branches */

struct names {
	struct walk walk;
	char *v[NAMES_MAX];
	size_t n;
};

static void
add_name(struct walk *walk, const char *name)
{
	struct names *names = (struct names *)walk;

	if (names->n < NAMES_MAX && am_runner_branch_check(name, NULL) == 0)
		names->v[names->n++] = am_xstrdup(name);
}

/* "<id> refs/heads/<name>" in a line. */
static void
add_packed(struct names *names, const struct am_buf *text)
{
	for (const char *line = am_buf_str(text); *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *ref = line + strcspn(line, " \n");

		if (*ref != ' ' || !am_starts(++ref, HEADS))
			continue;
		ref += strlen(HEADS);
		am_auto(am_freep) char *name = am_xstrndup(ref, strcspn(ref, "\r\n"));
		add_name(&names->walk, name);
	}
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
put_names(struct names *names, struct am_buf *out)
{
	size_t said = 0, bytes = 0;

	qsort(names->v, names->n, sizeof(names->v[0]), by_name);
	am_buf_adds(out, ",\"branches\":[");
	for (size_t i = 0; i < names->n && said < AM_SURVEY_BRANCHES; i++) {
		if ((i > 0 && am_streq(names->v[i], names->v[i - 1])) || bytes + strlen(names->v[i]) > AM_SURVEY_BYTES)
			continue;
		am_json_addf(out, "%j%s", said++ > 0 ? "," : "", names->v[i]);
		bytes += strlen(names->v[i]);
	}
	am_buf_addc(out, ']');
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
}

static void
put_current(int git, struct am_buf *out)
{
	static const char mark[] = "ref: " HEADS;
	am_auto(am_buf_fini) struct am_buf head = {0};

	if (am_read_beneath(git, "HEAD", 4096, &head) < 0 || !am_starts(am_buf_str(&head), mark))
		return;
	head.data[strcspn(head.data, "\r\n")] = '\0';
	if (am_runner_branch_check(head.data + strlen(mark), NULL) == 0)
		am_json_addf(out, ",\"currentBranch\":%s", head.data + strlen(mark));
}

void
am_survey_branches(const char *root, const char *repo, struct am_buf *out)
{
	am_auto(am_freep) char *path = am_xasprintf("workspace/%s/.git", repo);
	am_auto(am_buf_fini) struct am_buf packed = {0};
	struct names *names;
	struct stat st;
	int git = open_dir(root, path);

	if (git < 0)
		return;
	names = am_xcalloc(1, sizeof(*names));
	names->walk.file = add_name;
	walk_dir(&names->walk, am_open_beneath(dup(git), "refs/heads", &st), "", 1);
	if (am_read_beneath(git, "packed-refs", PACKED_MAX, &packed) == 0)
		add_packed(names, &packed);
	put_names(names, out);
	put_current(git, out);
	free(names);
	(void)close(git);
}
