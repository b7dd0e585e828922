#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A plugin that knows only what `make install` puts there: built with pkg-config, inspected, run with every host call
# as a message to another process, and enabled in the daemon by three lines of configuration.
set -u
# shellcheck source=tests/lint/tap.sh
. "${top_srcdir:-.}/tests/lint/tap.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL

tmp=$(mktemp -d /tmp/ambient-thirdparty-XXXXXX) || exit 1
chmod 755 "$tmp"
daemon=
cleanup()
{
	# The number of one that ended by itself may be another's.
	for p in $(jobs -pr); do
		kill "$p" 2>/dev/null
		wait "$p" 2>/dev/null
	done
	rm -rf "$tmp"
}
trap cleanup EXIT

# try NAME COMMAND...: passes when the command does; its output is shown when it does not.
try()
{
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		tap "$name" ""
	else
		tap "$name" "$(printf '%s\nfailed: %s\n' "$said" "$*" | tail -20)"
		return 1
	fi
}

# wait_for SECONDS COMMAND...
wait_for()
{
	local i n=$(($1 * 10))
	shift
	for ((i = 0; i < n; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}

# ---- the installed tree, and nothing else

# A copy of the one that all tests share, since an installation disturbs those that run beside it.
installed() {
	local tree
	tree=$("$top_srcdir/tests/e2e/install-tree") && cp -a "$tree" "$tmp/root"
}
try "make install DESTDIR=" installed || { tap_done; }
pc=$(find "$tmp/root" -name ambient.pc)
tap "installs ambient.pc" "$([ -n "$pc" ] || echo "no ambient.pc under DESTDIR")"
tap "installs no headers but include/ambient" "$(find "$tmp/root" -name '*.h' | grep -v '/include/ambient/[a-z]*\.h$')"
prefix=$(sed -n 's/^prefix=//p' "$pc")
export PKG_CONFIG_SYSROOT_DIR=$tmp/root PKG_CONFIG_LIBDIR=${pc%/*} PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
mkdir "$tmp/widget"
cp "$top_srcdir"/tests/thirdparty/widget/{Makefile,widget.c,widget-crd.yaml} "$tmp/widget/"
so=$tmp/widget/widget.so
# What the pages show, by their own commands.
mkdir "$tmp/page"
page()
{
	awk '/^```/ && on { exit } on; /^```c$/ { on = 1 }' "$1" >"$tmp/page/widget.c"
	(cd "$tmp/page" && rm -f widget.so && sh -ec "$(sed -n 's/^cc /cc -Werror /p' "$1" | head -n 1)" && [ -s widget.so ])
}
try "the README's plugin builds as it says" page "$top_srcdir/README.md"
try "doc/plugin.md's plugin builds as it says" page "$top_srcdir/doc/plugin.md"
try "builds with pkg-config ambient" make -C "$tmp/widget" -s CFLAGS='-O2 -g -Wall -Wextra -Werror' || { tap_done; }
tap "needs no library of ours" "$(readelf -d "$so" | grep NEEDED | grep -i ambient)"
tap "exports its descriptor only" "$(nm -D --defined-only "$so" | awk '$NF != "ambient_plugin_v1"')"
if command -v clang >/dev/null; then
	try "builds with clang" make -C "$tmp/widget" -s -B CC=clang CFLAGS='-O2 -Wall -Wextra -Werror'
	make -C "$tmp/widget" -s -B
fi
flags=$(pkg-config --cflags ambient)
for compiler in g++:c++17 clang++:c++20; do
	cxx=${compiler%:*}
	if ! command -v "$cxx" >/dev/null; then
		tap_skip "a plugin in C++ builds with $cxx" "no $cxx" "$cxx"
		continue
	fi
	# shellcheck disable=SC2086
	try "a plugin in C++ builds with $cxx" "$cxx" -std=${compiler#*:} -Wall -Wextra -Werror -Wno-missing-field-initializers \
		-fPIC -shared -fvisibility=hidden $flags "$top_srcdir/tests/thirdparty/widget/plus.cc" -o "$tmp/plus-$cxx.so" &&
		tap "and exports its descriptor only ($cxx)" "$(nm -D --defined-only "$tmp/plus-$cxx.so" | awk '$NF != "ambient_plugin_v1"')"
done
ctl=$tmp/root$prefix/bin/ambientctl
core=$(dirname "$(find "$tmp/root" -name 'libambient-core*.so' | head -1)")
if [ -x "$ctl" ] && LD_LIBRARY_PATH=$core "$ctl" plugin --help >/dev/null 2>&1; then
	said=$(LD_LIBRARY_PATH=$core "$ctl" plugin inspect "$so" 2>&1)
	tap "ambientctl plugin inspect" "$(printf '%s' "$said" | grep -q 'example.com/v1/widgets' || printf 'said: %s\n' "$said")"
else
	tap_skip "ambientctl plugin inspect" "this ambientctl has no plugin command" ambientctl
fi

# ---- behind a socket

said=$("$top_builddir/tests/thirdparty/proxy/proxy" "$so" 2>&1)
tap "passes here and with every host call as a message" "$(printf '%s\n' "$said" | grep -v '^ok\|^1\.\.[1-9]')"
tap "and both were asked" "$(printf '%s\n' "$said" | grep -q '^1\.\.53$' || printf '%s\n' "$said" | tail -1)"

# ---- in the daemon

ambientd=$tmp/root$prefix/sbin/ambientd
apiserver=$(find "$tmp/root" -name apiserver.so)
if [ ! -x "$ambientd" ] || [ -z "$apiserver" ]; then
	tap_skip "reconciles in the daemon" "this build has no standalone API server" apiserver
	tap_done
fi
if ! command -v kubectl >/dev/null; then
	tap_skip "reconciles in the daemon" "no kubectl" kubectl
	tap_done
fi

export LD_LIBRARY_PATH=$core
mkdir -p "$tmp/etc/conf.d"
plugins=$(dirname "$apiserver")
crds=$(dirname "$(find "$tmp/root" -name agenticsessions.yaml | head -1)")
start()
{
	local port=$((20000 + RANDOM % 20000))

	cat >"$tmp/etc/ambient.conf" <<-CONF
		mode = "standalone"; state = "$tmp/state"; runtime = "$tmp/run"; plugin_dir = "$plugins";
		log: { format = "text"; };
		cluster: { server = "apiserver"; };
		ops: { listen = "127.0.0.1:$((port + 1))"; };
		plugins: { apiserver: { config: { listen = "127.0.0.1:$port"; crds = [ "$crds" ]; }; }; };
	CONF
	cat >"$tmp/etc/conf.d/widget.conf" <<-CONF
		plugins: {
		  widget: { path = "$so"; config: { region = "mars"; }; };
		};
	CONF
	"$ambientd" -c "$tmp/etc/ambient.conf" >"$tmp/log" 2>&1 &
	daemon=$!
}
kc() { kubectl --kubeconfig "$tmp/state/apiserver/admin.kubeconfig" --cache-dir "$tmp/kubectl" "$@"; }
answers() { [ -e "$tmp/state/apiserver/admin.kubeconfig" ] && kc get namespaces default; }
field() { [ "$(kc get "$1" "$2" -o "jsonpath=$3" 2>&1)" = "$4" ]; }
shown() { printf '%s\n' "$(kc get "$1" "$2" -o yaml 2>&1)" "the daemon said:" "$(tail -30 "$tmp/log")"; }
becomes()
{
	local name=$1
	shift
	if wait_for 60 field "$@"; then tap "$name" ""; else tap "$name" "$(shown "$@")"; fi
}

for _ in 1 2 3; do
	start
	wait_for 20 answers && break
	# The port was taken: another.
	kill "$daemon" 2>/dev/null
	wait "$daemon" 2>/dev/null
	daemon=
done
if [ -z "$daemon" ]; then
	tap "the daemon starts with it" "$(tail -20 "$tmp/log")"
	tap_done
fi
tap "the daemon starts with it" ""
try "its CRD is accepted" kc apply -f "$tmp/widget/widget-crd.yaml"
wait_for 20 kc get widgets
widget()
{
	printf '{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a","namespace":"default"},"spec":%s}' "$1"
}
try "a widget is accepted" kc apply -f <(widget '{"region":"us"}')
# The daemon asks again after a while for a kind that the server did not know.
becomes "it gets its ConfigMap" configmap a '{.data.region}' us
becomes "owned by the widget" configmap a '{.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].controller}' Widget/true
becomes "and its status" widget a '{.status.observedRegion}' us
becomes "with a condition" widget a '{.status.conditions[0].type}/{.status.conditions[0].status}/{.status.conditions[0].message}' Ready/True/us
try "the widget changes" kc apply -f <(widget '{"region":"ap"}')
becomes "the ConfigMap follows" configmap a '{.data.region}' ap
try "somebody spoils the ConfigMap" kc patch configmap a --type merge -p '{"data":{"region":"spoiled"}}'
becomes "it is put right" configmap a '{.data.region}' ap
try "the region goes" kc apply -f <(widget '{}')
becomes "the configuration's is taken" widget a '{.status.observedRegion}' mars
try "the widget goes" kc delete widget a --wait=true
gone() { ! kc get configmap a; }
if wait_for 20 gone; then tap "so does its ConfigMap" ""; else tap "so does its ConfigMap" "$(shown configmap a)"; fi

kill "$daemon"
wait "$daemon"
status=$?
daemon=
tap "the daemon stops in order" "$([ $status -eq 0 ] || { echo "exit status $status"; tail -20 "$tmp/log"; })"

# ---- and away again

try "make uninstall DESTDIR=" make -C "$top_builddir" -s uninstall DESTDIR="$tmp/root"
tap "make uninstall leaves nothing" "$(find "$tmp/root" ! -type d; find "$tmp/root$prefix" -mindepth 1 -type d -name 'ambient*')"
tap_done
