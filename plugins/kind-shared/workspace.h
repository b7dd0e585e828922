/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose files a session works in, and whether it is done with them, as everybody must see it who deletes sessions: the
 * claim goes with the session that made it, so that one stays in whose workspace another session works, or is to.
 * Functions of the session alone; who asks looks at the others.
 */
#ifndef KIND_SHARED_WORKSPACE_H
#define KIND_SHARED_WORKSPACE_H

#include <stdbool.h>

#include <ambient/ambient.h>

#define KW_WISH_MAX 128

/* The session that this one continues; "" when it continues none. */
const char *kw_parent(const struct ambient_object *session);
/* Where that stands, for a message. */
const char *kw_parent_field(const struct ambient_object *session);
/* The session whose claim it was planned with; "" while no run is planned. */
const char *kw_planned(const struct ambient_object *session);
/* The annotation says a word that is no wish, and has no effect; "" when it does not. */
const char *kw_unknown_wish(const struct ambient_object *session);
/* What the annotation wishes for, with the time of asking: as status.intent.annotation keeps it; "" for nothing. */
void kw_wish(const struct ambient_object *session, char out[KW_WISH_MAX]);
/* It has ended, and nobody has asked for another run, be it in what the operator has not looked at yet. */
bool kw_is_over(const struct ambient_object *session);

#endif
