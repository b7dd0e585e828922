# SPDX-License-Identifier: Apache-2.0
"""The work of tests/bench/peers with kopf: an index of AgenticSessions, as kopf has no other cache, and a handler of their
events, as its change handlers would write annotations besides the status.  doc/bench.md says what it prints."""
import logging
import os
import time

import kopf

KIND = ("vteam.ambient-code", "v1alpha1", "agenticsessions")
OBJECTS = int(os.environ["BENCH_OBJECTS"])
TARGET = os.environ["BENCH_TARGET"]
reconciled, converged = set(), set()


@kopf.on.startup()
def configure(settings, **_):
    settings.posting.enabled = False
    settings.networking.request_timeout = 600
    logging.getLogger().setLevel(logging.ERROR)


@kopf.index(*KIND)
def sessions(name, body, **_):
    return {name: dict(body)}


def count(names, name, what):
    """Counts a name in a set; says so when they are all there."""
    if len(names) < OBJECTS:
        names.add(name)
        if len(names) == OBJECTS:
            print("bench " + what, flush=True)


@kopf.on.event(*KIND)
async def reconcile(name, status, annotations, patch, **_):
    began = time.time_ns()
    if not reconciled:
        print("bench synced", flush=True)
    stamp = annotations.get("bench/stamp")
    if stamp is not None:
        print("bench start %s %d" % (stamp, began), flush=True)
    if not OBJECTS:
        reconciled.add(name)
    count(reconciled, name, "reconciled")
    if TARGET and status.get("message") == TARGET:
        count(converged, name, "converged")
    elif TARGET:
        patch.status["message"] = TARGET
