# SPDX-License-Identifier: Apache-2.0
"""What systemd hears of the daemon: the test plays systemd, with its socket in a file and an abstract one.

notify.py AMBIENTD PLUGIN_DIR"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 10 * float(os.environ.get("AMBIENT_PATIENCE", "1"))
AMBIENTD, PLUGINS = map(os.path.abspath, sys.argv[1:])
CONF = """mode = "standalone"; cluster: { server = "apiserver"; }; ops: { listen = ""; }; log: { format = "text"; level = "%s"; };
plugin_dir = "%s"; state = "%s/state"; runtime = "%s/run";
plugins: { apiserver: { config: { listen = "127.0.0.1:0"; }; }; };
"""


class Service:
    def __init__(self, directory, address, watchdog="60000000"):
        self.conf, self.directory = os.path.join(directory, "a.conf"), directory
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0") if address.startswith("@") else address)
        self.write("info")
        self.log = open(os.path.join(directory, "log"), "ab")
        self.process = subprocess.Popen([AMBIENTD, "-c", self.conf], stderr=self.log, stdin=subprocess.DEVNULL,
                                        env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": watchdog})

    def write(self, level, mode="standalone"):
        with open(self.conf, "w") as f:
            f.write((CONF % (level, PLUGINS, self.directory, self.directory)).replace('"standalone"', '"%s"' % mode))

    def hear(self, first):
        """The fields of the next message that begins so; what the watchdog is told apart."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            lines = self.socket.recv(4096).decode().split("\n")
            if lines[0] == first:
                return dict(line.split("=", 1) for line in lines)
            assert lines == ["WATCHDOG=1"], "%s instead of %s" % (lines, first)
        raise AssertionError("%s is not said" % first)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        fields = self.hear("RELOADING=1")
        assert before - 10**7 < int(fields["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, fields
        return self.hear("READY=1")["STATUS"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.hear("STOPPING=1")
        assert self.process.wait(PATIENCE) == 0

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.socket.close()
        self.log.close()


def whole_life(directory):
    s = Service(directory, os.path.join(directory, "notify"))
    try:
        assert s.hear("READY=1")["STATUS"] == "ready"
        s.write("warn")
        assert s.reload() == "ready"
        s.write("warn", mode="standalon")
        assert re.search("refused, the log says why", s.reload())
        s.write("info")
        assert s.reload() == "ready"
        s.end()
    finally:
        s.close()


def watchdog_is_told(directory):
    """Twice in each interval, once all works; and the socket may be an abstract one."""
    s = Service(directory, "@ambient-test-%d" % os.getpid(), watchdog="400000")
    try:
        s.hear("READY=1")
        began = time.monotonic()
        # They come each 0.2 s, and wait here while a busy machine lets this process wait: of so many that may take two seconds.
        for _ in range(16):
            s.hear("WATCHDOG=1")
        assert time.monotonic() - began > 1.2, "it is told more often than it asks for"
        s.end()
    finally:
        s.close()


def main():
    tests = [whole_life, watchdog_is_told]
    failed = 0
    for n, test in enumerate(tests, 1):
        directory = tempfile.mkdtemp(prefix="ambient-notify.")
        try:
            test(directory)
            print("ok %d - %s" % (n, test.__name__))
        except (AssertionError, OSError, KeyError, subprocess.TimeoutExpired) as e:
            failed = 1
            print("not ok %d - %s: %r" % (n, test.__name__, e))
            with open(os.path.join(directory, "log")) as f:
                print("".join("# " + line for line in f))
        finally:
            shutil.rmtree(directory)
    print("1..%d" % len(tests))
    return failed


sys.exit(main())
