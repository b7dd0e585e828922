/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of podman's, as the shim keeps them (core/ambient-shim/podman.c): what podman is told, and what is done
 * when it fails, when it is slow, and when somebody is killed.  tests/lib/podman_fake.sh stands for podman; the real
 * one is tests/e2e/podman.py's.
 */
#include "tests/unit/shim.h"

static char fake[PATH_MAX];

static void
begin_podman(void)
{
	begin();
	const char *srcdir = getenv("top_srcdir");
	am_auto(am_freep) char *path = am_xasprintf("%s/tests/lib/podman_fake.sh", srcdir != NULL ? srcdir : ".");
	ck_assert_ptr_nonnull(realpath(path, fake));
}

static void
put(const char *name, const char *data)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", top, name);

	ck_assert_int_eq(am_file_put(path, data, strlen(data), 0600, NULL), 0);
}

static int
sh_podman(const char *pod, const char *script, const char *container, const char *more)
{
	am_auto(am_freep) char *c = am_xasprintf("{\"name\":\"c\",\"argv\":[\"sh\",\"-c\",\"%s\"],\"env\":[\"A=b "
						 "c\",\"PATH=/usr/bin:/bin\"],\"cwd\":\"/tmp\",\"image\":\"i:1\","
						 "\"imageID\":\"i@sha256:2\",\"podman\":{\"path\":\"%s\",\"options\":["
						 "\"--root\",\"%s\"],\"args\":[\"--network=host\",\"--user=1:2\"],"
						 "\"image\":\"sha256:1\"}%s}",
						 script, fake, top, container);

	return run(pod, "bwrap", c, more);
}

static const char *
calls(void)
{
	return file("", "calls");
}

START_TEST(a_container_from_start_to_end)
{
	begin_podman();
	ck_assert_int_eq(sh_podman("p", "echo out; echo err >&2; exit 3",
				   ",\"readOnlyRoot\":true,\"mounts\":[{\"source\":\"/tmp\","
				   "\"target\":\"/mnt\",\"readOnly\":true}]",
				   ""),
			 0);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "\"code\":3,\"reason\":\"Error\""));
	ck_assert_ptr_nonnull(strstr(
		text.data,
		"\"rec\":\"starting\",\"container\":\"c\",\"n\":0,\"image\":\"i:1\",\"imageID\":\"i@sha256:2\""));
	ck_assert_ptr_nonnull(strstr(file("p", "containers/c/0.log"), "stdout F out\n"));
	ck_assert_ptr_nonnull(strstr(text.data, "stderr F err\n"));
	am_auto(am_freep) char *mount =
		am_xasprintf("--volume /tmp:/mnt:ro --volume %s/p/containers/c/termination-log:"
			     "/dev/termination-log:rw --network=host --user=1:2 sha256:1 sh -c echo",
			     top);
	const char *const told[] = {"run --detach --replace --pull=never --log-driver=passthrough --cgroups=disabled",
				    "--name ambient-p-c ",
				    "--hostname p ",
				    "--workdir /tmp ",
				    "--read-only ",
				    "--entrypoint= ",
				    mount,
				    "rm --force --volumes --ignore --time 0 ambient-p-c\n"};
	for (size_t i = 0; i < AM_COUNTOF(told); i++)
		ck_assert_msg(strstr(calls(), told[i]) != NULL, "no \"%s\" in %s", told[i], calls());
	ck_assert_str_eq(file("", "env"), "A=b c\nPATH=/usr/bin:/bin\n");
	ck_assert(!exists("", "there-ambient-p-c"));
	end();
}
END_TEST

/* What podman could not read in a file of lines, and nobody shall read in its arguments. */
START_TEST(variables_of_several_lines_are_secrets)
{
	begin_podman();
	am_auto(am_freep) char *c = am_xasprintf("{\"name\":\"c\",\"argv\":[\"true\"],\"env\":[\"KEY=one\\ntwo\",\"A="
						 "b\"],\"podman\":{\"path\":\"%s\",\"options\":[\"--root\",\"%s\"],"
						 "\"args\":[],\"image\":\"sha256:1\"}}",
						 fake, top);
	ck_assert_int_eq(run("p", "bwrap", c, ""), 0);
	ck_assert(over("p"));
	ck_assert_str_eq(file("", "env"), "A=b\n");
	ck_assert_ptr_nonnull(strstr(calls(), "secret create ambient-p-c-0 -\n"));
	ck_assert_ptr_nonnull(strstr(calls(), "--secret ambient-p-c-0,type=env,target=KEY "));
	ck_assert_ptr_nonnull(strstr(calls(), "secret rm ambient-p-c-0\n"));
	ck_assert_ptr_null(strstr(calls(), "two"));
	ck_assert(!exists("", "secret-ambient-p-c-0"));
	end();
}
END_TEST

START_TEST(what_podman_refuses_is_128)
{
	begin_podman();
	put("fail", "Error: crun: executable file `x` not found in $PATH\n");
	ck_assert_int_eq(sh_podman("p", "true", "", ""), 0);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(
		strstr(file("p", "state.jsonl"),
		       "\"code\":128,\"reason\":\"StartError\",\"message\":\"podman: crun: executable file"));
	ck_assert_ptr_null(strstr(text.data, "\"rec\":\"running\""));
	ck_assert_ptr_nonnull(strstr(calls(), "rm --force"));
	end();
}
END_TEST

START_TEST(podman_that_is_not_there_is_128)
{
	begin_podman();
	am_strlcpy(fake, "/no/such/podman", sizeof(fake));
	ck_assert_int_eq(sh_podman("p", "true", "", ""), 0);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "cannot start \\\"/no/such/podman\\\""));
	end();
}
END_TEST

START_TEST(it_ends_by_signal_and_by_force)
{
	begin_podman();
	ck_assert_int_eq(sh_podman("good", "trap 'exit 143' TERM; echo up; while :; do sleep 0.02; done", "", ""), 0);
	ck_assert_int_eq(sh_podman("bad", "trap '' TERM; echo up; while :; do sleep 0.02; done", "", ""), 0);
	ck_assert(wait_for("good", "containers/c/0.log", "up"));
	ck_assert(wait_for("bad", "containers/c/0.log", "up"));
	int fd = dial("good");
	(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":20000}\n", 2);
	(void)close(fd);
	fd = dial("bad");
	(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":300}\n", 2);
	(void)close(fd);
	ck_assert(over("good"));
	ck_assert_ptr_nonnull(strstr(file("good", "state.jsonl"), "\"code\":143,"));
	ck_assert(over("bad"));
	ck_assert_ptr_nonnull(strstr(file("bad", "state.jsonl"), "\"code\":137,"));
	end();
}
END_TEST

/* The pod ends before podman has started anything. */
START_TEST(a_slow_start_is_broken_off)
{
	begin_podman();
	put("slow", "");
	ck_assert_int_eq(sh_podman("p", "sleep 60", "", ""), 0);
	ck_assert(wait_for("", "calls", "run --detach"));
	int fd = dial("p");
	(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":0}\n", 2);
	(void)close(fd);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(strstr(calls(), "rm --force"));
	ck_assert_ptr_null(strstr(file("p", "state.jsonl"), "\"rec\":\"running\""));
	end();
}
END_TEST

/* Nobody is there to keep the container any more: it goes. */
START_TEST(a_killed_shim_takes_the_container_along)
{
	begin_podman();
	ck_assert_int_eq(sh_podman("p", "echo up; sleep 60", "", ""), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"running\""));
	pid_t program = pid_in("p", "\"rec\":\"running\"");
	am_auto(am_freep) char *pid = am_xasprintf("%d\n", (int)program);
	put("pid-of-ambient-p-c", pid);
	ck_assert(exists("", "there-ambient-p-c"));
	(void)kill(pid_in("p", "\"rec\":\"shim\""), SIGKILL);
	ck_assert(gone(program));
	/* At once, and once more when it has ended. */
	ck_assert(wait_for("", "done", "rm\ncontainer\nrm\n"));
	ck_assert(!exists("", "there-ambient-p-c"));
	ck_assert_ptr_null(strstr(file("p", "state.jsonl"), "\"rec\":\"end\""));
	end();
}
END_TEST

START_TEST(it_is_started_again_under_its_name)
{
	begin_podman();
	am_auto(am_freep) char *script = am_xasprintf("[ -e %s/ran ] && exit 0; : >%s/ran; exit 1", top, top);
	ck_assert_int_eq(sh_podman("p", script, "", ",\"restartPolicy\":\"OnFailure\",\"backoffMs\":10"), 0);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "\"n\":1,\"code\":0,\"reason\":\"Completed\""));
	end();
}
END_TEST

START_TEST(the_hook_joins_what_it_is_told)
{
	begin_podman();
	am_auto(am_freep) char *file_path = am_xasprintf("%s/procs", top);
	put("procs", "");
	const char *const argv[] = {shim, "--join", file_path, NULL};
	struct am_spawn spawn = {.argv = argv, .fds = {-1, -1, -1}};
	static const char *const rows[][2] = {{"{\"ociVersion\":\"1.0\",\"pid\":4711}", "4711"},
					      {"{}", ""},
					      {"{\"pid\":1}", ""},
					      {"nonsense", ""},
					      {"", ""}};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct am_run_result result = {0};

		put("procs", "");
		ck_assert_int_eq(
			am_run(&spawn, rows[i][0], strlen(rows[i][0]), 4096, 20 * AM_NS_PER_S, NULL, &result, NULL), 0);
		ck_assert_int_eq(result.exit_code, rows[i][1][0] != '\0' ? 0 : 1);
		ck_assert_str_eq(file("", "procs"), rows[i][1]);
		am_run_result_fini(&result);
	}
	end();
}
END_TEST

START_TEST(what_is_no_specification_of_podmans)
{
	static const char *const rows[] = {"{}",
					   "{\"path\":\"podman\",\"options\":[],\"args\":[],\"image\":\"sha256:1\"}",
					   "{\"path\":\"/p\",\"options\":[],\"args\":[],\"image\":\"busybox\"}",
					   "{\"path\":\"/p\",\"options\":[1],\"args\":[],\"image\":\"sha256:1\"}"};

	begin_podman();
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_auto(am_freep) char *c =
			am_xasprintf("{\"name\":\"c\",\"argv\":[\"true\"],\"env\":[],\"podman\":%s}", rows[i]);

		ck_assert_msg(run("p", "bwrap", c, "") == 1, "%s", rows[i]);
	}
	ck_assert_int_eq(sh_podman("q", "true", ",\"mounts\":[{\"source\":\"/a:b\",\"target\":\"/c\"}]", ""), 1);
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, a_container_from_start_to_end);
	tcase_add_test(tc, variables_of_several_lines_are_secrets);
	tcase_add_test(tc, what_podman_refuses_is_128);
	tcase_add_test(tc, podman_that_is_not_there_is_128);
	tcase_add_test(tc, it_ends_by_signal_and_by_force);
	tcase_add_test(tc, a_slow_start_is_broken_off);
	tcase_add_test(tc, a_killed_shim_takes_the_container_along);
	tcase_add_test(tc, it_is_started_again_under_its_name);
	tcase_add_test(tc, the_hook_joins_what_it_is_told);
	tcase_add_test(tc, what_is_no_specification_of_podmans);
}

UNIT_MAIN("shim_podman", cases)
