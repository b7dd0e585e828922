/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user add, remove, list: people and programs that may use the standalone API server of this machine.  The list is a
 * file beside the admin.kubeconfig, which the server reads again whenever it changes; so whoever may write there is the
 * administrator, and no request is needed.  Only hashes of tokens are kept: a token is shown once.
 */
#include "core/ambientctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/kube/users.h"

#define TOKEN_BYTES 32
#define GROUPS_MAX  60

struct place {
	char *dir, *kubeconfig, *users;
	struct am_users list;
	int lock;
};

static void
place_fini(struct place *place)
{
	free(place->dir);
	free(place->kubeconfig);
	free(place->users);
	am_users_fini(&place->list);
	if (place->lock >= 0)
		(void)close(place->lock);
}

/* root may act for the daemon's user; what is made belongs to that user. */
static int
give_away(const struct place *place, const char *path, struct ambient_error *err)
{
	struct stat st;

	if (stat(place->dir, &st) < 0 || st.st_uid == geteuid() || chown(path, st.st_uid, st.st_gid) == 0)
		return 0;
	return ambient_err(err, AMBIENT_E_INTERNAL, "%s cannot be given to the user of the daemon: %s", path, strerror(errno));
}

/* Finds the file, takes its lock when it is to be written, and reads it.  0 or an exit code. */
static int
open_place(const struct ctl *ctl, bool write, struct place *place)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	am_auto(am_freep) char *ca = NULL, *lock = NULL;

	*place = (struct place){ .lock = -1, .dir = ctl_standalone_dir(ctl) };
	if (place->dir != NULL)
		ca = am_xasprintf("%s/pki/ca.crt", place->dir);
	if (ca == NULL || access(ca, F_OK) != 0) {
		(void)fprintf(stderr, "ambientctl: %s%sno state of a standalone API server; say where it is with --state-dir, or run this "
			      "as the user of the daemon\n", place->dir != NULL ? place->dir : "there is ",
			      place->dir != NULL ? ": there is " : "");
		return CTL_UNREACHABLE;
	}
	place->kubeconfig = am_xasprintf("%s/admin.kubeconfig", place->dir);
	place->users = am_xasprintf("%s/" AM_USERS_FILE, place->dir);
	lock = am_xasprintf("%s.lock", place->users);
	for (int i = 0; write && i < 50 && (place->lock = am_lock_file(lock, &err)) == -AMBIENT_E_EXISTS; i++)
		(void)usleep(100000);
	if (write && place->lock < 0)
		return ctl_fail(&err, "the list of users is being changed by another ambientctl");
	if (write && give_away(place, lock, &err) < 0)
		return ctl_fail(&err, "the list of users");
	if (access(place->users, F_OK) != 0)
		return 0;
	if (am_file_read(place->users, AM_USERS_FILE_MAX, &text, &err) < 0 ||
	    am_users_parse(place->users, am_buf_str(&text), text.len, &place->list, &err) < 0)
		return ctl_fail(&err, "the list of users");
	return 0;
}

/* Written beside, given to whom the directory belongs, and put in place at once. */
static int
save(const struct place *place, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	am_auto(am_freep) char *fresh = am_xasprintf("%s.new", place->users);

	am_users_print(&place->list, &text);
	int rc = am_file_write(fresh, am_buf_str(&text), text.len, 0600, err);

	if (rc == 0)
		rc = give_away(place, fresh, err);
	if (rc == 0 && rename(fresh, place->users) < 0)
		rc = ambient_err(err, AMBIENT_E_INTERNAL, "%s cannot be put in place: %s", fresh, strerror(errno));
	if (rc < 0)
		(void)unlink(fresh);
	return rc;
}

/* ---- add */

static void
make_token(struct am_buf *token, char hash[65])
{
	unsigned char bytes[TOKEN_BYTES], digest[32];

	am_random(bytes, sizeof(bytes));
	am_buf_adds(token, "amb_");
	am_base64_encode(token, bytes, sizeof(bytes), true);
	am_sha256(token->data, token->len, digest);
	am_hex(hash, digest, sizeof(digest));
}

static int
print_kubeconfig(const struct ctl *ctl, const struct place *place, const char *name, const char *token,
		 struct am_buf *out, struct ambient_error *err)
{
	const char *ns = ctl_value(ctl, "namespace");
	struct am_kube_config *config = NULL;
	am_auto(am_buf_fini) struct am_buf ca = { 0 };
	int rc = am_kube_config_file(place->kubeconfig, NULL, &config, err);

	if (rc == 0)
		rc = am_kube_config_ca(config, &ca, err);
	if (rc == 0) {
		/* JSON strings are YAML, too: a name may hold what YAML would read otherwise. */
		am_json_addf(out, "apiVersion: v1\nkind: Config\nclusters:\n- name: ambient\n  cluster:\n    server: %s\n"
			     "    certificate-authority-data: ", am_kube_config_server(config));
		am_base64_encode(out, am_buf_str(&ca), ca.len, false);
		am_json_addf(out, "\nusers:\n- name: %s\n  user:\n    token: %s\ncontexts:\n- name: ambient\n  context:\n"
			     "    cluster: ambient\n    user: %s\n    namespace: %s\ncurrent-context: ambient\n", name, token, name,
			     ns != NULL ? ns : "default");
	}
	am_kube_config_free(config);
	return rc;
}

/* The groups of the command line; NULL and a sentence when one is not usable. */
static int
read_groups(const struct ctl *ctl, const char *groups[GROUPS_MAX], size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < ctl->given_count; i++) {
		const char *group = ctl->given[i].value, *why;

		if (!am_streq(ctl->given[i].option->name, "group"))
			continue;
		why = am_users_name_problem(group);
		if (why != NULL)
			return ctl_usage("\"%s\" is no name of a group: %s", group, why);
		if (*n == GROUPS_MAX)
			return ctl_usage("a user is in at most %d groups", GROUPS_MAX);
		groups[(*n)++] = group;
	}
	return 0;
}

static void
report_added(const struct ctl *ctl, const char *name, const char *token, const struct am_user *user, const char *kubeconfig)
{
	if (ctl->json) {
		am_auto(am_buf_fini) struct am_buf out = { 0 };

		am_json_addf(&out, "{\"name\":%s,\"uid\":%s,\"groups\":[", name, user->uid);
		for (size_t i = 0; i < user->n_groups; i++)
			am_json_addf(&out, "%j%s", i > 0 ? "," : "", user->groups[i]);
		am_json_addf(&out, "],\"token\":%s}", token);
		(void)printf("%s\n", am_buf_str(&out));
	} else if (ctl_has(ctl, "out")) {
		(void)printf("user \"%s\" added; %s is the way in\n", name, ctl_value(ctl, "out"));
	} else {
		(void)fputs(kubeconfig, stdout);
	}
	if (!ctl->json && ctl->terminal)
		(void)fprintf(stderr, "ambientctl: \"%s\" may do nothing yet but ask what is served; for example:\n"
			      "  kubectl create rolebinding %s --clusterrole=edit --%s=%s -n default\n", name, name,
			      user->n_groups > 0 ? "group" : "user", user->n_groups > 0 ? user->groups[0] : name);
}

static int
add(struct ctl *ctl, struct place *place, const char *name)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_buf_fini) struct am_buf token = { 0 };
	am_auto(am_buf_fini) struct am_buf config = { 0 };
	const char *groups[GROUPS_MAX], *why = am_users_name_problem(name), *out = ctl_value(ctl, "out");
	char hash[65], uid[37], now[32];
	size_t n;

	if (why != NULL)
		return ctl_usage("\"%s\" is no name of a user: %s", name, why);
	if (am_starts(name, "system:"))
		return ctl_usage("names that begin with \"system:\" are the cluster's own");
	int rc = read_groups(ctl, groups, &n);

	if (rc != 0)
		return rc;
	if (am_users_find(&place->list, name) != NULL) {
		(void)ctl_usage("there is a user \"%s\" already; remove it to get another token", name);
		return CTL_REFUSED;
	}
	make_token(&token, hash);
	am_uuid4(uid);
	am_time_format(now, am_clock_wall(am_clock_real()), false);
	if (print_kubeconfig(ctl, place, name, am_buf_str(&token), &config, &err) < 0)
		return ctl_fail(&err, "the address of the API server");
	am_users_add(&place->list, hash, name, uid, now, groups, n);
	/* The way in is there before the user is, so that a full disk leaves no user whom nobody can be. */
	if (out != NULL && am_file_write(out, am_buf_str(&config), config.len, 0600, &err) < 0)
		return ctl_fail(&err, "the kubeconfig");
	if (save(place, &err) < 0)
		return ctl_fail(&err, "the list of users");
	report_added(ctl, name, am_buf_str(&token), am_users_find(&place->list, name), am_buf_str(&config));
	return CTL_OK;
}

/* ---- remove, list */

static int
remove_user(struct ctl *ctl, struct place *place, const char *name)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (!am_users_remove(&place->list, name)) {
		ambient_err(&err, AMBIENT_E_NOTFOUND, "there is no such user");
		return ctl_fail(&err, "\"%s\"", name);
	}
	if (save(place, &err) < 0)
		return ctl_fail(&err, "the list of users");
	if (ctl->json) {
		am_auto(am_buf_fini) struct am_buf out = { 0 };

		am_json_addf(&out, "{\"name\":%s,\"removed\":true}", name);
		(void)printf("%s\n", am_buf_str(&out));
	} else {
		(void)printf("user \"%s\" removed; the token is over\n", name);
	}
	return CTL_OK;
}

static void
list_json(const struct am_users *users)
{
	for (size_t i = 0; i < users->n; i++) {
		const struct am_user *u = &users->items[i];
		am_auto(am_buf_fini) struct am_buf out = { 0 };

		am_json_addf(&out, "{\"name\":%s,\"uid\":%s,\"made\":%s,\"groups\":[", u->name, u->uid, u->made);
		for (size_t k = 0; k < u->n_groups; k++)
			am_json_addf(&out, "%j%s", k > 0 ? "," : "", u->groups[k]);
		(void)printf("%s]}\n", am_buf_str(&out));
	}
}

static void
list_table(const struct am_users *users)
{
	const char **cells = am_xcalloc(3 * (users->n + 1), sizeof(char *));
	struct am_buf *groups = am_xcalloc(users->n + 1, sizeof(*groups));

	cells[0] = "NAME";
	cells[1] = "AGE";
	cells[2] = "GROUPS";
	char(*ages)[16] = am_xcalloc(users->n + 1, sizeof(*ages));

	for (size_t i = 0; i < users->n; i++) {
		const struct am_user *u = &users->items[i];

		for (size_t k = 0; k < u->n_groups; k++)
			am_buf_addf(&groups[i], "%s%s", k > 0 ? ", " : "", u->groups[k]);
		ctl_age(ages[i], u->made);
		cells[3 * (i + 1)] = u->name;
		cells[3 * (i + 1) + 1] = ages[i];
		cells[3 * (i + 1) + 2] = am_buf_str(&groups[i]);
	}
	ctl_table(cells, 3, users->n + 1);
	for (size_t i = 0; i < users->n; i++)
		am_buf_fini(&groups[i]);
	free(groups);
	free(ages);
	free(cells);
}

static int
run(struct ctl *ctl)
{
	const char *verb = ctl->words[0];
	bool listing = am_streq(verb, "list");
	struct place place;

	if ((!listing && !am_streq(verb, "add") && !am_streq(verb, "remove")) || (ctl->word_count == 1) != listing)
		return ctl_usage("usage: ambientctl %s", ctl->command->synopsis);
	int rc = open_place(ctl, !listing, &place);

	if (rc == 0 && listing && ctl->json)
		list_json(&place.list);
	else if (rc == 0 && listing)
		list_table(&place.list);
	else if (rc == 0)
		rc = am_streq(verb, "add") ? add(ctl, &place, ctl->words[1]) : remove_user(ctl, &place, ctl->words[1]);
	place_fini(&place);
	return rc;
}

static const struct ctl_option options[] = {
	{ "group", 'g', "GROUP", "add: a group that the user is in; may be given again" },
	{ "out", 'w', "FILE", "add: write the kubeconfig there instead of printing it" },
	{ "state-dir", 0, "DIR", "the state directory of the daemon or of its API server" },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command ctl_user = {
	.name = "user", .synopsis = "user add|remove|list [NAME] [--group GROUP]...",
	.text = "Say who may use the standalone API server.", .options = options, .min = 1, .max = 2, .offline = true, .run = run,
};
