/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file of any bytes: read, checked against the core's tables and a plugin's, printed.  What was
 * accepted and printed must be accepted again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libconfig 1.5 keeps the string that it was reading when it meets a syntax error. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

#define OPT(...) &(const struct ambient_option){ sizeof(struct ambient_option), __VA_ARGS__ }
static const struct ambient_option *const sub[] = {
	OPT("match", AMBIENT_OPT_STRING, AMBIENT_OPT_REQUIRED, NULL, 0, 0, "", NULL),
	OPT("binds", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0, "", NULL),
	NULL,
};
static const struct ambient_option *const rows[] = {
	OPT("count", AMBIENT_OPT_INT, 0, "3", -5, 64, "", NULL),
	OPT("big", AMBIENT_OPT_INT, 0, NULL, 0, 0, "", NULL),
	OPT("ratio", AMBIENT_OPT_FLOAT, 0, "0.5", 0, 0, "", NULL),
	OPT("wait", AMBIENT_OPT_DURATION, 0, "1s", 0, 0, "", NULL),
	OPT("most", AMBIENT_OPT_SIZE, 0, "1k", 0, 0, "", NULL),
	OPT("tags", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0, "", NULL),
	OPT("env", AMBIENT_OPT_MAP, 0, NULL, 0, 0, "", NULL),
	OPT("images", AMBIENT_OPT_GROUPS, 0, NULL, 0, 0, "", sub),
	OPT("file", AMBIENT_OPT_PATH, 0, NULL, 0, 0, "", NULL),
	NULL,
};

static struct am_conf_file *
load(const void *data, size_t size)
{
	int fd = memfd_create("fuzz.conf", MFD_CLOEXEC);
	char path[40];
	struct am_conf_file *file;

	if (fd < 0 || am_write_all(fd, data, size) < 0)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	file = am_conf_load(path, NULL);
	(void)close(fd);
	for (size_t i = 0; i < am_conf_instance_count(file); i++)
		(void)!am_conf_check_instance(file, am_conf_instance(file, i), rows);
	return file;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	am_auto(am_buf_fini) struct am_buf printed = { 0 };
	struct am_conf_file *file = load(data, size);
	bool good = am_conf_error_count(file) == 0;

	am_conf_print(file, &printed);
	am_conf_free(file);
	if (!good)
		return 0;
	file = load(am_buf_str(&printed), printed.len);
	if (am_conf_error_count(file) != 0) {
		fprintf(stderr, "%s\n%s\n", am_conf_error(file, 0), am_buf_str(&printed));
		abort();
	}
	am_conf_free(file);
	return 0;
}
