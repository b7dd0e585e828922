#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every built plugin exports exactly its descriptor.
. "${top_srcdir:-.}/tests/lint/tap.sh"

plugins=$(find "$top_builddir/plugins" -path '*/.libs/*.so' 2>/dev/null | sort)
if [ -z "$plugins" ]; then
	tap "there are plugins to look at" "none under $top_builddir/plugins"
	tap_done
fi
for so in $plugins; do
	# Coverage and sanitizers add symbols of their own.
	found=$(nm -D --defined-only "$so" | awk '{ sub(/@.*/, "", $NF); print $NF }' | grep -vE '^(__(asan|ubsan|tsan|odr|gcov|llvm)|_init$|_fini$)')
	if [ "$found" = ambient_plugin_v1 ]; then
		tap "$(basename "$so")" ""
	else
		tap "$(basename "$so")" "exports $(printf '%s' "$found" | tr '\n' ' '), must export ambient_plugin_v1 and nothing else"
	fi
done
tap_done
