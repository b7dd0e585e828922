# SPDX-License-Identifier: Apache-2.0
# Sourced by the suites that need the real Claude Code CLI, against tests/lib/messages_api.py: runs NAME.py beside NAME, or says
# why not.  The CLI comes from npm into a cache outside the tree.
skip() {
	case ",$AMBIENT_REQUIRE," in
	*,node,*) echo "1..1"; echo "not ok 1 ${0##*/}: $1"; exit 1 ;;
	esac
	echo "1..0 # SKIP $1"
	exit 0
}
command -v python3 >/dev/null 2>&1 && command -v git >/dev/null 2>&1 || skip "python3 or git is not installed"
if [ -z "$AMBIENT_TEST_CLAUDE" ]; then
	cache=${AMBIENT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ambient-tests}/claude-code
	find_cli() {
		for f in "$cache"/node_modules/@anthropic-ai/claude-code-linux-*/claude; do
			[ -x "$f" ] && "$f" --version >/dev/null 2>&1 && { AMBIENT_TEST_CLAUDE=$f; return 0; }
		done
		return 1
	}
	if ! find_cli; then
		command -v npm >/dev/null 2>&1 || skip "npm is not installed"
		mkdir -p "$cache" || skip "cannot write $cache"
		(cd "$cache" && timeout 300 npm install --no-audit --no-fund --ignore-scripts --prefix . @anthropic-ai/claude-code) \
			>"$cache/npm.log" 2>&1 || skip "npm could not install the CLI"
		find_cli || skip "the CLI that npm installed does not run here"
	fi
	export AMBIENT_TEST_CLAUDE
fi
exec python3 "$0.py" "$@"
