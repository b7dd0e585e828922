#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh controller-runtime|kube-rs|kopf [--if-built]: prints the command that starts the peer, building it first when it is
# not there.  Builds are kept outside the tree, under a name made of their sources and the compiler: $AMBIENT_CACHE, else
# $XDG_CACHE_HOME/ambient, else ~/.cache/ambient.  What it does goes to standard error.
# Exit 3: the language is not installed, its packages cannot be had, or (--if-built) it was never built.
set -euo pipefail
peer=${1:?which peer}
src=$(cd "$(dirname "$0")/$peer" && pwd)
cache=${AMBIENT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ambient}
limit=${AMBIENT_BUILD_LIMIT:-1800}

missing() {
	echo "$peer: $1" >&2
	exit 3
}

case $peer in
controller-runtime)
	tool=$(command -v go) || missing "no go in PATH"
	version=$("$tool" version)
	files="go.mod go.sum main.go types.go"
	;;
kube-rs)
	tool=$(command -v cargo) || missing "no cargo in PATH"
	version=$("$tool" --version)
	files="Cargo.toml Cargo.lock src/main.rs"
	;;
kopf)
	tool=$(command -v python3) || missing "no python3 in PATH"
	version=$("$tool" --version)
	files="requirements.txt"
	;;
*)
	echo "usage: build.sh controller-runtime|kube-rs|kopf [--if-built]" >&2
	exit 2
	;;
esac
# shellcheck disable=SC2086
key=$( (cd "$src" && cat $files; echo "$version") | sha256sum | cut -c1-16)
out=$cache/peer-$peer-$key

build() {
	case $peer in
	controller-runtime)
		GOFLAGS="${GOFLAGS:-} -mod=readonly" GOTOOLCHAIN=local CGO_ENABLED=0 timeout "$limit" nice "$tool" -C "$src" build \
			-trimpath -ldflags "-s -w" -o "$out.new" . >&2
		;;
	kube-rs)
		timeout "$limit" nice "$tool" build --release --locked --manifest-path "$src/Cargo.toml" --target-dir "$cache/peer-kube-rs-target" >&2 &&
			cp "$cache/peer-kube-rs-target/release/ambient-peer-kube-rs" "$out.new"
		;;
	kopf)
		rm -rf "$out.new" && "$tool" -m venv --copies "$out.new" &&
			timeout "$limit" "$out.new/bin/python3" -m pip install -q --disable-pip-version-check -r "$src/requirements.txt" >&2
		;;
	esac
}

if [ ! -e "$out" ]; then
	[ "${2:-}" != --if-built ] || missing "not built yet: run tests/bench/peers/build.sh $peer"
	mkdir -p "$cache"
	exec 9>"$cache/lock-$peer"
	flock 9
	if [ ! -e "$out" ]; then
		echo "$peer is being built, which takes minutes" >&2
		began=$(date +%s)
		build || missing "its packages cannot be had, or it does not build within $limit s"
		mv "$out.new" "$out"
		echo "$peer was built in $(($(date +%s) - began)) s" >&2
	fi
fi
if [ "$peer" = kopf ]; then
	echo "$out/bin/python3 -m kopf run --standalone --all-namespaces --quiet $src/peer.py"
else
	echo "$out"
fi
