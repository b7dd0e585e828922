# SPDX-License-Identifier: Apache-2.0
"""Runner type "codex" with the real CLI and a fake of the Responses API: what a session sees of it."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from cli_lab import Cli  # noqa: E402
from model_api import ResponsesApi, text, tool  # noqa: E402
from runner_lab import Lab, Tap  # noqa: E402

KEY = "sk-test-0123456789abcdefghij"
api = ResponsesApi({
    "edit": [[text("I will add a line."), tool("exec_command", cmd="echo from-the-agent >> README.md")],
             [text("The line is added.")]],
    "leak": [[tool("exec_command", cmd="env | sort")], [text("Seen.")]],
    "again": [[text("First answer.")], [text("Second answer.")]],
    "wait": [[tool("exec_command", cmd="timeout 60 tail -f /dev/null")], [text("Waited.")]],
    "bad": [{"status": 400, "type": "invalid_request_error", "message": "not like this"}],
    "limit": [{"status": 429, "type": "rate_limit_error", "message": "slow down"}],
    "boom": [{"status": 500, "type": "server_error", "message": "boom"}],
    "down": [{"status": 503, "type": "server_error", "message": "away"}],
    "cut": [{"cut": [text("half"), text("more")]}],
}, key=KEY).start()
cli = Cli("codex", os.environ["AMBIENT_TEST_CODEX"], api, KEY, variable="AMBIENT_CODEX", base="AMBIENT_CODEX_BASE_URL",
          suffix="/v1", key_name="OPENAI_API_KEY", model="gpt-5", title="the Codex CLI", package="@openai/codex",
          oldest="0.100.0")


def test_edits_a_file_and_pushes(lab):
    cli.edits_a_file_and_pushes(lab)


def test_the_environment_holds_the_key_and_no_more(lab):
    cli.sees_the_key_and_no_other_secret(lab)


def test_a_later_run_continues_the_conversation(lab):
    cli.continues_the_conversation(lab)


def test_api_errors_are_told_apart(lab):
    cli.tells_api_errors_apart(lab, ("edit", "sk-wrong", "ModelAuthenticationFailed", "401"),
                               ("bad", None, "ModelRequestRejected", "not like this"),
                               ("limit", None, "ModelRateLimited", "429"),
                               ("down", None, "ModelUnavailable", "away"),
                               ("boom", None, "ModelUnavailable", "high demand"),
                               ("cut", None, "ModelUnreachable", "disconnected"))


def test_stop_during_a_tool(lab):
    cli.stops_during_a_tool(lab)


def test_a_chat(lab):
    cli.chats(lab)


def test_cli_missing_or_too_old(lab):
    cli.says_when_the_cli_is_missing_or_too_old(lab)


def test_nothing_is_taken_from_the_repository(lab):
    cli.takes_nothing_from_the_repository(
        lab, (".codex/config.toml", '[mcp_servers.evil]\ncommand = "touch"\nargs = ["%s"]\n'),
        (".codex/hooks.json", '{"hooks":{"SessionStart":[{"hooks":[{"type":"command","command":"touch %s"}]}]}}'))


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        the_lab.close()
    sys.exit(code)
