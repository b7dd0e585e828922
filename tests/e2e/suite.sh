# SPDX-License-Identifier: Apache-2.0
# Sourced by the suites: runs NAME.py beside NAME, or says why not.
if ! command -v python3 >/dev/null 2>&1; then
	case ",${AMBIENT_REQUIRE-}," in
	*,python3,*) echo "1..1"; echo "not ok 1 - python3 is required here"; exit 1 ;;
	esac
	echo "1..0 # SKIP python3 is not installed"
	exit 0
fi
exec python3 "$0.py" "$@"
