/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential plugins: real programs, run by the client when it needs to know who it is.  Each test's plugin is a script
 * that notes its run and prints the file "answer".
 */
#include "tests/func/client.h"

#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define V1 "client.authentication.k8s.io/v1"

static char *
text_of(const char *name)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, name);
	struct am_buf text = { 0 };

	if (am_file_read(path, 1 << 20, &text, NULL) < 0)
		return am_xstrdup("");
	return text.data != NULL ? am_buf_steal(&text, NULL) : am_xstrdup("");
}

static int
runs(void)
{
	am_auto(am_freep) char *text = text_of("runs");

	return (int)strlen(text);
}

static void
wait_runs(int n)
{
	for (int i = 0; i < 10000 && runs() < n; i++)
		(void)usleep(1000);
	ck_assert_int_eq(runs(), n);
}

static void
answer(const char *status)
{
	am_auto(am_freep) char *text = am_xasprintf("{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":%s}", status);

	free(put_file("answer", text));
}

/* An API server, and a client of it whose plugin is that script. */
static struct am_kube_config *
configure(enum fake_api_mode mode, const char *script)
{
	begin(mode);
	free(put_file("answer", ""));
	am_auto(am_freep) char *text = am_xasprintf("#!/bin/sh\ncd %s || exit 9\nprintf x >>runs\n%s\n", dir, script);
	char *path = put_file("plugin", text);
	ck_assert_int_eq(chmod(path, 0700), 0);
	struct am_kube_config *config = config_of(fake_api_url(api));
	struct am_exec_spec *spec = am_xcalloc(1, sizeof(*spec));
	spec->argv = am_xcalloc(2, sizeof(char *));
	spec->argv[0] = path;
	spec->env = am_xcalloc(2, sizeof(char *));
	spec->env[0] = am_xstrdup("MINE=from the kubeconfig");
	spec->api_version = am_xstrdup(V1);
	config->exec = spec;
	if (mode != FAKE_API_PLAIN)
		config->ca_data = am_xstrdup(fake_api_ca(api));
	return config;
}

static void
begin_exec(enum fake_api_mode mode, const char *script)
{
	open_kube(configure(mode, script), -1, 0);
}

static struct am_exec_spec *
spec_of(void)
{
	return kube->config->exec;
}

START_TEST(exec_is_cached_until_it_expires)
{
	struct ambient_error err;

	begin_exec(FAKE_API_PLAIN, "cat answer");
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	answer("{\"token\":\"one\",\"expirationTimestamp\":\"2026-01-01T00:01:00Z\"}");
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	answer("{\"token\":\"two\"}");
	am_clock_fake_advance(fake, 59 * S);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	ck_assert_int_eq(runs(), 1);
	am_clock_fake_advance(fake, S);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	/* This one says no time: it lasts until it is refused. */
	am_clock_fake_advance(fake, 86400 * S);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	ck_assert_int_eq(runs(), 2);
	ck_assert_str_eq(bearer(0), "Bearer one");
	ck_assert_str_eq(bearer(1), "Bearer one");
	ck_assert_str_eq(bearer(2), "Bearer two");
	ck_assert_str_eq(bearer(3), "Bearer two");
	end();
}
END_TEST

START_TEST(exec_that_gives_what_has_expired_is_not_run_in_a_circle)
{
	struct ambient_error err;

	begin_exec(FAKE_API_PLAIN, "cat answer");
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	answer("{\"token\":\"old\",\"expirationTimestamp\":\"2025-12-31T00:00:00Z\"}");
	for (int i = 0; i < 3; i++)
		ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	ck_assert_int_eq(runs(), 1);
	am_clock_fake_advance(fake, S);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	ck_assert_int_eq(runs(), 2);
	end();
}
END_TEST

START_TEST(exec_runs_again_after_401)
{
	struct ambient_error err;

	begin_exec(FAKE_API_PLAIN, "cat answer");
	rule(NULL, "/refused", 1, 401, NULL, "{}", 0);
	rule(NULL, "/never", 0, 401, NULL, "{}", 0);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	answer("{\"token\":\"one\"}");
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	answer("{\"token\":\"two\"}");
	ck_assert_int_eq(simple("POST", "/refused", "{}", &err), 0);
	ck_assert_int_eq(runs(), 2);
	ck_assert_str_eq(bearer(1), "Bearer one");
	ck_assert_str_eq(bearer(2), "Bearer two");
	ck_assert_int_eq(simple("GET", "/never", NULL, &err), -AMBIENT_E_UNAUTHORIZED);
	ck_assert_int_eq(fake_api_count(api), 5); /* once, not for ever */
	ck_assert_int_eq(runs(), 3);
	end();
}
END_TEST

static void *
burst_thread(void *arg)
{
	struct ambient_error err;

	(void)arg;
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	return NULL;
}

START_TEST(exec_is_never_run_twice_at_a_time)
{
	pthread_t threads[8];

	begin_exec(FAKE_API_PLAIN, "cat fifo >/dev/null; cat answer");
	am_auto(am_freep) char *fifo = am_xasprintf("%s/fifo", dir);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	answer("{\"token\":\"one\"}");
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	for (size_t i = 0; i < AM_COUNTOF(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, burst_thread, NULL), 0);
	wait_runs(1);
	ck_assert_int_eq(fake_api_count(api), 0); /* nobody goes on without */
	FILE *f = fopen(fifo, "w");
	ck_assert_ptr_nonnull(f);
	(void)fclose(f);
	for (size_t i = 0; i < AM_COUNTOF(threads); i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(runs(), 1);
	ck_assert_int_eq(fake_api_count(api), 8);
	end();
}
END_TEST

START_TEST(exec_failure_is_told_and_held)
{
	struct ambient_error err;

	begin_exec(FAKE_API_PLAIN, "[ -s answer ] && exec cat answer; echo 'your session\nhas ended' >&2; exit 3");
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAUTHORIZED);
	ck_assert_ptr_nonnull(strstr(err.message, "credential plugin"));
	ck_assert_ptr_nonnull(strstr(err.message, "ended with 3: your session has ended"));
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAUTHORIZED);
	ck_assert_int_eq(runs(), 1);
	am_clock_fake_advance(fake, 2 * S);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAUTHORIZED);
	ck_assert_int_eq(runs(), 2);
	am_clock_fake_advance(fake, 2 * S);
	answer("{\"token\":\"one\"}");
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	ck_assert_int_eq(fake_api_count(api), 1);
	end();
}
END_TEST

START_TEST(exec_that_is_missing_says_how_to_get_it)
{
	struct ambient_error err;

	for (int way = 0; way < 2; way++) {
		begin_exec(FAKE_API_PLAIN, "cat answer");
		spec_of()->install_hint = am_xstrdup("brew install login");
		free(spec_of()->argv[0]);
		spec_of()->argv[0] = am_xstrdup(way == 0 ? "no-such-login-plugin" : "/nowhere/login");
		ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_NOTFOUND);
		ck_assert_msg(strstr(err.message, "it is not installed: brew install login") != NULL, "%s", err.message);
		end();
		dir[0] = '\0';
	}
}
END_TEST

START_TEST(exec_that_needs_a_person_is_refused)
{
	struct ambient_error err;

	begin_exec(FAKE_API_PLAIN, "cat answer");
	spec_of()->mode = AM_EXEC_ALWAYS;
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(err.message, "interactiveMode is Always"));
	ck_assert_int_eq(runs(), 0);
	end();
}
END_TEST

/* With a person at the terminal: the plugin is in front, asks, is answered, and the terminal is ours again. */
START_TEST(exec_talks_to_the_person_at_the_terminal)
{
	struct am_kube_options options = { .interactive = true };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char said[256] = "";
	int master, slave;
	pid_t child = check_fork(); /* who leads a group already cannot begin a session */

	if (child > 0)
		check_waitpid_and_exit(child);
	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert_int_ne(setsid(), -1);
	ck_assert_int_eq(ioctl(slave, TIOCSCTTY, 0), 0);
	for (int fd = 0; fd < 3; fd += 2)
		ck_assert_int_eq(dup2(slave, fd), fd);
	struct am_kube_config *config = configure(FAKE_API_PLAIN, "printf '%s' \"$KUBERNETES_EXEC_INFO\" >told; printf 'password? ' >&2; "
						  "read word; printf '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\","
						  "\"status\":{\"token\":\"%s\"}}' \"$word\"");
	config->exec->mode = AM_EXEC_ALWAYS;
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	options.clock = fake;
	ck_assert_int_eq(write(master, "sesame\n", 7), 7);
	ck_assert_msg(am_kube_new(config, &options, &kube, &err) == 0, "%s", err.message);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	ck_assert_str_eq(bearer(0), "Bearer sesame");
	ck_assert_int_eq(tcgetpgrp(0), getpgrp());
	ck_assert_int_gt(read(master, said, sizeof(said) - 1), 0);
	while (strstr(said, "password? ") == NULL)
		ck_assert_int_gt(read(master, said + strlen(said), sizeof(said) - 1 - strlen(said)), 0);
	am_auto(am_freep) char *told = text_of("told");
	ck_assert_ptr_nonnull(strstr(told, "\"interactive\":true"));
	end();
}
END_TEST

START_TEST(exec_is_told_who_asks)
{
	struct ambient_error err;

	begin_exec(FAKE_API_PLAIN, "printf '%s|%s' \"$MINE\" \"$KUBERNETES_EXEC_INFO\" >told; read x && exit 4; cat answer");
	(void)setenv("MINE", "from outside", 1);
	(void)setenv("KUBERNETES_EXEC_INFO", "from outside", 1);
	answer("{\"token\":\"one\"}");
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	am_auto(am_freep) char *told = text_of("told");
	ck_assert_str_eq(told, "from the kubeconfig|{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\","
			       "\"spec\":{\"interactive\":false}}");
	end();
}
END_TEST

static char *
json_of(const char *pem)
{
	struct am_buf out = { 0 };

	for (; *pem != '\0'; pem++)
		am_buf_addf(&out, *pem == '\n' ? "\\n" : "%c", *pem);
	return am_buf_steal(&out, NULL);
}

START_TEST(exec_client_certificate)
{
	struct ambient_error err;

	begin_exec(FAKE_API_MTLS, "cat answer");
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	am_auto(am_freep) char *cert = json_of(fake_api_client_cert(api));
	am_auto(am_freep) char *key = json_of(fake_api_client_key(api));
	am_auto(am_freep) char *status = am_xasprintf("{\"clientCertificateData\":\"%s\",\"clientKeyData\":\"%s\"}", cert, key);
	answer(status);
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	ck_assert_str_eq(fake_api_request(api, 0)->client, "tester");
	ck_assert_ptr_null(bearer(0));
	ck_assert_int_eq(fake_api_request(api, 1)->connection, fake_api_request(api, 0)->connection);
	ck_assert_int_eq(runs(), 1);
	end();
}
END_TEST

static void *
late_thread(void *arg)
{
	struct am_kube_request request = { .method = "GET", .path = "/a", .deadline = am_clock_boot(fake) + 10 * S };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	(void)arg;
	ck_assert_int_eq(am_kube_do(kube, &request, NULL, &err), -AMBIENT_E_TIMEOUT);
	return NULL;
}

START_TEST(exec_ends_with_the_client)
{
	pthread_t thread;

	begin_exec(FAKE_API_PLAIN, "echo $$ >pid; exec cat fifo");
	am_auto(am_freep) char *fifo = am_xasprintf("%s/fifo", dir);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, late_thread, NULL), 0);
	am_auto(am_freep) char *pid = text_of("pid");
	for (int i = 0; i < 10000 && pid[0] == '\0'; i++) {
		(void)usleep(1000);
		free(pid);
		pid = text_of("pid");
	}
	ck_assert_int_gt(atoi(pid), 0);
	ck_assert(am_clock_fake_wait_waiters(fake, 1));
	am_clock_fake_advance(fake, 10 * S); /* who asked has gone; the program still runs */
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(kill(atoi(pid), 0), 0);
	am_kube_free(kube);
	kube = NULL;
	ck_assert_int_eq(kill(atoi(pid), 0), -1);
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, exec_is_cached_until_it_expires);
	tcase_add_test(tc, exec_that_gives_what_has_expired_is_not_run_in_a_circle);
	tcase_add_test(tc, exec_runs_again_after_401);
	tcase_add_test(tc, exec_is_never_run_twice_at_a_time);
	tcase_add_test(tc, exec_failure_is_told_and_held);
	tcase_add_test(tc, exec_that_is_missing_says_how_to_get_it);
	tcase_add_test(tc, exec_that_needs_a_person_is_refused);
	tcase_add_test(tc, exec_talks_to_the_person_at_the_terminal);
	tcase_add_test(tc, exec_is_told_who_asks);
	tcase_add_test(tc, exec_client_certificate);
	tcase_add_test(tc, exec_ends_with_the_client);
}

UNIT_MAIN("client exec", cases)
