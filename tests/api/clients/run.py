# SPDX-License-Identifier: Apache-2.0
"""Clients that we did not write, against the API server alone: run.py HOST_PROGRAM PLUGIN.so CRD_DIR

One server; each client that is there is run against it.  What is downloaded or takes long to build lies in a cache
outside the tree, filled by prepare.sh.
"""
import os
import shutil
import subprocess
import sys

import apilib
import controllers
import informers
import library
from apilib import Skip

HERE = os.path.dirname(os.path.abspath(__file__))


def debian_python():
    """A python3 that has the library: that of PATH may be somebody's own, without Debian's packages."""
    for program in ("python3", "/usr/bin/python3"):
        r = subprocess.run([program, "-c", "import kubernetes; print(kubernetes.__version__)"], capture_output=True, text=True)
        if r.returncode == 0:
            return [program, os.path.join(HERE, "python", "client.py")], r.stdout.strip()
    raise Skip("no python3 here has the kubernetes library (Debian: python3-kubernetes)")


def prepared(name):
    def find():
        r = subprocess.run([os.path.join(HERE, "prepare.sh"), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in r.stderr.splitlines()[:-1]:
            print("# " + line)
        if r.returncode == 3:
            raise Skip(r.stderr.splitlines()[-1])
        assert r.returncode == 0, r.stderr
        version, *argv = r.stdout.splitlines()
        return argv, version
    return find


# Name, what AMBIENT_REQUIRE calls it, how its program is found, and which cases it is to pass.
CLIENTS = [
    ("python", "python3-kubernetes", debian_python, library.Library, library.CASES),
    ("go", "go", prepared("go"), library.Library, informers.CASES),
    ("controller_runtime", "go", prepared("go"), controllers.Controller, controllers.CASES),
    ("node", "node", prepared("node"), library.Library, [c for c in library.CASES if c.__name__ != "election"]),
    ("kopf", "python3", prepared("kopf"), controllers.Controller, controllers.CASES),
    ("kube_rs", "cargo", prepared("rust"), controllers.Controller, controllers.CASES + [controllers.ready]),
]


def absent(name, tool, why):
    def fn(_):
        # What is merely not fetched yet is not missing, unless this run was to fetch it.
        fetch = os.environ.get("AMBIENT_CLIENTS")
        wanted = tool == "python3-kubernetes" or fetch == "all" or fetch == "fetch" and tool != "cargo"
        if wanted and tool in os.environ.get("AMBIENT_REQUIRE", "").split(","):
            raise AssertionError("%s, and AMBIENT_REQUIRE has %s" % (why, tool))
        raise Skip(why)
    fn.__name__ = name
    return fn


def main(argv):
    fixture = apilib.Fixture(argv[1], argv[2], [argv[3]])
    try:
        library.served(fixture)
        for name, tool, find, make, cases in CLIENTS:
            try:
                program, version = find()
            except Skip as e:
                apilib.ROWS.append(absent(name, tool, str(e)))
                continue
            print("# %s %s" % (name, version))
            client = make(name, program, fixture)
            for case in cases:
                def bound(_, case=case, client=client):
                    case(client)
                bound.__name__ = "%s_%s" % (name, case.__name__)
                apilib.ROWS.append(bound)
        return apilib.main(fixture, argv[4:])
    finally:
        fixture.stop()
        shutil.rmtree(fixture.state, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
