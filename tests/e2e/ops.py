# SPDX-License-Identifier: Apache-2.0
"""What the daemon says of itself: metrics, readiness, the admin socket's pages."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import lib  # noqa: E402
from lib import Platform, required, until  # noqa: E402

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')
TIMES = [.005, .01, .025, .05, .1, .15, .2, .25, .3, .35, .4, .45, .5, .6, .7, .8, .9, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5,
         4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60]
QUEUE = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, .01, .1, 1, 10, 100, 1000]
REST = [.005, .025, .1, .25, .5, 1, 2, 4, 8, 15, 30, 60]
SIZES = [64, 256, 512, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20]


def samples(text):
    """[(name, {label: value}, number)]; the page's types: {family: type}"""
    out, types, helps = [], {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helps.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, "%s is described twice" % name
            types[name] = kind
        else:
            m = SAMPLE.match(line)
            assert m, line
            labels = dict(LABEL.findall(m.group(2) or ""))
            assert ",".join('%s="%s"' % x for x in labels.items()) == (m.group(2) or "").rstrip(","), line
            out.append((m.group(1), labels, float(m.group(3))))
    assert helps == set(types), helps ^ set(types)
    return out, types


def test_metrics_are_well_formed(p):
    """What Prometheus' own checker asks for: help and type once per family, counters that end in _total, histograms whose
    buckets rise to +Inf, which is the count, no series twice."""
    found, types = samples(p.page("/metrics")[1])
    seen = set()
    for name, labels, value in found:
        key = (name, tuple(sorted(labels.items())))
        assert key not in seen, key
        seen.add(key)
        family = name if name in types else re.sub(r"_(bucket|sum|count)$", "", name)
        kind = types[family]
        assert (kind == "counter") == family.endswith("_total"), (family, kind)
        assert kind != "histogram" or name != family, name
        assert kind != "counter" or value >= 0, (name, value)
    for family in (f for f, kind in types.items() if kind == "histogram"):
        series = {}
        for name, labels, value in found:
            if name == family + "_bucket":
                rest = tuple(sorted(x for x in labels.items() if x[0] != "le"))
                series.setdefault(rest, []).append((float(labels["le"]), value))
        counts = {tuple(sorted(labels.items())): v for name, labels, v in found if name == family + "_count"}
        assert set(series) == set(counts), family
        for rest, buckets in series.items():
            assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets), (family, rest)
            assert buckets[-1] == (float("inf"), counts[rest]), (family, rest, buckets[-1])


def test_metrics_of_published_dashboards(p):
    found, _ = samples(p.page("/metrics")[1])
    with open(os.path.join(HERE, "dashboards.txt")) as f:
        wanted = [line.split() for line in f if line.strip() and not line.startswith("#")]
    missing = [w for w in wanted if not any(name == w[0] and set(w[1:]) <= set(labels) for name, labels, _ in found)]
    assert len(wanted) > 25 and not missing, missing


def test_metrics_have_the_buckets_of_controller_runtime(p):
    found, _ = samples(p.page("/metrics")[1])

    def buckets(name):
        of = [(labels, float(labels["le"])) for n, labels, _ in found if n == name + "_bucket"]
        first = {k: v for k, v in of[0][0].items() if k != "le"}
        return [le for labels, le in of if {k: v for k, v in labels.items() if k != "le"} == first][:-1]

    for name, wanted in (("controller_runtime_reconcile_time_seconds", TIMES), ("workqueue_queue_duration_seconds", QUEUE),
                         ("workqueue_work_duration_seconds", QUEUE), ("rest_client_request_duration_seconds", REST),
                         ("rest_client_request_size_bytes", SIZES), ("rest_client_response_size_bytes", SIZES)):
        assert buckets(name) == wanted, (name, buckets(name))
    results = {labels["result"] for n, labels, _ in found if n == "controller_runtime_reconcile_total" and
               labels["controller"] == "agenticsession"}
    assert results == {"success", "error", "requeue", "requeue_after"}, results


def test_metrics_pass_promtool(p):
    if shutil.which("promtool") is None:
        return required("promtool", "promtool is not installed (Debian's prometheus)")
    run = subprocess.run(["promtool", "check", "metrics"], input=p.page("/metrics")[1], capture_output=True, text=True,
                         check=False)
    assert run.returncode == 0, run.stdout
    return None


def test_each_plugin_is_charged(p):
    """A session costs its plugin processor time, requests and bytes; the cache says what it holds."""
    def charge():
        found, _ = samples(p.page("/metrics")[1])
        return {n: v for n, labels, v in found if labels.get("plugin") == "agenticsession"}, found

    before, _ = charge()
    p.session("charged", "true").wait("Completed")
    after, found = charge()
    for name in ("cpu_seconds_total", "api_requests_total", "api_sent_bytes_total", "api_received_bytes_total"):
        assert after["ambient_plugin_" + name] > before["ambient_plugin_" + name], name
    assert 0 < after["ambient_plugin_cpu_seconds_total"] < 10, after
    assert after["ambient_plugin_cache_objects"] >= 1 and after["ambient_plugin_cache_bytes"] > 500, after
    sessions = [(n, v) for n, labels, v in found if labels.get("resource") == "agenticsessions" and
                labels.get("group") == "vteam.ambient-code" and labels.get("version") == "v1alpha1"]
    got = dict(sessions)
    assert got["ambient_informer_objects"] >= 1 and got["ambient_informer_watching"] == 1, got
    assert got["informer_store_resource_version"] > 0 and got["ambient_informer_events_total"] >= 1, got


def test_ready_names_each_part(p):
    code, text = p.page("/readyz")
    assert (code, text) == (200, "ok\n"), text
    code, text = p.page("/readyz?verbose")
    lines = text.splitlines()
    assert code == 200 and all(x.startswith("[+] ") for x in lines), text
    for name in ("daemon", "agenticsession/plugin", "apiserver/server", "node/watch/v1/pods", "agenticsession/controller/"):
        assert any(x[4:].startswith(name) for x in lines), (name, text)


def ctl(p, *args):
    """As a person on that machine: no kubeconfig, only the socket."""
    return p.ctl(*args, "--socket", os.path.join(p.dir, "run", "ambientd.sock"))


def test_top_shows_plugins_and_controllers(p):
    run = ctl(p, "top", "--interval", "200ms", "--count", "2")
    assert run.returncode == 0, run.stdout
    tables = run.stdout.split("PLUGIN ")
    assert len(tables) == 3, run.stdout
    for name in ("agenticsession", "apiserver", "node", "workloads"):
        assert re.search(r"^%s +running " % name, tables[2], re.M), run.stdout
    assert re.search(r"^CONTROLLER +WORKERS", tables[2], re.M) and re.search(r"^agenticsession +\d+ ", tables[2], re.M), run.stdout
    found = json.loads(ctl(p, "top", "-o", "json").stdout)
    mine = [x for x in found["plugins"] if x["plugin"] == "agenticsession"][0]
    assert mine["requests"] > 0 and mine["cpuMicros"] > 0 and mine["controllers"][0]["runs"] > 0, mine


def test_cache_shows_what_is_held(p):
    run = ctl(p, "cache")
    line = re.search(r"^vteam\.ambient-code/v1alpha1/agenticsessions +all +watching +\d+ +(\d+) ", run.stdout, re.M)
    assert run.returncode == 0 and line and int(line.group(1)) >= 1, run.stdout
    found = json.loads(ctl(p, "cache", "-o", "json").stdout)
    pods = [x for x in found if x["kind"] == "v1/pods"]
    assert pods and all(x["state"] == "watching" and x["users"] >= 1 and x["skipped"] == 0 for x in pods), found


def make():
    p = Platform("ops")
    p.start()
    p.namespace()
    until(lambda: p.page("/readyz")[0] == 200, what="every part to be ready")
    p.session("first", "true").wait("Completed")
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
