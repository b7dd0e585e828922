# SPDX-License-Identifier: Apache-2.0
"""Three replicas that are killed, stopped and suspended at random while they count, with a leader and with shards, and
an API server that is suspended too.  No increment is lost, no term goes backwards, and what a replica sends too late is
refused as a conflict; in the end everything is counted.  evidence.py judges.

AMBIENT_SECONDS is how long, AMBIENT_SEED which schedule: the same seed is the same schedule."""
import hashlib
import json
import os
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../e2e")]
import evidence  # noqa: E402
import lib  # noqa: E402
from lib import Platform, until  # noqa: E402
from replicas import Replica  # noqa: E402

SECONDS = float(os.environ.get("AMBIENT_SECONDS", "24")) / 2  # of each scenario
SEED = os.environ.get("AMBIENT_SEED", "2")
SHARDS = 8
TIMES = 'name = "ambient"; duration = "2s"; renew = "1400ms"; retry = "400ms";'
LEASE = 2.0
KEYS = [("ns%d" % i, "t%d" % j) for i in range(10) for j in range(2)]
MAPS = "/api/v1/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


# ---- the schedule

def schedule(seed, target, seconds):
    """[(at, what, for how long, with a new identity?, as the leader?)] of one process."""
    dice = random.Random("%s/%s" % (seed, target))
    weights = {"suspend": 1} if target == "server" else {"suspend": 6, "kill": 3, "stop": 2, "suspend+kill": 1}
    at, found = dice.uniform(2, 6) if target == "server" else dice.uniform(0.3, 3), []
    while at < seconds:
        what = dice.choices(list(weights), weights.values())[0]
        if target == "server":
            hold = dice.uniform(0.05, 0.8 * LEASE)
        elif what == "suspend":
            hold = dice.choice((dice.uniform(0.01, 0.5), dice.uniform(0.5 * LEASE, 2 * LEASE)))
        else:
            hold = dice.uniform(0, 0.5 * LEASE)
        found.append((round(at, 3), what, round(hold, 3), dice.random() < 0.5, dice.random() < 0.7))
        at += hold + (dice.uniform(3, 8) if target == "server" else dice.uniform(0.3, 3))
    return found


class Actor(threading.Thread):
    """Plays one process's part."""

    def __init__(self, target, plan, act):
        super().__init__(daemon=True)
        self.target, self.plan, self.act, self.trouble, self.done = target, plan, act, None, []
        self.began = time.monotonic()

    def run(self):
        try:
            for at, what, hold, anew, leading in self.plan:
                lib.pause(max(0, self.began + at - time.monotonic()))
                self.act(self.target, what, hold, anew, leading)
                self.done.append(what)
        except Exception as e:  # told by the main thread
            self.trouble = e


class Member(Replica):
    """Writes into each start's file who it is: identities differ from start to start, or not; processes always do."""

    def __init__(self, platform, name, lease, term):
        super().__init__(platform, name, lease)
        self.term, self.process_number, self.identity_number, self.before = term, 0, 0, 0

    def begin(self, anew=True):
        self.process_number += 1
        self.identity_number += anew
        identity = "%s%d" % (self.name, self.identity_number)
        options = 'who = "%s/%d"; pause = "8ms"; %s' % (identity, self.process_number, self.term)
        self.configure(identity, "tally", options)
        self.before = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        self.start()

    def stop(self):
        """What has not said a word yet has not begun to mind signals either."""
        self.process.terminate()
        code = self.process.wait(lib.PATIENCE)
        young = os.path.getsize(self.log_path) == self.before
        assert code == 0 or (young and code == -signal.SIGTERM), "ended with %d: %s" % (code, self.log()[-2000:])

    def wait_to_lead(self):
        """For two leases at most: with a leader, what happens to the others shows little."""
        end = time.monotonic() + 2 * LEASE
        while self.term and not self.leads() and time.monotonic() < end:
            lib.pause(0.02)

    def alive(self):
        code = self.process.poll()
        assert code is None, "%s ended by itself with %d: %s" % (self.name, code, self.log()[-2000:])


def act_on_member(member, what, hold, anew, leading):
    if leading:
        member.wait_to_lead()
    member.alive()
    if what.startswith("suspend"):
        member.signal(signal.SIGSTOP)
        lib.pause(hold)
        if what == "suspend":
            member.signal(signal.SIGCONT)
            return
    if what == "stop":
        member.stop()
    else:
        member.kill()
    if what != "suspend+kill":
        lib.pause(hold)
    member.begin(anew)


def act_on_server(platform, _what, hold, _anew, _leading):
    platform.daemon.send_signal(signal.SIGSTOP)
    lib.pause(hold)
    platform.daemon.send_signal(signal.SIGCONT)


# ---- what is to be counted, and what is seen

class Demand(threading.Thread):
    """Goes on asking for more."""

    def __init__(self, p, seed, every):
        super().__init__(daemon=True)
        self.p, self.every, self.ending, self.trouble = p, every, threading.Event(), None
        self.wanted = dict.fromkeys(KEYS, 1)
        self.dice = random.Random(seed)

    def run(self):
        try:
            while not self.ending.wait(self.every):
                key = self.dice.choice(KEYS)
                self.wanted[key] += 1
                self.p.patch("/api/v1/namespaces/%s/configmaps/%s" % key, {"data": {"want": str(self.wanted[key])}})
        except (OSError, lib.Status) as e:
            self.trouble = e

    def end(self):
        self.ending.set()
        self.join()
        assert self.trouble is None, self.trouble


class Watch(threading.Thread):
    """Every version from `rv` on."""

    def __init__(self, p, path, rv):
        super().__init__(daemon=True)
        self.events, self.trouble = [], None
        conn = p._connect()
        conn.request("GET", "%swatch=1&timeoutSeconds=86400&resourceVersion=%s" % (path, rv))
        self.answer, self.conn = conn.getresponse(), conn
        assert self.answer.status == 200, self.answer.read()
        self.start()

    def run(self):
        try:
            while line := self.answer.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise AssertionError(event)
                value = event["object"]
                self.events.append((int(value["metadata"]["resourceVersion"]), value, event["type"] == "DELETED"))
        except (OSError, ValueError, AssertionError) as e:
            self.trouble = e

    def newest(self):
        assert self.trouble is None and self.is_alive(), "the watch broke: %s" % self.trouble
        return self.events[-1][0] if self.events else 0


class Scenario:
    def __init__(self, name, lease, term=""):
        self.p, self.name = Platform("chaos-" + name), name
        self.audit = os.path.join(self.p.dir, "audit.log")
        self.p.apiserver = (
            'auditFile = "%s"; auditLevel = "None"; auditMaxSize = "100GiB"; '
            'auditRules = ( { level = "Request"; verbs = [ "update" ]; resources = [ "configmaps" ]; } );' % self.audit)
        self.members, self.actors = [], []
        try:
            self.p.start(without=("workloads", "node", "agenticsession", "runner-command", "runner-claude-code"))
            for ns in sorted({ns for ns, _ in KEYS}):
                self.p.namespace(ns)
            rv = self.p.get(MAPS)["metadata"]["resourceVersion"]
            self.maps = Watch(self.p, MAPS + "?labelSelector=tally%3Dyes&", rv)
            self.leases = Watch(self.p, LEASES + "?", rv)
            for ns, key in KEYS:
                self.make(ns, key)
            # A replica sends at most 50 requests a second.  A leader needs two for each increment: it hardly keeps up, so
            # that some of its writes wait when it is suspended.
            self.demand = Demand(self.p, SEED, 0.04 if term else 0.015)
            self.members = [Member(self.p, r, TIMES + lease, term) for r in "abc"]
        except BaseException:
            self.p.close()
            raise

    def make(self, ns, name, want="1"):
        return self.p.request("POST", "/api/v1/namespaces/%s/configmaps" % ns, {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"tally": "yes"}},
            "data": {"want": want}})

    def close(self):
        for m in self.members:
            m.close()
        self.p.close()

    def rage(self):
        """The schedule, from its begin to its end; then everybody is well again."""
        plans = {m: schedule(SEED, m.name, SECONDS) for m in self.members}
        plans[self.p] = schedule(SEED, "server", SECONDS)
        told = json.dumps(list(plans.values())).encode()
        digest = hashlib.sha256(told).hexdigest()[:12]
        print("# %s: seed %s, %g s, schedule %s" % (self.name, SEED, SECONDS, digest), flush=True)
        for m in self.members:
            m.begin()
        self.demand.start()
        self.actors = [Actor(t, plan, act_on_server if t is self.p else act_on_member) for t, plan in plans.items()]
        for a in self.actors:
            a.start()
        for a in self.actors:
            a.join()
            assert a.trouble is None, a.trouble
        lib.pause(max(0, self.actors[0].began + SECONDS - time.monotonic()))
        self.demand.end()
        until(self.settled, what="every change to be counted")
        for m in self.members:
            m.alive()

    def settled(self):
        counted = {evidence.key_of(v): v["data"].get("count") for _, v, _ in self.maps.events}
        self.maps.newest()
        return all(counted.get(key) == str(n) for key, n in self.demand.wanted.items())

    def collect(self):
        """Stops the replicas, and waits until the watches and the audit log have shown everything."""
        for m in self.members:
            m.alive()
            m.stop()
        last = int(self.make("ns0", "the-last", "0")["metadata"]["resourceVersion"])
        until(lambda: self.maps.newest() >= last, what="the watch to catch up")
        self.p.request("PUT", "/api/v1/namespaces/ns0/configmaps/the-last", {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "the-last"}})
        lease = self.p.request("POST", LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                                                "metadata": {"name": "the-last"}, "spec": {"holderIdentity": "nobody"}})
        until(lambda: self.leases.newest() >= int(lease["metadata"]["resourceVersion"]), what="the watch to catch up")
        self.leases.events.pop()
        return [e for e in until(self.audited, what="the audit log") if e["objectRef"]["name"] != "the-last"]

    def audited(self):
        with open(self.audit, encoding="utf-8") as f:
            text = f.read()
        events = [json.loads(line) for line in text.splitlines()] if text.endswith("\n") else []
        return events if events and events[-1]["objectRef"]["name"] == "the-last" else None

    def acknowledged(self):
        for m in self.members:
            for line in m.log().splitlines():
                _, found, rest = line.partition(" tally did ")
                if found:
                    key, n = rest.split()[:2]
                    yield (m.name, *key.split("/"), int(n))

    def judge(self, late_of):
        """late_of: increments, Leases -> those that came late."""
        events = self.collect()
        incs = evidence.increments([(rv, v) for rv, v, deleted in self.maps.events if not deleted])
        late = late_of(incs, self.leases.events)
        conflicts = evidence.judge_audit(events, incs)
        acknowledged = list(self.acknowledged())
        evidence.judge_acknowledged(acknowledged, incs)
        assert len(incs) == sum(self.demand.wanted.values()), (len(incs), sum(self.demand.wanted.values()))
        done = [what for a in self.actors for what in a.done]
        shares = {m.name: sum(i.identity.startswith(m.name) for i in incs) for m in self.members}
        print("# %s: %d increments %s, %d refused as conflicts, %d without an acknowledgement, %d late; %s" % (
            self.name, len(incs), shares, conflicts, len(incs) - len(acknowledged), len(late),
            ", ".join("%d %s" % (done.count(k), k) for k in sorted(set(done)))), flush=True)
        # What a replica has sent in the instant before it was suspended can arrive first of all and still lose nothing.
        assert len(late) <= 1, "late, and not refused: %s" % ", ".join(map(str, late))
        return incs, shares


def run(scenario, late_of, in_the_end):
    try:
        scenario.rage()
        until(in_the_end, what="the replicas to agree")
        return scenario.judge(late_of)
    except BaseException:
        print("# AMBIENT_SEED=%s AMBIENT_SECONDS=%g repeats this schedule" % (SEED, SECONDS * 2))
        raise
    finally:
        scenario.close()


# ---- tests

def test_a_leader(_):
    s = Scenario("leader", "", 'lease = "default/ambient";')
    run(s, lambda incs, leases: evidence.judge_leader(incs, leases, "ambient"),
        lambda: sum(m.leads() for m in s.members) == 1)
    terms = evidence.leader_tenures(s.leases.events, "ambient")
    print("# leader: %d terms" % len(terms))
    assert len(terms) > 1, "nobody took over"


def owned_once(members):
    """Each shard by one, and all know of all.  That one has none is rare and right: hashing gives it none of so few."""
    owned = [m.owned() for m in members]
    return sum(map(len, owned)) == len(set().union(*owned)) == SHARDS and all(
        " members=%d\n" % len(members) in m.ask() for m in members)


def test_shards(_):
    s = Scenario("shards", " shards = %d;" % SHARDS)
    _, shares = run(s, lambda incs, leases: evidence.judge_shards(incs, leases, SHARDS), lambda: owned_once(s.members))
    tenures = evidence.shard_tenures(s.leases.events)
    print("# shards: %d tenures" % sum(map(len, tenures.values())))
    # How many it is depends on the machine: one that is busy starts a replica in seconds.
    assert sum(n > 0 for n in shares.values()) > 1, "one did everything"
    assert sum(map(len, tenures.values())) > SHARDS, "nothing was ever handed over"


# ---- can the judge say no?

def versions(*rows):
    found = []
    for rv, count, trail in rows:
        data = {"count": str(count), "trail": trail}
        found.append((rv, {"metadata": {"namespace": "ns0", "name": "t"}, "data": data}))
    return found


def lead(rv, holder, term):
    return rv, {"metadata": {"name": "l"}, "spec": {"holderIdentity": holder, "leaseTransitions": term}}, False


def member(rv, name, claim, deleted=False):
    return rv, {"metadata": {"name": "l-" + name, "annotations": {evidence.CLAIM: "v1 of=1 held=" + claim}},
                "spec": {"holderIdentity": name + "1"}}, deleted


def refused(what, judge, *args):
    try:
        judge(*args)
    except evidence.Violation as e:
        assert what in str(e), e
        return
    raise AssertionError("\"%s\" was not seen" % what)


def test_the_judge_says_no(_):
    def leader(rows, *leases):
        return evidence.judge_leader(evidence.increments(versions(*rows)), leases, "l")

    def shards(rows, *leases):
        return evidence.judge_shards(evidence.increments(versions(*rows)), leases, 1)

    two = lead(1, "a1", 0), lead(10, "b1", 1)
    assert leader([(2, 1, "a1/1@0"), (11, 2, "a1/1@0 b1/1@1")], *two) == []
    assert len(leader([(12, 1, "a1/1@0"), (13, 2, "a1/1@0 b1/1@1")], *two)) == 1  # late
    refused("is lost", leader, [(2, 1, "a1/1@0"), (3, 1, "b1/1@1")], *two)
    refused("is lost", leader, [(2, 1, "a1/1@0"), (3, 3, "a1/1@0 a1/1@0 a1/1@0")], *two)
    refused("is lost", leader, [(2, 1, "a1/1@0"), (3, 1, "a1/1@0 a1/1@0")], *two)
    refused("goes backwards", leader, [(11, 1, "b1/1@1"), (12, 2, "b1/1@1 a1/1@0")], *two)
    refused("never had", leader, [(2, 1, "b1/1@1")], *two)
    refused("never had", leader, [(11, 1, "a1/1@1")], *two)  # in another one's term
    refused("goes backwards", leader, [], lead(1, "a1", 1), lead(2, "b1", 0))
    refused("of one holder", leader, [], lead(1, "a1", 1), lead(2, "b1", 1))
    handed = member(1, "a", "0"), member(5, "b", "0"), member(9, "a", "none")
    assert shards([(2, 1, "a1/1@0"), (10, 2, "a1/1@0 b1/1@0")], *handed) == []
    refused("two at work", shards, [(2, 1, "a1/1@0"), (6, 2, "a1/1@0 b1/1@0")], *handed)
    removed = member(1, "a", "0"), member(5, "b", "0"), member(9, "a", "0", True)
    assert len(shards([(10, 1, "a1/1@0"), (11, 2, "a1/1@0 b1/1@0")], *removed)) == 1
    refused("goes backwards", shards, [(10, 1, "b1/1@0"), (11, 2, "b1/1@0 a1/1@0")], *removed)
    incs = evidence.increments(versions((2, 1, "a1/1@0")))
    refused("is lost", evidence.judge_acknowledged, [("b", "ns0", "t", 1)], incs)
    refused("is lost", evidence.judge_acknowledged, [("a", "ns0", "t", 2)], incs)
    event = {"objectRef": {"namespace": "ns0", "name": "t"},
             "requestObject": {"data": {"count": "1", "trail": "a1/1@0"}}}
    assert evidence.judge_audit([{**event, "responseStatus": {"code": c}} for c in (409, 200)], incs) == 1
    cut = {"responseStatus": {"code": 400}}
    assert evidence.judge_audit([cut, {**event, "responseStatus": {"code": 200}}], incs) == 0
    refused("answered with 400", evidence.judge_audit, [{**event, "responseStatus": {"code": 400}}], incs)
    refused("answered with 500", evidence.judge_audit, [{**event, "responseStatus": {"code": 500}}], incs)
    refused("differ", evidence.judge_audit, [], incs)


def test_a_seed_is_a_schedule(_):
    for target in ("a", "server"):
        assert schedule("7", target, 60) == schedule("7", target, 60) != schedule("8", target, 60)
    assert {what for _, what, *_ in schedule("7", "a", 600)} == {"suspend", "kill", "stop", "suspend+kill"}


if __name__ == "__main__":
    sys.exit(lib.Tap([f for n, f in list(vars().items()) if n.startswith("test_")]).run(None))
