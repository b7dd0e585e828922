# SPDX-License-Identifier: Apache-2.0
"""Pull requests (GitHub) and merge requests (GitLab) after a push to a real server of git, asked of an API that speaks
both; and which host gets which token."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from forge_api import Forge  # noqa: E402
from runner_lab import Lab, Tap, git  # noqa: E402

TOKEN = "forge-token-of-the-test"


def forge(lab):
    if not hasattr(lab, "forge"):
        lab.forge = Forge(lab.origins, TOKEN)
    lab.forge.seen.clear()
    return lab.forge


def planned(url, provider, n=0, **more):
    """A repository as the operator writes it into status.effective."""
    return {"index": n, "url": url, "branch": "main", "push": True, "pushUrl": url, "pushBranch": "work", "createPR": True,
            "prBase": "main", "provider": provider, **more}


def run(lab, *repos, script="echo one >> f; git add f; git commit -qm 'Mend the parser'; echo all done", token=TOKEN, env=None,
        volume=None, **spec):
    base = os.path.join(lab.root, "git-%d" % lab.count)
    for i in range(len(repos)):
        os.makedirs(os.path.join(base, str(i)))
        if token is not None:
            with open(os.path.join(base, str(i), "token"), "w") as f:
                f.write(token + "\n")
    pod = lab.pod({"prompt": "p", "runnerConfig": {"command": ["sh", "-c", script]}, **spec}, volume=volume,
                  runner_env={"AMBIENT_GIT_CREDENTIALS": base, **lab.forge.env(), **(env or {})})
    lab.api.session["status"] = {"effective": {"repos": list(repos), "interactive": False}}
    return pod.go()


def opened(pod, index=0):
    """The address that was reported."""
    assert pod.code == 0, (pod.code, pod.report, pod.read("stderr"))
    r = pod.report["repos"][index]
    assert r["status"] == "pushed" and "error" not in r, r
    everything = str(pod.report) + str(pod.messages) + pod.read("stderr") + pod.read("stdout")
    assert TOKEN not in everything
    return r["prUrl"]


def test_weakness_12_4_k_a_pull_request_of_github(lab):
    f = forge(lab)
    url = lab.origin("team/app")
    pod = run(lab, planned(url, "github"))
    link = opened(pod)
    r = f.requests[-1]
    assert (r["into"], r["source"], r["branch"], r["base"], r["url"]) == ("team/app", "team/app", "work", "main", link), r
    assert r["title"] == "Mend the parser" and r["text"].startswith("all done\n\nSession team/s1, run ") and "1 commit(s), +1 -0" in r["text"], r
    assert {auth for _, _, _, auth in f.seen} == {"Bearer " + TOKEN} and f.wrong == [], (f.seen, f.wrong)
    assert "opened " + link in pod.texts("status"), pod.texts("status")
    # A later run pushes more to the same branch: the request that is open is found.
    again = run(lab, planned(url, "github"), volume=pod.volume, script="echo two >> f")
    assert opened(again) == link and len(f.requests) == 1, f.requests


def test_a_pull_request_of_a_fork_names_its_owner(lab):
    f = forge(lab)
    url, fork = lab.origin("up/lib"), lab.origin("me/lib")
    link = opened(run(lab, planned(url, "github", pushUrl=fork), displayName="A better title"))
    r = f.requests[-1]
    assert (r["into"], r["source"], r["title"], r["url"]) == ("up/lib", "me/lib", "A better title", link), r


def test_a_merge_request_of_gitlab(lab):
    f = forge(lab)
    url = lab.origin("group/sub/tool")
    pod = run(lab, planned(url, "gitlab"))
    link = opened(pod)
    assert (f.requests[-1]["into"], f.requests[-1]["url"]) == ("group/sub/tool", link), f.requests
    assert opened(run(lab, planned(url, "gitlab"), volume=pod.volume, script="echo two >> f")) == link
    # From a fork it goes into the project that was cloned; another fork's branch of that name is not taken for it.
    fork = lab.origin("me/sub/tool")
    pod = run(lab, planned(url, "gitlab", pushUrl=fork))
    other = opened(pod)
    assert (f.requests[-1]["into"], f.requests[-1]["source"]) == ("group/sub/tool", "me/sub/tool") and other != link, f.requests
    assert opened(run(lab, planned(url, "gitlab", pushUrl=fork), volume=pod.volume, script="echo two >> f")) == other
    assert f.wrong == [], f.wrong


def test_without_a_base_the_default_branch_is_taken(lab):
    f = forge(lab)
    opened(run(lab, planned(lab.origin("team/free"), "github", prBase="")))
    assert f.requests[-1]["base"] == "main", f.requests[-1]


def test_what_a_forge_refuses_is_said_and_the_push_stands(lab):
    f = forge(lab)
    bad = [(401, {}, {"message": "Bad credentials"}, "the token is not valid (401): Bad credentials"),
           (403, {}, {"message": "Resource not accessible by personal access token"}, "(403): Resource not accessible"),
           (404, {}, {"message": "Not Found"}, "the project is not there, or the token does not see it (404)"),
           (422, {}, {"message": "Validation Failed", "errors": [{"message": "No commits between main and work"}]}, "No commits between"),
           (429, {"Retry-After": "7200"}, {"message": "slow down"}, "too much was asked for (429): slow down"),
           (301, {"Location": "http://127.0.0.1:1/"}, {}, "has moved"),
           (201, {}, b"<html>garbage", "is no JSON"),
           (201, {}, {"html_url": "javascript:alert(1)"}, "names no address"),
           (201, {}, {"html_url": "https://u:p@h/x"}, "names no address"),
           (201, {}, b'{"html_url":"' + b"x" * (5 << 20) + b'"}', "more than 4 MiB"),
           (418, {}, b"no json at all", "the server refused it (418)")]
    repos = []
    for i, answer in enumerate(bad):
        name = "bad/r%d" % i
        repos.append(planned(lab.origin(name), "github", i, name="r%d" % i))
        f.plan[name] = [answer[:3]]
    pod = run(lab, *repos, script="for d in ../r*; do echo x > $d/x; done")
    assert pod.code == 0, (pod.code, pod.report)
    for r, answer in zip(pod.report["repos"], bad):
        assert r["status"] == "pushed" and "prUrl" not in r and r["branch"] == "work", r
        assert "no pull request was opened" in r["error"] and answer[3] in r["error"], (r, answer)
        assert git("--git-dir", lab.bare("bad/" + r["name"]), "rev-parse", "work") == r["commit"]
    assert sum(1 for m in pod.messages if m.get("reason") == "PullRequestFailed") == len(bad)


def test_a_busy_forge_is_asked_again_a_few_times(lab):
    f = forge(lab)
    soon, ever = lab.origin("busy/soon"), lab.origin("busy/ever")
    f.plan["busy/soon"] = [(503, {}, b"try later"), (429, {"Retry-After": "1"}, {"message": "slow down"})]
    f.plan["busy/ever"] = [(500, {}, {"message": "broken"})] * 20
    pod = run(lab, planned(soon, "github", 0), planned(ever, "gitlab", 1), script="for d in ../*/.git; do echo x > $d/../x; done")
    opened(pod, 0)
    r = pod.report["repos"][1]
    assert r["status"] == "pushed" and "the server failed (500): broken" in r["error"], r
    assert [p for _, _, p, _ in f.seen].count("busy/ever") == 3, f.seen


def test_a_request_that_cannot_be_is_a_sentence(lab):
    f = forge(lab)
    url = lab.origin("team/plain")
    for repo, token, want in ((planned(url, ""), TOKEN, "is not known"), (planned(url, "github"), None, "there is no token"),
                              (planned(url, "github", prBase="work"), TOKEN, "name another output.targetBranch"),
                              (planned(lab.origin("flat"), "github"), TOKEN, "names no project")):
        pod = run(lab, repo, token=token, script="echo %s > w" % want)
        r = pod.report["repos"][0]
        assert pod.code == 0 and r["status"] == "pushed" and want in r["error"] and "prUrl" not in r, (pod.code, r)
        git("--git-dir", lab.bare(url.split("/", 3)[3][:-4]) if repo["url"] == url else lab.bare("flat"), "branch", "-D", "work")
    assert f.seen == [], f.seen


def test_the_projects_tokens_go_to_the_hosts_that_it_names(lab):
    """GITHUB_TOKEN and GITLAB_TOKEN of the integration Secret: each for its provider, and for nobody else."""
    f = forge(lab)
    env = {"GITHUB_TOKEN": TOKEN, "GITLAB_TOKEN": "gitlab-token-of-the-test"}
    opened(run(lab, planned(lab.origin("team/hub"), "github"), token=None, env=env))
    f.token = env["GITLAB_TOKEN"]
    try:
        link = opened(run(lab, planned(lab.origin("team/lab"), "gitlab"), token=None, env=env))
    finally:
        f.token = TOKEN
    assert link and {(kind, auth) for kind, _, _, auth in f.seen} == {
        ("github", "Bearer " + TOKEN), ("gitlab", "Bearer gitlab-token-of-the-test")}, f.seen
    # Named by nobody: 127.0.0.1 is not GitHub.
    f.seen.clear()
    pod = run(lab, planned(lab.origin("team/none"), ""), token=None, env=env)
    assert "is not known" in pod.report["repos"][0]["error"] and f.seen == [], (pod.report, f.seen)


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        if hasattr(the_lab, "forge"):
            the_lab.forge.close()
        the_lab.close()
    sys.exit(code)
