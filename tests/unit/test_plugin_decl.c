/* SPDX-License-Identifier: Apache-2.0 */
/* The declarations' grammar, line by line with the exact sentence, what is made of them, and the states. */
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/plugin/plugin.h"
#include "tests/lib/unit.h"

#define HEAD "name=w\0version=1\0for=v1/pods\0"

static const struct {
	const char *text;
	size_t len;
	const char *message; /* "": fine */
} rows[] = {
#define T(text, message) { text, sizeof(text) - 1, message }
	T(HEAD, ""),
	T("", "it declares nothing, not even name="),
	T("name=w", "its declarations do not end with NUL"),
	T("\0\0\0", "it declares nothing, not even name="),
	T("name=w\0", "it declares no version="),
	T("name=w\0version=1\0", "it provides nothing: no for=, runner= or server= line"),
	T("version=1\0name=w\0", "the first declaration must be name=, not \"version=1\""),
	T("name=Widget\0", "declaration \"name=Widget\": a name has 1 to 40 lower-case letters, digits and \"-\""),
	T("name=\0", "declaration \"name=\": a name has 1 to 40 lower-case letters, digits and \"-\""),
	T(HEAD "name=x\0", "declaration \"name=x\": there can be only one name"),
	T(HEAD "version=2\0", "declaration \"version=2\": there can be only one version"),
	T(HEAD "wacth=v1/pods\0", "declaration \"wacth=v1/pods\": unknown key, did you mean \"watch\"?"),
	T(HEAD "nonsense\0", "declaration \"nonsense\": unknown key"),
	T(HEAD "needs=root\0", "declaration \"needs=root\": only \"network\" and \"jansson\" can be needed"),
	T(HEAD "provides=world\0", "declaration \"provides=world\": only \"cluster\" can be provided"),
	T(HEAD "provides=cluster\0", "provides=cluster needs exactly one server= line"),
	T(HEAD "provides=cluster\0server=a\0", ""),
	T(HEAD "for=v1/secrets\0",
	  "declaration \"for=v1/secrets\": a reconciler is for one kind, begin another with reconciler=NAME"),
	T(HEAD "reconciler=b\0for=v1/secrets\0",
	  "declaration \"reconciler=b\": with several reconcilers, the first needs its reconciler= line too"),
	T("name=w\0version=1\0reconciler=a\0for=v1/pods\0reconciler=a\0", "declaration \"reconciler=a\": this reconciler is there twice"),
	T("name=w\0version=1\0reconciler=a\0reconciler=b\0for=v1/pods\0", "reconciler \"a\" has no for= line"),
	T("name=w\0version=1\0owns=v1/pods\0", "reconciler \"w\" has no for= line"),
	T("name=w\0version=1\0for=pods\0",
	  "declaration \"for=pods\": write group/version/plural, such as \"batch/v1/jobs\", or \"v1/pods\""),
	T("name=w\0version=1\0for=v1/Pods\0",
	  "declaration \"for=v1/Pods\": write group/version/plural, such as \"batch/v1/jobs\", or \"v1/pods\""),
	T("name=w\0version=1\0for=v1/pods/status\0",
	  "declaration \"for=v1/pods/status\": write group/version/plural, such as \"batch/v1/jobs\", or \"v1/pods\""),
	T("name=w\0version=1\0for=a/b/c\0",
	  "declaration \"for=a/b/c\": write group/version/plural, such as \"batch/v1/jobs\", or \"v1/pods\""),
	T("name=w\0version=1\0for=a.b/v1alpha1/c\0", ""),
	T("name=w\0version=1\0for=a.b/v1alpha/c\0",
	  "declaration \"for=a.b/v1alpha/c\": write group/version/plural, such as \"batch/v1/jobs\", or \"v1/pods\""),
	T(HEAD "watch=v1/pods when=generation,labels,annotations,/spec/a~1b map=all\0owns=v1/pods when=/status/phase\0", ""),
	T("name=w\0version=1\0for=v1/pods when=generation\0", ""),
	T("name=w\0version=1\0for=v1/pods when=\0",
	  "declaration \"for=v1/pods when=\": when= takes \"generation\", \"labels\", \"annotations\" and JSON Pointers, with commas "
	  "between, not \"\""),
	T("name=w\0version=1\0for=v1/pods map=all\0",
	  "declaration \"for=v1/pods map=all\": behind the kind comes when= or nothing, not \"map=all\""),
	T(HEAD "owns=v1/pods when=labels when=/a\0",
	  "declaration \"owns=v1/pods when=labels when=/a\": behind the kind comes when= or nothing, not \"when=labels when=/a\""),
	T(HEAD "watch=v1/pods when=labels,,generation\0",
	  "declaration \"watch=v1/pods when=labels,,generation\": when= takes \"generation\", \"labels\", \"annotations\" and JSON "
	  "Pointers, with commas between, not \"\""),
	T(HEAD "watch=v1/pods when=spec\0",
	  "declaration \"watch=v1/pods when=spec\": when= takes \"generation\", \"labels\", \"annotations\" and JSON Pointers, with "
	  "commas between, not \"spec\""),
	T(HEAD "watch=v1/pods only=metadata when=labels,/metadata/uid\0", ""),
	T(HEAD "watch=v1/pods only=/spec/a when=/spec/a/b\0", ""),
	T(HEAD "watch=v1/pods only=/spec/a when=/spec/ab\0",
	  "declaration \"watch=v1/pods only=/spec/a when=/spec/ab\": when=/spec/ab names what only=/spec/a leaves out"),
	T(HEAD "watch=v1/pods only=metadata when=labels,/spec\0",
	  "declaration \"watch=v1/pods only=metadata when=labels,/spec\": when=labels,/spec names what only=metadata leaves out"),
	T(HEAD "watch=v1/pods map=owner\0",
	  "declaration \"watch=v1/pods map=owner\": map is self, namespace, all, label:KEY or annotation:KEY"),
	T(HEAD "watch=v1/pods map=label:-x\0", "declaration \"watch=v1/pods map=label:-x\": \"-x\" is no name of a label or annotation"),
	T(HEAD "watch=v1/pods map=self map=all\0",
	  "declaration \"watch=v1/pods map=self map=all\": behind the kind come selector=, field=, only=, when= and one of map= and index=, each "
	  "once, not \"map=all\""),
	T(HEAD "watch=v1/pods index=i\0", "reconciler \"w\" watches v1/pods by index \"i\", which it does not declare"),
	T(HEAD "watch=v1/pods  selector=a=b   map=all \0index=i:/a~1b\0", ""),
	T(HEAD "index=i\0", "declaration \"index=i\": write NAME:POINTER, such as \"byHost:/spec/host\""),
	T(HEAD "index=i:/a~2\0", "declaration \"index=i:/a~2\": write NAME:POINTER, such as \"byHost:/spec/host\""),
	T(HEAD "index=i j:/a\0",
	  "declaration \"index=i j:/a\": the name of an index has 1 to 40 letters, digits, \"-\" and \"_\""),
	T(HEAD "index=i:/a\0index=i:/b\0", "declaration \"index=i:/b\": this index is there twice"),
	T(HEAD "may=v1/pods\0",
	  "declaration \"may=v1/pods\": write KIND:verbs or KIND/SUB:verbs, such as \"v1/secrets:get\" or \"v1/pods/log:get\""),
	T(HEAD "may=\0",
	  "declaration \"may=\": write KIND:verbs or KIND/SUB:verbs, such as \"v1/secrets:get\" or \"v1/pods/log:get\""),
	T(HEAD "may=v1/pods[a]:get\0",
	  "declaration \"may=v1/pods[a]:get\": names go with bind, escalate and impersonate only: what a request names is not "
	  "compared"),
	T(HEAD "may=v1/pods[]:bind\0",
	  "declaration \"may=v1/pods[]:bind\": names stand in brackets between the kind and the colon, such as "
	  "\"[view,edit]:bind\""),
	T(HEAD "may=v1/pods[a,]:bind\0", "declaration \"may=v1/pods[a,]:bind\": \"a,\" are no names of objects"),
	T(HEAD "may=v1/pods[a:bind\0",
	  "declaration \"may=v1/pods[a:bind\": names stand in brackets between the kind and the colon, such as "
	  "\"[view,edit]:bind\""),
	T(HEAD "may=v1/pods:get,read\0",
	  "declaration \"may=v1/pods:get,read\": \"read\" is no verb, they are get, list, watch, create, update, patch, delete, "
	  "deletecollection, bind, escalate and impersonate"),
	T(HEAD "may=v1/pods:\0",
	  "declaration \"may=v1/pods:\": \"\" is no verb, they are get, list, watch, create, update, patch, delete, "
	  "deletecollection, bind, escalate and impersonate"),
	T(HEAD "runner=a\0runner=a\0", "declaration \"runner=a\": this runner type is there twice"),
	T(HEAD "server=A\0", "declaration \"server=A\": a name has 1 to 40 lower-case letters, digits and \"-\""),
	T(HEAD "may=v1/p\xc3\xa4\0", "a declaration is printable ASCII"),
#undef T
};

/* What a builder refuses elsewhere is refused here when the declarations are read: no for, two for, the same name twice. */
START_TEST(BL1_sentences)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_plugin_decl *d = am_plugin_decl_parse(rows[_i].text, rows[_i].len, &err);

	ck_assert_str_eq(d != NULL ? "" : err.message, rows[_i].message);
	am_plugin_decl_free(d);
}
END_TEST

START_TEST(limits)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_buf_add(&text, HEAD, sizeof(HEAD) - 1);
	for (int i = 0; i < 1021; i++)
		am_buf_add(&text, "owns=v1/pods", 13);
	struct am_plugin_decl *d = am_plugin_decl_parse(text.data, text.len, &err);
	ck_assert_ptr_nonnull(d);
	ck_assert_uint_eq(d->reconcilers[0].owns_count, 1021);
	am_plugin_decl_free(d);
	am_buf_add(&text, "owns=v1/pods", 13);
	ck_assert_ptr_null(am_plugin_decl_parse(text.data, text.len, &err));
	ck_assert_str_eq(err.message, "it has more than 1024 declarations");
	while (text.len <= 64 << 10)
		am_buf_addc(&text, '\0');
	ck_assert_ptr_null(am_plugin_decl_parse(text.data, text.len, &err));
	ck_assert_str_eq(err.message, "its declarations are longer than 64 KiB");
}
END_TEST

START_TEST(what_is_made_of_them)
{
	static const char text[] = "name=w\0version=1\0reconciler=a\0for=v1/pods\0owns=v1/secrets\0owns=batch/v1/jobs\0"
				   "reconciler=b\0for=x.io/v1/ws\0watch=v1/nodes map=annotation:x.io/who\0"
				   "may=rbac.authorization.k8s.io/v1/clusterroles[x:view,edit]:bind v1/secrets:get\0"
				   "may=v1/pods:get,list v1/pods/log:get\0needs=network\0needs=jansson\0";
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_plugin_decl *d = am_plugin_decl_parse(text, sizeof(text), &err);

	ck_assert_msg(d != NULL, "%s", err.message);
	ck_assert_uint_eq(d->needs, AM_NEEDS_NETWORK | AM_NEEDS_JANSSON);
	ck_assert_uint_eq(d->reconciler_count, 2);
	ck_assert_uint_eq(am_plugin_decl_reconciler(d, "a")->owns_count, 2);
	ck_assert_str_eq(am_plugin_decl_reconciler(d, "a")->owns[1], "batch/v1/jobs");
	ck_assert_str_eq(am_plugin_decl_reconciler(d, "b")->watches[0].map_key, "x.io/who");
	ck_assert(am_plugin_decl_watches(d, "v1/nodes"));
	ck_assert(am_plugin_decl_watches(d, "x.io/v1/ws"));
	ck_assert(!am_plugin_decl_watches(d, "v1/configmaps"));
	ck_assert_str_eq(d->mays[0].names, "x:view,edit");
	ck_assert_str_eq(d->mays[0].kind, "rbac.authorization.k8s.io/v1/clusterroles");
	ck_assert_ptr_null(d->mays[1].names);
	ck_assert(am_plugin_decl_may(d, "v1/pods", NULL, AM_VERB_LIST));
	ck_assert(!am_plugin_decl_may(d, "v1/pods", NULL, AM_VERB_CREATE));
	ck_assert(am_plugin_decl_may(d, "v1/pods", "log", AM_VERB_GET));
	ck_assert(!am_plugin_decl_may(d, "v1/pods", "log", AM_VERB_LIST));
	ck_assert(!am_plugin_decl_may(d, "v1/pods", "status", AM_VERB_GET));
	ck_assert_str_eq(am_plugin_verb_name(AM_VERB_DELETECOLLECTION), "deletecollection");
	ck_assert_ptr_null(am_plugin_verb_name(0));
	am_plugin_decl_free(d);
}
END_TEST

START_TEST(kinds)
{
	const char *group, *version, *plural;
	size_t gl, vl;

	ck_assert(am_plugin_kind_split("batch/v1/jobs", &group, &gl, &version, &vl, &plural));
	ck_assert_uint_eq(gl, 5);
	ck_assert_uint_eq(vl, 2);
	ck_assert_str_eq(plural, "jobs");
	ck_assert(am_plugin_kind_split("v1/pods", &group, &gl, &version, &vl, &plural));
	ck_assert_uint_eq(gl, 0);
	ck_assert_int_eq(strncmp(version, "v1/", 3), 0);
	ck_assert(!am_plugin_kind_split("v1/pods/log", &group, &gl, &version, &vl, &plural));
	ck_assert(!am_plugin_kind_split("", &group, &gl, &version, &vl, &plural));
	ck_assert(!am_plugin_kind_split("/v1/pods", &group, &gl, &version, &vl, &plural));
	ck_assert(!am_plugin_kind_split("v01/pods", &group, &gl, &version, &vl, &plural));
}
END_TEST

START_TEST(states)
{
	static const enum am_plugin_state life[] = { AM_PLUGIN_INSPECTED, AM_PLUGIN_LOADED, AM_PLUGIN_CHECKED, AM_PLUGIN_CREATED,
						     AM_PLUGIN_RUNNING, AM_PLUGIN_DRAINING, AM_PLUGIN_STOPPED };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	enum am_plugin_state s = AM_PLUGIN_FOUND;

	for (size_t i = 0; i < AM_COUNTOF(life); i++) {
		enum am_plugin_state failing = s;

		ck_assert_int_eq(am_plugin_state_move(&failing, AM_PLUGIN_FAILED, "w", &err), 0);
		ck_assert_int_eq(am_plugin_state_move(&s, life[i], "w", &err), 0);
		ck_assert_int_eq(s, life[i]);
	}
	ck_assert_int_eq(am_plugin_state_move(&s, AM_PLUGIN_FAILED, "w", &err), -AMBIENT_E_INTERNAL);
	ck_assert_str_eq(err.message, "instance \"w\" cannot go from stopped to failed");
	s = AM_PLUGIN_FOUND;
	ck_assert_int_lt(am_plugin_state_move(&s, AM_PLUGIN_RUNNING, "w", &err), 0);
	ck_assert_str_eq(err.message, "instance \"w\" cannot go from found to running");
	ck_assert_int_eq(s, AM_PLUGIN_FOUND);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, BL1_sentences, 0, AM_COUNTOF(rows));
	tcase_add_test(tc, limits);
	tcase_add_test(tc, what_is_made_of_them);
	tcase_add_test(tc, kinds);
	tcase_add_test(tc, states);
}

UNIT_MAIN("plugin_decl", cases)
