# SPDX-License-Identifier: Apache-2.0
"""Submodules and LFS objects, against real servers of git: what the agent finds in its copy, what gets out, and who gets
which credentials."""
import hashlib
import os
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from git_servers import Https  # noqa: E402
from runner_lab import Lab, Tap, git  # noqa: E402


def spec(script, *repos, **more):
    return {"prompt": "p", "repos": list(repos), "runnerConfig": {"command": ["sh", "-c", script]}, **more}


def repo(url, branch="work"):
    return {"input": {"url": url, "branch": "main"}, "output": {"targetBranch": branch}}


def https(lab):
    if not hasattr(lab, "https"):
        directory = os.path.join(lab.root, "https")
        os.mkdir(directory)
        lab.https = Https(lab.origins, directory)
    lab.https.seen.clear()
    return lab.https


def secret(lab, **files):
    """What the Secret of repository 0 is in the pod: the server's authority and login, unless told otherwise."""
    base = os.path.join(lab.root, "git-%d" % lab.count)
    os.makedirs(os.path.join(base, "0"))
    with open(lab.https.ca) as f:
        known = {"ca.crt": f.read(), "username": "me", "password": "pass-word"}
    for name, value in {**known, **files}.items():
        if value is not None:
            with open(os.path.join(base, "0", name), "w") as f:
                f.write(value)
    return {"AMBIENT_GIT_CREDENTIALS": base}


def seed(lab, name):
    return os.path.join(lab.root, "seed-" + name)


def head(lab, name):
    return git("rev-parse", "HEAD", cwd=seed(lab, name))


def commit(lab, name, *modules, text="first", **files):
    """One more commit of an origin: (name, path, url, id) of submodules, and files."""
    work = seed(lab, name)
    for path, content in files.items():
        with open(os.path.join(work, path), "w") as f:
            f.write(content)
    for module, path, url, at in modules:
        git("config", "-f", ".gitmodules", "submodule.%s.path" % module, path, cwd=work)
        git("config", "-f", ".gitmodules", "submodule.%s.url" % module, url, cwd=work)
        git("update-index", "--add", "--cacheinfo", "160000,%s,%s" % (at, path), cwd=work)
    git("add", *files, *([".gitmodules"] if modules else []), cwd=work)
    git("commit", "-q", "-m", text, cwd=work)
    git("push", "-q", lab.bare(name), "HEAD:refs/heads/main", cwd=work)
    return head(lab, name)


def test_submodules_are_there_with_those_in_them(lab):
    lab.origin("m/leaf", {"leaf.txt": "leaf\n"})
    lab.origin("m/lib", {"lib.txt": "lib\n"})
    at = commit(lab, "m/lib", ("deep/leaf", "third party/leaf", "../leaf.git", head(lab, "m/leaf")))
    url = lab.origin("m/app")
    commit(lab, "m/app", ("lib", "vendor/lib", "git://127.0.0.1:%d/m/lib.git" % lab.port, at), ("off", "off", "../leaf.git", head(lab, "m/leaf")))
    git("config", "-f", ".gitmodules", "submodule.off.update", "none", cwd=seed(lab, "m/app"))
    commit(lab, "m/app", ("x", "x", "./../leaf.git", head(lab, "m/leaf")))
    script = ("cat vendor/lib/lib.txt 'vendor/lib/third party/leaf/leaf.txt' x/leaf.txt; ls off; git submodule status --recursive; "
              "git status --porcelain; git -C vendor/lib log --format=%s -1; git -C vendor/lib config remote.origin.url; echo more >> README.md")
    pod = lab.pod(spec(script, repo(url))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed" and "error" not in pod.report["repos"][0], (pod.report, pod.texts())
    lines = "\n".join(pod.texts()).splitlines()
    assert lines[:3] == ["lib", "leaf", "leaf"], lines
    assert [l.split()[1] for l in lines[3:7]] == ["off", "vendor/lib", "vendor/lib/third", "x"] and lines[3][0] == "-", lines
    assert all(l[0] == " " or l[0] == "-" for l in lines[3:7]), lines
    assert lines[7:] == ["first", "git://127.0.0.1:%d/m/lib.git" % lab.port], lines
    tree = git("--git-dir", lab.bare("m/app"), "ls-tree", "-r", "work")
    assert "160000 commit %s\tvendor/lib" % at in tree, tree
    # Another run on the volume finds them as they are.
    again = lab.pod(spec("cat vendor/lib/lib.txt; echo again >> README.md", repo(url)), volume=pod.volume).go()
    assert again.code == 0 and "lib" in again.texts(), (again.report, again.texts())


def test_submodules_get_credentials_of_their_host_only(lab):
    server = https(lab)
    lab.origin("c/own", {"own.txt": "own\n"})
    lab.origin("c/other", {"other.txt": "other\n"})
    lab.origin("c/app")
    commit(lab, "c/app", ("own", "own", "../own.git", head(lab, "c/own")),
           ("other", "other", server.url("c/other", host="127.0.0.1"), head(lab, "c/other")))
    pod = lab.pod(spec("cat own/own.txt; ls other; cat .git/config .git/modules/*/config; echo more >> README.md", repo(server.url("c/app"))),
                  runner_env=secret(lab)).go()
    r = pod.report["repos"][0]
    assert pod.code == 0 and r["status"] == "pushed" and pod.texts()[0].startswith("own"), (pod.report, pod.texts())
    assert 'the submodule "other" cannot be cloned' in r["error"], r
    assert any(m.get("reason") == "CloneIncomplete" for m in pod.messages)
    asked = [(path, auth) for path, auth in server.seen if "/c/other" in path]
    assert asked and all(auth is None for _, auth in asked), server.seen
    assert any("/c/own" in path and auth for path, auth in server.seen), server.seen
    assert "pass-word" not in str(pod.texts()) + str(pod.report)


def test_submodules_that_attack_are_left_out(lab):
    victim = lab.origin("a/victim", {"victim.txt": "v\n"})
    at = head(lab, "a/victim")
    bad = [("n1", "p1", "ext::sh -c touch% " + lab.root + "/pwned"), ("n2", "p2", "file://" + lab.bare("a/victim")),
           ("n3", "p3", lab.bare("a/victim")), ("n4", "p4", "https://u:hunter2@127.0.0.1/x"), ("n5", "p5", "../../../../../etc"),
           ("../../escape", "p6", victim), ("hooks/../../x", "p7", victim), ("a", "p8", victim), ("a/b", "p9", victim)]
    lab.origin("a/app")
    commit(lab, "a/app", *[(name, path, url, at) for name, path, url in bad], ("good", "good", victim, at))
    pod = lab.pod(spec("cat good/victim.txt; find p* -type f | sort; ls .git/modules", repo("git://127.0.0.1:%d/a/app.git" % lab.port))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "nochanges" and "refused" in pod.report["repos"][0]["error"], pod.report
    assert "\n".join(pod.texts()).split() == ["v", "p8/.git", "p8/victim.txt", "a", "good"], pod.texts()
    assert not os.path.exists(lab.root + "/pwned") and "hunter2" not in str(pod.report)


def test_submodules_are_bounded(lab):
    leaf = lab.origin("b/leaf")
    at = head(lab, "b/leaf")
    lab.origin("b/many")
    commit(lab, "b/many", *[("m%d" % i, "m%d" % i, leaf, at) for i in range(70)])
    pod = lab.pod(spec("ls -d m*/README.md | wc -l", repo("git://127.0.0.1:%d/b/many.git" % lab.port))).go()
    assert pod.code == 0 and pod.texts() == ["64"], (pod.report, pod.texts())
    assert "more than 64 submodules" in pod.report["repos"][0]["error"], pod.report


def test_a_submodules_commit_that_nobody_else_has_is_not_pushed(lab):
    lab.origin("w/lib", {"lib.txt": "one\n"})
    first = head(lab, "w/lib")
    second = commit(lab, "w/lib", **{"lib.txt": "two\n"})
    url = lab.origin("w/app")
    commit(lab, "w/app", ("lib", "lib", "../lib.git", first))
    pod = lab.pod(spec("cd lib; echo mine >> lib.txt; git commit -qam mine", repo(url))).go()
    r = pod.report["repos"][0]
    assert pod.code == 1 and r["status"] == "error" and 'the submodule "lib" is at commit' in r["error"], pod.report
    assert "work" not in git("--git-dir", lab.bare("w/app"), "for-each-ref")
    # One that is on its server goes; so does rescued work, whatever it names.
    pod = lab.pod(spec("cd lib; git checkout -q origin/main", repo(url))).go()
    assert pod.code == 0 and pod.report["repos"][0]["status"] == "pushed", pod.report
    assert "160000 commit " + second in git("--git-dir", lab.bare("w/app"), "ls-tree", "work")
    pod = lab.pod(spec("cd lib; echo mine >> lib.txt; git commit -qam mine; exit 3", repo(url), rescue=True)).go()
    assert pod.code == 1 and pod.report["repos"][0]["status"] == "pushed", pod.report


# ---- LFS

def no_lfs():
    """Why LFS cannot be tested here; None when it can."""
    if shutil.which("git-lfs"):
        return None
    if "git-lfs" in os.environ.get("AMBIENT_REQUIRE", "").split(","):
        raise AssertionError("git-lfs is not installed, and AMBIENT_REQUIRE names it")
    return "git-lfs is not installed"


def pointer(data):
    return "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (hashlib.sha256(data).hexdigest(), len(data))


def lfs_origin(lab, name, **files):
    """An origin whose *.bin are kept by LFS; its server has them, but for those that are None there."""
    server = https(lab)
    store = server.lfs.setdefault(name, {})
    lab.origin(name, {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "README.md": "hello\n",
                      **{n.replace("_", "."): pointer(data) for n, data in files.items()}})
    for data in files.values():
        store[hashlib.sha256(data).hexdigest()] = data
    return server, server.url(name), store


BIG = bytes(range(256)) * 4000


def test_lfs_objects_come_and_go(lab):
    if no_lfs():
        return no_lfs()
    server, url, store = lfs_origin(lab, "l/app", big_bin=BIG, also_bin=b"small")
    script = ("sha256sum < big.bin; cat also.bin; echo; git status --porcelain; git stash list; cat .git/config | grep -c pass-word; "
              "head -c 3000 /dev/zero > new.bin; printf changed > also.bin; mkdir d; printf deep > d/x.bin; git add -A; git commit -qm one; "
              "printf last > also.bin")
    pod = lab.pod(spec(script, repo(url)), runner_env=secret(lab)).go()
    r = pod.report["repos"][0]
    assert pod.code == 0 and r["status"] == "pushed" and "error" not in r, (pod.report, pod.texts())
    assert "\n".join(pod.texts()).splitlines() == [hashlib.sha256(BIG).hexdigest() + "  -", "small", "0"], pod.texts()
    for data in (b"\0" * 3000, b"changed", b"deep", b"last"):
        assert store.get(hashlib.sha256(data).hexdigest()) == data, data[:10]
    assert git("--git-dir", lab.bare("l/app"), "show", "work:new.bin") == pointer(b"\0" * 3000).strip()
    assert git("--git-dir", lab.bare("l/app"), "show", "work:big.bin") == pointer(BIG).strip()
    # Another run changes one file more; what is on the server is not asked of the agent.
    shutil.rmtree(os.path.join(pod.dir, "workspace/app/.git/lfs/objects", hashlib.sha256(b"deep").hexdigest()[:2]), ignore_errors=True)
    again = lab.pod(spec("printf more > more.bin", repo(url)), volume=pod.volume, runner_env=secret(lab)).go()
    assert again.code == 0 and store.get(hashlib.sha256(b"more").hexdigest()) == b"more", (again.report, again.read("stderr"))
    return None


def test_an_lfs_object_that_is_missing_stays_a_pointer(lab):
    if no_lfs():
        return no_lfs()
    server, url, store = lfs_origin(lab, "l/gap", here_bin=b"here", gone_bin=b"gone")
    del store[hashlib.sha256(b"gone").hexdigest()]
    pod = lab.pod(spec("cat here.bin; echo; head -1 gone.bin; git status --porcelain; echo more >> README.md", repo(url)), runner_env=secret(lab)).go()
    r = pod.report["repos"][0]
    assert "\n".join(pod.texts()).splitlines() == ["here", "version https://git-lfs.github.com/spec/v1"], pod.texts()
    assert pod.code == 0 and r["status"] == "pushed" and "pointers only" in r["error"], pod.report
    return None


def test_hostile_lfs_objects_do_not_get_out(lab):
    if no_lfs():
        return no_lfs()
    secret_file = os.path.join(lab.root, "secret.txt")
    with open(secret_file, "w") as f:
        f.write("of the runner")
    oid = hashlib.sha256(b"of the runner").hexdigest()
    at = '.git/lfs/objects/%s/%s; mkdir -p $D; O=$D/%s; ' % (oid[:2], oid[2:4], oid)
    plant = "printf '%s' > x.bin; git -c filter.lfs.clean=cat -c filter.lfs.process= -c filter.lfs.required=false add x.bin; git commit -qm x; D=" % (
        pointer(b"of the runner").replace("\n", "\\n")) + at
    cases = {"nothing": ("", "it is not there"), "a link": ("ln -s %s $O" % secret_file, "it is not there"),
             "a link on the way": ("rm -r .git/lfs; mkdir -p ../e/objects/%s/%s; cp %s ../e/objects/%s/%s/%s; ln -s ../../e .git/lfs" %
                                   (oid[:2], oid[2:4], secret_file, oid[:2], oid[2:4], oid), "it is not there"),
             "a fifo": ("mkfifo $O", "it is no regular file"), "other bytes": ("printf 'OF the runner' > $O", "it is not what its hash says"),
             "more": ("printf 'of the runner!' > $O", "larger than its pointer"), "less": ("printf 'of the' > $O", "smaller than its pointer")}
    for i, (name, (script, want)) in enumerate(cases.items()):
        server, url, store = lfs_origin(lab, "h/r%d" % i, a_bin=b"a")
        pod = lab.pod(spec(plant + script, repo(url)), runner_env=secret(lab)).go()
        r = pod.report["repos"][0]
        assert pod.code == 1 and r["status"] == "error" and want in r["error"] and '"x.bin"' in r["error"], (name, pod.report, pod.texts())
        assert oid not in store and "work" not in git("--git-dir", lab.bare("h/r%d" % i), "for-each-ref"), name
    return None


def test_lfs_is_asked_where_the_commit_that_was_cloned_says(lab):
    if no_lfs():
        return no_lfs()
    server, url, store = lfs_origin(lab, "l/elsewhere", a_bin=b"aaa")
    other = "https://127.0.0.1:%d/l/other.git/info/lfs" % server.port
    server.lfs["l/other"], server.lfs["l/elsewhere"] = store, {}
    commit(lab, "l/elsewhere", **{".lfsconfig": "[lfs]\n\turl = %s\n" % other})
    pod = lab.pod(spec("head -c 3 a.bin; echo more >> README.md", repo(url)), runner_env=secret(lab)).go()
    # That host has not been given the login of this one.
    assert pod.code == 0 and "pointers only" in pod.report["repos"][0]["error"], pod.report
    asked = [auth for path, auth in server.seen if "/l/other" in path]
    assert asked and all(auth is None for auth in asked), server.seen
    pod = lab.pod(spec("cat a.bin; printf bbb > b.bin; git config -f .lfsconfig lfs.url https://127.0.0.1:1/evil", repo(url, "second")),
                  runner_env=secret(lab, hosts="localhost 127.0.0.1")).go()
    assert pod.code == 0 and pod.texts()[0] == "aaa" and store.get(hashlib.sha256(b"bbb").hexdigest()) == b"bbb", (pod.report, pod.texts())
    # A server that is none is refused as a repository's URL would be.
    commit(lab, "l/elsewhere", **{".lfsconfig": "[lfs]\n\turl = file:///etc\n"})
    pod = lab.pod(spec("echo more > more", repo(url, "third")), runner_env=secret(lab)).go()
    assert "the server for LFS in .lfsconfig" in pod.report["repos"][0]["error"], pod.report
    return None


def test_without_git_lfs_pointers_stay_and_new_objects_are_refused(lab):
    server, url, store = lfs_origin(lab, "l/none", a_bin=b"aaa")
    tools = os.path.join(lab.root, "tools")
    os.makedirs(tools, exist_ok=True)
    for name in ("git", "sh"):
        os.symlink(shutil.which(name), os.path.join(tools, name))
    env = {**secret(lab), "PATH": tools}
    pod = lab.pod(spec("head -1 a.bin; echo more >> README.md", repo(url)), runner_env=env).go()
    r = pod.report["repos"][0]
    assert pod.code == 0 and r["status"] == "pushed" and "git-lfs is not installed in the runner's image" in r["error"], pod.report
    assert pod.texts()[0].startswith("version https://git-lfs"), pod.texts()
    script = "printf '%s' > b.bin" % pointer(b"bbb").replace("\n", "\\n")
    pod = lab.pod(spec(script, repo(url)), runner_env={**secret(lab), "PATH": tools}).go()
    r = pod.report["repos"][0]
    assert pod.code == 1 and r["status"] == "error" and "new LFS objects, and git-lfs is not installed" in r["error"], pod.report


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        if hasattr(the_lab, "https"):
            the_lab.https.close()
        the_lab.close()
    sys.exit(code)
