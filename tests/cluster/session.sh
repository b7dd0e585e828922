# SPDX-License-Identifier: Apache-2.0
# One session against the real control plane, with ambientd in cluster mode and its node plugin as the kubelet.
# Read by run.sh, which has the control plane, k, check and the rest.
if [ ! -x "$build/core/ambientd/ambientd" ]; then
	skip "a session runs to Completed" "ambientd is not built"
fi
