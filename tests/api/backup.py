# SPDX-License-Identifier: Apache-2.0
"""standalone backup and restore: backup.py HOST_PROGRAM PLUGIN.so AMBIENTCTL.  A backup that is taken under load is what
was there at one revision; what is restored is equal to it; a damaged archive changes nothing."""
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading

import apilib

HOST, PLUGIN, CTL = sys.argv[1:4]


class Writer(threading.Thread):
    """Creates, changes and deletes; remembers each acknowledged state by its revision."""

    def __init__(self, fixture, number):
        super().__init__(daemon=True)
        self.f, self.number, self.over, self.log = fixture, number, threading.Event(), []

    def run(self):
        i = 0
        path = self.f.core + "/configmaps"
        while not self.over.is_set():
            name = "w%d-%d" % (self.number, i)
            made = self.f.api.post(path, {"metadata": {"name": name}, "data": {"k": "v" * (i % 3000)}}).ok(201)
            self.note(name, made)
            if i % 3 == 0:
                self.note(name, self.f.api.merge(path + "/" + name, {"data": {"more": str(i)}}).ok(200))
            if i % 7 == 0:
                self.f.api.delete(path + "/" + name).ok(200)
                self.log.append((int(self.f.api.get(path).json["metadata"]["resourceVersion"]), name, None))
            i += 1

    def note(self, name, state):
        self.log.append((int(state["metadata"]["resourceVersion"]), name, state))


def ctl(*words, data=None, code=0):
    done = subprocess.run([CTL, "standalone", *words], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == code, (words, done.returncode, done.stdout[-500:], done.stderr[-500:])
    return done


def backup_under_load(f, base, target):
    writers = [Writer(f, i) for i in range(3)]
    for w in writers:
        w.start()
    apilib.eventually(lambda: all(len(w.log) > 20 for w in writers), what="nobody writes")
    said = ctl("backup", target, "--state-dir", base).stdout.decode()
    apilib.eventually(lambda: all(len(w.log) > 40 for w in writers), what="nobody writes any more")
    for w in writers:
        w.over.set()
    for w in writers:
        w.join(60)
    return int(said.split("revision ")[1].split()[0]), [entry for w in writers for entry in w.log]


def check_equal(f, core, rv, log):
    """What is there is what was acknowledged up to rv."""
    items = {o["metadata"]["name"]: o for o in f.api.get(core + "/configmaps").ok(200)["items"]}
    known = {}
    for at, name, state in sorted(log, key=lambda e: e[0]):
        if at <= rv:
            known[name] = state
    later = {name for at, name, _ in log if at > rv}
    for name, state in known.items():
        # A deletion is known by a revision at or behind its own: it may or may not be in.
        if state is not None and not any(n == name and s is None for _, n, s in log):
            assert items[name] == state, (name, items.get(name), state)
    for name, o in items.items():
        assert int(o["metadata"]["resourceVersion"]) <= rv, (rv, o)
        if name.startswith("w"):
            assert name in known or name in later, name
    assert sum(1 for n in items if n.startswith("w")) > 10, len(items)


def flip(path, at, to):
    with open(path, "rb") as f:
        data = bytearray(f.read())
    data[at] ^= 1
    with open(to, "wb") as f:
        f.write(data)


def damage(base):
    """Copies of the database with one thing wrong each, and what is to be said of it."""
    good = os.path.join(base, "apiserver/state.db")

    def sql(*statements):
        def change(path):
            db = sqlite3.connect(path, isolation_level=None)
            for s in statements:
                db.execute(s)
            db.close()
        return change

    def page(path):
        db = sqlite3.connect(path)
        at = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'obj_key'").fetchone()[0] - 1
        db.close()
        with open(path, "r+b") as f:
            f.seek(4096 * at)
            f.write(b"\xff" * 4096)
    wrong = ((page, b"damaged"), (sql("UPDATE obj SET body = '{\"a\":' WHERE id = (SELECT min(id) FROM obj)"), b"is no JSON"),
             (sql("UPDATE meta SET v = 5 WHERE k = 'rv'"), b"its revision is 5, but"),
             (sql("UPDATE obj SET res = 99999 WHERE id = (SELECT min(id) FROM obj)"), b"resource 99999, which is not there"),
             (sql("PRAGMA application_id = 7"), b"is no database of a standalone API server"))
    for i, (change, said) in enumerate(wrong):
        copy = os.path.join(base, "wrong-%d" % i)
        os.makedirs(copy + "/apiserver", 0o700)
        shutil.copy(good, copy + "/apiserver/state.db")
        change(copy + "/apiserver/state.db")
        yield copy, said


def run(base, cases):
    state = os.path.join(base, "apiserver")
    os.makedirs(state, 0o700)
    target = os.path.join(base, "b.tar")
    f = apilib.Fixture(HOST, PLUGIN, [], state=state)
    core, again, log, rv = f.core, os.path.join(base, "again"), [], 0
    try:
        rv, log = backup_under_load(f, base, target)
        assert os.stat(target).st_mode & 0o777 == 0o600
        assert subprocess.run(["tar", "tf", target], stdout=subprocess.PIPE, check=True).stdout.startswith(b"ambient-backup.json\n")
        cases("a backup under load is one revision, readable by its owner alone")
        assert b"is there already" in ctl("backup", target, "--state-dir", base, code=2).stderr
        piped = ctl("backup", "-", "--state-dir", base).stdout
        assert piped[:19] == b"ambient-backup.json", piped[:64]
        assert not [n for n in os.listdir(base) if n not in ("apiserver", "b.tar")], os.listdir(base)
        cases("nothing is written over, nothing is left behind")
        assert b"is whole: " in ctl("check", "--state-dir", base).stdout
    finally:
        f.stop()
    said = ctl("check", "--state-dir", base).stdout.split()
    assert int(said[3]) > 10 and int(said[5]) >= int(said[3]), said
    for copy, said in damage(base):
        assert said in ctl("check", "--state-dir", copy, code=5).stderr, said
    cases("a check finds what is wrong, and nothing where nothing is")
    size = os.path.getsize(target)
    for at, what in ((size // 2, "damaged"), (600, ""), (20, "")):
        flip(target, at, target + ".bad")
        assert what.encode() in ctl("restore", target + ".bad", "--state-dir", again, code=5).stderr
        assert not os.path.exists(again + "/apiserver"), what
    with open(target, "rb") as whole:
        cut = whole.read(size // 3)
    assert b"not whole" in ctl("restore", "-", "--state-dir", again, data=cut, code=5).stderr
    assert b"no backup" in ctl("restore", "-", "--state-dir", again, data=b"x" * 5000, code=5).stderr
    assert os.listdir(again) == ["lock"], os.listdir(again)
    cases("a damaged archive changes nothing")
    with open(again + "/lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert b"an ambientd runs" in ctl("restore", target, "--state-dir", again, code=5).stderr
    ctl("restore", target, "--state-dir", again)
    assert b"is not empty" in ctl("restore", target, "--state-dir", again, code=2).stderr
    ctl("restore", "-", "--state-dir", again, "--force", data=piped)
    assert sum(1 for n in os.listdir(again) if n.startswith("apiserver.before-")) == 1, os.listdir(again)
    ctl("restore", target, "--state-dir", again, "--force")
    cases("a running daemon and a state that is there are left alone")
    g = apilib.Fixture(HOST, PLUGIN, [], state=again + "/apiserver")
    try:
        check_equal(g, core, rv, log)
        with g.api.watch("%s/configmaps?watch=true&resourceVersion=%d" % (core, max(e[0] for e in log))) as w:
            first = w.next()
            assert first["type"] == "ERROR" and first["object"]["code"] == 410, first
        assert int(g.api.get(core + "/configmaps").json["metadata"]["resourceVersion"]) > max(e[0] for e in log)
        cases("what is restored is equal, and clients list again")
    finally:
        g.stop()


def main():
    base = tempfile.mkdtemp(prefix="ambient-backup-")
    count = [0]

    def cases(text):
        count[0] += 1
        print("ok %d - %s" % (count[0], text), flush=True)

    print("1..6")
    try:
        run(base, cases)
    except Exception as e:  # pylint: disable=broad-except
        print("not ok %d - %r" % (count[0] + 1, e), flush=True)
        raise
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
