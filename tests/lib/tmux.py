# SPDX-License-Identifier: Apache-2.0
"""A program in a terminal, which tmux is: keys go in, what stands on the screen is read.  Nothing waits for time to
pass, only for what is to be seen."""
import os
import shutil
import subprocess
import time

PATIENCE = 20 * float(os.environ.get("AMBIENT_PATIENCE", "1"))


def missing():
    """Why there can be no terminal; None: there can."""
    return None if shutil.which("tmux") else "tmux is not installed"


class Terminal:
    def __init__(self, directory, command, columns=80, lines=24, env=None):
        self.socket = os.path.join(directory, "tmux")
        # What ends within is to be seen before it is gone.
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines),
                   "%s; echo \"[exit $?]\"; stty -a | tr ';' '\\n' | grep -E 'icanon|isig'; exec cat" % command,
                   env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **(env or {})})

    def _tmux(self, *args, env=None):
        done = subprocess.run(["tmux", "-u", "-S", self.socket, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, encoding="utf-8", timeout=PATIENCE, env=env, check=False)
        assert done.returncode == 0, (args, done.stdout)
        return done.stdout

    def type(self, text):
        self._tmux("send-keys", "-l", "--", text)

    def keys(self, *names):
        self._tmux("send-keys", *names)

    def paste(self, text):
        self._tmux("set-buffer", "--", text)
        self._tmux("paste-buffer", "-p", "-r")

    def resize(self, columns, lines):
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self):
        """The rows that are seen."""
        return [row.rstrip() for row in self._tmux("capture-pane", "-p").split("\n")]

    def all(self):
        """What was ever printed, with wrapped lines made whole."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-").rstrip()

    def cursor(self):
        """Column and row."""
        return tuple(int(n) for n in self._tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").split())

    def until(self, condition, what="what was to be seen"):
        end = time.monotonic() + PATIENCE
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, "waited in vain for %s; there is:\n%s" % (what, self.all())
            time.sleep(0.02)

    def sees(self, text):
        return self.until(lambda: text in self.all(), '"%s"' % text)

    def row(self, text):
        """A row is exactly that."""
        return self.until(lambda: text in self.screen(), 'the row "%s"' % text)

    def gone(self, text):
        return self.until(lambda: text not in "\n".join(self.screen()), '"%s" to go' % text)

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=PATIENCE, check=False)
