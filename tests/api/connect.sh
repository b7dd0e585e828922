#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is passed on to nodes and pods: exec, attach, proxy.
case ",$AMBIENT_REQUIRE," in *,python3,*) need=yes ;; *) need=no ;; esac
if ! command -v python3 >/dev/null 2>&1; then
	[ $need = no ] || { echo "Bail out! python3 is required and not there"; exit 1; }
	echo "1..0 # SKIP python3 is not there"
	exit 0
fi
exec python3 -B "$top_srcdir/tests/api/connect.py" "$top_builddir/tests/api/apiserver_host" \
	"$top_builddir/plugins/standalone/apiserver/.libs/apiserver.so" "$@"
