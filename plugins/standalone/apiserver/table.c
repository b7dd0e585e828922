/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: what kubectl get prints.  A kind has columns; a column is a name and a way to make a cell from the
 * object's text.  Custom resources bring their columns as JSON paths, builtin ones are listed here, anything
 * else has a name and an age.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/jsonpath.h"
#include "plugins/standalone/apiserver/rest.h"

struct cell_input {
	struct am_clock *clock;
	struct am_slice object;
	const char *path;
};

typedef void cell_f(const struct cell_input *in, struct am_buf *out);

struct column {
	const char *name, *type, *format, *description;
	int priority;
	cell_f *cell;
	const char *path; /* JSON pointer, for the general cells */
};

/* ---- general cells */

static void
cell_value(const struct cell_input *in, struct am_buf *out)
{
	struct am_slice v;

	if (am_json_find(in->object, in->path, &v))
		am_buf_add(out, v.p, v.n);
	else
		am_buf_adds(out, "null");
}

static void
cell_text(const struct cell_input *in, struct am_buf *out)
{
	char *s = am_json_dup(in->object, in->path);

	am_json_add_str(out, s != NULL ? s : "");
	free(s);
}

static void
cell_count(const struct cell_input *in, struct am_buf *out)
{
	struct am_slice v;

	am_buf_addf(out, "%zu", am_json_find(in->object, in->path, &v) ? am_json_count(v) : 0);
}

static bool
age_at(const struct cell_input *in, const char *path, char buf[16])
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
cell_age(const struct cell_input *in, struct am_buf *out)
{
	char buf[16];

	am_json_add_str(out, age_at(in, in->path, buf) ? buf : "<unknown>");
}

/* As cell_age, for dates that may be missing. */
static void
cell_age_or_none(const struct cell_input *in, struct am_buf *out)
{
	char buf[16];

	am_json_add_str(out, age_at(in, in->path, buf) ? buf : "<none>");
}

static void
cell_bool(const struct cell_input *in, struct am_buf *out)
{
	am_json_add_str(out, am_json_bool(in->object, in->path, 0) ? "True" : "False");
}

/* The strings of an array, joined by commas. */
static void
cell_joined(const struct cell_input *in, struct am_buf *out)
{
	struct am_slice array, v;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, in->path, &array))
		for (size_t it = 0; am_json_element(array, &it, &v);) {
			if (text.len > 0)
				am_buf_addc(&text, ',');
			am_json_unescape(v, &text);
		}
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
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
cell_containers(const struct cell_input *in, struct am_buf *out)
{
	struct am_buf text = { 0 };

	join_members(in->object, "/spec/template/spec/containers", in->path, &text);
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
}

static void
cell_pod_ready(const struct cell_input *in, struct am_buf *out)
{
	struct am_slice array, v;
	size_t total = 0, ready = 0;

	if (am_json_find(in->object, "/spec/containers", &array))
		total = am_json_count(array);
	if (am_json_find(in->object, "/status/containerStatuses", &array))
		for (size_t it = 0; am_json_element(array, &it, &v);)
			ready += am_json_bool(v, "/ready", 0) != 0;
	am_buf_addf(out, "\"%zu/%zu\"", ready, total);
}

/* The most telling reason among the containers of one list; false when there is none. */
static bool
container_reason(struct am_slice object, const char *list, const char *prefix, struct am_buf *text)
{
	struct am_slice array, v;
	bool found = false;

	if (!am_json_find(object, list, &array))
		return false;
	for (size_t it = 0; am_json_element(array, &it, &v);) {
		char *waiting = am_json_dup(v, "/state/waiting/reason");
		char *ended = am_json_dup(v, "/state/terminated/reason");
		int64_t code = am_json_int(v, "/state/terminated/exitCode", 0);
		bool init_done = *prefix != '\0' && code == 0 && ended != NULL;

		if (!am_empty(waiting) && !(*prefix != '\0' && strcmp(waiting, "PodInitializing") == 0)) {
			am_buf_reset(text);
			am_buf_addf(text, "%s%s", prefix, waiting);
			found = true;
		} else if (!am_empty(ended) && !init_done) {
			am_buf_reset(text);
			am_buf_addf(text, "%s%s", prefix, ended);
			found = true;
		}
		free(waiting);
		free(ended);
	}
	return found;
}

static void
cell_pod_status(const struct cell_input *in, struct am_buf *out)
{
	struct am_buf text = { 0 };
	struct am_slice deleted;
	char *phase = am_json_dup(in->object, "/status/phase");
	char *reason = am_json_dup(in->object, "/status/reason");

	am_buf_adds(&text, !am_empty(reason) ? reason : (phase != NULL ? phase : "Pending"));
	if (!container_reason(in->object, "/status/initContainerStatuses", "Init:", &text))
		(void)container_reason(in->object, "/status/containerStatuses", "", &text);
	if (!am_empty(reason)) {
		am_buf_reset(&text);
		am_buf_adds(&text, reason);
	}
	if (am_json_find(in->object, "/metadata/deletionTimestamp", &deleted)) {
		am_buf_reset(&text);
		am_buf_adds(&text, "Terminating");
	}
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
	free(phase);
	free(reason);
}

static void
cell_pod_restarts(const struct cell_input *in, struct am_buf *out)
{
	struct am_slice array, v;
	int64_t n = 0;

	if (am_json_find(in->object, "/status/containerStatuses", &array))
		for (size_t it = 0; am_json_element(array, &it, &v);)
			n += am_json_int(v, "/restartCount", 0);
	am_buf_addf(out, "\"%lld\"", (long long)n);
}

static void
cell_text_or_none(const struct cell_input *in, struct am_buf *out)
{
	char *s = am_json_dup(in->object, in->path);

	am_json_add_str(out, am_empty(s) ? "<none>" : s);
	free(s);
}

/* Is the condition of that type "True"? */
static bool
condition_true(struct am_slice object, const char *type)
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
cell_job_status(const struct cell_input *in, struct am_buf *out)
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
		if (condition_true(in->object, states[i].condition))
			text = states[i].text;
	if (am_json_find(in->object, "/metadata/deletionTimestamp", &deleted))
		text = "Terminating";
	am_json_add_str(out, text);
}

static void
cell_job_completions(const struct cell_input *in, struct am_buf *out)
{
	am_buf_addf(out, "\"%lld/%lld\"", (long long)am_json_int(in->object, "/status/succeeded", 0),
		    (long long)am_json_int(in->object, "/spec/completions", 1));
}

static void
cell_job_duration(const struct cell_input *in, struct am_buf *out)
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
cell_node_status(const struct cell_input *in, struct am_buf *out)
{
	am_json_add_str(out, condition_true(in->object, "Ready") ? "Ready" : "NotReady");
}

static void
cell_none(const struct cell_input *in, struct am_buf *out)
{
	(void)in;
	am_buf_adds(out, "\"<none>\"");
}

static void
cell_service_ports(const struct cell_input *in, struct am_buf *out)
{
	struct am_slice array, v;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, "/spec/ports", &array))
		for (size_t it = 0; am_json_element(array, &it, &v);) {
			char *protocol = am_json_dup(v, "/protocol");

			am_buf_addf(&text, "%s%lld/%s", text.len > 0 ? "," : "",
				    (long long)am_json_int(v, "/port", 0), protocol != NULL ? protocol : "TCP");
			free(protocol);
		}
	am_json_add_str(out, text.len > 0 ? am_buf_str(&text) : "<none>");
	am_buf_fini(&text);
}

static void
cell_event_seen(const struct cell_input *in, struct am_buf *out)
{
	char buf[16];

	am_json_add_str(out, age_at(in, "/lastTimestamp", buf) || age_at(in, "/eventTime", buf) ||
				     age_at(in, "/deprecatedLastTimestamp", buf)
			     ? buf : "<unknown>");
}

/* "pod/name"; path is the member that refers to the object. */
static void
cell_event_object(const struct cell_input *in, struct am_buf *out)
{
	struct am_slice ref;
	char *kind = NULL, *name = NULL;
	struct am_buf text = { 0 };

	if (am_json_find(in->object, in->path, &ref)) {
		kind = am_json_dup(ref, "/kind");
		name = am_json_dup(ref, "/name");
	}
	for (char *p = kind; p != NULL && *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	am_buf_addf(&text, "%s/%s", kind != NULL ? kind : "", name != NULL ? name : "");
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
	free(kind);
	free(name);
}

static void
cell_role_ref(const struct cell_input *in, struct am_buf *out)
{
	char *kind = am_json_dup(in->object, "/roleRef/kind"), *name = am_json_dup(in->object, "/roleRef/name");
	struct am_buf text = { 0 };

	am_buf_addf(&text, "%s/%s", kind != NULL ? kind : "", name != NULL ? name : "");
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
	free(kind);
	free(name);
}

/* ---- the columns of builtin kinds */

#define NAME_COLUMN { "Name", "string", "name", "Name of the object", 0, cell_text, "/metadata/name" }
#define AGE_COLUMN  { "Age", "string", "", "Time since its creation", 0, cell_age, "/metadata/creationTimestamp" }
#define END_COLUMN  { NULL, NULL, NULL, NULL, 0, NULL, NULL }
#define S(name, description, cell, path)  { name, "string", "", description, 0, cell, path }
#define W(name, description, cell, path)  { name, "string", "", description, 1, cell, path }

static const struct column general[] = { NAME_COLUMN, AGE_COLUMN, END_COLUMN };

static const struct column pods[] = {
	NAME_COLUMN, S("Ready", "Containers that are ready, of all", cell_pod_ready, NULL),
	S("Status", "Phase, or what keeps it", cell_pod_status, NULL),
	S("Restarts", "Restarts of its containers", cell_pod_restarts, NULL), AGE_COLUMN,
	W("IP", "Address of the pod", cell_text_or_none, "/status/podIP"),
	W("Node", "Where it runs", cell_text_or_none, "/spec/nodeName"),
	W("Nominated Node", "Where it may run", cell_none, NULL),
	W("Readiness Gates", "Further conditions of readiness", cell_none, NULL), END_COLUMN,
};
static const struct column jobs[] = {
	NAME_COLUMN, S("Status", "Condition of the job", cell_job_status, NULL),
	S("Completions", "Pods that succeeded, of those wanted", cell_job_completions, NULL),
	S("Duration", "From its start to its completion", cell_job_duration, NULL), AGE_COLUMN,
	W("Containers", "Names of the containers", cell_containers, "/name"),
	W("Images", "Images of the containers", cell_containers, "/image"), END_COLUMN,
};
static const struct column cronjobs[] = {
	NAME_COLUMN, S("Schedule", "When it runs", cell_text, "/spec/schedule"),
	S("Timezone", "In which the schedule is read", cell_text_or_none, "/spec/timeZone"),
	S("Suspend", "Is it suspended", cell_bool, "/spec/suspend"),
	{ "Active", "integer", "", "Jobs that run", 0, cell_count, "/status/active" },
	S("Last Schedule", "When it last ran", cell_age_or_none, "/status/lastScheduleTime"), AGE_COLUMN, END_COLUMN,
};
static const struct column namespaces[] = {
	NAME_COLUMN, S("Status", "Phase of the namespace", cell_text, "/status/phase"), AGE_COLUMN, END_COLUMN,
};
static const struct column nodes[] = {
	NAME_COLUMN, S("Status", "Is it ready", cell_node_status, NULL), S("Roles", "Its roles", cell_none, NULL),
	AGE_COLUMN, S("Version", "Version of its agent", cell_text, "/status/nodeInfo/kubeletVersion"), END_COLUMN,
};
static const struct column configmaps[] = {
	NAME_COLUMN, { "Data", "integer", "", "Number of keys", 0, cell_count, "/data" }, AGE_COLUMN, END_COLUMN,
};
static const struct column secrets[] = {
	NAME_COLUMN, S("Type", "Type of the secret", cell_text, "/type"),
	{ "Data", "integer", "", "Number of keys", 0, cell_count, "/data" }, AGE_COLUMN, END_COLUMN,
};
static const struct column serviceaccounts[] = {
	NAME_COLUMN, { "Secrets", "integer", "", "Number of its secrets", 0, cell_count, "/secrets" }, AGE_COLUMN,
	END_COLUMN,
};
static const struct column persistentvolumeclaims[] = {
	NAME_COLUMN, S("Status", "Phase of the claim", cell_text, "/status/phase"),
	S("Volume", "Bound volume", cell_text, "/spec/volumeName"),
	S("Capacity", "Its size", cell_text, "/status/capacity/storage"),
	S("Access Modes", "How it may be mounted", cell_joined, "/spec/accessModes"),
	S("StorageClass", "Its class", cell_text, "/spec/storageClassName"), AGE_COLUMN,
	W("VolumeMode", "File system or block", cell_text, "/spec/volumeMode"), END_COLUMN,
};
static const struct column services[] = {
	NAME_COLUMN, S("Type", "Type of the service", cell_text, "/spec/type"),
	S("Cluster-IP", "Its address", cell_text_or_none, "/spec/clusterIP"),
	S("External-IP", "Its address outside", cell_none, NULL),
	S("Port(s)", "Its ports", cell_service_ports, NULL), AGE_COLUMN, END_COLUMN,
};
static const struct column leases[] = {
	NAME_COLUMN, S("Holder", "Who holds it", cell_text, "/spec/holderIdentity"), AGE_COLUMN, END_COLUMN,
};
static const struct column core_events[] = {
	S("Last Seen", "When it happened last", cell_event_seen, NULL), S("Type", "Normal or Warning", cell_text, "/type"),
	S("Reason", "Why", cell_text, "/reason"), S("Object", "About what", cell_event_object, "/involvedObject"),
	W("Source", "Who reports it", cell_text, "/source/component"),
	S("Message", "What happened", cell_text, "/message"),
	W("First Seen", "When it happened first", cell_age, "/firstTimestamp"),
	{ "Count", "integer", "", "How often", 1, cell_value, "/count" },
	{ "Name", "string", "name", "Name of the event", 1, cell_text, "/metadata/name" }, END_COLUMN,
};
static const struct column new_events[] = {
	S("Last Seen", "When it happened last", cell_event_seen, NULL), S("Type", "Normal or Warning", cell_text, "/type"),
	S("Reason", "Why", cell_text, "/reason"), S("Object", "About what", cell_event_object, "/regarding"),
	S("Message", "What happened", cell_text, "/note"),
	{ "Name", "string", "name", "Name of the event", 1, cell_text, "/metadata/name" }, END_COLUMN,
};
static const struct column created[] = {
	NAME_COLUMN, { "Created At", "date", "", "When it was made", 0, cell_text, "/metadata/creationTimestamp" },
	END_COLUMN,
};
static const struct column bindings[] = {
	NAME_COLUMN, S("Role", "What it grants", cell_role_ref, NULL), AGE_COLUMN, END_COLUMN,
};

static const struct {
	const char *group, *plural;
	const struct column *columns;
} builtin[] = {
	{ "", "pods", pods },
	{ "", "namespaces", namespaces },
	{ "", "nodes", nodes },
	{ "", "configmaps", configmaps },
	{ "", "secrets", secrets },
	{ "", "serviceaccounts", serviceaccounts },
	{ "", "persistentvolumeclaims", persistentvolumeclaims },
	{ "", "services", services },
	{ "", "events", core_events },
	{ "events.k8s.io", "events", new_events },
	{ "batch", "jobs", jobs },
	{ "batch", "cronjobs", cronjobs },
	{ "coordination.k8s.io", "leases", leases },
	{ "apiextensions.k8s.io", "customresourcedefinitions", created },
	{ "rbac.authorization.k8s.io", "roles", created },
	{ "rbac.authorization.k8s.io", "clusterroles", created },
	{ "rbac.authorization.k8s.io", "rolebindings", bindings },
	{ "rbac.authorization.k8s.io", "clusterrolebindings", bindings },
};

static const struct column *
builtin_columns(const struct am_resource *res)
{
	if ((res->flags & AM_RES_CUSTOM) == 0)
		for (size_t i = 0; i < AM_COUNTOF(builtin); i++)
			if (strcmp(builtin[i].group, res->group) == 0 && strcmp(builtin[i].plural, res->plural) == 0)
				return builtin[i].columns;
	return general;
}

/* ---- custom columns */

static void
date_cell(struct am_clock *clock, struct am_slice v, struct am_buf *out)
{
	struct am_buf text = { 0 };
	int64_t at;
	char age[16];

	if (am_json_type(v) != AMBIENT_T_STRING || !am_json_unescape(v, &text)) {
		am_buf_adds(out, "null");
	} else if (am_time_parse(am_buf_str(&text), &at) < 0) {
		am_json_add_str(out, "<invalid>");
	} else {
		int64_t ns = am_clock_wall(clock) - at;

		am_duration_format(age, ns > 0 ? ns : 0);
		am_json_add_str(out, age);
	}
	am_buf_fini(&text);
}

/* Integers are cut off, as kube-apiserver does it. */
static void
number_cell(struct am_slice v, bool integer, struct am_buf *out)
{
	size_t digits = 0;

	while (digits < v.n && strchr("-0123456789", v.p[digits]) != NULL)
		digits++;
	if (integer && digits < v.n) {
		char *text = am_xstrndup(v.p, v.n);
		double d = strtod(text, NULL);
		free(text);
		if (d > -9e15 && d < 9e15)
			am_buf_addf(out, "%lld", (long long)d);
		else
			am_buf_adds(out, "null");
	} else {
		am_buf_add(out, v.p, v.n);
	}
}

/* A value of another type than the column's is null. */
static void
custom_cell(struct am_clock *clock, const struct am_column *c, struct am_slice object, struct am_buf *out)
{
	struct am_slice v;
	int type = am_jsonpath_find(object, c->path, &v) ? am_json_type(v) : AMBIENT_T_NULL;
	bool integer = strcmp(c->type, "integer") == 0;

	if (type == AMBIENT_T_NULL)
		am_buf_adds(out, "null");
	else if (strcmp(c->type, "date") == 0)
		date_cell(clock, v, out);
	else if (strcmp(c->type, "string") == 0 && type != AMBIENT_T_STRING)
		am_json_add_strn(out, v.p, v.n);
	else if ((integer || strcmp(c->type, "number") == 0) && type == AMBIENT_T_NUMBER)
		number_cell(v, integer, out);
	else if ((strcmp(c->type, "boolean") == 0 && type == AMBIENT_T_BOOL) || strcmp(c->type, "string") == 0)
		am_buf_add(out, v.p, v.n);
	else
		am_buf_adds(out, "null");
}

/* ---- the two halves of a Table */

static void
add_definition(struct am_buf *out, bool first, const char *name, const char *type, const char *format,
	       const char *description, int priority)
{
	am_json_addf(out, "%j{\"name\":%s,\"type\":%s,\"format\":%s,\"description\":%s,\"priority\":%d}",
		     first ? "" : ",", name, type, format != NULL ? format : "",
		     description != NULL ? description : "", priority);
}

void
rest_table_columns(const struct am_resource *res, struct am_buf *out)
{
	const struct column *c = builtin_columns(res);

	am_buf_addc(out, '[');
	if (res->n_columns > 0) {
		add_definition(out, true, "Name", "string", "name", "Name of the object", 0);
		for (size_t i = 0; i < res->n_columns; i++) {
			const struct am_column *k = &res->columns[i];

			add_definition(out, false, k->name, k->type, k->format, k->description, k->priority);
		}
	} else {
		for (size_t i = 0; c[i].name != NULL; i++)
			add_definition(out, i == 0, c[i].name, c[i].type, c[i].format, c[i].description,
				       c[i].priority);
	}
	am_buf_addc(out, ']');
}

void
rest_table_row(struct am_clock *clock, const struct am_resource *res, const struct am_object *object,
	       const char *include_object, struct am_buf *out)
{
	const struct column *c = builtin_columns(res);
	struct am_buf text = { 0 };
	struct cell_input in = { .clock = clock };

	am_object_print(object, res, &text);
	in.object = am_slice(am_buf_str(&text), text.len);
	am_buf_adds(out, "{\"cells\":[");
	if (res->n_columns > 0) {
		am_json_add_str(out, object->name);
		for (size_t i = 0; i < res->n_columns; i++) {
			am_buf_addc(out, ',');
			custom_cell(clock, &res->columns[i], in.object, out);
		}
	} else {
		for (size_t i = 0; c[i].name != NULL; i++) {
			if (i > 0)
				am_buf_addc(out, ',');
			in.path = c[i].path;
			c[i].cell(&in, out);
		}
	}
	am_buf_addc(out, ']');
	if (include_object == NULL || strcmp(include_object, "None") != 0) {
		am_buf_adds(out, ",\"object\":");
		if (am_streq(include_object, "Object"))
			am_buf_add(out, text.data, text.len);
		else
			rest_render(NULL, REST_PARTIAL, NULL, res, object, false, out);
	}
	am_buf_addc(out, '}');
	am_buf_fini(&text);
}
