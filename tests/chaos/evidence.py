# SPDX-License-Identifier: Apache-2.0
"""What happened, told by the API server alone (each version that a watch shows, each line of the audit log), and what
must not be in it.  Versions are ordered by resourceVersion, which is one sequence for all kinds; no clock is compared.

An increment is a version of a tallied ConfigMap whose count is one more.  A tenure is the time in which the Leases give
one replica the right to write there: with a leader, from an acquisition to the next; with shards, as long as a member's
Lease holds the shard."""
import re

from replicas import numbers

CLAIM = "ambient-code.io/shards"


class Violation(AssertionError):
    pass


def key_of(value):
    return value["metadata"]["namespace"], value["metadata"]["name"]


class Increment:
    def __init__(self, rv, key, n, entry):
        self.rv, self.key, self.n, self.entry = rv, key, n, entry
        self.identity = entry.partition("/")[0]
        self.term = int(entry.rpartition("@")[2])

    def __str__(self):
        return "%s of %s/%s by %s in version %d" % (self.n, *self.key, self.entry, self.rv)


def increments(versions):
    """versions: (rv, object) of ConfigMaps in order.  Each is the one before, or one increment on top of it."""
    known, found = {}, []
    for rv, value in versions:
        data, key = value["data"], key_of(value)
        count, trail = int(data.get("count", "0")), data.get("trail", "").split()
        before = known.get(key, [])
        if count != len(trail) or trail[:len(before)] != before or len(trail) > len(before) + 1:
            raise Violation("an increment is lost: %s/%s goes from %s to count %d, %s in version %d" % (
                *key, before[-3:], count, trail[-4:], rv))
        if len(trail) > len(before):
            found.append(Increment(rv, key, count, trail[-1]))
        known[key] = trail
    return found


class Tenure:
    def __init__(self, number, identity, begin, term=None):
        self.number, self.identity, self.begin, self.end, self.term = number, identity, begin, None, term

    def covers(self, rv):
        return self.begin < rv and (self.end is None or rv < self.end)

    def __str__(self):
        return "%s from %d to %s" % (self.identity, self.begin, self.end)


def leader_tenures(leases, name):
    """leases: (rv, object, deleted?) in order."""
    found = []
    for rv, lease, deleted in leases:
        if lease["metadata"]["name"] != name:
            continue
        holder, term = ("", 0) if deleted else (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"])
        if found and found[-1].end is None:
            if (holder, term) == (found[-1].identity, found[-1].term):
                continue
            found[-1].end = rv
        if holder:
            found.append(Tenure(len(found), holder, rv, term))
    terms = [t.term for t in found]
    if terms != sorted(set(terms)):
        raise Violation("a term is not of one holder, or goes backwards: %s" % [(t.identity, t.term) for t in found])
    return found


def held(lease):
    """The shards that a member's Lease claims."""
    claim = lease["metadata"].get("annotations", {}).get(CLAIM, "")
    return numbers(re.fullmatch(r"v1 of=\d+ held=(\S+)(?: leaving)?", claim))


def shard_tenures(leases):
    """shard -> its tenures, in the order in which they began.  Several may claim a shard at a time."""
    found, now = {}, {}
    for rv, lease, deleted in leases:
        name, claims = lease["metadata"]["name"], set() if deleted else held(lease)
        for (other, shard), tenure in list(now.items()):
            if other == name and shard not in claims:
                tenure.end = rv
                del now[(name, shard)]
        for shard in claims:
            if (name, shard) not in now:
                row = found.setdefault(shard, [])
                now[(name, shard)] = Tenure(len(row), lease["spec"]["holderIdentity"], rv)
                row.append(now[(name, shard)])
    return found


def mix(h):
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9 & 0xffffffffffffffff
    h = (h ^ h >> 27) * 0x94d049bb133111eb & 0xffffffffffffffff
    return h ^ h >> 31


def shard_of(key, shards):
    h = 0xcbf29ce484222325
    for byte in key.encode():
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return mix(h) % shards


def judge_row(row, tenures):
    """row: increments in what one replica at a time may write, in order; their tenures.  Returns those that came late:
    sent in a tenure and arrived after it."""
    late, last = [], None
    newest = {}  # object -> the tenure of its newest increment
    for inc in row:
        own = [t for t in tenures if t.identity == inc.identity and t.begin < inc.rv and t.term in (None, inc.term)]
        if not own:
            raise Violation("%s, who never had a tenure for it" % inc)
        tenure = own[-1]
        before = newest.get(inc.key)
        if before is not None and tenure.number < before.number:
            raise Violation("a term goes backwards: %s, after an increment by %s" % (inc, before))
        newest[inc.key] = tenure
        if not tenure.covers(inc.rv):
            late.append(inc)
            continue
        if last not in (None, tenure) and (last.end is None or last.end > inc.rv or last.number > tenure.number):
            raise Violation("two at work: %s, while %s was not over" % (inc, last))
        last = tenure
    return late


def judge_leader(incs, leases, name):
    return judge_row(incs, leader_tenures(leases, name))


def judge_shards(incs, leases, shards):
    tenures, late = shard_tenures(leases), []
    for shard in range(shards):
        late += judge_row([i for i in incs if shard_of(i.key[0], shards) == shard], tenures.get(shard, []))
    return late


def judge_audit(events, incs):
    """events: the updates of ConfigMaps.  What was answered with success is what the watch has shown; everything else
    was refused as a conflict.  Returns how many were."""
    conflicts, landed = 0, set()
    for e in events:
        code = e["responseStatus"]["code"]
        if code == 409:
            conflicts += 1
        elif code == 200:
            data, ref = e["requestObject"]["data"], e["objectRef"]
            landed.add((ref["namespace"], ref["name"], int(data["count"]), data["trail"].split()[-1]))
        elif code != 400 or "requestObject" in e:  # a kill can cut a request
            raise Violation("an update was answered with %d: %s" % (code, e["responseStatus"]))
    shown = {(*i.key, i.n, i.entry) for i in incs}
    if landed != shown:
        raise Violation("the audit log and the watch differ: %s" % sorted(landed ^ shown)[:5])
    return conflicts


def judge_acknowledged(acknowledged, incs):
    """acknowledged: (replica, namespace, name, n) that a plugin was told to have written."""
    by = {(*i.key, i.n): i.identity for i in incs}
    for replica, ns, name, n in acknowledged:
        if not by.get((ns, name, n), "").startswith(replica):
            raise Violation("an increment is lost: %s of %s/%s, which %s was told to have written, is %s" % (
                n, ns, name, replica, by.get((ns, name, n))))
