# SPDX-License-Identifier: Apache-2.0
# The Test Anything Protocol for the scripts of this folder; sourced, not run.
tap_count=0
tap_failed=0
top_srcdir=${top_srcdir:-.}
top_builddir=${top_builddir:-.}

# tap NAME PROBLEMS: fails when PROBLEMS, one per line, is not empty.
tap()
{
	tap_count=$((tap_count + 1))
	if [ -z "$2" ]; then
		echo "ok $tap_count - $1"
	else
		tap_failed=1
		echo "not ok $tap_count - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

tap_skip()
{
	tap_count=$((tap_count + 1))
	case ",${AMBIENT_REQUIRE:-}," in
	*",$3,"*) tap_failed=1; echo "not ok $tap_count - $1: $2, and AMBIENT_REQUIRE has $3" ;;
	*) echo "ok $tap_count # SKIP $1: $2" ;;
	esac
}

tap_done()
{
	echo "1..$tap_count"
	exit $tap_failed
}

# Every source file of the tree, relative to it.  A tarball has no git, and nothing but its files.
sources()
{
	if [ -e "$top_srcdir/.git" ] && command -v git >/dev/null; then
		git -C "$top_srcdir" ls-files
	else
		(cd "$top_srcdir" && find . -type f -not -path './_build/*' -not -path './_inst/*' -not -path './build-aux/*' \
			-not -path './m4/*' -not -name 'config.h*' -not -name aclocal.m4 -not -name configure \
			-not -name '*.lo' -not -name '*.o' | sed 's|^\./||')
	fi
}
