# SPDX-License-Identifier: Apache-2.0
# Sourced by the suites: runs NAME.py beside NAME, or says why not.
if ! command -v python3 >/dev/null 2>&1 || ! command -v git >/dev/null 2>&1; then
	case ",${AMBIENT_REQUIRE-}," in
	*,python3,*) echo "1..1"; echo "not ok 1 - python3 and git are required here"; exit 1 ;;
	esac
	echo "1..0 # SKIP python3 or git is not installed"
	exit 0
fi
# Debian's asyncssh belongs to Debian's python, which need not be the first one.
python=python3
for p in python3 /usr/bin/python3; do
	command -v $p >/dev/null 2>&1 && $p -W ignore -c 'import asyncssh' 2>/dev/null && { python=$p; break; }
done
exec "$python" "$0.py" "$@"
