# SPDX-License-Identifier: Apache-2.0
"""Images that the node lets podman pull and run (doc/adr/0042): with the real podman, on a storage of the test's own, from a
registry of the test's own.  AMBIENT_REQUIRE=podman where it must run."""
import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import websocket  # noqa: E402
from exec import dial  # noqa: E402
from lib import Platform, required, running, until  # noqa: E402
from registry import Registry, layer  # noqa: E402

BUSYBOX = "/bin/busybox"
PROGRAMS = ("sh", "sleep", "echo", "cat", "true", "false", "ls", "id", "env", "pwd", "kill", "head", "tail", "touch", "grep", "stat",
            "httpd", "hostname", "ps", "tty", "wc", "rm", "mount", "chmod")


class Lab:
    """The platform, the registries, and podman as the node calls it."""

    def __init__(self):
        self.registry, self.locked = Registry(), Registry(password="s3cret")
        root = layer(BUSYBOX, PROGRAMS, [("srv/index.html", "hello from the image\n", 0o644, 0)])
        self.plain = self.registry.put("team/plain", "1", root)
        self.full = self.registry.put("team/full", "1", root, User="agent", Env=["PATH=/bin", "FROM=image"], WorkingDir="/home",
                                      Entrypoint=["sh", "-c"], Cmd=["echo $FROM $(id -u):$(id -g) $(pwd); trap 'exit 9' USR1; "
                                                                    "sleep 600 & wait"], StopSignal="SIGUSR1",
                                      Volumes={"/srv/data": {}})
        self.registry.put("team/dumb", "1", root)
        self.locked.put("team/private", "1", root)
        self.dir = lib.tempfile.mkdtemp(prefix="amb-podman-", dir="/tmp")
        conf = os.path.join(self.dir, "registries.conf")
        with open(conf, "w") as f:
            f.write("".join('[[registry]]\nlocation = "%s"\ninsecure = true\n' % r.host for r in (self.registry, self.locked)))
        self.options = ["--root", self.dir + "/root", "--runroot", self.dir + "/run", "--storage-driver", "vfs"]
        # Images below /never are not pulled whatever a pod says; names that start with "other" are nobody's.
        node = 'podman: ( { match = "never.example/*"; pull = "Never"; options = [ %s ]; }, { match = "[!o]*"; options = [ %s ]; } );'
        words = ", ".join('"%s"' % o for o in self.options)
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["chmod", "fchmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
        with open(os.path.join(self.dir, "no-chmod.json"), "w") as f:
            json.dump(profile, f)
        node = 'seccompProfiles = "%s"; ' % self.dir + node
        self.p = Platform("podman", node=node % (words, words), env={"CONTAINERS_REGISTRIES_CONF": conf})

    def __getattr__(self, name):
        return getattr(self.p, name)

    def podman(self, *args):
        done = subprocess.run(["podman", *self.options, *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, done.stdout
        return done.stdout.split("\n")[:-1]

    def left(self):
        """Containers, secrets and volumes of podman's, and mounts of its storage."""
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if self.dir in line or self.p.state in line]
        return (self.podman("ps", "--all", "--format", "{{.Names}}") + self.podman("secret", "ls", "--format", "{{.Name}}") +
                self.podman("volume", "ls", "--quiet") + mounts)

    def image(self, name="team/plain:1"):
        return self.registry.host + "/" + name

    def close(self):
        self.p.close()
        self.registry.close()
        self.locked.close()
        subprocess.run(["podman", *self.options, "rm", "--all", "--force", "--time", "0"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def pod(lab, name, script=None, image=None, spec=None, wait=None, **container):
    c = {"name": "c", "image": image or lab.image(), "imagePullPolicy": "IfNotPresent", **container}
    if script is not None:
        c["command"] = ["sh", "-c", script]
    lab.request("POST", lab.core("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False, "containers": [c],
        **(spec or {})}})
    path = lab.core("pods", name)
    if wait:
        phase(lab, path, wait)
    return path


def status(lab, path):
    return lab.get(path).get("status", {})


def phase(lab, path, wanted):
    def there():
        now = status(lab, path).get("phase")
        assert now == wanted or now not in ("Succeeded", "Failed"), json.dumps(status(lab, path)) + log_of(lab, path)
        return now == wanted

    try:
        until(there, what="%s to be %s" % (path, wanted))
    except AssertionError as e:
        raise AssertionError("%s\n%s\n%s" % (e, json.dumps(status(lab, path)), lab.log()[-1500:])) from None
    return status(lab, path)


def ended(lab, path, wanted="Succeeded"):
    return phase(lab, path, wanted)["containerStatuses"][0]["state"]["terminated"]


def waits(lab, path, reason):
    """The message that it waits with."""
    def there():
        waiting = (status(lab, path).get("containerStatuses") or [{}])[0].get("state", {}).get("waiting", {})
        return waiting if waiting.get("reason") == reason else None

    try:
        return until(there, what="%s to say %s" % (path, reason)).get("message", "")
    except AssertionError as e:
        raise AssertionError("%s\n%s" % (e, json.dumps(status(lab, path)))) from None


def log_of(lab, path):
    code, text = lab.request("GET", path + "/log", raw=True)
    return text.decode() if code == 200 else "(%d) %s" % (code, text)


def reasons(lab, name):
    events = lab.request("GET", lab.core("events") + "?fieldSelector=involvedObject.name%3D" + name)["items"]
    return {e["reason"] for e in events}


def delete(lab, path, query=""):
    top = "%s/node/pods/%s" % (lab.state, lab.get(path)["metadata"]["uid"])
    lab.request("DELETE", path + query)
    until(lambda: lab.get(path) is None, what=path + " to go")
    until(lambda: not os.path.exists(top), what="the directory of %s to go" % path)


# ---- images

def test_an_image_is_pulled_and_run(lab):
    path = pod(lab, "first", "echo out; echo err >&2; echo why > /dev/termination-log; exit 3")
    end = ended(lab, path, "Failed")
    assert (end["exitCode"], end["reason"], end["message"]) == (3, "Error", "why\n"), end
    assert sorted(log_of(lab, path).split()) == ["err", "out"]
    c = status(lab, path)["containerStatuses"][0]
    assert c["imageID"] == "%s@%s" % (lab.image("team/plain"), lab.plain), c
    assert c["image"] == lab.image(), c
    until(lambda: {"Pulling", "Pulled"} <= reasons(lab, "first"), what="the events of the pull")
    delete(lab, path)
    assert lab.left() == []


def test_what_the_image_says_holds(lab):
    path = pod(lab, "full", image=lab.image("team/full:1"), wait="Running")
    until(lambda: "image" in log_of(lab, path))
    assert log_of(lab, path) == "image 1000:1001 /home\n"
    # Its own stop signal, to which it answers with 9.
    started = status(lab, path)["containerStatuses"][0]
    assert started["ready"] and started["started"], started
    delete(lab, path, "?gracePeriodSeconds=20")
    assert lab.left() == []  # the volume of the image's too
    # args alone take the place of its arguments, a command that of both; env and workingDir win.
    path = pod(lab, "args", image=lab.image("team/full:1"), args=["echo $FROM; pwd"], workingDir="/tmp",
               env=[{"name": "FROM", "value": "pod"}])
    ended(lab, path)
    assert log_of(lab, path) == "pod\n/tmp\n"
    delete(lab, path)
    path = pod(lab, "dumb", image=lab.image("team/dumb:1"))
    assert "no command specified" in waits(lab, path, "CreateContainerError")
    delete(lab, path)


def test_always_and_if_not_present(lab):
    delete(lab, pod(lab, "before", "true", wait="Succeeded"))
    before = lab.registry.pulls("team/plain")
    delete(lab, pod(lab, "present", "true", wait="Succeeded"))
    assert lab.registry.pulls("team/plain") == before
    delete(lab, pod(lab, "always", "true", imagePullPolicy="Always", wait="Succeeded"))
    assert lab.registry.pulls("team/plain") > before


def test_a_pull_that_fails_is_tried_again(lab):
    path = pod(lab, "late", "true", image=lab.image("team/late:1"))
    assert "manifest unknown" in waits(lab, path, "ErrImagePull")
    message = waits(lab, path, "ImagePullBackOff")
    assert message.startswith('Back-off pulling image "%s": ErrImagePull: ' % lab.image("team/late:1")), message
    until(lambda: {"Pulling", "Failed", "BackOff"} <= reasons(lab, "late"), what="the events of its failure")
    assert status(lab, path)["phase"] == "Pending"
    lab.registry.put("team/late", "1", layer(BUSYBOX, PROGRAMS))
    ended(lab, path)
    delete(lab, path)


def test_names_and_policies_that_bring_nothing(lab):
    path = pod(lab, "never", "true", image=lab.image("team/absent:1"), imagePullPolicy="Never")
    assert waits(lab, path, "ErrImageNeverPull") == 'Container image "%s" is not present with pull policy of Never' % lab.image(
        "team/absent:1")
    assert lab.registry.pulls("team/absent") == 0
    delete(lab, path)
    path = pod(lab, "forbidden", "true", image="never.example/x:1", imagePullPolicy="Always")
    waits(lab, path, "ErrImageNeverPull")
    delete(lab, path)
    path = pod(lab, "upper", "true", image="Registry.example/Team/x:1")
    assert "repository name must be lowercase" in waits(lab, path, "InvalidImageName")
    delete(lab, path)
    path = pod(lab, "nobody", "true", image="other.example/x:1")
    assert '"podman"' in waits(lab, path, "ImagePullBackOff")
    delete(lab, path)


def test_a_pods_secrets_pull(lab):
    image = lab.locked.host + "/team/private:1"
    path = pod(lab, "stranger", "true", image=image)
    assert "unauthorized" in waits(lab, path, "ErrImagePull").lower()
    delete(lab, path)
    auth = {"auths": {lab.locked.host: {"auth": base64.b64encode(b"ann:s3cret").decode()}}}
    lab.request("POST", lab.core("secrets"), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"},
                                              "type": "kubernetes.io/dockerconfigjson",
                                              "stringData": {".dockerconfigjson": json.dumps(auth)}})
    path = pod(lab, "friend", "sleep 600", image=image, spec={"imagePullSecrets": [{"name": "pull"}, {"name": "missing"}]},
               wait="Running")
    top = "%s/node/pods/%s" % (lab.state, lab.get(path)["metadata"]["uid"])
    assert stat.S_IMODE(os.stat(top + "/pull-auth.json").st_mode) == 0o600
    until(lambda: "FailedToRetrieveImagePullSecret" in reasons(lab, "friend"), what="the event of the Secret that is not there")
    delete(lab, path)
    assert not os.path.exists(top)


def test_a_deletion_while_it_is_pulled(lab):
    lab.registry.put("team/slow", "1", layer(BUSYBOX, PROGRAMS))
    lab.registry.gate.clear()
    path = pod(lab, "slow", "true", image=lab.image("team/slow:1"))
    until(lambda: lab.registry.pulls("team/slow"), what="the pull to begin")
    assert waits(lab, path, "ContainerCreating") == ""
    delete(lab, path)
    lab.registry.gate.set()


def test_images_are_pulled_one_by_one_as_containers_start(lab):
    """As kubelet: an init container runs before the images of the others are asked for, and so does a container before the
    next one's."""
    for name in ("one", "two", "three"):
        lab.registry.put("team/" + name, "1", layer(BUSYBOX, PROGRAMS, [(name, name + "\n", 0o644, 0)]))
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "steps"},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    lab.request("POST", lab.core("persistentvolumeclaims"), claim)
    wait = "while [ ! -e /w/%s ]; do sleep 0.02; done"
    mounts = [{"name": "w", "mountPath": "/w"}]
    path = pod(lab, "steps", "echo two; " + wait % "end", image=lab.image("team/two:1"), volumeMounts=mounts, spec={
        "volumes": [{"name": "w", "persistentVolumeClaim": {"claimName": "steps"}}], "initContainers": [
            {"name": "i", "image": lab.image("team/one:1"), "command": ["sh", "-c", wait % "init"], "volumeMounts": mounts}]})
    spec = lab.get(path)["spec"]

    def go(name):
        with open("%s/node/pvc/%s/steps/%s" % (lab.state, lab.ns, name), "w"):
            pass

    until(lambda: "running" in (status(lab, path).get("initContainerStatuses") or [{"state": {}}])[0]["state"], what="the init container")
    assert lab.registry.pulls("team/one") and not lab.registry.pulls("team/two"), spec
    assert status(lab, path)["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing", status(lab, path)
    go("init")
    phase(lab, path, "Running")
    assert lab.registry.pulls("team/two")
    # A new image of a container that runs is pulled when the old one has ended.
    lab.request("PATCH", path, {"spec": {"containers": [{"name": "c", "image": lab.image("team/three:1")}]}},
                "application/strategic-merge-patch+json")
    until(lambda: status(lab, path)["containerStatuses"][0]["restartCount"] == 1 and "running" in
          status(lab, path)["containerStatuses"][0]["state"], what="the second instance")
    assert lab.registry.pulls("team/three") and status(lab, path)["containerStatuses"][0]["image"] == lab.image("team/three:1")
    go("end")
    phase(lab, path, "Succeeded")
    delete(lab, path)
    # What cannot be pulled does not keep the others.
    path = pod(lab, "beside", "true", image=lab.image("team/absent:2"), spec={"containers": [
        {"name": "c", "image": lab.image("team/absent:2"), "command": ["true"]},
        {"name": "d", "image": lab.image("team/two:1"), "command": ["sleep", "600"]}]})
    until(lambda: "running" in status(lab, path).get("containerStatuses", [{}, {"state": {}}])[1]["state"], what="the second container")
    waits(lab, path, "ImagePullBackOff")
    assert status(lab, path)["phase"] == "Running", status(lab, path)
    delete(lab, path)
    assert lab.left() == []


# ---- what a container has

def test_variables_volumes_and_the_file_system(lab):
    lab.secret("words", key="s3cret")
    spec = {"volumes": [{"name": "disk", "emptyDir": {}}, {"name": "ram", "emptyDir": {"medium": "Memory"}},
                        {"name": "secret", "secret": {"secretName": "words"}}],
            "hostname": "box", "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["nine"]}],
            "initContainers": [{"name": "i", "image": lab.image(), "command": ["sh", "-c", "echo one > /d/one; echo two > /r/two"],
                                "volumeMounts": [{"name": "disk", "mountPath": "/d"}, {"name": "ram", "mountPath": "/r"}]}]}
    mounts = [{"name": "disk", "mountPath": "/d/s"}, {"name": "ram", "mountPath": "/r"}, {"name": "secret", "mountPath": "/s"}]
    if os.geteuid() != 0:
        path = pod(lab, "in-memory", "true", spec=spec)
        until(lambda: "medium Memory" in json.dumps(status(lab, path)), what="the refusal")
        delete(lab, path)
        spec["volumes"][1]["emptyDir"] = {}
    script = ("echo \"$MANY\"; echo $HOME; hostname; grep -c nine /etc/hosts; cat /d/s/one /r/two /s/key; id -u; "
              "touch /s/x || echo ro; touch /x || echo root; touch /d/s/mine; grep CapEff /proc/self/status; "
              "grep NoNewPrivs /proc/self/status")
    path = pod(lab, "full-of", script, spec=spec, env=[{"name": "MANY", "value": "a\nb"}, {"name": "HOME", "value": "/d"}],
               securityContext={"runAsUser": 4711, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]}},
               volumeMounts=mounts)
    ended(lab, path)
    lines = [line for line in log_of(lab, path).splitlines() if not line.startswith("touch:")]
    assert lines == ["a", "b", "/d", "box", "1", "one", "two", "s3cret" + "4711", "ro", "root", "CapEff:\t0000000000000000",
                     "NoNewPrivs:\t1"], log_of(lab, path)
    delete(lab, path)
    assert lab.left() == []


def test_filters_and_groups_and_processes_that_cannot_be_shared(lab):
    path = pod(lab, "filtered", "chmod 700 /tmp || echo refused",
               securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "no-chmod.json"}})
    ended(lab, path)
    assert log_of(lab, path).splitlines()[-1] == "refused", log_of(lab, path)
    delete(lab, path)
    path = pod(lab, "shared", "true", spec={"shareProcessNamespace": True})
    assert "shareProcessNamespace" in waits(lab, path, "CreateContainerConfigError")
    delete(lab, path)
    if os.geteuid() == 0:
        path = pod(lab, "grouped", "id -G", spec={"securityContext": {"supplementalGroups": [4242]}})
        ended(lab, path)
        assert "4242" in log_of(lab, path).split(), log_of(lab, path)
        delete(lab, path)
    assert lab.left() == []


def test_root_that_shall_not_be(lab):
    path = pod(lab, "root", "true", securityContext={"runAsNonRoot": True})
    assert "image will run as root" in waits(lab, path, "CreateContainerConfigError")
    delete(lab, path)
    path = pod(lab, "named", "true", image=lab.image("team/full:1"), securityContext={"runAsNonRoot": True})
    assert "non-numeric user (agent)" in waits(lab, path, "CreateContainerConfigError")
    delete(lab, path)


def test_what_cannot_be_started_is_128(lab):
    path = pod(lab, "nothing", command=["/no/such"])
    end = ended(lab, path, "Failed")
    assert (end["exitCode"], end["reason"]) == (128, "StartError") and "/no/such" in end["message"], end
    delete(lab, path)


def test_limits_end_what_is_too_large(lab):
    note = lab.request("GET", "/api/v1/nodes")["items"][0]["metadata"]["annotations"]["standalone/limits"]
    if note == "unenforced":
        return required("cgroups", "no control groups here")
    path = pod(lab, "large", "head -c 200m /dev/zero | tail", resources={"limits": {"memory": "32Mi"}})
    end = ended(lab, path, "Failed")
    assert (end["exitCode"], end["reason"]) == (137, "OOMKilled"), end
    delete(lab, path)
    return None


def test_it_is_started_again_after_a_failure(lab):
    spec = {"restartPolicy": "OnFailure", "volumes": [{"name": "v", "emptyDir": {}}]}
    path = pod(lab, "again", "test -e /v/x && exit 0; touch /v/x; exit 1", spec=spec,
               volumeMounts=[{"name": "v", "mountPath": "/v"}])
    phase(lab, path, "Succeeded")
    c = status(lab, path)["containerStatuses"][0]
    assert c["restartCount"] == 1 and c["lastState"]["terminated"]["exitCode"] == 1, c
    delete(lab, path)
    assert lab.left() == []


def test_address_probes_and_proxy(lab):
    port = lib.free_port()
    path = pod(lab, "web", "exec httpd -f -p %d -h /srv" % port, readinessProbe={"httpGet": {"path": "/index.html", "port": port},
                                                                                 "periodSeconds": 1},
               livenessProbe={"exec": {"command": ["grep", "-q", "httpd", "/proc/1/cmdline"]}, "periodSeconds": 1})
    until(lambda: any(c["type"] == "Ready" and c["status"] == "True" for c in status(lab, path).get("conditions", [])),
          what="the pod to be ready")
    assert status(lab, path)["podIP"].startswith("127.")
    code, text = lab.request("GET", lab.core("pods", "web:%d" % port) + "/proxy/index.html", raw=True)
    assert (code, text) == (200, b"hello from the image\n"), (code, text)
    delete(lab, path)


def test_commands_in_it(lab):
    path = pod(lab, "box", "sleep 600", image=lab.image("team/full:1"), env=[{"name": "COLOUR", "value": "teal"}], workingDir="/tmp",
               wait="Running")
    s = dial(lab.p, "exec", "box", ("sh", "-c", "echo $COLOUR $FROM; pwd; id -u; id -g; cat /proc/1/cmdline; echo; "
                                    "grep CapEff /proc/self/status; exit 4")).finish()
    lines = s.out.decode().splitlines()
    assert s.code == 4 and lines[:4] == ["teal image", "/tmp", "1000", "1001"], (lines, s.err, s.status)
    assert "sleep" in lines[4] and lines[5].split()[1] == "0" * 16, lines
    s = dial(lab.p, "exec", "box", ("sh", "-c", "tty; read x; echo got $x"), stdin=True, tty=True, stderr=False)
    s.until(b"/dev/pts/")
    s.ws.send(websocket.STDIN, b"hello\n")
    s.finish()
    assert b"got hello" in s.out and s.code == 0, s.out
    delete(lab, path)


def test_a_terminal_of_its_own(lab):
    path = pod(lab, "tty", "tty; read x; echo got $x", stdin=True, tty=True, wait="Running")
    s = dial(lab.p, "attach", "tty", stdin=True, tty=True, stderr=False)
    s.ws.send(websocket.STDIN, b"hello\n")
    s.finish()
    phase(lab, path, "Succeeded")
    assert "/dev/console" in log_of(lab, path) and "got hello" in log_of(lab, path), log_of(lab, path)
    delete(lab, path)


# ---- what is killed

def keepers(lab, uid):
    """The shim of a pod and the process that keeps podman's container."""
    found = {}
    for pid, (parent, _, _) in lib.processes().items():
        try:
            with open("/proc/%d/comm" % pid) as f:
                name = f.read().strip()
        except OSError:
            continue
        if name == "ambient-podman":
            found[parent] = pid
    shim = lab.shims(uid)[0]
    return shim, found[shim]


def program(lab, path):
    with open("%s/node/pods/%s/state.jsonl" % (lab.state, lab.get(path)["metadata"]["uid"])) as f:
        return int(re.findall(r'"rec":"running".*"pid":(\d+)', f.read())[-1])


def test_a_killed_daemon_finds_it_again(lab):
    path = pod(lab, "through", "while [ ! -e /v/go ]; do sleep 0.02; done; echo done", wait="Running",
               spec={"volumes": [{"name": "v", "emptyDir": {}}]}, volumeMounts=[{"name": "v", "mountPath": "/v"}])
    lab.kill9()
    lab.restart()
    assert status(lab, path)["phase"] == "Running"
    with open("%s/node/pods/%s/volumes/v/go" % (lab.state, lab.get(path)["metadata"]["uid"]), "w"):
        pass
    ended(lab, path)
    assert log_of(lab, path) == "done\n"
    assert status(lab, path)["containerStatuses"][0]["imageID"].endswith(lab.plain)
    delete(lab, path)


def test_a_killed_shim_takes_it_along(lab):
    path = pod(lab, "alone", "sleep 600", wait="Running")
    inside = program(lab, path)
    shim, _ = keepers(lab, lab.get(path)["metadata"]["uid"])
    os.kill(shim, signal.SIGKILL)
    now = phase(lab, path, "Failed")
    assert now["reason"] == "NodeLost", now
    assert not os.path.exists("/proc/%d" % inside)
    assert lab.left() == []
    delete(lab, path)


def test_killed_with_its_keeper(lab):
    """Neither is there to remove it: before the pod is said to have ended, the node has."""
    path = pod(lab, "orphan", "sleep 600", wait="Running")
    inside = program(lab, path)
    shim, keeper = keepers(lab, lab.get(path)["metadata"]["uid"])
    for pid in (shim, keeper):
        os.kill(pid, signal.SIGSTOP)
    for pid in (keeper, shim):
        os.kill(pid, signal.SIGKILL)
    now = phase(lab, path, "Failed")
    assert now["reason"] == "NodeLost", now
    assert not os.path.exists("/proc/%d" % inside)
    assert lab.left() == []
    delete(lab, path)


def test_all_of_it_killed_while_the_daemon_is_away(lab):
    """As after a power cut: what is left are podman's records."""
    path = pod(lab, "cut", "sleep 600", wait="Running")
    shim, keeper = keepers(lab, lab.get(path)["metadata"]["uid"])
    table = lib.tree_of([shim], lib.processes())
    lab.kill9()
    os.kill(keeper, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    lib.send(table, signal.SIGKILL)
    until(lambda: not running(table), what="all to be dead")
    assert lab.podman("ps", "--all", "--quiet") != []
    lab.restart()
    assert phase(lab, path, "Failed")["reason"] == "NodeLost"
    assert lab.left() == []
    delete(lab, path)


def test_deletion_takes_what_does_not_listen(lab):
    path = pod(lab, "deaf", "trap '' TERM; while :; do sleep 0.1; done", wait="Running")
    inside = program(lab, path)
    delete(lab, path)
    assert not os.path.exists("/proc/%d" % inside)
    assert lab.left() == []


def make():
    lab = Lab()
    lab.p.start()
    lab.namespace()
    return lab


def hybrid():
    """crun does nothing where version 1 and 2 of control groups are mixed and both have controllers."""
    try:
        with open("/sys/fs/cgroup/unified/cgroup.controllers") as f:
            return f.read().strip() != ""
    except OSError:
        return False


def skip_unless_podman():
    reason = None
    if shutil.which("podman") is None:
        reason = "podman is not installed"
    elif not os.path.exists(BUSYBOX) or b"statically linked" not in subprocess.run(["file", "-L", BUSYBOX], stdout=subprocess.PIPE,
                                                                                   check=False).stdout:
        reason = "no static busybox at %s" % BUSYBOX
    if reason:
        print("1..0 # SKIP " + required("podman", reason))
        sys.exit(0)


def probe(lab):
    """A container by hand; why not, or None."""
    limit = os.sysconf("SC_OPEN_MAX")
    try:
        lab.podman("pull", "--quiet", "--tls-verify=false", lab.image())
    except AssertionError as e:
        return "podman cannot pull here: " + str(e).strip()
    done = subprocess.run(["podman", *lab.options, "run", "--rm", "--cgroups=disabled", "--network=host", "--ulimit",
                           "nofile=%d:%d" % (min(limit, 1024), min(limit, 1024)), "--ulimit", "nproc=1024:1024", lab.image(), "true"],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    lab.podman("rmi", "--all", "--force")
    return None if done.returncode == 0 else "podman cannot run a container here: " + done.stdout.strip()


if __name__ == "__main__":
    lib.preconditions()
    skip_unless_podman()
    if hybrid() and "AMBIENT_OWN_MOUNTS" not in os.environ and os.geteuid() == 0:
        os.environ["AMBIENT_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$@"', "sh", sys.executable,
                              os.path.abspath(__file__), *sys.argv[1:]])
    found = Lab()
    why = probe(found)
    found.registry.close()
    found.locked.close()
    found.p.origins.close()
    shutil.rmtree(found.dir, ignore_errors=True)
    shutil.rmtree(found.p.dir, ignore_errors=True)
    if why:
        print("1..0 # SKIP " + required("podman", why))
        sys.exit(0)
    sys.exit(lib.main(sys.modules[__name__], make))
