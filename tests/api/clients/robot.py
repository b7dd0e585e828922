# SPDX-License-Identifier: Apache-2.0
"""A client that we did not write, as a process: what it prints is read line by line, what it did is asked of the API.

A program is started as PROGRAM CASE with KUBECONFIG and NAMESPACE in its environment; it prints one word and what
belongs to it a line, and exits 0.  Its standard error is shown when it does not do what it should.
"""
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time

PATIENCE = float(os.environ.get("AMBIENT_PATIENCE") or 1)
GROUP = "clients.example.com"


class Robot:
    def __init__(self, argv, fixture, ns, **env):
        self.err = tempfile.TemporaryFile("w+")
        home = os.path.join(fixture.state, "home")
        os.makedirs(home, exist_ok=True)
        env = dict({"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": fixture.kubeconfig, "NAMESPACE": ns,
                    "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "*"}, **env)
        self.seen = []
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.err,
                                        text=True)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def said(self):
        self.err.seek(0)
        return "it printed:\n%s\nand complained:\n%s" % ("\n".join(self.seen), self.err.read()[-4000:])

    def line(self, seconds=60):
        """The next line; None at the end."""
        try:
            line = self.lines.get(timeout=seconds * PATIENCE)
        except queue.Empty:
            raise AssertionError("nothing more from it in %d s; %s" % (seconds * PATIENCE, self.said())) from None
        if line is not None:
            self.seen.append(line)
        return line

    def expect(self, *wanted):
        """The next lines, exactly."""
        for w in wanted:
            line = self.line()
            assert line == w, "wanted \"%s\"; %s" % (w, self.said())

    def until(self, wanted):
        while True:
            line = self.line()
            assert line is not None, "no \"%s\"; %s" % (wanted, self.said())
            if line == wanted:
                return

    def ended(self, code=0):
        """Every line until it ends, and that it ends well."""
        while self.line() is not None:
            pass
        got = self.process.wait(30 * PATIENCE)
        assert got == code, "it ended with %d; %s" % (got, self.said())
        return self.seen

    def stop(self):
        """As a supervisor would: SIGTERM, and it goes."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30 * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError("it does not end on SIGTERM; " + self.said()) from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()
        self.err.close()


def soon(fn, what, seconds=60):
    end = time.monotonic() + seconds * PATIENCE
    while True:
        v = fn()
        if v:
            return v
        assert time.monotonic() < end, what
        time.sleep(0.1)
