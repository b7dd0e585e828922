#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon as its administrator meets it: configuration, reload, pages, admin socket, signals; two replicas and a lease.
# The API server is the standalone one; everything runs from the build tree, on loopback, on any free port.
set -u
. "$top_srcdir/tests/lib/tap.sh"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ambientd.XXXXXX") || exit 99
clean() {
    # The number of a daemon that has ended may be anybody's by now.
    for p in $(jobs -pr); do kill -9 "$p" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$tmp"
}
trap clean EXIT
ambientd=$top_builddir/core/ambientd/ambientd
# A module's shared object lies in .libs; plugins are loaded from one directory.
mkdir "$tmp/plugins"
for p in standalone/apiserver standalone/workloads runner-command; do
    cp "$top_builddir/plugins/$p/.libs/${p##*/}.so" "$tmp/plugins/"
done
cp "$top_builddir/tests/plugins/.libs/moody.so" "$tmp/plugins/"
slow=${AMBIENT_SLOW:-1}

configuration() { # NAME FILE-BODY: the common head and what follows
    cat > "$tmp/$1.conf" <<CONF
plugin_dir = "$tmp/plugins";
state = "$tmp/$1.state"; runtime = "$tmp/$1.run";
log: { format = "text"; level = "${3:-info}"; };
$2
CONF
}
# The log of one before is gone at once, not when the child gets to it: nobody is to find there that this one is ready.
start() { # NAME [LOG]
    : > "$tmp/${2:-$1}.log"
    "$ambientd" -c "$tmp/$1.conf" 2> "$tmp/${2:-$1}.log" &
    pid=$!
}
# The shell reaps a daemon that has ended by itself, and its number is free: so only to one that still runs.
send() { # SIGNAL PID
    if jobs -pr | grep -qx "$2"; then kill -"$1" "$2"; else echo "# $2 has ended before it was sent $1"; fi
}
ready() { grep -q 'ambientd: ready' "$tmp/$1.log"; }
logged() { grep -q -- "$2" "$tmp/$1.log"; }
admin() { # NAME COMMAND
    python3 - "$tmp/$1.run/ambientd.sock" "$2" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\n")
out = b""
while piece := s.recv(65536):
    out += piece
sys.stdout.write(out.decode())
PY
}
# A child can only be waited for here, not in the subshell of check.
ends_with() { # NAME PID CODE
    local rc=0
    wait "$2" || rc=$?
    if [ "$rc" -eq "$3" ]; then pass "$1"; else fail "$1"; echo "# exit $rc, wanted $3"; fi
}

command -v python3 >/dev/null || { skip python3 "no python3"; finish; exit; }

# ---- one daemon
plugins='apiserver: { config: { listen = "127.0.0.1:0"; }; }; workloads: { workers = 2; };'
configuration one "mode = \"standalone\"; cluster: { server = \"apiserver\"; }; ops: { listen = \"127.0.0.1:0\"; };
plugins: { $plugins };"
check "--check-config" "$ambientd" -c "$tmp/one.conf" --check-config
printed() { "$ambientd" -c "$tmp/one.conf" "$@" --print-config | grep -A9 'apiserver' | grep 'durability = '; }
check "--durability is told to the API server" grep -q '"process"' <(printed --durability=process)
check "it wins over the file and --set" grep -q '"power"' <(printed -s plugins.apiserver.config.durability=process --durability power)
check "of any other word it says what there is" grep -q -- '--durability is "power" or "process", not "fast"' \
    <("$ambientd" -c "$tmp/one.conf" --durability fast 2>&1)
check "a predicate of the configuration is checked" grep -q 'plugin "workloads": when= takes "generation".*not "spec"' \
    <("$ambientd" -c "$tmp/one.conf" -s plugins.workloads.when=spec --check-config 2>&1)
check "and taken" "$ambientd" -c "$tmp/one.conf" -s plugins.workloads.when=generation,/spec --check-config
configuration bare 'mode = "cluster";'
check "without an API server of its own it is refused" grep -q '"cluster.server" names none' \
    <("$ambientd" -c "$tmp/bare.conf" --durability process --check-config 2>&1)

# ---- the example of a file in conf.d
mkdir -p "$tmp/example/conf.d"
cp "$top_builddir/plugins/standalone/node/.libs/node.so" "$tmp/plugins/"
configuration example/example "mode = \"standalone\"; cluster: { server = \"apiserver\"; };
plugins: { $plugins node: { config: { shim = \"/bin/true\"; images: ( { match = \"mine:*\"; } ); }; }; };"
cp "$top_srcdir/etc/examples/podman.conf" "$tmp/example/conf.d/"
example() { "$ambientd" -c "$tmp/example/example.conf" "$@" 2>&1; }
check "etc/examples/podman.conf is taken" example --check-config
check "and stands beside the images that are there" grep -q 'mine:' <(example --print-config)
check "its patterns are read" grep -q 'localhost/' <(example --print-config)
sed -i 's/"host"/"bridge"/' "$tmp/example/conf.d/podman.conf"
check "a network that pods have no address in is refused" grep -q 'podman\[1\].network is "host" or "none", not "bridge"' \
    <(example --check-config)
sed -i 's/"bridge"/"host"/; s/"Never"/"never"/' "$tmp/example/conf.d/podman.conf"
check "so is a policy that there is not" grep -q 'podman\[0\].pull is "Always", "IfNotPresent" or "Never", not "never"' \
    <(example --check-config)
rm "$tmp/plugins/node.so"

start one
one=$pid
if await $((30 * slow)) ready one; then pass "starts"; else fail "starts"; sed 's/^/# /' "$tmp/one.log"; finish; exit; fi
check "admin: status" grep -q 'controller workloads.jobs workers=2' <(admin one "ambient-admin/1 status")
check "admin: ready" grep -q 'ready=yes' <(admin one "ambient-admin/1 status")
check "admin: another protocol is refused" grep -q 'speaks "ambient-admin/1"' <(admin one "ambient-admin/9 status")
check "admin: an unknown command is refused" grep -q 'ambient-admin/1 error there is no command "fly"' <(admin one "ambient-admin/1 fly")
check "admin: log-level" grep -q debug <(admin one "ambient-admin/1 log-level debug")
check "admin: metrics" grep -q '^workqueue_adds_total{' <(admin one "ambient-admin/1 metrics")
check "admin: explain wants a key" grep -q 'error say "explain NAMESPACE/NAME' <(admin one "ambient-admin/1 explain")
check "admin: explain wants one key and one controller" grep -q 'error say "explain NAMESPACE/NAME' \
    <(admin one "ambient-admin/1 explain a b c")
check "admin: explain names a controller that is not there" grep -q 'there is no controller "fly"' \
    <(admin one "ambient-admin/1 explain a/b fly")
check "admin: nothing is known of what was never seen" grep -qx '\[\]' <(admin one "ambient-admin/1 explain no/body")
ctl() { "$top_builddir/core/ambientctl/ambientctl" "$@" --socket "$tmp/one.run/ambientd.sock"; }
explained() { ctl explain default "${@:2}" 2>&1 | grep -q -- "$1"; }
# The controller of namespaces' ServiceAccounts has seen the namespace "default" in its first list.
check "ambientctl explain: state" await $((10 * slow)) explained '^  state     idle, for'
check "ambientctl explain: why" explained 'listed: v1/namespaces itself, version [0-9]'
check "ambientctl explain: of one controller" explained 'default in workloads.serviceaccounts' workloads.serviceaccounts
check "ambientctl explain: as JSON" explained '"cause":"listed"' -o json
check "ambientctl explain: of nobody it says so" grep -q 'nothing is known of "no/body"' <(ctl explain no/body 2>&1)
check "admin socket is its owner's" test "$(stat -c %a "$tmp/one.run/ambientd.sock")" = 600

start one second
ends_with "a second daemon on the same state ends with 1" "$pid" 1
check "and says so" logged second "another ambientd runs on"

# ---- reload
reload() { send HUP "$one"; }
sed -i 's/level = "info"/level = "warn"/' "$tmp/one.conf"
start_level() { admin one "ambient-admin/1 log-level" | grep -q "$1"; }
reload
check "reload: a new level is taken" await $((10 * slow)) start_level warn
sed -i 's/mode = "standalone"/mode = "standalon"/' "$tmp/one.conf"
reload
check "reload: a mistake keeps the old configuration and is named" await $((10 * slow)) logged one \
    'stays as it was: .*one.conf:4: "mode" must be "standalone" or "cluster"'
sed -i 's/mode = "standalon"/mode = "standalone"/; s/127.0.0.1:0"; }; }; workloads: { workers = 2/127.0.0.1:0"; }; }; workloads: { workers = 3/' "$tmp/one.conf"
reload
check "reload: what needs a restart is refused and named" await $((10 * slow)) logged one 'needs a restart'
check "it still runs" grep -q 'workers=2' <(admin one "ambient-admin/1 status")
send TERM "$one"
ends_with "TERM ends it with 0" "$one" 0
check "the admin socket is gone" test ! -e "$tmp/one.run/ambientd.sock"

# ---- a reload is taken whole or not at all
moods() { # FIRST SECOND
    configuration moods "mode = \"standalone\"; cluster: { server = \"apiserver\"; }; ops: { listen = \"\"; };
plugins: { apiserver: { config: { listen = \"127.0.0.1:0\"; }; };
    first: { plugin = \"moody\"; config: { mood = \"$1\"; }; }; second: { plugin = \"moody\"; config: { mood = \"$2\"; }; }; };"
}
said() { grep -o ': \(first\|second\) is [a-z]*' "$tmp/moods.log" | sed 's/^: //' | tr '\n' ',' ; }
moods fine well
start moods
moody=$pid
await $((30 * slow)) ready moods || { fail "a daemon with moody plugins"; sed 's/^/# /' "$tmp/moods.log"; }
moods glad bad
send HUP "$moody"
check "reload: a plugin's refusal is said" await $((10 * slow)) logged moods \
    'stays as it was: the reload of "second": the mood "bad" is not to be had'
check "reload: who had taken it took the old one back" test "$(said)" = "first is fine,second is well,first is glad,first is fine,"
moods glad calm
send HUP "$moody"
check "reload: both take the next one" await $((10 * slow)) logged moods 'the configuration was reloaded'
check "each its own" test "$(said)" = "first is fine,second is well,first is glad,first is fine,first is glad,second is calm,"
send TERM "$moody"
ends_with "moody plugins: TERM ends it with 0" "$moody" 0
# NAME TEXT...: the log has these, each in one line, in this order.
in_order() {
    local log=$tmp/$1.log at=0 line text
    shift
    for text in "$@"; do
        line=$(grep -n -- "$text" "$log" | cut -d: -f1)
        case $line in '' | *[!0-9]*) echo "# \"$text\" is not in one line, but in: $line"; return 1 ;; esac
        [ "$line" -gt "$at" ] || { echo "# \"$text\" is in line $line already, what comes before it in $at"; return 1; }
        at=$line
    done
}
check "MG1_01: first the API server, then the plugins as they are configured, then it is ready" in_order moods \
    'the API server "apiserver" answers' 'second is well' 'ambientd: ready'
check "MG1_02: the stop is the reverse" in_order moods 'ambientd: stopping' 'second is asked to stop' \
    'first is asked to stop' 'ambientd: stopped'
check "moody plugins: both were asked to stop" test "$(grep -c 'is asked to stop' "$tmp/moods.log")" = 2

# ---- a plugin whose kind is not there
cp "$top_builddir/tests/plugins/.libs/witness.so" "$tmp/plugins/"
configuration missing "mode = \"standalone\"; cluster: { server = \"apiserver\"; }; ops: { listen = \"\"; };
plugins: { apiserver: { config: { listen = \"127.0.0.1:0\"; crds = []; }; }; witness: {}; moody: {}; };"
start missing
runs() { admin missing "ambient-admin/1 status" | grep -q "instance $1 .*state=running"; }
check "MG5: who has its caches begins" await $((30 * slow)) runs moody
waits_for_kind() { admin missing "ambient-admin/1 status" | grep -q 'ready=no.*agenticsessions is not synced (no such kind'; }
check "MG5: who waits for a kind does not, and is named" await $((30 * slow)) waits_for_kind
check "and is not begun" test "$(admin missing "ambient-admin/1 status" | grep -c 'instance witness .*state=running')" = 0
send TERM "$pid"
ends_with "missing: TERM ends it with 0" "$pid" 0

# ---- a reconcile that never comes back
configuration hung "mode = \"standalone\"; cluster: { server = \"apiserver\"; }; ops: { listen = \"\"; }; drain = \"1s\";
plugins: { apiserver: { config: { listen = \"127.0.0.1:0\"; }; }; moody: { workers = 1; config: { hang = true; }; }; };"
start hung
hung=$pid
check "hung: it hangs" await $((30 * slow)) logged hung 'hangs on'
if admin hung "ambient-admin/1 clock advance 6m" | grep -q '^advanced'; then
    check "clock: a reconcile over its deadline is named, with plugin and key" await $((10 * slow)) logged hung \
        'longer than it may: asked it to end.*controller=moody plugin=moody .*name='
    admin hung "ambient-admin/1 clock advance 6m" > /dev/null
    check "clock: at twice the deadline its worker is replaced" await $((10 * slow)) logged hung 'its worker is replaced'
    not_ready() { admin hung "ambient-admin/1 status" | grep -q 'ready=no.*moody: .* calls are stuck'; }
    check "clock: and the instance is not ready" await $((10 * slow)) not_ready
else
    check "without test hooks there is no clock to move" grep -q 'error there is no command "clock"' \
        <(admin hung "ambient-admin/1 clock advance 6m")
fi
send TERM "$hung"
ends_with "hung: TERM ends it with 0 after the drain" "$hung" 0
check "hung: the call is named" logged hung 'a reconcile does not end: left behind.*plugin=moody'
check "hung: its plugin is not told to stop" test "$(grep -c 'is asked to stop' "$tmp/hung.log")" = 0
check "hung: the rest is put away" logged hung 'ambientd: stopped'
start hung
hung=$pid
await $((30 * slow)) logged hung 'hangs on'
sed -i 's/drain = "1s"/drain = "1h"/' "$tmp/hung.conf"
send HUP "$hung"
await $((10 * slow)) logged hung 'was reloaded'
send TERM "$hung"
await $((10 * slow)) logged hung 'ambientd: stopping'
send TERM "$hung"
ends_with "hung: a second TERM ends it at once, with 1" "$hung" 1

# ---- two states, one runtime directory
configuration other "mode = \"standalone\"; cluster: { server = \"apiserver\"; }; ops: { listen = \"\"; }; plugins: { $plugins };"
configuration owner "mode = \"standalone\"; cluster: { server = \"apiserver\"; }; ops: { listen = \"\"; }; plugins: { $plugins };"
sed -i "s|$tmp/other.run|$tmp/owner.run|" "$tmp/other.conf"
start owner
owner=$pid
await $((30 * slow)) ready owner
start other
ends_with "another state with the same runtime directory: ends with 1" "$pid" 1
check "and says whose socket it is" logged other 'another daemon answers on'
check "which goes on answering" grep -q 'ready=yes' <(admin owner "ambient-admin/1 status")
send TERM "$owner"
ends_with "the first of them ends with 0" "$owner" 0

# ---- formats
configuration json "mode = \"standalone\"; cluster: { server = \"apiserver\"; }; ops: { listen = \"\"; };
plugins: { $plugins };"
sed -i 's/format = "text"/format = "json"/' "$tmp/json.conf"
start json
await $((30 * slow)) grep -q '"msg":"ready"' "$tmp/json.log"
send TERM "$pid"
ends_with "JSON: ends with 0" "$pid" 0
check "JSON: every line is an object with time, level, area and msg" python3 -c '
import json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
assert len(lines) > 2 and all({"time", "level", "area", "msg"} <= set(l) for l in lines)' "$tmp/json.log"

# ---- two replicas against one API server
configuration api "mode = \"standalone\"; cluster: { server = \"apiserver\"; }; ops: { listen = \"\"; };
plugins: { apiserver: { config: { listen = \"127.0.0.1:0\"; }; }; };"
start api
await $((30 * slow)) ready api || { fail "an API server for the replicas"; sed 's/^/# /' "$tmp/api.log"; finish; exit; }
for r in a b; do
    configuration $r "mode = \"cluster\"; cluster: { kubeconfig = \"$tmp/api.state/apiserver/admin.kubeconfig\"; };
ops: { listen = \"\"; }; lease: { duration = \"12s\"; renew = \"9s\"; retry = \"500ms\"; identity = \"replica-$r\"; };
plugins: { workloads: {}; };"
done
leads() { admin "$1" "ambient-admin/1 status" | grep -q 'leading=yes'; }
start a
a=$pid
check "the first replica leads" await $((20 * slow)) leads a
start b
b=$pid
check "the second is ready" await $((20 * slow)) ready b
# The first line about the election comes behind the one about the caches.
check "CT5_14: it stood for election with full caches" logged b 'the caches are full, standing for election'
says_who() { admin b "ambient-admin/1 explain default" | grep -q '"elsewhere":"replica-a leads"'; }
check "and says who does, when it explains an object" says_who
check "and does not lead" grep -q 'leading=no' <(admin b "ambient-admin/1 status")
check "MG1_03: pages and watches need no lease" grep -q 'watch v1/namespaces state=watching' <(admin b "ambient-admin/1 status")
send TERM "$a"
ends_with "stopped, the first ends with 0" "$a" 0
# Each look is a process of its own, so two seconds may be one look; a lease that was not given back takes more than eleven.
check "its lease was given back: the second leads within a retry" await 10 leads b
start a
a=$pid
check "back again, it waits" await $((20 * slow)) ready a
check "without leading" grep -q 'leading=no' <(admin a "ambient-admin/1 status")
for p in $(pgrep -P "$b"); do kill -9 "$p"; done
kill -9 "$b"
check "killed, the second's lease runs out and the first leads" await $((24 * slow)) leads a
# HOLDER: somebody writes the replicas' Lease by hand.
lease() {
    python3 - "$tmp/api.state/apiserver/admin.kubeconfig" "$1" "$tmp/lease.pem" <<'PY'
import base64, http.client, json, re, ssl, sys, urllib.parse
text = open(sys.argv[1]).read()
data = lambda key: base64.b64decode(re.search(r'%s-data"?: *"?([A-Za-z0-9+/=]+)' % key, text).group(1))
with open(sys.argv[3], "wb") as f:
    f.write(data("client-certificate") + b"\n" + data("client-key"))
context = ssl.create_default_context(cadata=data("certificate-authority").decode())
context.load_cert_chain(sys.argv[3])
server = urllib.parse.urlparse(re.search(r'server"?: *"?(https://[^"\s]+)', text).group(1))
def ask(method, path, body=None):
    c = http.client.HTTPSConnection(server.hostname, server.port, timeout=60, context=context)
    c.request(method, path, body, {"Content-Type": "application/merge-patch+json"})
    return json.load(c.getresponse())
found, = [i for i in ask("GET", "/apis/coordination.k8s.io/v1/leases")["items"] if i["metadata"]["name"] == "ambient"]
path = "/apis/coordination.k8s.io/v1/namespaces/%s/leases/ambient" % found["metadata"]["namespace"]
assert ask("PATCH", path, json.dumps({"spec": {"holderIdentity": sys.argv[2]}}))["spec"]["holderIdentity"] == sys.argv[2]
PY
}
lists() { admin a "ambient-admin/1 metrics" | grep '^ambient_informer_lists_total'; }
follows() { admin a "ambient-admin/1 status" | grep -q 'leading=no' && admin a "ambient-admin/1 explain default" | grep -q '"paused":true'; }
before=$(lists)
check "somebody takes the lease" lease intruder
check "MG3_01: the work ends, the process goes on" await $((20 * slow)) follows
check "and says who took it" grep -q '"elsewhere":"intruder leads"' <(admin a "ambient-admin/1 explain default")
check "the lease comes free" lease ""
check "MG3_02: it leads again" await $((20 * slow)) leads a
check "with the caches that it has" test "$before" = "$(lists)"
send TERM "$a"
ends_with "the first ends with 0 again" "$a" 0
check "MG3_03: the lease is given back at the stop" in_order a 'ambientd: stopping' 'gave back lease' 'ambientd: stopped'
check "and not stood for again" test "$(sed -n '/gave back lease/,$p' "$tmp/a.log" | grep -c 'leading by')" = 0

# ---- the example of replicas that share, beside a configuration that works
mkdir -p "$tmp/conf.d"
cp "$top_srcdir/etc/examples/shards.conf" "$tmp/conf.d/"
configuration sharing "mode = \"cluster\"; cluster: { kubeconfig = \"$tmp/api.state/apiserver/admin.kubeconfig\"; };
ops: { listen = \"127.0.0.1:0\"; }; lease: { identity = \"sharing\"; }; plugins: { workloads: {}; };"
check "examples/shards.conf" "$ambientd" -c "$tmp/sharing.conf" --check-config
cp "$top_srcdir/etc/examples/namespaces.conf" "$tmp/conf.d/"
check "examples/namespaces.conf" "$ambientd" -c "$tmp/sharing.conf" --check-config
check "and what it says is in force" grep -q 'namespaces = . "team-a", "team-b" .; # .*namespaces.conf:13' \
    <("$ambientd" -c "$tmp/sharing.conf" --print-config)
check "a namespace that cannot be one is refused" grep -q '"Team" in "plugins.workloads.namespaces" cannot name a namespace' \
    <("$ambientd" -c "$tmp/sharing.conf" -s 'plugins.workloads.namespaces=["Team"]' --check-config 2>&1)
rm "$tmp/conf.d/namespaces.conf"
cp "$top_builddir/plugins/agenticsession/.libs/agenticsession.so" "$tmp/plugins/"
check "a limit of sessions is taken there too (ADR 71)" "$ambientd" -c "$tmp/sharing.conf" \
    -s plugins.agenticsession.config.maxRunning=50 --check-config
start sharing
sharing=$pid
owns_all() { admin sharing "ambient-admin/1 status" | grep -q 'ready=yes shards=16 owned=0-15 members=1'; }
check "alone it owns every shard" await $((20 * slow)) owns_all
check "and says so in its metrics" test "$(admin sharing "ambient-admin/1 metrics" |
    grep -c '^ambient_shard_owner{name="ambient",shard="[0-9]*"} 1')" = 16
page() { curl --noproxy '*' -sf "http://127.0.0.1:$(sed -n 's/.*health and metrics.*port \([0-9]*\).*/\1/p' "$tmp/sharing.log")/$1"; }
check "it lives" grep -q '^ok' <(page livez)
configuration leading "mode = \"cluster\"; cluster: { kubeconfig = \"$tmp/api.state/apiserver/admin.kubeconfig\"; };
ops: { listen = \"\"; }; lease: { shards = 0; }; plugins: { workloads: {}; };"
mkdir "$tmp/elsewhere"
mv "$tmp/leading.conf" "$tmp/elsewhere/" # away from conf.d
"$ambientd" -c "$tmp/elsewhere/leading.conf" 2> "$tmp/leading.log" &
leading=$!
check "one that would lead waits for the group" await $((20 * slow)) logged leading 'is held by "shared by 16 shards"'
check "without leading" grep -q 'leading=no' <(admin leading "ambient-admin/1 status")
send TERM "$sharing"
ends_with "sharing: TERM ends it with 0" "$sharing" 0
send TERM "$leading"
ends_with "leading: TERM ends it with 0" "$leading" 0
rm -r "$tmp/conf.d"

# ---- no way to an API server
configuration lost "mode = \"cluster\"; cluster: { kubeconfig = \"$tmp/none\"; }; ops: { listen = \"\"; }; plugins: {};"
start lost
ends_with "no kubeconfig: ends with 1" "$pid" 1
check "no kubeconfig: named" logged lost "$tmp/none"
finish
