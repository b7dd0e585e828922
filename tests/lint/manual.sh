#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ambient.conf(5) says what the tables of options say, and every manual page is well-formed.
. "${top_srcdir:-.}/tests/lib/tap.sh"
doc=$top_srcdir/doc
made=$(mktemp)
trap 'rm -f "$made"' EXIT
{ cat "$doc/ambient.conf.5.head"; "$top_builddir/core/ambientd/ambientd" --manual; cat "$doc/ambient.conf.5.tail"; } > "$made"
check "ambient.conf(5) is current; run make manual" diff -u "$doc/ambient.conf.5" "$made"
if command -v mandoc >/dev/null; then
    for page in "$doc"/*.[1-9]; do
        check "mandoc: ${page##*/}" mandoc -T lint -W error "$page"
    done
else
    skip mandoc "mandoc is not installed"
fi
finish
