/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pod finds in its files while it runs (kube-api.md 6.2): names and resolvers, tokens and their renewal, objects
 * of the API that change, claims and their end, parts of volumes, and what it has of the machine.
 */
#include "tests/unit/node.h"

/* A file of a volume of pod p, as it is now. */
static const char *
volume(const char *name, const char *file)
{
	static struct text text;
	char path[512];

	text.len = 0;
	snprintf(path, sizeof(path), "%s/pods/%s/volumes/%s/..data/%s", state_dir, at("p", "/metadata/uid"), name, file);
	if (file_read(path, 65536, &text) < 0)
		return "(none)";
	return text_str(&text);
}

START_TEST(dns_policy_none_and_names)
{
	begin("");
	put_pod("p", RUN("cat /etc/resolv.conf; hostname; cat /etc/hosts"),
		",\"dnsPolicy\":\"None\",\"hostname\":\"web\",\"subdomain\":\"sub\",\"dnsConfig\":{\"nameservers\":[\"10.9.8.7\",\"10.9.8.6\"],"
		"\"searches\":[\"a.example\",\"b.example\",\"a.example\"],\"options\":[{\"name\":\"ndots\",\"value\":\"2\"},{\"name\":\"edns0\"}]},"
		"\"hostAliases\":[{\"ip\":\"10.1.2.3\",\"hostnames\":[\"one.example\",\"one\"]}]");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	const char *log = log_of("p", "c"), *p = log;
	static const char *const want[] = { "F nameserver 10.9.8.7\n", "F nameserver 10.9.8.6\n", "F search a.example b.example\n",
		"F options ndots:2 edns0\n", "F web\n", "\tweb.sub.n.svc.cluster.local\tweb\n", "F 10.1.2.3\tone.example\tone\n" };

	/* In this order, and no nameserver of the machine's. */
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		ck_assert_msg(p != NULL && (p = strstr(p, want[i])) != NULL, "%s: %s", want[i], log);
		p += strlen(want[i]) - 1;
	}
	p = strstr(log, "nameserver");
	ck_assert_ptr_nonnull(p = strstr(p + 1, "nameserver"));
	ck_assert_ptr_null(strstr(p + 1, "nameserver"));
	ck_assert_ptr_nonnull(strstr(log, at("p", "/status/podIP")));
	end();
}
END_TEST

/* Without policy None the machine's resolver stays, in one line each. */
START_TEST(dns_config_is_joined_with_the_machines)
{
	struct text machine = { 0 };
	char first[256] = "";

	begin("");
	put_pod("p", RUN("cat /etc/resolv.conf"), ",\"dnsPolicy\":\"Default\",\"dnsConfig\":{\"searches\":[\"mine.example\"],"
		"\"options\":[{\"name\":\"ndots\",\"value\":\"7\"}]}");
	put_pod("plain", RUN("cat /etc/resolv.conf"), ",\"dnsPolicy\":\"ClusterFirst\"");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	ck_assert(until("plain", "/status/phase", "Succeeded"));
	const char *log = log_of("p", "c"), *search = strstr(log, "F search ");
	ck_assert_msg(search != NULL && strstr(search + 1, "F search ") == NULL, "%s", log);
	ck_assert_msg(strstr(log, " mine.example\n") != NULL && strstr(log, "ndots:7") != NULL, "%s", log);
	if (file_read("/etc/resolv.conf", 65536, &machine) == 0 && sscanf(text_str(&machine), "nameserver %200s", first) == 1) {
		ck_assert_msg(strstr(log, first) != NULL, "%s: %s", first, log);
		ck_assert_msg(strstr(log_of("plain", "c"), first) != NULL, "%s", log_of("plain", "c"));
	}
	text_fini(&machine);
	end();
}
END_TEST

static void
advance_to(int64_t *now, int64_t second)
{
	fake_host_advance(fake, (second - *now) * AMBIENT_SECOND);
	*now = second;
	(void)reconcile("p");
}

/* As kubelet: at 80 % of its life or after a day, each token by its own; the others and who has the old file open are
 * not touched. */
START_TEST(tokens_are_renewed_by_their_own_life)
{
	char shorter[128], longer[128], day[128], other[64], link[512], before[64] = "", after[64] = "";
	int64_t now = 0;
	FILE *old;

	begin("");
	fake_host_put(fake, ACCOUNT, "{'metadata':{'name':'default','namespace':'n'}}");
	put_pod("p", RUN("exec sleep 60"), ",\"volumes\":[{\"name\":\"v\",\"projected\":{\"sources\":["
		"{\"serviceAccountToken\":{\"path\":\"short\",\"expirationSeconds\":600}},"
		"{\"serviceAccountToken\":{\"path\":\"long\",\"expirationSeconds\":3600,\"audience\":\"x\"}},"
		"{\"serviceAccountToken\":{\"path\":\"day\",\"expirationSeconds\":200000}},"
		"{\"downwardAPI\":{\"items\":[{\"path\":\"name\",\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}]}}]}}]");
	ck_assert(until("p", "/status/phase", "Running"));
	(void)reconcile("p");
	snprintf(shorter, sizeof(shorter), "%s", volume("v", "short"));
	snprintf(longer, sizeof(longer), "%s", volume("v", "long"));
	snprintf(day, sizeof(day), "%s", volume("v", "day"));
	snprintf(other, sizeof(other), "%s", volume("v", "name"));
	ck_assert_str_ne(shorter, longer);
	snprintf(link, sizeof(link), "%s/pods/%s/volumes/v/..data", state_dir, at("p", "/metadata/uid"));
	ck_assert_int_gt(readlink(link, before, sizeof(before) - 1), 0);
	(void)strcat(link, "/short");
	old = fopen(link, "r");
	ck_assert_ptr_nonnull(old);

	advance_to(&now, 479);
	ck_assert_str_eq(volume("v", "short"), shorter);
	/* The next look is at the token's time, not a minute later. */
	fake_host_advance(fake, AMBIENT_MILLISECOND);
	ck_assert_int_le(reconcile("p").requeue_after, AMBIENT_SECOND);
	fake_host_fail(fake, "create", ACCOUNT, AMBIENT_E_UNAVAILABLE, 1);
	fake_host_advance(fake, 2 * AMBIENT_SECOND);
	ck_assert_int_lt(fake_host_reconcile(fake, "pods", "n", "p", NULL, NULL), 0);
	ck_assert_str_eq(volume("v", "short"), shorter); /* no server: the old one stays, which is good for 119 s more */
	now = 481;
	advance_to(&now, 482);
	ck_assert_str_ne(volume("v", "short"), shorter);
	ck_assert_str_eq(volume("v", "long"), longer);
	ck_assert_str_eq(volume("v", "name"), other);
	snprintf(link, sizeof(link), "%s/pods/%s/volumes/v/..data", state_dir, at("p", "/metadata/uid"));
	ck_assert_int_gt(readlink(link, after, sizeof(after) - 1), 0);
	ck_assert_str_ne(before, after); /* all files of a generation changed at once */
	ck_assert_ptr_nonnull(fgets(link, sizeof(link), old));
	ck_assert_str_eq(link, shorter);
	(void)fclose(old);

	advance_to(&now, 2879);
	ck_assert_str_eq(volume("v", "long"), longer);
	advance_to(&now, 2881);
	ck_assert_str_ne(volume("v", "long"), longer);
	ck_assert_str_eq(volume("v", "day"), day);
	advance_to(&now, 86399);
	ck_assert_str_eq(volume("v", "day"), day);
	advance_to(&now, 86401);
	ck_assert_str_ne(volume("v", "day"), day);
	end();
}
END_TEST

/* A machine that trusts no token for long. */
START_TEST(tokens_are_renewed_when_they_are_too_old)
{
	char first[128];
	int64_t now = 0;

	begin(",\"tokenMaxAge\":\"5m\"");
	fake_host_put(fake, ACCOUNT, "{'metadata':{'name':'default','namespace':'n'}}");
	put_pod("p", RUN("exec sleep 60"), ",\"volumes\":[{\"name\":\"v\",\"projected\":{\"sources\":["
		"{\"serviceAccountToken\":{\"path\":\"t\",\"expirationSeconds\":3600}}]}}]");
	ck_assert(until("p", "/status/phase", "Running"));
	(void)reconcile("p");
	snprintf(first, sizeof(first), "%s", volume("v", "t"));
	advance_to(&now, 299);
	ck_assert_str_eq(volume("v", "t"), first);
	advance_to(&now, 301);
	ck_assert_str_ne(volume("v", "t"), first);
	end();
}
END_TEST

/* Keys that come, change and go; an object that goes leaves the files; a mount of one file stays as it was. */
START_TEST(objects_that_change_reach_a_running_pod)
{
	begin("");
	fake_host_put(fake, CONFMAP, "{'metadata':{'name':'m','namespace':'n'},'data':{'a':'1','b':'2'}}");
	put_pod("p", RUN("while ! [ -e /m/new ] || [ -e /m/b ] || ! grep -q second /l/labels; do sleep 0.02; done; cat /m/a /m/new; "
			 "echo; cat /one; ls /m")
		",\"volumeMounts\":[{\"name\":\"m\",\"mountPath\":\"/m\"},{\"name\":\"l\",\"mountPath\":\"/l\"},"
		"{\"name\":\"m\",\"mountPath\":\"/one\",\"subPath\":\"a\"}]",
		",\"volumes\":[{\"name\":\"m\",\"configMap\":{\"name\":\"m\"}},{\"name\":\"l\",\"downwardAPI\":{\"items\":[{\"path\":\"labels\","
		"\"fieldRef\":{\"fieldPath\":\"metadata.labels\"}}]}}]");
	ck_assert(until("p", "/status/phase", "Running"));
	fake_host_remove(fake, CONFMAP, "n", "m");
	fake_host_advance(fake, 61 * AMBIENT_SECOND);
	(void)reconcile("p");
	ck_assert_str_eq(volume("m", "a"), "1");
	fake_host_put(fake, CONFMAP, "{'metadata':{'name':'m','namespace':'n'},'data':{'a':'changed','new':'+'}}");
	fake_host_merge(fake, POD, "n", "p", "{'metadata':{'labels':{'app':'second'}}}");
	fake_host_advance(fake, 61 * AMBIENT_SECOND);
	ck_assert(until("p", "/status/phase", "Succeeded"));
	const char *log = log_of("p", "c");
	ck_assert_msg(strstr(log, "F changed+\n") != NULL && strstr(log, "F 1a\n") != NULL, "%s", log);
	ck_assert_msg(strstr(log, "F new\n") != NULL && strstr(log, "F b\n") == NULL, "%s", log);
	end();
}
END_TEST

static void
put_claim(const char *uid)
{
	char json[256];

	snprintf(json, sizeof(json), "{'metadata':{'name':'w','namespace':'n','uid':'%s'},'spec':{'accessModes':['ReadWriteOnce'],"
		 "'resources':{'requests':{'storage':'1Gi'}}}}", uid);
	fake_host_put(fake, CLAIM, json);
	ck_assert_int_eq(fake_host_reconcile(fake, "claims", "n", "w", NULL, NULL), 0);
}

#define CLAIMED ",\"volumeMounts\":[{\"name\":\"w\",\"mountPath\":\"/w\"}]"
#define VOLUME  ",\"volumes\":[{\"name\":\"w\",\"persistentVolumeClaim\":{\"claimName\":\"w\"}}]"

/* Files pass from pod to pod; a claim that is deleted waits for who works in it, takes no new pod, and takes its files
 * along; one of the same name begins empty. */
START_TEST(a_claims_life)
{
	struct ambient_result result = { .size = sizeof(result) };
	char path[256];

	begin("");
	put_claim("11111111-0000-4000-8000-000000000001");
	put_pod("first", RUN("echo kept > /w/f") CLAIMED, VOLUME);
	ck_assert(until("first", "/status/phase", "Succeeded"));
	put_pod("p", RUN("cat /w/f; while ! [ -e /w/go ]; do sleep 0.02; done") CLAIMED, VOLUME);
	ck_assert(until("p", "/status/phase", "Running"));
	fake_host_merge(fake, CLAIM, "n", "w", "{'metadata':{'deletionTimestamp':'2026-01-01T00:00:01Z'}}");
	ck_assert_int_eq(fake_host_reconcile(fake, "claims", "n", "w", &result, NULL), 0);
	ck_assert_str_eq(fake_host_at(fake, CLAIM, "n", "w", "/metadata/finalizers/0"), "kubernetes.io/pvc-protection");
	ck_assert_int_gt(result.requeue_after, 0);
	put_pod("late", RUN("true") CLAIMED, VOLUME);
	(void)reconcile("late");
	ck_assert_str_eq(at("late", "/status/phase"), "Pending");
	ck_assert_ptr_nonnull(strstr(at("late", "/status/containerStatuses/0/state/waiting/message"), "\"w\" not found"));
	fake_host_remove(fake, POD, "n", "late");
	snprintf(path, sizeof(path), "%s/pvc/n/w/go", state_dir);
	ck_assert_int_eq(file_write(path, "", 0, 0644), 0);
	ck_assert(until("p", "/status/phase", "Succeeded"));
	ck_assert_ptr_nonnull(strstr(log_of("p", "c"), "F kept\n"));
	ck_assert_int_eq(fake_host_reconcile(fake, "claims", "n", "w", NULL, NULL), 0);
	ck_assert(!fake_host_has(fake, CLAIM, "n", "w"));
	ck_assert_int_eq(fake_host_reconcile(fake, "claims", "n", "w", NULL, NULL), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
	/* Deleted and made again while nobody looked. */
	put_claim("11111111-0000-4000-8000-000000000002");
	ck_assert_int_eq(file_write(path, "", 0, 0644), 0);
	fake_host_remove(fake, CLAIM, "n", "w");
	put_claim("11111111-0000-4000-8000-000000000003");
	ck_assert_int_eq(access(path, F_OK), -1);
	end();
}
END_TEST

START_TEST(parts_of_volumes)
{
	static const struct { const char *mount, *reason; } refused[] = {
		{ "\"subPath\":\"a/../../x\"", "CreateContainerConfigError" }, { "\"subPath\":\"/etc\"", "CreateContainerConfigError" },
		{ "\"subPathExpr\":\"$(NOBODY)\"", "CreateContainerConfigError" },
	};

	begin("");
	put_pod("p", RUN("echo x > /s/f; cat /all/made/here/f; touch /ro/y || echo refused; echo $POD > /e/f; cat /all/p/f")
		",\"env\":[{\"name\":\"POD\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}}],"
		"\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/all\"},{\"name\":\"e\",\"mountPath\":\"/s\",\"subPath\":\"made/here\"},"
		"{\"name\":\"e\",\"mountPath\":\"/ro\",\"subPath\":\"made\",\"readOnly\":true},"
		"{\"name\":\"e\",\"mountPath\":\"/e\",\"subPathExpr\":\"$(POD)\"}]", ",\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}]");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	const char *log = log_of("p", "c");
	ck_assert_msg(strstr(log, "F x\n") != NULL && strstr(log, "F refused\n") != NULL && strstr(log, "F p\n") != NULL, "%s", log);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char container[256], name[16];

		snprintf(name, sizeof(name), "r%zu", i);
		snprintf(container, sizeof(container), RUN("true") ",\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/s\",%s}]",
			 refused[i].mount);
		put_pod(name, container, ",\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}]");
		(void)reconcile(name);
		ck_assert_str_eq(at(name, "/status/containerStatuses/0/state/waiting/reason"), refused[i].reason);
	}
	end();
}
END_TEST

#define REF(name, resource, more) "{\"name\":\"" name "\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"" resource "\"" more "}}}"
#define DIVISOR(d) ",\"divisor\":\"" d "\""

/* Rounded up, in exact units; without a limit the machine's; of another container when one is named. */
START_TEST(resource_fields)
{
	char want[32];

	begin("");
	put_pod("p", RUN("echo $A $B $C $D $E $F $G $H; cat /d/mine /d/theirs")
		",\"volumeMounts\":[{\"name\":\"d\",\"mountPath\":\"/d\"}],"
		"\"resources\":{\"requests\":{\"cpu\":\"9m\"},\"limits\":{\"memory\":\"100Mi\",\"ephemeral-storage\":\"1500k\"}},\"env\":["
		REF("A", "requests.cpu", DIVISOR("1m")) "," REF("B", "requests.cpu", "") "," REF("C", "limits.memory", DIVISOR("1Mi")) ","
		REF("D", "limits.memory", "") "," REF("E", "requests.memory", "") "," REF("F", "limits.ephemeral-storage", DIVISOR("1M")) ","
		REF("G", "limits.cpu", "") "," REF("H", "limits.cpu", ",\"containerName\":\"i\"" DIVISOR("1m")) "]",
		",\"initContainers\":[{\"name\":\"i\",\"image\":\"test:1\",\"command\":[\"true\"],\"resources\":{\"limits\":{\"cpu\":\"1001m\"}}}],"
		"\"volumes\":[{\"name\":\"d\",\"downwardAPI\":{\"items\":["
		"{\"path\":\"mine\",\"resourceFieldRef\":{\"containerName\":\"c\",\"resource\":\"limits.memory\",\"divisor\":\"1Ki\"}},"
		"{\"path\":\"theirs\",\"resourceFieldRef\":{\"containerName\":\"i\",\"resource\":\"limits.cpu\",\"divisor\":\"1m\"}}]}}]");
	ck_assert(until("p", "/status/phase", "Succeeded"));
	snprintf(want, sizeof(want), "F 9 1 100 104857600 0 2 %ld 1001\n", sysconf(_SC_NPROCESSORS_ONLN));
	ck_assert_msg(strstr(log_of("p", "c"), want) != NULL, "%s in %s", want, log_of("p", "c"));
	ck_assert_msg(strstr(log_of("p", "c"), "F 1024001001") != NULL, "%s", log_of("p", "c"));
	end();
}
END_TEST

#define PROFILE(type) ",\"securityContext\":{\"seccompProfile\":{\"type\":\"" type "\"}}"
#define PROBE RUN("unshare -U true; grep Seccomp: /proc/self/status; perl -e 'exit(syscall(425, 1, 0) < 0 && $!{EPERM} ? 0 : 1)' " \
		  "&& echo no ring")

static bool
no_filters(void)
{
#ifdef HAVE_SECCOMP
	return false;
#else
	printf("SKIP node_files: built without libseccomp\n");
	ck_assert(!unit_required("libseccomp"));
	return true;
#endif
}

/* 6.2 seccompProfile: the container's before the pod's, and the configuration's where none is said. */
START_TEST(seccomp_profiles)
{
	static const struct { const char *conf, *pod, *container; bool filtered; } rows[] = {
		{ "", "", PROFILE("RuntimeDefault"), true }, { "", PROFILE("RuntimeDefault"), "", true },
		{ "", PROFILE("RuntimeDefault"), PROFILE("Unconfined"), false }, { "", "", "", true },
		{ ",\"seccompDefault\":false", "", "", false }, { ",\"seccompDefault\":false", PROFILE("Unconfined"), PROFILE("RuntimeDefault"), true },
	};

	if (no_filters())
		return;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char container[512];

		begin(rows[i].conf);
		snprintf(container, sizeof(container), "%s%s", PROBE, rows[i].container);
		put_pod("p", container, rows[i].pod);
		ck_assert(until("p", "/metadata/name", "p"));
		for (int k = 0; k < unit_looks(800) && strcmp(at("p", "/status/phase"), "Succeeded") != 0 && strcmp(at("p", "/status/phase"), "Failed") != 0; k++) {
			(void)reconcile("p");
			(void)usleep(5000);
		}
		const char *log = log_of("p", "c");
		ck_assert_msg((strstr(log, "Seccomp:\t2\n") != NULL) == rows[i].filtered, "%zu: %s", i, log);
		ck_assert_msg((strstr(log, "unshare failed: Operation not permitted") != NULL) == rows[i].filtered, "%zu: %s", i, log);
		ck_assert_msg(!rows[i].filtered || strstr(log, "F no ring\n") != NULL, "%zu: %s", i, log);
		end();
	}
}
END_TEST

#define WAITING "/status/containerStatuses/0/state/waiting"
#define FILE_PROFILE(path) ",\"securityContext\":{\"seccompProfile\":{\"type\":\"Localhost\",\"localhostProfile\":\"" path "\"}}"
#define RULE(names, more) "{\"names\":[" names "],\"action\":\"SCMP_ACT_ERRNO\"" more "}"
#define ALLOW(rules) "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[" rules "]}"
#define MKDIR "\"mkdir\",\"mkdirat\""

/* A node whose profiles lie in a directory below its own. */
static void
begin_with_profiles(void)
{
	static char path[128], more[192];

	begin("");
	snprintf(path, sizeof(path), "%s/profiles/team", state_dir);
	ck_assert_int_eq(make_dirs(path), 0);
	*strrchr(path, '/') = '\0';
	fake_host_destroy(fake);
	snprintf(more, sizeof(more), ",\"seccompProfiles\":\"%s\"}", path);
	snprintf(conf + strlen(conf) - 1, sizeof(conf) - strlen(conf), "%s", more);
	host_up();
}

static void
put_profile(const char *name, const char *text)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/profiles/%s", state_dir, name);
	ck_assert_int_eq(file_write(path, text, strlen(text), 0600), 0);
}

/* What a pod with that profile says, the exit code first. */
static const char *
under(const char *profile, const char *script)
{
	static char text[8192];
	char container[2048];

	put_profile("x.json", profile);
	snprintf(container, sizeof(container), "\"command\":[\"sh\",\"-c\",\"%s\"]" FILE_PROFILE("x.json"), script);
	put_pod("x", container, "");
	for (int k = 0; k < unit_looks(800) && at("x", "/status/containerStatuses/0/state/terminated/exitCode")[0] == '\0' &&
	     strcmp(at("x", WAITING "/reason"), "CreateContainerError") != 0; k++) {
		(void)reconcile("x");
		(void)usleep(5000);
	}
	snprintf(text, sizeof(text), "%s %s%s", at("x", "/status/containerStatuses/0/state/terminated/exitCode"), log_of("x", "c"),
		 at("x", WAITING "/message"));
	fake_host_remove(fake, POD, "n", "x");
	(void)reconcile("x");
	return text;
}

/* 6.2 seccompProfile Localhost: each word of a profile does what runtimes make of it. */
START_TEST(seccomp_profiles_of_files)
{
	static const struct { const char *profile, *script, *wants; } rows[] = {
		{ ALLOW(RULE(MKDIR, "")), "mkdir /tmp/a", "Operation not permitted" },
		{ ALLOW(RULE(MKDIR, ",\"errnoRet\":28")), "mkdir /tmp/a", "No space left" },
		{ ALLOW(RULE(MKDIR ",\"no_such_call\"", "")), "mkdir /tmp/a; echo over", "F over\n" },
		/* The mode of the third argument of mkdirat, and of the second of mkdir. */
		{ ALLOW(RULE("\"mkdir\"", ",\"args\":[{\"index\":1,\"value\":448,\"op\":\"SCMP_CMP_EQ\"}]")),
		  "mkdir -m 755 /tmp/a && mkdir -m 700 /tmp/b; ls /tmp", "F a\n" },
		{ ALLOW(RULE("\"mkdir\"", ",\"args\":[{\"index\":1,\"value\":64,\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}]")),
		  "mkdir -m 755 /tmp/a; mkdir -m 600 /tmp/b; ls /tmp", "F a\n" },
		/* Two conditions on one argument are alternatives. */
		{ ALLOW(RULE("\"mkdir\"", ",\"args\":[{\"index\":1,\"value\":448,\"op\":\"SCMP_CMP_EQ\"},"
			     "{\"index\":1,\"value\":511,\"op\":\"SCMP_CMP_EQ\"}]")),
		  "mkdir -m 700 /tmp/b; umask 0; mkdir /tmp/c; mkdir -m 750 /tmp/a; ls /tmp", "F a\n" },
		{ ALLOW("{\"name\":\"mkdir\",\"action\":\"SCMP_ACT_KILL_PROCESS\"}"), "exec mkdir /tmp/a", "159 " },
		{ ALLOW("{\"names\":[" MKDIR "],\"action\":\"SCMP_ACT_KILL\"}"), "exec mkdir /tmp/a", "159 " },
		/* docker's conditions: of capabilities, of which there are none; of other machines; of kernels. */
		{ ALLOW(RULE(MKDIR, ",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}")), "mkdir /tmp/a && ls /tmp", "F a\n" },
		{ ALLOW(RULE(MKDIR, ",\"includes\":{\"arches\":[\"pdp11\"]}")), "mkdir /tmp/a && ls /tmp", "F a\n" },
		{ ALLOW(RULE(MKDIR, ",\"includes\":{\"minKernel\":\"99.1\"}")), "mkdir /tmp/a && ls /tmp", "F a\n" },
		{ ALLOW(RULE(MKDIR, ",\"includes\":{\"minKernel\":\"3.8\"},\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}")),
		  "mkdir /tmp/a", "Operation not permitted" },
		/* A rule that says what holds anyway, and architectures. */
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_NATIVE\"],\"archMap\":[{\"architecture\":"
		  "\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\"]}],\"syscalls\":[{\"names\":[\"read\"],"
		  "\"action\":\"SCMP_ACT_ALLOW\"}]}", "grep Seccomp: /proc/self/status", "F Seccomp:\t2" },
		/* What is not understood is said. */
		{ "{", "true", "cannot load seccomp profile \"x.json\": it is no JSON: " },
		{ "[]", "true", ": it is no JSON object" },
		{ "{}", "true", ": unknown action \"\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "true", ": SCMP_ACT_NOTIFY needs a program" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096}", "true", ": defaultErrnoRet is no number from 0 to 4095" },
		{ ALLOW("{\"names\":[\"read\"],\"action\":\"DENY\"}"), "true", ": unknown action \"DENY\"" },
		{ ALLOW("{\"action\":\"SCMP_ACT_ERRNO\"}"), "true", ": it has an entry without names" },
		{ ALLOW(RULE("\"read\"", ",\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]")), "true", ": an argument has an index" },
		{ ALLOW(RULE("\"read\"", ",\"args\":[{\"index\":0,\"value\":1,\"op\":\"EQ\"}]")), "true", ": unknown operator \"EQ\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_PDP11\"]}", "true",
		  ": unknown architecture \"SCMP_ARCH_PDP11\"" },
	};

	if (no_filters())
		return;
	begin_with_profiles();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *said = under(rows[i].profile, rows[i].script);

		ck_assert_msg(strstr(said, rows[i].wants) != NULL, "%zu: %s", i, said);
		ck_assert_msg(strstr(said, "F b\n") == NULL && strstr(said, "F c\n") == NULL, "%zu: %s", i, said);
	}
	end();
}
END_TEST

/* A container under etc/examples/seccomp.json makes no connections; others do not notice. */
START_TEST(seccomp_profile_of_the_examples)
{
	static const char script[] = "perl -MSocket -e 'for (AF_UNIX, AF_INET, AF_INET6) "
				     "{ print socket(S, $_, SOCK_STREAM, 0) ? q(yes) : $!{EACCES} ? q(no) : $!, qq( ) }'; true";
	const char *top = getenv("top_srcdir");
	struct text profile = { 0 };
	char path[PATH_MAX];

	if (no_filters())
		return;
	snprintf(path, sizeof(path), "%s/etc/examples/seccomp.json", top != NULL ? top : ".");
	ck_assert_int_eq(file_read(path, PROFILE_MAX, &profile), 0);
	begin_with_profiles();
	ck_assert_msg(strstr(under(text_str(&profile), script), "F yes no no ") != NULL, "%s", under(text_str(&profile), script));
	text_fini(&profile);
	end();
}
END_TEST

/* Where a profile may lie, and that the container's stands before the pod's. */
START_TEST(seccomp_profiles_and_their_files)
{
	static const struct { const char *path, *reason, *says; } rows[] = {
		{ "gone.json", "CreateContainerError", "cannot load seccomp profile \"gone.json\": No such file or directory" },
		{ "team", "CreateContainerError", "it is no file" },
		{ "team/out.json", "CreateContainerError", "it leads out of the directory of profiles" },
		{ "../seccomp.bpf", "CreateContainerError", "it leads out of the directory of profiles" },
		{ "/etc/passwd", "CreateContainerError", "it leads out of the directory of profiles" },
		{ "", "CreateContainerConfigError", "localhostProfile must be set if seccompProfile type is Localhost." },
		{ "large.json", "CreateContainerError", "it is larger than 256 KiB" },
	};
	char text[1024], *large = calloc(1, PROFILE_MAX + 2);

	if (no_filters())
		return;
	begin_with_profiles();
	memset(large, ' ', PROFILE_MAX + 1);
	put_profile("large.json", large);
	free(large);
	snprintf(text, sizeof(text), "%s/profiles/team/out.json", state_dir);
	ck_assert_int_eq(symlink("/etc/passwd", text), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), RUN("true") ",\"securityContext\":{\"seccompProfile\":{\"type\":\"Localhost\",\"localhostProfile\":"
			 "\"%s\"}}", rows[i].path);
		put_pod("p", text, "");
		(void)reconcile("p");
		ck_assert_str_eq(at("p", WAITING "/reason"), rows[i].reason);
		ck_assert_msg(strstr(at("p", WAITING "/message"), rows[i].says) != NULL, "%zu: %s", i, at("p", WAITING "/message"));
		fake_host_remove(fake, POD, "n", "p");
		(void)reconcile("p");
	}
	/* It appears, and is looked for again. */
	put_pod("late", RUN("mkdir /tmp/a") , FILE_PROFILE("team/late.json"));
	ck_assert_int_gt(reconcile("late").requeue_after, 0);
	put_profile("team/late.json", ALLOW(RULE(MKDIR, ",\"errnoRet\":28")));
	ck_assert(until("late", "/status/phase", "Failed"));
	ck_assert_ptr_nonnull(strstr(log_of("late", "c"), "No space left"));
	/* The container's own. */
	put_profile("team/own.json", ALLOW(RULE(MKDIR, "")));
	put_pod("own", RUN("mkdir /tmp/a") FILE_PROFILE("team/own.json"), FILE_PROFILE("team/late.json"));
	ck_assert(until("own", "/status/phase", "Failed"));
	ck_assert_ptr_nonnull(strstr(log_of("own", "c"), "Operation not permitted"));
	end();
	/* Nobody said where they are. */
	begin("");
	put_pod("p", RUN("true") FILE_PROFILE("x.json"), "");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", WAITING "/reason"), "CreateContainerConfigError");
	ck_assert_ptr_nonnull(strstr(at("p", WAITING "/message"), "set seccompProfiles in the configuration of plugin \"node\""));
	end();
	begin(",\"sandbox\":\"none\"");
	put_pod("p", RUN("true") FILE_PROFILE("x.json"), "");
	(void)reconcile("p");
	ck_assert_str_eq(at("p", WAITING "/reason"), "CreateContainerConfigError");
	ck_assert_ptr_nonnull(strstr(at("p", WAITING "/message"), "it needs a sandbox"));
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, dns_policy_none_and_names);
	tcase_add_test(tc, dns_config_is_joined_with_the_machines);
	tcase_add_test(tc, tokens_are_renewed_by_their_own_life);
	tcase_add_test(tc, tokens_are_renewed_when_they_are_too_old);
	tcase_add_test(tc, objects_that_change_reach_a_running_pod);
	tcase_add_test(tc, a_claims_life);
	tcase_add_test(tc, parts_of_volumes);
	tcase_add_test(tc, resource_fields);
	tcase_add_test(tc, seccomp_profiles);
	tcase_add_test(tc, seccomp_profiles_of_files);
	tcase_add_test(tc, seccomp_profile_of_the_examples);
	tcase_add_test(tc, seccomp_profiles_and_their_files);
}

UNIT_MAIN("node_files", cases)
