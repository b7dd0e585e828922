# SPDX-License-Identifier: Apache-2.0
"""Three replicas that share shards (ADR 50), while sessions go on changing: one is stopped and comes back, one is killed,
one is suspended for longer than its lease.  Every change is reconciled, by one of them, and no two work in one namespace
at a time."""
import datetime
import os
import random
import signal
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from lib import Platform, until  # noqa: E402
from replicas import Replica, counted, now, session, want  # noqa: E402

SHARDS = 16
LEASE = 'shards = %d; duration = "6s"; renew = "4s"; retry = "1s";' % SHARDS
EVERYTHING = set(range(SHARDS))
KEYS = [("ns%d" % i, "s%d" % j) for i in range(12) for j in range(2)]


class Changes:
    """Somebody who goes on asking for more."""

    def __init__(self, p):
        self.p, self.wanted, self.stopped = p, dict.fromkeys(KEYS, 1), threading.Event()
        self.trouble = None
        self.dice = random.Random(7)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.stopped.wait(0.03):
                key = self.dice.choice(KEYS)
                self.wanted[key] += 1
                want(self.p, *key, self.wanted[key])
        except (OSError, lib.Status) as e:
            self.trouble = e

    def end(self):
        self.stopped.set()
        self.thread.join()
        assert self.trouble is None, self.trouble

    def settled(self):
        return all(counted(self.p, *key) == n for key, n in self.wanted.items())


class Lab:
    def __init__(self):
        self.p = Platform("shards")
        self.p.start(without=("workloads", "node", "agenticsession", "runner-command", "runner-claude-code"))
        for i in range(12):
            self.p.namespace("ns%d" % i)
        for key in KEYS:
            session(self.p, *key)
            want(self.p, *key, 1)
        self.replicas = [Replica(self.p, "replica-" + r, LEASE, 'pause = "20ms";') for r in "abc"]
        self.changes = Changes(self.p)
        self.absent = {}  # replica -> times in which it was not there

    def close(self):
        for r in self.replicas:
            r.close()
        self.p.close()


def share(*replicas):
    """Everything is owned, by these, and nothing twice."""
    owned = [r.owned() for r in replicas]
    return sum(map(len, owned)) == SHARDS and set().union(*owned) == EVERYTHING and all(owned)


def renewal(p, replica):
    """When its Lease was renewed for the last time."""
    leases = p.request("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases")["items"]
    (spec,) = [o["spec"] for o in leases if o["spec"].get("holderIdentity") == replica.name and o["spec"].get("renewTime")]
    when = datetime.datetime.strptime(spec["renewTime"], "%Y-%m-%dT%H:%M:%S.%fZ")
    return when.replace(tzinfo=datetime.timezone.utc).timestamp()


def test_three_share_everything(lab):
    for r in lab.replicas:
        r.start()
    until(lambda: share(*lab.replicas), what="three to share")
    until(lab.changes.settled, what="the first changes")
    until(lambda: all("ready=yes" in r.ask() for r in lab.replicas), what="all to be ready")
    lab.changes.thread.start()
    until(lambda: all(any(e[1] == "did" for e in r.evidence()) for r in lab.replicas), what="each to do something")


def test_each_key_is_explained_by_its_owner(lab):
    for ns, name in KEYS[::2]:
        def explained():
            told = [r.ask("explain %s/%s" % (ns, name)) for r in lab.replicas]
            return (sum("is not this replica's: the Leases" in t for t in told) == 2 and
                    sum('"causes":[{' in t and "elsewhere" not in t for t in told) == 1)

        until(explained, what="one to explain %s/%s, and two to say that it is another's" % (ns, name))


def test_one_is_stopped_and_comes_back(lab):
    a, b, c = lab.replicas
    began = now()
    a.stop()
    until(lambda: share(b, c), what="two to share")
    print("# stopped: shared out %.2f s after the signal" % (now() - began))
    assert 'of "%s" was not renewed' % a.name not in b.log() + c.log(), "its Lease was removed by the others"
    a.start()
    until(lambda: share(a, b, c), what="three to share again")


def test_one_is_killed(lab):
    a, b, c = lab.replicas
    b.kill()
    lab.absent[b] = [(now(), now() + 1e9)]
    began, renewed = now(), renewal(lab.p, b)
    until(lambda: share(a, c), what="two to share")
    print("# killed: shared out after %.2f s, %.2f s after the lease was renewed" % (now() - began, now() - renewed))
    assert now() - renewed > 5.5, "its lease was not waited for"


def test_one_is_suspended_for_longer_than_its_lease(lab):
    a, b, c = lab.replicas
    c.signal(signal.SIGSTOP)
    stopped = now()
    until(lambda: a.owned() == EVERYTHING, what="one to own everything")
    before = {key: counted(lab.p, *key) for key in KEYS}
    until(lambda: sum(counted(lab.p, *key) > n for key, n in before.items()) > 12, what="work in most sessions")
    c.signal(signal.SIGCONT)
    lab.absent[c] = [(stopped, now())]
    until(lambda: "was removed by somebody else" in c.log(), what="it to notice")
    until(lambda: share(a, c), what="two to share")
    b.start()
    lab.absent[b] = [(lab.absent[b][0][0], now())]
    until(lambda: share(a, b, c), what="three to share")


def test_nothing_is_lost(lab):
    lab.changes.end()
    until(lab.changes.settled, what="every change to be reconciled")
    assert sum(lab.changes.wanted.values()) > 150


def intervals(lab, replica):
    """(from, to, namespace, how it ended) of its calls.  One that a kill or a suspension cut ended there."""
    open_calls = {}
    for when, what, ns, name, n in replica.evidence():
        key = (ns, name)
        if what == "begins":
            open_calls[key] = when
        elif key in open_calls:
            yield open_calls.pop(key), when, ns, what
    for (ns, _), when in open_calls.items():
        yield when, 1e12, ns, "cut"


def cut(lab, replica, begin, end):
    for gone, back in lab.absent.get(replica, ()):
        if begin <= gone < end:
            return gone
    return end


def test_each_step_was_done_once(lab):
    done = {}
    for r in lab.replicas:
        for _, what, ns, name, n in r.evidence():
            if what == "did":
                done.setdefault((ns, name, n), []).append(r.name)
    twice = {k: v for k, v in done.items() if len(v) > 1}
    assert not twice, twice
    # A write whose answer a kill cut off is in the object, and in no log.
    missing = [(key, n) for key, wanted in lab.changes.wanted.items() for n in range(1, wanted + 1) if key + (n,) not in done]
    assert len(missing) <= 4, missing
    shares = {r.name: sum(v == [r.name] for v in done.values()) for r in lab.replicas}
    print("# %d steps: %s" % (len(done), shares))
    assert all(shares.values()), shares


def was_let_in_before(lab, replica, begin, what):
    """A suspension may fall between the look at the lease and the line that a call begins: it says so when the process goes on,
    and may write nothing."""
    return what == "failed" and any(gone <= begin < back + 1 for gone, back in lab.absent.get(replica, ()))


def around(lab, when):
    """What the replicas said of leases and did, some seconds around a time."""
    said = []
    for r in lab.replicas:
        for line in r.log().splitlines():
            try:
                at = datetime.datetime.strptime(line[:27], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc).timestamp()
            except ValueError:
                continue
            if abs(at - when) < 8 and ("lead" in line or abs(at - when) < 2):
                said.append("%s %s" % (line[:220], r.name))
    return "\n".join(sorted(said))


def test_never_two_in_one_namespace(lab):
    calls = []
    for r in lab.replicas:
        calls += [(begin, cut(lab, r, begin, end), ns, r.name) for begin, end, ns, what in intervals(lab, r)
                  if not was_let_in_before(lab, r, begin, what)]
    assert len(calls) > 150
    for ns in sorted({c[2] for c in calls}):
        row = sorted(c for c in calls if c[2] == ns)
        last_end, last_name = 0, None
        for begin, end, _, name in row:
            assert name == last_name or begin >= last_end, "two in %s: %s began %.6f, %s ended %.6f\n%s" % (
                ns, name, begin, last_name, last_end, around(lab, begin))
            if end >= last_end:
                last_end, last_name = end, name


if __name__ == "__main__":
    sys.exit(lib.main(sys.modules[__name__], Lab))
