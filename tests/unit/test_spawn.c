/* SPDX-License-Identifier: Apache-2.0 */
/* Children: exit codes, signals, limits of output, time, and what they inherit. */
#include "core/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/unit.h"

static struct am_run_result result;

static int
shell(const char *script, const char *input, size_t max, int64_t timeout)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	const struct am_spawn spec = {.argv = argv, .fds = {-1, -1, -1}};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	return am_run(&spec, input, input != NULL ? strlen(input) : 0, max, timeout, NULL, &result, &err);
}

START_TEST(exit_codes_and_output)
{
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(shell("cat; echo oops >&2; exit 3", "hello", 100, 10 * AM_NS_PER_S), 0);
	ck_assert_int_eq(result.exit_code, 3);
	ck_assert_str_eq(am_buf_str(&result.out), "hello");
	ck_assert_str_eq(am_buf_str(&result.err), "oops\n");
	am_run_result_fini(&result);
	ck_assert_int_eq(shell("kill -9 $$", NULL, 100, 10 * AM_NS_PER_S), 0);
	ck_assert_int_eq(result.exit_code, 137);
	am_run_result_fini(&result);
}
END_TEST

START_TEST(output_is_bounded)
{
	ck_assert_int_eq(shell("head -c 1000000 /dev/zero | tr '\\0' x", NULL, 1000, 10 * AM_NS_PER_S), 0);
	ck_assert_uint_eq(result.out.len, 1000);
	ck_assert_int_eq(result.exit_code, 0);
	am_run_result_fini(&result);
}
END_TEST

START_TEST(timeout_ends_the_whole_group)
{
	int64_t from = am_clock_boot(am_clock_real());
	ck_assert_int_eq(shell("sleep 100 & sleep 100", NULL, 1000, 100 * AM_NS_PER_MS), 0);
	ck_assert(result.timed_out);
	ck_assert_int_eq(result.exit_code, 143);
	ck_assert(am_clock_boot(am_clock_real()) - from < 5 * AM_NS_PER_S);
	am_run_result_fini(&result);
}
END_TEST

START_TEST(a_missing_program_is_named)
{
	const char *const argv[] = {"no-such-program-here", NULL};
	const char *const absolute[] = {"/no/such", NULL};
	struct am_spawn spec = {.argv = argv, .fds = {-1, -1, -1}};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	pid_t pid;
	ck_assert_int_eq(am_spawn(&spec, &pid, NULL, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(err.message, "the program \"no-such-program-here\" is not in PATH; install it");
	spec.argv = absolute;
	ck_assert_int_eq(am_spawn(&spec, &pid, NULL, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(err.message, "cannot start \"/no/such\": No such file or directory");
}
END_TEST

/* Only 0, 1, 2 and what was passed are open in the child. */
START_TEST(descriptors_do_not_leak)
{
	int leak = open("/dev/null", O_RDONLY), passed = fcntl(leak, F_DUPFD, 40);
	const char *const argv[] = {"sh", "-c", "ls /proc/self/fd | tr '\\n' ' '", NULL};
	const int pass[] = {passed, -1};
	const struct am_spawn spec = {.argv = argv, .fds = {-1, -1, -1}, .pass = pass};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	ck_assert_int_eq(am_run(&spec, NULL, 0, 1000, 10 * AM_NS_PER_S, NULL, &result, &err), 0);
	ck_assert_str_eq(am_buf_str(&result.out), "0 1 2 3 40 ");
	am_run_result_fini(&result);
	(void)close(leak);
	(void)close(passed);
}
END_TEST

/* With no pidfd to be had, as in some sandboxes, the end of a child is still noticed. */
START_TEST(ends_are_noticed_without_a_pidfd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
	ck_assert_int_eq((int)syscall(SYS_pidfd_open, getpid(), 0), -1);
	int64_t from = am_clock_boot(am_clock_real());
	ck_assert_int_eq(shell("echo said; exit 3", NULL, 100, 60 * AM_NS_PER_S), 0);
	ck_assert_int_eq(result.exit_code, 3);
	ck_assert(!result.timed_out);
	ck_assert_str_eq(am_buf_str(&result.out), "said\n");
	ck_assert(am_clock_boot(am_clock_real()) - from < 30 * AM_NS_PER_S);
	am_run_result_fini(&result);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, exit_codes_and_output);
	tcase_add_test(tc, output_is_bounded);
	tcase_add_test(tc, timeout_ends_the_whole_group);
	tcase_add_test(tc, a_missing_program_is_named);
	tcase_add_test(tc, descriptors_do_not_leak);
	tcase_add_test(tc, ends_are_noticed_without_a_pidfd);
}

UNIT_MAIN("spawn", cases)
