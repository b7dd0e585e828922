#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What systemd hears of the daemon; the work is in notify.py.
. "${top_srcdir:-.}/tests/lint/tap.sh"
if ! command -v python3 >/dev/null 2>&1; then
	tap_skip "what systemd hears" "there is no python3" python3
	tap_done
fi
exec python3 "$top_srcdir/tests/func/notify.py" "$top_builddir/core/ambientd/ambientd" "$top_builddir/plugins/standalone/apiserver/.libs"
