#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ambientctl without an API server: words, options, exit codes, completion, plugin inspect.
set -u
ctl=$top_builddir/core/ambientctl/ambientctl
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ambientctl.XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
n=0
HOME=$tmp XDG_STATE_HOME=$tmp/state
unset KUBECONFIG KUBERNETES_SERVICE_HOST
export HOME XDG_STATE_HOME

# check WANTED-CODE 'part of the output' WORDS...
check() {
	code=$1 part=$2
	shift 2
	n=$((n + 1))
	"$ctl" "$@" >"$tmp/out" 2>&1 </dev/null
	got=$?
	if [ "$got" = "$code" ] && grep -qF -- "$part" "$tmp/out"; then
		echo "ok $n - ambientctl $*"
	else
		echo "not ok $n - ambientctl $*: exit code $got, wanted $code and \"$part\""
		sed 's/^/# /' "$tmp/out"
	fi
}

check 2 'which command'
check 0 'usage: ambientctl COMMAND' --help
check 2 'did you mean "get"' gett
check 2 'there is no option "--repos"' run x --repos y
check 2 'needs a value: URL' run x --repo
check 2 'takes no value' run x --follow=yes
check 2 'usage: ambientctl run' run
check 2 'usage: ambientctl stop' stop
check 2 'neither json nor table' get -o yaml
check 4 'no way to an API server' get
check 4 'no cluster is configured' describe x
check 4 "$tmp/none" get --kubeconfig "$tmp/none"
# A namespace, or what else is an option's, may have the name of a command.
check 4 "$tmp/none" -n stop --kubeconfig "$tmp/none" logs x
check 4 "$tmp/none" --namespace get --kubeconfig="$tmp/none" --follow logs x
check 4 "$tmp/none" --name run --kubeconfig "$tmp/none" run x --command true
check 4 "$tmp/none" --kubeconfig "$tmp/none" -n logs -- logs x
check 2 'which command' -n stop
check 2 'usage: ambientctl stop' -n stop stop
check 2 'no completion for "tcsh"' completion tcsh
check 0 'ambientctl ' version
check 0 '"version"' version -o json
check 0 'ambientctl ' --version
check 0 '"version"' --version -o json
check 0 'logs' __complete -- lo
check 0 '--push-to' __complete -- run --p
check 0 'claude-code' __complete -- run --runner-type ''
check 0 'opencode' __complete -- run --runner-type op
check 0 'remove' __complete -- repos re
check 0 '--diff' __complete -- repos s --d
check 0 '--end' __complete -- chat --e
check 0 'agent' __complete -- logs -c a
check 0 'agent' __complete -- -n stop logs -c a
check 0 '--follow' __complete -- -n get logs --f
check 0 '' __complete -- get ''
for command in run get describe logs messages chat files stop start repos workflow delete explain top cache user standalone plugin completion version; do
	check 0 "usage: ambientctl $command" "$command" --help
done
check 2 'usage: ambientctl standalone backup' standalone frob x
check 4 'there is no state of a standalone API server' standalone backup "$tmp/b.tar"
check 2 'usage: ambientctl standalone backup' standalone check x
check 4 'there is no state of a standalone API server' standalone check
check 0 'check' __complete -- standalone c
check 2 'say where to restore to' standalone restore "$tmp/b.tar"
check 0 'restore' __complete -- standalone r
check 2 'usage: ambientctl explain' explain
check 2 'is no name of an object' explain 'a b'
check 4 'no daemon answers on' explain a/b --socket "$tmp/none.sock"
check 5 'is longer than' explain a/b --socket "$tmp/$(printf '%0120d' 0)"
check 0 '--socket' __complete -- explain --s
check 2 'is no time between 100ms and 1h' top --interval 1ms
check 2 'is no time between 100ms and 1h' top --interval soon
check 2 'is no number of tables' top --count 0
check 4 'no daemon answers on' top --socket "$tmp/none.sock"
check 4 'no daemon answers on' cache --socket "$tmp/none.sock"
check 0 '--interval' __complete -- top --i
check 0 'explain' __complete -- expl
check 2 'usage: ambientctl user' user
check 2 'usage: ambientctl user' user add
check 2 'usage: ambientctl user' user frob x
check 4 'there is no state of a standalone API server' user list
check 4 "$tmp: there is no state" user add x --state-dir "$tmp"
check 0 'remove' __complete -- user r
mkdir -p "$tmp/s/pki" && : >"$tmp/s/pki/ca.crt"
check 0 'NAME' user list --state-dir "$tmp/s"
check 2 'are the cluster' user add system:x --state-dir "$tmp/s"
check 2 'it has a space' user add 'a b' --state-dir "$tmp/s"
check 3 'there is no such user' user remove x --state-dir "$tmp/s"
printf '#ambient-users 2\n' >"$tmp/s/users.csv"
check 5 'users.csv:1: the form "2" is not known' user list --state-dir "$tmp/s"
printf 'sha256:12,x,1\n' >"$tmp/s/users.csv"
check 5 'users.csv:1: "sha256:" is followed by' user list --state-dir "$tmp/s"
printf 'not a plugin' >"$tmp/x.so"
check 5 'x.so' plugin inspect "$tmp/x.so"
plugin=$top_builddir/plugins/agenticsession/.libs/agenticsession.so
check 0 'vteam.ambient-code/v1alpha1/agenticsessions' plugin inspect "$plugin"
check 0 '"name":"agenticsession"' plugin inspect "$plugin" -o json
check 2 'usage: ambientctl plugin inspect' plugin inspect "$plugin" "$plugin"
check 5 'x.so' plugin rbac "$plugin" "$tmp/x.so"
settings=$top_builddir/plugins/projectsettings/.libs/projectsettings.so
check 0 'resourceNames: ["ambient-project-admin", "ambient-project-edit", "ambient-project-view"]' plugin rbac "$settings"
check 0 'resources: ["jobs"]' plugin rbac "$settings" "$plugin"

# A server that is not there: its address is in the sentence.
cat >"$tmp/kubeconfig" <<'E2'
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: team-a}}]
users: [{name: u, user: {}}]
E2
check 4 '127.0.0.1:1' get --kubeconfig "$tmp/kubeconfig"
check 2 'is no name of a namespace' get --kubeconfig "$tmp/kubeconfig" -n '../x'
check 5 'is no name of a session' describe 'a/b' --kubeconfig "$tmp/kubeconfig"
check 2 'is no duration' run x --timeout soon --kubeconfig "$tmp/kubeconfig"
check 2 'the prompt is no UTF-8 text' run "$(printf 'a\377')" --kubeconfig "$tmp/kubeconfig"
check 4 '127.0.0.1:1' messages -f x --kubeconfig "$tmp/kubeconfig"
check 4 "in $tmp;" standalone check --kubeconfig "$tmp/kubeconfig"
check 0 'text' __complete -- messages -o t
check 0 'table' __complete -- get -o t
check 0 'agent' __complete -- --namespace = stop logs --container = a
check 2 'need a --repo' run x --branch b --kubeconfig "$tmp/kubeconfig"
check 2 'prompt is empty' run - --kubeconfig "$tmp/kubeconfig"

for shell in bash zsh fish; do
	n=$((n + 1))
	if "$ctl" completion $shell | cmp -s - "$top_srcdir/etc/completion/ambientctl.$shell"; then
		echo "ok $n - completion for $shell is what is installed"
	else
		echo "not ok $n - completion for $shell is what is installed"
	fi
done
echo "1..$n"
