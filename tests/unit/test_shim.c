/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambient-shim with real processes: ends, logs, signals, what a sandbox shows, and what is left when somebody is
 * killed.  Tests of the sandbox are skipped where bubblewrap cannot work.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "tests/unit/shim.h"

START_TEST(exit_codes)
{
	static const struct { const char *script, *code; } rows[] = {
		{ "true", "\"code\":0,\"reason\":\"Completed\"" }, { "exit 1", "\"code\":1,\"reason\":\"Error\"" },
		{ "exit 42", "\"code\":42,\"reason\":\"Error\"" }, { "sh -c 'kill -9 $$'", "\"code\":137," },
		{ "sh -c 'kill -SEGV $$'", "\"code\":139," }, { "sh -c 'kill -TERM $$'", "\"code\":143," },
		{ "echo why > /dev/termination-log; exit 3", "\"message\":\"why\\n\"" },
	};

	begin();
	for (size_t s = 0; s < sandbox_count(); s++)
		for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
			am_auto(am_freep) char *pod = am_xasprintf("p%zu-%zu", s, i);

			if (s == 0 && strstr(rows[i].script, "termination-log") != NULL)
				continue; /* there is no such place without a sandbox */
			ck_assert_int_eq(sh(pod, sandboxes[s], rows[i].script, ""), 0);
			ck_assert(over(pod));
			ck_assert_msg(strstr(file(pod, "state.jsonl"), rows[i].code) != NULL, "%s", file(pod, "state.jsonl"));
		}
	end();
}
END_TEST

START_TEST(what_cannot_start_is_128)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", s);

		ck_assert_int_eq(run(pod, sandboxes[s], "{\"name\":\"c\",\"argv\":[\"/no/such\"],\"env\":[]}", ""), 0);
		ck_assert(over(pod));
		ck_assert_ptr_nonnull(strstr(file(pod, "state.jsonl"), "\"code\":128,\"reason\":\"StartError\""));
		ck_assert_ptr_nonnull(strstr(file(pod, "state.jsonl"), "/no/such"));
		ck_assert_ptr_null(strstr(file(pod, "state.jsonl"), "\"rec\":\"running\""));
		am_auto(am_freep) char *dir = am_xasprintf("d%zu", s);
		ck_assert_int_eq(run(dir, sandboxes[s], "{\"name\":\"c\",\"argv\":[\"/bin/true\"],\"env\":[],\"cwd\":\"/no/dir\"}", ""), 0);
		ck_assert(over(dir));
		ck_assert_ptr_nonnull(strstr(file(dir, "state.jsonl"), "\"code\":128,\"reason\":\"StartError\""));
	}
	end();
}
END_TEST

/* As under a kubelet; that of the shim, which writes what is nobody else's business, is stricter. */
START_TEST(files_of_a_container_may_be_read_by_others)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", s);

		ck_assert_int_eq(sh(pod, sandboxes[s], "umask", ""), 0);
		ck_assert(over(pod));
		ck_assert_ptr_nonnull(strstr(file(pod, "containers/c/0.log"), " stdout F 0022\n"));
	}
	end();
}
END_TEST

START_TEST(a_user_that_nobody_knows_has_a_line)
{
	static const struct { const char *user, *said; } rows[] = {
		{ "4242", " stdout F uid=4242(4242) gid=17" }, { "0", " stdout F uid=0(root) gid=17" },
	};

	if (!bwrap_works()) {
		printf("# SKIP a_user_that_nobody_knows_has_a_line: bubblewrap does not work here\n");
		return;
	}
	begin();
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", i);
		am_auto(am_freep) char *c = am_xasprintf("{\"name\":\"c\",\"argv\":[\"sh\",\"-c\",\"id; grep -c ^root: /etc/passwd; "
			"echo x >>/etc/passwd\"],\"env\":[\"PATH=/usr/bin:/bin\"],\"uid\":%s,\"gid\":17}", rows[i].user);

		ck_assert_int_eq(run(pod, "bwrap", c, ""), 0);
		ck_assert(over(pod));
		const char *log = file(pod, "containers/c/0.log");
		ck_assert_msg(strstr(log, rows[i].said) != NULL && strstr(log, " stdout F 1\n") != NULL, "%s", log);
		ck_assert_ptr_nonnull(strstr(file(pod, "state.jsonl"), "\"code\":2,"));
	}
	end();
}
END_TEST

START_TEST(term_is_given_its_grace)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *good = am_xasprintf("good%zu", s), *bad = am_xasprintf("bad%zu", s);

		ck_assert_int_eq(sh(good, sandboxes[s], "trap 'exit 143' TERM; echo up; while :; do sleep 0.02; done", ""), 0);
		ck_assert_int_eq(sh(bad, sandboxes[s], "trap '' TERM; echo up; while :; do sleep 0.02; done", ""), 0);
		ck_assert(wait_for(good, "containers/c/0.log", "up"));
		ck_assert(wait_for(bad, "containers/c/0.log", "up"));
		int fd = dial(good);
		ck_assert_ptr_nonnull(strstr(talk(fd, "{\"op\":\"stop\",\"graceMs\":20000}\n", 2), "\"ok\":true"));
		(void)close(fd);
		fd = dial(bad);
		(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":300}\n", 2);
		(void)close(fd);
		ck_assert(over(good));
		ck_assert_ptr_nonnull(strstr(file(good, "state.jsonl"), "\"code\":143,"));
		ck_assert(over(bad));
		ck_assert_ptr_nonnull(strstr(file(bad, "state.jsonl"), "\"code\":137,"));
	}
	end();
}
END_TEST

START_TEST(deadline_ends_it_without_a_daemon)
{
	begin();
	ck_assert_int_eq(sh("p", "none", "sleep 60", ",\"deadline\":1"), 0);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "\"rec\":\"deadline\""));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "\"code\":143,"));
	end();
}
END_TEST

/* Protocol 3: a deadline that is set or lowered while the pod runs, and one of which some had gone before. */
START_TEST(deadline_of_a_running_pod)
{
	int fd;

	begin();
	ck_assert_int_eq(sh("set", "none", "sleep 60", ""), 0);
	ck_assert_int_eq(sh("lowered", "none", "sleep 60", ",\"deadline\":1000"), 0);
	ck_assert_int_eq(sh("late", "none", "sleep 60", ",\"deadline\":1000,\"elapsedMs\":999900"), 0);
	ck_assert_int_eq(sh("bad", "none", "sleep 60", ",\"elapsedMs\":-1"), 1);
	fd = dial("set");
	ck_assert_ptr_nonnull(strstr(talk(fd, "{\"op\":\"deadline\",\"seconds\":0}\n", 2), "deadline needs seconds"));
	ck_assert_ptr_nonnull(strstr(talk(fd, "{\"op\":\"deadline\",\"seconds\":1}\n", 1), "\"ok\":true"));
	(void)close(fd);
	fd = dial("lowered");
	ck_assert_ptr_nonnull(strstr(talk(fd, "{\"op\":\"deadline\",\"seconds\":1}\n", 2), "\"ok\":true"));
	(void)close(fd);
	for (size_t i = 0; i < 3; i++) {
		const char *pod = (const char *const[]){ "set", "lowered", "late" }[i];

		ck_assert(over(pod));
		ck_assert_ptr_nonnull(strstr(file(pod, "state.jsonl"), "\"rec\":\"deadline\""));
	}
	end();
}
END_TEST

START_TEST(init_containers_in_order_and_their_failure)
{
	const char *c = "{\"name\":\"c\",\"argv\":[\"sh\",\"-c\",\"echo main\"],\"env\":[\"PATH=/usr/bin:/bin\"]}";

	begin();
	ck_assert_int_eq(run("p", "none", c, ",\"initContainers\":[{\"name\":\"a\",\"argv\":[\"/bin/sleep\",\"0.1\"],\"env\":[]},"
			     "{\"name\":\"b\",\"argv\":[\"/bin/true\"],\"env\":[]}]"), 0);
	ck_assert(over("p"));
	const char *state = file("p", "state.jsonl");
	const char *a = strstr(state, "\"rec\":\"exit\",\"container\":\"a\""), *b = strstr(state, "\"rec\":\"starting\",\"container\":\"b\"");
	const char *m = strstr(state, "\"rec\":\"starting\",\"container\":\"c\"");
	ck_assert(a != NULL && b != NULL && m != NULL && a < b && b < m);
	ck_assert_int_eq(run("q", "none", c, ",\"initContainers\":[{\"name\":\"a\",\"argv\":[\"/bin/false\"],\"env\":[]}]"), 0);
	ck_assert(over("q"));
	ck_assert_ptr_null(strstr(file("q", "state.jsonl"), "\"container\":\"c\""));
	end();
}
END_TEST

START_TEST(on_failure_starts_again)
{
	begin();
	ck_assert_int_eq(sh("p", "none", "echo run; exit 1", ",\"restartPolicy\":\"OnFailure\",\"backoffMs\":20"), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"starting\",\"container\":\"c\",\"n\":2"));
	/* At once after the first end; the second one is waited for. */
	const char *state = file("p", "state.jsonl"), *second = strstr(state, "\"rec\":\"starting\",\"container\":\"c\",\"n\":1");
	const char *wait = strstr(state, "\"reason\":\"CrashLoopBackOff\",\"message\":\"back-off 20ms restarting failed container=c\"");
	ck_assert(second != NULL && wait != NULL && second < wait);
	ck_assert(exists("p", "containers/c/1.log"));
	int fd = dial("p");
	(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":0}\n", 2);
	(void)close(fd);
	ck_assert(over("p"));
	end();
}
END_TEST

START_TEST(long_lines_are_cut_into_parts)
{
	size_t parts = 0, bytes = 0;

	begin();
	ck_assert_int_eq(sh("p", "none", "head -c 1048576 /dev/zero | tr '\\\\0' x; echo; printf tail", ""), 0);
	ck_assert(over("p"));
	for (const char *p = file("p", "containers/c/0.log"), *nl; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
		const char *tag = strstr(p, " stdout ");

		ck_assert_ptr_nonnull(tag);
		ck_assert_int_le(nl - tag - 10, 16384);
		parts += tag[8] == 'P';
		bytes += (size_t)(nl - tag - 10);
	}
	ck_assert_uint_ge(parts, 63);
	ck_assert_uint_eq(bytes, 1048576 + 4);
	ck_assert_ptr_nonnull(strstr(file("p", "containers/c/0.log"), " stdout F tail\n"));
	end();
}
END_TEST

START_TEST(logs_rotate_at_10_mib)
{
	struct stat st;
	size_t lines = 0;

	begin();
	ck_assert_int_eq(sh("p", "none", "yes 0123456789012345678901234567890123456789 | head -n 300000", ""), 0);
	ck_assert(over("p"));
	for (int i = 4; i >= 0; i--) {
		am_auto(am_freep) char *name = i > 0 ? am_xasprintf("containers/c/0.log.%d", i) : am_xstrdup("containers/c/0.log");
		am_auto(am_freep) char *path = am_xasprintf("%s/p/%s", top, name);

		if (stat(path, &st) < 0)
			continue;
		ck_assert_int_lt(st.st_size, (10 << 20) + (1 << 20));
		for (const char *p = file("p", name); (p = strchr(p, '\n')) != NULL; p++)
			lines++;
	}
	ck_assert(exists("p", "containers/c/0.log.1"));
	ck_assert_uint_eq(lines, 300000);
	end();
}
END_TEST

START_TEST(killed_shim_takes_its_containers_along)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", s), *lock = am_xasprintf("%s/p%zu/shim.lock", top, s);

		ck_assert_int_eq(sh(pod, sandboxes[s], "echo up; exec sleep 60", ""), 0);
		ck_assert(wait_for(pod, "state.jsonl", "\"rec\":\"running\""));
		pid_t keeper = pid_in(pod, "\"rec\":\"shim\""), child = pid_in(pod, "\"rec\":\"running\"");
		ck_assert_int_gt(keeper, 1);
		ck_assert_int_gt(child, 1);
		int fd = open(lock, O_RDONLY | O_CLOEXEC);
		ck_assert_int_eq(flock(fd, LOCK_SH | LOCK_NB), -1);
		ck_assert_int_eq(kill(keeper, SIGKILL), 0);
		ck_assert(gone(child));
		ck_assert_int_eq(flock(fd, LOCK_SH | LOCK_NB), 0);
		(void)close(fd);
		/* It is not started a second time, whatever became of it. */
		ck_assert_int_eq(sh(pod, sandboxes[s], "true", ""), 4);
	}
	end();
}
END_TEST

START_TEST(nobody_starts_a_pod_twice)
{
	begin();
	ck_assert_int_eq(sh("p", "none", "sleep 60", ""), 0);
	ck_assert_int_eq(sh("p", "none", "sleep 60", ""), 3);
	int fd = dial("p");
	(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":0}\n", 2);
	(void)close(fd);
	ck_assert(over("p"));
	end();
}
END_TEST

START_TEST(friendly_signals_do_not_end_a_shim)
{
	begin();
	ck_assert_int_eq(sh("p", "none", "sleep 60", ""), 0);
	pid_t keeper = pid_in("p", "\"rec\":\"shim\"");
	ck_assert_int_eq(kill(keeper, SIGTERM), 0);
	ck_assert_int_eq(kill(keeper, SIGHUP), 0);
	int fd = dial("p");
	ck_assert_ptr_nonnull(strstr(talk(fd, "{\"op\":\"status\"}\n", 2), "\"phase\":\"running\""));
	ck_assert_ptr_nonnull(strstr(talk(fd, "{\"op\":\"dance\"}\n", 1), "unknown op"));
	ck_assert_ptr_nonnull(strstr(talk(fd, "garbage\n", 1), "\"ok\":false"));
	ck_assert_ptr_nonnull(strstr(talk(fd, "{\"op\":\"subscribe\"}\n", 1), "\"ok\":true"));
	/* The answer, then the records of the stop, the exit and the end. */
	const char *heard = talk(fd, "{\"op\":\"stop\",\"graceMs\":0}\n", 4);
	ck_assert_msg(strstr(heard, "\"rec\":\"exit\"") != NULL && strstr(heard, "\"rec\":\"end\"") != NULL, "%s", heard);
	(void)close(fd);
	end();
}
END_TEST

START_TEST(bad_specifications_get_a_sentence)
{
	static const char *const bad[] = { "", "{", "{\"version\":2}", "{\"version\":1}",
		"{\"version\":1,\"dir\":\"relative\",\"socket\":\"/s\",\"containers\":[]}" };

	begin();
	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		const char *const argv[] = { shim, "--spec", "0", NULL };
		struct am_spawn spawn = { .argv = argv, .fds = { -1, -1, -1 } };
		struct am_run_result result = { 0 };
		struct ambient_error err = AMBIENT_ERROR_INIT;

		ck_assert_int_eq(am_run(&spawn, bad[i], strlen(bad[i]), 4096, 10 * AM_NS_PER_S, NULL, &result, &err), 0);
		ck_assert_int_eq(result.exit_code, 1);
		ck_assert_int_eq(strncmp(am_buf_str(&result.err), "ambient-shim: ", 14), 0);
		am_run_result_fini(&result);
	}
	ck_assert_int_eq(run("p", "none", "{\"name\":\"../x\",\"argv\":[\"true\"],\"env\":[]}", ""), 1);
	ck_assert_int_eq(run("q", "none", "{\"name\":\"c\",\"argv\":[\"true\"],\"env\":[],\"mounts\":[{\"source\":\"/a/../b\","
			     "\"target\":\"/x\"}]}", ""), 1);
	static const char *const groups[] = { "7", "[-1]", "[4294967295]", "[\"7\"]" };
	for (size_t i = 0; i < AM_COUNTOF(groups); i++) {
		am_auto(am_freep) char *c = am_xasprintf("{\"name\":\"c\",\"argv\":[\"true\"],\"env\":[],\"groups\":%s}", groups[i]);

		ck_assert_int_eq(run("g", "none", c, ""), 1);
	}
	end();
}
END_TEST

START_TEST(without_a_sandbox_nothing_is_left_behind)
{
	begin();
	ck_assert_int_eq(sh("p", "none", "sleep 61 & echo $!", ""), 0);
	ck_assert(over("p"));
	const char *log = strstr(file("p", "containers/c/0.log"), "stdout F ");
	ck_assert_ptr_nonnull(log);
	ck_assert(gone((pid_t)atoi(log + 9)));
	end();
}
END_TEST

START_TEST(sandbox_shows_nothing_of_the_machine)
{
	if (!bwrap_works()) {
		printf("# SKIP sandbox_shows_nothing_of_the_machine: bubblewrap does not work here\n");
		return;
	}
	begin();
	am_auto(am_freep) char *script = am_xasprintf(
		"for d in /root /home /srv /mnt %s /sys /etc/shadow /etc/ssl/private /var/lib; do ls -d $d 2>/dev/null && echo SEEN; done; "
		"ls /proc | grep -c '^[0-9]'; touch /usr/x 2>/dev/null && echo WROTE; "
		"touch /tmp/x /dev/shm/x && echo tmp; hostname; cat /proc/self/status | grep -E 'CapEff|NoNewPrivs'", top);
	ck_assert_int_eq(sh("p", "bwrap", script, ""), 0);
	ck_assert(over("p"));
	const char *log = file("p", "containers/c/0.log");
	ck_assert_msg(strstr(log, "SEEN") == NULL && strstr(log, "WROTE") == NULL, "%s", log);
	ck_assert_msg(strstr(log, "F tmp\n") != NULL && strstr(log, "F p\n") != NULL, "%s", log);
	ck_assert_msg(strstr(log, "CapEff:\t0000000000000000") != NULL && strstr(log, "NoNewPrivs:\t1") != NULL, "%s", log);
	end();
}
END_TEST

/* /proc/<pid>/cmdline of every process while the pod runs. */
static bool
on_a_command_line(const char *word)
{
	DIR *proc = opendir("/proc");
	bool found = false;

	for (struct dirent *e; (e = readdir(proc)) != NULL && !found;) {
		am_auto(am_freep) char *path = am_xasprintf("/proc/%s/cmdline", e->d_name);
		am_auto(am_buf_fini) struct am_buf line = { 0 };

		if (am_file_read(path, 1 << 20, &line, NULL) == 0 && line.len > 0)
			found = memmem(line.data, line.len, word, strlen(word)) != NULL;
	}
	(void)closedir(proc);
	return found;
}

/* A filter that refuses to change modes: on the program, on what enters the container, and not on who has
 * another one or none. */
START_TEST(filters_of_system_calls)
{
	static const struct sock_filter refuse_chmod[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fchmodat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	static const struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	static const char script[] = "touch /tmp/f; chmod 600 /tmp/f && echo changed; grep Seccomp: /proc/self/status; exec sleep 20";
	am_auto(am_freep) char *path = NULL, *more = NULL, *c = NULL;
	int out[2];
	char text_of_exec[512] = "";

	begin();
	if (!bwrap_works()) {
		end();
		return;
	}
	path = am_xasprintf("%s/filter", top);
	FILE *f = fopen(path, "w");
	ck_assert(f != NULL && fwrite(refuse_chmod, sizeof(refuse_chmod), 1, f) == 1 && fclose(f) == 0);
	more = am_xasprintf(",\"seccompFilter\":\"%s\"", path);
	am_auto(am_freep) char *own_path = am_xasprintf("%s/own", top);
	f = fopen(own_path, "w");
	ck_assert(f != NULL && fwrite(allow, sizeof(allow), 1, f) == 1 && fclose(f) == 0);
	c = am_xasprintf("{\"name\":\"c\",\"seccomp\":true,\"argv\":[\"sh\",\"-c\",\"%s\"],\"env\":[\"PATH=/usr/bin:/bin\"]},"
			 "{\"name\":\"own\",\"seccomp\":true,\"seccompFilter\":\"%s\",\"argv\":[\"sh\",\"-c\",\"%s\"],\"env\":[\"PATH=/usr/bin:/bin\"]},"
			 "{\"name\":\"free\",\"argv\":[\"sh\",\"-c\",\"%s\"],\"env\":[\"PATH=/usr/bin:/bin\"]}", script, own_path, script, script);
	ck_assert_int_eq(run("p", "bwrap", c, more), 0);
	ck_assert(wait_for("p", "containers/c/0.log", "Seccomp:\t2"));
	ck_assert_ptr_nonnull(strstr(file("p", "containers/c/0.log"), "Inappropriate ioctl"));
	ck_assert_ptr_null(strstr(file("p", "containers/c/0.log"), "changed"));
	ck_assert(wait_for("p", "containers/own/0.log", "Seccomp:\t2"));
	ck_assert_ptr_nonnull(strstr(file("p", "containers/own/0.log"), "changed"));
	ck_assert(wait_for("p", "containers/free/0.log", "Seccomp:\t0"));
	ck_assert_ptr_nonnull(strstr(file("p", "containers/free/0.log"), "changed"));
	/* What enters has it too. */
	int fd = dial("p");
	static const char line[] = "{\"op\":\"exec\",\"container\":\"c\",\"argv\":[\"grep\",\"Seccomp:\",\"/proc/self/status\"],"
				   "\"stdout\":true}\n";

	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)line, sizeof(line) - 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &out[1], sizeof(int));
	ck_assert_int_eq(sendmsg(fd, &msg, MSG_NOSIGNAL), (int)sizeof(line) - 1);
	(void)close(out[1]);
	ck_assert_int_gt(read(out[0], text_of_exec, sizeof(text_of_exec) - 1), 0);
	ck_assert_ptr_nonnull(strstr(text_of_exec, "Seccomp:\t2"));
	(void)close(out[0]);
	(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":0}\n", 4);
	(void)close(fd);
	ck_assert(over("p"));
	/* No filter, and one that is none. */
	ck_assert_int_eq(run("none", "bwrap", c, ""), 1);
	ck_assert_int_eq(truncate(path, 5), 0);
	ck_assert_int_eq(run("odd", "bwrap", c, more), 1);
	end();
}
END_TEST

START_TEST(secrets_are_on_no_command_line)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", s);

		ck_assert_int_eq(run(pod, sandboxes[s], "{\"name\":\"c\",\"argv\":[\"sh\",\"-c\",\"echo $KEY; sleep 60\"],"
				     "\"env\":[\"PATH=/usr/bin:/bin\",\"KEY=c4n4ry\"]}", ""), 0);
		ck_assert(wait_for(pod, "containers/c/0.log", "c4n4ry"));
		ck_assert(!on_a_command_line("c4n4ry"));
		int fd = dial(pod);
		(void)talk(fd, "{\"op\":\"stop\",\"graceMs\":0}\n", 2);
		(void)close(fd);
		ck_assert(over(pod));
		ck_assert_ptr_null(strstr(file(pod, "state.jsonl"), "c4n4ry"));
	}
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, exit_codes);
	tcase_add_test(tc, what_cannot_start_is_128);
	tcase_add_test(tc, files_of_a_container_may_be_read_by_others);
	tcase_add_test(tc, a_user_that_nobody_knows_has_a_line);
	tcase_add_test(tc, term_is_given_its_grace);
	tcase_add_test(tc, deadline_ends_it_without_a_daemon);
	tcase_add_test(tc, deadline_of_a_running_pod);
	tcase_add_test(tc, init_containers_in_order_and_their_failure);
	tcase_add_test(tc, on_failure_starts_again);
	tcase_add_test(tc, long_lines_are_cut_into_parts);
	tcase_add_test(tc, logs_rotate_at_10_mib);
	tcase_add_test(tc, killed_shim_takes_its_containers_along);
	tcase_add_test(tc, nobody_starts_a_pod_twice);
	tcase_add_test(tc, friendly_signals_do_not_end_a_shim);
	tcase_add_test(tc, bad_specifications_get_a_sentence);
	tcase_add_test(tc, without_a_sandbox_nothing_is_left_behind);
	tcase_add_test(tc, sandbox_shows_nothing_of_the_machine);
	tcase_add_test(tc, filters_of_system_calls);
	tcase_add_test(tc, secrets_are_on_no_command_line);
}

UNIT_MAIN("shim", cases)
