# SPDX-License-Identifier: Apache-2.0
"""Runner type "opencode" with the real CLI and the fake Messages API: what a session sees of it."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from cli_lab import Cli  # noqa: E402
from messages_api import MessagesApi, text, tool  # noqa: E402
from runner_lab import Lab, Tap  # noqa: E402

KEY = "sk-ant-test-0123456789abcdef"
api = MessagesApi({
    "edit": [[text("I will add a line."), tool("bash", command="echo from-the-agent >> README.md", description="add a line")],
             [text("The line is added.")]],
    "leak": [[tool("bash", command="env | sort", description="look")], [text("Seen.")]],
    "again": [[text("First answer.")], [text("Second answer.")]],
    "wait": [[text("I wait."), tool("bash", command="timeout 60 tail -f /dev/null", description="wait")], [text("Waited.")]],
    "bad": [{"status": 400, "type": "invalid_request_error", "message": "not like this"}],
    "limit": [{"status": 429, "type": "rate_limit_error", "message": "slow down"}],
}, key=KEY).start()
cli = Cli("opencode", os.environ["AMBIENT_TEST_OPENCODE"], api, KEY, variable="AMBIENT_OPENCODE",
          base="AMBIENT_OPENCODE_BASE_URL", suffix="/v1", key_name="ANTHROPIC_API_KEY", model="anthropic/claude-sonnet-4-5",
          title="the opencode CLI", package="opencode-ai", oldest="1.0.0")


def test_edits_a_file_and_pushes(lab):
    cli.edits_a_file_and_pushes(lab)


def test_temperature_and_tokens_reach_the_api(lab):
    cli.takes_temperature_and_tokens(lab, lambda r: r.get("temperature"), lambda r: r.get("max_tokens"))


def test_the_environment_holds_the_key_and_no_more(lab):
    cli.sees_the_key_and_no_other_secret(lab)


def test_a_later_run_continues_the_conversation(lab):
    cli.continues_the_conversation(lab)


def test_api_errors_are_told_apart(lab):
    cli.tells_api_errors_apart(lab, ("edit", "sk-ant-wrong", "ModelAuthenticationFailed", "invalid x-api-key"),
                               ("bad", None, "ModelRequestRejected", "not like this"))


def test_an_api_that_refuses_for_ever_ends_by_the_idle_time(lab):
    p = cli.pod(lab, "limit")
    p.agent_env["AMBIENT_AGENT_IDLE"] = "30"
    p.go(200)
    assert p.code == 1 and p.report["reason"] == "AgentTimeout", (p.code, p.report)


# The CLI tells of a tool only when it has ended: the text before it says that it runs.
def test_stop_during_a_tool(lab):
    cli.stops_during_a_tool(lab, "text")


def test_a_chat(lab):
    cli.chats(lab, "text")


def test_cli_missing_or_too_old(lab):
    cli.says_when_the_cli_is_missing_or_too_old(lab)


# Its plugins (.opencode/plugin) are: 1.18.33 loads them whatever --pure and the environment say.
def test_mcp_servers_are_not_taken_from_the_repository(lab):
    cli.takes_nothing_from_the_repository(
        lab, ("opencode.json", '{"mcp":{"evil":{"type":"local","command":["touch","%s"]}}}'))


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        the_lab.close()
    sys.exit(code)
