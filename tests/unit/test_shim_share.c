/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of one process id namespace (shareProcessNamespace): what they see of each other and what not, what ends
 * with what.  All of it as whoever runs the tests and, when that is root, as an ordinary user as well.
 */
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/unit/shim.h"

#define SH(name, script, more) \
	"{\"name\":\"" name "\",\"argv\":[\"sh\",\"-c\",\"" script "\"],\"env\":[\"PATH=/usr/bin:/bin\"]" more "}"
#define SHARE ",\"shareProcessNamespace\":true"

/* Processes of the machine that were started so: a word of their command line that nobody else has. */
static int
sleepers(const char *word)
{
	DIR *proc = opendir("/proc");
	int n = 0;

	ck_assert_ptr_nonnull(proc);
	for (struct dirent *e; (e = readdir(proc)) != NULL;) {
		am_auto(am_freep) char *path = am_xasprintf("/proc/%s/cmdline", e->d_name);
		am_auto(am_buf_fini) struct am_buf line = { 0 };

		n += e->d_name[0] >= '1' && e->d_name[0] <= '9' && am_file_read(path, 65536, &line, NULL) == 0 &&
		     line.len > 7 && strcmp(line.data, "sleep") == 0 && strcmp(line.data + 6, word) == 0;
	}
	(void)closedir(proc);
	return n;
}

static bool
slept(const char *word, int n)
{
	for (int i = 0; i < unit_looks(3000) && sleepers(word) != n; i++)
		(void)usleep(5000);
	return sleepers(word) == n;
}

/* Of the shim: the first process of the namespace. */
static pid_t
pause_of(pid_t shim_pid)
{
	DIR *proc = opendir("/proc");
	pid_t found = 0;

	for (struct dirent *e; (e = readdir(proc)) != NULL;) {
		am_auto(am_freep) char *path = am_xasprintf("/proc/%s/stat", e->d_name);
		am_auto(am_freep) char *wanted = am_xasprintf(" (pause) S %d ", (int)shim_pid);
		am_auto(am_buf_fini) struct am_buf line = { 0 };

		if (am_file_read(path, 4096, &line, NULL) == 0 && strstr(am_buf_str(&line), wanted) != NULL)
			found = (pid_t)atoi(e->d_name);
	}
	(void)closedir(proc);
	return found;
}

static void
stop(const char *pod)
{
	int fd = dial(pod);

	ck_assert_int_ge(fd, 0);
	(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":0}\n", 2);
	(void)close(fd);
	ck_assert(over(pod));
}

static char mark[32], other[32];

static void
marks(void)
{
	(void)snprintf(mark, sizeof(mark), "3600.%d", (int)getpid() * 10 + 1);
	(void)snprintf(other, sizeof(other), "3600.%d", (int)getpid() * 10 + 2);
}

static void
see_and_signal(void)
{
	am_auto(am_freep) char *pair = am_xasprintf(
		SH("a", "exec sleep %s", "") "," SH("b",
		"until grep -ls %s /proc/[0-9]*/cmdline | grep -v self; do sleep 0.05; done; cat /proc/1/comm; echo I am $$; id -u; "
		"readlink /proc/1/root /proc/1/exe; kill -9 1; for p in /proc/[0-9]*; do grep -qs %.7s $p/cmdline && readlink $p/root; done; "
		"pkill -x -9 sleep; exit 4", ""), mark, mark, mark);

	ck_assert_int_eq(run("p", "bwrap", pair, SHARE), 0);
	ck_assert(over("p"));
	const char *state = file("p", "state.jsonl");
	ck_assert_msg(strstr(state, "\"container\":\"a\",\"n\":0,\"code\":137") != NULL, "%s", state);
	ck_assert_msg(strstr(state, "\"container\":\"b\",\"n\":0,\"code\":4") != NULL, "%s", state);
	const char *log = file("p", "containers/b/0.log");
	am_auto(am_freep) char *id = am_xasprintf("F %d\n", (int)geteuid());
	ck_assert_msg(strstr(log, "F pause\n") != NULL && strstr(log, "F I am 1\n") == NULL && strstr(log, id) != NULL, "%s", log);
	/* Its own root is all that it can look at. */
	ck_assert_msg(strstr(log, "F /\n") == NULL || strstr(strstr(log, "F /\n") + 4, "F /\n") == NULL, "%s", log);
	ck_assert_msg(strstr(log, "ambient-shim") == NULL, "%s", log);
}

/* One that ends takes what it left along, in whatever session; the other one is not started again. */
static void
ends_alone(void)
{
	am_auto(am_freep) char *pair = am_xasprintf(
		SH("a", "setsid sleep %s & setsid sh -c 'trap : TERM; while :; do sleep %s; done' & sleep 0.1; exit 3",
		   "") "," SH("b", "sleep %s; :", ",\"readiness\":{\"period\":1,\"exec\":[\"sh\",\"-c\",\"test $(cat /proc/1/comm) = pause && test $$ -gt 2\"]}"),
		mark, mark, other);

	ck_assert_int_eq(run("p", "bwrap", pair, ",\"restartPolicy\":\"OnFailure\",\"backoffMs\":300" SHARE), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"exit\",\"container\":\"a\",\"n\":0,\"code\":3"));
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"exit\",\"container\":\"a\",\"n\":1,\"code\":3"));
	ck_assert(wait_for("p", "state.jsonl", "\"ready\":true"));
	ck_assert_ptr_null(strstr(file("p", "state.jsonl"), "\"rec\":\"exit\",\"container\":\"b\""));
	ck_assert_int_eq(sleepers(other), 1);
	/* What a third instance of a may have made goes with the pod. */
	stop("p");
	ck_assert(slept(mark, 0) && slept(other, 0));
}

static void
leftovers_end(void)
{
	am_auto(am_freep) char *pair = am_xasprintf(SH("a", "setsid sleep %s & setsid sleep %s & sleep 0.2; exit 3", "") ","
						    SH("b", "exec sleep %s", ",\"uid\":4242,\"gid\":4242"), mark, mark, other);

	ck_assert_int_eq(run("p", "bwrap", pair, SHARE), 0);
	ck_assert(slept(other, 1));
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"exit\",\"container\":\"a\",\"n\":0,\"code\":3"));
	ck_assert_int_eq(sleepers(mark), 0);
	ck_assert_int_eq(sleepers(other), 1);
	pid_t pid = pid_in("p", "\"rec\":\"shim\""), first = pause_of(pid);
	ck_assert_int_gt(first, 1);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert(slept(other, 0) && gone(first));
}

/* Whoever kills the first process ends all of them; the next ones have another. */
static void
a_new_namespace(void)
{
	am_auto(am_freep) char *one = am_xasprintf(SH("a", "exec sleep %s", "") "," SH("b", "exec sleep %s", ""), mark, other);

	ck_assert_int_eq(run("p", "bwrap", one, ",\"restartPolicy\":\"Always\",\"backoffMs\":100" SHARE), 0);
	ck_assert(slept(mark, 1) && slept(other, 1));
	pid_t pid = pid_in("p", "\"rec\":\"shim\""), first = pause_of(pid);
	ck_assert_int_eq(kill(first, SIGKILL), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"exit\",\"container\":\"a\",\"n\":0,\"code\":137"));
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"running\",\"container\":\"a\",\"n\":1"));
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"running\",\"container\":\"b\",\"n\":1"));
	ck_assert_int_ne(pause_of(pid), first);
	stop("p");
	ck_assert(slept(mark, 0) && slept(other, 0));
}

static int64_t
mounts_of(pid_t pid)
{
	am_auto(am_freep) char *path = am_xasprintf("/proc/%d/ns/mnt", (int)pid);
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_ino : 0;
}

static bool
nobody_is_in(int64_t mounts)
{
	bool empty = false;

	for (int i = 0; i < unit_looks(1000) && !empty; i++) {
		DIR *proc = opendir("/proc");

		empty = true;
		for (struct dirent *e; (e = readdir(proc)) != NULL;)
			empty = empty && (atoi(e->d_name) <= 0 || mounts_of((pid_t)atoi(e->d_name)) != mounts);
		(void)closedir(proc);
		(void)usleep(empty ? 0 : 5000);
	}
	return empty;
}

/* In mount namespaces of their own, which get the lowest numbers that nobody has. */
static void
start_strangers(pid_t pids[4])
{
	for (size_t i = 0; i < 4; i++) {
		int fds[2];
		char c;

		ck_assert_int_eq(pipe(fds), 0);
		pids[i] = fork();
		if (pids[i] == 0) {
			(void)!unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS);
			(void)close(fds[0]);
			(void)close(fds[1]);
			(void)pause();
			_exit(0);
		}
		(void)close(fds[1]);
		ck_assert_int_eq(read(fds[0], &c, 1), 0);
		(void)close(fds[0]);
	}
}

/* What a container leaves is known by its mount namespace, whose number the kernel gives away as soon as nobody is in it:
 * whoever has it next is left alone, be it the sandbox of another pod. */
static void
strangers_live(void)
{
	am_auto(am_freep) char *one = am_xasprintf(SH("a", "exec sleep %s", ""), mark);
	pid_t strangers[4];

	ck_assert_int_eq(run("p", "bwrap", one, SHARE), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"running\",\"container\":\"a\"") && slept(mark, 1));
	pid_t keeper = pid_in("p", "\"rec\":\"shim\""), program = pid_in("p", "\"rec\":\"running\"");
	int64_t mounts = mounts_of(program);
	ck_assert_int_ne(mounts, 0);
	/* The shim learns of the end only when the number may be another's. */
	ck_assert_int_eq(kill(keeper, SIGSTOP), 0);
	ck_assert_int_eq(kill(program, SIGKILL), 0);
	ck_assert(gone(program) && nobody_is_in(mounts));
	start_strangers(strangers);
	ck_assert_int_eq(kill(keeper, SIGCONT), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"exit\",\"container\":\"a\""));
	ck_assert(over("p"));
	for (size_t i = 0; i < AM_COUNTOF(strangers); i++) {
		ck_assert_int_eq(waitpid(strangers[i], NULL, WNOHANG), 0);
		(void)kill(strangers[i], SIGKILL);
		(void)waitpid(strangers[i], NULL, 0);
	}
}

static void
alone_as_before(void)
{
	ck_assert_int_eq(sh("p", "bwrap", "echo I am $$", ""), 0);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(strstr(file("p", "containers/c/0.log"), "F I am 1\n"));
}

/* In a child that is an ordinary user, with a program that it may read. */
static void
as_ordinary(void (*test)(void))
{
	am_auto(am_buf_fini) struct am_buf program = { 0 };
	int status = 0;
	pid_t pid;

	begin();
	ck_assert_int_eq(am_file_read(shim, 64 << 20, &program, NULL), 0);
	(void)snprintf(shim, sizeof(shim), "%s/ambient-shim", top);
	ck_assert_int_eq(am_file_write(shim, program.data, program.len, 0755, NULL), 0);
	ck_assert_int_eq(chown(top, 65534, 65534), 0);
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		if (bwrap_works())
			test();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	end();
}

static void
both(void (*test)(void))
{
	if (!bwrap_works()) {
		printf("# SKIP shareProcessNamespace: bubblewrap does not work here\n");
		return;
	}
	marks();
	begin();
	test();
	end();
	if (geteuid() == 0)
		as_ordinary(test);
}

START_TEST(containers_see_and_signal_each_other) { both(see_and_signal); }
END_TEST
START_TEST(a_container_ends_alone_and_comes_back) { both(ends_alone); }
END_TEST
START_TEST(what_a_container_leaves_ends_with_it) { both(leftovers_end); }
END_TEST
START_TEST(a_first_process_that_was_killed_is_made_anew) { both(a_new_namespace); }
END_TEST
START_TEST(who_has_its_number_next_is_left_alone) { both(strangers_live); }
END_TEST
START_TEST(who_does_not_share_is_alone) { both(alone_as_before); }
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, containers_see_and_signal_each_other);
	tcase_add_test(tc, a_container_ends_alone_and_comes_back);
	tcase_add_test(tc, what_a_container_leaves_ends_with_it);
	tcase_add_test(tc, a_first_process_that_was_killed_is_made_anew);
	tcase_add_test(tc, who_has_its_number_next_is_left_alone);
	tcase_add_test(tc, who_does_not_share_is_alone);
}

UNIT_MAIN("shim_share", cases)
