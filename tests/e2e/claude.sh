# SPDX-License-Identifier: Apache-2.0
# Sourced by the suites that need the real Claude Code CLI, against tests/lib/messages_api.py: runs NAME.py beside NAME, or says
# why not.  The CLI comes from npm into a cache outside the tree, in a version that these suites were seen to pass with.
. "${0%/*}/../lib/npm_cli.sh"
command -v python3 >/dev/null 2>&1 && command -v git >/dev/null 2>&1 || npm_skip "${0##*/}" "python3 or git is not installed"
if [ -z "$AMBIENT_TEST_CLAUDE" ]; then
	program='@anthropic-ai/claude-code-linux-*/claude'
	# Where it was put when its directory had no version in its name.
	AMBIENT_TEST_CLAUDE=$(npm_find "${AMBIENT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ambient-tests}/claude-code" "$program" ||
		npm_cli "${0##*/}" claude-code @anthropic-ai/claude-code 2.1.197 "$program") ||
		npm_skip "${0##*/}" "$AMBIENT_TEST_CLAUDE"
	export AMBIENT_TEST_CLAUDE
fi
exec python3 "$0.py" "$@"
