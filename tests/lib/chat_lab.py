# SPDX-License-Identifier: Apache-2.0
"""The agent's side of a chat, with a test in the runner's place: it says the prompts and hears the messages."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from runner_lab import BUILD, PATIENCE, RUNNER


class Chat:
    """kind: the runner type; env: of the agent's container, of which names come to the agent."""

    def __init__(self, kind, env, first="", names="", model="", resume="", state=None, interactive=True):
        self.dir = tempfile.mkdtemp(prefix="amb-chat-", dir="/tmp")
        self.heard, self.lock = [], threading.Condition()
        for sub in ("work", "state", "tmp"):
            os.mkdir(os.path.join(self.dir, sub))
        prompt = os.path.join(self.dir, "prompt")
        with open(prompt, "w") as f:
            f.write(first)
        path = os.path.join(self.dir, "agent.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        full = {"PATH": os.environ["PATH"], "HOME": self.dir, "TMPDIR": self.dir + "/tmp", "AMBIENT_RUNNER_CONTRACT": "1",
                "AMBIENT_RUNNER_TYPE": kind, "AMBIENT_SOCKET": path, "AMBIENT_SESSION_DIR": self.dir, "AMBIENT_LOG": "info",
                "AMBIENT_RUNNER_PLUGINS": os.path.join(BUILD, "plugins/runner-%s/.libs" % kind),
                "AMBIENT_AGENT_STATE": state or self.dir + "/state", "AMBIENT_AGENT_ENV": names, **env}
        for name in ("LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                full[name] = os.environ[name]
        self.stderr = open(os.path.join(self.dir, "stderr"), "w+b")
        self.agent = subprocess.Popen([RUNNER, "agent"], env=full, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=self.stderr, start_new_session=True)
        listener.settimeout(60 * PATIENCE)
        self.socket = listener.accept()[0]
        listener.close()
        threading.Thread(target=self._hear, daemon=True).start()
        self.wait_for(lambda m: m["t"] == "hello")
        self.say(t="start", protocol=1, run="r1", name="s1", namespace="team", type=kind, promptFile=prompt, model=model, resume=resume,
                 interactive=interactive, workdir=self.dir + "/work", dirs=[], instructions="", author={"name": "t", "email": "t@x"}, repos=[],
                 spec={"interactive": interactive, "initialPrompt": first})

    def _hear(self):
        for line in self.socket.makefile("rb"):
            with self.lock:
                self.heard.append(json.loads(line))
                self.lock.notify_all()
        with self.lock:
            self.heard.append({"t": "eof"})
            self.lock.notify_all()

    def say(self, **frame):
        self.socket.sendall(json.dumps(frame).encode() + b"\n")

    def prompt(self, text):
        self.say(t="prompt", text=text)

    def wait_for(self, what, after=0, seconds=60):
        """The number of the first frame from `after` on for which it is so."""
        end = time.monotonic() + seconds * PATIENCE
        with self.lock:
            while True:
                found = next((i for i, m in enumerate(self.heard) if i >= after and what(m)), None)
                if found is not None:
                    return found
                left = end - time.monotonic()
                assert left > 0 and not any(m["t"] == "eof" for m in self.heard), (self.heard, self.errors())
                self.lock.wait(min(left, 1))

    def message(self, kind, after=0):
        at = self.wait_for(lambda m: m["t"] == "message" and m["type"] == kind, after)
        return at, self.heard[at]["fields"]

    def turn(self, after=0):
        """Behind the result of the turn that ends next, and the result."""
        at, result = self.message("result", after)
        return at + 1, result

    def idle(self, after=0):
        """Until there is nothing more to do."""
        return self.wait_for(lambda m: m["t"] == "turn", after)

    def texts(self, kind="text"):
        return [m["fields"].get("text", "") for m in self.heard if m["t"] == "message" and m["type"] == kind]

    def errors(self):
        self.stderr.flush()
        with open(self.stderr.name, errors="replace") as f:
            return f.read()[-2000:]

    def finish(self, **frame):
        """Says the last frame; the outcome that comes back."""
        self.say(**frame)
        return self.outcome()

    def outcome(self):
        at = self.wait_for(lambda m: m["t"] == "exited")
        self.wait_for(lambda m: m["t"] == "bye", at)
        assert self.agent.wait(60 * PATIENCE) == 0, self.errors()
        return self.heard[at]

    def close(self):
        if self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait()
        self.socket.close()
        self.stderr.close()
        shutil.rmtree(self.dir, ignore_errors=True)
