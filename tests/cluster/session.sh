# SPDX-License-Identifier: Apache-2.0
# Sessions against the real control plane, with ambientd in cluster mode and its node plugin as the kubelet: real scheduler, Job
# controller, volume binder, garbage collector.  One here, by kubectl and openly; then what kinds.py takes from tests/e2e.
# Read by run.sh, which has k, check and the rest.
#
# What runs is an installed tree below $dir/root; inside the pods' sandboxes it appears at its prefix.

session_tree() {
	prefix=$(sed -n 's/^prefix = //p' "$build/Makefile")
	make -C "$build" -s install DESTDIR="$dir/root" >"$dir/install.log" 2>&1 || return 1
	root=$dir/root$prefix
	[ -x "$root/sbin/ambientd" ] && [ -e "$root/lib/ambient/plugins/node.so" ] &&
		[ -e "$root/lib/ambient/plugins/agenticsession.so" ] && [ -x "$root/bin/ambient-runner" ]
}

session_origin() {
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	git init -q -b main "$dir/git/work" &&
		echo 'a small project' >"$dir/git/work/README" &&
		git -C "$dir/git/work" add -A &&
		git -C "$dir/git/work" -c user.name=test -c user.email=test@localhost commit -q -m 'first' &&
		git clone -q --bare "$dir/git/work" "$dir/git/origin.git"
}

# The first port of some that a daemon of ours gets.
session_git() {
	local try i
	for try in 1 2 3 4 5; do
		git_port=$((20000 + RANDOM % 20000))
		"$(git --exec-path)/git-daemon" --listen=127.0.0.1 --port=$git_port --base-path="$dir/git" --export-all \
			--enable=receive-pack >"$dir/git.log" 2>&1 &
		gitd=$!
		for i in $(seq 50); do
			kill -0 $gitd 2>/dev/null || continue 2
			(exec 3<>"/dev/tcp/127.0.0.1/$git_port") 2>/dev/null && return 0
			sleep 0.1
		done
	done
	return 1
}

session_conf() {
	cat <<CONF
mode = "cluster";
state = "$dir/state";
runtime = "$dir/run";
log: { level = "debug"; format = "text"; };
cluster: { kubeconfig = "$KUBECONFIG"; };
ops: { listen = "127.0.0.1:$ops_port"; };
runner: { image = "ambient-runner:test"; type = "command"; };
plugins:
{
  node: { path = "$root/lib/ambient/plugins/node.so"; config: {
    name = "test-node";
    shim = "$root/libexec/ambient/ambient-shim";
    images: ( { match = "ambient-runner:*"; binds = [ "$root:$prefix" ]; path = "$prefix/bin:/usr/bin:/bin"; } );
  }; };
  agenticsession: { path = "$root/lib/ambient/plugins/agenticsession.so"; };
  runner-command: { path = "$root/lib/ambient/plugins/runner-command.so"; };
};
CONF
}

# There is no provisioner here, so the claim finds a volume that was made for it; the node gives the directory.
session_objects() {
	cat <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: workspace}
spec:
  capacity: {storage: 100Gi}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: cluster-test, name: ambient-workspace-real}
  hostPath: {path: $dir/unused}
---
apiVersion: v1
kind: Namespace
metadata: {name: cluster-test, labels: {ambient-code.io/managed: "true"}}
---
apiVersion: vteam.ambient-code/v1alpha1
kind: AgenticSession
metadata: {name: real, namespace: cluster-test}
spec:
  prompt: Add a line.
  runnerType: command
  runnerConfig: {command: [sh, -c, 'cat >> README; echo a line was added']}
  repos:
  - input: {url: "git://127.0.0.1:$git_port/origin.git", branch: main}
    output: {targetBranch: added}
  timeout: 120
YAML
}

session_wait_node() {
	local i
	for i in $(seq 60); do
		kill -0 "$daemon" 2>/dev/null || return 1
		k wait --for=condition=Ready --timeout=5s node/test-node 2>/dev/null && return 0
		sleep 0.5
	done
	return 1
}

session_gone() { k -n cluster-test wait --for=delete --timeout=60s "job/real-job" "pvc/ambient-workspace-real"; }

session_show() {
	say "the daemon's log:"
	grep -vE ' debug ' "$dir/daemon.log" | quote /dev/stdin 30
	k -n cluster-test get agenticsessions,jobs,pods,pvc,events 2>&1 | tail -40 | sed 's/^/# /'
	k -n cluster-test get agenticsession real -o jsonpath='{.status}' 2>&1 | sed 's/^/# /'
	echo
}

run_session() {
	ops_port=$((40000 + RANDOM % 20000))
	mkdir -p "$dir/git" "$dir/state" "$dir/run"
	check "an origin to push to" session_origin
	check "git daemon listens" session_git
	session_conf >"$dir/ambient.conf"
	LD_LIBRARY_PATH=$root/lib/ambient "$root/sbin/ambientd" -c "$dir/ambient.conf" >"$dir/daemon.log" 2>&1 &
	daemon=$!
	check "our node is Ready" session_wait_node
	session_objects >"$dir/session.yaml"
	check "the session is accepted" k apply --validate=strict -f "$dir/session.yaml"
	check "the session is Completed" k -n cluster-test wait --for=jsonpath='{.status.phase}'=Completed --timeout=120s \
		agenticsession/real
	check "its branch was pushed" git --git-dir="$dir/git/origin.git" rev-parse --verify -q refs/heads/added
	check "what was pushed is the agent's work" \
		sh -c 'git --git-dir="$1" show added:README | grep -q "Add a line"' sh "$dir/git/origin.git"
	# Through the API server's proxy to the kubelet's endpoint, with the API server's client certificate.
	check "kubectl logs reaches our node" sh -c 'kubectl -n cluster-test logs job/real-job -c runner | grep -q "\"type\""'
	check "the real Job says Complete" k -n cluster-test wait --for=condition=Complete --timeout=30s job/real-job
	[ "$failed" = 0 ] || session_show
	check "the session is deleted" k -n cluster-test delete agenticsession/real --timeout=60s
	check "the real garbage collector takes the rest" session_gone
	kill -TERM "$daemon"
	wait "$daemon"
	[ $? -eq 0 ] && ok "the daemon ends well" || { not_ok "the daemon ends well"; quote "$dir/daemon.log" 20; }
	daemon=
	kill "$gitd" 2>/dev/null
	gitd=
}

# What tests/e2e asks of the kinds, as far as it can be asked here.
run_kinds() {
	if ! command -v python3 >/dev/null || ! command -v bwrap >/dev/null; then
		skip "kinds" "python3 and bubblewrap are needed"
		return
	fi
	export top_builddir
	top_builddir=$(cd "$build" && pwd)
	rows kinds kinds "$src/kinds.py" "$KUBECONFIG"
}

if session_tree; then
	run_session
	run_kinds
else
	skip "a session runs to Completed" "the tree is not whole: ambientd, ambient-runner, node and agenticsession are needed"
fi
