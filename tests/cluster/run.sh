#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh: what we claim about a cluster, checked against a real control plane (tests/cluster/main.go): our client,
# our CRDs and examples.  TAP.  Without Go it is skipped, unless AMBIENT_REQUIRE names go.
set -u
src=$(cd "$(dirname "$0")" && pwd)
top=${top_srcdir:-$(cd "$src/../.." && pwd)}
build=${top_builddir:-$top}
n=0
failed=0
dir=
pid=
daemon=
gitd=

say() { printf '# %s\n' "$*"; }
ok() { n=$((n + 1)); printf 'ok %d - %s\n' "$n" "$1"; }
not_ok() { n=$((n + 1)); failed=1; printf 'not ok %d - %s\n' "$n" "$1"; }
skip() { n=$((n + 1)); printf 'ok %d - %s # SKIP %s\n' "$n" "$1" "$2"; }
# Comments of what a command said.
quote() { tail -n "${2:-5}" "$1" | sed 's/^/# /'; }
# check NAME COMMAND...: the command's success is the test.
check() {
	local name=$1
	shift
	if "$@" >"$dir/said" 2>&1; then ok "$name"; else not_ok "$name"; quote "$dir/said"; fi
}
required() { case ",${AMBIENT_REQUIRE:-}," in *,"$1",*) return 0 ;; esac; return 1; }
cannot() {
	if required go; then printf '1..1\nnot ok 1 - %s (AMBIENT_REQUIRE names go)\n' "$1"; exit 1; fi
	printf '1..0 # SKIP %s\n' "$1"
	exit 0
}

finish() {
	local p
	# The number of one that ended by itself may be another's.
	for p in $(jobs -pr); do
		kill "$p" 2>/dev/null
		wait "$p" 2>/dev/null
	done
	# Shims outlive the daemon on purpose; those of this run have their program below $dir.
	for p in /proc/[0-9]*; do
		case $(readlink "$p/exe" 2>/dev/null) in "${dir:-/nonexistent}"/root/*) kill "${p#/proc/}" 2>/dev/null ;; esac
	done
	if [ -n "$dir" ]; then
		if [ "$failed" = 1 ] && [ -n "${AMBIENT_KEEP:-}" ]; then say "kept: $dir"; else rm -rf "$dir"; fi
	fi
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

command -v kubectl >/dev/null || cannot "no kubectl"
if [ $# -eq 0 ]; then
	# What may have to be downloaded comes first: all else is in a network of its own.
	dir=$(mktemp -d "${TMPDIR:-/tmp}/ambient-cluster.XXXXXX")
	bin=$("$src/control-plane.sh" 2>"$dir/build")
	rc=$?
	sed 's/^/# /' "$dir/build"
	[ $rc -eq 3 ] && cannot "$(tail -1 "$dir/build")"
	[ $rc -eq 0 ] || { printf '1..1\nnot ok 1 - the control plane builds\n'; exit 1; }
	GOTOOLCHAIN=local CGO_ENABLED=0 go -C "$src" build -mod=readonly -o "$dir/cel" ./cel 2>"$dir/cel.err"
	python3 -B "$src/network.py" true 2>"$dir/network" && exec python3 -B "$src/network.py" "$0" "$dir" "$bin"
	say "in the machine's network: $(tail -1 "$dir/network")"
	set -- "$dir" "$bin"
fi
dir=$1 bin=$2

began=$(date +%s%N)
mkfifo "$dir/ready"
"$bin" "$dir/plane" >"$dir/ready" 2>"$dir/plane.err" &
pid=$!
word=
read -r -t 240 word KUBECONFIG <"$dir/ready"
if [ "$word" != ready ]; then
	not_ok "a real control plane starts"
	quote "$dir/plane.err"
	echo "1..$n"
	exit 1
fi
ok "a real control plane starts ($((($(date +%s%N) - began) / 1000000)) ms)"
export KUBECONFIG
k() { kubectl --cache-dir="$dir/kubectl" "$@"; }
say "server $(k version -o json 2>/dev/null | sed -n 's/.*"gitVersion": "\(.*\)".*/\1/p' | tail -1)"

# Our client, when it was built.
if [ -x "$build/tests/cluster/test_real" ]; then
	"$build/tests/cluster/test_real" >"$dir/client" 2>"$dir/client.err"
	while read -r line; do
		case $line in
		'ok '*) ok "client: ${line##*:client against a real server:}" ;;
		'not ok '*) not_ok "client: ${line#*- }" ;;
		esac
	done <"$dir/client"
	grep -q '^ok ' "$dir/client" || { not_ok "client: runs"; quote "$dir/client.err"; }
else
	skip "client" "tests/cluster/test_real is not built"
fi

for crd in "$top"/etc/crds/*.yaml; do
	name=$(sed -n 's/^  name: *//p' "$crd" | head -1)
	check "$(basename "$crd") is accepted" k apply --validate=strict -f "$crd"
	check "$name is established" k wait --for=condition=Established --timeout=30s "crd/$name"
	if k get "crd/$name" -o jsonpath='{.status.conditions[?(@.type=="NonStructuralSchema")].message}' >"$dir/said" 2>&1 &&
		[ ! -s "$dir/said" ]; then ok "$name is structural"; else not_ok "$name is structural"; quote "$dir/said"; fi
done

# Strict: a field that the schema does not know is an error, so this finds what an example says and a CRD forgot.
check "namespace.yaml is accepted" k apply --validate=strict -f "$top/etc/examples/namespace.yaml"
for example in "$top"/etc/examples/*.yaml; do
	[ "$(basename "$example")" = namespace.yaml ] && continue
	check "$(basename "$example") is accepted" k apply --validate=strict -f "$example"
done

# Server-side apply: the standalone API server must answer as this one does.
host=$build/tests/api/apiserver_host
plugin=$build/plugins/standalone/apiserver/.libs/apiserver.so
if ! command -v python3 >/dev/null; then
	skip "random applies are answered as by the real server" "no python3"
	skip "definitions and their objects are answered as by the real server" "no python3"
	skip "wrong bodies of builtin kinds are answered as by the real server" "no python3"
elif [ ! -x "$host" ] || [ ! -e "$plugin" ]; then
	skip "random applies are answered as by the real server" "the API server is not built"
	skip "definitions and their objects are answered as by the real server" "the API server is not built"
	skip "wrong bodies of builtin kinds are answered as by the real server" "the API server is not built"
else
	for seed in 1 2 "$(date +%s)"; do
		check "random applies are answered as by the real server, seed $seed" \
			python3 -B "$src/apply.py" "$KUBECONFIG" "$host" "$plugin" "$seed" 30
		say "$(tail -1 "$dir/said")"
	done
	check "definitions and their objects are answered as by the real server" \
		python3 -B "$src/crd.py" "$KUBECONFIG" "$host" "$plugin"
	grep observations "$dir/said" | sed 's/^/# /'
	check "wrong bodies of builtin kinds are answered as by the real server" \
		python3 -B "$src/bodies.py" "$KUBECONFIG" "$host" "$plugin"
	say "$(tail -1 "$dir/said")"
fi

# What our interpreter of rules is held to, by kube-apiserver's own code.
if [ -x "$dir/cel" ]; then
	"$dir/cel" "$top/tests/unit/cel_rows.txt" "$top/tests/unit/cel_costs.txt" >"$dir/said" 2>&1
	grep -E '^(ok|not ok) - ' "$dir/said" >"$dir/cel.rows"
	while read -r line; do
		case $line in
		'ok - '*) ok "expressions: ${line#*- }" ;;
		*) not_ok "expressions: ${line#*- }"; quote "$dir/said" 30 ;;
		esac
	done <"$dir/cel.rows"
	if [ "$(wc -l <"$dir/cel.rows")" = 3 ]; then ok "the expressions ran to their end"; else not_ok "the expressions ran to their end"; quote "$dir/said"; fi
elif grep -qE 'GOPROXY|dial tcp|no required module|missing go.sum|module lookup disabled' "$dir/cel.err" && ! required go; then
	skip "expressions are evaluated as by the real server" "the modules cannot be had"
else
	not_ok "the evaluator of expressions builds"
	quote "$dir/cel.err"
fi

# rows NAME LABEL PROGRAM...: what a program of rows says, each as a test of ours.
rows() {
	local name=$1 label=$2 rc line
	shift 2
	nice timeout "${AMBIENT_ROWS_LIMIT:-2400}" python3 -B "$@" >"$dir/$name" 2>"$dir/$name.err"
	rc=$?
	while read -r line; do
		case $line in
		'ok '*) ok "$label: ${line#*- }" ;;
		'not ok '*) not_ok "$label: ${line#*- }" ;;
		'#'*) printf '%s\n' "$line" ;;
		esac
	done <"$dir/$name"
	if grep -q '^# [0-9]* rows: ' "$dir/$name"; then ok "$label: all ran"; else not_ok "$label: all ran ($rc)"; quote "$dir/$name.err"; fi
}
if command -v python3 >/dev/null; then
	# First of all: the rows leave kinds whose names kubectl takes for ours.
	rows scenarios kubectl "$top/tests/api/run_kubectl.py" --cluster "$KUBECONFIG" "$top/etc/crds" "$top/doc/conformance.md"
	# What the standalone API server is held to; doc/conformance.md lists what differs, and why.
	rows rows row "$top/tests/api/run_rows.py" --cluster "$KUBECONFIG" "$top/doc/conformance.md"
	# What its controllers make of Jobs, CronJobs and quotas; ours are held to the same by tests/e2e/controllers.
	rows controllers controllers "$top/tests/e2e/controllers.py" --cluster "$KUBECONFIG"
else
	skip "the rows of tests/api" "no python3"
fi

. "$src/session.sh"

echo "1..$n"
exit $failed
