#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# prepare.sh go|node|kopf|rust: prints the command that runs that client, one word a line, after its version.
#
# What registries and compilers make of a client is kept outside the tree, under a name made of its sources and of the
# tool: $AMBIENT_CACHE, else $XDG_CACHE_HOME/ambient-tests, else ~/.cache/ambient-tests.  Only with AMBIENT_CLIENTS=fetch
# is anything downloaded or built, and what takes longest only with AMBIENT_CLIENTS=all.  Exit 3, with the reason on standard error: this client cannot be had here.
set -euo pipefail
name=$1
src=$(cd "$(dirname "$0")/$name" && pwd)
cache=${AMBIENT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ambient-tests}/clients

cannot() { echo "$*" >&2; exit 3; }
tool() { command -v "$1" >/dev/null || cannot "no $1 in PATH"; }

# Each sets version, made (what must exist in the end) and the command; build_NAME fills $made.new.
declare -a command
case $name in
go)
	tool go
	files=(go.mod go.sum main.go library.go informers.go controller.go commands.go) with=$(go version)
	version="client-go $(sed -n 's,^\tk8s.io/client-go ,,p' "$src/go.mod"), controller-runtime $(sed -n 's,^\tsigs.k8s.io/controller-runtime ,,p' "$src/go.mod")"
	build() {
		export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=readonly"
		go -C "$src" mod download && mkdir -p "$1" && go -C "$src" build -trimpath -ldflags "-s -w" -o "$1/clients" .
	}
	run=(clients) ;;
node)
	tool node && tool npm
	files=(package.json package-lock.json client.mjs) with=$(node --version)
	version="@kubernetes/client-node $(sed -n 's,.*"@kubernetes/client-node": "\(.*\)".*,\1,p' "$src/package.json"), node $with"
	build() {
		mkdir -p "$1" && cp "${files[@]/#/$src/}" "$1" &&
			npm ci --prefix "$1" --no-audit --no-fund --ignore-scripts --omit=optional
	}
	run=(node client.mjs) ;;
kopf)
	tool python3
	files=(requirements.txt controller.py) with=$(python3 --version)
	version="kopf $(sed -n 's/^kopf==//p' "$src/requirements.txt"), $with"
	build() { python3 -m venv "$1" && "$1/bin/pip" install --no-deps -r "$src/requirements.txt" && cp "$src/controller.py" "$1"; }
	run=(bin/python3 controller.py) ;;
rust)
	tool cargo
	files=(Cargo.toml Cargo.lock src/main.rs) with=$(cargo --version)
	version="kube-rs $(sed -n 's/^kube = .*version = "=\?\([0-9.]*\)".*/\1/p' "$src/Cargo.toml")"
	build() {
		cargo build --locked --manifest-path "$src/Cargo.toml" --target-dir "$cache/rust-target" &&
			mkdir -p "$1" && cp "$cache/rust-target/debug/clients" "$1"
	}
	run=(clients) ;;
*) cannot "there is no client \"$name\"" ;;
esac

made=$cache/$name-$( (cd "$src" && cat "${files[@]}"; echo "$with") | sha256sum | cut -c1-16)
if [ ! -d "$made" ]; then
	case $name:${AMBIENT_CLIENTS:-} in
	*:all | go:fetch | node:fetch | kopf:fetch) ;;
	rust:*) cannot "it is not built here; AMBIENT_CLIENTS=all downloads and builds it" ;;
	*) cannot "it is not built here; AMBIENT_CLIENTS=fetch downloads and builds it" ;;
	esac
	mkdir -p "$cache"
	exec 9>"$cache/$name.lock"
	flock 9
fi
if [ ! -d "$made" ]; then
	rm -rf "$made.new"
	began=$SECONDS
	if ! build "$made.new" >"$cache/$name.log" 2>&1; then
		tail -5 "$cache/$name.log" >&2
		cannot "it cannot be built: $cache/$name.log"
	fi
	mv "$made.new" "$made"
	echo "$name was built in $((SECONDS - began)) s" >&2
fi
echo "$version"
# The first word that is a file of the client's is named with its directory.
for word in "${run[@]}"; do
	if [ -e "$made/$word" ]; then echo "$made/$word"; else echo "$word"; fi
done
