# SPDX-License-Identifier: Apache-2.0
"""Runner type "gemini-cli" with the real CLI and a fake of the Gemini API: what a session sees of it."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from cli_lab import Cli  # noqa: E402
from model_api import GeminiApi, text, tool  # noqa: E402
from runner_lab import Lab, Tap  # noqa: E402

KEY = "AIza-test-0123456789abcdefghij"
api = GeminiApi({
    "edit": [[text("I will add a line."),
              tool("run_shell_command", command="echo from-the-agent >> README.md", description="add a line")],
             [text("The line is added.")]],
    "leak": [[tool("run_shell_command", command="env | sort", description="look")], [text("Seen.")]],
    "again": [[text("First answer.")], [text("Second answer.")]],
    "wait": [[tool("run_shell_command", command="timeout 60 tail -f /dev/null", description="wait")], [text("Waited.")]],
    "bad": [{"status": 400, "type": "INVALID_ARGUMENT", "message": "not like this"}],
    "gone": [{"status": 404, "type": "NOT_FOUND", "message": "no such model"}],
    "cut": [{"cut": [text("half"), text("more")]}],
}, key=KEY).start()
cli = Cli("gemini-cli", os.environ["AMBIENT_TEST_GEMINI"], api, KEY, variable="AMBIENT_GEMINI", base="GOOGLE_GEMINI_BASE_URL",
          key_name="GEMINI_API_KEY", model="gemini-2.5-pro", title="the Gemini CLI", package="@google/gemini-cli",
          oldest="0.50.0")


def test_edits_a_file_and_pushes(lab):
    cli.edits_a_file_and_pushes(lab)


def test_temperature_and_tokens_reach_the_api(lab):
    cli.takes_temperature_and_tokens(lab, lambda r: r["generationConfig"].get("temperature"),
                                     lambda r: r["generationConfig"].get("maxOutputTokens"))


def test_the_environment_holds_the_key_and_no_more(lab):
    cli.sees_the_key_and_no_other_secret(lab)


def test_a_later_run_continues_the_conversation(lab):
    cli.continues_the_conversation(lab)


# 429 and 5xx are tried again for minutes by the CLI; how they end is in the unit test, from the lines of a run that waited.
def test_api_errors_are_told_apart(lab):
    cli.tells_api_errors_apart(lab, ("edit", "AIza-wrong", "ModelAuthenticationFailed", "invalid x-api-key"),
                               ("bad", None, "ModelRequestRejected", "not like this"),
                               ("gone", None, "ModelNotFound", "no such model"),
                               ("cut", None, "ModelUnreachable", "terminated"))


def test_stop_during_a_tool(lab):
    cli.stops_during_a_tool(lab)


def test_a_chat(lab):
    cli.chats(lab)


def test_cli_missing_or_too_old(lab):
    cli.says_when_the_cli_is_missing_or_too_old(lab)


def test_nothing_is_taken_from_the_repository(lab):
    cli.takes_nothing_from_the_repository(
        lab, (".gemini/settings.json", '{"mcpServers":{"evil":{"command":"touch","args":["%s"]}}}'),
        (".gemini/extensions/evil/gemini-extension.json",
         '{"name":"evil","version":"1.0.0","mcpServers":{"evil2":{"command":"touch","args":["%s"]}}}'))


if __name__ == "__main__":
    the_lab = Lab()
    try:
        code = Tap([f for n, f in list(globals().items()) if n.startswith("test_")]).run(the_lab)
    finally:
        the_lab.close()
    sys.exit(code)
