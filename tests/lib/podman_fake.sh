#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stands for podman where its arguments and its failures are looked at: --root is a directory of the test's, which gets
# `calls`, one line a call, `done`, one word a call that has ended, and says by files what goes wrong: `fail` (the message that `run` ends with), `slow` (`run`
# waits until it goes), `image` (what `image inspect` prints), `pull` (the message that `pull` fails with; absent: it makes
# `image` of `image.remote`), `pulling` (`pull` waits until it goes), `broken` (nobody can say what is there).
# As podman does, `run --detach` leaves a process behind that is nobody's child (conmon), whose child is the program, and
# whose exit code is the program's.
root=
while :; do
	case $1 in
	--root) root=$2; shift 2 ;;
	--hooks-dir) shift 2 ;;
	*) break ;;
	esac
done
echo "$*" >>"$root/calls"
verb=$1
trap 'echo "$verb" >>"$root/done"' EXIT
shift

run() {
	env_file=/dev/null dir=/
	while :; do
		case $1 in
		--name) name=$2; shift 2 ;;
		--pidfile) pidfile=$2; shift 2 ;;
		--conmon-pidfile) conmon=$2; shift 2 ;;
		--env-file) env_file=$2; shift 2 ;;
		--workdir) dir=$2; shift 2 ;;
		--hostname | --secret | --security-opt | --ulimit | --volume) shift 2 ;;
		--*) shift ;;
		*) break ;;
		esac
	done
	cat "$env_file" >"$root/env"
	shift
	while [ -e "$root/slow" ]; do sleep 0.02; done
	if [ -s "$root/fail" ]; then
		cat "$root/fail" >&2
		exit 125
	fi
	: >"$root/there-$name"
	# The one between is gone at once.
	(setsid sh -c '
		pidfile=$1 conmon=$2 code=$3 dir=$4
		shift 4
		echo $$ >"$conmon"
		cd "$dir" || exit 126
		"$@" &
		echo $! >"$pidfile.new" && mv "$pidfile.new" "$pidfile"
		wait $!
		said=$?
		echo $said >"$code"
		exit $said' conmon "$pidfile" "$conmon" "$root/code-$name" "$dir" "$@" &)
	while [ ! -s "$pidfile" ]; do sleep 0.01; done
}

case $verb in
run) run "$@" ;;
container) for last; do :; done; cat "$root/code-$last" ;;
rm)
	for last; do
		case $last in
		ambient-*) # Whoever is in it ends with it.
			rm -f "$root/there-$last"
			# Once: the second time its number may be another's.
			mv "$root/pid-of-$last" "$root/killed-$last" 2>/dev/null && kill -9 "$(cat "$root/killed-$last")" 2>/dev/null
			: # It is no failure that nobody was.
			;;
		esac
	done
	;;
secret)
	case $1 in
	create) cat >"$root/secret-$2" ;;
	rm) rm "$root/secret-$2" ;;
	ls) ls "$root" | sed -n 's/^secret-//p' ;;
	esac
	;;
image)
	[ ! -e "$root/broken" ] || { echo "Error: no storage" >&2; exit 125; }
	[ -s "$root/image" ] || { echo "Error: inspecting object: image not known" >&2; exit 125; }
	cat "$root/image"
	;;
pull)
	while [ -e "$root/pulling" ]; do sleep 0.02; done
	if [ -s "$root/pull" ]; then
		cat "$root/pull" >&2
		exit 125
	fi
	cp "$root/image.remote" "$root/image"
	;;
*) echo "Error: unrecognized command \`podman $verb\`" >&2; exit 125 ;;
esac
