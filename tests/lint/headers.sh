#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each public header stands alone, in C99 and in C++, for the compilers that are there.
. "${top_srcdir:-.}/tests/lint/tap.sh"

try()
{
	compiler=$1
	language=$2
	standard=$3
	if ! command -v "$compiler" >/dev/null; then
		tap_skip "headers with $compiler" "no $compiler" "$compiler"
		return
	fi
	for header in "$top_srcdir"/include/ambient/*.h; do
		name=${header##*/}
		said=$(printf '#include <ambient/%s>\n#include <ambient/%s>\n' "$name" "$name" |
			"$compiler" -x "$language" "-std=$standard" -Wall -Wextra -Werror -fsyntax-only \
				-I"$top_srcdir/include" - 2>&1)
		tap "$name with $compiler -std=$standard" "$said"
	done
}

try gcc c c99
try gcc c gnu11
try clang c c99
try g++ c++ c++11
try clang++ c++ c++17
tap_done
