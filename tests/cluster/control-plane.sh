#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# control-plane.sh: prints the path of the test control plane's program, building it first when it is not there.
# The build takes minutes, so it is kept outside the tree, under a name made of its sources and the compiler:
# $AMBIENT_CACHE, else $XDG_CACHE_HOME/ambient, else ~/.cache/ambient.  What it does goes to standard error.
# Exit 3: there is no Go, or the modules cannot be had.
set -euo pipefail
src=$(cd "$(dirname "$0")" && pwd)
cache=${AMBIENT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ambient}
go=$(command -v go) || { echo "no go in PATH" >&2; exit 3; }

key=$( (cd "$src" && cat go.mod go.sum main.go pki.go; "$go" version) | sha256sum | cut -c1-16)
bin=$cache/control-plane-$key
if [ -x "$bin" ]; then
	echo "the control plane is cached (its build took $(cat "$bin.seconds" 2>/dev/null || echo '?') s)" >&2
	echo "$bin"
	exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -x "$bin" ]; then
	export GOFLAGS="${GOFLAGS:-} -mod=readonly" GOTOOLCHAIN=local CGO_ENABLED=0
	if ! why=$("$go" -C "$src" mod download 2>&1); then
		printf '%s\n' "$why" | tail -3 >&2
		echo "the modules cannot be downloaded" >&2
		exit 3
	fi
	version=$("$go" -C "$src" list -m -f '{{.Version}}' k8s.io/kubernetes)
	pkg=k8s.io/component-base/version
	began=$(date +%s)
	nice "$go" -C "$src" build -trimpath ${AMBIENT_GO_PARALLEL:+-p "$AMBIENT_GO_PARALLEL"} \
		-ldflags "-s -w -X $pkg.gitVersion=$version -X $pkg.gitMajor=1 -X $pkg.gitMinor=$(echo "$version" | cut -d. -f2)" \
		-o "$bin.new" . >&2
	echo $(($(date +%s) - began)) >"$bin.seconds"
	mv "$bin.new" "$bin"
	echo "the control plane was built in $(cat "$bin.seconds") s" >&2
fi
echo "$bin"
