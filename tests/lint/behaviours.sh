#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each behaviour of behaviours.txt, and of platform.txt for the platform's kinds, is named by a test that runs, or a decision says why it has no counterpart here.
. "${top_srcdir:-.}/tests/lint/tap.sh"

cd "$top_srcdir" || exit 1
list="tests/lint/behaviours.txt tests/lint/platform.txt"
# Functions of C that are added to a case, those of Python, and checks of a shell script: "ID: what".
named=$({
	find tests -name '*.c' -exec sed -nE 's/^[[:space:]]*tcase_add(_loop)?_test\([a-z]+, ([A-Za-z0-9_]+)[,)].*/\2/p' {} +
	find tests/func -name '*.sh' -exec sed -nE 's/^[[:space:]]*(check|pass|ends_with) "([A-Z]{2}[0-9]+(_[0-9]{2})?): .*/\2/p' {} +
	find tests -name '*.py' -exec sed -nE 's/^def ([A-Za-z0-9_]+)\(.*/\1/p' {} +
} | sort -u)

tap "the list is one line for each behaviour" "$(awk -F'\t' '
	/^#/ || /^$/ { next }
	NF != 3 { print FILENAME " line " FNR ": want ID, where and words with tabs between" }
	seen[$1]++ { print $1 " is there twice" }
	$2 !~ /^(test|open|by [A-Za-z0-9_]+|none [0-9][0-9][0-9][0-9])$/ { print $1 ": what is \"" $2 "\"?" }' $list)"

tap "each behaviour has its test" "$(printf '%s\n' "$named" | awk -F'\t' '
	FNR == NR { names[$1]; all = all "\n_" $1 "_\n"; next }
	/^#/ || /^$/ { next }
	$2 == "test" && !index(all, "_" $1 "_") { print $1 " is in no test: " $3; next }
	$2 ~ /^by / && !(substr($2, 4) in names) && !index(all, "_" substr($2, 4) "_") { print $1 ": no test is called " substr($2, 4) }
	' - $list)"

tap "what users of the kinds relied on is tested on a real control plane, too" "$(awk -F'\t' '
	/^behaviour_11_5_|^weakness_12_[123]_/ { name = $2 == "test" ? $1 : $2; sub(/^by /, "", name); print $1, name }' tests/lint/platform.txt |
	while read -r id name; do
		grep -qE "(\"|_)$name(\"|_)" tests/cluster/kinds.py || echo "$id: tests/cluster/kinds.py runs no test called $name"
	done)"

tap "what has no counterpart is in its decision" "$(sed -nE 's/^([A-Za-z0-9_]+)\tnone ([0-9]+)\t.*/\1 \2/p' $list |
	while read -r id adr; do
		grep -qw -- "$id" doc/adr/"$adr"-*.md || echo "$id is not in ADR $adr"
	done)"

# A case of an ID whose cases are listed, but not this one, is a typing error or would not be counted.
tap "tests name only what is listed" "$(printf '%s\n' "$named" |
	grep -oE '(^|_)((WQ|DQ|RL|RQ|MX|PQ|LE|RF|DF|ST|SI|CT|MG|CA|HD|PD|SR|BL|FN|CU|HZ|FC|RW|XF|XB)[0-9]+(_[0-9][0-9])?|rule_[0-9][0-9]|weakness_12_[0-9]_[a-z])(_|$)' |
	sed 's/^_//; s/_$//' | sort -u | while read -r id; do
		grep -qE "^($id(_[0-9][0-9])?|${id%_[0-9][0-9]})	" $list || echo "$id is not in $list"
	done)"
printf '# open: %s\n' "$(awk -F'\t' '$2 == "open" { printf "%s ", $1 }' $list)"
tap_done
