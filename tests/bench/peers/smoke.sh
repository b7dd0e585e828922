#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The bench of the peers runs from end to end: few objects, our side, and those peers that are built.  With so few updates
# the server forgets nothing, which changes what the row of the relist says, not what is run.
. "${top_srcdir:-.}/tests/lib/tap.sh"
here=$top_srcdir/tests/bench/peers
out=$(mktemp)
trap 'rm -f "$out"' EXIT

check "run ends" "$here/run" --build "$(realpath "$top_builddir")" --if-built --quiet --objects 200 --updates 2000 --keys 50 --forget 600 \
	--events 20 --idle 1 --settle 0.5 --runs 1 --patience 120
finish
