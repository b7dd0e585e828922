# SPDX-License-Identifier: Apache-2.0
# The command line programs of agents, from npm into a cache outside the tree, by name and version.

# npm_skip TEST REASON: a failure where AMBIENT_REQUIRE names node.
npm_skip() {
	case ",$AMBIENT_REQUIRE," in
	*,node,*) echo "1..1"; echo "not ok 1 $1: $2"; exit 1 ;;
	esac
	echo "1..0 # SKIP $2"
	exit 0
}

# npm_cli TEST NAME PACKAGE VERSION PATTERN: prints the path of the program, the first that PATTERN below the cache
# matches and that answers --version here.  Whoever calls it ends when there is none.
npm_cli() {
	npm_cache=${AMBIENT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ambient-tests}/$2-$4
	npm_find "$npm_cache" "$5" && return 0
	command -v npm >/dev/null 2>&1 || { echo "npm is not installed"; return 1; }
	mkdir -p "$npm_cache" || { echo "cannot write $npm_cache"; return 1; }
	# Suites of one program run at the same time: the first one fetches it for all.
	(
		command -v flock >/dev/null 2>&1 && flock 9
		npm_find "$npm_cache" "$5" || npm_fetch "$npm_cache" "$3@$4"
	) 9>"$npm_cache/lock" >/dev/null || { echo "npm could not install $3@$4"; return 1; }
	npm_find "$npm_cache" "$5" && return 0
	echo "what npm installed as $3@$4 does not run here"
	return 1
}

# A registry or the way to it may fail once.
npm_fetch() {
	for npm_try in 1 2 3; do
		(cd "$1" && timeout 300 npm install --no-audit --no-fund --ignore-scripts --prefix . "$2") >"$1/npm.log" 2>&1 9>&- && return 0
		sleep "$npm_try"
	done
	return 1
}

npm_find() {
	for npm_file in "$1"/node_modules/$2; do
		[ -x "$npm_file" ] && "$npm_file" --version >/dev/null 2>&1 </dev/null && { echo "$npm_file"; return 0; }
	done
	return 1
}

# npm_tests [TEST...]: those to run.  Sanitizers look at our side, which two runs go through; the rest is the CLI's time.
npm_tests() {
	if [ $# -gt 0 ] || [ "${AMBIENT_SLOW:-1}" = 1 ]; then
		echo "$@"
	else
		echo "test_edits_a_file_and_pushes test_stop_during_a_tool"
	fi
}
