/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node plugin against a fake host, with real shims and, where bubblewrap works, real sandboxes: pods to
 * each of their ends, volumes, environment, restarts of the daemon, deletion.
 */
#include "tests/unit/node.h"

START_TEST(pod_succeeds)
{
	begin("");
	put_pod("p", RUN("echo hi"), "");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/exitCode"), "0");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/reason"), "Completed");
	ck_assert_uint_gt(strlen(at("p", "/status/containerStatuses/0/state/terminated/startedAt")), 0);
	ck_assert_uint_gt(strlen(at("p", "/status/startTime")), 0);
	ck_assert_int_eq(strncmp(at("p", "/status/podIP"), "127.", 4), 0);
	ck_assert_ptr_nonnull(strstr(log_of("p", "c"), "stdout F hi\n"));
	/* A terminal pod is left alone. */
	size_t writes = fake_host_calls(fake, "status", POD);
	(void)reconcile("p");
	ck_assert_uint_eq(fake_host_calls(fake, "status", POD), writes);
	end();
}
END_TEST

START_TEST(pod_exit_codes)
{
	static const struct { const char *script, *code, *reason; } rows[] = {
		{ "exit 1", "1", "Error" }, { "exit 42", "42", "Error" },
		{ "sh -c 'kill -9 $$$$'", "137", "Error" }, { "sh -c 'kill -SEGV $$$$'", "139", "Error" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char container[256];

		begin("");
		snprintf(container, sizeof(container), "\"command\":[\"sh\",\"-c\",\"%s\"]", rows[i].script);
		put_pod("p", container, "");
		ck_assert(until("p", "/status/phase", "Failed"));
		ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/exitCode"), rows[i].code);
		ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/reason"), rows[i].reason);
		end();
	}
}
END_TEST

START_TEST(pod_that_cannot_start_is_128)
{
	begin("");
	put_pod("p", "\"command\":[\"no-such-program\"]", "");
	ck_assert(until("p", "/status/phase", "Failed"));
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/exitCode"), "128");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/reason"), "StartError");
	ck_assert_ptr_nonnull(strstr(at("p", "/status/containerStatuses/0/state/terminated/message"), "no-such-program"));
	end();
}
END_TEST

START_TEST(pod_init_failure_starts_nothing_else)
{
	begin("");
	put_pod("p", RUN("echo main"), ",\"initContainers\":[{\"name\":\"i\",\"image\":\"test:1\"," RUN("exit 3") "}]");
	ck_assert(until("p", "/status/phase", "Failed"));
	ck_assert_str_eq(at("p", "/status/initContainerStatuses/0/state/terminated/exitCode"), "3");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/waiting/reason"), "PodInitializing");
	ck_assert_str_eq(log_of("p", "c"), "");
	end();
}
END_TEST

START_TEST(unmapped_image_says_what_to_configure)
{
	begin("");
	fake_host_put(fake, POD, "{'metadata':{'name':'p','namespace':'n'},'spec':{'nodeName':'standalone','restartPolicy':'Never',"
		      "'containers':[{'name':'c','image':'ghcr.io/x/y:1','command':['true']}]}}");
	struct ambient_result result = reconcile("p");
	ck_assert_int_gt(result.requeue_after, 0);
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/waiting/reason"), "ErrImagePull");
	ck_assert_ptr_nonnull(strstr(at("p", "/status/containerStatuses/0/state/waiting/message"), "match = \"ghcr.io/x/y:1\""));
	(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/waiting/reason"), "ImagePullBackOff");
	ck_assert_str_eq(at("p", "/status/phase"), "Pending");
	end();
}
END_TEST

START_TEST(missing_bubblewrap_names_the_package)
{
	begin(",\"bwrap\":\"/nonexistent/bwrap\"");
	put_pod("p", RUN("true"), "");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/waiting/reason"), "CreateContainerError");
	ck_assert_ptr_nonnull(strstr(at("p", "/status/containerStatuses/0/state/waiting/message"), "install the package bubblewrap"));
	end();
}
END_TEST

START_TEST(secret_that_appears_later_lets_it_start)
{
	begin("");
	put_pod("p", RUN("echo v=$V") ",\"env\":[{\"name\":\"V\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}]", "");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/waiting/reason"), "CreateContainerConfigError");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/waiting/message"), "secret \"s\" not found");
	fake_host_put(fake, SECRET, "{'metadata':{'name':'s','namespace':'n'},'data':{'k':'aGVsbG8='}}");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	ck_assert_ptr_nonnull(strstr(log_of("p", "c"), "stdout F v=hello\n"));
	end();
}
END_TEST

START_TEST(environment)
{
	begin("");
	fake_host_put(fake, CONFMAP, "{'metadata':{'name':'m','namespace':'n'},'data':{'A':'from map','B':'b'}}");
	put_pod("p", RUN("env") ",\"envFrom\":[{\"prefix\":\"P_\",\"configMapRef\":{\"name\":\"m\"}},"
		"{\"secretRef\":{\"name\":\"none\",\"optional\":true}}],\"env\":[{\"name\":\"X\",\"value\":\"1\"},"
		"{\"name\":\"Y\",\"value\":\"$(X)/$(P_B)/$$(X)/$(NOPE)\"},{\"name\":\"FROM_IMAGE\",\"value\":\"replaced\"},"
		"{\"name\":\"NAME\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['app']\"}}},"
		"{\"name\":\"IP\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}},"
		"{\"name\":\"MEM\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.memory\",\"divisor\":\"1Mi\"}}}],"
		"\"resources\":{\"limits\":{\"memory\":\"64Mi\"}}", "");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	static const char *const lines[] = { "F P_A=from map\n", "F Y=1/b/$(X)/$(NOPE)\n", "F FROM_IMAGE=replaced\n", "F NAME=x\n",
		"F IP=127.", "F MEM=64\n", "F KUBERNETES_SERVICE_HOST=127.0.0.1\n", "F KUBERNETES_SERVICE_PORT=16443\n",
		"F HOSTNAME=p\n" };
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(strstr(log_of("p", "c"), lines[i]) != NULL, "no \"%s\" in %s", lines[i], log_of("p", "c"));
	ck_assert_ptr_null(strstr(log_of("p", "c"), "FROM_IMAGE=yes"));
	end();
}
END_TEST

START_TEST(volumes)
{
	begin("");
	fake_host_put(fake, SECRET, "{'metadata':{'name':'s','namespace':'n'},'data':{'k':'aGVsbG8='}}");
	fake_host_put(fake, CONFMAP, "{'metadata':{'name':'m','namespace':'n'},'data':{'a':'1','b':'2'}}");
	fake_host_put(fake, ACCOUNT, "{'metadata':{'name':'default','namespace':'n'}}");
	fake_host_put(fake, CLAIM, "{'metadata':{'name':'w','namespace':'n'},'spec':{'accessModes':['ReadWriteOnce'],"
		      "'resources':{'requests':{'storage':'1Gi'}}}}");
	ck_assert_int_eq(fake_host_reconcile(fake, "claims", "n", "w", NULL, NULL), 0);
	ck_assert_str_eq(fake_host_at(fake, CLAIM, "n", "w", "/status/phase"), "Bound");
	ck_assert_str_eq(fake_host_at(fake, CLAIM, "n", "w", "/status/capacity/storage"), "1Gi");
	ck_assert_str_eq(fake_host_at(fake, CLAIM, "n", "w", "/metadata/finalizers/0"), "kubernetes.io/pvc-protection");
	ck_assert_str_eq(fake_host_at(fake, CLAIM, "n", "w", "/metadata/annotations/volume.kubernetes.io~1storage-provisioner"),
			 "standalone/local-dir");
	ck_assert_ptr_null(fake_host_at(fake, CLAIM, "n", "w", "/metadata/annotations/pv.kubernetes.io~1bind-completed"));
	put_pod("p", RUN("cat /s/k /m/d/x /api/token /api/ns; ls -A /m; stat -L -c %a /s/k; echo w > /w/f; echo e > /e/f; "
			 "cat /e/f; touch /s/new; cat /sub/g; ls /w")
		",\"volumeMounts\":[{\"name\":\"s\",\"mountPath\":\"/s\"},{\"name\":\"m\",\"mountPath\":\"/m\"},"
		"{\"name\":\"api\",\"mountPath\":\"/api\"},{\"name\":\"e\",\"mountPath\":\"/e\"},{\"name\":\"w\",\"mountPath\":\"/w\"},"
		"{\"name\":\"w\",\"mountPath\":\"/sub\",\"subPath\":\"a/b\"}]",
		",\"volumes\":[{\"name\":\"s\",\"secret\":{\"secretName\":\"s\",\"defaultMode\":256}},"
		"{\"name\":\"m\",\"configMap\":{\"name\":\"m\",\"items\":[{\"key\":\"b\",\"path\":\"d/x\"}]}},"
		"{\"name\":\"e\",\"emptyDir\":{}},{\"name\":\"w\",\"persistentVolumeClaim\":{\"claimName\":\"w\"}},"
		"{\"name\":\"api\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":\"token\"}},"
		"{\"downwardAPI\":{\"items\":[{\"path\":\"ns\",\"fieldRef\":{\"fieldPath\":\"metadata.namespace\"}}]}}]}}]");
	char path[256];
	snprintf(path, sizeof(path), "%s/pvc/n/w/a/b", state_dir);
	ck_assert_int_eq(make_dirs(path), 0);
	snprintf(path, sizeof(path), "%s/pvc/n/w/a/b/g", state_dir);
	ck_assert_int_eq(file_write(path, "deep\n", 5, 0644), 0);
	ck_assert(until("p", "/status/phase", "Succeeded"));
	const char *log = log_of("p", "c");
	ck_assert_msg(strstr(log, "F hello2token-") != NULL, "%s", log);
	ck_assert_msg(strstr(log, "F 400\n") != NULL, "%s", log);
	ck_assert_msg(strstr(log, "F e\n") != NULL && strstr(log, "F deep\n") != NULL, "%s", log);
	ck_assert_msg(strstr(log, "Read-only file system") != NULL, "%s", log);
	struct text text = { 0 };
	snprintf(path, sizeof(path), "%s/pvc/n/w/f", state_dir);
	ck_assert_int_eq(file_read(path, 100, &text), 0);
	ck_assert_str_eq(text_str(&text), "w\n");
	text_fini(&text);
	/* What held secrets goes with the pod's end; the claim's files stay until the claim is gone. */
	snprintf(path, sizeof(path), "%s/pods/%s/volumes", state_dir, at("p", "/metadata/uid"));
	ck_assert_int_eq(access(path, F_OK), -1);
	fake_host_remove(fake, CLAIM, "n", "w");
	ck_assert_int_eq(fake_host_reconcile(fake, "claims", "n", "w", NULL, NULL), 0);
	snprintf(path, sizeof(path), "%s/pvc/n/w", state_dir);
	ck_assert_int_eq(access(path, F_OK), -1);
	end();
}
END_TEST

START_TEST(sub_path_stays_in_its_volume)
{
	begin("");
	fake_host_put(fake, CLAIM, "{'metadata':{'name':'w','namespace':'n'},'spec':{}}");
	ck_assert_int_eq(fake_host_reconcile(fake, "claims", "n", "w", NULL, NULL), 0);
	char path[256];
	snprintf(path, sizeof(path), "%s/pvc/n/w/out", state_dir);
	ck_assert_int_eq(symlink("/etc", path), 0);
	put_pod("p", RUN("ls /sub") ",\"volumeMounts\":[{\"name\":\"w\",\"mountPath\":\"/sub\",\"subPath\":\"out/ssl\"}]",
		",\"volumes\":[{\"name\":\"w\",\"persistentVolumeClaim\":{\"claimName\":\"w\"}}]");
	/* In the volume, "/etc" is the volume's own etc, which is not there. */
	for (int i = 0; i < 3; i++)
		(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/phase"), "Pending");
	snprintf(path, sizeof(path), "%s/pvc/n/w/etc/ssl", state_dir);
	ck_assert_int_eq(access(path, F_OK), -1);
	end();
}
END_TEST

START_TEST(secret_update_is_seen_by_a_running_pod)
{
	begin("");
	fake_host_put(fake, SECRET, "{'metadata':{'name':'s','namespace':'n'},'data':{'k':'b2xk'}}");
	put_pod("p", RUN("while ! grep -q new /s/k; do sleep 0.02; done") ",\"volumeMounts\":[{\"name\":\"s\",\"mountPath\":\"/s\"}]",
		",\"volumes\":[{\"name\":\"s\",\"secret\":{\"secretName\":\"s\"}}]");
	ck_assert(until("p", "/status/phase", "Running"));
	fake_host_merge(fake, SECRET, "n", "s", "{'data':{'k':'bmV3'}}");
	fake_host_advance(fake, 61 * AMBIENT_SECOND);
	ck_assert(until("p", "/status/phase", "Succeeded"));
	end();
}
END_TEST

START_TEST(delete_ends_with_grace_then_kill_and_cleans_up)
{
	static const struct { const char *script, *code; } rows[] = {
		{ "trap 'exit 143' TERM; echo up; while :; do sleep 0.02; done", "143" },
		{ "trap '' TERM; echo up; while :; do sleep 0.02; done", "137" },
	};

	for (size_t i = 0; i < 2; i++) {
		char container[256], dir[256];

		begin("");
		snprintf(container, sizeof(container), "\"command\":[\"sh\",\"-c\",\"%s\"]", rows[i].script);
		put_pod("p", container, "");
		ck_assert(until("p", "/status/phase", "Running"));
		for (int k = 0; k < unit_looks(1000) && strstr(log_of("p", "c"), "F up\n") == NULL; k++)
			(void)usleep(2000);
		snprintf(dir, sizeof(dir), "%s/pods/%s", state_dir, at("p", "/metadata/uid"));
		/* A finalizer keeps the object, so that its end can be looked at. */
		fake_host_merge(fake, POD, "n", "p", "{'metadata':{'finalizers':['x/y'],'deletionTimestamp':"
				"'2026-01-01T00:00:01Z','deletionGracePeriodSeconds':1}}");
		ck_assert(until("p", "/status/phase", "Failed"));
		ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/exitCode"), rows[i].code);
		ck_assert(until("p", "/metadata/deletionGracePeriodSeconds", "0"));
		fake_host_merge(fake, POD, "n", "p", "{'metadata':{'finalizers':null}}");
		ck_assert(!fake_host_has(fake, POD, "n", "p"));
		for (int k = 0; k < unit_looks(1000) && access(dir, F_OK) == 0; k++) {
			(void)reconcile("p");
			(void)usleep(2000);
		}
		ck_assert_int_eq(access(dir, F_OK), -1);
		end();
	}
}
END_TEST

START_TEST(daemon_restart_finds_its_pods)
{
	struct fake_host *old;

	begin("");
	put_pod("p", RUN("echo up; while ! [ -e /e/go ]; do sleep 0.02; done; exit 7")
		",\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/e\"}]", ",\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}]");
	ck_assert(until("p", "/status/phase", "Running"));
	char path[256], ip[32], uid[64];
	snprintf(ip, sizeof(ip), "%s", at("p", "/status/podIP"));
	snprintf(uid, sizeof(uid), "%s", at("p", "/metadata/uid"));
	fake_host_destroy(fake);
	old = fake;
	/* While nobody watches. */
	snprintf(path, sizeof(path), "%s/pods/%s/volumes/e/go", state_dir, uid);
	ck_assert_int_eq(file_write(path, "", 0, 0644), 0);
	(void)fake_host_create(fake);
	ck_assert(until("p", "/status/phase", "Failed"));
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/exitCode"), "7");
	ck_assert_str_eq(at("p", "/status/podIP"), ip);
	ck_assert_uint_eq(fake_host_events(old, "Started"), 1);
	end();
}
END_TEST

static pid_t
shim_pid(const char *name)
{
	struct text text = { 0 };
	char path[256];
	const char *p;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/pods/%s/state.jsonl", state_dir, at(name, "/metadata/uid"));
	ck_assert_int_eq(file_read(path, 1 << 20, &text), 0);
	p = strstr(text_str(&text), "\"pid\":");
	ck_assert_ptr_nonnull(p);
	pid = (pid_t)atoi(p + 6);
	text_fini(&text);
	return pid;
}

START_TEST(killed_shim_fails_the_pod_and_nothing_restarts)
{
	begin("");
	put_pod("p", RUN("sleep 60"), "");
	ck_assert(until("p", "/status/phase", "Running"));
	pid_t shim = shim_pid("p");
	fake_host_destroy(fake);
	ck_assert_int_eq(kill(shim, SIGKILL), 0);
	(void)fake_host_create(fake);
	ck_assert(until("p", "/status/phase", "Failed"));
	ck_assert_str_eq(at("p", "/status/reason"), "NodeLost");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/exitCode"), "137");
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/reason"), "ContainerStatusUnknown");
	ck_assert_uint_eq(fake_host_events(fake, "Started"), 1);
	end();
}
END_TEST

START_TEST(pod_deadline)
{
	begin("");
	put_pod("p", RUN("trap 'exit 0' TERM; while :; do sleep 0.05; done"), ",\"activeDeadlineSeconds\":1");
	ck_assert(until("p", "/status/phase", "Failed"));
	ck_assert_str_eq(at("p", "/status/reason"), "DeadlineExceeded");
	end();
}
END_TEST

/* Section 6.2: from status.startTime, also of a pod that only waits; and as it is told while the pod runs. */
START_TEST(deadline_of_a_waiting_and_of_a_running_pod)
{
	struct ambient_result result;

	begin("");
	put_pod("waits", RUN("true") ",\"envFrom\":[{\"secretRef\":{\"name\":\"none\"}}]", ",\"activeDeadlineSeconds\":3");
	result = reconcile("waits");
	ck_assert_str_eq(at("waits", "/status/phase"), "Pending");
	ck_assert_int_le(result.requeue_after, 3 * AMBIENT_SECOND);
	fake_host_advance(fake, 2 * AMBIENT_SECOND);
	(void)reconcile("waits");
	ck_assert_str_eq(at("waits", "/status/phase"), "Pending");
	fake_host_advance(fake, AMBIENT_SECOND);
	(void)reconcile("waits");
	ck_assert_str_eq(at("waits", "/status/phase"), "Failed");
	ck_assert_str_eq(at("waits", "/status/reason"), "DeadlineExceeded");
	put_pod("runs", RUN("trap 'exit 0' TERM; while :; do sleep 0.05; done"), "");
	ck_assert(until("runs", "/status/phase", "Running"));
	fake_host_merge(fake, POD, "n", "runs", "{'spec':{'activeDeadlineSeconds':1}}");
	ck_assert(until("runs", "/status/phase", "Failed"));
	ck_assert_str_eq(at("runs", "/status/reason"), "DeadlineExceeded");
	end();
}
END_TEST

START_TEST(a_deadline_counts_from_when_there_was_room)
{
	begin(",\"name\":\"standalone\"");
	fake_host_put(fake, NODE, "{\"metadata\":{\"name\":\"standalone\",\"labels\":{}}}");
	put_pod("p", RUN("true"), ",\"activeDeadlineSeconds\":5,\"nodeSelector\":{\"a\":\"b\"}");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/startTime"), "");
	fake_host_advance(fake, 100 * AMBIENT_SECOND);
	fake_host_merge(fake, NODE, "", "standalone", "{'metadata':{'labels':{'a':'b'}}}");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	ck_assert_str_eq(at("p", "/status/startTime"), "2026-01-01T00:01:40Z");
	end();
}
END_TEST

START_TEST(gates_of_scheduling_and_of_readiness)
{
	begin("");
	put_pod("p", RUN("exec sleep 60"), ",\"schedulingGates\":[{\"name\":\"x.example/g\"}],\"readinessGates\":[{\"conditionType\":\"y/a\"},"
		"{\"conditionType\":\"y/b\"}]");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/phase"), "Pending");
	ck_assert_str_eq(at("p", "/status/conditions/0/reason"), "SchedulingGated");
	ck_assert_str_eq(at("p", "/status/conditions/0/message"), "Scheduling is blocked due to non-empty scheduling gates");
	ck_assert_str_eq(at("p", "/status/startTime"), "");
	fake_host_merge(fake, POD, "n", "p", "{'spec':{'schedulingGates':null}}");
	ck_assert(until("p", "/status/conditions/3/status", "True"));
	ck_assert_str_eq(at("p", "/status/conditions/3/type"), "ContainersReady");
	ck_assert_str_eq(at("p", "/status/conditions/2/type"), "Ready");
	ck_assert_str_eq(at("p", "/status/conditions/2/reason"), "ReadinessGatesNotReady");
	ck_assert_str_eq(at("p", "/status/conditions/2/message"), "corresponding condition of pod readiness gate \"y/a\" does not exist., "
			 "corresponding condition of pod readiness gate \"y/b\" does not exist.");
	fake_host_merge(fake, POD, "n", "p", "{'status':{'conditions':[{'type':'y/a','status':'True'},{'type':'y/b','status':'False'}]}}");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/conditions/2/message"), "the status of pod readiness gate \"y/b\" is not \"True\", but False");
	fake_host_merge(fake, POD, "n", "p", "{'status':{'conditions':[{'type':'y/a','status':'True'},{'type':'y/b','status':'True'}]}}");
	ck_assert(until("p", "/status/conditions/2/status", "True"));
	ck_assert_str_eq(at("p", "/status/conditions/2/type"), "Ready");
	end();
}
END_TEST

START_TEST(watcher_asks_for_a_reconcile)
{
	const char *request;
	bool asked = false;

	begin("");
	put_pod("p", RUN("while ! [ -e /e/go ]; do sleep 0.02; done") ",\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/e\"}]",
		",\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}]");
	ck_assert(until("p", "/status/phase", "Running"));
	/* The watcher connects after the first reconcile and asks for one more, so that nothing is missed between. */
	for (int i = 0; i < unit_looks(1000) && !asked; i++) {
		while ((request = fake_host_queued(fake)) != NULL)
			asked = asked || strcmp(request, "pods n/p 0") == 0;
		(void)usleep(2000);
	}
	ck_assert(asked);
	asked = false;
	while (fake_host_queued(fake) != NULL)
		;
	char path[256];
	snprintf(path, sizeof(path), "%s/pods/%s/volumes/e/go", state_dir, at("p", "/metadata/uid"));
	ck_assert_int_eq(file_write(path, "", 0, 0644), 0);
	for (int i = 0; i < unit_looks(1000) && !asked; i++) {
		while ((request = fake_host_queued(fake)) != NULL)
			asked = asked || strcmp(request, "pods n/p 0") == 0;
		(void)usleep(2000);
	}
	ck_assert(asked);
	ck_assert(until("p", "/status/phase", "Succeeded"));
	end();
}
END_TEST

START_TEST(same_name_other_uid)
{
	begin("");
	put_pod("p", RUN("sleep 60"), "");
	ck_assert(until("p", "/status/phase", "Running"));
	char dir[256];
	snprintf(dir, sizeof(dir), "%s/pods/%s", state_dir, at("p", "/metadata/uid"));
	fake_host_remove(fake, POD, "n", "p");
	put_pod("p", RUN("echo second"), "");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	ck_assert_int_eq(access(dir, F_OK), -1);
	end();
}
END_TEST

START_TEST(node_registers_once_and_does_not_answer_itself)
{
	begin(",\"cgroups\":\"\"");
	ck_assert_int_eq(fake_host_reconcile(fake, "node", "", "standalone", NULL, NULL), 0);
	ck_assert_str_eq(fake_host_at(fake, NODE, "", "standalone", "/status/conditions/0/status"), "True");
	ck_assert_str_eq(fake_host_at(fake, NODE, "", "standalone", "/metadata/annotations/standalone~1limits"), "unenforced");
	size_t writes = fake_host_calls(fake, "status", NODE);
	fake_host_advance(fake, 2 * AMBIENT_SECOND);
	ck_assert_int_eq(fake_host_reconcile(fake, "node", "", "standalone", NULL, NULL), 0);
	ck_assert_uint_eq(fake_host_calls(fake, "status", NODE), writes);
	end();
}
END_TEST

START_TEST(probes_and_sidecars_are_told)
{
	begin("");
	put_pod("p", RUN("sleep 60") ",\"readinessProbe\":{\"exec\":{\"command\":[\"sh\",\"-c\",\"echo not yet; exit 1\"]},"
		"\"periodSeconds\":1,\"timeoutSeconds\":60}",
		",\"initContainers\":[{\"name\":\"s\",\"image\":\"test:1\",\"restartPolicy\":\"Always\"," RUN("exec sleep 60") "}]");
	ck_assert(until("p", "/status/phase", "Running"));
	ck_assert(until("p", "/status/initContainerStatuses/0/ready", "true"));
	ck_assert(until("p", "/status/containerStatuses/0/started", "true"));
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/ready"), "false");
	for (int i = 0; i < unit_looks(800) && fake_host_events(fake, "Unhealthy") == 0; i++) {
		(void)reconcile("p");
		(void)usleep(5000);
	}
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "Unhealthy"), "Readiness probe failed: not yet"));
	end();
}
END_TEST

START_TEST(what_does_not_fit_waits_for_room)
{
	begin("");
	put_pod("big", RUN("while ! [ -e /e/go ]; do sleep 0.02; done") ",\"resources\":{\"requests\":{\"memory\":\"1Mi\"}},"
		"\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/e\"}]", ",\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}]");
	ck_assert(until("big", "/status/phase", "Running"));
	/* All of the machine's memory: more than is left. */
	char container[256], path[256];
	snprintf(container, sizeof(container), RUN("true") ",\"resources\":{\"requests\":{\"memory\":\"%lld\"}}",
		 (long long)schedule_capacity(SHARE_MEMORY));
	put_pod("p", container, "");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", "/status/phase"), "Pending");
	ck_assert_str_eq(at("p", "/status/conditions/0/reason"), "Unschedulable");
	ck_assert_str_eq(at("p", "/status/conditions/0/message"), "0/1 nodes are available: 1 Insufficient memory.");
	snprintf(path, sizeof(path), "%s/pods/%s/volumes/e/go", state_dir, at("big", "/metadata/uid"));
	ck_assert_int_eq(file_write(path, "", 0, 0644), 0);
	ck_assert(until("big", "/status/phase", "Succeeded"));
	bool asked = false;
	for (const char *q; (q = fake_host_queued(fake)) != NULL;)
		asked = asked || strcmp(q, "pods n/p 0") == 0;
	ck_assert(asked);
	ck_assert(until("p", "/status/phase", "Succeeded"));
	end();
}
END_TEST

START_TEST(too_large_an_empty_dir_is_evicted)
{
	begin("");
	put_pod("p", RUN("head -c 200000 /dev/zero > /e/f; exec sleep 600") ",\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/e\"}]",
		",\"volumes\":[{\"name\":\"e\",\"emptyDir\":{\"sizeLimit\":\"100k\"}}]");
	ck_assert(until("p", "/status/phase", "Running"));
	/* The shim looks every ten seconds. */
	for (int i = 0; i < 6 && strcmp(at("p", "/status/phase"), "Failed") != 0; i++)
		(void)until_quietly("p", "/status/phase", "Failed");
	ck_assert_str_eq(at("p", "/status/reason"), "Evicted");
	ck_assert_ptr_nonnull(strstr(at("p", "/status/message"), "EmptyDir volume \"e\" exceeds the limit \"100k\""));
	ck_assert_ptr_nonnull(strstr(at("p", "/status/conditions"), "DisruptionTarget"));
	end();
}
END_TEST

START_TEST(host_paths_are_those_that_are_allowed)
{
	char dir[64] = "/tmp/ambient-host-XXXXXX", more[256], shown[512], path[256];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(more, sizeof(more), ",\"hostPaths\":[\"%s\"]", dir);
	begin(more);
	snprintf(path, sizeof(path), "%s/f", dir);
	ck_assert_int_eq(file_write(path, "host\n", 5, 0644), 0);
	snprintf(path, sizeof(path), "%s/out", dir);
	ck_assert_int_eq(symlink("/etc", path), 0);
	snprintf(shown, sizeof(shown), ",\"volumes\":[{\"name\":\"h\",\"hostPath\":{\"path\":\"%s\",\"type\":\"Directory\"}}]", dir);
	put_pod("p", RUN("cat /h/f") ",\"volumeMounts\":[{\"name\":\"h\",\"mountPath\":\"/h\"}]", shown);
	ck_assert(until("p", "/status/phase", "Succeeded"));
	ck_assert_ptr_nonnull(strstr(log_of("p", "c"), "F host\n"));
	snprintf(shown, sizeof(shown), ",\"volumes\":[{\"name\":\"h\",\"hostPath\":{\"path\":\"%s/out/ssl\"}}]", dir);
	put_pod("q", RUN("true") ",\"volumeMounts\":[{\"name\":\"h\",\"mountPath\":\"/h\"}]", shown);
	(void)reconcile("q");
	ck_assert_str_eq(at("q", "/status/phase"), "Pending");
	put_pod("r", RUN("true"), ",\"volumes\":[{\"name\":\"h\",\"hostPath\":{\"path\":\"/etc\"}}]");
	(void)reconcile("r");
	ck_assert_ptr_nonnull(strstr(at("r", "/status/containerStatuses/0/state/waiting/message"), "hostPaths"));
	(void)remove_tree(dir);
	end();
}
END_TEST

START_TEST(memory_volumes_aliases_and_sub_path_expr)
{
	begin("");
	put_pod("p", RUN("stat -f -c %T /m; cat /etc/hosts; echo s > /s/f; id -g; cat /d/cpu")
		",\"env\":[{\"name\":\"WHO\",\"value\":\"me\"}],\"resources\":{\"limits\":{\"cpu\":\"1500m\"}},"
		"\"volumeMounts\":[{\"name\":\"m\",\"mountPath\":\"/m\"},{\"name\":\"e\",\"mountPath\":\"/s\",\"subPathExpr\":\"$(WHO)\"},"
		"{\"name\":\"e\",\"mountPath\":\"/e\"},{\"name\":\"d\",\"mountPath\":\"/d\"}]",
		",\"securityContext\":{\"fsGroup\":2000},\"hostAliases\":[{\"ip\":\"10.1.2.3\",\"hostnames\":[\"a.example\",\"b\"]}],"
		"\"volumes\":[{\"name\":\"m\",\"emptyDir\":{\"medium\":\"Memory\",\"sizeLimit\":\"1Mi\"}},{\"name\":\"e\",\"emptyDir\":{}},"
		"{\"name\":\"d\",\"downwardAPI\":{\"items\":[{\"path\":\"cpu\",\"resourceFieldRef\":{\"containerName\":\"c\","
		"\"resource\":\"limits.cpu\",\"divisor\":\"1m\"}}]}}]");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	const char *log = log_of("p", "c");
	ck_assert_msg(strstr(log, "F tmpfs\n") != NULL && strstr(log, "F 10.1.2.3\ta.example\tb\n") != NULL, "%s", log);
	ck_assert_msg(strstr(log, "F 2000\n") != NULL && strstr(log, "F 1500") != NULL, "%s", log);
	end();
}
END_TEST

/* 6.2: what root gives and another user only has. */
START_TEST(supplementary_groups)
{
	static const struct { const char *more, *groups; } rows[] = {
		{ "\"supplementalGroups\":[4343,4344]", "4343 4344" },
		{ "\"supplementalGroups\":[4343],\"supplementalGroupsPolicy\":\"Strict\"", "F Groups:\t4343 \n" },
		{ "\"supplementalGroupsPolicy\":\"Strict\"", "F Groups:\t \n" },
		{ "\"supplementalGroups\":[4343],\"runAsUser\":4242", "65534" }, /* not mapped there */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char more[256];

		begin("");
		snprintf(more, sizeof(more), ",\"shareProcessNamespace\":%s,\"securityContext\":{%s}", i == 3 ? "true" : "false", rows[i].more);
		put_pod("p", RUN("grep Groups: /proc/self/status"), more);
		if (geteuid() != 0) {
			ck_assert(until("p", "/status/containerStatuses/0/state/waiting/reason", "CreateContainerConfigError"));
			ck_assert_ptr_nonnull(strstr(at("p", "/status/containerStatuses/0/state/waiting/message"), "supplementalGroups"));
			end();
			break; /* what is refused of Strict depends on who runs this */
		}
		ck_assert(until("p", "/status/phase", "Succeeded"));
		ck_assert_msg(strstr(log_of("p", "c"), rows[i].groups) != NULL, "%s: %s", rows[i].more, log_of("p", "c"));
		end();
	}
}
END_TEST

/* 6.8: everything that a pod of another user than the daemon's needs is his. */
START_TEST(a_user_for_the_namespace)
{
	if (geteuid() != 0 || access("/usr/bin/bwrap", X_OK) < 0) {
		printf("# SKIP a_user_for_the_namespace: only root, with bubblewrap, gives pods another user\n");
		return;
	}
	begin(",\"uidRange\":\"234500-234509\"");
	fake_host_put(fake, SECRET, "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"},\"data\":{\"k\":\"dg==\"}}");
	fake_host_put(fake, CLAIM, "{\"metadata\":{\"name\":\"d\",\"namespace\":\"n\",\"uid\":\"u\"},\"spec\":{}}");
	put_pod("p", RUN("id -u; cat /s/k; echo kept > /e/f && echo kept > /m/f && echo kept > /d/sub/f && cat /etc/hosts > /dev/null && "
			 "echo > /dev/stderr; ls -ln /e/f; echo said > /dev/termination-log")
		",\"volumeMounts\":[{\"name\":\"s\",\"mountPath\":\"/s\"},{\"name\":\"e\",\"mountPath\":\"/e\"},{\"name\":\"m\",\"mountPath\":\"/m\"},"
		"{\"name\":\"d\",\"mountPath\":\"/d/sub\",\"subPath\":\"sub\"}]",
		",\"volumes\":[{\"name\":\"s\",\"secret\":{\"secretName\":\"s\",\"defaultMode\":256}},{\"name\":\"e\",\"emptyDir\":{}},"
		"{\"name\":\"m\",\"emptyDir\":{\"medium\":\"Memory\"}},{\"name\":\"d\",\"persistentVolumeClaim\":{\"claimName\":\"d\"}}]");
	ck_assert_msg(until("p", "/status/phase", "Succeeded"), "%s", log_of("p", "c"));
	const char *log = log_of("p", "c");
	ck_assert_msg(strstr(log, "F 234500\n") != NULL && strstr(log, " 234500 234500 ") != NULL, "%s", log);
	ck_assert_str_eq(at("p", "/status/containerStatuses/0/state/terminated/message"), "said\n");
	struct stat st;
	char path[256];
	snprintf(path, sizeof(path), "%s/pvc/n/d/sub/f", state_dir);
	ck_assert(stat(path, &st) == 0 && st.st_uid == 234500);
	snprintf(path, sizeof(path), "%s/pvc/n/d", state_dir);
	ck_assert(stat(path, &st) == 0 && st.st_uid == 234500 && (st.st_mode & 0777) == 0770);
	/* Of another namespace that number is not, whatever else is free. */
	snprintf(path, sizeof(path), "%s/uids/n", state_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	put_pod("r", RUN("id -u"), ",\"securityContext\":{\"runAsUser\":0}");
	ck_assert(until("r", "/status/phase", "Succeeded"));
	ck_assert_ptr_nonnull(strstr(log_of("r", "c"), "F 0\n"));
	end();
}
END_TEST

START_TEST(ranges_of_users)
{
	static const char *const bad[] = { "1-5", "5000", "5000-", "5000-4000", "5000-4294967294", "a-b", "5000-6000x", "2000-99999999", "-5-7" };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int64_t first, last;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_lt(users_range(bad[i], &first, &last, &err), 0);
		ck_assert_ptr_nonnull(strstr(err.message, bad[i]));
	}
	ck_assert_int_eq(users_range("", &first, &last, &err), 0);
	ck_assert_int_eq(last, 0);
	ck_assert_int_eq(users_range("5000-5001", &first, &last, &err) == 0, geteuid() == 0);
	if (geteuid() != 0)
		return;
	begin("");
	struct node self = { .root = state_dir, .uid_first = first, .uid_last = last, .uid_lock = PTHREAD_MUTEX_INITIALIZER }, *node = &self;
	int64_t a, b, c;
	ck_assert(users_get(node, "a", &a, &err) == 0 && users_get(node, "b", &b, &err) == 0 && a == 5000 && b == 5001);
	ck_assert_int_lt(users_get(node, "c", &c, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.message, "uidRange"));
	ck_assert(users_get(node, "a", &c, &err) == 0 && c == a);
	end();
}
END_TEST

START_TEST(ranges_of_addresses)
{
	static const struct { const char *text, *says; } bad[] = {
		{ "", "as in" }, { "198.18.0.0", "as in" }, { "198.18.0.0/", "as in" }, { "198.18.0.0/16x", "as in" }, { "198.18.0.0/+16", "as in" },
		{ "198.18.0.0/7", "from 8 to 16" }, { "198.18.0.0/17", "from 8 to 16" }, { "198.18.0/16", "as in" }, { "x/16", "as in" },
		{ "fd00::/16", "as in" }, { "198.18.0.1/16", "\"198.18.0.0/16\"" }, { "198.19.0.0/15", "\"198.18.0.0/15\"" },
		{ "127.0.0.0/8", "127.64.0.0/10" }, { "127.0.0.0/16", "no request" }, { "127.128.0.0/9", "no request" }, { "0.0.0.0/8", "no request" },
		{ "169.254.0.0/16", "no request" }, { "169.0.0.0/8", "no request" }, { "224.0.0.0/8", "no request" }, { "255.255.0.0/16", "no request" },
		{ "111111111111111111111111111111.18.0.0/16", "as in" },
	};
	static const char *const good[] = { "127.64.0.0/10", "127.64.0.0/16", "127.127.0.0/16", "198.18.0.0/15", "10.0.0.0/8", "223.255.0.0/16" };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	uint32_t first, size;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(addresses_range(bad[i].text, &first, &size, &err) < 0, "%s", bad[i].text);
		ck_assert_msg(strstr(err.message, bad[i].says) != NULL && strstr(err.message, bad[i].text) != NULL, "%s", err.message);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(addresses_range(good[i], &first, &size, &err) == 0, "%s", err.message);
	ck_assert(first == 0xdfff0000 && size == 65536);
	/* Every address is one of the range that can be a pod's, and no two pods have the same, though all ask for the same one. */
	static struct local pods[1000];
	struct node self = { .addresses = 0xc6120000, .address_count = 0x20000 }, *node = &self;
	for (size_t i = 0; i < 1000; i++) {
		struct local *l = &pods[i];
		snprintf(l->uid, sizeof(l->uid), "same");
		address_give(node, l);
		ck_assert_msg(strncmp(l->ip, "198.18.", 7) == 0 || strncmp(l->ip, "198.19.", 7) == 0, "%s", l->ip);
		ck_assert(strcmp(strrchr(l->ip, '.'), ".0") != 0 && strcmp(strrchr(l->ip, '.'), ".255") != 0);
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(strcmp(pods[k].ip, l->ip) != 0, "%s", l->ip);
		l->next = node->pods;
		node->pods = l;
	}
	/* What is not the machine's is said before any pod is there. */
	self.addresses = 0xc6120000;
	if (addresses_prepare(node, &err) < 0)
		ck_assert_ptr_nonnull(strstr(err.message, "198.19.0.1"));
	self.addresses = 0x7f400000;
	ck_assert_msg(addresses_prepare(node, &err) == 0, "%s", err.message);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, ranges_of_addresses);
	tcase_add_test(tc, pod_succeeds);
	tcase_add_test(tc, a_user_for_the_namespace);
	tcase_add_test(tc, ranges_of_users);
	tcase_add_test(tc, supplementary_groups);
	tcase_add_test(tc, pod_exit_codes);
	tcase_add_test(tc, pod_that_cannot_start_is_128);
	tcase_add_test(tc, pod_init_failure_starts_nothing_else);
	tcase_add_test(tc, unmapped_image_says_what_to_configure);
	tcase_add_test(tc, missing_bubblewrap_names_the_package);
	tcase_add_test(tc, secret_that_appears_later_lets_it_start);
	tcase_add_test(tc, environment);
	tcase_add_test(tc, volumes);
	tcase_add_test(tc, sub_path_stays_in_its_volume);
	tcase_add_test(tc, secret_update_is_seen_by_a_running_pod);
	tcase_add_test(tc, delete_ends_with_grace_then_kill_and_cleans_up);
	tcase_add_test(tc, daemon_restart_finds_its_pods);
	tcase_add_test(tc, killed_shim_fails_the_pod_and_nothing_restarts);
	tcase_add_test(tc, pod_deadline);
	tcase_add_test(tc, deadline_of_a_waiting_and_of_a_running_pod);
	tcase_add_test(tc, a_deadline_counts_from_when_there_was_room);
	tcase_add_test(tc, gates_of_scheduling_and_of_readiness);
	tcase_add_test(tc, watcher_asks_for_a_reconcile);
	tcase_add_test(tc, same_name_other_uid);
	tcase_add_test(tc, probes_and_sidecars_are_told);
	tcase_add_test(tc, what_does_not_fit_waits_for_room);
	tcase_add_test(tc, too_large_an_empty_dir_is_evicted);
	tcase_add_test(tc, host_paths_are_those_that_are_allowed);
	tcase_add_test(tc, memory_volumes_aliases_and_sub_path_expr);
	tcase_add_test(tc, node_registers_once_and_does_not_answer_itself);
}

UNIT_MAIN("node", cases)
