/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambientctl: a person's tool for sessions.  It is an ordinary client of the API server; nothing here needs the
 * daemon to be on this machine.
 */
#include "core/ambientctl/ctl.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"

const struct ctl_command *const ctl_commands[] = {
	&ctl_run, &ctl_get_command, &ctl_describe, &ctl_logs, &ctl_messages_command, &ctl_chat, &ctl_files, &ctl_stop, &ctl_start, &ctl_repos, &ctl_workflow, &ctl_delete,
	&ctl_explain, &ctl_top, &ctl_cache, &ctl_user, &ctl_standalone, &ctl_plugin,
	&ctl_completion, &ctl_version, &ctl_complete, NULL,
};

int32_t ctl_interrupted;

static void
on_signal(int signal_number)
{
	(void)signal_number;
	__atomic_store_n(&ctl_interrupted, 1, __ATOMIC_RELEASE);
}

int
ctl_usage(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("ambientctl: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return CTL_USAGE;
}

int
ctl_fail(const struct ambient_error *err, const char *fmt, ...)
{
	static const int codes[AMBIENT_E__COUNT] = {
		[AMBIENT_E_INVALID] = CTL_REFUSED, [AMBIENT_E_NOTFOUND] = CTL_NOTFOUND, [AMBIENT_E_EXISTS] = CTL_REFUSED,
		[AMBIENT_E_CONFLICT] = CTL_REFUSED, [AMBIENT_E_FORBIDDEN] = CTL_REFUSED,
		[AMBIENT_E_UNAUTHORIZED] = CTL_REFUSED, [AMBIENT_E_UNAVAILABLE] = CTL_UNREACHABLE,
		[AMBIENT_E_TIMEOUT] = CTL_UNREACHABLE, [AMBIENT_E_CANCELLED] = CTL_INTERRUPTED,
	};
	va_list ap;

	if (err->code == AMBIENT_E_CANCELLED)
		return CTL_INTERRUPTED;
	(void)fputs("ambientctl: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputs(": ", stderr);
	ctl_put_clean(stderr, err->message, true);
	/* All that an API server says. */
	if (err->code == AMBIENT_E_UNAUTHORIZED && am_streq(err->message, "Unauthorized"))
		(void)fputs("; the credential of the kubeconfig has expired, or is of nobody whom the API server knows", stderr);
	(void)fputc('\n', stderr);
	return err->code > 0 && err->code < AMBIENT_E__COUNT && codes[err->code] != 0 ? codes[err->code] : CTL_FAILED;
}

char *
ctl_standalone_kubeconfig(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *paths[] = {
		!am_empty(state) ? am_xasprintf("%s/ambient/apiserver/admin.kubeconfig", state)
		: !am_empty(home) ? am_xasprintf("%s/.local/state/ambient/apiserver/admin.kubeconfig", home) : NULL,
		am_xstrdup("/var/lib/ambient/apiserver/admin.kubeconfig"),
	};
	char *found = NULL;

	for (size_t i = 0; i < AM_COUNTOF(paths); i++) {
		if (found == NULL && paths[i] != NULL && access(paths[i], R_OK) == 0)
			found = paths[i];
		else
			free(paths[i]);
	}
	return found;
}

char *
ctl_standalone_dir(const struct ctl *ctl)
{
	const char *state = ctl_value(ctl, "state-dir"), *given = ctl_value(ctl, "kubeconfig");
	am_auto(am_freep) char *path = NULL;

	if (state != NULL) {
		path = am_xasprintf("%s/apiserver", state);
		return am_xstrdup(access(path, F_OK) == 0 ? path : state);
	}
	if (given == NULL)
		given = getenv("KUBECONFIG");
	path = !am_empty(given) ? am_xstrdup(given) : ctl_standalone_kubeconfig();
	if (path == NULL)
		return NULL;
	char *slash = strrchr(path, '/');

	if (slash == NULL)
		return am_xstrdup(".");
	*slash = '\0';
	return am_xstrdup(path[0] != '\0' ? path : "/");
}

int
ctl_connect(struct ctl *ctl)
{
	const struct am_kube_options options = { .user_agent = "ambientctl/" PACKAGE_VERSION, .interactive = true };
	const char *path = ctl_value(ctl, "kubeconfig"), *context = ctl_value(ctl, "context");
	const char *ns = ctl_value(ctl, "namespace");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_freep) char *standalone = NULL;
	struct am_kube_config *config = NULL;
	int rc;

	if (path == NULL && am_empty(getenv("KUBECONFIG")))
		standalone = ctl_standalone_kubeconfig();
	rc = standalone != NULL ? am_kube_config_file(standalone, context, &config, &err)
				: am_kube_config_default(path, context, &config, &err);
	if (rc < 0) {
		(void)ctl_fail(&err, "no way to an API server");
		return CTL_UNREACHABLE;
	}
	(void)am_strlcpy(ctl->ns, ns != NULL ? ns : am_kube_config_namespace(config), sizeof(ctl->ns));
	if (am_name_problem(ctl->ns, 1) != NULL) {
		am_kube_config_free(config);
		return ctl_usage("\"%s\" is no name of a namespace", ctl->ns);
	}
	if (am_kube_new(config, &options, &ctl->kube, &err) < 0) {
		(void)ctl_fail(&err, "cannot talk to the API server");
		return CTL_UNREACHABLE;
	}
	return 0;
}

static int
run_version(struct ctl *ctl)
{
	(void)printf(ctl->json ? "{\"version\":\"%s\"}\n" : "ambientctl %s\n", PACKAGE_VERSION);
	return CTL_OK;
}

const struct ctl_command ctl_version = {
	.name = "version", .synopsis = "version", .text = "Print this program's version.", .offline = true,
	.run = run_version,
};

int
main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	struct sigaction action = { .sa_handler = on_signal };
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool help = false;
	int rc = ctl_parse(&ctl, argc, argv, &help);

	if (rc != 0)
		return rc;
	if (help) {
		ctl_help(ctl.command);
		return CTL_OK;
	}
	ctl.terminal = isatty(STDOUT_FILENO) == 1;
	ctl.color = ctl.terminal && am_empty(no_color) && !am_empty(term) && !am_streq(term, "dumb");
	(void)signal(SIGPIPE, SIG_IGN);
	am_log_init(AM_LOG_TEXT, AMBIENT_LOG_ERROR);
	rc = ctl.command->offline ? 0 : ctl_connect(&ctl);
	if (rc == 0) {
		/* From here on an interrupt ends what is under way, not the process in the middle of a line. */
		(void)sigaction(SIGINT, &action, NULL);
		(void)sigaction(SIGTERM, &action, NULL);
		rc = ctl.command->run(&ctl);
	}
	if (!ctl_flush_last() && rc == CTL_OK)
		rc = CTL_FAILED;
	am_kube_free(ctl.kube);
	am_log_fini();
	return rc;
}
