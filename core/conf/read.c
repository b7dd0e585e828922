/* SPDX-License-Identifier: Apache-2.0 */
/* Reading checked values: the table that plugins get, and the core's short forms.  Nothing is converted here. */
#include <string.h>

#include "core/base/str.h"
#include "core/conf/conf_priv.h"

const struct conf_slot *
conf_slot(const struct ambient_conf *conf, const char *name)
{
	if (conf == NULL || name == NULL)
		return NULL;
	for (size_t i = 0; i < conf->count; i++) {
		if (strcmp(conf->slots[i].row->name, name) == 0)
			return conf->slots[i].value != NULL ? &conf->slots[i] : NULL;
	}
	return NULL;
}

static const char *
read_str(const struct ambient_conf *conf, const char *name, const char *fallback)
{
	const struct conf_slot *slot = conf_slot(conf, name);

	return slot != NULL && (slot->row->type == AMBIENT_OPT_STRING || slot->row->type == AMBIENT_OPT_PATH) ? slot->s
													      : fallback;
}

static int64_t
read_integer(const struct ambient_conf *conf, const char *name, int64_t fallback)
{
	const struct conf_slot *slot = conf_slot(conf, name);

	if (slot == NULL)
		return fallback;
	switch (slot->row->type) {
	case AMBIENT_OPT_INT:
	case AMBIENT_OPT_BOOL:
	case AMBIENT_OPT_DURATION:
	case AMBIENT_OPT_SIZE:
		return slot->i;
	default:
		return fallback;
	}
}

static double
read_real(const struct ambient_conf *conf, const char *name, double fallback)
{
	const struct conf_slot *slot = conf_slot(conf, name);

	if (slot == NULL)
		return fallback;
	if (slot->row->type == AMBIENT_OPT_INT)
		return (double)slot->i;
	return slot->row->type == AMBIENT_OPT_FLOAT ? slot->d : fallback;
}

static size_t
read_count(const struct ambient_conf *conf, const char *name)
{
	const struct conf_slot *slot = conf_slot(conf, name);

	return slot != NULL ? slot->count : 0;
}

static int
read_entry(const struct ambient_conf *conf, const char *name, size_t i, const char **key, const char **value)
{
	const struct conf_slot *slot = conf_slot(conf, name);

	if (slot == NULL || slot->values == NULL || i >= slot->count)
		return -AMBIENT_E_NOTFOUND;
	if (key != NULL)
		*key = slot->keys[i];
	if (value != NULL)
		*value = slot->values[i];
	return 0;
}

static const struct ambient_conf *
read_group(const struct ambient_conf *conf, const char *name, size_t i)
{
	const struct conf_slot *slot = conf_slot(conf, name);

	return slot != NULL && slot->groups != NULL && i < slot->count ? slot->groups[i] : NULL;
}

const struct ambient_conf_api am_conf_api = {
	.size = sizeof(struct ambient_conf_api),
	.str = read_str,
	.integer = read_integer,
	.real = read_real,
	.count = read_count,
	.entry = read_entry,
	.group = read_group,
};

size_t
am_conf_strings(const struct ambient_conf *conf, const char *name, const char *const **ret)
{
	const struct conf_slot *slot = conf_slot(conf, name);

	if (ret != NULL)
		*ret = slot != NULL ? slot->values : NULL;
	return slot != NULL ? slot->count : 0;
}

const char *
am_conf_str(const struct ambient_conf *conf, const char *name)
{
	return read_str(conf, name, NULL);
}

int64_t
am_conf_int(const struct ambient_conf *conf, const char *name)
{
	return read_integer(conf, name, 0);
}

bool
am_conf_given(const struct ambient_conf *conf, const char *name)
{
	const struct conf_slot *slot = conf_slot(conf, name);

	return slot != NULL && slot->given;
}

/* ---- what changed */

static bool
slot_equal(const struct conf_slot *a, const struct conf_slot *b)
{
	if ((a->value == NULL) != (b->value == NULL) || a->i != b->i || a->d < b->d || a->d > b->d ||
	    a->count != b->count || (a->s == NULL) != (b->s == NULL) || (a->s != NULL && strcmp(a->s, b->s) != 0))
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (a->groups != NULL && am_conf_diff(a->groups[i], b->groups[i], NULL) > 0)
			return false;
		if (a->values != NULL && strcmp(a->values[i], b->values[i]) != 0)
			return false;
		if (a->values != NULL && a->keys[i] != NULL && strcmp(a->keys[i], b->keys[i]) != 0)
			return false;
	}
	return true;
}

size_t
am_conf_diff(const struct ambient_conf *from, const struct ambient_conf *to, const char **ret_restart)
{
	size_t n = 0;

	am_assert(from->count == to->count);
	if (ret_restart != NULL)
		*ret_restart = NULL;
	for (size_t i = 0; i < from->count; i++) {
		if (slot_equal(&from->slots[i], &to->slots[i]))
			continue;
		n++;
		if (ret_restart != NULL && *ret_restart == NULL && !(from->slots[i].row->flags & AMBIENT_OPT_RELOAD))
			*ret_restart = from->slots[i].row->name;
	}
	return n;
}
