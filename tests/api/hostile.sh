#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Requests that mean harm, or that a broken client sends, against the API server alone.
if ! command -v python3 >/dev/null 2>&1; then
	case ",$AMBIENT_REQUIRE," in *,python3,*) echo "Bail out! python3 is required and not there"; exit 1 ;; esac
	echo "1..0 # SKIP python3 is not there"
	exit 0
fi
exec python3 -B "$top_srcdir/tests/api/hostile.py" "$top_builddir/tests/api/apiserver_host" \
	"$top_builddir/plugins/standalone/apiserver/.libs/apiserver.so" "$@"
