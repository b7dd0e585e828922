#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What every file must have: its licence in the first lines, fewer than 1,000 lines, no machine's paths.
. "${top_srcdir:-.}/tests/lint/tap.sh"

cd "$top_srcdir" || exit 1
code=$(sources | while read -r f; do
	case "$f" in
	*.[ch] | *.sh | *.go | *.py | *.js | *.mjs | *.ac | *.am | Makefile.inc | */Makefile.inc) echo "$f" ;;
	*.*) ;;
	*) if head -c 2 "$f" 2>/dev/null | grep -q '^#!'; then echo "$f"; fi ;;
	esac
done)

tap "SPDX lines" "$(for f in $code; do
	head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2\.0' || echo "$f: no SPDX-License-Identifier: Apache-2.0"
done)"

tap "under 1,000 lines" "$(for f in $code; do
	n=$(wc -l <"$f")
	if [ "$n" -ge 1000 ]; then echo "$f: $n lines"; fi
done)"

tap "a header paragraph in every C file" "$(for f in $(printf '%s\n' $code | grep -E '^(core|plugins)/.*\.[ch]$'); do
	sed -n 2p "$f" | grep -q '^/\*' || echo "$f: line 2 must begin the paragraph that says what the file is for"
done)"

tap "no trailing white space" "$(grep -nE '[[:space:]]$' $(printf '%s\n' $code | grep -v '\.inc$') /dev/null |
	cut -c1-120 | head -20)"

tap_done
