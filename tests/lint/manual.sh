#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ambient.conf(5) says what the tables of options say, and every manual page is well-formed.
. "${top_srcdir:-.}/tests/lib/tap.sh"
doc=$top_srcdir/doc
made=$(mktemp)
trap 'rm -f "$made"' EXIT
"$doc/make-manual" "$(realpath "$doc")" "$(realpath "$top_builddir")" > "$made"
check "ambient.conf(5) is current; run make manual" diff -u "$doc/ambient.conf.5" "$made"
refused() { ! "$top_builddir/core/ambientd/ambientd" --manual "$1" 2>"$made" && grep -q "$2" "$made"; }
check "--manual names a file that is missing" refused ./none.so '"./none.so": No such file'
check "--manual names a file that is no plugin" refused "$doc/plugin.md" 'plugin.md'
if command -v mandoc >/dev/null; then
    for page in "$doc"/*.[1-9]; do
        check "mandoc: ${page##*/}" mandoc -T lint -W error "$page"
    done
else
    skip mandoc "mandoc is not installed"
fi
finish
