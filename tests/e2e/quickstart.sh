#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./quickstart as its users meet it: odd checkouts, ports that are taken, interrupts, crashes, and a session with each
# runner type.  It runs an installed tree instead of building one: AMBIENT_QUICKSTART_PREFIX, or the prefix of this
# build when that was installed after it was built, as `./quickstart check` does.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$top/tests/lib/tap.sh"

case ,${AMBIENT_REQUIRE-}, in *,bwrap,*) required=1 ;; *) required='' ;; esac
stop_here() { # REASON
	if [ -n "$required" ] && [ -n "${2-}" ]; then echo "1..1"; echo "not ok 1 quickstart: $1"; exit 1; fi
	echo "1..0 # SKIP $1"
	exit 0
}
for tool in git kubectl setsid script; do
	command -v $tool >/dev/null || stop_here "$tool is not installed"
done
/usr/bin/bwrap --unshare-pid --ro-bind / / --proc /proc --dev /dev true 2>/dev/null ||
	stop_here "bubblewrap makes no sandbox here" required
prefix=${AMBIENT_QUICKSTART_PREFIX:-}
if [ -z "$prefix" ] && [ -n "${top_builddir-}" ]; then
	prefix=$(sed -n 's/^prefix = //p' "$top_builddir/Makefile")
	[ "$prefix/sbin/ambientd" -nt "$top_builddir/core/libambient-core.la" ] || prefix=''
fi
[ -n "$prefix" ] || stop_here "no installed tree of this build; make install, or set AMBIENT_QUICKSTART_PREFIX"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/quickstart.XXXXXX") && tmp=$(cd "$tmp" && pwd -P) || exit 99
place=$tmp/place
# Three in a row where nobody listens, below those that the kernel gives to whoever asks for any.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
read -r given _ </proc/sys/net/ipv4/ip_local_port_range
[ "$given" -gt 11000 ] && [ "$given" -lt 30000 ] || given=30000
port=''
until [ -n "$port" ] && ! listens "$port" && ! listens $((port + 1)) && ! listens $((port + 2)); do
	port=$((10000 + RANDOM % (given - 10002)))
done
export AMBIENT_API_PORT=$port AMBIENT_OPS_PORT=$((port + 1)) AMBIENT_GIT_PORT=$((port + 2))
export AMBIENT_QUICKSTART_PREFIX=$prefix AMBIENT_QUICKSTART_DIR=$place XDG_CACHE_HOME=$tmp/cache
unset ANTHROPIC_API_KEY ANTHROPIC_BASE_URL KUBECONFIG
helper=''
clean_up() {
	[ -z "$helper" ] || kill "$helper" 2>/dev/null
	(cd "$top" && timeout 90 ./quickstart clean >/dev/null 2>&1)
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 143' TERM INT
cd "$top" || exit 99

# says CODE 'PART' NAME COMMAND...
says() {
	local want=$1 part=$2 name=$3 got=0
	shift 3
	timeout 300 "$@" >"$tmp/out" 2>&1 </dev/null || got=$?
	if [ "$got" = "$want" ] && grep -qF -- "$part" "$tmp/out"; then
		pass "$name"
	else
		fail "$name: exit code $got, wanted $want and \"$part\""
		sed 's/^/# /' "$tmp/out" | tail -n 30
	fi
}
holds() { find /proc/[0-9]*/fd /proc/[0-9]*/exe -maxdepth 1 -lname "$1" 2>/dev/null; }
# The control groups of this place's pods: others run on this machine too.
groups() { # DIRECTORY-OF-THE-NODE'S-STATE
	local LC_ALL=C hash=2166136261 i char
	for ((i = 0; i < ${#1}; i++)); do
		printf -v char '%d' "'${1:i:1}"
		hash=$((((hash ^ (char & 255)) * 16777619) & 0xffffffff))
	done
	find /sys/fs/cgroup -maxdepth 2 -type d -name "$(printf 'ambient-%08x' $hash)" 2>/dev/null
}
shims() { holds "$place/state/node/pods/*/shim.lock"; }
nothing_runs() { [ -z "$(daemon)$(shims)$(grep -F "$place" /proc/mounts)$(groups "$place/state/node")" ]; }
# What git daemon started for somebody tidies up after the push that it has answered, with git daemon's log open.
nothing_left() { nothing_runs && [ -z "$(holds "$place/*")" ]; }
all_ended() { # NAME
	check "$1" nothing_runs
	check "$1: no process has a file open" await 60 nothing_left
}
daemon() { holds "$place/state/lock" | cut -d/ -f3 | head -1; }
is_up() { [ -n "$(daemon)" ] && ctl get >/dev/null 2>&1; }
ctl() { timeout 60 "$prefix/bin/ambientctl" --kubeconfig "$place/state/apiserver/admin.kubeconfig" -n quickstart "$@"; }
phase_is() { ctl get "$1" 2>/dev/null | grep -qw "$2"; }
ended() { ! kill -0 "$1" 2>/dev/null; }

# ---- words and places
says 2 'usage: ./quickstart' 'an unknown word gets the usage' ./quickstart cheque
says 0 'AMBIENT_API_PORT' 'help' ./quickstart --help
says 1 '"http" is no number of a port' 'a port that is none' env AMBIENT_API_PORT=http ./quickstart
says 1 'three different ports' 'one port twice' env AMBIENT_OPS_PORT="$port" ./quickstart
says 0 'nothing to remove' 'clean before anything was made' ./quickstart clean
mkdir "$tmp/mine" && echo mine >"$tmp/mine/file"
says 1 "that are not quickstart's" 'a directory with other files is not taken' \
	env AMBIENT_QUICKSTART_DIR="$tmp/mine" ./quickstart
says 1 "that are not quickstart's" 'nor removed' env AMBIENT_QUICKSTART_DIR="$tmp/mine" ./quickstart clean
check 'its file is still there' grep -q mine "$tmp/mine/file"
mkdir -m 777 "$tmp/open" && chmod 777 "$tmp/open"
says 1 'writable by others' 'a directory that anybody may write to' \
	env AMBIENT_QUICKSTART_DIR="$tmp/open/x" ./quickstart
says 1 "no $tmp/none/sbin/ambientd" 'a prefix without a daemon' \
	env AMBIENT_QUICKSTART_PREFIX="$tmp/none" ./quickstart

# A port is taken: by our own API server, soon; here by whoever listens first.
exec 8< <(exec python3 -uc 'import socket,sys,time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1]); time.sleep(600)' 2>/dev/null)
helper=$!
if read -r -t 60 taken <&8; then
	for name in API OPS GIT; do
		says 1 "port $taken on 127.0.0.1 is in use" "the $name port is taken" \
			env "AMBIENT_${name}_PORT=$taken" ./quickstart
	done
	all_ended 'nothing is left of that'
	mkdir "$tmp/a b" && cp quickstart "$tmp/a b/"
	says 1 'not building in this checkout: its path has a character' 'a checkout with a blank in its path' \
		env -u AMBIENT_QUICKSTART_DIR AMBIENT_API_PORT="$taken" "$tmp/a b/quickstart"
	check 'it goes to the cache instead' grep -q "using $tmp/cache/ambient-quickstart-" "$tmp/out"
	says 0 "removed $tmp/cache/ambient-quickstart-" 'and is removed from there' \
		env -u AMBIENT_QUICKSTART_DIR "$tmp/a b/quickstart" clean
	mkdir -m 777 "$tmp/shared" && chmod 777 "$tmp/shared" && cp quickstart "$tmp/shared/"
	says 1 "\"$tmp/shared\" is writable by others" 'a checkout that others may write to' \
		env -u AMBIENT_QUICKSTART_DIR AMBIENT_API_PORT="$taken" "$tmp/shared/quickstart"
	says 1 'not building in this checkout' 'HOME and XDG_CACHE_HOME unset' \
		env -u AMBIENT_QUICKSTART_DIR -u XDG_CACHE_HOME -u HOME AMBIENT_API_PORT="$taken" "$tmp/shared/quickstart"
	env -u AMBIENT_QUICKSTART_DIR -u XDG_CACHE_HOME -u HOME "$tmp/shared/quickstart" clean >/dev/null 2>&1
	kill "$helper"
else
	skip python3 'nobody listens'
fi
helper=''
exec 8<&-

# ---- one session, no terminal
says 0 'is Completed' 'a session, without a terminal' env -u HOME sh -c 'umask 077; exec ./quickstart'
check 'the runner type and why' grep -q 'runner type command: ANTHROPIC_API_KEY is not set' "$tmp/out"
check 'its phases in their order' sh -c 'tr "\n" " " <"$1" | grep -qE " Pending .* Creating .* Running .* Completed "' - "$tmp/out"
check 'what was pushed is shown' grep -q '+## Usage' "$tmp/out"
check 'no escape sequences' sh -c '! grep -q "$(printf "\033")" "$1"' - "$tmp/out"
all_ended 'the platform ended with it'
check 'its work stays' [ -d "$place/git/origin.git" ]

# ---- serve, and a second quickstart beside it
./quickstart serve >"$tmp/serve" 2>&1 </dev/null &
serve=$!
check 'serve' await 120 is_up
await 120 grep -q 'until Ctrl-C' "$tmp/serve"
says 0 'the platform is running already' 'a second quickstart uses what is there' ./quickstart
check 'the platform is still there' is_up
client=("$prefix/bin/ambientctl" --kubeconfig "$place/state/apiserver/admin.kubeconfig" -n quickstart)
says 0 '"status":"Success"' 'ambientctl delete -o json' \
	"${client[@]}" delete "$(ctl get | awk 'NR == 2 { print $1 }')" -o json
says 1 'Failed  the command ended with exit code 3' 'ambientctl run --follow of one that fails' \
	"${client[@]}" run x --command 'exit 3' --follow
check 'its phase is the last that is said' sh -c 'tail -n 1 "$1" | grep -q "^Failed "' - "$tmp/out"
ctl run x --command 'sleep 1000' --name gone --follow >"$tmp/gone" 2>&1 &
follow=$!
await 120 phase_is gone Running
ctl delete gone >/dev/null
rc=0
wait $follow || rc=$?
check 'a session that is deleted while it is followed' [ "$rc" = 3 ]
check 'is said to be' grep -q '"gone" was deleted' "$tmp/gone"

# ---- the worst: everything dies while an agent that wants to stay is running
ctl run x --name stubborn --repo "git://127.0.0.1:$AMBIENT_GIT_PORT/origin.git" --command \
	'trap "" TERM; setsid sleep 1000 & mkdir shut; echo x >shut/x; chmod 000 shut; echo ready; sleep 1000' >/dev/null
await 120 phase_is stubborn Running
says_ready() { ctl messages stubborn 2>/dev/null | grep -q ready; }
await 120 says_ready
disown "$serve"
kill -9 "$serve" "$(daemon)"
check 'the agent outlives the daemon' [ -n "$(shims)" ]
says 0 "removed $place" 'clean after kill -9 with a pod that runs' ./quickstart clean
check 'no process, no mount' await 60 nothing_left
check 'no file' [ ! -e "$place" ]

# ---- an interrupt on a terminal
: >"$tmp/tty"
interrupt_when() { # PATTERN
	await 120 grep -q "$1" "$tmp/tty"
	printf '\003'
	await 120 ended "$(cat "$tmp/script.pid")"
}
on_terminal() { # PATTERN
	rm -f "$tmp/script.pid"
	: >"$tmp/tty"
	(await 60 test -s "$tmp/script.pid"; interrupt_when "$1") |
		(echo "$BASHPID" >"$tmp/script.pid"; TERM=xterm exec timeout 300 script -qfec ./quickstart "$tmp/tty" >/dev/null 2>&1)
}
# With a greet.sh that does not end: the session is in its middle for as long as the interrupt needs to come.
endless_sample() {
	local -x GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	mkdir -p "$place/git" && : >"$place/.ambient-quickstart" && git init -q -b main "$tmp/work" &&
		echo '# Endless' >"$tmp/work/README.md" && echo 'exec sleep 1000' >"$tmp/work/greet.sh" && git -C "$tmp/work" add -A &&
		git -C "$tmp/work" -c user.name=t -c user.email=t@localhost commit -q -m endless &&
		git clone -q --bare "$tmp/work" "$place/git/origin.git"
}
check 'a sample that has no end' endless_sample
on_terminal 'reading greet.sh'
check 'Ctrl-C in the middle of a session stops it' grep -q 'ending the sessions that still run: demo-' "$tmp/tty"
all_ended 'and leaves nothing running'
rm -rf "$place/git" # the next one makes its own again
on_terminal 'until Ctrl-C'
check 'on a terminal the platform stays until Ctrl-C' grep -q 'is Completed' "$tmp/tty"
all_ended 'and then nothing is left running'
check 'with colours' grep -q "$(printf '\033')\[1m" "$tmp/tty"

# ---- Claude Code
mkdir "$tmp/bin"
printf '#!/bin/sh\nexit 1\n' >"$tmp/bin/claude" && chmod +x "$tmp/bin/claude"
says 0 "claude --version\" fails" 'a claude CLI that does not run' \
	env PATH="$tmp/bin:$PATH" ANTHROPIC_API_KEY=sk-ant-canary ./quickstart
rm "$tmp/bin/claude"
cli=''
for file in "${AMBIENT_CACHE:-${HOME:-/nonexistent}/.cache/ambient-tests}"/claude-code*/node_modules/@anthropic-ai/claude-code-linux-*/claude; do
	[ ! -x "$file" ] || cli=$file
done
cli=${AMBIENT_TEST_CLAUDE:-$cli}
if [ -z "$cli" ] || ! "$cli" --version >/dev/null 2>&1; then
	skip claude 'the CLI is not in the cache; tests/e2e/runner_claude fetches it'
else
	ln -s "$cli" "$tmp/bin/claude"
	cat >"$tmp/api.py" <<'EOF'
import json
import re
import sys
import time
sys.path.insert(0, sys.argv[1])
import messages_api


class Api(messages_api.MessagesApi):
    """Writes one file into the repository, wherever that is."""
    def step(self, request):
        where = re.search(r"/workspace/sessions/[a-z0-9-]+/workspace/origin", json.dumps(request))
        if not request.get("tools") or not where:
            return [messages_api.text("ok")]
        if any(m.get("role") == "assistant" for m in request["messages"]):
            return [messages_api.text("USAGE.md is written.")]
        return [messages_api.tool("Write", file_path=where.group(0) + "/USAGE.md", content="./greet.sh NAME\n")]


api = Api()
api.start()
print(api.url, flush=True)
time.sleep(600)
EOF
	exec 8< <(exec python3 "$tmp/api.py" "$top/tests/lib")
	helper=$!
	read -r -t 60 url <&8
	says 0 'is Completed' 'Claude Code, against a Messages API on loopback' \
		env PATH="$tmp/bin:$PATH" ANTHROPIC_API_KEY=sk-ant-canary ANTHROPIC_BASE_URL="$url" ./quickstart
	check 'the runner type and why' grep -q "runner type claude-code: ANTHROPIC_API_KEY is set and .* is there" "$tmp/out"
	check 'its file was pushed' grep -q '+./greet.sh NAME' "$tmp/out"
	check 'the key is in no log' sh -c '! grep -rq sk-ant-canary "$1"' - "$place/log"
fi
says 0 "removed $place" 'clean' ./quickstart clean
check 'nothing is left' nothing_left
finish
