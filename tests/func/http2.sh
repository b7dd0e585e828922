#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Our client against a real HTTP/2 server, http2/main.go; the cases are in test_http2.c.
. "${top_srcdir:-.}/tests/lint/tap.sh"
name="short requests over HTTP/2"
if ! command -v go >/dev/null 2>&1; then
	tap_skip "$name" "there is no go" go
	tap_done
fi
src=$(cd "$top_srcdir/tests/func/http2" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/ambient-http2.XXXXXX") || exit 1
server=
finish()
{
	# The end of its input ends the server.
	exec 9>&-
	[ -z "$server" ] || wait "$server"
	rm -rf "$dir"
}
trap finish EXIT
if ! GOTOOLCHAIN=local CGO_ENABLED=0 nice go -C "$src" build -o "$dir/http2" . >"$dir/said" 2>&1; then
	tap "the server builds" "$(cat "$dir/said")"
	tap_done
fi
mkfifo "$dir/stdin"
"$dir/http2" "$dir" <"$dir/stdin" 2>"$dir/said" &
server=$!
exec 9>"$dir/stdin"
i=0
while [ ! -e "$dir/port" ] && kill -0 "$server" 2>/dev/null && [ $i -lt 300 ]; do
	i=$((i + 1))
	sleep 0.1
done
if [ ! -e "$dir/port" ]; then
	tap "the server listens" "it does not: $(cat "$dir/said")"
	tap_done
fi
AMBIENT_HTTP2_DIR="$dir" "$top_builddir/tests/func/test_http2"
