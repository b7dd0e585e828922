/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of builtin kinds, and how their cells are made: names, types, priorities and contents as kubectl's users
 * know them of a cluster; tests/api/rows_tables.py holds them to it.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/table_priv.h"

/* ---- general cells */

static void
cell_text(const struct table_input *in, struct am_buf *out)
{
	char *s = am_json_dup(in->object, in->path);

	am_json_add_str(out, s != NULL ? s : "");
	free(s);
}

/* The members of all objects at these paths, separated by commas. */
static void
cell_counts(const struct table_input *in, struct am_buf *out)
{
	char *paths = am_xstrdup(in->path), *save = NULL;
	struct am_slice v;
	size_t n = 0;

	for (char *p = strtok_r(paths, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save))
		n += am_json_find(in->object, p, &v) ? am_json_count(v) : 0;
	am_buf_addf(out, "%zu", n);
	free(paths);
}

bool
table_age_at(const struct table_input *in, const char *path, char buf[16])
{
	char *s = am_json_dup(in->object, path);
	int64_t at;
	bool ok = s != NULL && am_time_parse(s, &at) == 0;

	free(s);
	if (ok) {
		int64_t age = am_clock_wall(in->clock) - at;

		am_duration_format(buf, age > 0 ? age : 0);
	}
	return ok;
}

static void
cell_age(const struct table_input *in, struct am_buf *out)
{
	char buf[16];

	am_json_add_str(out, table_age_at(in, in->path, buf) ? buf : "<unknown>");
}

/* As cell_age, for dates that may be missing. */
static void
cell_age_or_none(const struct table_input *in, struct am_buf *out)
{
	char buf[16];

	am_json_add_str(out, table_age_at(in, in->path, buf) ? buf : "<none>");
}

static void
cell_bool(const struct table_input *in, struct am_buf *out)
{
	am_json_add_str(out, am_json_bool(in->object, in->path, 0) ? "True" : "False");
}

/* ---- cells of kinds */

/* Of every element of an array, one string member, joined. */
static void
join_members(struct am_slice object, const char *array_path, const char *member, struct am_buf *out)
{
	struct am_slice array, v;

	if (!am_json_find(object, array_path, &array))
		return;
	for (size_t it = 0; am_json_element(array, &it, &v);) {
		char *s = am_json_dup(v, member);

		if (s != NULL)
			am_buf_addf(out, "%s%s", out->len > 0 ? "," : "", s);
		free(s);
	}
}

static void
cell_containers(const struct table_input *in, struct am_buf *out)
{
	struct am_buf text = { 0 };

	join_members(in->object, "/spec/template/spec/containers", in->path, &text);
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
}

static void
cell_text_or_none(const struct table_input *in, struct am_buf *out)
{
	char *s = am_json_dup(in->object, in->path);

	am_json_add_str(out, am_empty(s) ? "<none>" : s);
	free(s);
}

/* Is the condition of that type "True"? */
bool
table_condition(struct am_slice object, const char *type)
{
	struct am_slice array, v, t, s;

	if (!am_json_find(object, "/status/conditions", &array))
		return false;
	for (size_t it = 0; am_json_element(array, &it, &v);)
		if (am_json_find(v, "/type", &t) && am_json_str_eq(t, type))
			return am_json_find(v, "/status", &s) && am_json_str_eq(s, "True");
	return false;
}

static void
cell_job_status(const struct table_input *in, struct am_buf *out)
{
	static const struct {
		const char *condition, *text;
	} states[] = {
		{ "Complete", "Complete" },           { "Failed", "Failed" },     { "Suspended", "Suspended" },
		{ "SuccessCriteriaMet", "SuccessCriteriaMet" }, { "FailureTarget", "FailureTarget" },
	};
	struct am_slice deleted;
	const char *text = "Running";

	for (size_t i = AM_COUNTOF(states); i-- > 0;)
		if (table_condition(in->object, states[i].condition))
			text = states[i].text;
	if (am_json_find(in->object, "/metadata/deletionTimestamp", &deleted))
		text = "Terminating";
	am_json_add_str(out, text);
}

static void
cell_job_duration(const struct table_input *in, struct am_buf *out)
{
	char *from = am_json_dup(in->object, "/status/startTime");
	char *to = am_json_dup(in->object, "/status/completionTime");
	int64_t start, end = am_clock_wall(in->clock);
	char buf[16] = "";

	if (from != NULL && am_time_parse(from, &start) == 0) {
		if (to != NULL)
			(void)am_time_parse(to, &end);
		am_duration_format(buf, end > start ? end - start : 0);
	}
	am_json_add_str(out, buf);
	free(from);
	free(to);
}

static void
cell_role_ref(const struct table_input *in, struct am_buf *out)
{
	char *kind = am_json_dup(in->object, "/roleRef/kind"), *name = am_json_dup(in->object, "/roleRef/name");
	struct am_buf text = { 0 };

	am_buf_addf(&text, "%s/%s", kind != NULL ? kind : "", name != NULL ? name : "");
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
	free(kind);
	free(name);
}

static void
cell_unknown(const struct table_input *in, struct am_buf *out)
{
	char *s = am_json_dup(in->object, in->path);

	am_json_add_str(out, am_empty(s) ? "<unknown>" : s);
	free(s);
}

static void
cell_unset(const struct table_input *in, struct am_buf *out)
{
	char *s = am_json_dup(in->object, in->path);

	am_json_add_str(out, am_empty(s) ? "<unset>" : s);
	free(s);
}

/* Ends a cell: the text, or <none>; frees it. */
static void
add_or_none(struct am_buf *out, struct am_buf *text)
{
	am_json_add_str(out, text->len > 0 ? am_buf_str(text) : "<none>");
	am_buf_fini(text);
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Texts in order, joined; frees them. */
static void
join_sorted(char **texts, size_t n, const char *between, struct am_buf *out)
{
	if (n > 0)
		qsort(texts, n, sizeof(*texts), compare_texts);
	for (size_t i = 0; i < n; i++) {
		am_buf_addf(out, "%s%s", out->len > 0 ? between : "", texts[i]);
		free(texts[i]);
	}
	free(texts);
}

static char *
unquoted(struct am_slice key)
{
	struct am_buf quoted = { 0 }, plain = { 0 };

	am_buf_addf(&quoted, "\"%.*s\"", (int)key.n, key.p);
	(void)am_json_unescape(am_slice(quoted.data, quoted.len), &plain);
	char *ret = am_xstrdup(am_buf_str(&plain));

	am_buf_fini(&quoted);
	am_buf_fini(&plain);
	return ret;
}

/* "a=1,b=2" of the labels in a map. */
static void
add_labels(struct am_slice map, struct am_buf *out)
{
	char **texts = am_xcalloc(am_json_count(map) + 1, sizeof(char *));
	struct am_slice key, value;
	size_t n = 0;

	for (size_t it = 0; am_json_member(map, &it, &key, &value); n++) {
		char *name = unquoted(key), *text = am_json_dup(value, "");

		texts[n] = am_xasprintf("%s=%s", name, text != NULL ? text : "");
		free(name);
		free(text);
	}
	join_sorted(texts, n, ",", out);
}

static void
cell_labels(const struct table_input *in, struct am_buf *out)
{
	struct am_buf text = { 0 };
	struct am_slice map;

	if (am_json_find(in->object, in->path, &map) && am_json_type(map) == AMBIENT_T_OBJECT)
		add_labels(map, &text);
	add_or_none(out, &text);
}

/* The strings of an array in order, joined by commas. */
static void
add_sorted(struct am_slice object, const char *path, struct am_buf *out)
{
	struct am_slice array, v;
	size_t n = 0;

	if (!am_json_find(object, path, &array))
		return;
	char **texts = am_xcalloc(am_json_count(array) + 1, sizeof(char *));

	for (size_t it = 0; am_json_element(array, &it, &v);)
		if ((texts[n] = am_json_dup(v, "")) != NULL)
			n++;
	join_sorted(texts, n, ",", out);
}

/* One of a selector's expressions, as it is written: "b in (x,y)", "!c". */
static void
add_expression(struct am_slice e, struct am_buf *out)
{
	char *key = am_json_dup(e, "/key"), *operator = am_json_dup(e, "/operator");
	struct am_buf values = { 0 };

	add_sorted(e, "/values", &values);
	am_buf_adds(out, out->len > 0 ? "," : "");
	if (am_streq(operator, "Exists") || am_streq(operator, "DoesNotExist"))
		am_buf_addf(out, "%s%s", operator[0] == 'D' ? "!" : "", key != NULL ? key : "");
	else
		am_buf_addf(out, "%s %s (%s)", key != NULL ? key : "", am_streq(operator, "NotIn") ? "notin" : "in",
			    am_buf_str(&values));
	am_buf_fini(&values);
	free(key);
	free(operator);
}

static void
cell_selector(const struct table_input *in, struct am_buf *out)
{
	struct am_slice selector, map, array, e;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, in->path, &selector)) {
		if (am_json_find(selector, "/matchLabels", &map) && am_json_type(map) == AMBIENT_T_OBJECT)
			add_labels(map, &text);
		if (am_json_find(selector, "/matchExpressions", &array))
			for (size_t it = 0; am_json_element(array, &it, &e);)
				add_expression(e, &text);
	}
	add_or_none(out, &text);
}

static void
cell_completions(const struct table_input *in, struct am_buf *out)
{
	int64_t done = am_json_int(in->object, "/status/succeeded", 0), parallelism = am_json_int(in->object, "/spec/parallelism", 0);
	int64_t wanted = am_json_int(in->object, "/spec/completions", -1);

	am_buf_addf(out, "\"%lld/%lld", (long long)done, (long long)(wanted >= 0 ? wanted : 1));
	if (wanted < 0 && parallelism > 1)
		am_buf_addf(out, " of %lld", (long long)parallelism);
	am_buf_addc(out, '"');
}

static void
cell_cron_containers(const struct table_input *in, struct am_buf *out)
{
	struct am_buf text = { 0 };

	join_members(in->object, "/spec/jobTemplate/spec/template/spec/containers", in->path, &text);
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
}

/* ---- nodes */

static void
cell_node_status(const struct table_input *in, struct am_buf *out)
{
	struct am_slice array, v, t;
	const char *text = "Unknown";

	if (am_json_find(in->object, "/status/conditions", &array))
		for (size_t it = 0; am_json_element(array, &it, &v);)
			if (am_json_find(v, "/type", &t) && am_json_str_eq(t, "Ready"))
				text = table_condition(in->object, "Ready") ? "Ready" : "NotReady";
	am_buf_addf(out, "\"%s%s\"", text, am_json_bool(in->object, "/spec/unschedulable", 0) > 0 ? ",SchedulingDisabled" : "");
}

static void
cell_node_roles(const struct table_input *in, struct am_buf *out)
{
	static const char prefix[] = "node-role.kubernetes.io/";
	struct am_slice map, key, value;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, "/metadata/labels", &map)) {
		char **roles = am_xcalloc(am_json_count(map) + 1, sizeof(char *));
		size_t n = 0;

		for (size_t it = 0; am_json_member(map, &it, &key, &value);) {
			char *name = unquoted(key);

			if (am_starts(name, prefix) && name[sizeof(prefix) - 1] != '\0')
				roles[n++] = am_xstrdup(name + sizeof(prefix) - 1);
			else if (strcmp(name, "kubernetes.io/role") == 0 && (roles[n] = am_json_dup(value, "")) != NULL)
				n++;
			free(name);
		}
		join_sorted(roles, n, ",", &text);
	}
	add_or_none(out, &text);
}

/* path: the type of the address. */
static void
cell_node_address(const struct table_input *in, struct am_buf *out)
{
	struct am_slice array, v, type;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, "/status/addresses", &array))
		for (size_t it = 0; am_json_element(array, &it, &v);)
			if (text.len == 0 && am_json_find(v, "/type", &type) && am_json_str_eq(type, in->path)) {
				char *address = am_json_dup(v, "/address");

				am_buf_adds(&text, address != NULL ? address : "");
				free(address);
			}
	add_or_none(out, &text);
}

/* ---- claims, services, quotas, bindings */

static void
cell_claim_status(const struct table_input *in, struct am_buf *out)
{
	struct am_slice deleted;
	char *phase = am_json_dup(in->object, "/status/phase");

	am_json_add_str(out, am_json_find(in->object, "/metadata/deletionTimestamp", &deleted) ? "Terminating"
			     : phase != NULL ? phase : "");
	free(phase);
}

/* What a claim got: nothing before it is bound. */
static void
cell_claim_capacity(const struct table_input *in, struct am_buf *out)
{
	char *volume = am_json_dup(in->object, "/spec/volumeName"), *size = am_json_dup(in->object, "/status/capacity/storage");

	am_json_add_str(out, am_empty(volume) ? "" : size != NULL ? size : "0");
	free(volume);
	free(size);
}

static void
cell_claim_modes(const struct table_input *in, struct am_buf *out)
{
	static const char *const modes[][2] = {
		{ "ReadWriteOnce", "RWO" }, { "ReadOnlyMany", "ROX" }, { "ReadWriteMany", "RWX" }, { "ReadWriteOncePod", "RWOP" },
	};
	char *volume = am_json_dup(in->object, "/spec/volumeName");
	struct am_buf text = { 0 };
	struct am_slice array, v;

	for (size_t i = 0; !am_empty(volume) && i < AM_COUNTOF(modes); i++) {
		bool found = false;

		if (am_json_find(in->object, "/status/accessModes", &array))
			for (size_t it = 0; am_json_element(array, &it, &v);)
				found = found || am_json_str_eq(v, modes[i][0]);
		if (found)
			am_buf_addf(&text, "%s%s", text.len > 0 ? "," : "", modes[i][1]);
	}
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
	free(volume);
}

static void
cell_service_outside(const struct table_input *in, struct am_buf *out)
{
	char *type = am_json_dup(in->object, "/spec/type");
	struct am_buf text = { 0 };

	if (am_streq(type, "ExternalName")) {
		char *name = am_json_dup(in->object, "/spec/externalName");

		am_buf_adds(&text, name != NULL ? name : "");
		free(name);
	} else if (am_streq(type, "LoadBalancer")) {
		join_members(in->object, "/status/loadBalancer/ingress", "/ip", &text);
		join_members(in->object, "/status/loadBalancer/ingress", "/hostname", &text);
	}
	join_members(in->object, "/spec/externalIPs", "", &text);
	if (text.len == 0 && am_streq(type, "LoadBalancer"))
		am_buf_adds(&text, "<pending>");
	add_or_none(out, &text);
	free(type);
}

static void
cell_service_ports(const struct table_input *in, struct am_buf *out)
{
	struct am_slice array, v;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, "/spec/ports", &array))
		for (size_t it = 0; am_json_element(array, &it, &v);) {
			char *protocol = am_json_dup(v, "/protocol");
			int64_t node = am_json_int(v, "/nodePort", 0);

			am_buf_addf(&text, "%s%lld", text.len > 0 ? "," : "", (long long)am_json_int(v, "/port", 0));
			if (node > 0)
				am_buf_addf(&text, ":%lld", (long long)node);
			am_buf_addf(&text, "/%s", protocol != NULL ? protocol : "TCP");
			free(protocol);
		}
	add_or_none(out, &text);
}

/* "pods: 1/5" of what is limited, or of the rest. */
static void
quota_cell(const struct table_input *in, bool limits, struct am_buf *out)
{
	struct am_slice hard, used, key, value, v;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, "/status/hard", &hard)) {
		char **texts = am_xcalloc(am_json_count(hard) + 1, sizeof(char *));
		bool known = am_json_find(in->object, "/status/used", &used);
		size_t n = 0;

		for (size_t it = 0; am_json_member(hard, &it, &key, &value);) {
			struct am_slice other_key;
			char *name = unquoted(key), *most = am_json_dup(value, ""), *now = NULL;

			for (size_t k = 0; known && now == NULL && am_json_member(used, &k, &other_key, &v);)
				if (other_key.n == key.n && memcmp(other_key.p, key.p, key.n) == 0)
					now = am_json_dup(v, "");
			if (am_starts(name, "limits.") == limits)
				texts[n++] = am_xasprintf("%s: %s/%s", name, now != NULL ? now : "0", most != NULL ? most : "0");
			free(name);
			free(most);
			free(now);
		}
		join_sorted(texts, n, ", ", &text);
	}
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
}

static void
cell_quota_requests(const struct table_input *in, struct am_buf *out)
{
	quota_cell(in, false, out);
}

static void
cell_quota_limits(const struct table_input *in, struct am_buf *out)
{
	quota_cell(in, true, out);
}

/* path: the kind of subject. */
static void
cell_subjects(const struct table_input *in, struct am_buf *out)
{
	struct am_slice array, v, kind;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, "/subjects", &array))
		for (size_t it = 0; am_json_element(array, &it, &v);) {
			char *ns = am_json_dup(v, "/namespace"), *name = am_json_dup(v, "/name");
			bool account = strcmp(in->path, "ServiceAccount") == 0;

			if (am_json_find(v, "/kind", &kind) && am_json_str_eq(kind, in->path))
				am_buf_addf(&text, "%s%s%s%s", text.len > 0 ? ", " : "", account && ns != NULL ? ns : "",
					    account ? "/" : "", name != NULL ? name : "");
			free(ns);
			free(name);
		}
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
}

/* ---- events: of both groups, whose members have other names */

/* The string at one of the paths, or "". */
static char *
either(struct am_slice object, const char *core, const char *other)
{
	char *ret = am_json_dup(object, core);

	if (ret == NULL)
		ret = am_json_dup(object, other);
	return ret != NULL ? ret : am_xstrdup("");
}

static bool
first_seen(const struct table_input *in, char buf[16])
{
	return table_age_at(in, "/firstTimestamp", buf) || table_age_at(in, "/deprecatedFirstTimestamp", buf) ||
	       table_age_at(in, "/eventTime", buf);
}

static void
cell_event_first(const struct table_input *in, struct am_buf *out)
{
	char buf[16];

	am_json_add_str(out, first_seen(in, buf) ? buf : "<unknown>");
}

static void
cell_event_last(const struct table_input *in, struct am_buf *out)
{
	char buf[16];

	am_json_add_str(out, table_age_at(in, "/series/lastObservedTime", buf) || table_age_at(in, "/lastTimestamp", buf) ||
				     table_age_at(in, "/deprecatedLastTimestamp", buf) || first_seen(in, buf)
			     ? buf : "<unknown>");
}

static void
cell_event_count(const struct table_input *in, struct am_buf *out)
{
	int64_t n = am_json_int(in->object, "/series/count", am_json_int(in->object, "/count", 0));

	if (n == 0)
		n = am_json_int(in->object, "/deprecatedCount", 0);
	am_buf_addf(out, "%lld", (long long)(n != 0 ? n : 1));
}

/* "pod/name" */
static void
cell_event_object(const struct table_input *in, struct am_buf *out)
{
	char *kind = either(in->object, "/involvedObject/kind", "/regarding/kind");
	char *name = either(in->object, "/involvedObject/name", "/regarding/name");
	struct am_buf text = { 0 };

	for (char *p = kind; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	am_buf_addf(&text, "%s%s%s", kind, *kind != '\0' ? "/" : "", name);
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
	free(kind);
	free(name);
}

static void
cell_event_part(const struct table_input *in, struct am_buf *out)
{
	char *path = either(in->object, "/involvedObject/fieldPath", "/regarding/fieldPath");

	am_json_add_str(out, path);
	free(path);
}

static void
cell_event_source(const struct table_input *in, struct am_buf *out)
{
	char *who = either(in->object, "/source/component", "/deprecatedSource/component");
	char *where = either(in->object, "/source/host", "/deprecatedSource/host");
	struct am_buf text = { 0 };

	if (*who == '\0') {
		free(who);
		free(where);
		who = either(in->object, "/reportingComponent", "/reportingController");
		where = am_json_dup(in->object, "/reportingInstance");
	}
	am_buf_addf(&text, "%s%s%s", who, am_empty(where) ? "" : ", ", where != NULL ? where : "");
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
	free(who);
	free(where);
}

/* Without the white space around it. */
static void
cell_event_message(const struct table_input *in, struct am_buf *out)
{
	char *text = either(in->object, "/message", "/note"), *from = text + strspn(text, " \t\r\n");
	size_t n = strlen(from);

	while (n > 0 && strchr(" \t\r\n", from[n - 1]) != NULL)
		n--;
	am_json_add_strn(out, from, n);
	free(text);
}

/* ---- the columns of builtin kinds */

#define NAME_COLUMN { "Name", "string", "name", "Name of the object", 0, cell_text, "/metadata/name" }
#define AGE_COLUMN  { "Age", "string", "", "Time since its creation", 0, cell_age, "/metadata/creationTimestamp" }
#define END_COLUMN  { NULL, NULL, NULL, NULL, 0, NULL, NULL }
#define S(name, description, cell, path)  { name, "string", "", description, 0, cell, path }
#define W(name, description, cell, path)  { name, "string", "", description, 1, cell, path }

static const struct table_column general[] = { NAME_COLUMN, AGE_COLUMN, END_COLUMN };

static const struct table_column pods[] = {
	NAME_COLUMN, S("Ready", "Containers that are ready, of all", table_pod_ready, NULL),
	S("Status", "Phase, or what keeps it", table_pod_status, NULL),
	S("Restarts", "Restarts of its containers", table_pod_restarts, NULL), AGE_COLUMN,
	W("IP", "Address of the pod", cell_text_or_none, "/status/podIPs/0/ip"),
	W("Node", "Where it runs", cell_text_or_none, "/spec/nodeName"),
	W("Nominated Node", "Where it may run", cell_text_or_none, "/status/nominatedNodeName"),
	W("Readiness Gates", "Further conditions of readiness", table_pod_gates, NULL), END_COLUMN,
};
static const struct table_column jobs[] = {
	NAME_COLUMN, S("Status", "Condition of the job", cell_job_status, NULL),
	S("Completions", "Pods that succeeded, of those wanted", cell_completions, NULL),
	S("Duration", "From its start to its completion", cell_job_duration, NULL), AGE_COLUMN,
	W("Containers", "Names of the containers", cell_containers, "/name"),
	W("Images", "Images of the containers", cell_containers, "/image"),
	W("Selector", "Which pods are its own", cell_selector, "/spec/selector"), END_COLUMN,
};
static const struct table_column cronjobs[] = {
	NAME_COLUMN, S("Schedule", "When it runs", cell_text, "/spec/schedule"),
	S("Timezone", "In which the schedule is read", cell_text_or_none, "/spec/timeZone"),
	{ "Suspend", "boolean", "", "Is it suspended", 0, cell_bool, "/spec/suspend" },
	{ "Active", "integer", "", "Jobs that run", 0, cell_counts, "/status/active" },
	S("Last Schedule", "When it last ran", cell_age_or_none, "/status/lastScheduleTime"), AGE_COLUMN,
	W("Containers", "Names of the containers", cell_cron_containers, "/name"),
	W("Images", "Images of the containers", cell_cron_containers, "/image"),
	W("Selector", "Which pods are its own", cell_selector, "/spec/jobTemplate/spec/selector"), END_COLUMN,
};
static const struct table_column namespaces[] = {
	NAME_COLUMN, S("Status", "Phase of the namespace", cell_text, "/status/phase"), AGE_COLUMN, END_COLUMN,
};
static const struct table_column nodes[] = {
	NAME_COLUMN, S("Status", "Is it ready", cell_node_status, NULL), S("Roles", "Its roles", cell_node_roles, NULL),
	AGE_COLUMN, S("Version", "Version of its agent", cell_text, "/status/nodeInfo/kubeletVersion"),
	W("Internal-IP", "Its address", cell_node_address, "InternalIP"),
	W("External-IP", "Its address outside", cell_node_address, "ExternalIP"),
	W("OS-Image", "Its operating system", cell_unknown, "/status/nodeInfo/osImage"),
	W("Kernel-Version", "Its kernel", cell_unknown, "/status/nodeInfo/kernelVersion"),
	W("Container-Runtime", "What runs its containers", cell_unknown, "/status/nodeInfo/containerRuntimeVersion"), END_COLUMN,
};
static const struct table_column configmaps[] = {
	NAME_COLUMN, S("Data", "Number of keys", cell_counts, "/data,/binaryData"), AGE_COLUMN, END_COLUMN,
};
static const struct table_column secrets[] = {
	NAME_COLUMN, S("Type", "Type of the secret", cell_text, "/type"),
	S("Data", "Number of keys", cell_counts, "/data"), AGE_COLUMN, END_COLUMN,
};
static const struct table_column serviceaccounts[] = {
	NAME_COLUMN, S("Secrets", "Number of its secrets", cell_counts, "/secrets"), AGE_COLUMN, END_COLUMN,
};
static const struct table_column persistentvolumeclaims[] = {
	NAME_COLUMN, S("Status", "Phase of the claim", cell_claim_status, NULL),
	S("Volume", "Bound volume", cell_text, "/spec/volumeName"), S("Capacity", "Its size", cell_claim_capacity, NULL),
	S("Access Modes", "How it may be mounted", cell_claim_modes, NULL),
	S("StorageClass", "Its class", cell_text, "/spec/storageClassName"),
	S("VolumeAttributesClass", "Its attributes", cell_unset, "/spec/volumeAttributesClassName"), AGE_COLUMN,
	W("VolumeMode", "File system or block", cell_unset, "/spec/volumeMode"), END_COLUMN,
};
static const struct table_column services[] = {
	NAME_COLUMN, S("Type", "Type of the service", cell_text, "/spec/type"),
	S("Cluster-IP", "Its address", cell_text_or_none, "/spec/clusterIP"),
	S("External-IP", "Its address outside", cell_service_outside, NULL),
	S("Port(s)", "Its ports", cell_service_ports, NULL), AGE_COLUMN,
	W("Selector", "Which pods it is for", cell_labels, "/spec/selector"), END_COLUMN,
};
static const struct table_column networkpolicies[] = {
	NAME_COLUMN, S("Pod-Selector", "Which pods it is for", cell_selector, "/spec/podSelector"), AGE_COLUMN, END_COLUMN,
};
static const struct table_column resourcequotas[] = {
	NAME_COLUMN, S("Request", "What is used, of what may be", cell_quota_requests, NULL),
	S("Limit", "The same of limits", cell_quota_limits, NULL), AGE_COLUMN, END_COLUMN,
};
static const struct table_column leases[] = {
	NAME_COLUMN, S("Holder", "Who holds it", cell_text, "/spec/holderIdentity"), AGE_COLUMN, END_COLUMN,
};
static const struct table_column events[] = {
	S("Last Seen", "When it happened last", cell_event_last, NULL), S("Type", "Normal or Warning", cell_text, "/type"),
	S("Reason", "Why", cell_text, "/reason"), S("Object", "About what", cell_event_object, NULL),
	W("Subobject", "About which part of it", cell_event_part, NULL), W("Source", "Who reports it", cell_event_source, NULL),
	S("Message", "What happened", cell_event_message, NULL),
	W("First Seen", "When it happened first", cell_event_first, NULL),
	W("Count", "How often", cell_event_count, NULL),
	{ "Name", "string", "name", "Name of the event", 1, cell_text, "/metadata/name" }, END_COLUMN,
};
static const struct table_column created[] = {
	NAME_COLUMN, { "Created At", "date", "", "When it was made", 0, cell_text, "/metadata/creationTimestamp" },
	END_COLUMN,
};
static const struct table_column bindings[] = {
	NAME_COLUMN, S("Role", "What it grants", cell_role_ref, NULL), AGE_COLUMN,
	W("Users", "The users among its subjects", cell_subjects, "User"),
	W("Groups", "The groups among its subjects", cell_subjects, "Group"),
	W("ServiceAccounts", "The accounts among its subjects", cell_subjects, "ServiceAccount"), END_COLUMN,
};

static const struct {
	const char *group, *plural;
	const struct table_column *columns;
} builtin[] = {
	{ "", "pods", pods },
	{ "", "namespaces", namespaces },
	{ "", "nodes", nodes },
	{ "", "configmaps", configmaps },
	{ "", "secrets", secrets },
	{ "", "serviceaccounts", serviceaccounts },
	{ "", "persistentvolumeclaims", persistentvolumeclaims },
	{ "", "services", services },
	{ "", "limitranges", created },
	{ "", "resourcequotas", resourcequotas },
	{ "networking.k8s.io", "networkpolicies", networkpolicies },
	{ "", "events", events },
	{ "events.k8s.io", "events", events },
	{ "batch", "jobs", jobs },
	{ "batch", "cronjobs", cronjobs },
	{ "coordination.k8s.io", "leases", leases },
	{ "apiextensions.k8s.io", "customresourcedefinitions", created },
	{ "rbac.authorization.k8s.io", "roles", created },
	{ "rbac.authorization.k8s.io", "clusterroles", created },
	{ "rbac.authorization.k8s.io", "rolebindings", bindings },
	{ "rbac.authorization.k8s.io", "clusterrolebindings", bindings },
};

const struct table_column *
table_columns_of(const struct am_resource *res)
{
	if ((res->flags & AM_RES_CUSTOM) == 0)
		for (size_t i = 0; i < AM_COUNTOF(builtin); i++)
			if (strcmp(builtin[i].group, res->group) == 0 && strcmp(builtin[i].plural, res->plural) == 0)
				return builtin[i].columns;
	return general;
}
