#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The plugin ABI against its committed description.  --update writes the description of what the headers say now:
# only together with a new AMBIENT_ABI_MINOR and a line in doc/abi.md.
. "${top_srcdir:-.}/tests/lint/tap.sh"

number() { awk -v n="$1" '$2 == n { print $3 }' "$top_srcdir/include/ambient/plugin.h"; }
abi="$(number AMBIENT_ABI_MAJOR).$(number AMBIENT_ABI_MINOR)"
baseline="$top_srcdir/tests/plugins/ambient-$abi.abi"

for tool in abidw abidiff gcc; do
	if ! command -v $tool >/dev/null; then
		tap_skip "abidiff" "no $tool (Debian: abigail-tools)" abidw
		tap_done
	fi
done
if [ "$(uname -m)" != x86_64 ]; then
	tap_skip "abidiff" "the description is of x86-64" abidw
	tap_done
fi

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
gcc -std=gnu11 -g -O0 -shared -fPIC -I"$top_srcdir/include" -o "$tmp/libambient-abi.so" "$top_srcdir/tests/plugins/abi.c" || exit 1
describe() { abidw --no-show-locs --no-corpus-path --no-comp-dir-path --drop-private-types "$tmp/libambient-abi.so"; }

if [ "${1:-}" = --update ]; then
	describe | sed -e "s|$tmp|.|g" -e 's| path=.[^ ]*abi\.c.| path="abi.c"|' >"$baseline"
	echo "wrote $baseline"
	exit 0
fi
if [ ! -e "$baseline" ]; then
	tap "ABI $abi is described" "there is no ${baseline##*/}: run tests/lint/abi.sh --update and say in doc/abi.md what changed"
	tap_done
fi
said=$(abidiff --no-show-locs "$baseline" "$tmp/libambient-abi.so" 2>&1)
status=$?
if [ $status -eq 0 ]; then
	said=
fi
tap "ABI $abi is what the headers say" "$said"
tap_done
