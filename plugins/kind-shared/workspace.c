/* SPDX-License-Identifier: Apache-2.0 */
/* See workspace.h. */
#include "plugins/kind-shared/workspace.h"

#include <stdio.h>
#include <string.h>

#define PARENT   "/metadata/annotations/vteam.ambient-code~1parent-session-id"
#define DESIRED  "/metadata/annotations/ambient-code.io~1desired-phase"
#define START_AT "/metadata/annotations/ambient-code.io~1start-requested-at"
#define STOP_AT  "/metadata/annotations/ambient-code.io~1stop-requested-at"

const char *
kw_parent(const struct ambient_object *session)
{
	const char *parent = ambient_str(session, PARENT, ambient_str(session, "/spec/environmentVariables/PARENT_SESSION_ID", ""));

	/* Who restarts a session by the older clients names the session itself. */
	return strcmp(parent, ambient_str(session, "/metadata/name", "")) == 0 ? "" : parent;
}

const char *
kw_parent_field(const struct ambient_object *session)
{
	return ambient_type(session, PARENT) == AMBIENT_T_STRING ? "metadata.annotations[vteam.ambient-code/parent-session-id]"
								 : "spec.environmentVariables[PARENT_SESSION_ID]";
}

const char *
kw_planned(const struct ambient_object *session)
{
	return ambient_str(session, "/status/effective/workspace", "");
}

const char *
kw_unknown_wish(const struct ambient_object *session)
{
	const char *wish = ambient_str(session, DESIRED, "");

	return strcmp(wish, "Stopped") == 0 || strcmp(wish, "Running") == 0 ? "" : wish;
}

void
kw_wish(const struct ambient_object *session, char out[KW_WISH_MAX])
{
	const char *wish = ambient_str(session, DESIRED, "");
	bool stop = strcmp(wish, "Stopped") == 0;

	out[0] = '\0';
	if (stop || strcmp(wish, "Running") == 0)
		(void)snprintf(out, KW_WISH_MAX, "%s@%.64s", wish, ambient_str(session, stop ? STOP_AT : START_AT, ""));
}

bool
kw_is_over(const struct ambient_object *session)
{
	const char *spec = ambient_str(session, "/spec/desiredState", ""), *seen = ambient_str(session, "/status/intent/spec", "");
	char wish[KW_WISH_MAX];

	kw_wish(session, wish);
	if (ambient_str(session, "/status/completionTime", "")[0] == '\0' ||
	    strcmp(ambient_str(session, "/status/intent/again", ""), "true") == 0)
		return false;
	if (strncmp(wish, "Running@", 8) == 0 && strcmp(wish, ambient_str(session, "/status/intent/annotation", "")) != 0)
		return false;
	return strcmp(spec, seen) == 0 || strcmp(spec, "Stopped") == 0 || (spec[0] == '\0' && strcmp(seen, "Stopped") != 0);
}
