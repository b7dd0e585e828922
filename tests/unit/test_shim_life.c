/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambient-shim: sidecars, probes, hooks, limits, volumes in memory, quotas, and the size of its memory.  Real
 * processes; what needs bubblewrap or control groups is skipped where there are none.
 */
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/unit/shim.h"

#define SH(name, script, more) "{\"name\":\"" name "\",\"argv\":[\"sh\",\"-c\",\"" script "\"],\"env\":[\"PATH=/usr/bin:/bin\"]" more "}"

/* A startup probe that passes when the program has made a file in a directory; both are arguments of a format.  In a
 * sandbox /tmp is the container's own, and the probe is in it too. */
#define WHEN_THERE ",\"startup\":{\"exec\":[\"test\",\"-e\",\"%s/%s\"],\"period\":1,\"timeout\":20,\"failure\":60}"

/* Whether the words come in this order; the list ends with NULL. */
static bool
in_order(const char *words, const char *const *wanted)
{
	for (; *wanted != NULL; wanted++) {
		const char *p = strstr(words, *wanted);

		if (p == NULL) {
			fprintf(stderr, "no %s where it should be in:\n%s\n", *wanted, words);
			return false;
		}
		words = p;
	}
	return true;
}

static void
stop(const char *pod, const char *line)
{
	int fd = dial(pod);

	ck_assert_int_ge(fd, 0);
	(void)talk(fd, line, 2);
	(void)close(fd);
}

START_TEST(sidecars_start_in_order_and_end_in_reverse)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", s), *own = am_xasprintf("%s/own", top);

		/* The first one becomes up only when its startup probe passes; only then the next begins.  Each is up when
		 * its trap stands: main ends at once, and what comes before a trap would end it in another way. */
		am_auto(am_freep) char *more = am_xasprintf(",\"grace\":20,\"initContainers\":["
			SH("a", "trap 'exit 0' TERM; mkdir -p %s; >%s/a; while :; do sleep 0.02; done", ",\"sidecar\":true" WHEN_THERE) ","
			SH("b", "trap 'exit 3' TERM; mkdir -p %s; >%s/b; while :; do sleep 0.02; done", ",\"sidecar\":true" WHEN_THERE) ","
			SH("i", "true", "") "]", own, own, own, "a", own, own, own, "b");
		ck_assert_int_eq(run(pod, sandboxes[s], SH("main", "echo main", ""), more), 0);
		ck_assert(over(pod));
		ck_assert(in_order(file(pod, "state.jsonl"), (const char *const[]){
			"\"rec\":\"running\",\"container\":\"a\",\"n\":0", "\"rec\":\"ready\",\"container\":\"a\",\"n\":0,\"up\":true",
			"\"rec\":\"starting\",\"container\":\"b\"", "\"rec\":\"ready\",\"container\":\"b\",\"n\":0,\"up\":true",
			"\"rec\":\"starting\",\"container\":\"i\"", "\"rec\":\"exit\",\"container\":\"i\"",
			"\"rec\":\"starting\",\"container\":\"main\"", "\"rec\":\"exit\",\"container\":\"main\"",
			"\"rec\":\"exit\",\"container\":\"b\",\"n\":0,\"code\":3", "\"rec\":\"exit\",\"container\":\"a\",\"n\":0,\"code\":0",
			"\"rec\":\"end\"", NULL }));
	}
	end();
}
END_TEST

START_TEST(sidecars_come_back_whatever_the_policy)
{
	begin();
	ck_assert_int_eq(run("p", "none", SH("main", "sleep 60", ""), ",\"backoffMs\":20,\"restartPolicy\":\"Never\",\"initContainers\":["
			     SH("a", "exit 0", ",\"sidecar\":true") "]"), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"starting\",\"container\":\"a\",\"n\":2"));
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"running\",\"container\":\"main\""));
	/* Of the logs only those of this instance and the one before stay. */
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"starting\",\"container\":\"a\",\"n\":3"));
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"running\",\"container\":\"a\",\"n\":3"));
	ck_assert(!exists("p", "containers/a/0.log"));
	stop("p", "{\"op\":\"stop\",\"graceMs\":0}\n");
	ck_assert(over("p"));
	end();
}
END_TEST

START_TEST(a_failed_init_container_ends_the_sidecars)
{
	begin();
	ck_assert_int_eq(run("p", "none", SH("main", "true", ""), ",\"initContainers\":["
			     SH("a", "exec sleep 60", ",\"sidecar\":true") "," SH("i", "exit 4", "") "]"), 0);
	ck_assert(over("p"));
	ck_assert(in_order(file("p", "state.jsonl"), (const char *const[]){ "\"container\":\"i\",\"n\":0,\"code\":4",
			   "\"rec\":\"exit\",\"container\":\"a\"", "\"rec\":\"end\"", NULL }));
	ck_assert_ptr_null(strstr(file("p", "state.jsonl"), "\"container\":\"main\""));
	end();
}
END_TEST

START_TEST(a_liveness_probe_that_fails_ends_the_instance)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", s), *own = am_xasprintf("%s/%s", top, pod);
		/* The first probe runs at once: it must not fail before the program has its trap. */
		am_auto(am_freep) char *c = am_xasprintf(SH("c", "trap 'exit 9' TERM; mkdir -p %s; >%s/own; while :; do sleep 0.02; done",
			WHEN_THERE ",\"liveness\":{\"exec\":[\"sh\",\"-c\",\"echo not well; exit 1\"],\"period\":1,\"timeout\":20,"
			"\"failure\":1,\"grace\":20}"), own, own, own, "own");

		ck_assert_int_eq(run(pod, sandboxes[s], c, ""), 0);
		ck_assert(over(pod));
		ck_assert(in_order(file(pod, "state.jsonl"), (const char *const[]){ "\"reason\":\"Unhealthy\",\"message\":\"Liveness probe "
			"failed: not well", "\"reason\":\"Killing\",\"message\":\"Container c failed liveness probe", "\"code\":9", NULL }));
	}
	/* One that does not come back in time is killed and counts as failed. */
	ck_assert_int_eq(run("q", "none", SH("c", "exec sleep 60",
		",\"liveness\":{\"exec\":[\"sleep\",\"60\"],\"period\":1,\"timeout\":1,\"failure\":1}"), ""), 0);
	ck_assert(over("q"));
	ck_assert_ptr_nonnull(strstr(file("q", "state.jsonl"), "Liveness probe failed: it took too long"));
	end();
}
END_TEST

/* A server on loopback that answers one status to each connection; returns its port. */
static int
serve(int status, pid_t *child)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*child = fork();
	for (int one; *child == 0 && (one = accept(fd, NULL, NULL)) >= 0; (void)close(one)) {
		char head[2048], answer[64];
		ssize_t n = read(one, head, sizeof(head) - 1);

		head[n > 0 ? n : 0] = '\0';
		bool good = strstr(head, "GET /well?x=1 HTTP/1.1\r\n") != NULL && strstr(head, "X-Who: me\r\n") != NULL;
		n = snprintf(answer, sizeof(answer), "HTTP/1.1 %d X\r\n\r\n", good ? status : 400);
		(void)!write(one, answer, (size_t)n);
	}
	(void)close(fd);
	return ntohs(addr.sin_port);
}

START_TEST(readiness_by_http_and_tcp)
{
	static const struct { int status; const char *ready; } rows[] = {
		{ 200, "\"rec\":\"ready\",\"container\":\"c\",\"n\":0,\"up\":true,\"ready\":true" },
		{ 503, "Readiness probe failed: HTTP probe failed with statuscode: 503" },
	};
	char more[256];
	pid_t child;

	begin();
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", i);

		snprintf(more, sizeof(more), "{\"name\":\"c\",\"argv\":[\"/bin/sleep\",\"60\"],\"env\":[],\"readiness\":{\"http\":{\"host\":"
			 "\"127.0.0.1\",\"port\":%d,\"path\":\"/well?x=1\",\"headers\":[\"X-Who: me\"]},\"period\":1}}",
			 serve(rows[i].status, &child));
		ck_assert_int_eq(run(pod, "none", more, ""), 0);
		ck_assert(wait_for(pod, "state.jsonl", "\"rec\":\"running\",\"container\":\"c\",\"n\":0"));
		ck_assert(wait_for(pod, "state.jsonl", rows[i].ready));
		if (i == 0) {
			/* Nobody listens any more. */
			(void)kill(child, SIGKILL);
			ck_assert(wait_for(pod, "state.jsonl", "\"up\":true,\"ready\":false"));
		} else {
			ck_assert_ptr_null(strstr(file(pod, "state.jsonl"), "\"ready\":true"));
			(void)kill(child, SIGKILL);
		}
		(void)waitpid(child, NULL, 0);
		stop(pod, "{\"op\":\"stop\",\"graceMs\":0}\n");
		ck_assert(over(pod));
	}
	snprintf(more, sizeof(more), "{\"name\":\"c\",\"argv\":[\"/bin/sleep\",\"60\"],\"env\":[],\"readiness\":{\"tcp\":{\"host\":"
		 "\"127.0.0.1\",\"port\":%d},\"period\":1}}", serve(200, &child));
	ck_assert_int_eq(run("t", "none", more, ""), 0);
	ck_assert(wait_for("t", "state.jsonl", "\"up\":true,\"ready\":true"));
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	stop("t", "{\"op\":\"stop\",\"graceMs\":0}\n");
	ck_assert(over("t"));
	end();
}
END_TEST

START_TEST(hooks_and_the_stop_signal)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", s), *bad = am_xasprintf("bad%zu", s);

		/* The hook's end comes before the signal. */
		ck_assert_int_eq(run(pod, sandboxes[s], SH("c", "trap 'echo signal; exit 5' USR1; echo up; while :; do sleep 0.02; done",
			",\"stopSignal\":10,\"postStart\":{\"exec\":[\"sh\",\"-c\",\"echo post > /proc/1/fd/1 || true\"]},"
			"\"preStop\":{\"exec\":[\"sh\",\"-c\",\"sleep 0.2\"]}"), ""), 0);
		ck_assert(wait_for(pod, "containers/c/0.log", "up"));
		ck_assert(wait_for(pod, "state.jsonl", "\"up\":true"));
		stop(pod, "{\"op\":\"stop\",\"graceMs\":20000}\n");
		ck_assert(over(pod));
		ck_assert_ptr_nonnull(strstr(file(pod, "state.jsonl"), "\"code\":5,"));
		ck_assert_ptr_null(strstr(file(pod, "state.jsonl"), "FailedPreStopHook"));
		/* postStart that fails ends the container. */
		ck_assert_int_eq(run(bad, sandboxes[s], SH("c", "exec sleep 60", ",\"postStart\":{\"exec\":[\"false\"]}"), ""), 0);
		ck_assert(over(bad));
		ck_assert_ptr_nonnull(strstr(file(bad, "state.jsonl"), "FailedPostStartHook"));
		ck_assert_ptr_null(strstr(file(bad, "state.jsonl"), "\"up\":true"));
	}
	/* preStop takes from the same grace: what is left when it is over is SIGKILL. */
	ck_assert_int_eq(run("q", "none", SH("c", "trap '' TERM; echo up; while :; do sleep 0.02; done", ",\"preStop\":{\"sleep\":60}"),
			     ""), 0);
	ck_assert(wait_for("q", "containers/c/0.log", "up"));
	stop("q", "{\"op\":\"stop\",\"graceMs\":300}\n");
	ck_assert(over("q"));
	ck_assert_ptr_nonnull(strstr(file("q", "state.jsonl"), "\"code\":137,"));
	end();
}
END_TEST

/* The first process of a sandbox gets no signal before it has a handler; it is asked when it has one, not killed when its time is
 * over.  One that never has a handler has all of its time, and no more. */
START_TEST(who_does_not_hear_yet_is_asked_later)
{
	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("late%zu", s), *deaf = am_xasprintf("deaf%zu", s);

		if (strcmp(sandboxes[s], "none") == 0) /* there TERM needs no handler */
			continue;
		ck_assert_int_eq(run(pod, sandboxes[s], SH("c", "echo up; sleep 0.3; trap 'exit 7' TERM; while :; do sleep 0.02; done", ""), ""), 0);
		ck_assert(wait_for(pod, "containers/c/0.log", "up"));
		stop(pod, "{\"op\":\"stop\",\"graceMs\":20000}\n");
		ck_assert(over(pod));
		ck_assert_ptr_nonnull(strstr(file(pod, "state.jsonl"), "\"code\":7,"));
		ck_assert_int_eq(run(deaf, sandboxes[s], SH("c", "echo up; while :; do sleep 0.02; done", ""), ""), 0);
		ck_assert(wait_for(deaf, "containers/c/0.log", "up"));
		stop(deaf, "{\"op\":\"stop\",\"graceMs\":300}\n");
		ck_assert(over(deaf));
		ck_assert_ptr_nonnull(strstr(file(deaf, "state.jsonl"), "\"code\":137,"));
	}
	end();
}
END_TEST

/* Its first process was killed, for example. */
START_TEST(a_sandbox_that_ends_without_a_word)
{
	begin();
	ck_assert_int_eq(run("p", "bwrap", SH("c", "true", ""), ",\"bwrap\":\"/bin/false\""), 0);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "\"reason\":\"StartError\",\"message\":\"cannot start sh: the sandbox ended with "
				      "status 1 and said nothing"));
	end();
}
END_TEST

/* What runs inside has no more power than the container. */
START_TEST(a_probe_is_in_the_sandbox)
{
	if (!bwrap_works()) {
		printf("# SKIP a_probe_is_in_the_sandbox: bubblewrap does not work here\n");
		return;
	}
	begin();
	static const char *const users[] = { "", ",\"uid\":4242,\"gid\":4242" };
	for (size_t i = 0; i < AM_COUNTOF(users); i++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", i);
		am_auto(am_freep) char *c = am_xasprintf(SH("c", "exec sleep 60", ",\"liveness\":{\"failure\":50,\"timeout\":20,\"exec\":[\"sh\",\"-c\",\""
			"id -u; hostname; ls -d /root /home 2>/dev/null; ls /proc | grep -c '^[0-9]'; grep -E 'Cap|NoNew' /proc/self/status; "
			"echo $MINE; exit 1\"]},\"cwd\":\"/tmp\"%s"), users[i]);

		ck_assert_int_eq(run(pod, "bwrap", c, ""), 0);
		ck_assert(wait_for(pod, "state.jsonl", "Liveness probe failed"));
		const char *said = strstr(file(pod, "state.jsonl"), "Liveness probe failed");
		am_auto(am_freep) char *id = am_xasprintf("failed: %d\\n%s\\n", i == 1 ? 4242 : (int)geteuid(), pod);
		ck_assert_msg(strstr(said, id) != NULL, "%s", said);
		ck_assert_msg(strstr(said, "/root") == NULL && strstr(said, "/home") == NULL, "%s", said);
		ck_assert_msg(strstr(said, "CapEff:\\t0000000000000000") != NULL && strstr(said, "CapBnd:\\t0000000000000000") != NULL &&
			      strstr(said, "NoNewPrivs:\\t1") != NULL, "%s", said);
		stop(pod, "{\"op\":\"stop\",\"graceMs\":0}\n");
		ck_assert(over(pod));
	}
	end();
}
END_TEST

START_TEST(the_logs_end_stands_for_a_missing_message)
{
	begin();
	ck_assert_int_eq(run("p", "none", SH("c", "for i in $(seq 200); do echo line $i; done; exit 1", ",\"fallback\":true"), ""), 0);
	ck_assert(over("p"));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "\"message\":\"line 121\\nline 122\\n"));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "line 200\\n\""));
	ck_assert_int_eq(run("q", "none", SH("c", "echo fine", ",\"fallback\":true"), ""), 0);
	ck_assert(over("q"));
	ck_assert_ptr_nonnull(strstr(file("q", "state.jsonl"), "\"code\":0,\"reason\":\"Completed\",\"message\":\"\""));
	end();
}
END_TEST

START_TEST(volumes_in_memory_are_shared_limited_and_gone)
{
	am_auto(am_freep) char *dir = NULL;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (!bwrap_works()) {
		printf("# SKIP volumes_in_memory_are_shared_limited_and_gone: bubblewrap does not work here\n");
		return;
	}
	begin();
	dir = am_xasprintf("%s/p/volumes/m", top);
	ck_assert_int_eq(am_mkdirs(dir, 0700, &err), 0);
	am_auto(am_freep) char *c = am_xasprintf(
		"{\"name\":\"a\",\"argv\":[\"sh\",\"-c\",\"echo hello > /m/f; head -c 2000000 /dev/zero > /m/g || echo full; stat -f -c %%T /m\"],"
		"\"env\":[\"PATH=/usr/bin:/bin\"],\"mounts\":[{\"source\":\"%s\",\"target\":\"/m\"}]},"
		"{\"name\":\"b\",\"argv\":[\"sh\",\"-c\",\"while ! grep -q hello /m/f; do sleep 0.02; done; ls /s\"],\"env\":[\"PATH=/usr/bin:/bin\"],"
		"\"mounts\":[{\"source\":\"%s\",\"target\":\"/m\"},{\"source\":\"%s/sub\",\"target\":\"/s\"}]}", dir, dir, dir);
	am_auto(am_freep) char *more = am_xasprintf(",\"tmpfs\":[{\"path\":\"%s\",\"size\":1048576}]", dir);
	ck_assert_int_eq(run("p", "bwrap", c, more), 0);
	ck_assert(over("p"));
	ck_assert_msg(strstr(file("p", "containers/a/0.log"), "F full\n") != NULL, "%s", file("p", "containers/a/0.log"));
	ck_assert_msg(strstr(file("p", "containers/a/0.log"), "F tmpfs\n") != NULL, "%s", file("p", "containers/a/0.log"));
	ck_assert_ptr_nonnull(strstr(file("p", "state.jsonl"), "\"container\":\"b\",\"n\":0,\"code\":0"));
	/* Outside it never was. */
	ck_assert(!exists("p", "volumes/m/f"));
	end();
}
END_TEST

START_TEST(too_much_on_disk_evicts)
{
	begin();
	am_auto(am_freep) char *more = am_xasprintf(",\"measureMs\":20,\"quotas\":[{\"paths\":[\"%s/p/volumes\"],\"limit\":100000,"
		"\"message\":\"too much\"}]", top);
	am_auto(am_freep) char *c = am_xasprintf("{\"name\":\"c\",\"argv\":[\"sh\",\"-c\",\"trap 'exit 143' TERM; mkdir -p %s/p/volumes/e; "
		"head -c 200000 /dev/zero > %s/p/volumes/e/f; while :; do sleep 0.02; done\"],\"env\":[\"PATH=/usr/bin:/bin\"]}", top, top);
	ck_assert_int_eq(run("p", "none", c, more), 0);
	ck_assert(over("p"));
	ck_assert(in_order(file("p", "state.jsonl"), (const char *const[]){ "\"rec\":\"evict\",\"message\":\"too much\"", "\"code\":143",
			   "\"rec\":\"end\"", NULL }));
	end();
}
END_TEST

/* Plain files in the place of the kernel's: what is written where.  Version 2 is tested in no other way. */
START_TEST(limits_in_a_recorded_file_system)
{
	static const struct { int version; const char *dirs, *file, *value; } rows[] = {
		{ 1, "\"%s/g/memory\",\"%s/g/cpu\",\"%s/g/pids\"", "g/memory/podp1/c/memory.limit_in_bytes", "67108864" },
		{ 1, NULL, "g/memory/podp1/c/memory.memsw.limit_in_bytes", "67108864" },
		{ 1, NULL, "g/cpu/podp1/c/cpu.cfs_quota_us", "50000" }, { 1, NULL, "g/cpu/podp1/c/cpu.shares", "256" },
		{ 1, NULL, "g/memory/podp1/c/cgroup.procs", "0" }, { 1, NULL, "g/pids/podp1/c/cgroup.procs", "0" },
		{ 2, "\"%s/h\"", "h/podp2/c/memory.max", "67108864" }, { 2, NULL, "h/podp2/c/memory.swap.max", "0" },
		{ 2, NULL, "h/podp2/c/memory.oom.group", "1" }, { 2, NULL, "h/podp2/c/cpu.max", "50000 100000" },
		{ 2, NULL, "h/podp2/c/cpu.weight", "10" }, { 2, NULL, "h/podp2/cgroup.subtree_control", "+memory +cpu +pids" },
		{ 2, NULL, "h/podp2/c/cgroup.procs", "0" }, { 2, NULL, "h/podp2/c/cgroup.kill", "1" },
	};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	static const char *const made[] = { "g/memory", "g/cpu", "g/pids", "h" };

	begin();
	for (size_t i = 0; i < AM_COUNTOF(made); i++) {
		am_auto(am_freep) char *dir = am_xasprintf("%s/%s", top, made[i]);

		ck_assert_int_eq(am_mkdirs(dir, 0700, &err), 0);
	}
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%d", rows[i].version);

		if (rows[i].dirs != NULL) {
			am_auto(am_freep) char *dirs = rows[i].version == 1
				? am_xasprintf("\"%s/g/memory\",\"%s/g/cpu\",\"%s/g/pids\"", top, top, top) : am_xasprintf("\"%s/h\"", top);
			am_auto(am_freep) char *more = am_xasprintf(",\"groups\":{\"version\":%d,\"dirs\":[%s]}", rows[i].version, dirs);

			ck_assert_int_eq(run(pod, "none", SH("c", "exit 0", ",\"limits\":{\"memory\":67108864,\"cpu\":500,\"cpuRequest\":250,"
					     "\"pids\":100}"), more), 0);
			ck_assert(over(pod));
		}
		ck_assert_msg(strcmp(file(".", rows[i].file), rows[i].value) == 0, "%s is \"%s\"", rows[i].file, file(".", rows[i].file));
	}
	end();
}
END_TEST

/* The kernel's own, where we may make one. */
static bool
own_group(const char *controller, char *path, size_t size)
{
	snprintf(path, size, "/sys/fs/cgroup/%s/ambient-test-%d", controller, (int)getpid());
	return mkdir(path, 0700) == 0;
}

START_TEST(limits_by_the_kernel)
{
	char memory[128] = "", pids[128] = "";

	if (!own_group("memory", memory, sizeof(memory)) || !own_group("pids", pids, sizeof(pids)) || !bwrap_works()) {
		(void)rmdir(memory);
		(void)unit_required("cgroup-v1");
		printf("# SKIP limits_by_the_kernel: no control groups of version 1 that are ours\n");
		return;
	}
	begin();
	am_auto(am_freep) char *more = am_xasprintf(",\"groups\":{\"version\":1,\"dirs\":[\"%s\",\"\",\"%s\"]}", memory, pids);
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("oom%zu", s), *bomb = am_xasprintf("bomb%zu", s);

		ck_assert_int_eq(run(pod, sandboxes[s], SH("c", "x=$(head -c 200000000 /dev/zero | tr '\\\\0' x); echo alive",
				     ",\"limits\":{\"memory\":33554432}"), more), 0);
		ck_assert(over(pod));
		ck_assert_msg(strstr(file(pod, "state.jsonl"), "\"code\":137,\"reason\":\"OOMKilled\"") != NULL, "%s", file(pod, "state.jsonl"));
		/* Every fork but some fails, which ends the shell that forks, and nothing is left of it. */
		ck_assert_int_eq(run(bomb, sandboxes[s], SH("c", "(for i in $(seq 200); do sleep 61 & done); exec sleep 61",
				     ",\"limits\":{\"pids\":20}"), more), 0);
		ck_assert(wait_for(bomb, "containers/c/0.log", "stderr F "));
		stop(bomb, "{\"op\":\"stop\",\"graceMs\":0}\n");
		ck_assert(over(bomb));
	}
	/* All groups of the pods are gone, so these can go. */
	ck_assert_int_eq(rmdir(memory), 0);
	ck_assert_int_eq(rmdir(pids), 0);
	end();
}
END_TEST

START_TEST(the_state_is_compacted_and_says_the_same)
{
	struct stat st;

	begin();
	/* Each end brings 4 KiB of message; a dozen of them come within some seconds. */
	ck_assert_int_eq(run("p", "none", SH("main", "exec sleep 600", ""), ",\"backoffMs\":1,\"initContainers\":["
			     SH("a", "printf '%3000s' | tr ' ' '\\\\042'; exit 1", ",\"sidecar\":true,\"fallback\":true") "]"), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"starting\",\"container\":\"a\",\"n\":10"));
	stop("p", "{\"op\":\"stop\",\"graceMs\":0}\n");
	ck_assert(over("p"));
	am_auto(am_freep) char *path = am_xasprintf("%s/p/state.jsonl", top);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_lt(st.st_size, 40 << 10);
	ck_assert_ptr_null(strstr(file("p", "state.jsonl"), "\"container\":\"a\",\"n\":1,"));
	ck_assert(in_order(file("p", "state.jsonl"), (const char *const[]){ "\"rec\":\"shim\"", "\"rec\":\"running\",\"container\":"
			   "\"main\"", "\"rec\":\"exit\",\"container\":\"a\"", "\"rec\":\"starting\",\"container\":\"a\"",
			   "\"rec\":\"exit\",\"container\":\"main\",\"n\":0,\"code\":137", "\"rec\":\"end\"", NULL }));
	end();
}
END_TEST

/* Says a line with a file of the text beside it; the answer's second line. */
static const char *
define(const char *pod, const char *line, const char *definition)
{
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)line, strlen(line) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int fd = dial(pod), with = memfd_create("definition", MFD_CLOEXEC);
	const char *said;

	ck_assert_int_eq(write(with, definition, strlen(definition)), (int)strlen(definition));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &with, sizeof(with));
	ck_assert_int_eq(sendmsg(fd, &msg, MSG_NOSIGNAL), (int)strlen(line));
	said = talk(fd, "", 2);
	(void)close(fd);
	(void)close(with);
	return strchr(said, '\n') + 1;
}

START_TEST(what_is_held_waits_for_its_definition)
{
	static const char op[] = "{\"op\":\"define\",\"container\":\"c\"}\n";

	begin();
	ck_assert_int_eq(run("p", "none", "{\"name\":\"c\",\"held\":true}", ",\"initContainers\":[" SH("i", "echo first", "") "]"), 0);
	ck_assert(wait_for("p", "state.jsonl", "\"rec\":\"wanted\",\"container\":\"c\",\"n\":0"));
	ck_assert(in_order(file("p", "state.jsonl"), (const char *const[]){ "\"rec\":\"exit\",\"container\":\"i\"",
			   "\"rec\":\"wanted\",\"container\":\"c\"", NULL }));
	/* Nothing else is taken for it. */
	ck_assert_ptr_nonnull(strstr(define("p", op, "{\"name\":\"other\",\"argv\":[\"true\"],\"env\":[]}"), "is no definition of"));
	ck_assert_ptr_nonnull(strstr(define("p", op, "{"), "\"ok\":false"));
	ck_assert_ptr_nonnull(strstr(define("p", "{\"op\":\"define\",\"container\":\"x\"}\n", "{}"), "there is no container"));
	ck_assert_ptr_nonnull(strstr(define("p", op, SH("c", "echo late; exit 4", ",\"of\":\"image:1\"")), "\"ok\":true"));
	ck_assert(over("p"));
	ck_assert(in_order(file("p", "state.jsonl"), (const char *const[]){ "\"rec\":\"starting\",\"container\":\"c\",\"n\":0,"
			   "\"of\":\"image:1\"", "\"rec\":\"exit\",\"container\":\"c\",\"n\":0,\"code\":4", "\"rec\":\"end\"", NULL }));
	ck_assert_ptr_nonnull(strstr(file("p", "containers/c/0.log"), "F late\n"));
	/* A pod that is told to end does not wait for it. */
	ck_assert_int_eq(run("q", "none", "{\"name\":\"c\",\"held\":true}", ""), 0);
	stop("q", "{\"op\":\"stop\",\"graceMs\":0}\n");
	ck_assert(over("q"));
	end();
}
END_TEST

START_TEST(what_is_held_while_it_runs_comes_back_otherwise)
{
	static const char op[] = "{\"op\":\"define\",\"container\":\"c\"}\n";

	begin();
	for (size_t s = 0; s < sandbox_count(); s++) {
		am_auto(am_freep) char *pod = am_xasprintf("p%zu", s);

		ck_assert_int_eq(sh(pod, sandboxes[s], "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done", ",\"grace\":20"), 0);
		ck_assert(wait_for(pod, "containers/c/0.log", "up"));
		ck_assert_ptr_nonnull(strstr(define(pod, op, "{}"), "does not wait for its definition"));
		stop(pod, "{\"op\":\"hold\",\"container\":\"c\"}\n");
		ck_assert(wait_for(pod, "state.jsonl", "\"rec\":\"wanted\",\"container\":\"c\",\"n\":1"));
		ck_assert(in_order(file(pod, "state.jsonl"), (const char *const[]){ "Container c definition changed, will be restarted",
				   "\"rec\":\"exit\",\"container\":\"c\",\"n\":0,\"code\":5", "\"rec\":\"wanted\"", NULL }));
		ck_assert_ptr_nonnull(strstr(define(pod, op, SH("c", "echo new; exit 6", "")), "\"ok\":true"));
		ck_assert(over(pod));
		ck_assert_ptr_nonnull(strstr(file(pod, "state.jsonl"), "\"rec\":\"exit\",\"container\":\"c\",\"n\":1,\"code\":6"));
		ck_assert_ptr_nonnull(strstr(file(pod, "containers/c/1.log"), "F new\n"));
	}
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, sidecars_start_in_order_and_end_in_reverse);
	tcase_add_test(tc, sidecars_come_back_whatever_the_policy);
	tcase_add_test(tc, a_failed_init_container_ends_the_sidecars);
	tcase_add_test(tc, a_liveness_probe_that_fails_ends_the_instance);
	tcase_add_test(tc, readiness_by_http_and_tcp);
	tcase_add_test(tc, hooks_and_the_stop_signal);
	tcase_add_test(tc, who_does_not_hear_yet_is_asked_later);
	tcase_add_test(tc, a_sandbox_that_ends_without_a_word);
	tcase_add_test(tc, a_probe_is_in_the_sandbox);
	tcase_add_test(tc, the_logs_end_stands_for_a_missing_message);
	tcase_add_test(tc, volumes_in_memory_are_shared_limited_and_gone);
	tcase_add_test(tc, too_much_on_disk_evicts);
	tcase_add_test(tc, limits_in_a_recorded_file_system);
	tcase_add_test(tc, limits_by_the_kernel);
	tcase_add_test(tc, the_state_is_compacted_and_says_the_same);
	tcase_add_test(tc, what_is_held_waits_for_its_definition);
	tcase_add_test(tc, what_is_held_while_it_runs_comes_back_otherwise);
}

UNIT_MAIN("shim_life", cases)
