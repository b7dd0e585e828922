# SPDX-License-Identifier: Apache-2.0
"""Many sessions in many namespaces, most of which have ended, before a daemon that starts: no thread for each, memory in
proportion, no write for those that have ended, and at rest no work at all.

AMBIENT_SESSIONS is how many (500, in a namespace for each twenty; scale-long: 10,000).  Every tenth runs: its pod is the test's
own doing, there is no node."""
import http.client
import json
import os
import re
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from apart import Apart  # noqa: E402
from lib import GROUP, until  # noqa: E402

MANY = int(os.environ.get("AMBIENT_SESSIONS", "500"))
SPACES = max(MANY // 20, 2)
UP = {"phase": "Running", "containerStatuses": [
    {"name": n, "image": "i", "imageID": "", "ready": True, "started": True, "restartCount": 0,
     "state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}}} for n in ("runner", "agent")]}


class Client:
    """One connection that is kept."""

    def __init__(self, p):
        self.conn = p._connect()

    def __call__(self, method, path, body=None, content="application/json"):
        self.conn.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": content})
        answer = self.conn.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise lib.Status(answer.status, json.loads(text))
        return json.loads(text)


def spread(p, n, work, threads=4):
    """work(client, i) for each i below n."""
    trouble = []

    def run(first):
        try:
            client = Client(p)
            for i in range(first, n, threads):
                work(client, i)
        except (OSError, http.client.HTTPException, lib.Status) as e:
            trouble.append(e)

    workers = [threading.Thread(target=run, args=(k,)) for k in range(threads)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not trouble, trouble[0]


def space(i):
    return "ns-%d" % (i % SPACES)


def lives(i):
    """Every tenth, in all namespaces."""
    return i // SPACES % 10 == 0


def fill(p):
    """A session that has ended is one of another daemon's doing: this one's status, which it wrote itself, for all others."""
    def namespace(client, i):
        client("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": "ns-%d" % i, "labels": {"ambient-code.io/managed": "true"}}})

    def session(client, i):
        made = client("POST", GROUP % space(i), {
            "apiVersion": "vteam.ambient-code/v1alpha1", "kind": "AgenticSession", "metadata": {"name": "s-%d" % i},
            "spec": {"prompt": "do it", "runnerType": "command", "runnerConfig": {"command": ["true"]}, "timeout": 86400}})
        if not lives(i):
            client("PUT", GROUP % space(i) + "/s-%d/status" % i, {**made, "status": p.ended})

    spread(p, SPACES, namespace)
    spread(p, MANY, session)


def run_pods(p):
    """What a node would say of the pods that wait for one."""
    pods = [i["metadata"] for i in p.request("GET", "/api/v1/pods?limit=100000")["items"] if i["status"].get("phase") == "Pending"]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    up = json.loads(json.dumps(UP).replace("2026-01-01T00:00:05Z", now))
    spread(p, len(pods), lambda client, i: client(
        "PATCH", "/api/v1/namespaces/%s/pods/%s/status" % (pods[i]["namespace"], pods[i]["name"]), {"status": up},
        "application/merge-patch+json"))
    return len(pods)


def metrics(p):
    text = p.page("/metrics")[1]

    def total(name, **labels):
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
                   if line.startswith(name + "{") and all('%s="%s"' % x in line for x in labels.items()))

    return {"reconciles": total("controller_runtime_reconcile_total", controller="agenticsession"),
            "errors": total("controller_runtime_reconcile_total", controller="agenticsession", result="error"),
            "writes": sum(total("rest_client_requests_total", method=m) for m in ("POST", "PATCH", "DELETE")),
            "requests": total("rest_client_requests_total")}


def memory(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_Dirty"))


def threads(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def rest(p, why, least=1):
    """Until so many were reconciled, and nothing for a while."""
    last = []

    def still():
        lib.pause(0.3)
        last.append(metrics(p)["reconciles"])
        return len(last) > 3 and last[-1] == last[-4] and last[-1] >= least

    until(still, lib.PATIENCE * (1 + MANY / 1000), why)


def test_weakness_12_1_l_no_thread_and_no_memory_of_its_own_for_a_session(p):
    one = p.session("first", "true")
    until(lambda: p.request("GET", p.core("pods"))["items"], what="its pod")
    pod = p.request("GET", p.core("pods"))["items"][0]["metadata"]["name"]
    p.patch(p.core("pods", pod) + "/status", {"status": json.loads(json.dumps(UP).replace('"running"', '"terminated"').replace(
        '"startedAt"', '"exitCode": 0, "startedAt"'))})
    one.wait("Completed")
    rest(p, "rest with one session")
    p.ended, few, small = one.status, threads(p.operator.pid), memory(p.operator.pid)
    assert p.stop_operator() == 0
    began = time.monotonic()
    fill(p)
    print("# %d sessions in %d namespaces made in %.0f s" % (MANY, SPACES, time.monotonic() - began))

    began = time.monotonic()
    p.start_operator()
    living = sum(map(lives, range(MANY)))

    def all_run():
        run_pods(p)
        items = p.request("GET", "/apis/vteam.ambient-code/v1alpha1/agenticsessions?limit=100000")["items"]
        return sum(i.get("status", {}).get("phase") == "Running" for i in items) == living

    until(all_run, lib.PATIENCE * (1 + MANY / 1000), "%d sessions to run" % living)
    rest(p, "rest with many sessions", MANY)
    seen, size = metrics(p), memory(p.operator.pid)
    print("# reconciled, %d of them to Running, after %.1f s; %d threads, %.1f MB private dirty, %.1f KB a session" % (
        living, time.monotonic() - began, threads(p.operator.pid), size / 1024, (size - small) / MANY))
    assert threads(p.operator.pid) <= few, (threads(p.operator.pid), few)
    assert seen["errors"] < MANY / 10, seen
    # A run costs its objects and some looks; who has ended costs a look, and no write.
    assert seen["writes"] < living * 20 + 100, seen
    if os.environ.get("AMBIENT_SLOW"):
        print("# not held to its memory: a sanitizer keeps what was freed")
    else:
        assert (size - small) / MANY < 16, (size, small)


def switches(pid):
    n = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            n += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))
    return n


def test_weakness_12_1_l_at_rest_there_is_no_polling(p):
    """Nothing is looked at, and what is sent is the lease."""
    def quiet():
        before, woken = metrics(p), switches(p.operator.pid)
        lib.pause(2)
        woken, after = switches(p.operator.pid) - woken, metrics(p)
        quiet.said = "%d reconciles, %d requests, %d wakeups" % (
            after["reconciles"] - before["reconciles"], after["requests"] - before["requests"], woken)
        return after["reconciles"] == before["reconciles"] and after["requests"] - before["requests"] < 10 and woken < 300

    try:
        until(quiet, what="the daemon to rest")
    finally:
        print("# in two seconds: " + quiet.said)


def test_one_change_is_one_look(p):
    before = metrics(p)
    name = next(i for i in range(MANY) if not lives(i))
    p.patch(GROUP % space(name) + "/s-%d" % name, {"metadata": {"annotations": {"note": "hello"}}})
    until(lambda: metrics(p)["reconciles"] > before["reconciles"], what="a look")
    lib.pause(0.2)
    after = metrics(p)
    assert after["reconciles"] - before["reconciles"] <= 2 and after["writes"] - before["writes"] <= 2, (before, after)


class Lab(Apart):
    """Jobs get their pods where the API server is; the daemon beside it has the sessions alone."""

    def __init__(self):
        super().__init__("scale", there=("agenticsession", "runner-command"),
                         without=("node", "rfeworkflow", "projectsettings", "runner-claude-code"))
        self.ended = None
        self.start()
        self.namespace()

    def stop_operator(self):
        self.operator.terminate()
        return self.operator.wait(lib.PATIENCE)


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], Lab))
