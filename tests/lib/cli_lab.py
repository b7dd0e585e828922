# SPDX-License-Identifier: Apache-2.0
"""Runner types of one prompt with the real CLI and a fake of its API: what all of them must do alike."""
import json
import os
import signal

from chat_lab import Chat
from model_api import text
from runner_lab import git


class Cli:
    """kind: the runner type.  variable, base: the agent's variables with the program and with the API's URL.  key: of its
    Secret.  model: what a session names.  title, package, too_old: what it says when it is missing or old."""

    def __init__(self, kind, program, api, key, **options):
        self.kind, self.program, self.api, self.key = kind, program, api, key
        self.variable, self.base, self.key_name, self.model, self.title, self.package, self.oldest = (
            options[n] for n in ("variable", "base", "key_name", "model", "title", "package", "oldest"))
        self.env, self.suffix = options.get("env", {}), options.get("suffix", "")
        # Turns of a chat: the step is chosen by how many answers the conversation has.
        api.scenarios["pause"] = [[text("-")], *api.scenarios["wait"]]
        api.scenarios["talk"] = [[text("Still here.")]] * 5

    def pod(self, lab, scenario, *repos, key=None, program=None, **options):
        spec = {"prompt": "[[scenario:%s]] please" % scenario, "repos": list(repos), "runnerType": self.kind,
                "model": self.model}
        env = {self.key_name: key or self.key, self.base: self.api.url + self.suffix,
               self.variable: program or self.program, **self.env}
        return lab.pod(spec, kind=self.kind, agent_env=env,
                       agent_names=",".join(n for n in env if not n.startswith("AMBIENT_")), **options)

    # ---- what is tested of each

    def edits_a_file_and_pushes(self, lab):
        url = lab.origin(self.kind)
        p = self.pod(lab, "edit", {"input": {"url": url, "branch": "main"}, "output": {"targetBranch": "work"}}).go()
        assert p.code == 0, (p.code, p.report, p.read("stderr"))
        assert git("--git-dir", lab.bare(self.kind), "show", "work:README.md") == "hello\nfrom-the-agent"
        r = p.report
        assert r["result"] == "The line is added." and r["isError"] is False and r["turns"] >= 1, r
        assert r["usage"]["outputTokens"] == 80 and r["usage"]["inputTokens"] >= 100 and r["conversation"], r
        assert p.texts() == ["I will add a line.", "The line is added."], p.texts()
        call = next(m for m in p.messages if m["type"] == "tool_call")
        assert "from-the-agent" in str(call["input"]), call
        back = next(m for m in p.messages if m["type"] == "tool_result")
        assert back["id"] == call["id"] and back["isError"] is False, back
        kinds = [m["type"] for m in p.messages]
        assert kinds.index("session") < kinds.index("text") < kinds.index("result"), kinds
        ready = next(m for m in p.messages if m["type"] == "session")
        assert ready["state"] == "agent-ready" and ready["agentVersion"].split(".")[0].isdigit(), ready
        assert self.key not in p.read("stdout")

    def takes_temperature_and_tokens(self, lab, temperature, tokens):
        """llmSettings, as the plan hands them on; temperature, tokens: where a request of the API's has them."""
        before = len(self.api.turns)
        p = self.pod(lab, "again")
        p.agent_env.update(AMBIENT_TEMPERATURE="0.3000", AMBIENT_MAX_TOKENS="1234")
        p.go()
        assert p.code == 0 and p.report["result"] == "First answer.", (p.report, p.read("stderr"))
        own = self.api.turns[before:]
        assert own and {temperature(r) for r in own} == {0.3} and {tokens(r) for r in own} == {1234}, [
            {k: r.get(k) for k in ("temperature", "max_tokens", "generationConfig")} for r in own]

    def sees_the_key_and_no_other_secret(self, lab):
        p = self.pod(lab, "leak", runner_env={"GITHUB_TOKEN": "canary-token-value"}).go()
        assert p.code == 0, (p.report, p.read("stderr"))
        back = next(m for m in p.messages if m["type"] == "tool_result")
        assert "PATH=" in back["text"] and "canary" not in str(p.messages) and self.key not in p.read("stdout"), back

    def continues_the_conversation(self, lab):
        first = self.pod(lab, "again").go()
        assert first.code == 0 and first.report["result"] == "First answer.", (first.report, first.read("stderr"))
        second = self.pod(lab, "again", volume=first.volume).go()
        assert second.code == 0 and second.report["result"] == "Second answer.", (second.report, second.read("stderr"))
        assert second.report["conversation"] == first.report["conversation"]

    def tells_api_errors_apart(self, lab, *rows):
        for scenario, key, reason, part in rows:
            p = self.pod(lab, scenario, key=key).go()
            assert p.code == 1 and p.report["reason"] == reason and p.report["isError"], (scenario, p.code, p.report)
            assert part in p.report["message"], (scenario, p.report["message"])

    def stops_during_a_tool(self, lab, sign="tool_call"):
        p = self.pod(lab, "wait").start()
        assert p.until(lambda: any(m["type"] == sign for m in p.messages), 90), (p.messages, p.read("stderr"))
        p.runner.send_signal(signal.SIGTERM)
        p.wait()
        assert p.code == 143 and p.report["reason"] == "Stopped" and p.agent_code == 0, (p.code, p.report, p.agent_code)

    def chats(self, lab, sign="tool_call"):
        """A turn, one that is interrupted, and one that goes on with both: processes of one conversation."""
        env = {self.key_name: self.key, self.base: self.api.url + self.suffix, self.variable: self.program, **self.env}
        c = Chat(self.kind, env, "[[scenario:again]] please", names=",".join(n for n in env if not n.startswith("AMBIENT_")),
                 model=self.model)
        try:
            at, result = c.turn()
            assert result["text"] == "First answer." and not result["isError"], (result, c.errors())
            c.prompt("[[scenario:pause]] please")
            before = self.api.count
            at, _ = c.message(sign, at)
            c.say(t="interrupt")
            at, result = c.turn(at)
            assert result["isError"], (result, c.errors())
            c.prompt("[[scenario:talk]] please")
            at, result = c.turn(at)
            assert result["text"] == "Still here." and not result["isError"], (result, c.errors())
            # The model was told the whole conversation.
            told = json.dumps(self.api.turns[-1])
            assert self.api.count > before and "[[scenario:again]]" in told and "[[scenario:talk]]" in told, told[:2000]
            ready = [m["fields"]["conversation"] for m in c.heard if m["t"] == "message" and m["type"] == "session"]
            assert len(ready) == 1 and result["conversation"] == ready[0], (ready, result)
            outcome = c.finish(t="end")
            assert outcome["success"] and self.key not in str(c.heard), outcome
        finally:
            c.close()

    def says_when_the_cli_is_missing_or_too_old(self, lab):
        p = self.pod(lab, "edit", program="/no/such/program").go()
        assert p.code == 2 and p.report["reason"] == "PrerequisiteMissing", (p.code, p.report)
        assert p.report["message"] == (
            '%s is missing: there is no program "/no/such/program"; install it into the runner\'s image with "npm install '
            '-g %s"' % (self.title, self.package)), p.report["message"]
        old = os.path.join(lab.root, "old-" + self.kind)
        with open(old, "w") as f:
            f.write("#!/bin/sh\necho '0.0.9'\n")
        os.chmod(old, 0o755)
        p = self.pod(lab, "edit", program=old).go()
        assert p.code == 2 and p.report["message"] == ('%s is too old: "%s" is version 0.0.9, at least %s is needed'
                                                       % (self.title, old, self.oldest)), p.report

    def takes_nothing_from_the_repository(self, lab, *files):
        """files: (path, text with %s where a file is named that must not come to be)."""
        mark = os.path.join(lab.root, "planted-" + self.kind)
        url = lab.origin(self.kind + "-hostile", {"README.md": "hello\n", **{path: text % mark for path, text in files}})
        p = self.pod(lab, "again", {"input": {"url": url, "branch": "main"}}).go()
        assert p.code == 0 and p.report["result"] == "First answer.", (p.report, p.read("stderr"))
        assert not os.path.exists(mark)
