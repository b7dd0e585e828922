# SPDX-License-Identifier: Apache-2.0
"""Runner type "claude-code" with the real CLI and a scripted Messages API: what a session sees of it."""
import json
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from messages_api import BedrockApi, MessagesApi, text, tool  # noqa: E402
from runner_lab import Lab, Tap, git  # noqa: E402

KEY = "sk-ant-test-0123456789abcdef"
CLI = os.environ["AMBIENT_TEST_CLAUDE"]
SCENARIOS = {
    "edit": [[text("I will add a line."), tool("Bash", command="echo from-the-agent >> README.md", description="add a line")],
             [text("The line is added.")]],
    "write": [[tool("Write", file_path="@CWD@/new.txt", content="made\n")], [text("Written.")]],
    "leak": [[tool("Bash", command="env | sort; cat ../../.ambient/messages.jsonl | head -c 1", description="look")],
             [text("Seen.")]],
    "wait": [[tool("Bash", command="timeout 60 tail -f /dev/null", description="wait")], [text("Waited.")]],
    "overloaded": [{"status": 400, "type": "invalid_request_error", "message": "not like this"}],
    "again": [[text("First answer.")], [text("Second answer.")]],
    "limited": [{"status": 429, "type": "rate_limit_error", "message": "slow down", "retry-after": 3600}],
    "busy": [{"status": 529, "type": "overloaded_error", "message": "too much"}],
    "cut": [{"cut": [text("half"), text("more")]}],
    "perl": [[tool("Bash", command="perl -e 'print 6 * 7'", description="count")], [text("Counted.")]],
    "mcp": [[tool("mcp__lab__add", a=2, b=3)], [text("Added.")]],
}
api = MessagesApi(SCENARIOS, key=KEY).start()


def pod(lab, scenario, *repos, key=KEY, more=None, cli=CLI, env=None, **options):
    own = env or {}
    spec = {"prompt": "[[scenario:%s]] please" % scenario, "repos": list(repos), "runnerType": "claude-code",
            "model": "claude-sonnet-4-5", **(more or {})}
    env = {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": api.url, "AMBIENT_CLAUDE": cli, "CLAUDE_CODE_MAX_RETRIES": "0",
           "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1", "IS_SANDBOX": "1", **own}
    return lab.pod(spec, kind="claude-code", agent_env=env,
                   agent_names="ANTHROPIC_API_KEY,ANTHROPIC_BASE_URL,CLAUDE_CODE_MAX_RETRIES,"
                               "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS" + "".join("," + n for n in own), **options)


def test_edits_a_file_and_pushes(lab):
    url = lab.origin("claude")
    p = pod(lab, "edit", {"input": {"url": url, "branch": "main"}, "output": {"targetBranch": "work"}}).go()
    assert p.code == 0, (p.code, p.report, p.read("stderr"))
    assert git("--git-dir", lab.bare("claude"), "show", "work:README.md") == "hello\nfrom-the-agent"
    r = p.report
    assert r["result"] == "The line is added." and r["turns"] == 2 and r["isError"] is False, r
    assert r["costUSD"] > 0 and r["usage"]["outputTokens"] == 80 and len(r["conversation"]) == 36, r
    kinds = [m["type"] for m in p.messages]
    for kind in ("session", "partial", "text", "tool_call", "tool_result", "usage", "result"):
        assert kind in kinds, (kind, kinds)
    assert "".join(p.texts("partial")).startswith("I will add a line.")
    assert p.texts() == ["I will add a line.", "The line is added."], p.texts()
    call = next(m for m in p.messages if m["type"] == "tool_call")
    assert call["name"] == "Bash" and "from-the-agent" in call["input"]["command"]
    assert KEY not in p.read("stdout")


def test_asks_outside_its_directory_are_allowed_in_a_batch(lab):
    outside = os.path.join(lab.root, "outside.txt")
    SCENARIOS["outside"] = [[tool("Write", file_path=outside, content="out\n")], [text("Done.")]]
    p = pod(lab, "outside").go()
    assert p.code == 0, (p.report, p.read("stderr"))
    asked = [m for m in p.messages if m["type"] == "permission"]
    assert asked and asked[0]["tool"] == "Write" and asked[0]["decision"] == "allow", [m["type"] for m in p.messages]
    assert open(outside).read() == "out\n"


def test_the_environment_holds_the_key_and_no_more(lab):
    p = pod(lab, "leak", runner_env={"GITHUB_TOKEN": "canary-token-value"}).go()
    assert p.code == 0, p.report
    result = next(m for m in p.messages if m["type"] == "tool_result")
    assert "canary" not in str(p.messages) and "ANTHROPIC_API_KEY=[redacted]" in result["text"], result


def test_api_errors_are_told_apart(lab):
    p = pod(lab, "edit", key="sk-ant-wrong-key-000000").go()
    assert p.code == 1 and p.report["reason"] == "ModelAuthenticationFailed" and p.report["isError"], (p.code, p.report)
    p = pod(lab, "overloaded").go()
    assert p.code == 1 and p.report["reason"] == "ModelRequestRejected" and "not like this" in p.report["message"], p.report


def test_overload_limits_and_cut_connections_are_told_apart(lab):
    for scenario, reason in (("limited", "ModelRateLimited"), ("busy", "ModelUnavailable"), ("cut", "ModelUnreachable")):
        p = pod(lab, scenario, env={"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1"}).go()
        assert p.code == 1 and p.report["reason"] == reason and p.report["isError"], (scenario, p.code, p.report)


def test_limits_of_cost_and_tokens_end_the_run(lab):
    for config, reason in (({"maxBudgetUSD": 0.000001}, "BudgetExhausted"), ({"maxTokens": 180}, "TokensExhausted")):
        p = pod(lab, "edit", more={"runnerConfig": config}).go()
        assert p.code == 1 and p.report["reason"] == reason, (config, p.code, p.report)


def test_tools_and_system_prompt(lab):
    p = pod(lab, "edit", more={"runnerConfig": {"appendSystemPrompt": "Speak like a clerk.", "disallowedTools": ["Bash"]}}).go()
    assert p.code == 0, (p.code, p.report)
    request = api.turns[-1]
    assert "Speak like a clerk." in str(request["system"]), request["system"]
    assert "Bash" not in [t["name"] for t in request["tools"]] and next(
        m for m in p.messages if m["type"] == "tool_result")["isError"]
    # What is allowed is not asked for; without that it is.
    for allowed, asked in ((["Read", "Bash(perl *)"], 0), (["Read", "Bash(ruby *)"], 1)):
        p = pod(lab, "perl", more={"runnerConfig": {"allowedTools": allowed}}).go()
        assert p.code == 0 and len([m for m in p.messages if m["type"] == "permission"]) == asked, (allowed, p.messages)


def test_a_workflow_is_followed(lab):
    """7.5: it is the working directory and adds to the system prompt; the repositories are further directories."""
    flow = lab.origin("flow", {"f/.ambient/ambient.json": json.dumps({"systemPrompt": "Answer in rhymes."}), "f/steps.md": "one\n"})
    url = lab.origin("worked")
    p = pod(lab, "elsewhere")
    SCENARIOS["elsewhere"] = [[tool("Read", file_path=p.dir + "/workspace/worked/README.md")],
                              [tool("Bash", command="pwd; echo by-rule >> %s/workspace/worked/README.md" % p.dir, description="edit")],
                              [text("Done.")]]
    lab.api.session["status"] = {"effective": {
        "interactive": False, "timeout": 0, "generation": 1, "mainRepoIndex": 0, "model": "claude-sonnet-4-5",
        "repos": [{"index": 0, "credentials": -1, "name": "worked", "url": url, "branch": "main", "push": True, "pushUrl": url,
                   "pushBranch": "out"}],
        "activeWorkflow": {"gitUrl": flow, "branch": "main", "path": "f", "name": "flow", "credentials": -1}}}
    p.go()
    assert p.code == 0, (p.code, p.report, p.read("stderr"))
    system = str(api.turns[-1]["system"])
    assert "Answer in rhymes." in system and "holds the workflow to follow" in system and "workspace/worked." in system, system[-2000:]
    results = [m["text"] for m in p.messages if m["type"] == "tool_result"]
    assert "hello" in results[0] and results[1] == p.dir + "/workspace/workflows/flow", results
    assert git("--git-dir", lab.bare("worked"), "show", "out:README.md") == "hello\nby-rule"


MCP = """import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    r = {"tools/list": {"tools": [{"name": "add", "description": "adds", "inputSchema": {
            "type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}}]},
         "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "lab", "version": "1"}},
         }.get(m["method"])
    if m["method"] == "tools/call":
        r = {"content": [{"type": "text", "text": "sum %d" % (m["params"]["arguments"]["a"] + m["params"]["arguments"]["b"])}]}
    answer = {"jsonrpc": "2.0", "id": m["id"]}
    answer.update({"result": r} if r else {"error": {"code": -32601, "message": "no"}})
    print(json.dumps(answer), flush=True)
"""


def test_mcp_servers_are_the_sessions_and_not_the_repositorys(lab):
    server, mark = os.path.join(lab.root, "mcp.py"), os.path.join(lab.root, "planted")
    with open(server, "w") as f:
        f.write(MCP)
    evil = {"mcpServers": {"evil": {"command": "touch", "args": [mark]}}}
    url = lab.origin("mcp", {"README.md": "hello\n", ".mcp.json": json.dumps(evil),
                             ".claude/settings.json": json.dumps({"enableAllProjectMcpServers": True})})
    config = {"mcpServers": {"lab": {"command": sys.executable, "args": [server], "env": {"WORD": "mcp-canary"}}}}
    p = pod(lab, "mcp", {"input": {"url": url, "branch": "main"}}, env={"AMBIENT_CLAUDE_MCP": json.dumps(config)}).go()
    assert p.code == 0, (p.code, p.report, p.read("stderr"))
    assert next(m for m in p.messages if m["type"] == "tool_result")["text"] == "sum 5", p.messages
    assert not os.path.exists(mark)


def test_vertex_by_environment(lab):
    vertex = MessagesApi(SCENARIOS).start()
    p = pod(lab, "edit", env={"CLAUDE_CODE_USE_VERTEX": "1", "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1", "CLOUD_ML_REGION": "us-east5",
                              "ANTHROPIC_VERTEX_PROJECT_ID": "lab", "ANTHROPIC_VERTEX_BASE_URL": vertex.url + "/v1"}).go()
    assert p.code == 0 and p.report["result"] == "The line is added.", (p.code, p.report, p.read("stderr"))
    assert all("/projects/lab/locations/us-east5/publishers/anthropic/models/" in path for path in vertex.paths), vertex.paths


def test_bedrock_by_environment(lab):
    bedrock = BedrockApi(SCENARIOS, key="bedrock-key-0123456789").start()
    env = {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "eu-central-1", "AWS_BEARER_TOKEN_BEDROCK": bedrock.key,
           "ANTHROPIC_BEDROCK_BASE_URL": bedrock.url}
    model = {"model": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    p = pod(lab, "edit", more=model, env=env).go()
    assert p.code == 0 and p.report["result"] == "The line is added.", (p.code, p.report, p.read("stderr"))
    # The CLI asks for other models as well, whether they are there.
    assert all(path.startswith("/model/eu.anthropic.") for path in bedrock.paths), bedrock.paths
    assert "/model/%s/invoke-with-response-stream" % model["model"] in bedrock.paths, bedrock.paths
    assert bedrock.key not in p.read("stdout")
    p = pod(lab, "edit", more=model, env={**env, "AWS_BEARER_TOKEN_BEDROCK": "another"}).go()
    assert p.code == 1 and p.report["reason"] == "ModelAuthenticationFailed", (p.code, p.report)


def test_tokens_of_an_answer_are_limited(lab):
    """What the plan makes of llmSettings.maxTokens reaches the API."""
    p = pod(lab, "edit", env={"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "4000"}).go()
    assert p.code == 0 and api.turns[-1]["max_tokens"] == 4000, (p.report, api.turns[-1].get("max_tokens"))


def test_max_turns(lab):
    p = pod(lab, "edit", more={"runnerConfig": {"maxTurns": 1}}).go()
    assert p.code == 1 and p.report["reason"] == "MaxTurnsReached", (p.code, p.report)


def test_a_later_run_continues_the_conversation(lab):
    first = pod(lab, "again").go()
    assert first.code == 0 and first.report["result"] == "First answer.", first.report
    second = pod(lab, "again", volume=first.volume).go()
    assert second.code == 0 and second.report["result"] == "Second answer.", second.report
    assert second.report["conversation"] == first.report["conversation"]


def test_stop_during_a_tool(lab):
    p = pod(lab, "wait").start()
    assert p.until(lambda: any(m["type"] == "tool_call" for m in p.messages)), p.read("stderr")
    p.runner.send_signal(signal.SIGTERM)
    p.wait()
    assert p.code == 143 and p.report["reason"] == "Stopped", (p.code, p.report)
    assert p.agent_code == 0


def fake_cli(lab, name, script):
    path = os.path.join(lab.root, name)
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + script)
    os.chmod(path, 0o755)
    return path


def test_cli_missing_or_too_old(lab):
    p = pod(lab, "edit", cli="/no/such/claude").go()
    assert p.code == 2 and p.report["reason"] == "PrerequisiteMissing", (p.code, p.report)
    assert p.report["message"] == ('the Claude Code CLI is missing: there is no program "/no/such/claude"; install it into '
                                   'the runner\'s image with "npm install -g @anthropic-ai/claude-code"'), p.report["message"]
    old = fake_cli(lab, "old", "echo '1.0.9 (Claude Code)'\n")
    p = pod(lab, "edit", cli=old).go()
    assert p.code == 2 and p.report["message"] == ('the Claude Code CLI is too old: "%s" is version 1.0.9, at least 2.0.0 is '
                                                   'needed' % old), p.report


def test_a_silent_cli_is_ended(lab):
    silent = fake_cli(lab, "silent", "[ \"$1\" = --version ] && { echo '2.9.9 (Claude Code)'; exit 0; }\nexec sleep 100\n")
    p = pod(lab, "edit", cli=silent)
    p.agent_env["AMBIENT_AGENT_IDLE"] = "1"
    p.go()
    assert p.code == 1 and p.report["reason"] == "AgentTimeout", (p.code, p.report)
    assert any(m.get("reason") == "AgentSilent" for m in p.messages)


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        the_lab.close()
    sys.exit(code)
