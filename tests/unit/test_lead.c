/* SPDX-License-Identifier: Apache-2.0 */
/* core/lead against a scripted API server.  Names follow frameworks.md 5.4. */
#include <errno.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/counter.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/lead/lead.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/unit.h"

#define S AM_NS_PER_S
#define COLLECTION "/apis/coordination.k8s.io/v1/namespaces/ns/leases"

static struct am_clock *test_clock;
static struct am_io *io;
static struct am_lead *lead;
static struct am_buf told;
static int stops_done, version;

static void
started(void *arg)
{
	am_buf_adds(&told, "started ");
}

static void
stopped(void *arg)
{
	am_buf_adds(&told, "stopped ");
}

static void
leader(void *arg, const char *identity)
{
	am_buf_addf(&told, "leader=%s ", identity);
}

static void
stop_done(void *arg)
{
	stops_done++;
}

static struct am_lead_options
options(void)
{
	return (struct am_lead_options){ .ns = "ns", .name = "lock", .identity = "me", .started = started, .stopped = stopped,
					 .leader = leader };
}

static void
setup(void)
{
	struct am_lead_options o = options();

	am_log_set_level(0);
	test_clock = am_clock_fake_new();
	io = fake_io_new(test_clock);
	ck_assert_int_eq(am_lead_new(io, &o, &lead, NULL), 0);
}

static void
teardown(void)
{
	am_lead_stop(lead, NULL, NULL);
	while (fake_io_open(io) != 0)
		fake_io_answer(io, 404, "");
	am_lead_free(lead);
	fake_io_free(io);
	am_clock_fake_free(test_clock);
	am_buf_fini(&told);
}

static void
check_told(const char *expected)
{
	ck_assert_str_eq(am_buf_str(&told), expected);
	am_buf_reset(&told);
}

/* The next request is open, and is this one. */
static void
expect(const char *method)
{
	ck_assert_uint_eq(fake_io_open(io), 1);
	ck_assert_str_eq(fake_io_last(io)->method, method);
	ck_assert_str_eq(fake_io_last(io)->path, strcmp(method, "POST") == 0 ? COLLECTION : COLLECTION "/lock");
}

/* Answers a GET with somebody's lease. */
static void
answer_lease(const char *holder, int duration, int transitions)
{
	char *text;

	version++;
	text = am_xasprintf("{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"lock\","
				  "\"namespace\":\"ns\",\"resourceVersion\":\"%d\",\"labels\":{\"theirs\":\"x\"}},\"spec\":{"
				  "\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":%d,\"acquireTime\":\"2020-01-01T00:00:00.000000Z\","
				  "\"renewTime\":\"2020-01-01T00:00:%02d.000000Z\",\"leaseTransitions\":%d,\"future\":[1.50]}}",
				  version, holder, duration, version % 60, transitions);

	fake_io_answer(io, 200, text);
	free(text);
}

/* Answers a write as the API server does: with what was sent. */
static void
accept_write(int status)
{
	char *text = am_xstrdup(fake_io_last(io)->body);

	fake_io_answer(io, status, text);
	free(text);
}

static char *
sent(const char *pointer)
{
	const struct fake_request *r = fake_io_last(io);

	ck_assert_ptr_nonnull(r->body);
	return am_json_dup(am_slice(r->body, r->body_len), pointer);
}

static void
check_sent(const char *pointer, const char *expected)
{
	char *value = sent(pointer);

	ck_assert_str_eq(value != NULL ? value : "-", expected);
	free(value);
}

static int64_t
sent_int(const char *pointer)
{
	const struct fake_request *r = fake_io_last(io);

	return am_json_int(am_slice(r->body, r->body_len), pointer, -1);
}

static void
become_leader(void)
{
	am_lead_start(lead);
	expect("GET");
	fake_io_answer(io, 404, "{}");
	expect("POST");
	accept_write(201);
	check_told("leader=me started ");
}

/* ---- taking it */

START_TEST(LE1_no_object_is_created)
{
	am_lead_start(lead);
	expect("GET");
	ck_assert_int_eq(fake_io_last(io)->timeout_ns, 5 * S);
	fake_io_answer(io, 404, "{\"kind\":\"Status\",\"code\":404}");
	expect("POST");
	check_sent("/metadata/name", "lock");
	check_sent("/metadata/namespace", "ns");
	check_sent("/spec/holderIdentity", "me");
	check_sent("/spec/acquireTime", "2026-01-01T00:00:00.000000Z");
	check_sent("/spec/renewTime", "2026-01-01T00:00:00.000000Z");
	ck_assert_int_eq(sent_int("/spec/leaseDurationSeconds"), 15);
	ck_assert_int_eq(sent_int("/spec/leaseTransitions"), 0);
	ck_assert(!am_lead_leading(lead));
	accept_write(201);
	check_told("leader=me started ");
	ck_assert(am_lead_leading(lead));
	ck_assert(am_lead_valid(lead));
}
END_TEST

START_TEST(LE2_an_object_without_record_is_updated)
{
	am_lead_start(lead);
	fake_io_answer(io, 200, "{\"metadata\":{\"name\":\"lock\",\"resourceVersion\":\"7\"}}");
	expect("PUT");
	check_sent("/metadata/resourceVersion", "7");
	check_sent("/spec/holderIdentity", "me");
	accept_write(200);
	check_told("leader=me started ");
}
END_TEST

START_TEST(LE3_LE6_held_or_never_seen_before_is_not_taken)
{
	am_lead_start(lead);
	answer_lease("other", 15, 3); /* its times are years ago: they do not count */
	ck_assert_uint_eq(fake_io_open(io), 0);
	check_told("leader=other ");
	version = 0; /* the same record each time: a full duration has to pass */
	for (int64_t until = am_clock_boot(test_clock) + 15 * S; am_clock_boot(test_clock) + 5 * S < until;) {
		int64_t step = fake_io_next_timer(io);

		ck_assert_int_ge(step, 2 * S);
		ck_assert_int_le(step, 2 * S + 24 * S / 10);
		expect("GET");
		version = 0;
		answer_lease("other", 15, 3);
		ck_assert_uint_eq(fake_io_open(io), 0);
	}
	check_told("");
}
END_TEST

START_TEST(LE4_01_held_but_not_renewed_for_its_duration_is_taken)
{
	am_lead_start(lead);
	answer_lease("other", 15, 3);
	fake_io_advance(io, 0);
	for (int i = 0; i < 20 && (fake_io_open(io) == 0); i++) {
		(void)fake_io_next_timer(io);
		expect("GET");
		version = 0;
		answer_lease("other", 15, 3);
	}
	expect("PUT");
	ck_assert_int_ge(am_clock_boot(test_clock), 1015 * S);
	check_sent("/spec/holderIdentity", "me");
	ck_assert_int_eq(sent_int("/spec/leaseTransitions"), 4);
	check_sent("/metadata/resourceVersion", "1");
	check_sent("/metadata/labels/theirs", "x"); /* what we do not know stays */
	ck_assert_ptr_nonnull(strstr(fake_io_last(io)->body, "\"future\":[1.50]"));
	accept_write(200);
	check_told("leader=other leader=me started ");
}
END_TEST

START_TEST(LE4_02_the_holders_own_duration_counts)
{
	am_lead_start(lead);
	answer_lease("other", 60, 3);
	while (am_clock_boot(test_clock) < 1055 * S) {
		(void)fake_io_next_timer(io);
		version = 0;
		answer_lease("other", 60, 3);
		if (am_clock_boot(test_clock) < 1060 * S)
			ck_assert_uint_eq(fake_io_open(io), 0);
	}
}
END_TEST

START_TEST(LE4_03_a_renewal_by_the_holder_starts_its_time_anew)
{
	am_lead_start(lead);
	for (int i = 0; i < 30; i++) {
		answer_lease("other", 15, 3); /* another version each time */
		ck_assert_uint_eq(fake_io_open(io), 0);
		(void)fake_io_next_timer(io);
	}
	check_told("leader=other ");
}
END_TEST

START_TEST(LE5_an_empty_holder_is_taken_at_once)
{
	am_lead_start(lead);
	answer_lease("", 1, 5);
	expect("PUT");
	ck_assert_int_eq(sent_int("/spec/leaseTransitions"), 6);
	accept_write(200);
	check_told("leader=me started ");
}
END_TEST

START_TEST(LE7_the_own_record_is_renewed_and_kept)
{
	am_lead_start(lead);
	answer_lease("me", 15, 3); /* from before a restart */
	expect("PUT");
	ck_assert_int_eq(sent_int("/spec/leaseTransitions"), 3);
	check_sent("/spec/acquireTime", "2020-01-01T00:00:00.000000Z");
	check_sent("/spec/renewTime", "2026-01-01T00:00:00.000000Z");
	accept_write(200);
	ck_assert(am_lead_leading(lead));
}
END_TEST

START_TEST(LE8_errors_are_tried_again)
{
	am_lead_start(lead);
	fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
	(void)fake_io_next_timer(io);
	expect("GET");
	fake_io_answer(io, 500, "oops");
	(void)fake_io_next_timer(io);
	fake_io_answer(io, 200, "garbage");
	(void)fake_io_next_timer(io);
	fake_io_answer(io, 404, "");
	expect("POST");
	fake_io_answer(io, 409, "{\"reason\":\"AlreadyExists\"}");
	ck_assert(!am_lead_leading(lead));
	(void)fake_io_next_timer(io);
	answer_lease("", 1, 0);
	expect("PUT");
	fake_io_answer(io, 409, "{\"reason\":\"Conflict\"}");
	ck_assert(!am_lead_leading(lead));
	(void)fake_io_next_timer(io);
	expect("GET");
	answer_lease("", 1, 0);
	fake_io_fail(io, AMBIENT_E_TIMEOUT, 0);
	ck_assert(!am_lead_leading(lead));
	(void)fake_io_next_timer(io);
	expect("GET");
	check_told("");
}
END_TEST

static struct am_buf heard;

static void
hear(void *arg, int level, const char *area, const char *text)
{
	ck_assert_int_eq(level, AMBIENT_LOG_ERROR);
	am_buf_addf(&heard, "%s\n", text);
}

static void
check_refused(const char *rule)
{
	am_auto(am_buf_fini) struct am_buf said = { 0 };

	ck_assert(am_lead_refused(lead, &said) == (rule != NULL));
	ck_assert_str_eq(am_buf_str(&said), rule != NULL ? rule : "");
}

#define FORBIDDEN "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"leases is forbidden\",\"code\":403}"

/* Nobody leads without the right to; what is missing is said once. */
START_TEST(a_refusal_names_the_missing_rule)
{
	am_log_set_level(AMBIENT_LOG_ERROR);
	am_log_capture(hear, NULL);
	am_lead_start(lead);
	for (int i = 0; i < 3; i++) {
		expect("GET");
		fake_io_answer(io, 403, FORBIDDEN);
		ck_assert(!am_lead_valid(lead));
		(void)fake_io_next_timer(io);
	}
	ck_assert_str_eq(am_buf_str(&heard), "leases is forbidden; in namespace \"ns\" the account needs a rule with apiGroups "
			 "[\"coordination.k8s.io\"], resources [\"leases\"], verbs [\"get\"]\n");
	check_refused("the account needs a rule with apiGroups [\"coordination.k8s.io\"], resources [\"leases\"], verbs [\"get\"] in "
		      "namespace \"ns\"");
	fake_io_answer(io, 404, "{}");
	check_refused(NULL);
	expect("POST");
	fake_io_answer(io, 403, FORBIDDEN);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&heard), "verbs [\"create\"]"));
	ck_assert(!am_lead_valid(lead));
	check_told("");
	am_log_capture(NULL, NULL);
	am_buf_fini(&heard);
}
END_TEST

START_TEST(LE9_new_leaders_are_told_once)
{
	char holder[64];

	am_lead_start(lead);
	answer_lease("a", 15, 0);
	(void)fake_io_next_timer(io);
	answer_lease("a", 15, 0);
	(void)fake_io_next_timer(io);
	answer_lease("b", 15, 1);
	check_told("leader=a leader=b ");
	am_lead_holder(lead, holder, sizeof(holder));
	ck_assert_str_eq(holder, "b");
	(void)fake_io_next_timer(io);
	answer_lease("", 1, 1);
	accept_write(200);
	check_told("leader=me started ");
}
END_TEST

/* ---- keeping it */

START_TEST(LE10_no_reads_while_all_is_well)
{
	char *acquired, *first;

	become_leader();
	acquired = am_json_dup(am_slice_of(fake_io_last(io)->body), "/spec/acquireTime");
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(fake_io_next_timer(io), 2 * S);
		expect("PUT");
		first = sent("/spec/acquireTime");
		ck_assert_str_eq(first, acquired);
		free(first);
		ck_assert_int_eq(sent_int("/spec/leaseTransitions"), 0);
		accept_write(200);
		ck_assert(am_lead_valid(lead));
	}
	free(acquired);
	check_told("");
}
END_TEST

START_TEST(LE11_a_conflict_reads_once_and_goes_on)
{
	become_leader();
	(void)fake_io_next_timer(io);
	expect("PUT");
	fake_io_answer(io, 409, "{}");
	expect("GET");
	answer_lease("me", 15, 0); /* somebody put a label on it */
	expect("PUT");
	accept_write(200);
	ck_assert_int_eq(fake_io_next_timer(io), 2 * S);
	expect("PUT");
	accept_write(200);
	check_told("");
	const char *const labels[] = { "name", "lock", NULL };
	ck_assert(am_metric_value(am_metric(AM_COUNTER, "leader_election_slowpath_total", "", labels, NULL)) == 1);
	ck_assert(am_metric_value(am_metric(AM_GAUGE, "leader_election_master_status", "", labels, NULL)) == 1);
}
END_TEST

START_TEST(LE19_01_an_outage_shorter_than_the_renewal_is_survived)
{
	become_leader();
	(void)fake_io_next_timer(io);
	for (int i = 0; i < 4; i++) {
		while (fake_io_open(io) != 0)
			fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
		fake_io_advance(io, 2 * S);
	}
	fake_io_advance(io, 2 * S - 1); /* the last nanosecond */
	ck_assert(am_lead_leading(lead));
	check_told("");
	expect("PUT");
	accept_write(200);
	ck_assert(am_lead_valid(lead));
	fake_io_advance(io, 2 * S);
	expect("PUT");
	accept_write(200);
	check_told("");
}
END_TEST

START_TEST(LE19_02_a_longer_one_is_not_and_it_campaigns_again)
{
	int64_t lost_at;

	become_leader();
	(void)fake_io_next_timer(io); /* at 2 s the renewal begins; nobody answers any more */
	expect("PUT");
	fake_io_advance(io, 10 * S - 1);
	ck_assert(am_lead_leading(lead));
	fake_io_advance(io, 1);
	check_told("stopped ");
	ck_assert(!am_lead_leading(lead));
	ck_assert(!am_lead_valid(lead));
	ck_assert_uint_eq(fake_io_open(io), 0);
	ck_assert(fake_io_last(io)->cancelled);
	lost_at = am_clock_boot(test_clock);
	(void)fake_io_next_timer(io);
	ck_assert_int_ge(am_clock_boot(test_clock), lost_at + 2 * S);
	ck_assert_uint_eq(fake_io_open(io), 1);
	while (strcmp(fake_io_last(io)->method, "GET") != 0)
		fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
	answer_lease("other", 15, 1);
	check_told("leader=other ");
	(void)fake_io_next_timer(io);
	answer_lease("", 1, 1);
	accept_write(200);
	check_told("leader=me started ");
}
END_TEST

START_TEST(another_holder_ends_it_at_once)
{
	become_leader();
	(void)fake_io_next_timer(io);
	fake_io_answer(io, 409, "{}");
	expect("GET");
	answer_lease("thief", 15, 1);
	check_told("leader=thief stopped ");
	ck_assert(!am_lead_valid(lead));
	ck_assert_uint_eq(fake_io_open(io), 0);
}
END_TEST

START_TEST(the_lease_counts_from_before_the_request)
{
	become_leader();
	(void)fake_io_next_timer(io);
	expect("PUT");
	int64_t sent_at = am_clock_boot(test_clock);
	fake_io_advance(io, 3 * S); /* a slow answer */
	accept_write(200);
	ck_assert_int_eq(am_lead_valid_until(lead), sent_at + 10 * S);
	am_clock_fake_advance(test_clock, 10 * S - 3 * S - 1);
	ck_assert(am_lead_valid(lead));
	am_clock_fake_advance(test_clock, 1);
	ck_assert(!am_lead_valid(lead));
	ck_assert(am_lead_leading(lead));
}
END_TEST

START_TEST(LE18_health)
{
	ck_assert(am_lead_healthy(lead, 20 * S));
	become_leader();
	ck_assert(am_lead_healthy(lead, 20 * S));
	am_clock_fake_advance(test_clock, 35 * S);
	ck_assert(am_lead_healthy(lead, 20 * S));
	am_clock_fake_advance(test_clock, 1);
	ck_assert(!am_lead_healthy(lead, 20 * S));
}
END_TEST

START_TEST(LE23_01_a_suspended_machine_writes_nothing)
{
	become_leader();
	am_clock_fake_advance(test_clock, 60 * S); /* nothing ran meanwhile */
	ck_assert(!am_lead_valid(lead));
	size_t before = fake_io_count(io);
	fake_io_advance(io, 0);
	check_told("stopped ");
	ck_assert_uint_eq(fake_io_count(io), before);
	(void)fake_io_next_timer(io);
	expect("GET");
}
END_TEST

START_TEST(LE23_02_a_suspend_during_a_renewal)
{
	become_leader();
	(void)fake_io_next_timer(io);
	expect("PUT");
	am_clock_fake_advance(test_clock, 60 * S);
	fake_io_advance(io, 0);
	check_told("stopped ");
	ck_assert_uint_eq(fake_io_open(io), 0);
}
END_TEST

START_TEST(LE23_03_the_wall_clock_does_not_matter)
{
	become_leader();
	for (int i = 0; i < 10; i++) {
		am_clock_fake_set_wall(test_clock, am_clock_wall(test_clock) + (i % 2 != 0 ? -3600 : 3600) * S);
		ck_assert_int_eq(fake_io_next_timer(io), 2 * S);
		expect("PUT");
		accept_write(200);
		ck_assert(am_lead_valid(lead));
	}
	check_told("");
}
END_TEST

/* ---- giving it back */

static void
stop(void)
{
	stops_done = 0;
	am_lead_stop(lead, stop_done, NULL);
}

START_TEST(LE12_release_empties_the_record)
{
	become_leader();
	stop();
	check_told("stopped ");
	ck_assert(!am_lead_valid(lead));
	expect("GET");
	answer_lease("me", 15, 7);
	expect("PUT");
	check_sent("/spec/holderIdentity", "");
	ck_assert_int_eq(sent_int("/spec/leaseDurationSeconds"), 1);
	ck_assert_int_eq(sent_int("/spec/leaseTransitions"), 7);
	check_sent("/spec/acquireTime", "2026-01-01T00:00:00.000000Z");
	check_sent("/spec/renewTime", "2026-01-01T00:00:00.000000Z");
	ck_assert_int_eq(stops_done, 0);
	accept_write(200);
	ck_assert_int_eq(stops_done, 1);
	ck_assert_uint_eq(fake_io_timers(io), 0);
	check_told("");
}
END_TEST

START_TEST(LE13_nothing_is_written_when_it_is_gone_or_not_ours)
{
	become_leader();
	stop();
	fake_io_answer(io, 404, "{}");
	ck_assert_int_eq(stops_done, 1);
	ck_assert_uint_eq(fake_io_open(io), 0);
	am_buf_reset(&told);
	am_lead_start(lead); /* and may be started again */
	expect("PUT");
	fake_io_answer(io, 409, "{}");
	answer_lease("", 1, 1);
	accept_write(200);
	stop();
	answer_lease("other", 15, 2);
	ck_assert_int_eq(stops_done, 1);
	ck_assert_uint_eq(fake_io_open(io), 0);
}
END_TEST

START_TEST(LE14_a_conflict_is_repeated_until_the_renewal_deadline)
{
	int64_t began;

	become_leader();
	stop();
	began = am_clock_boot(test_clock);
	answer_lease("me", 15, 1);
	fake_io_answer(io, 409, "{}");
	(void)fake_io_next_timer(io);
	expect("GET");
	answer_lease("me", 15, 1);
	expect("PUT");
	fake_io_answer(io, 409, "{}");
	while (stops_done == 0) {
		(void)fake_io_next_timer(io);
		if (fake_io_open(io) != 0)
			fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
	}
	ck_assert_int_eq(am_clock_boot(test_clock), began + 10 * S);
	ck_assert_uint_eq(fake_io_timers(io), 0);
}
END_TEST

START_TEST(LE15_stop_during_an_update_or_a_get_still_releases)
{
	become_leader();
	(void)fake_io_next_timer(io);
	expect("PUT");
	stop();
	ck_assert_uint_eq(fake_io_open(io), 1);
	expect("GET");
	answer_lease("me", 15, 0);
	accept_write(200);
	ck_assert_int_eq(stops_done, 1);
	am_buf_reset(&told);
	am_lead_start(lead);
	fake_io_answer(io, 409, "{}");
	expect("GET");
	answer_lease("", 1, 0);
	expect("PUT"); /* not leader yet, but the write may arrive */
	stop();
	expect("GET");
	answer_lease("me", 15, 1);
	expect("PUT");
	accept_write(200);
	ck_assert_int_eq(stops_done, 1);
}
END_TEST

START_TEST(LE16_stopped_is_told_even_when_it_never_led)
{
	am_lead_start(lead);
	answer_lease("other", 15, 0);
	check_told("leader=other ");
	stop();
	check_told("stopped ");
	ck_assert_int_eq(stops_done, 1);
	ck_assert_uint_eq(fake_io_open(io), 0); /* there was nothing to give back */
	stop();
	check_told("");
	ck_assert_int_eq(stops_done, 1);
}
END_TEST

START_TEST(keep_on_stop_releases_nothing)
{
	struct am_lead_options o = options();

	am_lead_free(lead);
	o.keep_on_stop = true;
	ck_assert_int_eq(am_lead_new(io, &o, &lead, NULL), 0);
	become_leader();
	stop();
	check_told("stopped ");
	ck_assert_int_eq(stops_done, 1);
}
END_TEST

START_TEST(LE17_options_are_checked)
{
	static const struct { int64_t lease, renew, retry; bool good; } rows[] = {
		{ 15 * S, 10 * S, 2 * S, true }, { 0, 0, 0, true }, { 10 * S, 10 * S, 2 * S, false }, { 9 * S, 10 * S, 2 * S, false },
		{ 15 * S, 2 * S, 2 * S, false }, { 15 * S, 12 * S, 10 * S, false }, { -S, 10 * S, 2 * S, false },
		{ 15 * S, -S, 2 * S, false }, { 15 * S, 10 * S, -S, false }, { S / 2, S / 4, S / 10, false },
	};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_lead_options o;
	struct am_lead *l;

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		o = options();
		o.lease_ns = rows[i].lease;
		o.renew_ns = rows[i].renew;
		o.retry_ns = rows[i].retry;
		ck_assert_int_eq(am_lead_new(io, &o, &l, &err), rows[i].good ? 0 : -AMBIENT_E_INVALID);
		am_lead_free(l);
	}
	for (int i = 0; i < 5; i++) {
		o = options();
		*(i == 0 ? &o.ns : i == 1 ? &o.name : &o.identity) = i < 3 ? "" : "x";
		if (i == 3)
			o.started = NULL;
		if (i == 4)
			o.stopped = NULL;
		ck_assert_int_eq(am_lead_new(io, &o, &l, &err), -AMBIENT_E_INVALID);
		ck_assert_ptr_null(l);
	}
}
END_TEST

START_TEST(LE21_labels_are_merged)
{
	static const char *const labels[] = { "ours", "1", NULL };
	struct am_lead_options o = options();

	am_lead_free(lead);
	o.labels = labels;
	ck_assert_int_eq(am_lead_new(io, &o, &lead, NULL), 0);
	am_lead_start(lead);
	answer_lease("", 1, 0);
	check_sent("/metadata/labels/ours", "1");
	check_sent("/metadata/labels/theirs", "x");
	accept_write(200);
}
END_TEST

/* ---- one lease for a group */

static void
become_member(void)
{
	struct am_lead_options o = options();

	am_lead_free(lead);
	o.shared = o.keep_on_stop = true;
	ck_assert_int_eq(am_lead_new(io, &o, &lead, NULL), 0);
	am_lead_start(lead);
	answer_lease("me", 15, 3); /* another member made it */
	expect("PUT");
	ck_assert_int_eq(sent_int("/spec/leaseTransitions"), 3);
	accept_write(200);
	check_told("leader=me started ");
}

START_TEST(shared_what_another_member_has_renewed_is_renewed)
{
	become_member();
	for (int i = 0; i < 4; i++) {
		int64_t known = am_clock_boot(test_clock);

		ck_assert_int_eq(fake_io_next_timer(io), 2 * S);
		expect("GET");
		answer_lease("me", 15, 4 + i); /* not as we left it */
		ck_assert_uint_eq(fake_io_open(io), 0);
		ck_assert_int_eq(am_lead_valid_until(lead), known + 10 * S); /* it was written after that */
	}
	check_told("");
}
END_TEST

START_TEST(shared_two_that_write_at_once_are_one_renewal)
{
	become_member();
	(void)fake_io_next_timer(io);
	int64_t asked = am_clock_boot(test_clock);
	expect("GET");
	fake_io_answer(io, 200, "{}"); /* whatever; it is to be written */
	expect("PUT");
	fake_io_answer(io, 409, "{}");
	expect("GET");
	answer_lease("me", 15, 9);
	ck_assert_uint_eq(fake_io_open(io), 0);
	ck_assert_int_eq(am_lead_valid_until(lead), asked + 10 * S);
	check_told("leader=me "); /* of the empty one in between */
}
END_TEST

/* What it reads is its own last renewal, and no other member's. */
START_TEST(shared_alone_it_renews_by_writing)
{
	become_member();
	for (int i = 0; i < 3; i++) {
		am_auto(am_freep) char *ours = am_xstrdup(fake_io_last(io)->body);

		(void)fake_io_next_timer(io);
		expect("GET");
		fake_io_answer(io, 200, ours);
		expect("PUT");
		accept_write(200);
	}
}
END_TEST

START_TEST(shared_another_holder_ends_it)
{
	become_member();
	(void)fake_io_next_timer(io);
	answer_lease("a leader", 15, 4);
	check_told("leader=a leader stopped ");
	ck_assert(!am_lead_valid(lead));
}
END_TEST

START_TEST(a_candidate_that_is_poked_tries_at_once)
{
	am_lead_start(lead);
	answer_lease("other", 15, 0);
	am_lead_poke(lead);
	expect("GET");
	am_lead_poke(lead); /* one request at a time */
	ck_assert_uint_eq(fake_io_open(io), 1);
	answer_lease("", 1, 0);
	accept_write(200);
	check_told("leader=other leader=me started ");
	am_lead_poke(lead); /* a leader has nothing to try */
	ck_assert_uint_eq(fake_io_open(io), 0);
	ck_assert_uint_eq(fake_io_timers(io), 1);
}
END_TEST

START_TEST(hostile_leases_do_no_harm)
{
	static const char *const rows[] = {
		"{\"spec\":{\"holderIdentity\":7,\"leaseDurationSeconds\":\"x\",\"leaseTransitions\":9223372036854775807}}",
		"{\"spec\":{\"holderIdentity\":\"other\",\"leaseDurationSeconds\":-9223372036854775808}}",
		"{\"spec\":[],\"metadata\":7}",
		"{\"spec\":null,\"metadata\":{\"labels\":7}}",
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_lead_start(lead);
		while (strcmp(fake_io_last(io)->method, "GET") != 0)
			fake_io_answer(io, 409, "");
		fake_io_answer(io, 200, rows[i]);
		expect("PUT");
		check_sent("/spec/holderIdentity", "me");
		check_sent("/metadata/name", "lock");
		accept_write(200);
		ck_assert(am_lead_leading(lead));
		stop();
		fake_io_answer(io, 404, "");
		ck_assert_int_eq(stops_done, 1);
	}
	am_lead_start(lead);
	while (strcmp(fake_io_last(io)->method, "GET") != 0)
		fake_io_answer(io, 409, "");
	fake_io_answer(io, 200, "{\"spec\":{\"holderIdentity\":\"other\",\"leaseDurationSeconds\":9223372036854775807}}");
	ck_assert_uint_eq(fake_io_open(io), 0);
	fake_io_advance(io, 0);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, LE1_no_object_is_created);
	tcase_add_test(tc, LE2_an_object_without_record_is_updated);
	tcase_add_test(tc, LE3_LE6_held_or_never_seen_before_is_not_taken);
	tcase_add_test(tc, LE4_01_held_but_not_renewed_for_its_duration_is_taken);
	tcase_add_test(tc, LE4_02_the_holders_own_duration_counts);
	tcase_add_test(tc, LE4_03_a_renewal_by_the_holder_starts_its_time_anew);
	tcase_add_test(tc, LE5_an_empty_holder_is_taken_at_once);
	tcase_add_test(tc, LE7_the_own_record_is_renewed_and_kept);
	tcase_add_test(tc, LE8_errors_are_tried_again);
	tcase_add_test(tc, a_refusal_names_the_missing_rule);
	tcase_add_test(tc, LE9_new_leaders_are_told_once);
	tcase_add_test(tc, LE10_no_reads_while_all_is_well);
	tcase_add_test(tc, LE11_a_conflict_reads_once_and_goes_on);
	tcase_add_test(tc, LE12_release_empties_the_record);
	tcase_add_test(tc, LE13_nothing_is_written_when_it_is_gone_or_not_ours);
	tcase_add_test(tc, LE14_a_conflict_is_repeated_until_the_renewal_deadline);
	tcase_add_test(tc, LE15_stop_during_an_update_or_a_get_still_releases);
	tcase_add_test(tc, LE16_stopped_is_told_even_when_it_never_led);
	tcase_add_test(tc, LE17_options_are_checked);
	tcase_add_test(tc, LE18_health);
	tcase_add_test(tc, LE19_01_an_outage_shorter_than_the_renewal_is_survived);
	tcase_add_test(tc, LE19_02_a_longer_one_is_not_and_it_campaigns_again);
	tcase_add_test(tc, LE21_labels_are_merged);
	tcase_add_test(tc, LE23_01_a_suspended_machine_writes_nothing);
	tcase_add_test(tc, LE23_02_a_suspend_during_a_renewal);
	tcase_add_test(tc, LE23_03_the_wall_clock_does_not_matter);
	tcase_add_test(tc, another_holder_ends_it_at_once);
	tcase_add_test(tc, shared_what_another_member_has_renewed_is_renewed);
	tcase_add_test(tc, shared_two_that_write_at_once_are_one_renewal);
	tcase_add_test(tc, shared_alone_it_renews_by_writing);
	tcase_add_test(tc, shared_another_holder_ends_it);
	tcase_add_test(tc, a_candidate_that_is_poked_tries_at_once);
	tcase_add_test(tc, hostile_leases_do_no_harm);
	tcase_add_test(tc, keep_on_stop_releases_nothing);
	tcase_add_test(tc, the_lease_counts_from_before_the_request);
}

UNIT_MAIN("lead", cases)
