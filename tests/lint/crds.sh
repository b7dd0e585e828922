#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A comma within an unquoted text of "{a: b, description: text, more text}" begins another field, which kubectl apply
# and a real API server refuse with the whole definition.
. "${top_srcdir:-.}/tests/lint/tap.sh"

cd "$top_srcdir" || exit 1
for file in etc/crds/*.yaml; do
	tap "$(basename "$file"): each part between braces is a field" "$(sed -e "s/'[^']*'/x/g" -e 's/"[^"]*"/x/g' "$file" |
		awk -v file="$file" '/^ *#/ || !/[{].*[}]/ { next }
		{
			gsub(/\[[^][{}]*\]/, "x")
			while (match($0, /[{][^{}]*[}]/)) {
				n = split(substr($0, RSTART + 1, RLENGTH - 2), parts, /, */)
				for (i = 1; i <= n; i++)
					if (parts[i] !~ /^[A-Za-z-]+: *[^ ]/)
						print file ":" NR ": \"" parts[i] "\" is no field; quote the text that has a comma"
				$0 = substr($0, 1, RSTART - 1) "x" substr($0, RSTART + RLENGTH)
				gsub(/\[[^][{}]*\]/, "x")
			}
		}')"
done
tap_done
