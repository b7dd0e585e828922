/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The named formats: format.dns1123Label().validate(x) and its kin.  Each has a checker that says in Kubernetes' words
 * what is wrong with a text; there are at most a few such sentences per text.
 */
#include <ctype.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)

#define MAX_PROBLEMS 6

#define LABEL_PATTERN "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define NAME_PATTERN  "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
#define NAME_RULE                                                                                             \
	"must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " \
	"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '" NAME_PATTERN "')"

struct problems {
	struct cel_run *run;
	const char *before; /* said in front of each */
	struct cel_value items[MAX_PROBLEMS];
	size_t n;
};

struct cel_format {
	const char *name;
	void (*check)(struct problems *p, struct am_slice s);
	bool prefix; /* a name that will get more characters behind it: a dash at its end is fine */
};

static void am_printf_(2, 3)
add(struct problems *p, const char *fmt, ...)
{
	struct am_buf text = { .max = 4096 };
	va_list ap;

	if (p->n == MAX_PROBLEMS)
		return;
	am_buf_adds(&text, p->before != NULL ? p->before : "");
	va_start(ap, fmt);
	am_buf_addv(&text, fmt, ap);
	va_end(ap);
	p->items[p->n++] = cel_buf_string(p->run, &text);
}

static bool
is_alnum(char c)
{
	return isalnum((unsigned char)c) != 0;
}

static bool
is_lower_alnum(char c)
{
	return isdigit((unsigned char)c) || islower((unsigned char)c);
}

/* Characters of ok and of more, of ok at both ends. */
static bool
is_name(struct am_slice s, bool (*ok)(char c), const char *more)
{
	if (s.n == 0 || !ok(s.p[0]) || !ok(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ok(s.p[i]) && (s.p[i] == '\0' || strchr(more, s.p[i]) == NULL))
			return false;
	return true;
}

static bool
is_subdomain(struct am_slice s)
{
	for (;;) {
		const char *dot = s.n > 0 ? memchr(s.p, '.', s.n) : NULL;
		size_t n = dot != NULL ? (size_t)(dot - s.p) : s.n;

		if (!is_name(am_slice(s.p, n), is_lower_alnum, "-"))
			return false;
		if (dot == NULL)
			return true;
		s = am_slice(dot + 1, s.n - n - 1);
	}
}

static void
check_length(struct problems *p, struct am_slice s, size_t max)
{
	if (s.n > max)
		add(p, "must be no more than %zu characters", max);
}

static void
check_label(struct problems *p, struct am_slice s)
{
	check_length(p, s, 63);
	if (!is_name(s, is_lower_alnum, "-"))
		add(p, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
		       "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '"
		       LABEL_PATTERN "')");
}

static void
check_subdomain(struct problems *p, struct am_slice s)
{
	check_length(p, s, 253);
	if (!is_subdomain(s))
		add(p, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
		       "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '"
		       LABEL_PATTERN "(\\." LABEL_PATTERN ")*')");
}

static void
check_label_1035(struct problems *p, struct am_slice s)
{
	check_length(p, s, 63);
	if (!is_name(s, is_lower_alnum, "-") || isdigit((unsigned char)s.p[0]))
		add(p, "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
		       "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
		       "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')");
}

static void
check_qualified(struct problems *p, struct am_slice s)
{
	const char *slash = s.n > 0 ? memchr(s.p, '/', s.n) : NULL;
	struct am_slice name = s;

	if (slash != NULL) {
		struct am_slice prefix = am_slice(s.p, (size_t)(slash - s.p));

		name = am_slice(slash + 1, s.n - prefix.n - 1);
		if (name.n > 0 && memchr(name.p, '/', name.n) != NULL) {
			add(p, "a qualified name " NAME_RULE " with an optional DNS subdomain prefix and '/' (e.g. "
			       "'example.com/MyName')");
			return;
		}
		p->before = "prefix part ";
		if (prefix.n == 0)
			add(p, "must be non-empty");
		else
			check_subdomain(p, prefix);
	}
	p->before = "name part ";
	if (name.n == 0)
		add(p, "must be non-empty");
	check_length(p, name, 63);
	if (!is_name(name, is_alnum, "-_."))
		add(p, NAME_RULE);
}

static void
check_label_value(struct problems *p, struct am_slice s)
{
	check_length(p, s, 63);
	if (s.n > 0 && !is_name(s, is_alnum, "-_."))
		add(p, "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
		       "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
		       "for validation is '(" NAME_PATTERN ")?')");
}

static void
check_uri(struct problems *p, struct am_slice s)
{
	if (s.n == 0)
		add(p, "parse \"\": empty url");
	else if (!cel_url_ok(s))
		add(p, "parse \"%.*s\": invalid URI for request", (int)AM_MIN(s.n, (size_t)1000), s.p);
}

static void
check_uuid(struct problems *p, struct am_slice s)
{
	if (!am_format_ok("uuid", s.p, s.n))
		add(p, "does not match the UUID format");
}

static void
check_byte(struct problems *p, struct am_slice s)
{
	if (s.n == 0 || !am_format_ok("byte", s.p, s.n))
		add(p, "invalid base64");
}

static bool
is_time(struct cel_run *run, struct am_slice s, const char *rest)
{
	char text[64];
	struct cel_value time;

	if (s.n > 40)
		return false;
	int n = snprintf(text, sizeof(text), "%.*s%s", (int)s.n, s.p, rest);
	return (size_t)n == s.n + strlen(rest) && cel_time_parse(am_slice(text, (size_t)n), &time) == 0;
}

static void
check_date(struct problems *p, struct am_slice s)
{
	if (s.n != 10 || !is_time(p->run, s, "T00:00:00Z"))
		add(p, "invalid date");
}

static void
check_datetime(struct problems *p, struct am_slice s)
{
	if (!is_time(p->run, s, ""))
		add(p, "invalid datetime");
}

static const struct cel_format formats[] = {
	{ "dns1123Label", check_label, false },
	{ "dns1123Subdomain", check_subdomain, false },
	{ "dns1035Label", check_label_1035, false },
	{ "qualifiedName", check_qualified, false },
	{ "dns1123LabelPrefix", check_label, true },
	{ "dns1123SubdomainPrefix", check_subdomain, true },
	{ "dns1035LabelPrefix", check_label_1035, true },
	{ "labelValue", check_label_value, false },
	{ "uri", check_uri, false },
	{ "uuid", check_uuid, false },
	{ "byte", check_byte, false },
	{ "date", check_date, false },
	{ "datetime", check_datetime, false },
};

static const struct cel_format *
find_format(struct am_slice name)
{
	for (size_t i = 0; i < AM_COUNTOF(formats); i++)
		if (am_slice_eq(name, formats[i].name))
			return &formats[i];
	return NULL;
}

static struct cel_value
format_value(const struct cel_format *format)
{
	return (struct cel_value){ .kind = CEL_FORMAT, .format = format };
}

FN(named)
{
	const struct cel_format *format = find_format(a[0].s);

	return format != NULL ? cel_some(run, format_value(format)) : cel_none();
}

FN(constant)
{
	return format_value(find_format(am_slice_of(e->name + strlen("format."))));
}

FN(validate)
{
	struct problems p = { .run = run };
	struct am_slice s = a[1].s;

	if (!cel_charge(run, cel_scan_cost(s.n)))
		return cel_exceeded(run);
	if (a[0].format->prefix && s.n > 1 && s.p[s.n - 1] == '-') {
		/* Whatever follows the dash stands for one character. */
		struct cel_value masked = cel_string(run, s.p, s.n - 1);

		if (cel_failed(masked))
			return masked;
		((char *)(uintptr_t)masked.s.p)[s.n - 2] = 'a';
		s = masked.s;
	}
	a[0].format->check(&p, s);
	struct cel_value *items = cel_items(run, p.n);
	if (items == NULL)
		return cel_exceeded(run);
	memcpy(items, p.items, p.n * sizeof(*items));
	return p.n == 0 ? cel_none() : cel_some(run, cel_list_of(run, items, p.n));
}

#define CONSTANT(name) { "format." name, ">F", constant }

const struct cel_fn cel_format_fns[] = {
	CONSTANT("dns1123Label"), CONSTANT("dns1123Subdomain"), CONSTANT("dns1035Label"), CONSTANT("qualifiedName"),
	CONSTANT("dns1123LabelPrefix"), CONSTANT("dns1123SubdomainPrefix"), CONSTANT("dns1035LabelPrefix"),
	CONSTANT("labelValue"), CONSTANT("uri"), CONSTANT("uuid"), CONSTANT("byte"), CONSTANT("date"), CONSTANT("datetime"),
	{ "format.named", "s>?F", named }, { "validate", "F.s>?[s", validate },
	{ NULL, NULL, NULL },
};
