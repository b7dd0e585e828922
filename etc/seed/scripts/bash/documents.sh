#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the folder of the documents of the request that this branch is for, specs/BRANCH of this repository, and makes
# it where it is missing.  Arguments: files that must be there already; one that is not ends it with exit code 2.
set -eu

top=$(git rev-parse --show-toplevel)
branch=${FEATURE_BRANCH:-$(git symbolic-ref --quiet --short HEAD || true)}

if [ -z "$branch" ]; then
	echo "documents.sh: no branch is checked out; set FEATURE_BRANCH" >&2
	exit 1
fi
folder=$top/specs/$branch
for file in "$@"; do
	if [ ! -f "$folder/$file" ]; then
		echo "documents.sh: $file is missing in specs/$branch; the step that writes it has to come first" >&2
		exit 2
	fi
done
mkdir -p "$folder"
echo "$folder"
