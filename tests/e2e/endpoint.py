# SPDX-License-Identifier: Apache-2.0
"""The endpoint of a session's pod, by the API server's pods/proxy: who may ask, and what readers of messages get."""
import hashlib
import http.client
import json
import os
import random
import secrets
import sys
import threading
import time
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GATED_BARE, PATIENCE, Platform, until  # noqa: E402

# Waits at one file after another, and says something between.
TALK = ('W=$AMBIENT_SESSION_DIR/workspace; touch $W/up; for i in 1 2 3; do while [ ! -e $W/go$i ]; do sleep 0.02; done; '
        'j=0; while [ $j -lt 300 ]; do j=$((j+1)); echo "part $i line $j"; done; done')


class Client:
    """Somebody with a key of his own; other: his bearer token instead of the administrator's certificate."""

    def __init__(self, p, s, name="test", value=None, other=None):
        self.p, self.s, self.name, self.other = p, s, name, other
        self.secret = secrets.token_hex(32)
        self.set(value)

    def value(self, ahead=3600, read=False):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead))
        return hashlib.sha256(self.secret.encode()).hexdigest() + " " + when + (" read" if read else "")

    def set(self, value=None):
        annotation = {"access.ambient-code.io/" + self.name: self.value() if value is None else value}
        self.p.patch(self.s.path, {"metadata": {"annotations": annotation}})

    def remove(self):
        self.p.patch(self.s.path, {"metadata": {"annotations": {"access.ambient-code.io/" + self.name: None}}})

    def pod(self):
        def found():
            pods = self.p.request("GET", self.p.core("pods", ns=self.s.ns) + "?labelSelector=agentic-session%3D" + self.s.name)
            return [x["metadata"]["name"] for x in pods["items"] if x.get("status", {}).get("phase") == "Running"]
        return until(found, what="a pod that runs")[0]

    def open(self, path, method="GET", body=None, key=True, headers=None):
        """The answer, not read."""
        conn = self.p._connect()
        headers = {**({"X-Ambient-Key": self.secret} if key is True else {"X-Ambient-Key": key} if key else {}),
                   **(headers or {})}
        conn.request(method, self.p.core("pods", "http:%s:8001" % self.pod(), ns=self.s.ns) + "/proxy" + path, body, headers)
        answer = conn.getresponse()
        answer.connection = conn
        return answer

    def ask(self, path, method="GET", body=None, **options):
        answer = self.open(path, method, body, **options)
        text = answer.read()
        answer.connection.close()
        return answer.status, text

    def json(self, path, method="GET", body=None, **options):
        """As a client should: an unknown key is tried again for a while."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        end = time.monotonic() + PATIENCE
        while True:
            status, text = self.ask(path, method, body, **options)
            if status in (401, 503) and time.monotonic() < end:
                time.sleep(0.02)
                continue
            return status, json.loads(text)

    def follow(self, start=1, more=""):
        """The lines, as they come."""
        answer = self.open("/v1/messages?follow=true&from=%d%s" % (start, more))
        assert answer.status == 200, answer.read()
        try:
            for line in answer:
                if line.strip():
                    yield json.loads(line)
        finally:
            answer.connection.close()


def make():
    p = Platform("endpoint")
    p.start()
    p.namespace()
    return p


def ready(c):
    status, answer = c.json("/v1/status")
    assert status == 200, answer
    return answer


def test_messages_as_they_come_and_to_the_end(p):
    s = p.session("one", TALK)
    c = Client(p, s)
    answer = ready(c)
    assert answer["client"] == "test" and answer["readOnly"] is False and answer["interactive"] is False, answer
    lines = c.follow()
    seen = [next(lines)]
    s.wait_file("up")
    for part in "123":
        s.touch("go" + part)
        for m in lines:
            seen.append(m)
            if m.get("text") == "part %s line 300" % part:
                break
    seen += list(lines)
    assert seen[-1]["type"] == "session" and seen[-1]["state"] == "completed", seen[-1]
    s.wait("Completed")
    assert seen == s.messages()
    assert [m["seq"] for m in seen] == list(range(1, len(seen) + 1))


def test_fifty_readers_from_anywhere_get_the_same(p):
    s = p.session("many", TALK)
    c = Client(p, s)
    ready(c)
    s.wait_file("up")
    s.touch("go1")
    until(lambda: len(s.messages()) > 250, what="some messages")
    got, errors, settled, rng = {}, [], set(), random.Random(7)

    def read(i, start):
        try:
            got[i] = []
            # Cuts the connection some times and goes on behind what it has; but not once the end may come.
            while not got[i] or got[i][-1].get("state") != "completed":
                stop = len(got[i]) + rng.randrange(50, 400)
                for m in c.follow(got[i][-1]["seq"] + 1 if got[i] else start):
                    got[i].append(m)
                    if m.get("text") == "part 2 line 300":
                        settled.add(i)
                    if len(got[i]) >= stop and i not in settled:
                        break
        except Exception as e:  # told by the main thread
            errors.append((i, start, repr(e)))

    starts = [rng.randrange(1, 250) for _ in range(50)]
    threads = [threading.Thread(target=read, args=(i, n)) for i, n in enumerate(starts)]
    for t in threads:
        t.start()
    s.touch("go2")
    until(lambda: errors or len(settled) == 50, what="all to read")
    s.touch("go3")
    for t in threads:
        t.join(PATIENCE)
    assert not errors, errors[:3]
    s.wait("Completed")
    whole = s.messages()
    for i, n in enumerate(starts):
        assert got[i] == whole[n - 1:], (i, n, len(got[i]), len(whole))


def test_a_reader_that_does_not_follow(p):
    s = p.session("short", GATED_BARE.replace("touch $W/up", "echo one; echo two; touch $W/up"))
    c = Client(p, s)
    ready(c)
    s.wait_file("up")
    until(lambda: "two" in s.texts(), what="two lines")
    whole = s.messages()
    for start in (1, 2, len(whole), len(whole) + 1, 10 ** 12):
        status, text = c.ask("/v1/messages?from=%d" % start)
        assert status == 200 and [json.loads(x) for x in text.splitlines()] == whole[start - 1:], (start, text)
    for bad in ("from=-1", "from=x", "from=99999999999999999999", "follow=maybe", "partial=1"):
        status, text = c.ask("/v1/messages?" + bad)
        assert status == 400 and json.loads(text)["reason"] == "BadRequest", (bad, text)
    assert c.ask("/v1/nothing")[0] == 404 and c.ask("/v1/status", "POST", "{}")[0] == 405
    assert c.ask("/v1/status", "POST", "x" * (1 << 20) + "x")[0] == 413
    s.touch("go")
    s.wait("Completed")


def test_keys(p):
    s = p.session("keys", GATED_BARE)
    c = Client(p, s, "owner")
    ready(c)
    # Who shows none, or a wrong one.
    status, text = c.ask("/v1/status", key=None)
    assert status == 401 and json.loads(text)["reason"] == "NoKey" and "access.ambient-code.io" in json.loads(text)["message"], text
    for wrong in ("0" * 64, c.secret[:-1], c.secret + "0", hashlib.sha256(c.secret.encode()).hexdigest(), "x"):
        answer = c.open("/v1/status", key=wrong)
        assert answer.status == 401 and answer.getheader("Retry-After") == "1", (wrong, answer.status)
    assert c.ask("/healthz", key=None) == (200, b"ok\n")
    # Values that are none: once a good one is known that came later, they were looked at.
    d = Client(p, s, "bad", "")
    for i, bad in enumerate(("x", d.value(-5), d.value(48 * 3600), d.value() + " write", d.value().upper(),
                             d.value().replace(" ", "  "), d.value()[1:])):
        d.set(bad)
        after = Client(p, s, "after-%d" % i)
        ready(after)
        assert d.ask("/v1/status")[0] == 401, bad
        after.remove()
    # Taking it back ends what is open.
    lines = c.follow()
    next(lines)
    c.remove()
    for m in lines:
        assert m.get("state") != "completed", m
    assert c.ask("/v1/status")[0] == 401
    s.touch_when_up("go")
    s.wait("Completed")


def test_who_may_not_patch_the_session_gets_no_key(p):
    s = p.session("seen", GATED_BARE)
    ready(Client(p, s))
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}

    def allowed(group, verb, api, resource, sub=""):
        attributes = {"namespace": p.ns, "verb": verb, "group": api, "resource": resource, "subresource": sub, "name": s.name}
        return p.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {**review, "spec": {
            "user": "somebody", "groups": [group], "resourceAttributes": attributes}})["status"]["allowed"]

    for role in ("view", "edit"):
        p.request("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings" % p.ns, {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role + "s"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ambient-project-" + role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": role + "s"}]})
    for verb, api, resource, sub in (("patch", "vteam.ambient-code", "agenticsessions", ""), ("get", "", "pods", "proxy"),
                                     ("create", "", "pods", "proxy")):
        until(lambda v=verb, a=api, r=resource, b=sub: allowed("edits", v, a, r, b), what="editors to %s %s" % (verb, resource))
        assert not allowed("views", verb, api, resource, sub), (verb, resource)
    s.touch_when_up("go")
    s.wait("Completed")


FILES = ('W=$AMBIENT_SESSION_DIR/workspace; cd $W; mkdir -p d/e; printf abcdefghij > d/ten; : > empty; ln -s /etc/passwd link; '
         'ln -s / root; ln -s ../../.ambient inside; ln -s d to-d; mkfifo pipe; printf x > "a b%"; printf y > "$(printf "\\303\\244\\nz")"; '
         'head -c 3000000 /dev/zero | tr "\\0" z > big; chmod 600 d/ten; ' + GATED_BARE)


def get(c, path, **headers):
    answer = c.open("/v1/files?path=" + urllib.parse.quote(path, safe=""), headers=headers)
    text = answer.read()
    answer.connection.close()
    return answer.status, text, answer


def test_weakness_12_3_c_files_are_shown_to_those_with_a_key_and_no_link_is_followed(p):
    s = p.session("files", FILES)
    c = Client(p, s, value=None)
    ready(c)
    s.wait_file("up")
    assert c.ask("/v1/files", key=None)[0] == 401
    status, text, _ = get(c, "")
    listed = json.loads(text)
    entries = {e["name"]: e for e in listed["entries"]}
    assert status == 200 and listed["truncated"] is False and list(entries) == sorted(entries), listed
    kinds = {n: e["type"] for n, e in entries.items()}
    assert kinds["d"] == "directory" and kinds["pipe"] == "other" and kinds["link"] == kinds["root"] == kinds["to-d"] == "symlink", kinds
    assert entries["big"]["size"] == 3000000 and entries["\u00e4\nz"]["type"] == "file", entries
    assert [e["name"] for e in json.loads(get(c, "d")[1])["entries"]] == ["e", "ten"]
    ten = json.loads(get(c, "d/")[1])["entries"][1]
    assert (ten["mode"], ten["size"]) == ("0600", 10) and ten["mtime"].startswith("20"), ten
    # Whole, and parts of it.
    for name, want in (("d/ten", b"abcdefghij"), ("empty", b""), ("a b%", b"x"), ("\u00e4\nz", b"y"), ("big", b"z" * 3000000)):
        status, text, answer = get(c, name)
        assert status == 200 and text == want and answer.getheader("Content-Length") == str(len(want)), (name, status, len(text))
    for spec, want, said in (("bytes=2-4", b"cde", "bytes 2-4/10"), ("bytes=7-", b"hij", "bytes 7-9/10"), ("bytes=-2", b"ij", "bytes 8-9/10"),
                             ("bytes=0-99", b"abcdefghij", "bytes 0-9/10"), ("bytes=-99", b"abcdefghij", "bytes 0-9/10")):
        status, text, answer = get(c, "d/ten", Range=spec)
        assert (status, text, answer.getheader("Content-Range")) == (206, want, said), (spec, status, text)
    for spec in ("bytes=10-", "bytes=-0", "bytes=99-100"):
        assert get(c, "d/ten", Range=spec)[0] == 416, spec
    for spec in ("bytes=x-", "lines=1-2", "bytes=1-2,4-5", "bytes=5-4", "bytes=--1", "bytes=" + "9" * 50 + "-"):
        assert get(c, "d/ten", Range=spec)[:2] == (200, b"abcdefghij"), spec
    # What is none of the workspace's business.
    for bad, want in (("..", 400), (".", 400), ("../.ambient/messages.jsonl", 400), ("d/../empty", 400), ("/etc/passwd", 400), ("d//ten", 400),
                      ("x" * 256, 400), ("d/" * 3000, 400), ("link", 403), ("root/etc/passwd", 403), ("inside/messages.jsonl", 403),
                      ("to-d/ten", 403), ("pipe", 403), ("none", 404), ("d/none", 404), ("empty/x", 404)):
        status, text, _ = get(c, bad)
        assert status == want and "passwd" not in json.loads(text)["reason"], (bad, status, text)
    assert c.ask("/v1/files?path=empty%00/../../x")[0] in (200, 400, 404)
    for bad, want in (("1", 404), ("0", 400), ("x", 400), ("", 400)):
        assert c.ask("/v1/large?seq=" + bad)[0] == want, bad
    s.touch("go")
    s.wait("Completed")


def test_the_api_server_goes_and_comes_back(p):
    s = p.session("again", TALK)
    c = Client(p, s)
    ready(c)
    s.wait_file("up")
    s.touch("go1")
    lines = c.follow()
    seen = []
    for m in lines:
        seen.append(m)
        if m.get("text") == "part 1 line 200":
            break
    p.kill9()
    try:
        seen += list(lines)
    except (OSError, ValueError, http.client.HTTPException):
        pass
    p.restart()
    # A key that is made afterwards is seen: the runner watches again.
    d = Client(p, s, "later")
    ready(d)
    s.touch("go2")
    lines = d.follow(seen[-1]["seq"] + 1)
    seen.append(next(lines))
    s.touch("go3")
    seen += list(lines)
    s.wait("Completed")
    assert seen == s.messages(), (len(seen), len(s.messages()))


def ask_for_content(p, s):
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".%06dZ" % (time.time_ns() // 1000 % 1000000)
    p.patch(s.path, {"metadata": {"annotations": {"ambient-code.io/content-requested": when}}})
    until(lambda: s.status.get("contentRequested") == when, what="the content pod")


def test_weakness_12_2_c_what_a_session_left_is_shown_until_it_starts_again(p):
    s = p.session("left", "echo text > $AMBIENT_SESSION_DIR/workspace/kept; ln -s /etc/passwd $AMBIENT_SESSION_DIR/workspace/link; echo said")
    s.wait("Completed")
    ask_for_content(p, s)
    c = Client(p, s, "after")
    status = ready(c)
    assert status["state"] == "done" and status["readOnly"] is True and status["lastSeq"] == len(s.messages()), status
    assert list(c.follow()) == s.messages()  # ends, since nothing will come
    assert get(c, "kept")[1] == b"text\n" and get(c, "link")[0] == 403
    assert c.ask("/v1/files", key=None)[0] == 401
    said = c.ask("/v1/input", "POST", '{"type": "message", "id": "x", "text": "hello"}')
    assert said[0] == 403 and json.loads(said[1])["reason"] == "ReadOnly", said
    pod = p.get(p.core("pods", "left-content"))
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] and s.phase == "Completed", pod["spec"]
    # A run wants the files: the pod goes first.
    p.patch(s.path, {"metadata": {"annotations": {"ambient-code.io/desired-phase": "Running", "ambient-code.io/start-requested-at": "t"}}})
    until(lambda: s.status.get("runs") == 2 and s.phase == "Completed", what="the second run")
    there = p.get(p.core("pods", "left-content"))
    assert there is None, (there["metadata"], there["status"].get("phase"), s.get()["metadata"], s.status)
    events = [e["message"] for e in p.request("GET", p.core("events"))["items"] if e["reason"] == "ContentUnavailable"]
    assert not events, events


def test_a_session_with_a_long_name_shows_its_files(p):
    """Its pod cannot be named after it as a whole."""
    s = p.session("long-" + "x" * 70, "echo text > $AMBIENT_SESSION_DIR/workspace/kept")
    s.wait("Completed")
    done = p.ctl("files", s.name, "kept")
    assert done.returncode == 0 and done.stdout.endswith("text\n"), (done.returncode, done.stdout)
    p.request("DELETE", s.path)


def test_content_that_nobody_asks_for_goes(p):
    s, before = p.session("idle", "true"), p.agenticsession
    s.wait("Completed")
    p.stop()
    p.agenticsession = 'contentIdle = "1s";'
    p.restart()
    try:
        ask_for_content(p, s)
        until(lambda: p.get(p.core("pods", "idle-content")) is None, what="the content pod to go")
        events = [e["message"] for e in p.request("GET", p.core("events"))["items"] if e["reason"] == "ContentUnavailable"]
        assert not events, events
    finally:
        p.stop()
        p.agenticsession = before
        p.restart()


# Each of these would run something, in a repository that git reads as its own.
HOSTILE = ('git config core.fsmonitor "touch $W/fsmonitor; true"; git config diff.external "touch $W/external; true"; '
           'git config filter.evil.clean "touch $W/filter; cat"; git config diff.evil.textconv "touch $W/textconv; cat"; '
           'git config core.pager "touch $W/pager"; git config alias.status "!touch $W/alias"; '
           'printf "* filter=evil diff=evil\\n" > .gitattributes; mkdir -p .git/hooks; '
           'for h in post-index-change fsmonitor-watchman; do printf "#!/bin/sh\\ntouch $W/hook\\n" > .git/hooks/$h; chmod +x .git/hooks/$h; done; ')
CHANGES = ('W=$AMBIENT_SESSION_DIR/workspace; echo one > committed; git add committed; git commit -qm own; echo two >> README.md; '
           'printf "\\000\\001" > binary; git add binary; echo three > "new \u00e4.txt"; mkdir sub; echo four > sub/x; ln -s /etc/passwd passwd; ')


def test_a_session_that_never_ran_has_no_files(p):
    s = p.session("never", "true", runnerType="nosuch")
    s.wait("Failed")
    ask_for_content(p, s)
    c = Client(p, s, "never")
    ready(c)
    status, body = get(c, "")[:2]
    assert status == 404 and b"no run of the session has come to its workspace" in body, (status, body)
    p.request("DELETE", s.path)


def test_the_state_of_a_clone_is_told_and_nothing_in_it_runs(p):
    p.origins.make("looked")
    s = p.session("looked", CHANGES + HOSTILE + GATED_BARE, repos=[p.repo("looked")])
    c = Client(p, s)
    ready(c)
    s.wait_file("up")
    before = set(os.listdir(s.file("")))
    status, told = c.json("/v1/git?repo=looked&diff=true")
    assert status == 200, told
    head = lib.git("-C", s.file("looked"), "-c", "core.fsmonitor=false", "rev-parse", "HEAD")
    assert (told["branch"], told["commit"], told["ahead"]) == ("main", head, 1), told
    files = {f["path"]: f for f in told["files"]}
    assert files["README.md"] == {"path": "README.md", "code": ".M", "added": 1, "removed": 0}, files
    assert files["binary"] == {"path": "binary", "code": "A."}, files
    assert {n for n, f in files.items() if f["code"] == "??"} == {"new \u00e4.txt", "sub/", "passwd", ".gitattributes"}, files
    assert told["truncated"] is False and "+two" in told["diff"] and "root:" not in told["diff"], told["diff"]
    assert "diff" not in c.json("/v1/git?repo=looked")[1]
    for bad, want in (("", 400), ("..", 400), ("a/b", 400), ("-x", 400), ("other", 409), ("artifacts", 409)):
        assert c.json("/v1/git?repo=" + bad)[0] == want, bad
    assert set(os.listdir(s.file(""))) == before, os.listdir(s.file(""))
    s.touch("go")
    s.wait("Completed")
    # Afterwards, when the work was saved as a commit.
    ask_for_content(p, s)
    c = Client(p, s, "after")
    ready(c)
    status, told = c.json("/v1/git?repo=looked")
    assert status == 200 and told["ahead"] == 2 and told["branch"] == "main" and told["files"] == [], told


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
