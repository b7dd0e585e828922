# SPDX-License-Identifier: Apache-2.0
"""Clients that we did not write, against the API server alone: run.py HOST_PROGRAM PLUGIN.so CRD_DIR

One server; each client that is there is run against it.  Nothing is downloaded.
"""
import os
import shutil
import subprocess
import sys

import apilib
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


# Name, what AMBIENT_REQUIRE calls it, how its program is found, and what it is tested with.
CLIENTS = [
    ("python", "python3-kubernetes", debian_python, library),
]


def absent(name, tool, why):
    def fn(_):
        if tool in os.environ.get("AMBIENT_REQUIRE", "").split(","):
            raise AssertionError("%s, and AMBIENT_REQUIRE has %s" % (why, tool))
        raise Skip(why)
    fn.__name__ = name
    return fn


def main(argv):
    fixture = apilib.Fixture(argv[1], argv[2], [argv[3]])
    try:
        library.served(fixture)
        for name, tool, find, suite in CLIENTS:
            try:
                program, version = find()
            except Skip as e:
                apilib.ROWS.append(absent(name, tool, str(e)))
                continue
            print("# %s %s" % (name, version))
            client = suite.Library(name, program, fixture)
            for case in suite.CASES:
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
