/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: files and arguments that are wrong and the exact sentences about them, what wins over what,
 * what the tables promise to their readers, and that what is printed reads back the same.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/conf/conf.h"
#include "tests/lib/unit.h"

/* libconfig 1.5 keeps the string that it was reading when it meets a syntax error. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

static char dir[64];

static void
setup(void)
{
	(void)strcpy(dir, "/tmp/ambient-conf-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
teardown(void)
{
	(void)am_remove_tree(dir, NULL);
}

static const char *
put(const char *name, const char *text)
{
	static char path[128];
	char conf_d[80];

	(void)snprintf(conf_d, sizeof(conf_d), "%s/conf.d", dir);
	(void)mkdir(conf_d, 0700);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_int_eq(am_file_write(path, text, strlen(text), 0600, NULL), 0);
	return path;
}

/* All errors, a line each, "D/" for the temporary directory. */
static char *
errors_of(const struct am_conf_file *file)
{
	struct am_buf out = { 0 };

	for (size_t i = 0; i < am_conf_error_count(file); i++) {
		const char *e = am_conf_error(file, i), *p;

		while ((p = strstr(e, dir)) != NULL) {
			am_buf_add(&out, e, (size_t)(p - e));
			am_buf_addc(&out, 'D');
			e = p + strlen(dir);
		}
		am_buf_addf(&out, "%s\n", e);
	}
	(void)am_buf_reserve(&out, 1);
	return am_buf_steal(&out, NULL);
}

#define OPT(...) &(const struct ambient_option){ sizeof(struct ambient_option), __VA_ARGS__ }
static const struct ambient_option *const image_rows[] = {
	OPT("match", AMBIENT_OPT_STRING, AMBIENT_OPT_REQUIRED, NULL, 0, 0, "a glob of image names", NULL),
	OPT("binds", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0, "", NULL),
	NULL,
};
static const struct ambient_option *const rows[] = {
	OPT("region", AMBIENT_OPT_STRING, AMBIENT_OPT_REQUIRED | AMBIENT_OPT_RELOAD, NULL, 0, 0, NULL, NULL),
	OPT("count", AMBIENT_OPT_INT, AMBIENT_OPT_RELOAD, "3", 1, 64, "how many", NULL),
	OPT("big", AMBIENT_OPT_INT, 0, NULL, 0, 0, "any number", NULL),
	OPT("deep", AMBIENT_OPT_BOOL, 0, "true", 0, 0, "deep or not", NULL),
	OPT("ratio", AMBIENT_OPT_FLOAT, 0, "0.5", 0, 1, "a share", NULL),
	OPT("wait", AMBIENT_OPT_DURATION, 0, "1m30s", 1000000000, INT64_C(3600) * 1000000000, "how long", NULL),
	OPT("most", AMBIENT_OPT_SIZE, 0, "64KiB", 1024, INT64_MAX, "how large", NULL),
	OPT("tags", AMBIENT_OPT_STRINGS, 0, "[ \"a\", \"b\" ]", 0, 0, "words", NULL),
	OPT("env", AMBIENT_OPT_MAP, 0, NULL, 0, 0, "variables", NULL),
	OPT("images", AMBIENT_OPT_GROUPS, 0, NULL, 0, 0, "image rows", image_rows),
	OPT("file", AMBIENT_OPT_PATH, 0, NULL, 0, 0, "a file", NULL),
	OPT("token", AMBIENT_OPT_STRING, AMBIENT_OPT_SECRET, NULL, 0, 0, "a secret", NULL),
	NULL,
};

#define DNS_LABEL                                                                                                      \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "  \
	"with an alphanumeric character"

/* ---- rows: a main file, and every error that it must get */

static const struct {
	const char *text, *errors;
} wrong[] = {
	{ "", "" },
	{ "mode = \"standalone\";\n", "D/a.conf:1: \"mode\" is standalone, then \"cluster.server\" must name the plugin that is the API "
				      "server\n" },
	{ "mood = \"cluster\";\n", "D/a.conf:1: unknown key \"mood\", did you mean \"mode\"?\n" },
	{ "\n\nlog: { levle = \"info\"; color = true; };\n",
	  "D/a.conf:3: unknown key \"levle\" in \"log\", did you mean \"level\"?\nD/a.conf:3: unknown key \"color\" in \"log\"\n" },
	{ "log: { level = \"loud\";\n format = 3; };\nstate = true;",
	  "D/a.conf:3: \"state\" must be a path as a string, not true or false\n"
	  "D/a.conf:2: \"log.format\" must be a string, not an integer\n"
	  "D/a.conf:1: \"log.level\" must be \"error\", \"warn\", \"info\" or \"debug\", not \"loud\"\n" },
	{ "log = 5;", "D/a.conf:1: \"log\" must be a group, such as log: { ... };\n" },
	{ "plugins = [];", "D/a.conf:1: \"plugins\" must be a group, such as plugins: { widget: { }; };\n" },
	{ "drain = 30;", "D/a.conf:1: \"drain\" must be a duration with its unit as a string, such as \"30s\", not an integer\n" },
	{ "drain = \"soon\";", "D/a.conf:1: \"drain\" must be a duration with its unit as a string, such as \"30s\", not \"soon\"\n" },
	{ "drain = \"2h\";", "D/a.conf:1: \"drain\" must be between \"0s\" and \"1h\"\n" },
	{ "mode = \"cluster\"\nmode = \"cluster\";\n", "D/a.conf:2: a key of this group is given twice\n" },
	{ "log: {\n level = ;\n};",
	  "D/a.conf:2: syntax error, look here and on the line before for a missing \";\", quote or bracket\n" },
	{ "\nmode = \"cluster;\nx = 1;\n", "D/a.conf:2: a string begins here and does not end\n" },
	{ "\nmode = \"cluster\\", "D/a.conf:2: a string begins here and does not end\n" },
	{ "mode /* = \"cluster\"; *", "D/a.conf:1: a comment begins here and does not end\n" },
	{ "@include \"x.conf\"\n", "D/a.conf:1: @include is not read here, put the file into the directory conf.d\n" },
	{ "# @include is fine here\n/* and\n @here */ // @there\nmode = \"@\\\"@\";",
	  "D/a.conf:4: \"mode\" must be \"standalone\" or \"cluster\", not \"@\"@\"\n" },
	{ "\nplugins: { widget: { workers = 99999999999999999999; }; };",
	  "D/a.conf:2: 99999999999999999999 does not fit an integer of 64 bits\n" },
	{ "plugins: { widget: { workers = 5000000000; }; };", "D/a.conf:1: \"plugins.widget.workers\" must be between 0 and 256\n" },
	{ "plugins: { widget: { workers = 0x100000004; }; };", "D/a.conf:1: \"plugins.widget.workers\" must be between 0 and 256\n" },
	{ "plugins: { widget: { workers = -1; }; };", "D/a.conf:1: \"plugins.widget.workers\" must be between 0 and 256\n" },
	{ "plugins: { widget: { workers = 1.5; }; };",
	  "D/a.conf:1: \"plugins.widget.workers\" must be an integer, not a number with a fraction\n" },
	{ "plugins: { widget = true; Widget: {}; };",
	  "D/a.conf:1: \"plugins.widget\" must be a group, such as widget: { };\n"
	  "D/a.conf:1: \"Widget\" cannot name a plugin's instance, use 1 to 40 lower-case letters, digits and \"-\"\n" },
	{ "plugins: { widget: {\n isolation = \"vm\";\n confg: {}; config = 3;\n }; };",
	  "D/a.conf:3: unknown key \"confg\" in \"plugins.widget\", did you mean \"config\"?\n"
	  "D/a.conf:3: \"plugins.widget.config\" must be a group, such as config: { ... };\n"
	  "D/a.conf:2: \"plugins.widget.isolation\" must be \"none\" or \"process\", not \"vm\"\n" },
	{ "plugins: { widget: { plugin = \"../../evil\"; }; };",
	  "D/a.conf:1: \"../../evil\" cannot name a plugin, use 1 to 40 lower-case letters, digits and \"-\"\n" },
	{ "cluster: { server = \"apiserver\"; };",
	  "D/a.conf:1: \"cluster.server\" names \"apiserver\", but \"plugins\" has no such enabled instance\n" },
	{ "cluster: { server = \"apiserver\"; incluster = true; }; plugins: { apiserver: {}; };",
	  "D/a.conf:1: \"cluster\" takes one of \"server\", \"kubeconfig\" and \"incluster\", not several\n" },
	{ "cluster: { requestsPerSecond = -1; requestBurst = 0; };",
	  "D/a.conf:1: \"cluster.requestsPerSecond\" must be between 0 and 1000000\n"
	  "D/a.conf:1: \"cluster.requestBurst\" must be between 1 and 1000000\n" },
	{ "cluster: { namespaces = [ \"a\", \"b-1\" ]; }; plugins: { w: { namespaces = [ \"c\" ]; }; };", "" },
	{ "cluster: { namespaces = \"a\"; };",
	  "D/a.conf:1: \"cluster.namespaces\" must be a list of strings, such as [ \"a\", \"b\" ], not a string\n" },
	{ "cluster: { namespaces = []; };", "D/a.conf:1: \"cluster.namespaces\" names none; remove it to watch all of them\n" },
	{ "cluster: { namespaces = [ \"A\", \"b\", \"\", \"b\" ]; };",
	  "D/a.conf:1: \"A\" in \"cluster.namespaces\" cannot name a namespace: " DNS_LABEL "\n"
	  "D/a.conf:1: \"\" in \"cluster.namespaces\" cannot name a namespace: " DNS_LABEL "\n"
	  "D/a.conf:1: \"b\" is in \"cluster.namespaces\" twice\n" },
	{ "\nplugins: { w: { namespaces = [ \"a/b\" ]; }; };",
	  "D/a.conf:2: \"a/b\" in \"plugins.w.namespaces\" cannot name a namespace: " DNS_LABEL "\n" },
	{ "cluster: { context = \"x\"; };", "D/a.conf:1: \"cluster.context\" needs \"cluster.kubeconfig\"\n" },
	{ "lease: { duration = \"5s\"; };", "D/a.conf:1: \"lease.renew\" must be less than \"lease.duration\"\n" },
	{ "lease: { renew = \"2s\"; };", "D/a.conf:1: \"lease.renew\" must be more than 1.2 times \"lease.retry\"\n" },
	{ "lease: { shards = 16; retry = \"3.4s\"; };", "D/a.conf:1: with \"lease.shards\", \"lease.renew\" must be more than 3 times "
	  "\"lease.retry\"\n" },
	{ "lease: { shards = 16; enabled = false; };", "D/a.conf:1: \"lease.shards\" needs \"lease.enabled\", or every replica would "
	  "reconcile everything\n" },
	{ "lease: { shards = 16; name = \"a.b\"; };", "D/a.conf:1: with \"lease.shards\", \"lease.name\" must be a DNS label of at most 50 "
	  "characters, not \"a.b\"\n" },
	{ "mode = \"standalone\"; cluster: { server = \"a\"; }; plugins: { a: {}; };\nlease: { shards = 2; };",
	  "D/a.conf:2: \"lease.shards\" is for replicas in a cluster; a standalone daemon is alone: remove it\n" },
	{ "lease: { shards = 257; };", "D/a.conf:1: \"lease.shards\" must be between 0 and 256\n" },
	{ "\nlease: { duration = 1.0e999; };",
	  "D/a.conf:2: this number is too large\n"
	  "D/a.conf:2: \"lease.duration\" must be a duration with its unit as a string, such as \"30s\", not a number with a "
	  "fraction\n" },
	{ "a = \"\xff\";", "D/a.conf: this is no text in UTF-8\n" },
};

START_TEST(sentences)
{
	const char *path = put("a.conf", wrong[_i].text);
	struct am_conf_file *file = am_conf_load(path, NULL);
	char *got = errors_of(file);
	/* Cross checks of a group without a line of its own are placed where the group is. */
	ck_assert_str_eq(got, wrong[_i].errors);
	free(got);
	am_conf_free(file);
}
END_TEST

/* ---- rows: what stands in the config of an instance */

static const struct {
	const char *config, *errors;
} config_wrong[] = {
	{ "region = \"eu\";", "" },
	{ "", "D/a.conf:1: \"plugins.w.config.region\" is missing: it is required\n" },
	{ "region = \"eu\"; regoin = 1;", "D/a.conf:1: unknown key \"regoin\" in \"plugins.w.config\", did you mean \"region\"?\n" },
	{ "region = \"eu\"; count = 0;", "D/a.conf:1: \"plugins.w.config.count\" must be between 1 and 64\n" },
	{ "region = \"eu\"; count = \"3\";", "D/a.conf:1: \"plugins.w.config.count\" must be an integer, not a string\n" },
	{ "region = \"eu\"; deep = 1;", "D/a.conf:1: \"plugins.w.config.deep\" must be true or false, not an integer\n" },
	{ "region = \"eu\"; ratio = 1.5;", "D/a.conf:1: \"plugins.w.config.ratio\" must be between 0 and 1\n" },
	{ "region = \"eu\"; wait = \"10ms\";", "D/a.conf:1: \"plugins.w.config.wait\" must be between \"1s\" and \"1h\"\n" },
	{ "region = \"eu\"; most = \"1\\x01\";",
	  "D/a.conf:1: \"plugins.w.config.most\" must be a size with its unit as a string, such as \"64MiB\", not \"1?\"\n" },
	{ "region = \"eu\"; most = \"12B\";", "D/a.conf:1: \"plugins.w.config.most\" must be at least \"1KiB\"\n" },
	{ "region = \"eu\"; tags = [ 1 ];",
	  "D/a.conf:1: \"plugins.w.config.tags\" must be a list of strings, such as [ \"a\", \"b\" ], not an integer\n" },
	{ "region = \"eu\"; env: { A = 1; };",
	  "D/a.conf:1: \"plugins.w.config.env\" must be a group of strings, such as { name = \"value\"; }, not an integer\n" },
	{ "region = \"eu\"; images: ( { match = \"x\"; },\n { bind = [\"y\"]; } );",
	  "D/a.conf:2: unknown key \"bind\" in \"plugins.w.config.images[1]\", did you mean \"binds\"?\n"
	  "D/a.conf:2: \"plugins.w.config.images[1].match\" is missing: a glob of image names\n" },
	{ "region = \"eu\"; token = \"hunter2\";",
	  "D/a.conf:1: \"plugins.w.config.token\" is a secret: write \"file:PATH\" or \"env:NAME\", never the secret itself\n" },
	{ "region = \"eu\"; token = \"env:AMBIENT_NO_SUCH\";",
	  "D/a.conf:1: \"plugins.w.config.token\" is a secret: the environment has no variable \"AMBIENT_NO_SUCH\"\n" },
};

START_TEST(config_sentences)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	am_buf_addf(&text, "plugins: { w: { config: { %s }; }; };", config_wrong[_i].config);
	struct am_conf_file *file = am_conf_load(put("a.conf", am_buf_str(&text)), NULL);
	const struct ambient_conf *conf = am_conf_check_instance(file, am_conf_instance(file, 0), rows);
	char *got = errors_of(file);
	ck_assert_str_eq(got, config_wrong[_i].errors);
	ck_assert_int_eq(conf != NULL, config_wrong[_i].errors[0] == '\0');
	free(got);
	am_conf_free(file);
}
END_TEST

START_TEST(takes_none)
{
	struct am_conf_file *file = am_conf_load(put("a.conf", "plugins: { w: { config: { x = 1; }; }; };"), NULL);
	char *got;

	ck_assert_ptr_null(am_conf_check_instance(file, am_conf_instance(file, 0), NULL));
	got = errors_of(file);
	ck_assert_str_eq(got, "D/a.conf:1: unknown key \"x\" in \"plugins.w.config\", which takes none\n");
	free(got);
	am_conf_free(file);
}
END_TEST

/* ---- values */

START_TEST(values)
{
	char path[128], token[128];
	const char *key, *value;
	struct am_conf_file *file;
	const struct ambient_conf *c;
	const struct ambient_conf_api *api = &am_conf_api;

	(void)put("token", "s3cret\n");
	(void)snprintf(token, sizeof(token), "%s/token", dir);
	(void)snprintf(path, sizeof(path), "%s", put("a.conf",
		"plugins: { w: { plugin = \"widget\"; workers = 4;\n config: { region = \"eu\"; big = 9223372036854775807; deep = false;\n"
		"ratio = 1; wait = \"2m\"; env: { A = \"1\"; B_C = \"\"; };\n"
		"images = ( { match = \"x\"; binds = [ \"/opt\" ]; }, { match = \"y\"; } );\n"
		"file = \"sub/f\"; token = \"file:token\"; }; }; };"));
	file = am_conf_load(path, NULL);
	ck_assert_uint_eq(am_conf_instance_count(file), 1);
	const struct am_conf_instance *in = am_conf_instance(file, 0);
	ck_assert_str_eq(in->name, "w");
	ck_assert_str_eq(in->plugin, "widget");
	ck_assert_str_eq(in->path, AM_PKGLIBDIR "/plugins/widget.so");
	ck_assert_int_eq(in->workers, 4);
	ck_assert(in->enabled);
	ck_assert_ptr_nonnull(strstr(in->where, "a.conf:1"));
	c = am_conf_check_instance(file, in, rows);
	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(api->str(c, "region", "x"), "eu");
	ck_assert_int_eq(api->integer(c, "count", 0), 3);
	ck_assert_int_eq(api->integer(c, "big", 0), INT64_MAX);
	ck_assert_int_eq(api->integer(c, "deep", 7), 0);
	ck_assert(api->real(c, "ratio", 0) > 0.999 && api->real(c, "ratio", 0) < 1.001);
	ck_assert_int_eq(api->integer(c, "wait", 0), INT64_C(120) * 1000000000);
	ck_assert_int_eq(api->integer(c, "most", 0), 65536);
	ck_assert_uint_eq(api->count(c, "tags"), 2);
	ck_assert_int_eq(api->entry(c, "tags", 1, NULL, &value), 0);
	ck_assert_str_eq(value, "b");
	ck_assert_int_eq(api->entry(c, "tags", 2, NULL, &value), -AMBIENT_E_NOTFOUND);
	ck_assert_uint_eq(api->count(c, "env"), 2);
	ck_assert_int_eq(api->entry(c, "env", 1, &key, &value), 0);
	ck_assert_str_eq(key, "B_C");
	ck_assert_str_eq(value, "");
	ck_assert_uint_eq(api->count(c, "images"), 2);
	ck_assert_str_eq(api->str(api->group(c, "images", 1), "match", ""), "y");
	ck_assert_uint_eq(api->count(api->group(c, "images", 0), "binds"), 1);
	ck_assert_uint_eq(api->count(api->group(c, "images", 1), "binds"), 0);
	ck_assert_ptr_null(api->group(c, "images", 2));
	(void)snprintf(path, sizeof(path), "%s/sub/f", dir);
	ck_assert_str_eq(api->str(c, "file", ""), path);
	ck_assert_str_eq(api->str(c, "token", ""), "s3cret");
	/* Undeclared, unset, or of another type: the fallback. */
	ck_assert_str_eq(api->str(c, "nonsense", "fb"), "fb");
	ck_assert_str_eq(api->str(c, "count", "fb"), "fb");
	ck_assert_int_eq(api->integer(c, "region", 5), 5);
	ck_assert_uint_eq(api->count(c, "region"), 0);
	am_conf_free(file);
}
END_TEST

START_TEST(too_many_namespaces)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	const char *const *names = NULL;

	for (int i = 0; i < 257; i++) {
		am_buf_addf(&text, "%s\"n%d\"", i > 0 ? "," : "cluster: { namespaces = [", i);
		if (i != 255)
			continue;
		am_auto(am_freep) char *all = am_xasprintf("%s]; };", am_buf_str(&text));
		struct am_conf_file *most = am_conf_load(put("a.conf", all), NULL);
		ck_assert_uint_eq(am_conf_error_count(most), 0);
		ck_assert_uint_eq(am_conf_strings(am_conf_section(most, "cluster"), "namespaces", &names), 256);
		ck_assert_str_eq(names[255], "n255");
		am_conf_free(most);
	}
	am_buf_adds(&text, "]; };");
	struct am_conf_file *file = am_conf_load(put("a.conf", am_buf_str(&text)), NULL);
	char *got = errors_of(file);
	ck_assert_str_eq(got, "D/a.conf:1: \"cluster.namespaces\" has 257 names, at most 256 can be watched one by one; remove it to "
			      "watch all of them\n");
	free(got);
	am_conf_free(file);
}
END_TEST

START_TEST(last_wins)
{
	static const char *const sets[] = { "log.format=json", "plugins.w.config.count=7", "plugins.w.config.tags=[\"x\",\"y\",\"z\"]",
					    "plugins.extra.enabled=false", "plugins.w.config.ratio=0.25", NULL };
	char path[128];

	(void)snprintf(path, sizeof(path), "%s", put("a.conf",
		"log: { level = \"warn\"; }; plugins: { w: { config: { region = \"a\"; count = 1; }; }; };"));
	(void)put("conf.d/20-b.conf", "plugins: { w: { config: { region = \"c\"; }; }; };");
	(void)put("conf.d/10-a.conf", "log: { format = \"text\"; };\nplugins: { w: { config: { region = \"b\"; count = 2; }; }; v: {}; };");
	(void)put("conf.d/.hidden.conf", "nonsense");
	(void)put("conf.d/30.conf.bak", "nonsense");
	struct am_conf_file *file = am_conf_load(path, sets);
	char *got = errors_of(file);
	ck_assert_str_eq(got, "");
	free(got);
	ck_assert_str_eq(am_conf_str(am_conf_section(file, "log"), "level"), "warn");
	ck_assert_str_eq(am_conf_str(am_conf_section(file, "log"), "format"), "json");
	ck_assert_uint_eq(am_conf_instance_count(file), 3);
	ck_assert_str_eq(am_conf_instance(file, 1)->name, "v");
	ck_assert(!am_conf_instance(file, 2)->enabled);
	const struct ambient_conf *c = am_conf_check_instance(file, am_conf_instance(file, 0), rows);
	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(am_conf_str(c, "region"), "c");
	ck_assert_int_eq(am_conf_int(c, "count"), 7);
	ck_assert_uint_eq(am_conf_api.count(c, "tags"), 3);
	ck_assert(am_conf_given(c, "count"));
	ck_assert(!am_conf_given(c, "most"));
	am_conf_free(file);
}
END_TEST

START_TEST(files_disagree)
{
	(void)put("conf.d/x.conf", "\nlog = 3;");
	(void)put("conf.d/y.conf", "log: {");
	struct am_conf_file *file = am_conf_load(put("a.conf", "log: { };"), NULL);
	char *got = errors_of(file);

	ck_assert_str_eq(got, "D/conf.d/x.conf:2: \"log\" is a group in D/a.conf and a value here\n"
			      "D/conf.d/y.conf:1: syntax error, look here and on the line before for a missing \";\", quote or bracket\n");
	free(got);
	am_conf_free(file);
}
END_TEST

static const struct {
	const char *set, *errors;
} sets_wrong[] = {
	{ "log.level", "--set: write path=value, such as log.level=debug\n" },
	{ ".x=1", "--set: write path=value, such as log.level=debug\n" },
	{ "a..b=1", "--set: write path=value, such as log.level=debug\n" },
	{ "log.levl=debug", "--set log.levl: unknown key \"levl\" in \"log\", did you mean \"level\"?\n" },
	{ "drain=5", "--set drain: \"drain\" must be a duration with its unit as a string, such as \"30s\", not \"5\"\n" },
	{ "lease.enabled=maybe", "--set lease.enabled: \"lease.enabled\" must be true or false\n" },
	{ "mode=\"a\"; log = 3", "--set mode: \"mode\" must be a string\n" },
	{ "mode.x=1", "--set mode.x: \"mode\" must be a string, not a group\n" },
	{ "plugins.w.workers=many", "--set plugins.w.workers: \"plugins.w.workers\" must be an integer\n" },
	{ "log=debug", "--set log: \"log\" must be a group, such as log: { ... };\n" },
};

START_TEST(set_sentences)
{
	const char *const sets[] = { sets_wrong[_i].set, NULL };
	struct am_conf_file *file = am_conf_load(NULL, sets);
	char *got = errors_of(file);

	ck_assert_str_eq(got, sets_wrong[_i].errors);
	free(got);
	am_conf_free(file);
}
END_TEST

START_TEST(missing_and_too_large)
{
	char path[128];
	struct am_conf_file *file;
	char *got;

	(void)snprintf(path, sizeof(path), "%s/nowhere.conf", dir);
	file = am_conf_load(path, NULL);
	got = errors_of(file);
	ck_assert_str_eq(got, "D/nowhere.conf: cannot be read: No such file or directory\n");
	free(got);
	am_conf_free(file);

	am_auto(am_buf_fini) struct am_buf big = { 0 };
	while (big.len <= 1 << 20)
		am_buf_adds(&big, "# nothing\n");
	file = am_conf_load(put("a.conf", am_buf_str(&big)), NULL);
	got = errors_of(file);
	ck_assert_str_eq(got, "D/a.conf: is larger than 1024 KiB\n");
	free(got);
	am_conf_free(file);

	am_buf_reset(&big);
	am_buf_adds(&big, "x = ");
	for (int i = 0; i < 100000; i++)
		am_buf_addc(&big, '(');
	file = am_conf_load(put("a.conf", am_buf_str(&big)), NULL);
	got = errors_of(file);
	ck_assert_str_eq(got, "D/a.conf:1: groups and lists are nested deeper than 32\n");
	free(got);
	am_conf_free(file);
}
END_TEST

START_TEST(errors_are_bounded)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	for (int i = 0; i < 500; i++)
		am_buf_addf(&text, "x%d = 1;\n", i);
	struct am_conf_file *file = am_conf_load(put("a.conf", am_buf_str(&text)), NULL);
	ck_assert_uint_eq(am_conf_error_count(file), 101);
	ck_assert_str_eq(am_conf_error(file, 100), "configuration: 400 more mistakes are not listed");
	am_conf_free(file);
}
END_TEST

START_TEST(fail_is_placed)
{
	struct am_conf_file *file =
		am_conf_load(put("a.conf", "log: {\n level = \"info\"; };\nplugins: {\n w: {};\n};"), NULL);

	am_conf_fail(file, am_conf_section(file, "log"), "level", "no %s", "good");
	am_conf_fail(file, am_conf_section(file, "log"), "format", "bad");
	am_conf_fail(file, NULL, NULL, "worse");
	am_conf_instance_fail(file, am_conf_instance(file, 0), "worst");
	char *got = errors_of(file);
	ck_assert_str_eq(got, "D/a.conf:2: no good\nD/a.conf:1: bad\nD/a.conf: worse\nD/a.conf:4: worst\n");
	free(got);
	am_conf_free(file);
}
END_TEST

/* ---- printing */

START_TEST(print_reads_back)
{
	am_auto(am_buf_fini) struct am_buf once = { 0 }, twice = { 0 };
	struct am_conf_file *file;

	(void)put("token", "s3cret\n");
	file = am_conf_load(put("a.conf", "log: { level = \"warn\"; };\nplugins: { w: { config: { region = \"e\\\"u\\n\\\\\"; big = 5000000000;\n"
					  "ratio = 0.1; env: { A = \"1\"; }; images = ( { match = \"x\"; } ); token = \"file:token\"; }; }; };"),
			    NULL);
	ck_assert_ptr_nonnull(am_conf_check_instance(file, am_conf_instance(file, 0), rows));
	am_conf_print(file, &once);
	am_conf_free(file);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&once), "a.conf:1"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&once), "\tformat = \"auto\"; # default\n"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&once), "\t\tplugin = \"w\"; # default\n"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&once), "/plugins/w.so\"; # default\n"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&once), "# token is set, a secret; # "));
	ck_assert_ptr_null(strstr(am_buf_str(&once), "s3cret"));
	ck_assert_ptr_null(strstr(am_buf_str(&once), "file:token"));
	file = am_conf_load(put("b.conf", am_buf_str(&once)), NULL);
	char *got = errors_of(file);
	ck_assert_str_eq(got, "");
	free(got);
	const struct ambient_conf *c = am_conf_check_instance(file, am_conf_instance(file, 0), rows);
	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(am_conf_str(c, "region"), "e\"u\n\\");
	ck_assert_int_eq(am_conf_int(c, "big"), INT64_C(5000000000));
	ck_assert(am_conf_api.real(c, "ratio", 0) > 0.0999 && am_conf_api.real(c, "ratio", 0) < 0.1001);
	ck_assert_uint_eq(am_conf_api.count(c, "images"), 1);
	am_conf_print(file, &twice);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&twice), "big = 5000000000L;"));
	am_conf_free(file);
}
END_TEST

START_TEST(print_unchecked)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	struct am_conf_file *file = am_conf_load(put("a.conf", "plugins: { w: { config: { token = \"hunter2\"; }; }; };"), NULL);

	am_conf_print(file, &out);
	ck_assert_ptr_null(strstr(am_buf_str(&out), "hunter2"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&out), "# config was not checked;"));
	am_conf_free(file);
}
END_TEST

START_TEST(manual)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };

	am_conf_print_manual(rows, &out);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&out), ".TP\n\\fBcount\\fR (integer, reloadable, default 3)\nhow many\n"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&out), ".RS\n.TP\n\\fBmatch\\fR (string, required)\na glob of image names\n"));
	am_buf_reset(&out);
	am_conf_print_core_manual(&out);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&out), ".SS lease\n"));
}
END_TEST

/* ---- reload */

START_TEST(diff)
{
	static const struct {
		const char *a, *b;
		size_t n;
		const char *restart;
	} cases[] = {
		{ "region = \"a\";", "region = \"a\"; count = 3;", 0, NULL },
		{ "region = \"a\";", "region = \"b\"; count = 4;", 2, NULL },
		{ "region = \"a\";", "region = \"b\"; deep = false;", 2, "deep" },
		{ "region = \"a\"; images = ( { match = \"x\"; } );", "region = \"a\"; images = ( { match = \"y\"; } );", 1, "images" },
		{ "region = \"a\"; tags = [ \"x\" ];", "region = \"a\"; tags = [ \"y\" ];", 1, "tags" },
		{ "region = \"a\"; env: { A = \"1\"; };", "region = \"a\"; env: { B = \"1\"; };", 1, "env" },
	};

	for (size_t i = 0; i < AM_COUNTOF(cases); i++) {
		struct am_conf_file *files[2];
		const struct ambient_conf *confs[2];
		const char *restart = "unset";

		for (int k = 0; k < 2; k++) {
			am_auto(am_freep) char *text = am_xasprintf("plugins: { w: { config: { %s }; }; };", k == 0 ? cases[i].a : cases[i].b);

			files[k] = am_conf_load(put("a.conf", text), NULL);
			confs[k] = am_conf_check_instance(files[k], am_conf_instance(files[k], 0), rows);
			ck_assert_ptr_nonnull(confs[k]);
		}
		ck_assert_uint_eq(am_conf_diff(confs[0], confs[1], &restart), cases[i].n);
		ck_assert(cases[i].restart == NULL ? restart == NULL : am_streq(restart, cases[i].restart));
		am_conf_free(files[0]);
		am_conf_free(files[1]);
	}
}
END_TEST

/* ---- tables of plugins are not trusted either */

static const struct ambient_option *const bad_type[] = { OPT("a", 99, 0, NULL, 0, 0, NULL, NULL), NULL };
static const struct ambient_option *const bad_default[] = { OPT("a", AMBIENT_OPT_DURATION, 0, "5", 0, 0, NULL, NULL), NULL };
static const struct ambient_option *const twice[] = { OPT("a", AMBIENT_OPT_INT, 0, NULL, 0, 0, NULL, NULL),
						      OPT("a", AMBIENT_OPT_INT, 0, NULL, 0, 0, NULL, NULL), NULL };
static const struct ambient_option *const no_name[] = { OPT(NULL, AMBIENT_OPT_INT, 0, NULL, 0, 0, NULL, NULL), NULL };
static const struct ambient_option *const secret[] = { OPT("a", AMBIENT_OPT_STRING, AMBIENT_OPT_SECRET, "env:HOME", 0, 0, NULL, NULL),
						       NULL };

START_TEST(tables)
{
	static const struct {
		const struct ambient_option *const *rows;
		const char *message;
	} cases[] = {
		{ bad_type, "its option \"a\" has type 99, which this daemon does not know" },
		{ bad_default, "the default of its option \"a\" is wrong: default: \"a\" must be a duration with its unit as a string, such as "
			       "\"30s\", not \"5\"" },
		{ twice, "its option \"a\" is there twice" },
		{ no_name, "its option 1 has no size or no name" },
		{ secret, "its option \"a\" is a secret and must be a string without default" },
	};

	ck_assert_int_eq(am_conf_check_options(rows, NULL), 0);
	for (size_t i = 0; i < AM_COUNTOF(cases); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;

		ck_assert_int_eq(am_conf_check_options(cases[i].rows, &err), -AMBIENT_E_INVALID);
		ck_assert_str_eq(err.message, cases[i].message);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, sentences, 0, AM_COUNTOF(wrong));
	tcase_add_loop_test(tc, config_sentences, 0, AM_COUNTOF(config_wrong));
	tcase_add_loop_test(tc, set_sentences, 0, AM_COUNTOF(sets_wrong));
	tcase_add_test(tc, takes_none);
	tcase_add_test(tc, values);
	tcase_add_test(tc, too_many_namespaces);
	tcase_add_test(tc, last_wins);
	tcase_add_test(tc, files_disagree);
	tcase_add_test(tc, missing_and_too_large);
	tcase_add_test(tc, errors_are_bounded);
	tcase_add_test(tc, fail_is_placed);
	tcase_add_test(tc, print_reads_back);
	tcase_add_test(tc, print_unchecked);
	tcase_add_test(tc, manual);
	tcase_add_test(tc, diff);
	tcase_add_test(tc, tables);
}

UNIT_MAIN("conf", cases)
