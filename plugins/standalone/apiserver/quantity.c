/* SPDX-License-Identifier: Apache-2.0 */
/* Quantities: see quantity.h. */
#include "plugins/standalone/apiserver/quantity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NANO     INT64_C(1000000000)
#define GREATEST ((__int128)INT64_MAX * NANO * NANO)

static const struct {
	const char *text;
	int exponent; /* of 10, or of 2 */
	enum am_quantity_form form;
} suffixes[] = {
	{ "n", -9, AM_QUANTITY_DECIMAL }, { "u", -6, AM_QUANTITY_DECIMAL }, { "m", -3, AM_QUANTITY_DECIMAL },
	{ "", 0, AM_QUANTITY_DECIMAL }, { "k", 3, AM_QUANTITY_DECIMAL }, { "M", 6, AM_QUANTITY_DECIMAL },
	{ "G", 9, AM_QUANTITY_DECIMAL }, { "T", 12, AM_QUANTITY_DECIMAL }, { "P", 15, AM_QUANTITY_DECIMAL },
	{ "E", 18, AM_QUANTITY_DECIMAL }, { "Ki", 10, AM_QUANTITY_BINARY }, { "Mi", 20, AM_QUANTITY_BINARY },
	{ "Gi", 30, AM_QUANTITY_BINARY }, { "Ti", 40, AM_QUANTITY_BINARY }, { "Pi", 50, AM_QUANTITY_BINARY },
	{ "Ei", 60, AM_QUANTITY_BINARY },
};

static bool
scale(__int128 *value, int base, int by)
{
	for (; by > 0; by--)
		if (*value > GREATEST / base)
			return false;
		else
			*value *= base;
	return true;
}

/* What stands behind the number. */
static bool
take_suffix(const char *p, size_t n, int *exponent, enum am_quantity_form *form)
{
	char *end, text[8];

	if (n > 7)
		return false;
	memcpy(text, p, n);
	text[n] = '\0';
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(suffixes[i].text, text) == 0) {
			*exponent = suffixes[i].exponent;
			*form = suffixes[i].form;
			return true;
		}
	if ((text[0] != 'e' && text[0] != 'E') || text[1] == '\0' || strchr("+-0123456789", text[1]) == NULL)
		return false;
	*exponent = (int)strtol(text + 1, &end, 10);
	*form = AM_QUANTITY_EXPONENT;
	return *end == '\0' && end > text + 1 && end[-1] >= '0' && end[-1] <= '9' && *exponent > -40 && *exponent < 40;
}

bool
am_quantity_parse(const char *text, size_t n, struct am_quantity *ret)
{
	__int128 value = 0;
	size_t i = n > 0 && (text[0] == '-' || text[0] == '+'), digits = 0, places = 0;
	bool point = false, rest = false;
	int exponent;

	for (; i < n && ((text[i] >= '0' && text[i] <= '9') || (text[i] == '.' && !point)); i++) {
		if (text[i] == '.') {
			point = true;
			continue;
		}
		digits++;
		if (point && places >= 18) {
			rest |= text[i] != '0';
			continue;
		}
		places += point;
		if (value > GREATEST / 10)
			return false;
		value = value * 10 + (text[i] - '0');
	}
	if (digits == 0 || !take_suffix(text + i, n - i, &exponent, &ret->form))
		return false;
	/* value * 10^(exponent - places) * 10^9, or value * 2^exponent * 10^(9 - places) */
	int ten = (ret->form == AM_QUANTITY_BINARY ? 0 : exponent) + 9 - (int)places;
	if ((ret->form == AM_QUANTITY_BINARY && !scale(&value, 2, exponent)) || !scale(&value, 10, ten))
		return false;
	for (; ten < 0; ten++) {
		rest |= value % 10 != 0;
		value /= 10;
	}
	value += rest; /* away from zero */
	ret->nano = text[0] == '-' ? -value : value;
	return true;
}

bool
am_quantity_of(const struct am_node *node, struct am_quantity *ret)
{
	return node != NULL && (node->type == AMBIENT_T_STRING || node->type == AMBIENT_T_NUMBER) &&
	       am_quantity_parse(node->text, node->len, ret);
}

void
am_quantity_int(int64_t value, struct am_quantity *ret)
{
	*ret = (struct am_quantity){ (__int128)value * NANO, AM_QUANTITY_DECIMAL };
}

void
am_quantity_add(struct am_quantity *sum, const struct am_quantity *by)
{
	if (sum->nano == 0)
		sum->form = by->form;
	sum->nano += by->nano;
	if (sum->nano > GREATEST)
		sum->nano = GREATEST;
	if (sum->nano < -GREATEST)
		sum->nano = -GREATEST;
}

int
am_quantity_cmp(const struct am_quantity *a, const struct am_quantity *b)
{
	return a->nano < b->nano ? -1 : a->nano > b->nano;
}

static char *
print_int(__int128 value, char *end)
{
	*--end = '\0';
	do
		*--end = (char)('0' + (int)(value % 10));
	while ((value /= 10) > 0);
	return end;
}

void
am_quantity_to_milli(struct am_quantity *q)
{
	__int128 rest = q->nano % (NANO / 1000);

	if (rest != 0)
		q->nano += (q->nano > 0 ? NANO / 1000 : -(NANO / 1000)) - rest;
}

const char *
am_quantity_print(const struct am_quantity *q, char text[AM_QUANTITY_TEXT])
{
	__int128 value = q->nano < 0 ? -q->nano : q->nano;
	char digits[48];
	size_t i = 0; /* of suffixes */
	bool binary = q->form == AM_QUANTITY_BINARY && value >= (__int128)1024 * NANO && value % NANO == 0;

	if (value == 0)
		return strcpy(text, "0");
	if (binary) {
		value /= NANO;
		for (i = 3; value % 1024 == 0 && i < 15;) {
			value /= 1024;
			i = i == 3 ? 10 : i + 1;
		}
	} else {
		while (value % 1000 == 0 && i < 9) {
			value /= 1000;
			i++;
		}
	}
	if (q->form == AM_QUANTITY_EXPONENT && suffixes[i].exponent != 0)
		snprintf(text, AM_QUANTITY_TEXT, "%s%se%d", q->nano < 0 ? "-" : "", print_int(value, digits + sizeof(digits)),
			 suffixes[i].exponent);
	else
		snprintf(text, AM_QUANTITY_TEXT, "%s%s%s", q->nano < 0 ? "-" : "", print_int(value, digits + sizeof(digits)),
			 suffixes[i].text);
	return text;
}
