# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each process that a session needs, in each phase of a session: the right end every time, and nothing left
behind: no process, object, Secret, claim, directory, mount or branch.

A scene is a session in each phase, held there by what it waits for; one kill meets all of them.  The daemon is killed where
it is the API server too, and then each apart: an API server alone, and a daemon in cluster mode beside it.

AMBIENT_ROUNDS more kills are at moments that chance chooses, by AMBIENT_SEED; faults-long makes many."""
import os
import random
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from apart import Apart  # noqa: E402
from lib import GATED, TERMINAL, Platform, running, until  # noqa: E402

ROUNDS = int(os.environ.get("AMBIENT_ROUNDS", "1"))
SEED = os.environ.get("AMBIENT_SEED", "1")
STUBBORN = "trap '' TERM INT; " + GATED
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/%s"


# ---- a session in each phase

class Scene:
    """All begin at once; go() lets each of them come to its end."""

    def __init__(self, p, tag, phases):
        self.p, self.tag, self.sessions, self.gates = p, tag, {}, {}
        self.late = "late-" + tag
        self.before = self.world()
        p.namespace(self.late, managed=False)
        for phase in phases:
            self.begin(phase)
        # Stopping does not last: it is the last to be brought there.
        for phase in sorted(phases, key=lambda x: x == "stopping"):
            self.bring(phase)

    def name(self, phase):
        return "%s-%s" % (self.tag, phase)

    def begin(self, phase):
        p, name = self.p, self.name(phase)
        p.origins.make(name)
        if phase == "cloning":
            self.gates[phase] = p.origins.hold(name, "upload-pack")
        if phase == "pushing":
            self.gates[phase] = p.origins.hold(name, "receive-pack")
        more = {"authSecret": name} if phase == "creating" else {}
        self.sessions[phase] = p.session(name, STUBBORN if phase == "stopping" else GATED, repos=[p.repo(name, "work", **more)],
                                         ns=self.late if phase == "pending" else None)

    def bring(self, phase):
        s = self.sessions[phase]
        if phase == "pending":
            s.wait_reason("NamespaceNotManaged")
        elif phase == "creating":
            s.wait_reason("SecretMissing")
        elif phase == "cloning":
            self.gates[phase].reached()
        else:
            s.wait_file("up")
            s.wait("Running")
        if phase in ("pushing", "ended"):
            s.touch("go")
        if phase == "pushing":
            self.gates[phase].reached()
        if phase == "ended":
            s.wait("Completed")
        if phase == "stopping":
            self.p.patch(s.path, {"spec": {"desiredState": "Stopped"}})
            s.wait("Stopping")
        if phase == "deleting":
            s.delete()

    def go(self):
        for phase, s in self.sessions.items():
            if phase == "pending":
                self.p.patch("/api/v1/namespaces/" + self.late, {"metadata": {"labels": {"ambient-code.io/managed": "true"}}})
            if phase == "creating":
                self.p.secret(s.name, token="nothing")
            if phase in self.gates:
                self.gates[phase].release()
        for phase, s in self.sessions.items():
            if phase in ("pending", "creating", "cloning", "running"):
                s.touch_when_up("go")
            if phase == "stopping" and os.path.isdir(s.volume + "/workspace"):
                s.touch("go")

    # What is in the world that a session could leave behind.
    def world(self):
        p, found = self.p, set()
        for ns in (p.ns, self.late):
            for path in [p.core(k, ns=ns) for k in ("pods", "persistentvolumeclaims", "serviceaccounts", "secrets", "configmaps")] + [
                    p.jobs(ns=ns), RBAC % (ns, "roles"), RBAC % (ns, "rolebindings"), lib.GROUP % ns]:
                found |= {path + "/" + i["metadata"]["name"] for i in (p.get(path) or {"items": []})["items"]
                          if i["metadata"]["name"] not in ("default", "kube-root-ca.crt")} # of the namespace
        for top in [p.node_dir + "/pods"] + ["%s/pvc/%s" % (p.node_dir, ns) for ns in (p.ns, self.late)]:
            try:
                found |= {top + "/" + d for d in os.listdir(top)}
            except FileNotFoundError:
                pass # the namespace's goes with it
        with open("/proc/self/mountinfo") as f:
            found |= {"mount " + line.split()[4] for line in f if p.dir in line}
        return found

    def close(self):
        """Deletes it all; what was not there before is gone again."""
        p = self.p
        pids = p.pod_processes()
        for phase, s in self.sessions.items():
            if s.get() is not None and phase != "deleting":
                s.delete()
        if p.get(p.core("secrets", self.name("creating"))) is not None:
            p.request("DELETE", p.core("secrets", self.name("creating")))
        p.request("DELETE", "/api/v1/namespaces/" + self.late)
        try:
            until(lambda: self.world() <= self.before, what="all of it to go")
        except AssertionError:
            raise AssertionError("left behind: %s\n%s" % (sorted(self.world() - self.before), p.log()[-1500:])) from None
        until(lambda: not running(pids) and not p.pod_processes(), what="its processes to end")
        for phase in self.sessions:
            heads = lib.git("--git-dir", p.origins.bare(self.name(phase)), "for-each-ref", "--format=%(refname)").split()
            assert set(heads) <= {"refs/heads/main", "refs/heads/work"}, heads


def completed(p, s):
    """One agent, one commit, one number for each message, and a status that says so."""
    s.wait("Completed")
    assert s.read("starts") == "start\n", s.read("starts")
    until(lambda: s.status.get("repos"), what="the report of " + s.name)
    assert s.status["repos"][0]["status"] == "pushed" and s.status["runs"] == 1, s.status
    assert p.origins.commits(s.name, "work") == 1 and p.origins.show(s.name, "work:README.md") == "hello\nline"
    seqs = [m["seq"] for m in s.messages()]
    assert seqs == list(range(1, len(seqs) + 1)), seqs


ALL = ("pending", "creating", "cloning", "running", "pushing", "ended", "deleting", "stopping")


def survived(scene, before):
    """What controls sessions was killed: no session has noticed."""
    p = scene.p
    scene.go()
    for phase, s in scene.sessions.items():
        if phase == "deleting":
            until(lambda s=s: s.get() is None, what=s.name + " to go")
            assert p.origins.commits(s.name, "work") == 0
        elif phase == "stopping":
            s.wait("Stopped")
            assert p.origins.commits(s.name, "work") == 0 and s.read("starts") == "start\n", s.status
        else:
            completed(p, s)
        if phase in before:
            assert s.status["runId"] == before[phase], (phase, before, s.status)
    scene.close()


def run_ids(scene):
    return {phase: s.status["runId"] for phase, s in scene.sessions.items() if s.status.get("runId") and phase != "deleting"}


def test_the_daemon_that_is_the_api_server(lab):
    p = lab.one
    scene = Scene(p, "daemon", ALL)
    before = run_ids(scene)
    p.kill9()
    p.restart()
    survived(scene, before)


def test_the_api_server_alone(lab):
    p = lab.apart
    scene = Scene(p, "server", ALL)
    before = run_ids(scene)
    p.kill9()
    # Runs end while it is away, and somebody has to say so afterwards.
    scene.sessions["running"].touch("go")
    until(lambda: p.origins.commits(scene.name("running"), "work"), what="the push")
    p.restart()
    survived(scene, before)
    assert p.operator.poll() is None, p.log()[-2000:]


def test_the_daemon_beside_an_api_server(lab):
    p = lab.apart
    scene = Scene(p, "operator", ALL)
    before = run_ids(scene)
    p.kill_operator()
    scene.sessions["running"].touch("go")
    until(lambda: p.origins.commits(scene.name("running"), "work"), what="the push")
    p.start_operator()
    survived(scene, before)


# ---- in the pod

def victims(p, s, who):
    """pid -> start time of that part of a session's pod."""
    found = {}
    for pid, born in p.pod_processes(s).items():
        try:
            exe = os.path.basename(os.readlink("/proc/%d/exe" % pid))
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                argv = f.read().split(b"\0")
        except OSError:
            continue
        if who == "shim" and exe == "ambient-shim" or who == "program" and argv[0] == b"sh" or \
                exe == "ambient-runner" and argv[1:2] == [{"runner": b"run", "agent": b"agent"}.get(who)]:
            found[pid] = born
    return found


def strike(p, s, who):
    lib.send(until(lambda: victims(p, s, who), what="the %s of %s" % (who, s.name)), signal.SIGKILL)


def struck(scene, who, reasons):
    """A part of the pod is killed in each phase: the run has failed and says why; a next one does the work."""
    p = scene.p
    for s in scene.sessions.values():
        strike(p, s, who)
    for phase, s in scene.sessions.items():
        if phase == "stopping":
            s.wait("Stopped")
            continue
        s.wait("Failed")
        assert s.reason in reasons and len(s.message) > 20, (who, phase, s.status)
        assert all(r.get("status") != "pushed" for r in s.status.get("repos", [])), s.status
    for gate in scene.gates.values():
        gate.release()
    until(lambda: not p.pod_processes(), what="all that ran in pods to end")
    for phase, s in scene.sessions.items():
        assert p.origins.commits(s.name, "work") == 0, phase
        done = p.ctl("start", s.name)
        assert done.returncode == 0, done.stdout
    for s in scene.sessions.values():
        until(lambda s=s: s.status.get("runs") == 2, what="the second run of " + s.name)
        if os.path.isdir(os.path.dirname(s.file("go"))):
            s.touch("go")
        s.touch_when_up("go")
        s.wait("Completed")
        assert p.origins.commits(s.name, "work") >= 1 and s.status["repos"][0]["status"] == "pushed", s.status
    scene.close()


def test_the_runner(lab):
    struck(Scene(lab.one, "runner", ("cloning", "running", "pushing", "stopping")), "runner", ("RunnerExit",))


def test_the_agents_side(lab):
    # While it clones, the runner knows nothing of it: the next report, after half a minute at most, shows it.
    early = ("cloning",) if ROUNDS > 1 else ()
    struck(Scene(lab.one, "agent", early + ("running", "stopping")), "agent", ("AgentLost", "AgentFailed"))


def test_the_agents_program(lab):
    struck(Scene(lab.one, "program", ("running", "stopping")), "program", ("AgentFailed",))


def test_the_shim(lab):
    struck(Scene(lab.one, "shim", ("cloning", "running", "pushing", "stopping")), "shim", ("RunnerExit", "PodEvicted"))


# ---- by chance

def test_at_random_moments(lab):
    dice = random.Random(SEED)
    for i in range(ROUNDS):
        who = dice.choice(("daemon", "runner", "agent", "program", "shim", "server", "operator"))
        p = lab.apart if who in ("server", "operator") else lab.one
        scene = Scene(p, "chance%d" % i, ())
        scene.begin("running")
        s = scene.sessions["running"]
        p.origins.gates.clear()
        ms = dice.randrange(0, 900)
        print("# %d: %s after %d ms" % (i, who, ms))
        lib.pause(ms / 1000)
        if who == "daemon":
            p.kill9()
            p.restart()
        elif who == "server":
            p.kill9()
            p.restart()
        elif who == "operator":
            p.kill_operator()
            p.start_operator()
        else:
            lib.send(victims(p, s, who), signal.SIGKILL)
        until(lambda: s.phase in TERMINAL or os.path.exists(s.file("up")), what="the run to go on, or to end")
        if os.path.exists(s.file("up")):
            s.touch("go")
        phase = s.wait("Completed", "Failed")
        if phase == "Completed":
            completed(p, s)
        else:
            assert who in ("runner", "agent", "program", "shim"), (who, s.status)
            assert p.origins.commits(s.name, "work") == 0, s.status
        scene.close()


class Lab:
    def __init__(self):
        self.one, self.apart = Platform("faults"), None
        self.one.start()
        self.one.namespace()
        self.apart = Apart("apart")
        self.apart.start()
        self.apart.namespace()

    def close(self):
        for p in (self.one, self.apart):
            if p is not None:
                p.close()


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], Lab))
