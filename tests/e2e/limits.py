# SPDX-License-Identifier: Apache-2.0
"""How many sessions run at once.  The load is AMBIENT_SESSIONS (24; limits-long: 1,000) through AMBIENT_SESSIONS / 20 places,
and what it costs is measured: time, memory of the daemon, processor time of the daemon and of each pod."""
import ctypes
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GATED_BARE, GROUP, Platform, until  # noqa: E402

MANY = int(os.environ.get("AMBIENT_SESSIONS", "24"))
PLACES = max(MANY // 20, 3)


def dirty(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_Dirty"))


def ticks(pid):
    """Seconds of processor time of a process and of the children that it has waited for."""
    with open("/proc/%d/stat" % pid) as f:
        return sum(map(int, f.read().rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")


class Shims(threading.Thread):
    """Takes the shims, which are orphans, as children, and reads at the end of each what it and all of its pod took."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seconds, self.over = [], threading.Event()
        self.works = ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0 # PR_SET_CHILD_SUBREAPER

    def run(self):
        while self.works and not self.over.wait(0.01):
            self.reap()

    def reap(self):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            with open("/proc/%d/comm" % ended.si_pid) as f:
                if not f.read().startswith("ambient-shim"):
                    return # somebody else waits for it
            used = os.wait4(ended.si_pid, 0)[2]
            self.seconds.append(used.ru_utime + used.ru_stime)

    def end(self):
        self.over.set()
        self.join()
        if self.works:
            ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
        return sorted(self.seconds)


def test_many_sessions_at_once(p):
    shims = Shims()
    shims.start()
    before = ticks(p.daemon.pid)
    began, most, peak = time.monotonic(), 0, 0
    threads = [threading.Thread(target=lambda k=k: [p.session("many-%04d" % i, "true") for i in range(k, MANY, 4)]) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    def all_ended():
        nonlocal most, peak
        status = [s.get("status", {}) for s in p.request("GET", GROUP % p.ns)["items"]]
        most = max(most, sum(s.get("admission") == "Admitted" for s in status))
        peak = max(peak, dirty(p.daemon.pid))
        bad = [s for s in status if s.get("phase") in ("Failed", "Timeout", "Stopped")]
        assert not bad, bad[0]
        return len(status) == MANY and all(s.get("phase") == "Completed" for s in status)

    until(all_ended, lib.PATIENCE * (1 + MANY / 100), "%d sessions to complete" % MANY)
    assert 1 <= most <= PLACES, (most, PLACES)
    took = time.monotonic() - began
    print("# %d sessions through %d places: %.1f s, private dirty memory of the daemon at most %.1f MB" % (MANY, PLACES, took, peak / 1024))
    until(lambda: not p.pod_processes(), what="the pods to end")
    daemon, pods = (ticks(p.daemon.pid) - before) * 1000 / MANY, [s * 1000 for s in shims.end()]
    if pods:
        print("# processor time of a session: %.0f ms of the daemon, and of %d pods with all that ran in them %.0f ms in the median, "
              "%.0f at p90" % (daemon, len(pods), pods[len(pods) // 2], pods[len(pods) * 9 // 10]))
    if MANY >= 1000: # with few, what is there once weighs too much
        assert took < 5 * lib.PATIENCE and peak < 60 * 1024, (took, peak)
        assert not pods or daemon + pods[len(pods) // 2] < 400, (daemon, pods[len(pods) // 2])


def test_a_waiting_session_says_its_place_and_is_woken_by_what_ends(p):
    running = [p.session("first-%d" % i, GATED_BARE) for i in range(PLACES)]
    for s in running:
        s.wait("Running")
    one = p.session("waits-one", "true")
    one.wait_reason("MaxRunning")
    two = p.session("waits-two", "true")
    two.wait_reason("MaxRunning")
    assert "place 1 " in one.message and "place 2 " in two.message and "at most %d sessions" % PLACES in one.message, one.status
    assert one.phase == "Pending" and p.get(p.jobs("waits-one-job")) is None
    assert one.condition("Admitted")["status"] == "False"
    # The place survives the daemon; so does the limit.
    p.kill9()
    p.restart()
    until(lambda: one.condition("Admitted").get("reason") == "MaxRunning", what="its place")
    assert sum(s.get("status", {}).get("admission") == "Admitted" for s in p.request("GET", GROUP % p.ns)["items"]) == PLACES
    two.delete()
    running[0].delete()
    one.wait("Completed")
    assert one.condition("Admitted")["status"] == "True"
    for s in running[1:]:
        s.touch_when_up("go")
        s.wait("Completed")


def test_a_project_has_its_own_limit(p):
    path = "/apis/vteam.ambient-code/v1alpha1/namespaces/team/projectsettings/projectsettings"
    # Its reconciler may have made it already.
    p.request("PATCH", path + "?fieldManager=limits&force=true", {
        "apiVersion": "vteam.ambient-code/v1alpha1", "kind": "ProjectSettings", "metadata": {"name": "projectsettings"},
        "spec": {"groupAccess": [], "maxRunning": 1}}, content="application/apply-patch+yaml")
    p.namespace("other")
    a, b = p.session("own-a", GATED_BARE), None
    a.wait("Running")
    b = p.session("own-b", "true")
    b.wait_reason("MaxRunning")
    assert "in this project" in b.message, b.status
    p.session("elsewhere", "true", ns="other").wait("Completed")
    assert b.phase == "Pending"
    p.patch(path, {"spec": {"maxRunning": 2}})
    b.wait("Completed")
    a.touch_when_up("go")
    a.wait("Completed")


def make():
    p = Platform("limits", agenticsession='keepJob = "10m"; maxRunning = %d;' % PLACES)
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
