#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The systemd unit as make installs it: below DESTDIR, made for this prefix, and one that systemd takes.
. "${top_srcdir:-.}/tests/lint/tap.sh"
dir=$(mktemp -d "${TMPDIR:-/tmp}/ambient-unit.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$top_builddir" || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL # of the make that runs this test: it would have told of directories
said=$(make -s --eval='show:;@echo "$(systemdsystemunitdir) $(sbindir)/ambientd --config $(sysconfdir)/ambient/ambient.conf"' show)
place=${said%% *}
if [ -z "$place" ]; then
	tap_skip "the unit" "configured without it" systemd
	tap_done
fi
unit=$dir$place/ambientd.service
printed=$(make -s install-nodist_systemdsystemunitDATA DESTDIR="$dir" 2>&1)
if [ -e "$unit" ]; then problem=; else problem="there is no $unit: $printed"; fi
tap "it is installed below DESTDIR" "$problem"
tap "nothing is left to be filled in" "$(grep -n '@[A-Za-z_]*@' "$unit")"
tap "it starts what this build installs" "$(grep '^ExecStart=' "$unit" | grep -vxF "ExecStart=${said#* }")"
if ! command -v systemd-analyze >/dev/null 2>&1; then
	tap_skip "systemd takes it" "there is no systemd-analyze" systemd
	tap_done
fi
# What it starts need not be installed on this machine.
sed "s|^\(Exec[A-Za-z]*=\)[^ ]*|\1/bin/sh|" "$unit" >"$dir/ambientd.service"
if said=$(systemd-analyze verify --man=no "$dir/ambientd.service" 2>&1); then
	said=$(printf '%s\n' "$said" | grep -F ambientd.service) # of other units of this machine it may say something, too
else
	said="systemd-analyze ends with $?: $said"
fi
tap "systemd takes it" "$said"
tap_done
