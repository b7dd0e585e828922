/* SPDX-License-Identifier: Apache-2.0 */
/* A row of the table of builtin resources. */
#ifndef AM_APISERVER_RESOURCES_H
#define AM_APISERVER_RESOURCES_H

#include <stddef.h>
#include <stdint.h>

enum {
	AM_UNCONDITIONAL = 1,    /* PUT without resourceVersion: the last writer wins */
	AM_CREATE_ON_UPDATE = 2, /* PUT of something absent creates it */
	AM_GENERATION = 4,       /* metadata.generation counts changes of spec */
	AM_CREATE_STATUS = 8,    /* a create may bring its status */
};

struct am_builtin {
	const char *group, *version, *plural, *kind;
	const char *const *short_names, *const *categories;
	uint32_t flags;          /* AM_RES_* */
	uint32_t traits;         /* AM_UNCONDITIONAL ... */
	const struct am_kind *rules;
	const char *const *fields, *const *paths; /* field selectors; paths NULL: as the fields say */
	const struct am_event_view *view;
	const char *store_group; /* NULL: the group */
	const char *singular;    /* NULL: the kind in lower case */
};

extern const struct am_builtin am_builtins[];
extern const size_t am_builtin_count;

#endif
