# SPDX-License-Identifier: Apache-2.0
"""Pods that take what they can get: each ends as its own failure, and what runs beside it does not notice."""
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import rows_pods as rows  # noqa: E402
from lib import Platform, processes, running, until  # noqa: E402

PIDS = 48           # what a pod may have at once
DEADLINE = 600      # seconds that each of them is given, until end_now()
LINE = "0123456789" * 4
EXAMPLES = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../etc/examples"))
LOG_MOST = 60 << 20 # five files of 10 MiB and the one that is written
BULK = int(float(os.environ.get("AMBIENT_BULK", "150e6"))) # bytes; unruly-long has 10 GB
GROWS_MOST = 16 << 20, 64 << 20     # what the shim and the daemon may have more than before


def unruly(p, name, script):
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        **rows.pod_spec(script, grace=1), "activeDeadlineSeconds": DEADLINE}})
    return p.core("pods", name)


def end_now(p, path):
    """Its deadline is over, whatever time was needed to look at it."""
    p.patch(path, {"spec": {"activeDeadlineSeconds": 1}})
    o = rows.until_phase(p, path, "Failed")
    assert o["status"]["reason"] == "DeadlineExceeded", o["status"]
    return o


def shim_of(uid, table):
    return [pid for pid, (_, _, line) in table.items() if "ambient-shim" in line and shim_dir(pid, uid)]


def shim_dir(pid, uid):
    try:
        return uid in os.readlink("/proc/%d/cwd" % pid) or any(
            uid in os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid))
    except OSError:
        return False


def family(o):
    """pid -> start time of the pod's shim and all that comes from it."""
    table = processes()
    todo, found = shim_of(o["metadata"]["uid"], table), {}
    while todo:
        pid = todo.pop()
        found[pid] = table[pid][1]
        todo += [p for p, (above, _, _) in table.items() if above == pid]
    return found


def disk(top):
    total = 0
    for where, _, files in os.walk(top):
        for name in files:
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except OSError:
                pass
    return total


def logs(top):
    return [name for _, _, files in os.walk(top) for name in files if ".log" in name]


def resident(pid):
    with open("/proc/%d/status" % pid) as f:
        return [int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS")][0]


def node_says(p, what):
    (node,) = until(lambda: p.request("GET", "/api/v1/nodes")["items"], what="the node")
    return node["metadata"]["annotations"]["standalone/" + what]


def limits_hold(p):
    return node_says(p, "limits") != "unenforced"


def neighbour(p, name):
    """Something that must go well at the same time."""
    path = rows.pod(p, name, "echo here")
    rows.until_phase(p, path, "Succeeded")
    assert rows.log_of(p, path).strip() == "here"


def test_a_fork_bomb(p):
    if not limits_hold(p):
        return lib.required("cgroups", "this user has no control groups: nothing bounds a fork bomb")
    path = unruly(p, "bomb", "exec perl -e 'while (1) { fork // select undef, undef, undef, 0.02 }'")
    o = rows.until_phase(p, path, "Running")
    most = 0

    def look():
        nonlocal most
        most = max(most, len(family(o)))
        # The shim itself and bubblewrap's process in front are not the pod's.
        assert most <= PIDS + 4, most
        return most > PIDS // 3

    until(look, what="the bomb to go off")
    for i in range(10):
        look()
        neighbour(p, "beside-%d" % i)
    mine = family(o)
    end_now(p, path)
    until(lambda: not running(mine), what="what the bomb left to go")
    return None


def test_output_without_end(p):
    path = unruly(p, "yes", "exec yes " + LINE)
    o = rows.until_phase(p, path, "Running")
    uid = o["metadata"]["uid"]
    top = [where for where, dirs, _ in os.walk(p.state) if os.path.basename(where) == uid][0]
    shim = shim_of(uid, processes())[0]
    before, end = resident(shim), time.monotonic() + lib.PATIENCE
    # A file that was begun anew: the oldest has gone, or goes next.
    while len(logs(top)) < 5:
        assert disk(top) < LOG_MOST and time.monotonic() < end, (disk(top), logs(top))
        time.sleep(0.05)
    for _ in range(20):
        assert disk(top) < LOG_MOST
        time.sleep(0.05)
    assert resident(shim) < before + (16 << 20), (before, resident(shim))
    neighbour(p, "beside-yes")
    tail = p.request("GET", path + "/log?tailLines=3", raw=True)[1].decode().splitlines()
    assert tail == [LINE] * 3, tail
    end_now(p, path)
    p.request("DELETE", path)
    until(lambda: p.get(path) is None and not os.path.exists(top), what="the logs to go")


def test_nobody_listens_to_term(p):
    """The program, its child and one that left the session ignore TERM; the deadline's grace is the last word."""
    script = ("trap '' TERM HUP INT; (while :; do sleep 0.1; done) & setsid sh -c 'trap \"\" TERM; echo $$$$ > /tmp/far; "
              "while :; do sleep 0.1; done' & echo up; while :; do sleep 0.1; done")
    path = unruly(p, "deaf", script)
    o = rows.until_phase(p, path, "Running")
    until(lambda: "up" in rows.log_of(p, path), what="the traps")
    mine = family(o)
    assert len(mine) >= 4, mine
    o = end_now(p, path)
    assert o["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137, o["status"]
    until(lambda: not running(mine), what="all of them to go")


def test_kill_everything(p):
    """A signal to all reaches what is in the container, and nothing else."""
    other = rows.pod(p, "bystander", "echo up; while :; do sleep 0.1; done", grace=1)
    rows.until_phase(p, other, "Running")
    # From a child: the first process of a container does not get signals that it has no handler for.
    path = rows.pod(p, "killer", "sh -c 'kill -KILL -1'; echo alive; exit 3", grace=1)
    o = rows.until_phase(p, path, "Failed")
    assert o["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] in (3, 137), o["status"]
    assert p.daemon.poll() is None and p.get(other)["status"]["phase"] == "Running"
    p.request("DELETE", other + "?gracePeriodSeconds=0")


class Watch:
    """What a pod costs while it writes."""

    def __init__(self, p, path):
        self.p, self.path = p, path
        o = until(lambda: p.get(path)["status"].get("startTime") and p.get(path), what="the pod to be taken")
        uid = o["metadata"]["uid"]
        (self.top,) = until(lambda: [d for d, _, _ in os.walk(p.state) if os.path.basename(d) == uid], what="its place")
        self.pids = until(lambda: shim_of(uid, processes()), what="its shim")[0], p.daemon.pid
        self.before, self.most, self.most_disk, self.begun = [resident(i) for i in self.pids], [0, 0], 0, time.monotonic()
        rows.until_phase(p, path, "Running")
        with open(self.top + "/volumes/go/now", "w"):
            pass

    def look(self):
        for i, pid in enumerate(self.pids):
            try:
                self.most[i] = max(self.most[i], resident(pid))
            except (OSError, IndexError):
                assert i == 0 # the shim has ended
        self.most_disk = max(self.most_disk, disk(self.top))

    def until(self, condition, what, beside=()):
        """Watches until then, and has others run meanwhile."""
        names, last = list(beside), 0
        # An AMBIENT_PATIENCE for each GB: a slow disk takes its time.
        end = time.monotonic() + lib.PATIENCE * (1 + BULK / 1e9)
        while not condition():
            self.look()
            assert time.monotonic() < end, "waited in vain for " + what
            if names and time.monotonic() > last + 0.5:
                neighbour(self.p, names.pop())
                last = time.monotonic()
            time.sleep(0.05)
        self.look()
        for name in names:
            neighbour(self.p, name)
        grown = [most - before for most, before in zip(self.most, self.before)]
        print("# %s: %.1f s, %.0f MB on disk at most, shim %+d KiB, daemon %+d KiB" % (
            what, time.monotonic() - self.begun, self.most_disk / 1e6, *(g >> 10 for g in grown)))
        assert all(g < most for g, most in zip(grown, GROWS_MOST)), grown


def over(p, path):
    return p.get(path)["status"].get("phase") in ("Succeeded", "Failed")


def end_of(p, path):
    return p.get(path)["status"]["containerStatuses"][0]["state"]["terminated"]


def bulk(p, name, script, **more):
    """A pod that writes BULK bytes once it is watched, and has as long as it takes."""
    script = "while [ ! -e /go/now ]; do sleep 0.05; done; " + script % {"bytes": BULK, "line": LINE * 5}
    spec = rows.pod_spec(script, grace=1, **more)
    spec.setdefault("volumes", []).append({"name": "go", "emptyDir": {}})
    spec["containers"][0].setdefault("volumeMounts", []).append({"name": "go", "mountPath": "/go", "readOnly": True})
    p.request("POST", p.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    return p.core("pods", name)


def test_bulk_to_stdout(p):
    """Rotated, and read to the end: the program goes on, and ends well."""
    path = bulk(p, "talker", "yes %(line)s | head -c %(bytes)d; echo; echo over")
    w = Watch(p, path)
    w.until(lambda: over(p, path), "%d bytes of output" % BULK, ["beside-talker-%d" % i for i in range(4)])
    assert p.get(path)["status"]["phase"] == "Succeeded", p.get(path)["status"]
    assert w.most_disk < LOG_MOST, w.most_disk
    tail = p.request("GET", path + "/log?tailLines=1", raw=True)[1].decode()
    assert tail == "over\n", tail
    p.request("DELETE", path)
    until(lambda: not os.path.exists(w.top), what="the logs to go")


def test_bulk_to_a_volume(p):
    """Without a limit it is the pod's own success, and gone with it; with one it is evicted."""
    script = "head -c %(bytes)d /dev/zero > /v/bulk && stat -c %%s /v/bulk"

    def bulk_at_v(name, script, **limit):
        return bulk(p, name, script, volumes=[{"name": "v", "emptyDir": limit}], volumeMounts=[{"name": "v", "mountPath": "/v"}])

    path = bulk_at_v("hoarder", script)
    w = Watch(p, path)
    w.until(lambda: over(p, path), "%d bytes in a volume" % BULK, ["beside-hoarder-%d" % i for i in range(2)])
    assert p.get(path)["status"]["phase"] == "Succeeded" and rows.log_of(p, path).strip() == str(BULK), p.get(path)["status"]
    p.request("DELETE", path)
    until(lambda: not os.path.exists(w.top), what="its volume to go")
    path = bulk_at_v("limited", script + "; while :; do sleep 0.1; done", sizeLimit="64Mi")
    w = Watch(p, path)
    w.until(lambda: over(p, path), "%d bytes in a volume of 64 MiB" % BULK, ["beside-limited"])
    o = p.get(path)["status"]
    assert o["phase"] == "Failed" and o["reason"] == "Evicted" and "EmptyDir volume" in o["message"], o
    p.request("DELETE", path)
    until(lambda: not os.path.exists(w.top), what="its volume to go")


def test_bulk_to_the_root(p):
    """What is no volume is in memory, and counts as the container's own."""
    if not limits_hold(p):
        return lib.required("cgroups", "this user has no control groups: nothing bounds what a container keeps in memory")
    path = bulk(p, "glutton", "exec head -c %(bytes)d /dev/zero > /tmp/bulk", resources={"limits": {"memory": "64Mi"}})
    w = Watch(p, path)
    w.until(lambda: over(p, path), "%d bytes in /tmp with 64 MiB of memory" % BULK, ["beside-glutton"])
    end = end_of(p, path)
    assert (end["exitCode"], end["reason"]) == (137, "OOMKilled"), end
    p.request("DELETE", path)
    return None


def test_no_connections_under_a_profile(p):
    """etc/examples/seccomp.json, by way of the API; what is not there is waited for."""
    if node_says(p, "seccomp") == "none":
        return lib.required("libseccomp", "this build is without libseccomp")
    dial = "perl -MSocket -e 'print socket(S, AF_INET, SOCK_STREAM, 0) ? q(yes) : $!{EACCES} ? q(no) : $!'"

    def under(name, profile):
        return rows.pod(p, name, dial, securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": profile}})

    path = under("offline", "seccomp.json")
    rows.until_phase(p, path, "Succeeded")
    assert rows.log_of(p, path).strip() == "no", rows.log_of(p, path)
    path = under("nowhere", "no/such.json")

    def waiting():
        return p.get(path)["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {})

    until(lambda: waiting().get("reason") == "CreateContainerError", what="the reason")
    assert "no/such.json" in waiting()["message"], waiting()
    p.request("DELETE", path + "?gracePeriodSeconds=0")
    return None


def make():
    p = Platform("unruly", node="podPids = %d; seccompProfiles = \"%s\";" % (PIDS, EXAMPLES))
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
