#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who may include whom (DESIGN 3).  Under core/ a folder knows only folders before it in the list; plugins know
# include/ambient and themselves; the API server and the backend also know core up to kube.
. "${top_srcdir:-.}/tests/lint/tap.sh"

layers="base data conf plugin http kube cache lead queue trigger control host ops programs"
files=$(sources | grep -E '^(core|plugins|include)/.*\.[ch]$')

# file:line:"included" or file:line:<included>
includes=$(cd "$top_srcdir" && grep -nE '^[[:space:]]*#[[:space:]]*include' $files /dev/null |
	sed -E 's/^([^:]+):([0-9]+):[[:space:]]*#[[:space:]]*include[[:space:]]*/\1 \2 /')

tap "core includes only what comes before" "$(printf '%s\n' "$includes" | awk -v layers="$layers" '
	BEGIN { n = split(layers, l, " "); for (i = 1; i <= n; i++) rank[l[i]] = i }
	function folder(path, p) { split(path, p, "/"); return p[2] }
	function level(f) { return f in rank ? rank[f] : rank["programs"] }
	$1 ~ /^core\// && $3 ~ /^"/ {
		target = $3; gsub(/"/, "", target)
		if (target !~ /\//) next
		if (target !~ /^core\//) { print $1 ":" $2 ": includes " $3 ", which is not of core"; next }
		from = folder($1); to = folder(target)
		if (from != to && level(to) >= level(from))
			print $1 ":" $2 ": " from " may not know " to
	}')"

tap "a folder keeps its private headers" "$(printf '%s\n' "$includes" | awk '
	$3 ~ /_priv\.h"$/ {
		own = $1; sub(/[^\/]*$/, "", own)
		if (index($3, "\"" own) != 1) print $1 ":" $2 ": includes " $3 " of another folder"
	}')"

tap "plugins include only <ambient/...>, the system and themselves" "$(printf '%s\n' "$includes" | awk '
	$1 ~ /^plugins\// && $3 ~ /^"/ {
		target = $3; gsub(/"/, "", target)
		n = split($1, p, "/")
		home = p[2] == "standalone" ? "plugins/standalone/" p[3] "/" : "plugins/" p[2] "/"
		core = home == "plugins/standalone/apiserver/" || home == "plugins/backend/"
		if (target !~ /\// || index(target, home) == 1) next
		if (index(target, "plugins/shared/") == 1) next
		if (p[2] == "standalone" && index(target, "plugins/standalone/shared/") == 1) next
		if (p[2] ~ /^(agenticsession|projectsettings|rfeworkflow|kind-shared)$/ && index(target, "plugins/kind-shared/") == 1) next
		if (p[2] ~ /^runner-/ && index(target, "plugins/runner-shared/") == 1) next
		if (core && target ~ /^core\/(base|data|conf|plugin|http|kube)\//) next
		print $1 ":" $2 ": may not include " $3
	}
	$1 ~ /^plugins\// && $3 ~ /^<core\// { print $1 ":" $2 ": may not include " $3 }')"

tap "public headers include only each other and the C library" "$(printf '%s\n' "$includes" | awk '
	$1 ~ /^include\// && $3 !~ /^<(ambient\/[a-z]+|std[a-z]+|string|stdio)\.h>$/ { print $1 ":" $2 ": includes " $3 }')"

tap "libconfig is called in core/conf only" "$(cd "$top_srcdir" &&
	grep -nE '\bconfig_(lookup|setting|read|init)|<libconfig\.h>' $files /dev/null | grep -v '^core/conf/')"

tap "only core/base knows the kernel's clocks" "$(cd "$top_srcdir" &&
	grep -nE '\bclock_gettime *\(' $(printf '%s\n' $files | grep '^core/') /dev/null |
	grep -vE '^core/(base|ambient-shim)/')"

tap_done
