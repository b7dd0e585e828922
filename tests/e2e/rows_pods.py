# SPDX-License-Identifier: Apache-2.0
"""The rows of the API's table that need Jobs and pods which really run: against the whole standalone platform."""
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import Platform, Status, running, until  # noqa: E402


def container(script, **more):
    return {"name": "c", "image": "ambient-runner:rows", "command": ["sh", "-c", script], **more}


def pod_spec(script, never="Never", volumes=None, grace=None, **more):
    spec = {"restartPolicy": never, "containers": [container(script, **more)]}
    if volumes:
        spec["volumes"] = volumes
    if grace is not None:
        spec["terminationGracePeriodSeconds"] = grace
    return spec


def pod(p, name, script, **more):
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                                       "spec": pod_spec(script, **more)})
    return p.core("pods", name)


def job(p, name, script, pod_more=None, **spec):
    p.request("POST", p.jobs(), {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {
        "template": {"spec": pod_spec(script, **(pod_more or {}))}, **spec}})
    return p.jobs(name)


def pods_of(p, name):
    return p.request("GET", p.core("pods") + "?labelSelector=job-name%3D" + name)["items"]


def conditions(o):
    return {c["type"]: c for c in (o or {}).get("status", {}).get("conditions", []) if c["status"] == "True"}


def until_condition(p, path, kind):
    until(lambda: kind in conditions(p.get(path)), what="%s of %s" % (kind, path))
    return p.get(path)


def until_phase(p, path, phase):
    def there():
        now = p.get(path)["status"].get("phase")
        assert now == phase or now not in ("Succeeded", "Failed"), p.get(path)["status"]
        return now == phase

    until(there, what="%s to be %s" % (path, phase))
    return p.get(path)


def log_of(p, path):
    code, text = p.request("GET", path + "/log", raw=True)
    assert code == 200, text
    return text.decode()


def test_row_160_a_namespace_gets_its_account_and_root_ca(p):
    p.namespace("fresh", managed=False)
    until(lambda: p.get(p.core("serviceaccounts", "default", ns="fresh")), what="the account")
    path = p.core("configmaps", "kube-root-ca.crt", ns="fresh")
    until(lambda: p.get(path), what="the root CA")
    uid = p.get(path)["metadata"]["uid"]
    p.request("DELETE", path)
    until(lambda: p.get(path) and p.get(path)["metadata"]["uid"] != uid, what="the root CA to be made again")
    assert "BEGIN CERTIFICATE" in p.get(path)["data"]["ca.crt"]


def test_row_185_true_completes(p):
    o = until_condition(p, job(p, "r185", "true"), "Complete")
    kinds = [c["type"] for c in o["status"]["conditions"]]
    assert kinds.index("SuccessCriteriaMet") < kinds.index("Complete"), kinds
    assert o["status"]["succeeded"] == 1 and not o["status"].get("active") and not o["status"].get("failed")
    assert o["status"]["completionTime"] >= o["status"]["startTime"]


def test_row_186_and_194_false_fails(p):
    o = until_condition(p, job(p, "r186", "exit 1", backoffLimit=0), "Failed")
    kinds = [c["type"] for c in o["status"]["conditions"]]
    assert kinds.index("FailureTarget") < kinds.index("Failed"), kinds
    assert conditions(o)["Failed"]["reason"] == "BackoffLimitExceeded" and o["status"]["failed"] == 1, o["status"]
    assert "completionTime" not in o["status"]
    (only,) = pods_of(p, "r186")
    end = only["status"]["containerStatuses"][0]["state"]["terminated"]
    assert only["status"]["phase"] == "Failed" and (end["exitCode"], end["reason"]) == (1, "Error"), only["status"]


def test_row_187_on_failure_restarts_in_place(p):
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "r187"},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    p.request("POST", p.core("persistentvolumeclaims"), claim)
    o = until_condition(p, job(p, "r187", "[ -e /w/once ] || { touch /w/once; exit 1; }", {
        "never": "OnFailure", "volumes": [{"name": "w", "persistentVolumeClaim": {"claimName": "r187"}}],
        "volumeMounts": [{"name": "w", "mountPath": "/w"}]}), "Complete")
    assert o["status"]["succeeded"] == 1
    (only,) = pods_of(p, "r187")
    assert only["status"]["containerStatuses"][0]["restartCount"] == 1, only["status"]


def test_first_restart_at_once_then_backoff(p):
    """kubelet's doBackOff: only what ends for the second time waits, 10 s then."""
    path = pod(p, "crash", "echo run; exit 1", never="OnFailure", grace=1)

    def state():
        return p.get(path)["status"].get("containerStatuses", [{}])[0]

    until(lambda: state().get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff", what="the back-off")
    c = state()
    assert c["restartCount"] >= 1 and c["lastState"]["terminated"]["exitCode"] == 1, c
    if c["restartCount"] == 1:
        assert c["state"]["waiting"]["message"] == "back-off 10s restarting failed container=c", c
    assert p.get(path)["status"]["phase"] == "Running"
    p.request("DELETE", path + "?gracePeriodSeconds=0")


def test_row_188_active_deadline(p):
    path = job(p, "r188", "sleep 600", activeDeadlineSeconds=1)
    o = until_condition(p, path, "Failed")
    assert conditions(o)["Failed"]["reason"] == "DeadlineExceeded", o["status"]
    until(lambda: all(x["status"]["phase"] == "Failed" for x in pods_of(p, "r188")), what="its pods to end")


def test_row_189_suspend(p):
    path = job(p, "r189", "true", suspend=True)
    o = until_condition(p, path, "Suspended")
    assert not pods_of(p, "r189") and "startTime" not in o["status"], o["status"]
    p.patch(path, {"spec": {"suspend": False}})
    o = until_condition(p, path, "Complete")
    assert o["status"]["startTime"]


def test_row_190_ttl(p):
    path = job(p, "r190", "true", ttlSecondsAfterFinished=1)
    until(lambda: p.get(path) is None, what="the Job to vanish")
    until(lambda: not pods_of(p, "r190"), what="its pods to vanish")


def test_row_193_delete_in_the_background(p):
    path = job(p, "r193", "exec sleep 600")
    until(lambda: pods_of(p, "r193") and pods_of(p, "r193")[0]["status"].get("phase") == "Running", what="it to run")
    pids = lib.tree_of(p.shims(pods_of(p, "r193")[0]["metadata"]["uid"]), lib.processes())
    assert len(pids) > 1
    p.request("DELETE", path + "?propagationPolicy=Background")
    until(lambda: not pods_of(p, "r193"), what="the pods to go")
    until(lambda: not running(pids), what="its processes to end")


def test_row_196_streams_of_a_log(p):
    """2.21: stream, as ValidatePodLogOptions with PodLogsQuerySplitStreams has it."""
    # Two pipes have no order between them: each line waits until the one before is in the log.
    p.request("POST", p.core("persistentvolumeclaims"), {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "r196"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}})
    path = pod(p, "r196", "w() { while [ ! -e /w/$1 ]; do sleep 0.02; done; }; echo one; w 1; echo two >&2; w 2; echo three",
               volumes=[{"name": "w", "persistentVolumeClaim": {"claimName": "r196"}}],
               volumeMounts=[{"name": "w", "mountPath": "/w"}])
    until_phase(p, path, "Running")
    for number, line in (("1", "one"), ("2", "two")):
        until(lambda: line in log_of(p, path), what=line)
        with open("%s/node/pvc/%s/r196/%s" % (p.state, p.ns, number), "w"):
            pass
    until_phase(p, path, "Succeeded")

    def ask(query):
        code, text = p.request("GET", path + "/log?" + query, raw=True)
        return code, text.decode() if code == 200 else lib.json.loads(text)["message"]

    assert ask("stream=All") == ask("") == (200, "one\ntwo\nthree\n"), ask("")
    assert ask("stream=Stdout") == (200, "one\nthree\n") and ask("stream=Stderr") == (200, "two\n"), ask("stream=Stdout")
    assert ask("stream=All&tailLines=2") == (200, "two\nthree\n"), ask("stream=All&tailLines=2")
    assert ask("stream=Stdout&limitBytes=5&follow=true") == (200, "one\nt"), ask("stream=Stdout&limitBytes=5&follow=true")
    wrong = 'PodLogOptions "r196" is invalid: '
    assert ask("stream=stdout") == (422, wrong + 'stream: Unsupported value: "stdout": supported values: "All", "Stderr", "Stdout"')
    assert ask("stream=Stderr&tailLines=1") == (422, wrong + "[]: Forbidden: `tailLines` and specific `stream` are mutually exclusive "
                                                           "for now"), ask("stream=Stderr&tailLines=1")


def test_row_199_environment(p):
    p.secret("r199", key="from-secret")
    p.request("POST", p.core("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "r199"},
                                             "data": {"A": "1", "B": "2"}})
    path = pod(p, "r199", "echo $S $X_A $X_B $N $0 $1", args=["$(S)", "$$(S)-$(NONE)"], env=[
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "r199", "key": "key"}}},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        envFrom=[{"prefix": "X_", "configMapRef": {"name": "r199"}}])
    until_phase(p, path, "Succeeded")
    assert log_of(p, path) == "from-secret 1 2 r199 from-secret $(S)-$(NONE)\n", log_of(p, path)


def test_row_200_a_secret_that_comes_later(p):
    path = pod(p, "r200", "echo $S", env=[{"name": "S", "valueFrom": {"secretKeyRef": {"name": "r200", "key": "k"}}}])

    def waiting():
        states = p.get(path)["status"].get("containerStatuses") or [{}]
        return states[0].get("state", {}).get("waiting", {}).get("reason") == "CreateContainerConfigError"

    until(waiting, what="CreateContainerConfigError")
    assert p.get(path)["status"]["phase"] == "Pending"
    p.secret("r200", k="late")
    until_phase(p, path, "Succeeded")
    assert log_of(p, path) == "late\n"


def test_row_201_files_of_secrets_and_configmaps(p):
    p.secret("r201", k="v")
    p.request("POST", p.core("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "r201"},
                                             "data": {"a": "1", "b": "2"}})
    path = pod(p, "r201", "stat -L -c '%a %n' /s/k /m/d/x; cat /s/k /m/d/x; ls /m /o", volumes=[
        {"name": "s", "secret": {"secretName": "r201"}},
        {"name": "m", "configMap": {"name": "r201", "items": [{"key": "b", "path": "d/x", "mode": 256}]}},
        {"name": "o", "secret": {"secretName": "none", "optional": True}}],
        volumeMounts=[{"name": n, "mountPath": "/" + n} for n in "smo"])
    until_phase(p, path, "Succeeded")
    assert log_of(p, path) == "644 /s/k\n400 /m/d/x\nv2/m:\nd\n\n/o:\n", log_of(p, path)


def test_row_202_termination_message(p):
    path = pod(p, "r202", "printf 'the end' > /dev/termination-log; exit 3")
    o = until_phase(p, path, "Failed")
    end = o["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (end["message"], end["exitCode"]) == ("the end", 3), end


def test_row_203_delete_with_grace(p):
    path = pod(p, "r203", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done", grace=20)
    until_phase(p, path, "Running")
    until(lambda: "up" in log_of(p, path), what="the trap")
    rv = p.get(path)["metadata"]["resourceVersion"]
    p.request("DELETE", path + "?gracePeriodSeconds=15")
    until(lambda: p.get(path) is None, what="the pod to go")
    conn = p._connect()
    try:
        conn.request("GET", p.core("pods") + "?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dr203&resourceVersion=" + rv)
        events = [lib.json.loads(line) for line in conn.getresponse().read().splitlines()]
    finally:
        conn.close()
    marked = [e["object"]["metadata"] for e in events if e["object"]["metadata"].get("deletionTimestamp")]
    assert marked and marked[0]["deletionGracePeriodSeconds"] == 15, events
    assert events[-1]["type"] == "DELETED", [e["type"] for e in events]
    ends = [e["object"]["status"]["containerStatuses"][0]["state"].get("terminated") for e in events]
    assert ends[-1] and ends[-1]["exitCode"] == 7, ends


def test_row_204_kubectl(p):
    if lib.shutil.which("kubectl") is None:
        return lib.required("kubectl", "kubectl is not installed")
    job(p, "r204", "echo printed")
    for args, text in ((("wait", "--for=condition=complete", "--timeout=60s", "job/r204"), "condition met"),
                       (("logs", "job/r204"), "printed"), (("delete", "job", "r204"), "deleted")):
        done = p.kubectl(*args)
        assert done.returncode == 0 and text in done.stdout, done.stdout
    assert p.get(p.jobs("r204")) is None


def test_exit_codes_and_signals(p):
    """6.10: the exit codes and how they are told."""
    def signalled(name):
        return "sh -c 'kill -%s $$$$'; exit $?" % name  # $$ is the API's way to write $

    cases = {"e0": ("true", 0, "Completed"), "e42": ("exit 42", 42, "Error"), "e137": (signalled("KILL"), 137, "Error"),
             "e143": (signalled("TERM"), 143, "Error"), "e139": (signalled("SEGV"), 139, "Error")}
    for name, (script, _, _) in cases.items():
        pod(p, name, script)
    for name, (_, code, reason) in cases.items():
        until(lambda: p.get(p.core("pods", name))["status"]["phase"] in ("Succeeded", "Failed"), what=name)
        end = p.get(p.core("pods", name))["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (end["exitCode"], end["reason"]) == (code, reason), (name, end)
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "e128"}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "ambient-runner:x", "command": ["/no/such"]}]}})
    o = until_phase(p, p.core("pods", "e128"), "Failed")
    end = o["status"]["containerStatuses"][0]["state"]["terminated"]
    assert end["exitCode"] == 128 and end["reason"] == "StartError" and "/no/such" in end["message"], end


def test_an_image_that_is_not_mapped(p):
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nobody"}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "nobody:1", "command": ["true"]}]}})
    path = p.core("pods", "nobody")

    def waiting():
        states = p.get(path)["status"].get("containerStatuses") or [{}]
        return states[0].get("state", {}).get("waiting", {})

    until(lambda: waiting().get("reason") in ("ErrImagePull", "ImagePullBackOff"), what="ErrImagePull")
    assert '"nobody:1"' in waiting()["message"] and "images" in waiting()["message"], waiting()


def test_a_port_of_the_machine_is_one_pods(p):
    """The scheduler's word on hostPort, until the pod that has it has ended."""
    def create(name, host_ip="", protocol="TCP", **more):
        p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**pod_spec(
            "exec sleep 600", grace=0, ports=[{"containerPort": 80, "hostPort": 18080, "protocol": protocol, "hostIP": host_ip}]), **more}})
        return p.core("pods", name)

    def lacks(path):
        return [c["message"] for c in p.get(path)["status"].get("conditions", [])
                if c["type"] == "PodScheduled" and c["status"] == "False" and c["reason"] == "Unschedulable"]

    first = create("port-1", "127.0.0.1")
    until_phase(p, first, "Running")
    second = create("port-2")
    until(lambda: lacks(second), what="Unschedulable")
    assert lacks(second) == ["0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."], lacks(second)
    assert p.get(second)["status"]["phase"] == "Pending"
    for name, address, protocol in (("port-3", "127.0.0.2", "TCP"), ("port-4", "", "UDP")):
        until_phase(p, create(name, address, protocol), "Running")
    p.kill9()  # what runs has its ports again
    p.restart()
    assert p.get(second)["status"]["phase"] == "Pending" and lacks(second), p.get(second)["status"]
    p.request("DELETE", first)
    until(lambda: p.get(first) is None, what="the first to go")
    p.request("DELETE", p.core("pods", "port-3"))
    until_phase(p, second, "Running")
    for name in ("port-2", "port-4"):
        p.request("DELETE", p.core("pods", name))


def test_a_new_image_starts_the_container_again(p):
    """Whatever the policy, as kubelet: it is ended as asked to, and begins anew with what its image means now."""
    path = pod(p, "changes", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done", grace=20)

    def state():
        return p.get(path)["status"]["containerStatuses"][0]

    def waiting():
        return state()["state"].get("waiting", {}).get("reason")

    def image(name):
        p.request("PATCH", path, {"spec": {"containers": [{"name": "c", "image": name}]}}, "application/strategic-merge-patch+json")

    until(lambda: p.get(path)["status"].get("phase") == "Running" and "up" in log_of(p, path), what="the trap")
    image("ambient-runner:other")
    until(lambda: state()["restartCount"] == 1 and "running" in state()["state"], what="the second instance")
    assert state()["lastState"]["terminated"]["exitCode"] == 3 and state()["image"] == "ambient-runner:other", state()
    until(lambda: "up" in log_of(p, path), what="the trap of the second")
    events = p.core("events") + "?fieldSelector=involvedObject.name%3Dchanges"
    until(lambda: "Container c definition changed, will be restarted" in [e["message"] for e in p.request("GET", events)["items"]],
          what="the event")
    # It is ended before anybody knows whether the new image can be had.
    image("nobody:9")
    until(lambda: waiting() in ("ErrImagePull", "ImagePullBackOff"), what="ErrImagePull")
    assert p.get(path)["status"]["phase"] == "Running" and state()["restartCount"] == 1, p.get(path)["status"]
    p.kill9()
    p.restart()
    image("ambient-runner:rows")
    until(lambda: state()["restartCount"] == 2 and "running" in state()["state"], what="the third instance")
    p.request("DELETE", path + "?gracePeriodSeconds=0")


def test_users(p):
    """6.10: runAsUser and runAsNonRoot."""
    path = pod(p, "as-user", "id -u", securityContext={"runAsUser": 4242, "runAsNonRoot": True})
    until(lambda: p.get(path)["status"].get("phase") in ("Succeeded", "Failed") or
          "CreateContainerConfigError" in lib.json.dumps(p.get(path)["status"]), what="its end")
    status = p.get(path)["status"]
    if status["phase"] == "Succeeded":
        assert log_of(p, path) == "4242\n", log_of(p, path)
    else:
        assert os.geteuid() != 0, status
    path = pod(p, "not-root", "true", securityContext={"runAsUser": 0, "runAsNonRoot": True})
    until(lambda: "CreateContainerConfigError" in lib.json.dumps(p.get(path)["status"]), what="the refusal")


def test_delete_twice_and_at_once(p):
    """6.10: grace 0, double delete, a program that ignores TERM."""
    path = pod(p, "stubborn", "trap '' TERM; echo up; while :; do sleep 0.05; done", grace=30)
    until_phase(p, path, "Running")
    pids = lib.tree_of(p.shims(p.get(path)["metadata"]["uid"]), lib.processes())
    p.request("DELETE", path)
    p.request("DELETE", path)
    assert p.get(path)["metadata"]["deletionTimestamp"]
    p.request("DELETE", path + "?gracePeriodSeconds=1")
    until(lambda: p.get(path) is None, what="the pod to go")
    until(lambda: not running(pids), what="its processes to end")
    path = pod(p, "at-once", "trap '' TERM; exec sleep 600")
    until_phase(p, path, "Running")
    pids = lib.tree_of(p.shims(p.get(path)["metadata"]["uid"]), lib.processes())
    p.request("DELETE", path + "?gracePeriodSeconds=0")
    assert p.get(path) is None
    until(lambda: not running(pids), what="its processes to end")


def test_a_shim_that_is_killed(p):
    """6.10: kill -9 of the shim ends the pod with a sentence, and nothing of it goes on."""
    path = pod(p, "orphan", "exec sleep 600")
    o = until_phase(p, path, "Running")
    (shim,) = p.shims(o["metadata"]["uid"])
    pids = lib.tree_of([shim], lib.processes())
    os.kill(shim, lib.signal.SIGKILL)
    o = until_phase(p, path, "Failed")
    end = o["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (end["exitCode"], end["reason"]) == (137, "ContainerStatusUnknown") and o["status"]["reason"] == "NodeLost", o["status"]
    until(lambda: not running(pids), what="its processes to end")


def test_reboot_with_pids_of_others(p):
    """6.10: the machine was started again; what has the pid of a shim now is left alone."""
    path = pod(p, "rebooted", "exec sleep 600")
    o = until_phase(p, path, "Running")
    (shim,) = p.shims(o["metadata"]["uid"])
    pids = lib.tree_of([shim], lib.processes())
    p.kill9()
    os.kill(shim, lib.signal.SIGKILL)
    until(lambda: not running(pids), what="its processes to end")
    bystander = lib.subprocess.Popen(["sleep", "600"])
    try:
        top = "%s/node/pods/%s" % (p.state, o["metadata"]["uid"])
        changed = 0
        for name in os.listdir(top):
            file = os.path.join(top, name)
            if not os.path.isfile(file):
                continue
            with open(file) as f:
                text = f.read()
            for pid in pids:
                text = re.sub(r'"pid":%d\b' % pid, '"pid":%d' % bystander.pid, text)
            changed += str(bystander.pid) in text
            with open(file, "w") as f:
                f.write(text)
        p.restart()
        o = until_phase(p, path, "Failed")
        p.request("DELETE", path)
        until(lambda: p.get(path) is None, what="the pod to go")
        assert changed and bystander.poll() is None, changed
    finally:
        bystander.kill()
        bystander.wait()


def test_a_database_of_a_newer_release_or_of_others_is_refused(p):
    """ambientd ends with 1 and a sentence, and leaves the file as it is."""
    import sqlite3
    p.stop()
    path = p.state + "/apiserver/state.db"
    for pragma, wrong, right in (("user_version", 99, None), ("application_id", 7, None)):
        db = sqlite3.connect(path)
        right = db.execute("PRAGMA " + pragma).fetchone()[0]
        db.execute("PRAGMA %s = %d" % (pragma, wrong))
        db.commit()
        db.close()
        before = len(p.log())
        p.start(wait=False)
        assert p.daemon.wait(lib.PATIENCE) == 1
        said = p.log()[before:]
        assert "state.db" in said and (("format 99" if pragma == "user_version" else "another program") in said), said
        db = sqlite3.connect(path)
        assert db.execute("PRAGMA " + pragma).fetchone()[0] == wrong
        db.execute("PRAGMA %s = %d" % (pragma, right))
        db.commit()
        db.close()
    p.start()
    assert p.get("/api/v1/namespaces/" + p.ns)


def test_row_210_disk_full(_):
    if os.geteuid() != 0:
        return lib.required("root", "only root can mount a small file system")
    small = Platform("full")
    small.state = os.path.join(small.dir, "small")
    os.mkdir(small.state, 0o700)
    done = lib.subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=0700", "none", small.state], text=True,
                              stdout=lib.subprocess.PIPE, stderr=lib.subprocess.STDOUT, check=False)
    if done.returncode != 0:
        small.close()
        return lib.required("mount", done.stdout.strip())
    try:
        small.start()
        small.namespace()
        def post(name):
            return small.request("POST", small.core("configmaps"), {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * 500000}})

        post("before")
        filler = os.path.join(small.state, "filler")
        with open(filler, "wb", buffering=0) as f:  # what a buffer keeps would fail once more at its close
            try:
                while True:
                    f.write(b"x" * 65536)
            except OSError:
                pass

        failed = None
        for i in range(120):  # what the log of the database has allocated already may take some
            try:
                post("fill-%d" % i)
            except Status as status:
                failed = status
                break
        assert failed is not None and failed.code in (500, 503, 507), failed
        assert "disk" in failed.body["message"] and "full" in failed.body["message"], failed.body
        assert small.get(small.core("configmaps", "before"))["data"]["a"] == "x" * 500000
        os.unlink(filler)
        until(lambda: post_works(small, post), what="writes to work again")
        assert small.get(small.core("configmaps", "after"))
    finally:
        small.stop()
        lib.subprocess.run(["umount", small.state], check=False)
        small.close()


def post_works(p, post):
    try:
        return post("after")
    except Status as status:
        if status.code == 409:
            return True
        assert status.code >= 500, status
        return False


if __name__ == "__main__":
    sys.exit(lib.suite(sys.modules[__name__], Platform, "rows"))
