# SPDX-License-Identifier: Apache-2.0
"""Commands in pods that really run, by clients that we did not write: the official libraries for Python and JavaScript,
and client-go.  Their programs are those of tests/api/clients, each with the case "commands"."""
import os
import sys

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(here, "../api/clients"), os.path.join(here, "../api"), here]
import apilib  # noqa: E402
import lib  # noqa: E402
import run  # noqa: E402
from lib import Platform  # noqa: E402
from robot import Robot  # noqa: E402
from exec import pod  # noqa: E402

EXPECTED = {
    "python": ["exec out err 3", "whole all of it", "stdin got hello 0", "much 3000000", "attach said hello", "missing 404"],
    "go": ["exec out err 3", "stdin hello and the end 0", "much 3000000", "terminal 31 101", "attach said hello", "missing 404"],
    "node": ["exec out err 3", "stdin got hello 0", "much 3000000", "attach said hello", "copied a file", "missing 404"],
}


class Place:
    """What a program is told of a server."""

    def __init__(self, p):
        self.state, self.kubeconfig = p.dir, p.kubeconfig


def commands(p, name):
    tool, find = next((c[1], c[2]) for c in run.CLIENTS if c[0] == name)
    try:
        argv, version = find()
    except apilib.Skip as e:
        try:
            run.absent(name, tool, str(e))(None)
        except apilib.Skip as why:
            return str(why)
    print("# %s %s" % (name, version))
    with Robot(argv + ["commands"], Place(p), p.ns) as r:
        said = r.ended()
        assert said == EXPECTED[name], r.said()
    return None


def test_commands_by_the_python_library(p):
    return commands(p, "python")


def test_commands_by_client_go(p):
    return commands(p, "go")


def test_commands_by_the_javascript_library(p):
    return commands(p, "node")


def make():
    p = Platform("clients")
    p.start()
    p.namespace()
    pod(p, "box")
    pod(p, "talks", "while read x; do echo said $x; done; exec sleep 600", stdin=True)
    return p


if __name__ == "__main__":
    lib.preconditions()
    sys.exit(lib.main(sys.modules[__name__], make))
