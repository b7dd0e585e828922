# SPDX-License-Identifier: Apache-2.0
"""`ambient-runner jira`, as a pod starts it, against a Jira on loopback: what is sent, what is found again, and a sentence
for each way in which it can fail."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from jira_api import Jira  # noqa: E402
from runner_lab import PATIENCE, RUNNER, Tap, free_port  # noqa: E402

FOLDER = "specs/x"


class Lab:
    """A clone with documents, and a Jira."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="amb-jira-", dir="/tmp")
        self.fresh()

    def fresh(self):
        self.jira = Jira()
        shutil.rmtree(os.path.join(self.dir, "specs"), ignore_errors=True)
        os.makedirs(os.path.join(self.dir, FOLDER))
        self.write("spec.md", "# Export\n\n## Execution Flow (main)\n1. secret steps\n\n## Requirements\nR1\n")
        self.write("plan.md", "# Plan\n")
        self.write("tasks.md", "# Tasks\n")
        return self.jira

    def write(self, name, text):
        with open(os.path.join(self.dir, FOLDER, name), "w") as f:
            f.write(text)

    def run(self, document="spec.md", env=None, **order):
        order = {"path": FOLDER + "/" + document, "type": "Feature Request", "summary": "Export - specify", "label": "ambient-1",
                 "source": "https://git.example/spec.md", **order}
        done = subprocess.run([RUNNER, "jira"], cwd=self.dir, input=json.dumps(order), text=True, timeout=60 * PATIENCE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
                                   "AMBIENT_RUNNER_CONTRACT": "1", "AMBIENT_JIRA_RETRY_MS": "1", "JIRA_URL": self.jira.url,
                                   "JIRA_PROJECT": "ABC", "JIRA_API_TOKEN": "t0ken", **(env or {})})
        assert "t0ken" not in done.stdout + done.stderr, (done.stdout, done.stderr)
        said = json.loads(done.stdout)
        assert (done.returncode == 0) == ("key" in said), (done.returncode, said, done.stderr)
        return said

    def fails(self, reason, *words, **how):
        said = self.run(**how)
        assert said.get("reason") == reason and all(w in said["text"] for w in words), said

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def test_a_document_becomes_an_issue_and_later_its_change(lab):
    j = lab.fresh()
    j.issues["ABC-0"] = {"labels": [], "attachment": [], "issuelinks": []}
    said = lab.run(parent="ABC-0")
    assert said == {"key": "ABC-2", "url": j.url + "/browse/ABC-2", "created": True, "left": ""}, said
    issue = j.issues["ABC-2"]
    assert issue["summary"] == "Export - specify" and issue["issuetype"] == {"name": "Feature Request"}, issue
    assert issue["description"] == "Source: https://git.example/spec.md\n\n# Export\n\n## Requirements\nR1\n", issue
    assert issue["parent"] == {"key": "ABC-0"} and issue["labels"] == ["ambient-1"], issue
    # By its key, and by its label when nobody knows the key: never a second issue.
    lab.write("spec.md", "# Export\nanother\n")
    said = lab.run(key="ABC-2")
    assert said["key"] == "ABC-2" and not said["created"] and "another" in issue["description"], said
    lab.write("spec.md", "# Export\na third\n")
    said = lab.run()
    assert said["key"] == "ABC-2" and not said["created"] and "a third" in issue["description"], said
    assert len(j.issues) == 2 and j.count("POST", "/issue$") == 1, j.requests


def test_the_answer_was_lost_after_the_issue_was_made(lab):
    j = lab.fresh()
    j.fault("POST", "/issue$", 0)
    lab.fails("JiraUnreachable", j.url)
    assert len(j.issues) == 1
    assert lab.run() == {"key": "ABC-1", "url": j.url + "/browse/ABC-1", "created": False, "left": ""} and len(j.issues) == 1


def test_links_and_attachments(lab):
    j = lab.fresh()
    lab.write("research.md", "found out\n")
    lab.write("data-model.md", "data\n")
    files = ["data-model.md", "quickstart.md", "research.md"]
    plan = lab.run("plan.md", type="Feature", label="ambient-2", attachments=files)
    assert plan["left"] == "" and j.issues["ABC-1"]["attachment"] == [("data-model.md", b"data\n"), ("research.md", b"found out\n")], j.issues
    lab.run("plan.md", type="Feature", label="ambient-2", attachments=files)
    assert len(j.issues["ABC-1"]["attachment"]) == 2, "attached twice"
    lab.write("research.md", "found out more\n")
    lab.run("plan.md", type="Feature", key="ABC-1", attachments=files)
    assert j.issues["ABC-1"]["attachment"][2] == ("research.md", b"found out more\n"), j.issues
    for _ in range(2):
        tasks = lab.run("tasks.md", type="Epic", label="ambient-3", implements="ABC-1")
    assert tasks["left"] == "" and j.issues["ABC-2"]["issuelinks"] == [("outwardIssue", "ABC-1")], j.issues
    # The issue is there without them, and what is missing is said.
    j.fault("POST", "/issueLink$", 404, b'{"errorMessages":["No issue link type with that name"]}')
    said = lab.run("tasks.md", type="Epic", label="ambient-4", implements="ABC-1")
    assert said["key"] == "ABC-3" and "link to the plan" in said["left"] and "No issue link type" in said["left"], said
    os.symlink("/etc/hostname", os.path.join(lab.dir, FOLDER, "quickstart.md"))
    said = lab.run("plan.md", type="Feature", key="ABC-1", attachments=files)
    assert said["left"].startswith("quickstart.md: ") and len(j.issues["ABC-1"]["attachment"]) == 3, said


def test_each_refusal_has_a_reason_and_a_sentence(lab):
    j = lab.fresh()
    lab.fails("JiraUnauthorized", "401", "JIRA_API_TOKEN", "not authenticated", env={"JIRA_API_TOKEN": "t0ken2"})
    lab.fails("JiraIssueMissing", "ABC-7", "spec.jiraLinks", key="ABC-7")
    lab.fails("JiraRejected", "400", "valid issue type", type="Story")
    lab.fails("JiraRejected", "Could not find issue", parent="ABC-99")
    assert not j.issues
    j.fault("POST", "/issue$", 403, b'{"errorMessages":["You do not have permission to create issues in this project."]}')
    lab.fails("JiraForbidden", "403", "permission to create")
    j.fault("POST", "/search$", 404, b"<html>nothing here</html>")
    lab.fails("JiraNotFound", "404", "JIRA_URL")
    assert not j.issues


def test_busy_and_broken_servers(lab):
    j = lab.fresh()
    # What may be repeated is, three times; what may have made something is not.
    j.fault("POST", "/search$", 500, times=2)
    assert lab.run()["created"] and j.count("POST", "/search$") == 3
    j.fault("POST", "/search$", 502, times=3)
    lab.fails("JiraUnavailable", "502", "later")
    j.fault("POST", "/issue$", 500)
    lab.fails("JiraUnavailable", "500", label="ambient-5")
    assert j.count("POST", "/issue$") == 2, j.requests
    j.fault("POST", "/issue$", 503)
    assert lab.run(label="ambient-5")["created"]
    j.fault("POST", "/issue$", 429, headers=[("Retry-After", "3600")])
    lab.fails("JiraRateLimited", "429", label="ambient-6")
    j.fault("PUT", "/issue/", 0, times=3)
    lab.fails("JiraUnreachable", j.url)
    assert j.count("PUT", "/issue/") == 3


def test_garbage(lab):
    j = lab.fresh()
    for body in (b"", b"<html>", b"[]", b'{"key": 7}', b'{"key": "../../etc"}', b'{"key":"ABC-1","key":"ABC-2"}', b'{"key":"ABC-1" ' * 9):
        j.fault("POST", "/issue$", 201, body)
        lab.fails("JiraAnswerInvalid", "JIRA_URL", label="ambient-garbage")
    for body in (b"\xff\xfe", b'{"issues":[{"key":"ABC-1/../.."}]}', b'"x"'):
        j.fault("POST", "/search$", 200, body)
        lab.fails("JiraAnswerInvalid")
    j.fault("POST", "/search$", 200, b'{"issues":[' + b" " * (5 << 20) + b"]}")
    lab.fails("JiraAnswerInvalid", "more than 4 MiB")
    assert not j.issues


def test_a_redirect_does_not_get_the_token(lab):
    j, other = lab.fresh(), Jira()
    for status in (301, 302, 307, 308):
        j.fault("POST", "/search$", status, headers=[("Location", other.url + "/rest/api/2/search")])
        lab.fails("JiraRedirected", str(status), "127.0.0.1:%d" % other.port)
    assert not other.requests, other.requests
    other.close()


def test_servers_that_are_not_there(lab):
    lab.fresh()
    lab.fails("JiraUnreachable", env={"JIRA_URL": "http://127.0.0.1:%d" % free_port()})
    with socket.create_server(("127.0.0.1", 0)) as s:  # takes connections, speaks no TLS
        s.listen()
        url = "https://127.0.0.1:%d" % s.getsockname()[1]

        def hang_up():
            for _ in range(3):
                s.accept()[0].close()
        threading.Thread(target=hang_up, daemon=True).start()
        lab.fails("JiraUnreachable", url, env={"JIRA_URL": url})


def test_documents_that_cannot_be_published(lab):
    j = lab.fresh()
    lab.fails("DocumentMissing", "specs/x/other.md", "has to come first", document="other.md")
    os.symlink("/etc/passwd", os.path.join(lab.dir, FOLDER, "link.md"))
    lab.fails("DocumentUnreadable", "link", document="link.md")
    os.symlink("/etc", os.path.join(lab.dir, FOLDER, "etc"))
    lab.fails("DocumentUnreadable", "link", document="etc/passwd")
    lab.fails("DocumentUnreadable", path="../" * 12 + "etc/passwd")
    lab.fails("DocumentUnreadable", path="/etc/passwd")
    os.mkfifo(os.path.join(lab.dir, FOLDER, "pipe.md"))
    lab.fails("DocumentUnreadable", "no regular file", document="pipe.md")
    lab.write("large.md", "x" * (2 << 20))
    lab.fails("DocumentUnreadable", "1 MiB", document="large.md")
    lab.write("long.md", "\u20ac" * 40000)
    assert lab.run("long.md", label="ambient-7")["created"]
    assert "[cut here: " in j.issues["ABC-1"]["description"]
    lab.write("binary.md", "a\0b\x1b[31m")
    assert lab.run("binary.md", label="ambient-8")["created"]


def test_orders_that_are_wrong(lab):
    lab.fresh()
    lab.fails("JiraOrderInvalid", "label", label='x" OR project = "Y')
    lab.fails("JiraOrderInvalid", "no key of an issue", key="../x")
    lab.fails("JiraNotConfigured", "JIRA_URL", env={"JIRA_URL": ""})
    lab.fails("JiraNotConfigured", "plain http", env={"JIRA_URL": "http://jira.example.com"})
    lab.fails("JiraNotConfigured", "JIRA_PROJECT", env={"JIRA_PROJECT": "x y"})
    lab.fails("JiraNotConfigured", "JIRA_EMAIL", env={"JIRA_URL": "https://x.atlassian.net"})


if __name__ == "__main__":
    LAB = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(LAB)
    finally:
        LAB.close()
    sys.exit(code)
