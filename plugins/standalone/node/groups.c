/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supplementary groups of a pod's containers.  A daemon of root's gives them; another one has those of its user, which
 * it can neither add to nor take away, so what it cannot give is said and not left out.  Merge, the policy of who names
 * none, adds to what the daemon's user has; Strict takes that away.
 */
#include "node.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OWN_MAX        64
#define LISTED         "/spec/securityContext/supplementalGroups"
#define POLICY         "/spec/securityContext/supplementalGroupsPolicy"
#define GROUPS_OF_SHIM 64

static int
own_groups(gid_t own[OWN_MAX])
{
	int n = getgroups(OWN_MAX, own);

	return n < 0 ? 0 : n;
}

static bool
has(const gid_t *list, int n, gid_t group)
{
	for (int i = 0; i < n; i++)
		if (list[i] == group)
			return true;
	return false;
}

static gid_t
listed(const struct ambient_object *pod, size_t i)
{
	return (gid_t)ambient_int(ambient_item(pod, LISTED, i, NULL), "", 0);
}

static bool
lists(const struct ambient_object *pod, gid_t group)
{
	for (size_t i = 0; i < ambient_len(pod, LISTED); i++)
		if (listed(pod, i) == group)
			return true;
	return false;
}

/* What an ordinary user's daemon would have to be given, or to give up. */
static void
check(const struct ambient_object *pod, bool strict, struct trouble *t)
{
	gid_t own[OWN_MAX];
	int n = own_groups(own);

	for (size_t i = 0; i < ambient_len(pod, LISTED); i++)
		if (listed(pod, i) != getegid() && !has(own, n, listed(pod, i)))
			trouble_set(t, "CreateContainerConfigError", false,
				    "supplementalGroups has %u, and the daemon's user %u is not in that group: add the user to it, or run the daemon "
				    "as root", (unsigned)listed(pod, i), (unsigned)geteuid());
	for (int i = 0; i < n && strict; i++)
		if (own[i] != getegid() && !lists(pod, own[i]))
			trouble_set(t, "CreateContainerConfigError", false,
				    "supplementalGroupsPolicy is Strict, and the daemon's user %u is in group %u, which only a daemon of root's can take "
				    "from a container: list it, or leave out the policy", (unsigned)geteuid(), (unsigned)own[i]);
}

bool
groups_asked(const struct ambient_object *pod)
{
	return ambient_len(pod, LISTED) > 0 || strcmp(ambient_str(pod, POLICY, ""), "Strict") == 0;
}

void
groups_add(struct text *out, const struct ambient_object *pod, struct trouble *t)
{
	bool strict = strcmp(ambient_str(pod, POLICY, ""), "Strict") == 0;
	gid_t own[OWN_MAX];
	int n = strict ? 0 : own_groups(own);
	const char *comma = "";

	if (!groups_asked(pod))
		return;
	if (geteuid() != 0) {
		check(pod, strict, t);
		return;
	}
	if (ambient_len(pod, LISTED) + (size_t)n > GROUPS_OF_SHIM)
		trouble_set(t, "CreateContainerConfigError", false, "supplementalGroups: a container has at most %d, with those of the daemon's user",
			    GROUPS_OF_SHIM);
	text_puts(out, ",\"groups\":[");
	for (size_t i = 0; i < ambient_len(pod, LISTED); i++, comma = ",")
		text_printf(out, "%s%u", comma, (unsigned)listed(pod, i));
	for (int i = 0; i < n; i++)
		if (!lists(pod, own[i])) {
			text_printf(out, "%s%u", comma, (unsigned)own[i]);
			comma = ",";
		}
	text_puts(out, "]");
}
