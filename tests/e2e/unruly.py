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
LOG_MOST = 60 << 20 # five files of 10 MiB and the one that is written


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


def limits_hold(p):
    until(lambda: p.request("GET", "/api/v1/nodes")["items"], what="the node")
    return p.request("GET", "/api/v1/nodes")["items"][0]["metadata"]["annotations"]["standalone/limits"] != "unenforced"


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


def make():
    p = Platform("unruly", node="podPids = %d;" % PIDS)
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
