# SPDX-License-Identifier: Apache-2.0
# TAP for shell tests: source it, call pass/fail/skip with a name, end with finish.
tap_count=0
tap_failed=0
pass() { tap_count=$((tap_count + 1)); echo "ok $tap_count - $*"; }
fail() { tap_count=$((tap_count + 1)); tap_failed=$((tap_failed + 1)); echo "not ok $tap_count - $*"; }
# skip NEED REASON...: counted; a failure where AMBIENT_REQUIRE names what is needed.
skip() {
    local need=$1
    shift
    case ",${AMBIENT_REQUIRE-}," in
    *",$need,"*) fail "$need is required here: $*" ;;
    *) tap_count=$((tap_count + 1)); echo "ok $tap_count - $need # SKIP $*" ;;
    esac
}
# check NAME COMMAND...: passes when the command does; its output is shown when not.
check() {
    local name=$1 out rc=0
    shift
    out=$("$@" 2>&1) || rc=$?
    if [ "$rc" -eq 0 ]; then pass "$name"; else fail "$name"; printf '%s\n' "$out" | sed 's/^/# /' | tail -n 40; fi
}
# await SECONDS COMMAND...: repeats until it succeeds.
await() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.1
    done
}
finish() { echo "1..$tap_count"; [ "$tap_failed" -eq 0 ]; }
