# SPDX-License-Identifier: Apache-2.0
"""kinds.py KUBECONFIG [MODULE.TEST...]: tests of tests/e2e against a real control plane: its API server, scheduler, Job
controller, volume binder and garbage collector, with our daemon in cluster mode, whose node plugin is the kubelet.  TAP.

What the plane does not have is made here: volumes for claims.  Whoever tests a person's rights is that person by
impersonation."""
import copy
import http.client
import os
import re
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../e2e"), os.path.join(HERE, "../lib")]
import access  # noqa: E402
import again  # noqa: E402
import contain  # noqa: E402
import detect  # noqa: E402
import endpoint  # noqa: E402
import ends  # noqa: E402
import kill9  # noqa: E402
import lib  # noqa: E402
import life  # noqa: E402
import lost  # noqa: E402
import network  # noqa: E402
import projectsettings  # noqa: E402
import promises  # noqa: E402
import remote  # noqa: E402
import rfe  # noqa: E402
import stop  # noqa: E402
import talk  # noqa: E402
from apart import Apart  # noqa: E402
from lib import until  # noqa: E402

TESTS = [
    # behaviour_11_5: stop, also from each phase
    (stop, "test_stop_by_the_spec"), (stop, "test_stop_before_it_runs"), (life, "test_of_spec_and_annotation_the_later_wins"),
    # start from a terminal phase keeps the files; weakness_12_2_a
    (again, "test_behaviour_start_from_each_terminal_phase_keeps_files"), (again, "test_stop_and_start_while_it_stops"),
    (again, "test_restart_of_the_daemon_while_it_starts_again"),
    (again, "test_behaviour_start_after_a_timeout_and_after_a_stop_keeps_files"),
    # the daemon is killed in each phase; weakness_12_1_c
    (kill9, "test_while_creating"), (kill9, "test_while_cloning"), (kill9, "test_while_the_agent_runs"),
    (kill9, "test_the_agent_ends_while_nobody_is_there"), (kill9, "test_while_pushing"), (kill9, "test_while_stopping"),
    (kill9, "test_while_deleting"),
    (again, "test_weakness_12_2_a_a_continuation_works_on_the_files_of_another_session"),
    # deletion cascades; the Job and the pod deleted by somebody; the deadline
    (life, "test_deletion_while_pending_creating_running_stopping_completed"), (life, "test_job_deleted"), (life, "test_pod_deleted"),
    (life, "test_timeout"),
    # what comes late, what is edited; names
    (life, "test_namespace_labelled_later"), (life, "test_secret_comes_later"), (life, "test_an_edit_while_running"),
    (life, "test_what_a_run_needs_to_report_is_made_again"), (life, "test_names_of_63_and_253_characters"),
    # weakness_12_1_j: repositories and workflow of a run
    (life, "test_repositories_and_workflow_of_a_chat_that_runs"),
    (life, "test_an_edit_while_creating"), (life, "test_a_hostile_report_decides_nothing"), (life, "test_two_sessions_on_one_repository"),
    (detect, "test_a_quota_that_is_full_is_said_and_waited_for"), (detect, "test_stop_and_delete_while_the_quota_is_full"),
    (detect, "test_a_quota_of_claims_is_said_and_waited_for"), (detect, "test_limits_that_forbid_the_pod_are_said_and_waited_for"),
    (detect, "test_a_network_policy_is_about_the_pod_and_goes_with_the_session"),
    (detect, "test_a_pod_that_is_evicted"), (detect, "test_weakness_12_1_i_a_heartbeat_is_no_write_of_the_status"),
    (detect, "test_a_missing_secret_is_an_event"), (detect, "test_weakness_12_1_h_a_pod_that_no_node_takes"),
    (detect, "test_behaviour_11_5_shared_secret_weakness_12_2_b"),
    (detect, "test_a_session_is_deleted_when_its_time_after_the_end_is_over"), (detect, "test_values_that_are_no_time_are_refused"),
    (lost, "test_a_node_that_is_lost_and_comes_back"),
    # a runner's token and every verb that is not its own; credentials for git
    (contain, "test_a_sessions_token_opens_two_doors"), (remote, "test_weakness_12_3_d_https_with_a_private_authority"),
    # what is promised of a session
    (promises, "test_behaviour_11_5_empty_status_and_created_once_whatever_is_repeated"),
    (promises, "test_behaviour_11_5_owner_references_weakness_12_2_d"),
    (promises, "test_behaviour_11_5_terminal_phase_is_left_by_start_only_weakness_12_1_k"),
    (promises, "test_what_an_older_platform_had_ended_is_not_run_again"),
    (promises, "test_behaviour_11_5_token_never_logged"), (promises, "test_weakness_12_2_e_nothing_of_a_run_goes_on"),
    (promises, "test_behaviour_11_5_many_at_once_weakness_12_1_l"),
    # what a node says of a pod
    (ends, "test_behaviour_11_5_waiting_reasons"), (ends, "test_behaviour_11_5_pod_lost_and_what_no_patience_helps"),
    (ends, "test_weakness_12_1_g_a_hiccup_of_the_registry_is_no_failure"),
    (ends, "test_behaviour_11_5_exit_codes_weakness_12_1_f_weakness_12_2_f"), (ends, "test_a_node_that_is_not_heard_of_and_comes_back"),
    (ends, "test_behaviour_11_5_stop_from_each_phase_stop_idempotent_weakness_12_1_i"),
    (ends, "test_behaviour_11_5_operator_restart_in_each_phase_weakness_12_1_c"),
    # through pods/proxy to the runner's endpoint
    (endpoint, "test_messages_as_they_come_and_to_the_end"), (endpoint, "test_fifty_readers_from_anywhere_get_the_same"),
    (endpoint, "test_a_reader_that_does_not_follow"), (endpoint, "test_keys"),
    (endpoint, "test_who_may_not_patch_the_session_gets_no_key"),
    (endpoint, "test_weakness_12_3_c_files_are_shown_to_those_with_a_key_and_no_link_is_followed"),
    (endpoint, "test_weakness_12_2_c_what_a_session_left_is_shown_until_it_starts_again"),
    (endpoint, "test_a_session_that_never_ran_has_no_files"),
    (endpoint, "test_the_state_of_a_clone_is_told_and_nothing_in_it_runs"),
    (endpoint, "test_content_that_nobody_asks_for_goes"),
    # ambientctl chat, messages, files and repos
    (talk, "test_a_person_at_a_terminal"), (talk, "test_a_script_talks_reads_and_ends_it"), (talk, "test_what_it_left_is_read_afterwards"),
    # people and runners of other projects
    (access, "test_weakness_12_3_b_a_person_reaches_the_sessions_of_his_own_project"),
    (access, "test_weakness_12_3_b_a_runners_token_opens_its_own_session"),
    (access, "test_what_the_proxy_says_to_a_pod"), (access, "test_weakness_12_3_b_the_runners_endpoint_serves_no_page"), (access, "test_behaviour_11_5_access_review_denied"),
    (access, "test_weakness_12_3_g_our_programs_put_no_token_into_a_url"),
    (access, "test_weakness_12_3_e_the_runners_token_rotates_and_is_in_no_variable"),
    # groupAccess; weakness_12_3_a and _f
    (projectsettings, "test_a_project_has_its_settings_and_gets_them_again"),
    (projectsettings, "test_another_name_is_refused"), (projectsettings, "test_weakness_12_3_a_roles_are_what_the_table_says"),
    (projectsettings, "test_view_looks_edit_creates_and_removal_takes_it_away"),
    (projectsettings, "test_limits_and_quotas_come_change_and_go"), (projectsettings, "test_an_admin_binds_these_roles_and_no_other"),
    (projectsettings, "test_what_is_changed_by_hand_is_put_right"), (projectsettings, "test_entries_that_cannot_be_are_named"),
    (projectsettings, "test_defaults_reach_sessions_and_a_late_secret_is_seen"),
    (projectsettings, "test_finished_sessions_are_counted_and_deleted"), (projectsettings, "test_the_label_goes"),
    (projectsettings, "test_sessions_go_when_they_ended_long_ago"),
    # the council, of programs
    (rfe, "test_the_council_from_end_to_end"), (rfe, "test_a_step_that_fails_and_one_that_takes_too_long"),
    (rfe, "test_a_step_that_waits_says_for_what"), (rfe, "test_pause_resume_and_run_again"), (rfe, "test_cancel_stops_the_agent"),
    (rfe, "test_an_agent_that_comes_later"), (rfe, "test_the_documents_are_committed"),
    (rfe, "test_an_umbrella_repository_is_seeded_before_the_first_step"),
    (rfe, "test_an_older_workflow_waits_for_people_and_pushes_to_its_branch"), (rfe, "test_definitions_refuse_what_they_can"),
    (rfe, "test_workflows_on_one_branch_follow_one_another"), (rfe, "test_the_daemon_is_killed_between_and_in_steps"),
    (rfe, "test_a_workflow_deleted_at_any_moment_leaves_nothing"),
    (rfe, "test_an_output_of_ten_megabytes"), (rfe, "test_seeding_that_cannot_be_done_is_told"),
    (rfe, "test_a_session_that_a_person_made_counts_as_a_step"), (rfe, "test_long_names"),
]
# Of these some disturb all others, by killing the daemon, and some would be disturbed by what others leave for a while.
ALONE = {
    "test_restart_of_the_daemon_while_it_starts_again", "test_the_daemon_is_killed_between_and_in_steps",
    "test_content_that_nobody_asks_for_goes", "test_deletion_while_pending_creating_running_stopping_completed",
    "test_a_workflow_deleted_at_any_moment_leaves_nothing", "test_behaviour_11_5_waiting_reasons",
    "test_behaviour_11_5_operator_restart_in_each_phase_weakness_12_1_c",
    "test_weakness_12_3_e_the_runners_token_rotates_and_is_in_no_variable",
}
KILLERS = (kill9,)
PROXIED = (access, endpoint, talk)


def is_alone(module, name):
    return module in KILLERS or name in ALONE


class Volumes(threading.Thread):
    """Who makes a volume for each claim, and takes it back; and who is the node of tests/e2e/ends.py, as far as it only has to be there."""

    def __init__(self, p):
        super().__init__(daemon=True)
        self.p, self.over, self.made, self.unbound, self.beat_at = p, threading.Event(), 0, {}, 0
        self.held = set() # namespaces whose claims wait

    def run(self):
        while not self.over.wait(0.1):
            try:
                self.look()
            except (OSError, ValueError, lib.Status, lib.http.client.HTTPException):
                pass # again

    def beat(self):
        """The node whose kubelet is a test is well: pods of one that is not heard of are taken for lost."""
        if time.monotonic() > self.beat_at:
            self.beat_at = time.monotonic() + 10
            self.p.patch("/api/v1/nodes/%s/status" % ends.NODE, {"status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastHeartbeatTime": ends.now(),
                 "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})

    def look(self):
        self.beat()
        p, volumes = self.p, "/api/v1/persistentvolumes"
        there = p.request("GET", volumes)["items"]
        made = {v["metadata"]["name"] for v in there}
        for v in there:
            if v.get("status", {}).get("phase") == "Released":
                p.request("DELETE", volumes + "/" + v["metadata"]["name"])
        for claim in p.request("GET", "/api/v1/persistentvolumeclaims")["items"]:
            meta = claim["metadata"]
            # Other tests leave claims that want another class or volume; what was made for such a one is not bound, and made once.
            if claim.get("status", {}).get("phase") != "Pending" or "pv-" + meta["uid"] in made or claim["spec"].get("volumeName") or \
                    claim["spec"].get("storageClassName") or meta["namespace"] in self.held:
                continue
            p.request("POST", volumes, {
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-" + meta["uid"]},
                "spec": {"capacity": {"storage": "100Gi"}, "accessModes": ["ReadWriteOnce"],
                         "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": p.dir + "/unused"},
                         # With the uid, as provisioners do: without it the binder takes the volume for one that a person has put
                         # aside, and looks at the claim again only when its sync period of 15 s is over.
                         "claimRef": {"namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}}})
            self.made += 1
        self.nudge()

    def nudge(self):
        """A claim that is bound while the scheduler has its pod in hands is news that it may miss; without other news it looks at
        the pod again after minutes."""
        for pod in self.p.request("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3D,status.phase%3DPending")["items"]:
            why = next((c.get("message", "") for c in pod["status"].get("conditions", []) if c["type"] == "PodScheduled"), "")
            since = self.unbound.setdefault(pod["metadata"]["uid"], time.monotonic())
            if "unbound immediate" in why and time.monotonic() - since > 2:
                self.unbound[pod["metadata"]["uid"]] = time.monotonic()
                for claim in [v["persistentVolumeClaim"]["claimName"] for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v]:
                    self.p.patch(self.p.core("persistentvolumeclaims", claim, ns=pod["metadata"]["namespace"]),
                                 {"metadata": {"annotations": {"looked-at": "%d" % time.monotonic()}}})


class Real(access.Projects, Apart):
    """The daemon alone; the API server is given."""

    real = True
    # A write has no more time than the lease: with a short one the answer comes too late where this server is slow, the write is done
    # all the same, and its event is never sent.  Who was killed has the same name again, and need not wait for its own lease.
    lease = 'identity = "real";'
    settings, condition, wait_for = (vars(projectsettings.Lab)[n] for n in ("settings", "condition", "wait_for"))
    spec, project, bindings, may = (vars(projectsettings.Lab)[n] for n in ("spec", "project", "bindings", "may"))

    def __init__(self, given):
        self.given = given
        self.proxied = network.is_here()
        super().__init__("real", there=("node", "agenticsession", "projectsettings", "rfeworkflow", "runner-command", "runner-codex"),
                         node='podCIDR = "%s";' % network.PODS if self.proxied else "",
                         agenticsession='keepJob = "10m"; networkPolicy = true;')
        self.mine = threading.local()
        self.binds = (self.dir + "/cli",)
        self.plugins = {"runner-codex": talk.program(self.binds[0])}
        with open(given) as f:
            self.port = int(re.search(r"server: https://127\.0\.0\.1:(\d+)", f.read()).group(1))
        self.volumes, self.audit = Volumes(self), os.path.join(os.path.dirname(given), "audit.log")

    @property
    def kubeconfig(self):
        return self.given

    def _ask(self, method, path, body, headers):
        """By a connection that each thread keeps: this server does not go away, and its handshakes take most of its time."""
        while True:
            used = getattr(self.mine, "conn", None)
            conn = used or self._connect()
            self.mine.conn = None
            try:
                conn.request(method, path, body, headers)
                answer = conn.getresponse()
                text = answer.read()
            except (http.client.HTTPException, ConnectionError):
                conn.close()
                if used is None:
                    raise
                continue # it was closed between two requests
            except BaseException:
                conn.close()
                raise
            if answer.will_close:
                conn.close()
            else:
                self.mine.conn = conn
            return answer, text

    def start(self, without=(), wait=True):
        top = os.path.join(HERE, "../../etc")
        for what in ("crds", "rbac"):
            done = self.run(["kubectl", "--kubeconfig", self.given, "apply", "--server-side", "--force-conflicts", "-f", os.path.join(top, what)])
            assert done.returncode == 0, done.stdout
        for node in self.request("GET", "/api/v1/nodes")["items"]: # of who was here before
            self.request("DELETE", "/api/v1/nodes/" + node["metadata"]["name"])
        # Whose kubelet is a test; the scheduler gives it nothing.
        self.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": ends.NODE},
                                               "spec": {"unschedulable": True}})
        self.forget_copies()
        self.start_operator()
        try:
            until(self.is_ready, what="our node to be Ready")
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, self.log()[-3000:])) from None
        self.volumes.start()
        return self

    def forget_copies(self):
        """Rows install our definitions in groups of their own, after which "ps" and "agenticsessions" are theirs for kubectl."""
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        copies = [crds + "/" + c["metadata"]["name"] for c in self.request("GET", crds)["items"]
                  if c["spec"]["names"]["plural"] in ("agenticsessions", "projectsettings", "rfeworkflows") and
                  c["spec"]["group"] != "vteam.ambient-code"]
        for path in copies:
            self.request("DELETE", path)
        for path in copies:
            until(lambda path=path: self.get(path) is None, what=path + " to go")

    def namespace(self, name="team", managed=True):
        """At the strictest level of the Pod Security Standards, so that the server itself holds each pod of ours to it."""
        super().namespace(name, managed)
        return self.patch("/api/v1/namespaces/" + name, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})

    def is_ready(self):
        return any(c["type"] == "Ready" and c["status"] == "True" for n in self.request("GET", "/api/v1/nodes")["items"]
                   if n["metadata"]["name"] != ends.NODE for c in n["status"].get("conditions", []))

    def restart(self, **options):
        self.start_operator()
        return self

    def kill9(self):
        self.kill_operator()

    def close(self):
        self.volumes.over.set()
        super().close()

    def stop(self):
        if self.operator is None or self.operator.poll() is not None:
            return
        self.operator.terminate()
        try:
            self.operator.wait(lib.PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill_operator()

    def enroll(self, name, kubeconfig):
        """Nobody here signs certificates for people: one is an account of a namespace where nobody may do anything."""
        if self.get("/api/v1/namespaces/people") is None:
            self.namespace("people", managed=False)
        account = self.core("serviceaccounts", name, ns="people")
        self.request("POST", self.core("serviceaccounts", ns="people"), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        token = self.request("POST", account + "/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                                                          "spec": {}})["status"]["token"]
        with open(self.given) as f:
            text = re.sub(r"client-(certificate|key)-data: .*\n", "", f.read(), count=1)
        with open(kubeconfig, "w") as f:
            f.write(re.sub(r"client-key-data: .*", "token: " + token, text))
        return "system:serviceaccount:people:" + name, token

    def person(self, group):
        def kubectl(*args, **options):
            return self.kubectl("--as", "one-of-" + group, "--as-group", group, "--as-group", "system:authenticated", *args, **options)
        return kubectl


class Results:
    """TAP, in the order in which tests end."""

    def __init__(self, count):
        self.lock, self.n, self.bad, self.skipped = threading.Lock(), 0, 0, 0
        print("1..%d" % count, flush=True)

    def run(self, p, module, name):
        began, words, trace = time.monotonic(), "", ""
        try:
            if module in PROXIED and not p.proxied:
                words = lib.required("netns", "a kube-apiserver passes nothing on to loopback addresses: run it below network.py")
            else:
                p.ns = "of-" + module.__name__ # tests make namespaces of simpler names
                if p.get("/api/v1/namespaces/" + p.ns) is None:
                    p.namespace(p.ns)
                if module is access and not is_alone(module, name) and "ours" not in vars(p):
                    p.begin()
                words = getattr(module, name)(p)
        except Exception as e:  # a failing case must not hide the others
            trace = "".join(__import__("traceback").format_exception(e)).rstrip()
        with self.lock:
            self.n, self.bad, self.skipped = self.n + 1, self.bad + bool(trace), self.skipped + bool(words)
            print("%s %d - %s.%s%s" % ("not ok" if trace else "ok", self.n, module.__name__, name, " # SKIP " + words if words else ""))
            if trace:
                print("\n".join("# " + line[:2000] for line in trace.splitlines()[-30:]))
            print("# %.1f s" % (time.monotonic() - began), flush=True)


def run_all(p, tests):
    """Most of what a test does is to wait, so those of the modules run beside each other, in namespaces of their own."""
    results, lanes = Results(len(tests)), {}
    # As in their own suites, one module's names of repositories are none of another's.
    origins = {module: lib.Origins(os.path.join(p.dir, "git-" + module.__name__)) for module in {m for m, _ in tests}}
    for module, name in tests:
        if not is_alone(module, name):
            lanes.setdefault(module, []).append(name)

    def lane(module, names):
        own = copy.copy(p)
        own.origins = origins[module]
        for name in names:
            results.run(own, module, name)

    threads = [threading.Thread(target=lane, args=item) for item in lanes.items()]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for module, name in tests:
        if is_alone(module, name):
            p.origins = origins[module]
            results.run(p, module, name)
    for those in origins.values():
        those.close()
    print("# %d rows: %d failed, %d skipped; %d volumes were made" % (len(tests), results.bad, results.skipped, p.volumes.made))
    return results.bad


def main():
    lib.preconditions()
    only, p = sys.argv[2:], Real(sys.argv[1])
    try:
        p.start()
        return 1 if run_all(p, [(m, n) for m, n in TESTS if not only or "%s.%s" % (m.__name__, n) in only]) else 0
    finally:
        p.close()


if __name__ == "__main__":
    sys.exit(main())
