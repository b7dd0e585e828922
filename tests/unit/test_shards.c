/* SPDX-License-Identifier: Apache-2.0 */
/* core/lead/shards against a scripted API server, rule by rule of ADR 50. */
#include <errno.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/counter.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/lead/lead.h"
#include "core/lead/lead_priv.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/unit.h"

#define S          AM_NS_PER_S
#define MS         AM_NS_PER_MS
#define COLLECTION "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
#define SHARDS     4
#define ALL        "v1 of=4 held=0-3"
#define NONE       "v1 of=4 held=none"

static struct am_clock *test_clock;
static struct am_io *io;
static struct am_shards *shards;
static struct am_buf told;
static bool busy;
static int version, stops_done, group_version;

static void
on_started(void *arg)
{
	am_buf_adds(&told, "started ");
}

static void
on_stopped(void *arg)
{
	am_buf_adds(&told, "stopped ");
}

static void
on_gained(void *arg, int shard)
{
	am_buf_addf(&told, "+%d ", shard);
}

static bool
on_idle(void *arg, int shard)
{
	return !busy;
}

static void
on_hurry(void *arg, int shard)
{
	am_buf_addf(&told, "hurry%d ", shard);
}

static void
stop_done(void *arg)
{
	stops_done++;
}

static struct am_shards_options
options(void)
{
	return (struct am_shards_options){ .ns = "ns", .name = "l", .identity = "me", .shards = SHARDS, .started = on_started,
					   .stopped = on_stopped, .gained = on_gained, .idle = on_idle, .hurry = on_hurry };
}

static void
setup(void)
{
	struct am_shards_options o = options();

	am_log_set_level(0);
	stops_done = version = group_version = 0;
	busy = false;
	am_buf_reset(&told);
	test_clock = am_clock_fake_new();
	io = fake_io_new(test_clock);
	ck_assert_int_eq(am_shards_new(io, &o, &shards, NULL), 0);
}

/* ---- the API server, by hand */

static const struct fake_request *
oldest(void)
{
	for (size_t i = 0; i < fake_io_count(io); i++) {
		if (fake_io_request(io, i)->open)
			return fake_io_request(io, i);
	}
	return NULL;
}

static void
answer_group(void)
{
	int v = ++group_version;
	am_auto(am_freep) char *text = am_xasprintf("{\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"%d\"},\"spec\":{\"holderIdentity\":"
						    "\"shared by 4 shards\",\"leaseDurationSeconds\":15,\"renewTime\":\"%d\"}}",
						    v, v);

	fake_io_answer(io, 200, text);
}

/* The group's own Lease is renewed beside all this; the next request that is not about it. */
static const struct fake_request *
request(void)
{
	while (oldest() != NULL && (strcmp(oldest()->path, COLLECTION "/l") == 0))
		answer_group();
	return oldest();
}

static const char *
own_name(void)
{
	static char name[64];

	for (size_t i = fake_io_count(io); i-- > 0;) {
		const struct fake_request *r = fake_io_request(io, i);
		if (strcmp(r->method, "POST") != 0 || r->body == NULL)
			continue;
		am_auto(am_freep) char *found = am_json_dup(am_slice_of(r->body), "/metadata/name");
		(void)am_strlcpy(name, found, sizeof(name));
		return name;
	}
	return NULL;
}

static const char *
claim_of(const char *body)
{
	static char claim[128];
	am_auto(am_freep) char *found = am_json_dup(am_slice_of(body), "/metadata/annotations/ambient-code.io~1shards");

	(void)am_strlcpy(claim, found != NULL ? found : "-", sizeof(claim));
	return claim;
}

static void
expect(const char *method)
{
	const struct fake_request *r = request();

	ck_assert_msg(r != NULL, "nothing was asked, wanted %s", method);
	ck_assert_str_eq(r->method, method);
	ck_assert_msg(strcmp(method, "GET") != 0 || strcmp(r->path, COLLECTION "?labelSelector=ambient-code.io%2Fshards-of%3Dl") == 0,
		      "%s", r->path);
}

/* A write of the own Lease that says this, accepted. */
static void
accept_claim(const char *method, const char *claim)
{
	expect(method);
	ck_assert_str_eq(claim_of(request()->body), claim);
	am_auto(am_freep) char *text = am_xasprintf("{\"metadata\":{\"name\":\"%s\",\"uid\":\"u-me\",\"resourceVersion\":\"%d\"}}",
						    own_name(), ++version);
	fake_io_answer(io, strcmp(method, "POST") == 0 ? 201 : 200, text);
}

static char *
item(const char *lease, const char *uid, int rv, const char *identity, const char *claim)
{
	return am_xasprintf("{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\",\"resourceVersion\":\"%d\",\"annotations\":{\"" SHARD_ANNOTATION
			    "\":\"%s\"}},\"spec\":{\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":15}}",
			    lease, uid, rv, claim, identity);
}

/* A list of the own Lease (claim NULL: it is gone) and maybe another's. */
static void
answer_list(const char *claim, const char *other, int other_rv, const char *other_claim)
{
	am_auto(am_freep) char *own = item(own_name(), "u-me", version, "me", claim != NULL ? claim : "");
	am_auto(am_freep) char *theirs = item("l-other", "u-other", other_rv, other != NULL ? other : "", other_claim);
	am_auto(am_freep) char *text = am_xasprintf("{\"items\":[%s%s%s]}", claim != NULL ? own : "", claim != NULL && other != NULL ? "," : "",
						    other != NULL ? theirs : "");

	expect("GET");
	fake_io_answer(io, 200, text);
}

static void
check_told(const char *what)
{
	ck_assert_str_eq(am_buf_str(&told), what);
	am_buf_reset(&told);
}

static void
check_owns(const char *what)
{
	char text[SHARDS + 1] = "";

	for (int i = 0; i < SHARDS; i++)
		text[i] = am_shards_owns(shards, i) ? 'o' : am_shards_holds(shards, i) ? 'h' : '-';
	ck_assert_str_eq(text, what);
}

static void
start(void)
{
	am_shards_start(shards);
	ck_assert_str_eq(oldest()->method, "GET"); /* the group's Lease comes first */
	accept_claim("POST", NONE);
}

/* Alone: owns everything. */
static void
own_all(void)
{
	start();
	answer_list(NONE, NULL, 0, NULL);
	accept_claim("PUT", ALL);
	answer_list(ALL, NULL, 0, NULL);
	check_told("started +0 +1 +2 +3 ");
	check_owns("oooo");
}

/* To the next renewal, which is accepted, and answers its list. */
static void
renew(const char *claim, const char *other, int other_rv, const char *other_claim)
{
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	accept_claim("PUT", claim);
	answer_list(claim, other, other_rv, other_claim);
}

/* Another one that comes first for every shard. */
static const char *
stronger(void)
{
	static char name[16];

	for (int i = 0; i < 10000; i++) {
		int wins = 0;

		(void)snprintf(name, sizeof(name), "o%d", i);
		for (int shard = 0; shard < SHARDS; shard++)
			wins += shard_weight(name, shard) > shard_weight("me", shard);
		if (wins == SHARDS)
			return name;
	}
	ck_abort();
}

static void
teardown(void)
{
	stops_done = 0;
	am_shards_stop(shards, stop_done, NULL);
	while (fake_io_open(io) != 0)
		fake_io_answer(io, 404, "{}");
	ck_assert_int_eq(stops_done, 1);
	am_shards_free(shards);
	fake_io_free(io);
	am_clock_fake_free(test_clock);
	am_buf_fini(&told);
}

/* ---- taking */

START_TEST(rule1_written_then_read_then_owned)
{
	start();
	check_told("started ");
	answer_list(NONE, NULL, 0, NULL);
	check_owns("----");
	accept_claim("PUT", ALL);
	check_owns("----"); /* written, not read yet */
	answer_list(ALL, NULL, 0, NULL);
	check_owns("oooo");
	check_told("+0 +1 +2 +3 ");
	ck_assert_ptr_null(request());
}
END_TEST

START_TEST(rule2_what_another_holds_is_not_owned)
{
	start();
	answer_list(NONE, NULL, 0, NULL);
	accept_claim("PUT", ALL);
	answer_list(ALL, "x", 1, "v1 of=4 held=1 leaving"); /* wrote at the same time */
	check_owns("o-oo");
	renew(ALL, "x", 2, "v1 of=4 held=1 leaving");
	check_owns("o-oo");
	renew(ALL, "x", 3, "v1 of=4 held=none leaving");
	check_owns("oooo");
}
END_TEST

START_TEST(rule2_what_another_holds_is_not_even_claimed)
{
	start();
	answer_list(NONE, "x", 1, "v1 of=4 held=0-1 leaving");
	accept_claim("PUT", "v1 of=4 held=2-3");
	answer_list("v1 of=4 held=2-3", "x", 1, "v1 of=4 held=0-1 leaving");
	check_owns("--oo");
}
END_TEST

START_TEST(rule2_of_two_that_claim_the_one_that_is_not_meant_steps_back)
{
	start();
	answer_list(NONE, NULL, 0, NULL);
	accept_claim("PUT", ALL);
	answer_list(ALL, stronger(), 1, ALL);
	check_owns("----");
	accept_claim("PUT", NONE);
	answer_list(NONE, stronger(), 1, ALL);
	ck_assert_ptr_null(request());
}
END_TEST

START_TEST(rule2_what_the_list_does_not_show_is_not_owned)
{
	start();
	answer_list(NONE, NULL, 0, NULL);
	accept_claim("PUT", ALL);
	answer_list("v1 of=4 held=0", NULL, 0, NULL); /* a person has edited it */
	check_owns("o---");
	renew(ALL, NULL, 0, NULL);
	check_owns("oooo");
}
END_TEST

START_TEST(rule3_a_lost_answer_leaves_it_open_until_a_write_succeeds)
{
	start();
	answer_list(NONE, NULL, 0, NULL);
	expect("PUT");
	fake_io_fail(io, AMBIENT_E_TIMEOUT, 0); /* it may have arrived, or arrive yet */
	ck_assert_int_eq(fake_io_next_timer(io), 2 * S);
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	version++;
	answer_list(ALL, NULL, 0, NULL); /* it has arrived; but only an answer says that no other one is under way */
	check_owns("----");
	accept_claim("PUT", ALL);
	check_owns("----");
	answer_list(ALL, NULL, 0, NULL);
	check_owns("oooo");
}
END_TEST

START_TEST(rule3_a_refused_write_is_no_claim)
{
	start();
	answer_list(NONE, NULL, 0, NULL);
	expect("PUT");
	fake_io_answer(io, 409, "{}");
	answer_list(NONE, NULL, 0, NULL); /* free, but nothing of ours is written */
	check_owns("----");
	accept_claim("PUT", ALL);
}
END_TEST

START_TEST(rule3_a_shard_that_comes_back_before_the_release_was_confirmed)
{
	own_all();
	renew(ALL, stronger(), 1, NONE);
	check_owns("----");
	expect("PUT");
	ck_assert_str_eq(claim_of(request()->body), NONE);
	fake_io_fail(io, AMBIENT_E_TIMEOUT, 0); /* this one lies around */
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	answer_list(ALL, NULL, 0, NULL); /* the other one has gone again, and ours says what it did */
	check_owns("----");
	expect("PUT");
	fake_io_fail(io, AMBIENT_E_TIMEOUT, 0);
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	answer_list(ALL, NULL, 0, NULL); /* still: the one that gives it away may arrive yet */
	check_owns("----");
	accept_claim("PUT", ALL);        /* ours again only by a write that the late one cannot undo */
	answer_list(ALL, NULL, 0, NULL);
	check_owns("oooo");
}
END_TEST

START_TEST(a_list_that_is_none_shows_nobody_gone)
{
	static const char *const rows[] = { "{}", "[", "{\"items\":{}}", "{\"items\":[{\"metadata\":{\"name\":\"l-x\"}}]}" };

	own_all();
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		while (request() == NULL)
			(void)fake_io_next_timer(io);
		if (strcmp(request()->method, "PUT") == 0)
			accept_claim("PUT", ALL);
		expect("GET");
		fake_io_answer(io, 200, rows[i]);
		check_owns("oooo");
		check_told("");
	}
}
END_TEST

/* ---- giving away */

START_TEST(rule4_a_shard_is_given_away_when_its_calls_have_ended)
{
	own_all();
	busy = true;
	renew(ALL, stronger(), 1, NONE);
	check_owns("hhhh"); /* starts nothing; what runs may write */
	renew(ALL, stronger(), 2, NONE);
	check_told("");
	busy = false;
	am_shards_ended(shards);
	check_owns("----");
	accept_claim("PUT", NONE);
	answer_list(NONE, stronger(), 2, ALL);
	ck_assert_ptr_null(request());
	check_told("");
}
END_TEST

START_TEST(rule4_calls_that_last_are_told_to_hurry)
{
	own_all();
	busy = true;
	int64_t from = am_clock_boot(test_clock);
	renew(ALL, stronger(), 1, NONE);
	for (int rv = 2; am_buf_str(&told)[0] == '\0'; rv++)
		renew(ALL, stronger(), rv, NONE);
	check_told("hurry0 hurry1 hurry2 hurry3 ");
	ck_assert_int_ge(am_clock_boot(test_clock), from + 30 * S);
	ck_assert_int_lt(am_clock_boot(test_clock), from + 36 * S);
	check_owns("hhhh");
}
END_TEST

START_TEST(rule4_it_stays_when_the_other_one_leaves_again)
{
	own_all();
	busy = true;
	renew(ALL, stronger(), 1, NONE);
	check_owns("hhhh");
	renew(ALL, NULL, 0, NULL);
	check_owns("oooo");
	check_told("+0 +1 +2 +3 "); /* keys were dropped meanwhile */
}
END_TEST

START_TEST(one_that_leaves_is_given_nothing)
{
	own_all();
	renew(ALL, stronger(), 1, "v1 of=4 held=none leaving");
	check_owns("oooo");
}
END_TEST

/* ---- silence */

START_TEST(rule5_a_silent_member_is_removed_after_its_duration_by_what_was_seen)
{
	start();
	answer_list(NONE, stronger(), 7, ALL);
	int64_t seen = am_clock_boot(test_clock);
	for (;;) {
		while (request() == NULL)
			(void)fake_io_next_timer(io);
		if (strcmp(request()->method, "DELETE") == 0)
			break;
		accept_claim("PUT", NONE);
		answer_list(NONE, stronger(), 7, ALL);
	}
	ck_assert_int_ge(am_clock_boot(test_clock), seen + 15 * S);
	ck_assert_int_le(am_clock_boot(test_clock), seen + 17 * S);
	ck_assert_str_eq(request()->path, COLLECTION "/l-other");
	ck_assert_ptr_nonnull(strstr(request()->body, "\"preconditions\":{\"uid\":\"u-other\",\"resourceVersion\":\"7\"}"));
	fake_io_answer(io, 409, "{}"); /* it lives after all */
	answer_list(NONE, stronger(), 8, ALL);
	ck_assert_ptr_null(request());
	check_owns("----");
	for (int i = 0; i < 7; i++)
		renew(NONE, stronger(), 8, ALL);
	while (request() == NULL || strcmp(request()->method, "DELETE") != 0) {
		if (request() != NULL)
			renew(NONE, stronger(), 8, ALL);
		else
			(void)fake_io_next_timer(io);
	}
	fake_io_answer(io, 200, "{}");
	check_owns("----"); /* nor before a list shows it */
	answer_list(NONE, NULL, 0, NULL);
	accept_claim("PUT", ALL);
	answer_list(ALL, NULL, 0, NULL);
	check_owns("oooo");
}
END_TEST

START_TEST(rule5_times_that_others_wrote_do_not_matter)
{
	start();
	answer_list(NONE, stronger(), 7, ALL);
	am_clock_fake_set_wall(test_clock, am_clock_wall(test_clock) + 3600 * S);
	for (int rv = 8; rv < 20; rv++)
		renew(NONE, stronger(), rv, ALL);
	check_owns("----");
}
END_TEST

START_TEST(rule6_nothing_is_worked_on_after_renew_from_the_sending)
{
	own_all();
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	int64_t sent = am_clock_boot(test_clock);
	fake_io_advance(io, S); /* a slow answer */
	accept_claim("PUT", ALL);
	answer_list(ALL, NULL, 0, NULL);
	ck_assert_int_le(am_shards_valid_until(shards), sent + 10 * S); /* or the group's, which is a retry or two older */
	ck_assert_int_gt(am_shards_valid_until(shards), sent + 5 * S);
	while (am_shards_valid_until(shards) > am_clock_boot(test_clock)) {
		if (oldest() != NULL)
			fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
		else
			(void)fake_io_next_timer(io);
	}
	fake_io_advance(io, 0);
	check_told("stopped ");
	check_owns("oooo"); /* the Lease is still there, and says so: nobody else has them */
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	if (strcmp(request()->method, "GET") == 0) /* after a failure it looks first */
		answer_list(ALL, "x", 1, "v1 of=4 held=none leaving");
	for (int rv = 2; am_buf_str(&told)[0] == '\0'; rv++) /* the group's Lease has to come back too */
		renew(ALL, "x", rv, "v1 of=4 held=none leaving");
	check_told("started ");
	check_owns("oooo");
}
END_TEST

START_TEST(rule6_the_groups_lease_does_not_stand_in_for_the_own)
{
	own_all();
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	int64_t sent = am_clock_boot(test_clock);
	fake_io_advance(io, S); /* a slow answer, the last good one */
	accept_claim("PUT", ALL);
	while (am_buf_str(&told)[0] == '\0') {
		const struct fake_request *r = request(); /* the group's is renewed all the time */

		if (r == NULL)
			(void)fake_io_next_timer(io);
		else if (strcmp(r->method, "GET") == 0)
			answer_list(ALL, NULL, 0, NULL);
		else
			fake_io_answer(io, 500, "{}");
	}
	check_told("stopped ");
	ck_assert_int_le(am_clock_boot(test_clock), sent + 10 * S);
}
END_TEST

START_TEST(rule5_nobody_removes_the_own_lease)
{
	own_all();
	int64_t began = am_clock_boot(test_clock);
	while (am_clock_boot(test_clock) < began + 40 * S) { /* the others have not removed it; who knows why */
		const struct fake_request *r = request();

		if (r == NULL)
			(void)fake_io_next_timer(io);
		else if (strcmp(r->method, "GET") == 0)
			answer_list(ALL, NULL, 0, NULL);
		else if (strcmp(r->method, "PUT") == 0)
			fake_io_answer(io, 500, "{}");
		else
			ck_abort_msg("%s %s", r->method, r->path);
	}
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	am_shards_describe(shards, &text);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&text), "members=1"));
}
END_TEST

START_TEST(rule5_who_is_dead_and_cannot_be_removed_comes_first_for_nothing)
{
	char claim[128] = ALL;
	const char *other = stronger();
	int deletes = 0, gave = 0;

	own_all();
	for (int i = 0; i < 100 && (deletes == 0 || strcmp(claim, ALL) != 0); i++) {
		while (request() == NULL)
			(void)fake_io_next_timer(io);
		if (strcmp(request()->method, "GET") == 0) {
			answer_list(claim, other, 1, NONE); /* it holds nothing, and never changes */
		} else if (strcmp(request()->method, "PUT") == 0) {
			(void)am_strlcpy(claim, claim_of(request()->body), sizeof(claim));
			accept_claim("PUT", claim);
			gave += strcmp(claim, NONE) == 0;
		} else {
			ck_assert_str_eq(request()->method, "DELETE");
			deletes++;
			fake_io_answer(io, 403, "{}");
		}
	}
	ck_assert_int_gt(gave, 0); /* as long as it lived */
	ck_assert_int_gt(deletes, 0);
	ck_assert_str_eq(claim, ALL);
}
END_TEST

START_TEST(rule6_a_suspended_machine_does_nothing)
{
	own_all();
	am_clock_fake_advance(test_clock, 60 * S); /* nothing ran meanwhile */
	ck_assert_int_lt(am_shards_valid_until(shards), am_clock_boot(test_clock));
	fake_io_advance(io, 0);
	check_told("stopped ");
}
END_TEST

START_TEST(rule7_whose_lease_was_removed_starts_anew_without_shards)
{
	char name[64];

	own_all();
	(void)am_strlcpy(name, own_name(), sizeof(name));
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	expect("PUT");
	fake_io_answer(io, 404, "{}");
	answer_list(NULL, "x", 1, ALL);
	check_told("stopped ");
	check_owns("----");
	ck_assert_int_eq(am_shards_valid_until(shards), 0);
	expect("POST");
	ck_assert_str_ne(own_name(), name); /* no late write of the old one can meet it */
	accept_claim("POST", NONE);
	check_told("started ");
}
END_TEST

START_TEST(rule7_a_lease_of_the_same_name_is_another_one)
{
	own_all();
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	accept_claim("PUT", ALL);
	am_auto(am_freep) char *other = item(own_name(), "u-again", version + 1, "me", ALL);
	am_auto(am_freep) char *list = am_xasprintf("{\"items\":[%s]}", other);
	expect("GET");
	fake_io_answer(io, 200, list);
	check_owns("----");
	check_told("stopped ");
	expect("POST");
}
END_TEST

START_TEST(rule7_whatever_the_write_is_refused_with)
{
	own_all();
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	expect("PUT");
	fake_io_answer(io, 500, "{}"); /* "resourceVersion should not be set on objects to be created" */
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	answer_list(NULL, "x", 1, NONE);
	check_told("stopped ");
	expect("POST");
}
END_TEST

START_TEST(a_list_that_fails_keeps_no_renewal_back)
{
	own_all();
	for (int i = 0; i < 8; i++) {
		while (request() == NULL)
			(void)fake_io_next_timer(io);
		if (strcmp(request()->method, "PUT") == 0)
			accept_claim("PUT", ALL);
		else
			fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
	}
	check_told("");
	check_owns("oooo");
}
END_TEST

/* Who may not see the others' Leases cannot know what they hold: it renews, and owns nothing. */
START_TEST(without_the_right_to_list_nothing_is_owned)
{
	am_auto(am_buf_fini) struct am_buf said = { 0 };

	start();
	check_told("started ");
	for (int i = 0; i < 8; i++) {
		while (request() == NULL)
			(void)fake_io_next_timer(io);
		if (strcmp(request()->method, "GET") == 0)
			fake_io_answer(io, 403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\",\"code\":403}");
		else
			accept_claim("PUT", NONE);
		check_owns("----");
	}
	ck_assert(am_shards_refused(shards, &said));
	ck_assert_str_eq(am_buf_str(&said), "the account needs a rule with apiGroups [\"coordination.k8s.io\"], resources [\"leases\"], "
			 "verbs [\"list\"] in namespace \"ns\"");
	while (request() == NULL || strcmp(request()->method, "GET") != 0) {
		if (request() != NULL)
			accept_claim("PUT", NONE);
		else
			(void)fake_io_next_timer(io);
	}
	answer_list(NONE, NULL, 0, NULL);
	accept_claim("PUT", ALL);
	answer_list(ALL, NULL, 0, NULL);
	check_owns("oooo");
	ck_assert(!am_shards_refused(shards, &said));
}
END_TEST

START_TEST(a_person_who_edits_the_own_lease_does_no_harm)
{
	own_all();
	while (request() == NULL)
		(void)fake_io_next_timer(io);
	expect("PUT");
	version = 500;
	fake_io_answer(io, 409, "{}");
	answer_list(NONE, NULL, 0, NULL);
	expect("PUT");
	ck_assert_ptr_nonnull(strstr(request()->body, "\"resourceVersion\":\"500\""));
	accept_claim("PUT", ALL);
	check_owns("oooo");
	answer_list(ALL, NULL, 0, NULL);
	check_told("");
}
END_TEST

START_TEST(what_is_not_understood_holds_everything)
{
	static const char *const rows[] = { "v1 of=5 held=none", "v2 of=4 held=none", "", "v1 of=4 held=4", "v1 of=4 held=none soon" };

	start();
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		if (i == 0)
			answer_list(NONE, stronger(), (int)i + 1, rows[i]);
		else
			renew(NONE, stronger(), (int)i + 1, rows[i]);
		check_owns("----");
	}
	renew(NONE, stronger(), 100, "v1 of=4 held=none leaving");
	accept_claim("PUT", ALL);
}
END_TEST

/* ---- the end */

START_TEST(leave_gives_away_what_is_idle_and_stop_removes_the_lease)
{
	own_all();
	busy = true;
	am_shards_leave(shards);
	check_owns("hhhh");
	accept_claim("PUT", ALL " leaving");
	answer_list(ALL " leaving", "x", 1, NONE);
	busy = false;
	am_shards_ended(shards);
	accept_claim("PUT", NONE " leaving");
	answer_list(NONE " leaving", "x", 1, ALL);
	check_told("");
	am_shards_stop(shards, stop_done, NULL);
	check_told("stopped ");
	expect("DELETE");
	fake_io_answer(io, 503, "{}");
	ck_assert_int_eq(stops_done, 0);
	(void)fake_io_next_timer(io);
	expect("DELETE");
	fake_io_answer(io, 200, "{}");
	ck_assert_int_eq(stops_done, 1);
	ck_assert_uint_eq(fake_io_timers(io), 0);
	am_buf_reset(&told);
	own_all(); /* and may be started again */
}
END_TEST

START_TEST(stop_is_bounded)
{
	own_all();
	int64_t from = am_clock_boot(test_clock);
	am_shards_stop(shards, stop_done, NULL);
	while (stops_done == 0) {
		if (oldest() != NULL)
			fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
		(void)fake_io_next_timer(io);
	}
	ck_assert_int_eq(am_clock_boot(test_clock), from + 10 * S);
	ck_assert_uint_eq(fake_io_timers(io), 0);
}
END_TEST

/* ---- the group's Lease */

START_TEST(a_leader_of_the_same_name_is_waited_for)
{
	am_shards_start(shards);
	fake_io_answer(io, 200, "{\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"1\"},\"spec\":{\"holderIdentity\":\"a leader\","
				"\"leaseDurationSeconds\":15}}");
	ck_assert_ptr_null(oldest()); /* no Lease of our own is made */
	check_told("");
	(void)fake_io_next_timer(io);
	fake_io_answer(io, 200, "{\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"2\"},\"spec\":{\"holderIdentity\":\"\"}}");
	ck_assert_ptr_nonnull(strstr(oldest()->body, "\"holderIdentity\":\"shared by 4 shards\""));
	answer_group();
	expect("POST");
}
END_TEST

/* ---- the map */

START_TEST(the_map_is_the_same_for_ever)
{
	/* Replicas of two releases share: these may only change with the version in the annotation. */
	static const struct { const char *key; int of16, of256; } rows[] = {
		{ "", 11, 155 }, { "default", 14, 142 }, { "team-a", 3, 227 }, { "team-b", 8, 200 }, { "kube-system", 9, 57 },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_int_eq(shard_of_key(rows[i].key, 16), rows[i].of16);
		ck_assert_int_eq(shard_of_key(rows[i].key, 256), rows[i].of256);
	}
	ck_assert_uint_eq(shard_weight("replica-a", 0), UINT64_C(6960149710914686585));
	ck_assert_int_eq(am_shards_of(shards, "team", "x"), shard_of_key("team", SHARDS));
	ck_assert_int_eq(am_shards_of(shards, "", "team"), shard_of_key("team", SHARDS)); /* a Namespace goes with what is in it */
	ck_assert_int_eq(am_shards_of(shards, NULL, "team"), shard_of_key("team", SHARDS));
}
END_TEST

static int
best_of(const char *const *names, int n, int shard)
{
	int best = 0;

	for (int i = 1; i < n; i++) {
		if (shard_weight(names[i], shard) > shard_weight(names[best], shard))
			best = i;
	}
	return best;
}

START_TEST(a_member_more_or_less_moves_only_its_own_shards)
{
	static const char *const names[] = { "ambient-0", "ambient-1", "ambient-2", "ambient-3" };
	int counts[4] = { 0 };

	for (int shard = 0; shard < 256; shard++) {
		int four = best_of(names, 4, shard), three = best_of(names, 3, shard);

		counts[four]++;
		ck_assert(four == 3 || four == three);
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_gt(counts[i], 40); /* of 64 in the mean */
		ck_assert_int_lt(counts[i], 90);
	}
}
END_TEST

START_TEST(claims_are_written_as_they_are_read)
{
	static const struct { const char *text; bool good; } rows[] = {
		{ "v1 of=16 held=none", true }, { "v1 of=16 held=0-15", true }, { "v1 of=16 held=0,2-4,9", true },
		{ "v1 of=16 held=3 leaving", true }, { "v1 of=16 held=", false }, { "v1 of=16", false }, { "v1 of=16 held=16", false },
		{ "v1 of=16 held=4-2", false }, { "v1 of=16 held=-1", false }, { "v1 of=16 held=1-", false }, { "v1 of=8 held=1", false },
		{ "v1 of= held=1", false }, { "v2 of=16 held=1", false }, { "v1 of=16 held=1 leaving now", false }, { NULL, false },
		{ "v1 of=16 held=99999999999999999999", false },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct shard_claim claim;
		am_auto(am_buf_fini) struct am_buf text = { 0 };

		ck_assert_msg(shard_claim_parse(rows[i].text, 16, &claim) == rows[i].good, "%s", rows[i].text);
		if (rows[i].good) {
			shard_claim_print(16, &claim.held, !claim.candidate, &text);
			ck_assert_str_eq(am_buf_str(&text), rows[i].text);
		} else {
			ck_assert(!claim.candidate && shard_set_count(&claim.held) == AM_SHARDS_MAX);
		}
	}
}
END_TEST

START_TEST(options_are_checked)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_shards *made;

	for (int i = 0; i < 7; i++) {
		struct am_shards_options o = options();
		if (i < 3)
			o.shards = i == 0 ? 0 : i == 1 ? 257 : -1;
		else if (i == 3)
			o.identity = "";
		else if (i == 4)
			o.name = "a.name.with.dots";
		else if (i == 5)
			o.retry_ns = 4 * S;
		else
			o.gained = NULL;
		ck_assert_int_eq(am_shards_new(io, &o, &made, &err), -AMBIENT_E_INVALID);
		ck_assert_ptr_null(made);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, rule1_written_then_read_then_owned);
	tcase_add_test(tc, rule2_what_another_holds_is_not_owned);
	tcase_add_test(tc, rule2_what_another_holds_is_not_even_claimed);
	tcase_add_test(tc, rule2_of_two_that_claim_the_one_that_is_not_meant_steps_back);
	tcase_add_test(tc, rule2_what_the_list_does_not_show_is_not_owned);
	tcase_add_test(tc, rule3_a_lost_answer_leaves_it_open_until_a_write_succeeds);
	tcase_add_test(tc, rule3_a_refused_write_is_no_claim);
	tcase_add_test(tc, rule3_a_shard_that_comes_back_before_the_release_was_confirmed);
	tcase_add_test(tc, a_list_that_is_none_shows_nobody_gone);
	tcase_add_test(tc, rule4_a_shard_is_given_away_when_its_calls_have_ended);
	tcase_add_test(tc, rule4_calls_that_last_are_told_to_hurry);
	tcase_add_test(tc, rule4_it_stays_when_the_other_one_leaves_again);
	tcase_add_test(tc, one_that_leaves_is_given_nothing);
	tcase_add_test(tc, rule5_a_silent_member_is_removed_after_its_duration_by_what_was_seen);
	tcase_add_test(tc, rule5_times_that_others_wrote_do_not_matter);
	tcase_add_test(tc, rule6_nothing_is_worked_on_after_renew_from_the_sending);
	tcase_add_test(tc, rule5_nobody_removes_the_own_lease);
	tcase_add_test(tc, rule5_who_is_dead_and_cannot_be_removed_comes_first_for_nothing);
	tcase_add_test(tc, rule6_the_groups_lease_does_not_stand_in_for_the_own);
	tcase_add_test(tc, rule6_a_suspended_machine_does_nothing);
	tcase_add_test(tc, rule7_whose_lease_was_removed_starts_anew_without_shards);
	tcase_add_test(tc, rule7_a_lease_of_the_same_name_is_another_one);
	tcase_add_test(tc, rule7_whatever_the_write_is_refused_with);
	tcase_add_test(tc, a_list_that_fails_keeps_no_renewal_back);
	tcase_add_test(tc, without_the_right_to_list_nothing_is_owned);
	tcase_add_test(tc, a_person_who_edits_the_own_lease_does_no_harm);
	tcase_add_test(tc, what_is_not_understood_holds_everything);
	tcase_add_test(tc, leave_gives_away_what_is_idle_and_stop_removes_the_lease);
	tcase_add_test(tc, stop_is_bounded);
	tcase_add_test(tc, a_leader_of_the_same_name_is_waited_for);
	tcase_add_test(tc, the_map_is_the_same_for_ever);
	tcase_add_test(tc, a_member_more_or_less_moves_only_its_own_shards);
	tcase_add_test(tc, claims_are_written_as_they_are_read);
	tcase_add_test(tc, options_are_checked);
}

UNIT_MAIN("shards", cases)
