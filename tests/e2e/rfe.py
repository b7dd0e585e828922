# SPDX-License-Identifier: Apache-2.0
"""Feature requests on their way through the agents, whom programs play: the council from end to end, what people do to
it meanwhile, and the workflows of older clients, whose steps a person starts."""
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import GROUP, Platform, until  # noqa: E402

FLOWS = "/apis/vteam.ambient-code/v1alpha1/namespaces/%s/rfeworkflows"
COUNCIL = ["Product Manager", "Solution Architect", "Staff Engineer", "Product Owner", "Team Lead", "Team Member",
           "Delivery Owner"]
ENDS = ("Completed", "Failed", "Cancelled")
RUN, AT = "ambient-code.io/run-step", "ambient-code.io/run-requested-at"
# What an agent says: who it is, how many have spoken before it, and what the last of them has said.
SPEAK = 'echo "$AGENT_PERSONA after $(grep -c "^## " "$AMBIENT_PROMPT_FILE") of $PARENT_RFE, hearing: ' \
        '$(grep " after [0-9]* of " "$AMBIENT_PROMPT_FILE" | tail -1 | cut -d" " -f1)"'


class Flow:
    def __init__(self, p, name, script=SPEAK, **spec):
        self.p, self.name = p, name
        self.path = FLOWS % p.ns + "/" + name
        if "request" not in spec and "title" not in spec:
            spec["request"] = "People want to log in with the account that they have."
        spec = {"runnerType": "command", "runnerConfig": {"command": ["sh", "-c", script]}, **spec}
        p.request("POST", FLOWS % p.ns, {"apiVersion": "vteam.ambient-code/v1alpha1", "kind": "RFEWorkflow",
                                         "metadata": {"name": name}, "spec": spec})

    @property
    def status(self):
        return (self.p.get(self.path) or {}).get("status", {})

    @property
    def steps(self):
        return self.status.get("steps", [])

    def condition(self, kind):
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})

    def wait(self, phase, reason=None):
        def there():
            now = self.status.get("phase")
            if now in ENDS and now != phase:
                raise AssertionError("%s is %s, not %s: %s" % (self.name, now, phase, self.status))
            return now == phase and (reason is None or self.condition("Ready").get("reason") == reason)
        try:
            until(there, lib.PATIENCE * 3, "%s to be %s" % (self.name, phase))
        except AssertionError as e:
            raise AssertionError("%s\nit is: %s\n%s" % (e, json.dumps(self.status), self.p.log()[-1500:])) from None

    def session(self, step):
        """The session that runs as that step."""
        def there():
            return next((s["session"] for s in self.steps if s["name"] == step and s["status"] == "Running"), None)
        return lib.Session(self.p, until(there, what="step %s of %s to run: %s" % (step, self.name, self.status)), self.p.ns)

    def sessions(self):
        items = self.p.request("GET", GROUP % self.p.ns + "?labelSelector=rfe-workflow")["items"]
        return sorted(s["metadata"]["name"] for s in items if s["metadata"]["ownerReferences"][0]["name"] == self.name)

    def patch(self, **spec):
        self.p.patch(self.path, {"spec": spec})

    def run(self, step, at="1"):
        self.p.patch(self.path, {"metadata": {"annotations": {RUN: step, AT: at}}})

    def events(self):
        return [e["reason"] for e in self.p.request("GET", self.p.core("events"))["items"]
                if e["involvedObject"]["kind"] == "RFEWorkflow" and e["involvedObject"]["name"] == self.name]


# ---- the council

def test_the_council_from_end_to_end(p):
    p.origins.make("service")
    f = Flow(p, "council", repos=[p.repo("service")], context="There are three identity providers.", stepTimeout=600)
    f.wait("Completed")
    s = f.status
    assert [x["agent"] for x in s["steps"]] == COUNCIL, s
    assert [x["stepNumber"] for x in s["steps"]] == [1, 2, 3, 4, 5, 6, 7] and s["currentStep"] == 7, s
    ids = [a.lower().replace(" ", "-") for a in COUNCIL]
    for i, step in enumerate(s["steps"]):
        assert step["status"] == "Completed" and step["startTime"] <= step["completionTime"], step
        hears = ids[i - 1] if i else ""
        assert step["output"].strip() == ("%s after %d of council, hearing: %s" % (ids[i], i, hears)).strip(), step
    assert s["finalRFE"] == "synthesis after 7 of council, hearing: delivery-owner", s["finalRFE"]
    assert s["progress"] == 100 and s["startTime"] <= s["completionTime"] and s["status"] == "completed", s
    assert f.condition("Completed")["observedGeneration"] == p.get(f.path)["metadata"]["generation"]
    assert len(f.sessions()) == 8, f.sessions()
    first = p.get(GROUP % p.ns + "/council-product-manager-1")
    assert first["spec"]["timeout"] == 600 and first["spec"]["repos"] == [p.repo("service")], first["spec"]
    assert "three identity providers" in first["spec"]["prompt"] and "log in with the account" in first["spec"]["prompt"]
    assert first["metadata"]["labels"]["rfe-phase"] == first["metadata"]["labels"]["agent-persona"] == "product-manager"
    assert first["metadata"]["ownerReferences"][0]["apiVersion"] == "vteam.ambient-code/v1alpha1"
    until(lambda: {"StepStarted", "StepCompleted", "Completed"} <= set(f.events()), what="its events: %s" % f.events())
    # With the workflow goes all that was made for it.
    p.request("DELETE", f.path)
    until(lambda: not f.sessions() and not p.request("GET", p.core("persistentvolumeclaims"))["items"], what="all of it to go")


def make():
    p = Platform("rfe")
    p.start()
    p.namespace()
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
