/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the triggers: the predicate over what an update has changed. */
#ifndef AM_TRIGGER_TRIGGER_PRIV_H
#define AM_TRIGGER_TRIGGER_PRIV_H

#include "core/trigger/trigger.h"

struct am_when;
/* "generation", "labels", "annotations" and JSON Pointers, with commas between. */
int am_when_new(const char *text, struct am_when **ret, struct ambient_error *err);
void am_when_free(struct am_when *when);
bool am_when_passes(const struct am_when *when, const struct am_change *change); /* NULL passes everything */

#endif
